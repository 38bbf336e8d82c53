//! Uplinks that another program configures: what it has set is followed, and never written.
//!
//! Programs take the default route away and put it back when they renew a lease or change a metric, so
//! what was known stays for [`HOLD`] while a part of it is missing: rail has routes of its own, and the
//! checks tell whether they lead anywhere. What is there as a whole is followed at once.

use super::Kind;
use crate::config::KeepConfig;
use crate::facts::kept::{self, Found, Named};
use crate::facts::{Attachment, Gateway, Origin, PerFamily, Ways};
use crate::io::Output;
use crate::net::{Family, IfName};
use crate::notice::UplinkNews;
use crate::saved::SavedKept;
use crate::state::Scope;
use crate::status::KeptStatus;
use crate::time::{Duration, Instant};
use crate::uplink::{Context, Uplinks};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// For so long what was known stays while a part of it is missing.
pub(in crate::uplink) const HOLD: Duration = Duration::from_secs(10);

/// What was read of an uplink that another program configures.
#[derive(Clone, Debug)]
pub(in crate::uplink) struct Keep {
    /// The gateway of the file.
    said: Option<IpAddr>,
    known: Option<Attachment>,
    /// What was read last; `None`: nothing yet.
    found: Option<Found>,
    /// Since when what is known is not there as a whole.
    missing: Option<Instant>,
    /// The kernel was asked once more, for a notification may be lost.
    is_asked: bool,
}

impl Keep {
    /// One that begins with what an earlier process knew.
    pub(super) fn new(config: &KeepConfig, saved: Option<&SavedKept>) -> Self {
        let known = saved.filter(|saved| !saved.is_over).map(|saved| Attachment {
            address: saved.address,
            gateway: match saved.gateway {
                None => Gateway::Device,
                Some(via) if saved.address.contains(via) => Gateway::Via(via),
                Some(via) => Gateway::OnLink(via),
            },
            origin: Origin::Kept,
            routes: Vec::new(),
            resolvers: Vec::new(),
            delegated: Vec::new(),
            mtu: saved.mtu,
        });
        Self { said: config.gateway, known, found: None, missing: None, is_asked: false }
    }

    pub(super) const fn set_config(&mut self, config: &KeepConfig) {
        self.said = config.gateway;
    }

    pub(super) fn ways(&self) -> Ways {
        PerFamily::of(|family| self.known.clone().filter(|_| family == Family::V4))
    }

    /// Takes what there is now. True if the kernel is to be asked once more.
    fn follow(&mut self, now: Instant, found: Found) -> bool {
        let is_whole = match &found {
            Found::Whole(attachment, named) => !self.is_gap(attachment, *named),
            Found::NoAddress | Found::NoGateway(_) => false,
        };
        let since = *self.missing.get_or_insert(now);
        let is_over = is_whole || (self.is_asked && now.since(since) >= HOLD);
        if is_over {
            self.known = match &found {
                Found::Whole(attachment, _) => Some((**attachment).clone()),
                Found::NoAddress | Found::NoGateway(_) => None,
            };
        }
        if is_whole {
            (self.missing, self.is_asked) = (None, false);
        }
        self.found = Some(found);
        let is_due = self.deadline().is_some_and(|at| at <= now);
        self.is_asked |= is_due;
        is_due
    }

    /// The device would do without the gateway that it had a moment ago: its route may come back.
    fn is_gap(&self, new: &Attachment, named: Named) -> bool {
        let had = self.known.as_ref().filter(|known| known.address == new.address);
        named == Named::Device && had.is_some_and(|known| known.gateway != new.gateway)
    }

    /// When what is known is asked for once more, and given up if it is not there.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let is_held = self.known.is_some() && !self.is_asked;
        self.missing.filter(|_| is_held).map(|since| since + HOLD)
    }

    /// An address is there, and nothing says where it leads.
    pub(super) fn lacks_gateway(&self) -> bool {
        self.known.is_none() && matches!(self.found, Some(Found::NoGateway(_)))
    }

    pub(super) fn why_unattached(&self, ifname: IfName) -> String {
        match &self.found {
            Some(Found::NoGateway(own)) => {
                format!("{own} is on {ifname}, but main has no default route by {ifname}")
            }
            _ => format!("no other program has set an address on {ifname}"),
        }
    }

    /// For the screens.
    pub(super) fn status(&self, now: Instant) -> KeptStatus {
        let missing_s = self.missing.map(|since| now.since(since).as_secs());
        let read = match &self.found {
            Some(Found::Whole(attachment, named)) => {
                format!("{} is set by another program; {}", attachment.address, named.sentence())
            }
            Some(Found::NoGateway(own)) => {
                format!(
                    "{own} is set by another program; main has no default route by its interface"
                )
            }
            Some(Found::NoAddress) => "no other program has set an address".into(),
            None => "not looked at yet".to_string(),
        };
        KeptStatus { read, missing_s: missing_s.filter(|_| self.known.is_some()) }
    }

    fn saved(&self) -> Option<SavedKept> {
        let known = self.known.as_ref()?;
        let gateway = known.gateway.address();
        Some(SavedKept { address: known.address, gateway, mtu: known.mtu, is_over: false })
    }
}

impl Uplinks {
    /// Follows what other programs have configured.
    pub(in crate::uplink) fn follow(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.list.len() {
            let own = &cx.config.uplinks[index];
            let Kind::Keep(keep) = &mut self.list[index].kind else { continue };
            let said = (keep.said, own.mtu);
            if keep.follow(cx.now, kept::read(&cx.kernel.observed, own.ifname, said)) {
                cx.out.push(Output::Observe(Scope::LINKS | Scope::ADDRESSES | Scope::MAIN));
            }
            let (ways, saved) = (keep.ways(), keep.saved());
            let before = cx.desk.saved.kept.get(&own.name).cloned();
            // Of one that is gone stays which it was: what was found of it is true if it comes back.
            let over = |before: SavedKept| SavedKept { is_over: true, ..before };
            let saved = saved.or_else(|| before.clone().map(over));
            if saved != before {
                cx.desk.saved.kept.extend(saved.map(|saved| (own.name.clone(), saved)));
                cx.desk.save_soon();
            }
            if self.list[index].facts.way == ways {
                continue;
            }
            let uplink = own.name.clone();
            cx.out.extend(ways[Family::V4].as_ref().map(|way| {
                let (address, gateway) = (way.address, way.gateway.address());
                Output::tell(UplinkNews::Followed { uplink, address, gateway })
            }));
            self.attach_anew(index, ways, cx);
        }
    }
}
