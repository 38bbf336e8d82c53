//! Rules of others that stand behind ours.

use super::*;
use crate::render::behind::copies;
use crate::state::{ObservedRule, Rule};

/// Given rules of others, then those behind ours that pick out few are copied before `main`, in their
/// order; one before ours, one for a whole network, one for a device, the kernel's and ours are not.
#[test]
fn rules_behind_ours_that_pick_out_few_are_copied() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let rule = |priority, from: Option<&str>, fwmark, table| Rule {
        priority,
        family: Family::V4,
        from: from.map(|from| from.parse().unwrap()),
        to: None,
        iif: None,
        oif: None,
        fwmark,
        table,
        suppress_prefixlength: None,
    };
    let bound =
        Rule { oif: Some("vpn0".parse().unwrap()), ..rule(32_762, None, Some((1, 1)), 102) };
    let far = Rule { to: Some("10.8.0.0/16".parse().unwrap()), ..rule(32_763, None, None, 103) };
    let theirs = [
        rule(32_765, Some("192.168.1.11/32"), None, 100),
        rule(32_764, None, Some((1, 1)), 101),
        far,
        bound,
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
    let copies = copies(&config, &rules, &["192.168.1.0/24".parse().unwrap()]);
    let expected = [
        "20230: from all to 10.8.0.0/16 lookup 103",
        "20231: from all fwmark 0x1/0x1 lookup 101",
        "20232: from 192.168.1.11/32 lookup 100",
    ];
    assert_eq!(copies.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    let facts = Facts { copies: copies.clone(), ..facts(&config, &[0]) };
    let state = render(&config, &facts);
    assert!(copies.into_iter().all(|copy| state.contains_key(&Key::Rule(copy))));
}
