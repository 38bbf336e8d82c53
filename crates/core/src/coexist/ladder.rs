//! Policy rules of others that are asked before ours and take what is ours, and
//! foreign routes in our tables.

use super::host::UplinkView;
use super::survey::{ForeignRoute, PolicyRule, RuleAction, Survey, View};
use super::walk::{Answer, End, is_one_of, lies_in, marked};
use super::{owner, policy_conflict};
use crate::net::Prefix;
use crate::render::behind;
use crate::state::PROTOCOL;
use crate::state::table::{DEFAULT, LOCAL, MAIN};
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Rules that stand before our last one and lead our packets elsewhere.
pub(super) fn examine(view: &View, survey: &Survey, rules: &[&PolicyRule]) -> Vec<Conflict> {
    let is_before = |rule: &&&PolicyRule| rule.priority <= view.priorities.1;
    let before = rules.iter().filter(is_before).filter_map(|rule| diversion(view, survey, rule));
    let after = rules.iter().filter(|rule| !is_before(rule));
    before.chain(after.filter_map(|rule| shadowed(view, survey, rule))).collect()
}

/// A rule that stands behind ours and would lead somewhere: our last one takes all that it asks for.
/// One for a device that its sender chose acts nevertheless, if that is no uplink's: our routes are
/// not for it.
fn shadowed(view: &View, survey: &Survey, rule: &PolicyRule) -> Option<Conflict> {
    let is_kernels = matches!(
        (rule.priority, rule.action),
        (32_766, RuleAction::Lookup(MAIN)) | (32_767, RuleAction::Lookup(DEFAULT))
    );
    let leads = match (rule.action, rule.looks_in()) {
        (RuleAction::Refuse, _) => true,
        // What one looks up in `main` our first rule has looked up there, but for the default.
        (_, Some(table)) if table == MAIN => false,
        (_, Some(table)) => survey.filled.contains(&table),
        _ => false,
    };
    let is_bound = |name: &String| !view.outside.iter().any(|ours| ours.as_str() == name.as_str());
    if is_kernels || !leads || rule.oif.as_ref().is_some_and(is_bound) {
        return None;
    }
    let (first, last) = view.priorities;
    let mut effect = format!(
        "stands behind rail's rules ({first} to {last}), which take everything; it acts only where \
         rail has a copy of it before `main`"
    );
    if has_no_room(view, survey, rule) {
        effect += &format!(
            "; all {} places for copies are taken, so this rule has none",
            behind::places(first).len()
        );
    }
    let mut moved = rule.clone();
    moved.priority = first.saturating_sub(1);
    let remedy = match owner::of_rule(rule) {
        Some(owner::Owner::WgQuick) => {
            "as meant if the VPN is not for everything; else start it after rail, or give its rules \
             a priority below rail's"
                .into()
        }
        _ if rule.has_more => format!("ip rule del priority {0}, and add it again with a priority below {first}", rule.priority),
        _ => format!("ip rule del priority {}; ip rule add {}", rule.priority, Command(&moved)),
    };
    Some(policy_conflict(ConflictKind::Shadowed, true, rule, effect, remedy))
}

/// It is to have a copy, and all places for copies are taken by others.
fn has_no_room(view: &View, survey: &Survey, rule: &PolicyRule) -> bool {
    let (first, last) = view.priorities;
    let places = behind::places(first);
    let is_copy = |r: &&PolicyRule| r.protocol == PROTOCOL && places.contains(&r.priority);
    if survey.rules.iter().filter(is_copy).count() < places.len() {
        return false;
    }
    let theirs = survey.rules.iter().filter(|r| r.protocol != PROTOCOL && r.priority > last);
    let behind: Vec<_> = theirs.map(|r| (r.priority, r.known())).collect();
    let own: Vec<Prefix> = survey.host.addresses.iter().map(|(_, prefix)| *prefix).collect();
    let behind = behind.iter().map(|(priority, rule)| (*priority, rule.as_ref()));
    let eligible = behind::eligible(behind, &own, view.mark_mask);
    rule.known().is_some_and(|rule| eligible.iter().skip(places.len()).any(|other| **other == rule))
}

/// A rule as `ip rule add` wants it.
struct Command<'a>(&'a PolicyRule);

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let selectors = text.split_once(':').map_or(text.as_str(), |(_, rest)| rest.trim());
        write!(f, "{selectors} priority {}", self.0.priority)
    }
}

fn diversion(view: &View, survey: &Survey, rule: &PolicyRule) -> Option<Conflict> {
    // One that passes over default routes is no diversion: more specific routes are meant to win.
    let leads = match (rule.action, rule.looks_in()) {
        (RuleAction::Refuse, _) => "refuses them".into(),
        (_, Some(table)) if table != LOCAL && survey.catch_alls.contains(&table) => {
            let name = if table == MAIN { "main".into() } else { table.to_string() };
            format!("leads them by the default route of table {name}")
        }
        _ => return None,
    };
    let sure = match catches(view, survey, rule) {
        Answer::Yes => true,
        Answer::Maybe => false,
        Answer::Rarely | Answer::No => return own_packets(view, survey, rule, &leads),
    };
    let takes = if sure { "catches" } else { "may catch" };
    let effect = format!("{takes} packets from the inside before rail's rules, and {leads}");
    let first = view.priorities.0;
    let remedy = match owner::of_rule(rule) {
        Some(owner::Owner::Tailscale) => {
            "as meant with an exit node; else: tailscale set --exit-node=".into()
        }
        Some(owner::Owner::WgQuick) => {
            "as meant if the VPN is for everything; else narrow AllowedIPs, or write Table = off \
             in its [Interface] section"
                .into()
        }
        _ => format!("ip rule del priority {}, or give it a priority above {first}", rule.priority),
    };
    Some(policy_conflict(ConflictKind::Diverts, sure, rule, effect, remedy))
}

/// One that takes what the router sends from an uplink's address or device: probes, and the replies
/// of its services. A rule that leads by the same gateway, as is usual without rail, does no harm.
fn own_packets(view: &View, survey: &Survey, rule: &PolicyRule, leads: &str) -> Option<Conflict> {
    if rule.inverted || rule.has_more || rule.to.is_some() || rule.mark.is_some() {
        return None;
    }
    let is_lo = rule.iif.as_ref().is_none_or(|name| name == "lo");
    let takes = |uplink: &&UplinkView| {
        let has = |from: Prefix| uplink.address.is_some_and(|own| from.contains(own.address));
        let from = rule.from.is_none_or(has);
        let oif = rule.oif.as_ref().is_none_or(|name| name == uplink.ifname.as_str());
        let chooses = rule.from.is_some_and(|from| from.length > 0) || rule.oif.is_some();
        let table = rule.looks_in().unwrap_or(0);
        let same = survey.ways.iter().any(|(of, device, via)| {
            *of == table && device == uplink.ifname.as_str() && *via == uplink.gateway
        });
        is_lo && from && oif && chooses && !same
    };
    let uplinks: Vec<String> =
        view.uplinks.iter().filter(takes).map(|uplink| uplink.name.clone()).collect();
    if uplinks.is_empty() {
        return None;
    }
    let effect = format!(
        "takes what the router itself sends by {}, probes among it, before rail's rules, and {leads}",
        uplinks.join(", ")
    );
    let remedy =
        format!("ip rule del priority {}: rail has rules of its own for that", rule.priority);
    let reported = policy_conflict(ConflictKind::Diverts, true, rule, effect, remedy);
    Some(Conflict { uplinks, ..reported })
}

/// Whether it applies to a packet from the inside that bears an uplink's mark.
fn catches(view: &View, survey: &Survey, rule: &PolicyRule) -> Answer {
    // No forwarded packet has a device that its sender chose.
    if rule.oif.is_some() {
        return Answer::No;
    }
    let iif = rule.iif.as_ref().map_or(Answer::Yes, |name| {
        let names = [name.clone()];
        let comes = view.inside.iter().any(|inside| is_one_of(&names, inside.as_str()));
        if comes { Answer::Yes } else { Answer::No }
    });
    let from = rule.from.map_or(Answer::Yes, |p| lies_in(End::Inside, &[p], &survey.inside));
    let to = rule.to.map_or(Answer::Yes, |p| lies_in(End::Outside, &[p], &survey.inside));
    let mark = rule.mark.map_or(Answer::Yes, |(v, m)| marked(v, m, view.mark_mask));
    let more = if rule.has_more { Answer::Rarely } else { Answer::Yes };
    let known = iif.max(from).max(to).max(mark);
    match (known, rule.inverted) {
        (known, false) => known.max(more),
        (Answer::No, true) => Answer::Yes,
        (Answer::Yes, true) if !rule.has_more => Answer::No,
        (_, true) => Answer::Maybe,
    }
}

/// Foreign routes in our tables.
pub(super) fn routes(view: &View, routes: &[ForeignRoute]) -> Vec<Conflict> {
    let (first, last) = view.tables;
    let tell = |route: &ForeignRoute| Conflict {
        kind: ConflictKind::Range,
        certain: true,
        owner: owner::of_protocol(route.protocol).into(),
        object: format!("route {}", route.text),
        place: None,
        effect: format!("stands in the tables {first}-{last}, which are ours"),
        remedy: format!("ip route del {}, or give rail other tables: [ranges] tables", route.text),
        uplinks: Vec::new(),
    };
    routes.iter().take(MOST_ROUTES).map(tell).collect()
}

/// Of many that one program put there, the first say enough.
const MOST_ROUTES: usize = 8;

/// The name of a rule's owner.
pub(super) fn owner_name(rule: &PolicyRule) -> String {
    let known = owner::of_rule(rule).map(|owner| owner.name().to_string());
    known.unwrap_or_else(|| match rule.protocol {
        0 | 3 => format!("rule {}", rule.priority),
        protocol => owner::of_protocol(protocol).into(),
    })
}
