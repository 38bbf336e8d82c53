//! Golden texts: from configuration and facts to the whole desired state.
//!
//! To renew them after a change that was meant: run the failing test, read the
//! difference as a person would, and copy what it prints into the file.

use super::*;
use crate::config::{
    Allow, BalanceBy, CheckConfig, FirewallConfig, FirewallMode, Forward, Log, LogLevel, Nat,
    Network, NetworkKind, Notify, Performance, Protocol, Ranges, Reach, Router, Selector, Tier,
    UplinkConfig,
};
use crate::facts::{PerFamily, SystemFacts};
use crate::net::Mac;
use crate::saved::Saved;
use crate::state::MainDefault;
use crate::status::Health;
use crate::time::Duration;
use alloc::string::{String, ToString};
use core::fmt::Write;
use core::net::Ipv4Addr;

/// Checks of two targets that both must answer.
fn check() -> CheckConfig {
    let targets = vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    CheckConfig { interval: Duration::from_millis(200), fail_after: 4, ..CheckConfig::of(targets) }
}

/// A configuration with uplinks isp1.. on wan1.., of the given weights and tiers.
pub(crate) fn config(uplinks: &[(u8, Tier)]) -> Config {
    let uplink = |(i, (weight, tier)): (usize, &(u8, Tier))| {
        let n = u8::try_from(i + 1).unwrap();
        UplinkConfig {
            weight: *weight,
            tier: *tier,
            check: check(),
            ..UplinkConfig::new(
                &alloc::format!("isp{n}"),
                alloc::format!("wan{n}").parse().unwrap(),
                alloc::format!("100.64.{n}.2/24").parse().unwrap(),
                alloc::format!("100.64.{n}.1").parse().unwrap(),
            )
        }
    };
    Config {
        router: Router {
            name: "edge1".into(),
            no_uplink: NoUplink::Keep,
            failback: crate::config::Failback::Auto,
            tunnels: vec![],
        },
        log: Log { file: None, max_size_bytes: 1 << 20, keep: 3, level: LogLevel::Info },
        networks: vec![Network::lan("lan0".parse().unwrap())],
        firewall: FirewallConfig::default(),
        balance: BalanceBy::Connection,
        ranges: Ranges::default(),
        check: check(),
        uplinks: uplinks.iter().enumerate().map(uplink).collect(),
        translations: Vec::new(),
        forwards: Vec::new(),
        performance: Performance::default(),
        notify: Notify::default(),
        ddns: Vec::new(),
    }
}

/// Facts in which all is well; `active` are the indices that carry connections.
pub(crate) fn facts(config: &Config, active: &[usize]) -> Facts {
    let mut facts = Facts::unseen(config, (1..).map(UplinkId));
    for (i, fact) in facts.uplinks.iter_mut().enumerate() {
        *fact = UplinkFacts {
            ifindex: Some(10),
            link_up: true,
            carrier: true,
            has_address: PerFamily::of(|family| fact.way[family].is_some()),
            health: Health::Up,
            active: active.contains(&i),
            ..fact.clone()
        };
    }
    let networks = vec![Some(20); config.networks.len()];
    let system = SystemFacts { networks, loopback: true, all_wide: true, ..facts.system };
    Facts { system, ..facts }
}

fn text(state: &State) -> String {
    let mut text = String::new();
    for (key, value) in state {
        match value {
            Resource::Firewall(table) => {
                writeln!(text, "{key}").unwrap();
                for chain in &table.chains {
                    writeln!(text, "  chain {} {:?}", chain.name, chain.base).unwrap();
                    chain.rules.iter().for_each(|rule| writeln!(text, "    {rule}").unwrap());
                }
            }
            Resource::Route(_) | Resource::Link(_) => writeln!(text, "{key}: {value}").unwrap(),
            Resource::Buckets(buckets) => {
                let mut count = BTreeMap::<u32, usize>::new();
                buckets.values().for_each(|mark| *count.entry(*mark).or_default() += 1);
                writeln!(text, "{key}: {count:x?} of {}", buckets.len()).unwrap();
            }
            Resource::Sysctl(value) => writeln!(text, "{key} = {value}").unwrap(),
            Resource::Guard | Resource::Address | Resource::Rule => {
                writeln!(text, "{key}").unwrap();
            }
        }
    }
    text
}

fn assert_golden(state: &State, golden: &str) {
    let text = text(state);
    assert!(text == golden, "the text is now:\n{text}");
}

/// A forward of TCP on every uplink for anyone.
fn forward(ports: (u16, u16), to: &str) -> Forward {
    Forward {
        protocol: Protocol::Tcp,
        ports: Some(ports),
        to: to.parse().unwrap(),
        address: None,
        from: Vec::new(),
        uplinks: None,
        hairpin: true,
    }
}

/// Given three good uplinks of weights 3:2:1, a forward and an allowed port, then this state.
#[test]
fn three_uplinks() {
    let mut config = config(&[(3, Tier::Number(1)), (2, Tier::Number(1)), (1, Tier::Number(1))]);
    config.forwards.push(Forward { hairpin: false, ..forward((8080, 8080), "192.168.1.10:80") });
    let from = vec!["203.0.113.0/24".parse().unwrap()];
    config.firewall.allow.push(Allow {
        protocol: Protocol::Tcp,
        ports: vec![(22, 22)],
        from,
        to: Vec::new(),
    });
    let state = render(&config, &facts(&config, &[0, 1, 2]));
    assert_golden(&state, include_str!("golden/three_uplinks.txt"));
}

/// The chains in which forwards leave a trace.
fn forwarding(config: &Config) -> String {
    let about = ["from_isp1", "from_isp2", "hairpin", "classify", "translate", "input", "forward"];
    chains(config, &facts(config, &[0]), &about)
}

fn chains(config: &Config, facts: &Facts, names: &[&str]) -> String {
    let mut state = render(config, facts);
    state.retain(|key, _| *key == Key::Firewall);
    if let Some(Resource::Firewall(table)) = state.get_mut(&Key::Firewall) {
        table.chains.retain(|chain| names.contains(&chain.name.as_str()));
    }
    text(&state)
}

/// Given a range, a moved range, allowed sources, a forward on one uplink and one without
/// hairpin, then these rules; a disabled uplink has none, and the filter closes its interface.
#[test]
fn forwards_of_every_kind() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(2)), (1, Tier::Inbound)]);
    config.uplinks[2].enabled = false;
    config.networks.push(Network::lan("dmz0".parse().unwrap()));
    let from = ["203.0.113.0/24", "192.0.2.9/32"].map(|prefix| prefix.parse().unwrap());
    config.forwards = vec![
        forward((5000, 5010), "192.168.1.2:5000"),
        Forward { protocol: Protocol::Udp, ..forward((5000, 5002), "192.168.1.2:6000") },
        Forward { from: from.to_vec(), ..forward((22, 22), "192.168.1.3:22") },
        Forward {
            from: vec![from[0]],
            uplinks: Some(vec!["isp2".into(), "isp3".into()]),
            ..forward((443, 443), "192.168.1.4:8443")
        },
        Forward { hairpin: false, ..forward((25, 25), "192.168.1.5:25") },
    ];
    let text = forwarding(&config);
    assert!(text == include_str!("golden/forwards.txt"), "the text is now:\n{text}");
}

/// Given a hairpin on one uplink only, when another address of the router is asked for, then it
/// costs nothing more; and with hairpins nowhere there is no rule for them.
#[test]
fn hairpins_cost_only_where_they_are() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let uplinks = Some(vec!["isp2".into()]);
    config.forwards = vec![Forward { uplinks, ..forward((80, 80), "192.168.1.2:80") }];
    let text = forwarding(&config);
    assert!(text.contains("    ip daddr 100.64.2.2 iifname \"lan0\" goto hairpin\n"), "{text}");
    config.forwards[0].hairpin = false;
    let text = forwarding(&config);
    assert!(text.contains("dnat") && !text.contains("hairpin"), "{text}");
    assert!(!text.contains("status dnat iifname"), "{text}");
}

/// A network that may reach these alone.
fn network(name: &str, kind: NetworkKind, internet: bool, networks: &[&str]) -> Network {
    let networks = networks.iter().map(ToString::to_string).collect();
    Network {
        name: name.into(),
        interface: Selector::Name(alloc::format!("{name}0")),
        ifname: alloc::format!("{name}0").parse().unwrap(),
        others: Vec::new(),
        address: None,
        kind,
        reach: Reach::Only { internet, networks },
        dhcp: None,
        dns: None,
    }
}

/// A usual LAN, servers, guests, and a closed till; a forward for all and one for some.
fn four_networks() -> Config {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    config.networks.extend([
        network("dmz", NetworkKind::Dmz, true, &[]),
        network("guest", NetworkKind::Guest, true, &["dmz"]),
        network("till", NetworkKind::Lan, false, &[]),
    ]);
    config.networks[1].address = Some("10.9.0.1/24".parse().unwrap());
    config.networks[2].address = Some("10.9.1.1/24".parse().unwrap());
    let from = vec!["203.0.113.0/24".parse().unwrap()];
    config.forwards = vec![
        forward((8080, 8080), "10.9.0.10:80"),
        Forward { from, ..forward((22, 22), "192.168.1.3:22") },
    ];
    config
}

/// Given networks of every kind, of which one has no interface yet, then the filter is this, and
/// known connections meet what they meet without them.
#[test]
fn networks_of_every_kind() {
    let config = four_networks();
    let mut facts = facts(&config, &[0, 1]);
    facts.system.networks[2] = None;
    let mut state = render(&config, &facts);
    state.retain(|key, _| matches!(key, Key::Firewall | Key::Address { .. }));
    let Some(Resource::Firewall(table)) = state.get_mut(&Key::Firewall) else { unreachable!() };
    let about = |name: &str| {
        ["hairpin", "classify", "translate", "inside_input", "input", "forward", "forged_inside"]
            .contains(&name)
            || name.starts_with("net_")
    };
    table.chains.retain(|chain| about(&chain.name));
    assert_golden(&state, include_str!("golden/networks.txt"));
}

/// Given a box inside the LAN and guests, then guests reach the box and not those beside it.
#[test]
fn guests_reach_the_box_and_not_the_hosts_beside_it() {
    let mut config = config(&[(1, Tier::Number(1))]);
    inside(&mut config.uplinks[0]);
    config.networks.push(network("guest", NetworkKind::Guest, true, &[]));
    let state = render(&config, &facts(&config, &[0]));
    let Resource::Firewall(table) = &state[&Key::Firewall] else { unreachable!() };
    let chain = table.chains.iter().find(|chain| chain.name == "net_guest").unwrap();
    let wanted = [
        "oifname \"guest0\" accept",
        "oifname \"lan0\" rt ip nexthop 192.168.1.254 accept",
        "counter drop",
    ];
    assert_eq!(chain.rules, wanted);
}

/// Given the same networks in mode `external`, then the filters of both families are these.
#[test]
fn networks_for_iptables() {
    let mut config = four_networks();
    config.firewall.mode = FirewallMode::External;
    let filter = |family| {
        let text = external::iptables(&config, &Saved::default(), family);
        text[text.find("*filter").unwrap()..].to_string()
    };
    let text = filter(Family::V4) + &filter(Family::V6);
    assert!(text == include_str!("golden/networks_iptables.txt"), "the text is now:\n{text}");
}

/// Given a second tier that carries all because the first is dead, NAT off on one line, no
/// filter of ours and a hash of the client, then this state.
#[test]
fn backup_without_filter() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(2)), (1, Tier::Inbound)]);
    config.firewall.mode = FirewallMode::Off;
    config.balance = BalanceBy::Client;
    config.uplinks[1].nat = Nat::Off;
    let mut facts = facts(&config, &[1]);
    facts.uplinks[0].ifindex = None;
    assert_golden(&render(&config, &facts), include_str!("golden/backup_without_filter.txt"));
}

/// Given a provider's box inside the LAN beside an uplink with a network of its own, then this state:
/// nothing is marked by the inside interface, and redirects are off.
#[test]
fn box_inside() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(2))]);
    inside(&mut config.uplinks[0]);
    config.forwards.push(forward((8080, 8080), "192.168.1.10:80"));
    assert_golden(&render(&config, &facts(&config, &[0])), include_str!("golden/box_inside.txt"));
}

fn inside(uplink: &mut UplinkConfig) {
    uplink.ifname = "lan0".parse().unwrap();
    uplink.fixed_mut().unwrap().address = "192.168.1.1/24".parse().unwrap();
    uplink.fixed_mut().unwrap().gateway = "192.168.1.254".parse().unwrap();
    uplink.nat = Nat::Off;
}

/// Given a box inside the LAN, when it dies, then its connections are no longer kept; when it is
/// well and carries nothing new, or held back and carries, then they are; when redirects are wanted, `all` is left alone.
#[test]
fn a_box_keeps_its_connections_while_it_is_usable() {
    let mut config = config(&[(1, Tier::Number(2)), (1, Tier::Number(1))]);
    inside(&mut config.uplinks[0]);
    let mut facts = facts(&config, &[1]);
    let kept = |facts: &Facts| firewall::elements(&View::new(&config, facts)).collect::<Vec<_>>();
    assert_eq!(kept(&facts), [(60_001, 0x0100_0000)]);
    (facts.uplinks[0].health, facts.uplinks[0].active) = (Health::Held, true);
    assert_eq!(kept(&facts), [(60_001, 0x0100_0000)]);
    facts.uplinks[0].active = false;
    assert_eq!(kept(&facts), []);
    facts.uplinks[0].health = Health::Down;
    assert_eq!(kept(&facts), []);
    config.uplinks[0].redirects = true;
    let state = render(&config, &facts);
    let of =
        |name: &str| state.get(&Key::Sysctl(alloc::format!("net/ipv4/conf/{name}/send_redirects")));
    assert_eq!(of("lan0"), Some(&Resource::Sysctl("1".into())));
    assert_eq!(of("all"), None);
}

/// Given a gateway outside the prefix, when the state is rendered, then its next hop is on link,
/// in the uplink's own table and beside others, and no other is.
#[test]
fn a_gateway_outside_the_prefix_is_on_link() {
    let mut config = config(&[(1, Tier::Number(1)), (2, Tier::Number(1))]);
    config.uplinks[0].fixed_mut().unwrap().address = "203.0.113.7/32".parse().unwrap();
    config.uplinks[0].fixed_mut().unwrap().gateway = "172.31.1.1".parse().unwrap();
    config.uplinks[0].fixed_mut().unwrap().onlink = true;
    let state = render(&config, &facts(&config, &[0, 1]));
    let route = |table: u32| match &state[&default_key(Family::V4, table, 0)] {
        Resource::Route(route) => route.to_string(),
        _ => unreachable!(),
    };
    assert_eq!(route(20001), "via 172.31.1.1 dev wan1 onlink src 203.0.113.7");
    assert_eq!(route(20002), "via 100.64.2.1 dev wan2 src 100.64.2.2");
    let shared = "nexthop via 172.31.1.1 dev wan1 weight 1 onlink \
                  nexthop via 100.64.2.1 dev wan2 weight 2";
    assert_eq!(route(20000), shared);
}

/// Puts the second uplink beside the first one: its interface, its subnet, another gateway.
fn on_one_port(config: &mut Config) {
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[1].fixed_mut().unwrap().address = "100.64.1.3/24".parse().unwrap();
    config.uplinks[1].fixed_mut().unwrap().gateway = "100.64.1.254".parse().unwrap();
}

/// Given two uplinks of one subnet on one port beside a usual uplink, with a forward, and the hardware
/// address of one gateway, then this state.
#[test]
fn two_lines_on_one_port() {
    let mut config = config(&[(2, Tier::Number(1)), (1, Tier::Number(1)), (1, Tier::Number(2))]);
    on_one_port(&mut config);
    config.forwards.push(forward((8080, 8080), "192.168.1.10:80"));
    let mut facts = facts(&config, &[0, 1]);
    facts.uplinks[1].gateway_mac = Some(Mac([2, 0, 0, 0, 1, 254]));
    assert_golden(&render(&config, &facts), include_str!("golden/one_port.txt"));
}

/// Given the same address on two ports, two USB sticks, then this state.
#[test]
fn one_address_on_two_ports() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    for uplink in &mut config.uplinks {
        uplink.fixed_mut().unwrap().address = "192.168.8.100/24".parse().unwrap();
        uplink.fixed_mut().unwrap().gateway = "192.168.8.1".parse().unwrap();
    }
    config.forwards.push(forward((8080, 8080), "192.168.1.10:80"));
    assert_golden(&render(&config, &facts(&config, &[0, 1])), include_str!("golden/twins.txt"));
}

/// Given uplinks with something in common, when one of them dies, then the rules stay as they are:
/// the default for sockets of the port moves, and so does the address that twins have.
#[test]
fn a_death_among_lines_with_something_in_common_changes_no_rule() {
    let weights = [(1, Tier::Number(1)), (1, Tier::Number(1)), (1, Tier::Number(1))];
    let (mut one_port, mut twins) = (config(&weights), config(&weights));
    on_one_port(&mut one_port);
    twins.uplinks[1].fixed_mut().unwrap().address = twins.uplinks[0].address().unwrap();
    for (config, what) in [(one_port, "one port"), (twins, "twins")] {
        let well = facts(&config, &[0, 1, 2]);
        let mut dead = facts(&config, &[1, 2]);
        dead.uplinks[0].health = Health::Down;
        let (before, after) = (render(&config, &well), render(&config, &dead));
        let differ: Vec<&Key> =
            before.iter().filter(|(k, v)| after.get(k) != Some(v)).map(|(k, _)| k).collect();
        let moves = |k: &&Key| matches!(k, Key::Route(route) if route.table == 20000);
        assert!(differ.iter().all(|k| **k == Key::Buckets || moves(k)), "{what}: {differ:?}");
        let elements = |facts: &Facts| shared::elements(&View::new(&config, facts));
        let by_device = |state: &State| state.get(&default_key(Family::V4, 20000, 1)).cloned();
        if what == "twins" {
            let to = |mark| vec![(60_001, mark)];
            assert_eq!((elements(&well), elements(&dead)), (to(0x0100_0000), to(0x0200_0000)));
            assert_eq!(by_device(&after), None);
        } else {
            let Some(Resource::Route(route)) = by_device(&after) else { unreachable!() };
            assert_eq!(route.to_string(), "via 100.64.1.254 dev wan1 src 100.64.1.3");
        }
    }
}

/// Given uplinks of one subnet on one port, when others carry too, then the router's own traffic
/// leaves them out: of several next hops none names a source, and the kernel would take the wrong
/// one. In subnets of their own they take part.
#[test]
fn own_traffic_takes_lines_whose_source_is_sure() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1)), (1, Tier::Number(1))]);
    let shared = |config: &Config, active: &[usize]| {
        shared_default(&View::new(config, &facts(config, active)), Family::V4).unwrap().to_string()
    };
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    let all = "nexthop via 100.64.1.1 dev wan1 weight 1 nexthop via 100.64.2.1 dev wan1 weight 1 \
               nexthop via 100.64.3.1 dev wan3 weight 1";
    assert_eq!(shared(&config, &[0, 1, 2]), all);
    on_one_port(&mut config);
    assert_eq!(shared(&config, &[0, 1, 2]), "via 100.64.3.1 dev wan3 src 100.64.3.2");
    assert_eq!(shared(&config, &[0, 1]), "via 100.64.1.1 dev wan1 src 100.64.1.2");
    assert_eq!(shared(&config, &[1]), "via 100.64.1.254 dev wan1 src 100.64.1.3");
}

/// Given two subnets on one port of which one is not translated, then its rules end what the rule
/// for the rest of the port would do.
#[test]
fn a_line_without_translation_keeps_its_pin_on_a_common_port() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[1].nat = Nat::Off;
    let text = text(&render(&config, &facts(&config, &[0, 1])));
    let neighbours = "oifname \"wan1\" rt ip nexthop 100.64.2.0/24 accept\n    \
                      oifname \"wan1\" meta nfproto ipv4 masquerade\n";
    assert!(text.contains(neighbours), "{text}");
    let pin = "oifname \"wan1\" rt ip nexthop 100.64.2.1 ct mark set ct mark and 0x80ffffff or \
               0x02000000 accept\n";
    assert!(text.contains(pin), "{text}");
}

/// Given no uplink that carries anything and `no_uplink = "unreachable"`, then the shared
/// default says so and the buckets are empty.
#[test]
fn nobody_carries() {
    let mut config = config(&[(1, Tier::Number(1))]);
    config.router.no_uplink = NoUplink::Unreachable;
    let state = render(&config, &facts(&config, &[]));
    assert_eq!(
        state[&default_key(Family::V4, 20000, 0)].clone(),
        Resource::Route(RouteValue::Unreachable)
    );
    assert_eq!(state[&Key::Buckets], Resource::Buckets(BTreeMap::new()));
    assert!(default_key(Family::V4, 20000, 0).to_string().contains("default table 20000"));
}

mod attached;
mod behind;
mod elements;
mod exempt;
mod gates;
mod narrow;
mod refused;
mod replies;
mod spares;
mod tunnels;
