//! Uplinks that are dialled: binds the dialler to pppd, to what the kernel has of the line, to facts, news and
//! the state file.
//!
//! Whether the line is up the kernel tells, so a connection that outlived our process is taken over as it is.
//! What was given last stays, as a lease does, until something else is given: a line that comes back with its
//! address changes no rule.

use super::{Kind, inside};
use crate::config::{Chat, Config, PppConfig, PppLine, UplinkConfig};
use crate::facts::{Attachment, Gateway, Origin, PerFamily, Ways};
use crate::io::{
    Capability, Child, ChildEvent, ChildFile, ChildId, OnChange, Output, Program, User,
};
use crate::net::{Family, Prefix, UplinkId, is_host};
use crate::ppp::news::PppNews;
use crate::ppp::{Action, CHAT_FILE, Dialler, Names, Sight, describe, options, script};
use crate::saved::SavedPpp;
use crate::status::{Health, PppStatus};
use crate::time::{Duration, Instant};
use crate::uplink::{Context, Uplinks};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// A dialler, and what it was told.
#[derive(Clone, Debug)]
pub(in crate::uplink) struct Ppp {
    dialler: Dialler,
    config: PppConfig,
    mtu: Option<u32>,
    /// The address, ours or of the other end, for which a line is not taken: one of the inside, or of no host.
    refused: Option<Ipv4Addr>,
    /// pppd was to run when its owner was last asked.
    is_declared: bool,
    /// What pppd did and was not looked at yet.
    inbox: Vec<ChildEvent>,
}

impl Ppp {
    pub(super) fn new(config: &PppConfig, mtu: Option<u32>, saved: Option<&SavedPpp>) -> Self {
        Self {
            dialler: Dialler::new(saved.cloned()),
            config: config.clone(),
            mtu,
            refused: None,
            is_declared: false,
            inbox: Vec::new(),
        }
    }

    /// What pppd was told holds for the whole of a connection.
    pub(super) fn set_config(&mut self, config: &PppConfig, mtu: Option<u32>) {
        if (&self.config, self.mtu) != (config, mtu) {
            (self.config, self.mtu) = (config.clone(), mtu);
            self.dialler.redial();
        }
    }

    /// It has been connected; whether it still is, nobody knows at a start.
    pub(super) const fn holds(&self) -> bool {
        self.dialler.saved().is_some()
    }

    pub(super) fn ways(&self) -> Ways {
        let attachment = || {
            let given = self.dialler.saved()?;
            Some(Attachment {
                address: Prefix::host(IpAddr::V4(given.address)),
                gateway: Gateway::Device,
                origin: Origin::Ppp,
                routes: Vec::new(),
                resolvers: given.resolvers.iter().copied().map(IpAddr::V4).collect(),
                delegated: Vec::new(),
                mtu: self.mtu,
            })
        };
        PerFamily::of(|family| (family == Family::V4).then(attachment).flatten())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.inbox.is_empty() { self.dialler.deadline() } else { Some(Instant::ZERO) }
    }

    /// Why there is no line, for people.
    pub(super) fn why_unattached(&self, own: &UplinkConfig) -> String {
        let ifname = own.ifname;
        if let Some(address) = self.refused {
            let what =
                if is_host(address) { "belongs to a network inside" } else { "is that of no host" };
            return format!("{address} is not taken: it {what}");
        }
        if self.dialler.is_blocked() {
            return format!("an interface {ifname} is there that is not rail's");
        }
        match self.dialler.last() {
            Some(last) => {
                let advice = match last.cause.advice() {
                    "" => String::new(),
                    advice => format!(" ({advice})"),
                };
                format!("not connected: {}{advice}", last.cause.as_str())
            }
            None if self.dialler.wants() => "it is dialled".into(),
            None if self.dialler.is_ending() => "it is hung up".into(),
            None => match own.ppp().and_then(PppConfig::parent) {
                Some((parent, _)) => format!("{parent} is not there, or has no carrier"),
                None => "it is not dialled yet".into(),
            },
        }
    }

    /// For the screens.
    pub(in crate::uplink) fn status(&self, now: Instant) -> PppStatus {
        let (given, last) = (self.dialler.saved(), self.dialler.last());
        let is_up = self.dialler.is_up();
        PppStatus {
            phase: self.dialler.phase().into(),
            peer: given.filter(|_| is_up).map(|given| given.peer),
            resolvers: given
                .filter(|_| is_up)
                .map_or_else(Vec::new, |given| given.resolvers.clone()),
            dials: self.dialler.dials(),
            redial_s: self.dialler.rest(now).map(|rest| rest.as_secs()),
            cause: last.map_or_else(String::new, |last| last.cause.as_str().into()),
            advice: last.map_or_else(String::new, |last| last.cause.advice().into()),
            ended: last.map_or_else(String::new, |last| describe(&last.exit)),
            said: self.dialler.words().map(String::from).collect(),
        }
    }
}

impl Ppp {
    /// pppd as it is to run now, if it is to run.
    fn child(&self, id: UplinkId, own: &UplinkConfig) -> Option<Child> {
        let config = self.dialler.wants().then_some(&self.config)?;
        let names = Names { uplink: &own.name, ifname: own.ifname };
        let file =
            |name: &str, content, is_secret| ChildFile { name: name.into(), content, is_secret };
        let told = options(config, names, self.mtu, self.dialler.plugin());
        let mut files = vec![file(OPTIONS_FILE, told, true)];
        if let PppLine::Serial { chat: Chat::Ours { dial, apn }, .. } = &config.line {
            files.push(file(CHAT_FILE, script(dial, apn.as_deref()), false));
        }
        Some(Child {
            id: ChildId::Ppp(id),
            run: 0,
            // starts: pppd
            program: Program::System("pppd".into()),
            args: ["file", OPTIONS_FILE].map(String::from).to_vec(),
            trial: Vec::new(),
            files,
            user: User::Root,
            // What is looked for by PPPoE is looked for by packets.
            capabilities: vec![Capability::ChangeNetwork, Capability::RawSockets],
            is_resolver: false,
            needs: None,
            keeps_state: false,
            on_change: OnChange::Restart,
            grace: GRACE,
        })
    }
}

impl Uplinks {
    /// What is to run for those that are dialled.
    pub(crate) fn children<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = Child> + 'a {
        self.list.iter().zip(&config.uplinks).filter_map(|(uplink, own)| match &uplink.kind {
            Kind::Ppp(ppp) => ppp.child(uplink.facts.id, own),
            Kind::Fixed | Kind::Dhcp(_) | Kind::Keep(_) => None,
        })
    }

    /// The uplink with this number is one that is dialled, now or when it has waited.
    pub(crate) fn dials(&self, id: UplinkId, config: &Config) -> bool {
        self.list.iter().enumerate().any(|(index, uplink)| {
            let is_it = uplink.facts.id == id && uplink.kind.is_dialled();
            is_it && self.may_run(index, config)
        })
    }

    /// It is neither switched off nor waits to be called.
    fn may_run(&self, index: usize, config: &Config) -> bool {
        config.uplinks[index].enabled && !self.is_idle(index, config)
    }

    /// Keeps what happened to the child of an uplink until it is its turn.
    pub(crate) fn take_child(&mut self, id: UplinkId, event: ChildEvent) {
        let uplink = self.list.iter_mut().find(|uplink| uplink.facts.id == id);
        if let Some(Kind::Ppp(ppp)) = uplink.map(|uplink| &mut uplink.kind) {
            ppp.inbox.push(event);
        }
    }

    /// Lets the diallers look at their lines, and do what is due. True if pppd is to run where it was not, or the
    /// other way round.
    pub(crate) fn dial(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_changed = false;
        for index in 0..self.list.len() {
            let Kind::Ppp(_) = &self.list[index].kind else { continue };
            let sight = self.sight(index, cx);
            let Kind::Ppp(ppp) = &mut self.list[index].kind else { continue };
            let mut actions = Vec::new();
            for happened in core::mem::take(&mut ppp.inbox) {
                ppp.dialler.take(cx.now, &happened, &mut actions);
            }
            // A host inside that is the other end, too, would be reached by the line.
            let is_bad = |end: &Ipv4Addr| {
                let mut inside = inside(cx.config, &cx.kernel.observed);
                !is_host(*end) || inside.any(|network| network.contains(IpAddr::V4(*end)))
            };
            let ends = sight.address.into_iter().flat_map(|(own, peer)| [own, peer]);
            ppp.refused = { ends }.find(is_bad);
            let sight = match ppp.refused {
                Some(_) => Sight { address: None, is_refused: true, ..sight },
                None => sight,
            };
            ppp.dialler.look(cx.now, sight, &mut actions);
            ppp.dialler.wake(cx.now);
            let is_declared = ppp.dialler.wants();
            has_changed |= core::mem::replace(&mut ppp.is_declared, is_declared) != is_declared;
            self.carry_out(index, actions, cx);
        }
        has_changed
    }

    /// What there is of a line now.
    fn sight(&self, index: usize, cx: &Context<'_>) -> Sight {
        let (own, uplink) = (&cx.config.uplinks[index], &self.list[index]);
        let observed = &cx.kernel.observed;
        let is_up = |port| observed.links.get(&port).is_some_and(|link| link.up && link.carrier);
        let own_peers = observed.peers.iter().filter(|((ifname, _), _)| *ifname == own.ifname);
        let mut both = own_peers.filter_map(|((_, prefix), peer)| match (prefix.address, peer) {
            (IpAddr::V4(address), IpAddr::V4(peer)) => Some((address, *peer)),
            _ => None,
        });
        // One that answers again is on its way back, however long that takes.
        let is_dead = uplink.facts.health == Health::Down && uplink.prober.good_rounds() == 0;
        Sight {
            enabled: self.may_run(index, cx.config),
            ready: own.ppp().and_then(PppConfig::port).is_none_or(is_up),
            link: observed.links.get(&own.ifname).map(|link| link.index),
            address: both.next(),
            is_refused: false,
            dead: is_dead,
            alive: uplink.facts.health.is_alive() && uplink.facts.health != Health::Probing,
        }
    }

    /// Tells what became of a line, and takes over what it has.
    fn carry_out(&mut self, index: usize, actions: Vec<Action>, cx: &mut Context<'_>) {
        let own = &cx.config.uplinks[index];
        let uplink = &mut self.list[index];
        let Kind::Ppp(ppp) = &uplink.kind else { return };
        uplink.due |= !actions.is_empty();
        let said = ppp.dialler.words().last().unwrap_or_default().to_string();
        let news = actions.into_iter().filter_map(|action| news(&own.name, &said, action));
        cx.out.extend(news.map(Output::tell));
        let saved = ppp.dialler.saved();
        if cx.desk.saved.ppp.get(&own.name) != saved {
            cx.desk.saved.ppp.extend(saved.map(|saved| (own.name.clone(), saved.clone())));
            cx.desk.save_soon();
        }
        self.take_ways(index, cx);
    }
}

fn news(uplink: &str, said: &str, action: Action) -> Option<PppNews> {
    let uplink = uplink.to_string();
    match action {
        Action::Up { address: (address, peer), is_new } => {
            Some(PppNews::Connected { uplink, address, peer, is_new })
        }
        Action::Down { is_told: true, .. } => None,
        Action::Down { cause, wait, exit, is_told: false } => Some(PppNews::Disconnected {
            uplink,
            cause: cause.as_str().into(),
            advice: cause.advice().into(),
            said: if said.is_empty() { describe(&exit) } else { said.into() },
            seconds: wait.map(|wait| wait.as_secs()),
        }),
    }
}

const OPTIONS_FILE: &str = "options";

/// pppd needs a second to say good-bye; a provider that was not told holds the session for minutes.
const GRACE: Duration = Duration::from_secs(2);
