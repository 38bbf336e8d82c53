//! `[[uplink]]`: each block by itself. How the blocks fit each other is validated
//! in [`validate`](super::validate).

use super::allow::prefixes;
use super::keys::nearest;
use super::reader::{At, Node, Reader, Section, is_misspelt, shown};
use super::router::{interface, name};
use super::service::hosts;
use super::unit::parse_duration;
use super::{dhcp, keep, link, ppp};
use rail_core::config::{
    CheckConfig, DhcpConfig, Fixed, KeepConfig, Nat, OnFailback, Selector, Standby, Tier,
    UplinkConfig, UplinkKind,
};
use rail_core::net::{Prefix, is_host};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// An uplink as far as it could be understood.
pub(super) struct Draft {
    pub(super) name: Option<At<String>>,
    pub(super) interface: Option<At<Selector>>,
    pub(super) own_link: Option<link::Own>,
    /// `None` if it is not static.
    pub(super) address: Option<At<Prefix>>,
    pub(super) gateway: Option<At<Ipv4Addr>>,
    pub(super) dhcp: Option<At<DhcpConfig>>,
    pub(super) ppp: Option<ppp::Ppp>,
    pub(super) keep: Option<At<KeepConfig>>,
    pub(super) nat: Nat,
    /// The address in `nat`, if there is one.
    pub(super) translated: Option<At<Ipv4Addr>>,
    pub(super) addresses: Vec<At<Prefix>>,
    pub(super) no_nat: Option<At<Vec<Prefix>>>,
    pub(super) routed: Option<At<Vec<Prefix>>>,
    /// Nothing was wrong with the lists.
    pub(super) is_read: bool,
    pub(super) redirects: Option<At<bool>>,
    gateway_onlink: bool,
    metered: bool,
    on_failback: OnFailback,
    description: String,
    weight: u8,
    mtu: Option<u32>,
    pub(super) resolvers: Vec<Ipv4Addr>,
    pub(super) tier: Tier,
    pub(super) check: super::check::Draft,
    pub(super) standby: Option<At<Standby>>,
    enabled: bool,
}

impl Draft {
    /// Complete, unless a problem was noted.
    pub(super) fn finish(self) -> Option<UplinkConfig> {
        let interface = self.interface?.value;
        let kind = match (self.dhcp, self.keep, self.ppp) {
            (Some(dhcp), ..) => UplinkKind::Dhcp(dhcp.value),
            (None, Some(keep), _) => UplinkKind::Keep(keep.value),
            (None, None, Some(ppp)) => UplinkKind::Ppp(ppp.value),
            (None, None, None) => UplinkKind::Static(Fixed {
                address: self.address?.value,
                gateway: IpAddr::V4(self.gateway?.value),
                onlink: self.gateway_onlink,
            }),
        };
        Some(UplinkConfig {
            name: self.name?.value,
            description: self.description,
            ifname: interface.ifname(),
            others: Vec::new(),
            own_link: self.own_link.map(|own| own.value),
            interface,
            kind,
            weight: self.weight,
            mtu: self.mtu,
            resolvers: self.resolvers,
            tier: self.tier,
            nat: self.nat,
            addresses: self.addresses.into_iter().map(|at| at.value).collect(),
            no_nat: self.no_nat.map_or_else(Vec::new, |at| at.value),
            routed: self.routed.map_or_else(Vec::new, |at| at.value),
            redirects: self.redirects.is_some_and(|r| r.value),
            metered: self.metered,
            on_failback: self.on_failback,
            check: self.check.config,
            standby: self.standby.map_or(Standby::Warm, |standby| standby.value),
            enabled: self.enabled,
        })
    }

    /// True if forwards and `[[nat]]` may use the address on it.
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        let address = IpAddr::V4(address);
        let mut own = self.address.iter().chain(&self.addresses).map(|at| at.value.address);
        let mut routed = self.routed.iter().flat_map(|at| &at.value);
        own.any(|a| a == address) || routed.any(|prefix| prefix.contains(address))
    }

    /// How messages call it.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().map_or("?", |n| &n.value)
    }
}

pub(super) fn uplinks(reader: &mut Reader, file: &Section<'_>, check: &CheckConfig) -> Vec<Draft> {
    let sections = reader.tables(file, "uplink", "uplink");
    if sections.is_empty() && file.get("uplink").is_none_or(|n| n.get_ref().is_array()) {
        if !reader.broken && !is_misspelt(file, "uplink") {
            reader
                .error(file.place("uplink"), "there is no [[uplink]]")
                .hint("each uplink to the internet is one block [[uplink]]");
        }
        return Vec::new();
    }
    sections.iter().map(|section| uplink(reader, section, check)).collect()
}

fn uplink(reader: &mut Reader, section: &Section<'_>, check: &CheckConfig) -> Draft {
    let weight = reader.integer_or(section, "weight", 1..=255, 1);
    let dhcp = dhcp::read(reader, section);
    let keep = keep::read(reader, section);
    let ppp = ppp::read(reader, section);
    let is_fixed = dhcp.is_none() && keep.is_none() && !ppp::is_dialled(section);
    let address = if is_fixed { address(reader, section) } else { None };
    let gateway_onlink = reader.boolean(section, "gateway_onlink", false);
    let prefix = address.as_ref().map(|a| a.value);
    let errors = reader.errors.len();
    let addresses = addresses(reader, section);
    let list = |reader: &mut Reader, key| {
        let node: Node<'_> = section.get(key)?;
        Some(At { value: prefixes(reader, node, key, None), span: node.span() })
    };
    let no_nat = list(reader, "no_nat");
    let routed = list(reader, "routed");
    let nat = nat(reader, section);
    let metered = metered(reader, section);
    let translated = match (nat, section.get("nat")) {
        (Nat::To(value), Some(node)) => Some(At { value, span: node.span() }),
        _ => None,
    };
    let standby = standby(reader, section);
    let is_cold = standby.as_ref().is_some_and(|at| at.value == Standby::Cold);
    Draft {
        translated,
        addresses,
        no_nat,
        routed,
        is_read: reader.errors.len() == errors,
        name: required(reader, section, "name", "\"isp1\"", |r, n| name(r, n, "name", 32)),
        interface: required(reader, section, "interface", "\"eth0\"", |r, n| {
            interface(r, n, "interface")
        }),
        own_link: if ppp::is_dialled(section) { None } else { link::own(reader, section) },
        gateway: if is_fixed { gateway(reader, section, prefix, gateway_onlink) } else { None },
        dhcp,
        keep,
        ppp,
        gateway_onlink,
        address,
        description: description(reader, section),
        mtu: section.get("mtu").and_then(|node| reader.integer(node, "mtu", MTU)),
        resolvers: section.get("dns").map_or_else(Vec::new, |node| hosts(reader, node, "dns")),
        weight: u8::try_from(weight).unwrap_or(1),
        tier: tier(reader, section),
        nat,
        redirects: redirects(reader, section),
        metered,
        on_failback: on_failback(reader, section, (metered, is_cold)),
        check: super::check::of_uplink(reader, section, check),
        standby,
        enabled: reader.boolean(section, "enabled", true),
    }
}

pub(super) fn required<T>(
    reader: &mut Reader,
    section: &Section<'_>,
    key: &str,
    example: &str,
    read: impl FnOnce(&mut Reader, Node<'_>) -> Option<T>,
) -> Option<At<T>> {
    let Some(node) = section.get(key) else {
        reader.missing(section, key, example);
        return None;
    };
    read(reader, node).map(|value| At { value, span: node.span() })
}

fn description(reader: &mut Reader, section: &Section<'_>) -> String {
    let Some(node) = section.get("description") else { return String::new() };
    let text = reader.text(node, "description", "a text").unwrap_or_default();
    if text.chars().count() > 100 {
        reader.error(node.span(), "`description` must have at most 100 characters");
    }
    text.to_owned()
}

fn tier(reader: &mut Reader, section: &Section<'_>) -> Tier {
    let Some(node) = section.get("tier") else { return Tier::Number(1) };
    if let Some(text) = node.get_ref().as_str() {
        if text != "none" {
            reader
                .error(node.span(), format!("`tier` cannot be \"{}\"", shown(text)))
                .hint("a whole number from 1 on (1 is used first), or \"none\": inbound only");
        }
        return Tier::Inbound;
    }
    Tier::Number(reader.integer(node, "tier", 1..=1000).unwrap_or(1))
}

fn nat(reader: &mut Reader, section: &Section<'_>) -> Nat {
    let Some(node) = section.get("nat") else { return Nat::On };
    if let Some(on) = node.get_ref().as_bool() {
        return if on { Nat::On } else { Nat::Off };
    }
    let Some(text) = reader.text(node, "nat", "true, false or an address") else { return Nat::On };
    match text.parse::<Ipv4Addr>() {
        Ok(address) if is_host(address) => return Nat::To(address),
        Ok(address) => {
            reader.error(node.span(), format!("{address} cannot be the address of a host"));
        }
        Err(_) if text.parse::<IpAddr>().is_ok() => {
            reader.later(node.span(), "an IPv6 address in `nat`");
        }
        Err(_) => {
            reader
                .error(node.span(), format!("`nat` cannot be \"{}\"", shown(text)))
                .hint("true, false, or an address such as \"203.0.113.5\"");
        }
    }
    Nat::On
}

/// What it does while better ones carry.
fn standby(reader: &mut Reader, section: &Section<'_>) -> Option<At<Standby>> {
    let span = section.get("standby")?.span();
    let words = [("warm", Standby::Warm), ("cold", Standby::Cold)];
    let value = reader.word(section, "standby", &words, &[])?;
    Some(At { value, span })
}

fn redirects(reader: &mut Reader, section: &Section<'_>) -> Option<At<bool>> {
    let span = section.get("redirects")?.span();
    Some(At { value: reader.boolean(section, "redirects", false), span })
}

fn metered(reader: &mut Reader, section: &Section<'_>) -> bool {
    match section.get("metered").filter(|node| node.get_ref().is_table()) {
        Some(node) => {
            let problem = reader.later(node.span(), "a table in `metered`");
            problem
                .hint("write metered = true: nothing is counted, but the uplink is asked seldom");
            false
        }
        None => reader.boolean(section, "metered", false),
    }
}

fn on_failback(
    reader: &mut Reader,
    section: &Section<'_>,
    (metered, is_cold): (bool, bool),
) -> OnFailback {
    let default = match metered || is_cold {
        true => OnFailback::Drain(Duration::from_secs(60)),
        false => OnFailback::Keep,
    };
    let Some(node) = section.get("on_failback") else { return default };
    let valid = "\"keep\", \"drain 5m\", \"cut-udp\" or \"cut\"";
    let Some(text) = reader.text(node, "on_failback", &format!("one of {valid}")) else {
        return default;
    };
    let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let drain = text.strip_prefix("drain ").map(parse_duration);
    let wanted = match (text, drain) {
        ("keep", _) if is_cold => {
            Err("on cold standby its lease is given back: write \"drain 5m\"".into())
        }
        ("keep", _) => Ok(OnFailback::Keep),
        ("cut-udp", _) => Ok(OnFailback::CutUdp),
        ("cut", _) => Ok(OnFailback::Cut),
        (_, Some(Some(time))) if bounds.contains(&time) => Ok(OnFailback::Drain(time)),
        (_, Some(Some(_))) => Err("the time of a drain must be between 1s and 24h".into()),
        ("drain", _) | (_, Some(None)) => {
            Err("\"drain\" needs a time with its unit: \"drain 5m\"".into())
        }
        (_, None) => Err(match nearest(text, ["keep", "drain 5m", "cut-udp", "cut"]) {
            Some(near) => format!("did you mean \"{near}\"? valid: {valid}"),
            None => format!("valid: {valid}"),
        }),
    };
    wanted.unwrap_or_else(|hint: String| {
        let text = format!("`on_failback` cannot be \"{}\"", shown(text));
        reader.error(node.span(), text).hint(hint);
        default
    })
}

fn address(reader: &mut Reader, section: &Section<'_>) -> Option<At<Prefix>> {
    let Some(node) = section.get("address") else {
        reader.missing(section, "address", "\"dhcp\", \"ppp\", or \"198.51.100.2/24\"");
        return None;
    };
    let wanted = "a text such as \"198.51.100.2/24\"";
    let text = reader.text(node, "address", wanted)?;
    if text == "ra" {
        reader
            .later(node.span(), &format!("address = \"{text}\""))
            .hint("write \"dhcp\", \"keep\", or the static address: \"198.51.100.2/24\"");
        return None;
    }
    if let Some(near) = nearest(text, ["dhcp", "keep", "ppp"]) {
        let text = format!("`address`: \"{}\" is no address", shown(text));
        reader.error(node.span(), text).hint(format!("did you mean \"{near}\"?"));
        return None;
    }
    let netmask = ["netmask", "mask"].iter().find_map(|key| section.get(key)?.get_ref().as_str());
    if let (Ok(ip), Some(length)) = (text.parse::<Ipv4Addr>(), netmask.and_then(length_of)) {
        let error = format!("`address`: \"{ip}\" has no prefix length");
        reader.error(node.span(), error).hint(format!("write \"{ip}/{length}\""));
        return None;
    }
    let value = static_address(reader, node, text, "198.51.100.2/24", ("address", "an uplink"))?;
    Some(At { value, span: node.span() })
}

/// Further addresses on the interface.
fn addresses(reader: &mut Reader, section: &Section<'_>) -> Vec<At<Prefix>> {
    let Some(node) = section.get("addresses") else { return Vec::new() };
    let wanted = "a list such as [\"203.0.113.6/29\"]";
    let mut found = Vec::new();
    for node in reader.list(node, "addresses", wanted) {
        let Some(text) = reader.text(node, "addresses", wanted) else { continue };
        let whose = ("addresses", "an uplink");
        let value = static_address(reader, node, text, "203.0.113.6/29", whose);
        found.extend(value.map(|value| At { value, span: node.span() }));
    }
    found
}

/// The address of a host with its prefix length, such as `example`.
pub(super) fn static_address(
    reader: &mut Reader,
    node: Node<'_>,
    text: &str,
    example: &str,
    (key, whose): (&str, &str),
) -> Option<Prefix> {
    let Ok(prefix) = text.parse::<Prefix>() else {
        let has_mask = text.split_once('/').and_then(|(ip, mask)| Some((ip, length_of(mask)?)));
        let (text, hint) = match (text.parse::<IpAddr>(), has_mask) {
            (Ok(_), _) => (
                format!("`{key}`: \"{text}\" has no prefix length"),
                format!("write \"{text}/24\", if the netmask is 255.255.255.0"),
            ),
            (_, Some((ip, length))) if ip.parse::<Ipv4Addr>().is_ok() => (
                format!("`{key}`: \"{}\" has a netmask instead of a prefix length", shown(text)),
                format!("write \"{ip}/{length}\""),
            ),
            _ => (
                format!("`{key}`: \"{}\" is no address", shown(text)),
                format!("an address with its prefix length: \"{example}\""),
            ),
        };
        reader.error(node.span(), text).hint(hint);
        return None;
    };
    let IpAddr::V4(address) = prefix.address else {
        reader.later(node.span(), &format!("an IPv6 address of {whose}"));
        return None;
    };
    let wrong = if !is_host(address) {
        Some(format!("{address} cannot be the address of a host"))
    } else if prefix.length == 0 {
        Some("the prefix length 0 would make the whole internet a neighbour".to_owned())
    } else {
        edge(prefix, address).map(|edge| format!("{address} is the {edge} of {prefix}"))
    };
    if let Some(text) = wrong {
        reader.error(node.span(), text);
        return None;
    }
    Some(prefix)
}

/// What every host takes (RFC 791 §3.1), and what no packet is larger than.
const MTU: RangeInclusive<u32> = 576..=65_535;

/// The prefix length that a netmask means.
fn length_of(mask: &str) -> Option<u32> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() == bits.count_ones()).then_some(bits.leading_ones())
}

fn gateway(
    reader: &mut Reader,
    section: &Section<'_>,
    prefix: Option<Prefix>,
    onlink: bool,
) -> Option<At<Ipv4Addr>> {
    let Some(node) = section.get("gateway") else {
        // Without a static address the missing gateway is no separate fault.
        let is_static = section
            .get("address")
            .and_then(|n| n.get_ref().as_str())
            .is_none_or(|t| t.contains('/'));
        if is_static {
            reader.missing(section, "gateway", "\"198.51.100.1\"");
        }
        return None;
    };
    let gateway = gateway_address(reader, node)?;
    let place = section.place("address");
    let outside = |prefix: Prefix| !prefix.contains(IpAddr::V4(gateway));
    let mut hint = None;
    let wrong = match prefix {
        _ if !is_host(gateway) => Some(format!("{gateway} cannot be the address of a host")),
        Some(prefix) if prefix.address == IpAddr::V4(gateway) => {
            Some("`gateway` equals the uplink's own address".to_owned())
        }
        Some(prefix) if outside(prefix) && onlink => None,
        Some(prefix) if outside(prefix) => {
            hint = Some("if the provider means it so, add: gateway_onlink = true");
            Some(format!("the gateway {gateway} lies outside {}", prefix.network()))
        }
        Some(prefix) => edge(prefix, gateway).map(|e| format!("{gateway} is the {e} of {prefix}")),
        None => None,
    };
    if let Some(text) = wrong {
        let problem = reader.error(node.span(), text).also(&place, "the uplink's address");
        if let Some(hint) = hint {
            problem.hint(hint);
        }
        return None;
    }
    Some(At { value: gateway, span: node.span() })
}

pub(super) fn gateway_address(reader: &mut Reader, node: Node<'_>) -> Option<Ipv4Addr> {
    let text = reader.text(node, "gateway", "an address such as \"198.51.100.1\"")?;
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(gateway)) => Some(gateway),
        Ok(IpAddr::V6(_)) => {
            reader.later(node.span(), "an IPv6 gateway");
            None
        }
        Err(_) => {
            let text = format!("`gateway`: \"{}\" is no address", shown(text));
            let hint = "an address without a prefix length: \"198.51.100.1\"";
            reader.error(node.span(), text).hint(hint);
            None
        }
    }
}

/// Network or broadcast address of its prefix, if it is one.
pub(super) fn edge(prefix: Prefix, address: Ipv4Addr) -> Option<&'static str> {
    if prefix.length > 30 {
        return None;
    }
    let host_bits = u32::MAX >> prefix.length;
    match address.to_bits() & host_bits {
        0 => Some("network address"),
        bits if bits == host_bits => Some("broadcast address"),
        _ => None,
    }
}
