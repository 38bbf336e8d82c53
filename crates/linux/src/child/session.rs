//! Processes by what `/proc` says of them.
//!
//! A process is known by its number and the moment it began: no other one has both in the life of a
//! machine, so a number that was given away again is noticed.

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// What a process is known by.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// When it began, in ticks since boot.
    pub(super) began: u64,
}

/// One line of `/proc/PID/stat`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    pub(super) identity: Identity,
    session: u32,
    is_dead: bool,
}

impl Stat {
    /// Reads a line. The second field is a name in brackets that may hold anything.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let pid = line.split_whitespace().next()?.parse().ok()?;
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
        let session = fields.nth(2)?.parse().ok()?;
        let began = fields.nth(15)?.parse().ok()?;
        Some(Self { identity: Identity { pid, began }, session, is_dead })
    }

    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// A descriptor of this process; `None` if it has ended, or the number is another's.
pub(super) fn open(identity: Identity) -> Option<OwnedFd> {
    let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Asked after the descriptor was opened, which keeps to one process.
    let stat = Stat::read(identity.pid)?;
    (stat.identity == identity && !stat.is_dead).then_some(fd)
}

/// The identity of a process that we started and that has not been waited for.
pub(super) fn identify(pid: u32) -> Option<Identity> {
    Stat::read(pid).map(|stat| stat.identity)
}

/// Kills what is left in the session of a process that has just ended. As long as something is left, its
/// number is given to nobody; a leader of that number that began at another time has a session of its own.
pub(super) fn sweep(leader: Identity) {
    sweep_those(leader, |_| true);
}

/// The same of one that ended while nobody watched. All of its session may have ended since, and its number
/// may have led a session of others, who live on without their leader: only what it marked is killed.
pub(super) fn sweep_marked(leader: Identity, mark: &Mark) {
    sweep_those(leader, |member| mark.is_on(member.pid));
}

/// By what a process is known that came from a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// In its environment, which what it starts inherits.
    pub(super) word: String,
    /// The user who owns nothing else.
    pub(super) user: Option<u32>,
}

impl Mark {
    fn is_on(&self, pid: u32) -> bool {
        let place = format!("/proc/{pid}");
        let owner = fs::metadata(&place).map(|found| found.uid()).ok();
        if owner.is_some() && owner == self.user {
            return true;
        }
        let environment = fs::read(format!("{place}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|word| word == self.word.as_bytes())
    }
}

fn sweep_those(leader: Identity, is_its: impl Fn(Identity) -> bool) {
    for _ in 0..SWEEPS {
        let mut left = members(leader);
        left.retain(|member| is_its(*member));
        if left.is_empty() {
            return;
        }
        for member in left {
            if let Some(fd) = open(member) {
                // It may have ended meanwhile.
                let _ = pidfd_send_signal(&fd, Signal::KILL);
            }
        }
    }
}

/// The living processes in its session, but for itself.
fn members(leader: Identity) -> Vec<Identity> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<Stat> = numbers.filter_map(Stat::read).collect();
    let is_another = |stat: &Stat| stat.identity.pid == leader.pid && stat.identity != leader;
    if all.iter().any(is_another) {
        return Vec::new();
    }
    let left =
        |stat: &&Stat| stat.session == leader.pid && stat.identity != leader && !stat.is_dead;
    all.iter().filter(left).map(|stat| stat.identity).collect()
}

/// What forks while it is looked for may be missed once.
const SWEEPS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given what the kernel says of processes, then number, session and beginning are read, whatever
    /// stands in the name; given less, nothing is.
    #[test]
    fn the_words_of_proc_are_understood() {
        let rest = "S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let stat = Stat::parse(&format!("42 (a ) b) {rest}")).unwrap();
        assert_eq!(stat.identity, Identity { pid: 42, began: 98765 });
        assert_eq!((stat.session, stat.is_dead), (42, false));
        assert!(Stat::parse(&format!("42 (a) {}", rest.replace('S', "Z"))).unwrap().is_dead);
        for bad in ["", "42", "42 (a", "42 (a) S 1 42", "x (a) S 1 1 1"] {
            assert_eq!(Stat::parse(bad), None, "{bad}");
        }
    }

    /// Given this process, then it is opened by its identity, and not by that of one that had its number
    /// before.
    #[test]
    fn a_number_alone_opens_nothing() {
        let me = identify(std::process::id()).unwrap();
        assert!(open(me).is_some());
        assert!(open(Identity { began: me.began - 1, ..me }).is_none());
    }
}
