use super::*;
use crate::config::OwnLink;
use crate::config::Tier;
use crate::render::tests::config;
use crate::state::Identity;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// What is written down of the devices that the configuration means among these links.
fn noted(config: &Config, links: &Links) -> Devices {
    let mut devices = Devices::new();
    let now = config.clone().with_names(&config.names(links, &devices));
    now.note_devices(links, &mut devices);
    devices
}

/// Links by name, or name and index: what differs from a plain one.
fn links(all: &[(&str, Identity)]) -> Links {
    let link = |(index, (ifname, identity)): (usize, &(&str, Identity))| {
        let (ifname, index) = match ifname.split_once('@') {
            Some((ifname, index)) => (ifname, index.parse().unwrap()),
            None => (*ifname, u32::try_from(index + 1).unwrap()),
        };
        (name(ifname), Link { index, identity: identity.clone(), ..Link::default() })
    };
    all.iter().enumerate().map(link).collect()
}

fn with_mac(last: u8) -> Identity {
    Identity { mac: Some(mac(last)), ..Identity::default() }
}

/// Two uplinks that are named so.
fn two(first: Selector, second: Selector) -> Config {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    for (uplink, interface) in config.uplinks.iter_mut().zip([first, second]) {
        (uplink.ifname, uplink.interface) = (interface.ifname(), interface);
    }
    config
}

fn resolved(config: &Config, links: &Links) -> Vec<String> {
    resolved_after(config, links, &Devices::new())
}

fn resolved_after(config: &Config, links: &Links, devices: &Devices) -> Vec<String> {
    let names = config.names(links, devices);
    let config = config.clone().with_names(&names);
    config.uplinks.iter().map(|uplink| uplink.ifname.to_string()).collect()
}

/// Given links with alternative names, addresses and paths, then each selector finds its own.
#[test]
fn every_kind_finds_its_interface() {
    let place = |path: &str| Identity { path: Some(path.into()), ..Identity::default() };
    let altname = |text: &str| Identity { altnames: alloc::vec![text.into()], ..with_mac(9) };
    let links = links(&[
        ("eth0", with_mac(1)),
        ("eth1", place("pci-0000:03:00.0")),
        ("eth2", altname("a-name-of-more-than-fifteen")),
        ("eth3", altname("fibre")),
    ]);
    let path = Selector::Path("pci-0000:03:00.0".into());
    assert_eq!(resolved(&two(Selector::Mac(mac(1)), path), &links), ["eth0", "eth1"]);
    let long = Selector::Name("a-name-of-more-than-fifteen".into());
    assert_eq!(resolved(&two(long, Selector::Name("fibre".into())), &links), ["eth2", "eth3"]);
    let plain = two(Selector::Name("eth1".into()), Selector::Name("wan7".into()));
    assert_eq!(resolved(&plain, &links), ["eth1", "wan7"]);
}

/// Given a VLAN, a bridge and a bond over one port, then its address means the port; a permanent
/// address is worth more than one that was set, and what stands on others is meant where nothing
/// else is.
#[test]
fn of_several_with_one_address_the_device_is_meant() {
    let on_it = Identity { is_stacked: true, ..with_mac(1) };
    let set = |permanent| Identity { permanent_mac: Some(mac(permanent)), ..with_mac(1) };
    let here = |all: &[(&str, Identity)]| {
        let config = two(Selector::Mac(mac(1)), Selector::Name("wan2".into()));
        let links = links(all);
        (resolved(&config, &links).remove(0), config.why_missing(&Selector::Mac(mac(1)), &links))
    };
    assert_eq!(here(&[("br0", on_it.clone()), ("eth0", with_mac(1))]).0, "eth0");
    assert_eq!(here(&[("eth0", set(1)), ("eth1", set(2)), ("bond0", on_it.clone())]).0, "eth0");
    assert_eq!(here(&[("br0", on_it)]).0, "br0");
    let (nowhere, why) = here(&[("eth0", with_mac(1)), ("eth1", with_mac(1))]);
    assert!(nowhere.starts_with(':'), "{nowhere}");
    assert_eq!(why, "\"mac:02:00:00:00:00:01\" is several interfaces: eth0, eth1");
    let (nowhere, why) = here(&[]);
    assert!(nowhere.starts_with(':'), "{nowhere}");
    assert_eq!(why, "no interface has the hardware address 02:00:00:00:00:01");
}

/// Given a device that is gone for a moment, then its name stays, until another device has it.
#[test]
fn a_name_stays_while_its_device_is_gone() {
    let config = two(Selector::Mac(mac(1)), Selector::Mac(mac(2)));
    let both = links(&[("eth0", with_mac(1)), ("eth1", with_mac(2))]);
    let devices = noted(&config, &both);
    let resolved = |links| resolved_after(&config, &links, &devices);
    assert_eq!(resolved(links(&[("eth1@2", with_mac(2))])), ["eth0", "eth1"]);
    let second = resolved(links(&[("eth0", with_mac(2))]));
    assert!(second[0].starts_with(':') && second[1] == "eth0", "{second:?}");
    let swapped = links(&[("eth0", with_mac(2)), ("eth1", with_mac(1))]);
    assert_eq!(resolved(swapped), ["eth1", "eth0"]);
}

/// Given one interface under two words, then the second has none, and it is reported.
#[test]
fn one_interface_has_one_word() {
    let links = links(&[("eth0", with_mac(1))]);
    let config = two(Selector::Name("eth0".into()), Selector::Mac(mac(1)));
    let names = resolved(&config, &links);
    assert!(names[0] == "eth0" && names[1].starts_with(':'), "{names:?}");
    let config = config.clone().with_names(&config.names(&links, &Devices::new()));
    assert_eq!(
        config.missing(&links),
        ["the file calls eth0 both \"eth0\" and \"mac:02:00:00:00:00:01\"; use one of them"]
    );
}

/// Given a device that was meant, when another one has its address as well, or it has another one, then
/// it is still meant, under whatever name; the others are known.
#[test]
fn a_device_that_was_meant_stays_meant() {
    let config = two(Selector::Mac(mac(1)), Selector::Name("wan2".into()));
    let devices = noted(&config, &links(&[("eth0", with_mac(1))]));
    let here = |all: &[(&str, Identity)]| {
        let names = config.names(&links(all), &devices);
        let names = names.into_iter().find(|n| n.selector == Selector::Mac(mac(1))).unwrap();
        let others: Vec<String> = names.others.iter().map(ToString::to_string).collect();
        (names.ifname.to_string(), others.join(" "))
    };
    let reported = |name: &str, others: &str| (name.to_string(), others.to_string());
    assert_eq!(here(&[("eth0", with_mac(1)), ("eth9", with_mac(1))]), reported("eth0", "eth9"));
    assert_eq!(here(&[("wan9", with_mac(1)), ("eth0", with_mac(1))]), reported("wan9", "eth0"));
    assert_eq!(here(&[("eth0", with_mac(7))]), reported("eth0", ""));
    // It moved to a device that has it for certain.
    assert_eq!(here(&[("eth0", with_mac(7)), ("eth9", with_mac(1))]), reported("eth9", ""));
    // What the file names otherwise is not the other one.
    assert_eq!(here(&[("eth0", with_mac(1)), ("wan2", with_mac(1))]), reported("eth0", ""));
}

/// Given stacked links alone that have an address, then what stands on one of them is not meant.
#[test]
fn what_stands_on_another_is_not_meant() {
    let config = two(Selector::Mac(mac(1)), Selector::Name("wan2".into()));
    let on_it = Identity { is_stacked: true, ..with_mac(1) };
    let mut links = links(&[("br0", on_it.clone()), ("br0.5", on_it)]);
    links.get_mut(&name("br0.5")).unwrap().lower = Some(1);
    let names = config.names(&links, &Devices::new()).remove(0);
    assert_eq!((names.ifname, names.others), (name("br0"), Vec::new()));
}

/// Given a closed network and a LAN that mean one interface, then it is the closed one's.
#[test]
fn what_may_be_closed_is() {
    let mut config = two(Selector::Name("wan1".into()), Selector::Name("wan2".into()));
    let mut guest = Network::lan_at(Selector::Mac(mac(1)));
    guest.kind = crate::config::NetworkKind::Guest;
    config.networks = alloc::vec![Network::lan(name("eth0")), guest];
    let links = links(&[("eth0", with_mac(1))]);
    let config = config.clone().with_names(&config.names(&links, &Devices::new()));
    assert_eq!(config.networks[1].ifname, name("eth0"));
    assert!(config.networks[0].ifname.as_str().starts_with(':'));
}

/// Given bridges and a bond that have an uplink's address, then those that its card is a port of may be
/// its interface; one over a VLAN of the card is another network.
#[test]
fn a_bridge_over_a_vlan_is_another_network() {
    let config = two(Selector::Mac(mac(1)), Selector::Name("wan2".into()));
    let over = Identity { is_stacked: true, ..with_mac(1) };
    let all =
        ["eth0.20@2", "br-dmz@3", "bond0@4", "br0@5", "br9@6"].map(|name| (name, over.clone()));
    let mut links = links(&[&[("eth0@1", with_mac(1))], &all[..]].concat());
    let mut set = |port: &str, lower, master| {
        let link = links.get_mut(&name(port)).unwrap();
        (link.lower, link.master) = (lower, master);
    };
    set("eth0.20", Some(1), Some(3));
    set("eth0", None, Some(4));
    set("bond0", None, Some(5));
    let names = config.names(&links, &Devices::new());
    let found = names.into_iter().find(|n| n.selector == Selector::Mac(mac(1))).unwrap();
    assert_eq!((found.ifname, found.others), (name("eth0"), Vec::from(["bond0", "br0"].map(name))));
}

/// Given the LAN by its card's address or by an alternative name, and its port as the `parent` of an uplink,
/// then the LAN has it and the link of ours has no port, and that is told; without the LAN there, the port is
/// the uplink's.
#[test]
fn a_port_of_the_lan_is_no_parent() {
    let mut config = two(Selector::Name("wan1".into()), Selector::Name("cable-a".into()));
    config.uplinks[1].own_link = Some(OwnLink::on(name("eth2"), mac(2)));
    let identity = Identity { altnames: alloc::vec!["inside".into()], ..with_mac(1) };
    let here = links(&[("eth2", identity)]);
    for (lan, text) in [
        (Selector::Mac(mac(1)), "mac:02:00:00:00:00:01"),
        (Selector::Name("inside".into()), "inside"),
    ] {
        let mut config = config.clone();
        config.networks = alloc::vec![Network::lan_at(lan)];
        let now =
            |links: &Links| config.clone().with_names(&config.names(links, &noted(&config, links)));
        let named = now(&here);
        assert_eq!(
            (named.networks[0].ifname, named.uplinks[1].ifname),
            (name("eth2"), name("cable-a"))
        );
        assert!(named.uplinks[1].port().is_nowhere());
        let told =
            alloc::format!("the file calls eth2 both \"{text}\" and \"eth2\"; use one of them");
        assert_eq!(named.missing(&here), [told]);
        let elsewhere = links(&[("eth2", with_mac(7))]);
        assert_eq!(now(&elsewhere).uplinks[1].port(), name("eth2"));
    }
}

/// Given the LAN by the address that a link of ours has, then that link is not meant.
#[test]
fn a_link_of_ours_is_no_card() {
    let mut config = two(Selector::Name("wan1".into()), Selector::Name("cable-a".into()));
    config.networks = alloc::vec![Network::lan_at(Selector::Mac(mac(2)))];
    let mut links = links(&[("eth2", with_mac(1)), ("cable-a", with_mac(2))]);
    let link = links.get_mut(&name("cable-a")).unwrap();
    (link.kind, link.mode, link.alias) = ("macvlan".into(), Some(1), "rail:cable-a".into());
    let config = config.clone().with_names(&config.names(&links, &Devices::new()));
    assert!(config.networks[0].ifname.is_nowhere());
    assert_eq!(config.uplinks[1].ifname, name("cable-a"));
}
