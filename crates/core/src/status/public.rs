//! What anybody may read: without the rules of other software, without what our helper programs wrote,
//! and without whom the router tells what, which only root may look at.

use super::{Conflict, SECRET_FILE, Status};
use alloc::format;
use alloc::string::String;

impl Status {
    /// The same for those who are not root.
    #[must_use]
    pub fn for_anybody(mut self) -> Self {
        self.notifier = None;
        for child in &mut self.children {
            child.last_words.clear();
            child.refused = child.refused.take().map(|_| String::new());
            child.last_exit = child.last_exit.take().map(without_secret_file);
        }
        for ppp in self.uplinks.iter_mut().filter_map(|uplink| uplink.ppp.as_mut()) {
            ppp.said.clear();
            ppp.ended = without_secret_file(core::mem::take(&mut ppp.ended));
        }
        self.conflicts = self.conflicts.into_iter().map(Conflict::for_anybody).collect();
        self
    }
}

/// Which file has a password, and who may read it, is nobody's business.
fn without_secret_file(text: String) -> String {
    match text.find(SECRET_FILE) {
        Some(at) => format!("{}a {SECRET_FILE} cannot be used", &text[..at]),
        None => text,
    }
}

impl Conflict {
    /// The same for those who may not look at the rules.
    #[must_use]
    pub fn for_anybody(mut self) -> Self {
        self.object = self.place.take().unwrap_or(self.object);
        self
    }
}
