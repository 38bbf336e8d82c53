//! Which bucket of the sharing table carries which uplink.
//!
//! Every bucket ranks the uplinks by a hash of the uplink's *name* and the bucket
//! (rendezvous hashing), and takes the first that still has room in its exact
//! quota. So shares are exact to one bucket, two routers with the same
//! configuration agree, and the death of one uplink moves only its own buckets.
//! With several uplinks dead at once, the table is the one that results when
//! they die in the order of their names.

use crate::random::Secret;
use alloc::vec;
use alloc::vec::Vec;

/// An uplink that takes part in the sharing of a tier.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name.
    pub name: &'a str,
    /// Weight, at least 1.
    pub weight: u8,
    /// Usable now.
    pub usable: bool,
}

/// The most buckets that there can be. Half of what the map holds: it has elements besides the buckets,
/// of boxes inside and of addresses that several uplinks have.
const MOST: u32 = 2048;

/// Number of buckets for a configuration of this many balanced uplinks: a power of two,
/// fine enough that rounding stays below half a per cent up to eight uplinks.
pub fn bucket_count(uplinks: usize) -> u32 {
    let wanted = u32::try_from(uplinks.saturating_mul(64)).unwrap_or(MOST);
    wanted.clamp(64, MOST).next_power_of_two()
}

/// The index of the member that each bucket carries; empty when no member is usable.
pub fn fill(members: &[Member<'_>], buckets: u32) -> Vec<usize> {
    if !members.iter().any(|m| m.usable) {
        return Vec::new();
    }
    let hash = Secret::new(*b"rail slot table!");
    let names: Vec<u64> = members.iter().map(|m| hash.hash_bytes(m.name.as_bytes())).collect();
    let numbers: Vec<u64> = (0..u64::from(buckets)).map(|bucket| hash.hash(&[bucket])).collect();
    let rank = |bucket: usize, member: usize| mixed(names[member] ^ numbers[bucket]);

    // The buckets choose in a shuffled order: those that choose last have less to choose from, and
    // must not be neighbours, or connections in turn would come in bursts.
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by_key(|bucket| numbers[*bucket]);

    let mut alive: Vec<bool> = vec![true; members.len()];
    let mut table: Vec<Option<usize>> = vec![None; order.len()];
    place(&mut table, members, &alive, &order, &rank);

    let mut dead: Vec<usize> = (0..members.len()).filter(|i| !members[*i].usable).collect();
    dead.sort_by_key(|i| members[*i].name);
    for gone in dead {
        alive[gone] = false;
        for bucket in table.iter_mut().filter(|bucket| **bucket == Some(gone)) {
            *bucket = None;
        }
        if alive.iter().any(|a| *a) {
            place(&mut table, members, &alive, &order, &rank);
        }
    }
    table.into_iter().flatten().collect()
}

/// Gives each empty bucket to the best-ranked living member that is below its quota.
fn place(
    table: &mut [Option<usize>],
    members: &[Member<'_>],
    alive: &[bool],
    order: &[usize],
    rank: &dyn Fn(usize, usize) -> u64,
) {
    let mut room: Vec<usize> = quotas(members, alive, table.len());
    for owner in table.iter().flatten() {
        room[*owner] = room[*owner].saturating_sub(1);
    }
    let living: Vec<usize> = (0..members.len()).filter(|i| alive[*i]).collect();
    for bucket in order.iter().copied() {
        if table[bucket].is_some() {
            continue;
        }
        let open = || living.iter().copied().filter(|i| room[*i] > 0);
        let best = open().max_by_key(|i| rank(bucket, *i));
        let best = best.or_else(|| living.iter().copied().max_by_key(|i| rank(bucket, *i)));
        if let Some(best) = best {
            room[best] = room[best].saturating_sub(1);
            table[bucket] = Some(best);
        }
    }
}

/// Each bit of the result hangs on each bit of the number, which is a hash by itself: that of a name and that of
/// a bucket together. The end of `MurmurHash3` (Appleby 2011): a start with many uplinks ranks hundreds of
/// thousands of pairs at each lease.
const fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

/// Exact shares of `total` by weight, rounded by largest remainder. A weight that rounds to nothing
/// has one all the same, from the largest: an uplink that takes part is never left without a client.
fn quotas(members: &[Member<'_>], alive: &[bool], total: usize) -> Vec<usize> {
    let weight = |i: usize| if alive[i] { usize::from(members[i].weight.max(1)) } else { 0 };
    let sum: usize = (0..members.len()).map(weight).sum();
    let mut quota: Vec<usize> =
        (0..members.len()).map(|i| total * weight(i) / sum.max(1)).collect();
    let mut order: Vec<usize> = (0..members.len()).filter(|i| alive[*i]).collect();
    order.sort_by_key(|i| (core::cmp::Reverse(total * weight(*i) % sum.max(1)), members[*i].name));
    let left = total.saturating_sub(quota.iter().sum());
    for i in order.into_iter().take(left) {
        quota[i] += 1;
    }
    let empty: Vec<usize> = (0..members.len()).filter(|i| alive[*i] && quota[*i] == 0).collect();
    for i in empty {
        let largest = (0..members.len()).max_by_key(|i| (quota[*i], members[*i].name));
        if let Some(largest) = largest.filter(|l| quota[*l] > 1) {
            quota[i] = 1;
            quota[largest] -= 1;
        }
    }
    quota
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members<'a>(weights: &[(&'a str, u8, bool)]) -> Vec<Member<'a>> {
        let member = |(name, weight, usable): &(&'a str, u8, bool)| Member {
            name,
            weight: *weight,
            usable: *usable,
        };
        weights.iter().map(member).collect()
    }

    /// Given weights 1:2:3, when all live, then each has its share to one bucket.
    #[test]
    fn shares_are_exact() {
        let table = fill(&members(&[("a", 1, true), ("b", 2, true), ("c", 3, true)]), 256);
        let count = |i| table.iter().filter(|s| **s == i).count();
        assert_eq!(table.len(), 256);
        assert_eq!((count(0), count(1), count(2)), (43, 85, 128));
    }

    /// Given any number of uplinks, then the buckets are a power of two and as many as wanted, up to
    /// half of what the map holds; the most uplinks that there can be still share evenly.
    #[test]
    fn buckets_for_any_number_of_uplinks() {
        let counts = [0, 1, 2, 3, 8, 32, 33, 126, usize::MAX].map(bucket_count);
        assert_eq!(counts, [64, 64, 128, 256, 512, 2048, 2048, 2048, 2048]);
        let names: Vec<alloc::string::String> = (0..126).map(|i| alloc::format!("{i}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), 1, true)).collect();
        let table = fill(&members(&all), bucket_count(126));
        assert!((0..126).all(|i| matches!(table.iter().filter(|s| **s == i).count(), 16 | 17)));
    }

    /// Given a weight that rounds to less than one bucket, then it has one, and no bucket is added.
    #[test]
    fn the_smallest_weight_has_a_bucket() {
        for all in [
            members(&[("a", 255, true), ("b", 1, true)]),
            members(&[("a", 1, true), ("b", 255, true), ("c", 255, true)]),
        ] {
            let table = fill(&all, bucket_count(all.len()));
            assert_eq!(table.len() as u32, bucket_count(all.len()));
            for (i, member) in all.iter().enumerate().filter(|(_, m)| m.weight == 1) {
                assert_eq!(table.iter().filter(|s| **s == i).count(), 1, "{}", member.name);
            }
        }
    }

    /// Given any one death, then only the dead uplink's buckets move, and shares stay exact.
    #[test]
    fn a_death_moves_only_its_own_buckets() {
        let names = ["fibre", "cable", "lte", "dsl"];
        let all: Vec<_> = names.iter().zip([3, 2, 1, 1]).map(|(n, w)| (*n, w, true)).collect();
        let before = fill(&members(&all), 256);
        for dead in 0..names.len() {
            let mut some = all.clone();
            some[dead].2 = false;
            let after = fill(&members(&some), 256);
            for (bucket, owner) in before.iter().enumerate() {
                if *owner == dead {
                    assert_ne!(after[bucket], dead);
                } else {
                    assert_eq!(after[bucket], *owner, "slot {bucket}");
                }
            }
            let living: usize = some.iter().filter(|m| m.2).map(|m| usize::from(m.1)).sum();
            for (i, m) in some.iter().enumerate().filter(|(_, m)| m.2) {
                let have = after.iter().filter(|s| **s == i).count();
                assert!(have.abs_diff(256 * usize::from(m.1) / living) <= 1);
            }
        }
    }

    /// Given another order of the file, then the same uplink has the same buckets.
    #[test]
    fn order_of_the_file_does_not_matter() {
        let one = members(&[("a", 1, true), ("b", 2, true), ("c", 3, false)]);
        let two = members(&[("c", 3, false), ("a", 1, true), ("b", 2, true)]);
        let names = |m: &[Member<'_>], t: Vec<usize>| -> Vec<alloc::string::String> {
            t.into_iter().map(|i| m[i].name.into()).collect()
        };
        assert_eq!(names(&one, fill(&one, 128)), names(&two, fill(&two, 128)));
    }

    /// Given connections in turn, then no uplink waits long for its next one.
    #[test]
    fn the_buckets_of_an_uplink_are_spread() {
        let table = fill(&members(&[("a", 3, true), ("b", 2, true), ("c", 1, true)]), 256);
        for (uplink, weight) in [(0, 3), (1, 2), (2, 1)] {
            let at: Vec<usize> = (0..256).filter(|bucket| table[*bucket] == uplink).collect();
            let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(gap <= 60 / weight, "{uplink}: {gap}");
        }
    }

    /// Given nobody usable, then there is no table.
    #[test]
    fn nobody_is_usable() {
        assert!(fill(&members(&[("a", 1, false)]), 64).is_empty());
    }
}
