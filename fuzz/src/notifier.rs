//! The parts of the notifier that read and write, built in here.
#![expect(dead_code, reason = "built here for fuzzing only; the binary uses the rest")]

#[path = "../../crates/rail/src/notifier/event.rs"]
pub(crate) mod event;
#[path = "../../crates/rail/src/notifier/fold.rs"]
mod fold;
#[path = "../../crates/rail/src/notifier/message.rs"]
pub(crate) mod message;
#[path = "../../crates/rail/src/notifier/retry.rs"]
mod retry;
#[path = "../../crates/rail/src/notifier/send/mod.rs"]
pub(crate) mod send;
