//! Good uplinks of four kinds, as they are over a day: what a rule must not call down.
//!
//! They are made, not recorded: no public recording of probes at ten or more a second over a day was
//! at hand. Each parameter is stated here; the figures of losses, gaps and buffers are those by which
//! the thresholds of `rail` were chosen, so that a rule is measured on the uplinks it was promised for.
//! Gaps come by chance, short ones more often than long ones ([`Gaps`]); losses are independent, and
//! half of the jitter is on each way.

use super::shape::{Gaps, Shape, Swell};
use rail_core::time::Duration;

/// DSL: 8 to 25 ms, 0.05 % loss, a resynchronisation of up to 0.5 s each 4 h, a buffer of 150 ms.
pub(super) fn dsl() -> Shape {
    Shape {
        rtt: (ms(8), ms(25)),
        jitter: ms(1),
        loss: 0.0005,
        gaps: Some(gaps(4 * HOUR, (ms(100), ms(500)))),
        swell: Some(swell(150)),
        ..Shape::default()
    }
}

/// Cable: 10 to 30 ms with the jitter of a shared upstream, 0.2 % loss, a gap of up to 0.8 s each 2 h,
/// a buffer of 250 ms.
pub(super) fn cable() -> Shape {
    Shape {
        rtt: (ms(10), ms(30)),
        jitter: ms(4),
        loss: 0.002,
        gaps: Some(gaps(2 * HOUR, (ms(100), ms(800)))),
        swell: Some(swell(250)),
        ..Shape::default()
    }
}

/// LTE: 35 to 60 ms with the jitter of its scheduler, 0.2 % loss, a handover of 0.3 to 2 s as often as
/// the user says, a buffer of 300 ms.
pub(super) fn lte(gap_every_s: u64) -> Shape {
    Shape {
        rtt: (ms(35), ms(60)),
        jitter: ms(12),
        loss: 0.002,
        gaps: Some(gaps(gap_every_s, (ms(300), ms(2000)))),
        swell: Some(swell(300)),
        ..Shape::default()
    }
}

/// A satellite in low orbit: 25 to 50 ms, 0.5 % loss, a new satellite each 15 s by the clock, which
/// costs 0.1 to 0.4 s.
pub(super) fn satellite() -> Shape {
    Shape {
        rtt: (ms(25), ms(50)),
        jitter: ms(8),
        loss: 0.005,
        gaps: Some(Gaps { is_regular: true, ..gaps(15, (ms(100), ms(400))) }),
        ..Shape::default()
    }
}

/// An uplink of 20 ms whose buffer swells to this, with some loss.
pub(super) fn swollen(most_ms: u64, loss: f64) -> Shape {
    Shape { jitter: ms(2), loss, swell: Some(swell(most_ms)), ..Shape::steady(20) }
}

/// Each quarter of an hour in the mean somebody fills the buffer for 5 s to 2 minutes: within a second
/// to between half and all of what it holds.
fn swell(most_ms: u64) -> Swell {
    Swell {
        every: Duration::from_secs(900),
        lasts: (Duration::from_secs(5), Duration::from_secs(120)),
        peak: (ms(most_ms / 2), ms(most_ms)),
        ramp: Duration::from_secs(1),
    }
}

fn gaps(every_s: u64, length: (Duration, Duration)) -> Gaps {
    Gaps { every: Duration::from_secs(every_s), is_regular: false, length }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const HOUR: u64 = 3600;
