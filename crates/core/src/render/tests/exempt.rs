//! Further addresses, destinations that are exempt, and hosts that appear as another address.

use super::*;
use crate::config::Translation;
use crate::state::Chain;

/// Two uplinks; the first has two further addresses, a network that is routed to it, and a VPN.
fn special() -> Config {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let prefixes = |all: &[&str]| all.iter().map(|p| p.parse().unwrap()).collect::<Vec<_>>();
    config.uplinks[0].addresses = prefixes(&["100.64.1.3/24", "100.64.1.4/32"]);
    config.uplinks[0].no_nat = prefixes(&["10.8.0.0/24"]);
    config.uplinks[0].routed = prefixes(&["198.51.100.128/28"]);
    config.translations.push(Translation {
        from: prefixes(&["192.168.1.25/32", "192.168.2.0/24"]),
        to: "100.64.1.4".parse().unwrap(),
    });
    let address = Some("100.64.1.3".parse().unwrap());
    config.forwards.push(Forward { address, ..forward((443, 443), "192.168.1.10:443") });
    let to = prefixes(&["198.51.100.130/32", "2001:db8:1::/64"]);
    let allow = Allow { protocol: Protocol::Tcp, ports: vec![(80, 80)], from: Vec::new(), to };
    config.firewall.allow.push(allow);
    config
}

/// Given these, then they are asked for before the common rule, on their uplink alone, and the
/// forward is on its address alone.
#[test]
fn exceptions_come_before_the_rule() {
    let config = special();
    let text = chains(&config, &facts(&config, &[0, 1]), &["translate", "from_isp1", "from_isp2"]);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    let order = [
        at("ip daddr 10.8.0.0/24"),
        at("ip saddr { 100.64.1.3, 100.64.1.4, 198.51.100.128/28 }"),
        at("ip saddr { 192.168.1.25, 192.168.2.0/24 }"),
        at("snat ip to 100.64.1.4"),
        at("snat ip to 100.64.1.2"),
    ];
    assert!(order.is_sorted(), "{text}");
    // To the gateway, and elsewhere by the interface.
    assert_eq!(text.matches("10.8.0.0/24").count(), 2, "{text}");
    assert_eq!(text.matches("dnat ip to").count(), 1, "{text}");
    assert!(text.contains("ip daddr 100.64.1.3 tcp dport 443 dnat ip to 192.168.1.10:443"));
}

/// Given an address of the subnet that others have set, then it is a source of the uplink as those
/// of the file are; but only those of the file are set, after the first.
#[test]
fn found_addresses_are_sources_and_are_not_set() {
    let config = special();
    let mut facts = facts(&config, &[0, 1]);
    facts.uplinks[0].further = vec!["100.64.1.9/24".parse().unwrap()];
    let text = text(&render(&config, &facts));
    assert!(text.contains("rule 20301: from 100.64.1.9/32 lookup 20001"), "{text}");
    assert!(!text.contains("address 100.64.1.9"), "{text}");
    assert!(text.contains("address 100.64.1.3/24 dev wan1"), "{text}");
    facts.uplinks[0].has_address = PerFamily::default();
    let text = super::text(&render(&config, &facts));
    assert!(text.contains("address 100.64.1.2/24 dev wan1"), "{text}");
    assert!(!text.contains("address 100.64.1.3"), "{text}");
}

/// Given the same in mode `external`, then iptables has the same exceptions, and lets in the hosts
/// of each family.
#[test]
fn iptables_has_the_exceptions() {
    let config = special();
    let [four, six] =
        [Family::V4, Family::V6].map(|f| external::iptables(&config, &Saved::default(), f));
    for rule in [
        "rail-snat -o wan1 -d 10.8.0.0/24 -j RETURN",
        "rail-snat -o wan1 -s 100.64.1.3/32 -j RETURN",
        "rail-snat -o wan1 -s 192.168.2.0/24 -j SNAT --to-source 100.64.1.4",
        "rail-dnat -i wan1 -d 100.64.1.3 -p tcp --dport 443 -j DNAT",
        "rail-public -d 198.51.100.130/32 -p tcp --dport 80 -j RETURN",
    ] {
        assert!(four.contains(rule), "no {rule} in {four}");
    }
    assert!(six.contains("rail-public -d 2001:db8:1::/64 -p tcp --dport 80 -j RETURN"), "{six}");
    assert!(!six.contains("198.51.100.130"), "{six}");
}

/// Given hosts that may be asked from outside, then what is for them goes to no uplink, in both
/// families. What another uplink's address was asked for by this one leaves it only if it is routed to it.
#[test]
fn what_is_let_in_goes_inside_and_answers_by_its_own_uplink() {
    let mut config = special();
    let text = chains(&config, &facts(&config, &[0, 1]), &["wan_forward"]);
    for to in ["ip daddr 198.51.100.130/32", "ip6 daddr 2001:db8:1::/64"] {
        let rule = alloc::format!("oifname != {{ \"wan1\", \"wan2\" }} {to} tcp dport 80 accept\n");
        assert!(text.contains(&rule), "{rule}{text}");
    }
    for (routed, taken) in [
        ("198.51.100.0/24", "{ 100.64.1.2, 100.64.1.3, 100.64.1.4 }"),
        ("100.64.1.0/30", "100.64.1.4"),
    ] {
        config.uplinks[1].routed = vec![routed.parse().unwrap()];
        let text = chains(&config, &facts(&config, &[0, 1]), &["foreign_source"]);
        let rule = alloc::format!("oifname \"wan2\" ct direction reply ip saddr {taken} fib saddr");
        assert!(text.contains(&rule), "{rule}{text}");
    }
}

/// Given an uplink, when another one goes or has one more address, then the rules with its mark are the
/// same: or its buckets would wait for `nft` whenever others change. A rule that leads each mark to a
/// chain is left out, as it is when the daemon compares.
#[test]
fn the_rules_of_an_uplink_do_not_change_with_others() {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(2)), (1, Tier::Number(3))]);
    let rules = |config: &Config| {
        let facts = facts(config, &[1]);
        let word = alloc::format!("{:#010x}", mark(config, facts.uplinks[1].id));
        let state = render(config, &facts);
        let Some(Resource::Firewall(table)) = state.get(&Key::Firewall) else { panic!("no rules") };
        let of = |chain: &Chain| {
            let rules = chain.rules.iter().filter(|rule| rule.contains(&word));
            let rules = rules.filter(|rule| !rule.contains(&alloc::format!("{word} : goto ")));
            rules.map(|rule| alloc::format!("{}: {rule}", chain.name)).collect::<Vec<_>>()
        };
        table.chains.iter().flat_map(of).collect::<Vec<_>>()
    };
    let before = rules(&config);
    assert!(before.len() > 3, "{before:?}");
    let mut without = config.clone();
    without.uplinks[0].enabled = false;
    assert_eq!(rules(&without), before);
    let mut more = config.clone();
    more.uplinks[2].addresses.push("100.64.3.9/32".parse().unwrap());
    more.uplinks[2].routed.push("198.51.100.0/24".parse().unwrap());
    assert_eq!(rules(&more), before);
}
