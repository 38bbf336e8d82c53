//! Memory and processor time of a daemon at rest: 3 uplinks, 3 targets, 5 probes a second.

use crate::stats::from_env;
use crate::world::World;
use rail_lab::{LabError, Rail};
use std::time::{Duration, Instant};

const MEMORY_LIMIT_KIB: u64 = 10 * 1024;
const CPU_LIMIT_PCT: f64 = 1.0;

/// Measures for some seconds.
pub(crate) fn run() -> Result<bool, LabError> {
    let seconds = from_env("BENCH_IDLE_S", 20);
    let world = World::new(3)?;
    let rail = Rail::run(&world.router, &world.config(3, |_| 1))?;
    rail.wait_all_up(Duration::from_secs(20))?;
    let gone = || LabError::Refused("the daemon has no process".into());
    let pid = rail.pid().ok_or_else(gone)?;
    let before = cpu_seconds(pid)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        std::thread::park_timeout(Duration::from_secs(seconds).saturating_sub(start.elapsed()));
    }
    let used = (cpu_seconds(pid)? - before) / start.elapsed().as_secs_f64() * 100.0;
    let memory = rail.resident_kib()?;
    let is_small = memory <= MEMORY_LIMIT_KIB;
    let is_calm = used <= CPU_LIMIT_PCT;
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    println!("at rest: 3 uplinks x 3 targets x 5 probes/s, {seconds} s");
    println!(
        "  resident memory {memory} KiB  target {MEMORY_LIMIT_KIB} KiB: {}",
        verdict(is_small)
    );
    println!(
        "  processor time {used:.2} % of a core  target {CPU_LIMIT_PCT} %: {}\n",
        verdict(is_calm)
    );
    Ok(is_small && is_calm)
}

fn cpu_seconds(pid: u32) -> Result<f64, LabError> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path);
    let stat = stat.map_err(|e| LabError::io(format!("read {path}"), e))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime are fields 14 and 15 of proc(5); 12 stand before the closing bracket's rest.
    Ok((ticks(11) + ticks(12)) / 100.0)
}
