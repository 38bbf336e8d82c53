//! What outlives the process: the state file.

use crate::config::Config;
use crate::net::{IfName, Prefix, UplinkId};
use crate::status::Health;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The content of the state file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The kernel's boot id at the time of writing; verdicts count within one boot only.
    pub boot_id: String,
    /// Number of each uplink name ever seen; never handed to another name while free ones are left.
    pub ids: BTreeMap<String, UplinkId>,
    /// Verdict of each uplink.
    pub verdicts: BTreeMap<String, Health>,
    /// Names of the uplinks that carried new connections.
    pub active: Vec<String>,
    /// Kernel settings as they were before we first changed them.
    pub sysctls: BTreeMap<String, String>,
    /// Addresses that we added (for kernels that cannot mark them).
    pub addresses: Vec<(IfName, Prefix)>,
    /// Links that we set up.
    pub links_up: Vec<IfName>,
    /// Counts configurations that were taken.
    pub generation: u64,
}

impl Saved {
    /// Gives every uplink name a number: its old one, else the lowest never used, else the lowest
    /// whose name is gone from the configuration.
    pub fn number(&mut self, config: &Config) {
        let ids = &mut self.ids;
        let most =
            u8::try_from((config.ranges.mark_mask >> config.ranges.mark_mask.trailing_zeros()) - 1)
                .unwrap_or(u8::MAX)
                .min(254);
        ids.retain(|_, id| (1..=most).contains(&id.0));
        for uplink in &config.uplinks {
            if ids.contains_key(&uplink.name) {
                continue;
            }
            let free = (1..=most).find(|n| !ids.values().any(|id| id.0 == *n));
            let number = free.or_else(|| {
                let is_gone = |name: &String| config.uplinks.iter().all(|u| u.name != *name);
                let name = ids.keys().find(|name| is_gone(name)).cloned()?;
                ids.remove(&name).map(|id| id.0)
            });
            if let Some(number) = number {
                ids.insert(uplink.name.clone(), UplinkId(number));
            }
        }
    }
}
