//! Links: `ifinfomsg`.
//!
//! ```text
//!  family:u8 pad:u8 type:u16 index:i32 flags:u32 change:u32
//! ```

use super::{Attribute, Message, Request, attributes, flag, kind, split, u32_at};
use crate::DecodeError;
use alloc::string::String;
use alloc::vec::Vec;

/// A link, as far as we look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkMessage {
    /// Family that speaks of it: 0, or that of a bridge (`AF_BRIDGE`) about its port.
    pub family: u8,
    /// Interface index.
    pub index: u32,
    /// Name; empty if it is missing or not UTF-8.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// MTU in bytes; 0 if it is missing.
    pub mtu: u32,
    /// Hardware address, of six bytes.
    pub mac: Option<[u8; 6]>,
    /// The hardware address that it was made with, of six bytes.
    pub permanent_mac: Option<[u8; 6]>,
    /// What it is, and how it stands to other links.
    pub place: LinkPlace,
}

/// What a link is, and how it stands to other links.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinkPlace {
    /// Driver kind (`bridge`, `vlan`, `veth`, ..); empty for hardware.
    pub kind: String,
    /// What kind of master it has (`bridge`, `bond`, `vrf`, ..); empty without one.
    pub port_of: String,
    /// Index of its master.
    pub master: Option<u32>,
    /// Index of the link below it, of the same namespace.
    pub lower: Option<u32>,
    /// It waits for something beside the carrier, 802.1X for example (`IFF_DORMANT`).
    pub dormant: bool,
    /// It does not speak ARP (`IFF_NOARP`).
    pub no_arp: bool,
    /// Other names (`ip link property add altname`).
    pub altnames: Vec<String>,
    /// What somebody wrote on it (`ip link set alias`); empty if nobody did.
    pub alias: String,
    /// Of a macvlan: its mode (`MACVLAN_MODE_PRIVATE` is 1).
    pub mode: Option<u32>,
}

/// How many packets a link has counted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LinkPackets {
    /// Packets that came in.
    pub received: u64,
    /// Packets that went out.
    pub sent: u64,
}

impl LinkPackets {
    /// Reads them from `RTM_NEWLINK` (`rtnl_link_stats64`); `None` if they are not there. They are no
    /// part of the link: two messages about the same one differ in nothing but them.
    pub fn decode(message: &Message<'_>) -> Option<Self> {
        let (_, mut attributes) = split(message.payload, FIXED_LENGTH).ok()?;
        let stats = attributes.find(|attribute| attribute.kind == IFLA_STATS64)?.payload;
        let word = |at: usize| Some(u64::from_ne_bytes(stats.get(at..at + 8)?.try_into().ok()?));
        Some(Self { received: word(0)?, sent: word(8)? })
    }
}

impl LinkMessage {
    /// Reads `RTM_NEWLINK` and `RTM_DELLINK`.
    ///
    /// # Errors
    /// The fixed header is torn.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let flags = u32_at(fixed, 8)?;
        let mut link = Self {
            family: fixed[0],
            index: u32_at(fixed, 4)?,
            name: String::new(),
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            mtu: 0,
            mac: None,
            permanent_mac: None,
            place: LinkPlace {
                dormant: flags & IFF_DORMANT != 0,
                no_arp: flags & IFF_NOARP != 0,
                ..LinkPlace::default()
            },
        };
        let mut is_elsewhere = false;
        for attribute in attributes {
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text().unwrap_or_default().into(),
                IFLA_MTU => link.mtu = attribute.u32().unwrap_or(0),
                IFLA_ADDRESS => link.mac = mac(&attribute),
                IFLA_PERM_ADDRESS => link.permanent_mac = mac(&attribute),
                IFLA_LINK_NETNSID => is_elsewhere = true,
                _ => link.place.take(&attribute),
            }
        }
        // That of a link in another namespace is an index there. That of a veth is its other end.
        if is_elsewhere || link.place.kind == "veth" || link.place.lower == Some(link.index) {
            link.place.lower = None;
        }
        Ok(link)
    }

    /// Asks for all links.
    pub fn dump() -> Request {
        let mut request = Request::new(kind::GET_LINK, flag::DUMP, &[0; FIXED_LENGTH]);
        request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        request
    }

    /// Asks for the link of this name.
    pub fn get(name: &str) -> Request {
        let mut request = Request::new(kind::GET_LINK, 0, &[0; FIXED_LENGTH]);
        request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        request.text(IFLA_IFNAME, name);
        request
    }

    /// Sets a link administratively up or down.
    pub fn set_up(index: u32, up: bool) -> Request {
        Request::new(kind::NEW_LINK, flag::ACK, &fixed_up(index, up))
    }
}

/// The header that names the link of this index.
pub(super) fn fixed(index: u32) -> [u8; FIXED_LENGTH] {
    let mut fixed = [0; FIXED_LENGTH];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed
}

/// The same, and it sets the link up or down.
pub(super) fn fixed_up(index: u32, up: bool) -> [u8; FIXED_LENGTH] {
    let mut fixed = fixed(index);
    fixed[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
    fixed[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    fixed
}

impl LinkPlace {
    fn take(&mut self, attribute: &Attribute<'_>) {
        match attribute.kind {
            IFLA_LINK => self.lower = attribute.u32().filter(|index| *index != 0),
            IFLA_MASTER => self.master = attribute.u32().filter(|index| *index != 0),
            IFLA_LINKINFO => {
                for info in attributes(attribute.payload) {
                    let text = || info.text().unwrap_or_default().into();
                    match info.kind {
                        IFLA_INFO_KIND => self.kind = text(),
                        IFLA_INFO_SLAVE_KIND => self.port_of = text(),
                        // The kernel sends it behind the kind.
                        IFLA_INFO_DATA if self.kind == MACVLAN => self.mode = mode(&info),
                        _ => {}
                    }
                }
            }
            IFLA_IFALIAS => self.alias = attribute.text().unwrap_or_default().into(),
            IFLA_PROP_LIST => {
                let names = attributes(attribute.payload).filter(|a| a.kind == IFLA_ALT_IFNAME);
                self.altnames = names.filter_map(|name| Some(name.text()?.into())).collect();
            }
            _ => {}
        }
    }
}

/// An address of Ethernet; all zeros is none.
fn mac(attribute: &Attribute<'_>) -> Option<[u8; 6]> {
    let bytes = attribute.payload.try_into().ok()?;
    Some(bytes).filter(|bytes| *bytes != [0; 6])
}

fn mode(data: &Attribute<'_>) -> Option<u32> {
    attributes(data.payload).find(|part| part.kind == IFLA_MACVLAN_MODE)?.u32()
}

/// `ifinfomsg`.
pub(super) const FIXED_LENGTH: usize = 16;
/// Driver kind of a link with a hardware address of its own on the port of another link.
pub const MACVLAN: &str = "macvlan";
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_MACVLAN_MODE: u16 = 1;
const IFF_DORMANT: u32 = 0x2_0000;
pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFF_UP: u32 = 1;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x1_0000;
pub(super) const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_STATS64: u16 = 23;
const IFLA_EXT_MASK: u16 = 29;
/// Those of each protocol: much to read, and nothing to us. The counters of the device come all the same.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
