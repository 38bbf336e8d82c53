//! From the decision to the verified kernel state, for 2, 10 and 100 uplinks.

use crate::stats::{from_env, spread};
use rail_lab::{LabError, Rail, Star, try_eventually};
use std::time::Duration;

/// The most that 10 uplinks may take, in milliseconds.
const LIMIT_MS: f64 = 5.0;

/// How long an uplink may take to be seen as it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Cuts and mends uplink 1; the daemon itself says how long each switch took.
pub(crate) fn run() -> Result<bool, LabError> {
    let rounds = from_env("BENCH_ROUNDS", 9);
    println!("switching: decided to verified, milliseconds, median (min to max)");
    let mut met = true;
    for lines in [2_u8, 10, 100] {
        let world = Star::build(lines)?;
        let rail = Rail::run(&world.router, &world.config(|_| 1))?;
        rail.wait_all_up(PATIENCE)?;
        let mut took = Vec::new();
        for _ in 0..rounds {
            let before = switches(&rail)?.len();
            world.server.sh("ip link set acc1 down")?;
            rail.wait_health("isp1", "no-carrier", PATIENCE)?;
            world.server.sh("ip link set acc1 up")?;
            rail.wait_health("isp1", "up", PATIENCE)?;
            let both = try_eventually(PATIENCE, "both switches in the events", || {
                let all = switches(&rail).unwrap_or_default();
                if all.len() >= before + 2 { Ok(all) } else { Err(all.len()) }
            })?;
            took.extend_from_slice(&both[both.len() - 2..]);
            // Else the third return would be held back.
            rail.forget_falls("isp1", PATIENCE)?;
        }
        let all = spread(&took);
        let is_met = lines != 10 || all.median <= LIMIT_MS;
        met &= is_met;
        let verdict = match (lines, is_met) {
            (10, true) => "  target 5 ms: met",
            (10, false) => "  target 5 ms: MISSED",
            _ => "",
        };
        println!(
            "  {lines:>3} uplinks  {:>7.2} ({:.2} to {:.2}){verdict}",
            all.median, all.min, all.max
        );
    }
    println!();
    Ok(met)
}

fn switches(rail: &Rail) -> Result<Vec<f64>, LabError> {
    let output = rail.ask(&["events", "--json"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let events =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(events
        .filter(|e| e["notice"]["event"] == "switched")
        .filter_map(|e| e["notice"]["took_us"].as_f64())
        .map(|us| us / 1000.0)
        .collect())
}
