//! Who made a change: notifications of netlink bear the port of the socket that asked for it. Port 0
//! is the kernel itself; the first socket of a process has the process's number, others a negative
//! one. A short-lived program may have ended before its name is read.

use rail_core::time::{Duration, Instant};

/// The author of the last change of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Author(Option<(Instant, String)>);

impl Author {
    /// A change that this port asked for was reported now.
    pub(crate) fn note(&mut self, port: u32) {
        self.0 = Some((crate::clock::now(), name(port)));
    }

    /// Who it was; empty if nobody is known, or the last change is long ago.
    pub(crate) fn recent(&self, now: Instant) -> String {
        let is_recent = |(at, _): &&(Instant, String)| now.since(*at) < RECENT;
        self.0.as_ref().filter(is_recent).map_or_else(String::new, |(_, name)| name.clone())
    }
}

fn name(port: u32) -> String {
    if port == 0 {
        return "the kernel".into();
    }
    if i32::try_from(port).is_err() {
        return "a process".into();
    }
    let name = std::fs::read_to_string(format!("/proc/{port}/comm")).unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() { format!("process {port}") } else { format!("process {port} ({name})") }
}

/// A repair takes less.
const RECENT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a change by this process, then its name is known for a while.
    #[test]
    fn the_author_of_a_change_has_a_name() {
        let mut author = Author::default();
        assert_eq!(author.recent(crate::clock::now()), "");
        author.note(std::process::id());
        let told = author.recent(crate::clock::now());
        assert!(told.starts_with(&format!("process {} (", std::process::id())), "{told}");
        assert_eq!(author.recent(crate::clock::now() + RECENT), "");
        author.note(0);
        assert_eq!(author.recent(crate::clock::now()), "the kernel");
        author.note(u32::MAX - 4095);
        assert_eq!(author.recent(crate::clock::now()), "a process");
    }
}
