//! The defaults behind the shared one, for the time when no daemon runs.

use super::*;

/// The metrics of the spares, by which a packet takes the first one that is left.
fn spares(config: &Config, active: &[usize]) -> Vec<u32> {
    let state = render(config, &facts(config, active));
    let metric = |key: &Key| match key {
        Key::Route(route) if route.table == 20000 => Some(route.metric),
        _ => None,
    };
    state.keys().filter_map(metric).filter(|metric| SPARE_METRICS.contains(metric)).collect()
}

/// Given uplinks, then each that carries has a spare with a source, and no other one has; where
/// nobody carries, whatever shall be done then, there is none.
#[test]
fn each_uplink_that_carries_has_a_spare() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1)), (1, Tier::Number(2))]);
    assert_eq!(spares(&config, &[0, 1]), [1001, 1002]);
    assert_eq!(spares(&config, &[1]), [1002]);
    for what in [NoUplink::Keep, NoUplink::Unreachable] {
        config.router.no_uplink = what;
        assert_eq!(spares(&config, &[]), []);
    }
    let state = render(&config, &facts(&config, &[0, 1]));
    let text = state[&default_key(Family::V4, 20000, 1002)].clone();
    let Resource::Route(route) = text else { unreachable!() };
    assert_eq!(route.to_string(), "via 100.64.2.1 dev wan2 src 100.64.2.2");
}

/// Given an uplink without link or address, then it has none; given one device for all, then none has
/// one, for they would all go with it.
#[test]
fn what_cannot_help_is_no_spare() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let mut facts = facts(&config, &[0, 1]);
    facts.uplinks[0].has_address = PerFamily::default();
    assert!(!render(&config, &facts).contains_key(&default_key(Family::V4, 20000, 1001)));
    config.uplinks[1].ifname = config.uplinks[0].ifname;
    assert_eq!(spares(&config, &[0, 1]), []);
}
