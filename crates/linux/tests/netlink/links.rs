//! Links of ours.

use super::*;
use rail_core::state::Macvlan;

fn macvlan(parent: &str, last: u8, alias: &str) -> Op {
    let (parent, mac) = (name(parent), Mac([2, 0, 0, 0, 0, last]));
    Op::put(Resource::Link(Macvlan { parent, mac, alias: alias.into() }))
}

/// Given a port, when macvlans of ours are made, changed, moved to another port and deleted, then `ip`
/// and our own reading say so; a second time changes nothing.
#[test]
fn ours_are_made_changed_and_deleted() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Link(name("isp2"));
        for _ in 0..2 {
            s.apply(&key, &macvlan("wan1", 9, "rail:isp2")).unwrap();
        }
        let shown = ip("-d link show isp2");
        for part in ["isp2@wan1", "02:00:00:00:00:09", "macvlan mode private", "alias rail:isp2"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let first = observe(&mut s).links[&name("isp2")].clone();
        assert!(first.is_ours() && first.is_macvlan_on(observe(&mut s).links[&name("wan1")].index));
        s.apply(&key, &macvlan("wan1", 8, "rail:other")).unwrap();
        let changed = observe(&mut s).links[&name("isp2")].clone();
        assert_eq!((changed.index, changed.alias.as_str()), (first.index, "rail:other"));
        assert_eq!(changed.identity.mac, Some(Mac([2, 0, 0, 0, 0, 8])));
        s.apply(&key, &macvlan("wan2", 8, "rail:isp2")).unwrap();
        assert!(ip("-d link show isp2").contains("isp2@wan2"));
        for _ in 0..2 {
            s.apply(&key, &Op::Drop).unwrap();
        }
        assert!(try_ip("link show isp2").is_err());
        assert_eq!(errno(s.apply(&key, &macvlan("wan9", 8, "rail:isp2"))), libc::ENODEV);
    });
}

/// Given links of that name that are not ours, a macvlan among them, then they are neither changed nor
/// deleted.
#[test]
fn those_of_others_stay() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Link(name("isp2"));
        for kind in ["bridge", "macvlan"] {
            let on = if kind == "macvlan" { "link wan1 " } else { "" };
            ip(&format!("link add isp2 {on}type {kind}"));
            let before = ip("-d link show isp2");
            assert_eq!(errno(s.apply(&key, &macvlan("wan1", 9, "rail:isp2"))), libc::EEXIST);
            s.apply(&key, &Op::Drop).unwrap();
            assert_eq!(ip("-d link show isp2"), before);
            ip("link delete isp2");
        }
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
