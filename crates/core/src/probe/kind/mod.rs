//! Kinds of checks: each asks a question and recognises its answer. Pace, evidence and verdict never
//! know which kind it was.
//!
//! A kind has two functions: `question(n, target) -> bytes` and `recognise(newest, targets, from,
//! bytes) -> (target, n)`. The number `n` counts up and never returns, whatever fits on the wire.

mod icmp;

pub use icmp::Icmp;

/// Why a packet on a probe socket was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No answer of the form that ours have.
    Malformed,
    /// Not from a target.
    WrongSource,
    /// The number of no probe that was sent.
    WrongSequence,
    /// It does not hold what we sent: its sender never saw the question.
    WrongNonce,
    /// The answer to a probe of another uplink.
    WrongInterface,
    /// Answered before.
    Duplicate,
}
