//! What other programs configure, as it is read, and which changes of it are told.

use super::{in_new_netns, ip, observe, watch};
use rail_core::facts::Gateway;
use rail_core::facts::kept::{Found, read};
use rail_core::state::{GivenDefault, Scope};
use rail_linux::netlink::{Monitor, RequestSocket};

/// Address and gateway of an interface.
fn attached(s: &mut RequestSocket, ifname: &str) -> Option<(String, Gateway)> {
    match read(&observe(s), ifname.parse().unwrap(), (None, None)) {
        Found::Whole(way, _) => Some((way.address.to_string(), way.gateway)),
        Found::NoAddress | Found::NoGateway(_) => None,
    }
}

fn via(text: &str) -> Gateway {
    Gateway::Via(text.parse().unwrap())
}

#[test]
fn what_others_configure_is_read() {
    in_new_netns(|| {
        // given addresses and default routes of others / when they are read / then those that are good for
        // everything are there in the order of the kernel, with what the routes say
        let mut s = RequestSocket::open().unwrap();
        assert_eq!(attached(&mut s, "wan1"), None);
        ip("address add 169.254.7.7/16 dev wan1 scope link");
        ip("address add 100.64.1.3/24 dev wan1");
        ip("address add 10.0.0.9/24 dev wan1 preferred_lft 0");
        ip("address add 192.168.100.2/24 dev wan1");
        ip("route add default via 100.64.1.1 dev wan1 metric 700 proto dhcp mtu 1400");
        ip("route add default via 100.64.2.1 dev wan2 metric 100");
        let seen = observe(&mut s);
        let index = seen.links[&"wan1".parse().unwrap()].index;
        let here: Vec<_> = seen.given.iter().filter(|own| own.ifindex == index).collect();
        let texts: Vec<_> =
            here.iter().map(|own| (own.prefix.to_string(), own.is_secondary)).collect();
        let expected =
            [("100.64.1.2/24", false), ("192.168.100.2/24", false), ("100.64.1.3/24", true)];
        assert_eq!(texts, expected.map(|(text, second)| (text.to_owned(), second)));
        let [first, second]: [GivenDefault; 2] = seen.defaults.try_into().unwrap();
        assert_eq!((first.metric, second.metric), (100, 700));
        assert_eq!((second.protocol, second.mtu, second.ifindex), (16, Some(1400), index));
        assert_eq!(attached(&mut s, "wan1"), Some(("100.64.1.2/24".into(), via("100.64.1.1"))));
        ip("route replace default via 100.64.1.1 dev wan1 metric 700 src 100.64.1.3");
        assert_eq!(attached(&mut s, "wan1"), Some(("100.64.1.3/24".into(), via("100.64.1.1"))));
    });
}

#[test]
fn halves_and_ends_are_read() {
    in_new_netns(|| {
        // given halves of everything with routes between them, and a device with two ends / when they are read
        // / then the halves are a default, and the other end is none to be asked for
        let mut s = RequestSocket::open().unwrap();
        ip("route add 0.0.0.0/1 via 100.64.1.1 dev wan1");
        for n in 0..20 {
            ip(&format!("route add 10.{n}.0.0/16 via 100.64.2.1 dev wan2"));
        }
        assert_eq!(attached(&mut s, "wan1"), None);
        ip("route add 128.0.0.0/1 via 100.64.1.1 dev wan1");
        assert_eq!(attached(&mut s, "wan1"), Some(("100.64.1.2/24".into(), via("100.64.1.1"))));
        ip("address add 10.64.1.2 peer 10.64.64.64/32 dev far2");
        assert_eq!(attached(&mut s, "far2"), Some(("10.64.1.2/32".into(), Gateway::Device)));
        ip("route add default dev far2");
        assert_eq!(attached(&mut s, "far2"), Some(("10.64.1.2/32".into(), Gateway::Device)));
        // A gateway of the other family is none that is known here.
        ip("address flush dev wan1");
        ip("address add 100.64.1.2/24 dev wan1");
        ip("route add default via inet6 fe80::1 dev wan1 metric 9");
        assert_eq!(attached(&mut s, "wan1"), None);
    });
}

#[test]
fn changes_of_wide_routes_are_told() {
    in_new_netns(|| {
        // given a monitor / when half of everything gets a route in main, and loses it / then both are told
        let mut monitor = Monitor::open().unwrap();
        while monitor.drain(&[], &watch()) != Scope::NONE {}
        for word in ["add", "del"] {
            ip(&format!("route {word} 128.0.0.0/1 via 100.64.1.1 dev wan1"));
            assert_eq!(monitor.drain(&[], &watch()), Scope::MAIN);
        }
    });
}
