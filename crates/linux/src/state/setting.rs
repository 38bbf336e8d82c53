//! Kernel settings: the watched ones read, one written.

use crate::sysctl;
use rail_core::Watch;
use rail_core::state::OpError;
use std::collections::BTreeMap;

/// One that cannot be read is missing: its interface may be.
pub(super) fn observe(watch: &Watch) -> BTreeMap<String, String> {
    let read = |path: &String| Some((path.clone(), sysctl::read(path).ok()?));
    watch.sysctls.iter().filter_map(read).collect()
}

pub(super) fn put(path: &str, value: &str) -> Result<(), OpError> {
    sysctl::write(path, value)
}
