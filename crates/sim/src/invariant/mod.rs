//! The laws, one file each. A law sees everything that happens, and says what is
//! wrong; it never looks into the router.

use crate::kernel::Flow;
use crate::scene::{Deed, Scene};
use crate::world::Violation;
use rail_core::Purge;
use rail_core::net::UplinkId;
use rail_core::notice::Notice;
use rail_core::status::Status;
use std::net::Ipv4Addr;

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
    Deed(&'a Deed),
    /// The router said something.
    Said(&'a Notice),
    /// The router sent a probe.
    Sent {
        /// The uplink it named.
        uplink: UplinkId,
        /// Target.
        to: Ipv4Addr,
        /// ICMP message.
        bytes: &'a [u8],
    },
    /// The router opened its probe sockets.
    Sockets,
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
}

macro_rules! laws {
    ($($(#[doc = $text:literal])* $module:ident => $law:ident,)*) => {
        $($(#[doc = $text])* mod $module;)*

        /// Names of all laws.
        pub const NAMES: &[&str] = &[$(stringify!($module)),*];

        impl Laws {
            /// Every law, with a fresh memory.
            pub fn all() -> Self {
                Self { laws: vec![$((stringify!($module), Box::new($module::$law::default()))),*] }
            }
        }
    };
}

laws! {
    adopt => Adopt,
    carrier => Carrier,
    churn => Churn,
    dead_line => DeadLine,
    default_route => DefaultRoute,
    false_death => FalseDeath,
    foreign => Foreign,
    forwarding => Forwarding,
    guard => Guard,
    notices => Notices,
    pinned => Pinned,
    probe => Probe,
    purge => PurgeLaw,
    quiet => Quiet,
    recovery => Recovery,
    settled => Settled,
    shares => Shares,
    sleep => Sleep,
    slots => Slots,
    window => Window,
}

/// All laws of a run.
pub struct Laws {
    laws: Vec<(&'static str, Box<dyn Law>)>,
}

impl Laws {
    /// Forgets all laws but this one.
    pub fn keep(&mut self, law: &str) {
        self.laws.retain(|(name, _)| *name == law);
    }

    /// Asks all laws; the first that is broken.
    pub fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Option<Violation> {
        for (name, law) in &mut self.laws {
            if let Err(text) = law.judge(scene, what) {
                return Some(Violation { law: name, text });
            }
        }
        None
    }
}
