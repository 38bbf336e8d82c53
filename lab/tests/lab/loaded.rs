//! Rules for iptables that the administrator loads: what they keep from going out again, while no
//! route leads inside or a route leads astray.

use rail_lab::{ConfigText, Plan, World, figures, isolated};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

const EXTERNAL: &str = "[firewall]\nmode = \"external\"\n";
const PORT: u16 = 7777;
const LIMIT: Duration = Duration::from_secs(2);

/// Two uplinks, the first with these keys, and the rules for iptables loaded.
fn world(keys: &str) -> World {
    let text = ConfigText { rest: EXTERNAL.into(), ..ConfigText::default() };
    let world = World::start(&Plan::new(2), &text).unwrap();
    let gateway = "gateway = \"100.64.1.1\"\n";
    let config = world.topology.config(&text).replace(gateway, &format!("{gateway}{keys}"));
    world.rail.reload(&config).unwrap();
    world.rail.wait_settled(Duration::from_secs(5)).unwrap();
    for (format, program) in [("iptables", "iptables-restore"), ("ip6tables", "ip6tables-restore")]
    {
        let rules = world.rail.generate_firewall(format).unwrap();
        // starts: iptables-restore, ip6tables-restore
        world.topology.router.feed(Command::new(program).arg("--noflush"), &rules).unwrap();
    }
    world
}

#[test]
fn no_answer_for_a_host_inside_goes_back_out() {
    isolated(|| {
        // given clients that are answered, one of them redirected by the administrator / when the
        // network inside goes down meanwhile / then no answer leaves by an uplink, in either family
        let world = world("");
        let net = &world.topology;
        net.add_ipv6().unwrap();
        let redirect =
            "*nat\n-A PREROUTING -i lan0 -d 192.0.2.99 -j DNAT --to 192.0.2.10\nCOMMIT\n";
        net.router.feed(Command::new("iptables-restore").arg("--noflush"), redirect).unwrap();
        let counted = "insert rule inet lab guard iifname \"acc\" ip6 saddr 2001:db8:2::1 counter name wrong\n";
        net.line(1).isp.nft(counted).unwrap();
        let server = |at: &str| net.internet.enter(|| UdpSocket::bind((at, PORT))).unwrap();
        let (host, host6) = (server("192.0.2.10"), server("2001:db8:2::1"));
        let asks = |client: &str, to: &str, host: &UdpSocket| {
            let client = net.client.enter(|| UdpSocket::bind((client, 0))).unwrap();
            client.send_to(b"?", (to, PORT)).unwrap();
            host.set_read_timeout(Some(LIMIT)).unwrap();
            let (_, from) = host.recv_from(&mut [0; 16]).expect("a question");
            host.send_to(b"!", from).unwrap();
            client.set_read_timeout(Some(LIMIT)).unwrap();
            client.recv_from(&mut [0; 16]).expect("an answer");
            from
        };
        let asked = [
            (&host, asks("192.168.1.10", "192.0.2.10", &host)),
            (&host, asks("192.168.1.10", "192.0.2.99", &host)),
            (&host6, asks("2001:db8:1::10", "2001:db8:2::1", &host6)),
        ];
        net.router.ip_batch("link set lan0 down\n").unwrap();
        for (host, from) in asked.into_iter().cycle().take(15) {
            host.send_to(b"!", from).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let wrong = net.wrong_sources().unwrap();
        figures(&format!("of 15 answers for hosts inside {wrong} went back out"));
        assert_eq!(wrong, 0, "{}", net.strange_packets());
    });
}

#[test]
fn an_uplink_without_translation_carries_no_source_of_another() {
    isolated(|| {
        // given an uplink without translation / when a route leads what has another uplink's address
        // there / then it leaves with the address of this one, and what has an inside source as it is
        let world = world("nat = false\n");
        let net = &world.topology;
        net.router.sh("ip route add 192.0.2.0/24 via 100.64.1.1 dev wan1").unwrap();
        let address = net.line(2).address();
        let asks = |source: &str| {
            net.router.sh(&format!("ping -n -q -c 2 -i 0.2 -W 0.5 -I {source} 192.0.2.10")).is_ok()
        };
        assert!(asks(&address.to_string()), "another uplink's");
        assert_eq!(net.wrong_sources().unwrap(), 0, "{}", net.strange_packets());
        assert!(asks(&net.line(1).address().to_string()), "its own source");
        // The provider's guard counts sources that it does not route.
        net.line(1).isp.nft("insert rule inet lab guard ip saddr 192.168.1.1 accept\n").unwrap();
        net.line(1).isp.sh("ip route replace 192.168.1.0/24 via 100.64.1.2").unwrap();
        net.line(1).far().0.sh("ip route replace 192.168.1.0/24 via 10.1.1.1").unwrap();
        net.internet.sh("ip route replace 192.168.1.0/24 via 10.2.1.1").unwrap();
        assert!(asks("192.168.1.1"), "an inside source");
    });
}
