//! mwan3 (OpenWrt): pings its hosts one after another until `reliability` have answered; `down` bad
//! rounds in a row make an interface offline, `up` good ones online.
//!
//! Its score says the same: a good round above `up` fills it, a bad one below `up` empties it, so both
//! counts are of rounds in a row. The loss of the carrier takes the interface down at once.

use super::serial::{Script, Serial};
use super::{Kind, LONG, MINUTE};
use rail_core::time::Duration;

/// Its defaults, with four hosts.
pub(super) const DEFAULT: Kind = Kind {
    name: "mwan3",
    settings: "interval 10 s, timeout 4 s, down 5, up 5, four hosts, reliability 1; sees the carrier",
    make: |now, seed| Box::new(Serial::new(now, seed, SCRIPT)),
    doubts: false,
    patience: LONG,
};

/// As quick as it goes.
pub(super) const QUICK: Kind = Kind {
    name: "mwan3 1/1/1",
    settings: "interval 1 s, timeout 1 s, down 1, up 1, four hosts, reliability 1; sees the carrier",
    make: |now, seed| Box::new(Serial::new(now, seed, QUICKEST)),
    doubts: false,
    patience: MINUTE,
};

const SCRIPT: Script = Script {
    targets: &[0, 1, 2, 3],
    required: 1,
    gives_up: false,
    is_shuffled: false,
    timeout: Duration::from_secs(4),
    interval: Duration::from_secs(10),
    is_clocked: false,
    fall: 5,
    rise: 5,
    sees_carrier: true,
};

const QUICKEST: Script = Script {
    timeout: Duration::from_secs(1),
    interval: Duration::from_secs(1),
    fall: 1,
    rise: 1,
    ..SCRIPT
};

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, returned, silent};
    use super::*;

    /// Given silence at any phase, then the defaults take up to 5 x (10 s + 4 x 4 s).
    #[test]
    fn the_defaults_take_up_to_130_seconds() {
        let (least, most) = silent(DEFAULT);
        assert!(least >= Duration::from_secs(50), "{least:?}");
        assert!((MS * 128_000..=MS * 130_100).contains(&most), "{most:?}");
    }

    /// The same as quick as it goes, then one round of four hosts: 4 to 5 s.
    #[test]
    fn the_quickest_takes_up_to_five_seconds() {
        let (least, most) = silent(QUICK);
        assert!(least >= MS * 3950 && most <= MS * 5050, "{least:?} {most:?}");
    }

    /// Given an outage of four minutes, then the defaults take five good rounds to return.
    #[test]
    fn the_defaults_return_after_fifty_seconds() {
        let took = returned(DEFAULT, Duration::from_secs(240));
        assert!((MS * 40_000..MS * 66_000).contains(&took), "{took:?}");
    }
}
