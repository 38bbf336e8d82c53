//! What can happen to the router's interfaces: cables that are pulled out, laid anew and
//! swapped, and names that move.
//!
//! A cable is a veth pair: both its ends go when one of them is deleted. A cable that is laid
//! anew has the names and the hardware addresses of the old one and another interface index,
//! so the state can be compared with the one before although the devices are others.

use crate::topology::{acc_lines, eth0_lines, lan0_lines};
use crate::{LabError, Node, Topology};
use std::time::Instant;

/// A cable that was pulled out. Dropping it leaves it out.
#[derive(Debug)]
pub struct Unplugged {
    router: End,
    peer: End,
}

/// One end: what it is called and what must be done when it is new.
#[derive(Debug)]
struct End {
    node: Node,
    interface: String,
    hardware: String,
    lines: String,
}

impl Topology {
    /// Deletes the interfaces at both ends of an uplink's access cable.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn unplug(&self, number: usize) -> Result<Unplugged, LabError> {
        let line = self.line(number);
        // The router's end is left to the daemon.
        let router = End::new(&self.router, &line.interface(), String::new())?;
        let peer = End::new(&line.isp, "acc", acc_lines(number))?;
        Unplugged::pull(router, peer)
    }

    /// As [`Topology::unplug`], of the cable between client and router.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn unplug_inside(&self) -> Result<Unplugged, LabError> {
        let router = End::new(&self.router, "lan0", lan0_lines())?;
        let peer = End::new(&self.client, "eth0", eth0_lines(self.clients().len()))?;
        Unplugged::pull(router, peer)
    }

    /// Exchanges the names of the router's interfaces of two uplinks, by way of a third name.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn swap_names(&self, a: usize, b: usize) -> Result<(), LabError> {
        let (a, b) = (self.line(a).interface(), self.line(b).interface());
        self.router.ip_batch(&format!(
            "link set {a} name {ASIDE}\nlink set {b} name {a}\nlink set {ASIDE} name {b}\n"
        ))
    }

    /// Exchanges the providers' ends of two access cables; returns when, before the last step.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn swap_cables(&self, a: usize, b: usize) -> Result<Instant, LabError> {
        let (left, right) = (&self.line(a).isp, &self.line(b).isp);
        left.ip_batch(&format!("link set acc netns {} name {ASIDE}\n", right.path()))?;
        right.ip_batch(&format!(
            "link set acc netns {}\nlink set {ASIDE} name acc\n{}",
            left.path(),
            acc_lines(b)
        ))?;
        let at = Instant::now();
        left.ip_batch(&acc_lines(a))?;
        Ok(at)
    }
}

impl Unplugged {
    fn pull(router: End, peer: End) -> Result<Self, LabError> {
        router.node.ip_batch(&format!("link del {}\n", router.interface))?;
        Ok(Self { router, peer })
    }

    /// Lays the cable anew; returns when, before the last step.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn plug_in(self) -> Result<Instant, LabError> {
        let (router, peer) = (&self.router, &self.peer);
        let (near, far) = (router.node.path(), peer.node.path());
        // Named at once: an IPv6 address is made from the hardware address that is there first.
        router.node.ip_batch(&format!(
            "link add {} address {} netns {near} type veth peer name {} address {} netns {far}\n",
            router.interface, router.hardware, peer.interface, peer.hardware
        ))?;
        router.node.ip_batch(&router.lines)?;
        let at = Instant::now();
        peer.node.ip_batch(&peer.lines)?;
        Ok(at)
    }
}

impl End {
    fn new(node: &Node, interface: &str, lines: String) -> Result<Self, LabError> {
        let hardware = hardware_address(node, interface)?;
        Ok(Self { node: node.clone(), interface: interface.into(), hardware, lines })
    }
}

/// The hardware address of an interface.
///
/// # Errors
/// When there is no such interface.
pub fn hardware_address(node: &Node, interface: &str) -> Result<String, LabError> {
    let text = node.run(&["ip", "-o", "link", "show", "dev", interface])?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "link/ether");
    let found = words.nth(1).map(str::to_owned);
    found.ok_or_else(|| LabError::Refused(format!("{interface} has no hardware address: {text}")))
}

/// A name that no interface of the drawing has.
pub const ASIDE: &str = "aside0";
