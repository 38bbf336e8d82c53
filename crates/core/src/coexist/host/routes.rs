//! Routes of `main` that take what the uplinks should carry. `main` is asked first, so that
//! connected networks, static routes and VPNs win; without its default, but several short prefixes
//! are as good as one. An error route for everything is passed by, unless `main` has very many others.

use super::{Host, MainRoute, tell};
use crate::coexist::{View, owner};
use crate::state::MainDefault;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Error routes for everything, and short prefixes that are half of everything together.
pub(super) fn examine(view: &View, host: &Host) -> Vec<Conflict> {
    // With nothing to carry nothing is diverted.
    if view.uplinks.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<Conflict> = null_default(view, host).into_iter().collect();
    let refusing = host.routes.iter().filter(|route| route.refuses.is_some());
    all.extend(covering(view, &refusing.collect::<Vec<_>>()));
    let leading: Vec<&MainRoute> = host.routes.iter().filter(|r| r.refuses.is_none()).collect();
    all.extend(covering(view, &leading));
    all
}

/// An error route for everything that cannot be passed by, if no real default comes before it, or one
/// beside which not all error routes of networks are known.
fn null_default(view: &View, host: &Host) -> Option<Conflict> {
    let MainDefault::Refuses { others, refused } = &host.main else { return None };
    let defaults = || host.routes.iter().filter(|route| route.prefix.length == 0);
    let best = defaults().min_by_key(|route| route.metric)?;
    let null = defaults().filter(|route| route.refuses.is_some()).min_by_key(|r| r.metric)?;
    let is_met = others.is_none() && best.refuses.is_some();
    let known = refused.networks.len();
    let mut effects = Vec::new();
    if is_met {
        // What comes from the inside is asked for by the mark of its uplink, which our chains give it.
        let what = if view.external {
            "no uplink carries anything"
        } else {
            "the router's own connections have no way out"
        };
        let most = MainDefault::MOST;
        effects.push(format!(
            "which ends lookups before rail's tables; beside routes for more than {most} other networks \
             there rail cannot pass it by: {what}"
        ));
    }
    if view.external && others.is_some() && known > 0 {
        effects.push(format!(
            "beside which {known} other networks with error routes have no rule of rail: what begins to them \
             leaves by the uplinks"
        ));
    }
    if !view.external && !refused.is_whole {
        effects.push(format!(
            "beside which rail holds back new connections from the inside only from the {known} widest \
             networks with error routes of those that it has read: it does not read or name all"
        ));
    }
    if effects.is_empty() {
        return None;
    }
    Some(tell(
        ConflictKind::Refuses,
        owner::of_protocol(null.protocol),
        format!("has the route \"{null}\" in the table main, {}", effects.join("; and ")),
        format!("ip route del {null}"),
        Vec::new(),
    ))
}

/// Short prefixes, if they are half of all addresses together.
fn covering(view: &View, routes: &[&MainRoute]) -> Option<Conflict> {
    let mut blocks = [false; 256];
    let mut short: Vec<&MainRoute> = Vec::new();
    for route in routes.iter().filter(|route| (1..=8).contains(&route.prefix.length)) {
        let IpAddr::V4(address) = route.prefix.network().address else { continue };
        let first = usize::from(address.octets()[0]);
        for block in blocks.iter_mut().skip(first).take(1 << (8 - route.prefix.length)) {
            *block = true;
        }
        short.push(route);
    }
    let covered = blocks.iter().filter(|block| **block).count();
    if covered < blocks.len() / 2 {
        return None;
    }
    short.sort_by_key(|route| (route.prefix.length, route.prefix));
    let (widest, one) = (short.first()?, short.len() == 1);
    let (verb, whose) = match widest.refuses {
        Some(_) => ("refuse", "to everybody"),
        None => ("divert", "from the uplinks"),
    };
    let names: Vec<String> = short.iter().take(MOST_NAMED).map(|r| format!("\"{r}\"")).collect();
    let more = match short.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let routes = if one { "route" } else { "routes" };
    let what = match covered {
        256 => "all traffic".into(),
        _ => format!("{} % of all destinations", covered * 100 / 256),
    };
    let commands: Vec<String> = short
        .iter()
        .take(MOST_NAMED)
        .map(|route| format!("ip route del {}", Short(route)))
        .collect();
    let remedy = format!(
        "as meant if a VPN is for everything; else narrow what it routes (OpenVPN: no \
         redirect-gateway), or: {}",
        commands.join("; ")
    );
    Some(tell(
        if widest.refuses.is_some() { ConflictKind::Refuses } else { ConflictKind::Diverts },
        format!("{} in the table main", routes),
        format!(
            "{}{more} {verb}{} {what} {whose}{}",
            names.join(", "),
            if one { "s" } else { "" },
            forged(view, &short)
        ),
        remedy,
        Vec::new(),
    ))
}

/// What short routes over interfaces that the file names as networks do to what comes in by the
/// uplinks: a source that is answered there is one of the inside.
fn forged(view: &View, short: &[&MainRoute]) -> String {
    let is_inside = |name: &str| view.networks.iter().any(|n| n.ifname.as_str() == name);
    let over =
        short.iter().filter_map(|route| route.device.as_deref()).find(|name| is_inside(name));
    match over.filter(|_| view.drops_forged) {
        Some(name) => format!(
            "; {name} is a network of the file, so what those destinations begin by an uplink counts as \
             forged and is dropped"
        ),
        None => String::new(),
    }
}

/// As `ip route del` wants it.
struct Short<'a>(&'a MainRoute);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = self.0;
        write!(f, "{}{}", Word(route.refuses), route.prefix)?;
        match &route.device {
            Some(device) => write!(f, " dev {device}"),
            None => Ok(()),
        }
    }
}

struct Word(Option<&'static str>);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |word| write!(f, "{word} "))
    }
}

impl fmt::Display for MainRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.prefix.length {
            0 => "default".into(),
            _ => self.prefix.to_string(),
        };
        write!(f, "{}{prefix}", Word(self.refuses))?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(device) = self.device.as_ref().filter(|_| self.refuses.is_none()) {
            write!(f, " dev {device}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}

/// Of many the widest say enough.
const MOST_NAMED: usize = 4;
