//! What a router does that no single machine of it does.

use super::*;
use crate::config::Tier;
use crate::render::tests::config;
use crate::state::{ObservedRule, PROTOCOL};

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

/// A router of one line that knows this kernel, before its first decision.
fn started(saved: Saved, observed: &Observed) -> Router {
    let config = config(&[(1, Tier::Number(1))]);
    let mut router = Router::new(config, saved, "boot".into(), [0; 16]);
    let mut out = Vec::new();
    router.start(Instant::ZERO, &mut out);
    router.handle(Instant::ZERO, Input::Observed(Scope::ALL, Box::new(observed.clone())), &mut out);
    router
}

/// One pass against a kernel that refuses everything and stays as it is, and the wake after it.
fn refused_pass(router: &mut Router, observed: &Observed) -> Vec<Output> {
    let now = Instant::ZERO;
    let mut out = Vec::new();
    router.wake(now, &mut out);
    let plan = out.iter().find_map(|output| match output {
        Output::Apply(plan) => Some(plan.clone()),
        _ => None,
    });
    for step in plan.unwrap_or_default() {
        let refusal = crate::state::OpError { errno: 16, text: "busy".into() };
        router.handle(now, Input::Applied(step.key, Err(refusal)), &mut out);
    }
    router.handle(now, Input::Observed(Scope::ALL, Box::new(observed.clone())), &mut out);
    router.wake(now, &mut out);
    out
}

/// Given a withdrawal that the kernel refuses at first, then it sleeps until the next try,
/// whatever was left to decide before.
#[test]
fn a_withdrawal_that_waits_sleeps() {
    let rule = crate::state::Rule {
        priority: 20_999,
        family: crate::net::Family::V4,
        from: None,
        oif: None,
        fwmark: None,
        table: 20_999,
        suppress_prefixlength: None,
    };
    let (priority, family) = (rule.priority, rule.family);
    let rules =
        alloc::vec![ObservedRule { rule: Some(rule), priority, family, protocol: PROTOCOL }];
    let observed = Observed { rules, ..Observed::default() };
    let mut router = started(Saved::default(), &observed);
    let purge = settle::purge(&router.config, &observed, UplinkId(1));
    router.sweeps.push((Instant::ZERO, purge));
    router.handle(Instant::ZERO, Input::Withdraw, &mut Vec::new());
    refused_pass(&mut router, &observed);
    let due = router.deadline().unwrap();
    assert!(due > Instant::ZERO && !router.done);
}

/// Given what is left of a line that the configuration no longer has, then it is kept until it has
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
    let link = crate::state::Link { index: 7, up: true, carrier: true, mtu: 1500 };
    let mut theirs = Observed::default();
    theirs.links.insert(ifname, link);
    theirs.sysctls.insert(path.into(), "2".into());
    theirs.addresses.insert(address, crate::state::Ownership::Foreign);
    let mut ours = Observed { links: theirs.links.clone(), ..Observed::default() };
    ours.sysctls.insert(path.into(), "0".into());

    let mut waiting = started(saved.clone(), &theirs);
    refused_pass(&mut waiting, &theirs);
    assert_eq!(waiting.saved.sysctls, saved.sysctls);
    assert_eq!(waiting.saved.addresses, saved.addresses);

    let mut router = started(saved.clone(), &ours);
    let out = refused_pass(&mut router, &ours);
    let kept = out.iter().rev().find_map(|output| match output {
        Output::Save { saved, .. } => Some(saved),
        _ => None,
    });
    let kept = kept.unwrap();
    assert!(kept.sysctls.is_empty() && kept.addresses.is_empty(), "{kept:?}");
    assert_eq!(kept.links_up, saved.links_up[1..]);
    assert!(!router.watch.sysctls.iter().any(|p| p == path));
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
