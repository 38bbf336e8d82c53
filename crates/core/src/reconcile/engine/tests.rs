//! The engine against a kernel that refuses, forgets and is disturbed.

use super::*;
use crate::net::{Family, Prefix};
use crate::notice::ReconcileNews;
use crate::state::{
    Chain, Firewall, ObservedChain, ObservedFirewall, ObservedNftRule, ObservedRoute, Op, PROTOCOL,
    RouteKey, RouteValue, Step, firewall,
};
use alloc::collections::BTreeMap;
use alloc::{format, vec};

const MS: Duration = Duration::from_millis(1);
const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn key(table: u32) -> Key {
    Key::Route(route(table))
}

fn route(table: u32) -> RouteKey {
    RouteKey { table, prefix: Prefix::default_route(Family::V4), metric: 0 }
}

fn desired() -> State {
    State::from([(key(20001), Resource::Route(RouteValue::Unreachable))])
}

/// A kernel of routes alone.
#[derive(Default)]
struct Kernel {
    observed: Observed,
    refuse: bool,
    forget: bool,
    changes: usize,
}

impl Kernel {
    fn perform(&mut self, step: &Step) -> Result<(), OpError> {
        if self.refuse {
            return Err(OpError { errno: 12, text: "Cannot allocate memory".into() });
        }
        self.changes += 1;
        if let (Key::Route(key), Op::Put { value: Resource::Route(value), .. }, false) =
            (&step.key, &step.op, self.forget)
        {
            let value = Some(value.clone());
            let have = ObservedRoute { value, protocol: PROTOCOL, dead: false };
            self.observed.routes.insert(key.clone(), have);
        }
        Ok(())
    }

    /// One pass and its read-back; returns the news.
    fn pass(&mut self, engine: &mut Engine, now: Instant) -> Vec<Notice> {
        let mut news = Vec::new();
        let plan = engine.plan(now, &desired(), &self.observed, &mut news);
        let scope = engine.awaiting();
        for step in plan {
            let result = self.perform(&step);
            engine.applied(now, &step.key, result, &mut news);
        }
        engine.observed(scope);
        news
    }
}

/// Given an empty kernel, then one pass brings the object, and the next finds nothing to do.
#[test]
fn it_gets_in_sync() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    kernel.pass(&mut engine, START);
    kernel.pass(&mut engine, START);
    assert!(engine.is_in_sync());
    assert!(engine.is_in_place(&key(20001), &Resource::Route(RouteValue::Unreachable)));
    assert_eq!(kernel.changes, 1);
}

/// Given a kernel that refuses, then attempts are 0.1, 0.2, 0.4 .. 60 s apart, and the news comes once.
#[test]
fn refusals_back_off() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    kernel.refuse = true;
    let mut now = START;
    let mut reported = 0;
    let mut waits = Vec::new();
    for _ in 0..13 {
        reported += kernel.pass(&mut engine, now).len();
        let next = engine.deadline().unwrap();
        waits.push(next.since(now).as_millis());
        now = next;
    }
    assert_eq!(reported, 1);
    assert_eq!(&waits[..4], &[100, 200, 400, 800]);
    assert_eq!(waits.last(), Some(&60_000));
    assert_eq!(engine.trouble(now).len(), 1);
    kernel.refuse = false;
    engine.retry_now(now);
    kernel.pass(&mut engine, now);
    kernel.pass(&mut engine, now);
    assert!(engine.is_in_sync() && engine.trouble(now).is_empty());
}

/// Given a kernel that says yes and does nothing, then this is not repeated without end.
#[test]
fn a_lying_kernel_is_not_asked_in_a_loop() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    kernel.forget = true;
    for i in 0..1000 {
        kernel.pass(&mut engine, START + MS * i);
    }
    assert!(kernel.changes < 20, "{}", kernel.changes);
}

/// Given a rival who removes the route every 100 ms, then after five repairs we slow down and say so.
#[test]
fn a_rival_slows_us_down() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    let mut news = Vec::new();
    for i in 0..600 {
        let now = START + MS * 100 * i;
        news.extend(kernel.pass(&mut engine, now));
        news.extend(kernel.pass(&mut engine, now));
        kernel.observed.routes.clear();
    }
    let contested = news
        .iter()
        .filter(|n| matches!(n, Notice::Reconcile(ReconcileNews::Contested { .. })))
        .count();
    assert_eq!(contested, 1);
    assert!((8..=14).contains(&kernel.changes), "{}", kernel.changes);
    assert!(engine.trouble(START + MS * 60_000).iter().any(|t| t.contested));
}

/// Somebody has taken our object away until it was contested; the moment when its repair is due.
fn fought() -> (Engine, Kernel, Instant) {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    let mut now = START;
    while kernel.changes <= FIGHT_REPAIRS + 1 {
        kernel.pass(&mut engine, now);
        kernel.pass(&mut engine, now);
        kernel.observed.routes.clear();
        now = now + MS * 10;
    }
    kernel.pass(&mut engine, now);
    let due = engine.deadline().unwrap();
    (engine, kernel, due)
}

/// Given a fight that has ended with our object in place, when nobody changes it any more, then the
/// engine wakes a minute after the last repair, tells that it is over, and shows it no longer.
#[test]
fn a_fight_has_an_end() {
    let (mut engine, mut kernel, now) = fought();
    kernel.pass(&mut engine, now);
    kernel.pass(&mut engine, now);
    assert_eq!(kernel.observed.routes.len(), 1);
    let trouble = engine.trouble(now);
    assert!(trouble.iter().all(|t| t.contested && t.retry_ms == 0) && !trouble.is_empty());
    assert_eq!(engine.deadline(), Some(now + FIGHT_WINDOW));
    let news = kernel.pass(&mut engine, now + FIGHT_WINDOW);
    assert!(
        matches!(&news[..], [Notice::Reconcile(ReconcileNews::Uncontested { .. })]),
        "{news:?}"
    );
    assert!(engine.trouble(now + FIGHT_WINDOW).is_empty() && engine.deadline().is_none());
}

/// Given that the interface itself had gone, then putting its routes back is no repair.
#[test]
fn what_goes_with_its_interface_is_no_drift() {
    let ifname = "wan1".parse().unwrap();
    let hop = crate::state::Nexthop { ifname, via: None, weight: 1, onlink: false };
    let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
    let desired = State::from([(key(20001), Resource::Route(value.clone()))]);
    let mut engine = Engine::default();
    let mut observed = Observed::default();
    let there = ObservedRoute { value: Some(value), protocol: PROTOCOL, dead: false };
    observed.routes.insert(route(20001), there);
    let mut news = Vec::new();
    assert!(engine.plan(START, &desired, &observed, &mut news).is_empty());
    observed.routes.clear();
    engine.interface_changed("wan1".parse().unwrap());
    assert_eq!(engine.plan(START, &desired, &observed, &mut news).len(), 1);
    assert!(!engine.ledger.any(|entry| !entry.fight.repairs.is_empty()));
}

/// Given a contested object that somebody takes away again, when nothing else happens, then it
/// is not in sync, and its repair has a time, which is not past; also while the kernel refuses it.
#[test]
fn what_is_held_back_has_its_turn() {
    let mut kernel = Kernel::default();
    let mut engine = Engine::default();
    let mut now = START;
    for _ in 0..8 {
        kernel.pass(&mut engine, now);
        kernel.observed.routes.clear();
        now = now + MS * 10;
    }
    for refuse in [false, true] {
        kernel.refuse = refuse;
        kernel.pass(&mut engine, now);
        assert!(!engine.is_in_sync());
        let due = engine.deadline().unwrap();
        assert!(due > now, "refuse: {refuse}");
        now = due;
    }
    kernel.refuse = false;
    kernel.pass(&mut engine, now);
    kernel.pass(&mut engine, now + MS);
    assert_eq!(kernel.observed.routes.len(), 1);
    assert!(engine.is_in_sync());
}

/// Given a contested object whose turn has come, when the kernel refuses the repair once, then it is
/// tried again as soon as any other: what was refused was no repair.
#[test]
fn a_refusal_uses_up_no_turn() {
    let (mut engine, mut kernel, now) = fought();
    kernel.refuse = true;
    kernel.pass(&mut engine, now);
    kernel.refuse = false;
    kernel.pass(&mut engine, now + FIRST_RETRY);
    assert_eq!(kernel.observed.routes.len(), 1);
}

/// Given a decision that is taken back before it was verified, then nobody is accused.
#[test]
fn a_change_of_mind_is_no_drift() {
    let mut kernel = Kernel::default();
    let mut engine = Engine::default();
    kernel.pass(&mut engine, START);
    kernel.pass(&mut engine, START + MS);
    let other = State::from([(
        key(20001),
        Resource::Route(RouteValue::Unicast { nexthops: Vec::new(), source: None, mtu: None }),
    )]);
    let mut news = Vec::new();
    for step in engine.plan(START + MS * 2, &other, &kernel.observed, &mut news) {
        let result = kernel.perform(&step);
        engine.applied(START + MS * 2, &step.key, result, &mut news);
    }
    engine.observed(Scope::ALL);
    news.extend(kernel.pass(&mut engine, START + MS * 3));
    news.extend(kernel.pass(&mut engine, START + MS * 4));
    assert_eq!(kernel.changes, 3);
    assert_eq!(news, []);
}

/// Given three wishes in a row for one object and a kernel that obeys, then each is carried out at
/// once, and the kernel is not called a liar.
#[test]
fn a_new_wish_is_no_lie() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    let mut news = Vec::new();
    for weight in 1..=4 {
        let hop = |n| crate::state::Nexthop {
            ifname: alloc::format!("wan{n}").parse().unwrap(),
            via: None,
            weight: if n == 1 { weight } else { 1 },
            onlink: false,
        };
        let value = RouteValue::Unicast { nexthops: vec![hop(1), hop(2)], source: None, mtu: None };
        let wish = State::from([(key(20001), Resource::Route(value))]);
        let plan = engine.plan(START, &wish, &kernel.observed, &mut news);
        assert_eq!(plan.len(), 1, "wish {weight}");
        let result = kernel.perform(&plan[0]);
        engine.applied(START, &plan[0].key, result, &mut news);
        engine.observed(Scope::ALL);
    }
    assert_eq!(news, []);
}

/// Given a filter that the kernel refuses, then forwarding is not switched on in any pass; once the
/// filter was read back, it is. Without a filter to wait for it comes at once.
#[test]
fn forwarding_waits_for_the_filter() {
    let forwarding = Key::Sysctl(FORWARDING.into());
    let on = (forwarding.clone(), Resource::Sysctl("1".into()));
    let chain = Chain { name: "forward".into(), base: None, rules: Vec::new() };
    let filter = Resource::Firewall(Firewall::new(vec![chain], BTreeMap::new()));
    let desired = State::from([(Key::Firewall, filter), on.clone()]);
    let mut observed = Observed::default();
    observed.sysctls.insert(FORWARDING.into(), "0".into());
    let mut engine = Engine::default();
    let mut news = Vec::new();
    let mut now = START;
    for _ in 0..5 {
        let plan = engine.plan(now, &desired, &observed, &mut news);
        let keys: Vec<&Key> = plan.iter().map(|step| &step.key).collect();
        assert_eq!(keys, [&Key::Firewall]);
        let refusal = OpError { errno: 0, text: "nft: exit 1".into() };
        engine.applied(now, &Key::Firewall, Err(refusal), &mut news);
        engine.observed(Scope::ALL);
        assert!(engine.plan(now, &desired, &observed, &mut news).is_empty());
        let due = engine.deadline().unwrap();
        assert!(due > now);
        now = due;
    }
    let buckets = Some(BTreeMap::new());
    let mut table = ObservedFirewall { buckets, ..ObservedFirewall::default() };
    table.chains.insert("forward".into(), ObservedChain::default());
    observed.firewall = Some(table);
    let plan = engine.plan(now, &desired, &observed, &mut news);
    assert_eq!(plan, [Step { key: forwarding, op: Op::replace(Resource::Sysctl("1".into())) }]);
    let alone = State::from([on]);
    observed.firewall = None;
    assert_eq!(Engine::default().plan(now, &alone, &observed, &mut news), plan);
}

/// Given rules that change, then buckets that suit the rules as they are change before them, and others
/// with them in one step, after those that stay have taken over those of an uplink that leaves.
#[test]
fn buckets_change_with_their_rules() {
    let rule = |text: &str| (text.to_string(), firewall::stamp("new", text));
    let known = rule("mark 0x00000001");
    let new = rule("mark 0x00000003");
    let chain = Chain { name: "new".into(), base: None, rules: vec![known.0, new.0] };
    let rules = Resource::Firewall(Firewall::new(vec![chain], BTreeMap::new()));
    let buckets = Some(BTreeMap::from([(0, 1), (1, 2)]));
    let rule = ObservedNftRule { handle: 7, stamp: Some(known.1) };
    let chain = ObservedChain { rules: vec![rule], ..ObservedChain::default() };
    let chains = BTreeMap::from([("new".to_string(), chain)]);
    let table = ObservedFirewall { buckets, chains, dormant: false };
    let observed = Observed { firewall: Some(table), ..Observed::default() };
    let plan = |mark| {
        let buckets = Resource::Buckets(BTreeMap::from([(0, 1), (1, mark)]));
        let desired = State::from([(Key::Firewall, rules.clone()), (Key::Buckets, buckets)]);
        Engine::default().plan(START, &desired, &observed, &mut Vec::new())
    };
    let apart = plan(1);
    assert_eq!(apart[0].op, Op::Buckets { del: vec![(1, 2)], add: vec![(1, 1)] });
    assert!(apart.len() == 2 && apart[1].key == Key::Firewall, "{apart:?}");
    let together = plan(3);
    assert_eq!(together.len(), 2, "{together:?}");
    assert_eq!(together[0], apart[0]);
    let comment = format!("{}{:016x}", firewall::STAMP_PREFIX, new.1);
    let expected = format!(
        "add rule inet rail new mark 0x00000003 comment \"{comment}\"\n\
         add element inet rail slots {{ 1 : 0x00000001 }}\n\
         delete element inet rail slots {{ 1 : 0x00000001 }}\n\
         add element inet rail slots {{ 1 : 0x00000003 }}\n"
    );
    assert_eq!(together[1].op, Op::Script(expected));
}

/// Given somebody else's route in the place of ours, then it stays, pass after pass, and ours does
/// not count as there; when it goes, ours comes. A route that pushes ours out later is replaced.
#[test]
fn a_foreign_route_in_our_place_stays() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    let theirs = ObservedRoute { value: None, protocol: 3, dead: false };
    kernel.observed.routes.insert(route(20001), theirs.clone());
    let ours = Resource::Route(RouteValue::Unreachable);
    let mut news = Vec::new();
    for i in 0..3 {
        news.extend(kernel.pass(&mut engine, START + MS * i));
        assert!(!engine.is_in_place(&key(20001), &ours));
    }
    assert_eq!((kernel.changes, news.len()), (0, 1), "{news:?}");
    assert!(engine.trouble(START).len() == 1 && !engine.is_in_sync());
    kernel.observed.routes.clear();
    kernel.pass(&mut engine, START + MS * 3);
    kernel.pass(&mut engine, START + MS * 4);
    assert!(engine.is_in_place(&key(20001), &ours) && engine.trouble(START).is_empty());
    kernel.observed.routes.insert(route(20001), theirs);
    kernel.pass(&mut engine, START + MS * 5);
    kernel.pass(&mut engine, START + MS * 6);
    assert_eq!(kernel.changes, 2);
    assert!(engine.is_in_place(&key(20001), &ours));
}

/// Given a route that was ours and is wanted no more, then who takes its place has it, also when we
/// want it again.
#[test]
fn a_place_that_we_left_is_free() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    kernel.pass(&mut engine, START);
    kernel.pass(&mut engine, START);
    kernel.observed.routes.clear();
    engine.plan(START + MS, &State::new(), &kernel.observed, &mut Vec::new());
    let theirs = ObservedRoute { value: None, protocol: 3, dead: false };
    kernel.observed.routes.insert(route(20001), theirs);
    kernel.pass(&mut engine, START + MS * 2);
    assert_eq!(kernel.changes, 1);
}

/// Given settings of both families, then those that make a router of the machine come last whatever
/// their names, and wait for the filter.
#[test]
fn forwarding_comes_last_in_both_families() {
    let paths =
        ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/wan1/use_tempaddr"];
    let mut observed = Observed::default();
    let mut desired = State::new();
    for path in paths {
        observed.sysctls.insert(path.into(), "0".into());
        desired.insert(Key::Sysctl(path.into()), Resource::Sysctl("1".into()));
    }
    let order = |desired: &State| {
        let plan = Engine::default().plan(START, desired, &observed, &mut Vec::new());
        let word = |step: &Step| match &step.key {
            Key::Sysctl(path) => paths.iter().position(|p| p == path),
            _ => None,
        };
        plan.iter().filter_map(word).collect::<Vec<_>>()
    };
    assert_eq!(order(&desired), [2, 0, 1]);
    let chain = Chain { name: "new".into(), base: None, rules: Vec::new() };
    desired.insert(Key::Firewall, Resource::Firewall(Firewall::new(vec![chain], BTreeMap::new())));
    assert_eq!(order(&desired), [2]);
}

/// Given a kernel that takes a change that does not stick, when each try changes the surroundings, then the
/// pace stays; a change that was refused is tried again at once.
#[test]
fn a_change_that_does_not_stick_keeps_its_pace() {
    let (mut engine, mut kernel) = (Engine::default(), Kernel::default());
    kernel.forget = true;
    for i in 0..1000 {
        kernel.pass(&mut engine, START + MS * i);
        engine.retry_refused(START + MS * i);
    }
    assert!(kernel.changes < 20, "{}", kernel.changes);
    engine.retry_now(START + MS * 1000);
    kernel.forget = false;
    kernel.pass(&mut engine, START + MS * 1000);
    kernel.pass(&mut engine, START + MS * 1000);
    assert!(engine.is_in_sync());
    (kernel.refuse, kernel.observed) = (true, Observed::default());
    kernel.pass(&mut engine, START + MS * 2000);
    engine.retry_refused(START + MS * 2000);
    assert_eq!(engine.deadline(), Some(START + MS * 2000));
}
