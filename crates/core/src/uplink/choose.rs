//! Who carries new connections: those that stand best, and of these the lowest tier.
//!
//! One that the rules in the kernel do not know yet carries nothing as long as another one can: its
//! buckets would have to stay where they are until `nft` has loaded its rules, if it ever does.
//!
//! Of those that carry, the degraded ones are left out while another one of the tier is not
//! ([`Candidate::avoided`]). One that may be silent stands behind all that answer.
//!
//! With nobody usable the least bad is taken: an uplink that answers, held back or not, is better
//! than one that is dead. Where nobody answers at all, the set from before stays, or nobody; if a
//! reload has spread it over several tiers since, its lowest tier. Those of it that cannot send are
//! left out while another uplink can.

use crate::config::{NoUplink, Tier};
use alloc::vec::Vec;

/// What is known of an uplink, the best first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Standing {
    /// It has answered, and is in use or may be: up or degraded.
    Proven,
    /// It is as good, but somebody wants it to carry nothing new.
    Drained,
    /// It was never judged: it carries only where nobody proven can.
    Probing,
    /// It answers well, and is held back.
    Held,
    /// It may be silent.
    Doubted,
    /// It is down, but something answers.
    Answering,
    /// It does not answer, but what is sent by it may arrive.
    Silent,
    /// Its own way is not there; the shared route may lead by it nevertheless.
    Astray,
    /// It cannot send.
    Gone,
}

impl Standing {
    /// There is an uplink for new connections.
    pub(crate) const fn carries(self) -> bool {
        matches!(self, Self::Proven | Self::Drained | Self::Probing | Self::Held | Self::Doubted)
    }
}

/// One uplink.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) tier: Tier,
    pub(crate) standing: Standing,
    /// It carries if nobody answers: it did before the uplinks began to die.
    pub(crate) kept: bool,
    /// It is degraded: new connections avoid it while another one of its tier can take them.
    pub(crate) avoided: bool,
    /// The rules in the kernel know its mark.
    pub(crate) known: bool,
}

impl Candidate {
    fn can_take(&self) -> bool {
        self.known && self.tier != Tier::Inbound && self.standing.carries()
    }
}

/// The standing of those that carry, and for each uplink whether it does.
pub(crate) fn choose(uplinks: &[Candidate], mode: NoUplink) -> (Standing, Vec<bool>) {
    let are_some_known = uplinks.iter().any(Candidate::can_take);
    let is_eligible = |uplink: &Candidate| uplink.known || !are_some_known;
    let outbound = || uplinks.iter().filter(|u| u.tier != Tier::Inbound && is_eligible(u));
    let best = outbound().map(|uplink| uplink.standing).min().unwrap_or(Standing::Gone);
    let tier = outbound().filter(|uplink| uplink.standing == best).map(|u| u.tier).min();
    let stands = |u: &Candidate| u.standing == best && Some(u.tier) == tier && is_eligible(u);
    let is_one_good = uplinks.iter().any(|u| stands(u) && !u.avoided);
    let is_best = |u: &Candidate| stands(u) && !(u.avoided && is_one_good);
    let active = match (best, mode) {
        (best, _) if best.carries() => uplinks.iter().map(is_best).collect(),
        (Standing::Answering, NoUplink::Keep) => uplinks.iter().map(is_best).collect(),
        (_, NoUplink::Keep) => keep(uplinks, best),
        (_, NoUplink::Unreachable) => alloc::vec![false; uplinks.len()],
    };
    (best, active)
}

/// Nobody answers: the set from before, as far as it stands best; else any that can send.
fn keep(uplinks: &[Candidate], best: Standing) -> Vec<bool> {
    let stays = |u: &Candidate| u.tier != Tier::Inbound && u.standing == best && u.kept;
    let any = uplinks.iter().any(stays);
    let may = |u: &Candidate| stays(u) || (!any && best != Standing::Gone && u.standing == best);
    let outbound = uplinks.iter().filter(|u| u.tier != Tier::Inbound);
    let tier = outbound.filter(|u| may(u)).map(|u| u.tier).min();
    uplinks.iter().map(|u| may(u) && Some(u.tier) == tier).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tier and standing of each uplink; which carry; whether one is usable.
    type Row<'a> = (&'a [(u32, Standing)], &'a [usize], bool);
    use Standing::{Answering, Astray, Drained, Gone, Held, Probing, Proven, Silent};

    /// Given uplinks of these tiers (0: inbound) and standings, with the last two kept, then these
    /// carry in mode `keep`, and the same or nobody in mode `unreachable`.
    #[test]
    fn the_least_bad_carries() {
        let table: &[Row<'_>] = &[
            (&[(1, Proven), (1, Proven), (2, Proven)], &[0, 1], true),
            (&[(1, Gone), (1, Proven), (2, Proven)], &[1], true),
            (&[(1, Held), (1, Gone), (2, Proven)], &[2], true),
            (&[(1, Probing), (1, Gone), (2, Proven)], &[2], true),
            (&[(1, Probing), (1, Proven), (2, Probing)], &[1], true),
            (&[(1, Probing), (1, Probing), (2, Probing)], &[0, 1], true),
            (&[(1, Held), (1, Gone), (2, Probing)], &[2], true),
            (&[(1, Gone), (1, Held), (2, Answering)], &[1], true),
            (&[(1, Gone), (1, Gone), (2, Held)], &[2], true),
            (&[(1, Answering), (1, Answering), (2, Gone)], &[0, 1], false),
            (&[(1, Gone), (1, Gone), (2, Answering)], &[2], false),
            (&[(1, Gone), (1, Gone), (1, Gone)], &[1, 2], false),
            (&[(1, Gone), (1, Gone), (2, Gone)], &[1], false),
            (&[(1, Gone), (2, Gone), (2, Gone)], &[1, 2], false),
            (&[(0, Proven), (1, Gone), (2, Held)], &[2], true),
            (&[(1, Drained), (1, Proven), (2, Proven)], &[1], true),
            (&[(1, Drained), (1, Gone), (2, Held)], &[0], true),
            (&[(1, Drained), (1, Probing), (2, Probing)], &[0], true),
            (&[(1, Drained), (1, Drained), (2, Answering)], &[0, 1], true),
            (&[(0, Proven), (1, Gone), (2, Gone)], &[1], false),
            (&[(1, Silent), (1, Silent), (1, Silent)], &[1, 2], false),
            (&[(1, Silent), (1, Gone), (1, Silent)], &[2], false),
            (&[(1, Silent), (1, Gone), (2, Silent)], &[2], false),
            (&[(1, Silent), (1, Gone), (2, Gone)], &[0], false),
            (&[(0, Silent), (1, Gone), (2, Gone)], &[1], false),
            (&[(1, Silent), (1, Gone), (2, Answering)], &[2], false),
            (&[(1, Astray), (1, Gone), (1, Gone)], &[0], false),
            (&[(1, Gone), (1, Astray), (2, Silent)], &[2], false),
            (&[(1, Gone), (0, Proven), (2, Gone)], &[2], false),
            (&[(1, Gone), (0, Gone)], &[], false),
        ];
        for (row, (uplinks, carry, always)) in table.iter().enumerate() {
            let candidate = |(i, (tier, standing)): (usize, &(u32, Standing))| Candidate {
                tier: if *tier == 0 { Tier::Inbound } else { Tier::Number(*tier) },
                standing: *standing,
                kept: i > 0,
                avoided: false,
                known: true,
            };
            let all: Vec<Candidate> = uplinks.iter().enumerate().map(candidate).collect();
            let chosen = |mode| {
                let (_, active) = choose(&all, mode);
                (0..all.len()).filter(|i| active[*i]).collect::<Vec<_>>()
            };
            assert_eq!(chosen(NoUplink::Keep), *carry, "row {row}");
            let wanted: &[usize] = if *always { carry } else { &[] };
            assert_eq!(chosen(NoUplink::Unreachable), wanted, "row {row}");
        }
    }

    /// Given uplinks of these tiers and standings, of which the first one is unknown to the rules in the
    /// kernel, then these carry.
    #[test]
    fn one_that_the_rules_do_not_know_waits_if_another_can() {
        type Row = (&'static [(u32, Standing)], &'static [usize]);
        let table: &[Row] = &[
            (&[(1, Proven), (2, Proven)], &[1]),
            (&[(1, Proven), (1, Proven), (2, Proven)], &[1]),
            (&[(1, Proven), (2, Gone), (3, Proven)], &[2]),
            (&[(1, Proven), (2, Held)], &[1]),
            (&[(1, Proven), (2, Probing)], &[1]),
            (&[(1, Proven), (2, Answering)], &[0]),
            (&[(1, Proven), (2, Gone)], &[0]),
            (&[(1, Proven), (0, Proven)], &[0]),
            (&[(1, Proven)], &[0]),
            (&[(1, Gone), (2, Gone)], &[1]),
        ];
        for (row, (uplinks, carry)) in table.iter().enumerate() {
            let candidate = |(i, (tier, standing)): (usize, &(u32, Standing))| Candidate {
                tier: if *tier == 0 { Tier::Inbound } else { Tier::Number(*tier) },
                standing: *standing,
                kept: i > 0,
                avoided: false,
                known: i > 0,
            };
            let all: Vec<Candidate> = uplinks.iter().enumerate().map(candidate).collect();
            let (_, active) = choose(&all, NoUplink::Keep);
            let chosen: Vec<usize> = (0..all.len()).filter(|i| active[*i]).collect();
            assert_eq!(chosen, *carry, "row {row}");
        }
    }
}
