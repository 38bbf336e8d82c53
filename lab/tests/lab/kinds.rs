//! Kinds of checks other than ICMP echo, against real kernels.

use rail_lab::topology::{servers, targets};
use rail_lab::traffic::TCP_PORT;
use rail_lab::{ConfigText, Fault, Plan, World, figures, isolated};
use std::time::{Duration, Instant};

/// Two uplinks, each with checks of its own.
fn world(checks: [&str; 2]) -> World {
    let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
    let mut config = world.topology.config(&ConfigText::default());
    for (line, check) in world.topology.lines.iter().zip(checks) {
        let gateway = format!("gateway = \"{}\"\n", line.gateway());
        config = config.replace(&gateway, &format!("{gateway}check = {{ {check} }}\n"));
    }
    world.rail.reload(&config).unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    world
}

/// Given an uplink whose targets take the connection, and one whose targets refuse it, when what is
/// behind the first gateway forwards nothing, then the first is down and the second stays up; when it
/// forwards again, the first returns.
#[test]
fn an_uplink_is_checked_by_connecting() {
    isolated(|| {
        let taken = format!("kind = \"tcp\", port = {TCP_PORT}");
        let world = world([&taken, "kind = \"tcp\", port = 9"]);
        let before = world.rail.uplink("isp2", "transitions").unwrap();
        let injected = world.topology.inject(1, Fault::SecondHop).unwrap();
        let down = world.rail.wait_health("isp1", "down", Duration::from_secs(6)).unwrap();
        figures(&format!("down after {:?}", down - injected.since));
        assert_eq!(world.rail.uplink("isp2", "health").unwrap(), "up");
        assert_eq!(world.connect(50).unwrap().failed(), 0);
        let repaired = injected.repair().unwrap();
        let up = world.rail.wait_health("isp1", "up", Duration::from_secs(20)).unwrap();
        figures(&format!("up after {:?}", up - repaired));
        assert_eq!(world.rail.uplink("isp2", "transitions").unwrap(), before);
    });
}

/// Given an uplink whose targets are asked by connecting, when its gateway rejects what is forwarded (by
/// ICMP, port unreachable), then the uplink is down, for no target has answered; when the gateway
/// forwards again, it returns.
#[test]
fn a_gateway_that_rejects_does_not_answer_for_the_targets() {
    isolated(|| {
        let world = world([&format!("kind = \"tcp\", port = {TCP_PORT}"), "kind = \"icmp\""]);
        let isp = &world.topology.line(1).isp;
        isp.set("net/ipv4/icmp_ratelimit", "0").unwrap();
        isp.nft("add rule inet lab forward iifname acc meta l4proto tcp reject\n").unwrap();
        let rejected = Instant::now();
        let down = world.rail.wait_health("isp1", "down", Duration::from_secs(6)).unwrap();
        figures(&format!("down after {:?}", down - rejected));
        assert_eq!(world.connect(50).unwrap().failed(), 0);
        isp.nft("flush chain inet lab forward\n").unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(20)).unwrap();
    });
}

/// Given an uplink whose gateway is asked by ARP, when what is behind the gateway forwards nothing, then
/// it stays up, for ARP says nothing of that; when the gateway answers no ARP, then it is down; when it
/// answers again, it returns.
#[test]
fn an_uplink_is_checked_by_arp() {
    isolated(|| {
        let world = world(["kind = \"arp\"", "kind = \"icmp\""]);
        let injected = world.topology.inject(1, Fault::SecondHop).unwrap();
        let seen = world.rail.watch_health("isp1", Duration::from_secs(4)).unwrap();
        assert_eq!(seen, ["up"]);
        injected.repair().unwrap();
        let answers = |is_there: bool| {
            let value = if is_there { "0" } else { "8" };
            world.topology.line(1).isp.set("net/ipv4/conf/acc/arp_ignore", value).unwrap();
            Instant::now()
        };
        let silent = answers(false);
        let down = world.rail.wait_health("isp1", "down", Duration::from_secs(6)).unwrap();
        figures(&format!("down after {:?}", down - silent));
        assert_eq!(world.connect(50).unwrap().failed(), 0);
        let heard = answers(true);
        let up = world.rail.wait_health("isp1", "up", Duration::from_secs(20)).unwrap();
        figures(&format!("up after {:?}", up - heard));
        assert_eq!(world.rail.uplink("isp2", "health").unwrap(), "up");
    });
}

/// Given an uplink with two targets of its own, and one that connects to three others, needs one of them
/// and has a limit of latency, when the first one's targets fall silent, then the first alone is down;
/// when two of the second one's do, then nobody is; when both paths are slow, then the second alone is
/// degraded.
#[test]
fn each_uplink_is_judged_by_its_own_targets_and_limits() {
    isolated(|| {
        let [a, b, _] = targets();
        let [c, d, e] = [0, 1, 2].map(|index| servers()[index]);
        let first = format!("targets = [\"{a}\", \"{b}\"], required = 2");
        let second = format!(
            "kind = \"tcp\", port = {TCP_PORT}, targets = [\"{c}\", \"{d}\", \"{e}\"], required = 1, \
             interval = \"400ms\", latency = {{ degraded = \"100ms\" }}"
        );
        let world = world([&first, &second]);
        let (rail, net) = (&world.rail, &world.topology);
        let transitions = |name| rail.uplink(name, "transitions").unwrap();

        let before = transitions("isp2");
        for target in [a, b] {
            net.silence(target).unwrap();
        }
        rail.wait_health("isp1", "down", Duration::from_secs(6)).unwrap();
        assert_eq!(world.connect(50).unwrap().failed(), 0);
        assert_eq!(
            (rail.uplink("isp2", "health").unwrap(), transitions("isp2")),
            ("up".into(), before)
        );
        net.unsilence().unwrap();
        rail.wait_all_up(Duration::from_secs(20)).unwrap();

        for target in [c, d] {
            net.silence(target).unwrap();
        }
        let seen =
            ["isp2", "isp1"].map(|name| rail.watch_health(name, Duration::from_secs(4)).unwrap());
        assert_eq!(seen, [["up"], ["up"]], "with one of three targets");
        net.unsilence().unwrap();

        let delay = Fault::Latency(Duration::from_millis(500));
        let since = Instant::now();
        let _slow = [1, 2].map(|line| net.inject(line, delay).unwrap());
        let degraded = rail.wait_health("isp2", "degraded", Duration::from_secs(40)).unwrap();
        let seen = rail.watch_health("isp1", Duration::from_secs(2)).unwrap();
        figures(&format!(
            "degraded by its own limit after {:?}, the other {seen:?}",
            degraded - since
        ));
        assert_eq!(seen, ["up"]);
        assert_eq!(rail.uplink("isp2", "health").unwrap(), "degraded");
    });
}
