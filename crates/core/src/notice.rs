//! Typed news. A log line, an event, a metric and a mail are all made from one
//! notice, so that they always say the same thing.
//!
//! A machine's news stand beside it, in `news.rs`: an enum, and what each of its notices says
//! ([`Entry`]). The list below names them; `event` says which a JSON form is.

mod daemon;
mod entry;

pub use entry::{Entry, Field, Severity};

use alloc::string::String;
use serde::{Deserialize, Serialize};

macro_rules! notices {
    ($($(#[doc = $text:literal])* $machine:ident => $($path:ident)::+,)*) => {
        $(pub use $($path)::+;)*

        /// A piece of news.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(untagged)]
        pub enum Notice {
            $($(#[doc = $text])* $machine($($path)::+),)*
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
    /// What they have leased.
    Lease => crate::dhcp4::news::LeaseNews,
    /// Those that are dialled.
    Ppp => crate::ppp::news::PppNews,
    /// The kernel state.
    Reconcile => crate::reconcile::news::ReconcileNews,
    /// The removal of connections.
    Purge => crate::purge::news::PurgeNews,
    /// The programs that run beside the router.
    Child => crate::child::news::ChildNews,
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
        match self {
            Self::Coexist(news) => news.for_anybody().map(Self::Coexist),
            Self::Child(news) => news.for_anybody().map(Self::Child),
            Self::Ppp(news) => news.for_anybody().map(Self::Ppp),
            _ => None,
        }
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
