//! What each object is for, in an administrator's words, and what `rail stop
//! --withdraw` does to it. `docs/what-it-touches.md` is made from this, and a test
//! demands that every object that can be rendered has its words here.

use super::{LAST_METRIC, SPARE_METRICS, ladder};
use crate::config::Config;
use crate::queues::{Place, Side};
use crate::state::Key;

/// Why the object is there; `None` for one that nobody has explained yet.
pub fn why(config: &Config, key: &Key) -> Option<&'static str> {
    let shared = config.ranges.tables.0;
    Some(match key {
        Key::Guard => "forwards nothing from boot to the first verified state",
        Key::Firewall => "marks, translation, port forwards and filter; its chains are below",
        Key::Buckets => {
            "which uplink each share of the new connections takes; a failover changes its elements"
        }
        Key::Link(_) => {
            "the uplink's own link on a port that it shares, with its own hardware address"
        }
        Key::Address { ifname, prefix }
            if config
                .networks
                .iter()
                .any(|n| (n.ifname, n.address) == (*ifname, Some(*prefix))) =>
        {
            "the network's address, added if it is not there"
        }
        Key::Address { .. } => "the uplink's address, added if it is not there",
        Key::Route(route) if route.table == shared && SPARE_METRICS.contains(&route.metric) => {
            "while no daemon runs: the kernel deletes the route above with the device of any uplink in it, \
             and without a route the router itself has no way out"
        }
        Key::Route(route) if route.table == shared && route.metric != 0 => {
            "sockets that are bound to a device with several uplinks take its first usable uplink"
        }
        Key::Route(route) if route.table == shared => {
            "the router's own traffic, over the active \
             uplinks by weight; `unreachable` or absent while no uplink is usable"
        }
        Key::Route(route) if Some(route.table) == ladder::nowhere_table(config) => {
            "what `main` has no route for, in questions of our own rules; nothing is sent there"
        }
        Key::Route(route) if route.metric == LAST_METRIC => {
            "while the uplink's device is down its \
             packets are refused, and do not leave by another uplink with a wrong source"
        }
        Key::Route(route) if route.prefix.length != 0 => {
            "a network that the uplink's DHCP server leads by this gateway"
        }
        Key::Route(_) => "everything that belongs to the uplink",
        Key::Rule(rule) => {
            return rung(rule.priority.checked_sub(config.ranges.rule_priorities.0)?);
        }
        Key::Sysctl(path) => return setting(path).map(|(why, _)| why),
    })
}

/// The rungs of the ladder, by their distance from the first.
const fn rung(number: u32) -> Option<&'static str> {
    Some(match number {
        ladder::step::ARRIVED => {
            "what came in by an uplink goes inside, and leaves by no default route of `main`"
        }
        101..=226 | ladder::step::INSIDE => {
            "known connections of the uplink, replies to what came in by it, and probes"
        }
        230..=249 => "a copy of a rule of yours that stands behind rail's and picks out few",
        ladder::step::MAIN => {
            "for what begins now, connected networks, your static and VPN routes come first; only \
             the default route of `main` is passed over"
        }
        ladder::step::MAIN_TO => {
            "the same for one of the destinations that `main` has routes for, while an error route \
             refuses all others there"
        }
        ladder::step::MAIN_ASKED => {
            "asks whether `main` has a route of its own, also one that rail has not read yet"
        }
        ladder::step::NOWHERE => {
            "answers our own rules where `main` has no route; nothing is sent by it"
        }
        ladder::step::NOBODY => {
            "asks whether `main` has a route of its own; also refuses connections that belong to no uplink"
        }
        ladder::step::TUNNEL => {
            "what a tunnel of the router sends from the address of an uplink that carries nothing is \
             refused: WireGuard then takes the way, and the address, of one that carries"
        }
        301..=426 => "what the router sends from an uplink's address leaves by that uplink",
        501..=626 => "sockets that are bound to an uplink's device",
        ladder::step::SHARED => "the router's own traffic",
        ladder::step::GUARD => {
            "what came from the inside and has no uplink is refused, and takes no default route of `main`"
        }
        _ => return None,
    })
}

/// Why a kernel setting is changed, and who else is known to set it.
pub fn setting(path: &str) -> Option<(&'static str, &'static str)> {
    match Place::parse(path) {
        Some(place) => Some((mask(place.side), "tuned, udev rules; XPS also drivers")),
        None => sysctl(path),
    }
}

fn sysctl(path: &str) -> Option<(&'static str, &'static str)> {
    let per_device = path.strip_prefix("net/ipv4/conf/").and_then(|rest| rest.split_once('/'));
    Some(match per_device {
        Some((_, "rp_filter")) => (
            "replies arrive where the unmarked route does not point; the kernel takes the larger \
             of this and `all`",
            "sysctl.conf, systemd",
        ),
        Some((_, "ignore_routes_with_linkdown")) => (
            "no route leads to an interface without carrier, whether the daemon runs or not; \
             `ip route` then shows such routes as `dead`",
            "FRR",
        ),
        Some((_, "src_valid_mark")) => ("the reverse lookup sees the mark", "WireGuard"),
        Some(("all", "send_redirects")) => (
            "the kernel sends redirects if this *or* the device's own setting says so; other \
             devices keep their own",
            "sysctl.conf",
        ),
        Some(("all", "accept_redirects")) => (
            "a router finds its ways itself; the kernel writes 0 when forwarding is switched on, \
             and 1 when it is switched off",
            "sysctl.conf",
        ),
        Some((_, "send_redirects")) => {
            ("hosts must not learn a way past the router, to an uplink beside them", "sysctl.conf")
        }
        Some((_, "arp_ignore")) => (
            "devices with a subnet or a port in common: each answers ARP for its own address only",
            "sysctl.conf, keepalived",
        ),
        Some((_, "arp_announce")) => (
            "devices with a subnet or a port in common: each asks with its own address",
            "sysctl.conf, keepalived",
        ),
        Some((_, "promote_secondaries")) => (
            "devices with an address of ours: when one address of a subnet is removed the others stay",
            "systemd",
        ),
        Some(_) => return None,
        None => match path {
            "net/ipv4/ip_forward" => (
                "a router forwards; set last, after the filter is in place",
                "sysctl.conf, Docker, libvirt",
            ),
            "net/ipv4/fwmark_reflect" => (
                "what the router answers to a host inside bears no mark, or it would leave by the uplink \
                 of the packet that it answers; the chain `own` marks what is for the outside",
                "nobody that we know of",
            ),
            "net/ipv4/icmp_errors_use_inbound_ifaddr" => (
                "in mode `external`: what the router says about a packet has an address of the interface that \
                 the packet came in by, and so leaves by that uplink",
                "nobody that we know of",
            ),
            "net/ipv4/fib_multipath_hash_policy" => (
                "connections that take the shared route spread over the uplinks by ports (1) or by \
                 addresses (0)",
                "nobody that we know of",
            ),
            "net/ipv4/ip_early_demux" => (
                "a forwarded packet is not looked for among the router's own sockets first",
                "nobody that we know of",
            ),
            _ => return None,
        },
    })
}

/// Why a queue has its mask.
const fn mask(side: Side) -> &'static str {
    match side {
        Side::Receive => {
            "a port with fewer receive queues than there are CPUs: its packets are handed to the CPUs that its \
             interrupt leaves free; 0 where the port has enough, but for the first queue of one that PPPoE goes by"
        }
        Side::Transmit => "each CPU sends by one of the port's several transmit queues",
    }
}

/// What a chain of our table does; `None` for one that nobody has explained yet.
pub fn chain(name: &str) -> Option<&'static str> {
    Some(match name {
        "restore" => "each packet of a known connection gets the mark of its uplink back",
        "classify" => {
            "the first packet of a connection: one from an uplink belongs to that uplink; one from the \
             inside to an uplink's own address looks for a port forward; another one takes a bucket, \
             unless it is for the router or `main` has a route of its own for it"
        }
        "translate" => {
            "the first packet of a connection that leaves: the uplink is noted in the connection \
             mark, the source translated; what goes to another network of the interface gets the \
             address there, and what IPsec will wrap keeps its own; one before the usual priority, so \
             that the masquerade of others is asked later"
        }
        "input" => {
            "what comes by an uplink for the router, a disabled one too, goes to `wan_input`, what comes \
             from a network of kind `dmz` or `guest` to `inside_input`"
        }
        "forward" => {
            "forwarded packets: MSS clamp, and what comes by an uplink, a \
             disabled one too, goes to `wan_forward`, by a network that may not reach everything to `net_NAME`"
        }
        "egress" => {
            "what leaves by an uplink, whoever sent it, or by its gateway through an interface that was \
             renamed: a source that is not the uplink's goes to `foreign_source`, one of another uplink on the \
             same interface to `foreign_beside`"
        }
        "foreign_source" => {
            "further addresses of the interface, answers to what came in by the uplink and what IPsec \
             will wrap may leave; the rest is dropped and counted, and a connection that no uplink has is marked \
             to be deleted, so that it begins anew; see `given_up`"
        }
        "given_up" => {
            "asked about refused packets of a host inside or of the router: a connection that leaves by its own \
             uplink, but with a source that is not that uplink's any more, is marked to be deleted, so that it \
             begins anew"
        }
        "foreign_beside" => {
            "the source of another uplink on the same interface: what IPsec will wrap, and what goes to \
             exempt destinations, may leave; the rest as in `foreign_source`"
        }
        "wan_input" => {
            "what an uplink may open towards the router; the rest is dropped and counted"
        }
        "wan_forward" => {
            "what an uplink may open towards the inside; the rest is dropped and counted"
        }
        "forged_inside" => {
            "the first packet of a connection from a network that may not reach everything: one whose \
             source is not reached by that interface is dropped and counted"
        }
        "inside_input" => {
            "what the hosts of a network of kind `dmz` or `guest` may ask of the router; the rest is \
             dropped and counted"
        }
        "hairpin" => "port forwards for clients inside, by an uplink's own address",
        "own_hairpin" => "the router itself reaches port forwards by an uplink's address, too",
        "own" => {
            "what the router sends from an address that is not one uplink's, an inside one for \
             example, says about a packet of an uplink, or answers into a VPN instead of the uplink, gets \
             the mark of its connection; a new one from an address that several uplinks have gets that of a \
             usable uplink"
        }
        "resolver_mark" | "resolver" => {
            "questions for names go to a resolver of the uplink that is asked"
        }
        "said" => "ICMP errors of the router get the address of the uplink that they are about",
        _ => return named_chain(name),
    })
}

/// One that bears the name of an uplink or of a network.
fn named_chain(name: &str) -> Option<&'static str> {
    Some(match name {
        _ if name.starts_with("net_") => {
            "what the hosts of this network may reach; the rest is dropped and counted"
        }
        _ if name.starts_with("on_") => {
            "what comes in by a device with several uplinks belongs to the uplink with that address, \
             else to the one whose gateway sent it, else to the first"
        }
        _ if name.starts_with("from_") => {
            "a connection that came in by this uplink: its mark, unless `main` leads back by the same \
             interface, and its port forwards; one whose source is an inside address is dropped and \
             counted"
        }
        _ if name.starts_with("mark_") => "sets the mark of this uplink",
        _ => return None,
    })
}

/// What `rail stop --withdraw` does to an object of this kind.
pub const fn at_withdrawal(key: &Key) -> &'static str {
    match key {
        Key::Guard | Key::Firewall | Key::Buckets => {
            "removed with the whole table; if others have put rules into it, ours alone"
        }
        Key::Link(_) => "removed, if its alias still says that it is rail's",
        Key::Address { .. } => "removed, if rail added it; one that was there before stays",
        Key::Route(_) | Key::Rule(_) => "removed",
        Key::Sysctl(_) => "gets the value back that it had before the first start",
    }
}
