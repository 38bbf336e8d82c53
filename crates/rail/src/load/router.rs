//! `[router]`, `[log]`, `[lan]`, `[firewall]`, `[balance]`, `[ranges]`.

use super::allow;
use super::reader::{At, Node, Reader, Section, is_misspelt, shown};
use super::unit::digits;
use rail_core::config::{
    BalanceBy, Failback, FirewallConfig, FirewallMode, Log, LogLevel, NoUplink, Ranges, Router,
    Selector,
};
use rail_core::net::{IfName, IfNameError, Mac};

pub(super) fn router(reader: &mut Reader, file: &Section<'_>) -> Router {
    let (no_uplink, failback) = (NoUplink::Keep, Failback::Auto);
    let mut router = Router { name: String::new(), no_uplink, failback, tunnels: Vec::new() };
    if let Some(section) = reader.table(file, "router", "router") {
        if let Some(name) = section.get("name").and_then(|n| name(reader, n, "name", 64)) {
            router.name = name;
        }
        let words = [("keep", NoUplink::Keep), ("unreachable", NoUplink::Unreachable)];
        router.no_uplink = reader.word(&section, "no_uplink", &words, &[]).unwrap_or_default();
        let words = [("auto", Failback::Auto), ("manual", Failback::Manual)];
        router.failback = reader.word(&section, "failback", &words, &[]).unwrap_or_default();
        router.tunnels = tunnels(reader, &section);
    }
    if router.name.is_empty() {
        router.name = host_name();
    }
    router
}

/// The UDP ports of the router's own tunnels.
fn tunnels(reader: &mut Reader, section: &Section<'_>) -> Vec<u16> {
    let Some(node) = section.get("tunnels") else { return Vec::new() };
    let nodes = reader.list(node, "tunnels", "a list of ports such as [51820]");
    if nodes.len() > MOST_TUNNELS {
        reader.error(node.span(), format!("`tunnels` has more than {MOST_TUNNELS} ports"));
    }
    let mut ports = Vec::new();
    for node in nodes {
        let port = reader.integer(node, "tunnels", 1..=65535).and_then(|n| u16::try_from(n).ok());
        match port {
            Some(port) if ports.contains(&port) => {
                reader.error(node.span(), format!("the port {port} is listed twice"));
            }
            port => ports.extend(port),
        }
    }
    ports
}

/// Each is a rule for every uplink that carries nothing.
const MOST_TUNNELS: usize = 16;

pub(super) fn log(reader: &mut Reader, file: &Section<'_>) -> Log {
    let mut log =
        Log { file: None, max_size_bytes: 1_000_000, keep: 10, level: LogLevel::default() };
    let Some(section) = reader.table(file, "log", "log") else { return log };
    if let Some(node) = section.get("file")
        && let Some(path) = reader.text(node, "file", "a path")
    {
        if path.starts_with('/') && !path.ends_with('/') {
            log.file = Some(path.to_owned());
        } else {
            reader
                .error(node.span(), "`file` must be the absolute path of a file")
                .hint("for example: file = \"/var/log/rail.log\"");
        }
    }
    let bounds = 10_000..=10_000_000_000;
    log.max_size_bytes = reader.size_or(&section, "max_size", bounds, log.max_size_bytes);
    log.keep = reader.integer_or(&section, "keep", 0..=1000, log.keep);
    let words = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    log.level = reader.word(&section, "level", &words, &[]).unwrap_or_default();
    log
}

pub(super) fn lan(reader: &mut Reader, file: &Section<'_>) -> Vec<At<Selector>> {
    if file.get("lan").is_none() {
        let is_empty =
            |n: Node<'_>| n.get_ref().as_array().is_some_and(|a| a.iter().next().is_none());
        let is_given =
            file.get("network").is_some_and(|n| !is_empty(n)) || is_misspelt(file, "network");
        if !reader.broken && !is_misspelt(file, "lan") && !is_given {
            reader
                .error(file.span.clone(), "the table [lan] is missing: which side is inside?")
                .hint("write:  [lan]  and below it  interfaces = [\"lan0\"]");
        }
        return Vec::new();
    }
    let Some(section) = reader.table(file, "lan", "lan") else { return Vec::new() };
    let Some(node) = section.get("interfaces") else {
        reader.missing(&section, "interfaces", "[\"lan0\"]");
        return Vec::new();
    };
    let nodes = reader.list(node, "interfaces", "a list of interface names");
    if nodes.is_empty() && node.get_ref().is_array() {
        reader.error(node.span(), "`interfaces` is empty").hint("name the inside interfaces");
    }
    let mut names: Vec<At<Selector>> = Vec::new();
    for node in nodes {
        let Some(name) = interface(reader, node, "interfaces") else { continue };
        if let Some(first) = names.iter().find(|n| n.value == name) {
            let text = format!("the interface `{name}` is listed twice");
            reader.error(node.span(), text).also(&first.span, "first here");
        } else {
            names.push(At { value: name, span: node.span() });
        }
    }
    names
}

pub(super) fn firewall(reader: &mut Reader, file: &Section<'_>) -> FirewallConfig {
    let mut firewall = FirewallConfig::default();
    let Some(section) = reader.table(file, "firewall", "firewall") else { return firewall };
    let words = [
        ("basic", FirewallMode::Basic),
        ("off", FirewallMode::Off),
        ("external", FirewallMode::External),
    ];
    firewall.mode = reader.word(&section, "mode", &words, &[]).unwrap_or_default();
    if let Some(node) = section.get("allow") {
        firewall.allow = allow::allow(reader, node);
    }
    if firewall.mode == FirewallMode::Off && !firewall.allow.is_empty() {
        let text = "`allow` has no effect with mode = \"off\"".to_owned();
        reader.warning(section.place("allow"), text);
    }
    firewall
}

pub(super) fn balance(reader: &mut Reader, file: &Section<'_>, mode: FirewallMode) -> BalanceBy {
    let Some(section) = reader.table(file, "balance", "balance") else {
        return BalanceBy::default();
    };
    let words = [
        ("connection", BalanceBy::Connection),
        ("client", BalanceBy::Client),
        ("client+server", BalanceBy::ClientServer),
    ];
    let by = reader.word(&section, "by", &words, &[]).unwrap_or_default();
    if by == BalanceBy::Client && mode == FirewallMode::External {
        let text = "by = \"client\" needs nftables rules of ours, and mode = \"external\" has none";
        reader
            .error(section.place("by"), text.to_owned())
            .hint("\"client+server\" keeps a client's connections to one server together");
    }
    by
}

pub(super) fn ranges(reader: &mut Reader, file: &Section<'_>) -> Ranges {
    let mut ranges = Ranges::default();
    let Some(section) = reader.table(file, "ranges", "ranges") else { return ranges };
    if let Some(node) = section.get("marks")
        && let Some(mask) = marks(reader, node)
    {
        ranges.mark_mask = mask;
    }
    if let Some(node) = section.get("tables")
        && let Some(tables) = range(reader, node, "tables")
    {
        if tables.0 <= 255 || tables.1 - tables.0 < 2 {
            reader
                .error(node.span(), "`tables` must begin above 255 and hold at least 3 tables")
                .hint("the first is the router's own, then one for each uplink: \"20000-20999\"");
        } else {
            ranges.tables = tables;
        }
    }
    if let Some(node) = section.get("rule_priorities")
        && let Some(rules) = range(reader, node, "rule_priorities")
    {
        if rules.0 == 0 || rules.1 > 32765 || rules.1 - rules.0 < 900 {
            reader
                .error(
                    node.span(),
                    "`rule_priorities` must hold at least 901 numbers between 1 and 32765",
                )
                .hint("0, 32766 and 32767 are the kernel's own; default: \"20000-20999\"");
        } else {
            ranges.rule_priorities = rules;
        }
    }
    ranges
}

fn marks(reader: &mut Reader, node: Node<'_>) -> Option<u32> {
    let text = reader.text(node, "marks", "a text such as \"0x7f000000\"")?;
    let hex = text.strip_prefix("0x").filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    let Some(mask) = hex.and_then(|h| u32::from_str_radix(h, 16).ok()) else {
        reader
            .error(node.span(), format!("`marks`: \"{}\" is no mask", shown(text)))
            .hint("hexadecimal, for example \"0x7f000000\"");
        return None;
    };
    // A contiguous mask, shifted down, is one less than a power of two.
    let low = mask.checked_shr(mask.trailing_zeros()).unwrap_or(0);
    if mask.count_ones() < 3 || low.count_ones() != low.trailing_ones() {
        reader
            .error(node.span(), "`marks` must be at least 3 bits in one piece")
            .hint("for example \"0x7f000000\", bits 24 to 30: room for 126 uplinks");
        return None;
    }
    Some(mask)
}

fn range(reader: &mut Reader, node: Node<'_>, key: &str) -> Option<(u32, u32)> {
    let text = reader.text(node, key, "a text such as \"20000-20999\"")?;
    let number = |t: &str| digits(t.trim()).and_then(|n| u32::try_from(n).ok());
    let pair = text.split_once('-').and_then(|(a, b)| Some((number(a)?, number(b)?)));
    let Some(pair) = pair.filter(|(first, last)| first <= last) else {
        reader
            .error(node.span(), format!("`{key}`: \"{}\" is no range", shown(text)))
            .hint("the first and the last number: \"20000-20999\"");
        return None;
    };
    Some(pair)
}

/// A name: letters, digits, `-`, `_`, `.`.
pub(super) fn name(reader: &mut Reader, node: Node<'_>, key: &str, most: usize) -> Option<String> {
    let text = reader.text(node, key, "a text")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.chars().count() > most {
        reader.error(node.span(), format!("`{key}` must have 1 to {most} characters"));
    } else if let Some(c) = text.chars().find(|c| !allowed(*c)) {
        reader
            .error(node.span(), format!("{c:?} cannot stand in `{key}`"))
            .hint("letters, digits, `-`, `_` and `.` can");
    } else if text.starts_with(['-', '.']) {
        reader.error(node.span(), format!("`{key}` must begin with a letter, a digit or `_`"));
    } else {
        return Some(text.to_owned());
    }
    None
}

/// What names an interface; not the loopback.
pub(super) fn interface(reader: &mut Reader, node: Node<'_>, key: &str) -> Option<Selector> {
    let text = reader.text(node, key, "an interface name such as \"eth0\"")?;
    if let Some(path) = text.strip_prefix("path:") {
        return device_path(reader, node, path);
    }
    if let Some(address) = text.strip_prefix("mac:") {
        let mac = mac(address).filter(|Mac(bytes)| bytes[0] & 1 == 0 && *bytes != [0; 6]);
        if mac.is_none() {
            let text = format!("`{key}`: \"{}\" is no hardware address of a card", shown(address));
            reader.error(node.span(), text).hint("six pairs of digits: \"mac:02:00:00:00:00:01\"");
        }
        return mac.map(Selector::Mac);
    }
    let hint = match text {
        _ if mac(text).is_some() => format!("a hardware address is written \"mac:{text}\""),
        _ if text.starts_with("pci-") || text.starts_with("platform-") => {
            format!("the place of a device is written \"path:{text}\"")
        }
        _ => "an address of an interface is no interface: leave the colon out".into(),
    };
    if text.contains(':') {
        let text = format!("`{key}`: ':' cannot stand in an interface name");
        reader.error(node.span(), text).hint(&hint);
        return None;
    }
    match text.parse::<IfName>() {
        Ok(_) if text == "lo" => {
            reader.error(node.span(), "the loopback interface `lo` cannot be used here");
            None
        }
        Ok(name) if name.is_wildcard() => {
            let text = format!("`{key}`: '+' cannot stand at the end of an interface name");
            reader.error(node.span(), text).hint(
                "iptables takes \"eth+\" for every interface whose name begins with \"eth\": give the \
                 interface another name",
            );
            None
        }
        Err(IfNameError::TooLong) if text.len() > LONGEST_ALTNAME => {
            let text = format!(
                "`{key}`: an interface name has at most 15 characters, an alternative one \
                 {LONGEST_ALTNAME}"
            );
            reader.error(node.span(), text);
            None
        }
        Ok(_) | Err(IfNameError::TooLong) => Some(Selector::Name(text.to_owned())),
        Err(error) => {
            reader.error(node.span(), format!("`{key}`: {error}"));
            None
        }
    }
}

/// Six bytes, as `ip link` shows them; dashes will do.
pub(super) fn mac(text: &str) -> Option<Mac> {
    let byte = |part: &str| {
        let is_pair = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(part, 16).ok().filter(|_| is_pair)
    };
    let bytes: Vec<u8> = text.split([':', '-']).map(byte).collect::<Option<_>>()?;
    Some(Mac(bytes.try_into().ok()?))
}

fn device_path(reader: &mut Reader, node: Node<'_>, path: &str) -> Option<Selector> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+');
    if path.is_empty() || path.len() > 255 || !path.chars().all(allowed) {
        let text = format!("\"{}\" is not the place of a device", shown(path));
        reader
            .error(node.span(), text)
            .hint("as ID_PATH in `udevadm info /sys/class/net/eth0`: \"path:pci-0000:03:00.0\"");
        return None;
    }
    Some(Selector::Path(path.to_owned()))
}

/// `ALTIFNAMSIZ` without its end.
const LONGEST_ALTNAME: usize = 127;

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.trim().chars().filter(allowed).take(64).collect();
    if name.is_empty() { "router".to_owned() } else { name }
}
