//! Elements of the bucket map: which bucket carries which mark. They come and go with the table.

use super::firewall;
use crate::state::{Observed, Op};
use alloc::collections::BTreeMap;

/// The change that brings them about.
pub(super) fn wanted(want: &BTreeMap<u32, u32>, observed: &Observed) -> Option<Op> {
    let have = observed.firewall.as_ref().and_then(|table| table.buckets.as_ref());
    let (del, add) = firewall::buckets_delta(want, have);
    (!del.is_empty() || !add.is_empty()).then_some(Op::Buckets { del, add })
}
