//! The file for dnsmasq, and when it runs.

use super::*;
use crate::config::{DhcpOption, DhcpService, DnsService, Network, OptionValue, Reservation, Tier};
use crate::net::Mac;
use crate::render::tests::config;
use crate::status::Health;

fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

fn dhcp() -> DhcpService {
    DhcpService {
        ranges: vec![(Ipv4Addr::new(192, 168, 1, 100), Ipv4Addr::new(192, 168, 1, 199))],
        lease: Duration::from_secs(12 * 3600),
        reservations: vec![Reservation {
            mac: Mac([2, 0, 0, 0, 0, 1]),
            address: Ipv4Addr::new(192, 168, 1, 10),
            name: Some("nas".into()),
        }],
        domain: Some("home.arpa".into()),
        dns: Vec::new(),
        ntp: vec![Ipv4Addr::new(192, 168, 1, 1)],
        options: Vec::new(),
    }
}

/// A LAN with both services, and guests with addresses alone.
fn served() -> Config {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let names = vec![("router.home.arpa".into(), Ipv4Addr::new(192, 168, 1, 1))];
    config.networks[0].dhcp = Some(dhcp());
    config.networks[0].dns = Some(DnsService { names, ..DnsService::default() });
    let mut guest = Network::lan("guest0".parse().unwrap());
    guest.dhcp = Some(DhcpService {
        ranges: vec![(Ipv4Addr::new(10, 9, 1, 10), Ipv4Addr::new(10, 9, 1, 99))],
        lease: Duration::from_secs(3600),
        reservations: Vec::new(),
        domain: None,
        dns: Vec::new(),
        ntp: Vec::new(),
        options: Vec::new(),
    });
    config.networks.push(guest);
    config
}

/// Given a LAN with names and addresses, and guests with addresses alone, then the file has both;
/// for an older dnsmasq it lacks what that does not know.
#[test]
fn the_file_is_made_from_the_configuration() {
    let text = file(&served(), false);
    assert_eq!(text.replace(crate::io::KEPT, "KEPT"), include_str!("golden/lan-and-guests.conf"));
    let old = file(&served(), true);
    let lacks: Vec<&str> = text.lines().filter(|line| !old.contains(line)).collect();
    assert_eq!(lacks, ["fast-dns-retry=200", "use-stale-cache=3600"]);
}

/// Given a name of the operator's for a reserved host, then his address stands and no other; given guests with
/// more than a thousand addresses, then there are leases for all of them and for the LAN.
#[test]
fn what_is_promised_is_nobody_elses() {
    let mut config = served();
    let names = &mut config.networks[0].dns.as_mut().unwrap().names;
    names.push(("nas".into(), Ipv4Addr::new(192, 168, 1, 11)));
    let text = file(&config, false);
    assert!(text.contains("\nhost-record=nas,192.168.1.11\n"), "{text}");
    assert!(!text.contains("host-record=nas.home.arpa"), "{text}");
    let guests = config.networks[1].dhcp.as_mut().unwrap();
    guests.ranges = vec![(Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 9, 7, 254))];
    assert!(file(&config, false).contains("\ndhcp-lease-max=2146\n"));
}

/// Given a resolver of the operator's choice, then it is asked, and no uplink's; given no `dns`, then
/// nothing answers on port 53.
#[test]
fn own_servers_are_asked_instead() {
    let mut config = served();
    config.networks[0].dns.as_mut().unwrap().servers = vec![Ipv4Addr::new(9, 9, 9, 9)];
    let text = file(&config, false);
    assert!(text.contains("\nserver=9.9.9.9\n") && !text.contains("192.0.2."), "{text}");
    assert!(!config.asks_uplinks());
    config.networks[0].dns = None;
    assert!(file(&config, false).contains("\nport=0\n"));
}

/// Given no service, then no child is declared; given one that fails, then it waits, longer where the
/// port is taken; given one that does not know an option, then it is started without it at once.
#[test]
fn it_runs_while_a_network_has_a_service() {
    let mut services = Services::default();
    assert_eq!(services.child(&config(&[(1, Tier::Number(1))])), None);
    let mut odd = served();
    odd.networks.truncate(1);
    odd.networks[0].ifname = "lan+".parse().unwrap();
    assert_eq!(services.child(&odd), None);
    let config = served();
    let declared = services.child(&config).unwrap();
    assert!(declared.files[0].content.contains("fast-dns-retry"));
    let said = |line: &str| ChildEvent::Said { line: line.into(), missed: 0 };
    let ended = |code| ChildEvent::Ended { exit: Exit::Code(code), was_asked: false };
    services.take(at(1), &said("dnsmasq: bad option at line 9 of dnsmasq.conf"), Duration::ZERO);
    services.take(at(1), &ended(1), Duration::ZERO);
    let declared = services.child(&config).unwrap();
    assert!(!declared.files[0].content.contains("fast-dns-retry"));
    services.take(at(2), &ended(2), Duration::ZERO);
    assert_eq!((services.child(&config), services.deadline()), (None, Some(at(7))));
    assert!(!services.is_due(at(6)) && services.is_due(at(7)));
    assert!(services.child(&config).is_some());
}

/// Given two uplinks with a resolver each, when the one that carries is dead and kept because the other one is gone,
/// then its resolver is asked, or hosts would be refused before the other one is back; where nothing is kept,
/// then nobody is.
#[test]
fn a_dead_uplink_that_is_kept_is_asked() {
    let mut config = served();
    for (uplink, last) in config.uplinks.iter_mut().zip(1..) {
        uplink.resolvers = vec![Ipv4Addr::new(192, 0, 2, last)];
    }
    let mut facts = render::tests::facts(&config, &[0]);
    let [a, b] = [Some(UplinkId(1)), Some(UplinkId(2))];
    facts.uplinks[1].link_up = false;
    assert_eq!(chosen(&config, &facts), [a, a]);
    facts.uplinks[0].health = Health::Down;
    assert_eq!(chosen(&config, &facts), [a, a]);
    facts.uplinks[0].active = false;
    assert_eq!(chosen(&config, &facts), [None, None]);
    facts.uplinks[1].link_up = true;
    assert_eq!(chosen(&config, &facts), [b, b]);
}

/// Given two uplinks that are asked, when one is not asked any more, then what was asked of it is to be
/// deleted, and nothing else is.
#[test]
fn questions_move_with_the_uplink() {
    let mut services = Services::default();
    let [a, b] = [UplinkId(1), UplinkId(2)];
    assert!(services.ask([Some(a), Some(b)]).is_empty());
    assert_eq!(services.ask([Some(b), Some(b)]), [(a, ASKED[0])]);
    assert!(services.ask([Some(b), Some(b)]).is_empty());
    assert_eq!(services.ask([None, Some(b)]), [(b, ASKED[0])]);
}

/// Given options of every kind, then each is one line that dnsmasq reads as that and nothing else; given a router
/// that asks itself, then dnsmasq answers on the loopback, gives no addresses there, and the child says so.
#[test]
fn options_and_the_routers_own_questions() {
    let mut config = served();
    let option = |code, value| DhcpOption { code, value };
    config.networks[0].dhcp.as_mut().unwrap().options = vec![
        option(66, OptionValue::Text("a,b:c #\"d\" \\e".into())),
        option(150, OptionValue::Addresses(vec![Ipv4Addr::new(192, 168, 1, 5); 2])),
        option(43, OptionValue::Bytes(vec![1, 4, 0xab])),
        option(46, OptionValue::Bytes(vec![8])),
    ];
    let text = file(&config, false);
    assert!(text.contains("\nexcept-interface=lo\n") && !text.contains("=lo\nno-"), "{text}");
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("dhcp-option=tag:net0,")).collect();
    let wanted =
        [r#"66,"a,b:c #\"d\" \\e""#, "150,192.168.1.5,192.168.1.5", "43,01:04:ab", "46,8b"];
    assert_eq!(lines[lines.len() - 4..], wanted);
    assert!(!Services::default().child(&config).unwrap().is_resolver);
    config.networks[0].dns.as_mut().unwrap().resolv_conf = true;
    let text = file(&config, false);
    assert!(
        text.contains("\ninterface=lo\n") && text.contains("\nno-dhcp-interface=lo\n"),
        "{text}"
    );
    let child = Services::default().child(&config).unwrap();
    assert!(child.is_resolver);
    assert_eq!(child.needs.unwrap().ports, [53, 67]);
}
