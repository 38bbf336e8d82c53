//! Notifications: others are heard, and only as the kernel tells it.

use super::buckets::set;
use super::*;

fn heard(monitor: &mut Monitor) -> bool {
    // Notifications are there when the change returns.
    let first = monitor.drain();
    assert!(monitor.drain().is_empty(), "said twice");
    assert!([Scope::FIREWALL, Scope::NONE].contains(&first));
    !first.is_empty()
}

#[test]
fn others_are_heard_and_we_are_not() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let mut monitor = Monitor::open(vec![kernel.port()]).unwrap();
        assert!(!heard(&mut monitor));
        mend(&mut kernel, &desired());
        assert!(heard(&mut monitor), "nft has a port of its own");
        set(&mut kernel, &BTreeMap::from([(0, 1)]));
        assert!(!heard(&mut monitor));
        for foreign in [
            "add rule inet rail forward accept",
            "add element inet rail slots { 1 : 1 }",
            "delete element inet rail slots { 1 }",
            "add chain inet rail guest",
            "add chain inet rail forward { policy drop; }",
            "add table inet rail { flags dormant; }",
            "add set inet rail friends { type ipv4_addr; }",
            "flush chain inet rail forward",
            "flush ruleset",
            "add table inet rail",
            "delete table inet rail",
        ] {
            nft(foreign);
            assert!(heard(&mut monitor), "{foreign}");
        }
        for other in ["add table ip rail", "add table inet other", "delete table ip rail"] {
            nft(other);
            assert!(!heard(&mut monitor), "{other}");
        }
        nft("flush ruleset");
        assert!(!heard(&mut monitor));
    });
}

#[test]
fn lost_notifications_count_as_a_change() {
    in_new_netns(|| {
        let mut monitor = Monitor::open(Vec::new()).unwrap();
        nft("add table inet other; add set inet other s { type mark; }");
        let elements: Vec<String> = (0..40_000).map(|n| n.to_string()).collect();
        let begin = Instant::now();
        while monitor.counters().overruns == 0 {
            nft(&format!("add element inet other s {{ {} }}", elements.join(", ")));
            nft("flush set inet other s");
            let changed = !monitor.drain().is_empty();
            assert_eq!(changed, monitor.counters().overruns > 0);
            assert!(begin.elapsed() < Duration::from_secs(60), "never lost one");
        }
    });
}

/// Any process may write to a netlink socket; only the kernel is believed.
#[test]
fn forged_notifications_are_not_heard() {
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, netlink, sendto};
    in_new_netns(|| {
        let mut monitor = Monitor::open(Vec::new()).unwrap();
        let forger = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )
        .unwrap();
        rustix::net::bind(&forger, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
        let address = rustix::net::getsockname(monitor.as_fd()).unwrap();
        let port = netlink::SocketAddrNetlink::try_from(address).unwrap().pid();
        let mut forged = rail_wire::netlink::Request::new(0xa06, 0, &[1, 0, 0, 0]);
        forged.text(1, "rail");
        let to = netlink::SocketAddrNetlink::new(port, 0);
        sendto(&forger, &forged.finish(0), SendFlags::empty(), &to).unwrap();
        assert!(!heard(&mut monitor));
        nft("add table inet rail");
        assert!(heard(&mut monitor));
    });
}
