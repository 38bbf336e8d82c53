//! What the packets of others tell of a device.

use crate::time::Duration;

/// A silence that began while a device was busy, and in which it goes on sending.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// The index of the device.
    pub index: u32,
    /// How long nothing has come in, at the least.
    pub silence: Duration,
    /// How many packets came in within the 100 ms before.
    pub received: u64,
}
