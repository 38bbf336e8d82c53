//! How soon an uplink that loses much is avoided, what clients feel of it, and what the checks cost an
//! uplink at rest. What loss does in the long run stands in `soak.rs`.

use rail_lab::{ConfigText, Fault, Line, Plan, World, eventually, figures, long, timed};
use std::time::{Duration, Instant};

/// New connections that may fail, per cent, after so long.
const FAILED_PCT: usize = 2;
const AFTER: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// What loss does is chance: one run in ten may take longer, and one alone says little.
const RUNS: usize = 10;

/// What an uplink's loss cost, from the fault on.
#[derive(Debug)]
struct Cost {
    /// Until new connections avoided it.
    avoided: Duration,
    /// Until it was down, where that is waited for.
    down: Option<Duration>,
    /// Connections that failed after the first seconds, and all of that time.
    failed: usize,
    tried: usize,
}

impl Cost {
    fn is_small(&self, factor: usize) -> bool {
        self.failed * 100 <= self.tried * FAILED_PCT * factor
    }
}

#[test]
fn connections_avoid_thirty_per_cent_loss() {
    timed(|| {
        // given two uplinks / when one loses 30 % / then of the connections after five seconds at most
        // 2 % fail
        let costs = costs(30);
        let (good, wanted) = enough(&costs, |cost, factor| cost.is_small(factor));
        assert!(good >= wanted, "{costs:?}");
    });
}

#[test]
fn connections_avoid_eighty_per_cent_loss() {
    timed(|| {
        // given two uplinks / when one loses 80 % / then it is avoided within 1.5 s and down within 4 s,
        // and of the connections after five seconds at most 2 % fail
        let costs = costs(80);
        let (good, wanted) = enough(&costs, |cost, factor| {
            let most = |ms| Duration::from_millis(ms) * u32::try_from(factor).unwrap();
            cost.avoided <= most(1500)
                && cost.down.is_some_and(|down| down <= most(4000))
                && cost.is_small(factor)
        });
        assert!(good >= wanted, "{costs:?}");
    });
}

/// How many kept the limits, and how many have to. One run alone gets twice the limit.
fn enough(costs: &[Cost], is_kept: impl Fn(&Cost, usize) -> bool) -> (usize, usize) {
    let factor = if long() { 1 } else { 2 };
    let good = costs.iter().filter(|cost| is_kept(cost, factor)).count();
    (good, costs.len() - costs.len() / RUNS)
}

fn costs(percent: u8) -> Vec<Cost> {
    let runs = if long() { RUNS } else { 1 };
    let costs: Vec<Cost> = (0..runs).map(|run| lose(percent, run)).collect();
    for Cost { avoided, down, failed, tried } in &costs {
        let (avoided, down) = (avoided.as_millis(), down.map(|down| down.as_millis()));
        let down = down.map_or("not waited for".into(), |down| format!("after {down} ms"));
        figures(&format!(
            "{percent} % loss: avoided after {avoided} ms, down {down}, {failed} of {tried} connections \
             failed from 5 s on"
        ));
    }
    costs
}

/// One uplink of two loses so much, for fifteen seconds.
fn lose(percent: u8, run: usize) -> Cost {
    let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
    let connector = world.connector();
    // Another phase of the probes' interval in each run.
    world.wait_for(&connector, 100 + run * 7 % 20).unwrap();
    let injected = world.topology.inject(1, Fault::Loss(percent)).unwrap();
    let since = injected.since;
    let avoided = eventually(PATIENCE, "the uplink to be avoided", || {
        let role = world.rail.uplink("isp1", "role").map_err(|e| e.to_string())?;
        if role == "active" { Err(role) } else { Ok(since.elapsed()) }
    });
    let is_fatal = percent >= 80;
    let down = is_fatal.then(|| world.rail.wait_health("isp1", "down", PATIENCE).unwrap() - since);
    let (from, to) = (since + AFTER, since + AFTER * 3);
    eventually(PATIENCE, "enough connections", || {
        let left = to.saturating_duration_since(Instant::now());
        if left.is_zero() { Ok(()) } else { Err(format!("{left:?} left")) }
    });
    let report = connector.stop().unwrap();
    let tried = report.attempts.iter().filter(|a| a.at >= from && a.at < to).count();
    Cost { avoided, down, failed: report.failed_between(from, to), tried }
}

#[test]
fn an_uplink_at_rest_is_asked_rarely() {
    timed(|| {
        // given an uplink in use and a standby, both well / when nothing happens / then the first is
        // asked 4.5 times a second at most, and the standby once in two seconds
        let text = ConfigText { tiers: vec!["1", "2"], ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let lines = [net.line(1), net.line(2)];
        lines.into_iter().for_each(count_echoes);
        // The start is looked at closely.
        world.rail.watch_health("isp1", Duration::from_secs(3)).unwrap();
        let (start, before) = (Instant::now(), lines.map(echoes));
        let time = Duration::from_secs(if long() { 30 } else { 15 });
        let seen = ["isp1", "isp2"].map(|name| world.rail.uplink(name, "role").unwrap());
        world.rail.watch_health("isp1", time).unwrap();
        let (after, took) = (lines.map(echoes), start.elapsed().as_secs_f64());
        let [used, spare] = [0, 1].map(|line| (after[line] - before[line]) as f64 / took);
        figures(&format!(
            "{used:.2} echoes a second in use, {spare:.2} on a standby, in {took:.0} s"
        ));
        assert_eq!(seen, ["active", "standby"]);
        assert!(used > 0.0 && used <= 4.5, "{used}");
        assert!(spare > 0.0 && spare <= 0.5, "{spare}");
    });
}

/// The provider counts what the router asks, whoever is asked.
fn count_echoes(line: &Line) {
    let script = "table ip pace {\n counter echoes { }\n\
                  chain asked { type filter hook prerouting priority -300\n\
                  iifname acc icmp type echo-request counter name echoes\n }\n}\n";
    line.isp.nft(script).unwrap();
}

fn echoes(line: &Line) -> u64 {
    let text = line.isp.sh("nft list counter ip pace echoes").unwrap();
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).unwrap().parse().unwrap()
}
