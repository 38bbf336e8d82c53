//! `[ranges]`.

use crate::net::UplinkId;

/// `[ranges]`: every number that we use on the system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ranges {
    /// Mask of the packet and connection mark bits that are ours; contiguous.
    pub mark_mask: u32,
    /// First and last routing table.
    pub tables: (u32, u32),
    /// First and last rule priority.
    pub rule_priorities: (u32, u32),
}

impl Ranges {
    /// The mark of an uplink: its number, and nothing else.
    pub fn mark(&self, id: UplinkId) -> u32 {
        u32::from(id.0) << self.mark_mask.trailing_zeros()
    }

    /// The highest number an uplink can have: each has a mark and a table of its own, and more
    /// than [`MOST_UPLINKS`] have no place on the rungs of the ladder. All zeros in the mark is
    /// "no mark", all ones "none of them"; the first table is shared.
    pub fn highest_id(&self) -> u8 {
        let marks = (self.mark_mask >> self.mark_mask.trailing_zeros()).saturating_sub(1);
        let tables = self.tables.1.saturating_sub(self.tables.0);
        u8::try_from(marks.min(tables)).unwrap_or(u8::MAX).min(MOST_UPLINKS)
    }
}

/// So many uplinks at most, whatever the ranges hold.
pub const MOST_UPLINKS: u8 = 126;

impl Default for Ranges {
    fn default() -> Self {
        Self { mark_mask: 0x7f00_0000, tables: (20000, 20999), rule_priorities: (20000, 20999) }
    }
}
