//! Several public addresses on one uplink, and hosts that keep theirs.

use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Node, Plan, Servers, World, eventually, figures, isolated,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const FIRST: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
const FURTHER: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 3);
const SECOND: Ipv4Addr = Ipv4Addr::new(100, 64, 2, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const CHOSEN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 12);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 130);

/// A world whose first uplink has these keys besides.
fn world(uplinks: usize, keys: &str, rest: &str) -> World {
    let world = World::start(&Plan::new(uplinks), &ConfigText::default()).unwrap();
    world.rail.reload(&config(&world, keys, rest)).unwrap();
    world.rail.wait_settled(Duration::from_secs(5)).unwrap();
    world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
    world
}

fn config(world: &World, keys: &str, rest: &str) -> String {
    let text = ConfigText { rest: rest.into(), ..ConfigText::default() };
    let gateway = "gateway = \"100.64.1.1\"\n";
    world.topology.config(&text).replace(gateway, &format!("{gateway}{keys}\n"))
}

/// Which sources the servers of the internet see of so many connections from here.
fn seen(node: &Node, source: Ipv4Addr, count: usize) -> BTreeMap<Ipv4Addr, usize> {
    let plan = ConnectorPlan {
        count: Some(count),
        period: Duration::from_millis(2),
        ..ConnectorPlan::new(vec![source], &rail_lab::topology::servers())
    };
    Connector::start(node, plan).finish().unwrap().by_source()
}

/// Which sources the server at this address sees.
fn asked(from: (&Node, Ipv4Addr), to: SocketAddrV4) -> Vec<Ipv4Addr> {
    let plan = ConnectorPlan {
        servers: vec![to],
        count: Some(5),
        timeout: Duration::from_millis(600),
        ..ConnectorPlan::new(vec![from.1], &[])
    };
    Connector::start(from.0, plan).finish().unwrap().by_source().into_keys().collect()
}

#[test]
fn a_further_address_is_kept_as_a_source_and_can_be_forwarded_and_given() {
    isolated(|| {
        // given a second address on the first of two uplinks, a forward on it alone, and a host
        // that is to appear as it / when the router, hosts and the internet use it / then each
        // sees what the configuration says, and the first address is used by all others
        let rest = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\naddress = \"100.64.1.3\"\n\
                    to = \"192.168.1.10:80\"\n[[nat]]\nfrom = [\"192.168.1.12\"]\nto = \"100.64.1.3\"\n";
        let world = world(2, "addresses = [\"100.64.1.3/24\"]", rest);
        let net = &world.topology;
        let _web = Servers::tcp(&net.client, SocketAddrV4::new(SERVER, 80).into()).unwrap();
        let own = seen(&net.router, FURTHER, 30);
        let own_first = seen(&net.router, FIRST, 30);
        let chosen = seen(&net.client, CHOSEN, 60);
        let other = seen(&net.client, SERVER, 60);
        let at = |address| asked((&net.internet, OUTSIDE), SocketAddrV4::new(address, 8080));
        let forwarded = [FURTHER, FIRST, SECOND].map(at);
        let hairpin = asked((&net.client, CHOSEN), SocketAddrV4::new(FURTHER, 8080));
        let wrong = net.wrong_sources().unwrap();
        figures(&format!(
            "own {own:?} and {own_first:?}, chosen host {chosen:?}, other host {other:?}, \
             forwards {forwarded:?}, hairpin {hairpin:?}, {wrong} wrong sources"
        ));
        assert_eq!(own, BTreeMap::from([(FURTHER, 30)]));
        assert_eq!(own_first, BTreeMap::from([(FIRST, 30)]));
        assert_eq!(chosen.keys().copied().collect::<Vec<_>>(), [FURTHER, SECOND]);
        assert_eq!(other.keys().copied().collect::<Vec<_>>(), [FIRST, SECOND]);
        assert_eq!(forwarded, [vec![OUTSIDE], vec![], vec![]]);
        assert_eq!(hairpin, [Ipv4Addr::new(192, 168, 1, 1)]);
        assert_eq!(wrong, 0);
        // and when somebody takes it away it comes back, after the first; and with the key it goes
        let addresses = || net.router.sh("ip -4 -o addr show dev wan1").unwrap();
        net.router.sh("ip addr flush dev wan1").unwrap();
        eventually(Duration::from_secs(5), "both addresses are back", || {
            let now = addresses();
            let (first, further) = (now.find("100.64.1.2/"), now.find("100.64.1.3/"));
            if first.is_some() && first < further { Ok(()) } else { Err(now) }
        });
        world.rail.reload(&config(&world, "", "")).unwrap();
        eventually(Duration::from_secs(5), "the further address is gone", || {
            let now = addresses();
            if now.contains("100.64.1.3/") { Err(now) } else { Ok(()) }
        });
    });
}

#[test]
fn a_service_on_a_further_address_answers_from_it() {
    isolated(|| {
        // given a second address that somebody else has set, which the file does not name, and a
        // service of the router on it / when the internet asks it, by TCP and by UDP, and programs
        // that are bound to it ask / then it is the address that all of them see
        let rest = "[firewall]\nallow = [\"tcp 2525\", \"udp 2526\"]\n";
        let world = world(2, "", rest);
        let net = &world.topology;
        net.router.sh("ip addr add 100.64.1.3/24 dev wan1").unwrap();
        eventually(Duration::from_secs(5), "the address is known as the uplink's", || {
            let rules = net.router.sh("ip rule").unwrap();
            if rules.contains("100.64.1.3") { Ok(()) } else { Err(rules) }
        });
        // The rules of nftables follow the policy rule.
        world.rail.wait_settled(Duration::from_secs(5)).unwrap();
        assert_eq!(seen(&net.router, FURTHER, 30), BTreeMap::from([(FURTHER, 30)]));
        let _mail = Servers::tcp(&net.router, SocketAddrV4::new(FURTHER, 2525).into()).unwrap();
        let tcp = asked((&net.internet, OUTSIDE), SocketAddrV4::new(FURTHER, 2525));
        assert_eq!(tcp, [OUTSIDE]);
        let bound = |node: &Node, address, port| {
            let socket = node.enter(|| UdpSocket::bind(SocketAddrV4::new(address, port))).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            socket
        };
        let (service, asker) =
            (bound(&net.router, FURTHER, 2526), bound(&net.internet, OUTSIDE, 0));
        asker.send_to(b"question", SocketAddrV4::new(FURTHER, 2526)).unwrap();
        let (_, from) = service.recv_from(&mut [0; 64]).unwrap();
        service.send_to(b"answer", from).unwrap();
        let (_, from) = asker.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from, SocketAddrV4::new(FURTHER, 2526).into());
    });
}

#[test]
fn hosts_with_public_addresses_are_let_in_and_keep_them() {
    isolated(|| {
        // given a network that the first provider routes to us, a host inside with an address of
        // it, and an entry of `allow` for one of its ports / when it is asked from outside, and
        // asks / then the port and no other is open, and it keeps its address on this uplink alone
        let rest = "[firewall]\nallow = [\"tcp 80 from 192.0.2.60 to 100.64.1.128/28\"]\n";
        let world = world(2, "routed = [\"100.64.1.128/28\"]", rest);
        let net = &world.topology;
        net.line(1).isp.sh("ip route add 100.64.1.128/28 via 100.64.1.2").unwrap();
        net.router.sh("ip route add 100.64.1.130/32 dev lan0").unwrap();
        net.client.sh("ip addr add 100.64.1.130/32 dev eth0").unwrap();
        let _web = Servers::tcp(&net.client, SocketAddrV4::new(PUBLIC, 80).into()).unwrap();
        let _ssh = Servers::tcp(&net.client, SocketAddrV4::new(PUBLIC, 22).into()).unwrap();
        let at = |port, from| asked((&net.internet, from), SocketAddrV4::new(PUBLIC, port));
        let stranger = Ipv4Addr::new(192, 0, 2, 61);
        let reached = [at(80, OUTSIDE), at(22, OUTSIDE), at(80, stranger)];
        let own = seen(&net.client, PUBLIC, 60);
        let wrong = net.wrong_sources().unwrap();
        figures(&format!("reached by {reached:?}, seen as {own:?}, {wrong} wrong sources"));
        assert_eq!(reached, [vec![OUTSIDE], vec![], vec![]]);
        assert_eq!(own.keys().copied().collect::<Vec<_>>(), [PUBLIC, SECOND]);
        assert_eq!(wrong, 0);
    });
}

#[test]
fn the_other_side_of_a_vpn_sees_real_sources() {
    isolated(|| {
        // given a destination that is exempt from translation, behind a tunnel whose packets the
        // provider's box takes / when a host asks it / then it sees the host itself, and other
        // destinations see the uplink's address
        let world = world(1, "no_nat = [\"10.8.0.0/24\"]", "");
        let net = &world.topology;
        let isp = &net.line(1).isp;
        isp.sh("ip addr add 10.8.0.1/24 dev lo").unwrap();
        isp.sh("ip route add 192.168.1.0/24 via 100.64.1.2").unwrap();
        isp.sh("nft flush chain inet lab guard").unwrap();
        let _far = Servers::tcp(isp, "10.8.0.1:80".parse().unwrap()).unwrap();
        let vpn = asked((&net.client, SERVER), "10.8.0.1:80".parse().unwrap());
        assert_eq!(vpn, [SERVER]);
        assert_eq!(seen(&net.client, SERVER, 10), BTreeMap::from([(FIRST, 10)]));
    });
}
