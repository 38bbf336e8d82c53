//! An uplink whose probes do not find their way carries nothing; and one reading that lacks
//! something is no evidence.

use super::world::{MS, START, World, all, default_of, kernel, uplinks};
use super::*;
use crate::config::Limit;
use crate::state::{MainDefault, Refused, RouteValue};
use crate::status::Health;

fn is_first_route(key: &Key) -> bool {
    *key == Key::Route(default_of(20_001))
}

fn is_mark_rule(key: &Key) -> bool {
    matches!(key, Key::Rule(rule) if rule.fwmark.is_some() && rule.table == 20_001)
}

/// A route of somebody else where the first uplink has its default.
fn occupy(state: &mut Observed) {
    let route = ObservedRoute { value: Some(RouteValue::Unreachable), protocol: 3, dead: false };
    state.routes.insert(default_of(20_001), route);
}

/// Given an uplink whose route or rule the kernel refuses, then it is not used, and says why; and
/// it is up with the first good round after that is over.
#[test]
fn an_uplink_that_cannot_be_probed_carries_nothing() {
    for refuses in [is_first_route as fn(&Key) -> bool, is_mark_rule] {
        let config = uplinks(&[1, 2]);
        let state = kernel(&config);
        let mut world = World::with(config, Saved::default(), START, state, refuses);
        world.run(MS * 60_000, all);
        assert_eq!(world.health(), [Health::NoWay, Health::Up]);
        assert_eq!(world.active(), [false, true]);
        assert_eq!(world.sent.get(&1), None);
        let cause = &world.router.status(world.now).uplinks[0].cause;
        assert!(cause.contains("20001: Network is unreachable"), "{cause}");
        world.refuses = |_| false;
        world.run(MS * 60_000, all);
        assert_eq!(world.active(), [true, false]);
    }
}

/// Given an uplink that is degraded by its loss or its latency, when the kernel refuses its route for a
/// second, then it is degraded when it is back, carries nothing, and is up when that is over.
#[test]
fn one_that_was_degraded_loses_its_way_and_is_degraded() {
    type Fate = fn(u8, usize, u64) -> Option<Duration>;
    let lossy: Fate = |uplink, _, n| {
        let is_lost = uplink == 1 && Secret::new([9; 16]).hash(&[n]) % 10 < 3;
        (!is_lost).then_some(MS * 10)
    };
    let slow: Fate = |uplink, _, _| Some(MS * if uplink == 1 { 200 } else { 10 });
    for fate in [lossy, slow] {
        let mut config = uplinks(&[1, 1]);
        config.check.latency = Some(Limit { degraded: MS * 100, recovered: MS * 80 });
        let mut world = World::new(config);
        world.run(MS * 60_000, fate);
        assert_eq!(world.health()[0], Health::Degraded);
        world.refuses = is_first_route;
        world.state.routes.remove(&default_of(20_001));
        world.changed(Scope::ROUTES);
        world.run(MS * 1000, fate);
        assert_eq!(world.health()[0], Health::NoWay);
        world.refuses = |_| false;
        let since = world.now;
        for _ in 0..200 {
            world.run(MS * 100, fate);
            assert_eq!(world.active(), [false, true], "{:?}", world.reported(since));
        }
        assert_eq!(world.health()[0], Health::Degraded);
        world.run(MS * 180_000, all);
        assert_eq!(world.health()[0], Health::Up);
    }
}

/// Given a route of somebody else at the key of ours, then the first start leaves it there, and the
/// uplink carries nothing; if ours has been there, it is repaired, while the daemon runs as well as
/// after a restart.
#[test]
fn a_foreign_route_is_treated_alike_before_and_after_a_restart() {
    let config = uplinks(&[1, 2]);
    let mut state = kernel(&config);
    occupy(&mut state);
    let mut world = World::with(config, Saved::default(), START, state, |_| false).restart(|_| {});
    world.run(MS * 5000, all);
    assert_eq!(world.health(), [Health::NoWay, Health::Up]);
    let cause = &world.router.status(world.now).uplinks[0].cause;
    assert!(cause.contains("a foreign route stands here"), "{cause}");

    for restart in [false, true] {
        let mut world = World::new(uplinks(&[1, 2]));
        world.run(MS * 3000, all);
        if restart {
            world = world.restart(occupy);
        } else {
            occupy(&mut world.state);
            world.changed(Scope::ROUTES);
        }
        world.run(MS * 5000, all);
        assert_eq!(world.health()[0], Health::Up, "restart: {restart}");
        assert_eq!(world.state.routes[&default_of(20_001)].protocol, PROTOCOL);
        assert_eq!(world.moved(1, START), 0);
    }
}

/// Given an uplink that loses its rule, when that is repaired at once, then nothing is said and
/// nobody's connections are deleted.
#[test]
fn a_repair_of_milliseconds_is_no_event() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    let since = world.now;
    world.refuses = |_| true;
    world.state.rules.clear();
    world.changed(Scope::RULES);
    world.run(MS * 90, all);
    world.refuses = |_| false;
    world.run(MS * 5000, all);
    assert_eq!(world.reported(since), []);
    assert_eq!(world.moved(1, START), 0);
}

/// Given an uplink that loses its rule for good while it runs, then it is not probed from then on,
/// and carries nothing after a moment.
#[test]
fn an_uplink_that_loses_its_way_is_not_probed() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    world.refuses = is_mark_rule;
    world.state.rules.retain(|rule| !is_mark_rule(&Key::Rule(rule.rule.clone().unwrap())));
    let since = world.now;
    world.changed(Scope::RULES);
    let sent = world.sent[&1];
    world.run(MS * 190, all);
    assert_eq!(world.reported(since), []);
    world.run(MS * 5000, all);
    assert_eq!(world.sent[&1], sent);
    assert_eq!(world.reported(since), [("isp1".into(), Health::NoWay)]);
    assert_eq!(world.active(), [false, true]);
    world.refuses = |_| false;
    world.run(MS * 60_000, all);
    assert_eq!(world.active(), [true, false]);
}

/// Given a reading that lacks an object though nobody took it away, then nothing is changed, said
/// or deleted.
#[test]
fn one_reading_that_lacks_something_is_no_evidence() {
    let omissions: [fn(&mut Observed); 4] = [
        |state| drop(state.routes.remove(&default_of(20_001))),
        |state| {
            state.rules.remove(2);
        },
        |state| state.rules.clear(),
        |state| {
            state.addresses.pop_first();
        },
    ];
    for omit in omissions {
        let mut world = World::new(uplinks(&[1, 1]));
        world.run(MS * 3000, all);
        let (since, before) = (world.now, world.state.clone());
        for scope in [Scope::ALL, Scope::ROUTES, Scope::RULES, Scope::ADDRESSES] {
            world.omits = Some(omit);
            world.changed(scope);
            world.run(MS * 500, all);
        }
        assert_eq!(world.reported(since), []);
        assert_eq!(world.router.kernel.engine.repairs(), 0);
        assert!(world.state == before && world.moved(1, START) == 0);
    }
}

/// Given a reading that lacks what was just put in, then it is not put in a second time.
#[test]
fn what_was_just_made_is_looked_for_twice() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 3000, all);
    world.state.rules.retain(|rule| !is_mark_rule(&Key::Rule(rule.rule.clone().unwrap())));
    let count = world.state.rules.len();
    world.omits = None;
    world.changed(Scope::RULES);
    assert_eq!(world.state.rules.len(), count + 1);
    let config = uplinks(&[1, 1, 1]);
    let ifname = config.uplinks[2].ifname;
    let link = Link { index: 9, up: true, carrier: true, mtu: 1500, ..Link::default() };
    world.state.links.insert(ifname, link);
    let mut changed = config.clone();
    changed.uplinks[2].enabled = false;
    world.input(Input::Reload(Box::new(changed)));
    let count = world.state.rules.len();
    world.omits_after_change = Some(|state| {
        state.rules.pop();
    });
    world.input(Input::Reload(Box::new(config)));
    world.run(MS * 3000, all);
    let rules: Vec<_> =
        world.state.rules.iter().map(|r| r.rule.as_ref().unwrap().to_string()).collect();
    assert_eq!(rules.len(), count + 4, "{rules:#?}");
}

/// Given very many routes in `main`, and one after the other changes, then it is read at the first
/// change, and once more a moment later.
#[test]
fn a_large_main_is_read_now_and_then() {
    let config = uplinks(&[1, 2]);
    let mut state = kernel(&config);
    let refused = Refused { networks: Vec::new(), is_whole: true };
    state.main = MainDefault::Refuses { others: None, refused };
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 2_000, all);
    let (now, router) = (world.now, &mut world.router);
    let mut out = Vec::new();
    let mut reads = |after: u32, changed: bool| {
        if changed {
            let scope = Scope::MAIN | Scope::NEIGHBOURS;
            router.handle(now + MS * after, Input::Changed(scope), &mut out);
        }
        router.wake(now + MS * after, &mut out);
        let is_main =
            |output: &Output| matches!(output, Output::Observe(scope) if scope.has(Scope::MAIN));
        (out.drain(..).filter(is_main).count(), router.deadline())
    };
    assert_eq!(reads(0, true).0, 1);
    for after in 1..100 {
        let (count, deadline) = reads(after, true);
        assert!(count == 0 && deadline <= Some(now + MS * 100));
    }
    assert_eq!(reads(100, false).0, 1);
    assert_eq!(reads(201, false).0, 0);
}
