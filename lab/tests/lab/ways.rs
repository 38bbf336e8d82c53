//! Ways that are not plain: a VPN beside the uplinks, the page of a modem, error routes and default
//! routes of others in `main`, hosts that ask the router itself. In each of them no provider sees a
//! source that is not its own; the drawing judges that at the end of every test.

use rail_lab::traffic::TCP_PORT;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Node, Plan, Servers, Topology, World, eventually,
    figures, isolated, topology,
};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

/// A server that the VPN reaches, too.
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);
const FORWARD: &str = "[firewall]\nallow = [\"tcp 2222\"]\n\
    [[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

/// Two uplinks, and a VPN that the configuration does not name: `vpn0`, its other end 10.8.1.10.
pub(crate) fn beside_a_vpn(rest: &str) -> World {
    let text = ConfigText { rest: rest.into(), ..ConfigText::default() };
    let plan = Plan { networks: vec!["vpn"], ..Plan::new(2) };
    let topology = Topology::build(&plan).unwrap();
    topology.router.ip_batch("addr add 10.8.1.1/24 dev vpn0\n").unwrap();
    let world = World::begin(topology, &text).unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    world
}

/// The same with a port forward to the client and an allowed port, and servers behind both.
fn asked_from_outside() -> (World, [Servers; 2]) {
    let world = beside_a_vpn(FORWARD);
    let net = &world.topology;
    let serve = |node, at: &str| Servers::tcp(node, at.parse().unwrap()).unwrap();
    let servers = [serve(&net.client, "192.168.1.10:80"), serve(&net.router, "0.0.0.0:2222")];
    (world, servers)
}

/// The source that the other end sees of a TCP connection.
fn seen(from: &Node, source: Ipv4Addr, to: &str) -> Result<Ipv4Addr, String> {
    let servers = vec![to.parse::<SocketAddrV4>().unwrap()];
    let (count, timeout) = (Some(1), Duration::from_secs(2));
    let plan = ConnectorPlan { servers, count, timeout, ..ConnectorPlan::new(vec![source], &[]) };
    let report = Connector::start(from, plan).finish().unwrap();
    let seen = report.by_source().into_keys().next();
    seen.ok_or_else(|| format!("{:?}", report.reasons()))
}

/// Servers behind a VPN, with an address that the internet has, too.
pub(crate) fn far(vpn: &Node) -> Servers {
    vpn.ip_batch(&format!("addr add {FAR}/32 dev lo\n")).unwrap();
    Servers::start(vpn, &[FAR]).unwrap()
}

pub(crate) fn client() -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, 10)
}

#[test]
fn connections_are_shared_without_a_loopback_as_with_one() {
    isolated(|| {
        // given two uplinks / when the loopback of the router goes down, and comes up / then both carry
        // new connections all the time, and nothing is missing once rail has seen it
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let shared = |when: &str| {
            let plan = ConnectorPlan {
                count: Some(40),
                period: Duration::from_millis(2),
                ..ConnectorPlan::new(vec![client()], &topology::servers())
            };
            let report = Connector::start(&net.client, plan).finish().unwrap();
            let by = report.by_source();
            figures(&format!("{when}: {by:?}"));
            // A rule that comes in its place counts anew.
            assert!(by.len() == 2 && by.values().all(|count| *count >= 15), "{when}: {by:?}");
        };
        let leads = || net.router.sh("ip route show table 20127").unwrap().lines().count();
        shared("with it");
        assert_eq!(leads(), 3);
        net.router.sh("ip link set lo down").unwrap();
        shared("without it");
        world.rail.wait_settled(Duration::from_secs(5)).unwrap();
        shared("without it, and settled");
        assert_eq!(leads(), 0);
        net.router.sh("ip link set lo up").unwrap();
        eventually(Duration::from_secs(5), "the loopback is used again", || match leads() {
            3 => Ok(()),
            other => Err(other),
        });
        world.rail.wait_settled(Duration::from_secs(5)).unwrap();
        shared("with it again");
    });
}

#[test]
fn a_forged_answer_leaves_by_no_uplink() {
    isolated(|| {
        // given a host inside that has begun something / when it answers itself in the name of whom it
        // asked / then that leaves by no uplink, and is counted
        let world = World::start(&Plan::new(1), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let bound = |address: Ipv4Addr, port| {
            net.client.enter(|| UdpSocket::bind((address, port))).unwrap()
        };
        bound(client(), 5060).send_to(b"question", (FAR, 5061)).unwrap();
        net.client.ip_batch(&format!("addr add {FAR}/32 dev lo\n")).unwrap();
        let dropped = || {
            bound(FAR, 5061).send_to(b"answer", (Ipv4Addr::new(100, 64, 1, 2), 5060)).unwrap();
            let chain = net.router.sh("nft list chain inet rail foreign_source").unwrap();
            let is_it = |rule: &&str| rule.contains("ct reply ip daddr");
            let rule = chain.lines().find(is_it).unwrap_or_default().trim().to_string();
            if rule.contains("packets 0 ") { Err(rule) } else { Ok(()) }
        };
        eventually(Duration::from_secs(5), "it is dropped", dropped);
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn replies_leave_by_their_uplink_whatever_routes_a_vpn_brings() {
    isolated(|| {
        // given a port forward and an allowed port / when a VPN puts routes into main that cover
        // the clients outside, narrow ones, then halves of everything / then both answer on every
        // uplink, and what begins inside takes the VPN
        let (world, _servers) = asked_from_outside();
        let net = &world.topology;
        let all_answer = |what: &str| {
            for line in &net.lines {
                for port in [8080, 2222] {
                    let to = format!("{}:{port}", line.address());
                    assert_eq!(seen(&net.internet, FAR, &to), Ok(FAR), "{what}: {to}");
                }
            }
        };
        all_answer("before");
        net.router.sh("ip route add 192.0.2.48/28 via 10.8.1.10 dev vpn0").unwrap();
        all_answer("a narrow route");
        let halves = "route add 0.0.0.0/1 via 10.8.1.10 dev vpn0\n\
                      route add 128.0.0.0/1 via 10.8.1.10 dev vpn0\n";
        net.router.ip_batch(halves).unwrap();
        all_answer("two halves");
        let taken =
            net.router.sh(&format!("ip route get {FAR} from 192.168.1.10 iif lan0")).unwrap();
        assert!(taken.contains("dev vpn0"), "{taken}");
        world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn the_page_of_a_modem_is_reached_from_its_network() {
    isolated(|| {
        // given a modem behind an uplink's interface, in a network of its own, that knows no other /
        // when router and LAN ask for its page, then again / then both have the router's address there
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let modem = &net.line(1).isp;
        modem.ip_batch("addr add 192.168.100.1/24 dev acc\n").unwrap();
        // To the drawing it is a foreign source; here it belongs there.
        modem.nft("insert rule inet lab guard ip saddr 192.168.100.2 accept\n").unwrap();
        let _page = Servers::tcp(modem, "192.168.100.1:80".parse().unwrap()).unwrap();
        net.router.sh("ip addr add 192.168.100.2/24 dev wan1").unwrap();
        let there = Ok(Ipv4Addr::new(192, 168, 100, 2));
        for _ in 0..2 {
            assert_eq!(seen(&net.client, client(), "192.168.100.1:80"), there, "LAN");
            let any = Ipv4Addr::UNSPECIFIED;
            assert_eq!(seen(&net.router, any, "192.168.100.1:80"), there, "router");
        }
        // What goes to the provider itself has the uplink's own address.
        let _gateway = Servers::tcp(modem, "100.64.1.1:81".parse().unwrap()).unwrap();
        let own = Ok(net.line(1).address());
        assert_eq!(seen(&net.client, client(), "100.64.1.1:81"), own);
    });
}

#[test]
fn what_comes_from_the_inside_never_takes_a_default_of_main() {
    isolated(|| {
        // given uplinks without a cable since the start, and a default route of others / when the
        // inside sends / then nothing leaves by it
        let plan = Plan { networks: vec!["vpn"], ..Plan::new(2) };
        let topology = Topology::build(&plan).unwrap();
        topology.router.ip_batch("addr add 10.8.1.1/24 dev vpn0\n").unwrap();
        topology.router.sh("ip route add default via 10.8.1.10 metric 500").unwrap();
        topology.router.ip_batch("link del wan1\nlink del wan2\n").unwrap();
        let world = World::begin(topology, &ConfigText::default()).unwrap();
        let net = &world.topology;
        eventually(Duration::from_secs(10), "the last rung", || {
            let rules = net.router.sh("ip rule").unwrap();
            if rules.contains("iif lan0 unreachable") { Ok(()) } else { Err(rules) }
        });
        let vpn = &net.network("vpn").node;
        vpn.nft(
            "table inet seen {\n counter inside { }\n chain look {\n\
             type filter hook prerouting priority 0\n\
             ip saddr 192.168.1.0/24 counter name inside\n }\n}\n",
        )
        .unwrap();
        let _ = net.client.sh(&format!("ping -n -q -c 3 -i 0.2 -W 1 {FAR}"));
        let count = vpn.sh("nft list counter inet seen inside").unwrap();
        assert!(count.contains("packets 0 "), "{count}");
        assert!(net.router.sh("ip route get 192.0.2.50").unwrap().contains("dev vpn0"));
    });
}

#[test]
fn probes_and_clients_pass_by_error_routes_and_host_routes_of_main() {
    isolated(|| {
        // given all uplinks up / when main gets an error route for everything, and host routes for
        // all targets by a neighbour that is not there / then they stay up and carry the LAN
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let mut routes = String::from(NULL_DEFAULT);
        for target in topology::targets() {
            routes += &format!("route add {target} via 100.64.1.77 dev wan1\n");
        }
        net.router.ip_batch(&routes).unwrap();
        std::thread::sleep(Duration::from_secs(4));
        world.rail.wait_all_up(Duration::ZERO).unwrap();
        let report = world.connect(40).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!(report.by_source().len(), 2);
        // when it goes, and comes back / then what the router begins has a way as well, also inside
        let _inside = Servers::tcp(&net.client, "192.168.1.10:80".parse().unwrap()).unwrap();
        let by_router = |to: &str| seen(&net.router, Ipv4Addr::UNSPECIFIED, to);
        for step in ["route del unreachable default metric 4278198272\n", NULL_DEFAULT] {
            net.router.ip_batch(step).unwrap();
            eventually(Duration::from_secs(2), "a way", || by_router(&format!("{FAR}:{TCP_PORT}")));
            assert_eq!(by_router("192.168.1.10:80"), Ok(Ipv4Addr::new(192, 168, 1, 1)));
        }
    });
}

#[test]
fn what_main_refuses_takes_no_uplink() {
    isolated(|| {
        // given an error route in main for the network of a VPN that is down, alone and beside one for
        // everything, also with more than 64 others of that size, and beside routes for more than 64
        // networks, while the daemon runs and when
        // it was killed / when clients ask for hosts there and elsewhere / then the first are refused,
        // and the others reached by the uplinks
        let mut world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let many: String =
            (0..65).map(|n| format!("route add 10.99.{n}.0/24 dev lan0\n")).collect();
        let bans: String =
            (0..70).map(|n| format!("route add blackhole 172.20.{n}.0/28\n")).collect();
        for null in ["", NULL_DEFAULT, &bans, &many] {
            world.topology.router.ip_batch(null).unwrap();
            for kind in ["blackhole", "unreachable", "prohibit"] {
                let route = format!("{kind} 192.0.2.48/28");
                world.topology.router.ip_batch(&format!("route add {route}\n")).unwrap();
                if !null.is_empty() {
                    // Here the daemon must learn of it first.
                    std::thread::sleep(Duration::from_millis(300));
                }
                is_kept_in(&world, &route);
                if kind == "prohibit" {
                    world.rail.kill().unwrap();
                    is_kept_in(&world, "the daemon was killed");
                    world.rail.start().unwrap();
                }
                world.topology.router.ip_batch(&format!("route del {route}\n")).unwrap();
                let inside = &world.topology.client;
                eventually(Duration::from_secs(2), "the uplinks again", || {
                    seen(inside, client(), &format!("{FAR}:{TCP_PORT}"))
                });
            }
        }
    });
}

#[test]
fn a_new_network_of_main_waits_until_it_is_read() {
    isolated(|| {
        // given an error route for everything in main / when the daemon was killed and a VPN brings a
        // route / then nothing that begins to its network leaves by an uplink, and when the daemon runs
        // again, it takes the VPN
        let mut world = beside_a_vpn("");
        world.topology.router.ip_batch(NULL_DEFAULT).unwrap();
        let vpn = world.topology.network("vpn").node.clone();
        let _far = far(&vpn);
        let inside = world.topology.client.clone();
        let ask = || seen(&inside, client(), &format!("{FAR}:{TCP_PORT}"));
        eventually(Duration::from_secs(3), "an uplink", || {
            let seen = ask()?.to_string();
            if seen.starts_with("100.64.") { Ok(()) } else { Err(seen) }
        });
        let rules = world.topology.router.sh("ip rule").unwrap();
        assert!(rules.contains("20252:"), "{rules}");
        world.rail.kill().unwrap();
        let route = format!("route add {FAR} via 10.8.1.10 dev vpn0\n");
        world.topology.router.ip_batch(&route).unwrap();
        for _ in 0..2 {
            assert!(ask().is_err(), "by an uplink");
        }
        world.rail.start().unwrap();
        eventually(Duration::from_secs(5), "the VPN", || {
            let seen = ask()?;
            if seen == client() { Ok(()) } else { Err(seen.to_string()) }
        });
    });
}

#[test]
fn a_real_default_of_main_that_goes_ends_nothing() {
    isolated(|| {
        // given a real default in main before an error route for everything, beside routes for more than
        // 64 networks / when no daemon runs and the device of the real default goes, and the kernel deletes
        // that default / then connections begin by the other uplink
        let mut world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let mut routes: String =
            (0..65).map(|n| format!("route add 10.99.{n}.0/24 dev lan0\n")).collect();
        routes += "route add default via 100.64.1.1 dev wan1 metric 100\n";
        world.topology.router.ip_batch(&format!("{routes}{NULL_DEFAULT}")).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        world.rail.kill().unwrap();
        world.topology.router.ip_batch("link set wan1 down\n").unwrap();
        let inside = &world.topology.client;
        // Those of the buckets that the other uplink has.
        let servers = vec![SocketAddrV4::new(FAR, TCP_PORT)];
        let (count, timeout) = (Some(16), Duration::from_millis(300));
        let plan =
            ConnectorPlan { servers, count, timeout, ..ConnectorPlan::new(vec![client()], &[]) };
        let report = Connector::start(inside, plan).finish().unwrap();
        assert!(report.failed() <= 10, "{:?}", report.reasons());
    });
}

#[test]
fn a_rule_behind_ours_takes_the_client_that_it_is_for() {
    isolated(|| {
        // given a rule for one client behind rail's / when clients ask, and when it is gone / then that
        // client takes the way of its rule while it is there, and the next one an uplink
        let world = beside_a_vpn("");
        let net = &world.topology;
        let vpn = &net.network("vpn").node;
        let _far = far(vpn);
        let steps = "route add default via 10.8.1.10 dev vpn0 table 100\n\
                     rule add from 192.168.1.11 lookup 100 priority 32765\n";
        net.router.ip_batch(steps).unwrap();
        let to = format!("{FAR}:{TCP_PORT}");
        let chosen = Ipv4Addr::new(192, 168, 1, 11);
        eventually(Duration::from_secs(3), "the way of the rule", || {
            let seen = seen(&net.client, chosen, &to)?;
            if seen == chosen { Ok(()) } else { Err(seen.to_string()) }
        });
        let other = seen(&net.client, client(), &to).unwrap().to_string();
        assert!(other.starts_with("100.64."), "{other}");
        net.router.ip_batch("rule del priority 32765\n").unwrap();
        eventually(Duration::from_secs(3), "an uplink", || {
            let seen = seen(&net.client, chosen, &to)?.to_string();
            if seen.starts_with("100.64.") { Ok(()) } else { Err(seen) }
        });
    });
}

/// Clients do not reach [`FAR`], and another host by an uplink.
fn is_kept_in(world: &World, what: &str) {
    let inside = &world.topology.client;
    eventually(Duration::from_secs(2), what, || {
        let other = seen(inside, client(), &format!("192.0.2.20:{TCP_PORT}"))?;
        let is_translated = other.to_string().starts_with("100.64.");
        if is_translated { Ok(()) } else { Err(other.to_string()) }
    });
    let servers = vec![SocketAddrV4::new(FAR, TCP_PORT)];
    let (count, timeout) = (Some(8), Duration::from_millis(300));
    let plan = ConnectorPlan { servers, count, timeout, ..ConnectorPlan::new(vec![client()], &[]) };
    let report = Connector::start(inside, plan).finish().unwrap();
    assert_eq!(report.failed(), 8, "{what}: {:?}", report.by_source());
}

/// A habit of many: what nobody has a route for is refused.
const NULL_DEFAULT: &str = "route add unreachable default metric 4278198272\n";

#[test]
fn replies_leave_by_their_uplink_though_main_leads_by_another() {
    isolated(|| {
        // given an allowed port, a port forward and a host that main reaches by the second uplink:
        // by a static route, then as one of its neighbours / when it asks for the first uplink's
        // address / then it gets answers from there
        let (world, _servers) = asked_from_outside();
        let net = &world.topology;
        let all_answer = |what: &str| {
            for port in [8080, 2222] {
                let to = format!("{}:{port}", net.line(1).address());
                assert_eq!(seen(&net.internet, FAR, &to), Ok(FAR), "{what}: {to}");
            }
        };
        net.router.sh(&format!("ip route add {FAR} via 100.64.2.1 dev wan2")).unwrap();
        all_answer("a static route");
        net.router.sh(&format!("ip route replace {FAR} dev wan2")).unwrap();
        all_answer("a neighbour");
    });
}

#[test]
fn a_host_inside_answers_neighbours_of_an_uplink() {
    isolated(|| {
        // given a host inside that may be asked for by its own address / when the gateway of an
        // uplink asks, and a neighbour whose network main reaches by another gateway there / then
        // both get answers
        let allow = "[firewall]\nallow = [\"tcp 80 to 192.168.1.10\"]\n";
        let world = beside_a_vpn(allow);
        let net = &world.topology;
        let _inside = Servers::tcp(&net.client, "192.168.1.10:80".parse().unwrap()).unwrap();
        let isp = &net.line(1).isp;
        isp.ip_batch("addr add 100.64.1.77/24 dev acc\naddr add 172.20.0.1/32 dev lo\n").unwrap();
        isp.sh("ip route add 192.168.1.0/24 via 100.64.1.2").unwrap();
        // To the drawing it is a foreign source; here the neighbours asked for it.
        isp.nft("insert rule inet lab guard ip saddr 192.168.1.10 tcp sport 80 accept\n").unwrap();
        net.router.sh("ip route add 172.20.0.0/24 via 100.64.1.77 dev wan1").unwrap();
        for source in [[100, 64, 1, 1], [100, 64, 1, 77], [172, 20, 0, 1]] {
            let source = Ipv4Addr::from(source);
            assert_eq!(seen(isp, source, "192.168.1.10:80"), Ok(source), "{source}");
        }
    });
}

#[test]
fn what_an_uplink_brings_never_goes_back_out() {
    isolated(|| {
        // given flows / when the route to the LAN goes / then their answers, which only a default
        // leads anywhere, do not leave by an uplink again, and with the route the flows go on
        let world = beside_a_vpn("");
        let net = &world.topology;
        let flows = world.flows(4, 8);
        world.connect(20).unwrap();
        net.router.sh("ip route del 192.168.1.0/24 dev lan0").unwrap();
        let report = world.connect(10).unwrap();
        assert_eq!(report.failed(), 10, "the LAN is not reached without its route");
        net.router.sh("ip route add 192.168.1.0/24 dev lan0 src 192.168.1.1").unwrap();
        let report = world.connect(20).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let flows = flows.stop().unwrap();
        assert_eq!((flows.broken(), flows.mixed()), (0, 0));
    });
}

#[test]
fn shares_count_connections_to_the_internet_alone() {
    isolated(|| {
        // given two uplinks of one weight / when before each connection to the internet the client
        // asks the router itself / then the shares are right
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let _dns = Servers::tcp(&net.router, "192.168.1.1:53".parse().unwrap()).unwrap();
        for server in &topology::servers()[..64] {
            seen(&net.client, client(), "192.168.1.1:53").unwrap();
            seen(&net.client, client(), &format!("{server}:{TCP_PORT}")).unwrap();
        }
        let marks = net.router.sh("conntrack -L -p tcp --dport 7000 2>/dev/null").unwrap();
        let first = marks.lines().filter(|line| line.contains("dst=100.64.1.2")).count();
        figures(&format!("{first} of 64 connections by the first uplink"));
        assert!((30..=34).contains(&first), "{first} of 64");
    });
}
