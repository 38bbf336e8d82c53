//! Requests of clients, and the ways to end.
//!
//! Promises: ending by signal or by `stop` changes nothing in the kernel;
//! `stop --withdraw` answers when everything of ours is gone, or after ten
//! seconds with what it got stuck on.

use super::api::ClientId;
use super::client::Request;
use super::pass::Daemon;
use rail_core::Input;
use rail_core::notice::{Notice, Severity};
use rail_core::status::Status;
use rail_core::time::{Duration, Instant};
use rail_linux::clock;
use serde::Serialize;

/// How far the end has come.
#[derive(Debug)]
pub(super) enum Ending {
    /// It works.
    No,
    /// It takes everything away, until then at most.
    Withdrawing { until: Instant, asked_by: Vec<ClientId> },
    /// The loop ends.
    Now,
}

impl Ending {
    /// When patience ends.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Withdrawing { until, .. } => Some(*until),
            Self::No | Self::Now => None,
        }
    }
}

#[derive(Serialize)]
struct StatusAnswer {
    ok: bool,
    status: Status,
}

#[derive(Serialize)]
struct Good {
    ok: bool,
}

impl Daemon {
    /// Answers the requests that are due.
    pub(super) fn serve(&mut self) {
        for (id, request) in self.parts.api.requests(&self.parts.poller) {
            let begun = clock::now();
            match request {
                Request::Status => self.answer_status(id),
                Request::Events { follow } => {
                    self.parts.api.send_events(&self.parts.poller, id, &self.ring, follow);
                }
                Request::Reload { ssh } => self.reload(Some(id), ssh),
                Request::Apply(wish) => self.apply(id, wish),
                Request::Rollback(wish) => self.roll_back(id, wish),
                Request::Confirm { by } => self.confirm(id, by),
                Request::Say(said) => self.say(id, said),
                Request::History => self.answer_history(id),
                Request::Configuration => self.answer_text(id),
                Request::Notifier(report) => {
                    self.notifier = Some((clock::now(), *report));
                    self.answer_good(Some(id));
                }
                Request::Stop { withdraw: true } => self.withdraw(id),
                Request::Stop { withdraw: false } => {
                    self.answer_good(Some(id));
                    self.stop();
                }
            }
            self.parts.api.charge(&self.parts.poller, id, begun);
        }
        if self.ending.deadline().is_some_and(|until| until <= clock::now()) {
            self.withdrawal_failed();
        }
    }

    /// Root gets what is true now, others what was true a moment ago: it is not made for each. They
    /// do not get what only root may read.
    fn answer_status(&mut self, id: ClientId) {
        if self.parts.api.is_root(id) {
            let answer = StatusAnswer { ok: true, status: self.status() };
            return self.parts.api.answer(&self.parts.poller, id, &answer);
        }
        let now = clock::now();
        let kept = self.last_status.take().filter(|(at, _)| now.since(*at) < FRESH);
        let (at, line) = match kept {
            Some(kept) => kept,
            None => {
                let status = self.status().for_anybody();
                match serde_json::to_string(&StatusAnswer { ok: true, status }) {
                    Ok(line) => (now, line + "\n"),
                    Err(e) => {
                        let text = format!("the answer could not be written: {e}");
                        return self.parts.api.refuse(&self.parts.poller, id, &text);
                    }
                }
            }
        };
        self.parts.api.answer_line(&self.parts.poller, id, &line);
        self.last_status = Some((at, line));
    }

    /// Tells whoever asked, if somebody did.
    pub(super) fn answer_good(&mut self, id: Option<ClientId>) {
        if let Some(id) = id {
            self.parts.api.answer(&self.parts.poller, id, &Good { ok: true });
        }
    }

    /// The same.
    pub(super) fn refuse(&mut self, id: Option<ClientId>, text: &str) {
        if let Some(id) = id {
            self.parts.api.refuse(&self.parts.poller, id, text);
        }
    }

    /// Ends and leaves everything in place.
    pub(super) fn stop(&mut self) {
        self.parts.manager.send("STOPPING=1");
        self.ending = Ending::Now;
    }

    fn withdraw(&mut self, id: ClientId) {
        match &mut self.ending {
            Ending::No => {
                self.parts.manager.send("STOPPING=1");
                let until = clock::now() + WITHDRAW_LIMIT;
                self.ending = Ending::Withdrawing { until, asked_by: vec![id] };
                self.handle(Input::Withdraw);
            }
            Ending::Withdrawing { asked_by, .. } => asked_by.push(id),
            Ending::Now => {}
        }
    }

    /// Everything is gone.
    pub(super) fn withdrawn(&mut self) {
        for id in self.askers() {
            self.answer_good(Some(id));
        }
        self.ending = Ending::Now;
    }

    fn withdrawal_failed(&mut self) {
        let trouble = self.parts.router.status(clock::now()).trouble;
        let stuck: Vec<String> =
            trouble.iter().map(|t| format!("{}: {}", t.object, t.text)).collect();
        let text = format!("could not take everything away in 10 s; stuck: {}", stuck.join("; "));
        for id in self.askers() {
            self.parts.api.refuse(&self.parts.poller, id, &text);
        }
        self.tell(&Notice::daemon(Severity::Error, text));
        self.ending = Ending::Now;
    }

    fn askers(&mut self) -> Vec<ClientId> {
        match &mut self.ending {
            Ending::Withdrawing { asked_by, .. } => std::mem::take(asked_by),
            Ending::No | Ending::Now => Vec::new(),
        }
    }

    /// True from the moment on at which somebody had it end.
    pub(super) const fn is_ending(&self) -> bool {
        !matches!(self.ending, Ending::No)
    }

    /// True when the loop must end.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.ending, Ending::Now)
    }

    /// The last acts: the state goes to the disk, then the lock, then the sockets. When nobody
    /// listens any more, the next daemon can start and finds everything.
    pub(super) fn finish(self) {
        drop(self.parts.shell);
        drop(self.parts.keeper);
        drop(self.lock);
        self.parts.api.close();
        self.parts.log.finish();
    }
}

/// For how long a status is good enough for users other than root.
const FRESH: Duration = Duration::from_millis(100);
const WITHDRAW_LIMIT: Duration = Duration::from_secs(10);
