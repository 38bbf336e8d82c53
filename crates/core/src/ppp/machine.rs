//! When pppd runs: the dialler of one uplink.
//!
//! It wants pppd (an owner of a child declares it) or it does not, and takes note of what becomes of that.
//! pppd never redials by itself; how soon we do depends on why it ended. A line that the checks have found
//! dead for long is hung up and dialled anew, more and more seldom while that does not help: what is broken
//! behind the other end no dial mends.

mod status;

use super::exit::{Cause, Pace};
use crate::io::{ChildEvent, Exit};
use crate::saved::SavedPpp;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What there is of the line.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sight {
    /// The uplink is not switched off.
    pub(crate) enabled: bool,
    /// What it dials through is there, as far as the kernel tells.
    pub(crate) ready: bool,
    /// Index of the interface with its name, if there is one.
    pub(crate) link: Option<u32>,
    /// Our address on it and that of the other end.
    pub(crate) address: Option<(Ipv4Addr, Ipv4Addr)>,
    /// One of the two is not to be taken: it is one of the inside, or of no host.
    pub(crate) is_refused: bool,
    /// The checks have found it dead.
    pub(crate) dead: bool,
    /// The checks have found it well.
    pub(crate) alive: bool,
}

/// What became of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// It is up. `is_new`: it was dialled by this process.
    Up {
        /// Our address, and that of the other end.
        address: (Ipv4Addr, Ipv4Addr),
        /// It was dialled by this process.
        is_new: bool,
    },
    /// It is over, or was never up.
    Down {
        /// Why.
        cause: Cause,
        /// How pppd ended.
        exit: Exit,
        /// Time until the next dial; `None`: it waits for something.
        wait: Option<Duration>,
        /// This cause was told since the last time it was up.
        is_told: bool,
    },
}

/// What it is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// It waits until it may dial.
    Idle,
    /// It waits until then.
    Resting { until: Instant },
    /// pppd is to run, and there is no address yet.
    Dialling {
        since: Instant,
        /// The interface that had the name before.
        before: Option<u32>,
    },
    /// There is an address. `dead`: since when the checks find it dead.
    Up { since: Instant, dead: Option<Instant> },
    /// pppd is to end.
    HangingUp {
        why: Option<Cause>,
        /// It has ended by then, though nobody may be left to tell.
        until: Option<Instant>,
    },
}

/// A time that doubles.
#[derive(Copy, Clone, Debug)]
struct Doubling {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Doubling {
    const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    fn take(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        now
    }

    const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// How the last one ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Last {
    pub(crate) cause: Cause,
    pub(crate) exit: Exit,
}

/// The dialler of one uplink.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    phase: Phase,
    /// pppd runs.
    is_running: bool,
    /// It was started by this process.
    is_own: bool,
    /// An interface of somebody else's that has the name.
    stranger: Option<u32>,
    sight: Sight,
    /// The interface of the last pppd may still be seen until then.
    lingers: Option<Instant>,
    /// How soon a line, and what somebody has to mend, is tried again.
    line: Doubling,
    person: Doubling,
    /// How long a line may be dead.
    patience: Doubling,
    /// What was last given.
    saved: Option<SavedPpp>,
    /// What pppd said last.
    words: VecDeque<String>,
    last: Option<Last>,
    /// The causes that were told since the line was up.
    told: Vec<Cause>,
    plugin: u32,
    dials: u64,
}

impl Dialler {
    /// One that begins, with what an earlier process was given.
    pub(crate) fn new(saved: Option<SavedPpp>) -> Self {
        // Told otherwise, a pppd that lives on would be ended and started anew.
        let plugin = saved.as_ref().map_or(0, |saved| saved.plugin);
        Self {
            phase: Phase::Idle,
            is_running: false,
            is_own: false,
            stranger: None,
            sight: Sight::default(),
            lingers: None,
            line: Doubling::new(FIRST_LINE, MOST_LINE),
            person: Doubling::new(FIRST_PERSON, MOST_PERSON),
            patience: Doubling::new(FIRST_PATIENCE, MOST_PATIENCE),
            saved,
            words: VecDeque::new(),
            last: None,
            told: Vec::new(),
            plugin,
            dials: 0,
        }
    }

    /// pppd is to run.
    pub(crate) const fn wants(&self) -> bool {
        matches!(self.phase, Phase::Dialling { .. } | Phase::Up { .. })
    }

    /// pppd is to dial with other options than before: what is up is hung up.
    pub(crate) fn redial(&mut self) {
        if self.wants() {
            self.hang_up(None);
        } else if matches!(self.phase, Phase::Resting { .. }) {
            self.phase = Phase::Idle;
        }
        for pace in [&mut self.line, &mut self.person] {
            pace.reset();
        }
        self.told.clear();
    }

    /// What was last given; it stays until another one is.
    pub(crate) const fn saved(&self) -> Option<&SavedPpp> {
        self.saved.as_ref()
    }

    /// The name of the plugin for PPPoE that is tried: distributions have the one or the other.
    pub(crate) fn plugin(&self) -> &'static str {
        PLUGINS[usize::from(!self.plugin.is_multiple_of(2))]
    }

    /// Takes note of what pppd did.
    pub(crate) fn take(&mut self, now: Instant, what: &ChildEvent, out: &mut Vec<Action>) {
        match what {
            ChildEvent::Began { is_adopted, .. } => {
                (self.is_running, self.is_own) = (true, !is_adopted);
                match self.phase {
                    // One that lives on, whatever we meant to do, or another one in its place.
                    Phase::Idle | Phase::Resting { .. } if *is_adopted => self.begin(now, None),
                    Phase::Up { .. } if !is_adopted => self.begin(now, None),
                    _ => {}
                }
                if *is_adopted {
                    return;
                }
                self.dials += 1;
                self.words.clear();
                // Nobody has dialled yet, and the name is taken.
                if let Phase::Dialling { before: Some(before), .. } = self.phase
                    && self.sight.link == Some(before)
                {
                    self.stranger = Some(before);
                    self.hang_up(Some(Cause::NameTaken));
                }
            }
            ChildEvent::Said { line, .. } => self.hear(line),
            ChildEvent::Reloaded | ChildEvent::Refused { .. } | ChildEvent::Hindered { .. } => {}
            // It is started anew, with other options or by another supervisor.
            ChildEvent::Ended { was_asked: true, .. } if self.wants() => {
                self.is_running = false;
                self.begin(now, None);
            }
            ChildEvent::Ended { exit, .. } => self.end(now, exit, out),
        }
    }

    const fn begin(&mut self, now: Instant, before: Option<u32>) {
        self.phase = Phase::Dialling { since: now, before };
    }

    /// Keeps a line, and what it tells.
    fn hear(&mut self, line: &str) {
        if self.words.len() == MOST_WORDS {
            self.words.pop_front();
        }
        self.words.push_back(line.chars().take(LONGEST_WORDS).collect());
        if self.is_up() {
            self.take_servers();
        }
    }

    /// Takes the name servers that this pppd has told, if it has told: it names its address, and then those that
    /// there are.
    fn take_servers(&mut self) {
        let Some(from) = self.words.iter().rposition(|line| line.starts_with(ADDRESS)) else {
            return;
        };
        let told = self.words.iter().skip(from).filter_map(|line| server_of(line));
        if let Some(saved) = &mut self.saved {
            saved.resolvers = told.take(MOST_SERVERS).collect();
        }
    }

    fn end(&mut self, now: Instant, exit: &Exit, out: &mut Vec<Action>) {
        if !self.is_running && !matches!(exit, Exit::NotStarted(_)) {
            // That of a dialler before this one.
            return;
        }
        self.is_running = false;
        self.lingers = self.sight.link.map(|_| now + LINGER);
        if let Phase::Up { since, .. } = self.phase
            && now.since(since) >= STEADY
        {
            self.line.reset();
        }
        let found = Cause::of(exit, self.words.iter().map(String::as_str));
        let asked = match self.phase {
            Phase::HangingUp { why, .. } => Some(why),
            Phase::Idle | Phase::Resting { .. } => Some(None),
            Phase::Dialling { .. } | Phase::Up { .. } => None,
        };
        let cause = asked.flatten().unwrap_or(found);
        if found == Cause::NoPlugin {
            self.plugin = self.plugin.wrapping_add(1);
        }
        // Asked for, and for no reason of the line's: it dials as soon as it may.
        let wait = match asked {
            Some(None) => None,
            _ => Some(match cause.pace() {
                Pace::Line => self.line.take(),
                // What is plugged in then has not failed yet.
                Pace::Device => {
                    self.line.reset();
                    EVERY_DEVICE
                }
                // The other plugin may be there.
                Pace::Person if found == Cause::NoPlugin && self.plugin < 2 => FIRST_LINE,
                Pace::Person => self.person.take(),
            }),
        };
        let wait = wait.filter(|_| self.sight.enabled && self.stranger.is_none());
        self.phase = wait.map_or(Phase::Idle, |wait| Phase::Resting { until: now + wait });
        if asked == Some(None) {
            return;
        }
        self.last = Some(Last { cause, exit: exit.clone() });
        let is_told = self.told.contains(&cause);
        if !is_told {
            self.told.push(cause);
        }
        out.push(Action::Down { cause, exit: exit.clone(), wait, is_told });
    }

    fn hang_up(&mut self, why: Option<Cause>) {
        let ends = Phase::HangingUp { why, until: None };
        self.phase = if self.is_running { ends } else { Phase::Idle };
    }

    /// Takes what there is of the line now.
    pub(crate) fn look(&mut self, now: Instant, sight: Sight, out: &mut Vec<Action>) {
        let is_new = self.sight.link.is_none() && sight.link.is_some();
        if is_new && self.phase == Phase::Idle && !self.is_running && self.saved.is_none() {
            // Perhaps that of an uplink which has just left the file, by another name.
            self.lingers = Some(now + LEAVES);
        }
        self.sight = sight;
        if self.stranger.is_some() && self.stranger != sight.link {
            self.stranger = None;
        }
        if sight.link.is_none() {
            self.lingers = None;
        }
        if !sight.enabled {
            match self.phase {
                Phase::Dialling { .. } | Phase::Up { .. } => self.hang_up(None),
                Phase::Resting { .. } => self.phase = Phase::Idle,
                Phase::Idle | Phase::HangingUp { .. } => {}
            }
            return;
        }
        if sight.is_refused && self.is_running && self.wants() {
            self.hang_up(Some(Cause::Inside));
        }
        match (self.phase, sight.address.filter(|_| self.is_running)) {
            (Phase::Dialling { .. }, Some(address)) => {
                self.phase = Phase::Up { since: now, dead: None };
                self.take_address(address);
                self.told.clear();
                self.person.reset();
                self.take_servers();
                out.push(Action::Up { address, is_new: self.is_own });
            }
            (Phase::Up { since, dead }, Some(address)) => {
                self.take_address(address);
                let dead = sight.dead.then(|| dead.unwrap_or(now));
                self.phase = Phase::Up { since, dead };
                if sight.alive {
                    self.patience.reset();
                }
                if now.since(since) >= STEADY {
                    self.line.reset();
                }
            }
            // Somebody took it, or pppd asks for another one for ever.
            (Phase::Up { since, dead }, None) => {
                self.phase = Phase::Up { since, dead: dead.or(Some(now)) };
            }
            _ => {}
        }
    }

    /// Of another address nothing is known yet.
    fn take_address(&mut self, (address, peer): (Ipv4Addr, Ipv4Addr)) {
        match &mut self.saved {
            Some(saved) if (saved.address, saved.peer) == (address, peer) => {
                saved.plugin = self.plugin;
            }
            saved => {
                let resolvers = Vec::new();
                *saved = Some(SavedPpp { address, peer, resolvers, plugin: self.plugin });
            }
        }
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, now: Instant) {
        match self.phase {
            Phase::Resting { until } if until <= now => self.phase = Phase::Idle,
            Phase::Dialling { since, .. } if now.since(since) >= LONGEST_DIAL => {
                self.hang_up(Some(Cause::TooSlow));
            }
            Phase::Up { dead: Some(dead), .. } if now.since(dead) >= self.patience.next => {
                self.patience.take();
                let why = if self.sight.address.is_some() { Cause::Dead } else { Cause::NoAddress };
                self.hang_up(Some(why));
            }
            Phase::HangingUp { why, until: None } => {
                self.phase = Phase::HangingUp { why, until: Some(now + LONGEST_END) };
            }
            Phase::HangingUp { until: Some(until), .. } if until <= now => {
                (self.is_running, self.phase) = (false, Phase::Idle);
            }
            _ => {}
        }
        let is_free = self.lingers.is_none_or(|until| until <= now);
        if self.phase == Phase::Idle && self.may_dial() && is_free {
            self.begin(now, self.sight.link);
        }
    }

    /// Nothing is in the way but what lingers.
    const fn may_dial(&self) -> bool {
        let Sight { enabled, ready, address, .. } = self.sight;
        // What is connected lives on over our restart, and is taken over without a cable, too.
        let is_there = ready || (address.is_some() && self.lingers.is_none());
        enabled && is_there && self.stranger.is_none() && !self.is_running
    }

    /// When it is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle if self.may_dial() => self.lingers,
            Phase::Idle => None,
            Phase::HangingUp { until, .. } => Some(until.unwrap_or(Instant::ZERO)),
            Phase::Resting { until } => Some(until),
            Phase::Dialling { since, .. } => Some(since + LONGEST_DIAL),
            Phase::Up { dead, .. } => dead.map(|dead| dead + self.patience.next),
        }
    }
}

fn server_of(line: &str) -> Option<Ipv4Addr> {
    let rest = SERVERS.iter().find_map(|words| line.strip_prefix(words))?;
    rest.trim().parse::<Ipv4Addr>().ok().filter(|server| !server.is_unspecified())
}

/// What pppd says of its address, and behind it of name servers, when a line comes up.
const ADDRESS: &str = "local  IP address ";
const SERVERS: [&str; 2] = ["primary   DNS address ", "secondary DNS address "];
const MOST_SERVERS: usize = 2;

const PLUGINS: [&str; 2] = ["pppoe.so", "rp-pppoe.so"];

/// Lines that are kept, and how much of each.
const MOST_WORDS: usize = 20;
const LONGEST_WORDS: usize = 160;

/// After a line that was up for so long the first wait is short again.
const STEADY: Duration = Duration::from_secs(60);
const FIRST_LINE: Duration = Duration::from_secs(1);
const MOST_LINE: Duration = Duration::from_secs(60);
/// Some providers lock an account for a quarter of an hour if a refused password is tried again soon.
const FIRST_PERSON: Duration = Duration::from_secs(60);
const MOST_PERSON: Duration = Duration::from_secs(16 * 60);
/// The kernel tells of an interface that is gone a little later than of the process that had it.
const LINGER: Duration = FIRST_LINE;
/// Longer than pppd says good-bye.
const LEAVES: Duration = Duration::from_secs(4);
/// Longer than a child is waited for before it is killed.
const LONGEST_END: Duration = Duration::from_secs(15);
/// A modem is looked for as often.
const EVERY_DEVICE: Duration = Duration::from_secs(5);
/// A dial takes seconds, on a modem up to a minute.
const LONGEST_DIAL: Duration = Duration::from_secs(180);
/// A line that the checks find dead for so long is dialled anew, the next time after twice as long.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);
const MOST_PATIENCE: Duration = Duration::from_secs(16 * 60);

#[cfg(test)]
mod tests;
