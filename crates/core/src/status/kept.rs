//! What was read of an uplink that another program configures, on the screens.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What was read of an uplink that another program configures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptStatus {
    /// The last look, as a sentence.
    pub read: String,
    /// Seconds for which a part of what is used is missing there; `None`: nothing is.
    pub missing_s: Option<u64>,
}
