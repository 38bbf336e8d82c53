//! Blame by comparison: a target that is silent on every line, while another
//! target answers through some line, is at fault itself, and leaves the count.

use super::{Line, blame_window};
use crate::config::CheckConfig;
use crate::time::Instant;
use alloc::vec::Vec;

/// For each target of `check`: is it blamed now? `lines` are all lines; those that
/// send nothing (no carrier, no address) have no say.
///
/// Blame never empties the count: it takes another target that answers.
pub fn blame<'a>(
    now: Instant,
    check: &CheckConfig,
    lines: impl Iterator<Item = &'a Line> + Clone,
) -> Vec<bool> {
    let window = blame_window(check);
    let heard = |target: usize| {
        lines.clone().any(|line| line.is_running() && line.heard_within(now, target, window))
    };
    let asked_long_enough = |target: usize| {
        let mut asked = lines.clone().filter(|line| line.is_running()).peekable();
        asked.peek().is_some() && asked.all(|line| line.silent_for(now, target, window))
    };
    let anyone_heard = (0..check.targets.len()).any(heard);
    (0..check.targets.len()).map(|target| anyone_heard && asked_long_enough(target)).collect()
}
