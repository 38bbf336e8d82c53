//! An uplink as a probe meets it: what becomes of a packet that is sent at this moment.
//!
//! The fate of a packet is a function of the uplink's seed, the moment, the direction and the target,
//! and of nothing else. So each rule meets the same packets, whatever its pace and whatever ran
//! before it. The one exception are limiters: what they let through depends on what was asked, so
//! each run has its own (`limiter`).

use super::chance::{between, exponential, fraction, log_between, mix};
use super::shape::{Bursts, Cycle, Place, Shape, Trouble};
use super::timeline::Timeline;
use crate::dice::Dice;
use rail_core::time::{Duration, Instant};

/// Targets that an uplink knows; a rule asks as many of them as its defaults say.
pub const TARGETS: usize = 6;
/// In the place of a target: where users connect to, and who speaks BFD with us. It is no target, so it
/// is never dead by itself, and what it is asked is no echo, so no limiter counts it.
pub const FAR_END: usize = TARGETS;
/// Rows with dead targets count these; most rules ask them alone.
const ASKED: usize = 4;

/// The direction of a packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the target.
    Forth,
    /// Back from it.
    Back,
}

/// An uplink with all that will happen to it.
#[derive(Clone, Debug)]
pub struct Uplink {
    shape: Shape,
    seed: u64,
    begin: Instant,
    /// Round trip without jitter and queues, for each target and the far end.
    base: [Duration; TARGETS + 1],
    gaps: Timeline,
    swells: Timeline,
    bursts: Timeline,
}

impl Uplink {
    /// Draws an uplink of this shape for the time from `begin` to `end`.
    pub fn new(shape: &Shape, seed: u64, (begin, end): (Instant, Instant)) -> Self {
        let mut dice = Dice::new(seed);
        let base = std::array::from_fn(|_| between(shape.rtt, fraction(dice.bits())));
        let mut uplink = Self {
            shape: shape.clone(),
            seed,
            begin,
            base,
            gaps: Timeline::default(),
            swells: Timeline::default(),
            bursts: Timeline::default(),
        };
        uplink.draw(&mut dice, (begin, end));
        uplink
    }

    fn draw(&mut self, dice: &mut Dice, (begin, end): (Instant, Instant)) {
        if let Some(gaps) = self.shape.gaps {
            let length = |f| log_between(gaps.length, f);
            self.gaps = if gaps.is_regular {
                Timeline::by_clock(dice, (begin, end), gaps.every, length)
            } else {
                let quiet = |f| exponential(gaps.every, f);
                Timeline::draw(dice, (begin, end), quiet, |f, _| (length(f), Duration::ZERO))
            };
        }
        if let Some(swell) = self.shape.swell {
            let quiet = |f| exponential(swell.every, f);
            self.swells = Timeline::draw(dice, (begin, end), quiet, |f, g| {
                let peak = between(swell.peak, g);
                // It fills for `ramp`, and drains as fast as the wire empties it.
                (swell.ramp + between(swell.lasts, f) + peak, peak)
            });
        }
        let fault = self.shape.fault.map(|fault| (fault.trouble, fault.at));
        let (bursts, from) = match fault {
            Some((Trouble::Bursts(bursts), at)) => (Some(bursts), at),
            _ => (self.shape.bursts, begin),
        };
        if let Some(Bursts { bad, good, .. }) = bursts {
            self.bursts = Timeline::draw(
                dice,
                (from, end),
                |f| exponential(good, f),
                |f, _| (exponential(bad, f), Duration::ZERO),
            );
        }
    }

    /// The shape it was drawn from.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What becomes of an echo to `target` that is sent now, without limiters: its round trip, or
    /// `None` where it or its answer is lost.
    pub fn exchange(&self, target: usize, sent: Instant) -> Option<Duration> {
        let forth = self.leg(Way::Forth, target, sent)?;
        let back = self.leg(Way::Back, target, sent + forth)?;
        Some(forth + back)
    }

    /// How long a packet that begins its way now takes; `None`: it is lost.
    pub fn leg(&self, way: Way, target: usize, start: Instant) -> Option<Duration> {
        let chance = mix(&[self.seed, start.as_nanos(), way as u64, target as u64]);
        let delay = self.delay(way, target, start, chance);
        // Gaps, queues and flapping are on the wire between us and the provider.
        let on_wire = if way == Way::Forth { start } else { start + delay };
        let is_lost = fraction(chance) < self.loss(on_wire)
            || self.is_interrupted(on_wire)
            || self.is_in_burst(way, start, chance)
            || self.is_dead(way, start, delay)
            || self.is_target_dead(target, start);
        (!is_lost).then_some(delay)
    }

    fn delay(&self, way: Way, target: usize, start: Instant, chance: u64) -> Duration {
        let half = self.base.get(target).copied().unwrap_or_default() / 2;
        let mut delay = half;
        if !self.shape.jitter.is_zero() {
            delay += exponential(self.shape.jitter / 2, fraction(mix(&[chance, 1])));
        }
        if way == Way::Forth {
            delay += self.queue(start);
        }
        delay
    }

    /// What waits before a packet that leaves now.
    fn queue(&self, at: Instant) -> Duration {
        let mut queue = Duration::ZERO;
        if let (Some(swell), Some(span)) = (self.shape.swell, self.swells.at(at)) {
            let (filled, left) = (at.since(span.start), span.end.since(at));
            let ramp = swell.ramp.as_secs_f64().max(1e-9);
            let rising = span.height.mul_f64((filled.as_secs_f64() / ramp).min(1.0));
            queue += rising.min(left);
        }
        if let Some(wave) = self.shape.wave {
            let round = wave.half * 2;
            let phase = at.since(self.begin).as_nanos() % round.as_nanos().max(1);
            let phase = phase as f64 / round.as_nanos().max(1) as f64;
            queue += match (wave.is_ramp, phase < 0.5) {
                (true, _) => wave.height.mul_f64(1.0 - (2.0 * phase - 1.0).abs()),
                (false, true) => Duration::ZERO,
                (false, false) => wave.height,
            };
        }
        queue
    }

    /// The chance that a packet on the wire now is lost by itself. The shape says it of an exchange.
    fn loss(&self, on_wire: Instant) -> f64 {
        let mut passes = 1.0 - self.shape.loss;
        if let Some(Trouble::Loss(loss)) = self.trouble(on_wire) {
            passes *= 1.0 - loss;
        }
        if passes == 1.0 { 0.0 } else { 1.0 - passes.sqrt() }
    }

    fn is_interrupted(&self, on_wire: Instant) -> bool {
        self.gaps.at(on_wire).is_some()
            || self.shape.flap.is_some_and(|flap| flap.is_off(on_wire.since(self.begin)))
    }

    /// Bursts hit what goes forth, so that the shape's loss is that of an exchange.
    fn is_in_burst(&self, way: Way, start: Instant, chance: u64) -> bool {
        let fault = match self.trouble(start) {
            Some(Trouble::Bursts(bursts)) => Some(bursts),
            _ => None,
        };
        let Some(bursts) = fault.or(self.shape.bursts).filter(|_| way == Way::Forth) else {
            return false;
        };
        let loss = if self.bursts.at(start).is_some() { bursts.loss_bad } else { bursts.loss_good };
        loss > 0.0 && fraction(mix(&[chance, 2])) < loss
    }

    /// True if it passes the dead place when that is dead already.
    fn is_dead(&self, way: Way, start: Instant, delay: Duration) -> bool {
        let Some(fault) = self.shape.fault else { return false };
        let Trouble::Dead(place) = fault.trouble else { return false };
        let (share, hit) = match place {
            Place::Gateway => (0.0, true),
            Place::SecondHop => (0.25, true),
            Place::FarEnd => (1.0, true),
            Place::Forth => (0.0, way == Way::Forth),
            Place::Back => (0.0, way == Way::Back),
        };
        let share = if way == Way::Forth { share } else { 1.0 - share };
        hit && start + delay.mul_f64(share) >= fault.at
    }

    fn is_target_dead(&self, target: usize, start: Instant) -> bool {
        let killed = match self.trouble(start) {
            Some(Trouble::TargetsDead(count)) => count,
            _ => 0,
        };
        let flaps = target < self.shape.flapping_targets.min(ASKED)
            && Cycle::TARGET.is_off(start.since(self.begin));
        target < self.shape.dead_targets.max(killed).min(ASKED) || flaps
    }

    fn trouble(&self, at: Instant) -> Option<Trouble> {
        self.shape.fault.filter(|fault| at >= fault.at).map(|fault| fault.trouble)
    }

    /// The next change of the carrier after this moment, and what it becomes; `None` where the
    /// carrier stays.
    pub fn carrier_change(&self, after: Instant) -> Option<(Instant, bool)> {
        let flap = self.shape.flap.filter(|flap| flap.is_carrier)?;
        let (left, is_up) = flap.next(after.since(self.begin));
        Some((after + left, is_up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdicts::shape::{Fault, Gaps};

    const MS: Duration = Duration::from_millis(1);
    const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);

    fn uplink(shape: &Shape) -> Uplink {
        Uplink::new(shape, 7, (BEGIN, BEGIN + MS * 3_600_000))
    }

    /// Given two runs that ask at other paces, when both ask at one moment, then they get one answer.
    #[test]
    fn the_fate_of_a_packet_is_that_of_its_moment() {
        let shape = Shape { jitter: MS * 5, loss: 0.3, ..Shape::steady(20) };
        let (one, other) = (uplink(&shape), uplink(&shape));
        for i in 0..500 {
            other.exchange(1, BEGIN + MS * i);
        }
        let ask = |uplink: &Uplink, i| uplink.exchange(2, BEGIN + MS * 100 * i);
        for i in 0..500 {
            assert_eq!(ask(&one, i), ask(&other, i));
        }
        let differ = (0..500).filter(|i| ask(&one, *i) != one.exchange(3, BEGIN + MS * 100 * *i));
        assert!(differ.count() > 400);
    }

    /// Given 30 % independent loss, then 30 % of the exchanges fail.
    #[test]
    fn loss_is_that_of_an_exchange() {
        let uplink = uplink(&Shape { loss: 0.3, ..Shape::steady(20) });
        let lost = (0..100_000).filter(|i| uplink.exchange(0, BEGIN + MS * *i).is_none()).count();
        assert!((29_000..31_000).contains(&lost), "{lost}");
    }

    /// Given bursts of 100 ms that take 30 % of the time, then so long are they in the mean, and so
    /// much is lost.
    #[test]
    fn bursts_have_their_mean_loss_and_length() {
        let bursts = Bursts::of(0.3, MS * 100);
        let uplink = uplink(&Shape { bursts: Some(bursts), ..Shape::steady(20) });
        let spans = uplink.bursts.spans();
        let total: Duration = spans.iter().map(|span| span.end.since(span.start)).sum();
        let mean = total / u32::try_from(spans.len()).unwrap();
        assert!((MS * 95..MS * 105).contains(&mean), "{mean:?}");
        let asked = 3_600_000 / 5;
        let lost = (0..asked).filter(|i| uplink.exchange(0, BEGIN + MS * 5 * *i).is_none()).count();
        let share = lost as f64 / f64::from(asked);
        assert!((0.28..0.32).contains(&share), "{share}");
    }

    /// Given a death on the way back, then what arrived before it counts, and later answers do not;
    /// given one on the way forth, then answers that are under way still arrive.
    #[test]
    fn a_death_takes_what_passes_its_place_later() {
        let dead = |place| {
            let fault = Fault { at: BEGIN + MS * 1000, trouble: Trouble::Dead(place) };
            uplink(&Shape { fault: Some(fault), ..Shape::steady(100) })
        };
        let alive = |place, ms| dead(place).exchange(0, BEGIN + MS * ms).is_some();
        assert!(alive(Place::Back, 899) && !alive(Place::Back, 900));
        assert!(alive(Place::Gateway, 899) && !alive(Place::Gateway, 900));
        assert!(alive(Place::Forth, 999) && !alive(Place::Forth, 1000));
        assert!(alive(Place::SecondHop, 912) && !alive(Place::SecondHop, 913));
        assert!(alive(Place::FarEnd, 949) && !alive(Place::FarEnd, 950));
    }

    /// Given gaps of half a second each ten, by the clock, then nothing passes for a twentieth of the
    /// time, and all passes between.
    #[test]
    fn nothing_passes_a_gap() {
        let gaps = Gaps { every: MS * 10_000, is_regular: true, length: (MS * 500, MS * 500) };
        let uplink = uplink(&Shape { gaps: Some(gaps), ..Shape::steady(0) });
        let lost = (0..20_000).filter(|i| uplink.exchange(0, BEGIN + MS * *i).is_none()).count();
        assert!((999..=1001).contains(&lost), "{lost}");
    }

    /// Given gaps of 0.3 to 2 s by chance, each two minutes, then so many and so long are they.
    #[test]
    fn gaps_have_their_length_and_number() {
        let gaps = Gaps { every: MS * 120_000, is_regular: false, length: (MS * 300, MS * 2000) };
        let shape = Shape { gaps: Some(gaps), ..Shape::steady(0) };
        let uplink = Uplink::new(&shape, 7, (BEGIN, BEGIN + MS * 1000 * 86_400));
        let lengths = || uplink.gaps.spans().iter().map(|span| span.end.since(span.start));
        let mean = lengths().sum::<Duration>() / u32::try_from(lengths().count()).unwrap();
        assert!((640..=790).contains(&lengths().count()), "{}", lengths().count());
        assert!((MS * 850..MS * 950).contains(&mean), "{mean:?}");
        assert!(lengths().all(|length| length >= MS * 300 && length <= MS * 2000));
    }
}
