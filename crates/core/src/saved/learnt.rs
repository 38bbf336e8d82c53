//! What the checks of an uplink have found besides its verdict.

use crate::config::CheckKind;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// What the checks of an uplink have found besides its verdict.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Learnt {
    /// It was suspect.
    pub suspect: bool,
    /// Answers in 1,000 seconds that somebody on the way allows; `None`: nobody limits them.
    pub limited_rate: Option<u32>,
    /// What they limit: questions of another kind may be answered more often.
    pub limited_kind: Option<CheckKind>,
    /// How often it fell again, and until when that holds its return back.
    pub falls: Falls,
}

/// The falls of an uplink, as far as they hold its return back. Moments are on the boot clock.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Falls {
    /// Until then its return is held back.
    pub held_until: Instant,
    /// When it returned the last time; `None`: it has fallen since, or has never fallen.
    pub returned: Option<Instant>,
    /// The last fall was by loss.
    pub by_loss: bool,
    /// How often it fell by loss soon after it had returned.
    pub lossy_again: u32,
    /// What its falls weigh, in thousandths, at the moment of the last one; where `damping` is set.
    pub penalty: u32,
    /// That moment.
    pub penalized: Instant,
    /// How often it fell silent, or was interrupted, soon after it had returned.
    pub silent_again: u32,
}
