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
use super::view::{self, UplinkView, View};
use crate::config::{Config, Forward, Nat, Network, Reach};
use crate::facts::Facts;
use crate::net::{Family, IfName};
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

/// What the rules are made from: the numbers of the uplinks, and so their marks, are those that the
/// daemon has saved, else those that it will give.
fn facts(config: &Config, saved: &Saved) -> Facts {
    let mut saved = saved.clone();
    saved.number(config);
    Facts::unseen(config, saved.ids_of(config))
}

/// One table for `nft -f`; loaded again it replaces itself.
pub fn nft(config: &Config, saved: &Saved) -> String {
    let Firewall { chains, .. } = firewall::render(&View::new(config, &facts(config, saved)));
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
    let tables: &[Table] = match family {
        Family::V4 => &[mangle, nat, filter],
        // Nothing is translated; the marks are ready for uplinks that will carry IPv6.
        Family::V6 => &[mangle, filter],
    };
    let facts = facts(config, saved);
    let rules = Rules { view: View::new(config, &facts), family };
    tables.iter().map(|table| table(&rules)).collect()
}

/// A name that iptables takes for the beginning of many: it has no way to write it.
pub fn wildcard(config: &Config) -> Option<IfName> {
    view::interfaces(config).find(IfName::is_wildcard)
}

type Table = fn(&Rules<'_>) -> String;

struct Rules<'a> {
    view: View<'a>,
    family: Family,
}

impl Rules<'_> {
    fn config(&self) -> &Config {
        self.view.config
    }

    /// Our bits of the marks as iptables writes them.
    fn mask(&self) -> String {
        format!("{:#x}", self.config().ranges.mark_mask)
    }

    /// The mark of an uplink and our bits.
    fn mark(&self, uplink: &UplinkView<'_>) -> String {
        format!("{:#x}/{}", uplink.mark, self.mask())
    }
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
    let mask = rules.mask();
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
    for uplink in rules.view.enabled() {
        let (ifname, mark) = (uplink.ifname, rules.mark(uplink));
        let [from_beyond, to_beyond] = ["-s", "-d"].map(|end| beyond(rules, uplink, end));
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
    let has_box = |ifname: IfName| rules.view.on(ifname).next().is_some();
    let strict = networks::closed(rules.config()).into_iter().filter(|ifname| !has_box(*ifname));
    let rule = |ifname| {
        format!(
            "rail-restore -i {ifname} ! -s {except} -m conntrack --ctstate NEW -m rpfilter --invert -j DROP"
        )
    };
    strict.map(rule).collect()
}

/// Restricts a rule to what is beyond the neighbours of an uplink, who are reached directly.
fn beyond(rules: &Rules<'_>, uplink: &UplinkView<'_>, end: &str) -> String {
    let neighbours = uplink.neighbours(Family::V4).filter(|_| rules.family == Family::V4);
    neighbours.map_or_else(String::new, |network| format!(" ! {end} {network}"))
}

/// The router's packets whose way does not show the uplink of their connection: from an inside
/// address, or about a packet of it, or on the way into something else with the uplink's address.
fn own(rules: &Rules<'_>, mask: &str) -> Vec<String> {
    let restore = format!("-j CONNMARK --restore-mark --nfmask {mask} --ctmask {mask}");
    let mut out = vec![
        format!("rail-own -m mark ! --mark 0x0/{mask} -j RETURN"),
        "rail-own -o lo -j RETURN".into(),
    ];
    for uplink in rules.view.enabled() {
        out.push(format!("rail-own -o {} -g rail-own-wan", uplink.ifname));
    }
    out.push(format!("rail-own-wan -m conntrack --ctstate RELATED {restore}"));
    for uplink in rules.view.enabled() {
        for address in &uplink.own[Family::V4] {
            out.push(format!("rail-own -s {address} {restore}"));
            let ifname = uplink.ifname;
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
    for uplink in rules.view.enabled() {
        let here = rules.config().forwards.iter().filter(|f| is_on(f, uplink));
        for forward in here {
            let from: Vec<String> = forward.from.iter().map(ToString::to_string).collect();
            let from = match from.as_slice() {
                [] => String::new(),
                sources => format!(" -s {}", sources.join(",")),
            };
            out.extend(port_forward(&format!("{}{from}", uplink.ifname), uplink, forward));
        }
        out.extend(hairpin(rules, uplink));
        let exempt = exempt::iptables(rules.config(), uplink);
        out.extend(exempt.iter().map(|rule| format!("rail-snat {rule}")));
        out.extend(translated(rules, uplink));
    }
    table("nat", &[("rail-dnat", "PREROUTING"), ("rail-snat", "POSTROUTING")], &out)
}

/// The sources that an uplink translates, and to what.
fn translated(rules: &Rules<'_>, uplink: &UplinkView<'_>) -> Vec<String> {
    let Some(address) = uplink.address(Family::V4) else { return Vec::new() };
    let ifname = uplink.ifname;
    let source = match uplink.nat {
        Nat::On => address.to_string(),
        Nat::To(address) => address.to_string(),
        Nat::Off => {
            let others = egress::of_others(&rules.view, uplink, |_| true);
            let rule = |other: &String| {
                format!("rail-snat -o {ifname} -s {other} -j SNAT --to-source {address}")
            };
            return others.iter().map(rule).collect();
        }
    };
    vec![format!("rail-snat -o {ifname} -j SNAT --to-source {source}")]
}

/// The translation of what comes in by an interface, perhaps from some sources only.
fn port_forward(incoming: &str, uplink: &UplinkView<'_>, forward: &Forward) -> Vec<String> {
    let SocketAddr::V4(to) = forward.to else { return Vec::new() };
    let Some(public) = public(forward, uplink) else { return Vec::new() };
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

/// Clients inside reach forwards by the uplink's address. They bear no mark of an uplink, and that
/// tells them from those outside, for there is no incoming interface to ask for any more.
fn hairpin(rules: &Rules<'_>, uplink: &UplinkView<'_>) -> Vec<String> {
    let here = |f: &&Forward| f.hairpin && is_on(f, uplink);
    let forwards: Vec<&Forward> = rules.config().forwards.iter().filter(here).collect();
    let publics: BTreeSet<IpAddr> = forwards.iter().filter_map(|f| public(f, uplink)).collect();
    let mut out = Vec::new();
    for network in rules.config().networks.iter().filter(|_| !forwards.is_empty()) {
        let inside = network.ifname;
        // Strangers inside are no better than those outside whom a forward does not name.
        let may = |f: &&&Forward| f.from.is_empty() || networks::is_lan(&network);
        let reached = forwards.iter().filter(may);
        out.extend(reached.flat_map(|f| port_forward(&inside.to_string(), uplink, f)));
        let mask = rules.mask();
        out.extend(publics.iter().map(|public| {
            format!(
                "rail-snat -o {inside} -m conntrack --ctstate DNAT --ctorigdst {public} \
                 -m connmark --mark 0x0/{mask} -j MASQUERADE"
            )
        }));
    }
    out
}

/// What is let in returns to the administrator's rules; only what is closed ends here.
fn filter(rules: &Rules<'_>) -> String {
    let mut out = Vec::new();
    let public = allow::iptables_inside(&rules.config().firewall.allow, rules.family);
    let inward = if public.is_empty() { "rail-closed" } else { "rail-public" };
    for uplink in rules.view.enabled() {
        out.extend(gates(uplink.ifname, inward));
    }
    let closed = firewall::closed_devices(&rules.view);
    let outside: BTreeSet<IfName> =
        leaving::outside(rules).into_iter().chain(closed.iter().copied()).collect();
    out.extend(closed.into_iter().flat_map(|ifname| gates(ifname, inward)));
    let icmp = icmp(rules.family);
    out.extend(told(rules.family, "rail-wan", &["redirect"]));
    let allowed = allow::iptables(&rules.config().firewall.allow, rules.family);
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
    for network in &rules.config().networks {
        chains.extend(inside(rules, network, &mut out));
    }
    if !rules.config().networks.iter().all(|network| networks::is_lan(&network)) {
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
    for uplink in rules.view.enabled() {
        let here = |f: &&Forward| f.hairpin && is_on(f, uplink);
        let forwards = rules.config().forwards.iter().filter(here);
        let publics: BTreeSet<IpAddr> = forwards.filter_map(|f| public(f, uplink)).collect();
        for public in publics.iter().filter(|_| rules.family == Family::V4) {
            let asked = format!("-m conntrack --ctstate DNAT --ctorigdst {public}");
            out.push(format!("{chain} {asked} -j RETURN"));
        }
        if *internet {
            out.push(format!("{chain} -o {} -j RETURN", uplink.ifname));
        }
    }
    let open = networks::reached(rules.config(), network, names);
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
