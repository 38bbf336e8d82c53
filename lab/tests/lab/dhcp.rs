//! Uplinks whose address is leased, by the servers that providers run.

use rail_lab::{
    DhcpServer, Leases, Line, Plan, Rail, Server, Servers, Topology, World, eventually, isolated,
    normal, topology,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// The file of the drawing, with the addresses of these uplinks leased.
pub(crate) fn leased(topology: &Topology, lines: &[usize], check: &str) -> String {
    learnt(topology, lines, check, "dhcp")
}

/// The same with another word for who knows their addresses.
pub(crate) fn learnt(topology: &Topology, lines: &[usize], check: &str, word: &str) -> String {
    let text = rail_lab::ConfigText { check: check.into(), ..rail_lab::ConfigText::default() };
    let mut file = topology.config(&text);
    for number in lines {
        let line = topology.line(*number);
        let (address, gateway) = (line.address(), line.gateway());
        let fixed = format!("address = \"{address}/24\"\ngateway = \"{gateway}\"\n");
        assert!(file.contains(&fixed), "{file}");
        file = file.replace(&fixed, &format!("address = \"{word}\"\n"));
    }
    file
}

/// Two uplinks, of which these are leased by a server of this kind for so long, all up; with their servers.
pub(crate) fn served(lines: &[usize], server: Server, seconds: u32) -> (World, Vec<DhcpServer>) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let file = leased(&topology, lines, "recover_after = 3\n");
    let serve = |number: &usize| {
        let line = topology.line(*number);
        DhcpServer::start(&line.isp, &Leases { seconds, ..Leases::of(line) }, server).unwrap()
    };
    let servers = lines.iter().map(serve).collect();
    let world = begin(topology, &file);
    world.rail.wait_all_up(LIMIT).unwrap();
    (world, servers)
}

fn serve(line: &Line) -> DhcpServer {
    DhcpServer::start(&line.isp, &Leases::of(line), Server::Dnsmasq).unwrap()
}

/// A drawing with servers, and a daemon with this file.
pub(crate) fn begin(topology: Topology, file: &str) -> World {
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let rail = Rail::run(&topology.router, file).unwrap();
    World { rail, servers, topology }
}

// given two uplinks by DHCP and one that is static / when the daemon runs, is killed and starts again, and is
// withdrawn / then connections go by all three, a restart keeps the leases and breaks nothing, `main` has no
// route of theirs, and at the end the servers hear a release and nothing is left
#[test]
fn leases_carry_connections() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(3)).unwrap();
        let servers: Vec<_> = [1, 2].map(|line| serve(topology.line(line))).into();
        let before = normal::state(&topology.router).unwrap();
        let file = leased(&topology, &[1, 2], "recover_after = 3\n");
        let mut world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        let report = world.connect(300).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 3), "{:?}", report.reasons());
        let main = world.topology.router.sh("ip route show").unwrap();
        assert!(!main.contains("default"), "{main}");
        let (failed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((failed, changed), (0, String::new()));
        for server in &servers {
            assert_eq!(server.count("DHCPDISCOVER"), 1, "{}", server.said());
            assert!(server.count("DHCPACK") >= 2, "{}", server.said());
        }
        world.rail.stop(true).unwrap();
        for server in &servers {
            eventually(LIMIT, "a release", || match server.count("DHCPRELEASE") {
                0 => Err(server.said()),
                _ => Ok(()),
            });
        }
        let after = normal::state(&world.topology.router).unwrap();
        assert_eq!(normal::difference(&before, &after), String::new());
    });
}

// given an uplink by DHCP / when the provider's server is silent, when it comes, when the cable is put into
// another network, and when it is pulled out and put back / then there is no address, one is leased, the old
// one goes at once for the new one, and the lease is verified within a second
#[test]
fn a_lease_follows_the_network() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let file = leased(&topology, &[1], "recover_after = 3\n");
        let world = begin(topology, &file);
        let (rail, line) = (&world.rail, world.topology.line(1));
        rail.wait_health("isp1", "no-address", LIMIT).unwrap();
        assert_eq!(rail.uplink("isp1", "cause").unwrap(), "no lease on wan1 yet");
        let server = serve(line);
        rail.wait_health("isp1", "up", Duration::from_secs(80)).unwrap();
        assert_eq!(rail.uplink("isp1", "address").unwrap(), "100.64.1.2/24");

        drop(server);
        let other = Leases { hosts: (1, 77), ..Leases::of(line) };
        let server = DhcpServer::start(&line.isp, &other, Server::Dnsmasq).unwrap();
        let flap = |state: &str| line.isp.sh(&format!("ip link set acc {state}")).unwrap();
        flap("down");
        rail.wait_health("isp1", "no-carrier", LIMIT).unwrap();
        flap("up");
        eventually(LIMIT, "the address of the other network", || {
            let address = rail.uplink("isp1", "address").map_err(|e| e.to_string())?;
            if address == "100.64.1.77/24" { Ok(()) } else { Err(address) }
        });
        assert!(server.count("DHCPNAK") >= 1, "{}", server.said());
        let shown = || world.topology.router.sh("ip -o -4 address show dev wan1").unwrap();
        eventually(LIMIT, "the old address to be gone", || {
            let text = shown();
            if text.contains("100.64.1.2/24") { Err(text) } else { Ok(()) }
        });
        rail.wait_health("isp1", "up", LIMIT).unwrap();

        flap("down");
        rail.wait_health("isp1", "no-carrier", LIMIT).unwrap();
        let known = server.count("DHCPACK");
        flap("up");
        eventually(LIMIT, "an answer to the verification", || match server.count("DHCPACK") {
            count if count > known => Ok(()),
            count => Err(count.to_string()),
        });
        assert_eq!(server.count("DHCPDISCOVER"), 1, "{}", server.said());
        rail.wait_health("isp1", "up", LIMIT).unwrap();
    });
}

const BEHIND_ONE_PORT: &str = "[lan]\ninterfaces = [\"lan0\"]\n\
    [[uplink]]\nname = \"isp1\"\ninterface = \"isp1\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:01\"\n\
    address = \"dhcp\"\n\
    [[uplink]]\nname = \"isp2\"\ninterface = \"isp2\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:02\"\n\
    address = \"dhcp\"\n\
    [check]\nrecover_after = 3\ntargets = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\n";

// given two uplinks by DHCP behind one port, each with a hardware address of its own / when one server leases
// an address to each, and the daemon is killed and starts again / then each has its own, connections are shared,
// and a restart breaks none
#[test]
fn two_leases_behind_one_port() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(1)).unwrap();
        let line = topology.line(1);
        let hosts = "dhcp-range=100.64.1.3,100.64.1.3,255.255.255.0,3600s\n\
                     dhcp-host=02:00:00:00:00:01,100.64.1.2\n\
                     dhcp-host=02:00:00:00:00:02,100.64.1.3\n";
        let leases = Leases { rest: hosts.into(), ..Leases::of(line) };
        let _server = DhcpServer::start(&line.isp, &leases, Server::Dnsmasq).unwrap();
        let mut world = begin(topology, BEHIND_ONE_PORT);
        world.rail.wait_all_up(LIMIT).unwrap();
        let address = |name| world.rail.uplink(name, "address").unwrap();
        assert_eq!([address("isp1"), address("isp2")], ["100.64.1.2/24", "100.64.1.3/24"]);
        let report = world.connect(300).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
        let (failed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((failed, changed), (0, String::new()));
        world.rail.stop(true).unwrap();
    });
}
