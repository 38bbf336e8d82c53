//! A kernel that does anything, around the difference and the router.
//!
//! Laws: no panic; a delete is asked for only where something of ours was seen.

use crate::dice::Dice;
use rail_core::config::{
    Allow, BalanceBy, CheckConfig, CheckKind, Config, Degraded, Failback, FirewallConfig,
    FirewallMode, Fixed, Forward, Log, LogLevel, Nat, Network, NetworkKind, NoUplink, Notify,
    Performance, Protocol, Ranges, Reach, Router as RouterConfig, Stray, StrayCause, Tier,
    UplinkConfig, UplinkKind,
};
use rail_core::facts::{Facts, PerFamily, SystemFacts, UplinkFacts, Ways};
use rail_core::net::{Family, IfName, Mac, Prefix, UplinkId};
use rail_core::queues::{Carries, Cpu, PortQueues, ReceiveQueue, Topology};
use rail_core::state::{
    self, Identity, Key, Link, MainDefault, Memory, Neighbour, Nexthop, Observed, ObservedChain,
    ObservedFirewall, ObservedNftRule, ObservedRoute, ObservedRule, Op, OpError, Ownership,
    PROTOCOL, Plan, Refused, Resource, RouteKey, RouteValue, Rule, Scope, State,
};
use rail_core::status::Health;
use rail_core::time::{Duration, Instant};
use rail_core::{Answer, AskError, AskId, Asker, Peer, PortId};
use rail_core::{Input, Output, Router, Saved, render};
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Rounds of one run, and inputs of one round, at most.
const ROUNDS: usize = 64;

/// Desired and observed state at random: the difference between them.
pub fn diff(data: &[u8]) {
    let dice = &mut Dice::new(data);
    let config = config(dice);
    let unseen = Facts::unseen(&config, (1..).map(UplinkId)).uplinks;
    let uplinks = unseen.into_iter().map(|unseen| fact(dice, unseen)).collect();
    let networks = vec![dice.one_in(2).then_some(9)];
    let causes = [StrayCause::Device, StrayCause::Address, StrayCause::Network];
    let stray =
        Stray { ifname: ifname("eth", 7), uplink: 0, cause: causes[usize::from(dice.below(3))] };
    let strays = if dice.one_in(4) { vec![stray] } else { Vec::new() };
    let one = || vec![Prefix::host(Ipv4Addr::LOCALHOST.into())];
    let refuses = |others, networks, is_whole| MainDefault::Refuses {
        others,
        refused: Refused { networks, is_whole },
    };
    let main = match dice.below(4) {
        0 => refuses(None, Vec::new(), false),
        1 => refuses(None, one(), true),
        2 => refuses(Some(one()), Vec::new(), true),
        _ => MainDefault::Passable,
    };
    let (loopback, all_wide) = (dice.one_in(2), dice.one_in(2));
    let masks = Arc::new(queues(dice).masks([(ifname("wan", 0), Carries::Ip)]));
    let copies = Vec::new();
    let system = SystemFacts { networks, strays, copies, main, loopback, all_wide, masks };
    let facts = Facts { uplinks, system };
    let desired = render::render(&config, &facts);
    let observed = observed(dice, &desired);
    let memory = Memory::default();
    let (plan, _) = state::diff(&desired, &observed, &memory);
    deletes_only_ours(&plan, &observed);
    let _ = state::foreign(&desired, &observed, config.ranges.rule_priorities);
    // What is ours and whole is left alone, whatever else is there.
    for step in &plan {
        let _ = state::describe(&step.op);
    }
}

fn deletes_only_ours(plan: &Plan, observed: &Observed) {
    for step in plan {
        match (&step.key, &step.op) {
            (Key::Link(ifname), Op::Drop) => {
                assert!(observed.links.get(ifname).is_some_and(|link| link.is_ours(*ifname)));
            }
            (Key::Route(key), Op::Drop) => {
                assert_eq!(observed.routes.get(key).map(|route| route.protocol), Some(PROTOCOL));
            }
            (Key::Rule(rule), Op::Drop) => {
                let ours =
                    |r: &ObservedRule| r.rule.as_ref() == Some(rule) && r.protocol == PROTOCOL;
                assert!(observed.rules.iter().any(ours), "{rule}");
            }
            (Key::Address { ifname, prefix }, Op::Drop) => {
                let owner = observed.addresses.get(&(*ifname, *prefix));
                assert_eq!(owner, Some(&Ownership::Ours));
            }
            _ => {}
        }
    }
}

/// A router that is told anything at any time.
pub fn router(data: &[u8]) {
    let dice = &mut Dice::new(data);
    let mut now = Instant::from_nanos(u64::from(dice.byte()) << 30);
    let mut router = Router::new(config(dice), saved(dice), "boot".to_owned(), [7; 16]);
    let mut out = Vec::new();
    router.start(now, &mut out);
    for _ in 0..ROUNDS {
        let mut inputs: Vec<Input> =
            out.drain(..).filter_map(|output| answer(dice, output)).collect();
        if let Some(extra) = event(dice) {
            inputs.push(extra);
        }
        for input in inputs {
            router.handle(now, input, &mut out);
        }
        router.wake(now, &mut out);
        let _ = router.status(now);
        let _ = router.preview(now);
        now = match router.deadline() {
            Some(deadline) if dice.one_in(2) => now.max(deadline),
            _ => now + Duration::from_millis(u64::from(dice.byte()) * 10),
        };
        if dice.is_over() {
            break;
        }
    }
}

/// What the shell says to an output: the truth, a lie, or nothing.
fn answer(dice: &mut Dice<'_>, output: Output) -> Option<Input> {
    match output {
        Output::Observe(scope) => {
            Some(Input::Observed(scope, Box::new(observed(dice, &State::new()))))
        }
        Output::Apply(plan) => {
            let step = plan.into_iter().next()?;
            Some(Input::Applied(step.key, result(dice)))
        }
        Output::Purge(purge) => {
            Some(Input::Purged { uplink: purge.uplink, result: result(dice).map(|()| 3) })
        }
        Output::Send { port, to, bytes } => {
            let mut bytes = match Echo::parse(&bytes) {
                Ok(echo) if !dice.one_in(4) => Echo { kind: EchoKind::Reply, ..echo }.emit(),
                _ => dice.take(40).to_vec(),
            };
            if dice.one_in(8) {
                bytes.truncate(usize::from(dice.below(16)));
            }
            Some(Input::Packet { port, from: to, age: Duration::ZERO, bytes })
        }
        _ => None,
    }
}

fn result(dice: &mut Dice<'_>) -> Result<(), OpError> {
    if dice.one_in(4) {
        return Err(OpError { errno: i32::from(dice.byte()), text: "no".to_owned() });
    }
    Ok(())
}

fn scope(dice: &mut Dice<'_>) -> Scope {
    let last = if dice.one_in(2) { Scope::QUEUES } else { Scope::NONE };
    Scope(u32::from(dice.byte())) | last
}

/// Something that nobody asked for.
fn event(dice: &mut Dice<'_>) -> Option<Input> {
    Some(match dice.below(10) {
        0 => Input::Changed(scope(dice)),
        1 => Input::Reload(Box::new(config(dice))),
        2 if dice.one_in(16) => Input::Withdraw,
        3 => Input::Observed(scope(dice), Box::new(observed(dice, &State::new()))),
        4 => Input::Applied(Key::Route(route_key(dice)), result(dice)),
        5 => Input::Purged { uplink: UplinkId(dice.byte()), result: Ok(1) },
        6 => Input::Packet {
            port: port(dice),
            from: peer(dice),
            age: Duration::from_millis(u64::from(dice.byte())),
            bytes: dice.take(40).to_vec(),
        },
        7 => {
            let asker = Asker::Probe(UplinkId(dice.below(5)), Family::V4);
            let rtt = Duration::from_millis(u64::from(dice.byte()));
            let outcome = match dice.below(3) {
                0 => Ok(Answer::Connected { rtt }),
                1 => Ok(Answer::Refused { rtt }),
                _ => Err(AskError::TimedOut),
            };
            Input::Answered(AskId { asker, n: u64::from(dice.byte()) }, outcome)
        }
        _ => return None,
    })
}

fn port(dice: &mut Dice<'_>) -> PortId {
    let uplink = UplinkId(dice.below(5));
    match dice.below(4) {
        0 => PortId::Arp(uplink),
        1 => PortId::Probe(uplink, Family::V6),
        _ => PortId::Probe(uplink, Family::V4),
    }
}

fn peer(dice: &mut Dice<'_>) -> Peer {
    match dice.below(8) {
        0 => Peer::Link(Mac([dice.byte(); 6])),
        n => Peer::Host(Ipv4Addr::new(192, 0, 2, n).into()),
    }
}

fn network(dice: &mut Dice<'_>) -> Network {
    let reach = match dice.below(3) {
        0 => Reach::All,
        n => Reach::Only { internet: n == 1, networks: Vec::new() },
    };
    let kind = if dice.one_in(2) { NetworkKind::Guest } else { NetworkKind::Lan };
    let address = dice.one_in(2).then(|| prefix(99));
    Network { address, kind, reach, ..Network::lan(ifname("lan", 0)) }
}

fn config(dice: &mut Dice<'_>) -> Config {
    let count = 1 + dice.below(4);
    let targets: Vec<Ipv4Addr> =
        (1..=1 + dice.below(3)).map(|i| Ipv4Addr::new(192, 0, 2, i)).collect();
    let mut config = Config {
        router: RouterConfig {
            name: "r".to_owned(),
            tunnels: if dice.one_in(4) { vec![51_820, 4500] } else { vec![] },
            failback: if dice.one_in(4) { Failback::Manual } else { Failback::Auto },
            no_uplink: if dice.one_in(2) { NoUplink::Unreachable } else { NoUplink::Keep },
        },
        log: Log { file: None, max_size_bytes: 1_000_000, keep: 1, level: LogLevel::Info },
        networks: vec![network(dice)],
        firewall: FirewallConfig {
            mode: if dice.one_in(2) { FirewallMode::Off } else { FirewallMode::Basic },
            allow: vec![Allow {
                protocol: Protocol::Tcp,
                ports: vec![(22, 22)],
                from: Vec::new(),
                to: Vec::new(),
            }],
        },
        balance: match dice.below(3) {
            0 => BalanceBy::Connection,
            1 => BalanceBy::Client,
            _ => BalanceBy::ClientServer,
        },
        ranges: Ranges::default(),
        check: check(dice, targets),
        uplinks: (0..count).map(|i| uplink(dice, i)).collect(),
        translations: Vec::new(),
        forwards: vec![Forward {
            protocol: Protocol::Udp,
            ports: Some((53, 54)),
            address: None,
            to: SocketAddr::from(([192, 168, 1, 2], 5353)),
            from: Vec::new(),
            uplinks: dice.one_in(2).then(|| vec!["u0".to_owned()]),
            hairpin: true,
        }],
        performance: Performance::default(),
        notify: Notify::default(),
        ddns: Vec::new(),
    };
    config.check_all(config.check.clone());
    config
}

fn check(dice: &mut Dice<'_>, targets: Vec<Ipv4Addr>) -> CheckConfig {
    CheckConfig {
        kind: [CheckKind::Icmp, CheckKind::Tcp { port: 443 }, CheckKind::Arp]
            [usize::from(dice.below(3))],
        required: 1 + usize::from(dice.byte()) % targets.len(),
        interval: Duration::from_millis(10 + u64::from(dice.byte())),
        timeout: Duration::from_millis(10 + u64::from(dice.byte())),
        fail_after: 1 + u32::from(dice.below(8)),
        recover_after: 1 + u32::from(dice.below(8)),
        stable_for: Duration::from_millis(u64::from(dice.byte())),
        degraded: if dice.one_in(2) { Degraded::Use } else { Degraded::Avoid },
        ..CheckConfig::of(targets)
    }
}

fn uplink(dice: &mut Dice<'_>, number: u8) -> UplinkConfig {
    let name = format!("u{}", if dice.one_in(8) { number + 4 } else { number });
    let gateway = IpAddr::V4(Ipv4Addr::new(100, 64, number, 1));
    UplinkConfig {
        kind: UplinkKind::Static(Fixed { address: prefix(number), gateway, onlink: number == 4 }),
        weight: 1 + dice.below(255),
        tier: match dice.below(4) {
            3 => Tier::Inbound,
            n => Tier::Number(u32::from(n) + 1),
        },
        nat: match dice.below(3) {
            0 => Nat::On,
            1 => Nat::To(Ipv4Addr::new(203, 0, 113, number)),
            _ => Nat::Off,
        },
        addresses: if dice.one_in(4) { vec![further(number)] } else { Vec::new() },
        no_nat: if dice.one_in(4) { vec![prefix(9)] } else { Vec::new() },
        routed: if dice.one_in(4) { vec![prefix(8)] } else { Vec::new() },
        enabled: !dice.one_in(8),
        ..UplinkConfig::new(&name, ifname("wan", number), prefix(number), gateway)
    }
}

fn ifname(kind: &str, number: u8) -> IfName {
    format!("{kind}{number}").parse().expect("a short name without special characters")
}

const fn prefix(number: u8) -> Prefix {
    Prefix { address: IpAddr::V4(Ipv4Addr::new(100, 64, number, 2)), length: 24 }
}

const fn further(number: u8) -> Prefix {
    Prefix { address: IpAddr::V4(Ipv4Addr::new(100, 64, number, 3)), length: 24 }
}

fn fact(dice: &mut Dice<'_>, unseen: UplinkFacts) -> UplinkFacts {
    let bits = dice.byte();
    let way = if dice.one_in(8) { Ways::default() } else { unseen.way };
    UplinkFacts {
        way,
        ifindex: (bits & 1 == 0).then_some(7),
        link_up: bits & 2 == 0,
        carrier: bits & 4 == 0,
        has_address: PerFamily::of(|_| bits & 8 == 0),
        mtu: if bits & 64 == 0 { 1500 } else { 1492 },
        health: if bits & 16 == 0 { Health::Up } else { Health::Down },
        active: bits & 32 == 0,
        drained: dice.one_in(8),
        ..UplinkFacts::new(unseen.id)
    }
}

fn saved(dice: &mut Dice<'_>) -> Saved {
    let mut saved = Saved { boot_id: "boot".to_owned(), ..Saved::default() };
    for number in 0..dice.below(4) {
        let name = format!("u{number}");
        saved.ids.insert(name.clone(), UplinkId(dice.byte()));
        saved.active.push(name.clone());
        saved.verdicts.insert(name, if dice.one_in(2) { Health::Down } else { Health::Up });
        saved.addresses.push((ifname("wan", number), prefix(number)));
    }
    saved
}

/// A kernel: parts of what is desired, and things of anybody.
fn observed(dice: &mut Dice<'_>, desired: &State) -> Observed {
    let mut kernel = Observed::default();
    for number in 0..4 {
        let name = ifname("wan", number);
        if !dice.one_in(6) {
            let bits = dice.byte();
            let link = Link {
                index: 10 + u32::from(number) + u32::from(bits >> 7),
                up: bits & 1 == 0,
                carrier: bits & 2 == 0,
                mtu: 1500,
                identity: Identity { mac: Some(Mac([2; 6])), ..Identity::default() },
                ..Link::default()
            };
            kernel.links.insert(name, link);
            let owner = if bits & 4 == 0 { Ownership::Ours } else { Ownership::Foreign };
            if bits & 8 == 0 {
                kernel.addresses.insert((name, prefix(number)), owner);
            }
            let gateway = IpAddr::V4(Ipv4Addr::new(100, 64, number, 1));
            let state = [Neighbour::Known(None), Neighbour::Asking, Neighbour::Failed];
            kernel.neighbours.insert((name, gateway), state[usize::from(dice.below(3))]);
        }
    }
    for (key, resource) in desired.iter().filter(|_| !dice.one_in(4)) {
        adopt(&mut kernel, key, resource);
    }
    for _ in 0..dice.below(4) {
        kernel.routes.insert(route_key(dice), route(dice));
        kernel.rules.push(rule(dice));
    }
    if dice.one_in(2) {
        kernel.firewall = Some(firewall(dice));
    }
    for path in ["net/ipv4/ip_forward", "net/ipv4/conf/wan0/rp_filter"] {
        kernel.sysctls.insert(path.to_owned(), dice.below(3).to_string());
    }
    kernel.queues = Arc::new(queues(dice));
    kernel
}

/// CPUs, and a port whose queues come and go.
fn queues(dice: &mut Dice<'_>) -> Topology {
    let mut mask = || dice.one_in(2).then(|| dice.below(3).to_string());
    let transmit = (0..2).map(|_| mask()).collect();
    let receive = (0..2).map(|_| ReceiveQueue { mask: mask(), cpu: None }).collect();
    let port = PortQueues { receive, transmit, refused: None };
    let cpus = (0..u16::from(dice.below(4))).map(|number| Cpu { number, capacity: 1024 }).collect();
    Topology { cpus, ports: [(ifname("wan", 0), port)].into() }
}

/// The desired object is there, and ours.
fn adopt(kernel: &mut Observed, key: &Key, resource: &Resource) {
    match (key, resource) {
        (Key::Route(key), Resource::Route(value)) => {
            let route =
                ObservedRoute { value: Some(value.clone()), protocol: PROTOCOL, dead: false };
            kernel.routes.insert(key.clone(), route);
        }
        (Key::Rule(rule), _) => kernel.rules.push(ObservedRule {
            priority: rule.priority,
            family: rule.family,
            rule: Some(rule.clone()),
            protocol: PROTOCOL,
        }),
        _ => {}
    }
}

fn route_key(dice: &mut Dice<'_>) -> RouteKey {
    RouteKey {
        table: 20000 + u32::from(dice.below(6)),
        prefix: Prefix::default_route(Family::V4),
        metric: if dice.one_in(2) { u32::MAX } else { 0 },
    }
}

fn route(dice: &mut Dice<'_>) -> ObservedRoute {
    let number = dice.below(4);
    let via = Some(IpAddr::V4(Ipv4Addr::new(100, 64, number, 1)));
    let hop = Nexthop { ifname: ifname("wan", number), via, weight: 1, onlink: false };
    let value = match dice.below(3) {
        0 => None,
        1 => Some(RouteValue::Unreachable),
        _ => Some(RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None }),
    };
    let protocol = if dice.one_in(2) { 4 } else { PROTOCOL };
    ObservedRoute { value, protocol, dead: dice.one_in(4) }
}

fn rule(dice: &mut Dice<'_>) -> ObservedRule {
    let priority = 20000 + u32::from(dice.byte()) * 4;
    let rule = Rule {
        priority,
        family: if dice.one_in(4) { Family::V6 } else { Family::V4 },
        from: None,
        to: None,
        iif: dice.one_in(4).then(|| ifname("wan", 1)),
        oif: dice.one_in(3).then(|| ifname("wan", 1)),
        fwmark: dice.one_in(3).then_some((1 << 24, 0x7f00_0000)),
        udp_from: dice.one_in(8).then_some(51820),
        table: 20000 + u32::from(dice.below(6)),
        suppress_prefixlength: None,
    };
    let protocol = if dice.one_in(2) { 0 } else { PROTOCOL };
    let family = rule.family;
    ObservedRule { rule: (!dice.one_in(4)).then_some(rule), priority, family, protocol }
}

fn firewall(dice: &mut Dice<'_>) -> ObservedFirewall {
    let mut table = ObservedFirewall::default();
    for name in ["restore", "classify", "theirs", "from_u0"] {
        if dice.one_in(2) {
            let rules = (0..dice.below(4)).map(|i| ObservedNftRule {
                handle: u64::from(i) + 1,
                stamp: dice.one_in(2).then(|| u64::from(dice.byte())),
            });
            let chain = ObservedChain { base: None, rules: rules.collect(), drops: dice.one_in(4) };
            table.chains.insert(name.to_owned(), chain);
        }
    }
    if dice.one_in(2) {
        let mark = |dice: &mut Dice<'_>| u32::from(dice.below(5)) << 24;
        table.buckets = Some((0..u32::from(dice.byte())).map(|i| (i, mark(dice))).collect());
    }
    table
}
