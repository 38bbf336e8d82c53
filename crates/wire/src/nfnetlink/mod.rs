//! Netfilter's netlink protocols: the connection table.

pub mod conntrack;
