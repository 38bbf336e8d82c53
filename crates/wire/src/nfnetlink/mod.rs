//! Netfilter's netlink protocols: the connection table and nf_tables.

pub mod conntrack;
pub mod nftables;
