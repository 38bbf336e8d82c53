//! The trial of a child's new files, before the process that runs with the old ones is ended for them.
//!
//! The program itself is asked, in a directory beside that of the child and with the child's rights. Promises: it
//! takes [`PATIENCE`] at most, during which no other child is looked after; nothing of it is left afterwards.
//! Leaves out whether the files will work: a port that is taken is found out by the start alone.

use super::output::plain;
use super::place::Place;
use super::start;
use rail_core::Child;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Asks the program of `child` for its files.
///
/// # Errors
/// It refuses them, in its words, or could not say anything.
pub(super) fn hold(place: &Place, child: &Child) -> Result<(), String> {
    if child.trial.is_empty() {
        return Ok(());
    }
    let said = place.beside().and_then(|place| {
        let said =
            ask(&place, child).map(|said| said.map_err(|words| clean(&place, child, &words)));
        place.remove();
        said
    });
    said.unwrap_or_else(|e| Err(format!("its configuration could not be tried: {e}")))
}

fn ask(place: &Place, child: &Child) -> io::Result<Result<(), String>> {
    place.furnish(child)?;
    let mut output =
        File::from(rustix::fs::memfd_create("trial", rustix::fs::MemfdFlags::CLOEXEC)?);
    let mut command = start::command(place, child, &child.trial)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    start::become_tried(&mut command, child);
    let mut process = command.spawn()?;
    let ended = wait(&process);
    // Until it is waited for, its number and that of its group are given to nobody else.
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = process.wait()?;
    if !ended? {
        return Ok(Err(format!("it did not judge its configuration within {PATIENCE:?}")));
    }
    if status.success() {
        return Ok(Ok(()));
    }
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(LONGEST).read_to_end(&mut bytes)?;
    let said = String::from_utf8_lossy(&bytes);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let end = || match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code} from its trial"),
        (None, signal) => format!("killed by signal {} in its trial", signal.unwrap_or(0)),
    };
    Ok(Err(said.unwrap_or_else(end)))
}

/// True if it has ended within its time.
fn wait(process: &std::process::Child) -> io::Result<bool> {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&end, PollFlags::IN)], timeout.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The words as one line, with the name that the files will have.
fn clean(place: &Place, child: &Child, words: &str) -> String {
    let own = format!("{}/", place.of(&child.id.name()).display());
    plain(&words.replace(&own, "")).chars().take(LONGEST_LINE).collect()
}

/// A trial is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of what it says.
const LONGEST: u64 = 4096;
/// Letters of a line.
const LONGEST_LINE: usize = 400;
