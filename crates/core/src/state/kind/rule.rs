//! A policy rule; its selectors are its identity. Ours bear [`PROTOCOL`].

use super::{Key, NO_WAY, PROTOCOL, REFUSED, Resource, State};
use crate::net::{Family, IfName, Prefix};
use crate::state::{Observed, Op};
use alloc::string::{String, ToString};
use core::fmt;

/// A policy rule (`ip rule`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rule {
    /// Priority; lower is asked first.
    pub priority: u32,
    /// Family.
    pub family: Family,
    /// `from`.
    pub from: Option<Prefix>,
    /// `to`.
    pub to: Option<Prefix>,
    /// `iif`: packets that came in by this device.
    pub iif: Option<IfName>,
    /// `oif`: packets of sockets bound to this device.
    pub oif: Option<IfName>,
    /// `fwmark value/mask`.
    pub fwmark: Option<(u32, u32)>,
    /// `ipproto udp sport`: UDP packets from this port.
    pub udp_from: Option<u16>,
    /// Table to look in, or [`REFUSED`], or [`NO_WAY`].
    pub table: u32,
    /// `suppress_prefixlength`: ignore results with this prefix length or less.
    pub suppress_prefixlength: Option<u32>,
}

impl Rule {
    /// One that takes every packet.
    pub const fn lookup(priority: u32, family: Family, table: u32) -> Self {
        Self {
            priority,
            family,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            udp_from: None,
            table,
            suppress_prefixlength: None,
        }
    }
}

/// A policy rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedRule {
    /// The rule; `None`: it has selectors or actions that we never use.
    pub rule: Option<Rule>,
    /// Priority.
    pub priority: u32,
    /// Family.
    pub family: Family,
    /// Protocol number.
    pub protocol: u8,
}

/// The change that brings it about.
pub(super) fn wanted(rule: &Rule, observed: &Observed) -> Option<Op> {
    (!is_there(rule, observed)).then_some(Op::put(Resource::Rule))
}

/// True if there is such a rule, whoever made it.
pub(super) fn is_there(rule: &Rule, observed: &Observed) -> bool {
    observed.rules.iter().any(|have| have.rule.as_ref() == Some(rule))
}

/// Those of ours.
pub(super) fn ours(observed: &Observed) -> impl Iterator<Item = Key> {
    let ours = observed.rules.iter().filter(|have| have.protocol == PROTOCOL);
    ours.filter_map(|have| Some(Key::Rule(have.rule.clone()?)))
}

/// Those of others among our priorities.
pub(super) fn foreign(
    desired: &State,
    observed: &Observed,
    (first, last): (u32, u32),
) -> impl Iterator<Item = String> {
    let foreign = observed.rules.iter().filter(move |have| {
        let is_wanted = |rule: &Rule| desired.contains_key(&Key::Rule(rule.clone()));
        let is_inside = (first..=last).contains(&have.priority);
        is_inside && have.protocol != PROTOCOL && !have.rule.as_ref().is_some_and(is_wanted)
    });
    foreign.map(|have| {
        let text = have.rule.as_ref().map_or_else(
            || alloc::format!("{}: with other selectors", have.priority),
            ToString::to_string,
        );
        alloc::format!("rule {text} (protocol {})", have.protocol)
    })
}

/// It was deleted.
pub(super) fn forget(rule: &Rule, observed: &mut Observed) {
    let is_it = |have: &ObservedRule| have.protocol == PROTOCOL && have.rule.as_ref() == Some(rule);
    observed.rules.retain(|have| !is_it(have));
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        match self.from {
            Some(from) => write!(f, " from {from}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some((value, mask)) = self.fwmark {
            write!(f, " fwmark {value:#x}/{mask:#x}")?;
        }
        if let Some(iif) = self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = self.oif {
            write!(f, " oif {oif}")?;
        }
        if let Some(port) = self.udp_from {
            write!(f, " ipproto udp sport {port}")?;
        }
        match self.table {
            REFUSED => return f.write_str(" unreachable"),
            NO_WAY => return f.write_str(" blackhole"),
            _ => {}
        }
        write!(f, " lookup {}", self.table)?;
        match self.suppress_prefixlength {
            Some(n) => write!(f, " suppress_prefixlength {n}"),
            None => Ok(()),
        }
    }
}
