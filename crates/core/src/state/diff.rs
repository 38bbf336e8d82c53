//! The difference between desired and observed: which changes bring the kernel
//! from one to the other. Pure; empty when they are equal.
//!
//! Creates and replaces run in the order of [`Key`], deletes run backward and
//! last, so there is no moment without what is wanted.

use super::{Key, Observed, Plan, Resource, RouteKey, State, Step, kind};
use crate::net::{IfName, Prefix};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// What we know beside the two states.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Routes that are wanted and have been in place: what stands at their key now has pushed
    /// ours out and may be replaced.
    pub routes: BTreeSet<RouteKey>,
    /// Addresses that we added, for kernels that cannot mark them.
    pub addresses: BTreeSet<(IfName, Prefix)>,
    /// Objects that we are about to change for the first time, while what stood there before is not
    /// on the disk yet: which of the saves that are waited for will bring it there.
    pub unsaved: BTreeMap<Key, u64>,
}

/// A wanted object that cannot be had because somebody else's stands in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The object.
    pub key: Key,
    /// What stands there.
    pub text: String,
}

/// The plan, and what stands in its way.
pub fn diff(desired: &State, observed: &Observed, memory: &Memory) -> (Plan, Vec<Conflict>) {
    let mut plan = Plan::new();
    let mut conflicts = Vec::new();
    for (key, value) in desired {
        match kind::wanted(key, value, observed, memory) {
            Ok(Some(op)) => plan.push(Step { key: key.clone(), op }),
            Ok(None) => {}
            Err(conflict) => conflicts.push(*conflict),
        }
    }
    let ours = kind::ours(observed, memory).into_iter();
    let surplus = ours.filter(|(key, _)| !desired.contains_key(key));
    let mut surplus: Plan = surplus.map(|(key, op)| Step { key, op }).collect();
    surplus.sort_by(|a, b| b.key.cmp(&a.key));
    plan.extend(surplus);
    (plan, conflicts)
}

/// True if the object is there as it is wanted.
pub fn is_met(key: &Key, value: &Resource, observed: &Observed) -> bool {
    matches!(kind::wanted(key, value, observed, &Memory::default()), Ok(None))
}

/// Foreign objects inside our ranges, as text for the screen.
pub fn foreign(desired: &State, observed: &Observed, priorities: (u32, u32)) -> Vec<String> {
    kind::foreign(desired, observed, priorities)
}
