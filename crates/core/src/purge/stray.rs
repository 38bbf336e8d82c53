//! Connections that belong to no uplink and try to leave by one.
//!
//! They began where nothing is translated: through a VPN, by a route of `main`, before the
//! first start. The last chain of our table drops their packets, and gives them a mark that no
//! uplink has. The kernel asks for a translation only once for each connection, so they are
//! deleted here: the next packet begins a new one, which is translated as any other. The shell walks
//! the connection table at the start, now and then, and whenever these chains have counted something.

use super::Purger;
use crate::config::Config;
use crate::desk::Desk;
use crate::io::{NOBODY, Output, Purge, Which};
use crate::notice::{PurgeNews, ReconcileNews};
use crate::render;
use crate::state::OpError;
use crate::time::{Duration, Instant};
use alloc::string::ToString;
use alloc::vec::Vec;

/// How long a conversation that lost its way waits, at the most, until it begins anew.
const PACE: Duration = Duration::from_secs(5);
/// A kernel that refuses is left in peace for this time.
const PEACE: Duration = Duration::from_secs(60);

/// When they are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Strays {
    next: Instant,
    /// A deletion was not answered yet.
    is_asked: bool,
}

impl Purger {
    /// Asks for the deletion of what bears nobody's mark, now and then.
    pub(crate) fn delete_strays(&mut self, now: Instant, config: &Config, out: &mut Vec<Output>) {
        if now < self.strays.next || self.strays.is_asked {
            return;
        }
        self.strays.next = now + PACE;
        let purge = Purge {
            uplink: NOBODY,
            mark: render::nobody(config),
            mask: config.ranges.mark_mask,
            which: Which::All,
            keep_sources: Vec::new(),
            keep_destinations: Vec::new(),
            yields: false,
        };
        self.strays.is_asked = true;
        out.push(Output::Purge(purge));
    }

    /// They were deleted, or the kernel refuses it.
    pub(crate) fn take_strays(
        &mut self,
        now: Instant,
        result: Result<u32, OpError>,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) {
        self.strays.is_asked = false;
        match result {
            Ok(0) => {}
            Ok(connections) => {
                desk.counters.purged += u64::from(connections);
                out.push(Output::tell(PurgeNews::Purged { uplink: "none".into(), connections }));
            }
            Err(error) => {
                self.strays.next = now + PEACE;
                let (object, error) = ("connections of no uplink".into(), error.to_string());
                let retry_ms = u64::try_from(PEACE.as_millis()).unwrap_or(u64::MAX);
                out.push(Output::tell(ReconcileNews::Refused { object, error, retry_ms }));
            }
        }
    }
}
