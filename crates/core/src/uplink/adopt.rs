//! What a restart or a new configuration takes over: numbers of names always, verdicts within one
//! boot, and everything of an uplink that is still the same.

use super::cold::Cold;
use super::kind::Kind as UplinkKind;
use super::passive::Passive;
use super::{Context, History, Uplink, Uplinks, Way};
use crate::check::{self, Cause, Kind, Prober, Settings, Verdict};
use crate::config::{self, Asked, CheckKind, Config, FirewallMode, UplinkConfig};
use crate::desk::Desk;
use crate::facts::{Facts, PerFamily, UplinkFacts, Ways};
use crate::net::{Family, Prefix, UplinkId};
use crate::random::Secret;
use crate::reconcile::Wants;
use crate::render;
use crate::saved::{Learnt, Saved};
use crate::state::{NFT_ELEMENTS, Nexthop, Observed, RouteKey, RouteValue};
use crate::status::{Health, Role};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Makes the saved state fit this boot and this configuration.
pub(crate) fn prepare(saved: Saved, boot_id: String, config: &Config) -> Saved {
    let mut saved = saved.of_boot(boot_id);
    saved.sysctls.retain(|path, _| render::is_known_setting(path));
    saved.number(config);
    let facts = Facts::unseen(config, saved.ids_of(config).collect::<Vec<_>>());
    // One that has another address now is another uplink, whatever it is called; and so is one that is to
    // lease its address, or to have it from another program, and never has.
    for (uplink, fact) in config.uplinks.iter().zip(&facts.uplinks) {
        let Some(known) = saved.bindings.get(&uplink.name) else { continue };
        let is_same = match &uplink.kind {
            config::UplinkKind::Static(_) => {
                fact.address(Family::V4).is_some_and(|own| own.address == known.address)
            }
            config::UplinkKind::Dhcp(_) => saved.leases.contains_key(&uplink.name),
            config::UplinkKind::Keep(_) => saved.kept.contains_key(&uplink.name),
            config::UplinkKind::Ppp(_) => saved.ppp.contains_key(&uplink.name),
        };
        if !is_same {
            saved.verdicts.remove(&uplink.name);
            saved.learnt.remove(&uplink.name);
        }
    }
    saved.take(config, &facts.uplinks);
    saved
}

/// The verdict that a restart begins with.
const fn adopted(health: Health) -> Verdict {
    match health {
        Health::Up | Health::Suspect => Verdict::Up,
        // Avoided until it has shown that it is good again.
        Health::Degraded => Verdict::Degraded(Cause::WasDegraded),
        Health::Held => Verdict::Held(Cause::Adopted),
        Health::Down => Verdict::Down(Cause::Adopted),
        // An outage that has not ended: it returns as in a process that goes on. The first reading of
        // the kernel may tell otherwise.
        Health::NoCarrier | Health::NoAddress | Health::Absent => Verdict::Down(Cause::Interrupted),
        Health::NoWay | Health::Probing | Health::Disabled => Verdict::Probing,
    }
}

/// True if both describe the same uplink, so that its verdict stays true.
pub(crate) fn is_same(a: &UplinkConfig, b: &UplinkConfig) -> bool {
    let same_interface = a.interface == b.interface || a.ifname == b.ifname;
    same_interface && a.kind.is_same(&b.kind)
}

impl Uplink {
    /// One that begins with `verdict`.
    fn new(
        now: Instant,
        id: UplinkId,
        own: &UplinkConfig,
        secret: &Secret,
        (verdict, saved): (Verdict, &Saved),
    ) -> Self {
        let (probes, prefix) = prober_secret(secret, id, now);
        let kind = UplinkKind::new(own, probes, saved);
        let facts = UplinkFacts { way: kind.ways(own), ..UplinkFacts::new(id) };
        let whom = (id, facts.gateway(Family::V4));
        Self {
            prober: prober(now, whom, own, (probes, prefix), verdict),
            check: own.check.clone(),
            made: now,
            cold: Cold::new(&kind),
            kind,
            secret: *secret,
            facts,
            way: Way::default(),
            link_trouble: None,
            passive: Passive::default(),
            has_carried: false,
            is_replaced: false,
            history: History::new(now),
            due: true,
        }
    }

    /// The same with another number or other checks. Where it asks the same targets in the same way, its
    /// probes go on; otherwise they begin anew, and what it found of the uplink stays.
    fn renewed(mut self, now: Instant, id: UplinkId, own: &UplinkConfig, secret: &Secret) -> Self {
        let fresh = self.fresh_prober(now, id, own, secret);
        let is_same_way = self.check.kind == own.check.kind;
        self.check.clone_from(&own.check);
        if self.facts.id == id && is_same_way && self.prober.targets() == fresh.targets() {
            self.prober.set_settings(now, Settings::from(own));
            return self;
        }
        let facts = UplinkFacts { id, ..self.facts };
        let prober = fresh.succeed(self.prober);
        Self { prober, made: now, facts, ..self }
    }

    /// Its checks are those that it is to have now.
    fn is_checked_as(&self, own: &UplinkConfig) -> bool {
        self.check == own.check && *self.prober.settings() == Settings::from(own)
    }

    /// Checks that begin, by the gateway that is known now.
    fn fresh_prober(
        &self,
        now: Instant,
        id: UplinkId,
        own: &UplinkConfig,
        secret: &Secret,
    ) -> Prober {
        let whom = (id, self.facts.gateway(Family::V4));
        let way = prober_secret(secret, id, now);
        prober(now, whom, own, way, self.prober.verdict())
    }
}

impl Uplink {
    /// It is attached in another way from now on. Of another address nothing is known yet.
    pub(super) fn set_ways(&mut self, now: Instant, ways: Ways, own: &UplinkConfig) {
        let old = core::mem::replace(&mut self.facts.way, ways);
        let address = |ways: &Ways| ways[Family::V4].as_ref().map(|way| way.address);
        if address(&old) != address(&self.facts.way) {
            if address(&old).is_some() {
                self.prober.stop(now);
            }
            // The next look at the interface tells whether the new one is there.
            self.facts.has_address = PerFamily::default();
        }
        if self.prober.targets() != check::targets(&own.check, self.facts.gateway(Family::V4)) {
            let fresh = self.fresh_prober(now, self.facts.id, own, &self.secret);
            let old = core::mem::replace(&mut self.prober, fresh.clone());
            self.prober = fresh.succeed(old);
            self.made = now;
        }
        self.due = true;
    }
}

impl Uplinks {
    /// Takes over how an uplink is attached now, by what its kind knows.
    pub(super) fn take_ways(&mut self, index: usize, cx: &mut Context<'_>) {
        let uplink = &self.list[index];
        let ways = uplink.kind.ways(&cx.config.uplinks[index]);
        if uplink.facts.way != ways {
            self.attach_anew(index, ways, cx);
        }
    }

    /// An uplink is attached in another way from now on: what follows of it.
    pub(super) fn attach_anew(&mut self, index: usize, ways: Ways, cx: &mut Context<'_>) {
        let own = &cx.config.uplinks[index];
        let uplink = &mut self.list[index];
        uplink.set_ways(cx.now, ways, own);
        if let Some(own) = uplink.facts.address(Family::V4) {
            cx.purge.keep(own.address);
        }
        self.links_due = true;
        cx.kernel.forget_rendered();
        cx.kernel.touch();
        cx.desk.saved.take(cx.config, self.list.iter().map(|uplink| &uplink.facts));
        cx.desk.save(true, cx.out);
        // The gateway is looked at, and what others do to the address.
        let (config, system) = (cx.config, cx.system);
        let wants = Wants { config, facts: &|| self.facts(system) };
        cx.kernel.refresh_watch(&wants, &cx.desk.saved, cx.out);
    }
}

/// The checks of this uplink, behind this gateway.
fn prober(
    now: Instant,
    (id, gateway): (UplinkId, Option<IpAddr>),
    own: &UplinkConfig,
    (secret, prefix): (Secret, u16),
    verdict: Verdict,
) -> Prober {
    let asked = (Settings::from(own), check::targets(&own.check, gateway));
    let way = (Kind::new(own.check.kind, id, (secret, prefix)), secret);
    Prober::new(now, id, asked, way, verdict)
}

/// The secret of an uplink's probes, and the prefix of the identifiers of all.
fn prober_secret(secret: &Secret, id: UplinkId, now: Instant) -> (Secret, u16) {
    let word = |n| secret.hash(&[u64::from(id.0), now.as_nanos(), n]).to_le_bytes();
    let mut seed = [0; 16];
    let (low, high) = seed.split_at_mut(8);
    low.copy_from_slice(&word(0));
    high.copy_from_slice(&word(1));
    let prefix = u16::try_from(secret.hash(&[]) & 0xffff).unwrap_or(0);
    (Secret::new(seed), prefix)
}

impl Uplinks {
    /// Sets up those of the configuration, from the saved verdicts.
    pub(crate) fn adopt(&mut self, now: Instant, config: &Config, saved: &Saved, secret: &Secret) {
        self.links_due = true;
        for uplink in &config.uplinks {
            let name = &uplink.name;
            let health = saved.verdicts.get(name).copied().unwrap_or(Health::Probing);
            let id = saved.ids.get(name).copied().unwrap_or(UplinkId(0));
            let mut new = Uplink::new(now, id, uplink, secret, (adopted(health), saved));
            if let Some(learnt) = saved.learnt.get(name) {
                let is_same = |kind: CheckKind| kind.is_same(uplink.check.kind);
                let is_limited = learnt.limited_kind.is_some_and(is_same);
                let limited_rate = learnt.limited_rate.filter(|_| is_limited);
                new.prober.take_over(now, &Learnt { limited_rate, ..*learnt });
            }
            new.facts.active = saved.active.contains(name);
            new.has_carried = new.facts.active;
            new.is_replaced = saved.replaced.contains(name);
            // Who loses it at the start is reported.
            if new.facts.active {
                new.history.role = Role::Active;
            }
            self.list.push(new);
        }
        self.attach(config);
        self.note_drained(config, &saved.overrides);
        self.ignored = still_ignored(config, &saved.ignored);
    }

    /// Gives each uplink the attachments that its kind knows.
    fn attach(&mut self, config: &Config) {
        for (uplink, own) in self.list.iter_mut().zip(&config.uplinks) {
            uplink.kind.set_config(own);
            uplink.facts.way = uplink.kind.ways(own);
        }
    }

    /// The state is written a moment after what it tells of. Where new connections go by an uplink that
    /// carried nothing by the state, it has come up since, and nothing is known of it.
    pub(crate) fn adopt_newcomers(&mut self, config: &Config, saved: &Saved, observed: &Observed) {
        for (uplink, own) in self.list.iter_mut().zip(&config.uplinks) {
            let carried = saved.active.contains(&own.name);
            let lacked = saved.verdicts.get(&own.name).is_some_and(|health| health.lacks_device());
            if lacked && !carried && is_routed(config, own, &uplink.facts, observed) {
                uplink.prober.retire();
            }
        }
    }

    /// Goes over from an old configuration to a new one, whose numbers stand in `desk`: what is the same
    /// goes on untouched.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        (old, config): (&Config, &Config),
        desk: &mut Desk,
        secret: &Secret,
    ) {
        let ignored = self.ignored_targets();
        let cascade = self.cascade.take();
        let mut before: Vec<Option<Uplink>> =
            core::mem::take(&mut self.list).into_iter().map(Some).collect();
        let has_carried = |i: usize| cascade.as_ref().is_some_and(|(before, _)| before[i]);
        let mut carried = Vec::new();
        for uplink in &config.uplinks {
            let id = desk.saved.ids.get(&uplink.name).copied().unwrap_or(UplinkId(0));
            let same = |o: &UplinkConfig| o.name == uplink.name && is_same(o, uplink);
            let position = old.uplinks.iter().position(same);
            carried.push(position.is_some_and(&has_carried));
            self.list.push(match position.and_then(|i| before[i].take()) {
                Some(kept) if kept.facts.id == id && kept.is_checked_as(uplink) => kept,
                Some(kept) => kept.renewed(now, id, uplink, secret),
                None => Uplink::new(now, id, uplink, secret, (Verdict::Probing, &desk.saved)),
            });
        }
        self.attach(config);
        self.cascade = cascade.filter(|_| carried.contains(&true)).map(|(_, at)| (carried, at));
        self.list.iter_mut().for_each(|uplink| uplink.due = true);
        self.links_due = true;
        self.ignored = still_ignored(config, &ignored);
        desk.saved.ignored = self.ignored_targets();
        self.note_drained(config, &desk.saved.overrides);
    }
}

/// New connections go by this uplink, by what the kernel has.
fn is_routed(
    config: &Config,
    uplink: &UplinkConfig,
    fact: &UplinkFacts,
    observed: &Observed,
) -> bool {
    if config.firewall.mode != FirewallMode::External {
        let table = observed.firewall.as_ref();
        let buckets = table.and_then(|table| table.buckets.as_ref()).into_iter().flatten();
        let mark = render::mark(config, fact.id);
        return buckets.into_iter().any(|(bucket, of)| *bucket < NFT_ELEMENTS && *of == mark);
    }
    let table = config.ranges.tables.0;
    let prefix = Prefix::default_route(Family::V4);
    let shared = observed.routes.get(&RouteKey { table, prefix, metric: 0 });
    let Some(way) = &fact.way[Family::V4] else { return false };
    let via = way.gateway.address();
    let is_it = |hop: &Nexthop| hop.ifname == uplink.ifname && hop.via == via;
    match shared.and_then(|route| route.value.as_ref()) {
        Some(RouteValue::Unicast { nexthops, .. }) => nexthops.iter().any(is_it),
        _ => false,
    }
}

/// Those of the targets that were left out of the count before; all of them cannot be.
fn still_ignored(config: &Config, ignored: &[IpAddr]) -> Vec<Asked> {
    let mut targets = config.asked();
    let count = targets.len();
    targets.retain(|(_, target)| ignored.contains(&IpAddr::V4(*target)));
    if targets.len() == count { Vec::new() } else { targets }
}
