//! `rail why UPLINK`: the state of one uplink explained, layer by layer, from
//! the wire up.

use super::style::{Colour, Paint, clean, long, long_ms, rtt, wrap};
use super::{children, client, complain, exit, queues, say, status};
use crate::load;
use rail_core::config::CheckKind;
use rail_core::status::{
    Conflict, Health, KeptStatus, LeaseStatus, PppStatus, ProbeCounters, RefusedCounters, Role,
    Status, TargetStatus, UplinkStatus,
};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// Explains an uplink.
pub(super) fn run(runtime_dir: &Path, name: &str) -> ExitCode {
    let status = match client::status(runtime_dir) {
        Ok(value) => match status::read(&value) {
            Ok(status) => status,
            Err(text) => {
                complain(&text);
                return exit::ERROR.into();
            }
        },
        Err(failure) => return failure.tell(),
    };
    let Some(uplink) = status.uplinks.iter().find(|u| u.name == name) else {
        if let Some(child) = status.children.iter().find(|child| child.name == name) {
            say(&children::page(child));
            return ExitCode::SUCCESS;
        }
        let names: Vec<_> = status.uplinks.iter().map(|u| u.name.as_str()).collect();
        let hint = match load::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are: {}", names.join(", ")),
        };
        complain(&format!("rail: there is no uplink \"{}\"; {}\n", clean(name), clean(&hint)));
        return exit::ERROR.into();
    };
    say(&render(&status, uplink, now_ms(), Paint::for_stdout()));
    ExitCode::SUCCESS
}

/// Milliseconds since boot, suspend included: the clock of the daemon's history.
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0)
}

/// The screen.
fn render(status: &Status, uplink: &UplinkStatus, now_ms: u64, paint: Paint) -> String {
    let mut out = String::new();
    let health = paint.paint(status::colour(uplink), uplink.health.as_str());
    let since = long(uplink.since_s);
    let cause = match uplink.cause.as_str() {
        "" => String::new(),
        cause => format!(": {}", clean(cause)),
    };
    let _ = writeln!(out, "{} has been {health} for {since}{cause}", clean(&uplink.name));
    if !uplink.description.is_empty() {
        let _ = writeln!(out, "  {}", clean(&uplink.description));
    }
    let mut page = Page { out, paint };
    let role = match status::role(uplink) {
        "-" => "none; it carries no new connections".to_owned(),
        role => format!("{role}, {} of new connections", status::share(uplink.share)),
    };
    page.layer("role", Fact::Plain, &role);
    if let Some(said) = &uplink.said {
        page.layer("by command", Fact::Plain, &said.text);
    }
    layers(&mut page, status, uplink);
    for conflict in conflicts(status, uplink) {
        let word = if conflict.certain { "conflict" } else { "conflict?" };
        page.layer(word, Fact::Plain, &conflict.sentence());
        page.layer("remedy", Fact::Plain, &conflict.remedy);
    }
    if let Some(port) =
        status.queues.iter().find(|port| port.interface.as_str() == uplink.interface)
    {
        page.layer("queues", Fact::Plain, &queues::port(port));
    }
    page.layer("verdict", Fact::Plain, verdict(status, uplink));
    for (index, deed) in uplink.history.iter().enumerate() {
        let ago = long_ms(now_ms.saturating_sub(deed.at_ms));
        let name = if index == 0 { "history" } else { "" };
        page.layer(name, Fact::Plain, &format!("{ago} ago: {}", deed.text));
    }
    if !uplink.returns.is_empty() {
        let name = if uplink.health.is_usable() { "carries" } else { "returns" };
        page.layer(name, Fact::Plain, &uplink.returns);
    }
    page.out
}

struct Page {
    out: String,
    paint: Paint,
}

impl Page {
    /// One layer.
    fn layer(&mut self, name: &str, fact: Fact, text: &str) {
        let (word, colour) = match fact {
            Fact::Good => ("ok  ", Colour::Green),
            Fact::Bad => ("FAIL", Colour::Red),
            Fact::Hidden => ("-   ", Colour::Dim),
            Fact::Plain => ("    ", Colour::Dim),
        };
        let word = self.paint.paint(colour, word);
        if text.is_empty() {
            let _ = writeln!(self.out, "{}", format!("  {name:<10} {word}").trim_end());
        }
        for (index, line) in wrap(text, 80 - 19).iter().enumerate() {
            let head = if index == 0 { format!("{name:<10} {word}") } else { " ".repeat(15) };
            let _ = writeln!(self.out, "{}", format!("  {head}  {line}").trim_end());
        }
    }
}

/// What is known of a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fact {
    Good,
    Bad,
    /// A layer below it failed: whatever was last seen of this one says nothing now.
    Hidden,
    /// No layer.
    Plain,
}

impl Fact {
    const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// What the client of an uplink with a carrier is about.
fn leased(uplink: &UplinkStatus, lease: &LeaseStatus) -> String {
    let mut text = match lease.phase.as_str() {
        "discovering" => "asks every server for an address".to_owned(),
        "requesting" => "asks for the address that was offered".into(),
        "verifying" => "asks whether the last address is still good".into(),
        // A server denied the last address, or somebody else had it.
        "waiting" => "pauses before it asks for another address".into(),
        "renewing" => "asks its server to extend the lease".into(),
        "rebinding" => "asks every server to extend the lease".into(),
        "halted" if uplink.health == Health::Disabled || uplink.cold => "asks nobody".into(),
        "halted" => format!("{} has no hardware address to ask from", uplink.interface),
        _ => "bound".to_owned(),
    };
    if let Some(server) = lease.server {
        let _ = write!(text, "; leased by {server}");
    }
    if let Some(seconds) = lease.remaining_s {
        let _ = write!(text, ", {} left", long_ms(seconds.saturating_mul(1000)));
    }
    if !lease.refused.is_empty() {
        let _ = write!(text, "; the last offer was refused: {}", lease.refused);
    }
    text
}

/// What the line of an uplink by PPP is about.
fn dialled(ppp: &PppStatus) -> String {
    let mut text = match ppp.phase.as_str() {
        "up" => "connected".to_owned(),
        "dialling" => "dials".into(),
        "resting" => "pauses before it dials again".into(),
        "hanging up" => "hangs up".into(),
        "blocked" => "does not dial: another interface has its name".into(),
        _ => "does not dial".into(),
    };
    if let Some(peer) = ppp.peer {
        let _ = write!(text, "; the other end is {peer}");
    }
    if let Some(seconds) = ppp.redial_s {
        let _ = write!(text, ", {} left", long_ms(seconds.saturating_mul(1000)));
    }
    if !ppp.cause.is_empty() {
        let _ = write!(text, "; the last time {}: {}", ppp.ended, ppp.cause);
    }
    if let Some(said) = ppp.said.last().filter(|_| ppp.phase != "up") {
        let _ = write!(text, "; its last words: {said}");
    }
    if !ppp.advice.is_empty() {
        let _ = write!(text, " (help: {})", ppp.advice);
    }
    text
}

/// What another program has configured.
fn kept_line(kept: &KeptStatus) -> String {
    match kept.missing_s {
        Some(seconds) => {
            format!(
                "{}; what was there is used on for a moment, {} so far",
                clean(&kept.read),
                long(seconds)
            )
        }
        None => clean(&kept.read),
    }
}

/// From the wire up; nothing is said of what stands above a layer that failed.
fn layers(page: &mut Page, status: &Status, uplink: &UplinkStatus) {
    if let Some(ppp) = &uplink.ppp {
        page.layer("line", Fact::of(ppp.phase == "up"), &dialled(ppp));
    }
    let carrier = match uplink.carrier {
        None if is_link_refused(status, uplink) => {
            format!("{}: no link of rail's", uplink.interface)
        }
        None if uplink.ppp.is_some() => {
            format!("{}: there only while it is connected", uplink.interface)
        }
        None => format!("{}: no such interface", uplink.interface),
        Some(false) if uplink.health == Health::NoCarrier => uplink.cause.clone(),
        Some(false) => format!("{} has no carrier", uplink.interface),
        Some(true) => uplink.interface.to_string(),
    };
    page.layer("carrier", Fact::of(uplink.carrier == Some(true)), &carrier);
    if uplink.carrier != Some(true) {
        return hidden(page, &["address", "gateway", "targets"]);
    }
    if let Some(lease) = &uplink.lease {
        page.layer("lease", Fact::of(uplink.address.is_some()), &leased(uplink, lease));
    }
    if let Some(kept) = &uplink.kept {
        page.layer("kept", Fact::of(uplink.address.is_some()), &kept_line(kept));
    }
    let address = match (uplink.address, uplink.has_address) {
        (None, _) => "none yet".to_owned(),
        (Some(address), true) => address.to_string(),
        (Some(address), false) => format!("{address} is not on the interface"),
    };
    page.layer("address", Fact::of(uplink.has_address), &address);
    if !uplink.has_address {
        return hidden(page, &["gateway", "targets"]);
    }
    let is_asked = is_arp(uplink) && !matches!(uplink.health, Health::Disabled | Health::NoWay);
    let asked = uplink.targets.first().filter(|target| is_asked && target.probes.sent > 0);
    let (fact, words) = match (asked, uplink.neighbour.as_str()) {
        // What the checks know is newer than what the kernel does.
        (Some(target), _) if target.answering => (Fact::Good, "answers ARP"),
        (Some(_), _) => (Fact::Bad, "does not answer ARP"),
        (None, "known") => (Fact::Good, "answers ARP"),
        (None, "asking") => (Fact::Plain, "is being asked by ARP"),
        (None, "failed") => (Fact::Bad, "does not answer ARP"),
        (None, _) => (Fact::Plain, "not asked yet"),
    };
    match uplink.gateway {
        Some(gateway) => page.layer("gateway", fact, &format!("{gateway} {words}")),
        None => page.layer("gateway", Fact::Plain, "none is needed"),
    }
    if uplink.targets.is_empty() {
        return hidden(page, &["targets"]);
    }
    targets(page, status, uplink);
}

fn hidden(page: &mut Page, names: &[&str]) {
    for name in names {
        page.layer(name, Fact::Hidden, "");
    }
}

fn targets(page: &mut Page, status: &Status, uplink: &UplinkStatus) {
    let counted: Vec<_> = uplink.targets.iter().filter(|t| !t.ignored).collect();
    let answering = counted.iter().filter(|t| t.answering).count();
    let is_doubted = uplink.health == Health::Suspect;
    let what = if is_doubted { "answered until a moment ago" } else { "answer" };
    let mut text = format!("{answering} of {} {what}{}", counted.len(), by(uplink));
    if is_doubted {
        text.push_str("; answers to the last probes are overdue");
    }
    let others = answered_elsewhere(status, uplink);
    if !others.is_empty() {
        let names = clean(&others.join(" and "));
        text.push_str(&format!("; the silent ones answer through {names}"));
    }
    let fact = match counted.is_empty() || is_doubted {
        true => Fact::Plain,
        false => Fact::of(answering == counted.len()),
    };
    page.layer("targets", fact, &text);
    for target in &uplink.targets {
        page.layer("", Fact::Plain, &target_line(target, is_doubted));
    }
    if let Some(rate) = uplink.limited_per_s {
        let text = format!("only {rate:.1} probes a second are answered; fewer are sent");
        page.layer("limited", Fact::Plain, &text);
    }
    if let Some(text) = refused_line(&uplink.refused) {
        page.layer("refused", Fact::Plain, &text);
    }
}

/// How its targets are asked.
fn by(uplink: &UplinkStatus) -> String {
    match (uplink.check.kind.as_str(), uplink.check.port) {
        ("", _) => String::new(),
        (kind, None) => format!(", by {}", clean(kind)),
        (kind, Some(port)) => format!(", by {} port {port}", clean(kind)),
    }
}

/// Its gateway is asked, which no other uplink has, whatever its address.
fn is_arp(uplink: &UplinkStatus) -> bool {
    uplink.check.kind == CheckKind::Arp.as_str()
}

fn target_line(target: &TargetStatus, is_doubted: bool) -> String {
    let mut text = format!("{:<15}", target.address);
    text.push_str(match (target.answering, is_doubted) {
        (true, false) => " answers",
        (true, true) => " answered",
        (false, _) => " silent",
    });
    match (target.answering, target.silent_ms) {
        (true, _) => {
            text.push_str(&target.rtt_us.map_or(String::new(), |us| format!(" in {}", rtt(us))))
        }
        (false, Some(ms)) => text.push_str(&format!(" for {}", long_ms(ms))),
        (false, None) => text.push_str(", never answered"),
    }
    if let Some(loss) = target.loss_pct {
        text.push_str(&format!(", loss {}", status::percent(loss)));
    }
    let ProbeCounters { sent, late, lost, .. } = target.probes;
    if late + lost > 0 {
        text.push_str(&format!("; of {sent} probes {lost} lost, {late} late"));
    }
    if target.ignored {
        text.push_str(", fails on every uplink and is ignored");
    }
    text
}

/// What arrived as an answer and was none.
fn refused_line(refused: &RefusedCounters) -> Option<String> {
    let reasons = [
        (refused.malformed, "malformed"),
        (refused.wrong_source, "not from a target"),
        (refused.wrong_sequence, "to no probe"),
        (refused.wrong_nonce, "with a wrong nonce"),
        (refused.wrong_interface, "to a probe of another uplink"),
        (refused.duplicate, "a second time"),
    ];
    let reported: Vec<String> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    (!reported.is_empty()).then(|| format!("rejected answers: {}", reported.join(", ")))
}

/// Targets that are silent here, as other uplinks see them.
fn seen_elsewhere<'a>(
    status: &'a Status,
    uplink: &'a UplinkStatus,
) -> impl Iterator<Item = (&'a UplinkStatus, &'a TargetStatus)> {
    let is_silent = |target: &TargetStatus| {
        uplink.targets.iter().any(|own| !own.answering && own.address == target.address)
    };
    others(status, uplink)
        .filter(move |other| !is_arp(uplink) && !is_arp(other))
        .flat_map(|other| other.targets.iter().map(move |target| (other, target)))
        .filter(move |(_, target)| is_silent(target))
}

fn others<'a>(
    status: &'a Status,
    uplink: &'a UplinkStatus,
) -> impl Iterator<Item = &'a UplinkStatus> {
    status.uplinks.iter().filter(|other| other.name != uplink.name)
}

/// Uplinks through which a target answers that is silent here.
fn answered_elsewhere<'a>(status: &'a Status, uplink: &'a UplinkStatus) -> Vec<&'a str> {
    let answers = seen_elsewhere(status, uplink).filter(|(_, target)| target.answering);
    let mut names: Vec<_> = answers.map(|(other, _)| other.name.as_str()).collect();
    names.dedup();
    names
}

/// What other software and the machine itself do to this uplink: what concerns no uplink by name is
/// shown while something is wrong.
fn conflicts<'a>(
    status: &'a Status,
    uplink: &'a UplinkStatus,
) -> impl Iterator<Item = &'a Conflict> {
    let is_ill = !matches!(uplink.health, Health::Up | Health::Disabled);
    let by_name = |c: &Conflict| !c.uplinks.is_empty();
    status
        .conflicts
        .iter()
        .filter(move |c| c.concerns(&uplink.name) && (by_name(c) || (is_ill && c.is_fatal())))
}

/// Its interface is a link of ours that there cannot be now.
fn is_link_refused(status: &Status, uplink: &UplinkStatus) -> bool {
    let link = format!("link {}", uplink.interface);
    status.trouble.iter().any(|trouble| trouble.object == link)
}

/// Where the fault is, as far as it can be seen from here.
fn verdict(status: &Status, uplink: &UplinkStatus) -> &'static str {
    match uplink.health {
        Health::Disabled if uplink.said.as_ref().is_some_and(|s| s.text == uplink.cause) => {
            "disabled by command"
        }
        Health::Disabled => "disabled in the configuration",
        Health::Up => "the uplink is good",
        Health::Held => "good again; held down until it has proved itself",
        Health::Probing => "no verdict yet; it carries traffic where nothing proven can",
        Health::Suspect if uplink.role == Role::Active => "it is found out whether it is dead",
        Health::Suspect => "new connections avoid it while it is found out whether it is dead",
        Health::Degraded => "usable, but a quality limit is exceeded",
        Health::Absent if is_link_refused(status, uplink) => {
            "something stands in the way of rail's link, or the kernel refuses it"
        }
        Health::Absent | Health::NoAddress if uplink.ppp.is_some() => {
            "not connected: the line above says why"
        }
        Health::Absent => "the interface is missing: driver, USB port, or a wrong name",
        Health::NoCarrier if uplink.link_up == Some(false) && is_link_refused(status, uplink) => {
            "the kernel refuses to set rail's link up"
        }
        Health::NoCarrier if uplink.link_up == Some(false) => {
            "the interface was set down on this system"
        }
        Health::NoCarrier => "fault in the cable, the port, or the power of the modem",
        Health::NoAddress if uplink.cold => "no fault: it waits until no better uplink is usable",
        Health::NoAddress if uplink.address.is_none() && uplink.lease.is_some() => {
            lacks(uplink.lease.as_ref().map_or("", |lease| lease.phase.as_str()))
        }
        Health::NoAddress if uplink.kept.is_some() => {
            "the program that configures the interface has set no address, or has taken it away"
        }
        Health::NoAddress => {
            "the address is not on the interface: removed on this system, or never set"
        }
        Health::NoWay if is_arp(uplink) && uplink.cause.contains("ARP") => {
            "its device does not speak ARP; take another kind of check"
        }
        Health::NoWay if uplink.kept.is_some() && uplink.address.is_none() => {
            "no gateway is known: the program that configures the interface sets no default route"
        }
        Health::NoWay => {
            "the kernel lacks a route or rule of this uplink, or another program has it"
        }
        Health::Down if conflicts(status, uplink).any(|c| c.certain && c.is_fatal()) => {
            "not the provider: the conflict above keeps the uplink from working"
        }
        Health::Down if uplink.targets.iter().any(|t| t.answering) => {
            "targets answer, but not well enough yet"
        }
        Health::Down if is_arp(uplink) => {
            "the gateway does not answer ARP: it, or the way to it, is at fault"
        }
        Health::Down if uplink.neighbour == "failed" => {
            "fault between this router and the provider's gateway"
        }
        Health::Down if !answered_elsewhere(status, uplink).is_empty() => {
            "fault beyond the gateway, in the provider's network"
        }
        Health::Down if others(status, uplink).next().is_none() => NOTHING_ANSWERS,
        Health::Down if seen_elsewhere(status, uplink).next().is_none() => {
            "nothing answers here; no other uplink asks the same targets"
        }
        Health::Down if others(status, uplink).any(|u| u.targets.iter().any(|t| t.answering)) => {
            "nothing answers here, nor do its targets answer on another uplink"
        }
        Health::Down => NOTHING_ANSWERS,
    }
}

/// What a DHCP client in this phase has not got.
fn lacks(phase: &str) -> &'static str {
    match phase {
        "bound" => "the DHCP server of the provider gives no default route",
        "halted" => "no address can be leased by this interface",
        _ => "no lease: fault in the provider's DHCP server, or on the way to it",
    }
}

const NOTHING_ANSWERS: &str = "nothing answers on any uplink: the provider, or the targets";

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
