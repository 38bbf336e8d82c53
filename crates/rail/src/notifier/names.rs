//! `[[ddns]]`: whose address each name follows now, and the runs for it.

use super::send::Ended;
use super::send::ddns::{self, Name, Reply, Todo};
use super::state::State;
use super::target::{Attempt, curl, secret};
use super::ways;
use crate::notifier::send::curl::Orders;
use rail_core::config::Ddns;
use rail_core::status::{NameNews, Role, Status, UplinkStatus};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// The names of the configuration.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: Vec<Ddns>,
    /// A run is under way.
    busy: BTreeSet<String>,
}

/// Something that is being done for a name.
#[derive(Debug)]
pub(super) struct Errand {
    key: String,
    ddns: Ddns,
    todo: Todo,
    orders: Option<Orders>,
}

impl Names {
    /// Takes those of a new configuration. `is_new`: somebody acted, so who refused is asked again.
    pub(super) fn configure(&mut self, all: &[Ddns], state: &mut State, is_new: bool) {
        self.all = all.to_vec();
        let keys: Vec<String> = all.iter().map(key).collect();
        state.names.retain(|key, _| keys.contains(key));
        if is_new {
            state.names.values_mut().for_each(Name::begin_again);
        }
    }

    /// What is to be done at this moment.
    pub(super) fn due(
        &mut self,
        state: &mut State,
        status: &Status,
        now_s: u64,
    ) -> Vec<(Errand, Result<Attempt, String>)> {
        let mut all = Vec::new();
        for ddns in &self.all {
            let key = key(ddns);
            if self.busy.contains(&key) {
                continue;
            }
            let name = state.names.entry(key.clone()).or_default();
            let Some(uplink) = followed(ddns, name, status) else { continue };
            let (Some(own), Some(way)) = (ways::own(uplink), ways::by(status, uplink)) else {
                continue;
            };
            let Some(todo) = name.next(ddns, own, now_s) else { continue };
            let orders = match (todo, &ddns.ask) {
                (Todo::Ask { .. }, Some(ask)) => Ok(ddns::ask(ask, &way)),
                (Todo::Ask { .. }, None) => continue,
                (Todo::Tell { address }, _) => {
                    let password = ddns.login.as_ref().map(|login| secret(&login.password_file));
                    password.transpose().map(|p| ddns::tell(ddns, p.as_deref(), address, &way))
                }
            };
            let attempt = orders.and_then(|orders| curl(orders).map_err(|outcome| outcome.words));
            let orders = attempt.as_ref().ok().and_then(|attempt| attempt.orders.clone());
            self.busy.insert(key.clone());
            all.push((Errand { key, ddns: ddns.clone(), todo, orders }, attempt));
        }
        all
    }

    /// One has ended, or could not begin.
    pub(super) fn ended(
        &mut self,
        state: &mut State,
        errand: &Errand,
        ended: Result<Ended, String>,
        now_s: u64,
    ) {
        self.busy.remove(&errand.key);
        let Some(name) = state.names.get_mut(&errand.key) else { return };
        let with_orders = ended.and_then(|ended| match &errand.orders {
            Some(orders) => Ok((orders, ended)),
            None => Err("it was not started".into()),
        });
        match errand.todo {
            Todo::Ask { own } => {
                let result =
                    with_orders.and_then(|(orders, ended)| ddns::read_address(orders, &ended));
                name.asked(own, result, now_s);
            }
            Todo::Tell { address } => {
                let reply = match with_orders {
                    Ok((orders, ended)) => ddns::judge(errand.ddns.kind, orders, &ended),
                    Err(words) => Reply::Later(0, words),
                };
                name.replied(address, reply, now_s);
            }
        }
    }

    /// Seconds until something may be due; `None`: there is no name.
    pub(super) fn next_in_s(&self, state: &State, now_s: u64) -> Option<u64> {
        let times = self.all.iter().filter_map(|ddns| state.names.get(&key(ddns)));
        // What is past was looked at, and had nothing to do.
        let next = times.map(|name| name.next_s().saturating_sub(now_s)).filter(|s| *s > 0).min();
        (!self.all.is_empty()).then(|| next.unwrap_or(LOOK_EVERY_S).min(LOOK_EVERY_S))
    }

    pub(super) fn news(&self, state: &State) -> Vec<NameNews> {
        let news = |ddns: &Ddns| {
            let name = state.names.get(&key(ddns)).cloned().unwrap_or_default();
            NameNews {
                hostname: ddns.hostname.clone(),
                address: name.told.map(IpAddr::V4),
                error: name.error,
            }
        };
        self.all.iter().map(news).collect()
    }
}

/// The uplink that the name follows: the one that is given, or one that carries, and no other while it does.
fn followed<'a>(ddns: &Ddns, name: &Name, status: &'a Status) -> Option<&'a UplinkStatus> {
    let alive = || status.uplinks.iter().filter(|uplink| uplink.health.is_alive());
    if let Some(wanted) = &ddns.uplink {
        return alive().find(|uplink| uplink.name == *wanted);
    }
    let is_told =
        |uplink: &&UplinkStatus| name.is_of(ways::own(uplink).unwrap_or(Ipv4Addr::UNSPECIFIED));
    let active = || alive().filter(|uplink| uplink.role == Role::Active);
    active().find(is_told).or_else(|| active().next())
}

fn key(ddns: &Ddns) -> String {
    let username = ddns.login.as_ref().map_or("", |login| &login.username);
    format!("{} {} {} {username}", ddns.hostname, ddns.kind.as_str(), ddns.update)
}

/// An address may change without an event.
const LOOK_EVERY_S: u64 = 60;
