//! Changes of the configuration: reload, apply, confirm, roll back.
//!
//! Each begins with a task of the keeper, and goes on with its answer. One at a
//! time, so that none comes between the steps of another. The order of the
//! steps is what a crash between them finds:
//!
//! * apply: the file is replaced, then the router loads it, then the history has
//!   it. A crash in between: the next start takes the file.
//! * apply with confirmation: the trial is on the disk, then the router loads it.
//!   A crash: the next start of this boot goes on with the trial, another boot
//!   has what was before, for we did not touch the file.
//! * confirm: the trial is noted as confirmed, the file is replaced, then the note
//!   goes. A crash: the trial counts as confirmed if it is noted so and the file
//!   has its text, or a later one. The text alone says nothing: somebody may have
//!   edited the file itself and tried that.
//! * roll back: the router takes what was before, from memory; no disk can
//!   hinder it, unless a confirmation is still waiting for one. After that the
//!   file, if somebody gave it the text of the trial, gets back what was before,
//!   and the note goes. A crash: as above, its time is over.

use super::api::ClientId;
use super::client::Wish;
use super::keeper::{Bad, Done, Task, Validated};
use super::pass::Daemon;
use rail_core::Input;
use rail_core::notice::{Notice, RevisionNews, Severity};
use rail_core::revision::{Due, Origin, Trial, Version, cut, ssh_path};
use rail_core::time::{Duration, Instant};
use rail_linux::clock;
use serde::Serialize;
use std::path::PathBuf;

/// What the loop does with an answer of the keeper.
#[derive(Debug)]
pub(super) enum Then {
    /// Take the file, as somebody asked; with the SSH connection of who did.
    Reload(Option<ClientId>, String),
    /// Take the file if it is mended.
    Look,
    /// Go on with an apply: it has been validated.
    Validated(Box<Asked>),
    /// The trial is on the disk.
    Tried(Box<Asked>, Box<Trial>, Box<Validated>),
    /// The file was replaced.
    Installed(Box<Asked>, Box<Validated>),
    /// The file has what was on trial.
    Confirmed(ClientId, String),
    /// Nothing but to know whether the disk took it, and to answer.
    Kept(Option<Answer>),
}

/// An apply on its way.
#[derive(Debug)]
pub(super) struct Asked {
    id: ClientId,
    origin: Origin,
    confirm: Option<Duration>,
    ssh: String,
}

/// An answer that waits for the disk.
#[derive(Debug)]
pub(super) struct Answer {
    id: ClientId,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Applied {
    ok: bool,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Past {
    back: usize,
    #[serde(flatten)]
    origin: Origin,
    size_bytes: usize,
}

#[derive(Serialize)]
struct PastAnswer {
    ok: bool,
    history: Vec<Past>,
    /// What is in force instead of number 0 until it is confirmed or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_trial: Option<OnTrial>,
}

#[derive(Serialize)]
struct OnTrial {
    #[serde(flatten)]
    origin: Origin,
    size_bytes: usize,
    left_s: u64,
}

#[derive(Serialize)]
struct TextAnswer<'a> {
    ok: bool,
    text: &'a str,
}

impl Daemon {
    /// Has the configuration read again; the answer comes later.
    pub(super) fn reload(&mut self, asked_by: Option<ClientId>, ssh: String) {
        if let Some(text) = self.hindrance() {
            return self.not_reloaded(asked_by, &text);
        }
        self.parts.manager.send("RELOADING=1");
        let task = Task::Read(self.options.config.clone());
        self.parts.keeper.ask(task, Then::Reload(asked_by, ssh));
    }

    /// In the log as well: who sent a signal hears no answer.
    fn not_reloaded(&mut self, asked_by: Option<ClientId>, why: &str) {
        let text = format!("did not take the configuration file: {why}");
        self.tell(&Notice::daemon(Severity::Error, text));
        self.refuse(asked_by, why);
    }

    /// Begins to take a configuration that somebody handed in, or one of before.
    pub(super) fn apply(&mut self, id: ClientId, wish: Wish) {
        if let Some(text) = self.hindrance() {
            return self.refuse(Some(id), &text);
        }
        let (how, name, text) = match (wish.text, wish.steps) {
            (Some(text), _) => ("apply", wish.name, text),
            (None, steps) => {
                let (steps, history) = (steps.unwrap_or(1), self.parts.revisions.history());
                let Some(entry) = history.back(steps) else {
                    let oldest = history.entries.len().saturating_sub(1);
                    let text = format!("the history goes back {oldest} steps, not {steps}");
                    return self.refuse(Some(id), &text);
                };
                ("rollback", self.options.config.clone(), entry.text.clone())
            }
        };
        let origin = origin(how, &wish.by);
        let asked = Box::new(Asked { id, origin, confirm: wish.confirm, ssh: wish.ssh });
        self.is_changing = true;
        self.parts.keeper.ask(Task::Validate(name, text), Then::Validated(asked));
    }

    /// Keeps for good what is on trial.
    pub(super) fn confirm(&mut self, id: ClientId, by: String) {
        let Some((trial, _)) = self.parts.revisions.on_trial() else {
            return self.refuse(Some(id), "no configuration is on trial");
        };
        if self.is_changing {
            return self.refuse(Some(id), BUSY);
        }
        let task = Task::Confirm(self.options.config.clone(), Box::new(trial.clone()));
        self.is_changing = true;
        // It was confirmed in time, however long the disk takes.
        self.parts.revisions.hold(true);
        self.parts.keeper.ask(task, Then::Confirmed(id, by));
    }

    /// Takes back what is on trial, or begins to take what was before.
    pub(super) fn roll_back(&mut self, id: ClientId, wish: Wish) {
        if wish.steps == Some(0) {
            return self.refuse(Some(id), NO_STEP);
        }
        let is_on_trial = self.parts.revisions.on_trial().is_some();
        if !is_on_trial || self.is_changing || wish.steps.is_some() {
            return self.apply(id, wish);
        }
        if wish.confirm.is_some() {
            return self.refuse(Some(id), NO_SECOND_TRIAL);
        }
        let version = self.parts.revisions.take_back(clock::now());
        self.taken_back(&version, &format!("{} asked for it", wish.by));
        self.keep(Some(Answer { id, warnings: Vec::new() }));
    }

    /// What was in force, the newest first.
    pub(super) fn answer_history(&mut self, id: ClientId) {
        let entries = self.parts.revisions.history().entries.iter().rev().enumerate();
        let past = entries.map(|(back, entry)| {
            let (origin, size_bytes) = (entry.origin.clone(), entry.text.len());
            Past { back, origin, size_bytes }
        });
        let history = past.collect();
        let on_trial = self.parts.revisions.on_trial().map(|(trial, _)| OnTrial {
            origin: trial.origin.clone(),
            size_bytes: trial.text.len(),
            left_s: trial.until.since(clock::now()).as_secs(),
        });
        self.parts.api.answer(&self.parts.poller, id, &PastAnswer { ok: true, history, on_trial });
    }

    /// The text that is in force.
    pub(super) fn answer_text(&mut self, id: ClientId) {
        let text = &self.parts.revisions.running().text;
        self.parts.api.answer(&self.parts.poller, id, &TextAnswer { ok: true, text });
    }

    /// Goes on with what the keeper has done.
    pub(super) fn take_answers(&mut self) {
        for (then, done) in self.parts.keeper.answers() {
            match (then, done) {
                (Then::Reload(asked_by, ssh), Done::Validated(result)) => {
                    self.reloaded(asked_by, &ssh, *result);
                }
                (Then::Look, Done::Validated(result)) => self.looked(*result),
                (Then::Validated(asked), Done::Validated(result)) => self.validated(asked, *result),
                (Then::Tried(asked, trial, valid), Done::Written(result)) => {
                    self.tried(&asked, *trial, *valid, result);
                }
                (Then::Installed(asked, valid), Done::Installed(result)) => {
                    self.installed(*asked, *valid, result);
                }
                (Then::Confirmed(id, by), Done::Installed(result)) => {
                    self.confirmed(id, by, result);
                }
                (Then::Kept(answer), Done::Kept(result)) => self.kept(answer, result),
                // An answer is of the kind of its task.
                _ => {}
            }
        }
    }

    /// When [`Self::keep_time`] has something to do.
    pub(super) fn change_deadline(&self) -> Option<Instant> {
        self.parts.revisions.deadline().filter(|_| !self.is_ending())
    }

    /// Does what the time asks for.
    pub(super) fn keep_time(&mut self) {
        if self.is_ending() {
            return;
        }
        for deed in self.parts.revisions.due(clock::now()) {
            match deed {
                Due::TakeBack(version) => {
                    self.taken_back(&version, "nobody confirmed it in time");
                }
                Due::Look if self.parts.keeper.is_idle() => {
                    let task = Task::Read(self.options.config.clone());
                    self.parts.keeper.ask(task, Then::Look);
                }
                Due::Look => {}
                Due::Keep => self.keep(None),
            }
        }
    }

    /// Why nothing can be changed now.
    fn hindrance(&self) -> Option<String> {
        if self.is_ending() {
            return Some(ENDING.into());
        }
        if self.is_changing {
            return Some(BUSY.into());
        }
        let (trial, _) = self.parts.revisions.on_trial()?;
        let left = trial.until.since(clock::now()).as_secs();
        let by = &trial.origin.by;
        Some(format!(
            "the configuration of {by} is on trial for {left} s more; `rail confirm` or `rail \
             rollback` comes first"
        ))
    }

    fn validated(&mut self, asked: Box<Asked>, result: Result<Validated, Bad>) {
        let valid = match result {
            Ok(valid) => Box::new(valid),
            Err(bad) => return self.not_changed(asked.id, &bad.report),
        };
        if let Some(limit) = asked.confirm {
            let trial = Box::new(Trial {
                origin: asked.origin.clone(),
                text: valid.version.text.clone(),
                back: self.parts.revisions.good().text.clone(),
                boot_id: clock::boot_id(),
                until: clock::now() + limit,
                is_confirmed: false,
                replaced: None,
            });
            let task = Task::Try(trial.clone());
            return self.parts.keeper.ask(task, Then::Tried(asked, trial, valid));
        }
        if let Some(why) = self.cuts(&asked.ssh, &valid) {
            let text = format!(
                "{why}. With `--confirm 60s` it is taken back by itself if you cannot confirm it"
            );
            return self.not_changed(asked.id, &text);
        }
        let task = Task::Install {
            config: self.options.config.clone(),
            text: valid.version.text.clone(),
            loaded: self.parts.revisions.good().text.clone(),
        };
        self.parts.keeper.ask(task, Then::Installed(asked, valid));
    }

    /// Why it would cut the SSH connection of who asked for it.
    fn cuts(&self, ssh: &str, valid: &Validated) -> Option<String> {
        let router = &self.parts.router;
        let path = ssh_path(ssh, |client, server| router.interface_towards(client, server))?;
        let [running, new] = [self.parts.revisions.running(), &valid.version]
            .map(|version| router.named(version.config.clone()));
        cut(&running, &new, &path)
    }

    fn not_changed(&mut self, id: ClientId, text: &str) {
        self.is_changing = false;
        self.refuse(Some(id), text);
    }

    fn tried(&mut self, asked: &Asked, trial: Trial, valid: Validated, result: Result<(), String>) {
        if let Err(text) = result {
            let text = format!("{text}; nothing was changed, for a crash could not take it back");
            return self.not_changed(asked.id, &text);
        }
        self.is_changing = false;
        self.take(&valid);
        let limit_s = asked.confirm.unwrap_or_default().as_secs();
        self.tell(&RevisionNews::OnTrial { by: asked.origin.by.clone(), limit_s }.into());
        self.parts.revisions.tried(trial, valid.version);
        self.answer_good(Some(asked.id));
    }

    fn installed(&mut self, asked: Asked, valid: Validated, result: Installed) {
        self.is_changing = false;
        self.take(&valid);
        let warnings = match result {
            Ok(unloaded) => {
                let warnings = self.note_unloaded(unloaded);
                let Origin { by, how, .. } = asked.origin.clone();
                self.tell(&RevisionNews::Installed { by, how }.into());
                warnings
            }
            Err(text) => {
                let text = format!(
                    "{text}; the configuration is in use, but the next start takes the file of before"
                );
                self.tell(&Notice::daemon(Severity::Error, text.clone()));
                vec![text]
            }
        };
        self.parts.revisions.taken(clock::now(), valid.version, asked.origin);
        self.keep(Some(Answer { id: asked.id, warnings }));
    }

    /// Tells where an edit of the configuration file is that was never loaded.
    fn note_unloaded(&mut self, unloaded: Option<PathBuf>) -> Vec<String> {
        let Some(path) = unloaded else { return Vec::new() };
        let (file, path) = (self.options.config.display(), path.display());
        let text = format!("{file} had been edited and not loaded; the edit is kept in {path}");
        self.tell(&Notice::daemon(Severity::Warn, text.clone()));
        vec![text]
    }

    fn confirmed(&mut self, id: ClientId, by: String, result: Installed) {
        self.parts.revisions.hold(false);
        let unloaded = match result {
            Ok(unloaded) => unloaded,
            Err(text) => {
                return self.not_changed(id, &format!("{text}; the configuration stays on trial"));
            }
        };
        self.is_changing = false;
        let warnings = self.note_unloaded(unloaded);
        let trial = self.parts.revisions.on_trial().map(|(t, v)| (t.origin.clone(), v.clone()));
        if let Some((origin, version)) = trial {
            self.parts.revisions.taken(clock::now(), version, origin);
        }
        self.tell(&RevisionNews::Confirmed { by }.into());
        self.keep(Some(Answer { id, warnings }));
    }

    fn taken_back(&mut self, version: &Version, why: &str) {
        self.run_with(version);
        self.tell(&RevisionNews::TakenBack { why: why.into() }.into());
    }

    fn keep(&mut self, answer: Option<Answer>) {
        let revisions = &self.parts.revisions;
        let task = Task::Keep {
            config: self.options.config.clone(),
            last_good: revisions.good().text.clone(),
            history: revisions.history().clone(),
            // One that is on its way to the disk must stay there.
            trial: revisions.on_trial().is_some() || self.is_changing,
        };
        self.parts.keeper.ask(task, Then::Kept(answer));
    }

    fn kept(&mut self, answer: Option<Answer>, result: Result<Option<PathBuf>, String>) {
        self.parts.revisions.kept(clock::now(), result.is_ok());
        if let Ok(Some(rejected)) = &result {
            let (file, rejected) = (self.options.config.display(), rejected.display());
            let text = format!("gave {file} back its content; what was on trial is in {rejected}");
            self.tell(&Notice::daemon(Severity::Warn, text));
        }
        let error = result.err();
        if let Some(Answer { id, mut warnings }) = answer {
            warnings.extend(error.clone());
            self.parts.api.answer(&self.parts.poller, id, &Applied { ok: true, warnings });
        }
        if error != self.keep_error {
            let (severity, text) = match &error {
                Some(text) => (Severity::Error, format!("{text}; goes on without it")),
                None => (Severity::Info, "could write the history again".into()),
            };
            self.tell(&Notice::daemon(severity, text));
        }
        self.keep_error = error;
    }

    fn reloaded(&mut self, asked_by: Option<ClientId>, ssh: &str, result: Result<Validated, Bad>) {
        let cut = result.as_ref().ok().and_then(|valid| self.cuts(ssh, valid));
        match (result, cut) {
            // Meanwhile another began: that one stands.
            (Ok(_), _) if self.hindrance().is_some() => self.not_reloaded(asked_by, BUSY),
            (Ok(_), Some(why)) => {
                let file = self.options.config.display();
                let text = format!(
                    "{why}. `rail apply {file} --confirm 60s` takes it back by itself if you \
                     cannot confirm it"
                );
                self.not_reloaded(asked_by, &text);
            }
            (Ok(valid), None) => {
                self.take(&valid);
                let origin = origin("reload", "root");
                self.parts.revisions.taken(clock::now(), valid.version, origin);
                self.answer_good(asked_by);
            }
            (Err(bad), _) => {
                let text = format!("kept the running configuration: {}", bad.problem);
                self.tell(&Notice::daemon(Severity::Error, text));
                self.refuse(asked_by, &bad.report);
            }
        }
        // The first state is reported when it stands.
        if self.is_ready {
            self.parts.manager.send("READY=1");
        }
    }

    fn looked(&mut self, result: Result<Validated, Bad>) {
        if self.hindrance().is_some() {
            return;
        }
        let (notices, file) = match result {
            Ok(Validated { version, notices }) => (notices, Ok(version)),
            Err(bad) => (Vec::new(), Err(bad.problem)),
        };
        if let Some(version) = self.parts.revisions.looked(file) {
            self.take(&Validated { version: version.clone(), notices });
            self.parts.revisions.taken(clock::now(), version, origin("reload", "the file"));
        }
    }

    /// Makes it the running configuration: the one way for all of them.
    fn take(&mut self, valid: &Validated) {
        valid.notices.iter().for_each(|warning| self.tell(warning));
        self.run_with(&valid.version);
    }

    fn run_with(&mut self, version: &Version) {
        self.parts.log.configure(&version.config.log);
        if !self.is_ending() {
            self.handle(Input::Reload(Box::new(version.config.clone())));
        }
    }
}

fn origin(how: &str, by: &str) -> Origin {
    Origin { wall: clock::wall(), by: by.into(), how: how.into() }
}

/// The path of an edit that was never loaded, or why nothing was written.
type Installed = Result<Option<PathBuf>, String>;

const NO_STEP: &str = "a rollback by 0 steps changes nothing: write 1 or more, `rail history` shows how \
                       many there are";
const NO_SECOND_TRIAL: &str = "a configuration is on trial, and `rail rollback` takes it back for good: \
                               leave out --confirm";
pub(super) const ENDING: &str = "the daemon is ending";
const BUSY: &str = "another change of the configuration is under way; try again";
