//! Every decision of `rail`, without I/O.
//!
//! *Inputs update machines; machines keep facts; facts render the desired
//! state; one engine makes the system equal to it; notices tell people.*
#![no_std]
extern crate alloc;

pub mod balance;
pub mod beside;
pub mod check;
pub mod config;
pub mod facts;
mod input;
pub mod net;
pub mod notice;
mod output;
pub mod probe;
pub mod random;
pub mod render;
pub mod revision;
mod router;
mod saved;
pub mod state;
pub mod status;
pub mod time;

pub use input::Input;
pub use output::{NOBODY, Output, ProbeSocket, Purge, Which};
pub use router::{Action, Override, Overrides, Router};
pub use saved::Saved;
