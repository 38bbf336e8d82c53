//! Writes a configuration back as a file, defaults included: what
//! `rail check --show-effective` prints. Reading it gives the same configuration.

use super::allow::show_ports;
use super::network::is_short;
use super::performance;
use super::unit::{show, show_size};
use rail_core::config::{
    Allow, BalanceBy, CheckConfig, Config, Damping, Degraded, Failback, FirewallMode, Forward,
    LogLevel, Nat, Network, NetworkKind, NoUplink, Notify, OnFailback, Reach, Standby, Tier,
    UplinkConfig, UplinkKind,
};
use rail_core::net::Prefix;
use std::fmt::Write;

/// The file with every value written out.
pub(crate) fn effective(config: &Config) -> String {
    let mut out = String::new();
    general(&mut out, config);
    write_inside(&mut out, config);
    for uplink in &config.uplinks {
        write_uplink(&mut out, uplink, &config.check);
    }
    write_check(&mut out, &config.check);
    for translation in &config.translations {
        line(&mut out, "\n[[nat]]\nfrom", &prefixes(&translation.from));
        line(&mut out, "to", &quoted(&translation.to.to_string()));
    }
    for forward in &config.forwards {
        write_forward(&mut out, forward);
    }
    line(&mut out, "\n[performance]\nqueues", performance::shown(config.performance.queues));
    if config.notify != Notify::default() {
        super::notify::write(&mut out, &config.notify);
    }
    for ddns in &config.ddns {
        super::ddns::write(&mut out, ddns);
    }
    out
}

fn general(out: &mut String, config: &Config) {
    line(out, "[router]\nname", &quoted(&config.router.name));
    line(
        out,
        "no_uplink",
        match config.router.no_uplink {
            NoUplink::Keep => "\"keep\"",
            NoUplink::Unreachable => "\"unreachable\"",
        },
    );
    line(
        out,
        "failback",
        match config.router.failback {
            Failback::Auto => "\"auto\"",
            Failback::Manual => "\"manual\"",
        },
    );
    let ports: Vec<String> = config.router.tunnels.iter().map(u16::to_string).collect();
    line(out, "tunnels", &format!("[{}]", ports.join(", ")));
    out.push_str("\n[log]\n");
    match &config.log.file {
        Some(file) => line(out, "file", &quoted(file)),
        None => out.push_str("# file: none, the journal or stderr\n"),
    }
    line(out, "max_size", &quoted(&show_size(config.log.max_size_bytes)));
    line(out, "keep", &config.log.keep.to_string());
    line(
        out,
        "level",
        match config.log.level {
            LogLevel::Error => "\"error\"",
            LogLevel::Warn => "\"warn\"",
            LogLevel::Info => "\"info\"",
            LogLevel::Debug => "\"debug\"",
            LogLevel::Trace => "\"trace\"",
        },
    );
    line(
        out,
        "\n[firewall]\nmode",
        match config.firewall.mode {
            FirewallMode::Basic => "\"basic\"",
            FirewallMode::Off => "\"off\"",
            FirewallMode::External => "\"external\"",
        },
    );
    let allow: Vec<_> = config.firewall.allow.iter().map(show_allow).collect();
    line(out, "allow", &format!("[{}]", allow.join(", ")));
    line(
        out,
        "\n[balance]\nby",
        match config.balance {
            BalanceBy::Connection => "\"connection\"",
            BalanceBy::Client => "\"client\"",
            BalanceBy::ClientServer => "\"client+server\"",
        },
    );
    let ranges = &config.ranges;
    line(out, "\n[ranges]\nmarks", &format!("\"0x{:08x}\"", ranges.mark_mask));
    line(out, "tables", &format!("\"{}-{}\"", ranges.tables.0, ranges.tables.1));
    let rules = ranges.rule_priorities;
    line(out, "rule_priorities", &format!("\"{}-{}\"", rules.0, rules.1));
}

fn show_allow(allow: &Allow) -> String {
    let listed = |word: &str, all: Vec<String>| {
        if all.is_empty() { String::new() } else { format!(" {word}{}", all.join(",")) }
    };
    let ports = listed("", allow.ports.iter().map(|range| show_ports(*range)).collect());
    let from = listed("from ", allow.from.iter().map(ToString::to_string).collect());
    let to = listed("to ", allow.to.iter().map(ToString::to_string).collect());
    format!("\"{}{ports}{from}{to}\"", allow.protocol)
}

/// `[lan]` and what it cannot say.
fn write_inside(out: &mut String, config: &Config) {
    let (short, long): (Vec<&Network>, Vec<&Network>) =
        config.networks.iter().partition(|network| is_short(network));
    if !short.is_empty() {
        let lan: Vec<_> = short.iter().map(|n| quoted(&n.interface.to_string())).collect();
        line(out, "\n[lan]\ninterfaces", &format!("[{}]", lan.join(", ")));
        super::service::write(out, short[0]);
    }
    for network in long {
        write_network(out, network);
    }
}

fn write_network(out: &mut String, network: &Network) {
    line(out, "\n[[network]]\nname", &quoted(&network.name));
    line(out, "interface", &quoted(&network.interface.to_string()));
    match network.address {
        Some(address) => line(out, "address", &quoted(&address.to_string())),
        None => out.push_str("# address: not ours\n"),
    }
    line(
        out,
        "kind",
        match network.kind {
            NetworkKind::Lan => "\"lan\"",
            NetworkKind::Dmz => "\"dmz\"",
            NetworkKind::Guest => "\"guest\"",
        },
    );
    match &network.reach {
        Reach::All => out.push_str("# may_reach: everything\n"),
        Reach::Only { internet, networks } => {
            let internet = internet.then(|| quoted("internet"));
            let all: Vec<_> =
                internet.into_iter().chain(networks.iter().map(|n| quoted(n))).collect();
            line(out, "may_reach", &format!("[{}]", all.join(", ")));
        }
    }
    super::service::write(out, network);
}

fn write_uplink(out: &mut String, uplink: &UplinkConfig, check: &CheckConfig) {
    line(out, "\n[[uplink]]\nname", &quoted(&uplink.name));
    line(out, "description", &quoted(&uplink.description));
    line(out, "interface", &quoted(&uplink.interface.to_string()));
    match &uplink.own_link {
        Some(own) => {
            line(out, "parent", &quoted(&own.parent.to_string()));
            line(out, "mac", &quoted(&own.mac.to_string()));
        }
        None => out.push_str("# parent: none\n# mac: none\n"),
    }
    write_kind(out, &uplink.kind);
    match uplink.mtu {
        Some(mtu) => line(out, "mtu", &mtu.to_string()),
        None => out.push_str("# mtu: of the provider, else of the interface\n"),
    }
    match uplink.resolvers.as_slice() {
        [] => out.push_str("# dns: of the provider\n"),
        all => line(out, "dns", &super::service::list(all)),
    }
    line(out, "weight", &uplink.weight.to_string());
    match uplink.tier {
        Tier::Number(tier) => line(out, "tier", &tier.to_string()),
        Tier::Inbound => line(out, "tier", "\"none\""),
    }
    match uplink.nat {
        Nat::On => line(out, "nat", "true"),
        Nat::Off => line(out, "nat", "false"),
        Nat::To(address) => line(out, "nat", &quoted(&address.to_string())),
    }
    line(out, "addresses", &prefixes(&uplink.addresses));
    line(out, "no_nat", &prefixes(&uplink.no_nat));
    line(out, "routed", &prefixes(&uplink.routed));
    line(out, "redirects", &uplink.redirects.to_string());
    line(out, "metered", &uplink.metered.to_string());
    let on_failback = match uplink.on_failback {
        OnFailback::Keep => "keep".into(),
        OnFailback::Drain(time) => format!("drain {}", show(time)),
        OnFailback::CutUdp => "cut-udp".into(),
        OnFailback::Cut => "cut".into(),
    };
    line(out, "on_failback", &quoted(&on_failback));
    match own_check(uplink, check) {
        Some(own) => line(out, "check", &own),
        None => out.push_str("# check: as in [check]\n"),
    }
    line(
        out,
        "standby",
        match uplink.standby {
            Standby::Warm => "\"warm\"",
            Standby::Cold => "\"cold\"",
        },
    );
    line(out, "enabled", &uplink.enabled.to_string());
}

fn write_kind(out: &mut String, kind: &UplinkKind) {
    match kind {
        UplinkKind::Static(fixed) => {
            line(out, "address", &quoted(&fixed.address.to_string()));
            line(out, "gateway", &quoted(&fixed.gateway.to_string()));
            line(out, "gateway_onlink", &fixed.onlink.to_string());
            out.push_str("# dhcp: none\n# ppp: none\n");
        }
        UplinkKind::Dhcp(dhcp) => {
            line(out, "address", "\"dhcp\"");
            line(out, "dhcp", &super::dhcp::shown_client(dhcp));
            out.push_str("# ppp: none\n");
        }
        UplinkKind::Ppp(ppp) => {
            line(out, "address", "\"ppp\"");
            out.push_str("# dhcp: none\n");
            line(out, "ppp", &super::ppp::shown_line(ppp));
        }
        UplinkKind::Keep(keep) => {
            line(out, "address", "\"keep\"");
            match keep.gateway {
                Some(gateway) => line(out, "gateway", &quoted(&gateway.to_string())),
                None => out.push_str("# gateway: as the other program sets it\n"),
            }
            out.push_str("# dhcp: none\n# ppp: none\n");
        }
    }
}

fn write_check(out: &mut String, check: &CheckConfig) {
    line(out, "\n[check]\nkind", &pairs(check)[0].1);
    for (key, value) in &pairs(check)[1..] {
        line(out, key, value);
    }
    if check.damping.is_none() {
        out.push_str("# damping: for longer each time\n");
    }
    for (key, limit) in [("latency", check.latency), ("jitter", check.jitter)] {
        if limit.is_none() {
            let _ = writeln!(out, "# {key}: no limit");
        }
    }
}

/// What an uplink has of its own. Another kind has other defaults, so all is written out beside it.
fn own_check(uplink: &UplinkConfig, all: &CheckConfig) -> Option<String> {
    let is_other = !uplink.check.kind.is_same(all.kind);
    let (own, all) = (pairs(&uplink.check), pairs(all));
    let differs = own.iter().filter(|pair| is_other || !all.contains(pair));
    let differs: Vec<_> = differs.map(|(key, value)| format!("{key} = {value}")).collect();
    (!differs.is_empty()).then(|| format!("{{ {} }}", differs.join(", ")))
}

/// Keys and values.
fn pairs(check: &CheckConfig) -> Vec<(&'static str, String)> {
    let targets: Vec<_> = check.targets.iter().map(|t| format!("\"{t}\"")).collect();
    let loss = check.loss;
    let loss = format!(
        "{{ degraded = \"{}%\", down = \"{}%\", recovered = \"{}%\" }}",
        loss.degraded_pct, loss.down_pct, loss.recovered_pct
    );
    let mut pairs = super::kind::pairs(check.kind);
    if !targets.is_empty() {
        pairs.push(("targets", format!("[{}]", targets.join(", "))));
    }
    pairs.extend([
        ("required", check.required.to_string()),
        ("interval", quoted(&show(check.interval))),
        ("timeout", quoted(&show(check.timeout))),
        ("fail_after", check.fail_after.to_string()),
        ("recover_after", check.recover_after.to_string()),
        ("stable_for", quoted(&show(check.stable_for))),
        ("loss", loss),
        ("degraded", quoted(if check.degraded == Degraded::Use { "use" } else { "avoid" })),
    ]);
    if let Some(Damping { half_life, suppress, reuse }) = check.damping {
        let half_life = show(half_life);
        let text =
            format!("{{ half_life = \"{half_life}\", suppress = {suppress}, reuse = {reuse} }}");
        pairs.push(("damping", text));
    }
    for (key, limit) in [("latency", check.latency), ("jitter", check.jitter)] {
        if let Some(limit) = limit {
            let (degraded, recovered) = (show(limit.degraded), show(limit.recovered));
            let text = format!("{{ degraded = \"{degraded}\", recovered = \"{recovered}\" }}");
            pairs.push((key, text));
        }
    }
    pairs
}

fn write_forward(out: &mut String, forward: &Forward) {
    line(out, "\n[[forward]]\nprotocol", &quoted(&forward.protocol.to_string()));
    match forward.ports {
        Some(ports) => {
            line(out, "port", &quoted(&show_ports(ports)));
            line(out, "to", &quoted(&forward.to.to_string()));
        }
        None => {
            out.push_str("# port: none, all of the protocol\n");
            line(out, "to", &quoted(&forward.to.ip().to_string()));
        }
    }
    match forward.address {
        Some(address) => line(out, "address", &quoted(&address.to_string())),
        None => out.push_str("# address: the first of each uplink\n"),
    }
    if forward.from.is_empty() {
        out.push_str("# from: anyone\n");
    } else {
        line(out, "from", &prefixes(&forward.from));
    }
    match &forward.uplinks {
        None => out.push_str("# uplinks: all\n"),
        Some(names) => {
            let names: Vec<_> = names.iter().map(|n| quoted(n)).collect();
            line(out, "uplinks", &format!("[{}]", names.join(", ")));
        }
    }
    line(out, "hairpin", &forward.hairpin.to_string());
}

pub(super) fn prefixes(all: &[Prefix]) -> String {
    let all: Vec<_> = all.iter().map(|prefix| quoted(&prefix.to_string())).collect();
    format!("[{}]", all.join(", "))
}

fn line(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push_str(" = ");
    out.push_str(value);
    out.push('\n');
}

/// A TOML basic string. The reader lets no control character through.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
