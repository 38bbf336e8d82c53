//! Chances and their logarithms in integers, so that every machine reckons the same.
//!
//! Evidence is counted in *nats*: the natural logarithm of a likelihood ratio. Independent pieces
//! of evidence add up, and 9.2 nats are a chance of error of one in ten thousand.

use core::iter::Sum;
use core::ops::{Add, Neg, Sub};

/// Evidence, in millionths of a nat.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Nats(i64);

impl Nats {
    /// No evidence.
    pub(super) const ZERO: Self = Self(0);

    /// So many hundredths of a nat.
    pub(super) const fn hundredths(n: i64) -> Self {
        Self(n * 10_000)
    }

    /// Whole nats.
    pub(super) const fn whole(n: i64) -> Self {
        Self(n * 1_000_000)
    }

    /// A piece of evidence that counts for less than a whole one.
    pub(super) fn weighed(self, weight: Share) -> Self {
        Self(self.0 * i64::from(weight.0) / i64::from(MILLION))
    }

    /// The sum, never below zero and never above `cap`: the step of a CUSUM.
    pub(super) fn step(self, by: Self, cap: Self) -> Self {
        (self + by).clamp(Self::ZERO, cap)
    }
}

impl Add for Nats {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self(self.0.saturating_add(o.0))
    }
}

impl Sub for Nats {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self(self.0.saturating_sub(o.0))
    }
}

impl Neg for Nats {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Nats {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// A share of one, in millionths: a chance, a loss, a weight.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Share(u32);

const MILLION: u32 = 1_000_000;

impl Share {
    /// None of it.
    pub(super) const ZERO: Self = Self(0);
    /// So many thousandths.
    pub(super) const fn permille(n: u32) -> Self {
        Self(n * 1000)
    }

    /// `part` of `whole`, at most one; zero of nothing.
    pub(super) fn of(part: u64, whole: u64) -> Self {
        let millionths = u128::from(part) * u128::from(MILLION);
        let share = millionths.checked_div(u128::from(whole)).unwrap_or(0);
        Self(u32::try_from(share).unwrap_or(MILLION).min(MILLION))
    }

    /// In thousandths.
    pub(super) fn as_permille(self) -> u64 {
        u64::from(self.0 / 1000)
    }

    /// What is missing to one.
    pub(super) const fn rest(self) -> Self {
        Self(MILLION.saturating_sub(self.0))
    }

    /// `num / den` of it, at most one.
    pub(super) fn scaled(self, num: u32, den: u32) -> Self {
        let scaled = u64::from(self.0) * u64::from(num) / u64::from(den.max(1));
        Self(u32::try_from(scaled).unwrap_or(MILLION).min(MILLION))
    }

    /// This share of another one.
    pub(super) fn times(self, o: Self) -> Self {
        self.scaled(o.0, MILLION)
    }

    /// An average that moves by `gain` to one (`true`) or to zero.
    pub(super) fn toward(self, one: bool, gain: Self) -> Self {
        if one {
            Self(self.0 + self.rest().times(gain).0)
        } else {
            Self(self.0 - self.times(gain).0)
        }
    }

    /// The natural logarithm; of zero that of a millionth.
    pub(super) fn ln(self) -> Nats {
        Nats(ln_micros(self.0) - LN_MILLION)
    }
}

const LN_MILLION: i64 = 13_815_511;
const LN_2_NANOS: i64 = 693_147_181;

/// The natural logarithm of a whole number, in millionths: the binary one bit by bit, by squaring.
fn ln_micros(x: u32) -> i64 {
    const BITS: u32 = 24;
    let x = x.max(1);
    let whole = 31 - x.leading_zeros();
    // Between 1 and 2, with 31 bits behind the point.
    let mut m = u64::from(x) << (31 - whole);
    let mut log = u64::from(whole);
    for _ in 0..BITS {
        m = (m * m) >> 31;
        log <<= 1;
        if m >= 1 << 32 {
            log |= 1;
            m >>= 1;
        }
    }
    let log = i64::try_from(log).unwrap_or(i64::MAX);
    (log * (LN_2_NANOS / 100) / 10) >> BITS
}

/// What one probe says for a loss of `a` and against one of `b`, in nats.
#[derive(Copy, Clone, Debug)]
pub(super) struct Step {
    /// When it was lost.
    lost: Nats,
    /// When it was answered.
    answered: Nats,
}

impl Step {
    /// Both chances are kept away from certainty.
    pub(super) fn new(a: Share, b: Share) -> Self {
        let (a, b) = (a.min(MOST_LOSS), b.min(MOST_LOSS));
        Self { lost: a.ln() - b.ln(), answered: a.rest().ln() - b.rest().ln() }
    }

    /// What this outcome says.
    pub(super) const fn of(&self, lost: bool) -> Nats {
        if lost { self.lost } else { self.answered }
    }
}

/// No uplink is taken to lose more than this: an answer must not be a miracle.
const MOST_LOSS: Share = Share::permille(970);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given chances whose logarithms are in every table, then they come out to five digits.
    #[test]
    fn logarithms_are_right() {
        for (permille, micros) in [(1000, 0), (500, -693_147), (30, -3_506_558), (75, -2_590_267)] {
            let Nats(ln) = Share::permille(permille).ln();
            assert!((ln - micros).abs() < 10, "ln({permille} ‰) is {ln}, not {micros}");
        }
    }

    /// Given eight probes that each a loss of 7.5 % could explain, then that is one in 10^9; seven are not.
    #[test]
    fn eight_probes_are_sure() {
        let Nats(one) = -Share::permille(75).ln();
        assert!(8 * one >= 20_700_000 && 7 * one < 20_700_000);
    }

    /// Given a step between two losses, then a lost probe speaks for the larger, an answer against it.
    #[test]
    fn a_step_leans_both_ways() {
        let step = Step::new(Share::permille(450), Share::permille(300));
        assert!((step.of(true).0 - 405_465).abs() < 10, "{step:?}");
        assert!((step.of(false).0 + 241_162).abs() < 10, "{step:?}");
    }
}
