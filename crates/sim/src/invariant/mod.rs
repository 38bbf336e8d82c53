//! The laws, one file each. A law sees everything that happens, and says what is
//! wrong; it never looks into the router.

use crate::kernel::Flow;
use crate::scene::{Change, Scene};
use crate::world::Violation;
use rail_core::net::UplinkId;
use rail_core::notice::Notice;
use rail_core::status::Status;
use rail_core::time::{Duration, Instant};
use rail_core::{Ask, AskId, Peer, PortId, Purge};
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// Time passed; asked after every event.
    Tick,
    /// A moment came that the router had asked for.
    Woken,
    /// The daemon starts.
    Started,
    /// The daemon was killed.
    Killed,
    /// The router changed the kernel, or tried to.
    Change(&'a Change),
    /// The router said something.
    Said(&'a Notice),
    /// The router sent something.
    Sent {
        /// The port it named.
        port: PortId,
        /// The other end.
        to: Peer,
        /// What the kind of the port says.
        bytes: &'a [u8],
    },
    /// The router asked something.
    Asked {
        /// Who asks.
        id: AskId,
        /// What.
        ask: &'a Ask,
    },
    /// The router declared its ports.
    Ports,
    /// The router asks to have connections deleted.
    Purge(&'a Purge),
    /// They were deleted.
    Purged {
        /// Of this uplink.
        uplink: UplinkId,
        /// These.
        removed: &'a [Flow],
    },
    /// Nothing has happened outside for some seconds.
    Quiet(&'a Status),
    /// No more faults from now on.
    FaultsEnd,
    /// The run ends, long after the last fault.
    Ended(&'a Status),
}

/// A law.
pub trait Law {
    /// Looks at what happened.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String>;

    /// What the law hears of besides all else.
    fn hears(&self) -> Often {
        Often::Neither
    }

    /// How many of those that the law is about it judges now, and how many are excused; `None`
    /// where nobody is.
    fn share(&self, _scene: &Scene) -> Option<Share> {
        None
    }
}

/// What happens so often that most laws are not asked then.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Often {
    /// Of all else.
    Neither,
    /// [`Happening::Woken`].
    Woken,
    /// [`Happening::Sent`].
    Sent,
}

/// Of how many a law judges.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// So many.
    pub judged: usize,
    /// Nothing is claimed of these.
    pub excused: usize,
}

/// For how long a law has judged, and excused, summed over those that it is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Judged {
    /// So long.
    pub judged: Duration,
    /// So long nothing was claimed.
    pub excused: Duration,
}

impl Judged {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.judged += other.judged;
        self.excused += other.excused;
    }

    /// Share of time that is excused, in per cent.
    pub fn excused_pct(&self) -> f64 {
        let all = (self.judged + self.excused).as_secs_f64();
        100.0 * self.excused.as_secs_f64() / all.max(f64::MIN_POSITIVE)
    }

    /// A law that excuses more than it judges proves nothing.
    pub fn is_idle(&self) -> bool {
        self.excused > self.judged
    }
}

macro_rules! laws {
    ($($(#[doc = $text:literal])* $module:ident => $law:ident,)*) => {
        $($(#[doc = $text])* mod $module;)*

        /// Names of all laws.
        pub const NAMES: &[&str] = &[$(stringify!($module)),*];

        impl Laws {
            /// Every law, with a fresh memory.
            pub fn all() -> Self {
                Self {
                    laws: vec![$(Entry::new(
                        stringify!($module),
                        Box::new($module::$law::default()),
                    )),*],
                    last: None,
                }
            }
        }
    };
}

pub(crate) use coexist::do_rules_stand;

laws! {
    adopt => Adopt,
    carrier => Carrier,
    churn => Churn,
    coexist => Coexist,
    cold => Cold,
    dead_line => DeadLine,
    default_route => DefaultRoute,
    egress => Egress,
    false_death => FalseDeath,
    foreign => Foreign,
    forwarding => Forwarding,
    guard => Guard,
    hold => Hold,
    kept => Kept,
    lease => Lease,
    marks => Marks,
    notices => Notices,
    originals => Originals,
    pinned => Pinned,
    probe => Probe,
    probed => Probed,
    purge => PurgeLaw,
    quiet => Quiet,
    recovery => Recovery,
    reload => Reload,
    settled => Settled,
    shares => Shares,
    sleep => Sleep,
    buckets => Buckets,
    start => Start,
    suspect => Suspect,
    unattended => Unattended,
    window => Window,
}

impl Entry {
    fn new(name: &'static str, law: Box<dyn Law>) -> Self {
        let hears = law.hears();
        Self { name, law, hears, time: None }
    }
}

/// All laws of a run.
pub struct Laws {
    laws: Vec<Entry>,
    last: Option<Instant>,
}

struct Entry {
    name: &'static str,
    law: Box<dyn Law>,
    hears: Often,
    /// `None` where the law does not say for how long it judges.
    time: Option<Judged>,
}

impl Laws {
    /// Forgets all laws but this one.
    pub fn keep(&mut self, law: &str) {
        self.laws.retain(|entry| entry.name == law);
    }

    /// For how long each law judged, and excused.
    pub fn times(&self) -> BTreeMap<&'static str, Judged> {
        self.laws.iter().filter_map(|entry| Some((entry.name, entry.time?))).collect()
    }

    fn count(&mut self, scene: &Scene) {
        let time = scene.now.since(self.last.unwrap_or(scene.now));
        self.last = Some(scene.now);
        for entry in &mut self.laws {
            let Some(share) = entry.law.share(scene) else { continue };
            let times = |n: usize| time * u32::try_from(n).unwrap_or(u32::MAX);
            let more = Judged { judged: times(share.judged), excused: times(share.excused) };
            entry.time.get_or_insert_default().add(more);
        }
    }

    /// Asks all laws; the first that is broken.
    pub fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Option<Violation> {
        if matches!(what, Happening::Tick) {
            self.count(scene);
        }
        let often = match what {
            Happening::Woken => Often::Woken,
            Happening::Sent { .. } => Often::Sent,
            _ => Often::Neither,
        };
        let hears = |entry: &&mut Entry| often == Often::Neither || entry.hears == often;
        for entry in self.laws.iter_mut().filter(hears) {
            if let Err(text) = entry.law.judge(scene, what) {
                return Some(Violation { law: entry.name, text });
            }
        }
        None
    }
}
