//! How a new connection gets its uplink: the mark of a bucket, its share of the whole.
//!
//! Only what the uplinks are for takes one. What `main` has a route of its own for (connected,
//! static, VPN) goes there and bears no mark; nor do connections to the router itself, multicast
//! and IPv6, of which none is counted either. So the shares are those of connections to the internet,
//! whatever else the clients do in between.
//!
//! What an error route of `main` refuses (a kill switch for the time when a VPN is down) takes none
//! either, and so stays refused. With the mark of nobody `main` alone is asked, and behind it the
//! loopback answers for all that has no route there: one look, for nearly every connection. What is
//! left, and all where there is no loopback, is asked twice, for the kernel has one answer for "no
//! route" and for "refused": without a mark, as the router's own traffic, it must find a way, and with
//! the mark of nobody none. Where `main` refuses everything, the ladder sees to it that the first
//! question is not refused for that alone. If it cannot, for want of rules, the networks that have an
//! error route are named, as many of them as are known. What begins to them gets the mark of nobody,
//! unless `main` has a way for it: without a mark it would take the way of the router's other traffic.
//! Nothing that outsiders can have somebody write into `main` may end all that begins.
//!
//! There the ladder names the networks of `main`, and one that was not read yet would miss its
//! route. The mark of nobody finds it. So if `main` leads by a device of no uplink, and the ladder by
//! one of an uplink, the packet is dropped: the next one of its connection asks again.

use super::egress;
use super::{any_of, set_mark};
use crate::config::{BalanceBy, FirewallMode};
use crate::render::bucket_count;
use crate::render::ladder::{self, LOOPBACK};
use crate::render::view::{UplinkView, View};
use crate::state::{MainDefault, NFT_BUCKETS};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// For packets without a mark of anybody: the first finds the bucket and ends the matter, the last is
/// for what takes none. In mode `external` the kernel's multipath route shares.
pub(in crate::render) fn rules(view: &View<'_>) -> Vec<String> {
    let config = view.config;
    if config.firewall.mode == FirewallMode::External {
        return Vec::new();
    }
    let (buckets, asks) = (bucket_count(config), egress::nobody(config));
    // A fixed seed: both routers of a pair, and every restart, agree.
    let number = match config.balance {
        BalanceBy::Connection => format!("numgen inc mod {buckets}"),
        BalanceBy::Client => format!("jhash ip saddr mod {buckets} seed {SEED}"),
        BalanceBy::ClientServer => format!("jhash ip saddr . ip daddr mod {buckets} seed {SEED}"),
    };
    // An answer to a packet without a mark says that `main` does not refuse it; where `main` as a whole
    // refuses that packet, there is none.
    let (asks_way, refused) = match &view.facts.system.main {
        MainDefault::Passable => (true, &[][..]),
        MainDefault::Refuses { others, refused } => (others.is_some(), &*refused.networks),
    };
    let way = if asks_way { " fib daddr oif exists" } else { "" };
    let mut rules = Vec::new();
    let refused = any_of(refused.iter().map(ToString::to_string).collect());
    let bears =
        |mark: u32| format!("meta mark and {:#010x} == {mark:#010x}", config.ranges.mark_mask);
    if let Some(refused) = &refused {
        let (none, set) = (bears(0), set_mark(config, "meta", asks));
        rules.push(format!(
            "{none} ip daddr {refused} fib daddr type unicast {set} fib daddr . mark oif missing accept"
        ));
    }
    // While `main` is asked the packet bears the mark that is nobody's: beside `main` only the loopback
    // answers it.
    let asks_main = format!("meta mark set {asks:#010x} fib daddr . mark oif");
    let draws = format!("meta mark set {number} map @{NFT_BUCKETS} accept");
    let mut fresh = "meta nfproto ipv4 meta mark 0x00000000".to_string();
    if asks_once(view) {
        rules.push(format!("{fresh} {asks_main} \"{LOOPBACK}\" {draws}"));
        fresh = format!("meta nfproto ipv4 meta mark {asks:#010x} meta mark set 0x00000000");
    }
    rules.push(format!("{fresh} fib daddr type unicast{way} {asks_main} missing {draws}"));
    if matches!(view.facts.system.main, MainDefault::Refuses { others: Some(_), .. }) {
        rules.extend(unread(view));
    }
    rules.push(match refused {
        None => format!("meta mark {asks:#010x} meta mark set 0x00000000"),
        // Those that were refused may bear marks of others.
        Some(_) => format!("{} {}", bears(asks), set_mark(config, "meta", 0)),
    });
    rules
}

/// The loopback answers for what `main` has no route for. (While `main` has an error route for
/// everything, nothing is left for it.)
pub(in crate::render) fn asks_once(view: &View<'_>) -> bool {
    let has_table = ladder::nowhere_table(view.config).is_some();
    let has_buckets = view.config.firewall.mode != FirewallMode::External;
    has_buckets && view.facts.system.loopback && has_table
}

/// For what bears the mark of nobody since `main` has a way for it.
fn unread(view: &View<'_>) -> Option<String> {
    let mut uplinks: Vec<String> = view.uplinks.iter().map(UplinkView::device).collect();
    uplinks.sort_unstable();
    uplinks.dedup();
    let (asks, uplinks) = (egress::nobody(view.config), any_of(uplinks)?);
    Some(format!(
        "meta nfproto ipv4 meta mark {asks:#010x} fib daddr . mark oifname != {uplinks} \
         meta mark set 0x00000000 fib daddr oifname {uplinks} counter drop"
    ))
}

const SEED: &str = "0x7261696c";
