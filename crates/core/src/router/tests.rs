//! What a router does that no single machine of it does.

use super::*;
use crate::config::Tier;
use crate::render::tests::config;

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
