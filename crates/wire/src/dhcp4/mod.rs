//! DHCPv4 as a client speaks it: RFC 2131, options of RFC 2132, long options of RFC 3396.
//!
//! Owns what a client sends ([`Request`]) and what a server answers ([`Reply`]), each as the payload
//! of UDP and as a whole IPv4 packet: a client without an address sends and hears packets, not
//! datagrams. Promises: any bytes give a value or a [`DecodeError`]; an option that is broken is read as
//! absent, and named; text from outside is shown without control characters; a value takes no more
//! memory than three times its packet (routes and compressed names are shorter there). Leaves out sockets, timers, and which answer to believe.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+---------------+---------------+
//! |  Op (1, 2)    | Hw Type (1)   | Hw Length (6) |     Hops      |
//! +---------------+---------------+---------------+---------------+
//! |                        Transaction (xid)                      |
//! +-------------------------------+-+-----------------------------+
//! |            Seconds            |B|           zero              |
//! +-------------------------------+-+-----------------------------+
//! |      Address that the client holds and answers for (ciaddr)   |
//! +---------------------------------------------------------------+
//! |             Address for the client (yiaddr)                   |
//! +---------------------------------------------------------------+
//! |             Next server of the boot (siaddr)                  |
//! +---------------------------------------------------------------+
//! |             Relay (giaddr)                                    |
//! +---------------------------------------------------------------+
//! |             Hardware address of the client (chaddr, 16)       |
//! |             Server name (sname, 64), or options               |
//! |             Boot file (file, 128), or options                 |
//! +---------------------------------------------------------------+
//! |                      Cookie (0x63825363)                      |
//! +---------------------------------------------------------------+
//! |  Options: code, length, value; 0 is padding, 255 the end      |
//! +---------------------------------------------------------------+
//! ```
//! Never read, so that no server can use them: 33 (classful routes), 43 and 80 (vendors, rapid
//! commit), 108 (RFC 8925, switches IPv4 off), 116 (RFC 2563, likewise).

mod bootp;
pub mod code;
mod frame;
mod name;
mod options;
mod reply;
mod request;
mod route;
#[cfg(test)]
mod tests;
mod value;

pub use frame::UdpChecksum;
pub use name::{Name, Names};
pub use reply::{Reply, ReplyKind};
pub use request::{PARAMETERS, Request, RequestKind};
pub use route::ClasslessRoute;
pub use value::{LeaseTime, OptionValue, Text};

use crate::DecodeError;

/// The UDP port of servers (RFC 2131 §4.1).
pub const SERVER_PORT: u16 = 67;
/// The UDP port of clients (RFC 2131 §4.1).
pub const CLIENT_PORT: u16 = 68;
/// The longest message in bytes that we accept, told to servers (RFC 2132 §9.10).
pub const LONGEST_MESSAGE: u16 = 1472;

/// Takes the next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (taken, left) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
    *rest = left;
    Ok(*taken)
}

/// Takes the next bytes, without a copy.
fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, left) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *rest = left;
    Ok(taken)
}
