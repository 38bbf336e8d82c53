//! Links and neighbours.

use super::*;

#[test]
fn links_and_neighbours_are_read_and_set() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        ip("link set wan1 mtu 1492");
        let links = observe(&mut s).links;
        let wan1 = &links[&name("wan1")];
        assert_eq!((wan1.up, wan1.carrier, wan1.mtu), (true, true, 1492));
        s.link_set_up(name("far1"), false).unwrap();
        let wan1 = observe(&mut s).links[&name("wan1")].clone();
        assert_eq!((wan1.up, wan1.carrier), (true, false));
        s.link_set_up(name("far1"), true).unwrap();
        assert_eq!(errno(s.link_set_up(name("wan9"), true)), libc::ENODEV);

        let gateway = |n: u8| format!("100.64.1.{n}").parse().unwrap();
        let neighbours: Vec<_> = (5..=8).map(|n| (name("wan1"), gateway(n))).collect();
        let absent = (name("wan9"), gateway(1));
        let watch = Watch { neighbours: [neighbours, vec![absent]].concat(), ..watch() };
        let mut monitor = NeighbourMonitor::open().unwrap();
        ip("neigh add 100.64.1.9 lladdr 02:00:00:00:00:09 dev wan1 nud reachable");
        assert_eq!(monitor.drain(), Scope::NONE, "it watches nothing yet");
        let index = |ifname: &str| links[&name(ifname)].index;
        monitor.watch_ifindexes(&[index("wan2"), index("wan1")]).unwrap();
        ip("neigh add 100.64.1.5 lladdr 02:00:00:00:00:01 dev wan1 nud permanent");
        ip("neigh add 100.64.1.8 lladdr 02:00:00:00:00:01 dev far1 nud reachable");
        assert_eq!(monitor.drain(), Scope::NONE, "neither the state nor the interface is watched");
        // Nobody answers for this one: the kernel asks, and gives up.
        std::fs::write("/proc/sys/net/ipv4/neigh/wan1/retrans_time_ms", "20").unwrap();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"?", "100.64.1.6:9").unwrap();
        assert!(heard_within(&monitor, 5));
        assert_eq!(monitor.drain(), Scope::NEIGHBOURS);
        ip("neigh add 100.64.1.7 lladdr 02:00:00:00:00:07 dev wan1 nud reachable");
        assert_eq!(monitor.drain(), Scope::NEIGHBOURS);
        assert_eq!(monitor.drain(), Scope::NONE);
        let found = s.observe(Scope::NEIGHBOURS, &watch).unwrap();
        let states: Vec<_> = found.neighbours.into_values().collect();
        let known = |last: u8| Neighbour::Known(Some(Mac([2, 0, 0, 0, 0, last])));
        assert_eq!(states, [known(1), Neighbour::Failed, known(7)]);
        assert!(found.links.is_empty());
    });
}

/// given a neighbour that is being asked for / when its resolution is begun anew / then the next
/// packet asks at once, its failure is reported to nobody, a known one is asked at once, and one that
/// the administrator set is left alone
#[test]
fn a_neighbour_is_asked_again() {
    in_new_netns(|| {
        let mut s = RequestSocket::open().unwrap();
        let mut monitor = NeighbourMonitor::open().unwrap();
        let index = observe(&mut s).links[&name("wan1")].index;
        monitor.watch_ifindexes(&[index]).unwrap();
        let (wan1, gateway) = (name("wan1"), "100.64.1.6".parse().unwrap());
        // Nobody answers at the other end: each request is one packet more.
        let asked = || -> u64 {
            let path = "/proc/thread-self/net/dev";
            let text = std::fs::read_to_string(path).unwrap();
            let line = text.lines().find_map(|l| l.trim().strip_prefix("wan1:")).unwrap();
            line.split_whitespace().nth(9).unwrap().parse().unwrap()
        };
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let ask = || socket.send_to(b"?", "100.64.1.6:9").unwrap();
        s.resolve(wan1, &gateway).unwrap();
        ask();
        let before = asked();
        ask();
        assert_eq!(asked(), before, "the kernel waits for a second");
        for count in 1..=3 {
            s.resolve(wan1, &gateway).unwrap();
            ask();
            assert_eq!(asked(), before + count);
        }
        for state in ["stale", "delay", "reachable"] {
            ip(&format!("neigh replace 100.64.1.6 lladdr 02:00:00:00:00:06 dev wan1 nud {state}"));
            monitor.drain();
            let before = asked();
            s.resolve(wan1, &gateway).unwrap();
            let begun = Instant::now();
            while asked() == before && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!((state, asked()), (state, before + 1));
        }
        assert_eq!(monitor.drain(), Scope::NONE, "nobody is told of questions");
        ip("neigh replace 100.64.1.6 lladdr 02:00:00:00:00:06 dev wan1 nud permanent");
        monitor.drain();
        let before = asked();
        s.resolve(wan1, &gateway).unwrap();
        assert_eq!(asked(), before);
        let watch = Watch { neighbours: vec![(wan1, gateway)], ..watch() };
        let found = s.observe(Scope::NEIGHBOURS, &watch).unwrap().neighbours;
        let known = Neighbour::Known(Some(Mac([2, 0, 0, 0, 0, 6])));
        assert_eq!(found.into_values().collect::<Vec<_>>(), [known]);
        assert_eq!(errno(s.resolve(name("wan9"), &gateway)), libc::ENODEV);
    });
}
