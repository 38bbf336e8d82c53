//! Uplinks that another program configures: a real DHCP client with its script.

use crate::dhcp::{begin, learnt};
use rail_lab::{
    DhcpClient, DhcpServer, Leases, Plan, Rail, Server, Topology, eventually, isolated, normal,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// Two uplinks, the first kept.
fn drawing() -> (Topology, String) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let file = learnt(&topology, &[1], "recover_after = 3\n", "keep");
    (topology, file)
}

fn serve(topology: &Topology, host: u8) -> DhcpServer {
    let line = topology.line(1);
    let leases = Leases { hosts: (1, host), ..Leases::of(line) };
    DhcpServer::start(&line.isp, &leases, Server::Dnsmasq).unwrap()
}

fn wait_address(rail: &Rail, wanted: &str) {
    eventually(LIMIT, "the address of the first uplink", || {
        let address = rail.uplink("isp1", "address").map_err(|e| e.to_string())?;
        if address == wanted { Ok(()) } else { Err(address) }
    });
}

fn wait_deed(client: &DhcpClient, deed: &str, times: usize) {
    eventually(LIMIT, deed, || match client.count(deed) {
        count if count >= times => Ok(()),
        _ => Err(client.said()),
    });
}

// given an uplink that a DHCP client configures, and one that is static / when the client renews its lease and its
// default route goes and comes back, when the daemon is killed and starts again, and when it is withdrawn / then
// connections go by both, no packet is lost, nothing changes, and what the client has set stays
#[test]
fn a_dhcp_client_of_the_system_is_followed() {
    isolated(|| {
        let (topology, file) = drawing();
        let server = serve(&topology, 2);
        let client = DhcpClient::start(&topology.router, "wan1").unwrap();
        wait_deed(&client, "bound", 1);
        let before = normal::state(&topology.router).unwrap();
        let mut world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        assert_eq!(world.rail.uplink("isp1", "address").unwrap(), "100.64.1.2/24");
        let kept = world.rail.uplink("isp1", "kept").unwrap();
        assert!(kept.contains("default via 100.64.1.1 proto dhcp metric "), "{kept}");
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());

        let (flows, roles) = (world.flows(20, 20), world.rail.changes_of_role("isp1").unwrap());
        for times in 1..=3 {
            client.renew().unwrap();
            wait_deed(&client, "renew", times);
        }
        let report = flows.stop().unwrap();
        assert_eq!((report.udp_lost(), report.broken()), (0, 0));
        assert_eq!(world.rail.changes_of_role("isp1").unwrap(), roles);
        assert_eq!(world.rail.uplink("isp1", "health").unwrap(), "up");

        let (failed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((failed, changed), (0, String::new()));
        world.rail.stop(true).unwrap();
        let after = normal::state(&world.topology.router).unwrap();
        let others =
            |text: &str| !text.contains("default via 100.64.1.1 dev wan1 table main proto dhcp");
        let difference = normal::difference(&before, &after);
        // The client has given its route another metric meanwhile.
        assert!(!difference.lines().any(others), "{difference}");
        assert_eq!(server.count("DHCPRELEASE"), 0);
    });
}

// given an uplink that a DHCP client configures / when the client comes late, when it is given another address, when it
// gives its lease back, when it gets one again, and when the cable is pulled out and laid anew / then the uplink says
// what is missing, follows each time, the other one carries meanwhile, and no packet leaves with a wrong source
#[test]
fn what_the_client_does_is_followed() {
    isolated(|| {
        let (topology, file) = drawing();
        let world = begin(topology, &file);
        let (rail, router) = (&world.rail, &world.topology.router);
        rail.wait_health("isp2", "up", LIMIT).unwrap();
        rail.wait_health("isp1", "no-address", LIMIT).unwrap();
        assert_eq!(
            rail.uplink("isp1", "cause").unwrap(),
            "no other program has set an address on wan1"
        );
        router.sh("ip address add 100.64.1.9/24 dev wan1").unwrap();
        rail.wait_health("isp1", "no-way", LIMIT).unwrap();
        let cause = rail.uplink("isp1", "cause").unwrap();
        assert_eq!(cause, "100.64.1.9/24 is on wan1, but main has no default route by wan1");

        let server = serve(&world.topology, 2);
        let client = DhcpClient::start(router, "wan1").unwrap();
        wait_address(rail, "100.64.1.2/24");
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        let flows = world.flows(10, 10);
        drop((client, server));
        let server = serve(&world.topology, 77);
        let client = DhcpClient::start(router, "wan1").unwrap();
        wait_address(rail, "100.64.1.77/24");
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        drop(flows.stop().unwrap());
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());

        client.release().unwrap();
        rail.wait_health("isp1", "no-address", LIMIT).unwrap();
        let report = world.connect(100).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 1), "{:?}", report.reasons());
        let shown = router.sh("ip -4 -o address show dev wan1").unwrap();
        assert_eq!(shown, "", "rail has put an address on the interface");
        drop(client);
        let client = DhcpClient::start(router, "wan1").unwrap();
        world.rail.wait_all_up(LIMIT).unwrap();

        drop(client);
        let unplugged = world.topology.unplug(1).unwrap();
        rail.wait_health("isp1", "absent", LIMIT).unwrap();
        unplugged.plug_in().unwrap();
        let _client = DhcpClient::start(router, "wan1").unwrap();
        world.rail.wait_all_up(LIMIT * 2).unwrap();
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
        drop(server);
    });
}
