//! nf_tables: reading one table's chains, rules and one map, changing the map's
//! elements (`linux/netfilter/nf_tables.h`).
//!
//! Structure is written by `nft`; only elements, which change at each failover,
//! are written here. Numbers of the protocol are in network order, the map's keys
//! and values in the machine's, as `numgen` and `meta mark` leave them in a register.

use crate::netlink::{Message, Request, attributes, flag};
use alloc::string::String;
use alloc::vec::Vec;

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// Length of `struct nfgenmsg`, which stands before the attributes.
const FIXED: usize = 4;

/// `NFPROTO_INET`.
pub const INET: u8 = 1;

/// Elements in one message; the attribute that holds them cannot exceed 64 KiB.
const CHUNK: usize = 1024;

/// `NFT_MSG_*`.
#[expect(missing_docs, reason = "named as in linux/netfilter/nf_tables.h")]
pub mod msg {
    pub const NEWTABLE: u16 = 0;
    pub const GETTABLE: u16 = 1;
    pub const GETCHAIN: u16 = 4;
    pub const GETRULE: u16 = 7;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
    pub const NEWGEN: u16 = 15;
    pub const GETGEN: u16 = 16;
    pub const NEWOBJ: u16 = 18;
    pub const DELOBJ: u16 = 20;
}

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_BATCH_GENID`.
const BATCH_GENERATION: u16 = 1;

/// The name of the table: the first attribute of every kind of object.
const TABLE: u16 = 1;
const TABLE_FLAGS: u16 = 2;
/// `NFT_TABLE_F_DORMANT`.
const DORMANT: u32 = 1;
/// `NF_DROP`.
const DROP: u32 = 0;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const COUNTER_PACKETS: u16 = 2;
/// `NFTNL_UDATA_RULE_COMMENT`.
const USERDATA_COMMENT: u8 = 0;
const SET_NAME: u16 = 2;
const SET_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const GENERATION_ID: u16 = 1;

/// A chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Its hook, for a base chain.
    pub hook: Option<Hook>,
}

/// Where a base chain hooks in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// `NF_INET_*` hook number.
    pub number: u32,
    /// Priority.
    pub priority: i32,
    /// What no rule decides is dropped.
    pub drops: bool,
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Chain it stands in.
    pub chain: String,
    /// Handle.
    pub handle: u64,
    /// Comment, if it has one.
    pub comment: Option<String>,
}

/// The table of family inet that a message is about; `None` for other messages.
pub fn table_of<'a>(message: &Message<'a>) -> Option<&'a str> {
    let is_object = message.kind >> 8 == SUBSYSTEM && message.kind & 0xff != msg::NEWGEN;
    if !is_object || message.payload.first() != Some(&INET) {
        return None;
    }
    let mut all = attributes(message.payload.get(FIXED..)?);
    all.find(|a| a.kind == TABLE)?.text()
}

/// True if a message is about the structure of a ruleset: all but elements, objects and
/// generations.
pub fn is_structure(message: &Message<'_>) -> bool {
    let word = message.kind & 0xff;
    let without = [msg::NEWSETELEM, msg::DELSETELEM, msg::NEWGEN];
    message.kind >> 8 == SUBSYSTEM
        && !without.contains(&word)
        && !(msg::NEWOBJ..=msg::DELOBJ).contains(&word)
}

/// True if a message says that its table is switched off.
pub fn is_dormant(message: &Message<'_>) -> bool {
    let mut all = attributes(message.payload.get(FIXED..).unwrap_or(&[]));
    let flags = all.find(|a| a.kind == TABLE_FLAGS).and_then(|a| be32(a.payload));
    let is_table = message.kind == SUBSYSTEM << 8 | msg::NEWTABLE;
    is_table && flags.is_some_and(|flags| flags & DORMANT != 0)
}

/// Reads the number of the ruleset's generation.
pub fn generation(message: &Message<'_>) -> Option<u32> {
    let mut all = attributes(message.payload.get(FIXED..)?);
    be32(all.find(|a| a.kind == GENERATION_ID)?.payload)
}

impl Chain {
    /// Reads a chain of `table` in family inet; `None` for any other.
    pub fn parse(message: &Message<'_>, table: &str) -> Option<Self> {
        if table_of(message) != Some(table) {
            return None;
        }
        let (mut name, mut kind, mut number, mut priority) = (None, None, None, None);
        let mut drops = false;
        for attribute in attributes(message.payload.get(FIXED..)?) {
            match attribute.kind {
                CHAIN_NAME => name = attribute.text(),
                CHAIN_POLICY => drops = be32(attribute.payload) == Some(DROP),
                CHAIN_TYPE => kind = attribute.text(),
                CHAIN_HOOK => {
                    for inner in attributes(attribute.payload) {
                        match inner.kind {
                            HOOK_NUMBER => number = be32(inner.payload),
                            HOOK_PRIORITY => priority = be32(inner.payload),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let hook = number.zip(priority).map(|(number, priority)| Hook {
            kind: kind.unwrap_or_default().into(),
            number,
            priority: priority.cast_signed(),
            drops,
        });
        Some(Self { name: name?.into(), hook })
    }
}

impl Rule {
    /// Reads a rule of `table` in family inet; `None` for any other.
    pub fn parse(message: &Message<'_>, table: &str) -> Option<Self> {
        if table_of(message) != Some(table) {
            return None;
        }
        let (mut chain, mut handle, mut comment) = (None, None, None);
        for attribute in attributes(message.payload.get(FIXED..)?) {
            let value = attribute.payload;
            match attribute.kind {
                RULE_CHAIN => chain = attribute.text(),
                RULE_HANDLE => handle = value.first_chunk().map(|b| u64::from_be_bytes(*b)),
                RULE_USERDATA => comment = comment_of(value),
                _ => {}
            }
        }
        Some(Self { chain: chain?.into(), handle: handle?, comment })
    }
}

/// User data is a list of (type, length, value), one byte each for the first two.
fn comment_of(mut bytes: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = bytes {
        let length = usize::from(*length);
        let value = rest.get(..length)?;
        if *kind == USERDATA_COMMENT {
            let end = value.split(|byte| *byte == 0).next()?;
            return core::str::from_utf8(end).ok().map(String::from);
        }
        bytes = &rest[length..];
    }
    None
}

/// How many packets the counters of a rule have seen.
pub fn packets(rule: &Message<'_>) -> u64 {
    let all = attributes(rule.payload.get(FIXED..).unwrap_or(&[]));
    all.filter(|a| a.kind == RULE_EXPRESSIONS)
        .flat_map(|list| attributes(list.payload))
        .filter(|a| a.kind == LIST_ELEMENT)
        .filter_map(|expression| counted(expression.payload))
        .fold(0, u64::wrapping_add)
}

fn counted(expression: &[u8]) -> Option<u64> {
    attributes(expression).find(|a| a.kind == EXPRESSION_NAME && a.text() == Some("counter"))?;
    let data = attributes(expression).find(|a| a.kind == EXPRESSION_DATA)?;
    let packets = attributes(data.payload).find(|a| a.kind == COUNTER_PACKETS)?;
    packets.payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Reads the elements of a message about a map with 32-bit keys and values.
pub fn elements(message: &Message<'_>) -> Vec<(u32, u32)> {
    let all = attributes(message.payload.get(FIXED..).unwrap_or(&[]));
    all.filter(|a| a.kind == SET_ELEMENTS)
        .flat_map(|list| attributes(list.payload))
        .filter(|a| a.kind == LIST_ELEMENT)
        .filter_map(|e| Some((value(e.payload, ELEMENT_KEY)?, value(e.payload, ELEMENT_DATA)?)))
        .collect()
}

fn value(element: &[u8], wanted: u16) -> Option<u32> {
    let data = attributes(element).find(|a| a.kind == wanted)?;
    let value = attributes(data.payload).find(|a| a.kind == DATA_VALUE)?;
    <[u8; 4]>::try_from(value.payload).ok().map(u32::from_ne_bytes)
}

/// A request for the generation.
pub fn get_generation() -> Request {
    request(msg::GETGEN, 0)
}

/// A request for one table; `ENOENT` answers when there is none.
pub fn get_table(table: &str) -> Request {
    let mut request = request(msg::GETTABLE, 0);
    request.text(TABLE, table);
    request
}

/// A request for all chains of family inet.
pub fn dump_chains() -> Request {
    request(msg::GETCHAIN, flag::DUMP)
}

/// A request for the rules of a table.
pub fn dump_rules(table: &str) -> Request {
    let mut request = request(msg::GETRULE, flag::DUMP);
    request.text(TABLE, table);
    request
}

/// A request for the rules of one chain.
pub fn dump_chain(table: &str, chain: &str) -> Request {
    let mut request = dump_rules(table);
    request.text(RULE_CHAIN, chain);
    request
}

/// A request for the elements of a map.
pub fn dump_elements(table: &str, map: &str) -> Request {
    let mut request = request(msg::GETSETELEM, flag::DUMP);
    request.text(TABLE, table);
    request.text(SET_NAME, map);
    request
}

/// A transaction that changes nothing, and fails with `ERESTART` unless this is the generation.
/// The kernel runs it when no other transaction is under way.
pub fn confirm_generation(first: u32, generation: u32) -> Vec<u8> {
    let mut begin = Request::new(BATCH_BEGIN, 0, &batch_header());
    begin.attribute(BATCH_GENERATION, &generation.to_be_bytes());
    let mut bytes = begin.finish(first);
    bytes.extend(batch_edge(BATCH_END, first.wrapping_add(1)));
    bytes
}

/// One transaction that removes and adds elements. Its messages bear the numbers from `first`
/// on; returns the bytes and how many acknowledgements follow when it succeeds.
pub fn change_elements(
    first: u32,
    table: &str,
    map: &str,
    del: &[(u32, u32)],
    add: &[(u32, u32)],
) -> (Vec<u8>, usize) {
    let mut sequence = first;
    let mut bytes = batch_edge(BATCH_BEGIN, sequence);
    let mut acks = 0;
    for (kind, flags, list) in [(msg::DELSETELEM, 0, del), (msg::NEWSETELEM, flag::CREATE, add)] {
        for chunk in list.chunks(CHUNK) {
            sequence = sequence.wrapping_add(1);
            acks += 1;
            let mut request = request(kind, flag::ACK | flags);
            request.text(TABLE, table);
            request.text(SET_NAME, map);
            let list: Vec<u8> = chunk.iter().flat_map(|element| emit(*element)).collect();
            request.attribute(SET_ELEMENTS | NESTED, &list);
            bytes.extend(request.finish(sequence));
        }
    }
    bytes.extend(batch_edge(BATCH_END, sequence.wrapping_add(1)));
    (bytes, acks)
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// One element: key and data, each a value inside a nest.
fn emit((key, data): (u32, u32)) -> Vec<u8> {
    fn head(bytes: &mut Vec<u8>, kind: u16, length: u16) {
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
    }
    let mut bytes = Vec::with_capacity(28);
    head(&mut bytes, LIST_ELEMENT | NESTED, 28);
    for (kind, value) in [(ELEMENT_KEY, key), (ELEMENT_DATA, data)] {
        head(&mut bytes, kind | NESTED, 12);
        head(&mut bytes, DATA_VALUE, 8);
        bytes.extend(value.to_ne_bytes());
    }
    bytes
}

fn request(kind: u16, flags: u16) -> Request {
    Request::new(SUBSYSTEM << 8 | kind, flags, &[INET, 0, 0, 0])
}

fn batch_edge(kind: u16, sequence: u32) -> Vec<u8> {
    Request::new(kind, 0, &batch_header()).finish(sequence)
}

const fn batch_header() -> [u8; FIXED] {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    [0, 0, high, low]
}

fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;

    /// Given a batch, when read back, then begin, elements and end stand in it in order.
    #[test]
    fn batch_round_trip() {
        let add: Vec<(u32, u32)> = (0..3000).map(|slot| (slot, slot << 24)).collect();
        let (bytes, acks) = change_elements(7, "rail", "slots", &[(1, 2)], &add);
        let all: Vec<_> = messages(&bytes).flatten().collect();
        assert_eq!((all.len(), acks), (6, 4));
        let read: Vec<_> = all[2..5].iter().flat_map(elements).collect();
        assert_eq!(read, add);
        assert_eq!(elements(&all[1]), [(1, 2)]);
        assert!(all[1..5].iter().all(|m| table_of(m) == Some("rail")));
    }

    /// Given a batch with any byte changed or cut anywhere, then reading never panics.
    #[test]
    fn damage_never_panics() {
        let (bytes, _) = change_elements(7, "rail", "slots", &[(1, 2)], &[(3, 4)]);
        let read = |bytes: &[u8]| {
            for m in messages(bytes).flatten() {
                let _ = (elements(&m), Chain::parse(&m, "rail"), Rule::parse(&m, "rail"));
                let _ = (generation(&m), table_of(&m), is_dormant(&m), packets(&m));
            }
        };
        for at in 0..bytes.len() {
            read(&bytes[..at]);
            for value in [0, 1, 5, 200, 255] {
                let mut bad = bytes.clone();
                bad[at] = value;
                read(&bad);
            }
        }
    }

    /// Given user data with another entry before the comment, then the comment is found.
    #[test]
    fn comment_behind_other_user_data() {
        let bytes = [9, 2, 1, 1, 0, 5, b'r', b'a', b'i', b'l', 0];
        assert_eq!(comment_of(&bytes).as_deref(), Some("rail"));
        assert_eq!(comment_of(&[0, 9, 1]), None);
    }
}
