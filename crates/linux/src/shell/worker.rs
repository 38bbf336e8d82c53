//! Threads for what may take long: the disk, walking the connection table, and
//! looking at other software.
//!
//! Promises: the loop never waits for any; what is finished shows up through
//! one descriptor. A newer state overtakes an older one that is not yet being
//! written. On drop what was handed in is still written, if the disk answers.

use super::survey::Look;
use crate::clock;
use crate::coexist::Surveyor;
use crate::conntrack;
use crate::file;
use crate::process::Spawner;
use rail_core::coexist::Findings;
use rail_core::net::UplinkId;
use rail_core::state::OpError;
use rail_core::time::Duration;
use rail_core::{Purge, Saved};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// What a thread finished.
#[derive(Debug)]
pub(super) enum Finished {
    /// The state with this number, or a newer one, is on the disk, or could not be written.
    Saved(u64, Result<(), String>),
    /// An [`Output::Purge`](rail_core::Output::Purge).
    Purged(UplinkId, Result<u32, OpError>),
    /// What other software does to us, and how long it took to see.
    Surveyed(Box<Findings>, Duration),
}

/// Set once deletions are no longer wanted.
type CalledOff = Arc<AtomicBool>;

/// The threads.
#[derive(Debug)]
pub(super) struct Workers {
    states: Option<Sender<(u64, Box<Saved>)>>,
    /// The state that is to be written next.
    newest: Option<(u64, Box<Saved>)>,
    /// The thread has a state that it has not answered for.
    is_writing: bool,
    purges: Option<Sender<(Purge, CalledOff)>>,
    /// Of the deletions that were handed in, by uplink.
    called_off: BTreeMap<UplinkId, CalledOff>,
    surveys: Sender<Look>,
    finished: Receiver<Finished>,
    wake: Arc<OwnedFd>,
    writer: Option<JoinHandle<()>>,
    purger: Option<JoinHandle<()>>,
    count: u64,
}

#[derive(Clone)]
struct Reporter {
    sender: Sender<Finished>,
    wake: Arc<OwnedFd>,
}

impl Workers {
    /// Starts the threads; the one that looks at other software gets this spawner.
    ///
    /// # Errors
    /// No thread or descriptor left.
    pub(super) fn start(state_dir: PathBuf, surveyor: Spawner) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, finished) = channel();
        let reporter = Reporter { sender, wake: Arc::clone(&wake) };
        let (states, to_write) = channel();
        let (purges, to_purge) = channel();
        let (surveys, to_survey) = channel();
        let [purge_reporter, survey_reporter] = [reporter.clone(), reporter.clone()];
        let writer = thread::Builder::new()
            .name("rail-state".into())
            .spawn(move || write_states(&state_dir, &to_write, &reporter))?;
        let purger = thread::Builder::new()
            .name("rail-conntrack".into())
            .spawn(move || purge_all(&to_purge, &purge_reporter))?;
        // Nobody waits for its end: it may be in the middle of a program of somebody else.
        thread::Builder::new()
            .name("rail-coexist".into())
            .spawn(move || survey_all(surveyor, &to_survey, &survey_reporter))?;
        let (states, purges) = (Some(states), Some(purges));
        let (writer, purger) = (Some(writer), Some(purger));
        let (newest, is_writing, count) = (None, false, 0);
        Ok(Self {
            states,
            newest,
            is_writing,
            purges,
            called_off: BTreeMap::new(),
            surveys,
            finished,
            wake,
            writer,
            purger,
            count,
        })
    }

    /// Hands in a state; the number to wait for.
    pub(super) fn save(&mut self, saved: Box<Saved>) -> u64 {
        self.count += 1;
        self.newest = Some((self.count, saved));
        self.hand_over();
        self.count
    }

    /// One state at a time: before a disk that hangs they would pile up.
    fn hand_over(&mut self) {
        if !self.is_writing
            && let Some(states) = &self.states
            && let Some(newest) = self.newest.take()
        {
            // The thread ends only after this sender.
            self.is_writing = states.send(newest).is_ok();
        }
    }

    /// As if the disk hung, until the test ends that.
    #[cfg(test)]
    pub(super) fn hang(&mut self, hangs: bool) {
        self.is_writing = hangs;
        self.hand_over();
    }

    /// Hands in a purge.
    pub(super) fn purge(&mut self, purge: Purge) {
        let called_off = if purge.yields {
            CalledOff::clone(self.called_off.entry(purge.uplink).or_default())
        } else {
            CalledOff::default()
        };
        if let Some(purges) = &self.purges {
            // As above.
            let _ = purges.send((purge, called_off));
        }
    }

    /// Calls off what was handed in of connections that can move.
    pub(super) fn cancel_purge(&mut self, uplink: UplinkId) {
        if let Some(called_off) = self.called_off.remove(&uplink) {
            called_off.store(true, Ordering::Release);
        }
    }

    /// Asks for a look at other software.
    pub(super) fn survey(&self, look: Look) {
        // As above.
        let _ = self.surveys.send(look);
    }

    /// What was finished since the last call.
    pub(super) fn take_finished(&mut self) -> Vec<Finished> {
        let mut count = [0; 8];
        // Nothing to read means that nothing was finished.
        let _ = rustix::io::read(&self.wake, &mut count);
        let finished: Vec<Finished> = self.finished.try_iter().collect();
        if finished.iter().any(|finished| matches!(finished, Finished::Saved(..))) {
            self.is_writing = false;
            self.hand_over();
        }
        finished
    }
}

impl AsFd for Workers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.is_writing = false;
        self.hand_over();
        self.states = None;
        self.purges = None;
        // A thread that panicked has said so on stderr.
        let _ = self.purger.take().map(JoinHandle::join);
        // The daemon ends, even if the disk never answers.
        let until = clock::now() + super::DISK_MAY_TAKE;
        let Some(writer) = self.writer.take() else { return };
        while !writer.is_finished() && clock::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if writer.is_finished() {
            let _ = writer.join();
        }
    }
}

impl Reporter {
    fn send(&self, finished: Finished) {
        // The receiver is gone only at the end of the daemon.
        let _ = self.sender.send(finished);
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

fn write_states(dir: &std::path::Path, states: &Receiver<(u64, Box<Saved>)>, to: &Reporter) {
    while let Ok((number, saved)) = states.recv() {
        let result = file::save(dir, &saved)
            .map_err(|e| format!("could not write {}: {e}", dir.join(file::STATE_FILE).display()));
        to.send(Finished::Saved(number, result));
    }
}

fn purge_all(purges: &Receiver<(Purge, CalledOff)>, to: &Reporter) {
    while let Ok((purge, called_off)) = purges.recv() {
        let result = conntrack::purge(&purge, || !called_off.load(Ordering::Acquire));
        to.send(Finished::Purged(purge.uplink, result));
    }
}

fn survey_all(mut spawner: Spawner, looks: &Receiver<Look>, to: &Reporter) {
    let mut surveyor = Surveyor::default();
    while let Ok(Look { view, whole }) = looks.recv() {
        let begun = clock::now();
        let findings = Box::new(match whole {
            true => surveyor.look(&view, &mut spawner),
            false => surveyor.look_around(&view),
        });
        to.send(Finished::Surveyed(findings, clock::now().since(begun)));
    }
}
