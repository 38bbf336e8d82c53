//! What happens to an uplink and when, drawn once from a seed: gaps, bursts of loss, swelling buffers.

use super::chance::roll;
use crate::dice::Dice;
use rail_core::time::{Duration, Instant};

/// A stretch of time in which something is so.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) start: Instant,
    pub(super) end: Instant,
    /// How much of it, where that differs.
    pub(super) height: Duration,
}

/// Spans in the order of time; none overlaps another.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(Vec<Span>);

impl Timeline {
    /// Draws spans from `begin` to `end`. `quiet` gives the time before the next span, `span` its
    /// length and height; each gets a fraction to make it of.
    pub(super) fn draw(
        dice: &mut Dice,
        (begin, end): (Instant, Instant),
        quiet: impl Fn(f64) -> Duration,
        span: impl Fn(f64, f64) -> (Duration, Duration),
    ) -> Self {
        let mut spans = Vec::new();
        let mut at = begin;
        while at < end {
            let start = at + quiet(roll(dice));
            let (length, height) = span(roll(dice), roll(dice));
            at = start + length.max(Duration::from_nanos(1));
            spans.push(Span { start, end: at, height });
        }
        Self(spans)
    }

    /// Draws spans of these lengths that begin by the clock, each `every`; the first at any phase.
    pub(super) fn by_clock(
        dice: &mut Dice,
        (begin, end): (Instant, Instant),
        every: Duration,
        length: impl Fn(f64) -> Duration,
    ) -> Self {
        let mut spans = Vec::new();
        let mut start = begin + every.mul_f64(roll(dice));
        while start < end {
            let length = length(roll(dice)).min(every);
            spans.push(Span { start, end: start + length, height: Duration::ZERO });
            start = start + every;
        }
        Self(spans)
    }

    /// The span that this moment is in.
    pub(super) fn at(&self, at: Instant) -> Option<&Span> {
        let next = self.0.partition_point(|span| span.start <= at);
        self.0[..next].last().filter(|span| at < span.end)
    }

    /// All spans.
    #[cfg(test)]
    pub(super) fn spans(&self) -> &[Span] {
        &self.0
    }
}
