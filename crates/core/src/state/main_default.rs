//! What the table `main` does with a destination that it has no route of its own for.
//!
//! Promises: few routes are read and kept, also beside a full Internet table. What is then not known
//! is taken for refused. Leaves out what an error route of a single network refuses: the kernel says
//! that itself, unless it refuses everything.

use crate::net::Prefix;
use alloc::vec::Vec;

/// What the table `main` does with a destination that it has no route of its own for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum MainDefault {
    /// It has no default route, or one that leads somewhere: rail's rules pass over it.
    #[default]
    Passable,
    /// It has an error route for everything, which no rule passes over. These destinations it has
    /// other routes for, none within another one.
    Refuses(Vec<Prefix>),
    /// The same, no other default comes before it, and it has routes for too many other networks.
    /// These have error routes of their own, none within another one; `None`: too many to know.
    RefusesBesideMany(Option<Vec<Prefix>>),
}

/// A reading of the routes of `main`.
#[derive(Clone, Debug, Default)]
pub struct MainReading {
    /// The default of the lowest metric, and whether it refuses.
    first: Option<(u32, bool)>,
    /// One of the defaults refuses.
    refuses: bool,
    others: Vec<Prefix>,
    refused: Vec<Prefix>,
}

impl MainDefault {
    /// Each destination costs a rule that some packets of the router walk past.
    pub const MOST: usize = 64;

    /// It has all that `other` has: no reading that omits an entry is the cause of the difference.
    pub fn has_all_of(&self, other: &Self) -> bool {
        let all_covered = |new: &[Prefix], old: &[Prefix]| {
            let covers =
                |new: &Prefix, old: &Prefix| new.length <= old.length && new.contains(old.address);
            old.iter().all(|old| new.iter().any(|new| covers(new, old)))
        };
        match (self, other) {
            (_, Self::Passable)
            | (Self::RefusesBesideMany(_), Self::Refuses(_))
            | (Self::RefusesBesideMany(None), _) => true,
            (Self::Refuses(new), Self::Refuses(old))
            | (Self::RefusesBesideMany(Some(new)), Self::RefusesBesideMany(Some(old))) => {
                all_covered(new, old)
            }
            (Self::Passable, _) | (_, Self::RefusesBesideMany(_)) => false,
        }
    }

    /// Each change of its other routes matters; where there are very many, none does.
    pub const fn is_followed(&self) -> bool {
        matches!(self, Self::Refuses(_) | Self::RefusesBesideMany(Some(_)))
    }
}

impl MainReading {
    /// So many routes are read at most; each reading keeps the loop from its work meanwhile.
    pub const MOST: usize = 16_384;

    /// Takes a route. False if the routes that are left decide nothing, should they come in the order
    /// of their addresses, as the kernel sends them.
    pub fn take(&mut self, prefix: Prefix, metric: u32, refuses: bool) -> bool {
        if prefix.length == 0 {
            self.refuses |= refuses;
            if self.first.is_none_or(|(best, _)| metric < best) {
                self.first = Some((metric, refuses));
            }
        } else if self.others.len() <= Self::MOST {
            self.others.push(prefix);
            self.refused.extend(refuses.then_some(prefix));
        }
        // The defaults share their address with the first routes of all.
        let may_refuse = self.refuses || prefix.network().address.is_unspecified();
        may_refuse && self.others.len() <= Self::MOST
    }

    /// What the routes say together.
    pub fn finish(self) -> MainDefault {
        if !self.refuses {
            return MainDefault::Passable;
        }
        let is_whole = self.others.len() <= Self::MOST;
        let networks = if is_whole { widest(self.others) } else { None };
        match (networks, self.first) {
            (Some(networks), _) => MainDefault::Refuses(networks),
            (None, Some((_, false))) => MainDefault::Passable,
            (None, _) if is_whole => MainDefault::RefusesBesideMany(widest(self.refused)),
            (None, _) => MainDefault::RefusesBesideMany(None),
        }
    }
}

/// Those that are in no other one; `None`: too many.
fn widest(mut prefixes: Vec<Prefix>) -> Option<Vec<Prefix>> {
    prefixes.sort_unstable_by_key(|prefix| (prefix.length, prefix.address));
    let mut widest: Vec<Prefix> = Vec::new();
    for prefix in prefixes {
        if widest.iter().all(|wider| !wider.contains(prefix.address)) {
            if widest.len() >= MainDefault::MOST {
                return None;
            }
            widest.push(prefix);
        }
    }
    Some(widest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(routes: impl IntoIterator<Item = &'a (&'a str, u32, bool)>) -> (MainReading, bool) {
        let mut reading = MainReading::default();
        let mut more = true;
        for (prefix, metric, refuses) in routes {
            more = reading.take(prefix.parse().unwrap(), *metric, *refuses);
        }
        (reading, more)
    }

    fn networks(count: usize) -> Vec<alloc::string::String> {
        (0..count).map(|n| alloc::format!("10.{}.{}.0/24", n / 256, n % 256)).collect()
    }

    fn beside(count: usize, more: &[(&str, u32, bool)]) -> (MainDefault, bool) {
        let names = networks(count);
        let others = names.iter().map(|name| (name.as_str(), 0, false));
        let routes: Vec<_> = more.iter().copied().chain(others).collect();
        let (reading, more) = read(&routes);
        (reading.finish(), more)
    }

    /// Given a default that refuses and as many networks as there may be rules, and one more, then
    /// it is passed by, and is not; the error routes of networks are known up to as many, and no more.
    #[test]
    fn one_more_than_there_is_room_for() {
        let null = ("0.0.0.0/0", 7, true);
        let held: Prefix = "172.16.0.0/12".parse().unwrap();
        let hold = ("172.16.0.0/12", 1000, true);
        assert!(matches!(beside(64, &[null]).0, MainDefault::Refuses(all) if all.len() == 64));
        let many = |refused| MainDefault::RefusesBesideMany(refused);
        assert_eq!(beside(65, &[null]).0, many(Some(Vec::new())));
        assert_eq!(beside(65, &[null, hold]).0, many(Some(alloc::vec![held])));
        for (count, is_known) in [(64, true), (65, false)] {
            let names: Vec<_> = (0..count).map(|n| alloc::format!("192.168.{n}.0/24")).collect();
            let holds: Vec<_> = names.iter().map(|name| (name.as_str(), 0, true)).collect();
            let all = [&[null], holds.as_slice()].concat();
            let MainDefault::RefusesBesideMany(refused) = beside(65, &all).0 else { panic!() };
            assert_eq!(refused.is_some(), is_known);
        }
    }

    /// Given a default that refuses behind one that leads somewhere, then beside many networks it
    /// takes nothing away, whatever the order.
    #[test]
    fn the_first_default_decides_beside_many() {
        let defaults = [("0.0.0.0/0", 4_278_198_272, true), ("0.0.0.0/0", 100, false)];
        let turned = [defaults[1], defaults[0]];
        for defaults in [defaults, turned] {
            assert_eq!(beside(65, &defaults).0, MainDefault::Passable);
            assert!(matches!(beside(9, &defaults).0, MainDefault::Refuses(_)));
        }
    }

    /// Given routes in the order of their addresses, then a reading ends behind the defaults if none
    /// of them refuses, and else where there are too many to know all.
    #[test]
    fn a_reading_ends_early() {
        let null = ("0.0.0.0/0", 7, true);
        let low = ("0.0.0.0/8", 0, false);
        assert!(read(&[low]).1 && read(&[low, ("0.0.0.0/0", 1, false)]).1);
        assert!(!beside(1, &[("0.0.0.0/0", 7, false)]).1 && !beside(1, &[]).1);
        assert!(beside(MainReading::MOST, &[null]).1);
        let (found, more) = beside(MainReading::MOST + 1, &[null]);
        assert_eq!((found, more), (MainDefault::RefusesBesideMany(None), false));
    }

    /// Given two readings of `main`, then the later one lacks something of the earlier one only if a
    /// network is in none of its own.
    #[test]
    fn less_of_main_is_less() {
        let list = |networks: &[&str]| networks.iter().map(|text| text.parse().unwrap()).collect();
        let of = |networks: &[&str]| MainDefault::Refuses(list(networks));
        let beside = |held: &[&str]| MainDefault::RefusesBesideMany(Some(list(held)));
        let (narrow, wide) = (of(&["10.8.0.0/16"]), of(&["10.0.0.0/8", "192.0.2.0/24"]));
        let unknown = MainDefault::RefusesBesideMany(None);
        assert!(wide.has_all_of(&narrow) && !narrow.has_all_of(&wide));
        assert!(narrow.has_all_of(&MainDefault::Passable));
        assert!(!MainDefault::Passable.has_all_of(&of(&[])));
        assert!(unknown.has_all_of(&wide) && beside(&[]).has_all_of(&wide));
        assert!(!wide.has_all_of(&unknown) && !beside(&[]).has_all_of(&unknown));
        assert!(beside(&["10.0.0.0/8"]).has_all_of(&beside(&["10.8.0.0/16"])));
        assert!(!beside(&[]).has_all_of(&beside(&["10.8.0.0/16"])));
    }
}
