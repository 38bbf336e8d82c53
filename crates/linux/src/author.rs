//! Who may have made a change: notifications of netlink bear the port of the socket that asked for
//! it. Port 0 is the kernel itself. The first socket of a process usually has the number of the
//! process, as the process itself sees it, so one in a container can bear the number of another
//! process; further sockets have other numbers. A short-lived program may have ended before its name
//! is read. So a process is named with a perhaps, and together with all others of that moment.

use rail_core::time::{Duration, Instant};

/// The authors of the last changes of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Author(Vec<(Instant, u32, String)>);

impl Author {
    /// A change that this port asked for was reported now.
    pub(crate) fn note(&mut self, port: u32) {
        self.note_at(crate::clock::now(), port);
    }

    fn note_at(&mut self, now: Instant, port: u32) {
        self.0.retain(|(at, ..)| now.since(*at) < RECENT);
        if let Some((at, ..)) = self.0.iter_mut().find(|(_, known, _)| *known == port) {
            *at = now;
        } else if self.0.len() <= MOST_NAMED {
            self.0.push((now, port, name(port)));
        } else {
            // Nobody is named as long as this one, too, may have made the change.
            self.0.iter_mut().for_each(|(at, ..)| *at = now);
        }
    }

    /// Who it may have been; empty if nobody is known, too many are, or the last change is long ago.
    pub(crate) fn recent(&self, now: Instant) -> String {
        let recent = self.0.iter().filter(|(at, ..)| now.since(*at) < RECENT);
        let mut names: Vec<&str> = recent.map(|(.., name)| name.as_str()).collect();
        if names.len() > MOST_NAMED {
            return String::new();
        }
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] => String::new(),
            [single] if !single.starts_with(NAMED) => (*single).into(),
            names => format!("perhaps {}", names.join(" or ")),
        }
    }
}

fn name(port: u32) -> String {
    if port == 0 {
        return "the kernel".into();
    }
    if port > MOST_PROCESSES {
        return "a process".into();
    }
    let name = std::fs::read_to_string(format!("/proc/{port}/comm")).unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() { format!("{NAMED}{port}") } else { format!("{NAMED}{port} ({name})") }
}

const NAMED: &str = "process ";
/// Of more at a time nobody is named.
const MOST_NAMED: usize = 3;
/// No process has a higher number; libraries count the sockets of a process in the bits above.
const MOST_PROCESSES: u32 = 1 << 22;
/// A repair takes less.
const RECENT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a change by this process, then its name is known for a while, and only as a guess; the
    /// kernel is known for sure, and a port that is no number of a process names none.
    #[test]
    fn the_author_of_a_change_has_a_name() {
        let recent = |ports: &[u32]| {
            let mut author = Author::default();
            ports.iter().for_each(|port| author.note(*port));
            author.recent(crate::clock::now())
        };
        let own = std::process::id();
        assert_eq!(recent(&[]), "");
        let reported = recent(&[own, own]);
        assert!(reported.starts_with(&format!("perhaps process {own} (")), "{reported}");
        let mut author = Author::default();
        author.note(own);
        assert_eq!(author.recent(crate::clock::now() + RECENT), "");
        assert_eq!(recent(&[0]), "the kernel");
        let of_library = (3 << 22) + own;
        assert_eq!([recent(&[u32::MAX - 4095]), recent(&[of_library])], ["a process"; 2]);
        assert_eq!(recent(&[u32::MAX - 4095, of_library]), "a process");
    }

    /// Given changes by several within a while, then all are named, or nobody if they are many.
    #[test]
    fn one_of_several_is_not_named_alone() {
        let mut author = Author::default();
        author.note(0);
        author.note(std::process::id());
        let reported = author.recent(crate::clock::now());
        assert!(
            reported.starts_with("perhaps process ") && reported.ends_with(" or the kernel"),
            "{reported}"
        );
        for port in 1..4 {
            author.note(port);
        }
        assert_eq!(author.recent(crate::clock::now()), "");
    }

    /// Given more than are named, then none is named alone as long as another one may have done it, also
    /// after the first ones are forgotten.
    #[test]
    fn one_of_many_is_not_named_when_the_others_are_forgotten() {
        let mut author = Author::default();
        let start = crate::clock::now();
        let part = RECENT / 5;
        for port in 1..5 {
            author.note_at(start, port);
        }
        author.note_at(start + part * 4, 5);
        author.note_at(start + part * 6, 6);
        assert_eq!(author.recent(start + part * 6), "");
        author.note_at(start + part * 12, 0);
        assert_eq!(author.recent(start + part * 12), "the kernel");
    }
}
