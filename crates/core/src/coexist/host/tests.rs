//! What the surroundings do, as a table: a machine, and the sentences about it.

use super::*;
use crate::coexist::examine;
use crate::state::Refused;
use alloc::format;
use alloc::vec;
use core::net::Ipv4Addr;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn uplink(name: &str, ifname: &str, address: &str, gateway: &str) -> UplinkView {
    UplinkView {
        name: name.into(),
        ifname: ifname.parse().unwrap(),
        address: Some(prefix(address)),
        gateway: Some(gateway.parse().unwrap()),
        check: CheckKind::Icmp,
    }
}

/// Two uplinks and a LAN whose address is the system's matter.
fn view() -> View {
    View {
        uplinks: vec![
            uplink("isp1", "wan1", "198.51.100.2/24", "198.51.100.1"),
            uplink("isp2", "wan2", "203.0.113.2/24", "203.0.113.1"),
        ],
        networks: vec![NetworkView { ifname: "lan0".parse().unwrap(), address: None }],
        targets: vec![Ipv4Addr::new(192, 0, 2, 1)],
        ..View::default()
    }
}

fn device(name: &str) -> Device {
    Device { name: name.into(), ..Device::default() }
}

/// The machine as it should be.
fn host() -> Host {
    let address = |name: &str, text: &str| (name.into(), prefix(text));
    Host {
        devices: ["lo", "lan0", "wan1", "wan2", "docker0"].map(device).into(),
        addresses: vec![
            address("lo", "127.0.0.1/8"),
            address("lan0", "192.168.1.1/24"),
            address("wan1", "198.51.100.2/24"),
            address("wan2", "203.0.113.2/24"),
            address("docker0", "172.17.0.1/16"),
        ],
        routes: vec![route("default", None, 100)],
        main: MainDefault::default(),
    }
}

fn route(to: &str, refuses: Option<&'static str>, metric: u32) -> MainRoute {
    MainRoute {
        prefix: if to == "default" { prefix("0.0.0.0/0") } else { prefix(to) },
        metric,
        protocol: 3,
        refuses,
        device: refuses.is_none().then(|| "tun0".into()),
        via: refuses.is_none().then(|| "10.8.0.1".parse().unwrap()),
    }
}

fn reported(view: &View, host: Host) -> Vec<String> {
    let survey = Survey { host, ..Survey::default() };
    examine(view, &survey).conflicts.iter().map(Conflict::sentence).collect()
}

#[track_caller]
fn one(view: &View, host: Host, parts: [&str; 2], uplinks: &[&str]) {
    let survey = Survey { host, ..Survey::default() };
    let found = examine(view, &survey).conflicts;
    let [conflict] = found.as_slice() else { panic!("{found:#?}") };
    let all = format!("{}; {}", conflict.sentence(), conflict.remedy);
    assert!(parts.iter().all(|part| all.contains(part)), "{all}");
    assert_eq!(conflict.uplinks, uplinks);
}

/// Given a machine as it should be, and one that has none of the interfaces, then nothing is reported.
#[test]
fn good_surroundings_are_not_told() {
    assert!(reported(&view(), host()).is_empty());
    let mut elsewhere = host();
    elsewhere.devices.retain(|device| !["wan1", "wan2", "lan0"].contains(&&*device.name));
    elsewhere.addresses = vec![("eth0".into(), prefix("198.51.100.9/24"))];
    assert!(reported(&view(), elsewhere).is_empty());
}

/// Given a device that stands in another place than the file thinks, then it is named.
#[test]
fn devices_that_cannot_be_used_are_told() {
    let with = |change: &dyn Fn(&mut Device)| {
        let mut host = host();
        change(&mut host.devices[2]);
        host
    };
    let port = |kind: &'static str| {
        with(&move |device| device.master = Some(("top0".into(), kind.into())))
    };
    let cases = [
        (port("bridge"), ["interface wan1 is a port of the bridge top0", "write top0"]),
        (port("bond"), ["is a member of the bond top0", "write top0"]),
        (port("team"), ["is a member of the team top0", "ip link set wan1 nomaster"]),
        (port("vrf"), ["belongs to the VRF top0", "ip link set wan1 nomaster"]),
        (port("openvswitch"), ["belongs to top0", "write top0"]),
        (with(&|device| device.dormant = true), ["wan1 is dormant", "wpa_supplicant"]),
        (
            with(&|device| device.forwards_nothing = true),
            ["wan1 forwards nothing", "sysctl -w net.ipv4.conf.wan1.forwarding=1"],
        ),
    ];
    for (host, parts) in cases {
        one(&view(), host, parts, &["isp1"]);
    }
    let mut inside = host();
    inside.devices[1].master = Some(("br0".into(), "bridge".into()));
    one(&view(), inside, ["interface lan0 is a port of the bridge br0", "write br0"], &[]);
}

/// Given addresses that are in each other's way, then both devices are named; uplinks that share a
/// subnet or an address are none.
#[test]
fn addresses_in_each_others_way_are_told() {
    let with = |name: &str, text: &str| {
        let mut host = host();
        host.addresses.push((name.into(), prefix(text)));
        host
    };
    let lan = "198.51.100.2/24 on wan1 and 198.51.100.129/25 on lan0 overlap";
    one(&view(), with("lan0", "198.51.100.129/25"), [lan, "other addresses"], &["isp1"]);
    let docker = "203.0.113.2/24 on wan2 and 203.0.0.1/16 on docker0 overlap";
    one(&view(), with("docker0", "203.0.0.1/16"), [docker, "isp2"], &["isp2"]);
    let both = "192.168.1.1/24 on lan0 and 192.168.0.1/16 on docker0 overlap";
    one(&view(), with("docker0", "192.168.0.1/16"), [both, "other addresses"], &[]);
    let twice = "198.51.100.2 is the address of uplink isp1 and is on docker0, too";
    let remedy = "ip address del 198.51.100.2/32 dev docker0";
    one(&view(), with("docker0", "198.51.100.2/32"), [twice, remedy], &["isp1"]);
    let gateway = "203.0.113.1 is the gateway of uplink isp2 but an address of this router, on lo";
    one(&view(), with("lo", "203.0.113.1/32"), [gateway, "gateway"], &["isp2"]);
    for (name, text) in
        [("tun0", "198.51.100.9/32"), ("wan2", "198.51.100.9/24"), ("lo", "::1/128")]
    {
        assert!(reported(&view(), with(name, text)).is_empty(), "{text} on {name}");
    }
    // Sticks of one make: one address, one subnet.
    let mut twins = view();
    twins.uplinks[1] = uplink("isp2", "wan2", "198.51.100.2/24", "198.51.100.1");
    let mut sticks = host();
    sticks.addresses[3].1 = prefix("198.51.100.2/24");
    assert!(reported(&twins, sticks).is_empty());
    // A network whose address the configuration sets, before it is there.
    let mut ours = view();
    ours.networks[0].address = Some(prefix("203.0.113.77/26"));
    let set = "203.0.113.2/24 on wan2 and 203.0.113.77/26 on lan0 overlap";
    one(&ours, host(), [set, "other addresses"], &["isp2"]);
}

/// Given routes of `main` that take everything or half of it, then they are named; given ordinary
/// ones, null routes for private networks, or a null default behind a real one or beside few
/// others, then not.
#[test]
fn routes_that_take_everything_are_told() {
    let with = |routes: &[MainRoute]| Host { routes: routes.to_vec(), ..host() };
    let beside = |is_whole, routes: &[MainRoute]| Host {
        main: MainDefault::Refuses {
            others: None,
            refused: Refused { networks: Vec::new(), is_whole },
        },
        ..with(routes)
    };
    let beside_many = |routes: &[MainRoute]| beside(true, routes);
    let null = |kind, metric| route("default", Some(kind), metric);
    for kind in ["unreachable", "blackhole", "prohibit"] {
        let sentence = format!("the route \"{kind} default metric 4278198272\" in the table main");
        let remedy = format!("ip route del {kind} default metric 4278198272");
        one(&view(), beside_many(&[null(kind, 4_278_198_272)]), [&sentence, &remedy], &[]);
        assert!(reported(&view(), with(&[null(kind, 4_278_198_272)])).is_empty());
    }
    let first = beside_many(&[null("blackhole", 5), route("default", None, 100)]);
    one(&view(), first, ["blackhole default metric 5", "ip route del"], &[]);
    let behind = [null("blackhole", 500), route("default", None, 100)];
    assert!(reported(&view(), beside_many(&behind)).is_empty());
    let unknown = "beside which rail holds back new connections from the inside only";
    one(&view(), beside(false, &[null("blackhole", 5)]), ["have no way out; and", unknown], &[]);
    one(&view(), beside(false, &behind), ["\"blackhole default metric 500\"", unknown], &[]);
    let mut bans = beside_many(&[null("blackhole", 5)]);
    bans.main = MainDefault::Refuses {
        others: Some(Vec::new()),
        refused: Refused { networks: vec![prefix("192.0.2.7/32")], is_whole: true },
    };
    assert!(reported(&view(), bans.clone()).is_empty());
    let external = View { external: true, ..view() };
    one(&external, bans, ["blackhole default metric 5", "1 other networks with error"], &[]);
    let half = |to| route(to, None, 0);
    let vpn =
        "\"0.0.0.0/1 via 10.8.0.1 dev tun0\", \"128.0.0.0/1 via 10.8.0.1 dev tun0\" divert all";
    let remedy = "ip route del 0.0.0.0/1 dev tun0; ip route del 128.0.0.0/1 dev tun0";
    one(&view(), with(&[half("128.0.0.0/1"), half("0.0.0.0/1")]), [vpn, remedy], &[]);
    // A VPN that the file names as a network.
    let mut named = view();
    named.networks.push(NetworkView { ifname: "tun0".parse().unwrap(), address: None });
    let halves = || with(&[half("128.0.0.0/1"), half("0.0.0.0/1")]);
    let sentence = |view: &View| reported(view, halves()).concat();
    assert!(!sentence(&named).contains("forged"), "without a filter");
    named.drops_forged = true;
    let forged = "what those destinations begin by an uplink counts as forged and is dropped";
    one(&named, halves(), [vpn, forged], &[]);
    assert!(!sentence(&View { drops_forged: true, ..view() }).contains("forged"), "unnamed");
    let one_half = "divert 50 % of all destinations from the uplinks";
    one(&view(), with(&[half("128.0.0.0/1")]), ["route in the table main", "diverts 50 %"], &[]);
    let quarters = ["0.0.0.0/2", "64.0.0.0/3", "96.0.0.0/3", "0.0.0.0/4"].map(half);
    one(&view(), with(&quarters), [one_half, "redirect-gateway"], &[]);
    let refused = with(&[route("0.0.0.0/1", Some("unreachable"), 0)]);
    one(
        &view(),
        refused,
        ["\"unreachable 0.0.0.0/1\" refuses 50 %", "ip route del unreachable"],
        &[],
    );
    for fine in [
        vec![route("10.0.0.0/8", Some("blackhole"), 0), half("10.0.0.0/8")],
        vec![half("0.0.0.0/2"), half("64.0.0.0/3")],
        vec![route("default", None, 100), null("unreachable", 4_278_198_272)],
    ] {
        assert!(reported(&view(), with(&fine)).is_empty(), "{fine:?}");
    }
}

/// Given targets that say nothing of an uplink, then each is named; a gateway and an ordinary
/// server are not.
#[test]
fn targets_that_say_nothing_are_told() {
    let cases = [
        ("192.168.1.1", "is an address of this router, on lan0", &[][..]),
        ("192.168.1.10", "is a host in the LAN, 192.168.1.0/24 on lan0", &[]),
        ("192.168.1.255", "is the broadcast address in the LAN", &[]),
        (
            "198.51.100.255",
            "is the broadcast address of 198.51.100.0/24, the subnet of uplink isp1",
            &[],
        ),
        ("203.0.113.0", "is the network address of 203.0.113.0/24", &[]),
        ("203.0.113.9", "is in 203.0.113.0/24, the subnet of uplink isp2", &["isp2"]),
    ];
    for (target, sentence, uplinks) in cases {
        let view = View { targets: vec![target.parse().unwrap()], ..view() };
        let sentence = format!("target {target} {sentence}");
        one(&view, host(), [&sentence, "take addresses on the internet"], uplinks);
    }
    for target in ["203.0.113.1", "198.51.100.1", "9.9.9.9"] {
        let view = View { targets: vec![target.parse().unwrap()], ..view() };
        assert!(reported(&view, host()).is_empty(), "{target}");
    }
}
