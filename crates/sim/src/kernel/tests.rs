use super::*;
use rail_core::state::{Nexthop, RouteValue};
use std::net::Ipv4Addr;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn two_lines() -> Kernel {
    let mut kernel = Kernel::new(true);
    for (n, ifname) in ["wan1", "wan2"].into_iter().enumerate() {
        kernel.add_link(name(ifname), true);
        kernel.set_up(name(ifname), true);
        let prefix = format!("100.64.{n}.2/24").parse().unwrap();
        kernel.add_address(name(ifname), prefix, 0).unwrap();
    }
    kernel
}

fn hop(n: u8, ifname: &str) -> Nexthop {
    let via = Some(IpAddr::V4(Ipv4Addr::new(100, 64, n, 1)));
    Nexthop { ifname: name(ifname), via, weight: 1, onlink: false }
}

fn key(table: u32) -> RouteKey {
    RouteKey { table, prefix: "0.0.0.0/0".parse().unwrap(), metric: 0 }
}

/// Given a plain and a multipath route, when carrier goes, then both stay; when the link is set
/// down, then the plain one goes and the other has a dead next hop, which alone wakes up again.
#[test]
fn routes_go_with_their_link_and_not_with_the_cable() {
    let mut kernel = two_lines();
    let plain = RouteValue::Unicast { nexthops: vec![hop(0, "wan1")], source: None, mtu: None };
    let both = RouteValue::Unicast {
        nexthops: vec![hop(0, "wan1"), hop(1, "wan2")],
        source: None,
        mtu: None,
    };
    kernel.set_route(&key(1), &plain, false, 82).unwrap();
    kernel.set_route(&key(2), &both, false, 82).unwrap();
    kernel.set_carrier(name("wan1"), false);
    assert_eq!(kernel.routes.len(), 2);
    kernel.set_up(name("wan1"), false);
    assert!(!kernel.routes.contains_key(&key(1)));
    assert_eq!(kernel.routes[&key(2)].living().count(), 1);
    assert_eq!(kernel.set_route(&key(1), &plain, false, 82).unwrap_err().errno, ENETDOWN);
    kernel.set_up(name("wan1"), true);
    assert!(!kernel.routes.contains_key(&key(1)));
    assert_eq!(kernel.routes[&key(2)].living().count(), 2);
}

/// Given a route through a device, when its last address goes, then so does the route; when the
/// device is pulled and plugged, then it has another index and nothing on it.
#[test]
fn routes_go_with_the_address_and_the_device() {
    let mut kernel = two_lines();
    let plain = RouteValue::Unicast { nexthops: vec![hop(0, "wan1")], source: None, mtu: None };
    kernel.set_route(&key(1), &plain, false, 82).unwrap();
    assert_eq!(kernel.set_route(&key(1), &plain, false, 82).unwrap_err().errno, EEXIST);
    kernel.del_address(name("wan1"), "100.64.0.2/24".parse().unwrap());
    assert!(kernel.routes.is_empty());
    assert_eq!(kernel.set_route(&key(1), &plain, false, 82).unwrap_err().errno, ENETUNREACH);
    let onlink = Nexthop { onlink: true, ..hop(9, "wan2") };
    let onlink = RouteValue::Unicast { nexthops: vec![onlink], source: None, mtu: None };
    kernel.set_route(&key(3), &onlink, false, 82).unwrap();
    let before = kernel.links[&name("wan1")].index;
    kernel.remove_link(name("wan1"));
    kernel.add_link(name("wan1"), true);
    assert_ne!(kernel.links[&name("wan1")].index, before);
    assert_eq!(kernel.addresses.len(), 1);
}

/// Given a multipath route, when the device of one next hop is deleted, then the whole route goes.
#[test]
fn a_deleted_device_takes_the_whole_multipath_route() {
    let mut kernel = two_lines();
    let both = RouteValue::Unicast {
        nexthops: vec![hop(0, "wan1"), hop(1, "wan2")],
        source: None,
        mtu: None,
    };
    kernel.set_route(&key(2), &both, false, 82).unwrap();
    kernel.remove_link(name("wan1"));
    assert!(kernel.routes.is_empty());
}

/// Given a script that fails in its last line, then nothing of it is done; rules go where the
/// script says; a chain that is referred to cannot be deleted.
#[test]
fn a_script_is_a_transaction() {
    let mut kernel = Kernel::new(true);
    let good = "add table inet rail\nadd chain inet rail a\n\
                add chain inet rail b { type filter hook input priority 0; policy accept; }\n\
                add rule inet rail b iifname vmap { \"x\" : goto a } comment \"rail:00000000000000ff\"";
    kernel.run_nft(good).unwrap();
    let rule = kernel.nft.as_ref().unwrap().chains["b"].rules[0].clone();
    assert_eq!(rule.stamp, Some(255));
    let insert = format!("insert rule inet rail b position {} accept", rule.handle);
    kernel.run_nft(&insert).unwrap();
    assert_eq!(kernel.nft.as_ref().unwrap().chains["b"].rules[0].text, "accept");
    let before = kernel.nft.clone();
    for bad in
        ["delete chain inet rail a", "add rule inet rail b goto c", "add rule inet rail z accept"]
    {
        let script = format!("add rule inet rail b drop\n{bad}");
        assert!(kernel.run_nft(&script).is_err(), "{bad}");
        assert_eq!(kernel.nft, before);
    }
}

/// Given a map, when a batch names an element that is not there, or adds one with another value, then
/// nothing changes.
#[test]
fn buckets_change_in_one_batch() {
    let mut kernel = Kernel::new(true);
    assert_eq!(kernel.set_buckets(&[], &[(0, 1)]).unwrap_err().errno, ENOENT);
    kernel.run_nft("add table inet rail\nadd map inet rail slots { typeof x; }").unwrap();
    kernel.set_buckets(&[], &[(0, 1), (1, 2)]).unwrap();
    assert_eq!(kernel.set_buckets(&[(0, 1), (2, 9)], &[]).unwrap_err().errno, ENOENT);
    assert_eq!(kernel.set_buckets(&[], &[(0, 5)]).unwrap_err().errno, EEXIST);
    let stale = "add element inet rail slots { 0 : 0x00000009 }\n\
                 delete element inet rail slots { 0 : 0x00000009 }";
    assert!(kernel.run_nft(stale).is_err());
    // The kernel asks for the key alone.
    kernel.set_buckets(&[(0, 9)], &[(0, 5)]).unwrap();
    assert_eq!(kernel.new_connection_marks(2), [0, 0]);
    kernel
        .run_nft(
            "add chain inet rail c { type nat hook prerouting priority -100; policy accept; }\n\
             add rule inet rail c meta mark set numgen inc mod 2 map @slots",
        )
        .unwrap();
    assert_eq!(kernel.new_connection_marks(2), [5, 2]);
}
