//! Classless static routes: RFC 3442.
//!
//! ```text
//!  route      width:u8 destination:(width / 8, rounded up) gateway:4
//! ```
//! One route that is wrong makes the whole option void: where the next one begins nobody knows.

use super::{take, take_slice, value};
use crate::DecodeError;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// A route of option 121 or 249 (RFC 3442, "Classless Route Option Format").
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ClasslessRoute {
    /// The destination; the bits behind the prefix are zero.
    pub destination: Ipv4Addr,
    /// Length of the prefix in bits, at most 32; 0 is a default route.
    pub prefix_length: u8,
    /// The next hop; 0.0.0.0: the destination is on the link.
    pub gateway: Ipv4Addr,
}

impl ClasslessRoute {
    fn read(rest: &mut &[u8]) -> Result<Self, DecodeError> {
        let [prefix_length] = take(rest)?;
        if prefix_length > 32 {
            return Err(DecodeError::Malformed);
        }
        let significant = take_slice(rest, octets(prefix_length))?;
        let gateway = Ipv4Addr::from(take::<4>(rest)?);
        let mut destination = [0; 4];
        destination.iter_mut().zip(significant).for_each(|(to, from)| *to = *from);
        let destination = u32::from_be_bytes(destination) & value::mask(prefix_length);
        Ok(Self { destination: destination.into(), prefix_length, gateway })
    }
}

/// The routes of an option; `None` if there is none, a prefix is longer than 32 bits, or a route cut.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<ClasslessRoute>> {
    let mut rest = bytes;
    let mut routes = Vec::new();
    while !rest.is_empty() {
        routes.push(ClasslessRoute::read(&mut rest).ok()?);
    }
    routes.shrink_to_fit();
    Some(routes).filter(|routes| !routes.is_empty())
}

/// The routes as bytes. A prefix is not longer than 32 bits, whatever its length says.
pub(super) fn bytes(routes: &[ClasslessRoute]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for route in routes {
        let length = route.prefix_length.min(32);
        let destination = route.destination.to_bits() & value::mask(length);
        bytes.push(length);
        bytes.extend(destination.to_be_bytes().iter().take(octets(length)));
        bytes.extend(route.gateway.octets());
    }
    bytes
}

/// How many octets of a destination are written.
fn octets(prefix_length: u8) -> usize {
    usize::from(prefix_length.div_ceil(8))
}
