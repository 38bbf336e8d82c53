//! PPP (RFC 1661, 1332, 2516): the dialler of one uplink. pppd speaks the protocol; what it is told, when it
//! dials, and what its end means is decided here.
//!
//! [`machine`] is pure: it is told of pppd, of the link and of the time, and says whether pppd is to run and
//! what became of it. That the line is up the kernel tells, by an address with another end; the name servers
//! pppd tells on its output. `core/uplink/kind/ppp.rs` drives it.

mod chat;
mod exit;
mod machine;
pub(crate) mod news;
mod options;

pub(crate) use chat::script;
pub(crate) use exit::code as describe;
pub(crate) use machine::{Action, Dialler, Sight};
pub(crate) use options::{CHAT_FILE, Names, options};
