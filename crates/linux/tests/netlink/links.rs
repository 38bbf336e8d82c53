//! Links of ours.

use super::*;
use rail_core::state::Macvlan;

fn macvlan(parent: &str, last: u8) -> Op {
    let (parent, mac) = (name(parent), Mac([2, 0, 0, 0, 0, last]));
    Op::put(Resource::Link(Macvlan { parent, mac }))
}

/// Given a port, when macvlans of ours are made, changed, moved to another port and deleted, then `ip`
/// and our own reading say so, and they are up; a second time changes nothing.
#[test]
fn ours_are_made_changed_and_deleted() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Link(name("isp2"));
        for _ in 0..2 {
            s.apply(&key, &macvlan("wan1", 9)).unwrap();
        }
        let shown = ip("-d link show isp2");
        for part in ["isp2@wan1", "02:00:00:00:00:09", "macvlan mode private", "alias rail:isp2"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let links = observe(&mut s).links;
        let first = links[&name("isp2")].clone();
        assert!(first.up && first.is_ours(name("isp2")));
        assert_eq!(first.lower, links[&name("wan1")].port_below());
        ip("link set isp2 down");
        s.apply(&key, &macvlan("wan1", 8)).unwrap();
        let changed = observe(&mut s).links[&name("isp2")].clone();
        assert_eq!((changed.index, changed.up), (first.index, true));
        assert_eq!(changed.identity.mac, Some(Mac([2, 0, 0, 0, 0, 8])));
        s.apply(&key, &macvlan("wan2", 8)).unwrap();
        assert!(ip("-d link show isp2").contains("isp2@wan2"));
        for _ in 0..2 {
            s.apply(&key, &Op::Drop).unwrap();
        }
        assert!(try_ip("link show isp2").is_err());
        assert_eq!(errno(s.apply(&key, &macvlan("wan9", 8))), libc::ENODEV);
    });
}

/// Given links of that name that are not ours, a macvlan among them, though they bear our alias, then they
/// are neither changed nor deleted.
#[test]
fn those_of_others_stay() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Link(name("isp2"));
        for kind in ["bridge", "macvlan mode bridge", "macvlan mode private"] {
            let (on, alias) = match kind {
                "bridge" => ("", "rail:isp2"),
                "macvlan mode bridge" => ("link wan1 ", "rail:isp2"),
                _ => ("link wan1 ", "rail:isp2,_ask_Bob"),
            };
            ip(&format!("link add isp2 {on}type {kind}"));
            ip(&format!("link set isp2 alias {alias}"));
            let before = ip("-d link show isp2");
            assert_eq!(errno(s.apply(&key, &macvlan("wan1", 9))), libc::EEXIST);
            s.apply(&key, &Op::Drop).unwrap();
            assert_eq!(ip("-d link show isp2"), before);
            ip("link delete isp2");
        }
    });
}

/// Given macvlans of ours on one port, when one is called otherwise, and when two exchange their addresses,
/// then each has what it is to have and is up.
#[test]
fn an_address_moves_to_another_name() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        for (ifname, last) in [("a", 1), ("b", 2), ("c", 1), ("b", 1), ("c", 2)] {
            s.apply(&Key::Link(name(ifname)), &macvlan("wan1", last)).unwrap();
        }
        let links = observe(&mut s).links;
        assert!(!links.contains_key(&name("a")));
        for (ifname, last) in [("b", 1), ("c", 2)] {
            let link = &links[&name(ifname)];
            assert!(link.up && link.is_ours(name(ifname)), "{ifname}");
            assert_eq!(link.identity.mac, Some(Mac([2, 0, 0, 0, 0, last])), "{ifname}");
        }
    });
}

/// Given a parent that is itself a macvlan, then ours is on the port below, and that is as it is to be.
#[test]
fn a_macvlan_as_parent_is_seen_through() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        ip("link add mv0 link wan1 type macvlan mode bridge");
        let key = Key::Link(name("isp2"));
        s.apply(&key, &macvlan("mv0", 9)).unwrap();
        let links = observe(&mut s).links;
        let first = &links[&name("isp2")];
        assert_eq!(first.lower, links[&name("mv0")].port_below());
        assert_eq!(first.lower, Some(links[&name("wan1")].index));
        s.apply(&key, &macvlan("mv0", 9)).unwrap();
        assert_eq!(observe(&mut s).links[&name("isp2")].index, first.index);
    });
}

/// Given what the kernel refuses (the port's own address, a port of a bridge), when a link is asked for,
/// then the refusal comes at once, and nothing is left behind.
#[test]
fn a_refused_link_leaves_nothing() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Link(name("isp2"));
        ip("link set wan1 address 02:00:00:00:00:09");
        assert_eq!(errno(s.apply(&key, &macvlan("wan1", 9))), libc::EADDRINUSE);
        ip("link add br0 type bridge");
        ip("link set wan2 master br0");
        let refused = s.apply(&key, &macvlan("wan2", 8)).unwrap_err();
        assert_eq!(refused.errno, libc::EBUSY);
        assert_ne!(refused.text, "the kernel stays busy");
        assert!(try_ip("link show isp2").is_err());
    });
}

/// Given a device that is told not to speak ARP, then our own reading says so.
#[test]
fn a_device_without_arp_is_seen() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        assert!(!observe(&mut s).links[&name("wan1")].no_arp);
        ip("link set wan1 arp off");
        assert!(observe(&mut s).links[&name("wan1")].no_arp);
    });
}
