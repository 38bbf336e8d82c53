//! Routes: `rtmsg` and `rtnexthop`.
//!
//! ```text
//!  family:u8 dst_len:u8 src_len:u8 tos:u8 table:u8 protocol:u8 scope:u8 type:u8 flags:u32
//!  next hop   length:u16 flags:u8 hops:u8 (weight - 1) index:i32 attributes, padded to 4
//! ```

use super::{
    Attribute, Message, Request, attributes, family, flag, kind, padded, split, u16_at, u32_at,
};
use crate::DecodeError;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a route does.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RouteKind {
    /// Leads to its next hops.
    Unicast,
    /// Answers "unreachable".
    Unreachable,
    /// Something else, by its number (`RTN_*`).
    Other(u8),
}

/// One next hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NexthopMessage {
    /// Index of the output interface; 0: none given.
    pub index: u32,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Weight, 1 to 256.
    pub weight: u16,
    /// Its device is down (`RTNH_F_DEAD`). One that is only without carrier is called so as well
    /// where such next hops are ignored; it lives again by itself, and is not dead here.
    pub dead: bool,
    /// The gateway is taken for a neighbour though no prefix says so (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteMessage {
    /// Routing table.
    pub table: u32,
    /// Destination.
    pub destination: IpAddr,
    /// Length of the destination in bits.
    pub length: u8,
    /// Metric.
    pub priority: u32,
    /// Who set it.
    pub protocol: u8,
    /// What it does.
    pub kind: RouteKind,
    /// Next hops; more than one is a multipath route.
    pub nexthops: Vec<NexthopMessage>,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Its key in the kernel has parts beside table, destination and priority (type of service,
    /// source prefix), or it is no route but a cached result.
    pub is_other_key: bool,
    /// It has properties beyond these fields (other metrics, encapsulation, a next hop object, ...).
    pub is_partial: bool,
}

impl RouteMessage {
    /// Reads `RTM_NEWROUTE` and `RTM_DELROUTE`.
    ///
    /// # Errors
    /// The fixed header is torn, or the family is neither IPv4 nor IPv6.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let flags = u32_at(fixed, 8)?;
        let mut route = Self {
            table: u32::from(fixed[4]),
            destination: unspecified(fixed[0]).ok_or(DecodeError::Unsupported)?,
            length: fixed[1],
            priority: 0,
            protocol: fixed[5],
            kind: match fixed[7] {
                RTN_UNICAST => RouteKind::Unicast,
                RTN_UNREACHABLE => RouteKind::Unreachable,
                other => RouteKind::Other(other),
            },
            nexthops: Vec::new(),
            source: None,
            mtu: None,
            is_other_key: fixed[2] != 0 || fixed[3] != 0 || flags & RTM_F_CLONED != 0,
            is_partial: false,
        };
        let dead = flags & u32::from(RTNH_F_DEAD | RTNH_F_LINKDOWN) == u32::from(RTNH_F_DEAD);
        let onlink = flags & u32::from(RTNH_F_ONLINK) != 0;
        let mut single = NexthopMessage { index: 0, gateway: None, weight: 1, dead, onlink };
        for attribute in attributes {
            if route.take(&attribute, &mut single).is_none() {
                route.is_partial = true;
            }
        }
        let is_single = single.index != 0 || single.gateway.is_some();
        if route.nexthops.is_empty() && is_single && route.kind == RouteKind::Unicast {
            route.nexthops.push(single);
        } else if onlink {
            // Several next hops have flags of their own.
            route.is_partial = true;
        }
        Ok(route)
    }

    /// `None` if the attribute is torn, or says something that has no field here.
    fn take(&mut self, attribute: &Attribute<'_>, single: &mut NexthopMessage) -> Option<()> {
        match attribute.kind {
            RTA_DST => self.destination = attribute.address()?,
            RTA_OIF => single.index = attribute.u32()?,
            RTA_GATEWAY => single.gateway = Some(attribute.address()?),
            RTA_PRIORITY => self.priority = attribute.u32()?,
            RTA_PREFSRC => self.source = Some(attribute.address()?),
            RTA_TABLE => self.table = attribute.u32()?,
            RTA_METRICS => self.take_metrics(attribute.payload)?,
            RTA_MULTIPATH => self.take_nexthops(attribute.payload)?,
            RTA_CACHEINFO | RTA_PAD => {}
            // The default preference of IPv6 routers is medium.
            RTA_PREF if attribute.u8()? == 0 => {}
            _ => return None,
        }
        Some(())
    }

    fn take_metrics(&mut self, payload: &[u8]) -> Option<()> {
        for metric in attributes(payload) {
            match metric.kind {
                RTAX_MTU => self.mtu = Some(metric.u32()?),
                _ => return None,
            }
        }
        Some(())
    }

    fn take_nexthops(&mut self, mut rest: &[u8]) -> Option<()> {
        while !rest.is_empty() {
            let length = usize::from(u16_at(rest, 0).ok()?);
            let hop = rest.get(..length)?;
            let (flags, hops) = (*hop.get(2)?, *hop.get(3)?);
            let index = u32_at(hop, 4).ok()?;
            let mut gateway = None;
            for attribute in attributes(hop.get(NEXTHOP_LENGTH..)?) {
                match attribute.kind {
                    RTA_GATEWAY => gateway = attribute.address(),
                    _ => self.is_partial = true,
                }
            }
            let (dead, onlink) = (
                flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) == RTNH_F_DEAD,
                flags & RTNH_F_ONLINK != 0,
            );
            let weight = u16::from(hops) + 1;
            self.nexthops.push(NexthopMessage { index, gateway, weight, dead, onlink });
            rest = rest.get(padded(length)..).unwrap_or(&[]);
        }
        Some(())
    }

    /// Asks for the routes of a family: of one table, or of all. A kernel that does not filter
    /// (before 4.20) sends all.
    pub fn dump(family: u8, table: Option<u32>) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[0] = family;
        let mut request = Request::new(kind::GET_ROUTE, flag::DUMP, &fixed);
        if let Some(table) = table {
            request.u32(RTA_TABLE, table);
        }
        request
    }

    /// Creates it (fails with `EEXIST` if its key is taken), or replaces what has its key.
    pub fn set(&self, replace: bool) -> Request {
        let how = if replace { flag::REPLACE } else { flag::EXCLUSIVE };
        let (kind, scope) = match self.kind {
            RouteKind::Unreachable => (RTN_UNREACHABLE, SCOPE_UNIVERSE),
            RouteKind::Other(other) => (other, SCOPE_UNIVERSE),
            // Without a gateway the destination itself is on the link.
            RouteKind::Unicast if self.nexthops.iter().all(|hop| hop.gateway.is_none()) => {
                (RTN_UNICAST, SCOPE_LINK)
            }
            RouteKind::Unicast => (RTN_UNICAST, SCOPE_UNIVERSE),
        };
        let mut fixed = self.fixed(scope, kind);
        if let [NexthopMessage { onlink: true, .. }] = self.nexthops.as_slice() {
            fixed[8..].copy_from_slice(&u32::from(RTNH_F_ONLINK).to_ne_bytes());
        }
        let mut request = Request::new(kind::NEW_ROUTE, flag::CREATE | how | flag::ACK, &fixed);
        self.write_key(&mut request);
        if let Some(source) = &self.source {
            request.address(RTA_PREFSRC, source);
        }
        if let Some(mtu) = self.mtu {
            request.attribute(RTA_METRICS, &metric_bytes(RTAX_MTU, mtu));
        }
        match self.nexthops.as_slice() {
            [] => {}
            [single] => {
                request.u32(RTA_OIF, single.index);
                if let Some(gateway) = &single.gateway {
                    request.address(RTA_GATEWAY, gateway);
                }
            }
            several => {
                let bytes: Vec<u8> = several.iter().flat_map(nexthop_bytes).collect();
                request.attribute(RTA_MULTIPATH, &bytes);
            }
        }
        request
    }

    /// Deletes the route with this table, destination, priority and protocol, whatever its
    /// value. The kernel takes priority 0 for "any", and deletes the lowest.
    pub fn remove(&self) -> Request {
        let fixed = self.fixed(SCOPE_NOWHERE, RTN_UNSPECIFIED);
        let mut request = Request::new(kind::DEL_ROUTE, flag::ACK, &fixed);
        self.write_key(&mut request);
        request
    }

    fn fixed(&self, scope: u8, kind: u8) -> [u8; FIXED_LENGTH] {
        let family = family::of(&self.destination);
        let table = u8::try_from(self.table).unwrap_or(0);
        [family, self.length, 0, 0, table, self.protocol, scope, kind, 0, 0, 0, 0]
    }

    fn write_key(&self, request: &mut Request) {
        request.u32(RTA_TABLE, self.table);
        if self.length > 0 {
            request.address(RTA_DST, &self.destination);
        }
        request.u32(RTA_PRIORITY, self.priority);
    }
}

/// An attribute of its own within [`RTA_METRICS`].
fn metric_bytes(kind: u16, value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&8u16.to_ne_bytes());
    bytes[2..4].copy_from_slice(&kind.to_ne_bytes());
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    bytes
}

fn nexthop_bytes(hop: &NexthopMessage) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NEXTHOP_LENGTH + 20);
    let flags = if hop.onlink { RTNH_F_ONLINK } else { 0 };
    bytes.extend([0, 0, flags, u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX)]);
    bytes.extend(hop.index.to_ne_bytes());
    if let Some(gateway) = &hop.gateway {
        let octets = match gateway {
            IpAddr::V4(v4) => Vec::from(v4.octets()),
            IpAddr::V6(v6) => Vec::from(v6.octets()),
        };
        let length = u16::try_from(octets.len() + 4).unwrap_or(0);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(RTA_GATEWAY.to_ne_bytes());
        bytes.extend(octets);
    }
    let length = u16::try_from(bytes.len()).unwrap_or(0);
    bytes[0..2].copy_from_slice(&length.to_ne_bytes());
    bytes
}

const fn unspecified(of: u8) -> Option<IpAddr> {
    match of {
        family::INET => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        family::INET6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => None,
    }
}

const FIXED_LENGTH: usize = 12;
const NEXTHOP_LENGTH: usize = 8;
const RTN_UNSPECIFIED: u8 = 0;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_DEAD: u8 = 1;
const RTNH_F_ONLINK: u8 = 4;
const RTNH_F_LINKDOWN: u8 = 16;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_PREF: u16 = 20;
const RTA_PAD: u16 = 26;
const RTAX_MTU: u16 = 2;
