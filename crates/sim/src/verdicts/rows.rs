//! The rows of the tables: uplinks that break, and uplinks that do not.

use super::shape::{Bursts, Cycle, Fault, Gaps, Limit, Place, Shape, Trouble, Wave};
use super::traces::{cable, dsl, lte, satellite, swollen};
use rail_core::time::{Duration, Instant};

/// A row: an uplink, and for faults how long it is good before.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What breaks it.
    pub(super) trouble: Option<Trouble>,
    /// How long rules watch it before that, at least.
    pub(super) warm: Duration,
}

impl Row {
    /// The shape of the uplink when the fault comes at this moment.
    pub(super) fn shape(&self, at: Instant) -> Shape {
        let fault = self.trouble.map(|trouble| Fault { at, trouble });
        Shape { fault, ..self.shape.clone() }
    }
}

/// Uplinks that break.
pub(super) fn faults() -> Vec<Row> {
    let dead = Trouble::Dead;
    let fault = |name, trouble| fault(name, near(), trouble);
    let mut rows = vec![
        fault("dead at the gateway, RTT 1-20", dead(Place::Gateway)),
        fault("dead at the second hop", dead(Place::SecondHop)),
        fault("dead one way, forth", dead(Place::Forth)),
        fault("dead one way, back", dead(Place::Back)),
    ];
    for (name, rtt_ms) in [
        ("dead, RTT 100", 100),
        ("dead, RTT 200", 200),
        ("dead, RTT 300", 300),
        ("dead, RTT 600", 600),
        ("dead, RTT 800", 800),
    ] {
        rows.push(Row { shape: Shape::steady(rtt_ms), ..fault(name, dead(Place::FarEnd)) });
    }
    for (name, loss) in [
        ("loss 95 %", 0.95),
        ("loss 80 %", 0.80),
        ("loss 60 %", 0.60),
        ("loss 45 %", 0.45),
        ("loss 30 %", 0.30),
        ("loss 15 %", 0.15),
        ("loss 5 %", 0.05),
    ] {
        rows.push(fault(name, Trouble::Loss(loss)));
    }
    let bursts = |share, ms| Trouble::Bursts(Bursts::of(share, Duration::from_millis(ms)));
    rows.push(fault("30 % in bursts of 100 ms", bursts(0.3, 100)));
    rows.push(fault("30 % in bursts of 500 ms", bursts(0.3, 500)));
    rows.push(fault("3 of 4 targets die", Trouble::TargetsDead(3)));
    rows.extend(dead_behind(&dead(Place::FarEnd)));
    rows
}

/// Uplinks that were not simple before they died.
fn dead_behind(dead: &Trouble) -> Vec<Row> {
    let limit = |rate, burst| Some(Limit { rate, burst });
    let row = |name, shape| fault(name, shape, *dead);
    let learnt =
        Row { warm: Duration::from_secs(1800), ..row("dead, LTE for half an hour", lte(120)) };
    vec![
        row("dead, provider's limiter 8/s", Shape { provider_limit: limit(8.0, 8.0), ..near() }),
        row("dead, targets' limiters 1/s", Shape { target_limit: limit(1.0, 1.0), ..near() }),
        row("dead, saturated (buffer 300 ms)", Shape { wave: Some(full(300)), ..near() }),
        row("dead, 1 of 4 targets dead", Shape { dead_targets: 1, ..near() }),
        learnt,
    ]
}

/// Uplinks that do not break; a few deserve to be called down all the same.
pub(super) fn steady() -> Vec<Row> {
    let mut rows = vec![
        good("DSL", dsl()),
        good("cable", cable()),
        good("LTE, gap each 10 min", lte(600)),
        good("LTE, gap each 2 min", lte(120)),
        good("satellite, gap each 15 s", satellite()),
        good("RTT 600, 0.5 %", Shape { loss: 0.005, jitter: ms(10), ..Shape::steady(600) }),
        good("RTT 800, 0.5 %", Shape { loss: 0.005, jitter: ms(10), ..Shape::steady(800) }),
        good("buffer to 600 ms, 1 %", swollen(600, 0.01)),
        good("buffer to 1.5 s, 3 %", swollen(1500, 0.03)),
        good("RTT 20 / 900, each 4 s", Shape { wave: Some(step(4, 880)), ..Shape::steady(20) }),
        good("RTT 20 / 600, each 60 s", Shape { wave: Some(step(60, 580)), ..Shape::steady(20) }),
        good(
            "RTT 20 to 600 in 30 s, back",
            Shape { wave: Some(ramp(30, 580)), ..Shape::steady(20) },
        ),
        good("mobile, gap each 30 s", mobile()),
    ];
    for (name, rate) in [
        ("provider's limiter 1/s", 1.0),
        ("provider's limiter 2/s", 2.0),
        ("provider's limiter 4/s", 4.0),
        ("provider's limiter 8/s", 8.0),
        ("provider's limiter 10/s", 10.0),
    ] {
        let limit = Some(Limit { rate, burst: rate.max(2.0) });
        rows.push(good(name, Shape { provider_limit: limit, loss: 0.01, ..near() }));
    }
    for (name, rate) in [
        ("targets' limiters 1/s", 1.0),
        ("targets' limiters 2/s", 2.0),
        ("targets' limiters 4/s", 4.0),
        ("targets' limiters 10/s", 10.0),
    ] {
        let limit = Some(Limit { rate, burst: rate });
        rows.push(good(name, Shape { target_limit: limit, loss: 0.01, ..near() }));
    }
    rows.extend(broken());
    rows
}

/// What is broken in a way that lasts.
fn broken() -> Vec<Row> {
    let lossy = |loss| Shape { loss, ..near() };
    let half = Shape { dead_targets: 2, loss: 0.3, ..near() };
    let flap = |is_carrier| {
        let (on, off) = (Duration::from_secs(10), Duration::from_secs(5));
        Shape { flap: Some(Cycle { on, off, is_carrier }), ..near() }
    };
    vec![
        good("1 of 4 targets dead", Shape { dead_targets: 1, ..near() }),
        good("2 of 4 targets dead", Shape { dead_targets: 2, ..near() }),
        good("1 of 4 targets flaps", Shape { flapping_targets: 1, ..near() }),
        good("2 of 4 dead, 30 % on the rest", half),
        good("loss 5 %", lossy(0.05)),
        good("loss 30 %", lossy(0.30)),
        good("loss 35 %", lossy(0.35)),
        good("loss 38 %", lossy(0.38)),
        good("loss 45 %", lossy(0.45)),
        good("silent 5 of 15 s", flap(false)),
        good("carrier lost 5 of 15 s", flap(true)),
    ]
}

/// An uplink with targets from 1 to 20 ms away.
fn near() -> Shape {
    Shape { rtt: (ms(1), ms(20)), ..Shape::default() }
}

/// A phone in a train.
fn mobile() -> Shape {
    let gaps =
        Gaps { every: Duration::from_secs(30), is_regular: false, length: (ms(300), ms(2000)) };
    Shape {
        rtt: (ms(40), ms(80)),
        jitter: ms(15),
        loss: 0.01,
        gaps: Some(gaps),
        ..Shape::default()
    }
}

fn step(half_s: u64, height_ms: u64) -> Wave {
    Wave { half: Duration::from_secs(half_s), height: ms(height_ms), is_ramp: false }
}

fn ramp(half_s: u64, height_ms: u64) -> Wave {
    Wave { is_ramp: true, ..step(half_s, height_ms) }
}

/// A full buffer: it fills and drains a little each three seconds, as a transfer of TCP makes it.
fn full(most_ms: u64) -> Wave {
    Wave { half: Duration::from_millis(1500), height: ms(most_ms), is_ramp: true }
}

fn fault(name: &'static str, shape: Shape, trouble: Trouble) -> Row {
    Row { name, shape, trouble: Some(trouble), warm: Duration::from_secs(70) }
}

fn good(name: &'static str, shape: Shape) -> Row {
    Row { name, shape, trouble: None, warm: Duration::ZERO }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
