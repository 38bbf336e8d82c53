//! The steps of the demonstration, what was injected, and what the client saw.

use rail_lab::{ConfigText, Connector, ConnectorReport, Fault, Injected, LabError, Plan, World};
use std::fmt::Write;
use std::time::{Duration, Instant};

const WEIGHTS: [u32; 3] = [3, 2, 1];
/// Connections that each step is watched for, one each 10 ms.
const WATCHED: usize = 300;

/// A step that is over.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) title: &'static str,
    injected: String,
    pub(super) from: Instant,
    to: Instant,
    bound: Bound,
}

/// What the client may suffer in a step.
#[derive(Copy, Clone, Debug)]
enum Bound {
    /// No connection fails.
    None,
    /// The last one that fails was begun at most this long after the fault.
    Until(Duration),
}

/// All steps, and every connection.
pub(super) struct Story {
    pub(super) steps: Vec<Step>,
    pub(super) report: ConnectorReport,
    pub(super) sources: Vec<std::net::Ipv4Addr>,
    wrong_sources: u64,
    deviation: f64,
}

/// What the client saw in one step.
struct Seen {
    connections: usize,
    failed: usize,
    last_failed: Duration,
    gap: Duration,
    held: bool,
}

struct Stage {
    world: World,
    connector: Connector,
    steps: Vec<Step>,
}

impl Stage {
    /// Does something to the network, watches, and tells.
    fn step<T>(
        &mut self,
        title: &'static str,
        injected: &str,
        bound: Bound,
        act: impl FnOnce(&mut World) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        println!("\n{}. {title}", self.steps.len() + 1);
        println!("   injected: {injected}");
        let from = Instant::now();
        let result = act(&mut self.world)?;
        let to = self.world.wait_for(&self.connector, WATCHED)?;
        self.steps.push(Step { title, injected: injected.into(), from, to, bound });
        for line in screen(&self.world) {
            println!("   | {line}");
        }
        Ok(result)
    }
}

/// Runs the whole story.
pub(super) fn run() -> Result<Story, LabError> {
    println!("rail demo: one client, one router (this program), three providers of weights 3:2:1");
    println!("everything happens in network namespaces; nothing of this machine is touched");
    let world = World::start(&Plan::new(3), &ConfigText::weights(&WEIGHTS))?;
    let connector = world.connector();
    let mut stage = Stage { world, connector, steps: Vec::new() };
    stage.step("All is well", "nothing", Bound::None, |_| Ok(()))?;
    let silent = stage.step(
        "A provider dies silently",
        "the second hop of isp1 drops everything; carrier and gateway stay",
        Bound::Until(Duration::from_secs(1)),
        |w| inject(w, 1, Fault::SecondHop),
    )?;
    let cut = stage.step(
        "A cable is cut",
        "isp2 loses its carrier, while isp1 is still dead",
        Bound::Until(Duration::from_millis(100)),
        |w| inject(w, 2, Fault::Carrier),
    )?;
    stage.step("Both return", "the provider works again, the cable is back", Bound::None, |w| {
        silent.repair()?;
        cut.repair()?;
        w.rail.wait_all_up(Duration::from_secs(20))
    })?;
    stage.step("The daemon is killed", "SIGKILL, and nobody to replace it", Bound::None, |w| {
        w.rail.kill().map(drop)
    })?;
    stage.step("The daemon starts again", "it adopts what it finds", Bound::None, |w| {
        w.rail.start()?;
        w.rail.wait_all_up(Duration::from_secs(20))
    })?;
    finish(stage)
}

fn inject(world: &World, uplink: usize, fault: Fault) -> Result<Injected, LabError> {
    world.topology.inject(uplink, fault)
}

fn finish(stage: Stage) -> Result<Story, LabError> {
    let Stage { world, connector, steps } = stage;
    let report = connector.stop()?;
    let sources = world.sources();
    let share = world.connect(1200)?;
    Ok(Story {
        steps,
        report,
        deviation: share.deviation(&sources, &WEIGHTS),
        wrong_sources: world.topology.wrong_sources()?,
        sources,
    })
}

/// The daemon's own screen, without its head line.
fn screen(world: &World) -> Vec<String> {
    let Ok(output) = world.rail.ask(&["status"]) else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|l| !l.trim().is_empty()).skip(1).take(5).map(String::from).collect()
}

impl Story {
    fn seen(&self, step: &Step) -> Seen {
        let inside = |at: Instant| at >= step.from && at < step.to;
        let attempts = || self.report.attempts.iter().filter(|a| inside(a.at));
        let failed = attempts().filter(|a| a.outcome.is_err()).count();
        let good: Vec<Instant> = attempts().filter(|a| a.outcome.is_ok()).map(|a| a.at).collect();
        let gap = good.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        let last_failed = self.report.last_failed_between(step.from, step.to);
        let held = match step.bound {
            Bound::None => failed == 0,
            Bound::Until(limit) => last_failed <= limit,
        };
        Seen { connections: attempts().count(), failed, last_failed, gap, held }
    }

    /// The closing table.
    pub(super) fn table(&self) -> String {
        let mut text = String::from(
            "what the client saw            connections  failed  last failed after  longest gap  bound\n",
        );
        for step in &self.steps {
            let seen = self.seen(step);
            let bound = match step.bound {
                Bound::None => "none fails".to_string(),
                Bound::Until(limit) => format!("over in {} ms", limit.as_millis()),
            };
            let verdict = if seen.held { "held" } else { "MISSED" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:<30} {:>11}  {:>6}  {:>14} ms  {:>8} ms  {bound}: {verdict}",
                step.title,
                seen.connections,
                seen.failed,
                seen.last_failed.as_millis(),
                seen.gap.as_millis(),
            );
        }
        let _ = writeln!(
            text,
            "share of 1200 new connections: at most {:.1} points off 3:2:1 (bound 3): {}",
            self.deviation,
            if self.deviation <= 3.0 { "held" } else { "MISSED" },
        );
        let _ = writeln!(
            text,
            "packets with the source of another uplink: {} (bound 0): {}",
            self.wrong_sources,
            if self.wrong_sources == 0 { "held" } else { "MISSED" },
        );
        text
    }

    /// True if every bound held.
    pub(super) fn all_held(&self) -> bool {
        let steps = self.steps.iter().all(|step| self.seen(step).held);
        steps && self.deviation <= 3.0 && self.wrong_sources == 0
    }

    /// What was injected in a step, for the picture.
    pub(super) fn caption(step: &Step) -> &str {
        &step.injected
    }
}
