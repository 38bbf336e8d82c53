//! The engine while an `nft` transaction runs.

use super::*;
use crate::net::{Family, Mac, Prefix};
use crate::notice::ReconcileNews;
use crate::state::{
    Chain, Firewall, Link, Macvlan, Nexthop, ObservedChain, ObservedFirewall, ObservedNftRule,
    ObservedRoute, OpError, Plan, RouteKey, RouteValue, Rule, Scope,
};
use crate::time::Duration;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);
const DRAW: &str = "meta mark set numgen inc mod 2 map @slots";
const KNOWN: [&str; 2] = ["to isp1 mark 0x00000001", "to isp2 mark 0x00000002"];

/// A desired state and a kernel that is equal to it but for one rule.
struct Bench {
    engine: Engine,
    desired: State,
    observed: Observed,
}

fn shared() -> RouteKey {
    RouteKey { table: 20000, prefix: Prefix::default_route(Family::V4), metric: 0 }
}

fn way(ifname: &str) -> RouteValue {
    let hop = Nexthop { ifname: ifname.parse().unwrap(), via: None, weight: 1, onlink: false };
    RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None }
}

fn firewall_with(rules: &[&str]) -> Resource {
    let rules = rules.iter().map(ToString::to_string).collect();
    let chain = Chain { name: "new".into(), base: None, rules };
    Resource::Firewall(Firewall::new(vec![chain], BTreeMap::new()))
}

fn buckets(marks: [u32; 2]) -> BTreeMap<u32, u32> {
    (0..).zip(marks).collect()
}

impl Bench {
    fn new() -> Self {
        let desired = State::from([
            (Key::Firewall, firewall_with(&[DRAW, KNOWN[0], KNOWN[1], "drop"])),
            (Key::Route(shared()), Resource::Route(way("wan1"))),
            (Key::Buckets, Resource::Buckets(buckets([1, 1]))),
        ]);
        let mut observed = Observed::default();
        let rule = |(i, text): (usize, &&str)| ObservedNftRule {
            handle: i as u64,
            stamp: Some(firewall::stamp("new", text)),
        };
        let rules = [DRAW, KNOWN[0], KNOWN[1]].iter().enumerate().map(rule).collect();
        let chain = ObservedChain { rules, ..ObservedChain::default() };
        observed.firewall = Some(ObservedFirewall {
            chains: BTreeMap::from([("new".into(), chain)]),
            buckets: Some(buckets([1, 1])),
            dormant: false,
        });
        let route = ObservedRoute { value: Some(way("wan1")), protocol: PROTOCOL, dead: false };
        observed.routes.insert(shared(), route);
        Self { engine: Engine::default(), desired, observed }
    }

    fn plan(&mut self) -> Plan {
        self.engine.plan(NOW, &self.desired, &self.observed, &mut Vec::new())
    }

    fn answer(&mut self, key: &Key) -> Scope {
        self.engine.applied(NOW, key, Ok(()), &mut Vec::new())
    }

    fn keys(&mut self) -> Vec<Key> {
        self.plan().into_iter().map(|step| step.key).collect()
    }

    /// The first uplink died.
    fn switch(&mut self, marks: [u32; 2]) {
        self.desired.insert(Key::Route(shared()), Resource::Route(way("wan2")));
        self.desired.insert(Key::Buckets, Resource::Buckets(buckets(marks)));
    }
}

/// Given a transaction that does not end, when the active set changes, then route and buckets change at
/// once and are known to be in place; when it ends, then it is read back before the next pass.
#[test]
fn a_switch_does_not_wait() {
    let mut bench = Bench::new();
    assert_eq!(bench.keys(), [Key::Firewall]);
    assert!(!bench.engine.is_busy() && bench.engine.is_in_transaction());
    assert!(bench.plan().is_empty() && bench.engine.deadline().is_none());
    assert!(!bench.engine.is_in_sync());
    bench.switch([2, 2]);
    assert_eq!(bench.keys(), [Key::Route(shared()), Key::Buckets]);
    assert!(bench.engine.is_busy());
    assert_eq!(bench.engine.awaiting(), Scope::ROUTES | Scope::FIREWALL);
    for key in [Key::Route(shared()), Key::Buckets] {
        assert_eq!(bench.answer(&key), Scope::NONE);
    }
    bench.observed.routes.get_mut(&shared()).unwrap().value = Some(way("wan2"));
    bench.observed.firewall.as_mut().unwrap().buckets = Some(buckets([2, 2]));
    bench.engine.observed(Scope::ROUTES | Scope::FIREWALL);
    assert!(bench.plan().is_empty() && !bench.engine.is_busy());
    assert!(bench.engine.is_in_place(&Key::Buckets, &Resource::Buckets(buckets([2, 2]))));
    assert_eq!(bench.answer(&Key::Firewall), Scope::FIREWALL);
    assert!(bench.engine.is_busy() && !bench.engine.is_in_transaction());
    bench.engine.observed(Scope::FIREWALL);
    assert!(!bench.engine.is_busy());
}

/// Given a mark that the rules do not know yet, or a number of buckets that they do not draw from, then
/// the buckets wait for the rules, and count as not in place.
#[test]
fn buckets_that_need_new_rules_wait() {
    let unknown = firewall_with(&[DRAW, KNOWN[0], KNOWN[1], "to isp3 mark 0x00000003"]);
    for (rules, wish) in [
        (unknown, Resource::Buckets(buckets([3, 3]))),
        (firewall_with(&["mod 3 map @slots"]), Resource::Buckets((0..3).map(|i| (i, 1)).collect())),
    ] {
        let mut bench = Bench::new();
        bench.desired.insert(Key::Firewall, rules);
        assert_eq!(bench.keys(), [Key::Firewall]);
        bench.desired.insert(Key::Buckets, wish.clone());
        assert!(bench.plan().is_empty());
        assert!(
            !bench.engine.is_in_place(&Key::Buckets, &wish) && bench.engine.deadline().is_none()
        );
    }
}

/// Given rules that are not as wanted, under way or refused, when a link of ours is to be made, then it waits
/// for them: it comes up at once.
#[test]
fn a_link_waits_for_the_rules_that_filter_it() {
    let mut bench = Bench::new();
    let (own, port) = ("isp2".parse().unwrap(), "wan1".parse().unwrap());
    let value = Macvlan { parent: port, mac: Mac([2, 0, 0, 0, 0, 2]) };
    bench.observed.links.insert(port, Link { index: 3, ..Link::default() });
    bench.desired.insert(Key::Link(own), Resource::Link(value));
    assert_eq!(bench.keys(), [Key::Firewall]);
    assert!(bench.plan().is_empty());
    bench.engine.applied(NOW, &Key::Firewall, Err(refusal(22)), &mut Vec::new());
    bench.engine.observed(Scope::FIREWALL);
    assert!(bench.plan().is_empty() && !bench.engine.is_in_sync());
    bench.desired.insert(Key::Firewall, firewall_with(&[DRAW, KNOWN[0], KNOWN[1]]));
    assert_eq!(bench.keys(), [Key::Link(own)]);
}

fn map(count: u32, mark: impl Fn(u32) -> u32) -> BTreeMap<u32, u32> {
    (0..count).map(|bucket| (bucket, mark(bucket))).collect()
}

fn refusal(errno: i32) -> OpError {
    OpError { errno, text: "File exists".into() }
}

/// Given a transaction that makes more buckets, or fewer, and does not end, when an uplink dies, then the
/// buckets that the rules draw from now leave it at once, and that counts as a switch; the transaction that
/// this overtook is not reported as refused, and is made anew at once.
#[test]
fn a_switch_moves_the_buckets_that_are_there() {
    for count in [1, 3] {
        let mut bench = Bench::new();
        let table = bench.observed.firewall.as_mut().unwrap();
        table.buckets = Some(buckets([1, 2]));
        let draw = format!("mod {count} map @slots");
        bench.desired.insert(Key::Firewall, firewall_with(&[&draw, KNOWN[0], KNOWN[1]]));
        bench.desired.insert(Key::Buckets, Resource::Buckets(map(count, |bucket| 1 + bucket % 2)));
        assert_eq!(bench.keys().last(), Some(&Key::Firewall));
        bench.answer(&Key::Buckets);
        bench.engine.observed(Scope::FIREWALL);
        let there = if count == 1 { buckets([1, 1]) } else { buckets([1, 2]) };
        bench.observed.firewall.as_mut().unwrap().buckets = Some(there.clone());
        bench.switch([2, 2]);
        bench.desired.insert(Key::Buckets, Resource::Buckets(map(count, |_| 2)));
        let plan = bench.plan();
        let [Step { key: Key::Route(_), .. }, Step { op: Op::Buckets { add, .. }, .. }] =
            plan.as_slice()
        else {
            panic!("{plan:?}")
        };
        let of_the_dead = there.iter().filter(|(_, mark)| **mark == 1);
        assert!(of_the_dead.map(|(bucket, _)| (*bucket, 2)).eq(add.iter().copied()), "{add:?}");
        for key in [Key::Route(shared()), Key::Buckets] {
            bench.answer(&key);
        }
        bench.observed.routes.get_mut(&shared()).unwrap().value = Some(way("wan2"));
        bench.observed.firewall.as_mut().unwrap().buckets = Some(buckets([2, 2]));
        bench.engine.observed(Scope::ROUTES | Scope::FIREWALL);
        assert!(bench.plan().is_empty() && bench.engine.has_moved());
        let mut news = Vec::new();
        bench.engine.applied(NOW, &Key::Firewall, Err(refusal(0)), &mut news);
        bench.engine.observed(Scope::FIREWALL);
        assert!(news.is_empty(), "{news:?}");
        assert_eq!(bench.keys(), [Key::Firewall]);
        bench.engine.applied(NOW, &Key::Firewall, Err(refusal(0)), &mut news);
        assert_eq!(news.len(), 1, "nothing overtook this one");
    }
}

/// Given a transaction that a switch overtook, when its child did not end in time, then that is reported.
#[test]
fn a_child_that_hangs_is_told_though_it_was_overtaken() {
    let mut bench = Bench::new();
    bench.desired.insert(Key::Firewall, firewall_with(&["mod 3 map @slots", KNOWN[0], KNOWN[1]]));
    bench.desired.insert(Key::Buckets, Resource::Buckets(map(3, |_| 1)));
    assert_eq!(bench.keys(), [Key::Firewall]);
    bench.desired.insert(Key::Buckets, Resource::Buckets(map(3, |_| 2)));
    assert_eq!(bench.keys(), [Key::Buckets]);
    let mut news = Vec::new();
    bench.engine.applied(NOW, &Key::Firewall, Err(refusal(110)), &mut news);
    assert!(
        matches!(news.as_slice(), [Notice::Reconcile(ReconcileNews::Refused { .. })]),
        "{news:?}"
    );
}

/// Given a transaction that makes other rules and buckets, when what was there is wanted again before it
/// ends, then nobody is accused of what it made, and it is made undone.
#[test]
fn what_a_transaction_made_is_nobody_elses_edit() {
    let mut bench = Bench::new();
    let old = (firewall_with(&[DRAW, KNOWN[0], KNOWN[1]]), Resource::Buckets(buckets([1, 1])));
    let new = ["mod 3 map @slots", KNOWN[0], KNOWN[1]];
    bench.desired.insert(Key::Firewall, old.0.clone());
    assert_eq!(bench.keys(), []);
    bench.desired.insert(Key::Firewall, firewall_with(&new));
    bench.desired.insert(Key::Buckets, Resource::Buckets(map(3, |_| 1)));
    assert_eq!(bench.keys(), [Key::Firewall]);
    bench.desired.insert(Key::Firewall, old.0);
    bench.desired.insert(Key::Buckets, old.1);
    assert_eq!(bench.keys(), []);
    bench.answer(&Key::Firewall);
    let table = bench.observed.firewall.as_mut().unwrap();
    table.buckets = Some(map(3, |_| 1));
    for (rule, text) in table.chains.get_mut("new").unwrap().rules.iter_mut().zip(new) {
        rule.stamp = Some(firewall::stamp("new", text));
    }
    bench.engine.observed(Scope::FIREWALL);
    assert_eq!(bench.keys(), [Key::Firewall]);
    assert!(!bench.engine.ledger.any(|entry| entry.fight.repairing.is_some()));
}

/// Given rules that draw from fewer buckets and were refused, then the buckets that the old ones draw from
/// stay; those of an uplink that dies meanwhile move.
#[test]
fn buckets_stay_while_rules_that_need_fewer_are_refused() {
    let mut bench = Bench::new();
    bench.observed.firewall.as_mut().unwrap().buckets = Some(buckets([1, 2]));
    bench.desired.insert(Key::Firewall, firewall_with(&["mod 1 map @slots", KNOWN[0], KNOWN[1]]));
    bench.desired.insert(Key::Buckets, Resource::Buckets(map(1, |_| 1)));
    assert_eq!(bench.keys(), [Key::Buckets, Key::Firewall]);
    bench.answer(&Key::Buckets);
    bench.observed.firewall.as_mut().unwrap().buckets = Some(buckets([1, 1]));
    bench.engine.applied(NOW, &Key::Firewall, Err(refusal(1)), &mut Vec::new());
    bench.engine.observed(Scope::FIREWALL);
    assert_eq!(bench.keys(), []);
    bench.desired.insert(Key::Buckets, Resource::Buckets(map(1, |_| 2)));
    let plan = bench.plan();
    let (del, add) = (vec![(0, 1), (1, 1)], vec![(0, 2), (1, 2)]);
    assert_eq!(plan, [Step { key: Key::Buckets, op: Op::Buckets { del, add } }]);
}

/// Given an uplink that a reload takes away together with buckets, then the others have its buckets before
/// the transaction begins, which goes on from there; elements that are no buckets stay until then.
#[test]
fn an_uplink_leaves_its_buckets_before_the_rules_forget_it() {
    let mut bench = Bench::new();
    let with_element =
        |buckets: [u32; 2]| self::buckets(buckets).into_iter().chain([(NFT_ELEMENTS, 2)]);
    bench.observed.firewall.as_mut().unwrap().buckets = Some(with_element([1, 2]).collect());
    bench.desired.insert(Key::Firewall, firewall_with(&["mod 3 map @slots", KNOWN[0]]));
    let want = (0..3).map(|bucket| (bucket, 1)).collect();
    bench.desired.insert(Key::Buckets, Resource::Buckets(want));
    let plan = bench.plan();
    let [first, Step { key: Key::Firewall, op: Op::Script(text) }] = plan.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(first.op, Op::Buckets { del: vec![(1, 2)], add: vec![(1, 1)] });
    assert!(text.contains("{ 2 : 0x00000001 }") && !text.contains("1 : 0x00000002"), "{text}");
    bench.answer(&Key::Buckets);
    bench.observed.firewall.as_mut().unwrap().buckets = Some(with_element([1, 1]).collect());
    bench.engine.observed(Scope::FIREWALL);
    assert!(bench.plan().is_empty(), "the rest is in the transaction");
}

/// Given an uplink with all buckets that a reload takes away, when another one had none, then that one gets
/// them before the transaction begins, for the rules know its mark.
#[test]
fn a_standby_takes_the_buckets_of_an_uplink_that_leaves() {
    let mut bench = Bench::new();
    bench.desired.insert(Key::Firewall, firewall_with(&["mod 3 map @slots", KNOWN[1]]));
    bench
        .desired
        .insert(Key::Buckets, Resource::Buckets((0..3).map(|bucket| (bucket, 2)).collect()));
    let plan = bench.plan();
    assert_eq!(plan.len(), 2, "{plan:?}");
    let (del, add) = (vec![(0, 1), (1, 1)], vec![(0, 2), (1, 2)]);
    assert_eq!(plan[0].op, Op::Buckets { del, add });
}

/// Given a transaction that takes away an uplink, when that is wanted again meanwhile, then it gets its
/// buckets back only after the transaction.
#[test]
fn buckets_wait_for_rules_that_are_being_taken_away() {
    let mut bench = Bench::new();
    bench.desired.insert(Key::Firewall, firewall_with(&[DRAW, KNOWN[0], "drop"]));
    assert_eq!(bench.keys(), [Key::Firewall]);
    bench.desired.insert(Key::Firewall, firewall_with(&[DRAW, KNOWN[0], KNOWN[1]]));
    bench.desired.insert(Key::Buckets, Resource::Buckets(buckets([1, 2])));
    assert_eq!(bench.keys(), []);
}

/// Given rules for a new uplink that the kernel refused, then its buckets wait until they are tried again;
/// those of an uplink that the rules know move meanwhile.
#[test]
fn buckets_wait_for_rules_that_were_refused() {
    let mut bench = Bench::new();
    let rules = firewall_with(&[DRAW, KNOWN[0], KNOWN[1], "to isp3 mark 0x00000003"]);
    bench.desired.insert(Key::Firewall, rules);
    bench.desired.insert(Key::Buckets, Resource::Buckets(buckets([1, 3])));
    assert_eq!(bench.keys(), [Key::Firewall]);
    let refused = OpError { errno: 1, text: "refused".into() };
    bench.engine.applied(NOW, &Key::Firewall, Err(refused), &mut Vec::new());
    bench.engine.observed(Scope::FIREWALL);
    assert_eq!(bench.keys(), []);
    bench.desired.insert(Key::Buckets, Resource::Buckets(buckets([1, 2])));
    assert_eq!(bench.keys(), [Key::Buckets]);
}

/// Given rules of an uplink that somebody removed, and a repair that does not end, when another uplink
/// dies, then its buckets go to the one that has buckets already.
#[test]
fn damaged_rules_do_not_keep_buckets_on_a_dead_uplink() {
    for (in_use, moves) in [(2, true), (1, false)] {
        let mut bench = Bench::new();
        let table = bench.observed.firewall.as_mut().unwrap();
        table.buckets = Some(buckets([1, in_use]));
        table.chains.get_mut("new").unwrap().rules.pop();
        bench.desired.insert(Key::Buckets, Resource::Buckets(buckets([1, in_use])));
        assert_eq!(bench.keys(), [Key::Firewall]);
        bench.switch([2, 2]);
        assert_eq!(bench.keys().contains(&Key::Buckets), moves);
    }
}

/// Given buckets inside a transaction that runs, then they are not changed beside it, unless other ones
/// are wanted meanwhile that suit the rules as they are.
#[test]
fn buckets_in_the_transaction_are_left_to_it() {
    let mut bench = Bench::new();
    bench
        .desired
        .insert(Key::Firewall, firewall_with(&[DRAW, KNOWN[0], KNOWN[1], "mark 0x00000003"]));
    bench.desired.insert(Key::Buckets, Resource::Buckets(buckets([1, 3])));
    let plan = bench.plan();
    assert!(plan.len() == 1 && matches!(&plan[0].op, Op::Script(text) if text.contains("element")));
    assert!(bench.plan().is_empty());
    bench.switch([2, 2]);
    assert_eq!(bench.keys(), [Key::Route(shared()), Key::Buckets]);
}

/// Given a transaction that runs, then nothing is deleted and forwarding is not switched on; policy
/// rules come if the table is there. What goes away by a transaction goes last.
#[test]
fn what_depends_on_rules_waits() {
    let rule = Rule { fwmark: Some((1, 0xff)), ..Rule::lookup(20_100, Family::V4, 20_001) };
    let forwarding = Key::Sysctl(crate::state::FORWARDING.into());
    for has_table in [true, false] {
        let mut bench = Bench::new();
        bench.desired.remove(&Key::Route(shared()));
        bench.desired.insert(Key::Rule(rule.clone()), Resource::Rule);
        bench.desired.insert(forwarding.clone(), Resource::Sysctl("1".into()));
        bench.observed.sysctls.insert(crate::state::FORWARDING.into(), "0".into());
        if !has_table {
            bench.observed.firewall = None;
        }
        let rules = has_table.then(|| Key::Rule(rule.clone()));
        let expected: Vec<Key> = rules.into_iter().chain([Key::Firewall]).collect();
        assert_eq!(bench.keys(), expected);
    }
    let mut bench = Bench::new();
    bench.desired.clear();
    assert_eq!(bench.keys(), [Key::Route(shared())]);
    bench.answer(&Key::Route(shared()));
    bench.observed.routes.clear();
    bench.engine.observed(Scope::ROUTES);
    assert_eq!(bench.keys(), [Key::Firewall]);
}

/// Given a transaction that fails, then it is tried again later, and what waited for it goes on.
#[test]
fn a_failed_transaction_holds_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.keys(), [Key::Firewall]);
    bench.desired.remove(&Key::Route(shared()));
    assert!(bench.plan().is_empty());
    let error = OpError { errno: 0, text: "nft: exit 1".into() };
    let scope = bench.engine.applied(NOW, &Key::Firewall, Err(error), &mut Vec::new());
    assert_eq!(scope, Scope::FIREWALL);
    bench.engine.observed(scope);
    assert_eq!(bench.keys(), [Key::Route(shared())]);
    bench.answer(&Key::Route(shared()));
    bench.observed.routes.clear();
    bench.engine.observed(Scope::ROUTES);
    assert!(bench.plan().is_empty());
    assert_eq!(bench.engine.deadline(), Some(NOW + Duration::from_millis(100)));
}

/// Given first changes of a setting and of an address whose originals are not on the disk, then they
/// wait, and so do the route that needs the address, forwarding, and all deletions; a switch does not.
#[test]
fn only_first_changes_wait_for_the_disk() {
    let mut bench = Bench::new();
    bench.desired.insert(Key::Firewall, firewall_with(&[DRAW, KNOWN[0], KNOWN[1]]));
    let forwarding = Key::Sysctl(crate::state::FORWARDING.into());
    let prefix: Prefix = "100.64.3.2/24".parse().unwrap();
    let address = Key::Address { ifname: "wan3".parse().unwrap(), prefix };
    let way3 = Key::Route(RouteKey { table: 20003, ..shared() });
    let old = RouteKey { table: 20009, ..shared() };
    bench.observed.routes.insert(old.clone(), bench.observed.routes[&shared()].clone());
    bench.desired.insert(address.clone(), Resource::Address);
    bench.desired.insert(way3.clone(), Resource::Route(way("wan3")));
    for (path, value) in [(crate::state::FORWARDING, "1"), ("net/x", "2")] {
        bench.desired.insert(Key::Sysctl(path.into()), Resource::Sysctl(value.into()));
        bench.observed.sysctls.insert(path.into(), "0".into());
    }
    let setting = Key::Sysctl("net/x".into());
    bench.engine.memory.unsaved = BTreeMap::from([(address.clone(), 1), (setting.clone(), 1)]);
    bench.switch([2, 2]);
    let keys = bench.keys();
    assert_eq!(keys, [Key::Route(shared()), Key::Buckets]);
    assert!(!bench.engine.is_in_sync() && bench.engine.deadline().is_none());
    for key in keys {
        bench.answer(&key);
    }
    bench.engine.observed(Scope::ALL);
    bench.observed.routes.get_mut(&shared()).unwrap().value = Some(way("wan2"));
    bench.observed.firewall.as_mut().unwrap().buckets = Some(buckets([2, 2]));
    assert!(bench.plan().is_empty());
    bench.engine.memory.unsaved.clear();
    assert_eq!(bench.keys(), [address, way3, setting, forwarding, Key::Route(old)]);
}

/// Given an address whose original is not on the disk, a further one of an uplink or the same one on another
/// interface, then the uplink's route does not wait for it: its gateway and its source have the address that
/// is there.
#[test]
fn a_route_waits_for_its_own_address_alone() {
    let address = |ifname: &str, text: &str| -> (IfName, Prefix) {
        (ifname.parse().unwrap(), text.parse().unwrap())
    };
    let wan3 = |text: &str| address("wan3", text);
    for (there, coming, waits) in [
        (Some("100.64.3.2/24"), wan3("100.64.9.1/32"), false),
        (Some("100.64.3.2/24"), wan3("100.64.3.9/24"), false),
        (Some("100.64.3.2/24"), address("wan4", "100.64.3.2/24"), false),
        (Some("100.64.9.1/32"), wan3("100.64.3.2/24"), true),
        (None, wan3("100.64.3.2/24"), true),
    ] {
        let mut bench = Bench::new();
        let way3 = Key::Route(RouteKey { table: 20003, ..shared() });
        let there = there.map(|there| (wan3(there), crate::state::Ownership::Ours));
        bench.observed.addresses.extend(there);
        let coming = Key::Address { ifname: coming.0, prefix: coming.1 };
        bench.desired.insert(coming.clone(), Resource::Address);
        let (ifname, via) = ("wan3".parse().unwrap(), Some("100.64.3.1".parse().unwrap()));
        let hop = Nexthop { ifname, via, weight: 1, onlink: false };
        let source = Some("100.64.3.2".parse().unwrap());
        let route = RouteValue::Unicast { nexthops: vec![hop], source, mtu: None };
        bench.desired.insert(way3.clone(), Resource::Route(route));
        bench.engine.memory.unsaved = BTreeMap::from([(coming.clone(), 1)]);
        assert_eq!(bench.keys().contains(&way3), !waits, "{there:?} {coming:?}");
    }
}
