//! What is closed.

use super::*;
use crate::config::{Links, Stray, StrayCause};
use crate::state::Link;

/// Given disabled uplinks, alone, beside an enabled one, and inside, then the filter closes the
/// interface that nobody else has, in every form and in both families; without a filter of ours
/// nothing does.
#[test]
fn the_interface_of_a_disabled_line_is_closed() {
    let mut config = config(&[(1, Tier::Number(1)); 5]);
    config.uplinks[3].ifname = config.uplinks[0].ifname;
    inside(&mut config.uplinks[4]);
    // Two of them on one interface are one gate.
    config.uplinks[2].ifname = config.uplinks[1].ifname;
    config.uplinks[1..].iter_mut().for_each(|uplink| uplink.enabled = false);
    let text = chains(&config, &facts(&config, &[0]), &["input", "forward"]);
    for chain in ["wan_input", "wan_forward"] {
        let gates = alloc::format!("{{ \"wan1\" : goto {chain}, \"wan2\" : goto {chain} }}");
        assert!(text.contains(&gates), "{text}");
    }
    config.firewall.mode = FirewallMode::External;
    let saved = Saved::default();
    assert!(external::nft(&config, &saved).contains("\"wan2\" : goto wan_forward }"));
    for family in [Family::V4, Family::V6] {
        let text = external::iptables(&config, &saved, family);
        for rule in
            ["-A rail-forward -i wan2 -j rail-closed\n", "-A rail-input -i wan2 -j rail-wan\n"]
        {
            assert_eq!(text.matches(rule).count(), 1, "{text}");
        }
        assert!(!text.contains("-i lan0 -j rail-closed"), "{text}");
    }
    config.firewall.mode = FirewallMode::Off;
    assert!(!chains(&config, &facts(&config, &[0]), &["input", "forward"]).contains("wan2"));
}

/// Given interfaces that may be an uplink's and a guest network's as well, then every form of the filter
/// has them, too.
#[test]
fn what_may_be_theirs_is_filtered_as_they_are() {
    let mut config = four_networks();
    config.uplinks[0].others.push("eth7".parse().unwrap());
    let guest = config.networks.iter_mut().find(|n| n.ifname.as_str() == "guest0").unwrap();
    guest.others.push("eth8".parse().unwrap());
    config.firewall.mode = FirewallMode::External;
    let saved = Saved::default();
    let text = external::nft(&config, &saved);
    for gate in ["\"eth7\" : goto wan_input", "\"eth7\" : goto wan_forward", "\"eth8\" : goto "] {
        assert!(text.contains(gate), "{text}");
    }
    for family in [Family::V4, Family::V6] {
        let text = external::iptables(&config, &saved, family);
        for rule in [
            "rail-forward -i eth7 -j rail-closed",
            "rail-input -i eth7 -j rail-wan",
            "rail-forward -i eth8 -j rail-net-guest0",
            "rail-input -i eth8 -j rail-inside",
        ] {
            assert_eq!(text.matches(&alloc::format!("-A {rule}\n")).count(), 1, "{rule}: {text}");
        }
    }
}

/// Given an interface that the file does not name in the network of an uplink, then it is filtered
/// as that uplink; without a filter of ours nothing does.
#[test]
fn an_unnamed_interface_in_the_network_of_an_uplink_is_closed() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    let mut facts = facts(&config, &[0, 1]);
    facts.system.strays = vec![stray("enp4s0", StrayCause::Address)];
    let text = chains(&config, &facts, &["input", "forward"]);
    assert!(text.contains("\"enp4s0\" : goto wan_input"), "{text}");
    assert!(text.contains("\"enp4s0\" : goto wan_forward"), "{text}");
    config.firewall.mode = FirewallMode::Off;
    assert!(!chains(&config, &facts, &["input", "forward"]).contains("enp4s0"));
}

/// Given guests, destinations without translation and a forward, then the text for iptables lets
/// the guests reach none of these destinations: they name what is not translated, not who may.
#[test]
fn destinations_without_translation_are_not_open_to_guests() {
    let mut config = four_networks();
    config.firewall.mode = FirewallMode::External;
    config.uplinks[0].no_nat = vec!["172.16.0.0/12".parse().unwrap()];
    let text = external::iptables(&config, &Saved::default(), Family::V4);
    let filter = &text[text.find("*filter").unwrap()..];
    assert!(filter.contains("rail-net-guest0") && !filter.contains("172.16"), "{filter}");
}

/// Given a forward, a disabled uplink and an interface that the file does not name in the network of
/// an uplink, then neither of the two reaches the forward by the address of another uplink; the
/// router itself and whoever is nowhere named do.
#[test]
fn closed_interfaces_reach_no_forward() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    config.uplinks[1].enabled = false;
    config.forwards.push(forward((8080, 8080), "192.168.1.10:80"));
    let mut facts = facts(&config, &[0]);
    facts.system.strays = vec![stray("enp4s0", StrayCause::Address)];
    let text = chains(&config, &facts, &["classify", "own_hairpin"]);
    let classify = "    ip daddr 100.64.1.2 iifname != { \"enp4s0\", \"wan2\" } goto hairpin\n";
    assert!(text.contains(classify), "{text}");
    assert_eq!(text.matches("    ip daddr 100.64.1.2 goto hairpin\n").count(), 1, "{text}");
}

/// Given closed networks, one with a provider's box, then what begins in the others needs a source that
/// leads back, in every form; beside the box no other inside network's source passes. Without a
/// filter of ours, and from a LAN that may reach everything, nothing is asked.
#[test]
fn closed_networks_are_asked_for_their_sources() {
    let mut config = four_networks();
    config.uplinks[1].ifname = "guest0".parse().unwrap();
    config.uplinks[1].fixed_mut().unwrap().address = "10.9.1.1/24".parse().unwrap();
    let text = chains(&config, &facts(&config, &[0]), &["classify"]);
    for rule in [
        "iifname { \"dmz0\", \"till0\" } jump forged_inside\n",
        "iifname \"guest0\" fib saddr . iif oif missing fib saddr oifname \
         { \"lan0\", \"dmz0\", \"till0\" } counter drop\n",
    ] {
        assert!(text.contains(rule), "{text}");
    }
    config.firewall.mode = FirewallMode::External;
    let saved = Saved::default();
    assert!(external::nft(&config, &saved).contains("jump forged_inside"));
    for (family, except) in [(Family::V4, "0.0.0.0/32"), (Family::V6, "fe80::/10")] {
        let text = external::iptables(&config, &saved, family);
        let rule = |ifname| {
            alloc::format!(
                "-A rail-restore -i {ifname} ! -s {except} -m conntrack --ctstate NEW -m rpfilter \
                 --invert -j DROP\n"
            )
        };
        assert!(text.contains(&rule("dmz0")) && text.contains(&rule("till0")), "{text}");
        assert_eq!(text.matches("rpfilter").count(), 2, "{text}");
    }
    config.networks.truncate(1);
    config.firewall.mode = FirewallMode::Basic;
    assert!(!chains(&config, &facts(&config, &[0]), &["classify"]).contains("fib saddr"));
}

/// Given two uplinks on one port, one without translation, then only what goes its way keeps any
/// source; what goes by the other gateway is compared with the addresses of both.
#[test]
fn one_without_translation_opens_its_own_way_alone() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[1].nat = Nat::Off;
    let egress = |config: &Config| chains(config, &facts(config, &[0, 1]), &["egress"]);
    let both = "{ 100.64.1.2, 100.64.2.2 }";
    let text = egress(&config);
    for rule in [
        alloc::format!("rt ip nexthop != 100.64.2.0/24 ip saddr != {both} goto"),
        alloc::format!("rt ip nexthop 100.64.2.0/24 ip saddr != {both} ip saddr 100.64.3.2 goto"),
    ] {
        assert!(text.contains(&alloc::format!("    oifname \"wan1\" {rule}")), "{text}");
    }
    assert!(!text.contains("\"wan1\" ip saddr"), "{text}");
    // In one subnet the gateway alone tells.
    config.uplinks[1].fixed_mut().unwrap().address = "100.64.1.3/24".parse().unwrap();
    config.uplinks[1].fixed_mut().unwrap().gateway = "100.64.1.254".parse().unwrap();
    let text = egress(&config);
    assert!(text.contains("rt ip nexthop != 100.64.1.254 ip saddr != {"), "{text}");
}

/// Given an uplink that has its interface for itself and translates, then what has its source is let go
/// before anything else is asked, as is what goes inside, and the rest of IPv4 is looked at again; on one
/// port with others, or without translation, more is to be asked.
#[test]
fn the_source_of_an_uplink_alone_is_let_go_first() {
    let mut config = config(&[(1, Tier::Number(1)); 4]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[2].nat = Nat::Off;
    let text = chains(&config, &facts(&config, &[0, 1, 2, 3]), &["egress"]);
    let let_go: Vec<_> = text.lines().filter(|line| line.ends_with(" accept")).collect();
    let first = ["    ip saddr 100.64.4.2 oifname \"wan4\" accept", "    oifname \"lan0\" accept"];
    assert_eq!(let_go, first);
    assert!(text.lines().skip(2).take(2).eq(first), "{text}");
    let rest = "    oifname \"wan4\" meta nfproto ipv4 goto foreign_source\n";
    assert!(text.contains(rest) && !text.contains("oifname \"wan1\" meta nfproto"), "{text}");
}

/// Given a disabled uplink on the port of another one, whose address stands there still, then what has
/// that address does not leave by the other one's gateway.
#[test]
fn the_address_of_a_disabled_uplink_leaves_by_no_gateway_beside_it() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[1].enabled = false;
    config.uplinks[0].no_nat = vec!["10.9.0.0/16".parse().unwrap()];
    let text = chains(&config, &facts(&config, &[0]), &["egress"]);
    let rule =
        "rt ip nexthop 100.64.1.1 ip saddr != 100.64.1.2 ip saddr 100.64.2.2 goto foreign_beside";
    let (at, rest) = (text.find(rule), text.find("goto foreign_source"));
    assert!(at.is_some() && at < rest, "{text}");
    let text = chains(&config, &facts(&config, &[0]), &["foreign_beside"]);
    let rules: Vec<_> = text.lines().skip(2).map(str::trim).collect();
    assert_eq!(rules.first().copied(), Some("rt ipsec exists accept"), "{text}");
    assert_eq!(rules.last().copied(), Some("counter drop"), "{text}");
    // A port that an uplink has for itself needs no such chain.
    config.uplinks.truncate(1);
    assert!(!chains(&config, &facts(&config, &[0]), &["egress"]).contains("foreign_beside"));
}

/// Given two uplinks on one port, one of which exempts a network, then what goes there keeps its source
/// by the gateway of that one and by neighbours, and not by the other's gateway.
#[test]
fn an_exemption_is_that_of_its_uplink() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    config.uplinks[0].no_nat = vec!["10.9.0.0/16".parse().unwrap()];
    config.uplinks[2].no_nat = vec!["10.8.0.0/16".parse().unwrap()];
    for chain in ["foreign_source", "foreign_beside"] {
        let text = chains(&config, &facts(&config, &[0, 1, 2]), &[chain]);
        for rule in [
            "oifname \"wan1\" rt ip nexthop 100.64.1.1 ip daddr 10.9.0.0/16 accept\n",
            "oifname \"wan1\" rt ip nexthop != { 100.64.1.1, 100.64.2.1 } ip daddr 10.9.0.0/16 accept\n",
            "    oifname \"wan3\" ip daddr 10.8.0.0/16 accept\n",
        ] {
            assert_eq!(text.matches(rule).count(), 1, "{rule}: {text}");
        }
        assert_eq!(text.matches("10.9.0.0/16").count(), 2, "{text}");
    }
}

/// Given what may not leave, then its connection begins anew where a host inside began it by that uplink, or
/// a socket of the router by another one; an error about it ends none. An answer to what went out leaves by
/// nobody, and the gateway of an uplink may ask for an address beside its own.
#[test]
fn what_is_refused_for_good_begins_anew() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    let condemned = "ct mark set ct mark and 0x80ffffff or 0x7f000000\n";
    let begun = "ct direction original ct state != related";
    let inside = "iifname != { \"wan1\", \"wan3\" }";
    let text = |chain| chains(&config, &facts(&config, &[0, 1, 2]), &[chain]);
    for chain in ["foreign_source", "foreign_beside"] {
        let text = text(chain);
        for rule in [
            "oifname \"wan1\" ct direction reply ct mark and 0x7f000000 == 0x00000000 ip daddr \
             { 100.64.1.1, 100.64.2.1 } accept\n"
                .into(),
            alloc::format!("    ct mark and 0x7f000000 == 0x00000000 {condemned}"),
            alloc::format!("    {inside} {begun} jump given_up\n"),
            "    iifname { \"wan1\", \"wan3\" } ct status dnat counter drop\n    ct mark and"
                .into(),
            alloc::format!(
                "meta mark and 0x7f000000 == 0x00000000 {begun} ct mark and 0x7f000000 != \
                 0x00000000 {condemned}"
            ),
        ] {
            assert_eq!(text.matches(rule.as_str()).count(), 1, "{rule}: {text}");
        }
    }
    let given_up = text("given_up");
    for (way, mark) in [
        ("\"wan1\" rt ip nexthop 100.64.1.1", 1),
        ("\"wan1\" rt ip nexthop 100.64.2.1", 2),
        ("\"wan3\" rt ip nexthop 100.64.3.1", 3),
    ] {
        let rule =
            alloc::format!("oifname {way} ct mark and 0x7f000000 == 0x0{mark}000000 {condemned}");
        assert_eq!(given_up.matches(rule.as_str()).count(), 1, "{rule}: {given_up}");
    }
    let text = text("foreign_source");
    let own = "{ 100.64.1.2, 100.64.2.2, 100.64.3.2 }";
    let forged = alloc::format!("    ct direction reply ct reply ip daddr {own} counter drop\n");
    let (at, accepts) = (text.find(forged.as_str()), text.find("0x01000000 accept"));
    assert!(at.is_some() && at < accepts, "{text}");
}

/// Given an uplink without translation beside one with a network of its own, then what has the other's
/// sources gets this one's address, and everything else keeps its own, whoever loads the rules.
#[test]
fn one_without_translation_takes_no_source_of_another() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    config.uplinks[0].nat = Nat::Off;
    config.uplinks[1].routed = vec!["198.51.100.128/28".parse().unwrap()];
    let text = chains(&config, &facts(&config, &[0, 1]), &["translate"]);
    let pin = "oifname \"wan1\" rt ip nexthop 100.64.1.1";
    let mark = "ct mark set ct mark and 0x80ffffff or 0x01000000";
    let others = "ip saddr { 100.64.2.2, 198.51.100.128/28 }";
    let taken =
        alloc::format!("{pin} {others} {mark} snat ip to 100.64.1.2\n    {pin} {mark} accept");
    assert!(text.contains(&taken), "{text}");
    config.firewall.mode = FirewallMode::External;
    let text = external::iptables(&config, &Saved::default(), Family::V4);
    for other in ["100.64.2.2", "198.51.100.128/28"] {
        let rule =
            alloc::format!("-A rail-snat -o wan1 -s {other} -j SNAT --to-source 100.64.1.2\n");
        assert_eq!(text.matches(rule.as_str()).count(), 1, "{text}");
    }
    // The guard comes before the translation, and lets the first packet through to it.
    let out: Vec<_> = text.lines().filter(|rule| rule.starts_with("-A rail-out-wan1 ")).collect();
    assert!(out[0].ends_with("! --ctstatus CONFIRMED -j RETURN"), "{text}");
    // Answers for the address of an uplink leave by it, whoever gives them; others that went out do not.
    let place = |rule: &str| text.find(rule).unwrap();
    let asked = "-A rail-out-wan2 -m conntrack --ctdir REPLY --ctorigdst 100.64.2.2 -j RETURN\n";
    let forged = "-A rail-out-wan2 -m conntrack --ctdir REPLY --ctrepldst 100.64.1.2 -j DROP\n";
    assert!(place(asked) < place(forged), "{text}");
}

/// Given an uplink's device under another name, and one that only may be an uplink's, then what leaves
/// by each has the uplink's sources, as on the uplink itself.
#[test]
fn what_leaves_by_an_unnamed_device_is_compared_as_on_its_uplink() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    config.uplinks[1].others.push("eth7".parse().unwrap());
    let mut facts = facts(&config, &[0, 1]);
    facts.system.strays = vec![stray("wanx", StrayCause::Device)];
    let text = chains(&config, &facts, &["egress"]);
    for rule in [
        "oifname { \"wan1\", \"wan2\" } meta nfproto ipv4 goto foreign_source",
        "oifname \"wanx\" ip saddr != 100.64.1.2 goto foreign_source",
        "oifname \"eth7\" ip saddr != 100.64.2.2 goto foreign_source",
    ] {
        assert_eq!(text.matches(rule).count(), 1, "{rule}: {text}");
    }
    // A tunnel whose address happens to lie in the uplink's network takes what hosts inside send.
    facts.system.strays = vec![stray("wanx", StrayCause::Network)];
    assert!(!chains(&config, &facts, &["egress"]).contains("wanx"));
    // One that may be the uplink's is guarded whatever other address it has there.
    facts.system.strays = vec![stray("eth7", StrayCause::Network)];
    assert!(chains(&config, &facts, &["egress"]).contains("oifname \"eth7\""));
}

fn stray(ifname: &str, cause: StrayCause) -> Stray {
    Stray { ifname: ifname.parse().unwrap(), uplink: 0, cause }
}

/// Given interfaces that the file does not name, then those are in the network of an uplink whose
/// network overlaps it, whatever its length; no other, and none that has everything.
#[test]
fn networks_that_overlap_are_one() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let beside = |here: &str, address: &str, links: &Links| {
        let addresses = [(here.parse().unwrap(), address.parse::<Prefix>().unwrap())];
        let own = config.uplinks.iter().map(|u| u.prefixes().collect()).collect::<Vec<_>>();
        let strays = config.strays(links, &BTreeMap::new(), &own, addresses);
        strays.iter().map(|s| (s.uplink, s.has_cable())).collect::<Vec<_>>()
    };
    let strays = |address| beside("enp4s0", address, &BTreeMap::new());
    for inside in
        ["100.64.2.77/24", "100.64.2.77/25", "100.64.2.200/25", "100.64.0.9/16", "100.64.2.9/32"]
    {
        assert_eq!(strays(inside), [(usize::from(inside != "100.64.0.9/16"), false)]);
    }
    assert_eq!(strays("100.64.2.2/32"), [(1, true)]);
    // A tunnel borrows the address from the uplink's interface; a bridge above it has the network as well.
    let there = BTreeMap::from([("wan2".parse().unwrap(), Link::default())]);
    assert_eq!(beside("gre1", "100.64.2.2/32", &there), [(1, false)]);
    assert_eq!(beside("br0", "100.64.2.2/24", &there), [(1, true)]);
    for outside in ["100.64.9.77/24", "100.64.9.77/0"] {
        assert_eq!(strays(outside), []);
    }
}

/// Given an uplink without translation beside one with it, then iptables lets by the first no source of
/// the second, and what comes in by either leaves by none that translates unless its address was asked.
#[test]
fn rules_for_iptables_guard_every_uplink() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    config.firewall.mode = FirewallMode::External;
    config.uplinks[0].nat = Nat::Off;
    config.uplinks[1].routed = vec!["198.51.100.0/28".parse().unwrap()];
    let text = external::iptables(&config, &Saved::default(), Family::V4);
    for rule in [
        "rail-egress -o wan1 -j rail-out-wan1",
        "rail-out-wan1 -m conntrack --ctdir REPLY --ctorigdst 100.64.2.2 -g rail-foreign",
        "rail-out-wan1 -m conntrack --ctstate INVALID,UNTRACKED -s 100.64.3.2 -g rail-foreign",
        "rail-out-wan1 -m conntrack --ctstate INVALID,UNTRACKED -s 198.51.100.0/28 -g rail-foreign",
        "rail-back -o wan2 -m conntrack --ctdir REPLY -g rail-answer",
        "rail-answer -o wan2 -m conntrack --ctorigdst 198.51.100.0/28 -j RETURN",
        "rail-answer -i wan1 -j DROP",
    ] {
        assert_eq!(text.matches(&alloc::format!("-A {rule}\n")).count(), 1, "{rule}: {text}");
    }
    assert!(!text.contains("rail-back -o wan1") && !text.contains("-s 100.64.1.2 -g"), "{text}");
    let text = external::iptables(&config, &Saved::default(), Family::V6);
    assert!(
        text.contains("-A rail-answer -i wan3 -j DROP\n") && !text.contains("origdst"),
        "{text}"
    );
}

/// Given hosts that may be asked from outside, then the text for iptables lets no question for them out
/// by an uplink, a disabled one included.
#[test]
fn what_hosts_inside_are_asked_leaves_by_no_uplink() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    config.firewall.mode = FirewallMode::External;
    config.uplinks[1].enabled = false;
    config.firewall.allow = vec![Allow {
        protocol: Protocol::Udp,
        ports: vec![(53, 53)],
        from: Vec::new(),
        to: vec!["198.51.100.130/32".parse().unwrap(), "2001:db8::5/128".parse().unwrap()],
    }];
    for family in [Family::V4, Family::V6] {
        let text = external::iptables(&config, &Saved::default(), family);
        let open = text.find("-A rail-public -d ").unwrap();
        for ifname in ["wan1", "wan2"] {
            let rule = alloc::format!("-A rail-public -o {ifname} -g rail-closed\n");
            assert!(text.find(&rule).is_some_and(|at| at < open), "{text}");
        }
    }
}

/// Given an interface whose name iptables takes for many, whoever has it, then it is named.
#[test]
fn wildcards_of_iptables_are_found() {
    let mut config = four_networks();
    assert_eq!(external::wildcard(&config), None);
    config.networks[1].others.push("eth+".parse().unwrap());
    assert_eq!(external::wildcard(&config).unwrap().as_str(), "eth+");
    config.uplinks[1].ifname = "wan+".parse().unwrap();
    assert_eq!(external::wildcard(&config).unwrap().as_str(), "wan+");
}

/// Given uplinks, then no rules give a connection that is known an uplink's mark.
#[test]
fn first_packets_alone_are_pinned() {
    let mut config = config(&[(1, Tier::Number(1)); 2]);
    let text = chains(&config, &facts(&config, &[0]), &["translate"]);
    let known = text.find("    ct status confirmed accept\n").expect("known connections pass");
    assert!(known < text.find("ct mark set").unwrap(), "{text}");
    config.firewall.mode = FirewallMode::External;
    for family in [Family::V4, Family::V6] {
        let text = external::iptables(&config, &Saved::default(), family);
        for chain in ["rail-restore", "rail-pin"] {
            let own = alloc::format!("-A {chain} ");
            let rules: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix(&*own)).collect();
            let known = |rule: &&str| *rule == "-m conntrack --ctstatus CONFIRMED -j RETURN";
            let known = rules.iter().position(known).expect("known connections return");
            let pin = rules.iter().position(|rule| rule.contains("CONNMARK --set-xmark"));
            assert!(known < pin.unwrap(), "{text}");
        }
    }
}
