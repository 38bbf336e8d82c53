//! An uplink on an inside interface: the provider's box stands in the LAN, beside the hosts.
//!
//! Packets to it leave by the interface they came in by, without translation, and the box
//! answers the hosts *directly*. So we see one direction only, and connection tracking, which
//! waits for the other one, cannot place what follows:
//!
//! * the second packet of a TCP connection is `invalid`, and bears no connection mark;
//! * the entry of a TCP connection ends with the patience for an unanswered SYN (two minutes);
//!   the packet after that makes a new entry, in the middle of the stream;
//! * UDP is only ever `new`, but keeps its entry, and with it the mark.
//!
//! Both kinds of TCP packets must go on to the box, or a connection would change its uplink. From a
//! host beside the box nothing else has a claim to them: a connection by another uplink is
//! translated, so both of its directions pass here and it is placed. The exception are streams
//! whose entry got lost, by a restart of the router for one. They are sent to the box and end
//! there with a reset, as they mostly do by any other uplink.
//!
//! Arrivals need no pinning. Which of the hosts' packets come from the box cannot be told by
//! interface, and need not: what the box lets in for a host beside it does not pass here, and the
//! host's reply is the `invalid` packet from above. What it lets in for the router itself is
//! answered from our address on this interface, which has a rule of its own.
//!
//! Left out: UDP that the box lets in, where the reply looks like a new connection, and what it
//! lets in for other inside interfaces. The box has to put its own address on those.

use crate::net::UplinkId;
use crate::render::view::{UplinkView, View};
use crate::state::{NFT_BUCKETS, NFT_ELEMENTS};
use alloc::format;
use alloc::string::String;

/// The element of the bucket map that says whether the box of an uplink can be used, or which of the
/// uplinks with one address. It lies behind all buckets, so that a failover changes elements here, too,
/// and no rule.
pub(in crate::render) const fn element(id: UplinkId) -> u32 {
    NFT_ELEMENTS + id.0 as u32
}

/// The elements of the boxes that can be used. A standby counts: its connections go on.
pub(in crate::render) fn elements(view: &View<'_>) -> impl Iterator<Item = (u32, u32)> {
    let usable = view.boxes().filter(|uplink| uplink.fact.is_serving());
    usable.map(|uplink| (element(uplink.id), uplink.mark))
}

/// For packets that connection tracking cannot place.
pub(in crate::render) fn unplaced(uplink: &UplinkView<'_>) -> String {
    let set = from_element(uplink.id);
    format!("iifname \"{}\" ct state invalid meta mark 0x00000000 {set}", uplink.ifname)
}

/// For streams that are met in the middle.
pub(in crate::render) fn midway(uplink: &UplinkView<'_>) -> String {
    let (ifname, set) = (uplink.ifname, from_element(uplink.id));
    format!("iifname \"{ifname}\" meta mark 0x00000000 tcp flags & syn == 0x0 {set} accept")
}

/// Without the element the rule ends here, and the packet is treated as any other.
pub(in crate::render) fn from_element(id: UplinkId) -> String {
    format!("meta mark set numgen inc mod 1 offset {} map @{NFT_BUCKETS}", element(id))
}

/// Which of the packets that leave by the interface go to the box: the bucket alone does not say,
/// for a packet from one host to another has got one before its way was known.
pub(in crate::render) fn departure(uplink: &UplinkView<'_>, mask: u32) -> Option<String> {
    let leaves = uplink.by_gateway()?;
    Some(format!("{leaves} meta mark and {mask:#010x} == {:#010x}", uplink.mark))
}
