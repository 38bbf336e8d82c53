//! Is a line alive? One [`Line`] an uplink sends rounds of echoes and judges
//! them; [`blame()`] finds targets that are silent on every uplink.

mod blame;
mod line;
mod quality;
mod rounds;
mod verdict;

pub use blame::blame;
pub use line::{Line, Refusal};
pub use quality::{Quality, Sums};
pub use rounds::Run;
pub use verdict::{Cause, Verdict};

pub use crate::io::IDENT_PREFIX;

use crate::config::CheckConfig;
use crate::time::Duration;

/// Silence of a target after which it no longer counts as answering: 3 s, more at slow paces.
pub fn quorum_window(check: &CheckConfig) -> Duration {
    Duration::from_secs(3).max(check.interval * check.fail_after)
}

/// Silence on every line after which a target is blamed: a little less than the
/// quorum window, so that a target which dies everywhere is blamed before its
/// silence condemns an uplink.
pub fn blame_window(check: &CheckConfig) -> Duration {
    let quorum = quorum_window(check);
    quorum.saturating_sub(check.interval * 2).max(quorum / 2)
}

/// The pace of a line that carries nothing and answers well.
pub fn slow_interval(check: &CheckConfig) -> Duration {
    check.interval * 10
}
