//! Whether a link has a carrier, asked in the cheapest way there is: `ETHTOOL_GLINK` (ethtool ioctl,
//! `linux/ethtool.h`). A fiftieth of what a message about the link costs, but some drivers ask their
//! hardware then, which takes a millisecond on USB, and some do not answer.

use rail_core::net::IfName;
use rustix::fd::AsFd;
use rustix::ioctl::{Opcode, Updater, ioctl};

/// True if the device runs and its driver has a link; `None` if nobody says.
#[expect(unsafe_code, reason = "the kernel reads and writes what is passed")]
pub(crate) fn has_link(socket: impl AsFd, ifname: IfName) -> Option<bool> {
    let mut value = Value { command: ETHTOOL_GLINK, data: 0 };
    let mut request = Request { name: [0; 16], value: &raw mut value, rest: [0; 16] };
    for (to, from) in request.name.iter_mut().zip(ifname.as_str().bytes().take(15)) {
        *to = from;
    }
    // SAFETY: the request is at least as long as an `ifreq`, its name ends with a zero, and it points to a
    // value that lives through the call, which is all that the kernel reads and writes for this command.
    unsafe { ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }.ok()?;
    Some(value.data != 0)
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ifreq` with a pointer to the value in its union of 24 bytes or fewer.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: *mut Value,
    rest: [u8; 16],
}

/// `linux/sockios.h`.
const SIOCETHTOOL: Opcode = 0x8946;
const ETHTOOL_GLINK: u32 = 0xa;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::RequestSocket;
    use crate::testing::{in_new_netns, ip};

    /// Given a cable, when its other end goes down and up, then its link goes and returns; of one that is not
    /// there nobody says anything.
    #[test]
    fn a_link_is_seen() {
        in_new_netns(|| {
            ip("link add wan1 type veth peer name far1");
            ip("link set wan1 up");
            ip("link set far1 up");
            let socket = RequestSocket::open().unwrap();
            let seen = |name: &str| has_link(&socket, name.parse().unwrap());
            assert_eq!((seen("wan1"), seen("absent")), (Some(true), None));
            ip("link set far1 down");
            assert_eq!(seen("wan1"), Some(false));
            ip("link set far1 up");
            assert_eq!(seen("wan1"), Some(true));
            ip("link set wan1 down");
            assert_eq!(seen("wan1"), Some(false));
        });
    }
}
