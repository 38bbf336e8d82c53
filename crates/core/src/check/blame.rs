//! What uplinks tell about each other: a target that is silent on all of them is at fault itself;
//! uplinks that fall silent together have something in common, perhaps us.
//!
//! These functions are pure; the owner of the probers asks them before each judgement.

use super::Prober;
use crate::config::{Asked, CheckKind};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The targets that are ignored now, of `targets`, which are all that somebody asks so. `before` are those
/// that were, and when that last changed.
///
/// A target is ignored if it did not answer eight settled questions in a row on any uplink that
/// asks it and hears something, while another target answers. Questions count, not time: an uplink that
/// asks slowly needs longer to say something. It counts again when it answers: what an uplink heard of it
/// before it was ignored is old by then. Where nobody has a say, the last answer stays, so no
/// start, no reload and no restart changes what is known of a target; and blame never empties the count
/// ([`left_out`]).
///
/// One that only one of several uplinks asks is never ignored: nobody else can say whether the target is
/// dead or the way to it, and then `required` of that uplink's targets must answer.
pub fn blame<'a>(
    now: Instant,
    targets: &[Asked],
    probers: impl Iterator<Item = &'a Prober> + Clone,
    (before, changed): (&[Asked], Instant),
) -> Vec<Asked> {
    let asking = |target: Asked| {
        let hearing = probers.clone().filter(|prober| prober.has_heard(now));
        hearing.filter_map(move |prober| Some((prober, prober.index_of(target)?)))
    };
    let answers = |target: Asked| {
        let mut says = asking(target).filter(|(prober, index)| prober.is_answered(*index));
        let is_new = |at: Instant| at >= changed || !before.contains(&target);
        says.any(|(prober, index)| prober.last_answer(index).is_some_and(is_new))
    };
    let is_one_heard = targets.iter().any(|target| answers(*target));
    let is_silent = |target: Asked| {
        asking(target).next().is_some()
            && asking(target).all(|(prober, index)| prober.unanswered(index) >= ENOUGH)
    };
    let is_of_one = |target: Asked| {
        let asked = probers.clone().map(|prober| prober.index_of(target).is_some());
        asked.clone().count() > 1 && asked.filter(|is_asked| *is_asked).count() == 1
    };
    let is_ignored = |target: &Asked| match (answers(*target), is_one_heard && is_silent(*target)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => before.contains(target),
    };
    let is_ignored = |target: &Asked| !is_of_one(*target) && is_ignored(target);
    targets.iter().copied().filter(is_ignored).collect()
}

/// Which of its targets an uplink leaves out of the count, by index, if these are ignored: none of them if
/// nobody would be left. Nobody knows then whether the targets are dead or the uplink is.
pub fn left_out((kind, targets): (CheckKind, &[Ipv4Addr]), ignored: &[Asked]) -> Vec<bool> {
    let is_ignored = |target: &Ipv4Addr| ignored.contains(&(kind, *target));
    let are_all = targets.iter().all(is_ignored);
    targets.iter().map(|target| !are_all && is_ignored(target)).collect()
}

/// For each uplink: did another one fall silent within 0.3 s of it, and none of them has answered
/// since? Then it takes as long as the administrator allows before one is down. When each was doubted
/// says less: one that is asked seldom is doubted later.
pub fn common_cause<'a>(probers: impl Iterator<Item = &'a Prober> + Clone) -> Vec<bool> {
    let doubts = || probers.clone().map(|p| Some((p.doubted_since()?, p.suspect_since()?, p)));
    let is_near = |a: Instant, b: Instant| a.since(b).max(b.since(a)) <= TOGETHER;
    let of = |(index, own): (usize, Option<(Instant, Instant, &Prober)>)| {
        let Some((fell, ..)) = own else { return false };
        let known = || doubts().enumerate().filter_map(|(i, doubt)| Some((i, doubt?)));
        let together = || known().filter(|(_, (other, ..))| is_near(fell, *other));
        together().any(|(i, _)| i != index)
            && !together().any(|(_, (_, at, prober))| prober.has_answered_since(at))
    };
    doubts().enumerate().map(of).collect()
}

/// True if a suspicion on another uplink has outlived its first time-out: this one should look closely,
/// too.
pub fn should_wake<'a>(
    now: Instant,
    index: usize,
    probers: impl Iterator<Item = &'a Prober>,
) -> bool {
    others(index, probers).any(|prober| prober.is_wake_up_call(now))
}

/// True if another uplink wants its silent targets asked here.
pub fn should_compare<'a>(index: usize, probers: impl Iterator<Item = &'a Prober>) -> bool {
    others(index, probers).any(Prober::wants_comparison)
}

fn others<'a>(
    index: usize,
    probers: impl Iterator<Item = &'a Prober>,
) -> impl Iterator<Item = &'a Prober> {
    probers.enumerate().filter(move |(other, _)| *other != index).map(|(_, prober)| prober)
}

/// True if targets that are silent here may be at fault themselves: other uplinks hear something, and
/// none of them has heard such a target since it fell silent here.
pub fn is_comparing<'a>(
    now: Instant,
    index: usize,
    probers: impl Iterator<Item = &'a Prober> + Clone,
) -> bool {
    let Some(own) = probers.clone().nth(index) else { return false };
    let hearing = || others(index, probers.clone()).filter(|p| p.has_heard(now));
    own.targets().iter().enumerate().any(|(own_index, target)| {
        // The question after the last answer has been asked by then.
        let round = own.settings().interval * u32::try_from(own.targets().len()).unwrap_or(1);
        let silent = own.last_answer(own_index).unwrap_or_default() + round;
        let asked = (own.asked().0, *target);
        let asking = || hearing().filter_map(|p| Some((p, p.index_of(asked)?)));
        own.index_of(asked).is_some()
            && own.unanswered(own_index) >= ENOUGH
            && asking().next().is_some()
            && !asking().any(|(p, index)| p.last_answer(index).is_some_and(|at| at > silent))
    })
}

/// So many unanswered questions on each uplink make it the target's fault.
const ENOUGH: u32 = 8;
const TOGETHER: Duration = Duration::from_millis(300);
