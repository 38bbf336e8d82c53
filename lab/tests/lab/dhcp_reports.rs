//! What people have reported of other routers with several uplinks by DHCP, tried here.

use crate::dhcp::{begin, leased, served};
use crate::dhcp_servers::{SHORT, lease};
use rail_lab::{DhcpServer, Leases, Plan, Server, Topology, eventually, figures, isolated, normal};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

// given long flows by two leased uplinks / when both leases are renewed / then nothing is lost and nothing on the
// system changes. Reported: a renewal drops the default route for a second (OPNsense 6869, 7191, 8020), moves it to the
// wrong port (OPNsense 190) or for good (dhcpcd 440), restarts the interface (systemd 15421), and bounces the state of
// the uplink (vintage_net 299).
#[test]
fn a_renewal_touches_nothing() {
    isolated(|| {
        let (world, _servers) = served(&[1, 2], Server::Udhcpd, SHORT);
        let flows = world.flows(20, 20);
        let before = normal::state(&world.topology.router).unwrap();
        let renewed = |name: &str| lease(&world.rail, name, "received").unwrap();
        let (first, second) = (renewed("isp1"), renewed("isp2"));
        eventually(LIMIT * 2, "both renewals", || match (renewed("isp1"), renewed("isp2")) {
            now if now.0 != first && now.1 != second => Ok(()),
            now => Err(format!("{now:?}")),
        });
        let after = normal::state(&world.topology.router).unwrap();
        assert_eq!(normal::difference(&before, &after), String::new());
        let report = flows.stop().unwrap();
        figures(&format!(
            "renewed: {} of {} datagrams lost, {} flows broken",
            report.udp_lost(),
            report.udp_sent(),
            report.broken()
        ));
        assert_eq!((report.udp_lost(), report.broken()), (0, 0));
    });
}

// given two leased uplinks / when the cable of the first is pulled out and put back three times / then connections take
// the other one each time, and both at last. Reported: the second time nothing takes the other one (OPNsense 3961, 4160).
#[test]
fn a_cable_may_be_pulled_again() {
    isolated(|| {
        let (world, _servers) = served(&[1, 2], Server::Dnsmasq, 3600);
        for _ in 0..3 {
            world.topology.line(1).isp.sh("ip link set acc down").unwrap();
            world.rail.wait_health("isp1", "no-carrier", LIMIT).unwrap();
            let report = world.connect(100).unwrap();
            assert_eq!(
                (report.failed(), report.by_source().len()),
                (0, 1),
                "{:?}",
                report.reasons()
            );
            world.topology.line(1).isp.sh("ip link set acc up").unwrap();
            world.forget_falls(LIMIT).unwrap();
            world.rail.wait_all_up(LIMIT).unwrap();
        }
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
    });
}

// given a server that leases an address with a mask of 32 bits, and a router beside it / when it is leased / then
// connections go by it. Reported: the router is never asked for by ARP (OPNsense 6846).
#[test]
fn a_lease_of_a_single_address_has_a_router() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let file = leased(&topology, &[1], "recover_after = 3\n");
        let line = topology.line(1);
        let rest = "option subnet-mask 255.255.255.255;\n".into();
        let leases = Leases { rest, ..Leases::of(line) };
        let _server = DhcpServer::start(&line.isp, &leases, Server::Isc).unwrap();
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        assert_eq!(world.rail.uplink("isp1", "address").unwrap(), "100.64.1.2/32");
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
    });
}

// given one uplink whose server is silent and one that is leased / when connections are opened / then all go by the
// leased one, also those of the router itself. Reported: the uplink without an answer gets the default route (OPNsense
// 2690), or a second uplink by DHCP takes it away (OPNsense 1811).
#[test]
fn who_gets_no_answer_gets_no_connections() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let file = leased(&topology, &[1, 2], "recover_after = 3\n");
        let line = topology.line(2);
        let _server = DhcpServer::start(&line.isp, &Leases::of(line), Server::Dnsmasq).unwrap();
        let world = begin(topology, &file);
        world.rail.wait_health("isp2", "up", LIMIT).unwrap();
        assert_eq!(world.rail.uplink("isp1", "health").unwrap(), "no-address");
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 1), "{:?}", report.reasons());
        let way = world.topology.router.sh("ip route get 192.0.2.1").unwrap();
        assert!(way.contains("dev wan2") && way.contains("src 100.64.2.2"), "{way}");
    });
}
