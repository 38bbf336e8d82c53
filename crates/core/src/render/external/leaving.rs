//! What iptables lets out by an uplink: no answer for a host inside, and no source that is another
//! uplink's.

use super::{Rules, WRAPPED};
use crate::config::Nat;
use crate::net::{Family, IfName};
use crate::render::firewall::egress::{elsewhere, set, sources};
use crate::render::view::UplinkView;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// The interfaces of uplinks outside, each once.
pub(super) fn outside(rules: &Rules<'_>) -> BTreeSet<IfName> {
    rules.view.outside().map(|uplink| uplink.ifname).collect()
}

/// Whether all sources may leave by an interface, but for those of other uplinks.
fn is_open(rules: &Rules<'_>, ifname: IfName) -> bool {
    rules.view.on(ifname).all(|uplink| uplink.nat == Nat::Off)
}

/// Answers for a host inside, while no route leads there: the default would send them back out. The
/// interface that they came in by is known here for the last time. What was asked of an uplink's own
/// address, and of whom it was translated to, may be anywhere.
pub(super) fn back(rules: &Rules<'_>, mask: &str) -> Vec<String> {
    let is_guarded = |ifname: &IfName| rules.family == Family::V6 || !is_open(rules, *ifname);
    let guarded = || outside(rules).into_iter().filter(is_guarded);
    let answers = "-m conntrack --ctdir REPLY -g rail-answer";
    let mut out: Vec<String> =
        guarded().map(|ifname| format!("rail-back -o {ifname} {answers}")).collect();
    out.push(format!("rail-answer -m connmark --mark 0x0/{mask} -j RETURN"));
    out.push(format!("rail-answer {WRAPPED} -j RETURN"));
    if rules.family == Family::V6 {
        out.push("rail-answer -m conntrack --ctstate DNAT -j RETURN".into());
    }
    for uplink in rules.view.enabled().filter(|_| rules.family == Family::V4) {
        let ifname = uplink.ifname;
        out.extend(sources(uplink).iter().map(|source| {
            format!("rail-answer -o {ifname} -m conntrack --ctorigdst {source} -j RETURN")
        }));
    }
    out.extend(outside(rules).iter().map(|ifname| format!("rail-answer -i {ifname} -j DROP")));
    out
}

/// No packet leaves by an uplink with another's source. The translation comes later here, so the
/// connection is asked what it will be. Returns the chains.
pub(super) fn egress(rules: &Rules<'_>, mask: &str, out: &mut Vec<String>) -> Vec<String> {
    let mut chains = Vec::new();
    for uplink in rules.view.outside() {
        let ifname = uplink.ifname;
        let chain = format!("rail-out-{ifname}");
        if chains.contains(&chain) {
            continue;
        }
        out.push(format!("rail-egress -o {ifname} -j {chain}"));
        if is_open(rules, ifname) {
            out.extend(open(rules, &chain, uplink));
        } else {
            out.extend(closed(rules, &chain, ifname, mask));
        }
        chains.push(chain);
    }
    out.push(format!("rail-foreign {WRAPPED} -j RETURN"));
    out.push("rail-foreign -m addrtype --src-type LOCAL --limit-iface-out -j RETURN".into());
    out.push("rail-foreign -s 0.0.0.0/32 -j RETURN".into());
    for whose in [
        format!("-m connmark --mark 0x0/{mask}"),
        // A socket of the router that is bound to an address: `main` led elsewhere when it began.
        format!("{BEGUN} -m mark --mark 0x0/{mask} -m connmark ! --mark 0x0/{mask}"),
    ] {
        out.push(format!("rail-foreign {whose} -j CONNMARK --set-xmark {mask}/{mask}"));
    }
    out.push("rail-foreign -j DROP".into());
    chains
}

/// Packets of whoever began the connection, and no errors about it.
const BEGUN: &str = "-m conntrack --ctstate NEW,ESTABLISHED --ctdir ORIGINAL";

/// Somebody asked for this address by this uplink: its provider routes it to us, but for the addresses
/// of other uplinks.
fn asked(rules: &Rules<'_>, chain: &str, uplink: &UplinkView<'_>) -> Vec<String> {
    let taken = elsewhere(&rules.view, uplink.ifname);
    let reply = format!("{chain} -m conntrack --ctdir REPLY");
    let mut out: Vec<String> =
        taken.iter().map(|at| format!("{reply} --ctorigdst {at} -g rail-foreign")).collect();
    out.push(format!("{reply} -m connmark --mark {} -j RETURN", rules.mark(uplink)));
    out
}

/// Packets whose source is this one when they have left, translated or not.
fn from(source: &str) -> [String; 3] {
    let known = "-m conntrack --ctstate NEW,ESTABLISHED,RELATED --ctdir";
    [
        format!("{known} ORIGINAL --ctrepldst {source}"),
        format!("{known} REPLY --ctorigdst {source}"),
        format!("-m conntrack --ctstate INVALID,UNTRACKED -s {source}"),
    ]
}

/// An uplink without translation carries any source but those of other uplinks.
fn open(rules: &Rules<'_>, chain: &str, uplink: &UplinkView<'_>) -> Vec<String> {
    let own = sources(uplink);
    let is_other = |other: &&UplinkView<'_>| other.ifname != uplink.ifname && !other.inside;
    let taken: BTreeSet<String> =
        set(rules.view.uplinks.iter().filter(is_other)).into_iter().collect();
    // The first packet: the sources of other uplinks are translated next.
    let mut out = vec![format!("{chain} -m conntrack ! --ctstatus CONFIRMED -j RETURN")];
    out.extend(asked(rules, chain, uplink));
    let there = uplink.no_nat.iter().filter(|there| there.family() == Family::V4);
    out.extend(there.map(|there| format!("{chain} -d {there} -j RETURN")));
    let taken = taken.iter().filter(|source| !own.contains(source));
    out.extend(taken.flat_map(|source| {
        from(source).map(|packets| format!("{chain} {packets} -g rail-foreign"))
    }));
    out
}

/// One that translates carries its own.
fn closed(rules: &Rules<'_>, chain: &str, ifname: IfName, mask: &str) -> Vec<String> {
    let mut out = vec![
        // The first packet: it is translated next.
        format!("{chain} -m conntrack ! --ctstatus CONFIRMED -j RETURN"),
        // Answers to what an uplink translated on its way out go inside. One of the router itself that
        // would leave again answers a packet that came by another interface, for an address that was
        // not here yet when the connection began.
        format!(
            "{chain} -m conntrack --ctstate SNAT --ctdir REPLY -m conntrack ! --ctstate DNAT \
             -m addrtype --src-type LOCAL -j DROP"
        ),
    ];
    // An answer to what went out goes inside: who sends it here has forged it. But what was asked of an
    // address of this uplink, and of whom it was translated to, may be anywhere.
    let reply = format!("{chain} -m conntrack --ctdir REPLY");
    let asked_here: BTreeSet<String> = set(rules.view.on(ifname)).into_iter().collect();
    out.extend(asked_here.iter().map(|own| format!("{reply} --ctorigdst {own} -j RETURN")));
    let outside = rules.view.uplinks.iter().filter(|uplink| !uplink.inside);
    let own: BTreeSet<String> = set(outside).into_iter().collect();
    out.extend(own.iter().map(|own| format!("{reply} --ctrepldst {own} -j DROP")));
    for uplink in rules.view.on(ifname) {
        out.extend(asked(rules, chain, uplink));
        // Neighbours are reached directly; what they asked for bears no mark.
        if let Some(network) = uplink.neighbours(Family::V4) {
            let unmarked = format!("--ctdir REPLY -m connmark --mark 0x0/{mask}");
            out.push(format!("{chain} -d {network} -m conntrack {unmarked} -j RETURN"));
        }
        let untouched = uplink.no_nat.iter().filter(|there| there.family() == Family::V4);
        out.extend(untouched.map(|there| format!("{chain} -d {there} -j RETURN")));
        for source in sources(uplink) {
            // Answers were let go above.
            let [begun, _, unknown] = from(&source);
            out.extend([begun, unknown].map(|packets| format!("{chain} {packets} -j RETURN")));
        }
    }
    out.push(format!("{chain} -j rail-foreign"));
    out
}
