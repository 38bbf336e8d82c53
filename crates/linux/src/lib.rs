//! The only I/O of `rail`, and the only `unsafe`: netlink, nftables, conntrack,
//! sockets, processes, files, the clock. It performs what the core asks for and
//! reports what happened; it has no opinions.

pub mod conntrack;
pub mod netlink;
pub mod nft;
pub mod process;
pub mod shell;
pub mod socket;
