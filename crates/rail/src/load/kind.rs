//! `kind` of a check, the keys that one kind alone has, and what the probes of a kind cost.

use super::reader::{Reader, Section};
use rail_core::check::{least_interval, standby_factor};
use rail_core::config::{CheckConfig, CheckKind};

/// A kind of check.
struct Known {
    /// With the defaults of its own keys.
    kind: CheckKind,
    /// A question and its answer, IP headers included, in bytes.
    bytes: u128,
}

/// All of them.
const KINDS: &[Known] = &[
    // An IPv4 header of 20 bytes, an ICMP header of 8 and the nonce of 8, twice.
    Known { kind: CheckKind::Icmp, bytes: 2 * (20 + 8 + 8) },
    // IPv4 headers of 20 bytes; TCP headers of 40 (SYN, SYN and ACK), of 32 (ACK) and of 20 (RST).
    Known { kind: CheckKind::Tcp { port: HTTPS }, bytes: 4 * 20 + 2 * 40 + 32 + 20 },
    // Two Ethernet payloads of the least length; there is no IP header.
    Known { kind: CheckKind::Arp, bytes: 2 * 46 },
];

/// Those to come.
const LATER: &[&str] = &["dns", "http", "bfd", "command"];
/// Where the targets listen, by default.
const HTTPS: u16 = 443;

/// The checks with their kind and its own keys; all else is still as it was.
pub(super) fn read(
    reader: &mut Reader,
    section: &Section<'_>,
    mut config: CheckConfig,
) -> CheckConfig {
    let words: Vec<_> = KINDS.iter().map(|known| (known.kind.as_str(), known.kind)).collect();
    let wanted = reader.word(section, "kind", &words, LATER);
    if wanted.is_none() && section.get("kind").is_some() {
        // Which keys it may have is not known.
        return config;
    }
    let wanted = wanted.unwrap_or(config.kind);
    if !wanted.is_same(config.kind) {
        config.kind = wanted;
    }
    match &mut config.kind {
        CheckKind::Tcp { port } => {
            let number = reader.integer_or(section, "port", 1..=65_535, u32::from(*port));
            *port = u16::try_from(number).unwrap_or(*port);
        }
        CheckKind::Icmp | CheckKind::Arp => {
            refuse(reader, section, "port", "is for kind = \"tcp\" alone")
        }
    }
    if config.kind == CheckKind::Arp {
        refuse(reader, section, "targets", "is not for kind = \"arp\", which asks the gateway");
        config.targets.clear();
        config.required = 1;
    } else if config.targets.is_empty() {
        // All others are asked by ARP.
        let defaults = super::check::defaults();
        (config.targets, config.required) = (defaults.targets, defaults.required);
    }
    config
}

/// A key that the kind does not have.
fn refuse(reader: &mut Reader, section: &Section<'_>, key: &str, why: &str) {
    if let Some(node) = section.get(key) {
        reader.error(node.span(), format!("`{key}` {why}")).hint("leave it out, or change `kind`");
    }
}

/// The key `kind` and those that belong to it, with their values.
pub(super) fn pairs(kind: CheckKind) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("kind", format!("\"{}\"", kind.as_str()))];
    match kind {
        CheckKind::Icmp | CheckKind::Arp => {}
        CheckKind::Tcp { port } => pairs.push(("port", port.to_string())),
    }
    pairs
}

/// How people read it: `tcp port 443`.
pub(crate) fn shown(kind: CheckKind) -> String {
    match kind {
        CheckKind::Icmp | CheckKind::Arp => kind.as_str().into(),
        CheckKind::Tcp { port } => format!("{} port {port}", kind.as_str()),
    }
}

/// What the probes of one uplink cost.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct ProbeCost {
    /// Bytes a month of 30 days at full pace, both directions, IP headers included.
    pub(crate) full_bytes: u64,
    /// The same on an uplink that carries no new connections: at a tenth of the pace, or a hundredth.
    pub(crate) slow_bytes: u64,
}

/// What the probes cost on an uplink with these checks while all is well.
pub(crate) fn probe_cost(check: &CheckConfig, metered: bool) -> ProbeCost {
    let month_ms = 30 * 24 * 3600 * 1000_u128;
    let interval = check.interval.max(least_interval(check.kind));
    let probes = month_ms / interval.as_millis().max(1);
    let bytes = probes.saturating_mul(of(check.kind).bytes);
    let full_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    ProbeCost { full_bytes, slow_bytes: full_bytes / u64::from(standby_factor(metered)) }
}

fn of(kind: CheckKind) -> &'static Known {
    KINDS.iter().find(|known| known.kind.is_same(kind)).expect("every kind has a word")
}
