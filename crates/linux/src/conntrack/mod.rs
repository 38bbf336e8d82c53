//! The connection table of the kernel: delete what can move to another uplink or
//! leads nowhere, and count.
//!
//! Promises: the kernel filters by mark, so that other connections cost little;
//! a connection is deleted only if it is still the one that was read. Leaves
//! out when to do so, and who hears of it. Blocks: meant for a thread of its own.

use rail_core::state::OpError;
use rail_core::{Purge, Which};
use rail_wire::netlink::{Ack, Message, kind, messages};
use rail_wire::nfnetlink::conntrack::{Connection, DESTINATION_NAT, SOURCE_NAT, dump};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, sockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Deletes the connections with the mark of `purge` that it means; how many.
/// Those that ended by themselves in the meantime are not counted. Nothing that was made after
/// `is_wanted` became false is deleted, and little of what was there before.
///
/// # Errors
/// The kernel's, or no answer within five seconds. What was deleted until then stays deleted.
pub fn purge(purge: &Purge, is_wanted: impl Fn() -> bool) -> Result<u32, OpError> {
    if !is_wanted() {
        return Ok(0);
    }
    let mut socket = Socket::open().map_err(failed)?;
    let mut doomed = Vec::new();
    socket.dump(Some((purge.mark, purge.mask)), |connection| {
        if is_meant(&connection, purge) {
            doomed.push(connection);
        }
    })?;
    let mut count = 0_u32;
    // Asked after all was read: if it is wanted here, all that was read is older.
    for batch in doomed.chunks(BATCH).take_while(|_| is_wanted()) {
        count = count.saturating_add(socket.delete(batch)?);
    }
    Ok(count)
}

/// How many connections there are by the part of their mark under `mask`; both families.
///
/// # Errors
/// As [`purge()`].
pub fn count_by_mark(mask: u32) -> Result<BTreeMap<u32, u64>, OpError> {
    let mut counts = BTreeMap::new();
    Socket::open().map_err(failed)?.dump(None, |connection| {
        *counts.entry(connection.mark & mask).or_insert(0) += 1;
    })?;
    Ok(counts)
}

fn is_meant(connection: &Connection, purge: &Purge) -> bool {
    let original = &connection.original;
    // A kernel that does not filter sends all.
    connection.mark & purge.mask == purge.mark & purge.mask
        && match purge.which {
            Which::Movable => can_move(connection, purge),
            Which::MovableUdp => original.protocol == Some(UDP) && can_move(connection, purge),
            Which::From(address) => {
                connection.status & SOURCE_NAT != 0 && connection.answered_at == Some(address)
            }
            Which::All => true,
            Which::At(address) => original.source == address || original.destination == address,
        }
}

/// A connection whose one end is tied to the uplink stays: it would only break.
fn can_move(connection: &Connection, purge: &Purge) -> bool {
    let original = &connection.original;
    connection.status & DESTINATION_NAT == 0
        && !purge.keep_sources.contains(&original.source)
        && !purge.keep_destinations.iter().any(|prefix| prefix.contains(original.destination))
}

struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    fn open() -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    fn dump(
        &mut self,
        filter: Option<(u32, u32)>,
        mut each: impl FnMut(Connection),
    ) -> Result<(), OpError> {
        self.sequence += 1;
        let wanted = self.sequence;
        self.send(&dump(filter).finish(wanted))?;
        let mut end = None;
        while end.is_none() {
            self.receive(|message| {
                if message.sequence != wanted {
                    return;
                }
                if let Ok(connection) = Connection::decode(message) {
                    each(connection);
                } else if let Ok(ack) = Ack::decode(message) {
                    end = Some(ack);
                }
                // What is neither is of a protocol without addresses, or newer than we are.
            })?;
        }
        end.map_or(Ok(()), |ack| if ack.errno == 0 { Ok(()) } else { Err(refused(ack)) })
    }

    /// Sends the deletions in one datagram and waits for the answer to each.
    fn delete(&mut self, batch: &[Connection]) -> Result<u32, OpError> {
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        for connection in batch {
            self.sequence += 1;
            bytes.extend(connection.delete().finish(self.sequence));
        }
        let ours = first..=self.sequence;
        self.send(&bytes)?;
        let (mut open, mut count, mut error) = (batch.len(), 0, None);
        while open > 0 {
            self.receive(|message| {
                if message.kind != kind::ERROR || !ours.contains(&message.sequence) {
                    return;
                }
                open = open.saturating_sub(1);
                match Ack::decode(message) {
                    Ok(ack) if ack.errno == 0 => count += 1,
                    // It ended by itself.
                    Ok(ack) if ack.errno == Errno::NOENT.raw_os_error() => {}
                    Ok(ack) => error = Some(refused(ack)),
                    Err(_) => {}
                }
            })?;
        }
        error.map_or(Ok(count), Err)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), OpError> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, bytes, SendFlags::empty(), &kernel).map_err(|e| failed(e.into()))?;
        Ok(())
    }

    /// Hands on the messages of one datagram from the kernel.
    fn receive(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<(), OpError> {
        let (length, from) = loop {
            match recvfrom(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((_, length, from)) => break (length, from),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(failed(io::ErrorKind::TimedOut.into())),
                Err(e) => return Err(failed(e.into())),
            }
        };
        let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
        if sender.is_some_and(|sender| sender.pid() == 0) {
            let datagram = self.buffer.get(..length).unwrap_or(&[]);
            messages(datagram).flatten().for_each(|message| each(&message));
        }
        Ok(())
    }
}

fn failed(error: io::Error) -> OpError {
    let text = format!("could not use the connection table: {error}");
    OpError { errno: error.raw_os_error().unwrap_or(0), text }
}

fn refused(ack: Ack) -> OpError {
    match ack.text.is_empty() {
        true => failed(io::Error::from_raw_os_error(ack.errno)),
        false => OpError { errno: ack.errno, text: ack.text },
    }
}

/// Protocol number of UDP.
const UDP: u8 = 17;
/// Deletions in one datagram: their answers fit into any receive buffer.
const BATCH: usize = 64;
/// Room for the largest datagram of a dump.
const BUFFER: usize = 64 * 1024;
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::net::UplinkId;
    use rail_wire::nfnetlink::conntrack::Tuple;

    fn connection(source: &str, destination: &str, status: u32) -> Connection {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let original = Tuple { source, destination, protocol: Some(UDP), bytes: Vec::new() };
        let answered_at = Some("192.0.2.9".parse().unwrap());
        Connection { original, answered_at, status, mark: 0x10005, zone: None, id: None }
    }

    #[test]
    fn only_what_is_not_tied_to_the_uplink_can_move() {
        let mut purge = Purge {
            uplink: UplinkId(1),
            mark: 0x10000,
            mask: 0xff0000,
            which: Which::Movable,
            keep_sources: vec!["192.0.2.9".parse().unwrap()],
            keep_destinations: vec!["192.0.2.9/32".parse().unwrap()],
            yields: true,
        };
        let moves = |c: &Connection, p: &Purge| is_meant(c, p);
        assert!(moves(&connection("10.0.0.2", "198.51.100.7", 0), &purge));
        assert!(moves(&connection("10.0.0.2", "198.51.100.7", 1 << 4), &purge));
        assert!(!moves(&connection("10.0.0.2", "198.51.100.7", 1 << 5), &purge));
        assert!(!moves(&connection("192.0.2.9", "198.51.100.7", 0), &purge));
        assert!(!moves(&connection("198.51.100.7", "192.0.2.9", 0), &purge));
        assert!(moves(&connection("2001:db8::2", "2001:db8:1::7", 0), &purge));
        purge.which = Which::MovableUdp;
        let mut other = connection("10.0.0.2", "198.51.100.7", 0);
        assert!(moves(&other, &purge));
        assert!(!moves(&connection("192.0.2.9", "198.51.100.7", 0), &purge));
        for protocol in [Some(6), None] {
            other.original.protocol = protocol;
            assert!(!moves(&other, &purge));
        }
        purge.mark = 0x20000;
        assert!(!moves(&connection("10.0.0.2", "198.51.100.7", 0), &purge));
    }

    #[test]
    fn an_address_that_is_gone_tells_which_connections_lead_nowhere() {
        let [gone, other] = ["192.0.2.9", "192.0.2.10"].map(|ip| ip.parse().unwrap());
        let which = |which, source, destination, status| {
            let purge = Purge {
                uplink: UplinkId(1),
                mark: 0x10000,
                mask: 0xff0000,
                which,
                keep_sources: Vec::new(),
                keep_destinations: Vec::new(),
                yields: false,
            };
            is_meant(&connection(source, destination, status), &purge)
        };
        let (translated, forwarded) = (SOURCE_NAT, DESTINATION_NAT);
        assert!(which(Which::From(gone), "10.0.0.2", "198.51.100.7", translated));
        assert!(!which(Which::From(other), "10.0.0.2", "198.51.100.7", translated));
        assert!(!which(Which::From(gone), "192.0.2.9", "198.51.100.7", 0));
        assert!(which(Which::At(gone), "198.51.100.7", "192.0.2.9", forwarded));
        assert!(which(Which::At(gone), "192.0.2.9", "198.51.100.7", 0));
        assert!(!which(Which::At(gone), "10.0.0.2", "198.51.100.7", translated));
        assert!(!which(Which::At(other), "198.51.100.7", "192.0.2.9", forwarded));
    }
}
