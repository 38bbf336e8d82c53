//! A machine that stalls makes a measured time worthless; this module sees it.
//!
//! A test that measures time has a core to itself by agreement. Others may not know of the
//! agreement: another build, another virtual machine on the same processor. In each
//! quarter of a second the time that the core spent in programs is compared with the time
//! that our own processes spent; what is left over is foreign. Interrupts count for nobody,
//! for they forward our packets, too. For a test that has the whole machine, all cores count.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const WINDOW: Duration = Duration::from_millis(250);
/// So much foreign time in one window, and the test may have failed for it. Files count in
/// hundredths of a second, and processes that end between two readings are counted late.
const LIMIT: Duration = Duration::from_millis(75);

/// Watches one core, or all, for as long as the process lives.
#[derive(Clone, Debug)]
pub struct Witness {
    worst_us: Arc<AtomicUsize>,
}

impl Witness {
    /// Begins to watch what bears this label in proc_stat(5): `cpu1` for one core, `cpu` for all.
    pub fn start(label: String) -> Self {
        let worst_us = Arc::new(AtomicUsize::new(0));
        let shared = worst_us.clone();
        thread::spawn(move || {
            let mut before = sample(&label);
            loop {
                thread::sleep(WINDOW);
                let now = sample(&label);
                if let Some(foreign) = before.zip(now).and_then(|(before, now)| now.foreign(before))
                {
                    let us = usize::try_from(foreign.as_micros()).unwrap_or(usize::MAX);
                    shared.fetch_max(us, Ordering::Relaxed);
                }
                before = now;
            }
        });
        Self { worst_us }
    }

    /// The most foreign time in one window, if it was too much.
    pub fn stall(&self) -> Option<Duration> {
        let worst = Duration::from_micros(self.worst_us.load(Ordering::Relaxed) as u64);
        (worst > LIMIT).then_some(worst)
    }
}

/// Processor time so far.
#[derive(Clone, Copy)]
struct Sample {
    /// Of the core in programs, ours or not, and what the hypervisor gave to others.
    core: Duration,
    /// Of the processes of this process namespace and of their children that have ended.
    own: Duration,
}

impl Sample {
    /// Foreign time since `before`; `None` if the account of a process that ended was lost.
    fn foreign(&self, before: Self) -> Option<Duration> {
        let own = self.own.checked_sub(before.own)?;
        Some(self.core.checked_sub(before.core)?.saturating_sub(own))
    }
}

fn sample(label: &str) -> Option<Sample> {
    let own = own_ticks()?;
    let core = core_ticks(&fs::read_to_string("/proc/stat").ok()?, label)?;
    Some(Sample { core: ticks(core), own: ticks(own) })
}

/// The kernel tells user space hundredths of a second (USER_HZ), whatever its own tick.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}

/// user + nice + system + steal of the line with this label; proc_stat(5).
fn core_ticks(stat: &str, label: &str) -> Option<u64> {
    let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
    let (_, line) = lines.find(|(first, _)| *first == label)?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|f| f.parse().ok()).collect();
    Some(fields.first()? + fields.get(1)? + fields.get(2)? + fields.get(7)?)
}

fn own_ticks() -> Option<u64> {
    let entries = fs::read_dir("/proc").ok()?;
    let is_process = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
    let stats = entries.flatten().filter(|e| e.file_name().to_str().is_some_and(is_process));
    let ticks = stats.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        process_ticks(&stat)
    });
    Some(ticks.sum())
}

/// utime + stime + cutime + cstime; proc_pid_stat(5). The name may hold blanks and brackets.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().skip(11).take(4).filter_map(|f| f.parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        // given lines as the kernel writes them / when read / then interrupts are left out
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 400 5 6 7 8 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(core_ticks(stat, "cpu0"), Some(1 + 2 + 3 + 8));
        assert_eq!(core_ticks(stat, "cpu"), Some(9 * 4));
        assert_eq!(core_ticks(stat, "cpu7"), None);
        let process = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 1 0 99";
        assert_eq!(process_ticks(process), Some(127));
    }

    #[test]
    fn our_own_processes_are_counted() {
        // given this process / when it is counted / then the file system gave figures
        assert!(own_ticks().is_some() && sample("cpu0").is_some());
    }
}
