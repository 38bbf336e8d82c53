//! By when the router must have found out, from the parameters of the verdict.

use super::{Class, Scene};
use rail_core::check::standby_factor;
use rail_core::config::CheckConfig;
use rail_core::status::Role;
use rail_core::time::{Duration, Instant};

impl Scene {
    /// From the last answer to the last new connection on an uplink that is in use, where another one
    /// answers: the next question, its time-out, two more at full pace and theirs, or the patience of
    /// a doubt; meanwhile another uplink is asked and answers.
    pub fn avoid_bound(&self, i: usize) -> Duration {
        let timeout = self.timeout(i);
        let burst = timeout * 2 + (timeout / 16).max(QUICK) * 3;
        let other = timeout * 2 + ALERT + self.longest_trip();
        // What delayed its answers once may have taught it.
        let has_learnt = self.lines[i].deaths > 1 || self.lines[i].blurred_at.is_some();
        let patience = if has_learnt { LEARNT } else { LEAST_WAIT };
        // A second silence right after the first is also one that the gap before it explains.
        let again = if self.lines[i].deaths > 1 { LEARNT } else { Duration::ZERO };
        self.check(i).interval + patience.max(burst).max(other) + again + SLACK + self.memory(i)
    }

    /// The time between two questions to an uplink that stands by and is well.
    pub fn standby(&self, i: usize) -> Duration {
        self.check(i).interval * standby_factor(self.config.uplinks[i].metered)
    }

    /// An uplink that is asked is down this long after its last answer. One that stands by is asked more
    /// seldom, one that was never judged is not asked more quickly.
    pub fn death_bound(&self, i: usize) -> Duration {
        let (check, timeout) = (self.check(i), self.timeout(i).max(UNKNOWN));
        let sure = (timeout + LEAST_WAIT + QUICK * 8).max(check.interval * check.fail_after);
        self.standby(i) + timeout + sure + SLACK + self.memory(i)
    }

    /// A step of the round trip has had its effect on an uplink after this, whatever it takes for.
    pub fn step_bound(&self, i: usize, rtt: Duration) -> Duration {
        let check = self.check(i);
        let is_in_use = self.lines[i].role == Role::Active;
        let pace = if is_in_use { check.interval } else { self.standby(i) };
        pace + check.interval * check.fail_after + rtt * 2 + SETTLED
    }

    /// A doubt ends this long after the last fault: a second after three answers, once the loss that was
    /// is forgotten and no question about a limiter is open.
    pub fn trust_bound(&self, i: usize) -> Duration {
        let asked = ALERT * 131 + self.timeout(i) * 3 + DWELL;
        asked + SLACK + self.memory(i)
    }

    /// The longest of them.
    pub fn longest_death(&self) -> Duration {
        (0..self.lines.len()).map(|i| self.death_bound(i)).max().unwrap_or_default()
    }

    /// An uplink without fault has shown after this that it answers: good rounds, and the evidence of a
    /// return; a round that had begun is lost, and the first answers may be late.
    pub fn rounds_bound(&self, i: usize) -> Duration {
        let check = self.check(i);
        let rounds = check.recover_after.max(rounds_for_return(check, self.lines[i].was_lossy));
        let targets = u32::try_from(check.targets.len()).unwrap_or(1);
        let limited = if self.lines[i].was_limited { LIMITED } else { QUICK };
        let round = check.interval.max(limited * targets);
        // One that was silent for long is asked once an interval until it answers.
        // Is it a limiter? That is asked where few answers are in after a while.
        let asks = check.interval * 8 >= FEW_ANSWERS * targets;
        let question = if asks { check.interval.max(UNKNOWN) * 14 } else { Duration::ZERO };
        round * (rounds + 3) + check.interval + UNKNOWN * 2 + question + self.memory(i)
    }

    /// True if an uplink without fault must be back.
    pub fn is_return_overdue(&self, i: usize) -> bool {
        let line = &self.lines[i];
        let again = if line.deaths > 1 { AGAIN } else { Duration::ZERO };
        let bound = self.rounds_bound(i) + self.check(i).stable_for + again;
        self.now > self.released(i) && self.excuses.is_overdue(self.now, line.since, bound)
    }

    /// When the last uplink must be back, if none has another fault.
    pub fn all_back(&self) -> Instant {
        let back = |i: usize| {
            let bound = self.rounds_bound(i) + self.check(i).stable_for;
            self.excuses.after(self.lines[i].since.max(self.now)).max(self.released(i)) + bound
        };
        (0..self.lines.len()).map(back).max().unwrap_or(self.now)
    }

    /// When a return is held back no more: its time is over, or what shows that the loss is.
    fn released(&self, i: usize) -> Instant {
        let line = &self.lines[i];
        let held = line.damping.held_until() + SLACK;
        if line.damping.is_by_loss() {
            held.min(line.since + self.check(i).interval * rounds_for_cure(self.check(i)) + CURE)
        } else {
            held
        }
    }

    /// True if it lost probes, or targets died, so that it may ask whether somebody limits them.
    pub fn may_ask_slowly(&self, i: usize) -> bool {
        let line = &self.lines[i];
        line.was_lossy || line.blurred_at.is_some_and(|at| self.now < at + BLURRED)
    }

    /// The time-out of a question to a target that answers steadily.
    fn timeout(&self, i: usize) -> Duration {
        let condition = &self.net.lines[i];
        let rtt = condition.rtt.max(condition.usual_rtt);
        (rtt * 3 / 2 + Duration::from_millis(10)).max(LEAST_TIMEOUT)
    }

    fn longest_trip(&self) -> Duration {
        self.net.lines.iter().map(|line| line.rtt * 3 / 2).max().unwrap_or_default()
    }

    /// What an uplink was before it died makes the router slower: a loss that it knows explains more
    /// silence, a limiter that it found lets it ask less, and so does a target that is dead.
    fn memory(&self, i: usize) -> Duration {
        let line = &self.lines[i];
        let is_blurred = line.blurred_at.is_some_and(|at| at + BLURRED > line.since);
        match (line.was_lossy, is_blurred || line.class == Class::Gray) {
            (true, _) => LOSSY,
            (false, true) => FADING,
            (false, false) => Duration::ZERO,
        }
    }
}

/// What an answer says in nats, of a loss of `bad` or `good`.
fn nats(bad: f64, good: f64) -> f64 {
    ((1.0 - good) / (1.0 - bad)).ln()
}

/// Good rounds until the evidence of a return is enough: 5 nats, summed over the targets that must
/// answer.
fn rounds_for_return(check: &CheckConfig, by_loss: bool) -> u32 {
    let down = f64::from(check.loss.down_pct) / 100.0;
    let (bad, good) = if by_loss { (0.9, 0.625) } else { (1.125, 0.75) };
    rounds(5.0, nats(bad * down, good * down), check.required)
}

/// The same for a loss that is over without any doubt: 10 nats.
fn rounds_for_cure(check: &CheckConfig) -> u32 {
    let pct = |pct: u8| f64::from(pct) / 100.0;
    let (degraded, recovered) = (pct(check.loss.degraded_pct), pct(check.loss.recovered_pct));
    rounds(10.0, nats(f64::midpoint(degraded, recovered), recovered), check.required)
}

fn rounds(wanted: f64, each: f64, required: usize) -> u32 {
    let required = u32::try_from(required).unwrap_or(1).max(1);
    (1..2000).find(|n| f64::from(n * required) * each >= wanted).unwrap_or(2000)
}

/// An uplink that has died before has more to prove.
const AGAIN: Duration = Duration::from_secs(40);
const QUICK: Duration = Duration::from_millis(16);
const ALERT: Duration = Duration::from_millis(50);
/// The least patience of a doubt, and the most that it learns.
const LEAST_WAIT: Duration = Duration::from_millis(150);
const LEARNT: Duration = Duration::from_millis(1000);
const DWELL: Duration = Duration::from_secs(1);
/// Eight answers in less time say that no limiter is there.
const FEW_ANSWERS: Duration = Duration::from_millis(3500);
const LEAST_TIMEOUT: Duration = Duration::from_millis(40);
/// The time-out of a target that has not answered yet.
const UNKNOWN: Duration = Duration::from_secs(1);
/// The pace behind a limiter that was found to allow less than it does.
const LIMITED: Duration = Duration::from_secs(2);
/// New round trips are usual by then.
const SETTLED: Duration = Duration::from_secs(4);
/// For the loop and the operations of a failover.
const SLACK: Duration = Duration::from_millis(100);
/// So long a fault that is over may have effects.
const BLURRED: Duration = Duration::from_secs(60);
const FADING: Duration = Duration::from_secs(4);
const LOSSY: Duration = Duration::from_secs(15);
const CURE: Duration = Duration::from_secs(20);
