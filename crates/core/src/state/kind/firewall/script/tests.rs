//! Golden transactions, and the promise about the rules of others.

use super::*;
use crate::state::ObservedNftRule;

fn desired() -> Firewall {
    let base = Base { kind: ChainKind::Filter, hook: Hook::Forward, priority: 0 };
    let rules = vec![
        "ct status assured accept".into(),
        "iifname \"wan1\" goto other".into(),
        "accept".into(),
    ];
    Firewall {
        chains: vec![
            Chain { name: "other".into(), base: None, rules: vec!["drop".into()] },
            Chain { name: "forward".into(), base: Some(base), rules },
        ],
        ..Firewall::default()
    }
}

/// The table as the kernel shows it after `desired`; handles count from 1.
fn in_place() -> ObservedFirewall {
    let mut handle = 0;
    let mut chains = BTreeMap::new();
    for chain in desired().chains {
        let rules = chain.rules.iter().map(|rule| {
            handle += 1;
            ObservedNftRule { handle, stamp: Some(stamp(&chain.name, rule)) }
        });
        chains.insert(
            chain.name.clone(),
            ObservedChain { base: chain.base, rules: rules.collect(), drops: false },
        );
    }
    ObservedFirewall { chains, buckets: Some(BTreeMap::new()), dormant: false }
}

/// Given no table, then all of it is made, chains before the rules that jump to them.
#[test]
fn from_nothing() {
    let expected = "\
add table inet rail
add map inet rail slots { typeof numgen inc mod 65536 : meta mark; size 4096; }
add chain inet rail other
add chain inet rail forward { type filter hook forward priority 0; policy accept; }
add rule inet rail other drop comment \"rail:e2bca0fbc64ae9d3\"
add rule inet rail forward ct status assured accept comment \"rail:2fae5c6d9b64a1d1\"
add rule inet rail forward iifname \"wan1\" goto other comment \"rail:d9ee4c5d8c23f3ea\"
add rule inet rail forward accept comment \"rail:5a0d0c9fd2c2b8c9\"
";
    let text = script(&desired(), None).unwrap();
    let strip = |text: &str| -> Vec<String> {
        text.lines().map(|l| l.split(" comment ").next().unwrap().into()).collect()
    };
    assert_eq!(strip(&text), strip(expected));
    let stamp = stamp("forward", "accept");
    assert!(
        text.contains(&format!("add rule inet rail forward accept comment \"rail:{stamp:016x}\""))
    );
}

/// Given what we want, then there is nothing to do.
#[test]
fn nothing_to_do() {
    assert_eq!(script(&desired(), Some(&in_place())), None);
}

/// Given one rule of ours gone, then it goes back to its place.
#[test]
fn a_deleted_rule_returns_to_its_place() {
    let mut have = in_place();
    have.chains.get_mut("forward").unwrap().rules.remove(1);
    let text = script(&desired(), Some(&have)).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.starts_with("insert rule inet rail forward position 4 iifname \"wan1\" goto other")
    );
}

/// Given foreign rules anywhere in our chains, then they are neither touched nor a reason to act.
#[test]
fn foreign_rules_stay() {
    let mut have = in_place();
    let foreign = ObservedNftRule { handle: 99, stamp: None };
    for at in [0, 2, 5] {
        have.chains.get_mut("forward").unwrap().rules.insert(at, foreign);
    }
    assert_eq!(script(&desired(), Some(&have)), None);
    let text = removal(NFT_TABLE, &have);
    assert!(!text.contains("99") && !text.contains("delete table"));
    assert!(has_ours(&have));
}

/// Given rules of ours in the wrong order, then only the misplaced one moves.
#[test]
fn order_is_mended() {
    let mut have = in_place();
    have.chains.get_mut("forward").unwrap().rules.swap(0, 1);
    let text = script(&desired(), Some(&have)).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

/// Given a chain of ours that is no longer wanted, then it goes, unless somebody has a rule in it.
#[test]
fn surplus_chains_go() {
    let mut have = in_place();
    let mine = ObservedNftRule { handle: 50, stamp: Some(7) };
    let old = ObservedChain { rules: vec![mine], ..ObservedChain::default() };
    have.chains.insert("old".into(), old);
    let expected = "delete rule inet rail old handle 50\ndelete chain inet rail old\n";
    assert_eq!(script(&desired(), Some(&have)).as_deref(), Some(expected));
    have.chains.get_mut("old").unwrap().rules.push(ObservedNftRule { handle: 51, stamp: None });
    let expected = "delete rule inet rail old handle 50\n";
    assert_eq!(script(&desired(), Some(&have)).as_deref(), Some(expected));
}

/// Given a chain without rules that we do not know, then it may be somebody's and stays; so does
/// an old one of ours while others have rules that may jump to it.
#[test]
fn chains_of_others_stay() {
    let mut have = in_place();
    have.chains.insert("guest".into(), ObservedChain::default());
    assert_eq!(script(&desired(), Some(&have)), None);
    let mine = ObservedNftRule { handle: 50, stamp: Some(7) };
    let old = ObservedChain { rules: vec![mine], ..ObservedChain::default() };
    have.chains.insert("old".into(), old);
    let jump = ObservedNftRule { handle: 51, stamp: None };
    have.chains.get_mut("guest").unwrap().rules.push(jump);
    let expected = "delete rule inet rail old handle 50\n";
    assert_eq!(script(&desired(), Some(&have)).as_deref(), Some(expected));
}

/// Given a table switched off, or a chain that drops what no rule wants, then that is undone and
/// nothing else is touched.
#[test]
fn switches_are_set_back() {
    let mut have = in_place();
    have.dormant = true;
    assert_eq!(script(&desired(), Some(&have)).as_deref(), Some("add table inet rail\n"));
    have.dormant = false;
    have.chains.get_mut("forward").unwrap().drops = true;
    let expected = "add chain inet rail forward { policy accept; }\n";
    assert_eq!(script(&desired(), Some(&have)).as_deref(), Some(expected));
}

/// Given buckets that changed, then only these are named.
#[test]
fn buckets_differ() {
    let want = BTreeMap::from([(0, 1), (1, 2), (2, 2)]);
    let have = BTreeMap::from([(0, 1), (1, 1), (3, 3)]);
    let delta = buckets_delta(&want, Some(&have));
    assert_eq!(delta, (vec![(1, 1), (3, 3)], vec![(1, 2), (2, 2)]));
    assert_eq!(buckets_delta(&want, None).1.len(), 3);
}

/// Given three thousand rules, when they are equal, then nothing is compared twice; when one of them
/// is missing, new or another one, then the table that is searched has a single row or column.
#[test]
fn what_is_equal_at_both_ends_is_not_searched() {
    let wanted: Vec<u64> = (0..3000).collect();
    let ours: Vec<(u64, u64)> = (0..3000).map(|n| (n, n + 10)).collect();
    assert_eq!(equal_ends(&wanted, &ours), (3000, 0));
    assert!(common(&wanted, &ours).iter().enumerate().all(|(i, kept)| *kept == Some(i)));
    let mut fewer = ours.clone();
    fewer.remove(700);
    assert_eq!(equal_ends(&wanted, &fewer), (700, 2299));
    let kept = common(&wanted, &fewer);
    assert_eq!(
        (kept[699], kept[700], kept[701], kept[2999]),
        (Some(699), None, Some(700), Some(2998))
    );
    let mut other = ours;
    other[5].0 = 9999;
    assert_eq!(equal_ends(&wanted, &other), (5, 2994));
    assert_eq!(common(&wanted, &other)[4..7], [Some(4), None, Some(6)]);
    // Rules of the same text are no trap: what is equal at the begin is not taken again at the end.
    assert_eq!(common(&[1, 1], &[(1, 7)]), [Some(0), None]);
    assert_eq!(common(&[1], &[(1, 7), (1, 8)]), [Some(0)]);
}
