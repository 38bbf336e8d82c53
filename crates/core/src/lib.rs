//! Every decision of `rail`, without I/O.
//!
//! *Inputs update machines; machines keep facts; facts render the desired
//! state; one engine makes the system equal to it; notices tell people.*
#![no_std]
extern crate alloc;

pub mod check;
mod child;
pub mod coexist;
pub mod config;
mod desk;
mod dhcp4;
pub mod facts;
mod io;
mod names;
pub mod net;
pub mod notice;
mod notifier;
mod ppp;
mod purge;
pub mod queues;
pub mod random;
pub mod reconcile;
pub mod render;
pub mod revision;
mod router;
mod saved;
mod service;
pub mod state;
pub mod status;
pub mod time;
mod uplink;

pub use child::Backoff;
pub use config::{Action, Override, Overrides};
pub use dhcp4::{Lease, SavedLease};
pub use io::{Answer, Ask, AskError, AskId, Asker, MOST_ASKS, has_place};
pub use io::{Binding, IDENT_PREFIX, Peer, Port, PortId, PortKind};
pub use io::{
    Capability, Child, ChildEvent, ChildFile, ChildId, DIRECTORY, Exit, FIRST_LINE_OF, KEPT, Needs,
    OnChange, Program, User,
};
pub use io::{Input, NOBODY, Output, Purge, Watch, Which};
pub use router::Router;
pub use saved::{Falls, Learnt, Saved, SavedKept, SavedPpp};
