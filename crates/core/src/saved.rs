//! What outlives the process: the state file.

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
