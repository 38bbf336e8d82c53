//! The way from what is to what is wanted: one engine, and what protects it from
//! readings that lack something.

mod doubts;
mod engine;

pub use doubts::{DUMPED, Doubts};
pub use engine::Engine;
