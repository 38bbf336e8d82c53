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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::event::tests::health;

    /// Given a state with a collected event, when it is read in the same boot, then it goes on; in another boot
    /// the numbers begin anew and what was collected is kept; a torn file counts as none.
    #[test]
    fn the_state_outlives_the_process() {
        let place =
            std::env::temp_dir().join(format!("rail-notifier-state-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        assert_eq!(State::load(&place, "a-b").last, None);
        let mut state = State::load(&place, "a-b");
        let number = Number { daemon: 7, n: 3 };
        state.last = Some(number);
        state.fold.take(1000, number, health(3, "isp1", "up", "down"), false);
        state.save(&place).unwrap();
        let again = State::load(&place, "a-b");
        assert_eq!((again.last, again.fold.first()), (Some(number), Some(number)));
        assert_eq!(again.message_id(number), "ab-7-3");
        let later = State::load(&place, "c");
        assert_eq!((later.last, later.fold.waiting()), (Some(Number::default()), 1));
        let whole = std::fs::read(place.join(FILE)).unwrap();
        std::fs::write(place.join(FILE), &whole[..whole.len() / 2]).unwrap();
        assert_eq!(State::load(&place, "a-b").last, None);
        std::fs::remove_dir_all(place).unwrap();
    }
}
