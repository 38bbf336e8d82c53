//! Interfaces come, go, and change under the running daemon: it follows them by name, uplinks
//! that are not concerned notice nothing, and nothing is left behind.
//!
//! Checks are quick here (20 ms, two good rounds), so that what is measured is how soon the
//! state is whole again and not how long `recover_after` makes an uplink wait.

use rail_lab::cable::{ASIDE, hardware_address};
use rail_lab::{
    ConfigText, Plan, Servers, Topology, World, eventually, figures, isolated, long, normal, timed,
    try_eventually,
};
use std::time::{Duration, Instant};

const CHECK: &str = "interval = \"20ms\"\ntimeout = \"100ms\"\nrecover_after = 2\n";
const PATIENCE: Duration = Duration::from_secs(20);
/// From the moment when all is whole again to the first state and all uplinks in use.
const RESTORED: Duration = Duration::from_secs(1);
/// How long a blip of the carrier lasts.
const BLIP: Duration = Duration::from_millis(100);
const HARDWARE: &str = "02:00:00:00:66:01";

/// What happens to an interface, and is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Churn {
    /// Deleted, and made again: another device of the same name.
    Replaced,
    /// Has another name for a while.
    Renamed,
    /// Two uplinks exchange their interfaces' names: each is on the wire of the other.
    NamesSwapped,
    /// Two uplinks exchange names and wires: each is on its own wire, with the other's device.
    DevicesSwapped,
    /// Has another hardware address for a while.
    Hardware,
    /// The carrier is lost for a tenth of a second.
    Blip,
    /// Set down and up by the administrator.
    AdminDown,
}

const ALL: [Churn; 7] = [
    Churn::Replaced,
    Churn::Renamed,
    Churn::NamesSwapped,
    Churn::DevicesSwapped,
    Churn::Hardware,
    Churn::Blip,
    Churn::AdminDown,
];

/// When the daemon had noticed the last disturbance, and when all was whole again.
struct Times {
    noticed: Instant,
    whole: Instant,
}

impl Churn {
    fn swaps(self) -> bool {
        matches!(self, Self::NamesSwapped | Self::DevicesSwapped)
    }

    /// True if a packet can leave by another uplink's device before the daemon can know: the
    /// kernel's routes follow the device, its rules the name.
    fn misleads(self) -> bool {
        self.swaps() || self == Self::Renamed
    }

    /// Disturbs uplink `a`, and `b` if two are swapped, and makes all whole again.
    fn run(self, world: &World, a: usize, b: usize) -> Times {
        let net = &world.topology;
        let (line, router) = (net.line(a), &net.router);
        let wan = line.interface();
        let noticed = |health: &str| health_of(world, a, health);
        match self {
            Self::Replaced => {
                let unplugged = net.unplug(a).unwrap();
                let noticed = noticed("absent");
                Times { noticed, whole: unplugged.plug_in().unwrap() }
            }
            Self::Renamed => {
                router.ip_batch(&format!("link set {wan} name {ASIDE}\n")).unwrap();
                let noticed = noticed("absent");
                let whole = Instant::now();
                router.ip_batch(&format!("link set {ASIDE} name {wan}\n")).unwrap();
                Times { noticed, whole }
            }
            Self::NamesSwapped => {
                net.swap_names(a, b).unwrap();
                let noticed = noticed("down").max(health_of(world, b, "down"));
                let whole = Instant::now();
                net.swap_names(a, b).unwrap();
                Times { noticed, whole }
            }
            Self::DevicesSwapped => {
                net.swap_names(a, b).unwrap();
                net.swap_cables(a, b).unwrap();
                restored(world, "swapped devices");
                // Back again, or the hardware addresses would not be the first ones.
                net.swap_names(a, b).unwrap();
                let whole = net.swap_cables(a, b).unwrap();
                Times { noticed: whole, whole }
            }
            Self::Hardware => {
                let old = hardware_address(router, &wan).unwrap();
                router.ip_batch(&format!("link set {wan} address {HARDWARE}\n")).unwrap();
                restored(world, "another hardware address");
                let whole = Instant::now();
                router.ip_batch(&format!("link set {wan} address {old}\n")).unwrap();
                Times { noticed: whole, whole }
            }
            Self::Blip => {
                let start = Instant::now();
                line.isp.ip_batch("link set acc down\n").unwrap();
                let noticed = noticed("no-carrier");
                std::thread::sleep(BLIP.saturating_sub(start.elapsed()));
                let whole = Instant::now();
                line.isp.ip_batch("link set acc up\n").unwrap();
                Times { noticed, whole }
            }
            Self::AdminDown => {
                router.ip_batch(&format!("link set {wan} down\n")).unwrap();
                let noticed = noticed("no-carrier");
                let whole = Instant::now();
                router.ip_batch(&format!("link set {wan} up\n")).unwrap();
                Times { noticed, whole }
            }
        }
    }
}

fn health_of(world: &World, number: usize, health: &str) -> Instant {
    world.rail.wait_health(&world.topology.line(number).name(), health, PATIENCE).unwrap()
}

/// Waits until all uplinks are up, the kernel has what is wanted, and each uplink carries
/// connections; returns when.
fn restored(world: &World, what: &str) -> Instant {
    let used = || {
        world.rail.wait_all_up(PATIENCE).map_err(|e| e.to_string())?;
        let report = world.connect(12).map_err(|e| e.to_string())?;
        let lines = report.by_source().len();
        if report.failed() == 0 && lines == world.topology.lines.len() {
            Ok(Instant::now())
        } else {
            Err(format!("{lines} lines used, {} failed", report.failed()))
        }
    };
    let restored = try_eventually(PATIENCE, what, used);
    restored.unwrap_or_else(|e| panic!("{e}\n{}", world.topology.router.sh("ip -4 addr").unwrap()))
}

/// Waits for the first state.
fn wait_for_state(world: &World, first: &str, what: &str) -> Instant {
    eventually(PATIENCE, what, || {
        let now = normal::state(&world.topology.router).unwrap();
        let difference = normal::difference(first, &now);
        if difference.is_empty() { Ok(Instant::now()) } else { Err(difference) }
    })
}

/// given flows and new connections on all uplinks / when an interface is disturbed and made whole
/// again / then all is as before, and uplinks that were not concerned lost nothing; gives the time
/// it took
fn one_cycle(world: &World, first: &str, churn: Churn, (a, b): (usize, usize)) -> Duration {
    let what = format!("{churn:?} of line {a}");
    // So many that each uplink has some.
    let flows = world.flows(20, 20);
    let connector = world.connector();
    let wrong = world.topology.wrong_sources().unwrap();
    world.wait_for(&connector, 10).unwrap();
    let times = churn.run(world, a, b);
    let used = restored(world, &what);
    let same = wait_for_state(world, first, &what);
    world.wait_for(&connector, 10).unwrap();
    let report = connector.stop().unwrap();
    let mut healthy = flows.stop().unwrap().of(world.topology.line(a).address(), false);
    if churn.swaps() {
        healthy = healthy.of(world.topology.line(b).address(), false);
    }
    let lost = (healthy.udp_lost(), healthy.broken(), healthy.mixed());
    assert_eq!(lost, (0, 0, 0), "{what}: UDP lost, broken, mixed of {}", healthy.flows.len());
    assert!(!healthy.flows.is_empty(), "{what}: no flow to judge");
    if !churn.misleads() {
        assert_eq!(world.topology.wrong_sources().unwrap(), wrong, "{what}: wrong sources");
    }
    if times.noticed < times.whole {
        let failed = report.failed_between(times.noticed, times.whole);
        assert_eq!(failed, 0, "{what}: connections by other lines, {:?}", report.reasons());
    }
    assert_eq!(report.failed_between(used, Instant::now()), 0, "{what}: {:?}", report.reasons());
    // Else the third return of each would be held back.
    world.forget_falls(PATIENCE).unwrap();
    used.max(same) - times.whole
}

#[test]
fn interfaces_that_change_are_followed() {
    timed(|| {
        let cycles = if long() { 1000 } else { 28 };
        // From here on memory and descriptors must not grow.
        let warm = cycles.min(200) / 2;
        let text = ConfigText { check: CHECK.into(), ..ConfigText::weights(&[1, 1, 1]) };
        let world = World::start(&Plan::new(3), &text).unwrap();
        // Where two cables change names, packets are on their way by the wrong one.
        world.topology.excuse_sources();
        world.forget_falls(PATIENCE).unwrap();
        let first = normal::state(&world.topology.router).unwrap();
        let mut took = vec![Vec::new(); ALL.len()];
        let mut before = None;
        for cycle in 0..cycles {
            let kind = cycle % ALL.len();
            let a = cycle / ALL.len() % 3 + 1;
            took[kind].push(one_cycle(&world, &first, ALL[kind], (a, a % 3 + 1)));
            if cycle == warm {
                before = Some((world.rail.resident_kib().unwrap(), descriptors(&world)));
            }
        }
        let (before, after) = (before.unwrap(), world.rail.resident_kib().unwrap());
        figures(&format!(
            "{cycles} cycles: {} KiB and {} descriptors after {warm}, {after} KiB at the end",
            before.0, before.1
        ));
        for (churn, took) in ALL.iter().zip(&mut took) {
            took.sort_unstable();
            let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
            figures(&format!("{churn:?}: restored in {median:?}, {worst:?} at worst"));
        }
        let mut took = took.concat();
        took.sort_unstable();
        let late = took.iter().filter(|took| **took > RESTORED).count();
        figures(&format!("{late} of {cycles} later than {RESTORED:?}"));
        // Few cycles on a busy machine are no measurement.
        let limit = RESTORED * if long() { 1 } else { 2 };
        assert!(took.iter().all(|took| *took <= limit), "{took:?}");
        eventually(PATIENCE, "as many descriptors as before", || match descriptors(&world) {
            now if now == before.1 => Ok(()),
            now => Err(format!("{now}, {} before", before.1)),
        });
        // The allocator keeps what it once had; a leak of 100 bytes a notice would be more.
        assert!(after <= before.0 + 1024, "{after} KiB, {} KiB before", before.0);
    });
}

/// Descriptors of the daemon when it is at rest: the smallest number of some looks.
fn descriptors(world: &World) -> usize {
    (0..10).map(|_| world.rail.descriptors().unwrap()).min().unwrap()
}

#[test]
fn an_interface_that_appears_later_is_taken_up() {
    isolated(|| {
        // given an uplink whose interface does not exist / when the daemon starts, and later the
        // interface appears / then the uplink is absent, the others carry all, and it joins them
        let topology = Topology::build(&Plan::new(3)).unwrap();
        let unplugged = topology.unplug(2).unwrap();
        let text = ConfigText { check: CHECK.into(), ..ConfigText::weights(&[1, 1, 1]) };
        let world = World::begin(topology, &text).unwrap();
        for (number, health) in [(1, "up"), (2, "absent"), (3, "up")] {
            health_of(&world, number, health);
        }
        let without = world.connect(100).unwrap();
        assert_eq!((without.failed(), without.by_source().len()), (0, 2));
        let whole = unplugged.plug_in().unwrap();
        let took = restored(&world, "the new interface") - whole;
        let with = world.connect(300).unwrap();
        let off = with.deviation(&world.sources(), &[1, 1, 1]);
        figures(&format!("in use {took:?} after it appeared, {off:.2} points off the weights"));
        assert_eq!(with.failed(), 0, "{:?}", with.reasons());
        assert!(off <= 3.0 && took <= PATIENCE, "{:?}", with.by_source());
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_gateway_that_waits_for_our_address_hears_it() {
    isolated(|| {
        // given a gateway whose ARP request was answered while that answer could not leave yet: we
        // know it, it does not know us / when the uplink begins / then it hears our address at once,
        // and not only when it or our kernel asks again, which here would be never
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let (line, router) = (topology.line(1), &topology.router);
        let gateway = hardware_address(&line.isp, "acc").unwrap();
        line.isp.ip_batch("neigh replace 100.64.1.2 dev acc nud incomplete\n").unwrap();
        router.sh("sysctl -qw net.ipv4.neigh.wan1.delay_first_probe_time=3600").unwrap();
        let known = format!("neigh replace 100.64.1.1 dev wan1 lladdr {gateway} nud stale\n");
        router.ip_batch(&known).unwrap();
        let world = World::begin(topology, &ConfigText::weights(&[1, 1])).unwrap();
        health_of(&world, 1, "up");
        health_of(&world, 2, "up");
        // Forwarding is switched on last.
        world.rail.wait_settled(PATIENCE).unwrap();
        assert_eq!(world.connect(100).unwrap().failed(), 0);
    });
}

#[test]
fn an_inside_interface_that_is_replaced_is_still_inside() {
    isolated(|| {
        // given a filtered inside / when its interface is replaced many times / then each time
        // the inside is served and closed as before, by the same rules, and no uplink noticed
        let cycles = if long() { 100 } else { 4 };
        let text = ConfigText { check: CHECK.into(), ..ConfigText::weights(&[1, 1, 1]) };
        let world = World::start(&Plan::new(3), &text).unwrap();
        let net = &world.topology;
        let _inside = Servers::tcp(&net.client, "0.0.0.0:80".parse().unwrap()).unwrap();
        let isp = &net.line(1).isp;
        isp.sh("ip route add 192.168.1.0/24 via 100.64.1.2").unwrap();
        let first = normal::state(&net.router).unwrap();
        let transitions = transitions(&world);
        for cycle in 0..cycles {
            net.unplug_inside().unwrap().plug_in().unwrap();
            restored(&world, "a new inside interface");
            wait_for_state(&world, &first, "a new inside interface");
            let closed = !isp.opens("192.168.1.10:80");
            let open = net.router.opens("192.168.1.10:80");
            assert!(closed && open, "cycle {cycle}: closed {closed}, open {open}");
        }
        figures(&format!("{cycles} inside interfaces replaced"));
        assert_eq!(self::transitions(&world), transitions);
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}

/// How often each uplink changed its health.
fn transitions(world: &World) -> Vec<String> {
    let names = world.topology.lines.iter().map(|line| line.name());
    names.map(|name| world.rail.uplink(&name, "transitions").unwrap()).collect()
}
