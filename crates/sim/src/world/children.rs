//! Supervised children: they start, end and fail in virtual time, and outlive the daemon.

use super::{Event, MS, SEC, World};
use crate::node::Process;
use rail_core::time::Duration;
use rail_core::{Child, ChildEvent, ChildId, Exit, Input, OnChange};

impl World {
    /// Exactly these are to run.
    pub(super) fn have_children(&mut self, list: Vec<Child>) {
        if !std::mem::replace(&mut self.node.knows_children, true) {
            for (id, process) in self.node.children.clone() {
                let age = self.scene.now.since(process.began);
                let event = ChildEvent::Began { pid: process.pid, is_adopted: true, age };
                self.later(id, event);
            }
        }
        self.node.wanted = list;
        self.change_children();
    }

    fn change_children(&mut self) {
        let wanted = self.node.wanted.clone();
        let running: Vec<ChildId> = self.node.children.keys().copied().collect();
        for id in running {
            let found = wanted.iter().find(|child| child.id == id);
            let Some(process) = self.node.children.get_mut(&id) else { continue };
            match found {
                Some(child) if process.child.is_same(child) => {}
                Some(child)
                    if child.on_change == OnChange::Reload
                        && process.child.differs_in_files_alone(child) =>
                {
                    process.child = child.clone();
                    self.later(id, ChildEvent::Reloaded);
                }
                _ if process.is_ending => {}
                _ => {
                    process.is_ending = true;
                    let pid = process.pid;
                    let wait = self.dice.between(MS, MS * 500);
                    self.after(wait, Event::ChildEnds(pid));
                }
            }
        }
        for child in wanted {
            let failed = self.node.failed.get(&child.id) == Some(&child.run);
            if !failed && !self.node.children.contains_key(&child.id) {
                self.begin_child(child);
            }
        }
    }

    fn begin_child(&mut self, child: Child) {
        let (id, began) = (child.id, self.scene.now);
        self.node.last_pid += 1;
        let pid = self.node.last_pid;
        self.note(format!("child {} begins as {pid}", id.name()));
        self.node.children.insert(id, Process { child, pid, began, is_ending: false });
        // Every other one dies one day, some at once.
        if self.dice.permille(500) {
            let longest = if self.dice.permille(300) { MS * 50 } else { SEC * 120 };
            let wait = self.dice.between(MS, longest);
            self.after(wait, Event::ChildEnds(pid));
        }
        self.later(id, ChildEvent::Began { pid, is_adopted: false, age: Duration::ZERO });
    }

    /// A process of this number ends, if it still runs.
    pub(super) fn child_ends(&mut self, pid: u32) {
        let mut all = self.node.children.iter();
        let Some(id) = all.find(|(_, process)| process.pid == pid).map(|(id, _)| *id) else {
            return;
        };
        let Some(process) = self.node.children.remove(&id) else { return };
        self.note(format!("child {} ends, it was {pid}", id.name()));
        // Nobody hears of it while no daemon runs.
        if !self.node.knows_children {
            return;
        }
        if !process.is_ending {
            let wanted = self.node.wanted.iter().find(|child| child.id == id);
            let run = wanted.map_or(process.child.run, |child| child.run);
            self.node.failed.insert(id, run);
        }
        let was_asked = process.is_ending;
        self.later(id, ChildEvent::Ended { exit: Exit::Code(1), was_asked });
        self.change_children();
    }

    fn later(&mut self, id: ChildId, event: ChildEvent) {
        let wait = self.dice.between(MS, MS * 5);
        let at = self.node.child_news_until.max(self.scene.now + wait);
        // What happened first is told first.
        self.node.child_news_until = at + Duration::from_micros(1);
        let input = Input::Child(id, event);
        self.after(at.since(self.scene.now), Event::Input(self.node.life, input, None));
    }
}
