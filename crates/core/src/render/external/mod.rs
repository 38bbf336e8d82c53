//! Mode `external`: the rules that an administrator loads himself, as nft or
//! iptables text.
//!
//! They do what our own table does, but for the sharing: a new connection bears
//! no mark, takes the shared multipath route, and is pinned where it leaves. A
//! failover changes routes only, so the text stays as it is until the
//! configuration changes.

mod leaving;

use super::firewall::forward::{is_on, public};
use super::firewall::{self, allow, egress, exempt, networks};
use super::mark;
use crate::config::{Config, Forward, Nat, Network, Reach, UplinkConfig};
use crate::facts::{Facts, UplinkFacts};
use crate::net::{Family, IfName, UplinkId};
use crate::saved::Saved;
use crate::state::{Chain, Firewall};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::iter;
use core::net::{IpAddr, SocketAddr};

/// Name of the table of [`nft`]: not ours, for it is the administrator's.
pub(crate) const TABLE: &str = "uplinks";

/// The numbers of the uplinks, and so their marks: those that the daemon has saved, else those
/// that it will give.
fn ids(config: &Config, saved: &Saved) -> Vec<UplinkId> {
    let mut saved = saved.clone();
    saved.number(config);
    let id = |u: &UplinkConfig| saved.ids.get(&u.name).copied().unwrap_or(UplinkId(0));
    config.uplinks.iter().map(id).collect()
}

/// One table for `nft -f`; loaded again it replaces itself.
pub fn nft(config: &Config, saved: &Saved) -> String {
    let uplinks = ids(config, saved).into_iter().map(UplinkFacts::new).collect();
    let Firewall { chains, .. } = firewall::render(config, &Facts { uplinks, ..Facts::default() });
    let mut text = format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\n");
    text += &format!("table inet {TABLE} {{\n");
    for chain in &chains {
        text += &nft_chain(chain);
    }
    text + "}\n"
}

fn nft_chain(chain: &Chain) -> String {
    let mut text = format!("\tchain {} {{\n", chain.name);
    if let Some(base) = &chain.base {
        text += &format!("\t\t{base}; policy accept;\n");
    }
    for rule in &chain.rules {
        text += &format!("\t\t{rule}\n");
    }
    text + "\t}\n"
}

/// For `iptables-restore --noflush` ([`Family::V4`]) or `ip6tables-restore --noflush`.
pub fn iptables(config: &Config, saved: &Saved, family: Family) -> String {
    let ids = ids(config, saved);
    let lines: Vec<Line<'_>> = config
        .uplinks
        .iter()
        .zip(&ids)
        .filter(|(uplink, _)| uplink.enabled)
        .map(|(uplink, id)| Line {
            uplink,
            mark: format!("{:#x}/{:#x}", mark(config, *id), config.ranges.mark_mask),
        })
        .collect();
    let tables: &[Table] = match family {
        Family::V4 => &[mangle, nat, filter],
        // Nothing is translated; the marks are ready for lines that will carry IPv6.
        Family::V6 => &[mangle, filter],
    };
    let rules = Rules { config, lines: &lines, family };
    tables.iter().map(|table| table(&rules)).collect()
}

/// A name that iptables takes for the beginning of many: it has no way to write it.
pub fn wildcard(config: &Config) -> Option<IfName> {
    let uplinks = config.uplinks.iter().flat_map(|u| iter::once(&u.ifname).chain(&u.others));
    let networks = config.networks.iter().flat_map(|n| iter::once(&n.ifname).chain(&n.others));
    uplinks.chain(networks).copied().find(IfName::is_wildcard)
}

type Table = fn(&Rules<'_>) -> String;

struct Line<'a> {
    uplink: &'a UplinkConfig,
    /// Value and mask as iptables writes them.
    mark: String,
}

struct Rules<'a> {
    config: &'a Config,
    lines: &'a [Line<'a>],
    family: Family,
}

/// A table for iptables-restore: chains of ours, the jumps to them, and their rules.
fn table(name: &str, chains: &[(&str, &str)], rules: &[String]) -> String {
    let mut text = format!("*{name}\n");
    for (chain, _) in chains {
        text += &format!(":{chain} - [0:0]\n");
    }
    for (chain, from) in chains {
        text += &format!("-A {from} -j {chain}\n");
    }
    for rule in rules {
        text += &format!("-A {rule}\n");
    }
    text + "COMMIT\n"
}

fn mangle(rules: &Rules<'_>) -> String {
    let mask = format!("{:#x}", rules.config.ranges.mark_mask);
    let mut out = Vec::new();
    out.push(format!("rail-restore -j CONNMARK --restore-mark --nfmask {mask} --ctmask {mask}"));
    out.push(format!("rail-restore -m mark ! --mark 0x0/{mask} -j RETURN"));
    out.push(format!("rail-restore {UNWRAPPED} -j RETURN"));
    out.extend(forged(rules));
    // Only a first packet says whose its connection is. With the mark of an uplink a connection that began
    // elsewhere, through a VPN for example, could leave untranslated, or be refused as long as it sends.
    for chain in ["rail-restore", "rail-pin"] {
        out.push(format!("{chain} -m conntrack --ctstatus CONFIRMED -j RETURN"));
    }
    out.push(format!("rail-pin {WRAPPED} -j RETURN"));
    for line in rules.lines {
        let (ifname, mark) = (line.uplink.ifname, &line.mark);
        let [from_beyond, to_beyond] = ["-s", "-d"].map(|end| beyond(rules, line.uplink, end));
        let new = format!("rail-restore -i {ifname}{from_beyond} -m conntrack --ctstate NEW");
        out.push(format!("{new} -j CONNMARK --set-xmark {mark}"));
        out.push(format!("{new} -j MARK --set-xmark {mark}"));
        // A connection without an uplink yet belongs to the one that it leaves by.
        let unpinned = format!("-m connmark --mark 0x0/{mask}");
        out.push(format!(
            "rail-pin -o {ifname}{to_beyond} {unpinned} -j CONNMARK --set-xmark {mark}"
        ));
    }
    out.push("rail-clamp -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu".into());
    let mut chains = vec![
        ("rail-restore", "PREROUTING"),
        ("rail-pin", "POSTROUTING"),
        ("rail-clamp", "FORWARD"),
    ];
    let mut jumped = vec!["rail-answer".to_string()];
    chains.push(("rail-back", "FORWARD"));
    out.extend(leaving::back(rules, &mask));
    if rules.family == Family::V4 {
        chains.push(("rail-own", "OUTPUT"));
        out.extend(own(rules, &mask));
        chains.push(("rail-egress", "POSTROUTING"));
        jumped.extend(["rail-own-wan".to_string(), "rail-foreign".to_string()]);
        jumped.extend(leaving::egress(rules, &mask, &mut out));
    }
    let text = table("mangle", &chains, &out);
    with_chains(text, "mangle", &jumped)
}

/// First packets from a closed network: the router must lead back to the source by the interface it came
/// in by. The sources of what a provider's box sends lead elsewhere.
fn forged(rules: &Rules<'_>) -> Vec<String> {
    let except = match rules.family {
        Family::V4 => "0.0.0.0/32",
        Family::V6 => "fe80::/10",
    };
    let has_box = |ifname: IfName| rules.lines.iter().any(|line| line.uplink.ifname == ifname);
    let strict = networks::closed(rules.config).into_iter().filter(|ifname| !has_box(*ifname));
    let rule = |ifname| {
        format!(
            "rail-restore -i {ifname} ! -s {except} -m conntrack --ctstate NEW -m rpfilter --invert -j DROP"
        )
    };
    strict.map(rule).collect()
}

/// Restricts a rule to what is beyond the neighbours of an uplink, who are reached directly.
fn beyond(rules: &Rules<'_>, uplink: &UplinkConfig, end: &str) -> String {
    let network = uplink.address.network();
    let has_neighbours = rules.family == Family::V4 && network.length < 32;
    if has_neighbours { format!(" ! {end} {network}") } else { String::new() }
}

/// The router's packets whose way does not show the uplink of their connection: from an inside
/// address, or about a packet of it, or on the way into something else with the uplink's address.
fn own(rules: &Rules<'_>, mask: &str) -> Vec<String> {
    let restore = format!("-j CONNMARK --restore-mark --nfmask {mask} --ctmask {mask}");
    let mut out = vec![
        format!("rail-own -m mark ! --mark 0x0/{mask} -j RETURN"),
        "rail-own -o lo -j RETURN".into(),
    ];
    for line in rules.lines {
        out.push(format!("rail-own -o {} -g rail-own-wan", line.uplink.ifname));
    }
    out.push(format!("rail-own-wan -m conntrack --ctstate RELATED {restore}"));
    for line in rules.lines {
        for address in line.uplink.own_addresses() {
            out.push(format!("rail-own -s {address} {restore}"));
            let ifname = line.uplink.ifname;
            out.push(format!("rail-own-wan -o {ifname} -s {address} -j RETURN"));
        }
    }
    out.push(format!("rail-own-wan {restore}"));
    out
}

/// Declares chains that are only jumped to.
fn with_chains(mut text: String, table: &str, chains: &[String]) -> String {
    let declared: String = chains.iter().map(|chain| format!(":{chain} - [0:0]\n")).collect();
    text.insert_str(table.len() + 2, &declared);
    text
}

fn nat(rules: &Rules<'_>) -> String {
    let mut out = vec![format!("rail-snat {WRAPPED} -j RETURN")];
    for line in rules.lines {
        let here = rules.config.forwards.iter().filter(|f| is_on(f, line.uplink));
        for forward in here {
            let from: Vec<String> = forward.from.iter().map(ToString::to_string).collect();
            let from = match from.as_slice() {
                [] => String::new(),
                sources => format!(" -s {}", sources.join(",")),
            };
            out.extend(port_forward(&format!("{}{from}", line.uplink.ifname), line, forward));
        }
        out.extend(hairpin(rules.config, line));
        let exempt = exempt::iptables(rules.config, line.uplink);
        out.extend(exempt.iter().map(|rule| format!("rail-snat {rule}")));
        let source = match line.uplink.nat {
            Nat::On => line.uplink.address.address.to_string(),
            Nat::To(address) => address.to_string(),
            Nat::Off => {
                let others = egress::of_others(rules.config, line.uplink, |_| true);
                let (ifname, address) = (line.uplink.ifname, line.uplink.address.address);
                out.extend(others.iter().map(|other| {
                    format!("rail-snat -o {ifname} -s {other} -j SNAT --to-source {address}")
                }));
                continue;
            }
        };
        out.push(format!("rail-snat -o {} -j SNAT --to-source {source}", line.uplink.ifname));
    }
    table("nat", &[("rail-dnat", "PREROUTING"), ("rail-snat", "POSTROUTING")], &out)
}

/// The translation of what comes in by an interface, perhaps from some sources only.
fn port_forward(incoming: &str, line: &Line<'_>, forward: &Forward) -> Vec<String> {
    let SocketAddr::V4(to) = forward.to else { return Vec::new() };
    let public = public(forward, line.uplink);
    let goal = match forward.ports {
        None => to.ip().to_string(),
        Some((first, last)) if first == last => to.to_string(),
        Some((first, _)) if first == to.port() => to.ip().to_string(),
        // The number behind the range is the port that its first one stands for.
        Some((first, last)) => format!("{to}-{}/{first}", to.port() + (last - first)),
    };
    let services = allow::iptables_services(forward.protocol, forward.ports.as_slice());
    let rule = |what: &String| {
        format!("rail-dnat -i {incoming} -d {public} {what} -j DNAT --to-destination {goal}")
    };
    services.iter().map(rule).collect()
}

/// Clients inside reach forwards by the line's address. They bear no mark of a line, and that
/// tells them from those outside, for there is no incoming interface to ask for any more.
fn hairpin(config: &Config, line: &Line<'_>) -> Vec<String> {
    let here = |f: &&Forward| f.hairpin && is_on(f, line.uplink);
    let forwards: Vec<&Forward> = config.forwards.iter().filter(here).collect();
    let mut out = Vec::new();
    for network in config.networks.iter().filter(|_| !forwards.is_empty()) {
        let inside = network.ifname;
        // Strangers inside are no better than those outside whom a forward does not name.
        let may = |f: &&&Forward| f.from.is_empty() || networks::is_lan(&network);
        let reached = forwards.iter().filter(may);
        out.extend(reached.flat_map(|f| port_forward(&inside.to_string(), line, f)));
        let mask = config.ranges.mark_mask;
        let publics: BTreeSet<IpAddr> = forwards.iter().map(|f| public(f, line.uplink)).collect();
        out.extend(publics.iter().map(|public| {
            format!(
                "rail-snat -o {inside} -m conntrack --ctstate DNAT --ctorigdst {public} \
                 -m connmark --mark 0x0/{mask:#x} -j MASQUERADE"
            )
        }));
    }
    out
}

/// What is let in returns to the administrator's rules; only what is closed ends here.
fn filter(rules: &Rules<'_>) -> String {
    let mut out = Vec::new();
    let public = allow::iptables_inside(&rules.config.firewall.allow, rules.family);
    let inward = if public.is_empty() { "rail-closed" } else { "rail-public" };
    for line in rules.lines {
        let ifname = line.uplink.ifname;
        out.extend(gates(ifname, inward));
    }
    let closed = firewall::closed_devices(rules.config, &Facts::default());
    let outside: BTreeSet<IfName> =
        leaving::outside(rules).into_iter().chain(closed.iter().copied()).collect();
    out.extend(closed.into_iter().flat_map(|ifname| gates(ifname, inward)));
    let icmp = icmp(rules.family);
    out.extend(told(rules.family, "rail-wan", &["redirect"]));
    let allowed = allow::iptables(&rules.config.firewall.allow, rules.family);
    out.extend(allowed.iter().map(|what| format!("rail-wan {what} -j RETURN")));
    // A question of a stranger goes to a host inside, and not out again with an uplink's address, as it
    // would while no route leads inside.
    let inward_only = outside.iter().filter(|_| !public.is_empty());
    out.extend(inward_only.map(|ifname| format!("rail-public -o {ifname} -g rail-closed")));
    out.extend(public.iter().map(|what| format!("rail-public {what} -j RETURN")));
    if !public.is_empty() {
        out.push("rail-public -j rail-closed".into());
    }
    out.push("rail-wan -j rail-closed".into());
    for open in [KNOWN, UNWRAPPED, "-m conntrack --ctstate DNAT"] {
        out.push(format!("rail-closed {open} -j RETURN"));
    }
    out.extend(outside.iter().map(|ifname| format!("rail-closed -o {ifname} -p {icmp} -j DROP")));
    out.push(format!("rail-closed -p {icmp} -j RETURN"));
    out.push("rail-closed -j DROP".into());
    let mut chains = vec!["rail-wan".to_string(), "rail-closed".to_string()];
    chains.extend((!public.is_empty()).then(|| inward.to_string()));
    for network in &rules.config.networks {
        chains.extend(inside(rules, network, &mut out));
    }
    if !rules.config.networks.iter().all(|network| networks::is_lan(&network)) {
        chains.push("rail-inside".into());
        out.extend(services(rules.family));
    }
    let text = table("filter", &[("rail-forward", "FORWARD"), ("rail-input", "INPUT")], &out);
    with_chains(text, "filter", &chains)
}

/// Where what comes by an uplink goes.
fn gates(ifname: IfName, inward: &str) -> [String; 2] {
    [format!("rail-forward -i {ifname} -j {inward}"), format!("rail-input -i {ifname} -j rail-wan")]
}

const fn icmp(family: Family) -> &'static str {
    match family {
        Family::V4 => "icmp",
        Family::V6 => "ipv6-icmp",
    }
}

/// Drops messages that say where the router's own packets go.
fn told(family: Family, chain: &str, types: &[&str]) -> Vec<String> {
    let types = types.iter().filter(|_| family == Family::V6);
    types.map(|kind| format!("{chain} -p ipv6-icmp --icmpv6-type {kind} -j DROP")).collect()
}

/// What an inside network may not reach; the chain of its own, if there is such.
fn inside(rules: &Rules<'_>, network: &Network, out: &mut Vec<String>) -> Option<String> {
    let devices = || iter::once(&network.ifname).chain(&network.others);
    if !networks::is_lan(&network) {
        out.extend(devices().map(|ifname| format!("rail-input -i {ifname} -j rail-inside")));
    }
    let Reach::Only { internet, networks: names } = &network.reach else { return None };
    let chain = format!("rail-net-{}", network.ifname);
    out.extend(devices().map(|ifname| format!("rail-forward -i {ifname} -j {chain}")));
    out.push(format!("{chain} {KNOWN} -j RETURN"));
    for line in rules.lines {
        let here = |f: &&Forward| f.hairpin && is_on(f, line.uplink);
        let forwards = rules.config.forwards.iter().filter(here);
        let publics: BTreeSet<IpAddr> = forwards.map(|f| public(f, line.uplink)).collect();
        for public in publics.iter().filter(|_| rules.family == Family::V4) {
            let asked = format!("-m conntrack --ctstate DNAT --ctorigdst {public}");
            out.push(format!("{chain} {asked} -j RETURN"));
        }
        if *internet {
            out.push(format!("{chain} -o {} -j RETURN", line.uplink.ifname));
        }
    }
    let open = networks::reached(rules.config, network, names);
    out.extend(open.iter().map(|open| format!("{chain} -o {open} -j RETURN")));
    out.push(format!("{chain} -j DROP"));
    Some(chain)
}

/// What strangers inside may ask of the router.
fn services(family: Family) -> Vec<String> {
    let addresses = match family {
        Family::V4 => networks::DHCP,
        Family::V6 => networks::DHCP6,
    };
    let open = [
        KNOWN.to_string(),
        format!("-p {}", icmp(family)),
        format!("-p tcp --dport {}", networks::DNS),
        format!("-p udp --dport {}", networks::DNS),
        format!("-p udp --dport {addresses}"),
    ];
    let mut rules = told(family, "rail-inside", &["router-advertisement", "redirect"]);
    rules.extend(open.iter().map(|what| format!("rail-inside {what} -j RETURN")));
    rules.push("rail-inside -j DROP".into());
    rules
}

/// What came out of an IPsec tunnel, and what will go into one.
const UNWRAPPED: &str = "-m policy --dir in --pol ipsec";
const WRAPPED: &str = "-m policy --dir out --pol ipsec";

const KNOWN: &str = "-m conntrack --ctstate RELATED,ESTABLISHED";
