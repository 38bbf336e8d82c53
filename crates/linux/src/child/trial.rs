//! The trial of a child's new files, before the process that runs with the old ones is ended for them.
//!
//! The program itself is asked, in a directory beside that of the child and with the child's rights. Promises: it
//! takes [`PATIENCE`] at most, during which no other child is looked after; nothing of it is left afterwards; a
//! program that says no is told from one that could not say anything.
//! Leaves out whether the files will work: a port that is taken is found out by the start alone, but for that of names
//! on the loopback, for which the hosts would pay.

use super::output::plain;
use super::place::Place;
use super::{holder, start};
use rail_core::Child;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Why the files are not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum No {
    /// The program refuses them, in its words.
    Refused(String),
    /// It could not say anything; the next time it may.
    Unheard(String),
}

/// Asks the program of `child` for its files. `answers`: what runs answers the system's own questions already.
///
/// # Errors
/// They are not taken.
pub(super) fn hold(place: &Place, child: &Child, answers: bool) -> Result<(), No> {
    if child.is_resolver && !answers {
        port_is_free()?;
    }
    let said = place.beside().and_then(|place| {
        let said = ask(&place, child);
        place.remove();
        said
    });
    said.unwrap_or_else(|e| Err(No::Unheard(format!("its configuration could not be tried: {e}"))))
}

/// Somebody else may answer the system's own questions.
fn port_is_free() -> Result<(), No> {
    match UdpSocket::bind((Ipv4Addr::LOCALHOST, NAMES)) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let holders = holder::name_on_loopback(NAMES).join("; ");
            let whose = if holders.is_empty() { String::new() } else { format!(": {holders}") };
            Err(No::Unheard(format!("127.0.0.1 has a resolver already{whose}")))
        }
        // What else is wrong its start will tell.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn ask(place: &Place, child: &Child) -> io::Result<Result<(), No>> {
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
        let text = format!("it did not judge its configuration within {PATIENCE:?}");
        return Ok(Err(No::Unheard(text)));
    }
    if status.success() {
        return Ok(Ok(()));
    }
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(LONGEST).read_to_end(&mut bytes)?;
    let said = String::from_utf8_lossy(&bytes);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    // Whoever was killed, for want of memory for example, has not judged.
    let Some(code) = status.code() else {
        let text = format!("killed by signal {} in its trial", status.signal().unwrap_or(0));
        return Ok(Err(No::Unheard(text)));
    };
    let said = said.unwrap_or_else(|| format!("exit code {code} from its trial"));
    Ok(Err(No::Refused(clean(place, child, &said))))
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

/// Names are asked for at this port.
const NAMES: u16 = 53;
/// A trial is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of what it says.
const LONGEST: u64 = 4096;
/// Letters of a line.
const LONGEST_LINE: usize = 400;
