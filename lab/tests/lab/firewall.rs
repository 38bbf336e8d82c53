//! Closed by default from the uplinks, in both families; administration survives.

use rail_lab::flows::Protocol;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Flows, Node, Plan, Rail, Servers, Topology, World,
    eventually, figures, isolated, timed, topology,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

const ALLOW: &str = "[firewall]\nallow = [\"tcp 22 from 192.0.2.50/32\"]\n";
const SSH: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 1), 22);

/// One connection to the port from this very address.
fn opens_from(from: &Node, source: Ipv4Addr, to: SocketAddrV4) -> bool {
    let plan = ConnectorPlan {
        servers: vec![to],
        count: Some(1),
        timeout: Duration::from_millis(600),
        ..ConnectorPlan::new(vec![source], &[])
    };
    Connector::start(from, plan).finish().unwrap().failed() == 0
}

#[test]
fn closed_from_outside_in_both_families() {
    isolated(|| {
        // given listeners on the router and inside / when the internet and the provider try to
        // reach them / then they cannot, while the inside can
        let text = ConfigText { rest: ALLOW.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        net.add_ipv6().unwrap();
        let listen = |node: &Node, at: &str| Servers::tcp(node, at.parse().unwrap()).unwrap();
        // [::] takes IPv4 as well.
        let _ssh = listen(&net.router, "[::]:22");
        let _other = listen(&net.router, "[::]:23");
        let _inside = listen(&net.client, "[::]:80");
        let isp = &net.line(1).isp;
        isp.sh("ip route add 192.168.1.0/24 via 100.64.1.2").unwrap();
        let closed = [
            ("router", net.internet.opens("100.64.1.2:23")),
            ("router by the second line", net.internet.opens("100.64.2.2:23")),
            ("router's inner address", isp.opens("192.168.1.1:23")),
            ("client", isp.opens("192.168.1.10:80")),
            ("router, IPv6", net.internet.opens("[2001:db8:f::2]:23")),
            ("router's inner address, IPv6", net.internet.opens("[2001:db8:1::1]:23")),
            ("client, IPv6", net.internet.opens("[2001:db8:1::10]:80")),
            ("client, IPv6 from the provider", isp.opens("[2001:db8:1::10]:80")),
            (
                "an address that is not allowed",
                opens_from(
                    &net.internet,
                    Ipv4Addr::new(192, 0, 2, 51),
                    SocketAddrV4::new(net.line(1).address(), 22),
                ),
            ),
        ];
        let allowed = SocketAddrV4::new(net.line(2).address(), 22);
        let open = [
            ("LAN to router", net.client.opens("192.168.1.1:22")),
            ("LAN to router, IPv6", net.client.opens("[2001:db8:1::1]:22")),
            ("allowed", opens_from(&net.internet, Ipv4Addr::new(192, 0, 2, 50), allowed)),
            ("ping", net.internet.sh("ping -n -q -c 1 -W 1 100.64.2.2").is_ok()),
        ];
        figures(&format!("{} ways closed, {} open", closed.len(), open.len()));
        for (what, is_open) in closed {
            assert!(!is_open, "{what} is open");
        }
        for (what, is_open) in open {
            assert!(is_open, "{what} is closed");
        }
    });
}

#[test]
fn a_disabled_line_is_closed_in_both_families() {
    isolated(|| {
        // given listeners on the router and inside / when an uplink is disabled by a reload, and its
        // provider tries to reach them / then it cannot, and the inside still can
        let text = ConfigText::default();
        let plan = Plan { addresses: true, ..Plan::new(2) };
        let world = World::start(&plan, &text).unwrap();
        let net = &world.topology;
        net.add_ipv6().unwrap();
        let listen = |node: &Node, at: &str| Servers::tcp(node, at.parse().unwrap()).unwrap();
        let _ssh = listen(&net.router, "[::]:22");
        let _inside = listen(&net.client, "[::]:80");
        let isp = &net.line(2).isp;
        // Addresses of their own, so that the inside knows the way back.
        net.router.ip_batch("addr add 2001:db8:e::2/64 dev wan2 nodad\n").unwrap();
        isp.ip_batch(
            "addr add 2001:db8:e::1/64 dev acc nodad\naddr add fe80::1/64 dev acc nodad\n\
             route add 2001:db8:1::/64 via 2001:db8:e::2\nroute add 192.168.1.0/24 via 100.64.2.2\n",
        )
        .unwrap();
        net.router.ip_batch("addr add fe80::2/64 dev wan2 nodad\n").unwrap();
        // Nor may the provider's own filter hide an answer from an inside address.
        isp.nft("flush chain inet lab guard").unwrap();
        let acc = isp.sh("ip -o link show acc").unwrap();
        let link_local = format!("[fe80::2%{}]:22", acc.split(':').next().unwrap());
        let disabled = net.config(&text).replace("\"isp2\"\n", "\"isp2\"\nenabled = false\n");
        world.rail.reload(&disabled).unwrap();
        eventually(Duration::from_secs(5), "line 2 to be disabled", || {
            let status = world.rail.status().map_err(|e| e.to_string())?;
            let is_done = status["settled"] == true && status["uplinks"][1]["health"] == "disabled";
            if is_done { Ok(()) } else { Err(status["uplinks"][1]["health"].to_string()) }
        });
        let mut ways = vec!["100.64.2.2:22", "192.168.1.1:22", "192.168.1.10:80", &link_local];
        ways.extend(["[2001:db8:e::2]:22", "[2001:db8:1::1]:22", "[2001:db8:1::10]:80"]);
        assert_eq!(isp.open_of(&ways), Vec::<&str>::new(), "these are open");
        assert!(isp.sh("ping -n -q -c 1 -W 1 2001:db8:e::2").is_ok(), "the provider has no way");
        assert!(net.client.opens("192.168.1.1:22"), "SSH from the LAN");
        assert_eq!(world.connect(20).unwrap().failed(), 0);
    });
}

#[test]
fn mode_off_leaves_the_filter_to_others() {
    isolated(|| {
        let rest = "[firewall]\nmode = \"off\"\n".into();
        let text = ConfigText { rest, ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let _other = Servers::tcp(&world.topology.router, "0.0.0.0:23".parse().unwrap()).unwrap();
        assert!(world.topology.internet.opens("100.64.2.2:23"));
    });
}

#[test]
fn ssh_survives_start_reload_crash_and_stop() {
    timed(|| {
        // given long connections to the router's port 22 from the LAN and, allowed, by an uplink /
        // when the daemon starts, reloads, crashes, starts, and stops / then they go on
        let net = Topology::build(&Plan { addresses: true, ..Plan::new(2) }).unwrap();
        // The administrator's own route, so that the uplink answers before the first start.
        net.router.sh("ip route add default via 100.64.1.1").unwrap();
        let _ssh = Servers::tcp(&net.router, "0.0.0.0:22".parse().unwrap()).unwrap();
        let outside = Ipv4Addr::new(192, 0, 2, 50);
        let allowed = SocketAddrV4::new(net.line(1).address(), 22);
        let lan =
            Flows::start(&net.client, vec![(Protocol::Tcp, Ipv4Addr::new(192, 168, 1, 10), SSH)]);
        let line = Flows::start(&net.internet, vec![(Protocol::Tcp, outside, allowed)]);
        let text = ConfigText { rest: ALLOW.into(), ..ConfigText::default() };
        let limit = Duration::from_secs(10);
        let mut rail = Rail::run(&net.router, &net.config(&text)).unwrap();
        rail.wait_all_up(limit).unwrap();
        rail.reload(&net.config(&ConfigText { weights: vec![2, 1], ..text })).unwrap();
        rail.wait_all_up(limit).unwrap();
        rail.kill().unwrap();
        rail.start().unwrap();
        rail.wait_all_up(limit).unwrap();
        rail.stop(false).unwrap();
        rail.start().unwrap();
        rail.wait_all_up(limit).unwrap();
        rail.stop(true).unwrap();
        assert!(net.client.opens("192.168.1.1:22"));
        let reports = [lan.stop().unwrap(), line.stop().unwrap()];
        let gaps = [reports[0].tcp_gap(), reports[1].tcp_gap()];
        figures(&format!("gaps {gaps:?}"));
        for report in reports {
            assert_eq!(report.broken(), 0, "{:?}", report.flows[0].broken);
            let last = report.flows[0].pings.last().copied().unwrap();
            assert!(last.1.is_some(), "the last ping was not answered");
        }
        assert!(gaps.iter().all(|gap| *gap < Duration::from_secs(1)), "{gaps:?}");
    });
}

#[test]
fn a_start_with_dead_lines_opens_the_router_at_once() {
    timed(|| {
        let mut all = Vec::new();
        for dead in 0..=3 {
            all.push(boot(dead));
        }
        figures(&format!("(SSH from the LAN, first connection out) with 0 to 3 dead: {all:?}"));
    });
}

/// given a fresh system with dead uplinks / when the daemon starts / then the LAN reaches the
/// router, and the internet if an uplink lives, within two seconds
fn boot(dead: usize) -> (Duration, Option<Duration>) {
    let limit = Duration::from_secs(2);
    let net = Topology::build(&Plan::new(3)).unwrap();
    let _servers = Servers::start(&net.internet, &topology::servers()).unwrap();
    let _ssh = Servers::tcp(&net.router, "0.0.0.0:22".parse().unwrap()).unwrap();
    let injected: Vec<_> =
        (1..=dead).map(|line| net.inject(line, Fault::Gateway).unwrap()).collect();
    let mut rail = Rail::new(&net.router, &net.config(&ConfigText::default())).unwrap();
    let start: Instant = rail.launch().unwrap();
    let ssh = eventually(Duration::from_secs(5), "SSH from the LAN", || {
        let is_open = opens_from(&net.client, Ipv4Addr::new(192, 168, 1, 10), SSH);
        if is_open { Ok(start.elapsed()) } else { Err("closed") }
    });
    assert!(ssh <= limit, "{dead} dead: SSH after {ssh:?}");
    let out = (dead < 3).then(|| {
        eventually(Duration::from_secs(10), "a connection out", || {
            let plan = ConnectorPlan::new(net.clients(), &topology::servers());
            let plan = ConnectorPlan { count: Some(20), ..plan };
            let report = Connector::start(&net.client, plan).finish().unwrap();
            let first = report.attempts.iter().find(|a| a.outcome.is_ok());
            first.map(|a| a.at.saturating_duration_since(start)).ok_or("all failed")
        })
    });
    assert!(out.is_none_or(|out| out <= limit), "{dead} dead: out after {out:?}");
    // The firewall is in place by now, and the way for administrators is still open.
    rail.wait_ready(limit).unwrap();
    assert!(opens_from(&net.client, Ipv4Addr::new(192, 168, 1, 10), SSH), "{dead} dead: closed");
    drop(rail);
    drop(injected);
    (ssh, out)
}

#[test]
fn an_unnamed_interface_is_closed_whatever_its_prefix_length() {
    isolated(|| {
        // given an interface that the file does not name / when it gets an address in the network of
        // an uplink, of another prefix length / then nobody behind it reaches the LAN any more, and
        // `rail check`, `rail status` and the log say that it is closed, and the log that it is open again
        let plan = Plan { networks: vec!["vpn"], ..Plan::new(2) };
        let topology = Topology::build(&plan).unwrap();
        topology.router.ip_batch("addr add 10.8.1.1/24 dev vpn0\n").unwrap();
        let world = World::begin(topology, &ConfigText::default()).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let net = &world.topology;
        let _inside = Servers::tcp(&net.client, "192.168.1.10:80".parse().unwrap()).unwrap();
        let stranger = &net.network("vpn").node;
        assert!(stranger.opens("192.168.1.10:80"));
        let config = world.rail.config_path();
        let check = || {
            let told =
                world.rail.command(&["check", "--config", config.to_str().unwrap()]).unwrap();
            String::from_utf8_lossy(&told.stderr).into_owned()
        };
        for address in ["100.64.1.200/25", "100.64.2.200/16", "100.64.2.201/32"] {
            net.router.sh(&format!("ip addr add {address} dev vpn0")).unwrap();
            eventually(Duration::from_secs(5), "the gate", || {
                let chain = net.router.sh("nft list chain inet rail forward").unwrap();
                if chain.contains("\"vpn0\"") { Ok(()) } else { Err(chain) }
            });
            assert!(!stranger.opens("192.168.1.10:80"), "{address}");
            let told = check();
            let uplink = if address.starts_with("100.64.1.") { "isp1" } else { "isp" };
            let note = format!("not name vpn0, which is in the network of uplink {uplink}");
            assert!(told.contains(&note), "{told}");
            let status = world.rail.ask(&["status"]).unwrap();
            let screen = String::from_utf8_lossy(&status.stdout).into_owned();
            assert!(screen.contains("interface vpn0 is closed as uplink"), "{screen}");
            net.router.sh(&format!("ip addr del {address} dev vpn0")).unwrap();
            eventually(Duration::from_secs(5), "no gate", || {
                let chain = net.router.sh("nft list chain inet rail forward").unwrap();
                if chain.contains("\"vpn0\"") { Err(chain) } else { Ok(()) }
            });
        }
        assert!(stranger.opens("192.168.1.10:80"));
        world.rail.wait_log(&["conflict resolved", "interface vpn0"]).unwrap();
    });
}
