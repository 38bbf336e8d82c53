//! Rules against an uplink that falls silent, at many phases.

use super::Kind;
use crate::verdicts::measure::{Detection, detection};
use crate::verdicts::run::Course;
use crate::verdicts::shape::{Cycle, Fault, Place, Shape, Trouble};
use crate::verdicts::uplink::Uplink;
use rail_core::time::{Duration, Instant};

pub(super) const MS: Duration = Duration::from_millis(1);
const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);

/// The shortest and longest time to `down` on an uplink of 20 ms that falls silent, at 200 phases.
pub(super) fn silent(kind: Kind) -> (Duration, Duration) {
    let at = BEGIN + MS * 140_000;
    let fault = Fault { at, trouble: Trouble::Dead(Place::Forth) };
    let shape = Shape { fault: Some(fault), ..Shape::steady(20) };
    let uplink = Uplink::new(&shape, 1, (BEGIN, at + kind.patience));
    let took = (0..200).map(|phase: u32| {
        let begin = BEGIN + MS * 317 * phase;
        let mut course = Course::new(&uplink, (kind.make)(begin, u64::from(phase)), begin);
        course.run_until(at + kind.patience);
        match detection(course.log(), at, |state| state.is_down) {
            Detection::After(took) => took,
            other => panic!("{}: {other:?}", kind.name),
        }
    });
    took.fold((Duration::MAX, Duration::ZERO), |(least, most), d| (least.min(d), most.max(d)))
}

/// How long after an outage of this length a rule says that the uplink is up again.
pub(super) fn returned(kind: Kind, outage: Duration) -> Duration {
    let flap = Cycle { on: Duration::from_secs(200), off: outage, is_carrier: false };
    let end = BEGIN + flap.on + flap.off;
    let uplink = Uplink::new(&Shape { flap: Some(flap), ..Shape::steady(20) }, 1, (BEGIN, end));
    let mut course = Course::new(&uplink, (kind.make)(BEGIN, 1), BEGIN);
    course.run_until(end + Duration::from_secs(150));
    let back = course.log().changes.iter().find(|change| change.at >= end && !change.state.is_down);
    back.expect("it returns").at.since(end)
}
