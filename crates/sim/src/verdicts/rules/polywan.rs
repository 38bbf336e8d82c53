//! PolyWAN: a check each 5 s of up to two attempts of 1 s each; two failed checks in a row are down,
//! three good ones up. It does not see the carrier.

use super::serial::{Script, Serial};
use super::{Kind, MINUTE};
use rail_core::time::Duration;

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "PolyWAN",
    settings: "5 s, two attempts of 1 s, fall 2, rise 3, one target",
    make: |now, seed| Box::new(Serial::new(now, seed, SCRIPT)),
    doubts: false,
    patience: MINUTE,
};

const SCRIPT: Script = Script {
    targets: &[0, 0],
    required: 1,
    gives_up: false,
    is_shuffled: false,
    timeout: Duration::from_secs(1),
    interval: Duration::from_secs(5),
    is_clocked: true,
    fall: 2,
    rise: 3,
    sees_carrier: false,
};

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then two checks: 7 to 12 s.
    #[test]
    fn silence_is_death_after_two_checks() {
        let (least, most) = silent(KIND);
        assert!((MS * 6950..MS * 7300).contains(&least), "{least:?}");
        assert!((MS * 11_700..=MS * 12_050).contains(&most), "{most:?}");
    }
}
