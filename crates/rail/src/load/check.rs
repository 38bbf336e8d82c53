//! `[check]`: how lines are probed and judged.

use super::reader::{At, Reader, Section, shown};
use super::uplink::is_host;
use rail_core::config::{CheckConfig, Limit, LossLimits};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The checks, the targets with their places.
pub(super) struct Draft {
    pub(super) targets: Vec<At<Ipv4Addr>>,
    config: CheckConfig,
}

impl Draft {
    pub(super) fn finish(mut self) -> CheckConfig {
        if !self.targets.is_empty() {
            self.config.targets = self.targets.into_iter().map(|t| t.value).collect();
        }
        self.config
    }
}

/// Resolvers of four different operators.
pub(super) const DEFAULT_TARGETS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(208, 67, 222, 222),
];

pub(super) fn check(reader: &mut Reader, file: &Section<'_>) -> Draft {
    let Some(section) = reader.table(file, "check", "check") else {
        return Draft { targets: Vec::new(), config: defaults() };
    };
    let mut config = defaults();
    let _only_icmp = reader.word(
        &section,
        "kind",
        &[("icmp", ())],
        &["arp", "tcp", "dns", "http", "bfd", "command"],
    );
    let targets = targets(reader, &section);
    let count = if targets.is_empty() { config.targets.len() } else { targets.len() };
    config.required = required(reader, &section, count);
    let ms = Duration::from_millis;
    let bounds = ms(10)..=ms(60_000);
    config.interval = reader.duration_or(&section, "interval", bounds, config.interval);
    let bounds = ms(10)..=ms(30_000);
    config.timeout = reader.duration_or(&section, "timeout", bounds, config.timeout);
    config.fail_after = reader.integer_or(&section, "fail_after", 1..=100, config.fail_after);
    config.recover_after =
        reader.integer_or(&section, "recover_after", 1..=1000, config.recover_after);
    let bounds = ms(0)..=ms(24 * 3_600_000);
    config.stable_for = reader.duration_or(&section, "stable_for", bounds, config.stable_for);
    config.loss = loss(reader, &section, config.loss);
    config.latency = limit(reader, &section, "latency", "check.latency");
    config.jitter = limit(reader, &section, "jitter", "check.jitter");
    Draft { targets, config }
}

fn defaults() -> CheckConfig {
    CheckConfig {
        targets: DEFAULT_TARGETS.to_vec(),
        required: 2,
        interval: Duration::from_millis(200),
        timeout: Duration::from_millis(500),
        fail_after: 4,
        recover_after: 10,
        stable_for: Duration::ZERO,
        loss: LossLimits { degraded_pct: 10, down_pct: 40, recovered_pct: 5 },
        latency: None,
        jitter: None,
    }
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

fn required(reader: &mut Reader, section: &Section<'_>, targets: usize) -> usize {
    let default = targets.min(2);
    let Some(node) = section.get("required") else { return default };
    let Some(required) = reader.integer(node, "required", 1..=u32::MAX) else { return default };
    let required = usize::try_from(required).unwrap_or(usize::MAX);
    if required > targets {
        let place = section.place("targets");
        let text = format!("`required` is {required}, but there are only {targets} targets");
        let problem = reader.error(node.span(), text);
        problem.hint("no uplink could ever be up");
        if section.get("targets").is_some() {
            problem.also(&place, "the targets");
        }
        return default;
    }
    required
}

fn loss(reader: &mut Reader, parent: &Section<'_>, default: LossLimits) -> LossLimits {
    let Some(section) = reader.table(parent, "loss", "check.loss") else { return default };
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
