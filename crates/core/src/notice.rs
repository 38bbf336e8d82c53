//! Typed news. A log line, an event, a metric and a mail are all made from one
//! notice, so that they always say the same thing.
//!
//! A machine's news stand beside it, in `news.rs`: an enum, and what each of its notices says
//! ([`Entry`]). The list below names them; `event` says which a JSON form is.

mod daemon;
mod entry;

pub use entry::{Entry, Field, Severity};

use crate::reconcile::news as reconcile;
use crate::router::news as router;
use crate::status::{Health, Role};
use crate::uplink::news as uplink;
use alloc::string::String;
use serde::{Deserialize, Serialize};

macro_rules! notices {
    ($($(#[doc = $text:literal])* $machine:ident => $($path:ident)::+,)*) => {
        $(pub use $($path)::+;)*

        /// A piece of news.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(tag = "event", rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "fields are named as in the log")]
        pub enum Notice {
            // The laws of the simulator match on these five.
            /// An uplink's health changed.
            Health { uplink: String, from: Health, to: Health, cause: String },
            /// An uplink's role changed.
            Role { uplink: String, from: Role, to: Role },
            /// A configuration was loaded.
            Reloaded { generation: u64 },
            /// Somebody else changed an object of ours; it was repaired. Who it was the shell adds, if
            /// it is known.
            Repaired { object: String, took_us: u64, by: String },
            /// Somebody keeps changing an object of ours; we slow down.
            Contested { object: String, repairs: u32 },
            $($(#[doc = $text])* #[serde(untagged)] $machine($($path)::+),)*
        }

        $(impl From<$($path)::+> for Notice {
            fn from(news: $($path)::+) -> Self {
                Self::$machine(news)
            }
        })*

        impl Notice {
            /// What it says.
            pub fn entry(&self) -> Entry<'_> {
                match self {
                    Self::Health { uplink, from, to, cause } => {
                        uplink::health(uplink, (*from, *to), cause)
                    }
                    Self::Role { uplink, from, to } => uplink::role(uplink, *from, *to),
                    Self::Reloaded { generation } => router::reloaded(*generation),
                    Self::Repaired { object, took_us, by } => {
                        reconcile::repaired(object, *took_us, by)
                    }
                    Self::Contested { object, repairs } => reconcile::contested(object, *repairs),
                    $(Self::$machine(news) => news.entry(),)*
                }
            }
        }
    };
}

notices! {
    /// The router as a whole.
    Router => crate::router::news::RouterNews,
    /// Its uplinks.
    Uplink => crate::uplink::news::UplinkNews,
    /// The kernel state.
    Reconcile => crate::reconcile::news::ReconcileNews,
    /// The removal of connections.
    Purge => crate::purge::news::PurgeNews,
    /// Other software.
    Coexist => crate::coexist::news::CoexistNews,
    /// The interfaces and their names.
    Names => crate::names::news::NamesNews,
    /// The configuration in force.
    Revision => crate::revision::news::RevisionNews,
    /// The daemon around the core.
    Daemon => daemon::DaemonNews,
}

impl Notice {
    /// Something of the daemon itself, as a sentence.
    pub const fn daemon(severity: Severity, text: String) -> Self {
        Self::Daemon(DaemonNews::Text { severity, text })
    }

    /// The same for those who may not look at the rules, where that is less.
    pub fn for_anybody(&self) -> Option<Self> {
        let Self::Coexist(news) = self else { return None };
        news.for_anybody().map(Self::Coexist)
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.entry().severity
    }

    /// One sentence in the past tense, without values.
    pub fn sentence(&self) -> &str {
        self.entry().sentence
    }
}
