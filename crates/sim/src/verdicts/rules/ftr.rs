//! fault_tolerant_router: a process that pings targets in a random order, from the uplink's address,
//! with 2 s for each; a round ends when enough have answered or no longer can.
//!
//! No round is waited for a second time: one bad round is down, one good is up. The tests of other
//! uplinks stand in the same queue; here the others are healthy and take no time. It does not see
//! the carrier.

use super::serial::{Script, Serial};
use super::{Kind, LONG, MINUTE};
use rail_core::time::Duration;

/// Its defaults: six targets, four required, each minute.
pub(super) const DEFAULT: Kind = Kind {
    name: "FTR",
    settings: "interval 60 s, 4 of 6 targets, 2 s each",
    make: |now, seed| Box::new(Serial::new(now, seed, SCRIPT)),
    doubts: false,
    patience: LONG,
};

/// As quick as it goes without one target deciding alone.
pub(super) const QUICK: Kind = Kind {
    name: "FTR quick",
    settings: "interval 1 s, 2 of 3 targets, 2 s each",
    make: |now, seed| Box::new(Serial::new(now, seed, QUICKEST)),
    doubts: false,
    patience: MINUTE,
};

const SCRIPT: Script = Script {
    targets: &[0, 1, 2, 3, 4, 5],
    required: 4,
    gives_up: true,
    is_shuffled: true,
    timeout: Duration::from_secs(2),
    interval: Duration::from_secs(60),
    is_clocked: false,
    fall: 1,
    rise: 1,
    sees_carrier: false,
};

const QUICKEST: Script =
    Script { targets: &[0, 1, 2], required: 2, interval: Duration::from_secs(1), ..SCRIPT };

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then the defaults take 6 to 66 s.
    #[test]
    fn the_defaults_take_6_to_66_seconds() {
        let (least, most) = silent(DEFAULT);
        assert!((MS * 5900..MS * 8000).contains(&least), "{least:?}");
        assert!((MS * 64_000..=MS * 66_200).contains(&most), "{most:?}");
    }

    /// The same as quick as it goes, then 4 to 5 s.
    #[test]
    fn the_quickest_takes_up_to_five_seconds() {
        let (least, most) = silent(QUICK);
        assert!(least >= MS * 3950 && most <= MS * 5050, "{least:?} {most:?}");
    }
}
