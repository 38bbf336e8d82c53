//! An address on an interface.
//!
//! Ours bear [`PROTOCOL`](super::PROTOCOL); where the kernel cannot mark them (before Linux 5.18) we
//! remember which we added.

use super::{Key, Resource};
use crate::net::{IfName, Prefix};
use crate::state::{Memory, Observed, Op, Ownership};

/// The change that brings it about.
pub(super) fn wanted(ifname: IfName, prefix: Prefix, observed: &Observed) -> Option<Op> {
    let is_there = observed.addresses.contains_key(&(ifname, prefix));
    (!is_there).then_some(Op::put(Resource::Address))
}

/// Those of ours.
pub(super) fn ours(observed: &Observed, memory: &Memory) -> impl Iterator<Item = Key> {
    let ours = observed.addresses.iter().filter(|((ifname, prefix), owner)| {
        // An address was read later than its link: look again before anything is taken away.
        observed.links.contains_key(ifname)
            && (**owner == Ownership::Ours || memory.addresses.contains(&(*ifname, *prefix)))
    });
    ours.map(|((ifname, prefix), _)| Key::Address { ifname: *ifname, prefix: *prefix })
}
