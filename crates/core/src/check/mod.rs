//! Is an uplink alive, and is it good? One [`Prober`] an uplink asks targets behind it, and judges.
//!
//! *Ask sparsely while all is well, quickly from the first overdue answer. Step aside soon, for that is
//! easily undone; give up late, for that is not.*
//!
//! ```text
//! answer ─▶ kind ─▶ flight ─┬─ overtaken ─▶ evidence ─▶ limiter? ─┐
//!                     ▲     └─ not overtaken ─▶ silence ──────────┼─▶ verdict ─▶ loss (holds)
//!                     └────────────── pace ◀── rounds ────────────┘
//! ```
//!
//! * `flight`: the probes of the last seconds. What a later answer has overtaken is *loss*, the rest is
//!   *silence*.
//! * `silence`: raises a doubt after some 0.3 s (new connections go elsewhere), is sure after a
//!   patience that it has learnt from the gaps that the uplink survived.
//! * `evidence`: sequential tests for loss, in `nats`; degraded soon, down when it is certain.
//! * `limiter`: before loss condemns, is it somebody who limits echoes?
//! * `rounds` and `loss`: what a return takes, and how long it is held back after loss or death.
//! * `rtt`, `pace`: how long an answer may take, and when whom to ask next.
//! * `blame`: what uplinks tell about each other.
//! * `traffic`: what the packets of others tell of a silence.
//! * `kind`: how a question is asked. Nothing else knows whether it is an ICMP echo.
//! * `settings`: the numbers. The bench (`./dev bench verdicts`) shows what they are worth.
//! * `quality`: loss, latency and jitter of the last minute, for the screens and the limits of latency.
//! * `prober`: all of these for one uplink.
//! * `verdict`: the pure function that says it all.
//!
//! A *doubt* here is the health `suspect` outside. [`Prober::suspect`] is something else: a hint to look
//! closely. ARCHITECTURE.md has the whole in one drawing.

mod blame;
mod damping;
mod evidence;
mod flight;
mod kind;
mod limiter;
mod loss;
mod nats;
mod pace;
mod pattern;
mod prober;
mod quality;
mod rounds;
mod rtt;
mod settings;
mod silence;
#[cfg(test)]
mod tests;
mod traffic;
mod verdict;

pub use crate::io::Unanswered;
pub use blame::{blame, common_cause, is_comparing, left_out, should_compare, should_wake};
pub use kind::{Icmp, Kind, Means, Question, Refusal, least_interval, targets};
pub use prober::{Context, Prober, Told};
pub use quality::{Quality, Sums};
pub use settings::{Settings, standby_factor};
pub(crate) use traffic::BUSY;
pub use traffic::{Packets, Traffic};
pub use verdict::{Cause, Verdict};
