//! One child: what it is to be, and the process that it is.

use super::output::{Line, Output};
use super::place::Place;
use super::record::{self, Record};
use super::session::{self, Identity};
use super::taken::Taken;
use super::trial::{self, No};
use super::{holder, start};
use crate::clock;
use rail_core::{Child, ChildEvent, Exit, OnChange};
use rustix::fd::OwnedFd;
use rustix::process::{Signal, pidfd_send_signal};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// What all slots have in common.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) place: Place,
    pub(super) boot: String,
}

/// One child.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) wanted: Option<Child>,
    pub(super) process: Option<Process>,
    /// The life that ended by itself: it is not begun again.
    ended_run: Option<u64>,
    /// What its program took last.
    taken: Option<Taken>,
    refused: Option<Refusal>,
}

/// What its program did not take.
#[derive(Debug)]
struct Refusal {
    child: Child,
    why: String,
    /// When it is asked again; `None`: it has said no.
    ask_at: Option<Instant>,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Process {
    /// What it runs as; `None` if that cannot be read, or its program was replaced since.
    child: Option<Child>,
    /// Which file it runs.
    file: Option<String>,
    identity: Identity,
    /// Readable when it has ended.
    pub(super) end: OwnedFd,
    /// We are its parent.
    handle: Option<std::process::Child>,
    pub(super) output: Option<Output>,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    /// When patience ends; `None` once it was killed.
    kill_at: Option<Instant>,
}

impl Slot {
    pub(super) fn new(name: String, place: &Place) -> Self {
        let taken = Taken::load(place, &name);
        Self { name, wanted: None, process: None, ended_run: None, taken, refused: None }
    }

    /// Takes over a child of an earlier supervisor, or what it left behind.
    pub(super) fn adopt(&mut self, site: &Site, record: Record) -> Option<ChildEvent> {
        let Record { name, identity, child, file } = record;
        let Some(end) = session::open(identity) else {
            session::sweep_marked(identity, &start::mark(&name, child.as_ref()));
            record::end(&site.place, &name);
            site.place.clear(&name);
            return None;
        };
        // Without its pipe it is mute, and works on.
        let output = Output::open(&site.place.pipe(&name)).ok();
        let is_current = |child: &Child| start::file_of(child).is_none_or(|now| Some(now) == file);
        let child = child.filter(is_current);
        let (handle, ending) = (None, None);
        self.process = Some(Process { child, file, identity, end, handle, output, ending });
        // Ticks are hundredths of a second for programs, on all that Linux runs on here.
        let began = Duration::from_millis(identity.began.saturating_mul(10));
        let now = Duration::from_nanos(clock::now().as_nanos());
        let (pid, age) = (identity.pid, now.saturating_sub(began));
        Some(ChildEvent::Began { pid, is_adopted: true, age })
    }

    /// Does what is left to do, as far as it can be done now.
    pub(super) fn act(&mut self, site: &Site, now: Instant) -> Vec<ChildEvent> {
        match (&self.process, self.wanted.clone()) {
            (None, Some(child)) if self.ended_run != Some(child.run) => {
                return self.start(site, child, now);
            }
            (Some(process), Some(child)) if process.ending.is_none() => {
                return self.renew(site, &child, now).into_iter().collect();
            }
            (Some(process), None) if process.ending.is_none() => {
                let grace = process.child.as_ref().map_or(GRACE, |child| child.grace);
                (self.taken, self.refused) = (None, None);
                Taken::forget(&site.place, &self.name);
                self.process.iter_mut().for_each(|process| process.end(now, grace));
            }
            _ => {}
        }
        Vec::new()
    }

    /// Makes what runs what it is to be, if its program takes that.
    fn renew(&mut self, site: &Site, child: &Child, now: Instant) -> Option<ChildEvent> {
        let runs = self.process.as_ref()?.child.as_ref();
        if runs.is_some_and(|runs| runs.is_same(child)) {
            self.refused = None;
            return None;
        }
        let can_reload = runs.is_some_and(|runs| runs.differs_in_files_alone(child))
            && child.on_change == OnChange::Reload;
        // It runs, so that was taken.
        let before = runs.filter(|runs| !runs.trial.is_empty()).map(Taken::of);
        let is_told = |refused: &Refusal| refused.child.is_same(child).then(|| refused.why.clone());
        let told = self.refused.as_ref().and_then(is_told);
        if let Err(why) = self.judge(site, child, now) {
            if let (None, Some(before)) = (&self.taken, before) {
                before.save(&site.place, &self.name);
                self.taken = Some(before);
            }
            return (told.as_ref() != Some(&why)).then_some(ChildEvent::Refused { why });
        }
        let process = self.process.as_mut()?;
        if can_reload && process.reload(site, child).is_ok() {
            return Some(ChildEvent::Reloaded);
        }
        process.end(now, child.grace);
        None
    }

    /// Asks its program for these files, unless it has refused them already.
    fn judge(&mut self, site: &Site, child: &Child, now: Instant) -> Result<(), String> {
        if child.trial.is_empty() {
            return Ok(());
        }
        if let Some(Refusal { child: refused, why, ask_at }) = &self.refused
            && refused.is_same(child)
            && ask_at.is_none_or(|at| at > now)
        {
            return Err(why.clone());
        }
        let answers = self.process.as_ref().is_some_and(Process::answers);
        let (why, ask_at) = match trial::hold(&site.place, child, answers) {
            Ok(()) => {
                let taken = Taken::of(child);
                taken.save(&site.place, &self.name);
                (self.taken, self.refused) = (Some(taken), None);
                return Ok(());
            }
            Err(No::Refused(why)) => (why, None),
            Err(No::Unheard(why)) => (why, Some(now + ASK_AGAIN)),
        };
        self.refused = Some(Refusal { child: child.clone(), why: why.clone(), ask_at });
        Err(why)
    }

    /// Starts it; with the files of before, where its program takes no others.
    fn start(&mut self, site: &Site, wanted: Child, now: Instant) -> Vec<ChildEvent> {
        let is_known = self.taken.as_ref().is_some_and(|taken| taken.is_of(&wanted));
        let refused = if is_known { None } else { self.judge(site, &wanted, now).err() };
        let run = wanted.run;
        let (child, refused) = match (&self.taken, refused) {
            (Some(taken), Some(why)) => (taken.put_into(&wanted), Some(why)),
            _ => (wanted, None),
        };
        match start_process(site, &child) {
            Ok(process) => {
                let pid = process.identity.pid;
                self.process = Some(process);
                let began = ChildEvent::Began { pid, is_adopted: false, age: Duration::ZERO };
                let refused = refused.map(|why| ChildEvent::Refused { why });
                std::iter::once(began).chain(refused).collect()
            }
            Err(e) => {
                record::end(&site.place, &self.name);
                self.ended_run = Some(run);
                let exit = Exit::NotStarted(e.to_string());
                vec![ChildEvent::Ended { exit, was_asked: false }]
            }
        }
    }

    /// What runs answers the system's own questions, and is to.
    pub(super) fn answers(&self) -> bool {
        let is_wanted = self.wanted.as_ref().is_some_and(|child| child.is_resolver);
        is_wanted && self.process.as_ref().is_some_and(Process::answers)
    }

    /// Its process has ended: what it left goes, too.
    pub(super) fn ended(&mut self, site: &Site) -> Option<ChildEvent> {
        let mut process = self.process.take()?;
        // While it is not waited for, nobody else can get its number.
        session::sweep(process.identity);
        let exit = match process.handle.as_mut().map(std::process::Child::wait) {
            Some(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            Some(Err(_)) | None => Exit::Unknown,
        };
        record::end(&site.place, &self.name);
        site.place.clear(&self.name);
        let was_asked = process.ending.is_some();
        if !was_asked {
            self.ended_run = self.wanted.as_ref().map(|child| child.run);
        }
        Some(ChildEvent::Ended { exit, was_asked })
    }

    /// Who has the ports without which it ended so.
    pub(super) fn lacks(&self, ended: &ChildEvent) -> Vec<String> {
        let ChildEvent::Ended { exit: Exit::Code(code), was_asked: false } = ended else {
            return Vec::new();
        };
        let needs = self.wanted.as_ref().and_then(|child| child.needs.as_ref());
        needs
            .filter(|needs| needs.lacking == *code)
            .map_or_else(Vec::new, |n| holder::name(&n.ports))
    }

    /// Reads what it wrote.
    pub(super) fn read(&mut self, now: Instant) -> Vec<Line> {
        let output = self.process.as_mut().and_then(|process| process.output.as_mut());
        output.map(|output| output.read(now)).unwrap_or_default()
    }

    /// Kills what was told to end and does not.
    pub(super) fn kill_if_due(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        let Some(ending) = &mut process.ending else { return };
        if ending.kill_at.take_if(|at| *at <= now).is_some() {
            process.signal(Signal::KILL);
        }
    }

    /// When there is something to do without being asked.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let process = self.process.as_ref()?;
        let kill = process.ending.as_ref().and_then(|ending| ending.kill_at);
        let read = process.output.as_ref().and_then(|output| output.resumes(now));
        kill.into_iter().chain(read).chain(self.ask_at()).min()
    }

    /// When its program is asked again about what is wanted.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        let is_over = self.process.as_ref().is_none_or(|process| process.ending.is_some());
        let refused = self.refused.as_ref().filter(|_| !is_over)?;
        let wanted = self.wanted.as_ref()?;
        refused.ask_at.filter(|_| refused.child.is_same(wanted))
    }

    /// Nothing is left to do until something happens.
    pub(super) fn is_settled(&self) -> bool {
        match (&self.process, &self.wanted) {
            (Some(process), Some(_)) => process.ending.is_none(),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }
}

impl Process {
    /// It answers the system's own questions. One of which that is not known ends soon.
    fn answers(&self) -> bool {
        self.child.as_ref().is_none_or(|child| child.is_resolver)
    }

    fn signal(&self, signal: Signal) {
        // It may have ended meanwhile. What it has no right to, it is told of by the child living on.
        let _ = pidfd_send_signal(&self.end, signal);
    }

    fn end(&mut self, now: Instant, grace: Duration) {
        self.signal(Signal::TERM);
        // One that was stopped hears nothing.
        self.signal(Signal::CONT);
        self.ending = Some(Ending { kill_at: Some(now + grace.min(LONGEST_GRACE)) });
    }

    fn reload(&mut self, site: &Site, child: &Child) -> std::io::Result<()> {
        site.place.furnish(child)?;
        record::declare(&site.place, &site.boot, child, self.file.as_deref())?;
        self.signal(Signal::HUP);
        self.child = Some(child.clone());
        Ok(())
    }
}

fn start_process(site: &Site, child: &Child) -> std::io::Result<Process> {
    let file = start::file_of(child);
    let (mut handle, output) = start::start(&site.place, &site.boot, child, file.as_deref())?;
    let identity = session::identify(handle.id());
    let opened = identity.and_then(|identity| Some((identity, session::open(identity)?)));
    let Some((identity, end)) = opened.or_else(|| dead_at_once(identity)) else {
        // Without a way to hear of its end it must not run.
        let _ = handle.kill();
        let _ = handle.wait();
        return Err(std::io::Error::other("the process cannot be watched"));
    };
    let (child, output) = (Some(child.clone()), Some(output));
    Ok(Process { child, file, identity, end, handle: Some(handle), output, ending: None })
}

/// One that has ended already is not waited for yet, so its number still means itself.
fn dead_at_once(identity: Option<Identity>) -> Option<(Identity, OwnedFd)> {
    let identity = identity?;
    let pid = i32::try_from(identity.pid).ok().and_then(rustix::process::Pid::from_raw)?;
    let end = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
    Some((identity, end))
}

/// After a trial in which nothing was said.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// For a child whose declaration cannot be read.
const GRACE: Duration = Duration::from_secs(3);
/// A withdrawal waits ten seconds.
const LONGEST_GRACE: Duration = Duration::from_secs(8);
