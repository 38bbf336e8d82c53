//! Uplinks that have no attachment yet, that need no gateway, or that have IPv6.

use super::*;
use crate::facts::{Attachment, Gateway, Origin, Ways};

/// Two uplinks that are well; the second is changed as said.
fn with(change: fn(&mut UplinkFacts)) -> (Config, Facts) {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let mut facts = facts(&config, &[0, 1]);
    change(&mut facts.uplinks[1]);
    (config, facts)
}

/// As before a lease.
fn without(fact: &mut UplinkFacts) {
    (fact.way, fact.has_address, fact.active) = (Ways::default(), PerFamily::default(), false);
}

/// Given an uplink that has no address yet, on a port of its own or on one with another uplink, with
/// and without translation, forwards and a box inside, then no object names the address or the gateway
/// of the file, its own mark leads nowhere, and what bears the mark of the other uplink stands as with it.
#[test]
fn an_uplink_without_an_address_has_no_rule_by_it() {
    let (plain, absent) = with(without);
    let forward = Forward {
        address: None,
        protocol: Protocol::Tcp,
        ports: Some((80, 80)),
        from: Vec::new(),
        to: "192.168.1.10:80".parse().unwrap(),
        uplinks: None,
        hairpin: true,
    };
    let changes: [fn(&mut UplinkConfig); 4] = [
        |_| {},
        |uplink| uplink.nat = Nat::Off,
        |uplink| uplink.ifname = "wan1".parse().unwrap(),
        |uplink| uplink.ifname = "lan0".parse().unwrap(),
    ];
    let of_first = |config: &Config, facts: &Facts| -> Vec<String> {
        let all = text(&render(config, facts));
        let own = all.lines().filter(|line| line.contains("0x01000000") && !line.contains("vmap"));
        own.map(String::from).collect()
    };
    for change in changes {
        let mut config = plain.clone();
        config.forwards.push(forward.clone());
        change(&mut config.uplinks[1]);
        let all = text(&render(&config, &absent));
        assert!(!all.contains("100.64.2."), "{all}");
        assert!(all.contains("route default table 20002 metric 4294967295: unreachable"), "{all}");
        let attached = facts(&config, &[0]);
        assert_eq!(of_first(&config, &absent), of_first(&config, &attached));
    }
}

/// Given an uplink whose device has two ends, as PPP has, then its routes and rules name the device
/// alone.
#[test]
fn a_device_with_two_ends_needs_no_next_hop() {
    let (config, facts) = with(|fact| {
        if let Some(way) = &mut fact.way[Family::V4] {
            way.gateway = Gateway::Device;
        }
    });
    let state = render(&config, &facts);
    let route = state[&default_key(Family::V4, 20002, 0)].clone();
    let Resource::Route(route) = route else { panic!("{route:?}") };
    assert_eq!(route.to_string(), "dev wan2 src 100.64.2.2");
    let all = text(&state);
    assert!(!all.contains("100.64.2.1"), "{all}");
    let translated = chains(&config, &facts, &["translate"]);
    assert!(translated.contains("    oifname \"wan2\" ct mark set"), "{translated}");
}

/// Given an uplink by PPP, then its routes and rules are by its address and its device, whose MTU decides
/// what TCP may send, and its address is nothing that we set or take away.
#[test]
fn what_is_dialled_sets_its_own_address() {
    let (config, facts) = with(|fact| {
        fact.way[Family::V4] = Some(Attachment {
            address: "203.0.113.9/32".parse().unwrap(),
            gateway: Gateway::Device,
            origin: Origin::Ppp,
            routes: Vec::new(),
            resolvers: Vec::new(),
            delegated: Vec::new(),
            mtu: None,
        });
        fact.mtu = 1492;
    });
    let state = render(&config, &facts);
    let own = |key: &&Key| matches!(key, Key::Address { .. });
    let addresses: Vec<String> = state.keys().filter(own).map(ToString::to_string).collect();
    assert_eq!(addresses, ["address 100.64.1.2/24 dev wan1"]);
    let all = text(&state);
    assert!(all.contains("route default table 20002: dev wan2 src 203.0.113.9\n"), "{all}");
    assert!(all.contains("rule 20302: from 203.0.113.9/32 lookup 20002"), "{all}");
    let translated = chains(&config, &facts, &["translate"]);
    assert!(translated.contains("203.0.113.9"), "{translated}");
    assert!(all.contains("1452"), "the MSS of 1492: {all}");
}

/// Given an uplink that has IPv6 as well, then IPv6 has the same ladder, in which the others are
/// refused, and nothing of IPv4 is different.
#[test]
fn each_family_has_its_ladder() {
    let (config, both) = with(|fact| {
        fact.way[Family::V6] = Some(Attachment {
            address: "2001:db8:2::2/64".parse().unwrap(),
            gateway: Gateway::Via("fe80::1".parse().unwrap()),
            origin: Origin::Static,
            routes: Vec::new(),
            resolvers: Vec::new(),
            delegated: Vec::new(),
            mtu: None,
        });
        fact.has_address[Family::V6] = true;
    });
    let is_v6 = |key: &Key| match key {
        Key::Route(route) => route.prefix.family() == Family::V6,
        Key::Rule(rule) => rule.family == Family::V6,
        Key::Address { prefix, .. } => prefix.family() == Family::V6,
        _ => false,
    };
    let mut state = render(&config, &both);
    let v6: State =
        state.iter().filter(|(key, _)| is_v6(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    state.retain(|key, _| !is_v6(key));
    assert_eq!(state, render(&config, &facts(&config, &[0, 1])));
    let route = |table| match &v6[&default_key(Family::V6, table, 0)] {
        Resource::Route(route) => route.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(route(20002), "via fe80::1 dev wan2 src 2001:db8:2::2");
    assert_eq!(route(20000), route(20002));
    assert!(!v6.contains_key(&default_key(Family::V6, 20001, 0)));
    let last = &v6[&default_key(Family::V6, 20001, LAST_METRIC)];
    assert_eq!(*last, Resource::Route(RouteValue::Unreachable));
    let rungs: Vec<u32> = v6
        .keys()
        .filter_map(|key| match key {
            Key::Rule(rule) => Some(rule.priority),
            _ => None,
        })
        .collect();
    let expected = [20000, 20000, 20101, 20102, 20250, 20260, 20302, 20501, 20502, 20890, 20900];
    assert_eq!(rungs, expected);
}
