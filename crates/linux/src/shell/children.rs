//! What happens to supervised children, for the core.

use super::{Event, Shell, Waiting};
use crate::child::News;
use rail_core::Input;
use rail_core::notice::Severity;

impl Shell {
    /// Something happened to children, or an order is carried out.
    pub(super) fn take_child_news(&mut self) {
        for news in self.children.drain() {
            match news {
                News::Child(id, event) => {
                    self.events.push_back(Event::Input(Input::Child(id, event)));
                }
                News::Lost => self.tell(Severity::Error, LOST.into()),
            }
        }
        if self.children.is_carried_out() && matches!(self.waiting, Some(Waiting::Children)) {
            self.waiting = None;
        }
    }
}

const LOST: &str = "the process that supervises helper programs was lost and is started again, with fewer \
                    rights; restart rail when it suits you";
