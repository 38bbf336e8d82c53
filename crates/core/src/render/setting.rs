//! Every kernel setting that we touch, in one table; with the masks of queues, which are made elsewhere.

use super::view::{UplinkView, View};
use crate::config::{BalanceBy, Config, FirewallMode};
use crate::facts::Facts;
use crate::net::IfName;
use crate::queues::Place;
use crate::render::shared;
use crate::state::{ACCEPT_REDIRECTS, FORWARDING, Key, PROMOTE_SECONDARIES, Resource, State};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A setting: path below `/proc/sys`, value, and why.
struct Setting {
    path: &'static str,
    value: &'static str,
}

/// Settings of the whole namespace.
const GLOBAL: &[Setting] = &[
    // What the router itself says about a packet (too large, too far, refused) must not bear the
    // packet's mark: a mark leads outside before `main` is asked, and a host inside would never
    // hear of it. What is for the outside gets the mark of its connection in the chain `own`.
    Setting { path: "net/ipv4/fwmark_reflect", value: "0" },
    // Most packets of a router are not for its own sockets: asking those first costs every
    // forwarded packet a lookup (kernel: Documentation/networking/ip-sysctl.rst).
    Setting { path: "net/ipv4/ip_early_demux", value: "0" },
    // The kernel writes it along with the next one: 0 when forwarding goes on, 1 when it goes off.
    Setting { path: ACCEPT_REDIRECTS, value: "0" },
    // A router forwards. It comes last, after filter, routes and rules are in.
    Setting { path: FORWARDING, value: "1" },
];

/// Where rules for iptables may stand. What the router says takes its source from a route that knows no
/// mark, and so from any uplink, unless it has an address of the interface that the packet came in by. The chain
/// `said` of the nft rules needs none of this, and what IPsec will wrap must not have it: with another source it would
/// miss its policy, and leave in the clear.
const EXTERNAL: Setting = Setting { path: "net/ipv4/icmp_errors_use_inbound_ifaddr", value: "1" };

/// Settings of each uplink's interface.
const PER_UPLINK: &[Setting] = &[
    // Loose: replies to marked packets come in where the unmarked route does not point. The
    // kernel takes the maximum of this and `all`, so 2 holds whatever `all` is.
    Setting { path: "rp_filter", value: "2" },
    // The reverse lookup sees the mark, and so the uplink's own table.
    Setting { path: "src_valid_mark", value: "1" },
    // A multipath route passes over a dead uplink at once, and a pinned packet is refused, also while
    // no daemon runs.
    Setting { path: "ignore_routes_with_linkdown", value: "1" },
];

/// Settings of an interface that has a subnet or a port in common with another one: each answers ARP for its
/// own address only, and asks with it. The kernel takes the maximum of these and `all`.
const IN_ONE_SUBNET: &[Setting] =
    &[Setting { path: "arp_ignore", value: "1" }, Setting { path: "arp_announce", value: "2" }];

/// Setting of each interface where we have an address: when the first address of a subnet goes, ours
/// or somebody else's, the kernel takes the others along, unless it is told to keep them.
const WITH_ADDRESS: &[Setting] = &[Setting { path: PROMOTE_SECONDARIES, value: "1" }];

/// Adds the settings to the desired state.
pub(super) fn render(state: &mut State, view: &View<'_>) {
    let has_network = |i: usize| view.facts.system.networks.get(i).is_some_and(Option::is_some);
    for (path, value) in wanted(view, |uplink| uplink.fact.ifindex.is_some(), has_network) {
        state.insert(Key::Sysctl(path), Resource::Sysctl(value));
    }
    for (path, mask) in view.facts.system.masks.iter() {
        state.insert(Key::Sysctl(path.clone()), Resource::Sysctl(mask.clone()));
    }
}

/// The paths of all settings below `/proc/sys` for this configuration, to be watched.
pub fn paths(config: &Config, facts: &Facts) -> Vec<String> {
    let all = wanted(&View::new(config, facts), |_| true, |_| true);
    all.into_iter().map(|(path, _)| path).collect()
}

/// True if it is the path of a setting that some configuration would have us change: a state file
/// names others only if somebody else wrote it.
pub fn is_known(path: &str) -> bool {
    let of_device = |key: &str| {
        let all = PER_UPLINK.iter().chain(IN_ONE_SUBNET).chain(WITH_ADDRESS);
        key == REDIRECTS || all.map(|s| s.path).any(|known| known == key)
    };
    let device = path.strip_prefix("net/ipv4/conf/").and_then(|rest| rest.split_once('/'));
    let is_device =
        |(ifname, key): (&str, &str)| ifname.parse::<IfName>().is_ok() && of_device(key);
    [MULTIPATH_HASH, ALL_REDIRECTS].contains(&path)
        || GLOBAL.iter().chain([&EXTERNAL]).any(|setting| setting.path == path)
        || device.is_some_and(is_device)
        || Place::parse(path).is_some()
}

fn wanted(
    view: &View<'_>,
    has_device: impl Fn(&UplinkView<'_>) -> bool,
    has_network: impl Fn(usize) -> bool,
) -> Vec<(String, String)> {
    let (config, mut all) = (view.config, Vec::new());
    for (i, network) in config.networks.iter().enumerate() {
        if network.address.is_some() && has_network(i) {
            let value = |s: &Setting| (device_path(network.ifname, s.path), s.value.into());
            all.extend(WITH_ADDRESS.iter().map(value));
        }
    }
    for uplink in view.enabled().filter(|uplink| has_device(uplink)) {
        let value = |s: &Setting| (device_path(uplink.ifname, s.path), s.value.into());
        all.extend(PER_UPLINK.iter().map(value));
        if shared::shares_subnet(view, uplink) || shared::shares_port(view, uplink) {
            all.extend(IN_ONE_SUBNET.iter().map(value));
        }
        // The port below has no address, and would answer for all of them.
        if uplink.port != uplink.ifname {
            let value = |s: &Setting| (device_path(uplink.port, s.path), s.value.into());
            all.extend(IN_ONE_SUBNET.iter().map(value));
        }
        all.extend(WITH_ADDRESS.iter().map(value));
        if uplink.inside {
            let value = if uplink.redirects { "1" } else { "0" };
            all.push((device_path(uplink.ifname, REDIRECTS), value.into()));
        }
    }
    all.push((MULTIPATH_HASH.into(), multipath_hash(config).into()));
    if view.boxes().any(|uplink| !uplink.redirects) {
        all.push((ALL_REDIRECTS.into(), "0".into()));
    }
    let external = (config.firewall.mode == FirewallMode::External).then_some(&EXTERNAL);
    all.extend(external.into_iter().chain(GLOBAL).map(|s| (s.path.into(), s.value.into())));
    all
}

const MULTIPATH_HASH: &str = "net/ipv4/fib_multipath_hash_policy";

/// Connections to one server spread by port (1), not by the addresses alone (0): the router's own,
/// and all of them where no buckets share them.
fn multipath_hash(config: &Config) -> &'static str {
    let by_address = config.balance == BalanceBy::ClientServer;
    if by_address && config.firewall.mode == FirewallMode::External { "0" } else { "1" }
}

fn device_path(ifname: IfName, setting: &str) -> String {
    format!("net/ipv4/conf/{ifname}/{setting}")
}

/// A packet to a box inside the LAN leaves by the interface it came in by. The kernel would tell
/// the host of the shorter way, and its connections would pass us by: no sharing, no failover. It
/// does so if this *or* `all` says so; interfaces without such a box keep their own word.
const REDIRECTS: &str = "send_redirects";
const ALL_REDIRECTS: &str = "net/ipv4/conf/all/send_redirects";
