//! The boot guard, a table that forwards nothing. We never put it in: wanted means left alone.

use super::{Key, NFT_GUARD, firewall};
use crate::state::{Observed, Op};

/// Its table, if something in it is ours, and what takes that away.
pub(super) fn ours(observed: &Observed) -> Option<(Key, Op)> {
    let table = observed.guard.as_ref().filter(|table| firewall::has_ours(table))?;
    Some((Key::Guard, Op::Script(firewall::removal(NFT_GUARD, table))))
}
