//! Replies and other packets of known connections: where they may leave.

use super::*;

/// Given usual uplinks, when the router answers from the address of one and `main` leads to the client
/// by another, then the answer gets the mark of its connection; on the uplink's own interface it does
/// not need it. Twins are at home on both.
#[test]
fn a_reply_that_main_leads_astray_gets_its_mark_back() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    let text = |config: &Config| chains(config, &facts(config, &[0]), &["own"]);
    let wanted = [
        "    ip saddr 100.64.1.2 oifname != { \"wan1\", \"lo\" } meta mark and",
        "    ip saddr 100.64.2.2 oifname != { \"wan2\", \"lo\" } meta mark and",
    ];
    let found = text(&config);
    assert!(wanted.iter().all(|rule| found.contains(rule)), "{found}");
    config.firewall.mode = FirewallMode::External;
    let rules = external::iptables(&config, &Saved::default(), Family::V4);
    assert!(rules.contains("-A rail-own-wan -o wan1 -s 100.64.1.2 -j RETURN\n"), "{rules}");
    assert!(!rules.contains("-A rail-own-wan -s "), "{rules}");
    config.firewall.mode = FirewallMode::Basic;
    config.uplinks[1].fixed_mut().unwrap().address = config.uplinks[0].address().unwrap();
    let found = text(&config);
    let twins = "    ip saddr 100.64.1.2 oifname != { \"wan1\", \"wan2\", \"lo\" } meta mark and";
    assert_eq!(found.matches(twins).count(), 1, "{found}");
    assert_eq!(found.matches("oifname != { \"wan3\", \"lo\" }").count(), 1, "{found}");
}

/// Given usual uplinks, two of them on one port, when a host inside answers a neighbour of an uplink,
/// or its gateway, then the answer leaves as it is; by a gateway it does not.
#[test]
fn replies_to_neighbours_leave_untranslated() {
    let mut config = config(&[(1, Tier::Number(1)); 3]);
    on_one_port(&mut config);
    let text = chains(&config, &facts(&config, &[0]), &["foreign_source"]);
    let reply = "ct direction reply ct mark and 0x7f000000 == 0x00000000";
    let wanted = [
        ("wan3", "ip daddr 100.64.3.1"),
        ("wan3", "rt ip nexthop != 100.64.3.1"),
        ("wan1", "ip daddr { 100.64.1.1, 100.64.1.254 }"),
        ("wan1", "rt ip nexthop != { 100.64.1.1, 100.64.1.254 }"),
    ];
    let end = text.find("ct mark set").unwrap();
    for (ifname, there) in wanted {
        let rule = alloc::format!("    oifname \"{ifname}\" {reply} {there} accept\n");
        assert!(text.find(&rule).is_some_and(|at| at < end), "{rule}{text}");
        assert_eq!(text.matches(&rule).count(), 1, "{text}");
    }
    config.firewall.mode = FirewallMode::External;
    let rules = external::iptables(&config, &Saved::default(), Family::V4);
    let neighbours = "-A rail-out-wan3 -d 100.64.3.0/24 -m conntrack --ctdir REPLY \
                      -m connmark --mark 0x0/0x7f000000 -j RETURN\n";
    assert!(rules.contains(neighbours), "{rules}");
}
