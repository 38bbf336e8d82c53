//! `kind` of a check, and the keys that one kind alone has.

use super::reader::{Reader, Section};
use rail_core::config::{CheckConfig, CheckKind};
use std::mem::discriminant;

/// A kind of check.
struct Word {
    /// As the file calls it.
    word: &'static str,
    /// With the defaults of its own keys.
    kind: CheckKind,
    /// A question and its answer, IP headers included, in bytes.
    bytes: u128,
}

/// All of them.
const KINDS: &[Word] = &[
    // An IPv4 header of 20 bytes, an ICMP header of 8 and the nonce of 8, twice.
    Word { word: "icmp", kind: CheckKind::Icmp, bytes: 2 * (20 + 8 + 8) },
];

/// Those to come.
const LATER: &[&str] = &["arp", "tcp", "dns", "http", "bfd", "command"];

/// The checks with their kind and its own keys; all else is still as it was.
pub(super) fn read(
    reader: &mut Reader,
    section: &Section<'_>,
    mut config: CheckConfig,
) -> CheckConfig {
    let words: Vec<_> = KINDS.iter().map(|kind| (kind.word, kind.kind)).collect();
    let wanted = reader.word(section, "kind", &words, LATER).unwrap_or(config.kind);
    if !is_same(wanted, config.kind) {
        config.kind = wanted;
    }
    config
}

/// The key `kind` and those that belong to it, with their values.
pub(super) fn pairs(kind: CheckKind) -> Vec<(&'static str, String)> {
    vec![("kind", format!("\"{}\"", of(kind).word))]
}

/// What a question and its answer cost, in bytes.
pub(super) fn bytes(kind: CheckKind) -> u128 {
    of(kind).bytes
}

fn of(kind: CheckKind) -> &'static Word {
    KINDS.iter().find(|known| is_same(known.kind, kind)).expect("every kind has a word")
}

/// The same kind, whatever its keys say.
fn is_same(a: CheckKind, b: CheckKind) -> bool {
    discriminant(&a) == discriminant(&b)
}
