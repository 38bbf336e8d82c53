//! What people have reported of other routers with several uplinks by PPP, and of dnsmasq behind them, tried here.
//!
//! Reports that an older test covers stand in that one's comment.
// starts: dnsmasq, busybox

use crate::dhcp::begin;
use crate::ppp::{dialled, served};
use crate::services_lan::{self as lan, Resolver, answer_of, ask, ask_at, kill, lease, running};
use rail_lab::flows::Protocol;
use rail_lab::pppd::{Plays, Pppd};
use rail_lab::traffic::{TCP_PORT, UDP_PORT};
use rail_lab::{
    ConfigText, Fault, Flows, Node, Plan, Servers, Topology, World, eventually, figures, isolated,
    topology,
};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
const SERVICES: &str = "[lan.dhcp]\nranges = [\"192.168.1.100-192.168.1.110\"]\ndomain = \"home.arpa\"\n\
                        [lan.dns]\nnames = { \"router.home.arpa\" = \"192.168.1.1\" }\n";

/// One uplink, which is dialled, with these tables added to the file.
fn alone(rest: &str) -> (World, Pppd) {
    let topology = Topology::build(&Plan::new(1)).unwrap();
    let pppd = Pppd::put(&topology.router, topology.line(1)).unwrap();
    let file = dialled(&topology, &[1], &ConfigText { rest: rest.into(), ..ConfigText::default() });
    let world = begin(topology, &file);
    world.rail.wait_all_up(LIMIT).unwrap();
    (world, pppd)
}

/// Connections go by these lines and no others.
fn go_by(world: &World, lines: &[usize]) {
    let report = world.connect(100).unwrap();
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    let seen: Vec<_> =
        report.by_source().into_keys().filter_map(|at| world.topology.line_of(at)).collect();
    assert_eq!(seen, lines);
}

fn hang_up(world: &World, pppd: &Pppd) {
    pppd.hang_up().unwrap();
    world.rail.wait_health("isp1", "absent", LIMIT).unwrap();
}

/// What a host that asks ten times is told.
fn told(client: &Node, words: &str) -> String {
    let script = "#!/bin/sh\n[ $1 = bound ] && echo \"$ip\"\nexit 0\n";
    lan::told(client, script, &format!("-t 10 -T 1 {words}")).trim().into()
}

/// Waits for another dnsmasq than this one.
fn another(world: &World, old: u64) {
    eventually(LIMIT, "another dnsmasq", || match running(&world.rail) {
        Ok(pid) if pid != old => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

// given two lines of one provider whose other ends have one address and answer nothing, and the first finds nobody /
// when the second is dialled before it, when the first one connects, and when it falls silent / then each has its own
// name and address, both carry, and the checks of each go by its own. Reported: with one other end a single line
// works (OPNsense 5238, 8181), and the checks of both go by it (OPNsense 8086); the line that connects first gets the
// other one's name (untangle/ngfw_src 868); a gateway that does not answer is taken for dead (openmptcprouter 300,
// 2446).
#[test]
fn two_lines_may_have_one_other_end() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let lines = Pppd::put_all(&topology.router, &topology.lines).unwrap();
        for (line, pppd) in topology.lines.iter().zip(&lines) {
            pppd.calls_itself([10, 64, 64, 64].into());
            line.isp.nft("add rule inet lab input iifname sess drop\n").unwrap();
        }
        lines[0].plays(Plays::NoAnswer).unwrap();
        let file = dialled(&topology, &[1, 2], &ConfigText::default());
        let world = begin(topology, &file);
        world.rail.wait_health("isp2", "up", LIMIT).unwrap();
        go_by(&world, &[2]);
        lines[0].plays(Plays::Connects).unwrap();
        world.rail.wait_all_up(LIMIT * 2).unwrap();
        let address = |name| world.rail.uplink(name, "address").unwrap();
        assert_eq!([address("isp1"), address("isp2")], ["100.64.1.2/32", "100.64.2.2/32"]);
        go_by(&world, &[1, 2]);
        world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", LIMIT).unwrap();
        assert_eq!(world.rail.uplink("isp2", "health").unwrap(), "up");
        go_by(&world, &[2]);
    });
}

// given a host that sends from one port without a pause, and one uplink / when it is dialled anew with another
// address / then the datagrams go on from that one, and none leaves with the old one or untranslated. Reported:
// WireGuard and other tunnels are sent from the old address for ever (landscape 214, tinyfecVPN 66); what is sent
// while the address changes is never translated (nebula 889).
#[test]
fn a_flow_that_never_pauses_follows_a_redial() {
    isolated(|| {
        let (world, pppd) = alone("");
        let flows = world.flows(0, 1);
        go_by(&world, &[1]);
        let new: Ipv4Addr = [100, 64, 1, 77].into();
        pppd.gives(new);
        hang_up(&world, &pppd);
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        let up = Instant::now();
        // What was sent before the rules knew the address is looked for every five seconds.
        let connector = world.connector();
        world.wait_for(&connector, 800).unwrap();
        assert_eq!(connector.stop().unwrap().failed(), 0);
        let report = flows.stop().unwrap();
        let flow = &report.flows[0];
        let first = flow.pings.iter().find(|(sent, answer)| *sent > up && answer.is_some());
        figures(&format!("answered {:?} after the line was up", first.map(|(at, _)| *at - up)));
        assert_eq!(flow.sources.last(), Some(&new), "{:?}", flow.sources);
        let settled = up + Duration::from_secs(6);
        let lost = flow.lost_between(settled, settled + Duration::from_secs(1));
        assert_eq!(lost, 0, "{:?}", flow.sources);
    });
}

// given an uplink by PPPoE / when it is switched off and on in haste, gets other options, and the daemon is killed
// while it is hung up / then no pppd is started beside one that still runs. Reported: two pppd for one line, with two
// addresses, after it is restarted (ppp 315, OpenWrt 9391, xl2tpd 56).
#[test]
fn no_line_is_dialled_twice() {
    isolated(|| {
        let (mut world, pppd) = served();
        let switch = |world: &World, word: &str| {
            assert!(world.rail.ask(&[word, "isp1"]).unwrap().status.success());
        };
        for _ in 0..4 {
            switch(&world, "disable");
            switch(&world, "enable");
        }
        let file = std::fs::read_to_string(world.rail.config_path()).unwrap();
        for service in ["gold", "silver"] {
            let parent = "parent = \"wan1\"";
            let other = file.replace(parent, &format!("{parent}, service = \"{service}\""));
            world.rail.reload(&other).unwrap();
        }
        eventually(LIMIT, "the new options", || match pppd.options() {
            told if told.contains("rp_pppoe_service silver") => Ok(()),
            told => Err(told),
        });
        switch(&world, "disable");
        world.rail.kill().unwrap();
        world.rail.start().unwrap();
        switch(&world, "enable");
        world.rail.wait_all_up(LIMIT).unwrap();
        figures(&format!("{} dials", pppd.dials()));
        assert_eq!(pppd.overlaps(), 0);
        go_by(&world, &[1, 2]);
    });
}

// given default routes of somebody else's, by the port that PPPoE goes by and by another uplink's gateway / when the
// line is dialled, hung up and dialled again / then they stand as they stood, connections go by both uplinks, by the
// other one, and by both again, flows of the other one lose nothing, and what the router begins goes by an uplink.
// Reported: the end of a line takes routes along that it did not bring (VyOS 711), its return brings none while
// another one stands (ppp 357), the port's is taken instead (OPNsense 850, 2186), after it nothing has a route
// (OPNsense 974, firehol 216), and it stops the other uplinks, too (openmptcprouter 3163).
#[test]
fn nobody_else_notices_a_redial() {
    isolated(|| {
        let (world, pppd) = served();
        let router = &world.topology.router;
        router
            .ip_batch(
                "route add default dev wan1 metric 50\n\
                 route add default via 100.64.2.1 dev wan2 metric 60\n",
            )
            .unwrap();
        let theirs = || router.sh("ip route show default").unwrap();
        let before = theirs();
        let flows = world.flows(20, 20);
        let own = |device: &[&str]| {
            let way = router.sh("ip route get 192.0.2.1").unwrap();
            assert!(device.iter().any(|name| way.contains(&format!("dev {name} "))), "{way}");
        };
        for _ in 0..2 {
            go_by(&world, &[1, 2]);
            own(&["ppp-isp1", "wan2"]);
            hang_up(&world, &pppd);
            go_by(&world, &[2]);
            own(&["wan2"]);
            world.rail.wait_health("isp1", "up", LIMIT).unwrap();
            assert_eq!(theirs(), before);
        }
        go_by(&world, &[1, 2]);
        let (report, second) = (flows.stop().unwrap(), world.topology.line(2).address());
        let others: Vec<_> = report.flows.iter().filter(|f| f.source() == Some(second)).collect();
        let is_whole = |f: &&rail_lab::FlowReport| f.lost() == 0 && f.broken.is_none();
        assert!(!others.is_empty() && others.iter().all(is_whole), "{others:?}");
    });
}

// given a line of 1492 bytes beside an uplink of 1500 / when hosts open connections by both / then each offers what
// fits its own. Reported: segments are cut for 1500 bytes on a line of 1492, and some sites hang (OPNsense 9398, lede
// 10910).
#[test]
fn each_line_has_its_own_segments() {
    isolated(|| {
        let (world, _pppd) = served();
        let internet = &world.topology.internet;
        internet
            .nft(
                "table ip sizes {
                    counter right { }
                    counter wrong { }
                    chain pre { type filter hook prerouting priority -300;
                        meta l4proto != tcp return
                        tcp flags & (syn | ack) != syn return
                        ip saddr 100.64.1.2 tcp option maxseg size 1452 counter name right return
                        ip saddr 100.64.2.2 tcp option maxseg size 1460 counter name right return
                        counter name wrong
                    }
                }\n",
            )
            .unwrap();
        go_by(&world, &[1, 2]);
        let count = |name: &str| {
            let text = internet.sh(&format!("nft list counter ip sizes {name}")).unwrap();
            let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
            words.nth(1).unwrap().parse::<u32>().unwrap()
        };
        assert!(count("right") >= 100);
        assert_eq!(count("wrong"), 0);
    });
}

// given addresses and names for hosts behind one line / when the provider hangs up again and again / then hosts get
// addresses and the router's names meanwhile, all names after it, from the same process. Reported: after a redial
// nobody in the LAN gets an address (lede 8201, 8323, openmptcprouter 1348).
#[test]
fn hosts_are_served_while_a_line_is_dialled() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(1)).unwrap();
        let pppd = Pppd::put(&topology.router, topology.line(1)).unwrap();
        let _resolver = Resolver::at(&topology.internet, "--listen-address=192.0.2.53", 9);
        let text = ConfigText { rest: SERVICES.into(), ..ConfigText::default() };
        let file = dialled(&topology, &[1], &text);
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        let pid = eventually(LIMIT, "dnsmasq", || running(&world.rail));
        let client = &world.topology.client;
        for round in 0..3 {
            assert_eq!(ask(client, &format!("n{round}.test"), LIMIT), Some(answer_of(9)));
            hang_up(&world, &pppd);
            assert!(lease(client).starts_with("192.168.1.1"));
            assert!(ask(client, "router.home.arpa", LIMIT).is_some());
            world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        }
        assert_eq!(running(&world.rail), Ok(pid));
    });
}

// given addresses and names for a LAN / when its interface vanishes and comes back, without a daemon, too / then
// hosts get both again, from the same process. Reported: no addresses after the interface was made anew, until
// dnsmasq is restarted (OpenWrt 9564, connectbox-pi 121).
#[test]
fn a_lan_that_is_made_anew_is_served() {
    isolated(|| {
        let (mut world, _resolvers) = lan::served();
        let client = world.topology.client.clone();
        let pid = running(&world.rail).unwrap();
        let first = told(&client, "");
        for has_daemon in [true, false] {
            if !has_daemon {
                world.rail.kill().unwrap();
            }
            world.topology.unplug_inside().unwrap().plug_in().unwrap();
            eventually(LIMIT, "names", || {
                ask(&client, "router.home.arpa", Duration::from_millis(500)).ok_or("none")
            });
            assert_eq!(told(&client, ""), first);
        }
        world.rail.start().unwrap();
        eventually(LIMIT, "adoption", || match running(&world.rail) {
            Ok(found) if found == pid => Ok(()),
            other => Err(format!("{other:?}, not {pid}")),
        });
    });
}

// given a host with a lease, which has told its name / when dnsmasq is killed / then the next one knows the name.
// Reported: names of hosts are unknown after a restart until each has asked again (OpenWrt 25012, incus 1707).
#[test]
fn names_of_hosts_outlive_dnsmasq() {
    isolated(|| {
        let (world, _resolvers) = lan::served();
        let client = &world.topology.client;
        let leased: Ipv4Addr = told(client, "-x hostname:laptop").parse().unwrap();
        assert_eq!(ask(client, "laptop.home.arpa", LIMIT), Some(leased));
        let pid = running(&world.rail).unwrap();
        kill(pid);
        another(&world, pid);
        eventually(LIMIT, "the name", || {
            match ask(client, "laptop.home.arpa", Duration::from_millis(500)) {
                Some(found) if found == leased => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    });
}

// given other resolvers on addresses of the loopback, as systemd-resolved and NetworkManager have them / when hosts
// and the router itself are to be answered / then they are, and nothing is amiss. Reported: dnsmasq does not start,
// port 53 is taken (subspace 57, Tasmota 5724, comitup 163, lan-cache-docker 21).
#[test]
fn resolvers_on_the_loopback_are_in_nobodys_way() {
    isolated(|| {
        let place = rail_lab::scratch::directory("resolv").unwrap().join("resolv.conf");
        std::fs::write(&place, "nameserver 127.0.0.53\n").unwrap();
        rustix::mount::mount_bind(&place, "/etc/resolv.conf").unwrap();
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _resolvers: Vec<_> = topology.lines.iter().map(Resolver::start).collect();
        let router = topology.router.clone();
        let _taken = ["127.0.0.53:53", "127.0.1.1:53"].map(|at| {
            router.enter(|| (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap()))
        });
        let file = lan::file(&topology).replace("[lan.dns]\n", "[lan.dns]\nresolv_conf = true\n");
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        eventually(LIMIT, "dnsmasq", || running(&world.rail).map(drop));
        let client = &world.topology.client;
        eventually(LIMIT, "an answer", || ask(client, "a.test", LIMIT).ok_or("none"));
        assert!(ask_at(&router, [127, 0, 0, 1], "b.test", LIMIT).is_some());
        eventually(LIMIT, "all to be well", || match world.rail.ask(&["status"]).unwrap() {
            said if said.status.code() == Some(0) => Ok(()),
            said => Err(String::from_utf8_lossy(&said.stdout).into_owned()),
        });
    });
}

// given another DHCP server on the router / when rail is to give addresses, and when that one ends / then the status
// is degraded and names it, and hosts get addresses soon after. Reported: dnsmasq fails with "failed to bind DHCP
// server socket", and hosts have nothing (pi-hole 2606, rpi-hostap 223).
#[test]
fn another_dhcp_server_is_told_of() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let taken = topology.router.enter(|| UdpSocket::bind("0.0.0.0:67").unwrap());
        let file = lan::file(&topology);
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        eventually(LIMIT, "the words of dnsmasq", || {
            let status = world.rail.status().map_err(|e| e.to_string())?;
            let words = status["children"][0]["last_words"].to_string();
            let own = format!("(process {})", std::process::id());
            let is_named = words.contains("port 67 (udp) is held by ") && words.contains(&own);
            if is_named { Ok(()) } else { Err(words) }
        });
        assert_eq!(world.rail.ask(&["status"]).unwrap().status.code(), Some(1));
        drop(taken);
        eventually(LIMIT, "an answer", || {
            ask(&world.topology.client, "router.home.arpa", Duration::from_millis(500))
                .ok_or("none")
        });
        assert!(told(&world.topology.client, "").starts_with("192.168.1.1"));
    });
}

// given a name that a host has asked for / when its uplink fails, and then the other one, too / then it is answered
// at once as before, by the same process. Reported: the resolver is restarted whenever an uplink changes, and its
// cache is lost (OpenWrt packages 20207, firewalla 1443, luci-app-xray 252).
#[test]
fn what_is_known_is_answered_without_an_uplink() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let resolve = |number: usize| {
            let options = ["--interface=acc", "--local-ttl=600"];
            Resolver::with(&topology.line(number).isp, &options, number)
        };
        let _resolvers = [1, 2].map(resolve);
        let file = lan::file(&topology);
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        let pid = eventually(LIMIT, "dnsmasq", || running(&world.rail));
        let client = &world.topology.client;
        let known = ask(client, "known.test", LIMIT).unwrap();
        let first = if known == answer_of(1) { 1 } else { 2 };
        for number in [first, 3 - first] {
            world.topology.inject(number, Fault::Carrier).unwrap();
            world.rail.wait_health(&format!("isp{number}"), "no-carrier", LIMIT).unwrap();
            let at_once = Duration::from_millis(500);
            assert_eq!(ask(client, "known.test", at_once), Some(known));
            if number == first {
                assert_eq!(ask(client, "new.test", LIMIT), Some(answer_of(3 - first)));
            }
        }
        assert_eq!(running(&world.rail), Ok(pid));
    });
}

// given long flows between two inside networks / when every uplink fails and returns / then they lose nothing.
// Reported: file shares and logins between inside networks break when the default gateway goes (OPNsense 5063).
#[test]
fn inside_networks_do_not_notice_an_outage() {
    isolated(|| {
        let dmz = "[[network]]\nname = \"dmz\"\ninterface = \"dmz0\"\naddress = \"10.8.1.1/24\"\n\
                   kind = \"dmz\"\n";
        let check = "recover_after = 3\n".into();
        let text = ConfigText { rest: dmz.into(), check, ..ConfigText::default() };
        let plan = Plan { networks: vec!["dmz"], ..Plan::new(2) };
        let world = World::start(&plan, &text).unwrap();
        let server = Ipv4Addr::new(10, 8, 1, 10);
        let _servers = Servers::start(&world.topology.network("dmz").node, &[server]).unwrap();
        let from = topology::client_address;
        let flows = vec![
            (Protocol::Tcp, from(0), SocketAddrV4::new(server, TCP_PORT)),
            (Protocol::Udp, from(1), SocketAddrV4::new(server, UDP_PORT)),
        ];
        let flows = Flows::start(&world.topology.client, flows);
        let faults = [1, 2].map(|number| world.topology.inject(number, Fault::Carrier).unwrap());
        for name in ["isp1", "isp2"] {
            world.rail.wait_health(name, "no-carrier", LIMIT).unwrap();
        }
        assert_eq!(world.connect(20).unwrap().failed(), 20);
        world.rail.wait_settled(LIMIT).unwrap();
        for fault in faults {
            fault.repair().unwrap();
        }
        world.rail.wait_all_up(LIMIT * 2).unwrap();
        go_by(&world, &[1, 2]);
        let report = flows.stop().unwrap();
        let lost: usize = report.flows.iter().map(rail_lab::FlowReport::lost).sum();
        figures(&format!("{} datagrams between inside networks", report.udp_sent()));
        assert_eq!((report.broken(), lost, report.mixed()), (0, 0, 0));
        assert!(report.udp_sent() > 20);
    });
}
