//! The control sockets: `rail.sock` to ask and to change, `rail-ro.sock` to ask.
//!
//! One JSON object per line in both directions; docs/daemon.md shows them.
//! Promises: a client can neither block nor bloat the daemon (bounded lines,
//! bounded output, bounded number of clients on each socket and of each user,
//! nothing waits), and users other than root have a bounded part of its time.
//! Who may change something is the kernel's word (`SO_PEERCRED`).

mod listener;

use super::allowance::Allowance;
use super::client::{Client, Request};
use super::event::{EventRing, Line};
use listener::Listener;
use rail_core::time::{Duration, Instant};
use rail_linux::clock;
use rail_linux::poll::{Poller, Ready};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::socket_peercred;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Names a connection as long as it lasts.
pub(super) type ClientId = u64;

/// Both sockets and their clients.
#[derive(Debug)]
pub(super) struct Api {
    listeners: [Listener; 2],
    clients: BTreeMap<ClientId, Client>,
    next_id: ClientId,
    allowance: Allowance,
    /// Given up for a connection when the process, or the machine, has no descriptor left.
    reserve: Option<OwnedFd>,
}

impl Api {
    /// Makes the sockets in `runtime_dir`, in place of those a dead daemon left. Tokens are
    /// [`FIRST_TOKEN`] and above.
    ///
    /// # Errors
    /// The directory is not ours to write, or the path too long for a socket (107 bytes).
    pub(super) fn open(runtime_dir: &Path, poller: &Poller) -> io::Result<Self> {
        let listeners = [
            Listener::open(runtime_dir.join("rail.sock"), 0o660, FIRST_TOKEN)?,
            Listener::open(runtime_dir.join("rail-ro.sock"), 0o666, FIRST_TOKEN + 1)?,
        ];
        for listener in &listeners {
            poller.add(&listener.socket, listener.token)?;
        }
        let (clients, next_id) = (BTreeMap::new(), FIRST_TOKEN + 2);
        Ok(Self { listeners, clients, next_id, allowance: Allowance::new(), reserve: reserve() })
    }

    /// Takes what arrived for this token.
    pub(super) fn ready(&mut self, poller: &Poller, ready: Ready) {
        let begun = clock::now();
        match ready.token.checked_sub(FIRST_TOKEN) {
            Some(index @ (0 | 1)) => return self.accept(poller, usize::from(index == 1)),
            Some(_) => {}
            None => return,
        }
        let Some(client) = self.clients.get_mut(&ready.token) else { return };
        // Reported before its user has to wait.
        if client.polled.is_none() {
            return;
        }
        match client.interest() {
            (true, _) if ready.readable => client.read(),
            // Not asked for: it hung up, and nothing is left to be sent.
            (false, false) if ready.readable => client.broken = true,
            _ => {}
        }
        // Also when it is not writable: who hung up with output left shows itself here.
        client.flush();
        self.charge(poller, ready.token, begun);
    }

    /// The requests that are due, at most one for each client.
    pub(super) fn requests(&mut self, poller: &Poller) -> Vec<(ClientId, Request)> {
        let now = clock::now();
        self.tick(poller, now);
        let due: Vec<ClientId> =
            self.clients.iter().filter(|(_, c)| self.is_due(c, now)).map(|(id, _)| *id).collect();
        let mut requests = Vec::new();
        for id in due {
            let begun = clock::now();
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.asked = begun;
            match client.next_request() {
                Some(request) => requests.push((id, request)),
                None => client.flush(),
            }
            self.charge(poller, id, begun);
        }
        requests
    }

    /// True if a request is due, so that the loop must not sleep.
    pub(super) fn is_busy(&self) -> bool {
        let now = clock::now();
        self.clients.values().any(|client| self.is_due(client, now))
    }

    /// When somebody who has to wait goes on, or one who asks nothing has to leave.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let idle = self.clients.values().filter(|c| c.is_idle() && !c.is_root());
        let idle = idle.map(|client| client.asked + PATIENCE);
        let listeners = self.listeners.iter().filter_map(|listener| listener.rests_until);
        idle.chain(listeners).chain(self.allowance.deadline()).min()
    }

    /// Takes account of what was done for the client since then.
    pub(super) fn charge(&mut self, poller: &Poller, id: ClientId, since: Instant) {
        let now = clock::now();
        if let Some(client) = self.clients.get(&id)
            && !client.is_root()
        {
            self.allowance.charge(client.user, now.since(since), now);
        }
        self.update(poller, id, now);
    }

    /// True if the client is root, who is never made to wait.
    pub(super) fn is_root(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(Client::is_root)
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

    /// Answers with a line that was written before, its end included.
    pub(super) fn answer_line(&mut self, poller: &Poller, id: ClientId, line: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.queue(line);
            self.flush(poller, id);
        }
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
        let is_root = client.is_root();
        for line in ring.lines() {
            client.queue(line.text(is_root));
        }
        client.follows = follow;
        client.ends = !follow;
        self.flush(poller, id);
    }

    /// Sends an event to everybody who follows.
    pub(super) fn publish(&mut self, poller: &Poller, line: &Line) {
        let followers: Vec<ClientId> =
            self.clients.iter().filter(|(_, c)| c.follows).map(|(id, _)| *id).collect();
        for id in followers {
            if let Some(client) = self.clients.get_mut(&id) {
                client.queue(line.text(client.is_root()));
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

    /// Lets those go on who have waited long enough, and those go who ask nothing.
    fn tick(&mut self, poller: &Poller, now: Instant) {
        let Some(deadline) = self.deadline() else { return };
        if deadline > now {
            return;
        }
        self.allowance.open(now);
        for client in self.clients.values_mut() {
            client.broken |=
                client.is_idle() && !client.is_root() && now.since(client.asked) >= PATIENCE;
        }
        let all: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in all {
            self.update(poller, id, now);
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let is_open = index == CONTROL || self.allowance.is_door_open(now);
            listener.listen(poller, is_open, now);
        }
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
    }

    fn is_due(&self, client: &Client, now: Instant) -> bool {
        client.is_due() && self.may_be_served(client, now)
    }

    fn may_be_served(&self, client: &Client, now: Instant) -> bool {
        client.is_root() || self.allowance.is_open(client.user, now)
    }

    fn accept(&mut self, poller: &Poller, index: usize) {
        let begun = clock::now();
        let mut now = begun;
        // Many at once are cheap; a burst that takes longer is taken over several passes.
        while now.since(begun) < BURST {
            match self.listeners[index].socket.accept() {
                Ok((stream, _)) => self.admit(poller, stream, index, now),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // The client has gone again.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return self.accept_with_reserve(poller, index, now),
            }
            now = clock::now();
        }
        if index != CONTROL {
            self.allowance.charge_door(now.since(begun), now);
            let is_open = self.allowance.is_door_open(now);
            self.listeners[index].listen(poller, is_open, now);
        }
    }

    /// No descriptor is left, and whoever waits would be reported again at once: the listener
    /// rests. Who may give commands gets the descriptor that was kept for this.
    fn accept_with_reserve(&mut self, poller: &Poller, index: usize, now: Instant) {
        if index == CONTROL
            && self.reserve.take().is_some()
            && let Ok((stream, _)) = self.listeners[index].socket.accept()
        {
            self.admit(poller, stream, index, now);
        }
        self.listeners[index].rest(now);
        self.listeners[index].listen(poller, false, now);
    }

    fn admit(&mut self, poller: &Poller, stream: UnixStream, index: usize, now: Instant) {
        let may_write = index == CONTROL;
        let Ok(peer) = socket_peercred(&stream) else { return };
        if !peer.uid.is_root() && !self.allowance.enter(peer.uid.as_raw(), now) {
            // The buffer of a new connection is empty, so that this cannot block.
            let _ = (&stream).write_all(TOO_OFTEN);
            return;
        }
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let mut client = Client::new(stream, may_write, peer.uid.as_raw(), now);
        if may_write && !is_trusted(&peer) {
            client.refuse("not permitted; ask as root, or use rail-ro.sock to look");
            client.flush();
            return;
        }
        if !self.has_room(poller, &client, now) {
            client.refuse(CROWDED);
            client.flush();
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if poller.add(&client.stream, id).is_ok() {
            self.clients.insert(id, client);
            self.update(poller, id, now);
        }
    }

    /// Counted for each socket: the public one cannot lock out the administrator. Root takes the
    /// place of one who asks nothing, others that of the user who has most.
    fn has_room(&mut self, poller: &Poller, client: &Client, now: Instant) -> bool {
        let here = |other: &&Client| other.may_write == client.may_write;
        let others = self.clients.values().filter(here);
        if !client.is_root() {
            let own = others.clone().filter(|other| other.user == client.user).count();
            let count = others.count();
            return own < MOST_OF_ONE_USER
                && (count < MOST_CLIENTS || self.make_room(poller, client.may_write, own));
        }
        if others.count() < MOST_CLIENTS {
            return true;
        }
        let idle = self.clients.iter().filter(|(_, other)| {
            here(other) && other.is_idle() && now.since(other.asked) >= PATIENCE
        });
        let longest = idle.min_by_key(|(_, other)| other.asked).map(|(id, _)| *id);
        longest.is_some_and(|id| self.clients.remove(&id).is_some())
    }

    /// Takes a place from the user who has most of them, for one who has `own`: the newest follower
    /// goes, or else who has been there longest without a question. Nobody gives a place to a user who
    /// would then have more; but for their first one there is always a place.
    fn make_room(&mut self, poller: &Poller, may_write: bool, own: usize) -> bool {
        let here: Vec<(&ClientId, &Client)> = self
            .clients
            .iter()
            .filter(|(_, other)| other.may_write == may_write && !other.is_root())
            .collect();
        let of = |user| here.iter().filter(|(_, other)| other.user == user).count();
        let rank = |(id, other): &(&ClientId, &Client)| {
            let waits = !other.follows && !other.is_waiting();
            let age = if other.follows { **id } else { ClientId::MAX - **id };
            (of(other.user), other.follows, waits, age)
        };
        let Some(&(&id, victim)) = here.iter().max_by_key(|one| rank(one)) else { return false };
        if own > 0 && of(victim.user) <= own + 1 {
            return false;
        }
        if let Some(victim) = self.clients.get_mut(&id) {
            victim.refuse(CROWDED);
            victim.flush();
            victim.broken = true;
        }
        self.update(poller, id, clock::now());
        true
    }

    fn flush(&mut self, poller: &Poller, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.flush();
        }
        self.update(poller, id, clock::now());
    }

    /// Tells the poller what the client waits for, or lets it go. Whose user has to wait is taken
    /// out, for a hang-up would be reported whatever was asked for.
    fn update(&mut self, poller: &Poller, id: ClientId, now: Instant) {
        let Some(client) = self.clients.get(&id) else { return };
        let wanted = self.may_be_served(client, now).then(|| client.interest());
        let Some(client) = self.clients.get_mut(&id) else { return };
        if !client.broken && wanted != client.polled {
            let added = match (client.polled, wanted) {
                (None, Some(_)) => poller.add(&client.stream, id),
                (Some(_), None) => {
                    poller.remove(&client.stream);
                    Ok(())
                }
                _ => Ok(()),
            };
            let reported = added.and_then(|()| match wanted {
                Some((read, write)) => poller.modify(&client.stream, id, read, write),
                None => Ok(()),
            });
            client.broken = reported.is_err();
            client.polled = wanted;
        }
        if client.broken {
            self.clients.remove(&id);
        }
    }
}

/// Root, our own user, or a member of our group by its primary one. Group 0 is nobody's choice:
/// containers run programs of any user in it.
fn is_trusted(peer: &rustix::net::UCred) -> bool {
    let group = rustix::process::getegid();
    peer.uid.is_root()
        || peer.uid == rustix::process::geteuid()
        || (peer.gid == group && !group.is_root())
}

fn reserve() -> Option<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC).ok()
}

/// The tokens of the listeners; those of clients follow.
pub(super) const FIRST_TOKEN: u64 = 1024;
/// The listener for commands.
const CONTROL: usize = 0;
/// Most clients of one socket.
const MOST_CLIENTS: usize = 32;
/// Most of them that one user may have, but for root.
const MOST_OF_ONE_USER: usize = 8;
/// How long connections are accepted in one pass.
const BURST: Duration = Duration::from_millis(1);
/// Said to whom there is no place for, or no longer; clients know it by how it begins.
const CROWDED: &str = "too many clients; try again";
/// Said to whom connects more often than it may.
const TOO_OFTEN: &[u8] =
    b"{\"error\":\"too many clients: this user connects too often\",\"ok\":false}\n";
/// How long a connection may be open without a question.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
