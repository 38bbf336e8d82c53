//! What is known of one uplink: the truth, and what the router says of it.

use super::damping::Damping;
use crate::kernel::Outcome;
use rail_core::net::UplinkId;
use rail_core::status::{Health, Role};
use rail_core::time::{Duration, Instant};

/// The truth about an uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// Without any fault.
    Perfect,
    /// With faults that must not matter: little loss.
    Good,
    /// Nothing is claimed.
    Gray,
    /// Nothing comes back.
    Dead,
}

impl Class {
    /// An uplink like this must not be declared dead.
    pub const fn is_sound(self) -> bool {
        matches!(self, Self::Perfect | Self::Good)
    }
}

/// An uplink.
#[derive(Clone, Debug)]
pub struct Line {
    /// Number.
    pub id: UplinkId,
    /// Mark.
    pub mark: u32,
    /// The truth.
    pub class: Class,
    /// Since when.
    pub since: Instant,
    /// Since when it has been sound without a break.
    pub sound_since: Option<Instant>,
    /// Its link is up and has a carrier.
    pub(super) is_plugged: bool,
    /// Its link is up and has its address.
    pub(super) is_routable: bool,
    /// Its table has a default, and a rule leads there. What goes by the shared default goes its way
    /// by luck.
    pub(super) has_way: bool,
    /// Since when; while it was gone the uplink was not probed.
    pub way_since: Instant,
    /// Since when its link is down or without carrier.
    pub unplugged_since: Option<Instant>,
    /// Since when its link is set up and has its address: routes through it can exist.
    pub routable_since: Option<Instant>,
    /// Since when nothing has changed for its probes: its link, its way, its provider, the targets.
    pub steady_since: Instant,
    /// What was true of it then.
    pub(super) truth: Truth,
    /// Where a pinned connection goes.
    pub pinned: Outcome,
    /// Where a probe goes.
    pub probe: Outcome,
    /// Since when new connections are meant for it.
    pub carrying_since: Option<Instant>,
    /// What the router last said.
    pub health: Health,
    /// Since when.
    pub health_since: Instant,
    /// How long the router may hold its return back.
    pub damping: Damping,
    /// How often it died in the life of this process.
    pub deaths: u32,
    /// It lost probes once, or somebody limited them: what the router has learnt of that may stay.
    pub was_lossy: bool,
    /// Somebody limited its probes once, or the router took loss for that.
    pub was_limited: bool,
    /// When it was last alive and not perfect.
    pub blurred_at: Option<Instant>,
    /// When it was last not sound.
    pub unsound_at: Instant,
    /// What the router last said.
    pub role: Role,
    /// Since when.
    pub role_since: Instant,
}

/// All that becomes of an uplink's probes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Truth {
    pub(super) is_there: bool,
    pub(super) is_dead: bool,
    pub(super) loss_pct: u32,
    pub(super) rtt: Duration,
    pub(super) missing: Option<usize>,
    pub(super) dead: Option<usize>,
    pub(super) is_limited: bool,
}

impl Line {
    /// An uplink of which nothing is known yet.
    pub fn new(now: Instant, id: UplinkId, mark: u32) -> Self {
        Self {
            id,
            mark,
            class: Class::Dead,
            since: now,
            sound_since: None,
            is_plugged: false,
            is_routable: false,
            has_way: false,
            way_since: now,
            unplugged_since: None,
            routable_since: None,
            steady_since: now,
            truth: Truth::default(),
            pinned: Outcome::Lost,
            probe: Outcome::Lost,
            carrying_since: None,
            health: Health::Absent,
            health_since: now,
            damping: Damping::default(),
            deaths: 0,
            was_lossy: false,
            was_limited: false,
            blurred_at: None,
            unsound_at: now,
            role: Role::Standby,
            role_since: now,
        }
    }

    /// A process begins that knows only what was saved.
    pub fn begin(&mut self, role: Role) {
        self.damping.begin(self.health);
        (self.health, self.role) = (Health::Absent, role);
        // One that is dead dies for this process, too.
        self.deaths = u32::from(self.class == Class::Dead);
    }

    /// The router says what its health is.
    pub fn say(&mut self, now: Instant, to: Health, cause: &str) {
        self.damping.note(now, self.health, to, cause);
        (self.health, self.health_since) = (to, now);
    }

    /// Other targets answer than before: what is claimed of a living uplink is claimed from here on.
    pub(super) fn targets_changed(&mut self, now: Instant) {
        if self.class != Class::Dead {
            self.since = now;
        }
        self.sound_since = self.sound_since.map(|_| now);
        self.blurred_at = Some(now);
    }

    /// Takes note of the truth as it is now.
    pub(super) fn note_class(&mut self, now: Instant, class: Class) {
        if self.class != class {
            self.deaths += u32::from(class == Class::Dead);
            (self.class, self.since) = (class, now);
        }
        let since = self.sound_since.unwrap_or(now);
        self.sound_since = class.is_sound().then_some(since);
        if !class.is_sound() {
            self.unsound_at = now;
        }
        if matches!(class, Class::Good | Class::Gray) {
            self.blurred_at = Some(now);
        }
    }
}
