//! A kernel setting, by its path below `/proc/sys`, or the mask of a queue, by its path below `/sys`. None is
//! ours: it gets back what it had before us.

use super::{FORWARDING, Rank, Resource};
use crate::net::IfName;
use crate::queues::Place;
use crate::state::{Observed, Op, Scope};
use alloc::format;
use alloc::string::String;

/// The machine becomes a router last, whatever else is set.
pub(super) fn rank(path: &str) -> Rank {
    if is_forwarding(path) { Rank::Forwarding } else { Rank::Setting }
}

/// Which reading has it.
pub(super) fn scope(path: &str) -> Scope {
    if Place::parse(path).is_some() { Scope::QUEUES } else { Scope::SYSCTLS }
}

/// In the words of an administrator.
pub(super) fn name(path: &str) -> String {
    match Place::parse(path) {
        Some(_) => format!("/sys/{path}"),
        None => format!("sysctl {}", path.replace('/', ".")),
    }
}

/// True for a setting that makes a router of the machine or of one of its devices, in either family.
pub fn is_forwarding(path: &str) -> bool {
    let of_conf =
        |family: &str| path.strip_prefix(family).is_some_and(|rest| rest.ends_with("/forwarding"));
    path == FORWARDING || of_conf("net/ipv4/conf/") || of_conf("net/ipv6/conf/")
}

/// The change that brings it about. One that cannot be read belongs to a device that is gone.
pub(super) fn wanted(path: &str, want: &String, observed: &Observed) -> Option<Op> {
    let have = observed.setting(path)?;
    (have != want).then(|| Op::replace(Resource::Sysctl(want.clone())))
}

/// True if it is a setting of this interface.
pub(super) fn is_of(path: &str, ifname: IfName) -> bool {
    path.split('/').any(|part| part == ifname.as_str())
}
