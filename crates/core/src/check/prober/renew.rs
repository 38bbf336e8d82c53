//! What the checks of an uplink take over: from an earlier process, and through a new configuration.

use super::{Instant, Kind, Prober, Rounds, Settings, Verdict};
use crate::saved::Learnt;

impl Prober {
    /// What a later process is to know besides the verdict. What kind it is the uplink says.
    pub fn learnt(&self) -> Learnt {
        Learnt {
            suspect: self.is_suspect(),
            limited_rate: self.limiter.rate(),
            limited_kind: None,
            falls: self.past.falls(),
        }
    }

    /// Takes over what an earlier process had learnt.
    pub fn take_over(&mut self, now: Instant, learnt: &Learnt) {
        self.limiter.set_rate(now, learnt.limited_rate);
        self.past.take_over(now, learnt.falls, self.settings.damping.as_ref());
        self.take_over_loss();
        if learnt.suspect && matches!(self.verdict, Verdict::Up | Verdict::Degraded(_)) {
            self.silence.take_over_doubt(now, self.flight.newest() + 1);
        }
    }

    /// An uplink that fell by loss has to be better than one that stays.
    fn take_over_loss(&mut self) {
        if self.past.falls().by_loss && !self.verdict.is_usable() {
            self.evidence.begin_outage(true);
        }
    }

    /// Goes on with other settings. Whom it asks, and how, stays as it is.
    pub fn set_settings(&mut self, now: Instant, settings: Settings) {
        self.evidence.set_settings(&settings);
        self.silence.set_settings(&settings);
        self.settings = settings;
        if self.is_asked() {
            self.plan(now);
        }
    }

    /// Goes on where `old` stood, the checks of the same uplink that asked others or in another way. What
    /// it had asked is forgotten, and what was lost; what it found of the uplink stays.
    #[must_use]
    pub fn succeed(mut self, old: Self) -> Self {
        for (target, address) in self.targets.iter_mut().zip(&self.addresses) {
            let known = old.position(*address).and_then(|index| old.targets.get(index));
            if let Some(known) = known {
                target.clone_from(known);
            }
        }
        let is_same_kind =
            core::mem::discriminant::<Kind>(&self.kind) == core::mem::discriminant(&old.kind);
        if is_same_kind {
            self.limiter = old.limiter;
            self.limiter.cancel();
        }
        // The numbers go on: a doubt knows the probes that it began with by their numbers.
        self.flight = old.flight;
        self.flight.clear();
        self.next_run = self.flight.newest() + 1;
        self.rounds = Rounds::default();
        self.rounds.begin(&self.flight);
        self.silence = old.silence;
        self.silence.set_settings(&self.settings);
        (self.bloat, self.past, self.verdict) = (old.bloat, old.past, old.verdict);
        (self.last_sign, self.fell_silent) = (old.last_sign, old.fell_silent);
        self.heard_from = old.heard_from;
        (self.held_from, self.neighbour_failed) = (old.held_from, old.neighbour_failed);
        (self.shown_loss, self.refused) = (old.shown_loss, old.refused);
        self.was_degraded = old.was_degraded;
        self.take_over_loss();
        // With another number its packets bear another mark: whether these find their way is not known.
        if self.id == old.id {
            (self.running, self.proof) = (old.running, old.proof);
        }
        self
    }
}
