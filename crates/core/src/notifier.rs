//! The process that tells people and the servers of names, `rail notifier`: when it is to run.
//!
//! It finds out by itself what it is to tell, and whom: it is a client of the control socket. So a change of
//! the configuration does not restart it, and its declaration is always the same.

use crate::child::Backoff;
use crate::config::Config;
use crate::io::{Child, ChildEvent, ChildId, DIRECTORY, KEPT, OnChange, Program, User};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Its life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notifier {
    backoff: Backoff,
}

impl Notifier {
    /// Takes note of what happened to it, after it had run for so long.
    pub(crate) fn take(&mut self, now: Instant, event: &ChildEvent, lived: Duration) {
        if let ChildEvent::Ended { was_asked: false, .. } = event {
            self.backoff.fail(now, lived);
        }
    }

    /// The declaration, if it is to run.
    pub(crate) fn child(&self, now: Instant, config: &Config) -> Option<Child> {
        (Self::is_used(config) && self.backoff.is_over(now)).then(declaration)
    }

    /// There is somebody to be told.
    pub(crate) fn is_used(config: &Config) -> bool {
        config.notify.is_used() || !config.ddns.is_empty()
    }

    /// True if it may be started now, and could not be a moment ago.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.backoff.end(now)
    }

    /// When it may be started again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.backoff.until()
    }
}

fn declaration() -> Child {
    let sockets = format!("{DIRECTORY}/../..");
    Child {
        id: ChildId::Notifier,
        run: 0,
        program: Program::Own,
        args: vec![
            "notifier".into(),
            "--runtime-dir".into(),
            sockets,
            "--state-dir".into(),
            format!("{KEPT}"),
        ],
        trial: Vec::new(),
        files: Vec::new(),
        // The socket and the files of passwords are root's. It gives up every capability itself.
        user: User::Root,
        capabilities: Vec::new(),
        is_resolver: false,
        needs: None,
        keeps_state: true,
        on_change: OnChange::Restart,
        grace: Duration::from_secs(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Exit;

    /// Given a process that ends again and again, then it is started again after longer and longer waits.
    #[test]
    fn a_loop_of_crashes_is_slow() {
        let mut config = crate::render::tests::config(&[(1, crate::config::Tier::Number(1))]);
        config.notify.command = vec!["/bin/true".into()];
        let at = |ms: u64| Instant::from_nanos(1_000_000 * ms);
        let mut notifier = Notifier::default();
        assert!(notifier.child(at(0), &config).is_some());
        let ended = ChildEvent::Ended { exit: Exit::Code(1), was_asked: false };
        notifier.take(at(1000), &ended, Duration::ZERO);
        assert_eq!(notifier.child(at(1249), &config), None);
        assert_eq!(notifier.deadline(), Some(at(1250)));
        assert!(notifier.is_due(at(1250)) && notifier.child(at(1250), &config).is_some());
        notifier.take(at(1300), &ended, Duration::ZERO);
        assert_eq!(notifier.deadline(), Some(at(1800)));
        config.notify.command.clear();
        assert_eq!(notifier.child(at(9000), &config), None);
    }
}
