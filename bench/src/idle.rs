//! Memory and processor time of a daemon at rest, with few uplinks and with many.

use crate::stats::from_env;
use crate::world::World;
use rail_lab::{LabError, Rail};
use std::time::{Duration, Instant};

const MEMORY_LIMIT_KIB: u64 = 10 * 1024;
/// Uplinks, and how much of a core they may take, in per cent. The first are those of a home, whose memory
/// counts.
const CPU_LIMITS: [(u8, f64); 2] = [(HOME, 0.5), (24, 2.0)];
const HOME: u8 = 3;

/// Measures for some seconds.
pub(crate) fn run() -> Result<bool, LabError> {
    let mut met = true;
    for (uplinks, limit) in CPU_LIMITS {
        met &= measure(uplinks, limit)?;
    }
    println!();
    Ok(met)
}

fn measure(uplinks: u8, limit: f64) -> Result<bool, LabError> {
    let seconds = from_env("BENCH_IDLE_S", 20);
    let world = World::new(uplinks)?;
    let rail = Rail::run(&world.router, &world.config(uplinks, |_| 1))?;
    rail.wait_all_up(Duration::from_secs(20))?;
    // The start is looked at closely.
    std::thread::park_timeout(Duration::from_secs(5));
    let gone = || LabError::Refused("the daemon has no process".into());
    let pid = rail.pid().ok_or_else(gone)?;
    let before = cpu_seconds(pid)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        std::thread::park_timeout(Duration::from_secs(seconds).saturating_sub(start.elapsed()));
    }
    let used = (cpu_seconds(pid)? - before) / start.elapsed().as_secs_f64() * 100.0;
    let memory = rail.resident_kib()?;
    let is_small = uplinks != HOME || memory <= MEMORY_LIMIT_KIB;
    let is_calm = used <= limit;
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!("at rest: {uplinks} uplinks with the default checks, {seconds} s");
    match uplinks {
        HOME => println!(
            "  resident memory {memory} KiB  target {MEMORY_LIMIT_KIB} KiB: {}",
            verdict(is_small)
        ),
        _ => println!("  resident memory {memory} KiB"),
    }
    println!("  processor time {used:.2} % of a core  target {limit} %: {}", verdict(is_calm));
    Ok(is_small && is_calm)
}

/// Processor time of all threads, to the nanosecond: the first number of their `schedstat` (proc(5)).
fn cpu_seconds(pid: u32) -> Result<f64, LabError> {
    let path = format!("/proc/{pid}/task");
    let failed = |e| LabError::io(format!("read {path}"), e);
    let mut nanos = 0.0;
    for thread in std::fs::read_dir(&path).map_err(failed)? {
        let text = std::fs::read_to_string(thread.map_err(failed)?.path().join("schedstat"));
        let text = text.map_err(failed)?;
        nanos += text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    }
    Ok(nanos / 1e9)
}
