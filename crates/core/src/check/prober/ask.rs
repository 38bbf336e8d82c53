//! What is asked now, and whom.

use super::{Instant, Prober, Test};
use crate::check::kind::{Means, Question};
use crate::check::limiter::Demand;
use crate::check::pace::Mode;
use crate::check::settings::QUICK;
use crate::io::Binding;
use crate::net::Mac;
use crate::time::Duration;
use alloc::string::String;
use alloc::vec::Vec;

impl Prober {
    /// True if a question is due now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.is_asked() && now >= self.due()
    }

    /// Why the uplink cannot be asked in its way, if its device has this hardware address.
    pub fn lacks(&self, mac: Option<Mac>) -> Option<String> {
        let nobody = self.addresses.is_empty().then(|| "there is nobody to ask".into());
        nobody.or_else(|| self.kind.lacks(mac))
    }

    /// The question that is due now, if any, asked from a device with this hardware address.
    pub fn question(
        &mut self,
        now: Instant,
        (binding, mac): (Binding, Option<Mac>),
    ) -> Option<Question> {
        if !self.is_due(now) {
            return None;
        }
        self.note_pause(now);
        let demand = self.limiter.demand();
        let is_test = matches!(demand, Some(Demand::Test(_)));
        let target = self.next_target(demand.is_some())?;
        let id = self.flight.send(now, target, QUICK, is_test);
        if is_test {
            self.limiter.note_sent(id);
        }
        self.pace.sent(now, target);
        if let Some(target) = self.targets.get_mut(target) {
            target.quality.sent(now);
            target.probes.sent += 1;
        }
        self.plan(now);
        let means = Means { binding, mac, timeout: self.slowest(now).max(LEAST_TIMEOUT) };
        self.kind.question(id, (target, *self.addresses.get(target)?), &means)
    }

    /// Whose turn it is. A test that is about to tell asks those that could acquit the uplink; a target
    /// with a fault of its own is asked at rest only.
    fn next_target(&self, is_question: bool) -> Option<usize> {
        let all = 0..self.targets.len();
        let is_rest = self.pace.mode == Mode::Rest && self.past.degraded_since().is_none();
        let is_open = is_question || self.limiter.spacing().is_some() || !self.verdict.is_usable();
        // In a silence whoever answers is welcome, a target that was dead as well.
        if is_rest || is_open || self.pace.mode == Mode::Burst {
            return self.pace.turn(all);
        }
        let is_fair = |t: &usize| !self.evidence.is_odd(*t) && !self.evidence.is_ignored(*t);
        let fair: Vec<usize> = all.clone().filter(is_fair).collect();
        let view = self.view(self.pace.due());
        if matches!(self.pace.mode, Mode::Alert(_)) && view.is_leaning {
            let test = if view.is_lossy { Test::Down } else { Test::Degraded };
            let mut least = fair.clone();
            least.sort_by_key(|target| self.evidence.of_target(*target, test));
            least.truncate(self.settings.required);
            return self.pace.turn(least.into_iter()).or_else(|| self.pace.turn(all));
        }
        self.pace.turn(fair.into_iter()).or_else(|| self.pace.turn(all))
    }

    /// True if the gateway's hardware address should be asked for again: the uplink has just begun, a
    /// probe is due, and nothing was heard since.
    pub fn resolves(&mut self, now: Instant) -> bool {
        let due = self.due();
        let last_arrival = self.silence.last_arrival();
        let Some(running) = self.running.as_mut().filter(|running| !running.is_halted) else {
            return false;
        };
        let is_new = now.since(running.started) < RESOLVE_FOR
            && last_arrival.is_none_or(|at| at < running.started);
        let is_due = now >= due && running.resolved.is_none_or(|at| now.since(at) >= RESOLVE_PACE);
        if is_new && is_due {
            running.resolved = Some(now);
        }
        is_new && is_due
    }
}

/// A question that the shell works on waits at least so long, and longer where answers take longer. A
/// connection sends its first segment again after a second (RFC 6298 section 2), which would hide its
/// loss: so one question is one segment, like an echo.
const LEAST_TIMEOUT: Duration = Duration::from_millis(1000);

/// RFC 1122 section 2.3.2.1 recommends one ARP request per second and destination, and the kernel
/// keeps to that. An uplink that has just begun may have lost the first one, or the answer; it gets a
/// few more.
const RESOLVE_PACE: Duration = Duration::from_millis(100);
const RESOLVE_FOR: Duration = Duration::from_secs(1);
