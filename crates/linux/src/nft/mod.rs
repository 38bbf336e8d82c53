//! Our nftables table: read back, buckets changed in one batch, changes noticed.
//!
//! The request socket stays open: a transaction that deletes costs its sender
//! milliseconds at `close`, and a failover cannot wait for that.

mod socket;

use crate::author::Author;
use crate::netlink::Counters;
use rail_core::state::{
    Base, ChainKind, Hook, NFT_BUCKETS, NFT_GUARD, NFT_TABLE, ObservedChain, ObservedFirewall,
    ObservedNftRule, OpError, Scope, firewall::STAMP_PREFIX,
};
use rail_wire::netlink::{self as wire};
use rail_wire::nfnetlink::nftables as nft;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use socket::Socket;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// How often reading begins again when the ruleset changes meanwhile.
const ATTEMPTS: usize = 10;
/// Room for bursts of notifications, in bytes.
const ROOM: i32 = 1 << 20;
/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
/// Datagrams read in one call.
const AT_ONCE: usize = 1024;

/// The request socket.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
}

impl Nft {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open()? })
    }

    /// The port by which its changes are known.
    pub const fn port(&self) -> u32 {
        self.socket.port()
    }

    /// What was counted since the start.
    pub(crate) const fn counters(&self) -> Counters {
        self.socket.counters()
    }

    /// Reads our table; `None` if there is none.
    ///
    /// # Errors
    /// The kernel's, or a ruleset that kept changing.
    pub fn observe(&mut self) -> Result<Option<ObservedFirewall>, OpError> {
        self.read_steady(NFT_TABLE)
    }

    /// Reads the table of the boot guard; `None` if there is none.
    ///
    /// # Errors
    /// The kernel's, or a ruleset that kept changing.
    pub fn observe_guard(&mut self) -> Result<Option<ObservedFirewall>, OpError> {
        // Nearly always there is none, and one question tells.
        match self.dormant(NFT_GUARD)? {
            None => Ok(None),
            Some(_) => self.read_steady(NFT_GUARD),
        }
    }

    fn read_steady(&mut self, table: &str) -> Result<Option<ObservedFirewall>, OpError> {
        for _ in 0..ATTEMPTS {
            let generation = self.generation()?.unwrap_or(0);
            // The number changes before or after what it stands for, and a reading in between
            // has rules of both. So it is compared where no transaction is under way.
            if !self.confirm(generation)? {
                continue;
            }
            let found = self.read(table);
            if self.confirm(generation)? {
                return found;
            }
        }
        Err(OpError { errno: libc::EBUSY, text: "the ruleset kept changing".into() })
    }

    /// True if the ruleset is of this generation, and nobody is about to change it.
    fn confirm(&mut self, generation: u32) -> Result<bool, OpError> {
        let first = self.socket.next_sequence();
        self.socket.next_sequence();
        match self.socket.batch(&nft::confirm_generation(first, generation), first, 0) {
            Err(error) if error.errno == libc::ERESTART => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn generation(&mut self) -> Result<Option<u32>, OpError> {
        self.socket.get(&nft::get_generation(), nft::generation)
    }

    /// Whether a table is switched off; `None` if there is no such table.
    fn dormant(&mut self, table: &str) -> Result<Option<bool>, OpError> {
        match self.socket.get(&nft::get_table(table), |m| Some(nft::is_dormant(m))) {
            Err(error) if error.errno == libc::ENOENT => Ok(None),
            other => Ok(Some(other?.unwrap_or(false))),
        }
    }

    fn read(&mut self, table: &str) -> Result<Option<ObservedFirewall>, OpError> {
        let Some(dormant) = self.dormant(table)? else { return Ok(None) };
        let mut chains =
            self.socket.dump(&nft::dump_chains(), BTreeMap::new, |chains, message| {
                if let Some(chain) = nft::Chain::parse(message, table) {
                    let base = chain.hook.as_ref().and_then(convert);
                    let drops = chain.hook.is_some_and(|hook| hook.drops);
                    chains.insert(chain.name, ObservedChain { base, rules: Vec::new(), drops });
                }
            })?;
        let dump = nft::dump_rules(table);
        let rules: Vec<nft::Rule> = self.socket.dump(&dump, Vec::new, |rules, message| {
            rules.extend(nft::Rule::parse(message, table));
        })?;
        for rule in rules {
            if let Some(chain) = chains.get_mut(&rule.chain) {
                let stamp = rule.comment.as_deref().and_then(stamp);
                chain.rules.push(ObservedNftRule { handle: rule.handle, stamp });
            }
        }
        Ok(Some(ObservedFirewall { chains, buckets: self.buckets(table)?, dormant }))
    }

    /// How many packets the rules of a chain of our table have counted; `None` without the chain.
    ///
    /// # Errors
    /// The kernel's.
    pub fn packets(&mut self, chain: &str) -> Result<Option<u64>, OpError> {
        let dump = nft::dump_chain(NFT_TABLE, chain);
        let found = self.socket.dump(
            &dump,
            || None,
            |sum: &mut Option<u64>, rule| {
                *sum = Some(sum.unwrap_or(0).wrapping_add(nft::packets(rule)));
            },
        );
        match found {
            Err(error) if error.errno == libc::ENOENT => Ok(None),
            other => other,
        }
    }

    fn buckets(&mut self, table: &str) -> Result<Option<BTreeMap<u32, u32>>, OpError> {
        let dump = nft::dump_elements(table, NFT_BUCKETS);
        let found = self.socket.dump(&dump, BTreeMap::new, |buckets, message| {
            buckets.extend(nft::elements(message));
        });
        match found {
            Err(error) if error.errno == libc::ENOENT => Ok(None),
            other => other.map(Some),
        }
    }

    /// Removes and adds elements of the bucket map in one transaction, as (bucket, mark). If the map
    /// is not what the caller thought, what is there is read and the same end is reached from it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_buckets(&mut self, del: &[(u32, u32)], add: &[(u32, u32)]) -> Result<(), OpError> {
        match self.change(del, add) {
            Err(error) if [libc::ENOENT, libc::EEXIST, libc::EBUSY].contains(&error.errno) => {
                let have = self.buckets(NFT_TABLE)?.ok_or(error)?;
                let touched: BTreeSet<u32> =
                    del.iter().chain(add).map(|(bucket, _)| *bucket).collect();
                let want: BTreeMap<u32, u32> = add.iter().copied().collect();
                let del: Vec<_> = have
                    .iter()
                    .filter(|(bucket, mark)| {
                        touched.contains(bucket) && want.get(bucket) != Some(mark)
                    })
                    .map(|(bucket, mark)| (*bucket, *mark))
                    .collect();
                self.change(&del, add)
            }
            other => other,
        }
    }

    fn change(&mut self, del: &[(u32, u32)], add: &[(u32, u32)]) -> Result<(), OpError> {
        let first = self.socket.next_sequence();
        let (bytes, acks) = nft::change_elements(first, NFT_TABLE, NFT_BUCKETS, del, add);
        for _ in 0..=acks {
            self.socket.next_sequence();
        }
        self.socket.batch(&bytes, first, acks)
    }
}

/// Notifications of changes to our tables by others.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    own: Vec<u32>,
    /// Rules of others changed since this was last asked.
    others: bool,
    author: Author,
    /// A child of ours changes our table.
    is_ours: bool,
}

impl Monitor {
    /// Opens it. `own` are the ports whose changes are ours.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn open(own: Vec<u32>) -> io::Result<Self> {
        let mut socket = Socket::open()?;
        socket.listen(GROUP, ROOM)?;
        Ok(Self { socket, own, others: false, author: Author::default(), is_ours: false })
    }

    /// What changed since the last call.
    pub fn drain(&mut self) -> Scope {
        let mut changed = Scope::NONE;
        for _ in 0..AT_ONCE {
            match self.socket.receive() {
                Ok(datagram) => {
                    for message in wire::messages(datagram).flatten() {
                        if !nft::table_of(&message)
                            .is_some_and(|t| [NFT_TABLE, NFT_GUARD].contains(&t))
                        {
                            self.others |= nft::is_structure(&message);
                        } else if !self.own.contains(&message.port) {
                            changed = Scope::FIREWALL;
                            if !self.is_ours {
                                self.author.note(message.port);
                            }
                        }
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.others = true;
                    changed = Scope::FIREWALL;
                }
            }
        }
        changed
    }

    /// What is reported until [`Self::forget`] is our own child's doing.
    pub const fn begin_own(&mut self) {
        self.is_ours = true;
    }

    /// Drops what our own child did.
    pub fn forget(&mut self) {
        let _ours = self.drain();
        self.is_ours = false;
    }

    /// Who changed our table a moment ago; empty if nobody is known.
    pub fn author(&self) -> String {
        self.author.recent(crate::clock::now())
    }

    /// True if chains, rules or flow tables beside ours changed since the last call; elements of
    /// sets, which some programs change all the time, do not count.
    pub const fn take_others(&mut self) -> bool {
        std::mem::replace(&mut self.others, false)
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> Counters {
        self.socket.counters()
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn stamp(comment: &str) -> Option<u64> {
    u64::from_str_radix(comment.strip_prefix(STAMP_PREFIX)?, 16).ok()
}

fn convert(hook: &nft::Hook) -> Option<Base> {
    let kind = match hook.kind.as_str() {
        "filter" => ChainKind::Filter,
        "nat" => ChainKind::Nat,
        "route" => ChainKind::Route,
        _ => return None,
    };
    let number = match hook.number {
        0 => Hook::Prerouting,
        1 => Hook::Input,
        2 => Hook::Forward,
        3 => Hook::Output,
        4 => Hook::Postrouting,
        _ => return None,
    };
    Some(Base { kind, hook: number, priority: hook.priority })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;
    use std::process::Command;

    /// Given chains of two tables, then the packets of one chain are reported, and none of any other.
    #[test]
    fn a_chain_says_what_it_counted() {
        in_new_netns(|| {
            let mut nft = Nft::open().unwrap();
            assert_eq!(nft.packets("strange"), Ok(None));
            let text = "add table inet rail; add chain inet rail strange; add chain inet rail other; \
                        add rule inet rail strange ip saddr 192.0.2.1 accept; \
                        add rule inet rail strange counter packets 5 bytes 500 drop; \
                        add rule inet rail strange counter packets 2 bytes 200; \
                        add rule inet rail other counter packets 100 bytes 9";
            assert!(Command::new("nft").arg(text).status().unwrap().success());
            assert_eq!(nft.packets("strange"), Ok(Some(7)));
            assert_eq!(nft.packets("absent"), Ok(None));
        });
    }
}
