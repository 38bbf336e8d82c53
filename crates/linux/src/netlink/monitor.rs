//! Notifications: that something changed by another hand than ours.
//!
//! Promises: nothing that happens is missed. Where notifications were lost, all
//! kinds are reported; where the kernel sends none (routes that vanish with
//! their device or address), the cause is reported with its effects. Leaves out
//! what it is now: that is read afresh.

use super::{Counters, DATAGRAM_BYTES, open, read, receive, set_option};
use crate::author::Author;
use rail_core::Watch;
use rail_core::state::Scope;
use rail_wire::netlink::{LinkMessage, RouteMessage};
use rail_wire::netlink::{Message, family, kind};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, sockopt};
use std::io;

/// A socket that hears about links, addresses, routes and rules; never blocks.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
    buffer: Vec<u8>,
    counters: Counters,
    /// A route of `main` that may decide over everything changed.
    wide_routes: bool,
    /// Of addresses, routes and rules.
    authors: [Author; 3],
}

impl Monitor {
    /// Opens one in the network namespace of the calling thread. `RAIL_NETLINK_BUFFER=BYTES` makes
    /// its receive buffer small, for tests of overruns.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn open() -> io::Result<Self> {
        let wanted = std::env::var("RAIL_NETLINK_BUFFER").ok().and_then(|text| text.parse().ok());
        Self::with_buffer(wanted.unwrap_or(RECEIVE_BUFFER_BYTES))
    }

    /// Opens one with a receive buffer of this size in bytes (the kernel doubles it).
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn with_buffer(bytes: usize) -> io::Result<Self> {
        let fd = open(SocketFlags::NONBLOCK)?;
        if sockopt::set_socket_recv_buffer_size_force(&fd, bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&fd, bytes)?;
        }
        for group in GROUPS {
            set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
        }
        Ok(Self {
            fd,
            buffer: vec![0; DATAGRAM_BYTES],
            counters: Counters::default(),
            wide_routes: false,
            authors: Default::default(),
        })
    }

    /// Reads what waits, at most 1024 datagrams (the descriptor stays readable if there
    /// are more): the kinds that changed. Changes made by the sockets with `own_ports` do not
    /// count, except those of links and removed addresses, which have effects beyond themselves;
    /// routes count in the watched tables only.
    pub fn drain(&mut self, own_ports: &[u32], watch: &Watch) -> Scope {
        let mut scope = Scope::NONE;
        for _ in 0..PER_DRAIN {
            let dontwait = RecvFlags::DONTWAIT;
            let length = match receive(&self.fd, &mut self.buffer, dontwait, &mut self.counters) {
                Ok(Some(length)) => length,
                Err(Errno::NOBUFS) => {
                    scope |= EVERYTHING;
                    continue;
                }
                Ok(None) | Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            for message in read(&self.buffer[..length], &mut self.counters) {
                scope |= match message {
                    Ok(message) => {
                        self.wide_routes |= is_wide_route(&message);
                        let changed = changed(&message, own_ports, watch);
                        note_author(&mut self.authors, &message, changed, own_ports);
                        changed
                    }
                    // It was about something.
                    Err(_) => EVERYTHING,
                };
            }
        }
        scope
    }

    /// Who changed an address, a route or a rule a moment ago, by how the object is called; empty if
    /// nobody is known.
    pub fn author(&self, object: &str) -> String {
        let [addresses, routes, rules] = &self.authors;
        let author = match object.split(' ').next() {
            Some("address") => addresses,
            Some("route") => routes,
            Some("rule") => rules,
            _ => return String::new(),
        };
        author.recent(crate::clock::now())
    }

    /// True if a route of `main` changed since the last call that may decide over everything.
    pub const fn take_wide_routes(&mut self) -> bool {
        core::mem::replace(&mut self.wide_routes, false)
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What one notification says to have changed.
fn changed(message: &Message<'_>, own_ports: &[u32], watch: &Watch) -> Scope {
    let is_ours = message.port != 0 && own_ports.contains(&message.port);
    match message.kind {
        kind::NEW_LINK | kind::DEL_LINK => match LinkMessage::decode(message) {
            // A bridge about its ports; the link itself is notified as well.
            Ok(link) if link.family != family::UNSPECIFIED => Scope::NONE,
            // Routes of `main` go with their device, too.
            _ => Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN,
        },
        kind::NEW_ADDRESS if is_ours => Scope::NONE,
        // With an address go its routes, and without a word those that have it as source.
        kind::NEW_ADDRESS | kind::DEL_ADDRESS => Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN,
        kind::NEW_ROUTE | kind::DEL_ROUTE if is_main_route(message, watch) => Scope::MAIN,
        kind::NEW_ROUTE | kind::DEL_ROUTE if !is_ours => match RouteMessage::decode(message) {
            Ok(route) if !watch.has_route(route.table, route.protocol) => Scope::NONE,
            Err(rail_wire::DecodeError::Unsupported) => Scope::NONE,
            _ => Scope::ROUTES,
        },
        kind::NEW_RULE | kind::DEL_RULE if !is_ours => Scope::RULES,
        kind::OVERRUN => EVERYTHING,
        _ => Scope::NONE,
    }
}

/// An IPv4 route of `main` with a short prefix. Beside a full table thousands of others change, so
/// the fixed header has to do: family, length and table.
fn is_wide_route(message: &Message<'_>) -> bool {
    let is_route = matches!(message.kind, kind::NEW_ROUTE | kind::DEL_ROUTE);
    is_route
        && matches!(message.payload, [family::INET, length, _, _, MAIN, ..] if *length <= SHORT)
}

fn note_author(
    authors: &mut [Author; 3],
    message: &Message<'_>,
    changed: Scope,
    own_ports: &[u32],
) {
    let [addresses, routes, rules] = authors;
    let author = match message.kind {
        kind::NEW_ADDRESS | kind::DEL_ADDRESS => addresses,
        kind::NEW_ROUTE | kind::DEL_ROUTE if changed.has(Scope::ROUTES) => routes,
        kind::NEW_RULE | kind::DEL_RULE => rules,
        _ => return,
    };
    // What we delete ourselves is read again as well.
    if !changed.is_empty() && !own_ports.contains(&message.port) {
        author.note(message.port);
    }
}

/// One for everything in `main`, or for half of it; any route there while an error route for everything is.
fn is_main_route(message: &Message<'_>, watch: &Watch) -> bool {
    matches!(message.payload, [family::INET, length, _, _, MAIN, ..]
        if *length <= 1 || watch.main_refuses)
}

/// The table `main` in the fixed header.
const MAIN: u8 = rail_core::state::table::MAIN as u8;
/// As for the survey of `main`.
const SHORT: u8 = super::foreign::SHORT;
/// How many datagrams one call of `drain` takes at most.
const PER_DRAIN: usize = 1024;

const EVERYTHING: Scope =
    Scope::LINKS.with(Scope::ADDRESSES).with(Scope::ROUTES).with(Scope::RULES).with(Scope::MAIN);
/// A default buffer keeps 256 of 20,000 notifications; this one some thousands. It takes memory
/// only while they wait.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV4_RULE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`,
/// `_IPV6_RULE`.
const GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, port: u32, payload: &[u8]) -> Message<'_> {
        Message { kind, flags: 0, sequence: 0, port, payload }
    }

    #[test]
    fn what_counts() {
        let old_tables = vec![(100, 110)];
        let watch = Watch { tables: (200, 210), old_tables, ..Watch::default() };
        let route = |table: u8| [2, 0, 0, 0, table, 82, 0, 1, 0, 0, 0, 0];
        let of = |kind, port, payload: &[u8]| changed(&message(kind, port, payload), &[7], &watch);
        assert_eq!(of(kind::NEW_ROUTE, 0, &route(200)), Scope::ROUTES);
        assert_eq!(of(kind::DEL_ROUTE, 9, &route(210)), Scope::ROUTES);
        assert_eq!(of(kind::DEL_ROUTE, 7, &route(210)), Scope::NONE);
        assert_eq!(of(kind::NEW_ROUTE, 0, &route(254)), Scope::MAIN);
        assert_eq!(of(kind::NEW_ROUTE, 0, &route(100)), Scope::ROUTES);
        let mut narrow = route(254);
        narrow[1] = 16;
        let narrow = message(kind::NEW_ROUTE, 9, &narrow);
        assert_eq!(changed(&narrow, &[7], &watch), Scope::NONE);
        let refuses = Watch { main_refuses: true, ..watch.clone() };
        assert_eq!(changed(&narrow, &[7], &refuses), Scope::MAIN);
        let wide = |table: u8, length: u8| {
            let mut bytes = route(table);
            bytes[1] = length;
            is_wide_route(&message(kind::NEW_ROUTE, 0, &bytes))
        };
        assert!(wide(254, 0) && wide(254, 8) && !wide(254, 9) && !wide(200, 0));
        let mut theirs = route(100);
        theirs[5] = 3;
        assert_eq!(of(kind::NEW_ROUTE, 0, &theirs), Scope::NONE);
        assert_eq!(of(kind::NEW_RULE, 7, &[0; 12]), Scope::NONE);
        assert_eq!(of(kind::DEL_RULE, 0, &[0; 12]), Scope::RULES);
        assert_eq!(of(kind::NEW_ADDRESS, 7, &[0; 8]), Scope::NONE);
        let with_address = Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN;
        assert_eq!(of(kind::DEL_ADDRESS, 7, &[0; 8]), with_address);
        assert!(of(kind::NEW_LINK, 7, &[0; 16]).has(Scope::LINKS | Scope::ROUTES | Scope::MAIN));
        // One that cannot be read was about something.
        assert_eq!(of(kind::DEL_ROUTE, 0, &[2, 0]), Scope::ROUTES);
        assert!(of(kind::DEL_LINK, 0, &[]).has(Scope::LINKS));
    }

    /// Given an address that was deleted by this process, then by the kernel, then the kernel alone is
    /// its author.
    #[test]
    fn nobody_is_the_author_of_our_own_changes() {
        let mut authors: [Author; 3] = Default::default();
        let both = Scope::ADDRESSES | Scope::ROUTES;
        for (port, author) in [(7, ""), (0, "the kernel")] {
            let deleted = message(kind::DEL_ADDRESS, port, &[0; 8]);
            note_author(&mut authors, &deleted, both, &[7]);
            assert_eq!(authors[0].recent(crate::clock::now()), author);
        }
    }
}
