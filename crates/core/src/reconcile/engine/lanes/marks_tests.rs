//! What the engine takes for a mark that the rules know.

use super::*;
use crate::config::Nat;
use crate::state::{
    Base, Chain, ChainKind, Firewall, Hook, ObservedChain, ObservedFirewall, ObservedNftRule,
    OpError, Scope, Sender,
};
use crate::time::Duration;
use alloc::format;
use alloc::string::String;
use alloc::vec;

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// As the renderer writes them: what restores the mark of any uplink, and for each uplink its own.
fn rules(sources: &[(u32, &str)]) -> Firewall {
    let element = |(id, _): &(u32, &str)| format!("{id:#010x} : goto mark_isp{id}");
    let elements: Vec<String> = sources.iter().map(element).collect();
    let restore = format!("ct mark vmap {{ {} }}", elements.join(", "));
    let own = |(id, source): &(u32, &str)| {
        format!("oifname \"wan{id}\" ct mark set {id:#010x} snat ip to {source}")
    };
    let base = Base { kind: ChainKind::Nat, hook: Hook::Prerouting, priority: 0 };
    let plain = |name: &str, rules| Chain { name: name.into(), base: None, rules };
    let mut chains = vec![
        Chain { name: "restore".into(), base: Some(base), rules: vec![restore] },
        plain("translate", sources.iter().map(own).collect()),
    ];
    let mark = |(id, _): &(u32, &str)| {
        plain(&format!("mark_isp{id}"), vec![format!("meta mark set {id:#010x}")])
    };
    chains.extend(sources.iter().map(mark));
    let sender = |(id, source): &(u32, &str)| {
        let sender = Sender {
            ifname: format!("wan{id}").parse().unwrap(),
            gateway: Some("192.0.2.254".parse().unwrap()),
            address: source.parse().unwrap(),
            nat: Nat::On,
            mask: 0xff,
            own: Vec::new(),
            exempt: Vec::new(),
        };
        (*id, sender)
    };
    Firewall::new(chains, sources.iter().map(sender).collect())
}

/// The same, with exemptions of the second uplink, whose packets keep their source.
fn exempting(destinations: &[&str]) -> Firewall {
    let Firewall { mut chains, mut senders, .. } = rules(&[(1, "192.0.2.1"), (2, "192.0.2.2")]);
    let there = destinations.join(", ");
    let rule = format!("oifname \"wan2\" ip daddr {{ {there} }} ct mark set 0x00000002 accept");
    chains[1].rules.extend((!there.is_empty()).then_some(rule));
    let sender = senders.get_mut(&2).unwrap();
    sender.exempt = destinations.iter().map(|there| there.parse().unwrap()).collect();
    Firewall::new(chains, senders)
}

/// A kernel that has these rules, and buckets of the first uplink alone.
fn kernel(rules: &Firewall) -> Observed {
    let chains = rules.chains.iter().map(|chain| {
        let stamped = (1..).zip(&chain.rules).map(|(handle, text)| {
            let stamp = Some(firewall::stamp(&chain.name, text));
            ObservedNftRule { handle, stamp }
        });
        let there = ObservedChain {
            base: chain.base,
            rules: stamped.collect(),
            ..ObservedChain::default()
        };
        (chain.name.clone(), there)
    });
    let buckets = Some(BTreeMap::from([(0, 1)]));
    let table = ObservedFirewall { chains: chains.collect(), buckets, dormant: false };
    Observed { firewall: Some(table), ..Observed::default() }
}

/// Given two uplinks in the kernel, the first with all buckets, and rules that are to change and that
/// run, or are refused, when the first uplink dies, then another one takes its buckets if the rules
/// know it, whatever happens to the others.
#[test]
fn a_standby_needs_the_rules_of_its_own_mark() {
    type Rows<'a> = (&'a str, &'a [(u32, &'a str)], u32, bool);
    let old: &[(u32, &str)] = &[(1, "192.0.2.1"), (2, "192.0.2.2")];
    let table: &[Rows<'_>] = &[
        ("one more uplink", &[old[0], old[1], (3, "192.0.2.3")], 2, true),
        ("one uplink less", &[old[1]], 2, true),
        ("another address of the dead one", &[(1, "192.0.2.9"), old[1]], 2, true),
        ("another address of its own", &[old[0], (2, "192.0.2.9")], 2, false),
        ("the uplink that is new", &[old[0], old[1], (3, "192.0.2.3")], 3, false),
    ];
    for (what, new, heir, moves) in table {
        for is_refused in [false, true] {
            let observed = kernel(&rules(old));
            let mut engine = Engine::default();
            let mut desired = State::from([
                (Key::Firewall, Resource::Firewall(rules(new))),
                (Key::Buckets, Resource::Buckets(BTreeMap::from([(0, 1)]))),
            ]);
            let first = engine.plan(NOW, &desired, &observed, &mut Vec::new());
            assert!(first.iter().all(|step| step.key == Key::Firewall), "{what}: {first:?}");
            if is_refused {
                let error = OpError { errno: 1, text: "refused".into() };
                engine.applied(NOW, &Key::Firewall, Err(error), &mut Vec::new());
                engine.observed(Scope::FIREWALL);
            }
            desired.insert(Key::Buckets, Resource::Buckets(BTreeMap::from([(0, *heir)])));
            let plan = engine.plan(NOW, &desired, &observed, &mut Vec::new());
            let keys: Vec<&Key> = plan.iter().map(|step| &step.key).collect();
            let expected = if *moves { vec![&Key::Buckets] } else { vec![] };
            assert_eq!(keys, expected, "{what}, refused: {is_refused}");
        }
    }
}

/// Given two uplinks with buckets, and a transaction that runs while a newer one is wanted for the second,
/// when the first dies, then the second takes its buckets, for it has some already.
#[test]
fn one_that_has_buckets_takes_more_whatever_is_wanted_of_it() {
    let buckets =
        |marks: [u32; 2]| Resource::Buckets(BTreeMap::from([(0, marks[0]), (1, marks[1])]));
    let first = "192.0.2.1";
    let mut observed = kernel(&rules(&[(1, first), (2, "192.0.2.2")]));
    observed.firewall.as_mut().unwrap().buckets = Some(BTreeMap::from([(0, 1), (1, 2)]));
    let wanted = |second| Resource::Firewall(rules(&[(1, first), (2, second)]));
    let mut desired =
        State::from([(Key::Firewall, wanted("192.0.2.3")), (Key::Buckets, buckets([1, 2]))]);
    let mut engine = Engine::default();
    let plan = engine.plan(NOW, &desired, &observed, &mut Vec::new());
    assert!(plan.iter().all(|step| step.key == Key::Firewall) && !plan.is_empty(), "{plan:?}");
    desired.insert(Key::Firewall, wanted("192.0.2.4"));
    desired.insert(Key::Buckets, buckets([2, 2]));
    let plan = engine.plan(NOW, &desired, &observed, &mut Vec::new());
    let keys: Vec<&Key> = plan.iter().map(|step| &step.key).collect();
    assert_eq!(keys, [&Key::Buckets], "{plan:?}");
}

/// Given a standby whose own rules are to change and that run, or are refused, when the first uplink
/// dies, then the standby takes its buckets by the rules that stand, if they let out nothing that the
/// wanted ones would not; but not if they are damaged.
#[test]
fn a_standby_serves_by_its_older_rules() {
    let moved = |source| rules(&[(1, "192.0.2.1"), (2, source)]);
    let table: &[(Firewall, Firewall, bool)] = &[
        (exempting(&[]), exempting(&["10.0.0.0/8"]), true),
        (exempting(&["10.0.0.0/8"]), exempting(&["10.0.0.0/8", "172.16.0.0/12"]), true),
        (exempting(&["10.0.0.0/8"]), exempting(&["172.16.0.0/12"]), false),
        (moved("192.0.2.2"), moved("192.0.2.9"), false),
        (rules(&[(1, "192.0.2.1")]), moved("192.0.2.2"), false),
    ];
    for (row, (old, new, serves)) in table.iter().enumerate() {
        for (is_refused, is_damaged) in [(false, false), (true, false), (false, true)] {
            let mut observed = kernel(old);
            let buckets = |mark| Resource::Buckets(BTreeMap::from([(0, mark)]));
            let mut desired = State::from([
                (Key::Firewall, Resource::Firewall(old.clone())),
                (Key::Buckets, buckets(1)),
            ]);
            let mut engine = Engine::default();
            let plan = |engine: &mut Engine, desired: &State, observed: &Observed| {
                let plan = engine.plan(NOW, desired, observed, &mut Vec::new());
                plan.into_iter().map(|step| step.key).collect::<Vec<Key>>()
            };
            assert_eq!(plan(&mut engine, &desired, &observed), []);
            desired.insert(Key::Firewall, Resource::Firewall(new.clone()));
            assert_eq!(plan(&mut engine, &desired, &observed), [Key::Firewall]);
            if is_refused {
                let error = OpError { errno: 1, text: "refused".into() };
                engine.applied(NOW, &Key::Firewall, Err(error), &mut Vec::new());
                engine.observed(Scope::FIREWALL);
            }
            if is_damaged && old.senders.contains_key(&2) {
                let table = observed.firewall.as_mut().unwrap();
                table.chains.get_mut("translate").unwrap().rules.remove(1);
            }
            desired.insert(Key::Buckets, buckets(2));
            let expected = if *serves && !is_damaged { vec![Key::Buckets] } else { vec![] };
            assert_eq!(engine.knows(2, &desired, &observed), *serves && !is_damaged);
            assert_eq!(plan(&mut engine, &desired, &observed), expected, "row {row}");
        }
    }
}

/// Given rules that were never seen in place as wanted, for the wish went on while they were made, by a
/// transaction that succeeded, or that failed after the kernel had taken it, when many others are refused
/// after it, and the first uplink dies during the next one, then the standby serves by them.
#[test]
fn rules_that_were_overtaken_by_a_newer_wish_serve() {
    for (does_fail, refused) in [(false, 1), (false, 20), (true, 1), (true, 20)] {
        let networks: Vec<String> = (0..=24).map(|i| format!("10.{i}.0.0/16")).collect();
        let wishes: Vec<Firewall> = (1..=24)
            .map(|count| {
                exempting(&networks[..count].iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        let mut engine = Engine::default();
        let mut observed = kernel(&wishes[0]);
        let buckets = |mark| Resource::Buckets(BTreeMap::from([(0, mark)]));
        let mut desired = State::from([(Key::Buckets, buckets(1))]);
        let wish = |desired: &mut State, at: usize| {
            desired.insert(Key::Firewall, Resource::Firewall(wishes[at].clone()));
        };
        let refusal = || OpError { errno: 0, text: "nft: exit 1".into() };
        wish(&mut desired, 0);
        assert!(engine.plan(NOW, &desired, &observed, &mut Vec::new()).is_empty());
        let mut now = NOW;
        for at in 1..=refused + 1 {
            wish(&mut desired, at);
            assert_eq!(engine.plan(now, &desired, &observed, &mut Vec::new()).len(), 1);
            wish(&mut desired, at + 1);
            let is_first = at == 1;
            if is_first {
                observed.firewall = kernel(&wishes[1]).firewall;
            }
            let result = if is_first && !does_fail { Ok(()) } else { Err(refusal()) };
            engine.applied(now, &Key::Firewall, result, &mut Vec::new());
            engine.observed(Scope::FIREWALL);
            now = now + Duration::from_secs(100);
        }
        assert_eq!(engine.plan(now, &desired, &observed, &mut Vec::new()).len(), 1);
        desired.insert(Key::Buckets, buckets(2));
        let plan = engine.plan(now, &desired, &observed, &mut Vec::new());
        assert!(matches!(plan.as_slice(), [Step { key: Key::Buckets, .. }]), "{refused}: {plan:?}");
    }
}

/// Given a standby that the file, or a command, takes out and brings back with one exemption more, while
/// nft refuses both or hangs, when the first uplink dies, then the standby serves by the rules of before;
/// and so it does by rules that the kernel has taken while the child that made them hangs.
#[test]
fn a_standby_that_was_out_serves_by_its_older_rules() {
    let alone = rules(&[(1, "192.0.2.1")]);
    let [before, after] = [1, 2].map(|count| exempting(&["10.0.0.0/8", "172.16.0.0/12"][..count]));
    let buckets = |mark| Resource::Buckets(BTreeMap::from([(0, mark)]));
    let wish = |rules: &Firewall, mark| {
        let rules = Resource::Firewall(rules.clone());
        State::from([(Key::Firewall, rules), (Key::Buckets, buckets(mark))])
    };
    let mut news = Vec::new();
    let mut observed = kernel(&before);
    let mut engine = Engine::default();
    assert!(engine.plan(NOW, &wish(&before, 1), &observed, &mut news).is_empty());
    let refusal = || Err(OpError { errno: 0, text: "nft: exit 1".into() });
    let mut now = NOW;
    for rules in [&alone, &after] {
        assert_eq!(engine.plan(now, &wish(rules, 1), &observed, &mut news).len(), 1);
        engine.applied(now, &Key::Firewall, refusal(), &mut news);
        engine.observed(Scope::FIREWALL);
        now = now + Duration::from_secs(100);
    }
    assert!(engine.knows(2, &wish(&after, 2), &observed), "nft refuses");
    assert_eq!(engine.plan(now, &wish(&after, 1), &observed, &mut news).len(), 1);
    assert!(engine.knows(2, &wish(&after, 2), &observed), "nft hangs");
    observed.firewall = kernel(&after).firewall;
    let more = exempting(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
    assert!(engine.knows(2, &wish(&more, 2), &observed), "nft hangs, and has made it");
}

/// Given older rules all of which are among those that stand now, which let out more, then the latter
/// decide whether a standby may serve while others are wanted, also if those all stand, as a part of them.
#[test]
fn rules_that_let_out_more_decide() {
    let mut news = Vec::new();
    let wish = |rules: &Firewall| State::from([(Key::Firewall, Resource::Firewall(rules.clone()))]);
    let [less, more] = [exempting(&[]), exempting(&["10.0.0.0/8"])];
    let mut engine = Engine::default();
    assert!(engine.plan(NOW, &wish(&less), &kernel(&less), &mut news).is_empty());
    assert_eq!(engine.plan(NOW, &wish(&more), &kernel(&less), &mut news).len(), 1);
    engine.applied(NOW, &Key::Firewall, Ok(()), &mut news);
    engine.observed(Scope::FIREWALL);
    let observed = kernel(&more);
    assert!(engine.plan(NOW, &wish(&more), &observed, &mut news).is_empty());
    for (wanted, serves) in [
        (&["172.16.0.0/12"][..], false),
        (&[], false),
        (&["10.0.0.0/8", "172.16.0.0/12"], true),
        (&["10.0.0.0/8"], true),
    ] {
        assert_eq!(engine.knows(2, &wish(&exempting(wanted)), &observed), serves, "{wanted:?}");
    }
}

/// Given an uplink without a route, when it gets another address, then its route waits until no rule lets out the
/// address of before; that of another uplink does not.
#[test]
fn a_way_opens_when_the_source_of_before_is_closed() {
    let route = |n: u8| {
        let default = Prefix::default_route(crate::net::Family::V4);
        let key =
            crate::state::RouteKey { table: 20_000 + u32::from(n), prefix: default, metric: 0 };
        let ifname = format!("wan{n}").parse().unwrap();
        let hop = Nexthop { ifname, via: None, onlink: false, weight: 1 };
        let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
        (Key::Route(key), Resource::Route(value))
    };
    let wanted = |second| rules(&[(1, "192.0.2.1"), (2, second)]);
    let mut observed = kernel(&wanted("192.0.2.2"));
    for n in [1, 2] {
        let link = crate::state::Link { index: n, up: true, carrier: true, ..Default::default() };
        observed.links.insert(format!("wan{n}").parse().unwrap(), link);
    }
    let buckets = (Key::Buckets, Resource::Buckets(BTreeMap::from([(0, 1)])));
    let before = (Key::Firewall, Resource::Firewall(wanted("192.0.2.2")));
    let mut engine = Engine::default();
    let keys = |engine: &mut Engine, desired: &State, observed: &Observed| {
        let plan = engine.plan(NOW, desired, observed, &mut Vec::new());
        plan.into_iter().map(|step| step.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&mut engine, &State::from([before, buckets.clone()]), &observed), []);
    let after = (Key::Firewall, Resource::Firewall(wanted("192.0.2.3")));
    let desired = State::from([after, buckets, route(1), route(2)]);
    assert_eq!(keys(&mut engine, &desired, &observed), [route(1).0, Key::Firewall]);
    engine.applied(NOW, &Key::Firewall, Ok(()), &mut Vec::new());
    engine.observed(Scope::FIREWALL);
    let links = observed.links;
    let observed = Observed { links, ..kernel(&wanted("192.0.2.3")) };
    assert!(keys(&mut engine, &desired, &observed).contains(&route(2).0));
}
