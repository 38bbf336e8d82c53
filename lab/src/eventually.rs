//! Waiting for conditions, never for time.
//!
//! A condition says what it saw when it is not yet true; the last observation is in the
//! message when it never becomes true.

use crate::LabError;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a condition is asked.
const PERIOD: Duration = Duration::from_millis(10);

/// Asks until the answer is `Ok`; the error is the last observation.
///
/// # Errors
/// [`LabError::Late`] after `limit`.
pub fn try_eventually<T, E: Display>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<T, E>,
) -> Result<T, LabError> {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(value) => return Ok(value),
            Err(last) if start.elapsed() > limit => {
                let text = format!("after {limit:?} still waiting for {what}; last seen: {last}");
                return Err(LabError::Late(text));
            }
            Err(_) => std::thread::sleep(PERIOD),
        }
    }
}

/// As [`try_eventually`], for tests.
///
/// # Panics
/// After `limit`, with the last observation.
#[track_caller]
pub fn eventually<T, E: Display>(
    limit: Duration,
    what: &str,
    ask: impl FnMut() -> Result<T, E>,
) -> T {
    match try_eventually(limit, what, ask) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Tells a thread of a scope to end, when this goes out of use: a scope whose body panics waits for its
/// threads before anybody hears of the panic.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
