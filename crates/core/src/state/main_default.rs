//! What the table `main` does with a destination that it has no route of its own for.
//!
//! Promises: few routes are read and kept, also beside a full Internet table; that some are not known
//! is. Leaves out what an error route of a single network refuses while there is none for everything:
//! the kernel says that itself.

use super::given::{self, GivenDefault, HALVES};
use crate::net::Prefix;
use alloc::vec::Vec;

/// What the table `main` does with a destination that it has no route of its own for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum MainDefault {
    /// It has no default route, or only such as lead somewhere: rail's rules pass over it.
    #[default]
    Passable,
    /// It has an error route for everything, which no rule passes over. Whether a real default comes
    /// before it is no matter, for the kernel deletes that one together with its device.
    Refuses {
        /// The networks that it has other routes for, none within another one; `None`: too many. Where
        /// there is room, those with error routes are among them, the widest first.
        others: Option<Vec<Prefix>>,
        /// Error routes of networks that are not among these.
        refused: Refused,
    },
}

/// Networks that have error routes of their own, none within another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// In the order of their addresses.
    pub networks: Vec<Prefix>,
    /// These are all. Else they are the widest of those that were read.
    pub is_whole: bool,
}

/// A reading of the routes of `main`.
#[derive(Clone, Debug, Default)]
pub struct MainReading {
    /// One of the defaults refuses.
    refuses: bool,
    leading: Vec<Prefix>,
    refused: Vec<Prefix>,
    defaults: Vec<GivenDefault>,
}

impl MainDefault {
    /// Each destination costs a rule that some packets of the router walk past.
    pub const MOST: usize = 64;

    /// It has all that `other` has: no reading that omits an entry is the cause of the difference.
    pub fn has_all_of(&self, other: &Self) -> bool {
        let (new, old) = match (self, other) {
            (_, Self::Passable) => return true,
            (Self::Passable, _) => return false,
            (
                Self::Refuses { others: new, refused },
                Self::Refuses { others, refused: old_refused },
            ) => ((new, refused), (others, old_refused)),
        };
        let is_among = |old: &Prefix| {
            new.0.iter().chain([&new.1.networks]).any(|networks| covers(networks, old))
        };
        let has_others = match (new.0, old.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(old)) => old.iter().all(is_among),
        };
        has_others && (!new.1.is_whole || old.1.networks.iter().all(is_among))
    }

    /// Each change of its other routes matters; where there are very many, none does.
    pub const fn is_followed(&self) -> bool {
        match self {
            Self::Passable => false,
            Self::Refuses { others, refused } => others.is_some() || refused.is_whole,
        }
    }

    /// A reading takes long.
    pub const fn is_large(&self) -> bool {
        match self {
            Self::Passable => false,
            Self::Refuses { others, refused } => others.is_none() || !refused.networks.is_empty(),
        }
    }
}

impl Refused {
    /// They are elements of one set. Programs that ban addresses add one for each, so anybody
    /// outside may have many added.
    pub const MOST: usize = 4096;

    fn of(mut networks: Vec<Prefix>, mut is_whole: bool) -> Self {
        if networks.len() > Self::MOST {
            networks = split_widest(networks, Self::MOST).0;
            is_whole = false;
        }
        Self { networks, is_whole }
    }
}

impl MainReading {
    /// So many routes are read at most; each reading keeps the loop from its work meanwhile.
    pub const MOST: usize = 16_384;

    /// Takes a route. False if the routes that are left decide nothing, should they come in the order
    /// of their addresses, as the kernel sends them.
    pub fn take(&mut self, prefix: Prefix, refuses: bool) -> bool {
        if prefix.length == 0 {
            self.refuses |= refuses;
        } else if self.is_whole() {
            let of_its_kind = if refuses { &mut self.refused } else { &mut self.leading };
            of_its_kind.push(prefix);
        }
        // The defaults share their address with the first routes of all, and the first half of everything
        // may have a second one.
        let [first, second] = HALVES;
        let address = prefix.network().address;
        let may_refuse = self.refuses || address.is_unspecified();
        let is_halved = self.defaults.iter().any(|default| default.prefix == first);
        (may_refuse || (is_halved && address <= second.address)) && self.is_whole()
    }

    /// Takes a next hop of a route for everything, or for half of it; before [`take`](Self::take).
    pub fn take_default(&mut self, default: GivenDefault) {
        given::add(&mut self.defaults, default);
    }

    /// The routes for everything so far.
    pub fn defaults(&mut self) -> Vec<GivenDefault> {
        core::mem::take(&mut self.defaults)
    }

    const fn is_whole(&self) -> bool {
        self.leading.len() + self.refused.len() <= Self::MOST
    }

    /// What the routes say together.
    pub fn finish(self) -> MainDefault {
        if !self.refuses {
            return MainDefault::Passable;
        }
        let is_whole = self.is_whole();
        let few = |networks: &Vec<Prefix>| is_whole && networks.len() <= MainDefault::MOST;
        let (leading, refused) = (widest(self.leading), widest(self.refused));
        let all = Some(widest([&*leading, &*refused].concat())).filter(few);
        if all.is_some() {
            return MainDefault::Refuses { others: all, refused: Refused::of(Vec::new(), true) };
        }
        // Error routes alone must not be too many: who has addresses banned could close the router. The
        // widest are those of the operator, not of a ban, and hold back the router itself as well.
        let (others, refused) = match Some(leading).filter(few) {
            None => (None, refused),
            Some(leading) => {
                let room = MainDefault::MOST - leading.len();
                let (wide, narrow) = split_widest(refused, room);
                (Some(widest([leading, wide].concat())), narrow)
            }
        };
        MainDefault::Refuses { others, refused: Refused::of(refused, is_whole) }
    }
}

/// Those that are in no other one, in the order of their addresses.
fn widest(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort_unstable_by_key(|prefix| (prefix.network().address, prefix.length));
    // In this order whatever lies in one of them follows it.
    prefixes.dedup_by(|prefix, wider| wider.contains(prefix.address));
    prefixes
}

/// The widest, so many at most, and the others, both in the order of their addresses.
fn split_widest(mut networks: Vec<Prefix>, most: usize) -> (Vec<Prefix>, Vec<Prefix>) {
    networks.sort_by_key(|prefix| prefix.length);
    let mut rest = networks.split_off(most.min(networks.len()));
    for part in [&mut networks, &mut rest] {
        part.sort_unstable_by_key(|prefix| prefix.address);
    }
    (networks, rest)
}

/// One of these, which are as `widest` leaves them, has the whole prefix in it.
fn covers(widest: &[Prefix], prefix: &Prefix) -> bool {
    let behind = widest.partition_point(|wider| wider.network().address <= prefix.address);
    let last = behind.checked_sub(1).and_then(|last| widest.get(last));
    last.is_some_and(|wider| wider.length <= prefix.length && wider.contains(prefix.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(routes: impl IntoIterator<Item = &'a (&'a str, bool)>) -> (MainReading, bool) {
        let mut reading = MainReading::default();
        let mut more = true;
        for (prefix, refuses) in routes {
            more = reading.take(prefix.parse().unwrap(), *refuses);
        }
        (reading, more)
    }

    fn networks(first: u8, count: usize) -> Vec<alloc::string::String> {
        (0..count).map(|n| alloc::format!("{first}.{}.{}.0/24", n / 256, n % 256)).collect()
    }

    /// Networks that lead somewhere, behind other routes.
    fn beside(count: usize, more: &[(&str, bool)]) -> (MainDefault, bool) {
        let names = networks(10, count);
        let others = names.iter().map(|name| (name.as_str(), false));
        let routes: Vec<_> = more.iter().copied().chain(others).collect();
        let (reading, more) = read(&routes);
        (reading.finish(), more)
    }

    fn of(others: Option<&[&str]>, refused: &[&str], is_whole: bool) -> MainDefault {
        let list = |networks: &[&str]| networks.iter().map(|text| text.parse().unwrap()).collect();
        let refused = Refused { networks: list(refused), is_whole };
        MainDefault::Refuses { others: others.map(list), refused }
    }

    /// How many others there are, if they are few enough, and the refused ones that are not among them.
    fn counts(main: &MainDefault) -> (Option<usize>, usize, bool) {
        let MainDefault::Refuses { others, refused } = main else { panic!("{main:?}") };
        (others.as_ref().map(Vec::len), refused.networks.len(), refused.is_whole)
    }

    const NULL: (&str, bool) = ("0.0.0.0/0", true);

    /// Given a default that refuses and as many networks as there may be rules, and one more, then
    /// it is passed by, and is not; the networks with error routes are known in either case.
    #[test]
    fn one_more_than_there_is_room_for() {
        let hold = ("172.16.0.0/12", true);
        assert_eq!(counts(&beside(64, &[NULL]).0), (Some(64), 0, true));
        assert_eq!(counts(&beside(63, &[NULL, hold]).0), (Some(64), 0, true));
        assert_eq!(beside(65, &[NULL]).0, of(None, &[], true));
        assert_eq!(beside(65, &[NULL, hold]).0, of(None, &["172.16.0.0/12"], true));
    }

    /// Given a default that refuses and error routes of addresses that anybody outside brings about,
    /// then those take no room from the networks, however many they are, nor from wider error routes; of
    /// more than there is room for the widest are kept.
    #[test]
    fn banned_addresses_close_nothing() {
        let names: Vec<_> =
            networks(192, 5000).iter().map(|name| name.replace(".0/24", ".7/32")).collect();
        let bans: Vec<_> = names.iter().map(|name| (name.as_str(), true)).collect();
        let with = |count: usize| [&[NULL, ("203.0.113.0/24", true)], &bans[..count]].concat();
        assert_eq!(counts(&beside(3, &with(60)).0), (Some(64), 0, true));
        let is_held = |main: &MainDefault| {
            let MainDefault::Refuses { others, .. } = main else { panic!() };
            others.as_ref().unwrap().contains(&"203.0.113.0/24".parse().unwrap())
        };
        for more in [61, 300] {
            let main = beside(3, &with(more)).0;
            assert_eq!(counts(&main), (Some(64), more - 60, true));
            assert!(is_held(&main));
        }
        assert_eq!(counts(&beside(65, &with(4095)).0), (None, 4096, true));
        let (main, _) = beside(3, &with(5000));
        assert_eq!(counts(&main), (Some(64), 4096, false));
        assert!(is_held(&main));
        let (main, _) = beside(65, &with(5000));
        let MainDefault::Refuses { refused, .. } = main else { panic!() };
        assert!(refused.networks.is_sorted());
        assert!(refused.networks.contains(&"203.0.113.0/24".parse().unwrap()));
    }

    /// Given a default that refuses behind one that leads somewhere, and goes with its device, then it
    /// counts as the first, whatever the order.
    #[test]
    fn a_real_default_before_it_is_no_matter() {
        let real = ("0.0.0.0/0", false);
        for defaults in [[NULL, real], [real, NULL]] {
            for count in [9, 65] {
                assert_eq!(beside(count, &defaults).0, beside(count, &[NULL]).0);
            }
        }
    }

    /// Given routes in the order of their addresses, then a reading ends behind the defaults if none
    /// of them refuses, and else where there are too many to know all.
    #[test]
    fn a_reading_ends_early() {
        let low = ("0.0.0.0/8", false);
        assert!(read(&[low]).1 && read(&[low, ("0.0.0.0/0", false)]).1);
        assert!(!beside(1, &[("0.0.0.0/0", false)]).1 && !beside(1, &[]).1);
        assert!(beside(MainReading::MOST, &[NULL]).1);
        let held = ("0.0.0.0/8", true);
        let (found, more) = beside(MainReading::MOST, &[NULL, held]);
        assert_eq!((found, more), (of(None, &["0.0.0.0/8"], false), false));
    }

    /// Given two readings of `main`, then the later one lacks something of the earlier one only if a
    /// network is in none of its own.
    #[test]
    fn less_of_main_is_less() {
        let few = |networks: &[&str]| of(Some(networks), &[], true);
        let beside = |held: &[&str]| of(None, held, true);
        let (narrow, wide) = (few(&["10.8.0.0/16"]), few(&["10.0.0.0/8", "192.0.2.0/24"]));
        let unknown = of(None, &[], false);
        assert!(wide.has_all_of(&narrow) && !narrow.has_all_of(&wide));
        assert!(narrow.has_all_of(&MainDefault::Passable));
        assert!(!MainDefault::Passable.has_all_of(&few(&[])));
        assert!(unknown.has_all_of(&wide) && beside(&[]).has_all_of(&wide));
        assert!(!wide.has_all_of(&unknown) && unknown.has_all_of(&beside(&["10.8.0.0/16"])));
        assert!(beside(&["10.0.0.0/8"]).has_all_of(&beside(&["10.8.0.0/16"])));
        assert!(!beside(&[]).has_all_of(&beside(&["10.8.0.0/16"])));
        let split = of(Some(&["192.0.2.0/24"]), &["10.0.0.0/8"], true);
        assert!(split.has_all_of(&wide) && split.has_all_of(&narrow));
        assert!(!few(&["192.0.2.0/24"]).has_all_of(&split));
    }
}
