//! `options` of `[lan.dhcp]`: what hosts are told beside what has a key of its own (RFC 2132).

use super::super::effective::quoted;
use super::super::reader::{Node, Reader, Section, shown};
use super::hosts;
use rail_core::config::{DhcpOption, OptionValue};

pub(super) fn list(reader: &mut Reader, node: Node<'_>) -> Vec<DhcpOption> {
    let mut found: Vec<DhcpOption> = Vec::new();
    for section in reader.inline_tables(node, ("options", "lan.dhcp.options"), EXAMPLE) {
        let Some(one) = option(reader, &section) else { continue };
        if found.iter().any(|other| other.code == one.code) {
            reader.error(section.span, format!("the option {} is given twice", one.code));
        } else {
            found.push(one);
        }
    }
    found
}

fn option(reader: &mut Reader, section: &Section<'_>) -> Option<DhcpOption> {
    reader.check_keys(section);
    let code = match section.get("code") {
        Some(node) => code(reader, node),
        None => {
            reader.missing(section, "code", "66");
            None
        }
    };
    let contents: Vec<_> =
        CONTENTS.iter().filter_map(|key| Some((*key, section.get(key)?))).collect();
    let [(key, content)] = contents[..] else {
        let text = match contents.is_empty() {
            true => "an option without content",
            false => "an option with more than one content",
        };
        reader.error(section.span.clone(), text).hint("one of `addresses`, `text` and `hex`");
        return None;
    };
    let value = match key {
        "addresses" => OptionValue::Addresses(addresses(reader, content)?),
        "text" => OptionValue::Text(text(reader, content)?),
        _ => OptionValue::Bytes(hex(reader, content)?),
    };
    let code = code?;
    if matches!(value, OptionValue::Bytes(_)) && TEXTS.contains(&code) {
        reader
            .error(content.span(), format!("`hex` cannot be the content of the option {code}"))
            .hint("dnsmasq sends a name there: give it as `text`");
        return None;
    }
    Some(DhcpOption { code, value })
}

fn code(reader: &mut Reader, node: Node<'_>) -> Option<u8> {
    let code = reader.integer(node, "code", 1..=254).and_then(|code| u8::try_from(code).ok())?;
    let own = match code {
        6 => "`dns`",
        12 => "`reservations`",
        15 => "`domain`",
        42 => "`ntp`",
        51 => "`lease`",
        // What a message of DHCP itself consists of (RFC 2132 §9), RFC 3046, RFC 4702.
        1 | 50 | 52..=59 | 61 | 81 | 82 => "",
        _ => return Some(code),
    };
    let problem = reader.error(node.span(), format!("the option {code} is set by rail itself"));
    match own {
        "" => problem.hint("it belongs to the exchange of the lease"),
        key => problem.hint(format!("it has a key of its own: {key}")),
    };
    None
}

fn addresses(reader: &mut Reader, node: Node<'_>) -> Option<Vec<std::net::Ipv4Addr>> {
    let before = reader.errors.len();
    let all = hosts(reader, node, "addresses");
    if reader.errors.len() > before {
        return None;
    }
    fits(reader, node, "addresses", all.len() * 4).then_some(all)
}

fn text<'a>(reader: &mut Reader, node: Node<'a>) -> Option<String> {
    let text: &'a str = reader.text(node, "text", "a text")?;
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let what = format!("`text` cannot be \"{}\"", shown(text));
        reader.error(node.span(), what).hint("printable ASCII; give other bytes as `hex`");
        return None;
    }
    fits(reader, node, "text", text.len()).then(|| text.to_owned())
}

fn hex(reader: &mut Reader, node: Node<'_>) -> Option<Vec<u8>> {
    let text = reader.text(node, "hex", "a text")?;
    let byte = |pair: &str| {
        let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_| is_pair)
    };
    let Some(bytes) = text.split(':').map(byte).collect::<Option<Vec<u8>>>() else {
        let what = format!("`hex`: \"{}\" is no list of bytes", shown(text));
        reader.error(node.span(), what).hint("pairs of digits: \"01:04:0a\"");
        return None;
    };
    fits(reader, node, "hex", bytes.len()).then_some(bytes)
}

fn fits(reader: &mut Reader, node: Node<'_>, key: &str, length: usize) -> bool {
    let fits = (1..=LONGEST).contains(&length);
    if !fits {
        let text = format!("`{key}` has {length} bytes");
        reader.error(node.span(), text).hint("an option has 1 to 255 bytes");
    }
    fits
}

/// The elements, as the file would have them.
pub(super) fn shown_all(options: &[DhcpOption]) -> String {
    let shown = |DhcpOption { code, value }: &DhcpOption| {
        let content = match value {
            OptionValue::Addresses(all) => format!("addresses = {}", super::list(all)),
            OptionValue::Text(text) => format!("text = {}", quoted(text)),
            OptionValue::Bytes(bytes) => {
                let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("hex = \"{}\"", bytes.join(":"))
            }
        };
        format!("{{ code = {code}, {content} }}")
    };
    let all: Vec<_> = options.iter().map(shown).collect();
    all.join(", ")
}

const CONTENTS: [&str; 3] = ["addresses", "text", "hex"];
/// Of these dnsmasq takes any content as a text, bytes as their digits.
const TEXTS: [u8; 9] = [17, 18, 40, 64, 66, 67, 100, 101, 119];
const EXAMPLE: &str = "{ code = 66, text = \"tftp.example.org\" }";
/// The length of an option is one byte.
const LONGEST: usize = 255;
