//! Policy rules: `fib_rule_hdr`.
//!
//! ```text
//!  family:u8 dst_len:u8 src_len:u8 tos:u8 table:u8 res:u8 res:u8 action:u8 flags:u32
//! ```

use super::{Attribute, Message, Request, family, flag, kind, split, u16_at, u32_at};
use crate::DecodeError;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A rule that looks in a table, with the selectors that we know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleMessage {
    /// [`family::INET`] or [`family::INET6`].
    pub family: u8,
    /// Priority.
    pub priority: u32,
    /// Who set it.
    pub protocol: u8,
    /// Table to look in; 0 for [`Self::refuses`] and [`Self::drops`].
    pub table: u32,
    /// The packet is refused (`unreachable`), instead of a look in a table.
    pub refuses: bool,
    /// There is no such way (`blackhole`), instead of a look in a table.
    pub drops: bool,
    /// Source prefix.
    pub source: Option<(IpAddr, u8)>,
    /// Destination prefix.
    pub destination: Option<(IpAddr, u8)>,
    /// Input device.
    pub iif: Option<String>,
    /// Output device.
    pub oif: Option<String>,
    /// Packet mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Protocol above IP.
    pub ip_protocol: Option<u8>,
    /// First and last source port.
    pub source_ports: Option<(u16, u16)>,
    /// Results with this prefix length or less do not count.
    pub suppress_prefix_length: Option<u32>,
    /// It has selectors, flags or an action beyond these fields: what they say is not all.
    pub is_partial: bool,
    /// Some of what lies beyond: we never set it, and show it.
    pub beyond: Beyond,
}

/// What rules of others have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Beyond {
    /// The rule applies where its selectors do not.
    pub inverted: bool,
    /// An action that has no field above, as the kernel numbers it.
    pub action: Option<u8>,
    /// There is still more.
    pub more: bool,
}

impl RuleMessage {
    /// Reads `RTM_NEWRULE` and `RTM_DELRULE`.
    ///
    /// # Errors
    /// The fixed header is torn.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let (destination_length, source_length) = (fixed[1], fixed[2]);
        let mut rule = Self {
            family: fixed[0],
            priority: 0,
            protocol: 0,
            table: u32::from(fixed[4]),
            refuses: fixed[7] == ACTION_UNREACHABLE,
            drops: fixed[7] == ACTION_BLACKHOLE,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            ip_protocol: None,
            source_ports: None,
            suppress_prefix_length: None,
            is_partial: fixed[3] != 0
                || !is_known(fixed[7])
                || u32_at(fixed, 8)? & !HARMLESS_FLAGS != 0,
            beyond: Beyond {
                inverted: u32_at(fixed, 8)? & INVERT != 0,
                action: Some(fixed[7]).filter(|action| !is_known(*action)),
                more: fixed[3] != 0,
            },
        };
        for attribute in attributes {
            if rule.take(&attribute, destination_length, source_length).is_none() {
                rule.is_partial = true;
                rule.beyond.more = true;
            }
        }
        // A length without an address is a prefix of zeros.
        let zeros = match rule.family {
            family::INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let prefix = |length: u8| (length > 0).then_some((zeros, length));
        rule.source = rule.source.or_else(|| prefix(source_length));
        rule.destination = rule.destination.or_else(|| prefix(destination_length));
        Ok(rule)
    }

    /// `None` if the attribute is torn, or says something that has no field here.
    fn take(&mut self, attribute: &Attribute<'_>, to: u8, from: u8) -> Option<()> {
        match attribute.kind {
            FRA_TABLE => self.table = attribute.u32()?,
            FRA_PRIORITY => self.priority = attribute.u32()?,
            FRA_PROTOCOL => self.protocol = attribute.u8()?,
            FRA_DST => self.destination = Some((attribute.address()?, to)),
            FRA_SRC => self.source = Some((attribute.address()?, from)),
            FRA_IIFNAME => self.iif = Some(attribute.text()?.into()),
            FRA_OIFNAME => self.oif = Some(attribute.text()?.into()),
            FRA_FWMARK => self.mark = Some((attribute.u32()?, self.mark.map_or(u32::MAX, |m| m.1))),
            FRA_FWMASK => self.mark = Some((self.mark.map_or(0, |m| m.0), attribute.u32()?)),
            FRA_SUPPRESS_PREFIXLEN => {
                self.suppress_prefix_length = Some(attribute.u32()?).filter(|n| *n != u32::MAX);
            }
            FRA_IP_PROTO => self.ip_protocol = Some(attribute.u8()?),
            FRA_SPORT_RANGE => {
                let ports =
                    (u16_at(attribute.payload, 0).ok()?, u16_at(attribute.payload, 2).ok()?);
                self.source_ports = Some(ports);
            }
            // Linux 6.15 says this with each port.
            FRA_SPORT_MASK if u16_at(attribute.payload, 0).ok()? == u16::MAX => {}
            FRA_SUPPRESS_IFGROUP if attribute.u32()? == u32::MAX => {}
            FRA_PAD => {}
            _ => return None,
        }
        Some(())
    }

    /// Asks for all rules of a family.
    pub fn dump(family: u8) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[0] = family;
        Request::new(kind::GET_RULE, flag::DUMP, &fixed)
    }

    /// Adds it. With `exclusive` the kernel refuses (`EEXIST`) if a rule is there that is the
    /// same, or is narrower: it takes a selector that is missing here for "any".
    pub fn add(&self, exclusive: bool) -> Request {
        let exclusive = if exclusive { flag::EXCLUSIVE } else { 0 };
        self.request(kind::NEW_RULE, flag::CREATE | exclusive)
    }

    /// Deletes it. The kernel takes a selector that is missing here for "any": be sure that the
    /// first rule which fits is the one that is meant.
    pub fn remove(&self) -> Request {
        self.request(kind::DEL_RULE, 0)
    }

    fn request(&self, kind: u16, flags: u16) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[0] = self.family;
        fixed[1] = self.destination.map_or(0, |(_, length)| length);
        fixed[2] = self.source.map_or(0, |(_, length)| length);
        fixed[4] = u8::try_from(self.table).unwrap_or(0);
        fixed[7] = match (self.refuses, self.drops) {
            (true, _) => ACTION_UNREACHABLE,
            (false, true) => ACTION_BLACKHOLE,
            (false, false) => ACTION_TABLE,
        };
        let mut request = Request::new(kind, flags | flag::ACK, &fixed);
        request.u32(FRA_PRIORITY, self.priority);
        request.u32(FRA_TABLE, self.table);
        request.attribute(FRA_PROTOCOL, &[self.protocol]);
        if let Some((address, 1..)) = &self.destination {
            request.address(FRA_DST, address);
        }
        if let Some((address, 1..)) = &self.source {
            request.address(FRA_SRC, address);
        }
        if let Some(name) = &self.iif {
            request.text(FRA_IIFNAME, name);
        }
        if let Some(name) = &self.oif {
            request.text(FRA_OIFNAME, name);
        }
        if let Some((mark, mask)) = self.mark {
            request.u32(FRA_FWMARK, mark);
            request.u32(FRA_FWMASK, mask);
        }
        if let Some(protocol) = self.ip_protocol {
            request.attribute(FRA_IP_PROTO, &[protocol]);
        }
        if let Some((first, last)) = self.source_ports {
            let [a, b] = [first, last].map(u16::to_ne_bytes);
            request.attribute(FRA_SPORT_RANGE, &[a, b].concat());
        }
        if let Some(length) = self.suppress_prefix_length {
            request.u32(FRA_SUPPRESS_PREFIXLEN, length);
        }
        request
    }
}

const FIXED_LENGTH: usize = 12;
const fn is_known(action: u8) -> bool {
    matches!(action, ACTION_TABLE | ACTION_BLACKHOLE | ACTION_UNREACHABLE)
}

/// `FR_ACT_TO_TBL`.
const ACTION_TABLE: u8 = 1;
/// `FR_ACT_BLACKHOLE`.
const ACTION_BLACKHOLE: u8 = 6;
/// `FR_ACT_UNREACHABLE`.
const ACTION_UNREACHABLE: u8 = 7;
/// `FIB_RULE_PERMANENT`, `_UNRESOLVED`, `_IIF_DETACHED`, `_OIF_DETACHED`; not `_INVERT`.
const HARMLESS_FLAGS: u32 = 0x1 | 0x4 | 0x8 | 0x10;
const INVERT: u32 = 0x2;
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
const FRA_PAD: u16 = 18;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_SPORT_MASK: u16 = 28;
