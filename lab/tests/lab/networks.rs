//! A LAN, servers and guests behind one router: shared uplinks, and who reaches whom.

use crate::reach;

use rail_lab::flows::Protocol;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, ConnectorReport, Fault, Flows, Node, Plan, Servers,
    World, eventually, figures, isolated, long, node, normal, timed, topology,
};
use reach::{Listeners, matrix};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::{Duration, Instant};

const SILENT_LIMIT: Duration = Duration::from_secs(1);
const WEIGHTS: [u32; 3] = [1, 2, 3];
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);

/// Two forwards to the server, the second for one host outside.
const FORWARDS: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"10.8.1.10:80\"\n\
    [[forward]]\nprotocol = \"tcp\"\nport = 8443\nto = \"10.8.1.10:80\"\nfrom = [\"192.0.2.60\"]\n";

/// Who reaches whom by default, with a row for each source.
const CLOSED: &str = "\
lan      reaches dmz guest ssh dns internet
dmz      reaches dns internet
guest    reaches dns internet
router   reaches lan dmz guest internet
internet reaches
";

/// Servers and guests; `guest` and `more` are lines for the guests and tables at the end.
fn text(guest: &str, more: &str) -> ConfigText {
    let network = |name: &str, n: u8| {
        format!(
            "[[network]]\nname = \"{name}\"\ninterface = \"{name}0\"\naddress = \"10.8.{n}.1/24\"\n\
             kind = \"{name}\"\n"
        )
    };
    let (dmz, guests) = (network("dmz", 1), network("guest", 2));
    let rest = format!("{dmz}{guests}{guest}{FORWARDS}{more}");
    let check = if long() { "" } else { "recover_after = 3\n" }.into();
    ConfigText { rest, check, ..ConfigText::weights(&WEIGHTS) }
}

fn world(text: &ConfigText) -> World {
    let plan = Plan { networks: vec!["dmz", "guest"], ..Plan::new(WEIGHTS.len()) };
    World::start(&plan, text).unwrap()
}

/// The nodes of all inside networks with their hosts.
fn inside(world: &World) -> Vec<(&Node, Vec<Ipv4Addr>)> {
    let net = &world.topology;
    let others = net.networks.iter().map(|network| (&network.node, network.hosts()));
    std::iter::once((&net.client, net.clients())).chain(others).collect()
}

/// Connections from every inside network at once.
struct Connectors(Vec<Connector>);

impl Connectors {
    fn start(world: &World, count: Option<usize>, period: Duration) -> Self {
        let start = |(node, sources): (&Node, Vec<Ipv4Addr>)| {
            let plan = ConnectorPlan { sources, count, period, ..world.plan() };
            Connector::start(node, plan)
        };
        Self(inside(world).into_iter().map(start).collect())
    }

    /// Waits until each has ended so many more.
    fn wait_for(&self, more: usize) {
        let goals: Vec<usize> = self.0.iter().map(|connector| connector.ended() + more).collect();
        eventually(Duration::from_secs(60), "connections", || {
            let ended: Vec<usize> = self.0.iter().map(Connector::ended).collect();
            let is_done = ended.iter().zip(&goals).all(|(ended, goal)| ended >= goal);
            if is_done { Ok(()) } else { Err(format!("{ended:?} of {goals:?}")) }
        });
    }

    fn stop(self) -> ConnectorReport {
        self.join(Connector::stop)
    }

    fn finish(self) -> ConnectorReport {
        self.join(Connector::finish)
    }

    fn join(
        self,
        end: impl Fn(Connector) -> Result<ConnectorReport, rail_lab::LabError>,
    ) -> ConnectorReport {
        let mut attempts: Vec<_> =
            self.0.into_iter().flat_map(|connector| end(connector).unwrap().attempts).collect();
        attempts.sort_by_key(|attempt| attempt.at);
        ConnectorReport { attempts }
    }
}

/// The rules with their handles, without counters: they stay the same unless they are touched.
fn rules(router: &Node) -> String {
    let text = router.sh("nft -s -a list table inet rail").unwrap();
    text[text.find("chain").unwrap()..].to_owned()
}

#[test]
fn connections_of_all_networks_are_shared_and_move() {
    timed(|| {
        // given connections from three networks over three uplinks / when an uplink dies silently and
        // returns / then they are shared by weight before and after, move within a second, and no
        // rule was touched
        let world = world(&text("", ""));
        let share = |count| {
            let report = Connectors::start(&world, Some(count), Duration::from_millis(1)).finish();
            assert_eq!(report.failed(), 0, "{:?}", report.reasons());
            report.deviation(&world.sources(), &WEIGHTS)
        };
        let before = share(1000);
        let untouched = rules(&world.topology.router);
        let mut worst = Duration::ZERO;
        for line in 1..=3 {
            let connectors = Connectors::start(&world, None, Duration::from_millis(20));
            connectors.wait_for(30);
            let injected = world.topology.inject(line, Fault::Gateway).unwrap();
            let name = world.topology.line(line).name();
            world.rail.wait_health(&name, "down", Duration::from_secs(5)).unwrap();
            connectors.wait_for(60);
            assert_eq!(rules(&world.topology.router), untouched);
            let (since, settled) = (injected.since, Instant::now());
            injected.repair().unwrap();
            world.rail.wait_health(&name, "up", Duration::from_secs(15)).unwrap();
            connectors.wait_for(40);
            let report = connectors.stop();
            worst = worst.max(report.last_failed_between(since, settled));
            assert_eq!(report.failed_between(settled, Instant::now()), 0, "return of {name}");
        }
        let after = share(300);
        let wrong = world.topology.wrong_sources().unwrap();
        figures(&format!(
            "3,000 connections of three networks {before:.2} points off, after three deaths \
             {after:.2}; last failed after {worst:?} at worst; {wrong} wrong sources"
        ));
        assert!(before <= 3.0 && after <= 3.0, "{before} {after}");
        assert!(worst <= SILENT_LIMIT, "{worst:?}");
        assert_eq!(rules(&world.topology.router), untouched);
        assert_eq!(wrong, 0);
    });
}

#[test]
fn no_network_notices_a_crash_and_a_restart() {
    timed(|| {
        // given connections from three networks / when the daemon is killed and starts again /
        // then none fails, and the state that it finds is left as it is
        let mut world = world(&text("", ""));
        let before = normal::state(&world.topology.router).unwrap();
        let untouched = rules(&world.topology.router);
        let connectors = Connectors::start(&world, None, Duration::from_millis(10));
        connectors.wait_for(50);
        world.rail.kill().unwrap();
        connectors.wait_for(200);
        world.rail.start().unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        connectors.wait_for(150);
        let report = connectors.stop();
        let off = report.deviation(&world.sources(), &WEIGHTS);
        figures(&format!(
            "{} of {} failed, {off:.2} points off",
            report.failed(),
            report.attempts.len()
        ));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(off <= 3.0, "{:?}", report.by_source());
        assert_eq!(
            normal::difference(&before, &normal::state(&world.topology.router).unwrap()),
            ""
        );
        assert_eq!(rules(&world.topology.router), untouched);
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

/// Failures of some connections to a port of one uplink.
fn refused(world: &World, from: (&Node, Ipv4Addr), line: usize, port: u16, count: usize) -> usize {
    let plan = ConnectorPlan {
        sources: vec![from.1],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), port)],
        period: Duration::from_millis(2),
        count: Some(count),
        ..world.plan()
    };
    Connector::start(from.0, plan).finish().unwrap().failed()
}

#[test]
fn a_server_in_the_dmz_is_reached_by_every_line() {
    isolated(|| {
        // given forwards to a server in the DMZ / when each uplink is asked from outside and from
        // every network / then the server answers, also guests, who have no other way to it and
        // get no more than it; a forward for some outside is none for guests
        let world = world(&text("", ""));
        let net = &world.topology;
        let (dmz, guest) = (net.network("dmz"), net.network("guest"));
        let _web = Servers::tcp(&dmz.node, "0.0.0.0:80".parse().unwrap()).unwrap();
        let _ssh = Servers::tcp(&net.router, "0.0.0.0:22".parse().unwrap()).unwrap();
        let outside = (&net.internet, OUTSIDE);
        let failed: Vec<usize> = (1..=3).map(|n| refused(&world, outside, n, 8080, 200)).collect();
        let of = |line, port| {
            let hosts = [
                (&net.client, net.clients()[3]),
                (&guest.node, guest.hosts()[0]),
                (&dmz.node, dmz.hosts()[0]),
                (&dmz.node, dmz.hosts()[1]),
                (&net.internet, Ipv4Addr::new(192, 0, 2, 61)),
            ];
            hosts.map(|host| refused(&world, host, line, port, 4))
        };
        let hairpin: Vec<_> = (1..=3).map(|line| of(line, 8080)).collect();
        let (for_some, router) = (of(2, 8443), of(2, 22));
        let named = refused(&world, outside, 2, 8443, 4);
        let wrong = net.wrong_sources().unwrap();
        figures(&format!("failed of 200 by each line {failed:?}, {wrong} wrong sources"));
        assert_eq!(failed, [0, 0, 0]);
        assert_eq!(hairpin, [[0; 5]; 3], "LAN, guest, the server, its neighbour, outside");
        assert_eq!((for_some, named), ([0, 4, 4, 4, 4], 0), "the forward for one host outside");
        assert_eq!(router, [0, 4, 4, 4, 4], "SSH of the router by a public address");
        assert!(!reach::opens(&guest.node, "10.8.1.10:80".parse().unwrap()), "the server itself");
        assert_eq!(wrong, 0);
    });
}

#[test]
fn who_reaches_whom_in_both_families() {
    isolated(|| {
        // given listeners everywhere / when everybody asks everybody / then what is configured
        // passes and nothing else
        let world = world(&text("", ""));
        world.topology.add_ipv6().unwrap();
        let listeners = Listeners::start(&world.topology);
        let (v4, v6) = (matrix(&world.topology, false), matrix(&world.topology, true));
        assert_eq!((v4.as_str(), v6.as_str()), (CLOSED, CLOSED));
        let net = &world.topology;
        let guest = &net.network("guest").node;
        let asked = |node: &Node, port| listeners.hears_udp(node, port);
        let udp = [53, 67, 123].map(|port| (asked(&net.client, port), asked(guest, port)));
        assert_eq!(udp, [(true, true), (true, true), (true, false)], "DNS, DHCP, NTP");
        let pings = ["10.8.2.1", "192.168.1.1", "192.0.2.10", "192.168.1.10", "10.8.1.10"];
        let pings = pings.map(|to| guest.sh(&format!("ping -n -q -c 1 -W 1 {to}")).is_ok());
        assert_eq!(pings, [true, true, true, false, false], "router twice, internet, LAN, DMZ");
        let pings = ["2001:db8:12::1", "2001:db8:1::1", "2001:db8:2::1", "2001:db8:1::10"];
        let pings = pings.map(|to| guest.sh(&format!("ping -n -q -c 1 -W 1 {to}")).is_ok());
        assert_eq!(pings, [true, true, true, false], "the same by IPv6");
        figures("24 pairs in each family as configured");
    });
}

#[test]
fn every_wish_is_a_row_of_its_own() {
    isolated(|| {
        // given a LAN that may reach servers only, servers without internet, guests with all / when
        // everybody asks everybody / then so it is, though kinds say what the router offers
        let networks = "[[network]]\nname = \"office\"\ninterface = \"lan0\"\nmay_reach = [\"dmz\"]\n\
            [[network]]\nname = \"dmz\"\ninterface = \"dmz0\"\naddress = \"10.8.1.1/24\"\n\
            kind = \"dmz\"\nmay_reach = []\n\
            [[network]]\nname = \"guest\"\ninterface = \"guest0\"\naddress = \"10.8.2.1/24\"\n\
            kind = \"guest\"\nmay_reach = [\"office\", \"dmz\", \"internet\"]\n";
        let plan = Plan { networks: vec!["dmz", "guest"], ..Plan::new(3) };
        let net = rail_lab::Topology::build(&plan).unwrap();
        let config = net.config(&ConfigText { rest: networks.into(), ..ConfigText::default() });
        let config = config.replace("[lan]\ninterfaces = [\"lan0\"]\n", "");
        let rail = rail_lab::Rail::run(&net.router, &config).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        net.add_ipv6().unwrap();
        let _listeners = Listeners::start(&net);
        let wanted = "\
lan      reaches dmz ssh dns
dmz      reaches dns
guest    reaches lan dmz dns internet
router   reaches lan dmz guest internet
internet reaches
";
        let (v4, v6) = (matrix(&net, false), matrix(&net, true));
        assert_eq!((v4.as_str(), v6.as_str()), (wanted, wanted));
    });
}

#[test]
fn a_reload_opens_and_closes_one_pair() {
    timed(|| {
        // given long connections from everywhere to where they may / when a reload lets guests
        // reach the servers, and another one forbids it / then that pair alone changes, for new
        // connections, and no open one is hurt
        let world = world(&text("", ""));
        let net = &world.topology;
        let (dmz, guest) = (net.network("dmz"), net.network("guest"));
        let _servers = Servers::start(&dmz.node, &dmz.hosts()).unwrap();
        let _listeners = Listeners::start(net);
        let server = |port| SocketAddrV4::new(dmz.hosts()[0], port);
        let internet = |port| SocketAddrV4::new(topology::servers()[0], port);
        let kinds = [(Protocol::Tcp, 7000), (Protocol::Udp, 7001)];
        let flows = |node: &Node, source: Ipv4Addr, to: &dyn Fn(u16) -> SocketAddrV4| {
            Flows::start(node, kinds.map(|(protocol, port)| (protocol, source, to(port))).to_vec())
        };
        let client = net.clients()[0];
        let others = [
            flows(&net.client, client, &internet),
            flows(&net.client, client, &server),
            flows(&dmz.node, dmz.hosts()[1], &internet),
            flows(&guest.node, guest.hosts()[0], &internet),
        ];
        assert_eq!(matrix(net, false), CLOSED);
        let reload = |guest: &str| {
            world.rail.reload(&net.config(&text(guest, ""))).unwrap();
            world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        };
        reload("may_reach = [\"internet\", \"dmz\"]\n");
        let wanted = CLOSED.replace("guest    reaches dns", "guest    reaches dmz dns");
        eventually(Duration::from_secs(5), "the pair to open", || {
            let now = matrix(net, false);
            if now == wanted { Ok(()) } else { Err(now) }
        });
        let opened = flows(&guest.node, guest.hosts()[1], &server);
        let connectors = Connectors::start(&world, None, Duration::from_millis(20));
        connectors.wait_for(40);
        reload("");
        eventually(Duration::from_secs(5), "the pair to close", || {
            let now = matrix(net, false);
            if now == CLOSED { Ok(()) } else { Err(now) }
        });
        connectors.wait_for(40);
        let report = connectors.stop();
        let reports: Vec<_> =
            others.into_iter().chain([opened]).map(|flows| flows.stop().unwrap()).collect();
        let gap = reports.iter().map(rail_lab::FlowsReport::tcp_gap).max().unwrap();
        figures(&format!(
            "{} new and 10 open connections, longest gap {gap:?}",
            report.attempts.len()
        ));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        for report in reports {
            assert_eq!((report.broken(), report.mixed(), report.udp_lost()), (0, 0, 0));
            assert!(report.flows.iter().all(|flow| flow.pings.iter().any(|p| p.1.is_some())));
        }
    });
}

#[test]
fn our_addresses_are_set_repaired_and_taken_away() {
    isolated(|| {
        // given networks with addresses, one on a link that is down / when the daemon starts, an
        // address is removed, another one is configured, and all is withdrawn / then they are
        // there, come back, change, and go, and the link is down again; a new device gets its own
        let plan = Plan { networks: vec!["dmz", "guest"], ..Plan::new(3) };
        let net = rail_lab::Topology::build(&plan).unwrap();
        net.router.sh("ip link set guest0 down").unwrap();
        let before = normal::state(&net.router).unwrap();
        let config = net.config(&text("", ""));
        let mut rail = rail_lab::Rail::run(&net.router, &config).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let has = |device: &str, wanted: &[&str]| {
            eventually(Duration::from_secs(5), &format!("the addresses of {device}"), || {
                let text = net.router.sh(&format!("ip -4 -o addr show dev {device}")).unwrap();
                let words = text.split_whitespace();
                let now: Vec<&str> = words.filter(|word| word.contains('/')).collect();
                if now == wanted { Ok(()) } else { Err(text) }
            });
        };
        has("dmz0", &["10.8.1.1/24"]);
        has("guest0", &["10.8.2.1/24"]);
        eventually(Duration::from_secs(5), "the link of guests", || {
            let link = net.router.sh("ip link show guest0").unwrap();
            if link.contains("state UP") { Ok(()) } else { Err(link) }
        });
        net.router.sh("ip addr del 10.8.1.1/24 dev dmz0").unwrap();
        has("dmz0", &["10.8.1.1/24"]);
        rail.reload(&config.replace("10.8.1.1/24", "10.8.3.1/24")).unwrap();
        has("dmz0", &["10.8.3.1/24"]);
        rail.reload(&config.replace("address = \"10.8.1.1/24\"\n", "")).unwrap();
        has("dmz0", &[]);
        rail.reload(&config).unwrap();
        has("dmz0", &["10.8.1.1/24"]);
        rail.stop(true).unwrap();
        has("guest0", &[]);
        let after = normal::state(&net.router).unwrap();
        assert_eq!(normal::difference(&before, &after), "");
        // Another device by the same name is a fresh one.
        rail.start().unwrap();
        has("dmz0", &["10.8.1.1/24"]);
        net.router.sh("ip link del dmz0").unwrap();
        node::veth((&net.router, "dmz0"), (&net.network("dmz").node, "eth0")).unwrap();
        has("dmz0", &["10.8.1.1/24"]);
    });
}

/// Given the rules loaded by `load` in mode `external`, then everybody reaches whom he may.
fn separates(load: impl FnOnce(&World)) {
    let world = world(&text("", "[firewall]\nmode = \"external\"\n"));
    let net = &world.topology;
    net.add_ipv6().unwrap();
    load(&world);
    let _listeners = Listeners::start(net);
    let (v4, v6) = (matrix(net, false), matrix(net, true));
    assert_eq!((v4.as_str(), v6.as_str()), (CLOSED, CLOSED));
    let guest = net.network("guest");
    let host = (&guest.node, guest.hosts()[0]);
    let forwarded = [8080, 8443, 22].map(|port| refused(&world, host, 1, port, 4));
    assert_eq!(forwarded, [0, 4, 4], "a forward for all, one for some, and SSH, from guests");
    let named = refused(&world, (&net.internet, OUTSIDE), 2, 8443, 4);
    let lan = refused(&world, (&net.client, net.clients()[0]), 2, 8443, 4);
    assert_eq!((named, lan), (0, 0));
}

#[test]
fn nft_rules_separate() {
    isolated(|| {
        separates(|world| {
            world.topology.router.nft(&world.rail.generate_firewall("nft").unwrap()).unwrap()
        });
    });
}

#[test]
fn iptables_rules_separate() {
    isolated(|| {
        separates(|world| {
            for (format, program) in
                [("iptables", "iptables-restore"), ("ip6tables", "ip6tables-restore")]
            {
                let text = world.rail.generate_firewall(format).unwrap();
                let router = &world.topology.router;
                // starts: iptables-restore, ip6tables-restore
                router.feed(Command::new(program).arg("--noflush"), &text).unwrap();
            }
        });
    });
}
