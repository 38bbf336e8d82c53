//! Policy rules of others that are asked before ours and take what is ours, and
//! foreign routes in our tables.

use super::survey::{ForeignRoute, PolicyRule, RuleAction, Survey, View};
use super::walk::{Answer, End, is_one_of, lies_in, marked};
use super::{owner, policy_conflict};
use crate::render::MAIN;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The table of our own addresses, fixed by the kernel.
const LOCAL: u32 = 255;

/// Rules that stand before our last one and lead our packets elsewhere.
pub(super) fn judge(view: &View, survey: &Survey, rules: &[&PolicyRule]) -> Vec<Conflict> {
    let before = rules.iter().filter(|rule| rule.priority <= view.priorities.1);
    before.filter_map(|rule| diversion(view, survey, rule)).collect()
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
        Answer::Rarely | Answer::No => return None,
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

/// Whether it applies to a packet from the inside that bears a line's mark.
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
        effect: format!("stands in the tables {first}-{last}, which are ours"),
        remedy: format!("ip route del {}, or give rail other tables: [ranges] tables", route.text),
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
