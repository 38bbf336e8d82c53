//! The router's own tunnels keep away from the source of an uplink that carries nothing.

use super::*;

fn refused(config: &Config, active: &[usize]) -> Vec<String> {
    let state = render(config, &facts(config, active));
    let is_it = |key: &&Key| matches!(key, Key::Rule(rule) if rule.udp_from.is_some());
    state.keys().filter(is_it).map(ToString::to_string).collect()
}

/// Given tunnels, a pair of uplinks and one for what comes in, when another one carries, then the port and the
/// source of that which carries nothing are refused, and the one that is there for what comes in never is.
#[test]
fn a_tunnel_has_no_way_by_an_uplink_that_carries_nothing() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(2)), (1, Tier::Inbound)]);
    assert!(refused(&config, &[0]).is_empty());
    config.router.tunnels = vec![51_820, 51_821];
    let of = |source: &str| {
        let rule = |port| format!("from {source}/32 iif lo ipproto udp sport {port} blackhole");
        [51_820, 51_821].map(rule).to_vec()
    };
    let found = |active: &[usize]| -> Vec<String> {
        let words = |rule: String| String::from(rule.split_once(": ").unwrap().1);
        refused(&config, active).into_iter().map(words).collect()
    };
    let own = |index: usize| config.uplinks[index].own_addresses().next().unwrap().to_string();
    assert_eq!(found(&[0]), of(&own(1)));
    assert_eq!(found(&[1]), of(&own(0)));
    assert_eq!(found(&[0, 1]), Vec::<String>::new());
    assert_eq!(found(&[]).len(), 4);
}
