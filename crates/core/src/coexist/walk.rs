//! One packet's way through one base chain of somebody else.
//!
//! The packet is an ordinary one: HTTPS between a host inside and the internet.
//! A condition holds, fails, is not understood, or picks out few packets. What
//! ordinary packets meet decides; an accept that only some may meet makes a drop
//! doubtful, and a drop that picks out few is its owner's wish and no conflict.

use super::survey::{Chain, Effect, MarkWrite, Match, Rule, Table, Test, Verdict};
use crate::net::{Family, Prefix};
use alloc::string::String;
use alloc::vec::Vec;

/// An end of a packet's way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// A host inside.
    Inside,
    /// The internet, or this router.
    Outside,
}

/// An ordinary packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Packet<'a> {
    pub(super) iif: Option<&'a str>,
    pub(super) oif: Option<&'a str>,
    pub(super) state: u16,
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) protocol: &'static str,
    /// Source and destination port.
    pub(super) ports: (u16, u16),
    /// Our bits of the marks: they hold an uplink's number, the others are 0.
    pub(super) mark_mask: u32,
    /// Networks inside.
    pub(super) inside: &'a [Prefix],
}

/// Whether a condition holds.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Answer {
    Yes,
    /// Not understood.
    Maybe,
    /// Not for an ordinary packet.
    Rarely,
    No,
}

/// A rule, or the policy, of a chain.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place<'a> {
    pub(super) chain: &'a str,
    /// `None`: the policy.
    pub(super) rule: Option<usize>,
}

/// What became of the packet.
#[derive(Debug, Default)]
pub(super) struct Fate<'a> {
    /// Where it is dropped, and whether that is sure.
    pub(super) dropped: Option<(Place<'a>, bool)>,
    /// Where its source was translated, and whether that is sure.
    pub(super) translated: Option<(Place<'a>, bool)>,
    /// Flow tables that take its connection.
    pub(super) offloads: Vec<(Place<'a>, &'a String)>,
    /// Marks written on its way, and whether that is sure.
    pub(super) writes: Vec<(Place<'a>, MarkWrite, bool)>,
}

struct Walk<'a, 'b> {
    table: &'a Table,
    packet: &'b Packet<'b>,
    steps: &'b mut u32,
    may_accept: bool,
    may_drop: Option<Place<'a>>,
    fate: Fate<'a>,
}

enum Way<'a> {
    Accepted,
    Dropped(Place<'a>),
    /// Off the end of the chain.
    Back,
}

/// Follows the packet from a base chain. `steps` is what may still be spent on rules.
pub(super) fn walk<'a>(
    table: &'a Table,
    chain: &'a Chain,
    packet: &Packet<'_>,
    steps: &mut u32,
) -> Fate<'a> {
    let fate = Fate::default();
    let mut walk = Walk { table, packet, steps, may_accept: false, may_drop: None, fate };
    let way = walk.run(chain, 0);
    let by_policy = chain.base.is_some_and(|base| base.drops);
    let dropped = match way {
        Way::Dropped(place) => Some(place),
        Way::Back if by_policy => Some(Place { chain: &chain.name, rule: None }),
        Way::Back | Way::Accepted => None,
    };
    let is_cut = *walk.steps == 0;
    walk.fate.dropped = match dropped {
        Some(place) => Some((place, !walk.may_accept && !is_cut)),
        None => walk.may_drop.map(|place| (place, false)),
    };
    walk.fate
}

impl<'a> Walk<'a, '_> {
    fn run(&mut self, chain: &'a Chain, depth: u32) -> Way<'a> {
        for (index, rule) in chain.rules.iter().enumerate() {
            if *self.steps == 0 {
                return Way::Back;
            }
            *self.steps -= 1;
            let answer = self.packet.answer(&rule.matches);
            if answer == Answer::No {
                continue;
            }
            let place = Place { chain: &chain.name, rule: Some(index) };
            self.note(place, rule, answer);
            let way = self.follow(place, rule, answer, depth);
            match (way, answer) {
                (Some(way), Answer::Yes) => return way,
                (Some(Way::Accepted | Way::Back), _) => self.may_accept = true,
                (Some(Way::Dropped(place)), Answer::Maybe) => {
                    self.may_drop.get_or_insert(place);
                }
                _ => {}
            }
        }
        Way::Back
    }

    /// Where the verdict leads; `None`: to the next rule.
    fn follow(
        &mut self,
        place: Place<'a>,
        rule: &'a Rule,
        answer: Answer,
        depth: u32,
    ) -> Option<Way<'a>> {
        match &rule.verdict {
            Verdict::Next => None,
            Verdict::Accept | Verdict::Translate => Some(Way::Accepted),
            Verdict::Drop => Some(Way::Dropped(place)),
            Verdict::Return => Some(Way::Back),
            Verdict::Jump(name) => match self.enter(name, answer, depth) {
                Way::Back => None,
                end => Some(end),
            },
            Verdict::Goto(name) => Some(self.enter(name, answer, depth)),
        }
    }

    fn enter(&mut self, name: &str, answer: Answer, depth: u32) -> Way<'a> {
        let Some(chain) = self.table.chains.iter().find(|chain| chain.name == name) else {
            return Way::Back;
        };
        if depth >= DEEPEST {
            return Way::Back;
        }
        let before = self.may_drop;
        let way = self.run(chain, depth + 1);
        if answer == Answer::Rarely {
            self.may_drop = before;
        }
        way
    }

    fn note(&mut self, place: Place<'a>, rule: &'a Rule, answer: Answer) {
        if answer == Answer::Rarely {
            return;
        }
        let is_sure = answer == Answer::Yes;
        if rule.verdict == Verdict::Translate {
            self.fate.translated.get_or_insert((place, is_sure));
        }
        for effect in &rule.effects {
            match effect {
                Effect::Offload(name) => self.fate.offloads.push((place, name)),
                Effect::Mark(write) => self.fate.writes.push((place, *write, is_sure)),
            }
        }
    }
}

impl Packet<'_> {
    /// The answer of all conditions together.
    fn answer(&self, matches: &[Match]) -> Answer {
        matches.iter().map(|m| self.one(m)).max().unwrap_or(Answer::Yes)
    }

    fn one(&self, condition: &Match) -> Answer {
        let answer = self.test(&condition.test);
        match (answer, condition.not) {
            (answer, false) => answer,
            (Answer::Yes, true) => Answer::No,
            (Answer::No, true) => Answer::Yes,
            // All but a few that are not known to us.
            (Answer::Maybe | Answer::Rarely, true) => Answer::Maybe,
        }
    }

    fn test(&self, test: &Test) -> Answer {
        let yes = |holds: bool| if holds { Answer::Yes } else { Answer::No };
        let within = |ranges: &[(u16, u16)], port: u16| {
            yes(ranges.iter().any(|(first, last)| (*first..=*last).contains(&port)))
        };
        match test {
            Test::In(names) => self.iif.map_or(Answer::No, |name| yes(is_one_of(names, name))),
            Test::Out(names) => self.oif.map_or(Answer::No, |name| yes(is_one_of(names, name))),
            Test::State(bits) => yes(self.state & bits != 0),
            Test::Mark { value, mask } => marked(*value, *mask, self.mark_mask),
            Test::Source(prefixes) => lies_in(self.source, prefixes, self.inside),
            Test::Destination(prefixes) => lies_in(self.destination, prefixes, self.inside),
            Test::Family(family) => yes(*family == Family::V4),
            Test::Protocol(names) => yes(names.iter().any(|name| name == self.protocol)),
            Test::Port(_) | Test::SourcePort(_) if self.protocol == "icmp" => Answer::No,
            Test::Port(ranges) => within(ranges, self.ports.1),
            Test::SourcePort(ranges) => within(ranges, self.ports.0),
            Test::Other { rare: true } => Answer::Rarely,
            Test::Other { rare: false } => Answer::Maybe,
        }
    }
}

/// Whether a mark of ours, which has an uplink's number under `ours` and nothing else, is `value`
/// under `mask`.
pub(super) fn marked(value: u32, mask: u32, ours: u32) -> Answer {
    let value = value & mask;
    if value & !ours != 0 {
        return Answer::No;
    }
    match mask & ours {
        0 => Answer::Yes,
        // An uplink's number is never 0.
        all if all == ours && value == 0 => Answer::No,
        _ => Answer::Maybe,
    }
}

/// Whether an address of this end lies in one of the prefixes.
pub(super) fn lies_in(end: End, prefixes: &[Prefix], inside: &[Prefix]) -> Answer {
    if prefixes.iter().any(|prefix| prefix.length == 0) {
        return Answer::Yes;
    }
    // An ordinary server is in nobody's list.
    if end == End::Outside {
        return Answer::No;
    }
    let holds = |outer: &Prefix, inner: &Prefix| {
        outer.length <= inner.length && outer.contains(inner.address)
    };
    let is_held = |net: &Prefix| prefixes.iter().any(|prefix| holds(prefix, net));
    let is_touched = |net: &Prefix| prefixes.iter().any(|prefix| holds(net, prefix));
    if inside.is_empty() {
        Answer::Maybe
    } else if inside.iter().all(is_held) {
        Answer::Yes
    } else if inside.iter().any(is_held) {
        Answer::Maybe
    } else if inside.iter().any(is_touched) {
        Answer::Rarely
    } else {
        Answer::No
    }
}

pub(super) fn is_one_of(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| {
        pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
    })
}

/// The kernel allows 16 jumps.
const DEEPEST: u32 = 16;
