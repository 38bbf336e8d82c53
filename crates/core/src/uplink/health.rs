//! The health of an uplink, from its link and its checks, why it has it, and what follows of a change.

use super::link::link_trouble;
use super::{Context, Uplink, Uplinks};
use crate::check::Verdict;
use crate::config::{Config, OwnLink, StrayCause, UplinkConfig};
use crate::io::Output;
use crate::net::{Family, IfName};
use crate::notice::UplinkNews;
use crate::purge::{Lost, Pending, movable};
use crate::state::{Macvlan, Observed, Scope, link_obstacle};
use crate::status::Health;
use alloc::format;
use alloc::string::{String, ToString};

impl Uplinks {
    /// Health, from link facts and verdict.
    fn health(&self, index: usize, config: &Config) -> Health {
        let uplink = &self.list[index];
        let fact = &uplink.facts;
        if !config.uplinks[index].enabled {
            Health::Disabled
        } else if fact.ifindex.is_none() {
            Health::Absent
        } else if !fact.link_up || !fact.carrier {
            Health::NoCarrier
        } else if uplink.kind.lacks_gateway() {
            Health::NoWay
        } else if !fact.has_address[Family::V4] {
            Health::NoAddress
        } else if uplink.way.refused.is_some() {
            Health::NoWay
        } else {
            match uplink.prober.verdict() {
                Verdict::Probing => Health::Probing,
                Verdict::Up | Verdict::Degraded(_) if uplink.prober.is_suspect() => Health::Suspect,
                Verdict::Up => Health::Up,
                Verdict::Degraded(_) => Health::Degraded,
                Verdict::Down(_) => Health::Down,
                Verdict::Held(_) => Health::Held,
            }
        }
    }

    /// The cause of this health, in words.
    fn cause(&self, index: usize, health: Health, cx: &Context<'_>) -> String {
        let (uplink, own) = (&cx.config.uplinks[index], &self.list[index]);
        let ifname = uplink.ifname;
        let verdict = || match own.prober.verdict() {
            Verdict::Probing | Verdict::Up => String::new(),
            // Whatever it fell for, silence keeps it down now.
            Verdict::Down(cause) if !cause.is_silence() && own.prober.is_mute(cx.now) => {
                format!("{cause}; now no target answers")
            }
            Verdict::Degraded(cause) | Verdict::Down(cause) => cause.to_string(),
            Verdict::Held(cause) => format!("answers again; it fell: {cause}"),
        };
        match health {
            Health::Disabled => {
                let said = cx.desk.saved.overrides.get(&uplink.name);
                let by_command = said.filter(|_| cx.file.uplinks[index].enabled);
                let cause = by_command.map(crate::config::Override::sentence);
                cause.unwrap_or_else(|| "disabled in the configuration".into())
            }
            _ if self.waits_on_purpose(index, cx.config, health) => {
                "on cold standby: an uplink of a better tier is usable".into()
            }
            Health::Absent if !own.kind.is_dialled() => absent(index, cx),
            Health::Absent | Health::NoAddress if self.is_cold(index, cx.config, cx.now) => {
                format!("called from cold standby; {}", own.kind.why_unattached(uplink))
            }
            Health::Absent => own.kind.why_unattached(uplink),
            Health::NoCarrier => {
                let trouble = link_trouble(uplink, cx.kernel).filter(|_| !own.facts.link_up);
                let why = trouble.map_or_else(String::new, |trouble| format!(": {trouble}"));
                no_carrier(ifname, &cx.kernel.observed) + &why
            }
            Health::NoAddress => match own.facts.address(Family::V4) {
                Some(address) if !own.kind.is_new(cx.now) => {
                    format!("{address} is not on {ifname}")
                }
                _ => own.kind.why_unattached(uplink),
            },
            Health::NoWay if own.kind.lacks_gateway() => own.kind.why_unattached(uplink),
            Health::NoWay => own.way.refused.clone().unwrap_or_default(),
            Health::Probing => "no check finished yet".into(),
            Health::Suspect if self.is_replaced(index) => {
                "no answer for a moment; new connections go elsewhere".into()
            }
            Health::Suspect => "no answer for a moment".into(),
            Health::Up | Health::Degraded | Health::Down | Health::Held => verdict(),
        }
    }

    /// True if another uplink takes what this one, which is suspect, would carry.
    fn is_replaced(&self, index: usize) -> bool {
        let carries = |own: &Uplink| own.facts.active && !own.prober.is_suspect();
        let mut others = self.list.iter().enumerate().filter(|(other, _)| *other != index);
        self.is_avoided(index) && others.any(|(_, other)| carries(other))
    }

    /// Takes note of the health of an uplink; if it is another one, of all that follows.
    pub(super) fn set_health(&mut self, index: usize, cx: &mut Context<'_>) {
        let to = self.health(index, cx.config);
        let uplink = &mut self.list[index];
        let from = uplink.facts.health;
        // The first health of a process is news, whatever it is: what happened while no daemon ran
        // was reported to nobody, and its connections are still there.
        let is_first = !core::mem::replace(&mut uplink.history.is_reported, true);
        if from == to && !is_first {
            self.set_cause(index, cx);
            return;
        }
        let cause = self.cause(index, to, cx);
        let uplink = &mut self.list[index];
        if is_first && to == Health::Absent && is_to_be_made(&cx.config.uplinks[index], cx) {
            // Each start after a boot makes its links: what comes of that is news.
            uplink.history.is_reported = false;
            uplink.history.cause = cause;
            return;
        }
        uplink.facts.health = to;
        // A box inside the LAN keeps its connections as long as it can be used.
        if from.is_usable() != to.is_usable() || from.is_alive() != to.is_alive() {
            cx.kernel.touch();
        }
        let name = cx.config.uplinks[index].name.clone();
        let text = if cause.is_empty() { to.to_string() } else { format!("{to}: {cause}") };
        uplink.history.cause.clone_from(&cause);
        // A doubt comes and goes: what the uplink was before, it is still.
        if uplink.history.changed(cx.now, from, to) {
            uplink.note(cx.now, format!("became {text}"));
            cx.desk.saved.verdicts.insert(name.clone(), to);
            cx.desk.save_soon();
        }
        let meant = self.waits_on_purpose(index, cx.config, to);
        cx.out.push(Output::tell(UplinkNews::Health { uplink: name, from, to, cause, meant }));
        if to == Health::Down {
            cx.out.push(Output::Observe(Scope::NEIGHBOURS));
        }
        self.purge(index, (from.is_alive() || is_first, to), cx);
    }

    /// The connections of an uplink that died can move; of one that lives again they stay. Of one that was
    /// dead before, for another reason, they have been seen to.
    fn purge(&self, index: usize, (was_alive, to): (bool, Health), cx: &mut Context<'_>) {
        let uplink = &self.list[index];
        let id = uplink.facts.id;
        // One that is held back may carry, and what it has left works again.
        if to.is_alive() {
            cx.purge.cancel(id, cx.out);
        } else if was_alive {
            let lost = (to == Health::NoAddress).then(|| Lost::at(cx.now));
            let silent = uplink.prober.silent_since();
            let purge = movable(cx.config, self.facts_of_each(), &cx.kernel.observed, id);
            cx.purge.put(id, Pending::of_dead(purge, silent, lost));
        }
    }

    /// The uplink is as useless as before, but for another reason.
    fn set_cause(&mut self, index: usize, cx: &mut Context<'_>) {
        let health = self.list[index].facts.health;
        let by_link = matches!(
            health,
            Health::Absent
                | Health::NoCarrier
                | Health::NoAddress
                | Health::NoWay
                | Health::Disabled
        );
        if !by_link && !matches!(health, Health::Degraded | Health::Suspect | Health::Down) {
            return;
        }
        let cause = self.cause(index, health, cx);
        let is_cold = self.is_cold(index, cx.config, cx.now);
        let uplink = &mut self.list[index];
        if uplink.history.cause == cause {
            return;
        }
        uplink.history.cause.clone_from(&cause);
        // First lossy, then slow, first alone, then passed by, or first unplugged, then silent: no news, but
        // what it says of itself is to be true.
        // One on cold standby has no address on purpose.
        if !by_link || is_cold {
            return;
        }
        uplink.note(cx.now, format!("is {health}: {cause}"));
        let uplink = cx.config.uplinks[index].name.clone();
        cx.out.push(Output::tell(UplinkNews::Unusable { uplink, health, cause }));
    }
}

/// Why an interface is not found, and which other one may be it.
fn absent(index: usize, cx: &Context<'_>) -> String {
    let stray = cx.system.strays.iter().find(|stray| stray.uplink == index);
    let renumbered = stray.map_or_else(String::new, |stray| {
        let why = match stray.cause {
            StrayCause::Device => "was its interface",
            StrayCause::Address | StrayCause::Network => "is in its network",
        };
        let stray = stray.ifname;
        format!("; {stray}, which the file does not name, {why}: renumbered?")
    });
    let uplink = &cx.config.uplinks[index];
    let links = &cx.kernel.observed.links;
    let missing = |interface| cx.config.why_missing(interface, links);
    let ifname = uplink.ifname;
    let why = match &uplink.own_link {
        Some(own) if !links.contains_key(&own.port) => {
            format!("{ifname} has no port: {}", missing(&own.parent))
        }
        Some(own) if !ifname.is_nowhere() => {
            let why = hindrance(uplink, own, cx).unwrap_or_else(|| "it is to be made".into());
            format!("rail's link {ifname} is not there: {why}")
        }
        Some(_) | None => missing(&uplink.interface),
    };
    format!("{why}{renumbered}")
}

/// Why a link of ours cannot be made. What can be seen is known before the engine has come to it.
fn hindrance(uplink: &UplinkConfig, own: &OwnLink, cx: &Context<'_>) -> Option<String> {
    let wanted = Macvlan { parent: own.port, mac: own.mac };
    let seen = link_obstacle(uplink.ifname, &wanted, &cx.kernel.observed.links);
    seen.or_else(|| link_trouble(uplink, cx.kernel))
}

/// The interface is a link of ours, and nothing is known that keeps it from being made.
fn is_to_be_made(uplink: &UplinkConfig, cx: &Context<'_>) -> bool {
    let links = &cx.kernel.observed.links;
    let own = uplink.own_link.as_ref().filter(|own| links.contains_key(&own.port));
    own.is_some_and(|own| !uplink.ifname.is_nowhere() && hindrance(uplink, own, cx).is_none())
}

/// Why a link cannot send: who took it down, or how far up the cable goes.
fn no_carrier(ifname: IfName, observed: &Observed) -> String {
    let links = &observed.links;
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
