//! Our nftables table: its chains and rules, as text for one transaction.
//!
//! Ours are rules with our stamp in their comment; see `script`.

use super::{Key, NFT_TABLE};
use crate::config::Nat;
use crate::net::{IfName, Prefix};
use crate::state::{Observed, Op};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

mod mentions;
mod script;

use mentions::Mentions;
pub use script::{
    Bucket, STAMP_PREFIX, buckets_delta, buckets_script, guard, has_ours, removal, script, stamp,
};

/// The structure of our nftables table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Firewall {
    /// Chains; a chain stands after those it jumps to.
    pub chains: Vec<Chain>,
    /// What leaves under each mark by these rules; it is in their text already.
    pub senders: BTreeMap<u32, Sender>,
    /// Which rules name which mark.
    mentions: Mentions,
}

/// How packets leave that bear the mark of an uplink, and with which sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The uplink's interface.
    pub ifname: IfName,
    /// The next hop; `None`: the other end of the device.
    pub gateway: Option<IpAddr>,
    /// The uplink's address.
    pub address: IpAddr,
    /// What is translated.
    pub nat: Nat,
    /// The bits of a mark that are ours.
    pub mask: u32,
    /// All sources that are the uplink's.
    pub own: Vec<Prefix>,
    /// Destinations that any source may go to.
    pub exempt: Vec<Prefix>,
}

impl Sender {
    /// True if older rules of the uplink let nothing out that these would not: the uplink is the same
    /// one, and has lost no source and no exemption since. (Of one without translation they do not know
    /// the sources that other uplinks have got since.)
    pub fn covers(&self, older: &Self) -> bool {
        let way = |s: &Self| (s.ifname, s.gateway, s.address, s.nat, s.mask);
        let holds = |new: &[Prefix], old: &[Prefix]| old.iter().all(|prefix| new.contains(prefix));
        way(self) == way(older)
            && holds(&self.own, &older.own)
            && holds(&self.exempt, &older.exempt)
    }
}

/// One chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// The hook; `None` for a chain that is only jumped to. The policy is always accept.
    pub base: Option<Base>,
    /// Rules as nft text, without comment and handle.
    pub rules: Vec<String>,
}

/// Where a base chain hooks in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// Chain type.
    pub kind: ChainKind,
    /// Hook.
    pub hook: Hook,
    /// Priority.
    pub priority: i32,
}

/// nftables chain type.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ChainKind {
    /// `filter`.
    Filter,
    /// `nat`.
    Nat,
    /// `route`.
    Route,
}

/// Netfilter hook of the inet family.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Hook {
    /// `prerouting`.
    Prerouting,
    /// `input`.
    Input,
    /// `forward`.
    Forward,
    /// `output`.
    Output,
    /// `postrouting`.
    Postrouting,
}

/// Our nftables table as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObservedFirewall {
    /// Chains by name.
    pub chains: BTreeMap<String, ObservedChain>,
    /// The bucket map; `None` if it does not exist.
    pub buckets: Option<BTreeMap<u32, u32>>,
    /// Somebody switched the table off (`flags dormant`).
    pub dormant: bool,
}

/// A chain of our table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ObservedChain {
    /// Its hook.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<ObservedNftRule>,
    /// Its policy is to drop.
    pub drops: bool,
}

/// An nft rule: its handle, and the stamp in its comment if it is ours.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ObservedNftRule {
    /// Kernel handle.
    pub handle: u64,
    /// `comment "rail:<16 hex digits>"`, as a number; `None`: foreign.
    pub stamp: Option<u64>,
}

/// The change that brings it about.
pub(super) fn wanted(want: &Firewall, observed: &Observed) -> Option<Op> {
    script(want, observed.firewall.as_ref()).map(Op::Script)
}

/// The table, if something in it is ours, and what takes that away.
pub(super) fn ours(observed: &Observed) -> Option<(Key, Op)> {
    let table = observed.firewall.as_ref().filter(|table| has_ours(table))?;
    Some((Key::Firewall, Op::Script(removal(NFT_TABLE, table))))
}

/// Rules of others in chains of the table.
pub(super) fn foreign(observed: &Observed) -> impl Iterator<Item = String> {
    let chains = observed.firewall.iter().flat_map(|table| &table.chains);
    chains.filter_map(|(name, chain)| {
        let count = chain.rules.iter().filter(|rule| rule.stamp.is_none()).count();
        (count > 0).then(|| alloc::format!("{count} nft rule(s) in chain inet rail {name}"))
    })
}
