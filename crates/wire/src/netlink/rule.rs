//! Policy rules: `struct fib_rule_hdr`.

use super::{ACK, AF_INET, Builder, CREATE, EXCLUSIVE, Message, REQUEST, attributes, ip, octets, rtm, text, u8_at, u32_at};
use alloc::string::String;
use core::net::IpAddr;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
/// Known, but of no meaning for what the rule selects.
const IGNORED: [u16; 1] = [/* FRA_PAD */ 18];

const ACTION_TO_TABLE: u8 = 1;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 2;
/// "No suppression", as the kernel reports it.
const NONE: u32 = u32::MAX;

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Family number.
    pub family: u8,
    /// Priority.
    pub priority: u32,
    /// Protocol: who installed it.
    pub protocol: u8,
    /// `from`.
    pub from: Option<(IpAddr, u8)>,
    /// `oif`.
    pub oif: Option<String>,
    /// `fwmark` value and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Table.
    pub table: u32,
    /// `suppress_prefixlength`.
    pub suppress_prefixlength: Option<u32>,
    /// It also selects or does something that has no field here.
    pub other: bool,
}

impl Rule {
    /// Reads `RTM_NEWRULE` or `RTM_DELRULE`; `None` if it is cut short.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let fixed = message.payload.get(..12)?;
        let (destination, source, tos) = (u8_at(fixed, 1)?, u8_at(fixed, 2)?, u8_at(fixed, 3)?);
        let is_plain = destination == 0
            && tos == 0
            && u8_at(fixed, 7)? == ACTION_TO_TABLE
            && u32_at(fixed, 8)? & INVERT == 0;
        let mut rule = Self {
            family: u8_at(fixed, 0)?,
            priority: 0,
            protocol: 0,
            from: None,
            oif: None,
            fwmark: None,
            table: u32::from(u8_at(fixed, 4)?),
            suppress_prefixlength: None,
            other: !is_plain,
        };
        let (mut mark, mut mask) = (None, None);
        for (kind, value) in attributes(message.payload.get(12..)?) {
            match kind {
                FRA_SRC => rule.from = ip(value).map(|address| (address, source)),
                FRA_PRIORITY => rule.priority = u32_at(value, 0)?,
                FRA_FWMARK => mark = u32_at(value, 0),
                FRA_FWMASK => mask = u32_at(value, 0),
                FRA_TABLE => rule.table = u32_at(value, 0)?,
                FRA_OIFNAME => rule.oif = text(value).map(String::from),
                FRA_PROTOCOL => rule.protocol = u8_at(value, 0)?,
                FRA_SUPPRESS_PREFIXLEN => {
                    rule.suppress_prefixlength = u32_at(value, 0).filter(|n| *n != NONE);
                }
                FRA_SUPPRESS_IFGROUP => rule.other |= u32_at(value, 0) != Some(NONE),
                kind if IGNORED.contains(&kind) => {}
                FRA_DST | FRA_IIFNAME => rule.other = true,
                // A selector of a newer kernel narrows the rule; of its default value it does not.
                _ => rule.other |= value.iter().any(|byte| *byte != 0),
            }
        }
        let marks = mark.unwrap_or(0) != 0 || mask.unwrap_or(0) != 0;
        rule.fwmark = marks.then(|| (mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
        Some(rule)
    }

    /// A request for all rules of a family.
    pub fn dump(sequence: u32, family: u8) -> Builder {
        let fixed = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Builder::new(rtm::GETRULE, REQUEST | super::DUMP, sequence, &fixed)
    }

    /// A request to add it; it fails if the same rule is there.
    pub fn add(&self, sequence: u32) -> Builder {
        self.request(rtm::NEWRULE, REQUEST | ACK | CREATE | EXCLUSIVE, sequence)
    }

    /// A request to delete it: only one with the same protocol and selectors.
    pub fn delete(&self, sequence: u32) -> Builder {
        self.request(rtm::DELRULE, REQUEST | ACK, sequence)
    }

    fn request(&self, message: u16, flags: u16, sequence: u32) -> Builder {
        let source = self.from.map_or(0, |(_, length)| length);
        let small = u8::try_from(self.table).unwrap_or(0);
        let family = if self.family == 0 { AF_INET } else { self.family };
        let fixed = [family, 0, source, 0, small, 0, 0, ACTION_TO_TABLE, 0, 0, 0, 0];
        let mut builder = Builder::new(message, flags, sequence, &fixed);
        builder.number(FRA_PRIORITY, self.priority).number(FRA_TABLE, self.table);
        builder.attribute(FRA_PROTOCOL, &[self.protocol]);
        if let Some((address, _)) = self.from {
            builder.attribute(FRA_SRC, &octets(address).1);
        }
        if let Some(oif) = &self.oif {
            builder.text(FRA_OIFNAME, oif);
        }
        if let Some((value, mask)) = self.fwmark {
            builder.number(FRA_FWMARK, value).number(FRA_FWMASK, mask);
        }
        if let Some(length) = self.suppress_prefixlength {
            builder.number(FRA_SUPPRESS_PREFIXLEN, length);
        }
        builder
    }
}
