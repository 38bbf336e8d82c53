//! What people see of a supervised child.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A supervised child.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChildStatus {
    /// Its name.
    pub name: String,
    /// Process id, if it runs.
    pub pid: Option<u32>,
    /// For how long it has run.
    pub running_s: Option<u64>,
    /// It is to run now; false while it waits for its next start, too.
    #[serde(rename = "wanted")]
    pub is_wanted: bool,
    /// How often it ended by itself since the daemon started.
    pub restarts: u64,
    /// How it ended last.
    pub last_exit: Option<String>,
    /// Why it does not take what its configuration has become; it goes on with what was before. Root alone sees it.
    pub refused: Option<String>,
    /// Why the system's own questions do not go to it as they should.
    pub hindered: Option<String>,
    /// The last lines it wrote; root alone sees them.
    pub last_words: Vec<String>,
    /// Lines that were not read because there were too many.
    pub missed_lines: u64,
}

/// By these words begins what is said of a file with a secret that cannot be used.
pub const SECRET_FILE: &str = "secret file";
