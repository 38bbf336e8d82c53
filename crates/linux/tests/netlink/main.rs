//! Routing netlink against the kernel, with `ip` as the oracle in both
//! directions. Each test runs in a network namespace of its own, which ends
//! with its thread. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod given;
mod links;
mod many;
mod neighbours;

use rail_core::Watch;
use rail_core::net::{Family, IfName, Mac, Prefix};
use rail_core::state::{
    Key, NO_WAY, Neighbour, Nexthop, Observed, Op, OpError, Ownership, PROTOCOL, Resource,
    RouteKey, RouteValue, Rule, Scope,
};
use rail_linux::netlink::{Monitor, NeighbourMonitor, RequestSocket};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TABLE: u32 = 20_001;

#[expect(unsafe_code, reason = "rustix declares unshare unsafe because of CLONE_FILES")]
fn in_new_netns<F: FnOnce() + Send + 'static>(test: F) {
    let thread = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this thread changes; the file table stays shared.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
            .expect("these tests need root");
        ip("link set lo up");
        ip("link add wan1 type veth peer name far1");
        ip("link add wan2 type veth peer name far2");
        let links = ["wan1", "wan2", "far1", "far2"];
        // No link-local addresses: the kernel would report them when it likes.
        links.iter().for_each(|link| drop(ip(&format!("link set {link} addrgenmode none"))));
        links.iter().for_each(|link| drop(ip(&format!("link set {link} up"))));
        // The carrier is noticed by a worker of the kernel, and reported.
        let is_up = |link: &&str| ip(&format!("link show {link}")).contains("state UP");
        let end = Instant::now() + Duration::from_secs(20);
        while !links.iter().all(is_up) {
            assert!(Instant::now() < end, "no carrier");
            std::thread::sleep(Duration::from_millis(2));
        }
        ip("address add 100.64.1.2/24 dev wan1");
        ip("address add 100.64.2.2/24 dev wan2");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn try_ip(words: &str) -> Result<String, String> {
    let out = Command::new("ip").args(words.split(' ')).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
}

fn ip(words: &str) -> String {
    try_ip(words).unwrap_or_else(|e| panic!("ip {words}: {e}"))
}

fn batch(lines: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn watch() -> Watch {
    Watch { tables: (20_000, 20_126), ..Watch::default() }
}

fn observe(socket: &mut RequestSocket) -> Observed {
    socket.observe(Scope::ALL, &watch()).unwrap()
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn route_key(metric: u32) -> RouteKey {
    RouteKey { table: TABLE, prefix: Prefix::default_route(Family::V4), metric }
}

fn hop(n: u8, weight: u8) -> Nexthop {
    let via = Some(format!("100.64.{n}.1").parse().unwrap());
    Nexthop { ifname: name(&format!("wan{n}")), via, weight, onlink: false }
}

fn set(nexthops: Vec<Nexthop>, source: Option<&str>, replace: bool) -> Op {
    let source = source.map(|s| s.parse().unwrap());
    Op::Put { value: Resource::Route(RouteValue::Unicast { nexthops, source, mtu: None }), replace }
}

fn rule(priority: u32) -> Rule {
    Rule::lookup(priority, Family::V4, TABLE)
}

fn errno(result: Result<(), OpError>) -> i32 {
    result.unwrap_err().errno
}

#[test]
fn a_gateway_without_a_prefix_is_reached_on_link() {
    in_new_netns(|| {
        // given a gateway in no prefix / when its route is set with and without the flag, alone
        // and beside another / then the kernel takes it with the flag alone, and shows it back
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Route(route_key(0));
        let far = |onlink| Nexthop {
            ifname: name("wan1"),
            via: Some("172.31.1.1".parse().unwrap()),
            weight: 1,
            onlink,
        };
        assert_eq!(errno(s.apply(&key, &set(vec![far(false)], None, false))), libc::ENETUNREACH);
        let mut replace = false;
        for hops in [vec![far(true)], vec![far(true), hop(2, 3)]] {
            let op = set(hops, None, replace);
            s.apply(&key, &op).unwrap();
            let Op::Put { value: Resource::Route(value), .. } = op else { unreachable!() };
            let text = ip(&format!("route show table {TABLE}"));
            assert_eq!(text.matches("onlink").count(), 1, "{text}");
            assert_eq!(observe(&mut s).routes[&route_key(0)].value, Some(value));
            replace = true;
        }
        // The same route without the flag is another one.
        ip("route add 172.31.1.1/32 dev wan1");
        ip(&format!("route replace default via 172.31.1.1 dev wan1 table {TABLE} proto 82"));
        let RouteValue::Unicast { nexthops, .. } =
            observe(&mut s).routes[&route_key(0)].value.clone().unwrap()
        else {
            unreachable!()
        };
        assert_eq!(nexthops, [far(false)]);
    });
}

#[test]
fn ip_shows_the_routes_that_we_set() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let (key, last) = (Key::Route(route_key(0)), Key::Route(route_key(u32::MAX)));
        let single = set(vec![hop(1, 1)], Some("100.64.1.2"), false);
        s.apply(&key, &single).unwrap();
        let unreachable = Op::put(Resource::Route(RouteValue::Unreachable));
        s.apply(&last, &unreachable).unwrap();
        let show = || ip(&format!("route show table {TABLE}"));
        assert_eq!(
            show().lines().map(str::trim).collect::<Vec<_>>(),
            [
                "default via 100.64.1.1 dev wan1 proto 82 src 100.64.1.2",
                "unreachable default proto 82 metric 4294967295"
            ]
        );
        assert_eq!(errno(s.apply(&key, &single)), libc::EEXIST);
        let both = set(vec![hop(1, 3), hop(2, 255)], None, true);
        s.apply(&key, &both).unwrap();
        let text = show();
        assert!(text.contains("nexthop via 100.64.1.1 dev wan1 weight 3"), "{text}");
        assert!(text.contains("nexthop via 100.64.2.1 dev wan2 weight 255"), "{text}");
        // What we set is what we observe.
        let Op::Put { value: Resource::Route(value), .. } = both else { unreachable!() };
        let routes = observe(&mut s).routes;
        let found = &routes[&route_key(0)];
        assert_eq!((found.value.as_ref(), found.protocol, found.dead), (Some(&value), 82, false));
        assert_eq!(routes[&route_key(u32::MAX)].value, Some(RouteValue::Unreachable));
        // Metric 0 is "any" to the kernel; the second delete must not hit the other route.
        s.apply(&key, &Op::Drop).unwrap();
        s.apply(&key, &Op::Drop).unwrap();
        assert_eq!(show().trim(), "unreachable default proto 82 metric 4294967295");
        s.apply(&last, &Op::Drop).unwrap();
        s.apply(&last, &Op::Drop).unwrap();
        assert_eq!(show(), "");
        let gone = Nexthop { ifname: name("wan9"), via: None, weight: 1, onlink: false };
        let gone = set(vec![gone], None, false);
        assert_eq!(errno(s.apply(&key, &gone)), libc::ENODEV);
        let wrong = s.apply(&key, &set(vec![hop(1, 1)], Some("192.0.2.77"), false)).unwrap_err();
        assert!(wrong.errno == libc::EINVAL && wrong.text.contains("prefsrc"), "{wrong:?}");
    });
}

#[test]
fn addresses_bear_our_mark_and_a_broadcast() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let (ifname, prefix) = (name("wan1"), "192.0.2.9/28".parse().unwrap());
        let key = Key::Address { ifname, prefix };
        s.apply(&key, &Op::put(Resource::Address)).unwrap();
        s.apply(&key, &Op::put(Resource::Address)).unwrap();
        let text = ip("-d address show dev wan1");
        assert!(text.contains("192.0.2.9/28 brd 192.0.2.15"), "{text}");
        let v6 = Key::Address { ifname, prefix: "2001:db8::9/64".parse().unwrap() };
        s.apply(&v6, &Op::put(Resource::Address)).unwrap();
        let addresses = observe(&mut s).addresses;
        assert_eq!(addresses[&(ifname, prefix)], Ownership::Ours);
        assert_eq!(addresses[&(ifname, "2001:db8::9/64".parse().unwrap())], Ownership::Ours);
        assert_eq!(addresses[&(ifname, "100.64.1.2/24".parse().unwrap())], Ownership::Foreign);
        for key in [&key, &key, &v6, &v6] {
            s.apply(key, &Op::Drop).unwrap();
        }
        assert!(!ip("address show dev wan1").contains("192.0.2.9"));
        assert!(!ip("address show dev wan1").contains("2001:db8::9"));
        let absent = Key::Address { ifname: name("wan9"), prefix };
        assert_eq!(errno(s.apply(&absent, &Op::put(Resource::Address))), libc::ENODEV);
        s.apply(&absent, &Op::Drop).unwrap();
    });
}

#[test]
fn every_rule_of_the_ladder_round_trips() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let tunnel = Rule {
            from: Some("100.64.1.2/32".parse().unwrap()),
            iif: Some(name("lo")),
            udp_from: Some(51_820),
            ..Rule::lookup(20_290, Family::V4, NO_WAY)
        };
        let ladder = [
            Rule { table: 254, suppress_prefixlength: Some(0), ..rule(20_000) },
            Rule { fwmark: Some((0x0100_0000, 0x7f00_0000)), ..rule(20_101) },
            tunnel.clone(),
            Rule { udp_from: Some(51_821), ..tunnel },
            Rule { from: Some("100.64.1.2/32".parse().unwrap()), ..rule(20_301) },
            Rule { oif: Some(name("wan1")), ..rule(20_501) },
            rule(20_900),
            Rule { family: Family::V6, ..rule(20_900) },
        ];
        for rule in &ladder {
            s.apply(&Key::Rule(rule.clone()), &Op::put(Resource::Rule)).unwrap();
            s.apply(&Key::Rule(rule.clone()), &Op::put(Resource::Rule)).unwrap();
        }
        let text = ip("rule show");
        for line in [
            "20000:\tfrom all lookup main suppress_prefixlength 0 proto 82",
            "20101:\tfrom all fwmark 0x1000000/0x7f000000 lookup 20001 proto 82",
            "20290:\tfrom 100.64.1.2 iif lo ipproto udp sport 51820 blackhole proto 82",
            "20301:\tfrom 100.64.1.2 lookup 20001 proto 82",
            "20501:\tfrom all oif wan1 lookup 20001 proto 82",
            "20900:\tfrom all lookup 20001 proto 82",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let ours: Vec<_> =
            observe(&mut s).rules.into_iter().filter(|r| r.protocol == PROTOCOL).collect();
        let rules: Vec<_> = ours.into_iter().map(|r| r.rule.unwrap()).collect();
        assert_eq!(rules, ladder);
        for rule in &ladder {
            s.apply(&Key::Rule(rule.clone()), &Op::Drop).unwrap();
            s.apply(&Key::Rule(rule.clone()), &Op::Drop).unwrap();
        }
        assert!(!ip("rule show").contains("proto 82"));
        assert!(!ip("-6 rule show").contains("proto 82"));
    });
}

/// Given routes of one and of two next hops with a largest packet, when they are set, then the kernel has it, and
/// it is read back.
#[test]
fn a_route_bears_its_largest_packet() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        for (nexthops, mtu) in [(vec![hop(1, 1)], 1492), (vec![hop(1, 1), hop(2, 1)], 1400)] {
            let value = RouteValue::Unicast { nexthops, source: None, mtu: Some(mtu) };
            let op = Op::Put { value: Resource::Route(value.clone()), replace: true };
            s.apply(&Key::Route(route_key(3)), &op).unwrap();
            let shown = ip(&format!("route show table {TABLE}"));
            assert!(shown.contains(&format!("mtu {mtu}")), "{shown}");
            assert_eq!(observe(&mut s).routes[&route_key(3)].value, Some(value));
        }
    });
}

#[test]
fn foreign_objects_are_seen_and_never_deleted() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        ip(&format!("route add default via 100.64.1.1 table {TABLE} proto static"));
        ip(&format!("route add default via 100.64.2.1 table {TABLE} metric 7 advmss 1300"));
        ip(&format!("rule add pref 20900 lookup {TABLE}"));
        ip(&format!("rule add pref 20901 from 100.64.1.2 lookup {TABLE} proto 82"));
        ip(&format!("rule add pref 20902 iif lo lookup {TABLE} proto 82"));
        ip(&format!("rule add pref 20903 not from 100.64.1.2 lookup {TABLE}"));
        ip("rule add pref 20904 unreachable");
        let before = (ip("rule show"), ip(&format!("route show table {TABLE}")));
        for metric in [0, 7] {
            s.apply(&Key::Route(route_key(metric)), &Op::Drop).unwrap();
        }
        // 20901 and 20902 are marked as ours, but narrower than what is asked for.
        for priority in [20_900, 20_901, 20_902, 20_903] {
            s.apply(&Key::Rule(rule(priority)), &Op::Drop).unwrap();
        }
        assert_eq!(before, (ip("rule show"), ip(&format!("route show table {TABLE}"))));
        let observed = observe(&mut s);
        assert_eq!(observed.routes[&route_key(0)].protocol, 4);
        assert!(observed.routes[&route_key(0)].value.is_some());
        // Of the metrics we set the MTU alone.
        assert_eq!(observed.routes[&route_key(7)].value, None);
        let known = |priority: u32| {
            observed.rules.iter().find(|r| r.priority == priority).map(|r| r.rule.is_some())
        };
        let expected = [Some(true), Some(true), Some(true), Some(false), Some(true), None];
        let priorities = [20_900, 20_901, 20_902, 20_903, 20_904, 20_905];
        assert_eq!(priorities.map(known), expected);
        // The kernel itself also minds the protocol, should the look and the delete race.
        assert!(try_ip(&format!("rule del pref 20900 lookup {TABLE} proto 82")).is_err());
    });
}

#[test]
fn a_narrower_rule_of_the_same_priority_survives() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let narrow = Rule { from: Some("100.64.1.2/32".parse().unwrap()), ..rule(20_900) };
        s.apply(&Key::Rule(narrow.clone()), &Op::put(Resource::Rule)).unwrap();
        s.apply(&Key::Rule(rule(20_900)), &Op::put(Resource::Rule)).unwrap();
        assert_eq!(errno(s.apply(&Key::Rule(rule(20_900)), &Op::Drop)), libc::EBUSY);
        s.apply(&Key::Rule(narrow), &Op::Drop).unwrap();
        s.apply(&Key::Rule(rule(20_900)), &Op::Drop).unwrap();
        assert!(!ip("rule show").contains("20900"));
    });
}

#[test]
fn others_changes_are_heard_and_ours_are_not() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let mut monitor = Monitor::open().unwrap();
        let ports = [s.port()];
        let mut heard = || monitor.drain(&ports, &watch());
        heard();
        s.apply(&Key::Route(route_key(0)), &set(vec![hop(1, 1)], None, false)).unwrap();
        s.apply(&Key::Route(route_key(0)), &set(vec![hop(1, 1), hop(2, 1)], None, true)).unwrap();
        s.apply(&Key::Rule(rule(20_900)), &Op::put(Resource::Rule)).unwrap();
        assert_eq!(heard(), Scope::NONE);
        ip("route add 198.51.100.0/24 via 100.64.1.1");
        assert_eq!(heard(), Scope::NONE, "a table that nobody watches");
        ip("route add 198.51.100.0/24 via 100.64.1.1 table 20126");
        assert_eq!(heard(), Scope::ROUTES);
        ip("rule del pref 20900");
        assert_eq!(heard(), Scope::RULES);
        ip("address add 192.0.2.1/24 dev wan1");
        assert_eq!(heard(), Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN);
        ip("link set wan2 mtu 1400");
        assert!(heard().has(Scope::LINKS | Scope::ROUTES));
        ip("link set wan2 down");
        assert!(heard().has(Scope::LINKS | Scope::ROUTES));
        // It lives again with its device, and is no drift.
        assert!(!observe(&mut s).routes[&route_key(0)].dead);
        ip("link del wan2");
        assert!(heard().has(Scope::LINKS | Scope::ROUTES));
        assert!(!observe(&mut s).links.contains_key(&name("wan2")));
    });
}

#[test]
fn lost_notifications_are_reported_as_everything() {
    in_new_netns(|| {
        let mut monitor = Monitor::with_buffer(4096).unwrap();
        let mut s = RequestSocket::open().unwrap();
        let lines: String = (0..20_000u32)
            .map(|n| format!("route add 10.{}.{}.1/32 dev wan1 table 30000\n", n >> 8, n & 255))
            .collect();
        batch(&lines);
        let scope = monitor.drain(&[], &watch());
        assert!(scope.has(Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES | Scope::RULES));
        assert!(monitor.counters().overruns > 0);
        // It goes on hearing, and reading beside many foreign routes stays right.
        while monitor.drain(&[], &watch()) != Scope::NONE {}
        ip("rule add pref 9 lookup 9");
        assert_eq!(monitor.drain(&[], &watch()), Scope::RULES);
        s.apply(&Key::Route(route_key(5)), &set(vec![hop(1, 1)], None, false)).unwrap();
        let all = observe(&mut s).routes;
        assert_eq!(all.keys().collect::<Vec<_>>(), [&route_key(5)]);
        let started = Instant::now();
        assert_eq!(observe(&mut s).routes, all, "asked table by table");
        eprintln!("127 tables beside 20,000 routes: {:?}", started.elapsed());
    });
}

#[test]
fn replacing_a_route_loses_no_lookup() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let key = Key::Route(route_key(0));
        s.apply(&key, &set(vec![hop(1, 1), hop(2, 1)], None, false)).unwrap();
        s.apply(&Key::Rule(rule(20_900)), &Op::put(Resource::Rule)).unwrap();
        static STOP: AtomicBool = AtomicBool::new(false);
        // A connected datagram socket looks its route up in the call. The thread inherits the
        // namespace.
        let lookups = std::thread::spawn(|| {
            let (mut done, mut failed) = (0u32, 0u32);
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            while !STOP.load(Ordering::Relaxed) {
                let to = (std::net::Ipv4Addr::from_bits(0x0808_0000 + done % 60_000), 9);
                failed += u32::from(socket.connect(to).is_err());
                done += 1;
            }
            (done, failed)
        });
        let end = Instant::now() + Duration::from_millis(500);
        let mut replaced = 0;
        while Instant::now() < end {
            let hops = [vec![hop(1, 1)], vec![hop(1, 2), hop(2, 3)], vec![hop(2, 1)]];
            s.apply(&key, &set(hops[replaced % 3].clone(), None, true)).unwrap();
            replaced += 1;
        }
        STOP.store(true, Ordering::Relaxed);
        let (done, failed) = lookups.join().unwrap();
        eprintln!("{replaced} replacements, {done} lookups, {failed} failed");
        assert!(done > 1000 && replaced > 100);
        // Of seventy runs, with up to 120,000 replacements a second, most lost one lookup in three million,
        // and the worst two one in 25,000: likely it held the old entry while the kernel marked it dead,
        // and went on behind it. A delete and an add would lose a fifth of them.
        assert!(failed <= done / 10_000, "{failed} of {done} lookups failed");
    });
}

#[test]
fn another_process_is_not_believed() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let mut monitor = Monitor::open().unwrap();
        while monitor.drain(&[], &watch()) != Scope::NONE {}
        let forger = rustix::net::socket(
            rustix::net::AddressFamily::NETLINK,
            rustix::net::SocketType::RAW,
            None,
        )
        .unwrap();
        // An RTM_DELLINK that nobody but the kernel may say.
        let mut bytes = vec![0u8; 32];
        bytes[0] = 32;
        bytes[4] = 17;
        use rustix::net::netlink::SocketAddrNetlink;
        for port in [s.port(), port_of(&monitor)] {
            let to = SocketAddrNetlink::new(port, 0);
            let flags = rustix::net::SendFlags::empty();
            rustix::net::sendto(&forger, &bytes, flags, &to).unwrap();
        }
        assert_eq!(monitor.drain(&[], &watch()), Scope::NONE);
        assert_eq!(monitor.counters().forged, 1);
        assert!(observe(&mut s).links.contains_key(&name("wan1")));
    });
}

fn heard_within(monitor: &NeighbourMonitor, seconds: i64) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    poll(&mut [PollFd::new(monitor, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

fn port_of(monitor: &Monitor) -> u32 {
    let address = rustix::net::getsockname(monitor).unwrap();
    rustix::net::netlink::SocketAddrNetlink::try_from(address).unwrap().pid()
}
