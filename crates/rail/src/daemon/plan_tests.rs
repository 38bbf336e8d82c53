use super::*;
use rail_core::state::{ObservedFirewall, RouteKey, RouteValue};

fn before() -> Before {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good/contract.toml");
    let mut config = crate::load::read_file(std::path::Path::new(path)).expect("valid").0;
    let mut second = config.uplinks[0].clone();
    second.name = "isp2".into();
    config.uplinks.push(second);
    let ids = (1u8..).take(config.uplinks.len()).map(UplinkId).collect();
    Before { config, ids, observed: Observed::default() }
}

/// Given steps of each kind, when they are shown, then each is one line with its sign.
#[test]
fn a_step_is_one_line_with_its_sign() {
    let mut before = before();
    let key = RouteKey { table: 20001, prefix: "0.0.0.0/0".parse().unwrap(), metric: 7 };
    let route = |replace| Step {
        key: Key::Route(key.clone()),
        op: Op::Put { value: Resource::Route(RouteValue::Unreachable), replace },
    };
    assert_eq!(before.line(&route(false)), "+ route default table 20001 metric 7 unreachable");
    assert!(before.line(&route(true)).starts_with("~ "));
    let path = "net/ipv4/ip_forward".to_owned();
    before.observed.sysctls.insert(path.clone(), "0".into());
    let setting = Step { key: Key::Sysctl(path), op: Op::replace(Resource::Sysctl("1".into())) };
    assert_eq!(before.line(&setting), "~ sysctl net.ipv4.ip_forward = 0 -> 1");
    let text = "add table inet rail\nadd chain inet rail a\nadd rule inet rail a accept\n";
    let nft = Step { key: Key::Firewall, op: Op::Script(text.into()) };
    assert_eq!(before.line(&nft), "~ nft table inet rail: 1 chains and 1 rules added, 0 removed");
    assert_eq!(details(&nft.op).len(), 3);
    let last = total(&[route(false), route(true), nft], true);
    assert_eq!(last.as_deref(), Some("1 added, 2 changed, 0 removed"));
    assert_eq!(total(&[], false), None);
}

/// Given buckets that move, when they are shown, then as numbers by uplink.
#[test]
fn buckets_are_counted_by_uplink() {
    let mut before = before();
    let (one, two) = (0x0100_0000, 0x0200_0000);
    let buckets = [(0, one), (1, one), (2, two)].into_iter().collect();
    before.observed.firewall =
        Some(ObservedFirewall { buckets: Some(buckets), ..Default::default() });
    let op = Op::Buckets { del: vec![(1, one)], add: vec![(1, two)] };
    let line = before.line(&Step { key: Key::Buckets, op: op.clone() });
    assert_eq!(line, "~ nft map inet rail slots: buckets 2 -> 1 for isp1, 1 -> 2 for isp2");
    assert_eq!(details(&op), ["    -1:0x01000000", "    +1:0x02000000"]);
}
