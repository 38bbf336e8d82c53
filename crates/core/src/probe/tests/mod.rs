//! One uplink in virtual time against a line that is made of a seed.

mod silent;
mod world;
