//! Beliefs about everything but the uplinks.

use crate::config::Stray;
use crate::state::{MainDefault, Rule};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Beliefs about the machine that the uplinks share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SystemFacts {
    /// Index of the interface of each network of the configuration, in its order; `None`: there is
    /// none, or we have no address on it.
    pub networks: Vec<Option<u32>>,
    /// Interfaces that the file does not name and that bear an uplink's address or share its
    /// network: its port under another name, most likely.
    pub strays: Vec<Stray>,
    /// Copies of policy rules of others that stand behind ours.
    pub copies: Vec<Rule>,
    /// What `main` does with what it has no route for.
    pub main: MainDefault,
    /// The loopback is up, so that a route can lead there.
    pub loopback: bool,
    /// No interface that is up is narrower than [`WIDE_MTU`](super::WIDE_MTU).
    pub all_wide: bool,
    /// The masks that queues of ports are to have, by their paths. Many hold them, few make them.
    pub masks: Arc<Vec<(String, String)>>,
}
