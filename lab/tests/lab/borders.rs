//! What guests and strangers try beyond asking: sources of others, routers that are none, and the
//! router as a relay.

use rail_lab::cable::hardware_address;
use rail_lab::{
    ConfigText, Node, Plan, Rail, Servers, Topology, World, eventually, figures, isolated, topology,
};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::process::Command;
use std::time::Duration;

const NETWORKS: &str = "[[network]]\nname = \"dmz\"\ninterface = \"dmz0\"\naddress = \"10.8.1.1/24\"\n\
    kind = \"dmz\"\n[[network]]\nname = \"guest\"\ninterface = \"guest0\"\naddress = \"10.8.2.1/24\"\n\
    kind = \"guest\"\n";
const EXTERNAL: &str = "[firewall]\nmode = \"external\"\n";
const PORT: u16 = 7777;
const DNS: u16 = 53;
const LIMIT: Duration = Duration::from_millis(400);

fn world(more: &str) -> World {
    let plan = Plan { networks: vec!["dmz", "guest"], ..Plan::new(2) };
    World::start(&plan, &ConfigText { rest: format!("{NETWORKS}{more}"), ..ConfigText::default() })
        .unwrap()
}

/// Whether a datagram from this source is heard at the other end.
fn is_heard(from: (&Node, IpAddr), at: &Node, to: SocketAddr) -> bool {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, to.port()));
    let ear = at.enter(|| UdpSocket::bind(any)).unwrap();
    ear.set_read_timeout(Some(LIMIT)).unwrap();
    let (node, source) = from;
    node.enter(|| {
        let mouth = UdpSocket::bind((source, 161)).unwrap();
        mouth.set_broadcast(true).unwrap();
        mouth.send_to(b"question", to).unwrap();
    });
    ear.recv_from(&mut [0; 16]).is_ok()
}

/// Given rules that stand, then what comes from a closed network has a source that is there, in
/// both families, for the internet and for the router; what another router there routes has, too.
fn sources_are_their_own(world: &World) {
    let net = &world.topology;
    net.add_ipv6().unwrap();
    let (dmz, guest) = (net.network("dmz"), net.network("guest"));
    let forged = ["192.168.1.10", "10.8.1.10", "198.18.0.9", "2001:db8:1::10", "2001:db8:bad::1"];
    let routed = ["10.77.0.5", "2001:db8:77::5"];
    for address in forged.into_iter().chain(routed) {
        guest.node.sh(&format!("ip addr add {address} dev lo nodad")).unwrap();
    }
    let (own4, own6) = (guest.hosts()[0], guest.ipv6()[1]);
    net.router.sh(&format!("ip route add 10.77.0.0/16 via {own4}")).unwrap();
    net.router.sh(&format!("ip -6 route add 2001:db8:77::/64 via {own6}")).unwrap();
    // The way there is known, so that silence says something about the router.
    net.line(1).isp.sh("ip -6 route add 2001:db8:77::/64 via 2001:db8:f::2").unwrap();
    let heard = |source: &str| -> [bool; 2] {
        let source: IpAddr = source.parse().unwrap();
        let [internet, router]: [IpAddr; 2] = if source.is_ipv4() {
            [Ipv4Addr::new(192, 0, 2, 10).into(), guest.gateway().into()]
        } else {
            [Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1).into(), guest.ipv6()[0].into()]
        };
        let from = (&guest.node, source);
        [
            is_heard(from, &net.internet, (internet, PORT).into()),
            is_heard(from, &net.router, (router, DNS).into()),
        ]
    };
    let own = [own4.to_string(), own6.to_string()];
    let rightful = || own.iter().map(String::as_str).chain(routed).map(heard).collect::<Vec<_>>();
    assert_eq!(forged.map(heard), [[false; 2]; 5], "forged");
    assert_eq!(rightful(), [[true; 2]; 4], "rightful");
    // A way back that `main` refuses as a whole is there nevertheless.
    net.router.sh("ip route add unreachable default metric 4278198272").unwrap();
    eventually(Duration::from_secs(5), "rail to read the error route", || {
        let status = world.rail.status().map_err(|e| e.to_string())?;
        if status["settled"] == true { Ok(()) } else { Err(status["settled"].to_string()) }
    });
    assert_eq!(rightful(), [[true; 2]; 4], "rightful beside an error route for everything");
    assert_eq!(forged.map(heard), [[false; 2]; 5], "forged beside an error route for everything");
    let server = (&dmz.node, IpAddr::from(dmz.hosts()[0]));
    assert!(is_heard(server, &net.internet, "192.0.2.10:7777".parse().unwrap()), "a server");
    // A host without an address asks for one.
    for device in ["lo", "eth0"] {
        guest.node.sh(&format!("ip -4 addr flush dev {device}")).unwrap();
    }
    guest.node.sh("ip route add default dev eth0").unwrap();
    let nobody = (&guest.node, IpAddr::from(Ipv4Addr::UNSPECIFIED));
    assert!(is_heard(nobody, &net.router, "255.255.255.255:67".parse().unwrap()), "DHCP");
    figures("20 forged datagrams dropped, 17 others heard");
}

#[test]
fn a_closed_network_forges_no_source() {
    isolated(|| {
        let world = world("");
        sources_are_their_own(&world);
        let chain = world.topology.router.sh("nft list chain inet rail forged_inside").unwrap();
        assert!(!chain.contains("packets 0 "), "{chain}");
    });
}

/// Loads the printed rules.
fn load(world: &World, iptables: bool) {
    let router = &world.topology.router;
    if !iptables {
        return router.nft(&world.rail.generate_firewall("nft").unwrap()).unwrap();
    }
    for (format, program) in [("iptables", "iptables-restore"), ("ip6tables", "ip6tables-restore")]
    {
        let text = world.rail.generate_firewall(format).unwrap();
        // starts: iptables-restore, ip6tables-restore
        router.feed(Command::new(program).arg("--noflush"), &text).unwrap();
    }
}

#[test]
fn nor_with_rules_of_the_administrator() {
    isolated(|| {
        for iptables in [false, true] {
            let world = world(EXTERNAL);
            load(&world, iptables);
            sources_are_their_own(&world);
        }
    });
}

/// Sends a router advertisement with a default and a prefix, as a router on this link would.
fn advertise(node: &Node, interface: &str) {
    let text = node.sh(&format!("ip -o link show {interface}")).unwrap();
    let index: u32 = text.split(':').next().unwrap().parse().unwrap();
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 1, 0x51, 0x80, 0, 0, 0, 0]);
    message.extend(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0).octets());
    node.enter(|| {
        let (family, kind) = (AddressFamily::INET6, SocketType::RAW);
        let socket =
            socket_with(family, kind, SocketFlags::CLOEXEC, Some(ipproto::ICMPV6)).unwrap();
        rustix::net::sockopt::set_ipv6_unicast_hops(&socket, Some(255)).unwrap();
        let router = SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 0, 0, index);
        sendto(&socket, &message, SendFlags::empty(), &router).unwrap();
    });
}

/// Given rules that stand, then no guest is the router's router; that of an uplink may be.
fn guests_are_no_routers(world: &World) {
    let net = &world.topology;
    let learned = |interface: &str| {
        net.router.sh(&format!("ip -6 route show default dev {interface}")).unwrap()
    };
    let guest = &net.network("guest").node;
    net.router.set("net/ipv6/conf/all/forwarding", "0").unwrap();
    for interface in ["guest0", "lan0", "wan1"] {
        net.router.set(&format!("net/ipv6/conf/{interface}/accept_ra"), "1").unwrap();
        net.router.sh(&format!("ip addr add fe80::1/64 dev {interface} nodad")).unwrap();
    }
    for (node, link) in [(guest, "eth0"), (&net.client, "eth0"), (&net.line(1).isp, "acc")] {
        node.sh(&format!("ip addr add fe80::66/64 dev {link} nodad")).unwrap();
    }
    for (node, link) in [(&net.client, ("eth0", "lan0")), (&net.line(1).isp, ("acc", "wan1"))] {
        eventually(Duration::from_secs(5), "an advertisement to be taken", || {
            advertise(node, link.0);
            if learned(link.1).contains("proto ra") { Ok(()) } else { Err(learned(link.1)) }
        });
    }
    for _ in 0..5 {
        advertise(guest, "eth0");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(learned("guest0"), "");
    assert!(!net.router.sh("ip -6 addr show dev guest0").unwrap().contains("2001:db8:bad"));
}

#[test]
fn guests_advertise_no_router() {
    isolated(|| {
        guests_are_no_routers(&world(""));
        for iptables in [false, true] {
            let world = world(EXTERNAL);
            load(&world, iptables);
            guests_are_no_routers(&world);
        }
    });
}

/// Given rules that stand, then a neighbour of an uplink that takes us for its router is answered
/// by us, and by hosts inside, and by nobody beyond another uplink; nor is that of a disabled one.
fn strangers_are_not_relayed(world: &World) {
    let net = &world.topology;
    net.add_ipv6().unwrap();
    let pings = |line: usize, to: Ipv4Addr| {
        let isp = &net.line(line).isp;
        let (own, router) = (net.line(line).gateway(), net.line(line).address());
        isp.sh(&format!("ip route replace {to}/32 via {router} dev acc src {own}")).unwrap();
        isp.sh(&format!("ping -n -q -c 1 -W 0.3 -I {own} {to}")).is_ok()
    };
    let asked = |line: usize| {
        // Nor may the provider's own filter hide it.
        net.line(line).isp.nft("flush chain inet lab guard").unwrap();
        // Those that leave by the uplink they came by go round in circles.
        let beyond = topology::servers().into_iter().take(12);
        beyond.filter(|to| pings(line, *to)).count()
    };
    assert_eq!([asked(1), asked(3)], [0, 0], "relayed from uplink 1, and from the disabled one");
    assert!(pings(1, net.clients()[0]), "a host inside");
    let isp = &net.line(1).isp;
    let inside = ["100.64.1.2", "2001:db8:f::2", "2001:db8:1::10"];
    let inside = inside.map(|to| isp.sh(&format!("ping -n -q -c 1 -W 1 {to}")).is_ok());
    assert_eq!(inside, [true; 3], "the router, also by IPv6, and a host inside by IPv6");
}

#[test]
fn nobody_is_relayed_between_uplinks() {
    isolated(|| {
        for (more, iptables) in [("", None), (EXTERNAL, Some(false)), (EXTERNAL, Some(true))] {
            let plan = Plan { addresses: true, ..Plan::new(3) };
            let text = ConfigText { rest: more.into(), ..ConfigText::default() };
            let world = World::start(&plan, &text).unwrap();
            let config = world.topology.config(&text);
            let config = config.replace("\"isp3\"\n", "\"isp3\"\nenabled = false\n");
            world.rail.reload(&config).unwrap();
            eventually(Duration::from_secs(5), "uplink 3 to be disabled", || {
                let status = world.rail.status().map_err(|e| e.to_string())?;
                let health = &status["uplinks"][2]["health"];
                if status["settled"] == true && health == "disabled" {
                    Ok(())
                } else {
                    Err(health.to_string())
                }
            });
            if let Some(iptables) = iptables {
                load(&world, iptables);
            }
            strangers_are_not_relayed(&world);
        }
    });
}

/// Given an interface that no uplink has, and a host there that sends to an address that nobody has
/// yet, so that an uplink carries it on, when the router gets that address, then what it answers does
/// not leave by that uplink.
fn answers_leave_by_no_uplink_that_was_not_asked(more: &str, iptables: Option<bool>) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let address = topology.line(2).address();
    let config = topology.config(&ConfigText { rest: more.into(), ..ConfigText::default() });
    let parts: Vec<&str> = config.split("\n[[uplink]]").collect();
    let (head, first) = (parts[0], parts[1]);
    let rest = &parts[2][parts[2].find("\n[check]").unwrap()..];
    let rail = Rail::run(&topology.router, &format!("{head}\n[[uplink]]{first}{rest}")).unwrap();
    rail.wait_all_up(Duration::from_secs(10)).unwrap();
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let world = World { rail, servers, topology };
    if let Some(iptables) = iptables {
        load(&world, iptables);
    }
    let (net, router) = (&world.topology, &world.topology.router);
    router.ip_batch("link set wan2 up\n").unwrap();
    // Nobody answers ARP for the address.
    let hardware = hardware_address(router, "wan2").unwrap();
    net.line(2)
        .isp
        .ip_batch(&format!("neigh replace {address} lladdr {hardware} dev acc\n"))
        .unwrap();
    let host = net.internet.enter(|| UdpSocket::bind("192.0.2.10:9999")).unwrap();
    let known = || router.sh(&format!("conntrack -L -p udp -d {address}")).unwrap();
    let relayed = format!("dst={} ", net.line(1).address());
    eventually(Duration::from_secs(5), "a connection by uplink 1", || {
        host.send_to(b"?", (address, 9)).unwrap();
        let known = known();
        if known.contains(&relayed) { Ok(()) } else { Err(known) }
    });
    router.ip_batch(&format!("addr add {address}/24 dev wan2\n")).unwrap();
    // The refusals of a host are limited in their rate.
    for _ in 0..5 {
        host.send_to(b"?", (address, 9)).unwrap();
        net.line(2).isp.sh(&format!("ping -n -q -c 1 -W 1 {address}")).unwrap();
    }
    assert!(known().contains(&relayed), "another connection than before: {}", known());
    let wrong = net.wrong_sources().unwrap();
    assert_eq!(wrong, 0, "{more}{iptables:?}: {}", net.strange_packets());
}

#[test]
fn an_answer_of_the_router_leaves_by_no_uplink_that_was_not_asked() {
    isolated(|| {
        for (more, iptables) in [("", None), (EXTERNAL, Some(false)), (EXTERNAL, Some(true))] {
            answers_leave_by_no_uplink_that_was_not_asked(more, iptables);
        }
    });
}
