//! Would a change cut off the administrator who makes it?
//!
//! Checks one TCP connection to the router under the old and the new
//! configuration. What is open under neither is no loss; what rail does not
//! manage is not checked.

use crate::config::{Config, FirewallMode, Network, NetworkKind, Protocol, UplinkConfig};
use crate::net::{IfName, Prefix};
use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

/// How a connection reaches the router.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The interface by which the client is reached.
    pub ifname: IfName,
    /// The other end.
    pub client: IpAddr,
    /// Our end.
    pub server: IpAddr,
    /// The port at our end.
    pub port: u16,
}

/// Why the connection would be cut; `None` if it would not be.
pub fn cut(old: &Config, new: &Config, path: &Path) -> Option<String> {
    let before = state(old, path);
    if matches!(before, State::Closed(_)) {
        return None;
    }
    let Path { ifname, client, server, .. } = path;
    let has_server = |config: &Config| {
        let mut own = config.networks.iter().filter_map(|network| network.address);
        own.any(|own| own.address == *server)
    };
    let why = match state(new, path) {
        State::Open if has_server(old) && !has_server(new) => format!("it removes {server}"),
        State::Open => return None,
        State::Closed(why) => why,
        State::Unmanaged if matches!(before, State::Unmanaged) => return None,
        State::Unmanaged => format!("it removes {ifname}"),
    };
    Some(format!("this would cut your own connection from {client} by {ifname}: {why}"))
}

/// The path of an SSH connection, from the words of `SSH_CONNECTION`: client, its port, server, its
/// port. `find` knows the interface towards a client; a zone behind an address names it itself.
pub fn ssh_path(words: &str, find: impl Fn(IpAddr, IpAddr) -> Option<IfName>) -> Option<Path> {
    let mut words = words.split_ascii_whitespace();
    let (client, _, server, port) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let parse = |word: &str| {
        let (address, zone) = word.split_once('%').map_or((word, None), |(a, z)| (a, Some(z)));
        Some((address.parse::<IpAddr>().ok()?, zone.and_then(|zone| zone.parse::<IfName>().ok())))
    };
    let ((client, zone), (server, _)) = (parse(client)?, parse(server)?);
    let (client, server) = (client.to_canonical(), server.to_canonical());
    let ifname = zone.or_else(|| find(client, server))?;
    Some(Path { ifname, client, server, port: port.parse().ok()? })
}

enum State {
    Open,
    Closed(String),
    /// The interface is nobody's.
    Unmanaged,
}

fn state(config: &Config, path: &Path) -> State {
    if let Some(network) = config.networks.iter().find(|n| n.ifname == path.ifname) {
        return no_host(config, network).map_or(State::Open, State::Closed);
    }
    let mut uplinks = config.uplinks.iter().filter(|u| u.ifname == path.ifname).peekable();
    if uplinks.peek().is_none() {
        return stray(config, path);
    }
    // What is leased the file does not say.
    let has_server =
        |u: &&UplinkConfig| u.fixed().is_none() || u.own_addresses().any(|own| own == path.server);
    let Some(uplink) = uplinks.find(has_server) else {
        return State::Closed(format!("no uplink has the address {}", path.server));
    };
    if !uplink.enabled {
        return State::Closed(format!("uplink {} is disabled", uplink.name));
    }
    if config.firewall.mode == FirewallMode::Basic && !is_allowed(config, path) {
        return State::Closed(format!("`[firewall] allow` has no \"tcp {}\" for it", path.port));
    }
    State::Open
}

/// Why the hosts of a network do not reach the router.
fn no_host(config: &Config, network: &Network) -> Option<String> {
    let is_filtered = config.firewall.mode == FirewallMode::Basic;
    let is_closed = is_filtered && network.kind != NetworkKind::Lan;
    is_closed.then(|| format!("network {} does not reach the router itself", network.name))
}

/// An interface that the configuration does not name. In the network of an uplink it is filtered as
/// that uplink, and so it is where it may be the uplink's own; where it may be a network's, as that.
fn stray(config: &Config, path: &Path) -> State {
    let Path { ifname, port, .. } = path;
    let is_refused = config.firewall.mode == FirewallMode::Basic && !is_allowed(config, path);
    if let Some((_, uplink)) = config.maybe_outside().find(|(other, _)| other == ifname) {
        return if is_refused {
            let (word, name) = (&uplink.interface, &uplink.name);
            State::Closed(format!(
                "{ifname} is \"{word}\", too, as uplink {name}, and `[firewall] allow` has no \"tcp {port}\""
            ))
        } else {
            State::Unmanaged
        };
    }
    if let Some((_, network)) = config.maybe_closed().find(|(other, _)| other == ifname) {
        let why = |closed| format!("{ifname} is \"{}\", too, and {closed}", network.interface);
        return no_host(config, network)
            .map_or(State::Unmanaged, |closed| State::Closed(why(closed)));
    }
    let stands = |uplink: &&UplinkConfig| {
        let is_its = |own: Prefix| {
            own.address == path.server || (own.length < 31 && own.contains(path.server))
        };
        !config.is_inside(uplink) && uplink.prefixes().any(is_its)
    };
    match config.uplinks.iter().find(stands) {
        Some(uplink) if is_refused => State::Closed(format!(
            "{ifname} stands in the network of uplink {}, and `[firewall] allow` has no \"tcp {port}\"",
            uplink.name
        )),
        _ => State::Unmanaged,
    }
}

fn is_allowed(config: &Config, path: &Path) -> bool {
    config.firewall.allow.iter().any(|allow| {
        let is_port = |(first, last): &(u16, u16)| (*first..=*last).contains(&path.port);
        allow.protocol == Protocol::Tcp
            && allow.to.is_empty()
            && (allow.ports.is_empty() || allow.ports.iter().any(is_port))
            && (allow.from.is_empty() || allow.from.iter().any(|from| from.contains(path.client)))
    })
}
