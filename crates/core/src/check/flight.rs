//! The probes of the last seconds: what was asked, when, and what became of it.
//!
//! Probes are numbered without a gap. What an answered probe has overtaken and what is overdue is
//! *lost*; what is overdue and not overtaken is *silence*: only a later answer tells loss from an outage.

use super::nats::Share;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What became of a probe.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Neither answered nor given up.
    Open,
    /// Answered.
    Answered,
    /// Overdue and overtaken; `counted` as evidence in this order of its silence, from 1.
    Lost { nth: u32 },
    /// Our own pause, or it was never sent: nobody can tell.
    Forgotten,
}

/// One question.
#[derive(Copy, Clone, Debug)]
pub(super) struct Probe {
    /// Counts up from 1; on the wire stand the low 16 bits.
    pub(super) id: u64,
    /// Index of the target.
    pub(super) target: usize,
    /// When it was sent.
    pub(super) sent: Instant,
    /// What it counts: less than one if it was sent close behind another.
    pub(super) weight: Share,
    /// What became of it.
    pub(super) fate: Fate,
    /// It was seen to be overdue.
    pub(super) is_overdue: bool,
    /// It belongs to a test at full pace, which is no evidence.
    pub(super) is_test: bool,
}

/// What an answer answers.
#[derive(Copy, Clone, Debug)]
pub(super) enum Heard {
    /// This probe, as it was before.
    InTime(Probe),
    /// One that is too old, or that was given up: the answer is only a sign of life.
    Late,
    /// One that was answered before.
    Again,
}

/// The probes of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    probes: VecDeque<Probe>,
    /// The newest number given.
    newest: u64,
    /// No probe before this number is open.
    open_from: u64,
    /// The newest probe that was answered.
    mark: u64,
}

impl Flight {
    /// Notes a question; returns its number.
    pub(super) fn send(
        &mut self,
        now: Instant,
        target: usize,
        quick: Duration,
        is_test: bool,
    ) -> u64 {
        let gap = self.probes.back().map_or(quick, |last| now.since(last.sent));
        let weight = Share::of(nanos(gap), nanos(quick));
        self.newest += 1;
        let (id, fate) = (self.newest, Fate::Open);
        self.probes.push_back(Probe {
            id,
            target,
            sent: now,
            weight,
            fate,
            is_overdue: false,
            is_test,
        });
        self.prune(now);
        id
    }

    /// Drops what is too old to matter. The newest few stay: behind a limiter they are all there is.
    fn prune(&mut self, now: Instant) {
        let is_old = |probe: &Probe| now.since(probe.sent) > KEEP;
        while self.probes.len() > MOST
            || (self.probes.len() > LEAST && self.probes.front().is_some_and(is_old))
        {
            self.probes.pop_front();
        }
    }

    /// Notes the answer that arrived at `at`.
    pub(super) fn answer(&mut self, id: u64, at: Instant) -> Heard {
        let Some(probe) = self.get_mut(id) else { return Heard::Late };
        let is_late = at.since(probe.sent) > LATEST_ANSWER || probe.fate == Fate::Forgotten;
        match probe.fate {
            Fate::Answered => Heard::Again,
            _ if is_late => Heard::Late,
            _ => {
                let before = *probe;
                probe.fate = Fate::Answered;
                self.mark = self.mark.max(id);
                Heard::InTime(before)
            }
        }
    }

    /// Forgets what is unanswered: we slept, and cannot tell.
    pub(super) fn forget_open(&mut self) {
        for probe in self.probes.iter_mut().filter(|probe| probe.fate == Fate::Open) {
            probe.fate = Fate::Forgotten;
        }
    }

    /// Forgets one probe: it was never sent.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(probe) = self.get_mut(id).filter(|probe| probe.fate == Fate::Open) {
            probe.fate = Fate::Forgotten;
        }
    }

    /// Forgets every probe, but not the numbering.
    pub(super) fn clear(&mut self) {
        self.probes.clear();
        self.open_from = self.newest + 1;
    }

    /// Books an open probe as lost.
    pub(super) fn lose(&mut self, id: u64) -> u32 {
        let nth = self.losses_around(id) + 1;
        if let Some(probe) = self.get_mut(id) {
            probe.fate = Fate::Lost { nth };
        }
        nth
    }

    /// How many probes are booked as lost in the silence of the uplink that this one belongs to: between
    /// the answered numbers before and behind it. The order of booking would tell something else.
    fn losses_around(&self, id: u64) -> u32 {
        let Some(index) = self.index_of(id) else { return 0 };
        let lost = |probe: &&Probe| matches!(probe.fate, Fate::Lost { .. });
        let quiet = |probe: &&Probe| probe.fate != Fate::Answered;
        let before = self.probes.range(..index).rev().take_while(quiet).filter(lost).count();
        let behind = self.probes.range(index..).take_while(quiet).filter(lost).count();
        u32::try_from(before + behind).unwrap_or(u32::MAX)
    }

    /// The open probes, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &Probe> {
        self.since(self.open_from).filter(|probe| probe.fate == Fate::Open)
    }

    /// The probes from this number on, oldest first.
    pub(super) fn since(&self, id: u64) -> impl DoubleEndedIterator<Item = &Probe> {
        self.probes.range(self.skip_to(id)..)
    }

    /// Marks what is overdue by `timeout` (by target), and hands what is so for the first time to
    /// `note`. Returns the numbers of those that have been overtaken.
    pub(super) fn note_overdue(
        &mut self,
        now: Instant,
        timeout: impl Fn(usize) -> Duration,
        mut note: impl FnMut(Probe),
    ) -> Vec<u64> {
        let (mark, mut open_from) = (self.mark, None);
        let first = self.skip_to(self.open_from);
        let mut overtaken = Vec::new();
        for probe in self.probes.range_mut(first..).filter(|probe| probe.fate == Fate::Open) {
            let is_overdue = now >= probe.sent + timeout(probe.target);
            if is_overdue {
                let is_new = !core::mem::replace(&mut probe.is_overdue, true);
                if is_new {
                    note(*probe);
                }
                if probe.id < mark {
                    overtaken.push(probe.id);
                    continue;
                }
            }
            open_from = open_from.or(Some(probe.id));
        }
        self.open_from = open_from.unwrap_or(self.newest + 1);
        overtaken
    }

    /// The probes of the present silence, oldest first: overdue, and overtaken by no answer.
    pub(super) fn quiet(&self) -> impl Iterator<Item = &Probe> {
        let mark = self.mark;
        self.open().filter(move |probe| probe.is_overdue && probe.id > mark)
    }

    /// A probe that is remembered.
    pub(super) fn get(&self, id: u64) -> Option<&Probe> {
        self.probes.get(self.index_of(id)?)
    }

    /// The newest probe.
    pub(super) fn last(&self) -> Option<&Probe> {
        self.probes.back()
    }

    /// The newest number given.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// The newest probe that was answered.
    pub(super) const fn mark(&self) -> u64 {
        self.mark
    }

    /// The first answered probe behind this one; if there is none, the next one.
    pub(super) fn first_answered(&self, behind: u64) -> u64 {
        let first = self.since(behind + 1).find(|probe| probe.fate == Fate::Answered);
        first.map_or(self.newest + 1, |probe| probe.id)
    }

    /// The index of the first probe with this number or a higher one.
    fn skip_to(&self, id: u64) -> usize {
        let first = self.probes.front().map_or(0, |probe| probe.id);
        let skip = usize::try_from(id.saturating_sub(first)).unwrap_or(usize::MAX);
        skip.min(self.probes.len())
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Probe> {
        let index = self.index_of(id)?;
        self.probes.get_mut(index)
    }

    fn index_of(&self, id: u64) -> Option<usize> {
        let first = self.probes.front()?.id;
        let index = usize::try_from(id.checked_sub(first)?).ok()?;
        (index < self.probes.len()).then_some(index)
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// Probes older than this are dropped.
const KEEP: Duration = Duration::from_secs(6);
/// So many are kept however old they are, and no more than so many however young.
const LEAST: usize = 24;
const MOST: usize = 1024;
/// An older answer is only a sign of life.
const LATEST_ANSWER: Duration = Duration::from_secs(4);
