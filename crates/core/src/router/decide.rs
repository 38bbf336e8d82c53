//! Probes, verdicts, and who carries new connections.

use super::stale::Deletion;
use super::{Router, settle};
use crate::check::{Verdict, blame, quorum_window};
use crate::config::{StrayCause, Tier};
use crate::io::Output;
use crate::net::{Family, IfName};
use crate::notice::Notice;
use crate::render;
use crate::state::Scope;
use crate::status::{Health, Role};
use crate::time::{Duration, Instant};
use crate::uplink::choose::{Candidate, Standing, choose};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Blame is found out at most this often.
const BLAME_PACE: Duration = Duration::from_millis(100);

/// After the start, the time in which having no uplink is no news yet.
const SETTLING_TIME: Duration = Duration::from_secs(1);

impl Router {
    /// Sends the rounds that are due.
    pub(super) fn probe(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (index, line) in self.lines.iter_mut().enumerate() {
            if line.resolves(now) {
                let ifname = self.config.uplinks[index].ifname;
                let gateway = self.facts.uplinks[index].gateway(Family::V4);
                out.extend(gateway.map(|gateway| Output::Resolve(ifname, gateway)));
            }
            let packets = line.send(now);
            if !packets.is_empty() {
                self.lines_dirty[index] = true;
                self.counters.probes_sent += packets.len() as u64;
            }
            let uplink = line.id();
            out.extend(packets.into_iter().map(|(to, bytes)| Output::Send { uplink, to, bytes }));
        }
    }

    /// Judges the lines that heard something or whose time has come.
    pub(super) fn judge(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.find_blame(now, out);
        for index in 0..self.lines.len() {
            let due = self.lines[index].deadline().is_some_and(|at| at <= now);
            if !core::mem::take(&mut self.lines_dirty[index]) && !due {
                continue;
            }
            let rounds = self.lines[index].judge(now, &self.blamed);
            let of = u32::try_from(self.config.check.targets.len()).unwrap_or(0);
            for (answered, good) in rounds {
                let uplink = self.config.uplinks[index].name.clone();
                let answered = u32::try_from(answered).unwrap_or(0);
                out.push(Output::Notice(Notice::Round { uplink, answered, of, good }));
            }
            self.set_health(now, index, out);
        }
    }

    fn find_blame(&mut self, now: Instant, out: &mut Vec<Output>) {
        if now < self.next_blame {
            return;
        }
        self.next_blame = now + BLAME_PACE;
        let blamed = blame(now, &self.config.check, self.lines.iter(), &self.blamed);
        for (index, is_blamed) in blamed.iter().enumerate() {
            if self.blamed.get(index) != Some(is_blamed) {
                let target = IpAddr::V4(self.config.check.targets[index]);
                out.push(Output::Notice(Notice::Blamed { target, blamed: *is_blamed }));
                self.lines_dirty.fill(true);
            }
        }
        if self.blamed != blamed {
            self.blamed = blamed;
            self.saved.ignored = self.ignored();
            self.save_due = true;
        }
    }

    /// A target has answered on one uplink, there for the first time since `before`. After a silence on
    /// every uplink it has a fresh start on all of them: if it falls silent again at once, the one that
    /// did not ask in between is no worse than the one that did.
    pub(super) fn note_return(
        &mut self,
        now: Instant,
        index: usize,
        target: usize,
        before: Option<Instant>,
    ) {
        // The next answer of an uplink that is asked slowly is no return.
        if before.is_some_and(|at| now.since(at) < self.lines[index].interval() * 2) {
            return;
        }
        let others = self.lines.iter().enumerate().filter(|(other, _)| *other != index);
        let heard = others.filter_map(|(_, line)| line.last_answer(target));
        let last = heard.chain(before).max();
        if last.is_some_and(|at| now.since(at) >= quorum_window(&self.config.check) / 2) {
            self.lines.iter_mut().for_each(|line| line.forgive(now, target));
        }
    }

    /// The targets that are left out of the count.
    pub(super) fn ignored(&self) -> Vec<IpAddr> {
        let targets = self.config.check.targets.iter().zip(&self.blamed);
        targets.filter(|(_, b)| **b).map(|(t, _)| IpAddr::V4(*t)).collect()
    }

    /// Health, from link facts and verdict.
    fn health(&self, index: usize) -> Health {
        let fact = &self.facts.uplinks[index];
        if !self.config.uplinks[index].enabled {
            Health::Disabled
        } else if fact.ifindex.is_none() {
            Health::Absent
        } else if !fact.link_up || !fact.carrier {
            Health::NoCarrier
        } else if !fact.has_address[Family::V4] {
            Health::NoAddress
        } else if self.books[index].way.refused.is_some() {
            Health::NoWay
        } else {
            match self.lines[index].verdict() {
                Verdict::Probing => Health::Probing,
                Verdict::Up => Health::Up,
                Verdict::Degraded(_) => Health::Degraded,
                Verdict::Down(_) => Health::Down,
                Verdict::Held(_) => Health::Held,
            }
        }
    }

    /// The cause of this health, in words.
    fn cause(&self, index: usize, health: Health) -> String {
        let uplink = &self.config.uplinks[index];
        let ifname = uplink.ifname;
        let verdict = || match self.lines[index].verdict() {
            Verdict::Probing | Verdict::Up => String::new(),
            Verdict::Degraded(cause) | Verdict::Down(cause) | Verdict::Held(cause) => {
                cause.to_string()
            }
        };
        match health {
            Health::Disabled => {
                let said = self.saved.overrides.get(&uplink.name);
                let by_command = said.filter(|_| self.file.uplinks[index].enabled);
                let cause = by_command.map(super::Override::sentence);
                cause.unwrap_or_else(|| "disabled in the configuration".into())
            }
            Health::Absent => {
                let stray = self.facts.strays.iter().find(|stray| stray.uplink == index);
                let renumbered = stray.map_or_else(String::new, |stray| {
                    let why = match stray.cause {
                        StrayCause::Device => "was its interface",
                        StrayCause::Address | StrayCause::Network => "is in its network",
                    };
                    let stray = stray.ifname;
                    format!("; {stray}, which the file does not name, {why}: renumbered?")
                });
                let why = self.config.why_missing(&uplink.interface, &self.observed.links);
                format!("{why}{renumbered}")
            }
            Health::NoCarrier => self.no_carrier(ifname),
            Health::NoAddress => match self.facts.uplinks[index].address(Family::V4) {
                Some(address) => format!("{address} is not on {ifname}"),
                None => format!("{ifname} has got no address"),
            },
            Health::NoWay => self.books[index].way.refused.clone().unwrap_or_default(),
            Health::Probing => "no check finished yet".into(),
            Health::Up | Health::Degraded | Health::Down | Health::Held => verdict(),
        }
    }

    /// Why a link cannot send: who took it down, or how far up the cable goes.
    fn no_carrier(&self, ifname: IfName) -> String {
        let links = &self.observed.links;
        let Some(link) = links.get(&ifname) else {
            return format!("there is no interface {ifname}");
        };
        if !link.up {
            return format!("{ifname} is administratively down");
        }
        let lower = links.iter().find(|(_, below)| Some(below.index) == link.lower);
        match lower {
            Some((below, state)) if !state.up => {
                format!("{ifname} has no carrier: {below} below it is administratively down")
            }
            Some((below, state)) if !state.carrier => {
                format!("{ifname} has no carrier: {below} below it has none")
            }
            _ => format!("{ifname} has no carrier"),
        }
    }

    fn set_health(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let to = self.health(index);
        let from = self.facts.uplinks[index].health;
        // The first health of a process is news, whatever it is: what happened while no daemon ran
        // was told to nobody, and its connections are still there.
        let is_first = !core::mem::replace(&mut self.books[index].is_told, true);
        if from == to && !is_first {
            self.set_cause(now, index, out);
            return;
        }
        let cause = self.cause(index, to);
        self.facts.uplinks[index].health = to;
        // A box inside the LAN keeps its connections as long as it can be used.
        self.dirty |= from.is_usable() != to.is_usable() || from.is_alive() != to.is_alive();
        let book = &mut self.books[index];
        book.since = now;
        book.cause.clone_from(&cause);
        book.transitions += 1;
        let uplink = self.config.uplinks[index].name.clone();
        let text = if cause.is_empty() { to.to_string() } else { format!("{to}: {cause}") };
        self.note_history(now, index, format!("became {text}"));
        self.saved.verdicts.insert(uplink.clone(), to);
        self.save_due = true;
        out.push(Output::Notice(Notice::Health { uplink, from, to, cause }));
        if to == Health::Down {
            out.push(Output::Observe(Scope::NEIGHBOURS));
        }
        let id = self.facts.uplinks[index].id;
        // One that is held back may carry, and what it has left works again.
        if to.is_alive() {
            self.pending_purges.remove(&id);
            self.sweeps.retain(|(_, purge)| purge.uplink != id);
            let is_it = |deletion: &Deletion| deletion.purge.uplink == id && deletion.is_movable();
            self.refused.retain(|(_, refused)| !is_it(refused));
            // A large table takes a while: without this its new connections would be deleted.
            if self.asked.iter().any(is_it) {
                out.push(Output::CancelPurge(id));
            }
        } else if from.is_usable() || !self.pending_purges.contains_key(&id) {
            let purge = settle::purge(&self.config, &self.facts, &self.observed, id);
            let silent = self.lines[index].silent_since();
            let lost = (to == Health::NoAddress).then(|| settle::Lost::at(now));
            let pending = settle::Pending { purge, pass: settle::Pass::First, silent, lost };
            self.pending_purges.insert(id, pending);
        }
    }

    /// The uplink is as useless as before, but for another reason.
    fn set_cause(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let health = self.facts.uplinks[index].health;
        let by_link = matches!(
            health,
            Health::Absent
                | Health::NoCarrier
                | Health::NoAddress
                | Health::NoWay
                | Health::Disabled
        );
        if !by_link && health != Health::Degraded {
            return;
        }
        let cause = self.cause(index, health);
        if self.books[index].cause == cause {
            return;
        }
        // First lossy, then slow: no news, but what it says of itself is to be true.
        if !by_link {
            self.books[index].cause = cause;
            return;
        }
        self.books[index].cause.clone_from(&cause);
        self.note_history(now, index, format!("is {health}: {cause}"));
        let uplink = self.config.uplinks[index].name.clone();
        out.push(Output::Notice(Notice::Unusable { uplink, health, cause }));
    }

    /// Chooses who carries new connections.
    pub(super) fn decide(&mut self, now: Instant, out: &mut Vec<Output>) {
        for index in 0..self.lines.len() {
            self.set_health(now, index, out);
        }
        let cascade = self.cascade.take().filter(|(_, at)| !self.is_carried_since(*at));
        let candidates: Vec<Candidate> = (0..self.lines.len())
            .map(|index| self.candidate(now, index, cascade.as_ref().map(|(kept, _)| kept)))
            .collect();
        let (standing, active) = self.choose(candidates);
        let before: Vec<bool> = self.facts.uplinks.iter().map(|fact| fact.active).collect();
        let is_dead = |i: &usize| {
            self.config.uplinks[*i].enabled && !self.facts.uplinks[*i].health.is_alive()
        };
        let fell = (0..active.len()).filter(|i| before[*i] && !active[*i]).filter(is_dead);
        let died = fell.map(|index| self.lines[index].silent_since().unwrap_or(now)).min();
        if active != before {
            self.switch(&active, now);
        }
        for (line, active) in self.lines.iter_mut().zip(&active) {
            line.set_carrying(now, *active);
        }
        let may_follow = died.filter(|at| !self.is_carried_since(*at));
        self.cascade = cascade.or(may_follow.map(|at| (before, at)));
        self.tell_no_uplink(now, standing.carries(), out);
        self.refresh_roles(now, out);
    }

    /// The best of these. Only if one of them has no buckets it is asked which the rules know.
    fn choose(&mut self, mut candidates: Vec<Candidate>) -> (Standing, Vec<bool>) {
        if self.rendered.is_none() {
            self.desired();
        }
        let mode = self.config.router.no_uplink;
        let best = choose(&candidates, mode);
        let Some((_, desired)) = &self.rendered else { return best };
        let is_known = |index: usize| {
            let mark = render::mark(&self.config, self.facts.uplinks[index].id);
            self.engine.knows(mark, desired, &self.observed)
        };
        if (0..candidates.len()).filter(|index| best.1[*index]).all(is_known) {
            return best;
        }
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.known = is_known(index);
        }
        choose(&candidates, mode)
    }

    /// What counts for and against an uplink.
    fn candidate(&self, now: Instant, index: usize, before: Option<&Vec<bool>>) -> Candidate {
        let (uplink, fact) = (&self.config.uplinks[index], &self.facts.uplinks[index]);
        let standing = match fact.health {
            Health::Up | Health::Degraded if fact.drained => Standing::Drained,
            Health::Up | Health::Degraded => Standing::Proven,
            // Not before one that nobody wants empty.
            Health::Probing if fact.drained => Standing::Held,
            Health::Probing => Standing::Probing,
            Health::Held => Standing::Held,
            Health::Down if self.lines[index].is_heard(now) => Standing::Answering,
            Health::Down => Standing::Silent,
            Health::NoWay => Standing::Astray,
            Health::NoCarrier | Health::NoAddress => Standing::Gone,
            Health::Absent | Health::Disabled => Standing::Gone,
        };
        let kept = before.and_then(|before| before.get(index)).copied().unwrap_or(fact.active);
        Candidate { tier: uplink.tier, standing, kept: kept && uplink.enabled, known: true }
    }

    fn switch(&mut self, active: &[bool], now: Instant) {
        for (fact, active) in self.facts.uplinks.iter_mut().zip(active) {
            fact.active = *active;
        }
        self.switching = Some(now);
        let names = self.config.uplinks.iter().zip(&self.facts.uplinks);
        self.saved.active = names.filter(|(_, f)| f.active).map(|(u, _)| u.name.clone()).collect();
        self.save_due = true;
        self.dirty = true;
    }

    fn tell_no_uplink(&mut self, now: Instant, any: bool, out: &mut Vec<Output>) {
        // Links that were down are set up first; an uplink that was never there is not lost.
        let settling = now.since(self.started) < SETTLING_TIME;
        if !any && settling {
            return;
        }
        if !any && !self.lost_all {
            let kept = self.facts.uplinks.iter().any(|fact| fact.active);
            out.push(Output::Notice(Notice::NoUplink { kept }));
        }
        self.lost_all = !any;
    }

    fn refresh_roles(&mut self, now: Instant, out: &mut Vec<Output>) {
        for index in 0..self.books.len() {
            let role = match (self.config.uplinks[index].tier, self.facts.uplinks[index].active) {
                (Tier::Inbound, _) => Role::Inbound,
                (Tier::Number(_), true) => Role::Active,
                (Tier::Number(_), false) => Role::Standby,
            };
            let from = core::mem::replace(&mut self.books[index].role, role);
            if from != role {
                let uplink = self.config.uplinks[index].name.clone();
                self.note_history(now, index, format!("role is now {}", role.as_str()));
                out.push(Output::Notice(Notice::Role { uplink, from, to: role }));
            }
        }
    }
}
