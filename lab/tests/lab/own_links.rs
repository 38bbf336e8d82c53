//! Two uplinks on one port, each by a link of its own: a macvlan with the uplink's hardware address.
//!
//! ```text
//!            +- isp1 (macvlan, 02:..:01) -+            +- provider 1
//!  router ---+                            +- switch ---+
//!            +- isp2 (macvlan, 02:..:02) -+            +- provider 2
//! ```

use crate::shared::{ONE_PORT, put_on_one_switch};
use rail_lab::{Plan, Rail, Servers, Topology, World, eventually, isolated, normal, topology};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

const CONFIG: &str = "[lan]\ninterfaces = [\"lan0\"]\n\
    [[uplink]]\nname = \"isp1\"\ninterface = \"isp1\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:01\"\n\
    address = \"100.64.1.2/24\"\ngateway = \"100.64.1.1\"\n\
    [[uplink]]\nname = \"isp2\"\ninterface = \"isp2\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:02\"\n\
    address = \"100.64.2.2/24\"\ngateway = \"100.64.2.1\"\n\
    [check]\nrecover_after = 3\ntargets = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\n";

/// Each uplink's link as `ip` shows it, with its index.
fn links(topology: &Topology) -> [String; 2] {
    // starts: ip
    ["isp1", "isp2"].map(|name| topology.router.sh(&format!("ip -d link show {name}")).unwrap())
}

// given two uplinks on one port, each with a hardware address of its own / when connections are shared,
// when the daemon is killed and starts again, when somebody deletes a link, and at withdrawal / then each
// provider sees its own hardware address, links that are good are kept, the deleted one returns, and
// nothing is left
#[test]
fn each_uplink_has_its_own_hardware_address() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _switch = put_on_one_switch(&topology, &ONE_PORT);
        let before = normal::state(&topology.router).unwrap();
        let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
        let rail = Rail::run(&topology.router, CONFIG).unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        let made = links(&topology);
        for (number, link) in (1..).zip(&made) {
            let mac = format!("02:00:00:00:00:0{number}");
            for part in [mac.as_str(), "macvlan mode private", &format!("alias rail:isp{number}")] {
                assert!(link.contains(part), "{part} in {link}");
            }
            let heard = topology.lines[number - 1].isp.sh("ip neighbour show dev acc").unwrap();
            assert!(heard.contains(&mac), "{heard}");
        }
        let mut world = World { rail, servers, topology };
        let report = world.connect(300).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
        let (failed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((failed, changed), (0, String::new()));
        assert_eq!(links(&world.topology), made);
        world.topology.router.sh("ip link delete isp2").unwrap();
        eventually(LIMIT, "another link isp2", || {
            let link =
                world.topology.router.sh("ip -d link show isp2").map_err(|e| e.to_string())?;
            if link == made[1] { Err("the old one") } else { Ok(()) }.map_err(String::from)
        });
        world.rail.wait_all_up(LIMIT).unwrap();
        assert_eq!(world.connect(300).unwrap().failed(), 0);
        world.rail.stop(true).unwrap();
        let after = normal::state(&world.topology.router).unwrap();
        assert_eq!(normal::difference(&before, &after), String::new());
    });
}

// given a link of somebody else that is called as ours should be / when rail starts and is withdrawn /
// then that link stays as it is, the uplink is absent, and the other one works
#[test]
fn a_foreign_link_of_that_name_stays() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _switch = put_on_one_switch(&topology, &ONE_PORT);
        topology.router.sh("ip link add isp2 type bridge").unwrap();
        let theirs = || topology.router.sh("ip -d -o link show isp2").unwrap();
        let before = theirs();
        let mut rail = Rail::run(&topology.router, CONFIG).unwrap();
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        rail.wait_health("isp2", "absent", LIMIT).unwrap();
        assert_eq!(theirs(), before);
        assert!(!topology.router.sh("ip address show dev isp2").unwrap().contains("inet "));
        rail.stop(true).unwrap();
        assert_eq!(theirs(), before);
    });
}
