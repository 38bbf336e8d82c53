//! The configuration of a run, drawn from the seed, and what is there before the
//! first start.

use crate::dice::Dice;
use crate::fault::{Fault, Mix};
use crate::keeper;
use crate::kernel::Kernel;
use crate::lessor;
use crate::net::{Condition, Net, Street};
use rail_core::config::{
    BalanceBy, CheckConfig, Config, Degraded, Failback, FirewallConfig, FirewallMode, Fixed,
    Forward, Log, LogLevel, LossLimits, Nat, Network, NoUplink, Notify, OnFailback, OwnLink,
    Performance, Protocol, Ranges, Router, Tier, UplinkConfig, UplinkKind,
};
use rail_core::net::{IfName, Mac, Prefix};
use rail_core::state::link_sign;
use rail_core::time::{Duration, Instant};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The administrator's words.
    pub config: Config,
    /// Uplinks whose interfaces another program configures.
    pub kept: Vec<usize>,
    /// The kernel before the first start.
    pub kernel: Kernel,
    /// The internet.
    pub net: Net,
    /// Which faults, and how often.
    pub mix: Mix,
}

/// The name of an interface that this crate writes itself.
pub fn ifname(text: &str) -> IfName {
    text.parse().expect("interface names of the simulator are short and plain")
}

/// A prefix that this crate writes itself.
pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("prefixes of the simulator are well formed")
}

impl Scenario {
    /// Draws everything.
    pub fn draw(seed: u64, dice: &mut Dice) -> Self {
        let mut config = config(dice);
        have_in_common(seed, &mut config);
        fail_back(seed, &mut config);
        let rtt = |dice: &mut Dice| dice.between(MS * 3, MS * 60);
        let lines = config.uplinks.iter().map(|_| Condition::new(rtt(dice))).collect();
        let often = |dice: &mut Dice| if dice.permille(500) { dice.pick(&[5, 50]) } else { 0 };
        let net = Net {
            lines,
            targets: config.targets(),
            dead_target: None,
            target_died: Instant::ZERO,
            forged_permille: often(dice),
            duplicate_permille: often(dice),
            // A damaged answer is a lost one; it would break a proof of health that is long or
            // needs every target.
            corrupt_permille: if dice.permille(300) && is_tolerant(&config) { 2 } else { 0 },
            street: Street::default(),
        };
        let mut kernel = kernel(dice, &config);
        let kept = kept(seed, config.uplinks.len());
        for (line, metric) in kept.iter().zip(100..) {
            keeper::give(&mut kernel, &config.uplinks[*line], metric);
        }
        let mix = Mix::draw(dice);
        let mut scenario = Self { config, kept, kernel, net, mix };
        lessor::lease(seed, &mut scenario, dice);
        scenario
    }

    /// The last of several uplinks waits for the death of the others, and reloads come.
    pub fn stand_by(&mut self) {
        if let [_, .., last] = self.config.uplinks.as_mut_slice() {
            last.tier = Tier::Number(2);
        }
        self.mix.add(Fault::Reload);
    }

    /// The first of several waits before the last, and little happens but that those between die while
    /// reloads change the rules of the first.
    pub fn stand_by_in_turn(&mut self) {
        if let [first, _, .., last] = self.config.uplinks.as_mut_slice() {
            (first.tier, last.tier) = (Tier::Number(2), Tier::Number(3));
            self.mix = Mix::none();
            for fault in [Fault::Reload, Fault::Carrier, Fault::Silent] {
                self.mix.add(fault);
            }
        }
    }
}

const MS: Duration = Duration::from_millis(1);

/// Every uplink spares an answer, and has no long proof of health to give.
fn is_tolerant(config: &Config) -> bool {
    let mut checks = config.uplinks.iter().map(|uplink| &uplink.check);
    checks.all(|c| c.targets.len() > c.required && c.stable_for.is_zero())
}

fn kernel(dice: &mut Dice, config: &Config) -> Kernel {
    let mut kernel = Kernel::new(dice.permille(800));
    let lan = ifname("lan0");
    kernel.add_link(lan, true);
    kernel.set_up(lan, true);
    kernel.addresses.insert((lan, prefix("192.168.1.1/24")), 0);
    for uplink in &config.uplinks {
        kernel.add_link(uplink.port(), true);
        if dice.permille(500) {
            kernel.set_up(uplink.port(), true);
            if dice.permille(500) && uplink.own_link.is_none() {
                let own = uplink.address().map(|own| ((uplink.ifname, own), 0));
                kernel.addresses.extend(own);
            }
        }
    }
    if config.uplinks.iter().any(|uplink| uplink.own_link.is_some()) {
        // What somebody wrote on a bridge of theirs makes it no link of ours.
        let theirs = ifname("br9");
        kernel.add_link(theirs, true);
        if let Some(link) = kernel.links.get_mut(&theirs) {
            (link.kind, link.alias) = ("bridge".into(), link_sign(theirs));
        }
    }
    kernel
}

fn config(dice: &mut Dice) -> Config {
    let count = dice.pick(&[1, 2, 2, 3, 3, 3, 4]);
    let mut uplinks: Vec<UplinkConfig> = (0..count).map(|i| uplink(dice, i)).collect();
    if count > 1 && dice.permille(300) {
        let last = uplinks.len() - 1;
        uplinks[last].tier = dice.pick(&[Tier::Number(2), Tier::Inbound]);
    }
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10)), 80);
    let forward = Forward {
        protocol: Protocol::Tcp,
        ports: Some((8080, 8080)),
        address: None,
        to,
        from: Vec::new(),
        uplinks: None,
        hairpin: true,
    };
    let mode = dice.pick(&[FirewallMode::Basic, FirewallMode::Basic, FirewallMode::Off]);
    let mut config = Config {
        router: Router {
            name: "edge1".into(),
            failback: Failback::Auto,
            tunnels: vec![],
            no_uplink: dice.pick(&[NoUplink::Keep, NoUplink::Keep, NoUplink::Unreachable]),
        },
        log: Log { file: None, max_size_bytes: 1 << 20, keep: 3, level: LogLevel::Info },
        networks: vec![Network::lan(ifname("lan0"))],
        firewall: FirewallConfig { mode, allow: Vec::new() },
        balance: dice.pick(&[BalanceBy::Connection, BalanceBy::Client, BalanceBy::ClientServer]),
        ranges: Ranges::default(),
        check: check(dice, 0),
        uplinks,
        translations: Vec::new(),
        forwards: if dice.permille(500) { vec![forward] } else { Vec::new() },
        performance: Performance::default(),
        notify: Notify::default(),
        ddns: Vec::new(),
    };
    config.check_all(config.check.clone());
    // Some uplinks have their own: other targets, or some of the same, at another pace.
    let own = if dice.permille(300) { 500 } else { 0 };
    for uplink in &mut config.uplinks {
        if dice.permille(own) {
            let first = dice.pick(&[0, 2, 10]);
            uplink.check = check(dice, first);
        }
    }
    config
}

/// In some worlds uplinks share a subnet, or the first two an address, or each has a link of its own
/// on its port. That is decided by the seed
/// and not by the dice, so that all other seeds stay what they were.
fn have_in_common(seed: u64, config: &mut Config) {
    let fixed = config.uplinks.iter_mut().filter_map(UplinkConfig::fixed_mut);
    let beside = fixed.filter(|fixed| !fixed.onlink);
    match seed % 16 {
        10 => {
            for (number, uplink) in (1..).zip(&mut config.uplinks) {
                let (parent, mac) =
                    (ifname(&format!("port{number}")), Mac([2, 0, 0, 0, 0, number]));
                uplink.own_link = Some(OwnLink::on(parent, mac));
            }
        }
        8 => beside.for_each(|fixed| fixed.address.length = 16),
        9 => beside.take(2).for_each(|fixed| {
            fixed.address = prefix("192.168.8.100/24");
            fixed.gateway = IpAddr::V4(Ipv4Addr::new(192, 168, 8, 1));
        }),
        _ => {}
    }
}

/// In some worlds the last of several uplinks waits, and is rid of its connections when it is left; in some
/// of them it is metered. That is decided by the seed, too.
fn fail_back(seed: u64, config: &mut Config) {
    if seed % 16 == 11
        && let [_, .., last] = config.uplinks.as_mut_slice()
    {
        last.tier = Tier::Number(2);
        last.metered = seed % 32 == 11;
        last.on_failback = match seed / 32 % 3 {
            0 => OnFailback::Drain(Duration::from_secs(5)),
            1 => OnFailback::CutUdp,
            _ => OnFailback::Cut,
        };
    }
}

/// In some worlds another program configures the first uplink, or all.
fn kept(seed: u64, uplinks: usize) -> Vec<usize> {
    match seed % 256 {
        11 => vec![0],
        139 => (0..uplinks).collect(),
        _ => Vec::new(),
    }
}

fn uplink(dice: &mut Dice, index: usize) -> UplinkConfig {
    const NAMES: [&str; 4] = ["fibre", "cable", "lte", "dsl"];
    let n = u8::try_from(index + 1).unwrap_or(1);
    // One of the uplinks has its gateway outside the prefix.
    let address = prefix(&format!("100.64.{n}.2/{}", if n == 3 { 32 } else { 24 }));
    let gateway = IpAddr::V4(Ipv4Addr::new(100, 64, n, 1));
    UplinkConfig {
        kind: UplinkKind::Static(Fixed { address, gateway, onlink: n == 3 }),
        weight: dice.pick(&[1, 1, 1, 2, 3, 10]),
        nat: dice.pick(&[Nat::On, Nat::On, Nat::Off]),
        ..UplinkConfig::new(NAMES[index], ifname(&format!("wan{n}")), address, gateway)
    }
}

fn check(dice: &mut Dice, first: u8) -> CheckConfig {
    let count = dice.pick(&[1, 2, 3, 3, 3, 4]);
    let target = |n: u8| Ipv4Addr::new(192, 0, 2, first + n);
    let (degraded_pct, down_pct, recovered_pct) =
        dice.pick(&[(10, 40, 5), (10, 40, 5), (10, 40, 5), (20, 60, 10), (5, 30, 2)]);
    CheckConfig {
        required: if dice.permille(700) { usize::from(count.min(2)) } else { 1 },
        interval: MS * dice.pick(&[100, 200, 250, 250, 250, 500, 1000]),
        fail_after: dice.pick(&[10, 10, 8, 6, 4]),
        recover_after: dice.pick(&[10, 10, 2, 5, 20]),
        stable_for: Duration::from_secs(dice.pick(&[0, 0, 0, 5, 30])),
        loss: LossLimits { degraded_pct, down_pct, recovered_pct },
        degraded: dice.pick(&[Degraded::Avoid, Degraded::Avoid, Degraded::Use]),
        ..CheckConfig::of((1..=count).map(target).collect())
    }
}
