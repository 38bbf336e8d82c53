//! One uplink in virtual time against a line that is made of a seed.

mod answers;
mod life;
mod limits;
mod lossy;
mod others;
mod pause;
mod silent;
mod world;
