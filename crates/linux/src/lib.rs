//! The only I/O of `rail`, and the only `unsafe`: netlink, nftables, conntrack,
//! sockets, processes, files, the clock. It performs what the core asks for and
//! reports what happened; it has no opinions.

pub mod ask;
mod author;
pub mod child;
pub mod clock;
pub mod coexist;
pub mod conntrack;
pub mod device_path;
mod ethtool;
pub mod file;
pub mod guard;
pub mod lock;
pub mod log_file;
pub mod manager;
pub mod netlink;
pub mod nft;
pub mod notify_socket;
mod option;
pub mod poll;
pub mod port;
pub mod process;
pub mod programs;
pub mod queues;
pub mod realtime;
pub mod rescue;
pub mod revision;
pub mod session;
pub mod shell;
pub mod signal;
pub mod source;
pub mod state;
pub mod sysctl;
#[cfg(test)]
mod testing;
