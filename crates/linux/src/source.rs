//! By which address this machine would speak to another. Asks the kernel's routes, and sends nothing.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The address of ours that a packet to this one would have; `None`: there is no way.
pub fn towards(address: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of a datagram socket this is nothing but a look at the routes. Any port will do.
    socket.connect((address, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::towards;
    use std::net::Ipv4Addr;

    /// Given an address of this machine, then it speaks to itself by that.
    #[test]
    fn this_machine_is_near() {
        assert_eq!(towards(Ipv4Addr::LOCALHOST), Some(Ipv4Addr::LOCALHOST));
    }
}
