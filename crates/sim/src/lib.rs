//! A world in virtual time, made from a seed, around the same core that runs on
//! real machines: a fake kernel, an internet, rivals, faults; and laws that must
//! hold at every moment.
//!
//! One seed is one run, byte for byte. A seed that breaks a law prints its last
//! moments, and is replayed with `cargo run -p rail-sim -- --seed N`. Leaves out
//! what the real kernel really does: the laboratory is for that.

mod act;
pub mod dice;
pub mod fault;
pub mod invariant;
mod keeper;
pub mod kernel;
mod lessor;
pub mod net;
mod node;
mod rival;
pub mod scenario;
pub mod scene;
mod trace;
pub mod verdicts;
mod world;

use dice::Dice;
use fault::{Fault, Mix};
use invariant::{Happening, Judged};
use rail_core::state::ACCEPT_REDIRECTS;
use rail_core::time::{Duration, Instant};
use scenario::Scenario;
use std::collections::BTreeMap;
pub use world::{Violation, World};

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The law that was broken.
    pub violation: Option<Violation>,
    /// Hash over everything that happened.
    pub hash: u64,
    /// The last moments.
    pub timeline: String,
    /// Faults by kind, in the order of [`Fault::ALL`].
    pub faults: [u64; Fault::ALL.len()],
    /// Virtual time that passed.
    pub virtual_time: Duration,
    /// Changes of the kernel by the router.
    pub ops: u64,
    /// For how long each law judged, and excused.
    pub judged: BTreeMap<&'static str, Judged>,
}

impl Outcome {
    /// The failure as text, with the command that replays it.
    pub fn report(&self) -> String {
        let Some(violation) = &self.violation else { return String::new() };
        format!(
            "{}seed {} broke the law `{}`: {}\nreplay: cargo run -p rail-sim -- --seed {}\n",
            self.timeline, self.seed, violation.law, violation.text, self.seed
        )
    }
}

/// Runs a seed: start, faults for as long as `faulty`, then none until everything must be well.
pub fn run(seed: u64, faulty: Duration) -> Outcome {
    run_keeping(seed, faulty, None, None)
}

/// The same, judged by one law alone, so that no other is broken before it.
pub fn run_by(law: &str, seed: u64, faulty: Duration) -> Outcome {
    run_keeping(seed, faulty, None, Some(law))
}

/// The same from a boot with the guard closed, and with a kernel that refuses some of the first
/// changes.
pub fn run_guarded(seed: u64, faulty: Duration, law: Option<&str>) -> Outcome {
    run_guarded_keeping(seed, faulty, None, law)
}

fn run_guarded_keeping(
    seed: u64,
    faulty: Duration,
    kept: Option<usize>,
    law: Option<&str>,
) -> Outcome {
    let mut dice = Dice::new(seed);
    let mut scenario = Scenario::draw(seed, &mut dice);
    scenario.kernel.close();
    let mut world = World::new(dice, scenario);
    world.judge_by(law, kept);
    world.inject(Fault::Refuse);
    run_faults(seed, faulty, world)
}

/// True for laws that have something to see only behind a closed guard, and where the filter is refused.
pub fn is_guarded(law: &str) -> bool {
    matches!(law, "guard" | "forwarding")
}

/// A seed as it is judged by this law alone, or by all, with the whole timeline kept.
pub fn replay(seed: u64, faulty: Duration, law: Option<&str>) -> Outcome {
    let run = if law.is_some_and(is_guarded) { run_guarded_keeping } else { run_keeping };
    run(seed, faulty, Some(usize::MAX), law)
}

fn run_keeping(seed: u64, faulty: Duration, kept: Option<usize>, law: Option<&str>) -> Outcome {
    let mut dice = Dice::new(seed);
    let mut scenario = Scenario::draw(seed, &mut dice);
    // Told by the seed, so that the others stay what they were.
    if seed % 8 == 5 {
        rival::occupy(&mut scenario.kernel, &scenario.config, 1);
    }
    let (extends, in_turn, extends_last) = (seed % 16 == 10, seed % 32 == 10, seed % 16 == 14);
    if extends || extends_last {
        scenario.stand_by();
    }
    if in_turn {
        scenario.stand_by_in_turn();
    }
    let mut world = World::new(dice, scenario);
    if in_turn || extends_last {
        world.trouble.hang_permille = 500;
    }
    world.stands_long = seed % 16 == 13;
    world.retiers = seed % 4 == 3;
    world.extends = extends;
    world.extends_last = extends_last;
    world.judge_by(law, kept);
    world.run_for(Duration::from_secs(2));
    run_faults(seed, faulty, world)
}

fn run_faults(seed: u64, faulty: Duration, mut world: World) -> Outcome {
    let begun = world.now();
    world.begin_faults();
    world.run_for(faulty);
    world.end_faults();
    world.wait_for_leases();
    world.run_for(world.patience());
    // What fell meanwhile takes its time as well.
    if world.scene.lines.iter().any(|line| !line.health.is_usable()) {
        world.run_for(world.patience());
    }
    world.finish();
    outcome(seed, &world, begun)
}

/// Runs a seed without any fault for as long as `quiet`; returns the number of changes after
/// the first minute.
pub fn run_quiet(seed: u64, quiet: Duration) -> (Outcome, u64) {
    let mut dice = Dice::new(seed);
    let mut scenario = Scenario::draw(seed, &mut dice);
    scenario.mix = Mix::none();
    let mut world = World::new(dice, scenario);
    let begun = world.now();
    world.run_for(Duration::from_secs(60));
    let before = world.ops;
    world.run_for(quiet);
    world.finish();
    let outcome = outcome(seed, &world, begun);
    let changes = outcome.ops - before;
    (outcome, changes)
}

/// Runs a seed without faults, then withdraws; returns what is left behind, as text.
pub fn run_withdrawal(seed: u64) -> (Outcome, Vec<String>) {
    let mut dice = Dice::new(seed);
    let mut scenario = Scenario::draw(seed, &mut dice);
    scenario.mix = Mix::none();
    // A hardened machine takes no redirects from the beginning.
    if seed.is_multiple_of(3) {
        scenario.kernel.sysctls.insert(ACCEPT_REDIRECTS.into(), "0".into());
    }
    let before = scenario.kernel.clone();
    if seed.is_multiple_of(2) {
        scenario.kernel.close();
    }
    let mut world = World::new(dice, scenario);
    let begun = world.now();
    world.run_for(Duration::from_secs(5));
    world.withdraw();
    world.run_for(Duration::from_secs(30));
    let mut left = world.left_behind(&before);
    if !world.is_done() {
        left.push("the withdrawal never ended".into());
    }
    (outcome(seed, &world, begun), left)
}

fn outcome(seed: u64, world: &World, begun: Instant) -> Outcome {
    Outcome {
        seed,
        violation: world.violation.clone(),
        hash: world.trace.hash(),
        timeline: world.trace.text(),
        faults: world.faults,
        virtual_time: world.now().since(begun),
        ops: world.ops,
        judged: world.judged(),
    }
}

impl World {
    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.scene.now
    }

    /// Runs this much longer.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// How long after the last fault everything must be well.
    fn patience(&self) -> Duration {
        self.scene.all_back().since(self.now()) + Duration::from_secs(8)
    }

    /// The last questions.
    fn finish(&mut self) {
        let now = self.now();
        if let Some(status) = self.node.router.as_ref().map(|router| router.status(now)) {
            self.judge(&Happening::Ended(&status));
        }
    }

    fn withdraw(&mut self) {
        self.scene.withdrawing = true;
        self.note("WITHDRAW".into());
        self.deliver(rail_core::Input::Withdraw);
    }

    /// What differs from the kernel before the first start.
    fn left_behind(&self, before: &kernel::Kernel) -> Vec<String> {
        let kernel = &self.scene.kernel;
        let mut left = Vec::new();
        let mut compare = |name: &str, same: bool| {
            if !same {
                left.push(name.to_string());
            }
        };
        compare("links", kernel.links == before.links);
        compare("addresses", kernel.addresses == before.addresses);
        compare("routes", kernel.routes == before.routes);
        compare("rules", kernel.rules == before.rules);
        compare("nft", kernel.nft == before.nft);
        compare("guard", kernel.guard == before.guard);
        compare("settings", kernel.sysctls == before.sysctls);
        left
    }
}
