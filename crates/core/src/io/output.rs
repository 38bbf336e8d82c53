//! Everything a router may ask for.

use super::Watch;
use super::{Ask, AskId, Asker, Child, Peer, Port, PortId};
use crate::net::{IfName, Prefix, UplinkId};
use crate::notice::Notice;
use crate::saved::Saved;
use crate::saved::Which;
use crate::state::{Plan, Scope};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

/// A request to the shell; performed in the order given.
#[derive(Clone, Debug)]
pub enum Output {
    /// Have exactly these ports open from now on.
    Ports(Vec<Port>),
    /// Send something through a port; what it cannot send now, it never sends.
    Send {
        /// The port.
        port: PortId,
        /// The other end.
        to: Peer,
        /// What the port's [`PortKind`](crate::PortKind) says.
        bytes: Vec<u8>,
    },
    /// Ask what takes time; answered by [`Input::Answered`](crate::Input::Answered).
    Ask(AskId, Ask),
    /// What this asker has asked is not to be answered any more; an answer that is there already may
    /// still come.
    CancelAsks(Asker),
    /// Have exactly these children run from now on.
    Children(Vec<Child>),
    /// Look at these objects from now on.
    Watch(Watch),
    /// Read kernel state; answered by [`Input::Observed`](crate::Input::Observed) with this scope, or
    /// with a wider one: readings that follow each other may be performed as one.
    Observe(Scope),
    /// Change kernel state, step by step; each answered by [`Input::Applied`](crate::Input::Applied).
    Apply(Plan),
    /// Delete connections of an uplink: they can move to another one, or lead nowhere.
    Purge(Purge),
    /// Delete no more connections of this uplink because they can move: it is usable again. Performed
    /// before what follows, so that no connection is deleted that is made from then on; what was
    /// asked for is answered nevertheless.
    CancelPurge(UplinkId),
    /// Send this neighbour another ARP request: while an uplink's ends wake up, the first may have been
    /// lost, or our answer to its own. Each end alone would repeat it only after a second.
    Resolve(IfName, IpAddr),
    /// Set a link administratively up, once.
    LinkUp(IfName),
    /// Set a link administratively down, once (to undo [`Output::LinkUp`] at withdrawal).
    LinkDown(IfName),
    /// Write this to the state directory, atomically.
    Save {
        /// The content.
        saved: Box<Saved>,
        /// To be answered by [`Input::Saved`](crate::Input::Saved) when it is on the disk; a crash of
        /// the whole machine may lose any other (it would be void after a boot anyway).
        durable: bool,
    },
    /// Tell people.
    Notice(Notice),
    /// Withdrawal is complete; the daemon may end.
    Done,
}

impl Output {
    /// Tells people of a machine's news.
    pub(crate) fn tell(news: impl Into<Notice>) -> Self {
        Self::Notice(news.into())
    }
}

/// Which connections to delete. What is to be kept is kept of those that can move alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purge {
    /// The uplink, for the answer.
    pub uplink: UplinkId,
    /// Connection mark, and the mask to compare under.
    pub mark: u32,
    /// Mask.
    pub mask: u32,
    /// Which of them.
    pub which: Which,
    /// Connections whose original source lies here stay (the router's own addresses).
    pub keep_sources: Vec<IpAddr>,
    /// Connections whose original destination lies here stay: they came in by this uplink
    /// (its own address), or go to the inside.
    pub keep_destinations: Vec<Prefix>,
    /// [`Output::CancelPurge`] calls it off: these connections go because the uplink is dead, or because
    /// it carries nothing any more.
    pub yields: bool,
}

/// No uplink has this number: the purge of connections that belong to none.
pub const NOBODY: UplinkId = UplinkId(0);

impl Purge {
    /// True for the look that is taken every few seconds, and mostly finds nothing.
    pub fn is_routine(&self) -> bool {
        self.uplink == NOBODY
    }
}
