//! Uplinks by DHCP and what becomes of them when servers differ, fall silent, die and object.

use crate::dhcp::{begin, leased, served};
use rail_lab::{
    DhcpServer, Leases, Node, Plan, Rail, Server, Topology, eventually, figures, isolated,
};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
/// The shortest lease that is not lengthened.
pub(crate) const SHORT: u32 = 40;

/// A field of an uplink's lease.
pub(crate) fn lease(rail: &Rail, name: &str, field: &str) -> Result<String, String> {
    let text = rail.uplink(name, "lease").map_err(|e| e.to_string())?;
    let lease: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    Ok(lease[field].to_string().trim_matches('"').to_owned())
}

/// Waits until the client is about this.
fn wait_phase(rail: &Rail, phase: &str, limit: Duration) {
    eventually(limit, phase, || match lease(rail, "isp1", "phase")? {
        found if found == phase => Ok(()),
        found => Err(found),
    });
}

/// An uplink is leased, and its lease is renewed by its server alone; at the end it is given back.
fn lease_and_renew(server: Server) -> DhcpServer {
    let (mut world, mut providers) = served(&[1], server, SHORT);
    let provider = providers.remove(0);
    assert_eq!(world.rail.uplink("isp1", "address").unwrap(), "100.64.1.2/24");
    assert_eq!(lease(&world.rail, "isp1", "server").unwrap(), "100.64.1.1");
    let received = lease(&world.rail, "isp1", "received").unwrap();
    eventually(LIMIT * 2, "a renewal", || match lease(&world.rail, "isp1", "received")? {
        now if now != received => Ok(()),
        now => Err(format!("{now} answers; {}", provider.said())),
    });
    assert_eq!(lease(&world.rail, "isp1", "phase").unwrap(), "bound");
    world.rail.stop(true).unwrap();
    provider
}

// given an uplink leased by the server of ISC / when half of the lease is over, and when rail is withdrawn / then
// the lease is renewed, and given back
#[test]
fn leased_by_isc() {
    isolated(|| {
        let provider = lease_and_renew(Server::Isc);
        eventually(LIMIT, "a release", || match provider.count("DHCPRELEASE") {
            0 => Err(provider.said()),
            _ => Ok(()),
        });
    });
}

// given an uplink leased by udhcpd / when half of the lease is over / then the lease is renewed (of a release it says
// nothing)
#[test]
fn leased_by_udhcpd() {
    isolated(|| drop(lease_and_renew(Server::Udhcpd)));
}

// given a lease of 40 s / when its server dies, and another one comes after the end / then it is asked from T1 on, all
// are from T2 on, the address goes at the end and no earlier, and another one is leased
#[test]
fn a_server_dies_and_another_comes() {
    isolated(|| {
        let (world, providers) = served(&[1], Server::Udhcpd, SHORT);
        let (rail, line) = (&world.rail, world.topology.line(1));
        let bound = Instant::now();
        let left = lease(rail, "isp1", "remaining_s").unwrap();
        drop(providers);
        wait_phase(rail, "renewing", LIMIT * 2);
        let renewing = bound.elapsed();
        wait_phase(rail, "rebinding", LIMIT * 2);
        let rebinding = bound.elapsed();
        assert_eq!(rail.uplink("isp1", "health").unwrap(), "up", "it is leased still");
        rail.wait_health("isp1", "no-address", LIMIT).unwrap();
        let over = bound.elapsed();
        let shown = || world.topology.router.sh("ip -o -4 address show dev wan1").unwrap();
        eventually(LIMIT, "the address to be gone", || match shown() {
            text if text.contains("100.64.1.2/24") => Err(text),
            _ => Ok(()),
        });
        let other = Leases { hosts: (1, 77), seconds: 3600, ..Leases::of(line) };
        let returned = Instant::now();
        let _provider = DhcpServer::start(&line.isp, &other, Server::Isc).unwrap();
        rail.wait_health("isp1", "up", LIMIT * 4).unwrap();
        let back = returned.elapsed();
        assert_eq!(rail.uplink("isp1", "address").unwrap(), "100.64.1.77/24");
        figures(&format!(
            "{left} s left at 0; renewing after {renewing:?}, rebinding {rebinding:?}, over {over:?}; \
             leased again {back:?} after another server came"
        ));
        // What the clock of a loaded machine adds makes it later, never earlier.
        let left = Duration::from_secs(left.parse().unwrap());
        assert!(over + Duration::from_secs(1) >= left, "{over:?} of {left:?}");
    });
}

// given a lease / when another server takes the place of its own, under the same address / then that one denies the
// renewal, and the uplink has an address of the new one before the old lease would be over
#[test]
fn a_server_is_replaced() {
    isolated(|| {
        let (world, first) = served(&[1], Server::Udhcpd, SHORT);
        let (rail, line) = (&world.rail, world.topology.line(1));
        drop(first);
        let other = Leases { hosts: (1, 77), seconds: 3600, ..Leases::of(line) };
        let second = DhcpServer::start(&line.isp, &other, Server::Dnsmasq).unwrap();
        let began = Instant::now();
        eventually(LIMIT * 4, "the address of the other server", || {
            match rail.uplink("isp1", "address").map_err(|e| e.to_string())?.as_str() {
                "100.64.1.77/24" => Ok(()),
                address => Err(format!("{address}; {}", second.said())),
            }
        });
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        figures(&format!("the other server leased after {:?}", began.elapsed()));
    });
}

// given a host on the segment that has the address already / when it is leased to us / then it is declined, and used
// when the host is gone
#[test]
fn an_address_that_a_host_has_is_declined() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let file = leased(&topology, &[1], "recover_after = 3\n");
        let line = topology.line(1);
        let host = Node::new("host").unwrap();
        let path = host.path();
        line.isp
            .sh(&format!("ip link add link acc name host0 netns {path} type macvlan mode bridge"))
            .unwrap();
        host.ip_batch("addr add 100.64.1.2/24 dev host0\nlink set host0 up\n").unwrap();
        let provider = DhcpServer::start(&line.isp, &Leases::of(line), Server::Isc).unwrap();
        let world = begin(topology, &file);
        let rail = &world.rail;
        eventually(LIMIT, "a decline", || match provider.count("DHCPDECLINE") {
            0 => Err(provider.said()),
            _ => Ok(()),
        });
        rail.wait_health("isp1", "no-address", LIMIT).unwrap();
        host.sh("ip link set host0 down").unwrap();
        rail.wait_health("isp1", "up", LIMIT * 4).unwrap();
        assert_eq!(rail.uplink("isp1", "address").unwrap(), "100.64.1.2/24");
    });
}
