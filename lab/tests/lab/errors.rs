//! What the router says about packets that it did not deliver (too far, too large), and answers of
//! hosts that are asked by their own address: by which uplink they leave, and with whose source.

use crate::shared::{ONE_PORT, put_on_one_switch};
use crate::ways::beside_a_vpn;

use rail_lab::{
    ConfigText, Plan, Rail, Servers, Topology, World, figures, isolated, topology, try_eventually,
};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// A host inside with an address that the first provider routes to us.
const PUBLIC: &str = "198.51.100.130";
/// An address of the same network that nobody has.
const NOBODY: &str = "203.0.113.77";
const ROUTED: &str = "routed = [\"198.51.100.128/28\"]";
const ALLOW: &str = "[firewall]\nallow = [\"udp 7777 to 198.51.100.130\"]\n";
const PORT: u16 = 7777;
/// The hops from the internet to the router of the standard drawing.
const HOPS: u32 = 3;
const ASKERS: usize = 12;
/// What each of them says, in ways of which the router complains.
const KINDS: u64 = 4;
/// What a datagram of this size says is too large for the network inside.
const WIDE: usize = 1422;
const NARROW: u32 = 1400;
const LIMIT: Duration = Duration::from_millis(600);

fn config(topology: &Topology, keys: &str, rest: &str) -> String {
    let text = ConfigText { rest: rest.into(), ..ConfigText::default() };
    let gateway = "gateway = \"100.64.1.1\"\n";
    topology.config(&text).replace(gateway, &format!("{gateway}{keys}\n"))
}

/// Two uplinks, the first with these keys and a network that its provider routes to us.
fn world(keys: &str, rest: &str) -> World {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let config = config(&topology, keys, rest);
    begin(topology, &config)
}

fn begin(topology: Topology, config: &str) -> World {
    let net = &topology;
    for to in [PUBLIC, NOBODY] {
        net.internet.sh(&format!("ip route add {to} via 10.2.1.1")).unwrap();
        net.line(1).far().0.sh(&format!("ip route add {to} via 10.1.1.1")).unwrap();
        net.line(1).isp.sh(&format!("ip route add {to} via 100.64.1.2")).unwrap();
    }
    let public = format!("insert rule inet lab guard ip saddr {PUBLIC} accept\n");
    net.line(1).isp.nft(&public).unwrap();
    net.router.sh(&format!("ip route add {PUBLIC} via 192.168.1.10 dev lan0")).unwrap();
    net.router.ip_batch(&format!("link set lan0 mtu {NARROW}\n")).unwrap();
    net.router.set("net/ipv4/icmp_ratelimit", "0").unwrap();
    net.client.sh(&format!("ip addr add {PUBLIC}/32 dev lo")).unwrap();
    let rail = Rail::run(&net.router, config).unwrap();
    rail.wait_all_up(Duration::from_secs(10)).unwrap();
    let servers = Servers::start(&net.internet, &topology::servers()).unwrap();
    count(&topology);
    World { rail, servers, topology }
}

/// Counts the errors that the internet hears, by the uplink whose address they bear.
fn count(net: &Topology) {
    let kinds = "icmp type { time-exceeded, destination-unreachable }";
    net.internet
        .nft(&format!(
            "table inet heard {{\n set from {{\n type ipv4_addr\n flags dynamic\n counter\n }}\n\
             chain c {{\n type filter hook input priority 0\n {kinds} add @from {{ ip saddr }}\n }}\n}}\n"
        ))
        .unwrap();
}

/// How many errors the internet heard from this address.
fn heard(net: &Topology, from: Ipv4Addr) -> u64 {
    let text = net.internet.sh("nft list set inet heard from").unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let of = words.iter().position(|word| *word == from.to_string());
    of.and_then(|at| words[at + 3].parse().ok()).unwrap_or(0)
}

/// Sends datagrams about which the router has something to say, from as many addresses each: too far,
/// from connections that stand and from new ones, to a host and to nobody; and too large.
fn provoke(net: &Topology, host: &UdpSocket) {
    let asker = |last: usize| {
        let source = Ipv4Addr::new(192, 0, 2, u8::try_from(last).unwrap());
        net.internet.enter(|| UdpSocket::bind((source, 0))).unwrap()
    };
    let say = |asker: &UdpSocket, size: usize, to: &str| {
        asker.send_to(&[0; 2000][..size], (to, PORT)).unwrap();
    };
    for last in 10..10 + ASKERS {
        // Nor may the sender know how large it may be.
        net.internet.sh("ip route flush cache").unwrap();
        let known = asker(last);
        known.send_to(b"?", (PUBLIC, PORT)).unwrap();
        let (_, from) = host.recv_from(&mut [0; 16]).expect("the host hears what it allows");
        host.send_to(b"!", from).unwrap();
        known.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        known.recv_from(&mut [0; 16]).expect("and is heard");
        say(&known, WIDE, PUBLIC);
        known.set_ttl(HOPS).unwrap();
        say(&known, 9, PUBLIC);
        for to in [PUBLIC, NOBODY] {
            let new = asker(last + ASKERS);
            new.set_ttl(HOPS).unwrap();
            say(&new, 9, to);
        }
    }
}

/// Given a world, then every error is heard, from the address of the first uplink.
fn all_are_heard(world: &World, what: &str) {
    let net = &world.topology;
    let host = net.client.enter(|| UdpSocket::bind((PUBLIC, PORT))).unwrap();
    host.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    provoke(net, &host);
    let sent = KINDS * ASKERS as u64;
    let from = || [1, 2].map(|n| heard(net, net.line(n).address()));
    let answers = |heard: [u64; 2]| heard.iter().sum::<u64>() + net.wrong_sources().unwrap();
    let _ = try_eventually(Duration::from_secs(2), "errors", || {
        let heard = answers(from());
        if heard >= sent { Ok(()) } else { Err(heard) }
    });
    let wrong = net.wrong_sources().unwrap();
    figures(&format!("{what}: of {sent} errors {:?} heard, {wrong} wrong", from()));
    net.excuse_sources();
    assert_eq!((from(), wrong), ([sent, 0], 0), "{what}\n{}", net.strange_packets());
}

/// A client inside hears of what is too large and too far, from its own router.
fn inside_is_told(net: &Topology) {
    let tells = |words: &str| {
        // starts: ping
        let mut ping = Command::new("ping");
        ping.args("-n -c 1 -W 1".split(' ')).args(words.split(' ')).arg("192.0.2.10");
        let said = net.client.output(&mut ping).unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    let far = tells("-t 1");
    assert!(far.contains("From 192.168.1.1") && far.contains("Time to live"), "{far}");
    net.router.ip_batch("link set wan1 mtu 1300\nlink set wan2 mtu 1300\n").unwrap();
    let large = tells("-M do -s 1330");
    assert!(large.contains("From 192.168.1.1") && large.contains("mtu = 1300"), "{large}");
}

#[test]
fn what_the_router_says_leaves_by_the_uplink_that_it_is_about() {
    isolated(|| {
        // given a host inside with an address that one of two providers routes to us / when datagrams
        // for it come to their end at the router / then what the router says reaches the sender, with
        // the address of that uplink, whatever the uplink is for and whoever loads the rules
        for keys in ["", "tier = \"none\"", "nat = false"] {
            let world = world(&format!("{ROUTED}\n{keys}"), ALLOW);
            all_are_heard(&world, keys);
            inside_is_told(&world.topology);
        }
    });
}

/// The same world, with rules that the administrator loads.
fn administered(format: &str) -> World {
    let world = world(ROUTED, &format!("{ALLOW}mode = \"external\"\n"));
    let text = world.rail.generate_firewall(format).unwrap();
    let router = &world.topology.router;
    if format == "iptables" {
        // starts: iptables-restore
        router.feed(Command::new("iptables-restore").arg("--noflush"), &text).unwrap();
    } else {
        router.nft(&text).unwrap();
    }
    world
}

#[test]
fn so_it_does_with_rules_of_the_administrator() {
    isolated(|| {
        for format in ["nft", "iptables"] {
            all_are_heard(&administered(format), format);
        }
    });
}

#[test]
fn what_the_router_says_has_no_other_address_of_the_port() {
    isolated(|| {
        // given two uplinks on one port, where the second one's address comes first, or an address
        // for a modem that does / when datagrams that the first uplink brought come to their end at the
        // router / then what the router says has the first uplink's address
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _switch = put_on_one_switch(&topology, &ONE_PORT);
        topology.router.sh("ip addr add 100.64.2.2/24 dev wan1").unwrap();
        let text = config(&topology, ROUTED, ALLOW).replace("\"wan2\"", "\"wan1\"");
        all_are_heard(&begin(topology, &text), "one port");
        let topology = Topology::build(&Plan::new(2)).unwrap();
        topology.router.sh("ip addr add 192.168.100.2/24 dev wan1").unwrap();
        let text = config(&topology, ROUTED, ALLOW);
        all_are_heard(&begin(topology, &text), "a modem");
    });
}

#[test]
fn what_the_router_says_keeps_the_source_that_a_route_names() {
    isolated(|| {
        // given a route of others by an uplink with an inside source, as IPsec's policies have, and
        // packets from there that no uplink brings / when they come to their end at the router / then what
        // the router says has that source, or it would miss the policy
        let world = beside_a_vpn("");
        let net = &world.topology;
        net.router.set("net/ipv4/conf/vpn0/rp_filter", "0").unwrap();
        net.router.ip_batch("rule add priority 220 lookup 220\n").unwrap();
        let way = "10.9.9.0/24 via 100.64.1.1 dev wan1 src 192.168.1.1 table 220";
        net.router.sh(&format!("ip route add {way}")).unwrap();
        net.router
            .nft(
                "table inet heard {\n set from {\n type ipv4_addr\n flags dynamic\n }\n chain c {\n\
                 type filter hook output priority 0\n icmp type time-exceeded add @from { ip saddr }\n }\n}\n",
            )
            .unwrap();
        let remote = &net.network("vpn").node;
        remote.ip_batch("addr add 10.9.9.9/32 dev lo\n").unwrap();
        let _ = remote.sh("ping -n -q -c 3 -i 0.2 -W 1 -t 1 -I 10.9.9.9 192.168.1.10");
        let said = net.router.sh("nft list set inet heard from").unwrap();
        assert!(said.contains("elements = { 192.168.1.1 }"), "{said}");
    });
}

/// Asks the host by its own address from outside; which address it hears.
fn ask(world: &World, asker: &UdpSocket) -> Option<IpAddr> {
    let host = world.topology.client.enter(|| UdpSocket::bind((PUBLIC, PORT))).unwrap();
    asker.send_to(b"?", (PUBLIC, PORT)).unwrap();
    host.set_read_timeout(Some(LIMIT)).unwrap();
    asker.set_read_timeout(Some(LIMIT)).unwrap();
    let (_, from) = host.recv_from(&mut [0; 16]).ok()?;
    host.send_to(b"!", from).unwrap();
    asker.recv_from(&mut [0; 16]).ok().map(|_| from.ip())
}

#[test]
fn a_host_answers_what_others_translated_on_its_way_in() {
    isolated(|| {
        // given a host with an address of its own, and a rule of the administrator that gives all that
        // is for it the router's address / when it is asked from outside / then its answer is heard
        let world = world("", ALLOW);
        let net = &world.topology;
        let rule = "oifname lan0 ip daddr 198.51.100.130 masquerade";
        net.router
            .nft(&format!("table ip own {{\n chain c {{\n type nat hook postrouting priority 100\n {rule}\n }}\n}}\n"))
            .unwrap();
        let asker = net.internet.enter(|| UdpSocket::bind("192.0.2.50:0")).unwrap();
        assert_eq!(ask(&world, &asker), Some("192.168.1.1".parse().unwrap()));
    });
}

#[test]
fn a_question_for_a_host_inside_does_not_go_back_out() {
    isolated(|| {
        // given a host that may be asked from outside, and a network inside that is down / when it is
        // asked, and its network returns / then nothing remembers the question, and the next one from
        // the same port is heard as it was asked, whoever loads the rules
        let worlds: [fn() -> World; 2] = [|| world(ROUTED, ALLOW), || administered("iptables")];
        for begin in worlds {
            let world = begin();
            let net = &world.topology;
            net.router.ip_batch("link set lan0 down\n").unwrap();
            let asker = net.internet.enter(|| UdpSocket::bind("192.0.2.50:0")).unwrap();
            assert_eq!(ask(&world, &asker), None);
            let known = format!("conntrack -L -p udp -d {PUBLIC} 2>/dev/null");
            assert_eq!(net.router.sh(&known).unwrap(), "");
            net.router.ip_batch("link set lan0 up\n").unwrap();
            net.wait_for_carrier().unwrap();
            net.router.sh(&format!("ip route add {PUBLIC} via 192.168.1.10 dev lan0")).unwrap();
            assert_eq!(ask(&world, &asker), Some("192.0.2.50".parse().unwrap()));
        }
    });
}
