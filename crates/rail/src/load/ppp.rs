//! `address = "ppp"` of an uplink, and its table `ppp`: how pppd is to dial.
//!
//! Secrets stand in files of their own; what is read here are their paths. Whether a file is there is not looked
//! at: a configuration is validated without root, and elsewhere.

use super::effective::quoted;
use super::reader::{Node, Reader, Section, shown};
use super::router::interface;
use super::uplink::Draft;
use super::validate::Parts;
use rail_core::config::{
    Chat, CheckKind, FirewallMode, PppConfig, PppLine, Selector, Username, is_apn_char,
    is_dial_char,
};
use std::ops::Range;

/// The table, and where what others must agree with stands.
pub(super) struct Ppp {
    pub(super) value: PppConfig,
    /// `address`.
    pub(super) address: Range<usize>,
    /// `parent` or `device`.
    through: Range<usize>,
}

/// True if the uplink is dialled, whatever else is wrong with it.
pub(super) fn is_dialled(uplink: &Section<'_>) -> bool {
    uplink.get("address").is_some_and(|node| node.get_ref().as_str() == Some("ppp"))
}

/// How an uplink is dialled; `None`: it is not, or a problem was noted.
pub(super) fn read(reader: &mut Reader, uplink: &Section<'_>) -> Option<Ppp> {
    let section = reader.table(uplink, "ppp", "uplink.ppp");
    let node = uplink.get("address").filter(|_| is_dialled(uplink));
    let Some(node) = node else {
        if let Some(node) = uplink.get("ppp") {
            reader
                .error(node.span(), "`ppp` is for address = \"ppp\" alone")
                .hint("leave it out, or write address = \"ppp\"");
        }
        return None;
    };
    let refused = [
        ("gateway", "the other end of the line is the gateway"),
        ("gateway_onlink", "the other end of the line is the gateway"),
        ("parent", "what PPPoE goes by stands in the table: ppp = { parent = \"eth2\" }"),
        ("mac", "a line by PPP has no hardware address of its own"),
    ];
    for (key, hint) in refused {
        if let Some(node) = uplink.get(key) {
            let text = format!("`{key}` is not for address = \"ppp\"");
            reader.error(node.span(), text).hint(hint);
        }
    }
    plain_name(reader, uplink);
    if let Some(node) = uplink.get("mtu") {
        // Others were noted already.
        let number = node.get_ref().as_integer().and_then(|n| n.as_str().parse::<u32>().ok());
        let is_large = number.is_some_and(|n| n > 1500);
        if is_large {
            let text = "`mtu` must be at most 1500 with address = \"ppp\"";
            reader
                .error(node.span(), text)
                .hint("1492 by PPPoE; 1500 if the provider and the port below take it");
        }
    }
    let Some(section) = section else {
        if uplink.get("ppp").is_none() {
            reader.missing(uplink, "ppp", "{ parent = \"eth2\", username = \"user@example.net\" }");
        }
        return None;
    };
    let errors = reader.errors.len();
    let username = username(reader, &section);
    let password_file =
        section.get("password_file").and_then(|node| path(reader, node, "password_file"));
    if username.is_none()
        && let Some(node) = section.get("password_file")
        && reader.errors.len() == errors
    {
        let text = "`password_file` without a user name";
        reader.error(node.span(), text).hint("add `username`, or `username_file`");
    }
    let (line, through) = line(reader, &section)?;
    let value = PppConfig { line, username, password_file };
    (reader.errors.len() == errors).then(|| Ppp { value, address: node.span(), through })
}

/// pppd makes the interface, under this name.
fn plain_name(reader: &mut Reader, uplink: &Section<'_>) {
    let Some(node) = uplink.get("interface") else { return };
    let text = node.get_ref().as_str().unwrap_or_default();
    let is_other = ["mac:", "path:"].iter().any(|word| text.starts_with(word));
    if is_other || text.len() > LONGEST_NAME {
        let hint =
            "pppd makes the interface under this name, of at most 15 characters: \"ppp-dsl\"";
        reader.error(node.span(), "`interface` must be a plain name here").hint(hint);
    }
}

fn username(reader: &mut Reader, section: &Section<'_>) -> Option<Username> {
    let (name, file) = (section.get("username"), section.get("username_file"));
    if let (Some(name), Some(file)) = (name, file) {
        let text = "`username` and `username_file` are given both";
        reader.error(file.span(), text).also(&name.span(), "the first one").hint("leave one out");
        return None;
    }
    if let Some(node) = name {
        return text(reader, node, "username").map(Username::Plain);
    }
    path(reader, file?, "username_file").map(Username::File)
}

/// What it dials through, and where that stands.
fn line(reader: &mut Reader, section: &Section<'_>) -> Option<(PppLine, Range<usize>)> {
    match (section.get("parent"), section.get("device")) {
        (Some(parent), None) => {
            refuse(reader, section, MODEM, "is for a modem alone, not for `parent`");
            ethernet(reader, section, parent).map(|line| (line, parent.span()))
        }
        (None, Some(device)) => {
            refuse(reader, section, PPPOE, "is for PPPoE alone, not for `device`");
            serial(reader, section, device).map(|line| (line, device.span()))
        }
        (Some(parent), Some(device)) => {
            let text = "`parent` and `device` are given both";
            let hint = "`parent` for PPPoE by an Ethernet interface, `device` for a modem";
            reader.error(device.span(), text).also(&parent.span(), "the first one").hint(hint);
            None
        }
        (None, None) => {
            let text = "`ppp` names nothing to dial through";
            let hint = "add parent = \"eth2\" (PPPoE), or device = \"/dev/ttyUSB0\" (a modem)";
            reader.error(section.span.clone(), text).hint(hint);
            None
        }
    }
}

fn refuse(reader: &mut Reader, section: &Section<'_>, keys: &[&str], why: &str) {
    for key in keys {
        if let Some(node) = section.get(key) {
            reader.error(node.span(), format!("`{key}` {why}")).hint("leave it out");
        }
    }
}

fn ethernet(reader: &mut Reader, section: &Section<'_>, parent: Node<'_>) -> Option<PppLine> {
    let mut name = |key| section.get(key).and_then(|node| text(reader, node, key));
    let (service, ac) = (name("service"), name("ac"));
    let parent = interface(reader, parent, "parent")?;
    Some(PppLine::Ethernet { port: parent.ifname(), parent, service, ac })
}

fn serial(reader: &mut Reader, section: &Section<'_>, device: Node<'_>) -> Option<PppLine> {
    let speed = reader.integer_or(section, "speed", 300..=4_000_000, SPEED);
    let carrier = reader.boolean(section, "carrier", true);
    let chat = chat(reader, section);
    let path = path(reader, device, "device")?;
    if !path.starts_with("/dev/") {
        let text = format!("`device`: \"{}\" is no device", shown(&path));
        reader.error(device.span(), text).hint("a path below /dev: \"/dev/ttyUSB0\"");
        return None;
    }
    Some(PppLine::Serial { device: path, speed, carrier, chat: chat? })
}

fn chat(reader: &mut Reader, section: &Section<'_>) -> Option<Chat> {
    if let Some(node) = section.get("chat_file") {
        refuse(reader, section, &["dial", "apn"], "is not for a script of your own");
        return path(reader, node, "chat_file").map(Chat::File);
    }
    let mut made_of = |key, is_good: fn(char) -> bool, most, hint| {
        let Some(node) = section.get(key) else { return Some(None) };
        let text = reader.text(node, key, hint)?;
        if text.is_empty() || text.len() > most || !text.chars().all(is_good) {
            let wrong = format!("`{key}` cannot be \"{}\"", shown(text));
            reader.error(node.span(), wrong).hint(hint);
            return None;
        }
        Some(Some(text.to_owned()))
    };
    let number = "digits, `*`, `#`, `+` and `,`; at most 40: \"*99#\"";
    let dial = made_of("dial", is_dial_char, 40, number);
    let apn = made_of("apn", is_apn_char, 100, "letters, digits, `-`, `_` and `.`; at most 100");
    Some(Chat::Ours { dial: dial?.unwrap_or_else(|| DIAL.into()), apn: apn? })
}

/// 1 to 255 bytes.
fn text(reader: &mut Reader, node: Node<'_>, key: &str) -> Option<String> {
    let text = reader.text(node, key, "a text")?;
    if text.is_empty() || text.len() > 255 {
        let wrong = format!("`{key}` must have 1 to 255 bytes, these are {}", text.len());
        reader.error(node.span(), wrong);
        return None;
    }
    Some(text.to_owned())
}

/// A path from the root whose characters mean nothing to a shell: pppd hands some to one.
fn path(reader: &mut Reader, node: Node<'_>, key: &str) -> Option<String> {
    let text = reader.text(node, key, "a path such as \"/etc/rail/dsl.password\"")?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || "/-_.:@+,".contains(c);
    if !text.starts_with('/') || text.len() > 255 || !text.chars().all(is_good) {
        let wrong = format!("`{key}` cannot be \"{}\"", shown(text));
        let hint = "a path from `/` on, of letters, digits and `/-_.:@+,`; at most 255";
        reader.error(node.span(), wrong).hint(hint);
        return None;
    }
    Some(text.to_owned())
}

/// The table `ppp`, as the file would have it.
pub(super) fn shown_line(ppp: &PppConfig) -> String {
    let mut pairs = Vec::new();
    match &ppp.line {
        PppLine::Ethernet { parent, service, ac, .. } => {
            pairs.push(format!("parent = {}", quoted(&parent.to_string())));
            for (key, value) in [("service", service), ("ac", ac)] {
                pairs.extend(value.iter().map(|value| format!("{key} = {}", quoted(value))));
            }
        }
        PppLine::Serial { device, speed, carrier, chat } => {
            pairs.push(format!("device = {}", quoted(device)));
            pairs.push(format!("speed = {speed}"));
            pairs.push(format!("carrier = {carrier}"));
            match chat {
                Chat::Ours { dial, apn } => {
                    pairs.push(format!("dial = {}", quoted(dial)));
                    pairs.extend(apn.iter().map(|apn| format!("apn = {}", quoted(apn))));
                }
                Chat::File(path) => pairs.push(format!("chat_file = {}", quoted(path))),
            }
        }
    }
    match &ppp.username {
        Some(Username::Plain(name)) => pairs.push(format!("username = {}", quoted(name))),
        Some(Username::File(path)) => pairs.push(format!("username_file = {}", quoted(path))),
        None => {}
    }
    pairs.extend(ppp.password_file.iter().map(|path| format!("password_file = {}", quoted(path))));
    format!("{{ {} }}", pairs.join(", "))
}

/// Notes lines that nobody can dial, or that would have no place.
pub(super) fn agree(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let uplink = &parts.uplinks[index];
    let Some(ppp) = &uplink.ppp else { return };
    alone(reader, (uplink, ppp), index, parts.uplinks);
    outside(reader, ppp, parts);
    if uplink.check.config.kind == CheckKind::Arp {
        reader
            .error(
                ppp.address.clone(),
                "kind = \"arp\" asks the gateway, and a line by PPP has none",
            )
            .hint("take kind = \"icmp\" for this uplink: check = { kind = \"icmp\" }");
    }
    if parts.mode == FirewallMode::External {
        reader
            .error(ppp.address.clone(), "address = \"ppp\" needs nftables rules of ours")
            .hint("with mode = \"external\" they are loaded by hand, and name the address");
    }
}

/// Its interface and its modem are its own. Several may go by one port: each is a session.
fn alone(reader: &mut Reader, (uplink, ppp): (&Draft, &Ppp), index: usize, all: &[Draft]) {
    let name = |draft: &'_ Draft| draft.interface.as_ref().map(|at| at.value.clone());
    let (earlier, later) = (&all[..index], all.get(index + 1..).unwrap_or_default());
    // Of two that are dialled the second one tells.
    let mut others = earlier.iter().chain(later.iter().filter(|other| other.ppp.is_none()));
    if let Some(first) = others.find(|other| name(other) == name(uplink))
        && let (Some(here), Some(there)) = (&uplink.interface, &first.interface)
    {
        let text = format!("the interface {} is pppd's, and another uplink has it", here.value);
        let hint = "give each uplink an interface of its own";
        reader.error(here.span.clone(), text).also(&there.span, "the other uplink").hint(hint);
    }
    let device = |ppp: &'_ Ppp| match &ppp.value.line {
        PppLine::Serial { device, .. } => Some(device.clone()),
        PppLine::Ethernet { .. } => None,
    };
    let is_same = |other: &&Ppp| device(ppp).is_some() && device(other) == device(ppp);
    if let Some(first) = earlier.iter().filter_map(|other| other.ppp.as_ref()).find(is_same) {
        let text = "two uplinks dial through one modem";
        reader.error(ppp.through.clone(), text).also(&first.through, "first here");
    }
}

/// Neither it nor what it goes by is inside.
fn outside(reader: &mut Reader, ppp: &Ppp, parts: &Parts<'_>) {
    let mut inside = parts.networks.iter().filter_map(|network| network.interface.as_ref());
    let parent: Option<&Selector> = ppp.value.parent().map(|(parent, _)| parent);
    if let Some(network) = inside.clone().find(|at| Some(&at.value) == parent) {
        let text = format!("`parent`: {} is inside", network.value);
        reader.error(ppp.through.clone(), text).also(&network.span, "the network");
    }
    let of_uplink = parts
        .uplinks
        .iter()
        .filter(|other| other.ppp.as_ref().is_some_and(|other| other.address == ppp.address));
    let own: Vec<_> = of_uplink.filter_map(|uplink| uplink.interface.as_ref()).collect();
    if inside.any(|at| own.iter().any(|own| own.value == at.value)) {
        let text = "an uplink inside has a static address";
        reader.error(ppp.address.clone(), text).hint("a line by PPP leads outside");
    }
}

/// Keys of a modem alone, and of PPPoE alone.
const MODEM: &[&str] = &["speed", "carrier", "dial", "apn", "chat_file"];
const PPPOE: &[&str] = &["service", "ac"];

/// What modems on USB are told for form's sake.
const SPEED: u32 = 460_800;
/// Mobile networks are dialled so.
const DIAL: &str = "*99#";
/// `IFNAMSIZ` without its end.
const LONGEST_NAME: usize = 15;
