//! The way of the router's questions for names: to the resolvers of an uplink that carries.
//!
//! dnsmasq asks fixed addresses. The first packet of a question takes the mark that an element of the
//! bucket map names, as a connection takes a bucket: a failover changes that element with all others, and no
//! rule. By the mark the question is translated to the resolver of the uplink, and leaves by it, with its
//! source. A question that has begun stays with its uplink; when another one is asked from now on its entry is deleted, and the
//! next repetition goes there.

use super::{any_of, base, on_lan, restored};
use crate::config::ASKED;
use crate::net::Family::V4;
use crate::net::UplinkId;
use crate::render::view::{UplinkView, View};
use crate::state::{Chain, ChainKind, Hook, NFT_ELEMENTS};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The elements of [`ASKED`]: numbers that no uplink has.
const IDS: [UplinkId; 2] = [UplinkId(0), UplinkId(127)];

/// Whose resolvers are asked: the best uplink that has some and serves, or is kept because none does, and the
/// next best where two carry. A question to nobody is refused at once, and the host gives up; one to a resolver
/// that is silent waits, and is repeated by the uplink that carries a moment later.
pub(in crate::render) fn resolving<'v>(view: &'v View<'_>) -> [Option<&'v UplinkView<'v>>; 2] {
    let mut able: Vec<&UplinkView<'_>> = view
        .enabled()
        .filter(|uplink| !uplink.resolvers.is_empty())
        .filter(|uplink| uplink.fact.is_routable(V4))
        .filter(|uplink| uplink.fact.active || uplink.fact.is_serving())
        .collect();
    able.sort_by_key(|uplink| (!uplink.fact.active, uplink.fact.drained, uplink.tier));
    let first = able.first().copied();
    let second = able.get(1).copied().filter(|uplink| uplink.fact.active);
    [first, second.or(first)]
}

/// The elements of the bucket map.
pub(in crate::render) fn elements(view: &View<'_>) -> impl Iterator<Item = (u32, u32)> {
    let asked = if view.config.asks_uplinks() { resolving(view) } else { [None; 2] };
    let marks = asked.into_iter().zip(IDS);
    let marks: Vec<(u32, u32)> = marks
        .filter_map(|(uplink, id)| Some((NFT_ELEMENTS + u32::from(id.0), uplink?.mark)))
        .collect();
    marks.into_iter()
}

/// The chains; none where no uplink is asked.
pub(in crate::render) fn chains(view: &View<'_>) -> Vec<Chain> {
    if !view.config.asks_uplinks() || view.enabled().next().is_none() {
        return Vec::new();
    }
    let mask = view.config.ranges.mark_mask;
    let all = any_of(ASKED.iter().map(ToString::to_string).collect()).unwrap_or_default();
    let mut marked = vec_of(format!("ip daddr {all} {}", restored(view)));
    let mut led = Vec::new();
    for ((asked, id), index) in ASKED.into_iter().zip(IDS).zip(0..) {
        let set = on_lan::from_element(id);
        marked.push(format!("ip daddr {asked} meta mark 0x00000000 {set}"));
        for uplink in view.enabled() {
            let found = uplink.resolvers.get(index).or_else(|| uplink.resolvers.first());
            led.extend(found.map(|resolver| {
                let mark = uplink.mark;
                format!(
                    "ip daddr {asked} meta l4proto {{ tcp, udp }} th dport 53 \
                     meta mark and {mask:#010x} == {mark:#010x} dnat ip to {resolver}"
                )
            }));
        }
    }
    // Nobody outside is asked for what nobody has.
    led.push(format!("ip daddr {all} counter drop"));
    Vec::from([
        base("resolver_mark", ChainKind::Route, Hook::Output, super::MANGLE, marked),
        base("resolver", ChainKind::Nat, Hook::Output, super::DSTNAT, led),
    ])
}

fn vec_of(rule: String) -> Vec<String> {
    Vec::from([rule])
}
