//! `rail status`: one screen of 80 columns, more where the terminal is wider, and the exit
//! code for scripts.

use super::children::{self, Remark};
use super::client;
use super::headline::headline;
use super::queues;
use super::rates::{Rates, bits};
use super::style::{Colour, Paint, clean, fit, long, rtt, short, times, wrap};
use super::{complain, exit, say};
use rail_core::status::{Health, NotifierStatus, Role, SelfStatus, Source, Status, UplinkStatus};
use serde_json::Value;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

/// Prints the status; with `watch` again every second.
pub(super) fn run(runtime_dir: &Path, as_json: bool, watch: bool) -> ExitCode {
    let clear = watch && !as_json && std::io::stdout().is_terminal();
    let mut columns = Columns::for_stdout();
    loop {
        let (text, code) = match client::status(runtime_dir) {
            Ok(value) => match read(&value) {
                Ok(status) if as_json => (as_lines(&value, watch), exit_code(&status).into()),
                Ok(status) => {
                    columns.refresh();
                    (render(&status, Paint::for_stdout(), &columns), exit_code(&status).into())
                }
                Err(text) => {
                    complain(&text);
                    return exit::ERROR.into();
                }
            },
            Err(failure) if !watch => return failure.tell(),
            Err(failure) => (String::new(), failure.tell()),
        };
        let before = if clear { "\x1b[H\x1b[2J" } else { "" };
        if !say(&format!("{before}{text}")) || !watch {
            return code;
        }
        sleep(Duration::from_secs(1));
    }
}

/// The snapshot as a typed value.
///
/// # Errors
/// A sentence, when the daemon is of an incompatible version.
pub(super) fn read(value: &Value) -> Result<Status, String> {
    serde_json::from_value(value.clone())
        .map_err(|e| format!("rail: the daemon speaks another version: {e}\n"))
}

fn as_lines(value: &Value, compact: bool) -> String {
    let text = if compact { Ok(value.to_string()) } else { serde_json::to_string_pretty(value) };
    format!("{}\n", text.unwrap_or_else(|_| value.to_string()))
}

/// True if it can carry new connections: it is usable or, as the least bad, carries them all.
pub(super) fn can_carry(uplink: &UplinkStatus) -> bool {
    let is_least_bad = uplink.health == Health::Held && uplink.role == Role::Active;
    uplink.health.is_usable() || is_least_bad
}

/// True if an uplink can carry new connections; where all are inbound, if one of those can.
pub(super) fn has_usable_uplink(status: &Status) -> bool {
    let enabled = || status.uplinks.iter().filter(|u| u.health != Health::Disabled);
    // If the file has others, and they are disabled, then nothing carries new connections.
    let only_inbound = status.uplinks.iter().all(|u| u.role == Role::Inbound);
    enabled().any(|u| (only_inbound || u.role != Role::Inbound) && can_carry(u))
}

/// 0 all good, 1 degraded, 2 no usable uplink.
fn exit_code(status: &Status) -> u8 {
    if !has_usable_uplink(status) {
        return exit::NO_UPLINK;
    }
    let is_wanted = |u: &&UplinkStatus| u.health != Health::Disabled && !u.cold;
    let enabled: Vec<_> = status.uplinks.iter().filter(is_wanted).collect();
    let is_good = |u: &&UplinkStatus| matches!(u.health, Health::Up | Health::Probing);
    let is_whole = status.trouble.is_empty()
        && !status.guarded
        && !status.children.iter().any(children::is_amiss)
        && status.configuration.source != Source::LastGood;
    if enabled.iter().all(is_good) && is_whole { 0 } else { exit::ERROR }
}

/// What fits beside the 80 columns that are always there.
#[derive(Default)]
struct Columns {
    /// Tier and interface.
    place: bool,
    /// What the interface carries.
    rates: Option<Rates>,
}

impl Columns {
    fn for_stdout() -> Self {
        let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
        let rates = (width >= WIDTH_WITH_RATES).then(Rates::begin);
        Self { place: width >= WIDTH_WITH_PLACE, rates }
    }

    fn refresh(&mut self) {
        if let Some(rates) = &mut self.rates {
            rates.update();
        }
    }

    fn head(&self) -> String {
        let mut head = String::new();
        if self.place {
            let _ = write!(head, " {:>4} {:<15}", "TIER", "INTERFACE");
        }
        if self.rates.is_some() {
            let _ = write!(head, " {:>6} {:>6}", "RX b/s", "TX b/s");
        }
        head
    }

    fn row(&self, uplink: &UplinkStatus) -> String {
        let mut row = String::new();
        if self.place {
            let tier = uplink.tier.map_or("-".to_owned(), |tier| tier.to_string());
            let _ = write!(row, " {tier:>4} {:<15}", fit(&uplink.interface.to_string(), 15));
        }
        if let Some(rates) = &self.rates {
            let (rx, tx) = match rates.of(uplink.interface.as_str()) {
                Some((rx, tx)) => (bits(rx), bits(tx)),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let _ = write!(row, " {rx:>6} {tx:>6}");
        }
        row
    }
}

/// The screen.
fn render(status: &Status, paint: Paint, columns: &Columns) -> String {
    let mut out = String::new();
    let (colour, sentence) = headline(status);
    for line in wrap(&sentence, 80) {
        let _ = writeln!(out, "{}", paint.paint(colour, &line));
    }
    let state = if status.settled { "in sync" } else { "applying" };
    let _ = writeln!(
        out,
        "{}, uptime {}, configuration {}, {state}",
        fit(&status.router, 32),
        short(status.uptime_s),
        status.generation
    );
    let head = format!(
        "{:<12} {:<10} {:<7} {:>6} {:<15} {:>6} {:>6} {:>5} {:>5}",
        "UPLINK", "STATE", "ROLE", "SINCE", "ADDRESS", "RTT", "JITTER", "LOSS", "SHARE"
    );
    let _ = writeln!(out, "{}", paint.paint(Colour::Bold, &(head + &columns.head())));
    for uplink in &status.uplinks {
        row(&mut out, uplink, paint, columns);
    }
    for instance in &status.vrrp {
        let _ = writeln!(out, "vrrp {:<12} {}", fit(&instance.name, 12), clean(&instance.state));
    }
    remarks(&mut out, status, paint);
    out
}

fn row(out: &mut String, uplink: &UplinkStatus, paint: Paint, columns: &Columns) {
    let state = paint.paint(colour(uplink), &format!("{:<10}", uplink.health.as_str()));
    let line = format!(
        "{:<12} {state} {:<7} {:>6} {:<15} {:>6} {:>6} {:>5} {:>5}{}",
        fit(&uplink.name, 12),
        role(uplink),
        short(uplink.since_s),
        fit(&uplink.address.map_or("-".to_owned(), |own| own.address.to_string()), 15),
        uplink.rtt_us.map_or("-".to_owned(), rtt),
        uplink.jitter_us.map_or("-".to_owned(), jitter),
        loss(uplink),
        share(uplink.share),
        columns.row(uplink),
    );
    let _ = writeln!(out, "{}", line.trim_end());
    // Of a disabled one the cause says it.
    let said = uplink.said.as_ref().filter(|said| said.text != uplink.cause);
    let said = said.map_or("", |said| said.text.as_str());
    let limited = uplink.limited_per_s.map(|rate| format!("probes limited to {rate:.1}/s"));
    let limited = limited.unwrap_or_default();
    let notes = [uplink.cause.as_str(), said, limited.as_str(), uplink.description.as_str()];
    let note = notes.iter().filter(|n| !n.is_empty()).copied().collect::<Vec<_>>().join("; ");
    for line in wrap(&note, 80 - 13) {
        let _ = writeln!(out, "{:13}{}", "", paint.paint(Colour::Dim, &line));
    }
}

/// A standby is something that could take over: one that cannot be used is none.
pub(super) fn role(uplink: &UplinkStatus) -> &'static str {
    match uplink.role {
        _ if uplink.health == Health::Disabled => "-",
        Role::Standby if !uplink.health.is_usable() && !uplink.cold => "-",
        role => role.as_str(),
    }
}

/// Of an uplink that is silent all is lost, whatever the long window still remembers.
fn loss(uplink: &UplinkStatus) -> String {
    let is_silent = uplink.health == Health::Down && uplink.targets.iter().all(|t| !t.answering);
    let loss = if is_silent { Some(100.0) } else { uplink.loss_pct };
    loss.map_or("-".to_owned(), percent)
}

/// What a human should look at, below the table.
fn remarks(out: &mut String, status: &Status, paint: Paint) {
    if status.guarded {
        let text = "boot guard closed: forwarding is blocked until the first state is verified; \
                    `rail guard --open` lifts the block";
        remark(out, &paint.paint(Colour::Red, "closed    "), text);
    }
    configuration(out, status, paint);
    for trouble in &status.trouble {
        if trouble.retry_ms == 0 && !trouble.contested {
            let text = format!("{}: {}; left alone until it goes", trouble.object, trouble.text);
            remark(out, &paint.paint(Colour::Red, "occupied  "), &text);
            continue;
        }
        let word = if trouble.contested { "contested" } else { "refused" };
        let text = format!("{}: {}", trouble.object, trouble.text);
        let next = match trouble.retry_ms {
            0 => "in place now".into(),
            ms => format!("next attempt in {}.{} s", ms / 1000, ms % 1000 / 100),
        };
        remark(out, &paint.paint(Colour::Red, &format!("{word:<10}")), &format!("{text}; {next}"));
    }
    for conflict in &status.conflicts {
        let (colour, word) = match conflict.certain {
            true => (Colour::Red, "conflict  "),
            false => (Colour::Yellow, "conflict? "),
        };
        remark(out, &paint.paint(colour, word), &conflict.sentence());
        remark(out, "          ", &format!("remedy: {}", conflict.remedy));
    }
    for what in &status.unread {
        remark(out, &paint.paint(Colour::Yellow, "unread    "), what);
    }
    for child in &status.children {
        let Remark { colour, word, text } = children::remark(child);
        let word = format!("{word:<10}");
        remark(out, &colour.map_or(word.clone(), |colour| paint.paint(colour, &word)), &text);
    }
    if !status.queues.is_empty() {
        remark(out, "queues    ", &queues::line(&status.queues));
    }
    for object in &status.foreign {
        let text = format!("{object}: not created by rail but inside its ranges; ignored");
        remark(out, &paint.paint(Colour::Yellow, "foreign   "), &text);
    }
    for target in &status.ignored {
        let text = format!("target {target} fails on every uplink and is not counted");
        remark(out, &paint.paint(Colour::Yellow, "ignored   "), &text);
    }
    if let Some(notifier) = &status.notifier {
        told(out, notifier, paint);
    }
    if status.repairs > 0 {
        remark(out, "repairs   ", &format!("{} since the start", status.repairs));
    }
    if let Some(text) = own_trouble(&status.own) {
        remark(out, &paint.paint(Colour::Yellow, "self      "), &text);
    }
}

/// Who is not told as he should be.
fn told(out: &mut String, notifier: &NotifierStatus, paint: Paint) {
    let mut remark = |word: &str, text: &str| {
        remark(out, &paint.paint(Colour::Yellow, &format!("{word:<10}")), text);
    };
    for target in &notifier.targets {
        let mut parts = Vec::new();
        if target.queued > 0 {
            parts.push(format!("{} waiting", target.queued));
        }
        if target.dropped > 0 {
            parts.push(format!("{} dropped", target.dropped));
        }
        let next = target.next_s.filter(|seconds| *seconds > 0);
        parts.extend(next.map(|seconds| format!("next attempt in {}", long(seconds))));
        parts.extend(target.error.clone());
        if !parts.is_empty() {
            remark("notify", &format!("{}: {}", target.name, parts.join("; ")));
        }
    }
    if let Some(error) = &notifier.error {
        remark("notify", &format!("messages are kept in memory alone: {error}"));
    }
    for name in &notifier.names {
        if let Some(error) = &name.error {
            remark("ddns", &format!("{}: {error}", name.hostname));
        }
    }
}

/// Where the configuration in force is not the file's.
fn configuration(out: &mut String, status: &Status, paint: Paint) {
    let configuration = &status.configuration;
    if let Some(problem) = &configuration.problem {
        let taken = match configuration.taken.as_str() {
            "" => String::new(),
            wall => format!(" of {wall}"),
        };
        let text = format!(
            "{problem}; the last good configuration{taken} is in force until the file is repaired"
        );
        remark(out, &paint.paint(Colour::Red, "last good "), &text);
    }
    if let Some(trial) = &configuration.trial {
        let text = format!(
            "the configuration of {} is taken back in {} unless you `rail confirm` it",
            configuration.by,
            long(trial.left_s)
        );
        remark(out, &paint.paint(Colour::Yellow, "on trial  "), &text);
    }
}

/// What was wrong with the daemon itself in the last minutes.
fn own_trouble(own: &SelfStatus) -> Option<String> {
    let lately = |ago: Option<u64>| ago.filter(|seconds| *seconds < LATELY_S).map(long);
    let late = lately(own.late_ago_s).map(|ago| {
        let worst = rtt(own.lag_worst_us);
        format!("event loop delayed {}, at worst by {worst}, last {ago} ago", times(own.late))
    });
    let overrun = lately(own.netlink.overrun_ago_s).map(|ago| {
        let overruns = times(own.netlink.overruns);
        format!("kernel notifications lost {overruns}, last {ago} ago; everything was read again")
    });
    // Without a number there is no daemon, but a picture of one.
    let normal =
        (own.pid != 0 && !own.realtime).then(|| "runs without real-time scheduling".into());
    let all: Vec<String> = normal.into_iter().chain(late).chain(overrun).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn remark(out: &mut String, word: &str, text: &str) {
    for (index, line) in wrap(text, 80 - 11).iter().enumerate() {
        let word = if index == 0 { word } else { "          " };
        let _ = writeln!(out, "{word} {line}");
    }
}

pub(super) fn colour(uplink: &UplinkStatus) -> Colour {
    match uplink.health {
        _ if uplink.cold => Colour::Dim,
        Health::Up => Colour::Green,
        Health::Probing | Health::Suspect | Health::Degraded | Health::Held => Colour::Yellow,
        Health::Disabled => Colour::Dim,
        Health::Absent | Health::NoCarrier | Health::NoAddress | Health::NoWay | Health::Down => {
            Colour::Red
        }
    }
}

/// Milliseconds without the unit.
fn jitter(us: u64) -> String {
    match us {
        0..100_000 => format!("{}.{}", us / 1000, us % 1000 / 100),
        _ => (us / 1000).to_string(),
    }
}

pub(super) fn percent(pct: f64) -> String {
    if pct >= 10.0 { format!("{pct:.0}%") } else { format!("{pct:.1}%") }
}

pub(super) fn share(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Columns that a terminal needs for tier and interface, and for the rates as well.
const WIDTH_WITH_PLACE: u16 = 101;
const WIDTH_WITH_RATES: u16 = 115;

/// What the daemon suffered longer ago is history.
const LATELY_S: u64 = 300;

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::fixture;
