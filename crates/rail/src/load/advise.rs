//! What is legal but probably not meant.

use super::check::Place;
use super::reader::Section;
use super::report::Problem;
use super::unit::show;
use rail_core::check::least_interval;
use rail_core::config::{CheckConfig, Config, Forward, Standby, Tier, UplinkConfig};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::time::Duration;

/// Where the checks stand in the file.
pub(super) struct Places {
    /// `[check]`.
    pub(super) all: Option<Place>,
    /// `check` of each uplink.
    pub(super) own: Vec<Option<Place>>,
}

/// Collects warnings.
struct Warnings<'a>(&'a mut Vec<Problem>);

impl Warnings<'_> {
    fn add(&mut self, span: Range<usize>, text: String, hint: &str) {
        let mut problem = Problem::new(span, text);
        problem.hint(hint);
        self.0.push(problem);
    }
}

/// Notes what is legal but probably not meant.
pub(super) fn advise(
    config: &Config,
    places: &Places,
    file: &Section<'_>,
    warnings: &mut Vec<Problem>,
) {
    let mut warnings = Warnings(warnings);
    targets(config, places, &mut warnings);
    lone(config, places, &mut warnings);
    inside(config, file, &mut warnings);
    pace(config, places, &mut warnings);
    cold(config, file, &mut warnings);
    let carries_out = |u: &&UplinkConfig| u.enabled && u.tier != Tier::Inbound;
    if config.uplinks.iter().filter(carries_out).count() == 0 {
        let text = "no uplink carries new connections: all are disabled or inbound only";
        warnings.add(file.place("uplink"), text.to_owned(), "give one a tier");
    }
}

/// Cold standby before which no uplink comes.
fn cold(config: &Config, file: &Section<'_>, warnings: &mut Warnings<'_>) {
    let is_cold = |u: &&UplinkConfig| u.enabled && u.standby == Standby::Cold;
    for uplink in config.uplinks.iter().filter(is_cold) {
        let is_better = |other: &UplinkConfig| other.enabled && other.tier < uplink.tier;
        if !config.uplinks.iter().any(is_better) {
            let text = format!("the uplink \"{}\" never stands by cold", uplink.name);
            let hint = "no uplink has a lower `tier`, so it is always needed";
            warnings.add(file.place("uplink"), text, hint);
        }
    }
}

/// Uplinks with what their file says of their own checks.
fn uplinks<'a>(
    config: &'a Config,
    places: &'a Places,
) -> impl Iterator<Item = (&'a UplinkConfig, Option<&'a Place>)> {
    config.uplinks.iter().zip(places.own.iter().map(Option::as_ref))
}

/// Targets that tell less of an uplink than they seem to.
fn targets(config: &Config, places: &Places, warnings: &mut Warnings<'_>) {
    let all = places.all.as_ref().map_or(0..0, Place::targets);
    let mut is_said = false;
    for (uplink, own) in uplinks(config, places) {
        let is_own = uplink.check.targets != config.check.targets;
        let place = own.filter(|_| is_own).map_or_else(|| all.clone(), Place::targets);
        if let Some(operator) = one_operator(&uplink.check.targets)
            && (is_own || !core::mem::replace(&mut is_said, true))
        {
            let of = if is_own { format!(" of \"{}\"", uplink.name) } else { String::new() };
            let text = format!("all targets{of} belong to one operator ({operator})");
            let hint = "if it is down, every uplink looks dead; take targets of several operators";
            warnings.add(place.clone(), text, hint);
        }
        let hit = uplink.check.targets.iter().find(|t| uplink.gateway() == Some(IpAddr::V4(**t)));
        if let Some(target) = hit {
            let text = format!("the target {target} is the gateway of \"{}\"", uplink.name);
            warnings.add(place, text, "it answers even when the provider behind it is dead");
        }
    }
}

/// Targets of one uplink alone, all of which must answer: one that dies takes the uplink down.
fn lone(config: &Config, places: &Places, warnings: &mut Warnings<'_>) {
    let checks = || config.uplinks.iter().map(|uplink| &uplink.check);
    let asking = |kind, target| {
        checks().filter(|check| check.kind == kind && check.targets.contains(target)).count()
    };
    for (uplink, own) in uplinks(config, places).filter(|(uplink, _)| uplink.enabled) {
        let Some(own) = own.filter(|_| config.uplinks.len() > 1) else { continue };
        let check = &uplink.check;
        let Some(target) = check.targets.iter().find(|target| asking(check.kind, target) == 1)
        else {
            continue;
        };
        if check.required == check.targets.len() {
            let text = format!("a dead target {target} takes \"{}\" down", uplink.name);
            let hint =
                "no other uplink asks it, and all must answer; give one more than `required`";
            warnings.add(own.targets(), text, hint);
        }
    }
}

/// Uplinks among the hosts inside.
fn inside(config: &Config, file: &Section<'_>, warnings: &mut Warnings<'_>) {
    for uplink in config.uplinks.iter().filter(|u| u.enabled && config.is_inside(u)) {
        let text = format!("the uplink \"{}\" is inside, on {}", uplink.name, uplink.interface);
        let hint = "it counts as LAN: nothing that its box lets in is filtered or forwarded here";
        warnings.add(file.place("uplink"), text, hint);
        let names = |f: &&Forward| f.uplinks.as_ref().is_some_and(|all| all.contains(&uplink.name));
        if let Some(forward) = config.forwards.iter().find(names) {
            let name = &uplink.name;
            let what = forward
                .ports
                .map_or_else(|| forward.protocol.to_string(), |(first, _)| format!("port {first}"));
            let text = format!("{what} is not forwarded on \"{name}\", inside");
            warnings.add(file.place("forward"), text, "its box can forward it");
        }
    }
}

/// A pace or a patience that cannot do what is probably expected of it. What all uplinks have in common
/// is said once, of `[check]`.
fn pace(config: &Config, places: &Places, warnings: &mut Warnings<'_>) {
    let all = places.all.as_ref().map_or(0..0, |place| place.check.clone());
    let key = |check: &CheckConfig| (check.interval, check.fail_after, least_interval(check.kind));
    let mut is_said = false;
    for (uplink, own) in uplinks(config, places).filter(|(uplink, _)| uplink.enabled) {
        let is_own = key(&uplink.check) != key(&config.check);
        if !is_own && core::mem::replace(&mut is_said, true) {
            continue;
        }
        let place = own.filter(|_| is_own).map_or_else(|| all.clone(), |own| own.check.clone());
        let of = if is_own { format!("uplink \"{}\": ", uplink.name) } else { String::new() };
        for (text, hint) in
            [too_quick(&uplink.check), patience(&uplink.check)].into_iter().flatten()
        {
            warnings.add(place.clone(), format!("{of}{text}"), &hint);
        }
    }
}

/// An interval that the kind does not keep.
fn too_quick(check: &CheckConfig) -> Option<(String, String)> {
    let least = least_interval(check.kind);
    let (interval, kind) = (show(check.interval), check.kind.as_str());
    let text = format!("`interval = \"{interval}\"` is too short for kind = \"{kind}\"");
    let hint = format!(
        "it asks no more than once in {least}, as if that were the interval",
        least = show(least)
    );
    (check.interval < least).then_some((text, hint))
}

/// A patience that is too long, too short, or cannot be kept.
fn patience(check: &CheckConfig) -> Option<(String, String)> {
    let interval = check.interval.max(least_interval(check.kind));
    let silence = interval * check.fail_after;
    if silence > Duration::from_secs(60) {
        let text = format!("a dead uplink may be down only after {} s", silence.as_secs());
        let hint = "that is `fail_after` x `interval`; the defaults give 2.5 s";
        Some((text, hint.into()))
    } else if check.fail_after == 1 && interval > Duration::from_secs(1) {
        let least = interval + Duration::from_secs(1);
        let interval = show(interval);
        let text = format!("`fail_after = 1` cannot be kept at `interval = \"{interval}\"`");
        let hint = format!(
            "the next question comes an interval after the last answer; an uplink is down after {} at the \
             earliest",
            show(least)
        );
        Some((text, hint))
    } else if silence < Duration::from_secs(1) {
        let text = format!("`fail_after` x `interval` is {}", show(silence));
        let hint =
            "mobile and satellite uplinks pause for up to 2 s: below 1 s each pause takes one down";
        Some((text, hint.into()))
    } else {
        None
    }
}

/// The operator all targets belong to, if it is one and there are several targets.
fn one_operator(targets: &[Ipv4Addr]) -> Option<String> {
    let (first, rest) = targets.split_first()?;
    let operator = operator(*first);
    let all = !rest.is_empty() && rest.iter().all(|t| self::operator(*t) == operator);
    all.then_some(operator)
}

/// Who runs an address: from a short table, else its /16.
fn operator(address: Ipv4Addr) -> String {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (1, 1, 1) | (1, 0, 0) => "Cloudflare".to_owned(),
        (8, 8, 8 | 4) => "Google".to_owned(),
        (9, 9, 9) | (149, 112, 112) => "Quad9".to_owned(),
        (208, 67, 216..=223) => "OpenDNS".to_owned(),
        (94, 140, 14 | 15) => "AdGuard".to_owned(),
        _ => format!("{a}.{b}.0.0/16"),
    }
}
