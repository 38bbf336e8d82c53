//! What waits, and what does not, while the rules that stand are older than the wanted ones.

use super::*;
use crate::net::{Family, Prefix};
use crate::state::table::MAIN;
use crate::state::{
    Chain, Firewall, MainDefault, ObservedFirewall, ObservedRoute, ObservedRule, PROTOCOL, Refused,
    RouteKey, Rule, Scope,
};
use alloc::vec;

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// Rules that are to change.
fn bench() -> (State, Observed) {
    let chain = Chain { name: "new".into(), base: None, rules: vec!["drop".into()] };
    let desired = State::from([
        (Key::Firewall, Resource::Firewall(Firewall::new(vec![chain], BTreeMap::new()))),
        (Key::Buckets, Resource::Buckets(BTreeMap::new())),
    ]);
    let buckets = Some(BTreeMap::new());
    let firewall = Some(ObservedFirewall { buckets, ..ObservedFirewall::default() });
    (desired, Observed { firewall, ..Observed::default() })
}

fn stand(observed: &mut Observed, rules: &[Rule]) {
    observed.rules = rules
        .iter()
        .map(|rule| ObservedRule {
            rule: Some(rule.clone()),
            priority: rule.priority,
            family: rule.family,
            protocol: PROTOCOL,
        })
        .collect();
}

fn keys(engine: &mut Engine, desired: &State, observed: &Observed) -> Vec<Key> {
    let plan = engine.plan(NOW, desired, observed, &mut Vec::new());
    plan.into_iter().map(|step| step.key).collect()
}

fn answer(engine: &mut Engine, key: &Key, is_refused: bool) {
    let error = OpError { errno: 1, text: "refused".into() };
    let result = if is_refused { Err(error) } else { Ok(()) };
    engine.applied(NOW, key, result, &mut Vec::new());
    engine.observed(Scope::ALL);
}

/// Given rules that the kernel refuses, when an address, a mark and its table are not wanted any more,
/// then they stay as long as it refuses, and what no rule of nftables needs goes at once.
#[test]
fn what_refused_rules_would_replace_stays() {
    let (desired, mut observed) = bench();
    let marked = Rule { fwmark: Some((1, 0xff)), ..Rule::lookup(20_100, Family::V4, 20_001) };
    let source = Rule {
        from: Some("192.0.2.1/32".parse().unwrap()),
        ..Rule::lookup(20_300, Family::V4, 20_001)
    };
    let copy = Rule { to: source.from, ..Rule::lookup(20_230, Family::V4, 100) };
    stand(&mut observed, &[marked.clone(), source.clone(), copy.clone()]);
    let route = |table| RouteKey { table, prefix: Prefix::default_route(Family::V4), metric: 0 };
    for table in [20_000, 20_001] {
        let value = Some(RouteValue::Unreachable);
        let have = ObservedRoute { value, protocol: PROTOCOL, dead: false };
        observed.routes.insert(route(table), have);
    }
    let (ifname, prefix) = ("wan1".parse().unwrap(), "192.0.2.1/24".parse().unwrap());
    let owner = crate::state::Ownership::Ours;
    observed.addresses.insert((ifname, prefix), owner);
    let link = crate::state::Link {
        index: 1,
        up: true,
        carrier: true,
        mtu: 1500,
        ..crate::state::Link::default()
    };
    observed.links.insert(ifname, link);
    let mut engine = Engine::default();
    let address = Key::Address { ifname, prefix };
    engine.memory.addresses.insert((ifname, prefix));
    assert_eq!(keys(&mut engine, &desired, &observed), [Key::Firewall]);
    answer(&mut engine, &Key::Firewall, true);
    let mut free = keys(&mut engine, &desired, &observed);
    free.sort();
    let mut expected = vec![Key::Rule(copy), Key::Route(route(20_000))];
    expected.sort();
    assert_eq!(free, expected);
    let firewall = observed.firewall.as_mut().unwrap();
    let rule =
        crate::state::ObservedNftRule { handle: 1, stamp: Some(firewall::stamp("new", "drop")) };
    let chain = crate::state::ObservedChain { rules: vec![rule], ..Default::default() };
    firewall.chains.insert("new".into(), chain);
    let mut engine = Engine { memory: engine.memory, ..Engine::default() };
    let all = keys(&mut engine, &desired, &observed);
    for key in [Key::Rule(marked), Key::Rule(source), Key::Route(route(20_001)), address] {
        assert!(all.contains(&key), "{key}");
    }
}

/// Given rules that are being changed, or that are refused, when `main` gets an error route for
/// everything, then the rung that meets it goes as soon as those for its networks are there. It comes
/// back beside them when `main` can be passed again; while it cannot, only after the rules.
#[test]
fn the_rung_of_main_waits_for_its_own_kind() {
    for is_refused in [false, true] {
        let (mut desired, mut observed) = bench();
        let all = Rule { suppress_prefixlength: Some(0), ..Rule::lookup(20_250, Family::V4, MAIN) };
        let to = Some("192.0.2.0/24".parse().unwrap());
        let one = Rule { to, priority: 20_251, ..all.clone() };
        let [all_key, one_key] = [Key::Rule(all.clone()), Key::Rule(one.clone())];
        stand(&mut observed, core::slice::from_ref(&all));
        desired.insert(all_key.clone(), Resource::Rule);
        let mut engine = Engine::default();
        assert_eq!(keys(&mut engine, &desired, &observed), [Key::Firewall]);
        if is_refused {
            answer(&mut engine, &Key::Firewall, true);
        }
        desired.remove(&all_key);
        desired.insert(one_key.clone(), Resource::Rule);
        let refused = Refused { networks: Vec::new(), is_whole: true };
        observed.main = MainDefault::Refuses { others: None, refused };
        assert_eq!(keys(&mut engine, &desired, &observed), core::slice::from_ref(&one_key));
        answer(&mut engine, &one_key, false);
        stand(&mut observed, &[all.clone(), one.clone()]);
        assert_eq!(keys(&mut engine, &desired, &observed), core::slice::from_ref(&all_key));
        answer(&mut engine, &all_key, false);
        stand(&mut observed, &[one]);
        desired.remove(&one_key);
        desired.insert(all_key.clone(), Resource::Rule);
        assert_eq!(keys(&mut engine, &desired, &observed), []);
        observed.main = MainDefault::Passable;
        assert_eq!(keys(&mut engine, &desired, &observed), [all_key]);
    }
}
