//! An uplink on cold standby, leased by a real server when it is needed.

use crate::dhcp::{begin, leased};
use rail_lab::{DhcpServer, Fault, Leases, Plan, Server, Topology, eventually, figures, isolated};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

// given a static uplink and one by DHCP on cold standby / when the first falls silent, the daemon is killed and starts
// again, and the first returns for good / then nothing is asked before, the second is leased at once and carries all,
// the restart breaks nothing, and after a minute the lease is given back, the address is gone and nothing is asked. Reported:
// a mobile line that is paid by the day is up all the time (OpenWrt packages 12769), and spends its volume (vtrunkd 225).
#[test]
fn a_cold_uplink_is_leased_when_it_is_needed() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let line = topology.line(2);
        let server = DhcpServer::start(&line.isp, &Leases::of(line), Server::Dnsmasq).unwrap();
        let file = leased(&topology, &[2], "recover_after = 3\n");
        let file = file
            .replace("address = \"dhcp\"\n", "address = \"dhcp\"\ntier = 2\nstandby = \"cold\"\n");
        let mut world = begin(topology, &file);
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        let report = world.connect(100).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 1), "{:?}", report.reasons());
        assert_eq!(world.rail.uplink("isp2", "health").unwrap(), "no-address");
        assert_eq!(world.rail.uplink("isp2", "cold").unwrap(), "true");
        assert!(!server.said().contains("DHCPDISCOVER"), "{}", server.said());

        let silent = world.topology.inject(1, Fault::Gateway).unwrap();
        let began = Instant::now();
        eventually(LIMIT, "the second uplink to carry", || {
            match world.rail.uplink("isp2", "role").map_err(|e| e.to_string())?.as_str() {
                "active" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
        world.rail.wait_settled(LIMIT).unwrap();
        figures(&format!("cold standby carries after {} ms", began.elapsed().as_millis()));
        let report = world.connect(100).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 1), "{:?}", report.reasons());
        world.rail.wait_health("isp2", "up", LIMIT).unwrap();

        world.rail.kill().unwrap();
        world.rail.start().unwrap();
        world.rail.wait_health("isp2", "up", LIMIT).unwrap();
        let report = world.connect(100).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!(server.count("DHCPDISCOVER(acc)"), 1, "{}", server.said());

        silent.repair().unwrap();
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        eventually(LIMIT * 5, "a release", || match server.count("DHCPRELEASE") {
            0 => Err(server.said()),
            _ => Ok(()),
        });
        world.rail.wait_health("isp2", "no-address", LIMIT).unwrap();
        let shown = || world.topology.router.sh("ip -4 -o address show dev wan2").unwrap();
        eventually(LIMIT, "the address to be gone", || match shown() {
            text if text.is_empty() => Ok(()),
            text => Err(text),
        });
        assert_eq!(server.count("DHCPDISCOVER(acc)"), 1, "{}", server.said());
    });
}
