//! One child: what it is to be, and the process that it is.

use super::output::{Line, Output};
use super::place::Place;
use super::record::{self, Record};
use super::session::{self, Identity};
use super::{holder, start, trial};
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
    /// What its program refused: what runs is kept, and not asked again.
    refused: Option<Child>,
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
    pub(super) const fn new(name: String) -> Self {
        Self { name, wanted: None, process: None, ended_run: None, refused: None }
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
    pub(super) fn act(&mut self, site: &Site, now: Instant) -> Option<ChildEvent> {
        match (&mut self.process, &self.wanted) {
            (None, Some(child)) if self.ended_run != Some(child.run) => self.start(site),
            (Some(process), Some(child)) if process.ending.is_none() => {
                let runs = process.child.as_ref();
                if runs.is_some_and(|runs| runs.is_same(child)) {
                    self.refused = None;
                    return None;
                }
                let can_reload = runs.is_some_and(|runs| runs.differs_in_files_alone(child))
                    && child.on_change == OnChange::Reload;
                if let Some(refused) = &self.refused
                    && refused.is_same(child)
                {
                    return None;
                }
                if let Err(why) = trial::hold(&site.place, child) {
                    self.refused = Some(child.clone());
                    return Some(ChildEvent::Refused { why });
                }
                self.refused = None;
                if can_reload && process.reload(site, child).is_ok() {
                    return Some(ChildEvent::Reloaded);
                }
                process.end(now, child.grace);
                None
            }
            (Some(process), None) if process.ending.is_none() => {
                let grace = process.child.as_ref().map_or(GRACE, |child| child.grace);
                process.end(now, grace);
                None
            }
            _ => None,
        }
    }

    fn start(&mut self, site: &Site) -> Option<ChildEvent> {
        let child = self.wanted.clone()?;
        match start_process(site, &child) {
            Ok(process) => {
                let pid = process.identity.pid;
                self.process = Some(process);
                Some(ChildEvent::Began { pid, is_adopted: false, age: Duration::ZERO })
            }
            Err(e) => {
                record::end(&site.place, &self.name);
                self.ended_run = Some(child.run);
                let exit = Exit::NotStarted(e.to_string());
                Some(ChildEvent::Ended { exit, was_asked: false })
            }
        }
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
        kill.into_iter().chain(read).min()
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

/// For a child whose declaration cannot be read.
const GRACE: Duration = Duration::from_secs(3);
/// A withdrawal waits ten seconds.
const LONGEST_GRACE: Duration = Duration::from_secs(8);
