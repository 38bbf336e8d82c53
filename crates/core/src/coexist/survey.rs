//! What others have set up, as far as it is known: the parsed model that is
//! examined. Who reads it fills it in; nothing here reads anything.

use super::host::{Host, NetworkView, UplinkView};
use crate::config::{CheckKind, Config, Reach};
use crate::facts::Facts;
use crate::net::{Family, IfName, Prefix};
use crate::render;
use crate::state::{Hook, REFUSED, Rule as KnownRule};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

/// What of the configuration the examination needs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// Inside interfaces whose hosts may reach the internet.
    pub inside: Vec<IfName>,
    /// Interfaces of enabled uplinks.
    pub outside: Vec<IfName>,
    /// Our bits of the marks.
    pub mark_mask: u32,
    /// First and last of our tables.
    pub tables: (u32, u32),
    /// Priorities of our first and our last rule.
    pub priorities: (u32, u32),
    /// There are port forwards.
    pub forwards: bool,
    /// Mode `external`: the administrator loads the rules.
    pub external: bool,
    /// What comes in by an uplink from a source that `main` leads inside is dropped.
    pub drops_forged: bool,
    /// Enabled uplinks, with what the surroundings may spoil.
    pub uplinks: Vec<UplinkView>,
    /// All inside networks.
    pub networks: Vec<NetworkView>,
    /// Targets of the checks.
    pub targets: Vec<Ipv4Addr>,
}

impl View {
    /// The view of a configuration and what its uplinks have.
    pub fn of(config: &Config, facts: &Facts) -> Self {
        let view = render::View::new(config, facts);
        let mut outside: Vec<IfName> = view.enabled().map(|uplink| uplink.ifname).collect();
        outside.sort();
        outside.dedup();
        let outward = config.networks.iter().filter(|network| match network.reach {
            Reach::All => true,
            Reach::Only { internet, .. } => internet,
        });
        Self {
            inside: outward.map(|network| network.ifname).collect(),
            outside,
            mark_mask: config.ranges.mark_mask,
            tables: config.ranges.tables,
            priorities: render::rule_span(config),
            forwards: !config.forwards.is_empty(),
            external: config.firewall.mode == crate::config::FirewallMode::External,
            drops_forged: config.firewall.mode != crate::config::FirewallMode::Off,
            uplinks: config
                .uplinks
                .iter()
                .zip(&view.uplinks)
                .filter(|(own, _)| own.enabled)
                .map(|(own, view)| uplink(view, own.check.kind))
                .collect(),
            networks: config
                .networks
                .iter()
                .map(|network| NetworkView { ifname: network.ifname, address: network.address })
                .collect(),
            targets: config.targets(),
        }
    }
}

fn uplink(uplink: &render::UplinkView<'_>, check: CheckKind) -> UplinkView {
    UplinkView {
        name: uplink.name.into(),
        ifname: uplink.ifname,
        address: uplink.way[Family::V4].map(|way| way.address),
        gateway: uplink.gateway(Family::V4),
        check,
    }
}

/// Everything that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survey {
    /// Tables of others that see IPv4.
    pub tables: Vec<Table>,
    /// Flow tables of others.
    pub flowtables: Vec<Flowtable>,
    /// Policy rules of IPv4, ours among them.
    pub rules: Vec<PolicyRule>,
    /// Routes of others in our tables.
    pub routes: Vec<ForeignRoute>,
    /// Tables of others that have a route for everything.
    pub catch_alls: Vec<u32>,
    /// Of tables that lead everywhere by one way: device and gateway.
    pub ways: Vec<(u32, String, Option<IpAddr>)>,
    /// Tables of others that have any route.
    pub filled: Vec<u32>,
    /// The machine itself.
    pub host: Host,
    /// Networks of the inside interfaces.
    pub inside: Vec<Prefix>,
    /// The firewall could be read.
    pub has_firewall: bool,
    /// What could not be looked at, and why; a sentence each.
    pub unread: Vec<String>,
}

/// A table of nftables or iptables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// `ip` or `inet`.
    pub family: String,
    /// Name.
    pub name: String,
    /// The words that speak of it are those of iptables.
    pub iptables: bool,
    /// Chains.
    pub chains: Vec<Chain>,
}

/// A chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Where it hooks in; `None`: it is only jumped to.
    pub base: Option<Base>,
    /// Rules in order.
    pub rules: Vec<Rule>,
}

/// Where a chain hooks in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// Hook.
    pub hook: Hook,
    /// Priority.
    pub priority: i32,
    /// The policy is to drop.
    pub drops: bool,
}

/// A rule: all matches must hold, then the effects happen, then the verdict.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// How to name it: its iptables line, or `rule with handle N`.
    pub text: String,
    /// Matches.
    pub matches: Vec<Match>,
    /// Effects.
    pub effects: Vec<Effect>,
    /// Verdict.
    pub verdict: Verdict,
}

/// Where a packet goes after a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// To the next rule.
    #[default]
    Next,
    /// Out of this base chain.
    Accept,
    /// Dropped or refused.
    Drop,
    /// Back to the calling chain.
    Return,
    /// Into a chain, and back.
    Jump(String),
    /// Into a chain.
    Goto(String),
    /// Source translated.
    Translate,
}

/// What a rule does beside its verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The connection goes to this flow table.
    Offload(String),
    /// A mark is written.
    Mark(MarkWrite),
}

/// A change of a mark.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct MarkWrite {
    /// Of the connection; else of the packet.
    pub connection: bool,
    /// Bits that may change.
    pub bits: u32,
    /// Bits that are set for sure.
    pub value: u32,
    /// Bits that are taken from the other mark.
    pub copied: u32,
}

impl MarkWrite {
    /// True if it sets the mark as a whole, or all of it but few bits: its writer has no mask.
    pub const fn is_whole(&self) -> bool {
        self.bits.count_ones() >= 24
    }
}

/// A condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Match {
    /// The test.
    pub test: Test,
    /// It must fail.
    pub not: bool,
}

/// What a condition asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// The incoming interface is one of these; `*` at the end stands for any end.
    In(Vec<String>),
    /// The outgoing interface.
    Out(Vec<String>),
    /// State or status of the connection: one of the bits of [`state`].
    State(u16),
    /// A mark under a mask.
    Mark {
        /// Value.
        value: u32,
        /// Mask.
        mask: u32,
    },
    /// Source address.
    Source(Vec<Prefix>),
    /// Destination address.
    Destination(Vec<Prefix>),
    /// Address family.
    Family(Family),
    /// Transport protocol.
    Protocol(Vec<String>),
    /// Destination port.
    Port(Vec<(u16, u16)>),
    /// Source port.
    SourcePort(Vec<(u16, u16)>),
    /// Not understood; `rare`: of a kind that picks out few packets.
    Other {
        /// It picks out few packets.
        rare: bool,
    },
}

/// Bits of connection state and status.
pub mod state {
    /// `new`.
    pub const NEW: u16 = 1;
    /// `established`.
    pub const ESTABLISHED: u16 = 2;
    /// `related`.
    pub const RELATED: u16 = 4;
    /// `invalid`.
    pub const INVALID: u16 = 8;
    /// `untracked`.
    pub const UNTRACKED: u16 = 16;
    /// Destination translated.
    pub const DNAT: u16 = 32;
    /// Source translated.
    pub const SNAT: u16 = 64;

    /// The bit of a word.
    pub fn bit(word: &str) -> Option<u16> {
        const WORDS: [(&str, u16); 7] = [
            ("new", NEW),
            ("established", ESTABLISHED),
            ("related", RELATED),
            ("invalid", INVALID),
            ("untracked", UNTRACKED),
            ("dnat", DNAT),
            ("snat", SNAT),
        ];
        WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, bit)| *bit)
    }
}

/// A flow table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flowtable {
    /// Family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Name.
    pub name: String,
    /// Its devices.
    pub devices: Vec<String>,
}

/// A policy rule (`ip rule`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyRule {
    /// Priority.
    pub priority: u32,
    /// Protocol number of who set it.
    pub protocol: u8,
    /// It applies where its selectors do not.
    pub inverted: bool,
    /// `from`.
    pub from: Option<Prefix>,
    /// `to`.
    pub to: Option<Prefix>,
    /// `iif`.
    pub iif: Option<String>,
    /// `oif`.
    pub oif: Option<String>,
    /// `fwmark`.
    pub mark: Option<(u32, u32)>,
    /// `suppress_prefixlength`.
    pub suppress: Option<u32>,
    /// It has selectors beyond these.
    pub has_more: bool,
    /// What it does.
    pub action: RuleAction,
}

impl PolicyRule {
    /// The rule, if it has no more than rail knows.
    pub fn known(&self) -> Option<KnownRule> {
        let device = |name: &Option<String>| match name {
            Some(name) => name.parse().ok().map(Some),
            None => Some(None),
        };
        let table = match self.action {
            RuleAction::Lookup(table) => table,
            RuleAction::Refuse => REFUSED,
            RuleAction::Other => return None,
        };
        if self.inverted || self.has_more {
            return None;
        }
        Some(KnownRule {
            from: self.from,
            to: self.to,
            iif: device(&self.iif)?,
            oif: device(&self.oif)?,
            fwmark: self.mark,
            suppress_prefixlength: self.suppress,
            ..KnownRule::lookup(self.priority, Family::V4, table)
        })
    }

    /// The table whose default routes it would follow.
    pub fn looks_in(&self) -> Option<u32> {
        match self.action {
            RuleAction::Lookup(table) if self.suppress.is_none() => Some(table),
            _ => None,
        }
    }
}

/// What a policy rule does.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum RuleAction {
    /// Looks in a table.
    Lookup(u32),
    /// Ends the search: `blackhole`, `unreachable`, `prohibit`.
    Refuse,
    /// `goto`, `nop`, or unknown.
    #[default]
    Other,
}

/// A route of somebody else in one of our tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignRoute {
    /// The route as text.
    pub text: String,
    /// Protocol number.
    pub protocol: u8,
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        if self.inverted {
            f.write_str(" not")?;
        }
        match self.from {
            Some(from) => write!(f, " from {from}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        match self.mark {
            Some((value, u32::MAX)) => write!(f, " fwmark {value:#x}")?,
            Some((value, mask)) => write!(f, " fwmark {value:#x}/{mask:#x}")?,
            None => {}
        }
        for (word, name) in [("iif", &self.iif), ("oif", &self.oif)] {
            if let Some(name) = name {
                write!(f, " {word} {name}")?;
            }
        }
        match self.action {
            RuleAction::Lookup(253) => f.write_str(" lookup default")?,
            RuleAction::Lookup(254) => f.write_str(" lookup main")?,
            RuleAction::Lookup(table) => write!(f, " lookup {table}")?,
            RuleAction::Refuse => f.write_str(" unreachable")?,
            RuleAction::Other => f.write_str(" (another action)")?,
        }
        match self.suppress {
            Some(length) => write!(f, " suppress_prefixlength {length}"),
            None => Ok(()),
        }
    }
}
