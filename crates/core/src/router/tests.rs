//! What a router does that no single machine of it does.

use super::*;
use crate::config::Tier;
use crate::output::Which;
use crate::render::tests::config;
use crate::state::{Link, ObservedRoute, ObservedRule, Op, Ownership, PROTOCOL};

/// Given a state that knows an uplink of which the configuration says nothing, then its
/// connections are to be removed once the kernel is known: nobody else will do it.
#[test]
fn a_restart_remembers_lines_that_are_gone() {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let ids = [("isp1", 1), ("gone", 2), ("isp2", 3)];
    let ids = ids.into_iter().map(|(name, id)| (name.into(), UplinkId(id))).collect();
    let saved = Saved { ids, ..Saved::default() };
    let mut router = Router::new(config, saved, "boot".into(), [0; 16]);
    let mut out = Vec::new();
    router.start(Instant::ZERO, &mut out);
    assert!(router.pending_purges.is_empty());
    router.handle(Instant::ZERO, Input::Observed(Scope::ALL, Box::default()), &mut out);
    let pending: Vec<UplinkId> = router.pending_purges.keys().copied().collect();
    assert_eq!(pending, [UplinkId(2)]);
}

/// A kernel without firewall: what is applied is there, and what is deleted is noted.
struct Kernel {
    state: Observed,
    watch: Watch,
    purges: Vec<Purge>,
}

impl Kernel {
    fn new(config: &Config) -> Self {
        let mut state = Observed::default();
        for (index, uplink) in (1..).zip(&config.uplinks) {
            let link = Link { index, up: true, carrier: true, mtu: 1500 };
            state.links.insert(uplink.ifname, link);
        }
        Self { state, watch: Watch::default(), purges: Vec::new() }
    }

    fn apply(&mut self, key: Key, op: Op) {
        match (key, op) {
            (Key::Address { ifname, prefix }, Op::AddAddress) => {
                self.state.addresses.insert((ifname, prefix), Ownership::Ours);
            }
            (Key::Address { ifname, prefix }, Op::DelAddress) => {
                self.state.addresses.remove(&(ifname, prefix));
            }
            (Key::Route(key), Op::SetRoute { value, .. }) => {
                let route = ObservedRoute { value: Some(value), protocol: PROTOCOL, dead: false };
                self.state.routes.insert(key, route);
            }
            (Key::Route(key), Op::DelRoute) => drop(self.state.routes.remove(&key)),
            (Key::Rule(rule), Op::AddRule) => self.state.rules.push(ObservedRule {
                priority: rule.priority,
                family: rule.family,
                protocol: PROTOCOL,
                rule: Some(rule),
            }),
            (Key::Rule(rule), Op::DelRule) => {
                self.state.rules.retain(|r| r.rule.as_ref() != Some(&rule));
            }
            _ => {}
        }
    }

    /// Performs until the router asks for nothing more.
    fn settle(&mut self, router: &mut Router, now: Instant, mut out: Vec<Output>) {
        while !out.is_empty() {
            let mut next = Vec::new();
            for output in out {
                match output {
                    Output::Apply(plan) => {
                        for step in plan {
                            self.apply(step.key.clone(), step.op);
                            router.handle(now, Input::Applied(step.key, Ok(())), &mut next);
                        }
                    }
                    Output::Watch(watch) => self.watch = watch,
                    Output::Observe(scope) => {
                        let mut state = Box::new(self.state.clone());
                        state.routes.retain(|k, r| self.watch.has_route(k.table, r.protocol));
                        router.handle(now, Input::Observed(scope, state), &mut next);
                    }
                    Output::Purge(purge) => {
                        let (uplink, result) = (purge.uplink, Ok(1));
                        self.purges.push(purge);
                        router.handle(now, Input::Purged { uplink, result }, &mut next);
                    }
                    _ => {}
                }
            }
            router.wake(now, &mut next);
            out = next;
        }
    }
}

fn external(uplinks: usize) -> Config {
    let mut config = config(&alloc::vec![(1, Tier::Number(1)); uplinks]);
    config.firewall.mode = crate::config::FirewallMode::External;
    config
}

/// A router that has settled.
fn settled(config: &Config, saved: Saved) -> (Router, Kernel) {
    let (mut kernel, mut out) = (Kernel::new(config), Vec::new());
    let mut router = Router::new(config.clone(), saved, "boot".into(), [0; 16]);
    router.start(Instant::ZERO, &mut out);
    kernel.settle(&mut router, Instant::ZERO, out);
    (router, kernel)
}

/// The purges that no other line is needed for.
fn exact(kernel: &Kernel) -> Vec<(u8, Which)> {
    let exact = kernel.purges.iter().filter(|purge| purge.which != Which::Movable);
    exact.map(|purge| (purge.uplink.0, purge.which)).collect()
}

/// Given the only line, which is usable again at once, when it gets another address, then the
/// connections that bear the old one are deleted, once.
#[test]
fn a_line_with_another_address_loses_its_old_connections() {
    let mut config = external(1);
    let (mut router, mut kernel) = settled(&config, Saved::default());
    assert_eq!(kernel.purges, []);
    let old = config.uplinks[0].address.address;
    config.uplinks[0].address = "100.64.1.9/24".parse().unwrap();
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config.clone())), &mut out);
    assert_eq!(router.saved.void.len(), 2);
    kernel.settle(&mut router, now, out);
    assert_eq!(exact(&kernel), [(1, Which::From(old)), (1, Which::At(old))]);
    assert!(router.saved.void.is_empty() && router.asked.is_empty());
    let mut out = Vec::new();
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.settle(&mut router, now, out);
    assert_eq!(exact(&kernel).len(), 2);
}

/// Given a file that was edited while no daemon ran, then a restart deletes what bears the old
/// address; and after a boot there is nothing to delete.
#[test]
fn a_restart_with_another_address_deletes_the_old_connections() {
    let mut config = external(2);
    let (router, _) = settled(&config, Saved::default());
    let old = config.uplinks[1].address.address;
    config.uplinks[1].address = "100.64.2.9/24".parse().unwrap();
    let (_, kernel) = settled(&config, router.saved.clone());
    assert_eq!(exact(&kernel), [(2, Which::From(old)), (2, Which::At(old))]);
    let saved = Saved { boot_id: "earlier".into(), ..router.saved };
    let (_, kernel) = settled(&config, saved);
    assert_eq!(kernel.purges, []);
}

/// Given other bits for marks, then the connections with the old ones are deleted under the mask
/// they were made with.
#[test]
fn other_marks_delete_what_has_the_old_ones() {
    let mut config = external(1);
    let (mut router, mut kernel) = settled(&config, Saved::default());
    let (mark, mask) = (render::mark(&config, UplinkId(1)), config.ranges.mark_mask);
    config.ranges.mark_mask = 0x00ff_0000;
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.settle(&mut router, now, out);
    let gone: Vec<_> = kernel.purges.iter().map(|p| (p.mark, p.mask)).collect();
    assert_eq!(gone, [(mark, mask); 2]);
}

/// Given a range that no longer holds the number of a line that stays, then it works on under
/// another one.
#[test]
fn a_line_that_stays_takes_another_number() {
    let mut config = external(1);
    let ids = [("isp1".into(), UplinkId(9))].into();
    let (mut router, mut kernel) = settled(&config, Saved { ids, ..Saved::default() });
    config.ranges.tables = (1000, 1003);
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.settle(&mut router, now, out);
    assert_eq!((router.facts.uplinks[0].id, router.lines[0].id()), (UplinkId(1), UplinkId(1)));
    assert!(kernel.purges.iter().all(|purge| purge.uplink == UplinkId(9)));
    assert_eq!(exact(&kernel).len(), 2);
}

/// The tables that have routes.
fn tables(kernel: &Kernel) -> Vec<u32> {
    let mut tables: Vec<u32> = kernel.state.routes.keys().map(|route| route.table).collect();
    tables.dedup();
    tables
}

/// Given other tables, by a reload or while no daemon ran, then the routes in the old ones are
/// taken away, what is not ours there stays, and then they are watched no more.
#[test]
fn routes_in_tables_that_were_ours_are_taken_away() {
    for restart in [false, true] {
        let mut config = external(1);
        let (mut router, mut kernel) = settled(&config, Saved::default());
        assert_eq!(tables(&kernel), [20_000, 20_001]);
        let theirs = kernel.state.routes.first_key_value().unwrap();
        let (mut key, mut route) = (theirs.0.clone(), theirs.1.clone());
        (key.table, route.protocol) = (20_900, 3);
        kernel.state.routes.insert(key, route);
        config.ranges.tables = (1000, 1010);
        let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
        if restart {
            router = Router::new(config, router.saved, "boot".into(), [0; 16]);
            router.start(now, &mut out);
        } else {
            router.handle(now, Input::Reload(Box::new(config)), &mut out);
        }
        assert_eq!(router.saved.old_tables, [(20_000, 20_999)], "restart: {restart}");
        kernel.settle(&mut router, now, out);
        assert_eq!(tables(&kernel), [1000, 1001, 20_900], "restart: {restart}");
        assert!(router.saved.old_tables.is_empty() && kernel.watch.old_tables.is_empty());
    }
}
