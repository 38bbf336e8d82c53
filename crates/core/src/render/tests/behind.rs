//! Rules of others that stand behind ours.

use super::*;
use crate::render::behind::copies;
use crate::state::{ObservedRule, Rule};

/// Given rules of others, then those behind ours that pick out few are copied before `main`, in their
/// order; one before ours, one for a network, one of a set, one for a device, one for an address of the
/// router, one with host bits, the kernel's and ours are not. Beside one that is not known none is.
#[test]
fn rules_behind_ours_that_pick_out_few_are_copied() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let rule = |priority, from: Option<&str>, fwmark, table| Rule {
        from: from.map(|from| from.parse().unwrap()),
        fwmark,
        ..Rule::lookup(priority, Family::V4, table)
    };
    let bound =
        Rule { oif: Some("vpn0".parse().unwrap()), ..rule(32_762, None, Some((1, 1)), 102) };
    let of_lan = Rule {
        iif: Some("lan0".parse().unwrap()),
        ..rule(32_756, Some("192.168.1.16/32"), None, 100)
    };
    let far = Rule { to: Some("10.8.0.0/16".parse().unwrap()), ..rule(32_763, None, None, 103) };
    let theirs = [
        rule(32_765, Some("192.168.1.11/32"), None, 100),
        rule(32_764, None, Some((1, 1)), 101),
        far,
        bound,
        of_lan,
        rule(32_755, Some("198.51.100.2/32"), None, 100),
        rule(32_754, Some("10.5.0.9/29"), None, 100),
        rule(32_753, Some("192.168.1.15/32"), None, 100),
        Rule { suppress_prefixlength: Some(0), ..rule(32_752, Some("192.168.1.15/32"), None, 254) },
        rule(100, Some("192.168.1.12/32"), None, 100),
        rule(32_761, Some("192.168.1.0/24"), None, 100),
        rule(32_760, Some("192.168.0.0/16"), None, 100),
        rule(32_759, None, Some((0x0100_0000, 0x7f00_0000)), 100),
        rule(32_758, Some("192.168.1.13/32"), None, 254),
        rule(32_766, None, None, 254),
    ];
    let observed = |rule: &Rule| ObservedRule {
        rule: Some(rule.clone()),
        priority: rule.priority,
        family: Family::V4,
        protocol: 3,
    };
    let mut rules: Vec<_> = theirs.iter().map(observed).collect();
    let ours = rule(32_757, Some("192.168.1.14/32"), None, 100);
    rules.push(ObservedRule { protocol: crate::state::PROTOCOL, ..observed(&ours) });
    let own = ["192.168.1.1/24", "198.51.100.2/24"].map(|text| text.parse().unwrap());
    let unknown = ObservedRule { rule: None, ..observed(&rule(32_750, None, None, 100)) };
    let with_unknown: Vec<_> = rules.iter().cloned().chain([unknown]).collect();
    assert_eq!(copies(&config, &with_unknown, &own), []);
    let copies = copies(&config, &rules, &own);
    let expected = [
        "20230: from all to 10.8.0.0/16 lookup 103",
        "20231: from all fwmark 0x1/0x1 lookup 101",
        "20232: from 192.168.1.11/32 lookup 100",
    ];
    assert_eq!(copies.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    let mut facts = facts(&config, &[0]);
    facts.system.copies.clone_from(&copies);
    let state = render(&config, &facts);
    assert!(copies.into_iter().all(|copy| state.contains_key(&Key::Rule(copy))));
}
