//! What a router does that no single machine of it does.

use super::Router;
use crate::config::{Config, Tier};
use crate::facts::Facts;
use crate::io::Watch;
use crate::io::{Input, Output, Purge, Which};
use crate::net::{Family, IfName, UplinkId};
use crate::notice::Notice;
use crate::random::Secret;
use crate::render;
use crate::render::tests::config;
use crate::saved::Saved;
use crate::state::{
    ACCEPT_REDIRECTS, FORWARDING, Key, Link, Observed, ObservedRoute, ObservedRule, Op, Ownership,
    PROTOCOL, Resource, Rule, Scope, Step,
};
use crate::status::Role;
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Given a state that knows an uplink of which the configuration says nothing, then its
/// connections are to be removed once the kernel is known: nobody else will do it.
#[test]
fn a_restart_remembers_lines_that_are_gone() {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let ids = [("isp1", 1), ("gone", 2), ("long gone", 4), ("isp2", 3)];
    let ids = ids.into_iter().map(|(name, id)| (name.into(), UplinkId(id))).collect();
    let leaving = alloc::vec![UplinkId(2)];
    let saved = Saved { boot_id: "boot".into(), ids, leaving, ..Saved::default() };
    let mut router = Router::new(config, saved, "boot".into(), [0; 16]);
    let mut out = Vec::new();
    router.start(Instant::ZERO, &mut out);
    assert!(router.purge.pending_ids().is_empty());
    router.handle(Instant::ZERO, Input::Observed(Scope::ALL, Box::default()), &mut out);
    router.handle(Instant::ZERO, Input::Observed(Scope::ALL, Box::default()), &mut out);
    let pending: Vec<UplinkId> = router.purge.pending_ids();
    assert_eq!(pending, [UplinkId(2)]);
}

/// Given a state file in which somebody planted settings, then only those that this program changes
/// count, whatever the others would have it write.
#[test]
fn a_state_file_writes_no_other_settings() {
    let ours = [
        "net/ipv4/conf/wan1.7/rp_filter",
        "net/ipv4/conf/all/send_redirects",
        "net/ipv4/fib_multipath_hash_policy",
        FORWARDING,
        ACCEPT_REDIRECTS,
    ];
    let planted = [
        "kernel/core_pattern",
        "net/core/bpf_jit_enable",
        "net/ipv4/conf/wan1/accept_local",
        "net/ipv4/conf/../../../kernel/core_pattern",
        "net/ipv4/conf/wan1/../../ip_forward",
        "net/ipv4/conf/wan1",
    ];
    let all = ours.iter().chain(&planted).map(|path| ((*path).into(), "|/tmp/x".into()));
    let saved = Saved { boot_id: "boot".into(), sysctls: all.collect(), ..Saved::default() };
    let router = Router::new(external(1), saved, "boot".into(), [0; 16]);
    let mut left: Vec<&str> = router.desk.saved.sysctls.keys().map(String::as_str).collect();
    left.sort_unstable();
    let mut ours = ours.to_vec();
    ours.sort_unstable();
    assert_eq!(left, ours);
}

/// A router of one uplink that knows this kernel, before its first decision.
fn started(saved: Saved, observed: &Observed) -> Router {
    let config = config(&[(1, Tier::Number(1))]);
    let mut router = Router::new(config, saved, "boot".into(), [0; 16]);
    let mut out = Vec::new();
    router.start(Instant::ZERO, &mut out);
    for _ in 0..2 {
        let seen = Input::Observed(Scope::ALL, Box::new(observed.clone()));
        router.handle(Instant::ZERO, seen, &mut out);
    }
    router
}

/// One pass against a kernel that refuses everything and stays as it is, and the wake after it.
fn refused_pass(router: &mut Router, observed: &Observed) -> Vec<Output> {
    let now = Instant::ZERO;
    let mut out = Vec::new();
    // What depends on the filter comes when the filter was answered.
    for _ in 0..2 {
        let begin = out.len();
        router.wake(now, &mut out);
        let plan = out[begin..].iter().find_map(|output| match output {
            Output::Apply(plan) => Some(plan.clone()),
            _ => None,
        });
        for step in plan.unwrap_or_default() {
            let refusal = crate::state::OpError { errno: 16, text: "busy".into() };
            router.handle(now, Input::Applied(step.key, Err(refusal)), &mut out);
        }
        // What was asked for and is not there is looked for twice.
        for _ in 0..2 {
            router.handle(now, Input::Observed(Scope::ALL, Box::new(observed.clone())), &mut out);
        }
    }
    router.wake(now, &mut out);
    out
}

/// Given a withdrawal that the kernel refuses at first, then it sleeps until the next try,
/// whatever was left to decide before.
#[test]
fn a_withdrawal_that_waits_sleeps() {
    let rule = Rule::lookup(20_999, Family::V4, 20_999);
    let (priority, family) = (rule.priority, rule.family);
    let rules =
        alloc::vec![ObservedRule { rule: Some(rule), priority, family, protocol: PROTOCOL }];
    let observed = Observed { rules, ..Observed::default() };
    let mut router = started(Saved::default(), &observed);
    let purge = crate::purge::movable(
        &router.config,
        router.uplinks.facts_of_each(),
        &observed,
        UplinkId(1),
    );
    router.purge.sweep_at(Instant::ZERO, purge);
    router.handle(Instant::ZERO, Input::Withdraw, &mut Vec::new());
    refused_pass(&mut router, &observed);
    let due = router.deadline().unwrap();
    assert!(due > Instant::ZERO && !router.kernel.is_withdrawn());
}

/// Given what is left of an uplink that the configuration no longer has, then it is kept until it has
/// been given back, and forgotten then: what the administrator does there afterwards is his own.
#[test]
fn what_was_given_back_is_forgotten() {
    let (path, ifname) = ("net/ipv4/conf/old0/rp_filter", "old0".parse().unwrap());
    let address: (IfName, crate::net::Prefix) = (ifname, "192.0.2.9/24".parse().unwrap());
    let saved = Saved {
        boot_id: "boot".into(),
        sysctls: BTreeMap::from([(path.into(), "0".into())]),
        addresses: alloc::vec![address],
        links_up: alloc::vec![ifname, "wan1".parse().unwrap()],
        ..Saved::default()
    };
    let link = Link { index: 7, up: true, carrier: true, mtu: 1500, ..Link::default() };
    let mut theirs = Observed::default();
    theirs.links.insert(ifname, link);
    theirs.sysctls.insert(path.into(), "2".into());
    theirs.addresses.insert(address, Ownership::Foreign);
    let mut ours = Observed { links: theirs.links.clone(), ..Observed::default() };
    ours.sysctls.insert(path.into(), "0".into());

    let mut waiting = started(saved.clone(), &theirs);
    refused_pass(&mut waiting, &theirs);
    assert_eq!(waiting.desk.saved.sysctls, saved.sysctls);
    assert_eq!(waiting.desk.saved.addresses, saved.addresses);

    let mut router = started(saved.clone(), &ours);
    let out = refused_pass(&mut router, &ours);
    let kept = out.iter().rev().find_map(|output| match output {
        Output::Save { saved, .. } => Some(saved),
        _ => None,
    });
    let kept = kept.unwrap();
    assert!(kept.sysctls.is_empty() && kept.addresses.is_empty(), "{kept:?}");
    assert_eq!(kept.links_up, saved.links_up[1..]);
    assert!(!router.kernel.watch().sysctls.iter().any(|p| p == path));
    let seen = Input::Observed(Scope::ALL, Box::new(theirs.clone()));
    router.handle(Instant::ZERO, seen, &mut Vec::new());
    let out = refused_pass(&mut router, &theirs);
    let touched = |output: &Output| {
        matches!(output, Output::Apply(plan) if plan.iter().any(|s| {
            s.key == Key::Sysctl(path.into()) || matches!(s.key, Key::Address { .. })
        }))
    };
    assert!(!out.iter().any(touched), "{out:?}");
}

/// A kernel without firewall: what is applied is there, and what is deleted is noted.
struct Kernel {
    state: Observed,
    watch: Watch,
    purges: Vec<Purge>,
}

/// Does to the kernel's state what one step asks for; what these tests do not look at is left out.
fn perform(state: &mut Observed, key: Key, op: Op) {
    match (key, op) {
        (Key::Address { ifname, prefix }, Op::Put { .. }) => {
            state.addresses.insert((ifname, prefix), Ownership::Ours);
        }
        (Key::Address { ifname, prefix }, Op::Drop) => {
            state.addresses.remove(&(ifname, prefix));
        }
        (Key::Route(key), Op::Put { value: Resource::Route(value), .. }) => {
            let route = ObservedRoute { value: Some(value), protocol: PROTOCOL, dead: false };
            state.routes.insert(key, route);
        }
        (Key::Route(key), Op::Drop) => drop(state.routes.remove(&key)),
        (Key::Rule(rule), Op::Put { .. }) => state.rules.push(ObservedRule {
            priority: rule.priority,
            family: rule.family,
            protocol: PROTOCOL,
            rule: Some(rule),
        }),
        (Key::Rule(rule), Op::Drop) => {
            state.rules.retain(|r| r.rule.as_ref() != Some(&rule));
        }
        (key @ Key::Link(_), op @ Op::Put { .. }) => state.assume_link(&Step { key, op }),
        (Key::Link(ifname), Op::Drop) => drop(state.links.remove(&ifname)),
        (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(mask), .. }) => {
            queues::set(state, &path, &mask);
        }
        _ => {}
    }
}

impl Kernel {
    fn new(config: &Config) -> Self {
        let mut state = Observed::default();
        for (index, uplink) in (1..).zip(&config.uplinks) {
            let link = Link { index, up: true, carrier: true, mtu: 1500, ..Link::default() };
            state.links.insert(uplink.ifname, link);
        }
        Self { state, watch: Watch::default(), purges: Vec::new() }
    }

    fn apply(&mut self, key: Key, op: Op) {
        perform(&mut self.state, key, op);
    }

    /// Performs until the router asks for nothing more.
    fn sync(&mut self, router: &mut Router, now: Instant, mut out: Vec<Output>) {
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
                    Output::Save { durable: true, .. } => {
                        router.handle(now, Input::Saved(router.desk.durable()), &mut next);
                    }
                    Output::Watch(watch) => self.watch = watch,
                    Output::Observe(scope) => {
                        let mut state = Box::new(self.state.clone());
                        state.routes.retain(|k, r| self.watch.has_route(k.table, r.protocol));
                        router.handle(now, Input::Observed(scope, state), &mut next);
                    }
                    Output::Purge(purge) => {
                        let (uplink, result) = (purge.uplink, Ok(1));
                        // Those that no uplink has are asked for all the time.
                        if purge.which != Which::All {
                            self.purges.push(purge);
                        }
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

/// A router that is in sync.
fn in_sync(config: &Config, saved: Saved) -> (Router, Kernel) {
    let (mut kernel, mut out) = (Kernel::new(config), Vec::new());
    let mut router = Router::new(config.clone(), saved, "boot".into(), [0; 16]);
    router.start(Instant::ZERO, &mut out);
    kernel.sync(&mut router, Instant::ZERO, out);
    (router, kernel)
}

/// The purges that no other uplink is needed for.
fn exact(kernel: &Kernel) -> Vec<(u8, Which)> {
    let exact = kernel.purges.iter().filter(|purge| purge.which != Which::Movable);
    exact.map(|purge| (purge.uplink.0, purge.which)).collect()
}

/// Given the only uplink, which is usable again at once, when it gets another address, then the
/// connections that bear the old one are deleted, once.
#[test]
fn a_line_with_another_address_loses_its_old_connections() {
    let mut config = external(1);
    let (mut router, mut kernel) = in_sync(&config, Saved::default());
    assert_eq!(kernel.purges, []);
    let old = config.uplinks[0].address().unwrap().address;
    config.uplinks[0].fixed_mut().unwrap().address = "100.64.1.9/24".parse().unwrap();
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config.clone())), &mut out);
    assert_eq!(router.desk.saved.stale.len(), 2);
    kernel.sync(&mut router, now, out);
    assert_eq!(exact(&kernel), [(1, Which::From(old)), (1, Which::At(old))]);
    assert!(router.desk.saved.stale.is_empty() && !router.purge.has_asked());
    let mut out = Vec::new();
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.sync(&mut router, now, out);
    assert_eq!(exact(&kernel).len(), 2);
}

/// Given a file that was edited while no daemon ran, then a restart deletes what bears the old
/// address; and after a boot there is nothing to delete.
#[test]
fn a_restart_with_another_address_deletes_the_old_connections() {
    let mut config = external(2);
    let (router, _) = in_sync(&config, Saved::default());
    let old = config.uplinks[1].address().unwrap().address;
    config.uplinks[1].fixed_mut().unwrap().address = "100.64.2.9/24".parse().unwrap();
    let (_, kernel) = in_sync(&config, router.desk.saved.clone());
    assert_eq!(exact(&kernel), [(2, Which::From(old)), (2, Which::At(old))]);
    let saved = Saved { boot_id: "earlier".into(), ..router.desk.saved };
    let (_, kernel) = in_sync(&config, saved);
    assert_eq!(kernel.purges, []);
}

/// Given other bits for marks, then the connections with the old ones are deleted under the mask
/// they were made with.
#[test]
fn other_marks_delete_what_has_the_old_ones() {
    let mut config = external(1);
    let (mut router, mut kernel) = in_sync(&config, Saved::default());
    let (mark, mask) = (render::mark(&config, UplinkId(1)), config.ranges.mark_mask);
    config.ranges.mark_mask = 0x00ff_0000;
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.sync(&mut router, now, out);
    let gone: Vec<_> = kernel.purges.iter().map(|p| (p.mark, p.mask)).collect();
    assert_eq!(gone, [(mark, mask); 2]);
}

/// Given an inside address, one of an uplink and one beside it, when connections of an uplink that is not
/// there are to go, then those from what uplinks have or had stay, and those from the inside do not;
/// nor do those to any of them.
#[test]
fn own_connections_from_inside_addresses_are_not_kept() {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let mut observed = Observed::default();
    for (ifname, prefix) in
        [("lan0", "192.168.1.1/24"), ("wan1", "100.64.1.2/24"), ("wan1", "100.64.1.9/24")]
    {
        observed
            .addresses
            .insert((ifname.parse().unwrap(), prefix.parse().unwrap()), Ownership::Foreign);
    }
    let facts = Facts::unseen(&config, (1..).map(UplinkId));
    let purge = crate::purge::movable(&config, facts.uplinks.iter(), &observed, UplinkId(2));
    let mut kept: Vec<_> = purge.keep_sources.iter().map(ToString::to_string).collect();
    kept.sort();
    kept.dedup();
    assert_eq!(kept, ["100.64.1.2", "100.64.1.9", "100.64.2.2"]);
    let kept: Vec<_> = purge.keep_destinations.iter().map(ToString::to_string).collect();
    assert!(kept.contains(&"192.168.1.0/24".into()), "{kept:?}");
    assert!(kept.contains(&"100.64.2.2/32".into()), "{kept:?}");
}

/// Given a range that no longer holds the number of an uplink that stays, then it works on under
/// another one.
#[test]
fn a_line_that_stays_takes_another_number() {
    let mut config = external(1);
    let ids = [("isp1".into(), UplinkId(9))].into();
    let (mut router, mut kernel) = in_sync(&config, Saved { ids, ..Saved::default() });
    config.ranges.tables = (1000, 1003);
    let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
    router.handle(now, Input::Reload(Box::new(config)), &mut out);
    kernel.sync(&mut router, now, out);
    assert_eq!(
        (router.uplinks.at(0).facts.id, router.uplinks.at(0).prober.id()),
        (UplinkId(1), UplinkId(1))
    );
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
        let (mut router, mut kernel) = in_sync(&config, Saved::default());
        assert_eq!(tables(&kernel), [20_000, 20_001]);
        let theirs = kernel.state.routes.first_key_value().unwrap();
        let (mut key, mut route) = (theirs.0.clone(), theirs.1.clone());
        (key.table, route.protocol) = (20_900, 3);
        kernel.state.routes.insert(key, route);
        config.ranges.tables = (1000, 1010);
        let (now, mut out) = (Instant::ZERO + Duration::from_secs(9), Vec::new());
        if restart {
            router = Router::new(config, router.desk.saved, "boot".into(), [0; 16]);
            router.start(now, &mut out);
        } else {
            router.handle(now, Input::Reload(Box::new(config)), &mut out);
        }
        assert_eq!(router.desk.saved.old_tables, [(20_000, 20_999)], "restart: {restart}");
        kernel.sync(&mut router, now, out);
        assert_eq!(tables(&kernel), [1000, 1001, 20_900], "restart: {restart}");
        assert!(router.desk.saved.old_tables.is_empty() && kernel.watch.old_tables.is_empty());
    }
}

/// Given a router at rest, when one reading omits an address, a route and a rule, then nothing is
/// changed and no uplink is lost; when the next one omits them, too, they are repaired.
#[test]
fn one_reading_is_no_evidence_of_absence() {
    let config = external(2);
    let (mut router, kernel) = in_sync(&config, Saved::default());
    let now = Instant::ZERO;
    let mut torn = kernel.state.clone();
    torn.rules.remove(1);
    torn.routes.pop_first();
    torn.addresses.pop_first();
    let scope = Scope::ADDRESSES | Scope::ROUTES | Scope::RULES;
    let look = |router: &mut Router, state: &Observed| {
        let mut out = Vec::new();
        router.handle(now, Input::Observed(scope, Box::new(state.clone())), &mut out);
        router.wake(now, &mut out);
        let again = out.iter().any(|o| matches!(o, Output::Observe(s) if *s == scope));
        let mut steps = 0;
        for output in &out {
            steps += if let Output::Apply(plan) = output { plan.len() } else { 0 };
        }
        (
            again,
            steps,
            router.uplinks.iter().filter(|uplink| uplink.facts.has_address[Family::V4]).count(),
        )
    };
    assert_eq!(look(&mut router, &torn), (true, 0, 2));
    assert_eq!(look(&mut router, &kernel.state), (false, 0, 2));
    assert_eq!(look(&mut router, &torn), (true, 0, 2));
    let (_, steps, addresses) = look(&mut router, &torn);
    assert!(steps >= 3 && addresses == 1, "{steps} steps, {addresses} addresses");
}

mod cause;
mod closed;
mod cold;
mod copies;
mod decisions;
mod dhcp;
mod dying;
mod failback;
mod flaps;
mod ignored;
mod keep;
mod kinds;
mod names;
mod originals;
mod overrides;
mod own_links;
mod passive;
mod ports;
mod ppp;
mod queues;
mod renewed;
mod unproven;
mod ways;
mod world;
