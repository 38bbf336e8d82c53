//! The only place where `rail` reads a clock.
//!
//! Owns: `CLOCK_BOOTTIME` for every decision (it is monotonic and counts
//! suspend), the timer that wakes the loop at an absolute point of that clock,
//! and the wall clock for the eyes of people. Promises: a deadline in the past
//! fires at once. People's time is written in UTC; where this
//! machine is matters to quiet hours alone.

use rail_core::time::{Duration, Instant};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// The current point of the boot clock.
pub fn now() -> Instant {
    let t = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(NANOS).saturating_add(nanos))
}

/// The kernel's name of this boot, and so of its clock; empty where /proc does not tell.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().into()
}

/// The wall clock as RFC 3339 text in UTC with milliseconds.
pub fn wall() -> String {
    wall_in(Duration::ZERO)
}

/// What the wall clock will say then, if nobody sets it.
pub fn wall_in(time: Duration) -> String {
    let t = clock_gettime(ClockId::Realtime);
    let seconds = i64::try_from(time.as_secs()).unwrap_or(0);
    rfc3339(t.tv_sec.saturating_add(seconds), u32::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// Seconds since 1970; 0 before that.
pub fn wall_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

/// Minutes since midnight where this machine is.
#[expect(unsafe_code, reason = "time zones are in the C library")]
pub fn local_minute() -> u16 {
    let seconds = clock_gettime(ClockId::Realtime).tv_sec;
    let mut broken = std::mem::MaybeUninit::<libc::tm>::uninit();
    let seconds = seconds as _;
    // SAFETY: both pointers are good for the call; what it returns is `broken`, filled in, or null.
    let filled = unsafe { libc::localtime_r(&raw const seconds, broken.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: it was filled in.
    let broken = unsafe { broken.assume_init() };
    u16::try_from(broken.tm_hour * 60 + broken.tm_min).unwrap_or(0) % (24 * 60)
}

/// How long ago the wall clock said this, as seconds and nanoseconds. It can have been set in between,
/// so the answer is never negative and never more than a second.
pub fn age(seconds: i64, nanos: i64) -> Duration {
    let t = clock_gettime(ClockId::Realtime);
    let (now, then) = (nanos_of(t.tv_sec, t.tv_nsec), nanos_of(seconds, nanos));
    let passed = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    Duration::from_nanos(passed.min(NANOS))
}

fn nanos_of(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Waits; for the time before the loop and after it, never in it.
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// A timer that becomes readable at a point of the boot clock.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
    set: Option<Instant>,
}

impl Timer {
    /// Makes a timer that is not set.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { fd, set: None })
    }

    /// Sets the timer to `deadline`; `None` stops it. Costs nothing when it is set so already.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn set(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if deadline == self.set {
            return Ok(());
        }
        // Zero would stop the timer, so the moment of boot is the nanosecond after it.
        let nanos = deadline.map_or(0, |d| d.as_nanos().max(1));
        let it_value = Timespec {
            tv_sec: i64::try_from(nanos / NANOS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % NANOS).unwrap_or(0),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let new = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &new)?;
        self.set = deadline;
        Ok(())
    }

    /// Takes note that the timer fired, so that it is quiet until set again.
    pub fn clear(&mut self) {
        let mut count = [0; 8];
        if io::read(&self.fd, &mut count).is_ok() {
            self.set = None;
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Civil date from days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms"), then the time of day.
fn rfc3339(seconds: i64, millis: u32) -> String {
    let (days, day_seconds) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (day_seconds / 3600, day_seconds / 60 % 60, day_seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn dates_are_civil() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(rfc3339(1_798_761_599, 999), "2026-12-31T23:59:59.999Z");
    }

    #[test]
    fn an_age_is_never_negative_and_never_long() {
        let t = clock_gettime(ClockId::Realtime);
        assert_eq!(age(t.tv_sec + 60, 0), Duration::ZERO);
        assert_eq!(age(t.tv_sec - 60, 0), Duration::from_secs(1));
        assert_eq!(age(0, i64::MIN), Duration::from_secs(1));
        assert!(age(t.tv_sec, t.tv_nsec) < Duration::from_secs(1));
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once_and_clears() {
        let mut timer = Timer::new().unwrap();
        timer.set(Some(Instant::ZERO)).unwrap();
        let ready = |timer: &Timer| {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(timer, PollFlags::IN)], Some(&zero)).unwrap()
        };
        assert_eq!(ready(&timer), 1);
        timer.clear();
        assert_eq!(ready(&timer), 0);
        timer.set(Some(now() + Duration::from_secs(3600))).unwrap();
        assert_eq!(ready(&timer), 0);
    }
}
