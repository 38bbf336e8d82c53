//! How the daemon itself does: was the loop late, did the kernel's news get lost.
//!
//! Owns the figures of `self` in the status, and the warnings that come of them.
//! Promises: a trouble that goes on is an event once a minute, not once a pass.
//! Leaves out what to do about it: a late loop takes in all inputs before any
//! timer, and after an overrun everything is read again, both in silence.

use rail_core::notice::{DaemonNews, Notice};
use rail_core::status::{NetlinkStatus, SelfStatus};
use rail_core::time::{Duration, Instant};
use rail_linux::netlink;

/// The figures.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// When the loop began.
    begun: Instant,
    passes: u64,
    pass_worst: Duration,
    lag: Lag,
    late: Alarm,
    overrun: Alarm,
}

impl Vitals {
    /// The loop begins. What was due before has waited for the start, and not for the loop.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.begun = now;
    }

    /// The loop serves, at `now`, what was due at `deadline`.
    pub(super) fn served(&mut self, deadline: Instant, now: Instant) -> Option<Notice> {
        let lag = now.since(deadline.max(self.begun));
        self.lag.record(now, lag);
        if lag < LATE {
            return None;
        }
        let times = self.late.ring(now, 1)?;
        Some(Notice::Daemon(DaemonNews::Late { late_us: micros(lag), times }))
    }

    /// A pass is over.
    pub(super) fn passed(
        &mut self,
        begun: Instant,
        now: Instant,
        netlink: netlink::Counters,
    ) -> Option<Notice> {
        self.passes += 1;
        self.pass_worst = self.pass_worst.max(now.since(begun));
        let new = netlink.overruns.saturating_sub(self.overrun.count);
        let times = if new > 0 { self.overrun.ring(now, new)? } else { return None };
        Some(Notice::Daemon(DaemonNews::Overrun { times }))
    }

    /// What it knows for the status.
    pub(super) fn status(&self, now: Instant, netlink: netlink::Counters) -> SelfStatus {
        let (p99_us, max_us) = self.lag.window(now);
        SelfStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            passes: self.passes,
            lag_us: micros(self.lag.last),
            lag_p99_us: p99_us,
            lag_max_us: max_us,
            lag_worst_us: micros(self.lag.worst),
            late: self.late.count,
            late_ago_s: self.late.ago_s(now),
            pass_worst_us: micros(self.pass_worst),
            netlink: NetlinkStatus {
                messages: netlink.messages,
                overruns: netlink.overruns,
                overrun_ago_s: self.overrun.ago_s(now),
                foreign: netlink.forged,
                malformed: netlink.malformed,
            },
            ..SelfStatus::default()
        }
    }
}

/// Something that should not happen: how often it did, and when people heard of it.
#[derive(Debug, Default)]
struct Alarm {
    count: u64,
    last: Option<Instant>,
    reported: Option<Instant>,
    untold: u64,
}

impl Alarm {
    /// It happened so many times; the number to tell people, if it is time to.
    fn ring(&mut self, now: Instant, times: u64) -> Option<u64> {
        self.count += times;
        self.untold += times;
        self.last = Some(now);
        if self.reported.is_some_and(|at| now.since(at) < TELL_EVERY) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    fn ago_s(&self, now: Instant) -> Option<u64> {
        self.last.map(|at| now.since(at).as_secs())
    }
}

/// How late deadlines were served: a histogram of the last minute.
#[derive(Debug)]
struct Lag {
    slots: [Slot; SLOTS],
    last: Duration,
    worst: Duration,
}

/// Some seconds of it.
#[derive(Copy, Clone, Debug)]
struct Slot {
    /// Number of the slot since boot; tells a live one from a stale one.
    period: u64,
    counts: [u32; BUCKETS],
    max_us: u64,
}

impl Default for Lag {
    fn default() -> Self {
        let empty = Slot { period: 0, counts: [0; BUCKETS], max_us: 0 };
        Self { slots: [empty; SLOTS], last: Duration::ZERO, worst: Duration::ZERO }
    }
}

impl Lag {
    fn record(&mut self, now: Instant, lag: Duration) {
        self.last = lag;
        self.worst = self.worst.max(lag);
        let period = period(now);
        let slot = &mut self.slots[usize::try_from(period).unwrap_or(0) % SLOTS];
        if slot.period != period {
            *slot = Slot { period, counts: [0; BUCKETS], max_us: 0 };
        }
        slot.counts[bucket(micros(lag))] += 1;
        slot.max_us = slot.max_us.max(micros(lag));
    }

    /// The 99th percentile and the maximum of the last minute, in microseconds.
    fn window(&self, now: Instant) -> (u64, u64) {
        let oldest = period(now).saturating_sub(SLOTS as u64 - 1);
        let live = || self.slots.iter().filter(|slot| slot.period >= oldest);
        let max_us = live().map(|slot| slot.max_us).max().unwrap_or(0);
        let count = |index: usize| live().map(|slot| u64::from(slot.counts[index])).sum::<u64>();
        let total: u64 = (0..BUCKETS).map(count).sum();
        let mut left = (total * 99).div_ceil(100);
        for index in 0..BUCKETS {
            left = left.saturating_sub(count(index));
            if left == 0 {
                return (upper_bound(index).min(max_us), max_us);
            }
        }
        (max_us, max_us)
    }
}

fn period(now: Instant) -> u64 {
    now.as_nanos() / SLOT_NANOS
}

/// Four buckets for each doubling, so that a figure is right to a quarter.
fn bucket(us: u64) -> usize {
    let Some(bits) = us.checked_ilog2().filter(|bits| *bits >= 2) else {
        return usize::try_from(us).unwrap_or(0);
    };
    let quarter = (us >> (bits - 2)) & 3;
    let index = u64::from(bits - 1) * 4 + quarter;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest number of microseconds that [`bucket`] puts there.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < 4 { index } else { ((index % 4 + 5) << (index / 4 - 1)) - 1 }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// People should know of a loop that is this late: half of the shortest usual interval of probes.
const LATE: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_secs(60);
const SLOTS: usize = 12;
const SLOT_NANOS: u64 = 5_000_000_000;
/// Up to 16 s; what is later is counted there.
const BUCKETS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Given every number of microseconds near a border, then its bucket holds it, and the one
    /// before does not.
    #[test]
    fn buckets_have_no_gaps() {
        for us in (0..5000).chain((10..24).flat_map(|n| (1 << n) - 2..(1 << n) + 3)) {
            let index = bucket(us);
            assert!(us <= upper_bound(index), "{us} {index}");
            assert!(index == 0 || us > upper_bound(index - 1), "{us} {index}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    /// Given 990 wake-ups of 1 ms and 10 of 50 ms, then 99 of 100 were within about 1 ms and the
    /// latest was 50 ms; a minute later all that is forgotten.
    #[test]
    fn the_window_knows_percentile_and_maximum() {
        let mut vitals = Vitals::default();
        let start = Instant::from_nanos(1_000_000_000_000);
        for i in 0..1000 {
            let at = start + MS * (i * 10);
            let lag = if i % 100 == 7 { MS * 50 } else { MS };
            assert_eq!(vitals.served(at, at + lag), None);
        }
        let now = start + MS * 10_000;
        let status = vitals.status(now, netlink::Counters::default());
        assert!((1000..1250).contains(&status.lag_p99_us), "{status:?}");
        assert_eq!((status.lag_max_us, status.lag_us, status.late), (50_000, 1000, 0));
        let later = vitals.status(now + MS * 70_000, netlink::Counters::default());
        assert_eq!((later.lag_p99_us, later.lag_max_us), (0, 0));
        assert_eq!(later.lag_worst_us, 50_000);
    }

    /// Given work that was due during the start, when the loop begins after that, then only what it
    /// waits for the loop counts.
    #[test]
    fn the_start_is_no_delay_of_the_loop() {
        let mut vitals = Vitals::default();
        let due = Instant::from_nanos(1_000_000_000_000);
        vitals.begin(due + MS * 400);
        assert_eq!(vitals.served(due, due + MS * 401), None);
        assert_eq!(vitals.status(due + MS * 401, netlink::Counters::default()).lag_worst_us, 1000);
        assert!(vitals.served(due, due + MS * 600).is_some());
    }

    /// Given a loop that is late again and again, and lost notifications, then each is reported once
    /// a minute with the number of times since.
    #[test]
    fn what_goes_on_is_told_once_a_minute() {
        let mut vitals = Vitals::default();
        let start = Instant::from_nanos(1_000_000_000_000);
        let late = |vitals: &mut Vitals, at: Instant| vitals.served(at, at + MS * 200);
        let reported = |times| Some(Notice::Daemon(DaemonNews::Late { late_us: 200_000, times }));
        assert_eq!(late(&mut vitals, start), reported(1));
        for second in 1..60 {
            assert_eq!(late(&mut vitals, start + MS * 1000 * second), None);
        }
        assert_eq!(late(&mut vitals, start + MS * 60_000), reported(60));
        let lost = |overruns| netlink::Counters { overruns, ..netlink::Counters::default() };
        let at = start + MS * 60_000;
        assert_eq!(vitals.passed(at, at, lost(0)), None);
        assert_eq!(
            vitals.passed(at, at, lost(3)),
            Some(Notice::Daemon(DaemonNews::Overrun { times: 3 }))
        );
        assert_eq!(vitals.passed(at, at, lost(3)), None);
        let status = vitals.status(at + MS * 5000, lost(3));
        assert_eq!((status.late, status.late_ago_s), (61, Some(4)));
        assert_eq!((status.netlink.overruns, status.netlink.overrun_ago_s), (3, Some(5)));
    }
}
