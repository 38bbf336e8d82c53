//! The first packet of a connection that came in by an uplink: whose it is, and whether it may
//! be there at all.
//!
//! Its replies leave by the uplink, whatever routes `main` has meanwhile. The exception is a
//! neighbour: where `main` leads back to the sender by the interface it came in by (a connected
//! network, a route by another gateway there), the reply follows that route, and the connection
//! bears no mark.
//!
//! `main` is asked through the mark that is nobody's: behind `main`, without its default, it leads to the
//! loopback at most, so an answer that names another device is always one of `main`.

use super::egress::nobody;
use super::forward;
use super::{inside, plain, set_mark};
use crate::config::{Config, FirewallMode};
use crate::render::view::UplinkView;
use crate::state::Chain;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The chain of an uplink.
pub(in crate::render) fn chain(config: &Config, uplink: &UplinkView<'_>) -> Chain {
    let mut rules = Vec::from([asking(config)]);
    rules.extend(inside(config).filter(|_| config.firewall.mode != FirewallMode::Off).map(forged));
    rules.push(beside(config, uplink));
    let (mask, asks) = (config.ranges.mark_mask, nobody(config));
    let [ct, meta] = ["ct", "meta"].map(|kind| set_mark(config, kind, uplink.mark));
    rules.push(format!("meta mark and {mask:#010x} == {asks:#010x} {ct} {meta}"));
    rules.extend(forward::arriving(config, uplink));
    plain(format!("from_{}", uplink.name), rules)
}

/// Makes the packet one for which `main` alone is asked.
fn asking(config: &Config) -> String {
    set_mark(config, "meta", nobody(config))
}

/// A source that the router would answer by an inside interface has no business outside, and could
/// not be answered there.
fn forged(inside: String) -> String {
    format!("meta nfproto ipv4 fib saddr . mark oifname {inside} counter drop")
}

fn beside(config: &Config, uplink: &UplinkView<'_>) -> String {
    let (ifname, none) = (uplink.ifname, set_mark(config, "meta", 0));
    format!("meta nfproto ipv4 fib saddr . mark oifname \"{ifname}\" {none}")
}
