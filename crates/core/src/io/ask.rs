//! Questions that take time and have one answer.
//!
//! The shell works on them beside all else, on [`MOST_ASKS`] at once and for so long at most; each has
//! one answer, unless its asker calls it off. The places are shared fairly ([`has_place`]). A new kind is
//! a variant of [`Ask`], and of [`Answer`] where its answer is of a new form, a file in the shell and one
//! in the simulator.

use super::port::Binding;
use crate::net::{Family, UplinkId};
use crate::time::Duration;
use alloc::collections::BTreeMap;
use core::net::SocketAddr;

/// So many questions are open at once at most.
pub const MOST_ASKS: u64 = 256;

/// Who asks.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Asker {
    /// The checks of an uplink in one family.
    Probe(UplinkId, Family),
}

impl Asker {
    /// The uplink that it asks for, if it asks for one.
    pub const fn uplink(self) -> Option<UplinkId> {
        match self {
            Self::Probe(uplink, _) => Some(uplink),
        }
    }
}

/// Which question; its answer bears the same.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AskId {
    /// Who asks.
    pub asker: Asker,
    /// The asker's number of the question.
    pub n: u64,
}

/// True if there is a place for one more question of `asker`, when there are `most` places. `held` says
/// how many questions each asker has open, with 0 for one that has none now.
///
/// An equal share of the places is kept for each asker, so that those whose questions are answered never
/// wait for those whose questions are not. What is beyond all shares goes to whoever comes first.
pub fn has_place(most: u64, held: &BTreeMap<Asker, u64>, asker: Asker) -> bool {
    let own = held.get(&asker).copied().unwrap_or(0);
    let askers = held.keys().filter(|other| **other != asker).fold(1, |count, _| count + 1);
    let share = (most / askers).max(1);
    let others = held.iter().filter(|(other, _)| **other != asker);
    let kept: u64 = others.map(|(_, count)| share.saturating_sub(*count)).sum();
    let free = most.saturating_sub(held.values().sum());
    free > if own < share { 0 } else { kept }
}

/// A question.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Connect over TCP, and close again at once: does somebody answer there?
    Connect {
        /// What the connection is bound to.
        binding: Binding,
        /// The other end.
        to: SocketAddr,
        /// How long an answer is waited for, 30 s at most.
        timeout: Duration,
    },
}

/// An answer. Of whatever form, it shows that the other end was reached.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The connection came about.
    Connected {
        /// Round-trip time, as the kernel measured it where it did.
        rtt: Duration,
    },
    /// The other end refused the connection (RST, RFC 9293 §3.5.2).
    Refused {
        /// Round-trip time.
        rtt: Duration,
    },
}

/// Why there is no answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum AskError {
    /// Nothing came in time.
    TimedOut,
    /// The kernel or a router on the way knows no way there.
    Unreachable,
    /// It was never asked: too many questions at once, or no device, address or descriptor. This says
    /// nothing of the other end.
    NotAsked,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(n: u8) -> Asker {
        Asker::Probe(UplinkId(n), Family::V4)
    }

    /// Asks until there is no place; returns how many were taken.
    fn fill(held: &mut BTreeMap<Asker, u64>, n: u8) -> u64 {
        let before = held.get(&asker(n)).copied().unwrap_or(0);
        while has_place(MOST_ASKS, held, asker(n)) {
            *held.entry(asker(n)).or_default() += 1;
        }
        held.get(&asker(n)).copied().unwrap_or(0) - before
    }

    /// Given one asker, then it may have every place. Given sixty, when all but three ask without end,
    /// then the three have their share nevertheless, and no place is left over in the end.
    #[test]
    fn nobody_takes_the_places_of_others() {
        assert_eq!(fill(&mut BTreeMap::new(), 1), MOST_ASKS);
        let mut held: BTreeMap<_, _> = (1..=60).map(|n| (asker(n), 0)).collect();
        let greedy: u64 = (4..=60).map(|n| fill(&mut held, n)).sum();
        let share = MOST_ASKS / 60;
        assert_eq!(greedy, MOST_ASKS - 3 * share);
        for n in 1..=3 {
            assert_eq!(fill(&mut held, n), share);
        }
        assert_eq!(held.values().sum::<u64>(), MOST_ASKS);
    }

    /// Given an asker that came when every place was taken, when one of another becomes free, then the
    /// newcomer has it, and the other, which holds more than its share now, has not.
    #[test]
    fn a_newcomer_is_next() {
        let mut held = BTreeMap::new();
        fill(&mut held, 1);
        assert!(!has_place(MOST_ASKS, &held, asker(2)));
        held.insert(asker(2), 0);
        held.entry(asker(1)).and_modify(|count| *count -= 1);
        assert!(!has_place(MOST_ASKS, &held, asker(1)));
        assert_eq!(fill(&mut held, 2), 1);
    }
}
