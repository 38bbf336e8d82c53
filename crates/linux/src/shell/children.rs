//! What happens to supervised children, for the core.

use super::{Event, Shell, Waiting};
use crate::child::News;
use rail_core::Input;
use rail_core::notice::Severity;
use rail_core::time::Instant;

impl Shell {
    /// Something happened to children, or an order is carried out.
    pub(super) fn take_child_news(&mut self) {
        for news in self.children.drain() {
            self.take_news(news);
        }
        if self.children.is_carried_out() && matches!(self.waiting, Some(Waiting::Children)) {
            self.waiting = None;
        }
    }

    /// Does what is due.
    pub(super) fn wake_children(&mut self, now: Instant) {
        if let Some(news) = self.children.wake(now, &mut self.spawner) {
            self.take_news(news);
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::Child(id, event) => {
                self.events.push_back(Event::Input(Input::Child(id, event)));
            }
            News::Lost => self.tell(Severity::Warn, LOST.into()),
            News::Weak => self.tell(Severity::Error, WEAK.into()),
        }
    }
}

const LOST: &str = "the process that supervises helper programs was lost and is started again";
const WEAK: &str = "the process that supervises helper programs has fewer rights than it needs, for the process that \
                    could give them was lost, too; restart rail when it suits you";
