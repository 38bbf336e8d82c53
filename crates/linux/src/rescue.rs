//! A way out for a real-time thread that is not let onto its processor.
//!
//! A kernel without preemption lets a system call run to its end, be it five
//! seconds long, as one that loads a big set into nftables may be. A real-time
//! thread that was to wake up on that processor waits for it: the scheduler
//! takes for granted that it goes first anyway, and looks for no other place.
//! So two threads look on, each bound to a processor of its own: one of them is
//! let on. Promises: where the watched thread has not woken up 5 ms after its
//! deadline, it is moved to a processor it was not on, and may run on all of them
//! again afterwards. Costs one timer that is set anew with each sleep. With a
//! single processor there is no way out, and nobody looks on.

use crate::clock::Timer;
use crate::realtime;
use rail_core::time::{Duration, Instant};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The watched thread's end.
#[derive(Debug)]
pub struct Rescue {
    timer: Timer,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_asleep: AtomicBool,
    moved: AtomicUsize,
    /// The processors of the watched thread. While one of us moves it, it has fewer: another that
    /// asked the kernel then would give it those for good.
    all: Mutex<CpuSet>,
}

impl Rescue {
    /// Watches the calling thread from now on, by threads of this priority. To be called before
    /// rights are given up.
    ///
    /// # Errors
    /// No thread or descriptor left; real-time scheduling is refused.
    pub fn start(priority: i32) -> std::io::Result<Self> {
        let timer = Timer::new()?;
        let watched = rustix::thread::gettid();
        let all = sched_getaffinity(None)?;
        let shared = Arc::new(Shared {
            is_asleep: AtomicBool::new(false),
            moved: AtomicUsize::new(0),
            all: Mutex::new(all),
        });
        let processors = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
        if all.count() > 1 {
            for processor in processors.take(WATCHERS) {
                let fires = timer.as_fd().try_clone_to_owned()?;
                let shared = Arc::clone(&shared);
                let (begun, begins) = sync_channel(1);
                thread::Builder::new().name("rail-rescue".into()).spawn(move || {
                    let ready = get_ready(processor, priority);
                    let is_ready = ready.is_ok();
                    if begun.send(ready).is_ok() && is_ready {
                        watch(watched, &fires, &shared);
                    }
                })?;
                begins.recv().map_err(std::io::Error::other)??;
            }
        }
        Ok(Self { timer, shared })
    }

    /// The watched thread goes to sleep, and wants to wake up at this moment.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn sleeps(&mut self, until: Option<Instant>) -> io::Result<()> {
        // First, for the timer may fire before we are on: who looks must not find us awake.
        self.shared.is_asleep.store(true, Ordering::Release);
        self.timer.set(until.map(|at| at + LATE))
    }

    /// It has woken up.
    pub fn woke(&self) {
        self.shared.is_asleep.store(false, Ordering::Release);
    }

    /// How often the thread was moved.
    pub fn moved(&self) -> usize {
        self.shared.moved.load(Ordering::Relaxed)
    }
}

/// Binds the thread to its processor and gives up the rights it has only for this.
fn get_ready(processor: usize, priority: i32) -> std::io::Result<()> {
    let mut own = CpuSet::new();
    own.set(processor);
    sched_setaffinity(None, &own)?;
    realtime::enter(priority)?;
    realtime::keep_right_to_move()
}

fn watch(watched: Pid, fires: &OwnedFd, shared: &Shared) {
    loop {
        match poll(&mut [PollFd::new(fires, PollFlags::IN)], None) {
            Ok(_) | Err(io::Errno::INTR) => {}
            // None is expected; the loop goes on without us.
            Err(_) => return,
        }
        let mut count = [0; 8];
        // It may have been set anew meanwhile.
        if io::read(fires, &mut count).is_ok() && shared.is_asleep.load(Ordering::Acquire) {
            move_away(watched, shared);
        }
    }
}

/// Tries one processor after the other until the thread has woken up.
fn move_away(watched: Pid, shared: &Shared) {
    let all = shared.all.lock().unwrap_or_else(PoisonError::into_inner);
    let mut left = *all;
    while shared.is_asleep.load(Ordering::Acquire) {
        let Some(here) = processor_of(watched) else { break };
        left.unset(here);
        if left.count() == 0 || sched_setaffinity(Some(watched), &left).is_err() {
            break;
        }
        shared.moved.fetch_add(1, Ordering::Relaxed);
        for _ in 0..TRY_FOR.as_millis() {
            if !shared.is_asleep.load(Ordering::Acquire) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    // Refused only if the processors themselves went away; the thread has some.
    let _ = sched_setaffinity(Some(watched), &all);
}

/// Where the thread runs or waits to run (proc_pid_stat(5), field 39).
fn processor_of(thread: Pid) -> Option<usize> {
    let path = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let stat = fs::read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(36)?.parse().ok()
}

/// Later than this a thread that may go first is held up by something.
const LATE: Duration = Duration::from_millis(5);

/// One is held up with the watched thread, the other is not.
const WATCHERS: usize = 2;
/// How long a processor has to let it run.
const TRY_FOR: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a thread that has fewer processors, because another moves it, when it is moved, then it
    /// has all of them afterwards.
    #[test]
    fn it_gets_back_all_processors_it_had() {
        let all = sched_getaffinity(None).unwrap();
        if all.count() < 2 {
            return;
        }
        let me = rustix::thread::gettid();
        let shared = Shared {
            is_asleep: AtomicBool::new(false),
            moved: AtomicUsize::new(0),
            all: Mutex::new(all),
        };
        let mut one = CpuSet::new();
        one.set(processor_of(me).unwrap());
        sched_setaffinity(Some(me), &one).unwrap();
        move_away(me, &shared);
        assert!(sched_getaffinity(None).unwrap() == all);
    }

    /// Given a thread that says it sleeps and does not wake up at its deadline, when it is watched,
    /// then it is moved, and may run everywhere again afterwards; one in time is left alone.
    #[test]
    fn who_does_not_wake_up_is_moved() {
        let all = sched_getaffinity(None).unwrap();
        if all.count() < 2 {
            return;
        }
        let mut rescue = Rescue::start(1).unwrap();
        let me = rustix::thread::gettid();
        let before = processor_of(me).unwrap();
        rescue.sleeps(Some(crate::clock::now() + Duration::from_secs(3600))).unwrap();
        rescue.woke();
        assert_eq!(rescue.moved(), 0);
        // The kernel moves threads, too, but not one that has a single processor.
        let mut one = CpuSet::new();
        one.set(before);
        sched_setaffinity(Some(me), &one).unwrap();
        rescue.sleeps(Some(crate::clock::now())).unwrap();
        let begun = std::time::Instant::now();
        while rescue.moved() == 0 || processor_of(me) == Some(before) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it was not moved");
        }
        rescue.woke();
        while sched_getaffinity(None).unwrap() != all {
            thread::yield_now();
        }
    }
}
