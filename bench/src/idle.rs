//! Memory and processor time of a daemon at rest, with few uplinks and with many, static and by DHCP.

use crate::memory;
use crate::stats::from_env;
use rail_lab::{LabError, Rail, Star};
use std::time::{Duration, Instant};

const MEMORY_LIMIT_KIB: u64 = 10 * 1024;
/// Uplinks, and how much of a core they may take, in per cent. The first are those of a home, whose memory
/// counts.
const CPU_LIMITS: [(u8, f64); 2] = [(HOME, 0.5), (24, 2.0)];
const HOME: u8 = 3;

/// Measures for some seconds.
pub(crate) fn run() -> Result<bool, LabError> {
    let mut met = true;
    for is_leased in [false, true] {
        for (uplinks, limit) in CPU_LIMITS {
            met &= measure(uplinks, is_leased, limit)?;
        }
    }
    println!();
    Ok(met & memory::run()?)
}

fn measure(uplinks: u8, is_leased: bool, limit: f64) -> Result<bool, LabError> {
    let rest = Duration::from_secs(from_env("BENCH_IDLE_S", 20));
    let star = Star::build(uplinks)?;
    let (_server, config) = match is_leased {
        true => (Some(star.lease()?), star.leased()),
        false => (None, star.config(|_| 1)),
    };
    let rail = Rail::run(&star.router, &config)?;
    rail.wait_all_up(Duration::from_secs(20))?;
    // The start is looked at closely.
    std::thread::sleep(Duration::from_secs(5));
    let (start, before) = (Instant::now(), rail.processor_time()?);
    std::thread::sleep(rest);
    let used = rail.processor_time()? - before;
    let used = used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    let memory = rail.resident_kib()?;
    let is_small = uplinks != HOME || memory <= MEMORY_LIMIT_KIB;
    let is_calm = used <= limit;
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    let kind = if is_leased { "by DHCP" } else { "static" };
    println!("at rest: {uplinks} uplinks, {kind}, with the default checks, {} s", rest.as_secs());
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
