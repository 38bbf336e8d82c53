//! Addresses and names for the inside networks: when dnsmasq runs, and with which file.
//!
//! One dnsmasq serves all networks. It asks fixed addresses ([`ASKED`]) that our rules lead to the
//! resolvers of uplinks that carry (`render/firewall/resolver.rs`), so a failover changes nothing in it and its cache
//! stays. Promises: it runs whenever a network has a service; while it fails it is started ever more seldom.
//! Leaves out DHCPv6 and router advertisements.

mod file;

pub(crate) use file::file;

use crate::child::Backoff;
use crate::config::{ASKED, Config, Network};
use crate::io::{
    Capability, Child, ChildEvent, ChildFile, ChildId, DIRECTORY, Exit, Needs, OnChange, Program,
    User,
};
use crate::net::UplinkId;
use crate::render;
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// It has a service, and an interface whose name dnsmasq cannot take for anything else. Without any
/// interface it would serve all.
fn is_served(network: &Network) -> bool {
    network.ifname.is_plain() && (network.dhcp.is_some() || network.dns.is_some())
}

/// The services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services {
    backoff: Backoff,
    /// This dnsmasq refused an option that is newer than it.
    is_old: bool,
    /// A word of its last lines that says so.
    refuses_option: bool,
    /// Which uplinks are asked now.
    asked: Option<[Option<UplinkId>; 2]>,
}

impl Services {
    /// Takes note of what happened to the child.
    pub(crate) fn take(&mut self, now: Instant, event: &ChildEvent, lived: Duration) {
        match event {
            ChildEvent::Began { .. } => self.refuses_option = false,
            ChildEvent::Said { line, .. } => self.refuses_option |= is_about_option(line),
            // One of an earlier daemon goes on, and would not take what is newer than it.
            ChildEvent::Refused { why } => self.is_old |= is_about_option(why),
            ChildEvent::Ended { exit, was_asked: false } => {
                if *exit == Exit::Code(CONFIGURATION) && self.refuses_option && !self.is_old {
                    self.is_old = true;
                    return;
                }
                if *exit == Exit::Code(NETWORK) {
                    // Somebody else has the port, and will not give it up in a moment.
                    self.backoff.at_least(Duration::from_secs(5));
                }
                self.backoff.fail(now, lived);
            }
            ChildEvent::Reloaded | ChildEvent::Hindered { .. } | ChildEvent::Ended { .. } => {}
        }
    }

    /// Another configuration may work at once.
    pub(crate) fn renew(&mut self) {
        self.backoff = Backoff::default();
    }

    /// True if it is time for another attempt.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.backoff.end(now)
    }

    /// When [`Services::is_due`] says something else.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.backoff.until()
    }

    /// Somebody is to be served.
    pub(crate) fn is_used(config: &Config) -> bool {
        config.networks.iter().any(is_served)
    }

    /// The child that is to run.
    pub(crate) fn child(&self, config: &Config) -> Option<Child> {
        if self.backoff.until().is_some() || !Self::is_used(config) {
            return None;
        }
        let content = file(config, self.is_old);
        let words = ["--keep-in-foreground", "--user=", "--pid-file=", "--log-facility=-"];
        let mut args: Vec<String> = words.into_iter().map(String::from).collect();
        let file = format!("--conf-file={DIRECTORY}/{FILE}");
        args.push(file.clone());
        Some(Child {
            id: ChildId::Services,
            run: 0,
            // starts: dnsmasq
            program: Program::System("dnsmasq".into()),
            args,
            trial: vec!["--test".into(), file],
            files: vec![ChildFile { name: FILE.into(), content, is_secret: false }],
            user: User::Own,
            capabilities: vec![
                Capability::ChangeNetwork,
                Capability::LowPorts,
                Capability::RawSockets,
            ],
            keeps_state: true,
            is_resolver: config.asks_itself(),
            needs: Some(Needs { ports: ports(config), lacking: NETWORK }),
            // It reads its file only once.
            on_change: OnChange::Restart,
            grace: Duration::from_secs(2),
        })
    }

    /// The uplinks that are asked now, in the order of [`ASKED`]. The connections of one that is not asked
    /// any more are deleted: its mark is returned for that.
    pub(crate) fn ask(&mut self, asked: [Option<UplinkId>; 2]) -> Vec<(UplinkId, Ipv4Addr)> {
        let before = self.asked.replace(asked).unwrap_or_default();
        let left = before.into_iter().zip(asked).zip(ASKED);
        left.filter_map(|((was, is), at)| Some((was.filter(|_| was != is)?, at))).collect()
    }
}

/// True for the words of a dnsmasq that does not know an option.
fn is_about_option(words: &str) -> bool {
    words.contains("bad option") || words.contains("illegal option")
}

/// The uplinks whose resolvers are asked, by these facts.
pub(crate) fn chosen(config: &Config, facts: &crate::facts::Facts) -> [Option<UplinkId>; 2] {
    if config.asks_uplinks() { render::resolving(config, facts) } else { [None; 2] }
}

/// The ports of dnsmasq.
fn ports(config: &Config) -> Vec<u16> {
    let served = || config.networks.iter().filter(|network| is_served(network));
    let names = served().any(|network| network.dns.is_some()).then_some(53);
    let addresses = served().any(|network| network.dhcp.is_some()).then_some(67);
    names.into_iter().chain(addresses).collect()
}

/// Exit codes of dnsmasq.
const CONFIGURATION: i32 = 1;
const NETWORK: i32 = 2;
const FILE: &str = "dnsmasq.conf";

#[cfg(test)]
mod tests;
