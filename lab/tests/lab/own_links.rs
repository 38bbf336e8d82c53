//! Two uplinks on one port, each by a link of its own: a macvlan with the uplink's hardware address.
//!
//! ```text
//!            +- isp1 (macvlan, 02:..:01) -+            +- provider 1
//!  router ---+                            +- switch ---+
//!            +- isp2 (macvlan, 02:..:02) -+            +- provider 2
//! ```

use crate::shared::{ONE_PORT, put_on_one_switch};
use rail_lab::{
    Node, Plan, Rail, Servers, Topology, World, eventually, isolated, normal, topology,
};
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

/// Two providers behind one port of the router, and the servers of the internet.
fn one_port() -> (Topology, Node, Servers) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let switch = put_on_one_switch(&topology, &ONE_PORT);
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    (topology, switch, servers)
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

// given a link of somebody else that is called as ours should be and bears our alias / when rail starts
// and is withdrawn / then that link stays as it is, the uplink is absent, and the other one works
#[test]
fn a_foreign_link_of_that_name_stays() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _switch = put_on_one_switch(&topology, &ONE_PORT);
        topology.router.sh("ip link add isp2 type bridge").unwrap();
        topology.router.sh("ip link set isp2 alias rail:isp2").unwrap();
        let theirs = || topology.router.sh("ip -d -o link show isp2").unwrap();
        let before = theirs();
        let mut rail = Rail::run(&topology.router, CONFIG).unwrap();
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        rail.wait_health("isp2", "absent", LIMIT).unwrap();
        let cause = rail.uplink("isp2", "cause").unwrap();
        assert_eq!(cause, "rail's link isp2 is not there: a foreign bridge has this name");
        assert_eq!(theirs(), before);
        assert!(!topology.router.sh("ip address show dev isp2").unwrap().contains("inet "));
        rail.stop(true).unwrap();
        assert_eq!(theirs(), before);
    });
}

/// The file with these names of interfaces and last digits of hardware addresses.
fn with(links: [(&str, u8); 2]) -> String {
    let lines = |interface: &str, mac: u8| {
        format!("interface = \"{interface}\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:0{mac}\"\n")
    };
    let blank = CONFIG.replace(&lines("isp1", 1), "@1").replace(&lines("isp2", 2), "@2");
    let [first, second] = links.map(|(interface, mac)| lines(interface, mac));
    blank.replace("@1", &first).replace("@2", &second)
}

// given two uplinks by links of their own / when the file gives one another name, when it exchanges the
// addresses and then the names of both, and when somebody sets one down, with a daemon or before it starts
// / then each time both are up and have what the file says
#[test]
fn links_follow_the_file() {
    isolated(|| {
        let (topology, _switch, _servers) = one_port();
        let mut rail = Rail::run(&topology.router, CONFIG).unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        let is_so = |links: [(&str, u8); 2]| {
            for (name, mac) in links {
                let shown = topology.router.sh(&format!("ip -o link show {name}")).unwrap();
                assert!(shown.contains(&format!("02:00:00:00:00:0{mac}")), "{shown}");
                assert!(shown.contains("UP,LOWER_UP"), "{shown}");
            }
            let all = topology.router.sh("ip -o link show type macvlan").unwrap();
            assert_eq!(all.lines().count(), 2, "{all}");
        };
        for links in
            [[("cable", 1), ("isp2", 2)], [("cable", 2), ("isp2", 1)], [("isp2", 2), ("cable", 1)]]
        {
            rail.reload(&with(links)).unwrap();
            eventually(LIMIT, "the links of the file", || {
                let name = links[0].0;
                let shown =
                    topology.router.sh(&format!("ip -o link show {name}")).unwrap_or_default();
                let has_it = shown.contains(&format!("02:00:00:00:00:0{}", links[0].1));
                if has_it { Ok(()) } else { Err(shown) }
            });
            rail.wait_all_up(LIMIT).unwrap();
            is_so(links);
        }
        let last = [("isp2", 2), ("cable", 1)];
        topology.router.sh("ip link set cable down").unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        eventually(LIMIT, "cable to be up", || {
            let shown = topology.router.sh("ip -o link show cable").unwrap();
            if shown.contains("UP,LOWER_UP") { Ok(()) } else { Err(shown) }
        });
        is_so(last);
        rail.kill().unwrap();
        topology.router.sh("ip link set cable down").unwrap();
        rail.start().unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        is_so(last);
    });
}

// given two uplinks whose links the kernel would refuse: one has the address of its port, the port of the
// other belongs to a bridge / when the file is checked, and when rail starts / then both say why, and a third
// uplink works
#[test]
fn a_refused_link_says_why() {
    isolated(|| {
        let (topology, _switch, _servers) = one_port();
        let router = &topology.router;
        router.sh("ip link set wan1 address 02:00:00:00:00:02").unwrap();
        router.sh("ip link add eth9 type veth peer name far9").unwrap();
        router.sh("ip link add br9 type bridge").unwrap();
        router.sh("ip link set eth9 master br9 up").unwrap();
        let third = "[[uplink]]\nname = \"isp3\"\ninterface = \"isp3\"\nparent = \"eth9\"\n\
            mac = \"02:00:00:00:00:03\"\naddress = \"100.64.3.2/24\"\ngateway = \"100.64.3.1\"\n";
        let rail = Rail::run(router, &format!("{CONFIG}{third}")).unwrap();
        rail.wait_health("isp1", "up", LIMIT).unwrap();
        let reasons = [
            ("isp2", "02:00:00:00:00:02 is the hardware address of its port wan1"),
            ("isp3", "its port eth9 belongs to the bridge br9"),
        ];
        let config = rail.config_path().to_str().unwrap().to_owned();
        let output = rail.command(&["check", "--config", &config]).unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        for (name, why) in reasons {
            rail.wait_health(name, "absent", LIMIT).unwrap();
            let cause = rail.uplink(name, "cause").unwrap();
            assert_eq!(cause, format!("rail's link {name} is not there: {why}"));
            assert!(
                told.contains(&format!("uplink {name} cannot have its link {name}: {why}")),
                "{told}"
            );
        }
        assert!(!told.contains("does not name wan1"), "{told}");
    });
}

// given a configuration with links of their own for both uplinks, and nothing in the kernel / when the steps
// are asked for before and after rail has started / then they name addresses, routes and settings of the
// links, and nothing
#[test]
fn a_plan_has_what_comes_with_the_links() {
    isolated(|| {
        let (topology, _switch, _servers) = one_port();
        let mut rail = Rail::run(&topology.router, CONFIG).unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        let (config, runtime) = (rail.config_path(), rail.runtime_dir());
        let state = runtime.with_file_name("nothing");
        let words =
            ["plan", "--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
        let plan = |rail: &Rail| {
            let output = rail.command(&words).unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let settled = plan(&rail);
        assert!(!settled.contains("isp1") && !settled.contains("isp2"), "{settled}");
        rail.stop(true).unwrap();
        let planned = plan(&rail);
        for part in [
            "+ link isp1 macvlan of wan1 address 02:00:00:00:00:01 mode private",
            "+ address 100.64.2.2/24 dev isp2",
            "+ route default table 20002 via 100.64.2.1 dev isp2",
            "~ sysctl net.ipv4.conf.isp2.rp_filter = 2",
        ] {
            assert!(planned.contains(part), "{part} in {planned}");
        }
    });
}
