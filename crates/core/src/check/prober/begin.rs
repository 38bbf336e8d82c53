//! When an uplink is asked, and what is left of its verdict when it is not.

use super::{Instant, Prober, Running, Verdict};
use crate::check::verdict::Cause;

impl Prober {
    /// Begins to ask: link, address and way are there. Goes on if it was halted; what was sent
    /// meanwhile is nobody's fault.
    pub fn start(&mut self, now: Instant) {
        match &mut self.running {
            Some(running) if !running.is_halted => return,
            Some(running) => {
                running.is_halted = false;
                self.flight.forget_open();
                self.pace.wake(now);
            }
            None => {
                self.running = Some(Running { started: now, resolved: None, is_halted: false });
                self.neighbour_failed = false;
                self.flight.clear();
                self.rounds.begin(&self.flight);
                self.next_run = self.flight.newest() + 1;
                self.pace.begin(now);
                self.targets.iter_mut().for_each(|target| target.quality.clear(now));
            }
        }
        self.silence.begin(now);
        self.quiet = super::Quiet::default();
    }

    /// Asks nothing and judges nothing until it is started again: its probes would not find their
    /// way, by our own doing.
    pub fn halt(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_halted = true;
        }
    }

    /// Stops asking, because its probes do not find their way. That says nothing of the uplink: one
    /// that was good is good again after its first good round, and one that was degraded is degraded.
    pub fn lose_way(&mut self) {
        self.cease();
        if self.verdict.is_usable() {
            self.was_degraded |= matches!(self.verdict, Verdict::Degraded(_));
            self.verdict = Verdict::Probing;
        }
    }

    /// Stops asking and forgets the verdict: nobody wants the uplink, or what was adopted says nothing
    /// of it any more.
    pub fn retire(&mut self) {
        self.cease();
        self.past.forget();
        self.was_degraded = false;
        self.verdict = Verdict::Probing;
    }

    /// Stops asking: link or address have gone. An uplink that had been judged is down until it
    /// has proved itself again, and held back like one that falls silent if that happens again and
    /// again.
    pub fn stop(&mut self, now: Instant) {
        self.cease();
        if !matches!(self.verdict, Verdict::Probing | Verdict::Down(_)) {
            self.past.fall(now, false, self.settings.damping.as_ref());
            self.verdict = Verdict::Down(Cause::Interrupted);
        }
    }

    /// Asks nothing any more, and forgets what was asked.
    fn cease(&mut self) {
        if self.running.take().is_some() {
            self.flight.clear();
            self.evidence.clear();
            self.evidence.begin_outage(false);
            self.limiter.cancel();
            self.limiter.schedule(Instant::ZERO, None);
            self.silence.settle();
            self.quiet = super::Quiet::default();
            self.comparing = None;
            self.held_from = None;
            self.past.interrupt();
        }
    }

    /// True while it asks.
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.running.is_some_and(|running| !running.is_halted)
    }
}
