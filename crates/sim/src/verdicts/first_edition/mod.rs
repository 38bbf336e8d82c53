//! The verdict as `rail` first made it: rounds of echoes to all targets, fixed windows. Kept for the
//! bench, as it was.

mod line;
mod rounds;
mod verdict;

pub use line::{Line, Refusal};
pub use rounds::Run;
pub use verdict::{Cause, Verdict};

use rail_core::config::CheckConfig;
use rail_core::time::Duration;

pub use rail_core::IDENT_PREFIX;

/// Silence of a target after which it no longer counts as answering: 3 s, more at slow paces.
pub fn quorum_window(check: &CheckConfig) -> Duration {
    Duration::from_secs(3).max(check.interval * check.fail_after)
}

/// The pace of a line that carries nothing and answers well.
pub fn slow_interval(check: &CheckConfig) -> Duration {
    check.interval * 10
}
