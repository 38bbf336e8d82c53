//! What a router does that no single machine of it does.

use super::*;
use crate::config::Tier;
use crate::render::tests::config;
use crate::state::Ownership;

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

/// Given an inside address, one of a line and one beside it, when connections of a line that is not
/// there are to go, then those from what lines have or had stay, and those from the inside do not;
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
    let purge = settle::purge(&config, &observed, UplinkId(2));
    let mut kept: Vec<_> = purge.keep_sources.iter().map(ToString::to_string).collect();
    kept.sort();
    kept.dedup();
    assert_eq!(kept, ["100.64.1.2", "100.64.1.9", "100.64.2.2"]);
    let kept: Vec<_> = purge.keep_destinations.iter().map(ToString::to_string).collect();
    assert!(kept.contains(&"192.168.1.0/24".into()), "{kept:?}");
    assert!(kept.contains(&"100.64.2.2/32".into()), "{kept:?}");
}
