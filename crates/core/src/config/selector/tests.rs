use super::*;
use crate::config::Tier;
use crate::render::tests::config;
use crate::state::Identity;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// Links by name: what differs from a plain one.
fn links(all: &[(&str, Identity)]) -> Links {
    let link = |(index, (ifname, identity)): (usize, &(&str, Identity))| {
        let index = u32::try_from(index + 1).unwrap();
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
    let names = config.names(links, config);
    let config = config.clone().with_names(&names);
    config.uplinks.iter().map(|uplink| uplink.ifname.to_string()).collect()
}

/// Given links with alternative names, addresses and paths, then each selector finds its own.
#[test]
fn every_kind_finds_its_interface() {
    let place = |path: &str| Identity { path: path.into(), ..Identity::default() };
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
    let now = config.clone().with_names(&config.names(&both, &config));
    assert_eq!(resolved(&now, &links(&[("eth1", with_mac(2))])), ["eth0", "eth1"]);
    let second = resolved(&now, &links(&[("eth0", with_mac(2))]));
    assert!(second[0].starts_with(':') && second[1] == "eth0", "{second:?}");
    let swapped = links(&[("eth0", with_mac(2)), ("eth1", with_mac(1))]);
    assert_eq!(resolved(&now, &swapped), ["eth1", "eth0"]);
}

/// Given one interface under two words, then the second has none, and it is told.
#[test]
fn one_interface_has_one_word() {
    let links = links(&[("eth0", with_mac(1))]);
    let config = two(Selector::Name("eth0".into()), Selector::Mac(mac(1)));
    let names = resolved(&config, &links);
    assert!(names[0] == "eth0" && names[1].starts_with(':'), "{names:?}");
    let config = config.clone().with_names(&config.names(&links, &config));
    assert_eq!(
        config.missing(&links),
        ["the file calls eth0 both \"eth0\" and \"mac:02:00:00:00:00:01\"; use one of them"]
    );
}
