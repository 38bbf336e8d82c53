//! Routes: `struct rtmsg`, multipath included.

use super::{ACK, AF_INET, Builder, CREATE, EXCLUSIVE, Message, REPLACE, REQUEST, attributes, ip, octets, rtm, u8_at, u16_at, u32_at};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;

const UNICAST: u8 = 1;
const UNREACHABLE: u8 = 7;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;

/// `RTNH_F_DEAD`.
const DEAD: u32 = 1;
/// `RTM_F_CLONED`: a cached exception, no route of a table.
const CLONED: u32 = 0x200;

/// What a route does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteKind {
    /// Leads to one or several next hops.
    Unicast(Vec<Nexthop>),
    /// Answers "unreachable".
    Unreachable,
    /// Something else: the kernel's type number.
    Other(u8),
}

/// One next hop.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Nexthop {
    /// Output link.
    pub index: u32,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Weight, 1 to 256.
    pub weight: u16,
    /// The device is down.
    pub dead: bool,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Table.
    pub table: u32,
    /// Destination.
    pub destination: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
    /// Metric.
    pub metric: u32,
    /// Protocol: who installed it.
    pub protocol: u8,
    /// What it does.
    pub kind: RouteKind,
    /// Preferred source.
    pub source: Option<IpAddr>,
}

impl Route {
    /// Reads `RTM_NEWROUTE` or `RTM_DELROUTE`; `None` for cached entries and other families.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let fixed = message.payload.get(..12)?;
        let any = match u8_at(fixed, 0)? {
            AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            super::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let flags = u32_at(fixed, 8)?;
        if flags & CLONED != 0 {
            return None;
        }
        let mut route = Self {
            table: u32::from(u8_at(fixed, 4)?),
            destination: any,
            length: u8_at(fixed, 1)?,
            metric: 0,
            protocol: u8_at(fixed, 5)?,
            kind: RouteKind::Unreachable,
            source: None,
        };
        let mut single = Nexthop { index: 0, via: None, weight: 1, dead: flags & DEAD != 0 };
        let mut several = None;
        for (kind, value) in attributes(message.payload.get(12..)?) {
            match kind {
                RTA_DST => route.destination = ip(value).unwrap_or(any),
                RTA_OIF => single.index = u32_at(value, 0).unwrap_or(0),
                RTA_GATEWAY => single.via = ip(value),
                RTA_PRIORITY => route.metric = u32_at(value, 0).unwrap_or(0),
                RTA_PREFSRC => route.source = ip(value),
                RTA_MULTIPATH => several = Some(nexthops(value)),
                RTA_TABLE => route.table = u32_at(value, 0).unwrap_or(route.table),
                _ => {}
            }
        }
        route.kind = match u8_at(fixed, 7)? {
            UNICAST => RouteKind::Unicast(several.unwrap_or_else(|| [single].into())),
            UNREACHABLE => RouteKind::Unreachable,
            other => RouteKind::Other(other),
        };
        Some(route)
    }

    /// The table of a route message, and nothing else of it.
    pub fn table_of(message: &Message<'_>) -> Option<u32> {
        let mut all = attributes(message.payload.get(12..)?);
        let wide = all.find(|(kind, _)| *kind == RTA_TABLE).and_then(|(_, v)| u32_at(v, 0));
        wide.or_else(|| u8_at(message.payload, 4).map(u32::from))
    }

    /// A request for all routes of a family.
    pub fn dump(sequence: u32, family: u8) -> Builder {
        let fixed = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Builder::new(rtm::GETROUTE, REQUEST | super::DUMP, sequence, &fixed)
    }

    /// A request to create it, or to replace in place what has the same key.
    pub fn set(&self, sequence: u32, replace: bool) -> Builder {
        let how = if replace { REPLACE } else { EXCLUSIVE };
        let mut builder = self.request(rtm::NEWROUTE, REQUEST | ACK | CREATE | how, sequence);
        if let RouteKind::Unicast(hops) = &self.kind {
            match hops.as_slice() {
                [only] => {
                    builder.number(RTA_OIF, only.index);
                    if let Some(via) = only.via {
                        builder.attribute(RTA_GATEWAY, &octets(via).1);
                    }
                }
                _ => {
                    builder.nested(RTA_MULTIPATH, |b| {
                        for hop in hops {
                            emit_nexthop(b, hop);
                        }
                    });
                }
            }
        }
        if let Some(source) = self.source {
            builder.attribute(RTA_PREFSRC, &octets(source).1);
        }
        builder
    }

    /// A request to delete the route with this key and protocol.
    pub fn delete(&self, sequence: u32) -> Builder {
        self.request(rtm::DELROUTE, REQUEST | ACK, sequence)
    }

    fn request(&self, message: u16, flags: u16, sequence: u32) -> Builder {
        let (family, destination) = octets(self.destination);
        let (kind, scope) = match &self.kind {
            _ if message == rtm::DELROUTE => (0, SCOPE_NOWHERE),
            RouteKind::Unicast(hops) if hops.iter().all(|h| h.via.is_none()) => (UNICAST, SCOPE_LINK),
            RouteKind::Unicast(_) => (UNICAST, SCOPE_UNIVERSE),
            RouteKind::Unreachable => (UNREACHABLE, SCOPE_UNIVERSE),
            RouteKind::Other(other) => (*other, SCOPE_UNIVERSE),
        };
        let small = u8::try_from(self.table).unwrap_or(252);
        let fixed = [family, self.length, 0, 0, small, self.protocol, scope, kind, 0, 0, 0, 0];
        let mut builder = Builder::new(message, flags, sequence, &fixed);
        if self.length > 0 {
            builder.attribute(RTA_DST, &destination);
        }
        builder.number(RTA_TABLE, self.table);
        if self.metric > 0 {
            builder.number(RTA_PRIORITY, self.metric);
        }
        builder
    }
}

/// `struct rtnexthop`, each with attributes of its own.
fn nexthops(mut bytes: &[u8]) -> Vec<Nexthop> {
    let mut found = Vec::new();
    while let (Some(length), Some(flags), Some(hops), Some(index)) =
        (u16_at(bytes, 0), u8_at(bytes, 2), u8_at(bytes, 3), u32_at(bytes, 4))
    {
        let length = usize::from(length);
        let Some(inside) = bytes.get(8..length) else { break };
        let gateway = attributes(inside).find(|(kind, _)| *kind == RTA_GATEWAY);
        found.push(Nexthop {
            index,
            via: gateway.and_then(|(_, value)| ip(value)),
            weight: u16::from(hops) + 1,
            dead: u32::from(flags) & DEAD != 0,
        });
        bytes = bytes.get(super::align(length)..).unwrap_or(&[]);
    }
    found
}

fn emit_nexthop(builder: &mut Builder, hop: &Nexthop) {
    let mut inside = Builder::new(0, 0, 0, &[]);
    if let Some(via) = hop.via {
        inside.attribute(RTA_GATEWAY, &octets(via).1);
    }
    let inside = inside.finish();
    let inside = inside.get(super::HEADER..).unwrap_or(&[]);
    let length = u16::try_from(8 + inside.len()).unwrap_or(u16::MAX);
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    let mut head = Vec::with_capacity(8);
    head.extend(length.to_ne_bytes());
    head.extend([0, weight]);
    head.extend(hop.index.to_ne_bytes());
    builder.raw(&head).raw(inside);
}
