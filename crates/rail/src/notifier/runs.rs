//! The programs that are running for us, by way of a spawner: each in a group of its own, killed as a whole
//! at its end and after its time, its output read and bounded.

use super::send::Ended;
use super::target::Attempt;
use rail_linux::process::{Finished, Spawner, Status};
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// What runs, and whose it is.
#[derive(Debug)]
pub(crate) struct Runs<T> {
    spawner: Spawner,
    running: BTreeMap<u64, T>,
}

impl<T> Runs<T> {
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self { spawner: Spawner::start()?, running: BTreeMap::new() })
    }

    /// Starts an attempt; `whose` comes back with its end.
    ///
    /// # Errors
    /// It could not be started; `whose` comes back at once.
    pub(crate) fn begin(&mut self, attempt: &Attempt, whose: T) -> Result<(), (T, String)> {
        let words: Vec<&str> = attempt.words.iter().map(String::as_str).collect();
        match self.spawner.request(&words, attempt.input.as_bytes(), PATIENCE) {
            Ok(id) => drop(self.running.insert(id, whose)),
            Err(e) => return Err((whose, format!("it could not be started: {e}"))),
        }
        Ok(())
    }

    /// Those that have ended.
    pub(crate) fn ended(&mut self) -> Vec<(T, Ended)> {
        let finished = self.spawner.drain();
        finished.into_iter().filter_map(|f| Some((self.running.remove(&f.id)?, ended(f)))).collect()
    }
}

impl<T> AsFd for Runs<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.spawner.as_fd()
    }
}

fn ended(finished: Finished) -> Ended {
    let Finished { status, stdout, stderr, .. } = finished;
    let (code, problem) = match status {
        Status::Exited(code) => (Some(code), String::new()),
        Status::Signalled(signal) => (None, format!("it was killed by signal {signal}")),
        Status::TimedOut => (None, format!("it was killed after {} s", PATIENCE.as_secs())),
        Status::Failed(errno) => {
            (None, format!("it could not be run: {}", io::Error::from_raw_os_error(errno)))
        }
    };
    Ended { code, problem, stdout, stderr }
}

/// A little more than curl is given, so that it can say itself what it waited for.
const PATIENCE: Duration = Duration::from_secs(super::send::TIME_S + 5);
