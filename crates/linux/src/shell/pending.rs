//! Stands in for the spawner until it is in the tree: runs `nft` from a thread.

use rail_core::state::OpError;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Runs `nft`.
#[derive(Debug)]
pub struct Spawner {
    wake: Arc<OwnedFd>,
    sender: Sender<Result<(), OpError>>,
    finished: Receiver<Result<(), OpError>>,
}

impl Spawner {
    /// Makes one.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn start() -> io::Result<Self> {
        let (sender, finished) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { wake, sender, finished })
    }

    /// Begins `nft -f -`.
    ///
    /// # Errors
    /// None.
    pub fn nft(&mut self, text: &str) -> io::Result<()> {
        let (text, wake, sender) = (text.to_owned(), self.wake.clone(), self.sender.clone());
        std::thread::spawn(move || {
            let run = || {
                let mut command = Command::new("nft");
                command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
                let mut child = command.spawn()?;
                if let Some(mut stdin) = child.stdin.take() {
                    stdin.write_all(text.as_bytes())?;
                }
                child.wait_with_output()
            };
            let result = match run() {
                Ok(out) if out.status.success() => Ok(()),
                Ok(out) => {
                    Err(OpError { errno: 0, text: String::from_utf8_lossy(&out.stderr).into() })
                }
                Err(e) => Err(OpError { errno: 0, text: e.to_string() }),
            };
            let _ = sender.send(result);
            let _ = rustix::io::write(&wake, &1u64.to_ne_bytes());
        });
        Ok(())
    }

    /// The next result.
    pub fn finished(&mut self) -> Option<Result<(), OpError>> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        self.finished.try_recv().ok()
    }
}

impl AsFd for Spawner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
