//! Interfaces that the configuration names by hardware address or alternative name: a new card
//! renumbers nothing.

use rail_lab::cable::{ASIDE, hardware_address};
use rail_lab::{ConfigText, Plan, Rail, Servers, Topology, World, eventually, isolated, topology};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Two uplinks, the first by hardware address, the second and the LAN by alternative names.
fn world() -> World {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let router = topology.router.clone();
    router.sh("ip link property add dev wan2 altname a-name-of-more-than-15").unwrap();
    router.sh("ip link property add dev lan0 altname inside").unwrap();
    let text = config(&topology);
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let rail = Rail::run(&router, &text).unwrap();
    let world = World { rail, servers, topology };
    world.rail.wait_all_up(PATIENCE).unwrap();
    world
}

fn config(topology: &Topology) -> String {
    let mac = hardware_address(&topology.router, "wan1").unwrap();
    let text = topology.config(&ConfigText::default());
    text.replace("\"wan1\"", &format!("\"mac:{mac}\""))
        .replace("\"wan2\"", "\"a-name-of-more-than-15\"")
        .replace("\"lan0\"", "\"inside\"")
}

/// Waits until the daemon knows the interface under this name and has done all it wants.
fn wait_for(rail: &Rail, uplink: &str, name: &str) {
    eventually(PATIENCE, "the new name", || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let found = rail.uplink(uplink, "interface").map_err(|e| e.to_string())?;
        let is_it = found == name && status["settled"].as_bool() == Some(true);
        if is_it { Ok(()) } else { Err(format!("{status:#}")) }
    });
}

/// Every connection of the client succeeds, and both uplinks have some.
fn works(world: &World, what: &str) {
    let wrong = world.topology.wrong_sources().unwrap();
    let report = world.connect(40).unwrap();
    assert_eq!(report.failed(), 0, "{what}: {:?}", report.reasons());
    assert_eq!(report.by_source().len(), 2, "{what}: {:?}", report.by_source());
    assert_eq!(world.topology.wrong_sources().unwrap(), wrong, "{what}");
    let isp = &world.topology.line(1).isp;
    assert!(!isp.opens("100.64.1.2:22"), "{what}: open from outside");
}

fn text(rail: &Rail, words: &[&str]) -> String {
    let output = rail.command(words).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Given uplinks and a LAN that are named by what does not change / when their interfaces get other
/// names while the daemon runs / then no uplink changes its state, no flow breaks, all is filtered as
/// before, and withdrawal gives each device its own settings back.
#[test]
fn a_name_that_changes_while_it_runs_changes_nothing_else() {
    isolated(|| {
        let mut world = world();
        let router = world.topology.router.clone();
        let _door = Servers::tcp(&router, "0.0.0.0:22".parse().unwrap()).unwrap();
        works(&world, "at first");
        let flows = world.flows(10, 10);
        let before = world.rail.uplink("isp1", "transitions").unwrap();
        router.ip_batch("link set wan1 name enp4s0\n").unwrap();
        wait_for(&world.rail, "isp1", "enp4s0");
        works(&world, "wan1 is enp4s0");
        router.ip_batch("link set wan2 name wan1\nlink set lan0 name lan9\n").unwrap();
        wait_for(&world.rail, "isp2", "wan1");
        works(&world, "wan2 is wan1, and lan0 is lan9");
        let report = flows.stop().unwrap();
        assert_eq!((report.broken(), report.mixed()), (0, 0));
        assert_eq!(world.rail.uplink("isp1", "transitions").unwrap(), before);
        let setting = |name: &str| router.sh(&format!("sysctl -n {name}")).unwrap();
        for name in ["enp4s0", "wan1"] {
            assert_eq!(setting(&format!("net.ipv4.conf.{name}.rp_filter")).trim(), "2");
        }
        let status = text(&world.rail, &["check", "--config", &path(&world.rail)]);
        assert!(status.contains("(enp4s0)") && status.contains("(lan9)"), "{status}");
        world.rail.stop(true).unwrap();
        for name in ["enp4s0", "wan1"] {
            assert_ne!(setting(&format!("net.ipv4.conf.{name}.rp_filter")).trim(), "2", "{name}");
            let there = router.sh(&format!("ip -4 -o address show dev {name}")).unwrap();
            assert_eq!(there.trim(), "", "an address is left on {name}");
        }
    });
}

/// Given the same / when an interface gets another name and no daemon is there to tell the rules / then
/// what leaves by it has no other source than before: what would begin there is dropped.
#[test]
fn a_device_that_was_renamed_leaks_nothing_meanwhile() {
    isolated(|| {
        let mut world = world();
        works(&world, "at first");
        let flows = world.flows(10, 10);
        world.rail.kill().unwrap();
        world.topology.router.ip_batch("link set wan1 name enp4s0\n").unwrap();
        let report = world.connect(40).unwrap();
        assert!(report.failed() > 0, "nothing began there: {:?}", report.by_source());
        assert_eq!(
            world.topology.wrong_sources().unwrap(),
            0,
            "{}",
            world.topology.strange_packets()
        );
        let report = flows.stop().unwrap();
        assert_eq!((report.broken(), report.mixed()), (0, 0));
    });
}

/// Given an uplink by its plain name, its address set by rail or by others / when its interface gets
/// another name while the daemon runs / then it stays closed in both families and lets no inside
/// source out, after a restart as well; status says what it may be and what to do; when the file says
/// so, the uplink is back on it.
#[test]
fn an_uplinks_device_stays_closed_under_another_name() {
    for is_ours in [true, false] {
        isolated(move || {
            let topology = Topology::build(&Plan::new(2)).unwrap();
            if !is_ours {
                topology.router.ip_batch("addr add 100.64.1.2/24 dev wan1\n").unwrap();
            }
            let mut world = World::begin(topology, &ConfigText::default()).unwrap();
            world.rail.wait_all_up(PATIENCE).unwrap();
            world.topology.add_ipv6().unwrap();
            let isp = &world.topology.line(1).isp;
            isp.ip_batch("route add 192.168.1.0/24 via 100.64.1.2\n").unwrap();
            let server = |node, to: &str| Servers::tcp(node, to.parse().unwrap()).unwrap();
            let _doors = ["[2001:db8:1::10]:80", "192.168.1.10:80"]
                .map(|to| server(&world.topology.client, to));
            let _own = server(&world.topology.router, "[::]:22");
            is_closed(&world.topology, "at first");
            world.topology.router.ip_batch("link set wan1 name wanx\n").unwrap();
            tells_of_wanx(&world.rail);
            is_closed(&world.topology, "renamed");
            let state = world.rail.config_path().with_file_name("state");
            let state = state.to_str().unwrap();
            let config = path(&world.rail);
            let check = text(&world.rail, &["check", "--config", &config, "--state-dir", state]);
            assert!(check.contains("write `interface = \"wanx\"` there"), "{check}");
            assert!(!check.contains("name it as a [[network]]"), "{check}");
            world.rail.kill().unwrap();
            world.rail.start().unwrap();
            tells_of_wanx(&world.rail);
            is_closed(&world.topology, "restarted");
            let file = world.topology.config(&ConfigText::default()).replace("wan1", "wanx");
            world.rail.reload(&file).unwrap();
            world.rail.wait_all_up(PATIENCE).unwrap();
            is_closed(&world.topology, "named");
            assert!(!screen(&world.rail).contains("is closed as uplink"));
        });
    }
}

/// From the first provider nothing opens, and to its host leaves no inside source.
fn is_closed(net: &Topology, when: &str) {
    let open = net.line(1).isp.open_of(&[
        "[2001:db8:1::10]:80",
        "[2001:db8:f::2]:22",
        "192.168.1.10:80",
        "100.64.1.2:22",
    ]);
    assert!(open.is_empty(), "{when}: {open:?} is open");
    net.client.enter(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        (0..10).for_each(|_| drop(socket.send_to(b"x", "100.64.1.1:53")));
    });
    assert_eq!(net.wrong_sources().unwrap(), 0, "{when}: {}", net.strange_packets());
}

fn screen(rail: &Rail) -> String {
    let output = rail.ask(&["status"]).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until status says what `wanx` is, and for whatever the daemon does after that.
fn tells_of_wanx(rail: &Rail) {
    eventually(PATIENCE, "the hint", || {
        let status = screen(rail);
        let words = [
            "wanx, which the file does not name, was its interface: renumbered?",
            "interface wanx is closed as uplink isp1 is",
            "write `interface = \"wanx\"` there",
        ];
        let plain = status.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.iter().all(|word| plain.contains(word)) { Ok(()) } else { Err(status) }
    });
    std::thread::sleep(Duration::from_secs(1));
}

/// Given the same / when the names are exchanged while no daemon runs / then it starts with each
/// uplink on its own card; the plan of a start says nothing of a change. Reported: sticks and USB cards change their
/// places at each boot or plug (openmptcprouter 1079, 1170, 1278, 1534).
#[test]
fn cards_that_changed_their_names_at_boot_are_found() {
    isolated(|| {
        let mut world = world();
        let router = world.topology.router.clone();
        let _door = Servers::tcp(&router, "0.0.0.0:22".parse().unwrap()).unwrap();
        world.rail.stop(false).unwrap();
        // At a real boot nothing is on its way yet; here the rules of before know the old names.
        world.topology.excuse_sources();
        world.topology.swap_names(1, 2).unwrap();
        world.rail.start().unwrap();
        wait_for(&world.rail, "isp1", "wan2");
        wait_for(&world.rail, "isp2", "wan1");
        world.rail.wait_all_up(PATIENCE).unwrap();
        works(&world, "exchanged");
        let state = world.rail.config_path().parent().unwrap().join("state");
        let plan = text(
            &world.rail,
            &["plan", "--config", &path(&world.rail), "--state-dir", state.to_str().unwrap()],
        );
        assert_eq!(plan, "nothing would change\n");
    });
}

/// Given a card whose address a bridge bears as well, and then a second card / when the
/// file names it by that address / then the card is meant, and stays meant beside the second one, also
/// by the next process: status and check name both. A process that does not know which one it was
/// uses none, until one remains.
#[test]
fn one_address_on_several_interfaces_is_told() {
    isolated(|| {
        let mut world = world();
        let router = world.topology.router.clone();
        let router = &router;
        let mac = hardware_address(router, "wan1").unwrap();
        router.ip_batch(&format!("link add br9 address {mac} type bridge\n")).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        wait_for(&world.rail, "isp1", "wan1");
        works(&world, "beside a bridge");
        router
            .ip_batch(&format!("link add {ASIDE} address {mac} type veth peer name far0\n"))
            .unwrap();
        let told = format!("\"mac:{mac}\" is several interfaces: {ASIDE}, wan1");
        let conflict = format!("uses wan1 as before, but {told}; it filters {ASIDE}, too");
        let is_told = |rail: &Rail| {
            eventually(PATIENCE, "the conflict", || {
                let status = rail.status().map_err(|e| e.to_string())?;
                let all = status["conflicts"].as_array().into_iter().flatten();
                let found = all.clone().any(|c| c["effect"] == conflict.as_str());
                if found { Ok(()) } else { Err(format!("{status:#}")) }
            });
        };
        is_told(&world.rail);
        let before = world.rail.uplink("isp1", "transitions").unwrap();
        works(&world, "beside another card");
        assert_eq!(world.rail.uplink("isp1", "transitions").unwrap(), before);
        world.rail.stop(false).unwrap();
        world.rail.start().unwrap();
        is_told(&world.rail);
        wait_for(&world.rail, "isp1", "wan1");
        works(&world, "after a restart");
        world.rail.stop(false).unwrap();
        let state = world.rail.config_path().parent().unwrap().join("state/state.json");
        std::fs::remove_file(state).unwrap();
        world.rail.start().unwrap();
        wait_for(&world.rail, "isp1", &format!("mac:{mac}"));
        assert_eq!(world.rail.uplink("isp1", "cause").unwrap(), told);
        let check = text(&world.rail, &["check", "--config", &path(&world.rail)]);
        assert!(check.contains(&told), "{check}");
        router.ip_batch(&format!("link del {ASIDE}\n")).unwrap();
        wait_for(&world.rail, "isp1", "wan1");
        world.rail.wait_all_up(PATIENCE).unwrap();
        works(&world, "one of them again");
    });
}

fn path(rail: &Rail) -> String {
    rail.config_path().to_str().unwrap().into()
}
