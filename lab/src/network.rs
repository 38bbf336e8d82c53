//! Further inside networks of the standard drawing, beside the LAN.
//!
//! ```text
//! dmz   10.8.1.10-29 eth0 ── dmz0 10.8.1.1   [router]
//! guest 10.8.2.10-29 eth0 ── guest0 10.8.2.1 [router]
//! ```
//!
//! The router gets its links up; its IPv4 addresses there are left to the daemon.

use crate::LabError;
use crate::node::{Node, veth};
use crate::topology::make;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Address of [`container`].
pub const CONTAINER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);

/// A container on a bridge of the router, as Docker makes it; the configuration does not name it.
///
/// # Errors
/// When the kernel refuses a step.
pub fn container(router: &Node) -> Result<Node, LabError> {
    let node = Node::new("container")?;
    veth((router, "docker0"), (&node, "eth0"))?;
    router.ip_batch("addr add 172.17.0.1/16 dev docker0\nlink set docker0 up\n")?;
    node.ip_batch(&format!(
        "addr add {CONTAINER}/16 dev eth0\nlink set eth0 up\nlink set lo up\n\
         route add default via 172.17.0.1\n"
    ))?;
    router.wait_for_carrier()?;
    node.wait_for_carrier()?;
    Ok(node)
}

/// One inside network; all its hosts are addresses of one node.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name in the configuration.
    pub name: String,
    /// Its hosts.
    pub node: Node,
    number: u8,
}

impl Network {
    /// Builds the network with this number, from 1.
    pub(crate) fn build(name: &str, number: usize, router: &Node) -> Result<Self, LabError> {
        let number = u8::try_from(number)
            .map_err(|_| LabError::Refused("the drawing takes at most 255 networks".into()))?;
        let network = Self { name: name.into(), node: make(name)?, number };
        let interface = network.interface();
        veth((router, &interface), (&network.node, "eth0"))?;
        router.ip_batch(&format!("link set {interface} up\n"))?;
        let mut lines = String::from("link set eth0 up\n");
        for host in network.hosts() {
            let _ = writeln!(lines, "addr add {host}/24 dev eth0");
        }
        let _ = writeln!(lines, "route add default via {}", network.gateway());
        network.node.ip_batch(&lines)?;
        Ok(network)
    }

    /// The router's interface.
    pub fn interface(&self) -> String {
        format!("{}0", self.name)
    }

    /// The router's address.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 8, self.number, 1)
    }

    /// The hosts' addresses.
    pub fn hosts(&self) -> Vec<Ipv4Addr> {
        (10..30).map(|last| Ipv4Addr::new(10, 8, self.number, last)).collect()
    }

    /// The router's IPv6 address, and that of the host, in a /64.
    pub fn ipv6(&self) -> [Ipv6Addr; 2] {
        let address =
            |last| Ipv6Addr::new(0x2001, 0xdb8, 0x10 + u16::from(self.number), 0, 0, 0, 0, last);
        [address(1), address(0x10)]
    }

    /// Where its IPv6 addresses begin.
    pub(crate) fn prefix6(&self) -> String {
        format!("2001:db8:{:x}::", 0x10 + self.number)
    }

    pub(crate) fn add_ipv6(&self, router: &Node) -> Result<(), LabError> {
        let ([gateway, host], interface) = (self.ipv6(), self.interface());
        router.ip_batch(&format!("addr add {gateway}/64 dev {interface} nodad\n"))?;
        self.node
            .ip_batch(&format!("addr add {host}/64 dev eth0 nodad\nroute add ::/0 via {gateway}\n"))
    }
}
