//! What is read again without a notification that it changed.

use super::Reconciler;
use crate::io::Output;
use crate::state::Scope;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// Settings send no notification; they are read this often.
const SETTINGS: Duration = Duration::from_millis(250);
/// Everything is read again this often, whatever the notifications said.
const EVERYTHING: Duration = Duration::from_secs(60);
/// What others set is read once more so long after a notification of it: the reading that this brought about may
/// lack just that, and there is nothing to miss it by (`doubts`).
const ONCE_MORE: Duration = Duration::from_secs(1);
/// While the routes of a large `main` change, one reading of them begins so often.
const MAIN_PAUSE: Duration = Duration::from_millis(100);

/// Of these a dump can lack what somebody else has just set.
const SET_BY_OTHERS: Scope = Scope::ADDRESSES.with(Scope::MAIN);

/// When what is read next.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls {
    next_settings: Instant,
    next_full: Instant,
    /// Not before this time is `main` read again, if it has many routes.
    next_main: Instant,
    /// It changed meanwhile.
    main_is_due: bool,
    /// What others set is read once more then.
    once_more: Option<Instant>,
}

impl Polls {
    pub(super) fn deadline(&self) -> impl Iterator<Item = Instant> {
        let main = self.main_is_due.then_some(self.next_main);
        [self.next_settings, self.next_full].into_iter().chain(main).chain(self.once_more)
    }

    fn note_full(&mut self, now: Instant) {
        self.next_full = now + EVERYTHING;
        self.next_settings = now + SETTINGS;
    }
}

impl Reconciler {
    /// Asks for a reading of everything.
    pub(crate) fn read_all(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.polls.note_full(now);
        out.push(Output::Observe(Scope::ALL));
    }

    /// Asks for what is due.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.polls.main_is_due && now >= self.polls.next_main {
            out.push(Output::Observe(self.without_early_main(now, Scope::MAIN)));
        }
        if self.polls.once_more.take_if(|at| now >= *at).is_some() {
            let scope = self.without_early_main(now, SET_BY_OTHERS);
            out.push(Output::Observe(scope));
        }
        if now >= self.polls.next_full {
            self.read_all(now, out);
        } else if now >= self.polls.next_settings {
            self.polls.next_settings = now + SETTINGS;
            out.push(Output::Observe(Scope::SYSCTLS));
        }
    }

    /// The kernel says that something in this scope changed.
    pub(crate) fn take_change(&mut self, now: Instant, scope: Scope, out: &mut Vec<Output>) {
        if scope.meets(SET_BY_OTHERS) {
            self.polls.once_more.get_or_insert(now + ONCE_MORE);
        }
        let scope = self.without_early_main(now, scope);
        if !scope.is_empty() {
            out.push(Output::Observe(scope));
        }
    }

    /// What is to be read now. `main` waits if it has many routes and was read a moment ago: each of
    /// its changes is heard of, and a reading of many takes some 15 ms of the loop.
    fn without_early_main(&mut self, now: Instant, scope: Scope) -> Scope {
        if !scope.has(Scope::MAIN) {
            return scope;
        }
        self.polls.main_is_due = now < self.polls.next_main;
        if self.polls.main_is_due {
            return Scope(scope.0 & !Scope::MAIN.0);
        }
        let pause = if self.observed.main.is_large() { MAIN_PAUSE } else { Duration::ZERO };
        self.polls.next_main = now + pause;
        scope
    }
}
