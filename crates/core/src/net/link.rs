//! A link, as the kernel shows it.

use super::Mac;
use alloc::string::String;
use alloc::vec::Vec;

/// A link.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// It does not speak ARP (`IFF_NOARP`).
    pub no_arp: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Index of the link that it stands on (of a VLAN its Ethernet), where there is one.
    pub lower: Option<u32>,
    /// Index of the bridge, bond, .. that it is a port of, where there is one.
    pub master: Option<u32>,
    /// By what else than its name the configuration may mean it.
    pub identity: Identity,
    /// Driver kind (`bridge`, `macvlan`, ..); empty for hardware.
    pub kind: String,
    /// Of a macvlan: its mode.
    pub mode: Option<u32>,
    /// What somebody wrote on it; empty if nobody did.
    pub alias: String,
}

/// What tells a link apart whatever it is called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Other names.
    pub altnames: Vec<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// The hardware address that it was made with, where it has one.
    pub permanent_mac: Option<Mac>,
    /// It stands on other links (VLAN, bridge, bond, ..), and has the address of one of them.
    pub is_stacked: bool,
    /// Where the device is, as udev's `ID_PATH`; empty for one that is nowhere. `None`: nobody has
    /// looked, for no `path:` is in the configuration.
    pub path: Option<String>,
}
