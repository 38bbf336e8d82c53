//! Figures from what a rule said: how soon it saw a fault, what its users lost, how often it was wrong.

use super::run::{Log, State};
use super::uplink::{FAR_END, Uplink};
use rail_core::time::{Duration, Instant};

/// When a rule saw a fault.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Detection {
    /// It said so before: on this uplink it is of no use.
    Before,
    /// So long after.
    After(Duration),
    /// Not while it was watched.
    Never,
}

/// When a rule said it first, seen from a fault at this moment.
pub fn detection(log: &Log, fault: Instant, says: impl Fn(State) -> bool) -> Detection {
    if says(log.state(fault)) {
        return Detection::Before;
    }
    let first = log.changes.iter().find(|change| change.at > fault && says(change.state));
    first.map_or(Detection::Never, |change| Detection::After(change.at.since(fault)))
}

/// Of the connections that begin in the minute after a fault, the share that fails, in per cent.
///
/// Twenty begin each second, evenly. There are two uplinks: while this one is not avoided, every
/// second connection takes it. One that does fails if its first exchange is lost (the user waits a
/// second or more for the next). The other uplink is healthy.
pub fn failed_pct(uplink: &Uplink, log: &Log, fault: Instant) -> f64 {
    let begins = |i: u32| fault + CONNECTION_PACE * i;
    // The pairs differ by half a pace, or all connections would meet the same phase of a rule.
    let fails = |i: &u32| {
        let at = begins(*i);
        i % 2 == 1 && !log.state(at).is_avoided && uplink.exchange(FAR_END, at).is_none()
    };
    let count = (0..CONNECTIONS).filter(fails).count();
    100.0 * count as f64 / f64::from(CONNECTIONS)
}

/// Connections in the first minute.
const CONNECTIONS: u32 = 1200;
const CONNECTION_PACE: Duration = Duration::from_millis(50);

/// What a rule did and said on an uplink without a fault.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct Steady {
    /// Times it said down, a day.
    pub downs: f64,
    /// Times it avoided the uplink, a day.
    pub avoidances: f64,
    /// Per cent of the time in which it avoided the uplink.
    pub avoided_pct: f64,
    /// Per cent of the time in which it said down.
    pub down_pct: f64,
    /// Echoes a second.
    pub probes_per_s: f64,
}

/// Sums up what a rule said between two moments.
pub fn steady(log: &Log, (begin, end): (Instant, Instant)) -> Steady {
    let seconds = end.since(begin).as_secs_f64();
    let days = seconds / 86_400.0;
    let (downs, down) = spells(log, end, |state| state.is_down);
    let (avoidances, avoided) = spells(log, end, |state| state.is_avoided);
    Steady {
        downs: downs as f64 / days,
        avoidances: avoidances as f64 / days,
        avoided_pct: 100.0 * avoided.as_secs_f64() / seconds,
        down_pct: 100.0 * down.as_secs_f64() / seconds,
        probes_per_s: log.probes as f64 / seconds,
    }
}

/// How often it began to say so, and for how long it did.
fn spells(log: &Log, end: Instant, says: impl Fn(State) -> bool) -> (usize, Duration) {
    let (mut count, mut total, mut since) = (0, Duration::ZERO, None);
    for change in &log.changes {
        match (since, says(change.state)) {
            (None, true) => {
                count += 1;
                since = Some(change.at);
            }
            (Some(at), false) => {
                total += change.at.since(at);
                since = None;
            }
            _ => {}
        }
    }
    (count, total + since.map_or(Duration::ZERO, |at| end.since(at)))
}

/// Gigabytes a month: echo and answer, 36 bytes each, 30 days.
pub fn gigabytes_a_month(probes_per_s: f64) -> f64 {
    probes_per_s * 2.0 * 36.0 * 86_400.0 * 30.0 / 1e9
}

/// Median and 99th percentile of times to a verdict; `None` where that many never came.
///
/// Rules that had said so before take no part; where most had, the answer is the error.
///
/// # Errors
/// [`Detection::Before`] in most trials.
pub fn percentiles(trials: &[Detection]) -> Result<[Option<Duration>; 2], Useless> {
    let mut times: Vec<Option<Duration>> = Vec::new();
    for trial in trials {
        match trial {
            Detection::Before => {}
            Detection::After(took) => times.push(Some(*took)),
            Detection::Never => times.push(None),
        }
    }
    if times.len() * 2 < trials.len() || times.is_empty() {
        return Err(Useless);
    }
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    let at = |pct: usize| times[(times.len() * pct).div_ceil(100).max(1) - 1];
    Ok([at(50), at(99)])
}

/// The rule said it before anything had happened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Useless;

#[cfg(test)]
mod tests {
    use super::super::run::Change;
    use super::super::shape::{Fault, Place, Shape, Trouble};
    use super::*;

    const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn log(says: &[(u32, bool)]) -> Log {
        let change = |(at, is): &(u32, bool)| Change {
            at: BEGIN + SECOND * *at,
            state: State { is_avoided: *is, is_down: *is },
        };
        Log { probes: 0, changes: says.iter().map(change).collect() }
    }

    /// Given a dead uplink that is avoided after 6 s, then half of the connections of a tenth of the
    /// minute fail: 5 %.
    #[test]
    fn half_of_what_begins_before_the_verdict_fails() {
        let fault = Fault { at: BEGIN, trouble: Trouble::Dead(Place::Gateway) };
        let shape = Shape { fault: Some(fault), ..Shape::steady(20) };
        let uplink = Uplink::new(&shape, 1, (BEGIN, BEGIN + SECOND * 60));
        assert_eq!(failed_pct(&uplink, &log(&[(6, true)]), BEGIN), 5.0);
        assert_eq!(failed_pct(&uplink, &log(&[]), BEGIN), 50.0);
    }

    /// Given two spells of one and three seconds in an hour, then that is 48 a day and a ninth per cent.
    #[test]
    fn spells_are_counted_and_measured() {
        let log = log(&[(10, true), (11, false), (20, true), (23, false)]);
        let steady = steady(&log, (BEGIN, BEGIN + SECOND * 3600));
        assert_eq!((steady.downs, steady.avoidances), (48.0, 48.0));
        assert!((steady.down_pct - 100.0 * 4.0 / 3600.0).abs() < 1e-9);
    }

    /// Given a hundred trials of which ten never came to a verdict, then the median is that of all,
    /// and there is no 99th percentile.
    #[test]
    fn what_never_came_is_later_than_all_else() {
        let trial = |i: u32| if i < 90 { Detection::After(SECOND * i) } else { Detection::Never };
        let trials: Vec<_> = (0..100).map(trial).collect();
        assert_eq!(percentiles(&trials), Ok([Some(SECOND * 49), None]));
        assert_eq!(percentiles(&[Detection::Before; 3]), Err(Useless));
    }
}
