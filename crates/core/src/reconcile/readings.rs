//! What was read, and whether to believe it: a dump can omit an entry without a flag, so what is
//! missing is looked for once more before anybody believes that it is gone.

use super::{DUMPED, Doubts, Reconciler};
use crate::io::Output;
use crate::state::{Observed, Scope};
use alloc::vec::Vec;

/// So many readings in a row may delay a change because each left something in doubt.
const MOST_LOOKS: u32 = 4;

/// What is known of the readings so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    /// What the last reading lacked for the first time.
    pub(super) doubts: Doubts,
    /// The kinds that are read again; until that is done nothing is changed.
    doubtful: Scope,
    /// How many readings in a row left something in doubt.
    looks: u32,
    /// A first full reading has come in.
    has_read: bool,
    /// And so has a second one of the kinds that it can have torn.
    pub(super) knows: bool,
}

impl Readings {
    /// True while a reading is under way that tells an absence from an omission. Where entries
    /// vanish without end it is not waited for: what is missing counts as there meanwhile.
    pub(super) const fn look_again(&self) -> bool {
        self.looks > 0 && self.looks <= MOST_LOOKS
    }
}

impl Reconciler {
    /// A first full reading has come in.
    pub(crate) const fn has_read(&self) -> bool {
        self.readings.has_read
    }

    /// The kernel state is known: decisions can be taken.
    pub(crate) const fn knows(&self) -> bool {
        self.readings.knows
    }

    /// Completes a reading by what it may have omitted, and asks for another look at that.
    pub(crate) fn complete(&mut self, scope: Scope, newer: &mut Observed, out: &mut Vec<Output>) {
        let readings = &mut self.readings;
        let mut again = readings.doubts.complete(scope, &self.observed, newer);
        if scope == Scope::ALL && !core::mem::replace(&mut readings.has_read, true) {
            // What the first reading omits is not known from before.
            again = DUMPED;
        }
        readings.doubtful = Scope(readings.doubtful.0 & !scope.0) | again;
        readings.looks = match (readings.doubtful.is_empty(), again.is_empty()) {
            (true, _) => 0,
            (false, true) => readings.looks,
            (false, false) => readings.looks + 1,
        };
        if !again.is_empty() {
            out.push(Output::Observe(again));
        }
        self.may_be_back = true;
    }

    /// Takes over a reading. Returns whether anything differs from before or was waited for.
    pub(crate) fn merge(&mut self, scope: Scope, newer: Observed) -> bool {
        let was_busy = self.engine.is_busy();
        let changed = self.observed.merge(scope, newer);
        self.engine.observed(scope);
        changed || was_busy
    }

    /// True once: the kernel state is known from now on.
    pub(crate) const fn begin_to_know(&mut self) -> bool {
        let readings = &mut self.readings;
        let is_first = !readings.knows && readings.has_read && !readings.look_again();
        readings.knows |= is_first;
        is_first
    }
}
