//! One uplink in virtual time; what it answers is made of a seed.

mod answers;
mod ends;
mod life;
mod limits;
mod lossy;
mod others;
mod pause;
mod silent;
mod world;
