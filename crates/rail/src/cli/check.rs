//! `rail check`.

use super::{complain, loaded, say, style};
use crate::load::{self, ProbeCost};
use rail_core::coexist::View;
use rail_core::config::{
    CheckConfig, Config, FirewallMode, Links, Network, Reach, Selector, Stray, Tier, UplinkConfig,
    UplinkKind,
};
use rail_core::facts::Facts;
use rail_core::facts::kept::{self, Found};
use rail_core::net::{IfName, UplinkId};
use rail_core::state::{Macvlan, link_obstacle};
use rail_core::status::Conflict;
use rail_linux::manager::{self, Release};
use rail_linux::process::Spawner;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Validates the file: 0 good, 1 errors.
pub(super) fn run(path: &Path, state_dir: &Path, show_effective: bool) -> ExitCode {
    let (config, warnings) = match loaded(path) {
        Ok(good) => good,
        Err(code) => return code,
    };
    for warning in &warnings {
        complain(warning.render(style::stderr_has_colour()));
    }
    let links = rail_linux::netlink::links(config.has_paths()).unwrap_or_default();
    // Only root may read which devices the daemon uses.
    let (saved, _) = rail_linux::file::load_saved(state_dir);
    let mut saved = saved.of_boot(rail_linux::clock::boot_id());
    let named = config.clone().with_names(&config.names(&links, &saved.devices));
    named.note_outside(&links, &mut saved.outside);
    complain(&missing(&named, &links));
    complain(&others(&named));
    complain(&kept(&named));
    complain(&own_questions(&named));
    let addresses = rail_linux::netlink::addresses().unwrap_or_default();
    let own: Vec<Vec<_>> = named.uplinks.iter().map(|u| u.prefixes().collect()).collect();
    let strays = named.strays(&links, &saved.outside, &own, addresses);
    complain(&closed(&named, &links, &strays));
    complain(&unnamed(&named, &strays));
    let warned = [refused(&named, &links), beside(&named), conflicts(&named)];
    warned.iter().for_each(|text| complain(text));
    if show_effective {
        say(&load::effective(&config));
    } else {
        let drawn = warned.iter().map(|text| count(text)).sum::<usize>();
        say(&summary(path, &named, warnings.len() + drawn));
    }
    ExitCode::SUCCESS
}

/// What the file names by something else than an interface name, and this machine does not have. The
/// file may be for another one.
fn missing(config: &Config, links: &Links) -> String {
    let reported = config.missing(links);
    reported.iter().map(|text| format!("note: {text} on this machine\n")).collect()
}

/// What other programs have configured on this machine for uplinks that they look after.
fn kept(config: &Config) -> String {
    let mut all = config.uplinks.iter().filter(|uplink| uplink.is_kept()).peekable();
    let seen = all.peek().and_then(|_| rail_linux::netlink::given().ok());
    let Some(seen) = seen else { return String::new() };
    let is_here = |uplink: &&UplinkConfig| seen.links.contains_key(&uplink.ifname);
    let reported = |uplink: &UplinkConfig| {
        let UplinkConfig { name, ifname, .. } = uplink;
        match kept::read(&seen, *ifname, (uplink.gateway(), uplink.mtu)) {
            Found::Whole(way, named) => {
                let (address, named) = (way.address, named.sentence());
                let gateway =
                    way.gateway.address().map_or_else(String::new, |via| format!(" by {via}"));
                format!("note: uplink {name} has {address}{gateway} on {ifname}: {named}\n")
            }
            Found::NoAddress => {
                format!("note: uplink {name}: no other program has set an address on {ifname}\n")
            }
            Found::NoGateway(own) => format!(
                "note: uplink {name}: {own} is on {ifname}, but main has no default route by {ifname}\n"
            ),
        }
    };
    all.filter(is_here).map(reported).collect()
}

/// A file of the system that cannot lead to the router's own resolver on this machine.
fn own_questions(config: &Config) -> String {
    let why = config.asks_itself().then(rail_linux::child::resolv_conf_obstacle).flatten();
    why.map_or_else(String::new, |why| {
        format!("note: `resolv_conf` has no effect on this machine: {why}\n")
    })
}

/// Links of ours that the kernel would refuse on this machine.
fn refused(config: &Config, links: &Links) -> String {
    let why = |uplink: &UplinkConfig| {
        let UplinkConfig { name, ifname, own_link, .. } = uplink;
        let own = own_link.as_ref()?;
        let why = link_obstacle(*ifname, &Macvlan { parent: own.port, mac: own.mac }, links)?;
        Some(format!("warning: uplink {name} cannot have its link {ifname}: {why}\n\n"))
    };
    config.uplinks.iter().filter(|uplink| uplink.enabled).filter_map(why).collect()
}

/// Interfaces that are filtered, for they may be one that the file names.
fn others(config: &Config) -> String {
    let uplink = |(ifname, uplink): (IfName, &UplinkConfig)| {
        format!("note: uplink {} {}\n", uplink.name, uplink.interface.filters(ifname.as_str()))
    };
    let network = |(ifname, network): (IfName, &Network)| {
        format!("note: network {} {}\n", network.name, network.interface.filters(ifname.as_str()))
    };
    if config.firewall.mode == FirewallMode::Off {
        return String::new();
    }
    config.maybe_outside().map(uplink).chain(config.maybe_closed().map(network)).collect()
}

/// Interfaces that the file does not name and that are filtered: they are in the network of an uplink,
/// or were its own.
fn closed(config: &Config, links: &Links, strays: &[Stray]) -> String {
    let reported = |stray: &Stray| {
        let (ifname, uplink) = (stray.ifname, &config.uplinks[stray.uplink]);
        format!(
            "note: the file does not name {ifname}, which is in the network of uplink {name}, or was its \
             interface: it is filtered as that uplink is\n   = help: {remedy}\n",
            name = uplink.name,
            remedy = config.stray_remedy(links, *stray, uplink)
        )
    };
    match config.firewall.mode {
        FirewallMode::Basic => strays.iter().map(reported).collect(),
        FirewallMode::External | FirewallMode::Off => String::new(),
    }
}

/// The interfaces of these uplinks, and the ports that their links stand on.
fn outside<'a>(uplinks: impl Iterator<Item = &'a UplinkConfig>) -> impl Iterator<Item = IfName> {
    uplinks.flat_map(|uplink| [uplink.ifname, uplink.port()])
}

/// Interfaces of this machine that the file does not name: they forward freely. If it names none that
/// is here, the file is for another machine.
fn unnamed(config: &Config, strays: &[Stray]) -> String {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return String::new() };
    let inside = config.networks.iter().map(|network| network.ifname);
    let maybe_outside = config.maybe_outside().map(|(ifname, _)| ifname);
    let maybe_inside = config.maybe_closed().map(|(ifname, _)| ifname);
    let named: BTreeSet<_> = outside(config.uplinks.iter())
        .chain(inside)
        .chain(maybe_outside)
        .chain(maybe_inside)
        .collect();
    let is_named = |name: &str| named.iter().any(|known| known.as_str() == name);
    let is_up = |place: &Path| {
        let flags = fs::read_to_string(place.join("flags")).unwrap_or_default();
        let flags = flags.trim().trim_start_matches("0x");
        u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & IFF_UP != 0)
    };
    let (mut here, mut free) = (false, Vec::new());
    for place in entries.flatten().map(|entry| entry.path()) {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        here |= is_named(&name);
        // What is a port of something else forwards nothing by itself.
        let is_port = place.join("master").exists();
        let is_closed = strays.iter().any(|stray| stray.ifname.as_str() == name);
        if name != "lo" && !is_named(&name) && !is_closed && !is_port && is_up(&place) {
            free.push(name);
        }
    }
    if !here || free.is_empty() || config.firewall.mode != FirewallMode::Basic {
        return String::new();
    }
    free.sort();
    let names = style::clean(&free.join(", "));
    format!("note: the file does not name {names}: what comes from there is not filtered\n")
}

/// What the file says, and what that is here.
fn shown(interface: &Selector, ifname: IfName) -> String {
    match interface.to_string() {
        text if text == ifname.as_str() => text,
        text if interface.ifname() == ifname => format!("{text} (not here)"),
        text => format!("{text} ({ifname})"),
    }
}

/// The warnings in a text.
fn count(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("warning: ")).count()
}

/// Who else on this system sets what we set, and how to make it stop.
fn beside(config: &Config) -> String {
    let root = Path::new("/");
    let inside = config.networks.iter().filter(|network| network.address.is_some());
    let set_by_us = config.uplinks.iter().filter(|uplink| !uplink.is_kept());
    let ours = outside(set_by_us).chain(inside.map(|network| network.ifname));
    let mut names: Vec<_> = ours.map(|ifname| ifname.to_string()).collect();
    names.sort();
    names.dedup();
    let mut out = String::new();
    for holder in manager::holders(root, &names) {
        let what = format!(
            "{} configures {} as well, and may undo what rail sets",
            holder.name(),
            holder.interfaces.join(", ")
        );
        out += &advice(&what, "to make it let go", &holder.release());
    }
    if manager::networkd_removes_rules(root) {
        let what = "systemd-networkd removes foreign routing rules when it starts again";
        let text = "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n";
        let way = Release {
            file: "/etc/systemd/networkd.conf.d/rail.conf".into(),
            text: text.into(),
            command: "systemctl restart systemd-networkd".into(),
        };
        out += &advice(what, "rail puts them back; to be spared the gap", &way);
    }
    out
}

/// What other software on this system does to ours, as far as it can be seen.
fn conflicts(config: &Config) -> String {
    let mut spawner = match Spawner::start() {
        Ok(spawner) => spawner,
        Err(e) => return format!("note: other software was not looked at: {e}\n\n"),
    };
    let facts = Facts::unseen(config, (1..).map(UplinkId));
    let findings = rail_linux::coexist::look(&View::of(config, &facts), &mut spawner);
    let mut out = String::new();
    for conflict in &findings.conflicts {
        let Conflict { certain, owner, object, effect, remedy, .. } = conflict;
        let may = if *certain { "" } else { "perhaps " };
        out += &match object.as_str() {
            "" => format!("warning: {may}{owner} {effect}\n"),
            object => format!("warning: {may}{owner}: {effect}\n   = note: {object}\n"),
        };
        out += &format!("   = help: {remedy}\n\n");
    }
    for what in &findings.unread {
        out += &format!("note: not looked at: {what}\n");
    }
    // Names and comments are theirs.
    out.lines().map(|line| style::clean(line) + "\n").collect()
}

fn advice(what: &str, why: &str, way: &Release) -> String {
    let mut out = format!("warning: {what}\n   = help: {why}, write to {}:\n", way.file);
    out.extend(way.text.lines().map(|line| format!("       {line}\n")));
    out + &format!("     then: {}\n\n", way.command)
}

fn summary(path: &Path, config: &Config, warnings: usize) -> String {
    let mut out = String::new();
    let verdict = match warnings {
        0 => "valid".to_owned(),
        1 => "valid, 1 warning".to_owned(),
        n => format!("valid, {n} warnings"),
    };
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{}: {verdict}", path.display()));
    for network in &config.networks {
        let reach = match &network.reach {
            Reach::All => "everything".to_owned(),
            Reach::Only { internet, networks } => {
                let internet = internet.then_some("internet");
                let all: Vec<_> =
                    internet.into_iter().chain(networks.iter().map(String::as_str)).collect();
                if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
            }
        };
        line(format!(
            "  network {}: {} reaches {reach}",
            network.name,
            shown(&network.interface, network.ifname)
        ));
    }
    for uplink in &config.uplinks {
        let tier = match uplink.tier {
            Tier::Number(tier) => format!("tier {tier}, weight {}", uplink.weight),
            Tier::Inbound => "inbound only".to_owned(),
        };
        let prefixes: Vec<_> = uplink.prefixes().map(|prefix| prefix.to_string()).collect();
        let way = match &uplink.kind {
            UplinkKind::Static(fixed) => format!("{} by {}", prefixes.join(", "), fixed.gateway),
            UplinkKind::Keep(_) => "as another program configures it".to_owned(),
            UplinkKind::Ppp(_) if prefixes.is_empty() => "by PPP".to_owned(),
            UplinkKind::Ppp(_) => format!("by PPP and {}", prefixes.join(", ")),
            UplinkKind::Dhcp(_) if prefixes.is_empty() => "by DHCP".to_owned(),
            UplinkKind::Dhcp(_) => format!("by DHCP and {}", prefixes.join(", ")),
        };
        let off = if uplink.enabled { "" } else { ", disabled" };
        line(format!(
            "  uplink {}: {} {way}, {tier}{off}",
            uplink.name,
            shown(&uplink.interface, uplink.ifname)
        ));
        if uplink.check != config.check {
            line(format!("    {}", asked(&uplink.check)));
        }
        if uplink.check != config.check || uplink.metered {
            line(format!("    {}", cost(&uplink.check, uplink.metered)));
        }
    }
    let usual = || config.uplinks.iter().filter(|uplink| uplink.check == config.check);
    if usual().next().is_some() {
        line(format!("  {}", asked(&config.check)));
    }
    if usual().any(|uplink| !uplink.metered) {
        line(format!("  {}", cost(&config.check, false)));
    }
    out
}

/// Who is asked, and how.
fn asked(check: &CheckConfig) -> String {
    let kind = load::shown_kind(check.kind);
    if check.targets.is_empty() {
        return format!("checked by {kind}: the gateway");
    }
    let targets: Vec<_> = check.targets.iter().map(ToString::to_string).collect();
    format!("checked by {kind}: targets {}; {} must answer", targets.join(" "), check.required)
}

/// What that costs.
fn cost(check: &CheckConfig, metered: bool) -> String {
    let ProbeCost { full_bytes, slow_bytes } = load::probe_cost(check, metered);
    let metered = if metered { "metered: " } else { "" };
    format!(
        "{metered}probes cost {} MB a month on an uplink in use, {} MB on one that waits",
        full_bytes / 1_000_000,
        slow_bytes / 1_000_000
    )
}

/// Of the flags of an interface: somebody set it up.
const IFF_UP: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given the README's configuration, when it is checked, then this is shown.
    #[test]
    fn a_good_file_is_summed_up() {
        let source = crate::manual::sample();
        let path = Path::new("/etc/rail/rail.toml");
        let (config, warnings) = load::load(path, &source).expect("a good file");
        let screen = summary(path, &config, warnings.len());
        style::golden("check.txt", include_str!("golden/check.txt"), &screen);
    }

    /// Given a metered uplink beside another one, then what its own probes cost is shown with it; where all
    /// are metered, nothing is said of others.
    #[test]
    fn a_metered_uplink_shows_its_own_cost() {
        let source = crate::manual::sample();
        let path = Path::new("/etc/rail/rail.toml");
        let (mut config, _) = load::load(path, &source).expect("a good file");
        let metered =
            "    metered: probes cost 746 MB a month on an uplink in use, 7 MB on one that waits\n";
        let usual = "  probes cost 746 MB a month on an uplink in use, 74 MB on one that waits\n";
        config.uplinks[1].metered = true;
        let screen = summary(path, &config, 0);
        assert!(screen.contains(metered) && screen.contains(usual), "{screen}");
        config.uplinks[0].metered = true;
        let screen = summary(path, &config, 0);
        assert!(screen.matches(metered).count() == 2 && !screen.contains(usual), "{screen}");
    }
}
