//! VyOS, WAN load balancing with its defaults: a ping each 5 s that may take 5 s; one failure is down,
//! one answer up. It does not see the carrier. One test; dead links in the same queue add 5 s each, and there are none.

use super::serial::{Script, Serial};
use super::{Kind, MINUTE};
use rail_core::time::Duration;

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "VyOS",
    settings: "5 s, resp-time 5 s, failure-count 1, success-count 1, one target",
    make: |now, seed| Box::new(Serial::new(now, seed, SCRIPT)),
    doubts: false,
    patience: MINUTE,
};

const SCRIPT: Script = Script {
    targets: &[0],
    required: 1,
    gives_up: false,
    is_shuffled: false,
    timeout: Duration::from_secs(5),
    interval: Duration::from_secs(5),
    is_clocked: false,
    fall: 1,
    rise: 1,
    sees_carrier: false,
};

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then 5 to 10 s.
    #[test]
    fn silence_is_death_after_five_to_ten_seconds() {
        let (least, most) = silent(KIND);
        assert!((MS * 4950..MS * 5300).contains(&least), "{least:?}");
        assert!((MS * 9700..=MS * 10_050).contains(&most), "{most:?}");
    }
}
