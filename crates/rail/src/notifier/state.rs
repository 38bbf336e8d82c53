//! What outlives the process: which event was taken in last, what is collected, what names were told.

use super::event::Number;
use super::fold::Fold;
use super::send::ddns::Name;
use rail_linux::file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The content of the file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// The kernel's name of the boot that the numbers and times are of.
    boot_id: String,
    /// The last event that was taken in; `None`: none ever was.
    pub(crate) last: Option<Number>,
    pub(crate) fold: Fold,
    /// By hostname and server.
    pub(crate) names: BTreeMap<String, Name>,
}

impl State {
    /// Reads it. What cannot be read counts as empty.
    pub(crate) fn load(directory: &Path, boot_id: &str) -> Self {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(directory.join(FILE))
            .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
        let mut state: Self = match read {
            Ok(_) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(_) => Self::default(),
        };
        if state.boot_id != boot_id {
            // The numbers begin anew with each boot; all that the daemon remembers is of this one.
            if state.last.is_some() {
                state.last = Some(Number::default());
            }
            state.fold.after_boot();
            state.boot_id = boot_id.to_owned();
        }
        state
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn save(&self, directory: &Path) -> Result<(), String> {
        let text = serde_json::to_vec(self).map_err(|e| e.to_string())?;
        file::replace(&directory.join(FILE), &text)
            .map_err(|e| format!("{}: {e}", directory.display()))
    }

    /// The name of a message that begins with this event.
    pub(crate) fn message_id(&self, first: Number) -> String {
        let boot: String =
            self.boot_id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        format!("{boot}-{}-{}", first.daemon, first.n)
    }
}

const FILE: &str = "state.json";
const LARGEST: u64 = 4 << 20;
