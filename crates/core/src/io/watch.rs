//! What the shell is to look at.

use crate::coexist::View;
use crate::net::IfName;
use crate::queues::WatchedPort;
use crate::state::PROTOCOL;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// What to look at; sent once, and again when it changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// First and last of our tables; routes in them are reported.
    pub tables: (u32, u32),
    /// Those of our tables that can have routes of ours. Where others have very many routes only these
    /// are read, not the whole range.
    pub used_tables: Vec<u32>,
    /// Ranges that were ours before; what is left of ours in them is reported, too.
    pub old_tables: Vec<(u32, u32)>,
    /// Settings below `/proc/sys`, as in [`Key::Sysctl`](crate::state::Key).
    pub sysctls: Vec<String>,
    /// Ports whose queues are read.
    pub ports: Vec<WatchedPort>,
    /// Links of uplinks in use: their state is read every 20 ms, for the kernel may report the loss of a
    /// carrier a second late; what differs is an [`Input::Changed`](crate::Input::Changed).
    pub links: Vec<IfName>,
    /// The paths of devices are wanted.
    pub paths: bool,
    /// `main` refuses what it has no route for, and each of its routes matters.
    pub main_refuses: bool,
    /// Gateways whose neighbour state matters.
    pub neighbours: Vec<(IfName, IpAddr)>,
    /// What of ours other software must leave alone.
    pub beside: View,
}

impl Watch {
    /// True if routes in this table are of interest.
    pub fn has_table(&self, table: u32) -> bool {
        self.is_ours(table) || self.old_tables.iter().any(|range| contains(*range, table))
    }

    /// True if a route of this protocol in this table is reported: in ours all are.
    pub fn has_route(&self, table: u32, protocol: u8) -> bool {
        self.is_ours(table) || (protocol == PROTOCOL && self.has_table(table))
    }

    /// True if the table is one of those that are ours now.
    pub fn is_ours(&self, table: u32) -> bool {
        contains(self.tables, table)
    }
}

fn contains((first, last): (u32, u32), table: u32) -> bool {
    (first..=last).contains(&table)
}
