//! Every key of the configuration: what this version reads, what a later one
//! will, and the words that people bring from elsewhere.
//!
//! Promises: a key is in exactly one of the two lists of its section.

/// The keys of one table.
pub(super) struct Keys {
    /// Name of the table, as a path: `check.loss`; empty for the file itself.
    pub(super) section: &'static str,
    /// Read by this version.
    pub(super) built: &'static [&'static str],
    /// Reserved.
    pub(super) later: &'static [&'static str],
}

/// The keys of `section`.
pub(super) fn of(section: &str) -> &'static Keys {
    TABLE.iter().find(|k| k.section == section).unwrap_or(&NONE)
}

/// Every section.
#[cfg(test)]
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|keys| keys.section)
}

/// The valid word nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is nobody's typing mistake, and the distance is quadratic.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    valid
        .into_iter()
        .map(|v| (strsim::damerau_levenshtein(&lower, &v.to_ascii_lowercase()), v))
        .filter(|(distance, v)| *distance <= (v.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, v)| v)
}

/// What to write instead of an unknown name: the nearest, or which there are.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// What a foreign word is called here, within `section`.
pub(super) fn translated(section: &str, word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    // What an uplink may have of its own is called as where all have it.
    let common = match section.strip_prefix("uplink.").unwrap_or(section) {
        "network.dhcp" => "lan.dhcp",
        "network.dns" => "lan.dns",
        other => other,
    };
    let is_here = |s: &str| s == section || s == common;
    FOREIGN.iter().find(|(s, w, _)| is_here(s) && *w == lower).map(|(_, _, ours)| *ours)
}

/// Other sections that read `key`.
pub(super) fn homes(key: &str) -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(move |k| !k.section.is_empty() && k.built.contains(&key)).map(|k| k.section)
}

const NONE: Keys = Keys { section: "", built: &[], later: &[] };

/// What `[check]` and `check` of an uplink have.
const CHECK: &[&str] = &[
    "targets",
    "required",
    "interval",
    "timeout",
    "fail_after",
    "recover_after",
    "stable_for",
    "damping",
    "loss",
    "latency",
    "jitter",
    "degraded",
    "kind",
    "port",
];
/// What `dhcp` and `dns` of an inside network have.
const DHCP: &[&str] = &["ranges", "lease", "reservations", "domain", "dns", "ntp", "options"];
const DNS: &[&str] = &["forward", "servers", "names", "resolv_conf"];
const CHECK_LATER: &[&str] = &["mode", "url", "expect", "command"];

const TABLE: &[Keys] = &[
    Keys {
        section: "",
        built: &[
            "router",
            "log",
            "lan",
            "network",
            "firewall",
            "balance",
            "ranges",
            "uplink",
            "check",
            "nat",
            "forward",
            "performance",
            "notify",
            "ddns",
        ],
        later: &[
            "policy",
            "vrrp",
            "cluster",
            "service",
            "rip",
            "bfd",
            "bgp",
            "source_route",
            "virtual_service",
            "web",
            "metrics",
        ],
    },
    Keys { section: "router", built: &["name", "no_uplink", "failback", "tunnels"], later: &[] },
    Keys { section: "log", built: &["file", "max_size", "keep", "level"], later: &[] },
    Keys { section: "firewall", built: &["mode", "allow"], later: &[] },
    Keys { section: "balance", built: &["by"], later: &[] },
    Keys { section: "performance", built: &["queues"], later: &[] },
    Keys { section: "ranges", built: &["marks", "tables", "rule_priorities"], later: &[] },
    Keys { section: "lan", built: &["interfaces", "dhcp", "dns"], later: &[] },
    Keys {
        section: "network",
        built: &["name", "interface", "address", "kind", "may_reach", "dhcp", "dns"],
        later: &[],
    },
    Keys { section: "lan.dhcp", built: DHCP, later: &[] },
    Keys { section: "network.dhcp", built: DHCP, later: &[] },
    Keys { section: "lan.dhcp.reservations", built: &["mac", "address", "name"], later: &[] },
    Keys { section: "lan.dhcp.options", built: &["code", "addresses", "text", "hex"], later: &[] },
    Keys { section: "lan.dns", built: DNS, later: &[] },
    Keys { section: "network.dns", built: DNS, later: &[] },
    Keys {
        section: "uplink",
        built: &[
            "name",
            "description",
            "interface",
            "parent",
            "mac",
            "address",
            "gateway",
            "gateway_onlink",
            "dhcp",
            "ppp",
            "mtu",
            "dns",
            "weight",
            "tier",
            "nat",
            "addresses",
            "no_nat",
            "routed",
            "redirects",
            "metered",
            "on_failback",
            "check",
            "standby",
            "enabled",
        ],
        later: &["address6", "mss", "nat6"],
    },
    Keys {
        section: "uplink.dhcp",
        built: &[
            "client_id",
            "host_name",
            "vendor_class",
            "user_class",
            "reject_from",
            "broadcast",
        ],
        later: &[],
    },
    Keys {
        section: "uplink.ppp",
        built: &[
            "parent",
            "service",
            "ac",
            "device",
            "speed",
            "carrier",
            "dial",
            "apn",
            "chat_file",
            "username",
            "username_file",
            "password_file",
        ],
        later: &[],
    },
    Keys { section: "check", built: CHECK, later: CHECK_LATER },
    Keys { section: "uplink.check", built: CHECK, later: CHECK_LATER },
    Keys { section: "check.damping", built: &["half_life", "suppress", "reuse"], later: &[] },
    Keys {
        section: "uplink.check.damping",
        built: &["half_life", "suppress", "reuse"],
        later: &[],
    },
    Keys { section: "check.loss", built: &["degraded", "down", "recovered"], later: &[] },
    Keys { section: "uplink.check.loss", built: &["degraded", "down", "recovered"], later: &[] },
    Keys { section: "check.latency", built: &["degraded", "recovered"], later: &["down"] },
    Keys { section: "uplink.check.latency", built: &["degraded", "recovered"], later: &["down"] },
    Keys { section: "check.jitter", built: &["degraded", "recovered"], later: &["down"] },
    Keys { section: "uplink.check.jitter", built: &["degraded", "recovered"], later: &["down"] },
    Keys {
        section: "forward",
        built: &["protocol", "port", "address", "to", "from", "uplinks", "hairpin"],
        later: &[],
    },
    Keys { section: "nat", built: &["from", "to"], later: &[] },
    Keys {
        section: "notify",
        built: &["email", "webhook", "command", "on", "quiet", "fold", "at_most"],
        later: &[],
    },
    Keys {
        section: "notify.email",
        built: &["to", "from", "server", "tls", "username", "password_file", "ca_file", "inside"],
        later: &[],
    },
    Keys {
        section: "notify.webhook",
        built: &["url", "url_file", "format", "headers", "ca_file", "inside"],
        later: &[],
    },
    Keys {
        section: "ddns",
        built: &["hostname", "uplink", "kind", "update", "username", "password_file", "ask"],
        later: &[],
    },
];

/// What to do instead of a key that we have no word for.
pub(super) fn otherwise(section: &str, name: &str) -> Option<&'static str> {
    match (section, name) {
        ("uplink" | "network", "netmask" | "mask" | "prefix" | "prefixlen" | "prefix_length") => {
            Some("the prefix length stands behind the address: address = \"198.51.100.2/24\"")
        }
        ("lan", "address" | "ip" | "ipaddr" | "netmask" | "subnet") => Some(
            "the LAN's address stays with your system; or write a block [[network]] with `address`, \
             and rail sets it",
        ),
        ("uplink", "proto") => Some("write address = \"dhcp\", or the static address"),
        ("uplink", "pppoe" | "username" | "password") => {
            Some("for PPP write address = \"ppp\", and ppp = { parent = \"eth2\", username = .. }")
        }
        ("uplink.ppp", "password" | "pass") => {
            Some("a secret stands in a file of its own: password_file = \"/etc/rail/dsl.password\"")
        }
        ("uplink.ppp", "mtu" | "mru") => Some("`mtu` stands in [[uplink]], beside `ppp`"),
        ("uplink.ppp", "pin") => Some("switch the PIN of the SIM off, or send it by a `chat_file`"),
        ("notify.email" | "ddns", "password" | "pass") => {
            Some("the password stands in a file: password_file = \"/etc/rail/password\"")
        }
        ("notify.email", "port") => {
            Some("the port stands behind the server: server = \"smtp.example.org:587\"")
        }
        _ => None,
    }
}

/// (section, foreign word, our word)
const FOREIGN: &[(&str, &str, &str)] = &[
    ("", "uplinks", "uplink"),
    ("", "wan", "uplink"),
    ("", "provider", "uplink"),
    ("", "ping", "check"),
    ("", "health", "check"),
    ("", "port_forward", "forward"),
    ("", "portforward", "forward"),
    ("", "dnat", "forward"),
    ("", "snat", "nat"),
    ("", "masquerade", "nat"),
    ("nat", "source", "from"),
    ("nat", "address", "to"),
    ("", "logging", "log"),
    ("", "networks", "network"),
    ("", "zone", "network"),
    ("", "dmz", "network"),
    ("", "guest", "network"),
    ("network", "iface", "interface"),
    ("network", "ifname", "interface"),
    ("network", "dev", "interface"),
    ("network", "device", "interface"),
    ("network", "ip", "address"),
    ("network", "ipaddr", "address"),
    ("network", "type", "kind"),
    ("network", "zone", "kind"),
    ("network", "reach", "may_reach"),
    ("network", "allow", "may_reach"),
    ("network", "forward", "may_reach"),
    ("lan", "interface", "interfaces"),
    ("lan", "iface", "interfaces"),
    ("uplink", "ip", "address"),
    ("uplink", "addr", "address"),
    ("uplink", "ipaddr", "address"),
    ("uplink", "gw", "gateway"),
    ("uplink", "router", "gateway"),
    ("uplink", "iface", "interface"),
    ("uplink", "ifname", "interface"),
    ("uplink", "dev", "interface"),
    ("uplink", "device", "interface"),
    ("uplink", "metric", "tier"),
    ("uplink", "priority", "tier"),
    ("uplink", "share", "weight"),
    ("uplink", "comment", "description"),
    ("uplink", "aliases", "addresses"),
    ("uplink", "secondary", "addresses"),
    ("uplink", "public", "routed"),
    ("uplink", "resolvers", "dns"),
    ("uplink", "nameservers", "dns"),
    ("lan.dhcp", "range", "ranges"),
    ("lan.dhcp", "pool", "ranges"),
    ("lan.dhcp", "leasetime", "lease"),
    ("lan.dhcp", "lease_time", "lease"),
    ("lan.dhcp", "hosts", "reservations"),
    ("lan.dhcp", "static", "reservations"),
    ("lan.dhcp", "resolvers", "dns"),
    ("lan.dns", "upstream", "servers"),
    ("lan.dns", "resolvers", "servers"),
    ("lan.dns", "hosts", "names"),
    ("uplink", "snat", "nat"),
    ("uplink", "masquerade", "nat"),
    ("uplink", "disabled", "enabled"),
    ("uplink", "on_demand", "standby"),
    ("uplink", "demand", "standby"),
    ("uplink.dhcp", "hostname", "host_name"),
    ("uplink.dhcp", "clientid", "client_id"),
    ("uplink.dhcp", "vendorid", "vendor_class"),
    ("uplink.dhcp", "vendor_class_id", "vendor_class"),
    ("uplink.dhcp", "userclass", "user_class"),
    ("uplink.dhcp", "reject", "reject_from"),
    ("uplink.ppp", "user", "username"),
    ("uplink.ppp", "interface", "parent"),
    ("uplink.ppp", "tty", "device"),
    ("uplink.ppp", "port", "device"),
    ("uplink.ppp", "modem", "device"),
    ("uplink.ppp", "baud", "speed"),
    ("uplink.ppp", "number", "dial"),
    ("uplink.ppp", "phone", "dial"),
    ("uplink.ppp", "chat", "chat_file"),
    ("uplink.ppp", "connect", "chat_file"),
    ("uplink.ppp", "service_name", "service"),
    ("uplink.ppp", "ac_name", "ac"),
    ("check", "hosts", "targets"),
    ("check", "track_ip", "targets"),
    ("check", "reliability", "required"),
    ("check", "quorum", "required"),
    ("check", "down", "fail_after"),
    ("check", "failures", "fail_after"),
    ("check", "up", "recover_after"),
    ("check", "successes", "recover_after"),
    ("forward", "proto", "protocol"),
    ("forward", "dest", "to"),
    ("forward", "destination", "to"),
    ("forward", "dport", "port"),
    ("forward", "ports", "port"),
    ("forward", "source", "from"),
    ("forward", "allow", "from"),
    ("forward", "loopback", "hairpin"),
    ("forward", "reflection", "hairpin"),
    ("balance", "mode", "by"),
    ("", "tuning", "performance"),
    ("performance", "rps", "queues"),
    ("performance", "xps", "queues"),
    ("performance", "packet_steering", "queues"),
    ("", "notifications", "notify"),
    ("", "alert", "notify"),
    ("", "email", "notify"),
    ("", "dyndns", "ddns"),
    ("notify", "mail", "email"),
    ("notify", "smtp", "email"),
    ("notify", "hook", "command"),
    ("notify", "exec", "command"),
    ("notify", "events", "on"),
    ("notify", "quiet_hours", "quiet"),
    ("notify.email", "recipients", "to"),
    ("notify.email", "sender", "from"),
    ("notify.email", "smtp", "server"),
    ("notify.email", "host", "server"),
    ("notify.email", "address", "server"),
    ("notify.email", "user", "username"),
    ("notify.email", "user_name", "username"),
    ("notify.email", "starttls", "tls"),
    ("ddns", "name", "hostname"),
    ("ddns", "domain", "hostname"),
    ("ddns", "url", "update"),
    ("ddns", "server", "update"),
    ("ddns", "protocol", "kind"),
    ("ddns", "user", "username"),
    ("ddns", "interface", "uplink"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_one_list() {
        for keys in TABLE {
            for key in keys.built {
                assert!(!keys.later.contains(key), "{} {key}", keys.section);
            }
        }
        for (section, word, ours) in FOREIGN {
            assert!(of(section).built.contains(ours), "{section} {word} {ours}");
            assert!(!of(section).built.contains(word), "{section} {word}");
        }
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("wieght", of("uplink").built.iter().copied()), Some("weight"));
        assert_eq!(nearest("Interval", of("check").built.iter().copied()), Some("interval"));
        assert_eq!(nearest("zzz", of("check").built.iter().copied()), None);
        assert_eq!(nearest(&"a".repeat(100_000), of("check").built.iter().copied()), None);
    }
}
