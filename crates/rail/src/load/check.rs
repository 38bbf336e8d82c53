//! `[check]`: how uplinks are probed, and when they are down.

use super::reader::{At, Reader, Section, shown};
use rail_core::config::{CheckConfig, CheckKind, Damping, Degraded, Limit, LossLimits};
use rail_core::net::is_host;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// The checks as far as they could be understood.
#[derive(Clone)]
pub(super) struct Draft {
    /// Those that the file names here, with their places.
    pub(super) targets: Vec<At<Ipv4Addr>>,
    /// Where they stand; `None`: nowhere, all is as elsewhere.
    pub(super) place: Option<Place>,
    pub(super) config: CheckConfig,
}

/// Where checks stand in the file.
#[derive(Clone)]
pub(super) struct Place {
    /// The table.
    pub(super) check: Range<usize>,
    targets: Option<Range<usize>>,
}

impl Place {
    /// Of the targets, or of the table that has none.
    pub(super) fn targets(&self) -> Range<usize> {
        self.targets.clone().unwrap_or_else(|| self.check.clone())
    }
}

/// Resolvers of four different operators.
pub(super) const DEFAULT_TARGETS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(208, 67, 222, 222),
];

/// `[check]`.
pub(super) fn check(reader: &mut Reader, file: &Section<'_>) -> Draft {
    match reader.table(file, "check", "check") {
        Some(section) => read(reader, &section, defaults(), Of::All),
        None => Draft { targets: Vec::new(), place: None, config: defaults() },
    }
}

/// `check` of an uplink: what is not said there is as in `[check]`.
pub(super) fn of_uplink(reader: &mut Reader, uplink: &Section<'_>, all: &CheckConfig) -> Draft {
    match reader.table(uplink, "check", "uplink.check") {
        Some(section) => read(reader, &section, all.clone(), Of::Uplink),
        None => Draft { targets: Vec::new(), place: None, config: all.clone() },
    }
}

/// Whose checks they are.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Of {
    All,
    Uplink,
}

impl Of {
    /// The path of a table below.
    const fn path(self, all: &'static str, uplink: &'static str) -> &'static str {
        match self {
            Self::All => all,
            Self::Uplink => uplink,
        }
    }
}

fn read(reader: &mut Reader, section: &Section<'_>, all: CheckConfig, of: Of) -> Draft {
    let mut config = super::kind::read(reader, section, all);
    // Its kind refuses the key, whatever it says.
    let has_targets = config.kind != CheckKind::Arp;
    let targets = if has_targets { targets(reader, section) } else { Vec::new() };
    if !targets.is_empty() {
        config.targets = targets.iter().map(|target| target.value).collect();
    }
    config.required = required(reader, section, &config, of);
    let ms = Duration::from_millis;
    let bounds = ms(10)..=ms(60_000);
    config.interval = reader.duration_or(section, "interval", bounds, config.interval);
    let bounds = ms(10)..=ms(30_000);
    config.timeout = reader.duration_or(section, "timeout", bounds, config.timeout);
    config.fail_after = reader.integer_or(section, "fail_after", 1..=100, config.fail_after);
    config.recover_after =
        reader.integer_or(section, "recover_after", 1..=1000, config.recover_after);
    let bounds = ms(0)..=ms(24 * 3_600_000);
    config.stable_for = reader.duration_or(section, "stable_for", bounds, config.stable_for);
    let path = of.path("check.damping", "uplink.check.damping");
    config.damping = damping(reader, section, config.damping, path);
    config.loss = loss(reader, section, config.loss, of.path("check.loss", "uplink.check.loss"));
    let path = of.path("check.latency", "uplink.check.latency");
    config.latency = limit(reader, section, "latency", path).or(config.latency);
    let path = of.path("check.jitter", "uplink.check.jitter");
    config.jitter = limit(reader, section, "jitter", path).or(config.jitter);
    let words = [("avoid", Degraded::Avoid), ("use", Degraded::Use)];
    config.degraded = reader.word(section, "degraded", &words, &[]).unwrap_or(config.degraded);
    let named = section.get("targets").map(Spanned::span);
    let place = Place { check: section.span.clone(), targets: named };
    Draft { targets, place: Some(place), config }
}

/// The default checks.
pub(super) fn defaults() -> CheckConfig {
    CheckConfig::of(DEFAULT_TARGETS.to_vec())
}

fn targets(reader: &mut Reader, section: &Section<'_>) -> Vec<At<Ipv4Addr>> {
    let Some(node) = section.get("targets") else { return Vec::new() };
    let nodes = reader.list(node, "targets", "a list of addresses");
    if nodes.is_empty() && node.get_ref().is_array() {
        reader
            .error(node.span(), "`targets` is empty: no uplink could be checked")
            .hint("leave the key out for the default targets");
    }
    if nodes.len() > MOST_TARGETS {
        let text = format!("more than {MOST_TARGETS} targets ({})", nodes.len());
        reader.error(node.span(), text).hint("three or four of different operators are enough");
        return Vec::new();
    }
    let mut found: Vec<At<Ipv4Addr>> = Vec::new();
    for node in nodes {
        let Some(text) = reader.text(node, "targets", "a list of addresses in quotes") else {
            continue;
        };
        match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(target)) if !is_host(target) => {
                reader.error(node.span(), format!("{target} cannot be the address of a host"));
            }
            Ok(IpAddr::V4(target)) => {
                if let Some(first) = found.iter().find(|t| t.value == target) {
                    let text = format!("the target {target} is listed twice");
                    reader.error(node.span(), text).also(&first.span, "first here");
                }
                found.push(At { value: target, span: node.span() });
            }
            Ok(IpAddr::V6(_)) => {
                reader.later(node.span(), "an IPv6 target");
            }
            Err(_) => {
                reader
                    .error(node.span(), format!("target \"{}\" is no address", shown(text)))
                    .hint("names are not resolved (no server can be asked on a dead uplink); write addresses");
            }
        }
    }
    found
}

fn required(reader: &mut Reader, section: &Section<'_>, config: &CheckConfig, of: Of) -> usize {
    let targets = config.asked();
    let most = if of == Of::All { 2 } else { config.required };
    let default = targets.min(most);
    let Some(node) = section.get("required") else { return default };
    let Some(required) = reader.integer(node, "required", 1..=u32::MAX) else { return default };
    let required = usize::try_from(required).unwrap_or(usize::MAX);
    if required > targets {
        let place = section.place("targets");
        let many = if targets == 1 {
            "is only 1 target".into()
        } else {
            format!("are only {targets} targets")
        };
        let text = format!("`required` is {required}, but there {many}");
        let problem = reader.error(node.span(), text);
        problem.hint("no uplink could ever be up");
        if section.get("targets").is_some() {
            problem.also(&place, "the targets");
        }
        return default;
    }
    required
}

fn damping(
    reader: &mut Reader,
    parent: &Section<'_>,
    default: Option<Damping>,
    path: &'static str,
) -> Option<Damping> {
    let Some(section) = reader.table(parent, "damping", path) else { return default };
    let default = default.unwrap_or(Damping::DEFAULT);
    let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let damping = Damping {
        half_life: reader.duration_or(&section, "half_life", bounds, default.half_life),
        suppress: reader.integer_or(&section, "suppress", 1..=1000, default.suppress),
        reuse: reader.integer_or(&section, "reuse", 1..=1000, default.reuse),
    };
    let Damping { suppress, reuse, .. } = damping;
    if reuse > suppress {
        let text = format!("`reuse` ({reuse}) must not be greater than `suppress` ({suppress})");
        reader.error(section.span.clone(), text);
    } else if suppress >= damping.ceiling() {
        let most = damping.ceiling();
        let text = format!("`suppress` ({suppress}) must be less than 16 x `reuse` ({most})");
        let hint = "a penalty grows no further than that: nothing would ever be held back";
        reader.error(section.span.clone(), text).hint(hint);
    }
    Some(damping)
}

fn loss(
    reader: &mut Reader,
    parent: &Section<'_>,
    default: LossLimits,
    path: &'static str,
) -> LossLimits {
    let Some(section) = reader.table(parent, "loss", path) else { return default };
    let loss = LossLimits {
        degraded_pct: reader.percent_or(&section, "degraded", default.degraded_pct),
        down_pct: reader.percent_or(&section, "down", default.down_pct),
        recovered_pct: reader.percent_or(&section, "recovered", default.recovered_pct),
    };
    let ordered = loss.recovered_pct < loss.degraded_pct && loss.degraded_pct < loss.down_pct;
    if !ordered {
        let text = format!(
            "loss limits must grow: recovered ({}%) < degraded ({}%) < down ({}%)",
            loss.recovered_pct, loss.degraded_pct, loss.down_pct
        );
        reader.error(section.span.clone(), text);
    }
    loss
}

/// `latency` and `jitter`; `recovered` is three quarters of `degraded` unless given.
fn limit(
    reader: &mut Reader,
    parent: &Section<'_>,
    key: &str,
    path: &'static str,
) -> Option<Limit> {
    let section = reader.table(parent, key, path)?;
    let bounds = Duration::from_millis(1)..=Duration::from_secs(30);
    let Some(node) = section.get("degraded") else {
        reader.missing(&section, "degraded", "\"200ms\"");
        return None;
    };
    let degraded = reader.duration(node, "degraded", bounds.clone())?;
    let default = Duration::from_millis(1).max(degraded * 3 / 4);
    // Whole milliseconds, so that it can be written in the file.
    let default = Duration::from_millis(u64::try_from(default.as_millis()).unwrap_or(1));
    let recovered = reader.duration_or(&section, "recovered", bounds, default);
    if recovered > degraded {
        let text = "`recovered` must not be greater than `degraded`";
        reader.error(section.place("recovered"), text);
    }
    Some(Limit { degraded, recovered })
}

const MOST_TARGETS: usize = 16;
