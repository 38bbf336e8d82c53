//! Changes of the configuration: reload, apply, confirm, roll back.
//!
//! Each begins with a task of the keeper, and goes on with its answer. One at a
//! time, so that none comes between the steps of another. The core says when a
//! trial is over.

use super::api::ClientId;
use super::keeper::{Bad, Done, Judged, Task};
use super::pass::Daemon;
use super::stop::Ending;
use rail_core::Input;
use rail_core::notice::{Notice, Severity};
use rail_core::revision::{Deed, Origin, Version};
use rail_linux::clock;

/// What the loop does with an answer of the keeper.
#[derive(Debug)]
pub(super) enum Then {
    /// Take the file, as somebody asked.
    Reload(Option<ClientId>),
    /// Take the file if it is mended.
    Look,
    /// Nothing but to know whether the disk took it.
    Kept,
}

impl Daemon {
    /// Has the configuration read again; the answer comes later.
    pub(super) fn reload(&mut self, asked_by: Option<ClientId>) {
        if !matches!(self.ending, Ending::No) {
            return self.refuse(asked_by, "the daemon is ending");
        }
        self.parts.manager.send("RELOADING=1");
        self.parts.keeper.ask(Task::Read(self.options.config.clone()), Then::Reload(asked_by));
    }

    /// Goes on with what the keeper has done.
    pub(super) fn take_answers(&mut self) {
        for (then, done) in self.parts.keeper.answers() {
            match (then, done) {
                (Then::Reload(asked_by), Done::Judged(result)) => self.reloaded(asked_by, *result),
                (Then::Look, Done::Judged(result)) => self.looked(*result),
                (Then::Kept, Done::Written(result)) => self.kept(result),
                // An answer is of the kind of its task.
                _ => {}
            }
        }
    }

    /// Does what the time asks for.
    pub(super) fn keep_time(&mut self) {
        if !matches!(self.ending, Ending::No) {
            return;
        }
        for deed in self.parts.revisions.due(clock::now()) {
            match deed {
                Deed::TakeBack(_) => {}
                Deed::Look if self.parts.keeper.is_idle() => {
                    self.parts.keeper.ask(Task::Read(self.options.config.clone()), Then::Look);
                }
                Deed::Look => {}
                Deed::Keep => self.keep(Then::Kept),
            }
        }
    }

    fn keep(&mut self, then: Then) {
        let revisions = &self.parts.revisions;
        let task = Task::Keep {
            last_good: revisions.good().text.clone(),
            history: revisions.history().clone(),
            trial: revisions.on_trial().is_some(),
        };
        self.parts.keeper.ask(task, then);
    }

    fn kept(&mut self, result: Result<(), String>) {
        self.parts.revisions.kept(clock::now(), result.is_ok());
        let error = result.err();
        if error != self.keep_error {
            let (severity, text) = match &error {
                Some(text) => (Severity::Error, format!("{text}; goes on without it")),
                None => (Severity::Info, "could write the history again".into()),
            };
            self.tell(&Notice::Daemon { severity, text });
        }
        self.keep_error = error;
    }

    fn reloaded(&mut self, asked_by: Option<ClientId>, result: Result<Judged, Bad>) {
        match result {
            Ok(judged) => {
                self.take(&judged);
                let origin = origin("reload", "root");
                self.parts.revisions.taken(clock::now(), judged.version, origin);
                self.answer_good(asked_by);
            }
            Err(bad) => {
                let text = format!("kept the running configuration: {}", bad.problem);
                self.tell(&Notice::Daemon { severity: Severity::Error, text });
                self.refuse(asked_by, &bad.report);
            }
        }
        self.parts.manager.send("READY=1");
    }

    fn looked(&mut self, result: Result<Judged, Bad>) {
        let (notices, file) = match result {
            Ok(Judged { version, notices }) => (notices, Ok(version)),
            Err(bad) => (Vec::new(), Err(bad.problem)),
        };
        if let Some(version) = self.parts.revisions.looked(file) {
            self.take(&Judged { version: version.clone(), notices });
            let origin = origin("reload", "the file");
            self.parts.revisions.taken(clock::now(), version, origin);
        }
    }

    /// Makes it the running configuration: the one way for all of them.
    fn take(&mut self, judged: &Judged) {
        judged.notices.iter().for_each(|warning| self.tell(warning));
        self.run_with(&judged.version);
    }

    fn run_with(&mut self, version: &Version) {
        self.parts.log.configure(&version.config.log);
        if matches!(self.ending, Ending::No) {
            self.handle(Input::Reload(Box::new(version.config.clone())));
        }
    }
}

fn origin(how: &str, by: &str) -> Origin {
    Origin { wall: clock::wall(), by: by.into(), how: how.into() }
}
