//! Blame by comparison: a target that is silent on every uplink, while another
//! target answers through some uplink, is at fault itself, and leaves the count.

use super::{Line, blame_window};
use crate::config::CheckConfig;
use crate::time::Instant;
use alloc::vec::Vec;

/// For each target of `check`: is it ignored now? `lines` are all lines, `before` is the last answer.
///
/// An uplink that has not asked for long enough has no say, nor has one that sends nothing or asks
/// slowly; what it hears counts all the same. Where nobody has a say, the last answer stays: no
/// start of a line, no reload and no restart changes what is known of a target.
///
/// Blame never empties the count: it takes another target that answers.
pub fn blame<'a>(
    now: Instant,
    check: &CheckConfig,
    lines: impl Iterator<Item = &'a Line> + Clone,
    before: &[bool],
) -> Vec<bool> {
    let window = blame_window(check);
    let heard = |target: usize| {
        lines.clone().any(|line| line.is_running() && line.lived_within(now, target, window))
    };
    let anyone_heard = (0..check.targets.len()).any(heard);
    let anyone_asked = lines.clone().any(|line| line.has_asked_for(now, window));
    let judge = |target: usize| match (heard(target), anyone_heard && anyone_asked) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => before.get(target).copied().unwrap_or(false),
    };
    (0..check.targets.len()).map(judge).collect()
}
