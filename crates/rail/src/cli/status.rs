//! `rail status`: one screen of 80 columns, and the exit code for scripts.

use super::client;
use super::style::{Colour, Paint, clean, fit, long, rtt, short, wrap};
use super::{complain, exit, say};
use rail_core::status::{Health, Role, SelfStatus, Status, UplinkStatus};
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
    loop {
        let (text, code) = match client::status(runtime_dir) {
            Ok(value) => match read(&value) {
                Ok(status) if as_json => (as_lines(&value, watch), exit_code(&status)),
                Ok(status) => (render(&status, Paint::for_stdout()), exit_code(&status)),
                Err(text) => {
                    complain(&text);
                    return exit::ERROR.into();
                }
            },
            Err(failure) if !watch => return failure.tell(),
            Err(failure) => {
                failure.tell();
                (String::new(), exit::NO_DAEMON)
            }
        };
        let before = if clear { "\x1b[H\x1b[2J" } else { "" };
        if !say(&format!("{before}{text}")) || !watch {
            return code.into();
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

/// 0 all good, 1 degraded, 2 no usable uplink.
fn exit_code(status: &Status) -> u8 {
    let enabled: Vec<_> = status.uplinks.iter().filter(|u| u.health != Health::Disabled).collect();
    let only_inbound = enabled.iter().all(|u| u.role == Role::Inbound);
    let carries = |u: &&&UplinkStatus| only_inbound || u.role != Role::Inbound;
    if !enabled.iter().filter(carries).any(|u| u.health.is_usable()) {
        return exit::NO_UPLINK;
    }
    let is_good = |u: &&UplinkStatus| matches!(u.health, Health::Up | Health::Probing);
    let is_whole = status.trouble.is_empty() && !status.guarded;
    if enabled.iter().all(is_good) && is_whole { 0 } else { exit::ERROR }
}

/// The screen.
fn render(status: &Status, paint: Paint) -> String {
    let mut out = String::new();
    let settled = if status.settled { "settled" } else { "working" };
    let head = format!(
        "rail  {}   up {}   config #{}   {settled}",
        fit(&status.router, 32),
        short(status.uptime_s),
        status.generation
    );
    let _ = writeln!(out, "{}", paint.paint(Colour::Bold, &head));
    let _ = writeln!(
        out,
        "{:<12} {:<10} {:<7} {:>6} {:<15} {:>7} {:>5} {:>5} {:>5}",
        "UPLINK", "STATE", "ROLE", "SINCE", "ADDRESS", "RTT", "JIT", "LOSS", "SHARE"
    );
    for uplink in &status.uplinks {
        row(&mut out, uplink, paint);
    }
    for instance in &status.vrrp {
        let _ = writeln!(out, "vrrp {:<12} {}", fit(&instance.name, 12), clean(&instance.state));
    }
    remarks(&mut out, status, paint);
    out
}

fn row(out: &mut String, uplink: &UplinkStatus, paint: Paint) {
    let state = paint.paint(colour(uplink.health), &format!("{:<10}", uplink.health.as_str()));
    let role = match uplink.health {
        Health::Disabled => "-",
        _ => uplink.role.as_str(),
    };
    let line = format!(
        "{:<12} {state} {role:<7} {:>6} {:<15} {:>7} {:>5} {:>5} {:>5}",
        fit(&uplink.name, 12),
        short(uplink.since_s),
        fit(&uplink.address.address.to_string(), 15),
        uplink.rtt_us.map_or("-".to_owned(), rtt),
        uplink.jitter_us.map_or("-".to_owned(), jitter),
        uplink.loss_pct.map_or("-".to_owned(), percent),
        share(uplink.share),
    );
    let _ = writeln!(out, "{}", line.trim_end());
    let notes = [uplink.cause.as_str(), uplink.description.as_str()];
    let note = notes.iter().filter(|n| !n.is_empty()).copied().collect::<Vec<_>>().join("; ");
    for line in wrap(&note, 80 - 13) {
        let _ = writeln!(out, "{:13}{}", "", paint.paint(Colour::Dim, &line));
    }
}

/// What a human should look at, below the table.
fn remarks(out: &mut String, status: &Status, paint: Paint) {
    if status.guarded {
        let text = "the boot guard forwards nothing until the first state is verified; by hand it \
                    opens with `rail guard --open`";
        remark(out, &paint.paint(Colour::Red, "closed    "), text);
    }
    for trouble in &status.trouble {
        let word = if trouble.contested { "contested" } else { "refused" };
        let text = format!("{}: {}", trouble.object, trouble.text);
        let next = format!(
            "next attempt in {}.{} s",
            trouble.retry_ms / 1000,
            trouble.retry_ms % 1000 / 100
        );
        remark(out, &paint.paint(Colour::Red, &format!("{word:<10}")), &format!("{text}; {next}"));
    }
    for conflict in &status.conflicts {
        let (colour, word) = match conflict.certain {
            true => (Colour::Red, "conflict  "),
            false => (Colour::Yellow, "conflict? "),
        };
        let text = format!("{}: {}: {}", conflict.owner, conflict.object, conflict.effect);
        remark(out, &paint.paint(colour, word), &text);
        remark(out, "          ", &format!("remedy: {}", conflict.remedy));
    }
    for what in &status.unread {
        remark(out, &paint.paint(Colour::Yellow, "unread    "), what);
    }
    for object in &status.foreign {
        let text = format!("{object} is in our ranges, not ours, and left alone");
        remark(out, &paint.paint(Colour::Yellow, "foreign   "), &text);
    }
    for target in &status.blamed {
        let text = format!("target {target} fails on every uplink and is not counted");
        remark(out, &paint.paint(Colour::Yellow, "ignored   "), &text);
    }
    if status.repairs > 0 {
        let text = format!("{} objects put back since the start", status.repairs);
        remark(out, "repairs   ", &text);
    }
    if let Some(text) = own_trouble(&status.own) {
        remark(out, &paint.paint(Colour::Yellow, "self      "), &text);
    }
}

/// What was wrong with the daemon itself in the last minutes.
fn own_trouble(own: &SelfStatus) -> Option<String> {
    let lately = |ago: Option<u64>| ago.filter(|seconds| *seconds < LATELY_S).map(long);
    let late = lately(own.late_ago_s).map(|ago| {
        let worst = rtt(own.lag_worst_us);
        format!("woke up {} times late, at worst by {worst}, last {ago} ago", own.late)
    });
    let overrun = lately(own.netlink.overrun_ago_s).map(|ago| {
        let times = own.netlink.overruns;
        format!(
            "lost notifications of the kernel {times} times, last {ago} ago, and read all again"
        )
    });
    let all: Vec<String> = late.into_iter().chain(overrun).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn remark(out: &mut String, word: &str, text: &str) {
    for (index, line) in wrap(text, 80 - 11).iter().enumerate() {
        let word = if index == 0 { word } else { "          " };
        let _ = writeln!(out, "{word} {line}");
    }
}

pub(super) fn colour(health: Health) -> Colour {
    match health {
        Health::Up => Colour::Green,
        Health::Probing | Health::Degraded | Health::Held => Colour::Yellow,
        Health::Disabled => Colour::Dim,
        Health::Absent | Health::NoCarrier | Health::NoAddress | Health::Down => Colour::Red,
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

/// What the daemon suffered longer ago is history.
const LATELY_S: u64 = 300;

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
