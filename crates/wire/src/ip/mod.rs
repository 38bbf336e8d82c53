//! The needed subset of the internet protocols.

pub mod icmp4;
