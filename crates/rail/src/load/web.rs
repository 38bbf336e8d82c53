//! Names of hosts and addresses of the web.

use super::reader::{Node, Reader};

/// A name by RFC 1123 §2.1, or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(is_good) && !label.starts_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `https://` or `http://`, a host, perhaps a port, and a path. `places` may stand in it in braces.
pub(super) fn url(
    reader: &mut Reader,
    node: Node<'_>,
    key: &str,
    places: &[&str],
) -> Option<String> {
    let text = reader.text(node, key, "an address such as \"https://hooks.example.org/rail\"")?;
    let mut plain = text.to_owned();
    for place in places {
        plain = plain.replace(&format!("{{{place}}}"), "x");
    }
    let why = why_no_url(&plain);
    if let Some(why) = why {
        reader
            .error(node.span(), format!("`{key}` is no address of the web: {why}"))
            .hint("for example: \"https://hooks.example.org/rail\"");
    }
    why.is_none().then(|| text.to_owned())
}

/// What is wrong with it. Nothing that curl, or a line of its configuration, would read otherwise.
pub(crate) fn why_no_url(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Some("it begins with https:// or http://");
    };
    if text.len() > 2000 {
        return Some("it is longer than 2000 characters");
    }
    let is_taken = |c: char| !c.is_ascii_graphic() || "\"\\<>^`{|}[]".contains(c);
    if text.chars().any(is_taken) {
        return Some("a space, a quote, a brace or what is not ASCII is written %20 and so on");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("a name and a password do not stand in it");
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    if !is_host(host) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some("there is no host in it");
    }
    None
}
