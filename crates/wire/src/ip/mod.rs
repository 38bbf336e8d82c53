//! The needed subset of the internet protocols.

pub mod arp;
pub mod icmp4;
