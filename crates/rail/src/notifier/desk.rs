//! One pass after the other: take what has come, do what is due, sleep.

use super::door::Door;
use super::event::{self, Event};
use super::fold::{Moment, Rules};
use super::link::{Link, Questions};
use super::message::{self, Message};
use super::names::{Errand, Names};
use super::retry::Outcome;
use super::runs::Runs;
use super::send::curl::Orders;
use super::send::{Ended, Way};
use super::state::State;
use super::target::{Kind, Target, named};
use super::{say, ways};
use rail_core::config::{Config, Notify};
use rail_core::status::{NotifierStatus, Status};
use rail_linux::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All of it.
#[derive(Debug)]
pub(super) struct Desk {
    questions: Questions,
    /// Where mails are written for curl.
    mails: PathBuf,
    /// Spools and state.
    directory: PathBuf,
    link: Option<Link>,
    door: Door,
    runs: Runs<Whose>,
    router: String,
    notify: Notify,
    targets: Vec<Target>,
    names: Names,
    state: State,
    /// The configuration is another one, and could not be read yet.
    is_behind: bool,
    /// Since the last event that was taken in some are missing.
    is_torn: bool,
    is_dirty: bool,
    save_error: Option<String>,
    status: Option<Status>,
    healthy: Vec<String>,
    unread: u64,
    /// What the daemon was told last.
    report: NotifierStatus,
    /// When what may be done again, in milliseconds since boot.
    next: Next,
}

#[derive(Debug, Default)]
struct Next {
    link_ms: u64,
    save_ms: u64,
    status_ms: u64,
    report_ms: u64,
    write_ms: u64,
}

/// Whose attempt has ended.
#[derive(Debug)]
enum Whose {
    Target(Box<Letter>),
    Name(Box<Errand>),
}

/// A message on its way to one target.
#[derive(Debug)]
struct Letter {
    target: String,
    kind: Kind,
    id: String,
    orders: Option<Orders>,
    /// Who asked for it, past the queue.
    test: Option<u64>,
}

impl Desk {
    pub(super) fn open(runtime_dir: &Path, state_dir: &Path) -> io::Result<Self> {
        // Before there is a descriptor that a child could inherit.
        let runs = Runs::start()?;
        // The daemon names it by a detour.
        let runtime_dir = &runtime_dir.canonicalize().unwrap_or_else(|_| runtime_dir.into());
        let directory = state_dir.to_owned();
        let mails = runtime_dir.join("children/notifier");
        for place in [&directory, &mails] {
            use std::os::unix::fs::DirBuilderExt;
            // What cannot be made is told where it is needed.
            let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(place);
        }
        Ok(Self {
            questions: Questions { runtime_dir: runtime_dir.into() },
            mails,
            link: None,
            door: Door::open(runtime_dir)?,
            runs,
            router: String::new(),
            notify: Notify::default(),
            targets: Vec::new(),
            names: Names::default(),
            state: State::load(&directory, &clock::boot_id()),
            directory,
            is_behind: false,
            is_torn: false,
            is_dirty: false,
            save_error: None,
            status: None,
            healthy: Vec::new(),
            unread: 0,
            report: NotifierStatus::default(),
            next: Next::default(),
        })
    }

    /// # Errors
    /// The kernel refuses to wait.
    pub(super) fn pass(&mut self) -> io::Result<()> {
        self.wait()?;
        self.take_events();
        for (whose, ended) in self.runs.ended() {
            self.take_end(whose, ended);
        }
        while let Some((id, only)) = self.door.asked() {
            self.test(id, only.as_deref());
        }
        self.connect();
        self.look();
        self.compose();
        self.attempt();
        self.tell_names();
        self.save(false);
        self.say_how();
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let now = now_ms();
        let moment = moment();
        let fold = self.state.fold.due_ms(&Rules::from(&self.notify), moment);
        let has_way = |target: &&Target| self.way(&target.kind, target.turn).is_some();
        let waiting = self.targets.iter().filter(|t| !t.is_busy && t.spool.first().is_some());
        let attempts = waiting.filter(has_way).map(|target| target.retry.next_ms()).min();
        let names = self.names.next_in_s(&self.state, clock::wall_seconds());
        let all = [
            Some(now + REST_MS),
            fold,
            attempts,
            names.map(|s| now + s * 1000),
            self.link.is_none().then_some(self.next.link_ms),
            self.is_dirty.then_some(self.next.save_ms),
            (self.link.is_some() && self.needs_look()).then_some(self.next.status_ms),
            (self.next.report_ms > now).then_some(self.next.report_ms),
        ];
        let until = all.into_iter().flatten().min().unwrap_or(now);
        let time = Duration::from_millis(until.saturating_sub(now).min(REST_MS));
        let timeout = Timespec::try_from(time).unwrap_or_default();
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.runs.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.door.as_fd(), PollFlags::IN),
        ];
        fds.extend(
            self.link.iter().map(|link| PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)),
        );
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Finds the daemon, and what it is to do.
    fn connect(&mut self) {
        if self.link.is_some() || now_ms() < self.next.link_ms {
            return;
        }
        self.next.link_ms = now_ms() + RECONNECT_MS;
        let Ok(config) = self.questions.configuration() else { return };
        let is_behind = std::mem::take(&mut self.is_behind);
        self.configure(&config, is_behind);
        self.link = Link::open(&self.questions.runtime_dir).ok();
        self.next.status_ms = 0;
        self.next.report_ms = 0;
    }

    fn configure(&mut self, config: &Config, is_new: bool) {
        self.router.clone_from(&config.router.name);
        self.notify = config.notify.clone();
        let mut before = std::mem::take(&mut self.targets);
        for (name, kind) in named(&config.notify) {
            let known = before.iter().position(|target| target.name == name);
            let mut target = match known {
                Some(at) => before.swap_remove(at),
                None => Target::open(name, kind.clone(), &self.directory),
            };
            // Somebody put something right, here or in the file of a password.
            if target.kind != kind || is_new {
                target.kind = kind;
                target.retry.hurry(now_ms());
            }
            self.targets.push(target);
        }
        self.names.configure(&config.ddns, &mut self.state, is_new);
        self.finish_message();
        self.is_dirty = true;
    }

    /// A crash may have come between the message and the note that it was made: whoever lacks it gets it.
    fn finish_message(&mut self) {
        let Some(first) = self.state.fold.first() else { return };
        let id = self.state.message_id(first);
        let Some(made) = self.targets.iter().find_map(|t| t.spool.get(&id).cloned()) else {
            return;
        };
        for target in self.targets.iter_mut().filter(|target| target.spool.get(&id).is_none()) {
            target.spool.push(made.clone());
        }
        self.state.fold.drop_open();
    }

    fn take_events(&mut self) {
        let Some(link) = &mut self.link else { return };
        match link.read() {
            Ok(lines) => {
                for line in lines {
                    match event::read(&line) {
                        Some(event) => self.take(event),
                        None => self.unread += 1,
                    }
                }
            }
            Err(_) => {
                self.link = None;
                self.next.link_ms = now_ms() + RECONNECT_MS;
            }
        }
    }

    fn take(&mut self, event: Event) {
        let number = event.number;
        let is_first = self.state.last.is_none();
        if self.state.last.is_some_and(|last| number <= last) {
            return;
        }
        self.is_torn |= self.state.last.is_some_and(|last| !number.follows(last));
        // Who begins to be told now is not told the story of the last days.
        let is_old = is_first && event.at_ms.saturating_add(OLD_MS) < now_ms();
        if is_old {
            return;
        }
        self.state.last = Some(number);
        self.is_dirty = true;
        if event.is("reloaded") {
            match self.questions.configuration() {
                Ok(config) => self.configure(&config, true),
                // With the next link it is asked for again.
                Err(_) => (self.is_behind, self.link) = (true, None),
            }
        }
        // What the daemon decides is seen in its status.
        self.next.status_ms = self.next.status_ms.min(now_ms() + SETTLE_MS);
        let Some(told) = event.told() else { return };
        if !self.targets.is_empty() && self.notify.on.contains(&told.topic()) {
            let is_torn = std::mem::take(&mut self.is_torn);
            self.state.fold.take(now_ms(), number, told, is_torn);
        }
    }

    /// Looks at the uplinks, if it may matter to somebody.
    fn look(&mut self) {
        if self.link.is_some() && self.needs_look() && now_ms() >= self.next.status_ms {
            self.refresh();
        }
    }

    fn needs_look(&self) -> bool {
        self.status.is_none()
            || self.targets.iter().any(|target| target.spool.len() > 0)
            || self.names.next_in_s(&self.state, 0).is_some()
    }

    fn refresh(&mut self) {
        // A daemon that is gone leaves its uplinks as they were.
        self.status = self.questions.status().or(self.status.take());
        self.next.status_ms = now_ms() + LOOK_MS;
        let healthy = ways::names(self.status.as_ref());
        if healthy.iter().any(|name| !self.healthy.contains(name)) {
            let unheard = self.targets.iter_mut().filter(|target| target.is_unheard);
            unheard.for_each(|target| target.retry.hurry(now_ms()));
        }
        self.healthy = healthy;
    }

    /// Makes the message whose time has come.
    fn compose(&mut self) {
        let Some(group) = self.state.fold.due(&Rules::from(&self.notify), moment()) else { return };
        self.is_dirty = true;
        self.refresh();
        let status = self.link.as_ref().and(self.status.as_ref());
        let id = self.state.message_id(group.first);
        let made_s = clock::wall_seconds();
        let message = message::compose(id, made_s, &self.router, &group, status);
        let message = Message { made_ms: Some(now_ms()), ..message };
        for target in &mut self.targets {
            target.spool.push(message.clone());
        }
        self.save(true);
    }

    fn way(&self, kind: &Kind, turn: usize) -> Option<Way> {
        match kind.host() {
            None => Some(Way::Inside),
            Some((host, is_inside)) => ways::to(self.status.as_ref(), host, is_inside, turn),
        }
    }

    /// Begins the attempts that are due.
    fn attempt(&mut self) {
        let now = now_ms();
        for index in 0..self.targets.len() {
            let target = &mut self.targets[index];
            target.expire(clock::wall_seconds(), now);
            if target.is_busy || target.retry.next_ms() > now {
                continue;
            }
            let Some(message) = target.spool.first().cloned() else { continue };
            let (kind, turn) = (target.kind.clone(), target.turn);
            let Some(way) = self.way(&kind, turn) else { continue };
            self.targets[index].is_busy = true;
            let name = self.targets[index].name.clone();
            self.begin(name, kind, &message, &way, None);
        }
        if now >= self.next.write_ms {
            self.next.write_ms = now + WRITE_MS;
            self.targets.iter_mut().for_each(|target| target.spool.write());
        }
    }

    fn begin(&mut self, name: String, kind: Kind, message: &Message, way: &Way, test: Option<u64>) {
        let place =
            format!("{}{}", if test.is_some() { "test-" } else { "" }, name.replace(' ', "-"));
        let attempt = kind.attempt(message, way, &self.mails.join(place));
        let id = message.id.clone();
        let begun = attempt.and_then(|attempt| {
            let (target, id, orders) = (name.clone(), id.clone(), attempt.orders.clone());
            let letter = Letter { target, kind, id, orders, test };
            let whose = Whose::Target(Box::new(letter));
            self.runs.begin(&attempt, whose).map_err(|(_, words)| Outcome::unheard(words))
        });
        if let Err(outcome) = begun {
            self.take_outcome(&name, &id, outcome, test);
        }
    }

    fn take_end(&mut self, whose: Whose, ended: Ended) {
        match whose {
            Whose::Target(letter) => {
                let outcome = letter.kind.judge(letter.orders.as_ref(), &ended);
                self.take_outcome(&letter.target, &letter.id, outcome, letter.test);
            }
            Whose::Name(errand) => {
                let now_s = clock::wall_seconds();
                self.names.ended(&mut self.state, &errand, Ok(ended), now_s);
                self.is_dirty = true;
            }
        }
    }

    fn take_outcome(&mut self, name: &str, id: &str, outcome: Outcome, test: Option<u64>) {
        if let Some(test) = test {
            return self.door.answer(test, name, &outcome);
        }
        let Some(target) = self.targets.iter_mut().find(|target| target.name == name) else {
            return;
        };
        if let Some(news) = target.ended(id, outcome, now_ms(), &clock::wall()) {
            say(&news);
        }
    }

    /// Sends a message at once, past queue and schedule.
    fn test(&mut self, asker: u64, only: Option<&str>) {
        self.refresh();
        let is_wanted = |t: &&Target| only.is_none_or(|only| only == t.kind.word());
        let all: Vec<_> = self
            .targets
            .iter()
            .filter(is_wanted)
            .map(|t| (t.name.clone(), t.kind.clone()))
            .collect();
        self.door.expect(asker, all.len());
        let id = format!("test-{}", now_ms());
        let wall = clock::wall();
        let message =
            message::test(id, clock::wall_seconds(), &wall, &self.router, self.status.as_ref());
        for (name, kind) in all {
            match self.way(&kind, 0) {
                Some(way) => self.begin(name, kind, &message, &way, Some(asker)),
                None => {
                    self.door.answer(asker, &name, &Outcome::unheard("no uplink is healthy now"))
                }
            }
        }
    }

    fn tell_names(&mut self) {
        let Some(status) = &self.status else { return };
        let now_s = clock::wall_seconds();
        for (errand, attempt) in self.names.due(&mut self.state, status, now_s) {
            let errand = Box::new(errand);
            match attempt {
                Ok(attempt) => {
                    if let Err((Whose::Name(errand), words)) =
                        self.runs.begin(&attempt, Whose::Name(errand))
                    {
                        self.names.ended(&mut self.state, &errand, Err(words), now_s);
                    }
                }
                Err(words) => self.names.ended(&mut self.state, &errand, Err(words), now_s),
            }
            self.is_dirty = true;
        }
    }

    fn save(&mut self, is_urgent: bool) {
        if !self.is_dirty || (now_ms() < self.next.save_ms && !is_urgent) {
            return;
        }
        self.next.save_ms = now_ms() + SAVE_MS;
        self.is_dirty = false;
        let error = self.state.save(&self.directory).err();
        if error.is_some() {
            self.is_dirty = true;
            self.next.save_ms = now_ms() + WRITE_MS;
        }
        if error.is_some() && self.save_error.is_none() {
            say(&format!("cannot write: {}", error.as_deref().unwrap_or_default()));
        }
        self.save_error = error;
    }

    /// Tells the daemon how it does, when that has changed.
    fn say_how(&mut self) {
        if self.link.is_none() || now_ms() < self.next.report_ms {
            return;
        }
        let errors = self.targets.iter().find_map(|target| target.spool.error.clone());
        let report = NotifierStatus {
            said_ago_s: 0,
            targets: self.targets.iter().map(|target| target.news(now_ms())).collect(),
            names: self.names.news(&self.state),
            collecting: self.state.fold.waiting(),
            unread: self.unread,
            error: errors.or_else(|| self.save_error.clone()),
        };
        // Time passes by itself.
        let mut lasting = report.clone();
        lasting.targets.iter_mut().for_each(|target| target.next_s = None);
        if lasting == self.report && self.next.report_ms != 0 {
            return;
        }
        self.next.report_ms = now_ms() + REPORT_MS;
        if self.questions.report(&report).is_ok() {
            self.report = lasting;
        }
    }
}

fn now_ms() -> u64 {
    clock::now().as_nanos() / 1_000_000
}

fn moment() -> Moment {
    Moment { ms: now_ms(), minute: clock::local_minute() }
}

/// The longest sleep.
const REST_MS: u64 = 10_000;
const RECONNECT_MS: u64 = 1000;
const SAVE_MS: u64 = 1000;
/// How old the picture of the uplinks may be while somebody waits for it.
const LOOK_MS: u64 = 30_000;
/// After an event the daemon may decide more.
const SETTLE_MS: u64 = 500;
const REPORT_MS: u64 = 1000;
/// Between two attempts at a disk that takes nothing.
const WRITE_MS: u64 = 10_000;
/// Older events are not told to who begins to be told.
const OLD_MS: u64 = 60_000;
