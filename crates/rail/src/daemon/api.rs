//! The control sockets: `rail.sock` to ask and to change, `rail-ro.sock` to ask.
//!
//! One JSON object per line in both directions; docs/daemon.md shows them.
//! Promises: a client can neither block nor bloat the daemon (bounded lines,
//! bounded output, bounded number of clients on each socket, nothing waits).
//! Who may change something is the kernel's word (`SO_PEERCRED`).

use super::client::{Client, Request};
use super::event::EventRing;
use rail_linux::poll::{Poller, Ready};
use rustix::net::sockopt::socket_peercred;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Names a connection as long as it lasts.
pub(super) type ClientId = u64;

/// Both sockets and their clients.
#[derive(Debug)]
pub(super) struct Api {
    listeners: [Listener; 2],
    clients: BTreeMap<ClientId, Client>,
    next_id: ClientId,
}

#[derive(Debug)]
struct Listener {
    path: PathBuf,
    socket: UnixListener,
    may_write: bool,
}

impl Api {
    /// Makes the sockets in `runtime_dir`, in place of those a dead daemon left. Tokens are
    /// [`FIRST_TOKEN`] and above.
    ///
    /// # Errors
    /// The directory is not ours to write, or the path too long for a socket (107 bytes).
    pub(super) fn open(runtime_dir: &Path, poller: &Poller) -> io::Result<Self> {
        let listeners = [
            Listener::open(runtime_dir.join("rail.sock"), 0o660)?,
            Listener::open(runtime_dir.join("rail-ro.sock"), 0o666)?,
        ];
        for (listener, token) in listeners.iter().zip(FIRST_TOKEN..) {
            poller.add(&listener.socket, token)?;
        }
        Ok(Self { listeners, clients: BTreeMap::new(), next_id: FIRST_TOKEN + 2 })
    }

    /// Takes what arrived for this token.
    pub(super) fn ready(&mut self, poller: &Poller, ready: Ready) {
        match ready.token.checked_sub(FIRST_TOKEN) {
            Some(index @ (0 | 1)) => return self.accept(poller, usize::from(index == 1)),
            Some(_) => {}
            None => return,
        }
        let Some(client) = self.clients.get_mut(&ready.token) else { return };
        match client.interest() {
            (true, _) if ready.readable => client.read(),
            // Not asked for: it hung up, and nothing is left to be sent.
            (false, false) if ready.readable => client.broken = true,
            _ => {}
        }
        // Also when it is not writable: who hung up with output left shows itself here.
        client.flush();
        self.update(poller, ready.token);
    }

    /// The requests that are due, at most one for each client.
    pub(super) fn requests(&mut self, poller: &Poller) -> Vec<(ClientId, Request)> {
        let due: Vec<ClientId> =
            self.clients.iter().filter(|(_, c)| c.is_due()).map(|(id, _)| *id).collect();
        let mut requests = Vec::new();
        for id in due {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            match client.next_request() {
                Some(request) => requests.push((id, request)),
                None => client.flush(),
            }
            self.update(poller, id);
        }
        requests
    }

    /// True if a request is due, so that the loop must not sleep.
    pub(super) fn is_busy(&self) -> bool {
        self.clients.values().any(Client::is_due)
    }

    /// Answers with a JSON line.
    pub(super) fn answer(&mut self, poller: &Poller, id: ClientId, answer: &impl Serialize) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match serde_json::to_string(answer) {
            Ok(line) => {
                client.queue(&line);
                client.queue("\n");
            }
            Err(e) => client.refuse(&format!("the answer could not be written: {e}")),
        }
        self.flush(poller, id);
    }

    /// Answers with `{"ok":false,"error":..}`.
    pub(super) fn refuse(&mut self, poller: &Poller, id: ClientId, error: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.refuse(error);
            self.flush(poller, id);
        }
    }

    /// Sends the events that are kept; then the client follows, or the connection ends.
    pub(super) fn send_events(
        &mut self,
        poller: &Poller,
        id: ClientId,
        ring: &EventRing,
        follow: bool,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        for line in ring.lines() {
            client.queue(line);
        }
        client.follows = follow;
        client.ends = !follow;
        self.flush(poller, id);
    }

    /// Sends an event to everybody who follows.
    pub(super) fn publish(&mut self, poller: &Poller, line: &str) {
        let followers: Vec<ClientId> =
            self.clients.iter().filter(|(_, c)| c.follows).map(|(id, _)| *id).collect();
        for id in followers {
            if let Some(client) = self.clients.get_mut(&id) {
                client.queue(line);
            }
            self.flush(poller, id);
        }
    }

    /// Removes the sockets. What is queued for clients has been handed to the kernel or is lost.
    pub(super) fn close(&self) {
        for listener in &self.listeners {
            // Gone already, or no right any more: a socket without a listener misleads nobody.
            let _ = fs::remove_file(&listener.path);
        }
    }

    fn accept(&mut self, poller: &Poller, index: usize) {
        // A burst is taken over several passes.
        for _ in 0..16 {
            let Ok((stream, _)) = self.listeners[index].socket.accept() else { return };
            self.admit(poller, stream, self.listeners[index].may_write);
        }
    }

    fn admit(&mut self, poller: &Poller, stream: UnixStream, may_write: bool) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let mut client = Client::new(stream, may_write);
        // Counted for each socket: the public one cannot lock out the administrator.
        let others = self.clients.values().filter(|c| c.may_write == may_write).count();
        if others >= MOST_CLIENTS {
            client.refuse("too many clients; try again");
            client.flush();
            return;
        }
        if may_write && !is_trusted(&client.stream) {
            client.refuse("not permitted; ask as root, or use rail-ro.sock to look");
            client.flush();
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if poller.add(&client.stream, id).is_ok() {
            self.clients.insert(id, client);
        }
    }

    fn flush(&mut self, poller: &Poller, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.flush();
        }
        self.update(poller, id);
    }

    /// Tells the poller what the client waits for, or lets it go.
    fn update(&mut self, poller: &Poller, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let polled = client.interest();
        if !client.broken && polled != client.polled {
            client.broken = poller.modify(&client.stream, id, polled.0, polled.1).is_err();
            client.polled = polled;
        }
        if client.broken {
            self.clients.remove(&id);
        }
    }
}

impl Listener {
    fn open(path: PathBuf, mode: u32) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let socket = UnixListener::bind(&path)?;
        socket.set_nonblocking(true)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(Self { path, socket, may_write: mode == 0o660 })
    }
}

/// Root, our own user, or a member of our group by its primary one.
fn is_trusted(stream: &UnixStream) -> bool {
    socket_peercred(stream).is_ok_and(|peer| {
        peer.uid.is_root()
            || peer.uid == rustix::process::geteuid()
            || peer.gid == rustix::process::getegid()
    })
}

/// The tokens of the listeners; those of clients follow.
pub(super) const FIRST_TOKEN: u64 = 1024;
/// Most clients of one socket.
const MOST_CLIENTS: usize = 32;

#[cfg(test)]
mod tests;
