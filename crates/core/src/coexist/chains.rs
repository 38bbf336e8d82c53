//! What the chains of others do to our packets: drop, offload, translate before
//! us, write our bits of the marks.

use super::host::UplinkView;
use super::owner::{self, Closed};
use super::survey::{Base, Chain, MarkWrite, Survey, Table, View, state};
use super::walk::{End, Fate, Packet, Place, walk};
use super::{conflict, list};
use crate::config::CheckKind;
use crate::net::IfName;
use crate::render::firewall::egress;
use crate::render::{SRCNAT, external};
use crate::state::Hook;
use crate::status::{Conflict, ConflictKind};
use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a packet is to us.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    /// The first of a connection from the inside.
    New,
    /// Its reply.
    Reply,
    /// The first of one that a port forward let in.
    Forward,
    /// A probe of this kind, or its answer.
    Probe(CheckKind),
}

/// A packet of ours, as it looks in a hook.
struct Case<'a> {
    part: Part,
    inside: Option<&'a IfName>,
    uplink: &'a IfName,
    packet: Packet<'a>,
}

/// What one place does to our packets.
#[derive(Default)]
struct Found<'a> {
    sure: bool,
    parts: BTreeSet<Part>,
    /// The interfaces of probes, by their kind.
    probes: BTreeSet<(&'a IfName, CheckKind)>,
    inside: BTreeSet<&'a IfName>,
    uplinks: BTreeSet<&'a IfName>,
}

impl<'a> Found<'a> {
    fn add(&mut self, case: &Case<'a>, sure: bool) {
        self.sure |= sure;
        self.parts.insert(case.part);
        if let Part::Probe(kind) = case.part {
            self.probes.insert((case.uplink, kind));
        }
        self.inside.extend(case.inside);
        self.uplinks.insert(case.uplink);
    }
}

type Places<'t, 'v> = BTreeMap<Place<'t>, Found<'v>>;

/// Everything that happens to our packets in one base chain.
#[derive(Default)]
struct Verdicts<'t, 'v> {
    drops: Places<'t, 'v>,
    translates: Places<'t, 'v>,
    offloads: BTreeMap<(Place<'t>, &'t str), Found<'v>>,
    overwrites: Places<'t, 'v>,
}

/// The conflicts of a table. `steps` is what may still be spent on rules.
pub(super) fn examine(
    view: &View,
    survey: &Survey,
    table: &Table,
    steps: &mut u32,
) -> Vec<Conflict> {
    let mut out = Vec::new();
    for chain in &table.chains {
        let Some(base) = chain.base else { continue };
        let mut verdicts = Verdicts::default();
        for case in cases(view, survey, base.hook) {
            let fate = walk(table, chain, &case.packet, steps);
            verdicts.take(view, base, &case, fate);
        }
        verdicts.tell(view, survey, table, chain, &mut out);
    }
    out
}

/// Our packets that meet a hook.
fn cases<'a>(view: &'a View, survey: &'a Survey, hook: Hook) -> Vec<Case<'a>> {
    let mut out = Vec::new();
    if matches!(hook, Hook::Input | Hook::Output) {
        return view.uplinks.iter().filter_map(|own| probe(view, survey, own, hook)).collect();
    }
    for uplink in &view.outside {
        for inside in &view.inside {
            let [first, reply, forward] = forwarded(view, survey, inside, uplink, hook);
            out.extend([first, reply]);
            if view.forwards {
                out.push(forward);
            }
        }
    }
    out
}

/// A probe of an uplink's kind, or its answer; `None`: it is none that these chains see.
fn probe<'a>(view: &View, survey: &'a Survey, own: &'a UplinkView, hook: Hook) -> Option<Case<'a>> {
    let uplink = &own.ifname;
    let arrives = hook == Hook::Input;
    let (protocol, ports) = match own.check {
        CheckKind::Icmp => ("icmp", (0, 0)),
        CheckKind::Tcp { port } if arrives => ("tcp", (port, EPHEMERAL)),
        CheckKind::Tcp { port } => ("tcp", (EPHEMERAL, port)),
        CheckKind::Arp => return None,
    };
    let packet = Packet {
        iif: arrives.then(|| uplink.as_str()),
        oif: (!arrives).then(|| uplink.as_str()),
        state: if arrives { state::ESTABLISHED } else { state::NEW },
        source: End::Outside,
        destination: End::Outside,
        protocol,
        ports,
        mark_mask: view.mark_mask,
        inside: &survey.inside,
    };
    Some(Case { part: Part::Probe(own.check), inside: None, uplink, packet })
}

fn forwarded<'a>(
    view: &View,
    survey: &'a Survey,
    inside: &'a IfName,
    uplink: &'a IfName,
    hook: Hook,
) -> [Case<'a>; 3] {
    let has_iif = hook != Hook::Postrouting;
    let has_oif = hook != Hook::Prerouting;
    let case = |part, from: &'a IfName, to: &'a IfName, ends: [End; 2], state, ports| Case {
        part,
        inside: Some(inside),
        uplink,
        packet: Packet {
            iif: has_iif.then(|| from.as_str()),
            oif: has_oif.then(|| to.as_str()),
            state,
            source: ends[0],
            destination: ends[1],
            protocol: "tcp",
            ports,
            mark_mask: view.mark_mask,
            inside: &survey.inside,
        },
    };
    let (out, back) = ([End::Inside, End::Outside], [End::Outside, End::Inside]);
    let replies = state::ESTABLISHED | state::SNAT;
    [
        case(Part::New, inside, uplink, out, state::NEW, (EPHEMERAL, HTTPS)),
        case(Part::Reply, uplink, inside, back, replies, (HTTPS, EPHEMERAL)),
        case(Part::Forward, uplink, inside, back, state::NEW | state::DNAT, (EPHEMERAL, HTTPS)),
    ]
}

impl<'t, 'v> Verdicts<'t, 'v> {
    fn take(&mut self, view: &View, base: Base, case: &Case<'v>, fate: Fate<'t>) {
        if let Some((place, sure)) = fate.dropped {
            self.drops.entry(place).or_default().add(case, sure);
        }
        let is_first = case.part == Part::New && base.hook == Hook::Postrouting;
        if let Some((place, sure)) = fate.translated
            && is_first
            && base.priority < SRCNAT
            && !view.external
        {
            self.translates.entry(place).or_default().add(case, sure);
        }
        for (place, name) in fate.offloads {
            self.offloads.entry((place, name.as_str())).or_default().add(case, true);
        }
        for (place, write, sure) in fate.writes {
            if overwrites(view, write) {
                self.overwrites.entry(place).or_default().add(case, sure);
            }
        }
    }

    fn tell(
        &self,
        view: &View,
        survey: &Survey,
        table: &Table,
        chain: &Chain,
        out: &mut Vec<Conflict>,
    ) {
        let theirs = self.drops.iter().filter(|(place, _)| !is_generated(view, table, **place));
        out.extend(theirs.map(|(place, found)| dropped(view, table, chain, *place, found)));
        out.extend(self.translates.iter().map(|(p, found)| translated(table, *p, found)));
        out.extend(self.overwrites.iter().map(|(p, found)| overwritten(view, table, *p, found)));
        for ((place, name), found) in &self.offloads {
            out.extend(offloaded(view, survey, table, *place, name, found));
        }
    }
}

/// True for the last look at sources in the rules that we print in mode `external`: it comes behind
/// the translation, which the packet that is followed here does not meet.
fn is_generated(view: &View, table: &Table, place: Place<'_>) -> bool {
    view.external && table.name == external::TABLE && place.chain == egress::STRANGE
}

/// True if the write puts something into our bits that is not of the other mark.
fn overwrites(view: &View, write: MarkWrite) -> bool {
    // Those that write some bits, ours among them, are found with all that use our bits.
    write.is_whole() && write.bits & view.mark_mask & !write.copied != 0
}

fn dropped(
    view: &View,
    table: &Table,
    base: &Chain,
    place: Place<'_>,
    found: &Found<'_>,
) -> Conflict {
    let owner = owner::of_place(table, place.chain, place.rule);
    let (inside, uplinks) = (names(&found.inside), names(&found.uplinks));
    let has = |part| found.parts.contains(&part);
    let closed = Closed {
        new: has(Part::New),
        forwards: has(Part::Forward),
        inside: inside.clone(),
        uplinks: uplinks.clone(),
    };
    let may = if found.sure { "drops" } else { "may drop" };
    let (from, to) = (list(&inside), list(&uplinks));
    let mut effect = match (has(Part::New), has(Part::Reply), has(Part::Forward)) {
        (true, true, _) => format!("{may} what is forwarded between {from} and {to}"),
        (true, false, true) => {
            format!("{may} new connections from {from} to {to}, and port forwards")
        }
        (true, false, false) => format!("{may} new connections from {from} to {to}"),
        (false, true, true) => format!("{may} replies from {to} to {from}, and port forwards"),
        (false, true, false) => format!("{may} replies from {to} to {from}"),
        (false, false, true) => format!("{may} port forwards from {to} to {from}"),
        (false, false, false) => format!("{may} probes on {to}: the uplink looks dead"),
    };
    let remedy = if !found.probes.is_empty() {
        open_probes(table, base, &found.probes)
    } else {
        owner::open(owner, table, &base.name, &closed)
    };
    if place.chain != base.name {
        effect += &format!(" (by chain {})", base.name);
    }
    // What is forwarded says nothing of the uplink itself; lost probes are its death.
    let is_lost = |own: &&UplinkView| found.probes.contains(&(&own.ifname, own.check));
    let lost = view.uplinks.iter().filter(is_lost).map(|own| own.name.clone()).collect();
    let reported = conflict(ConflictKind::Drops, found.sure, owner, table, place, effect, remedy);
    Conflict { uplinks: lost, ..reported }
}

/// How to let probes and their answers pass.
fn open_probes(table: &Table, base: &Chain, probes: &BTreeSet<(&IfName, CheckKind)>) -> String {
    let is_input = base.base.is_some_and(|b| b.hook == Hook::Input);
    let mut lines = Vec::new();
    for (uplink, kind) in probes {
        let word = if is_input { "i" } else { "o" };
        // Who answers must not open the router to whoever takes the port of a server.
        let (iptables, nft) = match kind {
            CheckKind::Tcp { port } if is_input => (
                format!("tcp --sport {port} -m conntrack --ctstate ESTABLISHED"),
                format!("tcp sport {port} ct state established"),
            ),
            CheckKind::Tcp { port } => (format!("tcp --dport {port}"), format!("tcp dport {port}")),
            CheckKind::Icmp | CheckKind::Arp => ("icmp".into(), "meta l4proto icmp".into()),
        };
        lines.push(if table.iptables {
            format!("iptables -I {} -{word} {uplink} -p {iptables} -j ACCEPT", base.name)
        } else {
            format!(
                "nft insert rule {} {} {} {word}ifname {uplink} {nft} accept",
                table.family, table.name, base.name
            )
        });
    }
    lines.join("; ")
}

fn translated(table: &Table, place: Place<'_>, found: &Found<'_>) -> Conflict {
    let owner = owner::of_place(table, place.chain, place.rule);
    let may = if found.sure { "translates" } else { "may translate" };
    let uplinks = list(&names(&found.uplinks));
    let effect = format!(
        "{may} connections to {uplinks} before rail does: they are not pinned to their uplink"
    );
    let remedy = format!(
        "give the chain a priority of {} or more, or have the rule leave out {uplinks}",
        SRCNAT + 1
    );
    conflict(ConflictKind::Translates, found.sure, owner, table, place, effect, remedy)
}

fn overwritten(view: &View, table: &Table, place: Place<'_>, found: &Found<'_>) -> Conflict {
    let owner = owner::of_place(table, place.chain, place.rule);
    let may = if found.sure { "overwrites" } else { "may overwrite" };
    let effect = format!(
        "{may} the mark of packets on {}, with our bits {:#010x}: known connections may leave by \
         another uplink",
        list(&names(&found.uplinks)),
        view.mark_mask
    );
    let remedy = format!(
        "have it change its own bits only: nft `meta mark set meta mark and {:#010x} or VALUE`, \
         iptables `--set-xmark VALUE/MASK`",
        view.mark_mask
    );
    conflict(ConflictKind::Marks, found.sure, owner, table, place, effect, remedy)
}

fn offloaded(
    view: &View,
    survey: &Survey,
    table: &Table,
    place: Place<'_>,
    name: &str,
    found: &Found<'_>,
) -> Option<Conflict> {
    let is_it = |f: &&super::survey::Flowtable| {
        f.family == table.family && f.table == table.name && f.name == name
    };
    let ours: Vec<String> =
        view.inside.iter().chain(&view.outside).map(ToString::to_string).collect();
    let devices = match survey.flowtables.iter().find(is_it) {
        Some(flowtable) => {
            let listed = |name: &&String| flowtable.devices.contains(name);
            let found: Vec<String> = ours.iter().filter(listed).cloned().collect();
            // Without any of our devices nothing of ours is offloaded.
            if found.is_empty() {
                return None;
            }
            found
        }
        // Of iptables: every device.
        None => names(&found.uplinks),
    };
    let owner = owner::of_place(table, place.chain, place.rule);
    let effect = format!(
        "offloads connections on {}: they bypass marks, and stay on their uplink when it dies",
        list(&devices)
    );
    let remedy = match owner {
        Some(owner::Owner::OpenWrt) => {
            "uci set firewall.@defaults[0].flow_offloading=0; uci commit firewall; \
             service firewall restart"
                .into()
        }
        Some(owner::Owner::Firewalld) => {
            "NftablesFlowtable=off in /etc/firewalld/firewalld.conf; firewall-cmd --reload".into()
        }
        _ => format!("take the rule that names flow table {name} out of chain {}", place.chain),
    };
    Some(conflict(ConflictKind::Offloads, true, owner, table, place, effect, remedy))
}

fn names(set: &BTreeSet<&IfName>) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}

/// Ports of the ordinary packet.
const EPHEMERAL: u16 = 40_000;
const HTTPS: u16 = 443;
