//! `[[ddns]]`: names that follow an address.

use super::effective::quoted;
use super::keys::suggestion;
use super::notify::{login, write_login};
use super::reader::{Node, Reader, Section, shown};
use super::uplink::Draft;
use super::web::{is_host, url};
use rail_core::config::{Ddns, DdnsKind};

pub(super) fn ddns(reader: &mut Reader, file: &Section<'_>, uplinks: &[Draft]) -> Vec<Ddns> {
    let mut all: Vec<Ddns> = Vec::new();
    for section in reader.tables(file, "ddns", "ddns") {
        let Some(ddns) = one(reader, &section, uplinks) else { continue };
        let is_same = |d: &Ddns| (&d.hostname, &d.update) == (&ddns.hostname, &ddns.update);
        if all.iter().any(is_same) {
            let text = format!("the name {} is updated twice by one server", ddns.hostname);
            reader.error(section.place("hostname"), text);
        }
        all.push(ddns);
    }
    if all.len() > MOST_NAMES {
        let text = format!("{} blocks [[ddns]] are more than {MOST_NAMES}", all.len());
        reader.error(file.place("ddns"), text);
    }
    all
}

fn one(reader: &mut Reader, section: &Section<'_>, uplinks: &[Draft]) -> Option<Ddns> {
    for (key, example) in [
        ("hostname", "\"gw.example.org\""),
        ("update", "\"https://members.example.org/nic/update\""),
    ] {
        if section.get(key).is_none() {
            reader.missing(section, key, example);
        }
    }
    let uplink = section.get("uplink").and_then(|node| uplink(reader, node, uplinks));
    let words = [("dyndns2", DdnsKind::Dyndns2), ("url", DdnsKind::Url)];
    let kind = reader.word(section, "kind", &words, &["rfc2136"]).unwrap_or_default();
    let places = ["address", "hostname"];
    let update = section.get("update").and_then(|node| url(reader, node, "update", &places));
    let hostname = section.get("hostname").and_then(|node| hostname(reader, node));
    let login = login(reader, section);
    let ask = section.get("ask").and_then(|node| url(reader, node, "ask", &[]));
    let update = update?;
    if kind == DdnsKind::Dyndns2 && update.contains(['?', '{']) {
        reader
            .error(section.place("update"), "`update` of kind \"dyndns2\" ends with its path")
            .hint("rail adds hostname and myip; kind = \"url\" takes {address} and {hostname}");
    }
    if kind == DdnsKind::Url && !update.contains("{address}") {
        reader
            .error(section.place("update"), "`update` of kind \"url\" lacks {address}")
            .hint("for example: \"https://dns.example.org/set?name={hostname}&ip={address}\"");
    }
    if login.is_some() && update.starts_with("http://") {
        let text = "the password travels in the clear to an address that begins with http://";
        reader.warning(section.place("update"), text.to_owned());
    }
    Some(Ddns { uplink, kind, update, hostname: hostname?, login, ask })
}

/// The name of an uplink; `active`, the default, is none.
fn uplink(reader: &mut Reader, node: Node<'_>, uplinks: &[Draft]) -> Option<String> {
    let text = reader.text(node, "uplink", "the name of an uplink, or \"active\"")?;
    if text == ACTIVE {
        return None;
    }
    let names: Vec<&str> =
        uplinks.iter().filter_map(|u| u.name.as_ref()).map(|at| at.value.as_str()).collect();
    if !names.contains(&text) && !reader.broken {
        let known: Vec<&str> = names.into_iter().chain([ACTIVE]).collect();
        reader
            .error(node.span(), format!("there is no uplink \"{}\"", shown(text)))
            .hint(suggestion(text, &known));
    }
    Some(text.to_owned())
}

fn hostname(reader: &mut Reader, node: Node<'_>) -> Option<String> {
    let text = reader.text(node, "hostname", "a name such as \"gw.example.org\"")?;
    if !is_host(text) || !text.contains('.') {
        reader
            .error(node.span(), format!("`hostname`: \"{}\" is no name", shown(text)))
            .hint("the whole name, with its domain: \"gw.example.org\"");
        return None;
    }
    Some(text.to_owned())
}

/// As the file would have it.
pub(super) fn write(out: &mut String, ddns: &Ddns) {
    let uplink = ddns.uplink.as_deref().unwrap_or(ACTIVE);
    let mut lines = vec![
        format!("\n[[ddns]]\nhostname = {}", quoted(&ddns.hostname)),
        format!("uplink = {}", quoted(uplink)),
        format!("kind = {}", quoted(ddns.kind.as_str())),
        format!("update = {}", quoted(&ddns.update)),
    ];
    lines.extend(write_login(ddns.login.as_ref()));
    if ddns.login.is_none() {
        lines.extend(["# username: none".into(), "# password_file: none".into()]);
    }
    lines.push(match &ddns.ask {
        Some(ask) => format!("ask = {}", quoted(ask)),
        None => "# ask: nobody".into(),
    });
    out.push_str(&lines.join("\n"));
    out.push('\n');
}

/// Whose address: that of the uplink that carries.
const ACTIVE: &str = "active";
const MOST_NAMES: usize = 16;
