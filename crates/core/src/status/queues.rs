//! The queues of ports on the screens.

use crate::net::IfName;
use crate::queues::{Carries, Topology};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A physical port whose packets are spread over the CPUs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueueStatus {
    /// The port.
    pub interface: IfName,
    /// Its receive queues.
    pub receive: usize,
    /// Its transmit queues.
    pub transmit: usize,
    /// The CPUs of this machine.
    pub cpus: usize,
    /// To so many of them packets are handed in software; 0 where the port's own queues do.
    pub spread: usize,
    /// Why its masks cannot be set; `None` if they can.
    pub refused: Option<String>,
}

impl QueueStatus {
    /// Those of these ports.
    pub(crate) fn of(
        topology: &Topology,
        ports: impl IntoIterator<Item = (IfName, Carries)>,
    ) -> Vec<Self> {
        let one = |(interface, carries): (IfName, Carries)| {
            let port = topology.ports.get(&interface)?;
            Some(Self {
                interface,
                receive: port.receive.len(),
                transmit: port.transmit.len(),
                cpus: topology.cpus.len(),
                spread: topology.spread_over(port, carries),
                refused: port.refused.clone(),
            })
        };
        ports.into_iter().filter_map(one).collect()
    }
}
