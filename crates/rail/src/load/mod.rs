//! Reads the configuration file.
//!
//! Owns the way from text to [`Config`]: syntax, keys, units, defaults, and
//! whether the parts agree. Promises: every problem of a file is reported at once,
//! with its place; any text at all gives a `Config` or a [`Report`], never a
//! panic. Leaves out: what is on the system (an interface may appear later).

mod addresses;
mod advise;
mod allow;
mod check;
mod ddns;
mod dhcp;
mod effective;
mod forward;
mod keep;
mod keys;
mod kind;
mod link;
mod network;
mod notify;
mod performance;
mod ppp;
mod reader;
mod report;
mod router;
mod service;
mod translation;
mod unit;
mod uplink;
mod validate;
mod web;

pub(crate) use effective::{effective, quoted};
pub(crate) use keys::nearest;
pub(crate) use kind::{ProbeCost, probe_cost, shown as shown_kind};
pub(crate) use reader::shown;
pub(crate) use report::{MOST_SHOWN, Problem, Report, Warning, warnings};
pub(crate) use unit::{parse_duration, show_size};
pub(crate) use web::why_no_url;

use rail_core::config::Config;
use reader::{Reader, Section};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::de::DeTable;

/// Reads the file at `path`.
///
/// # Errors
/// Everything that is wrong with it, or why it could not be read.
pub(crate) fn read_file(path: &Path) -> Result<(Config, Vec<Warning>), Report> {
    let source = read_text(path).map_err(|unread| unread.report)?;
    load(path, &source)
}

/// Why a file could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unread {
    /// For people.
    pub(crate) report: Report,
    /// Another attempt may find it well.
    pub(crate) may_pass: bool,
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// Why it could not be read.
pub(crate) fn read_text(path: &Path) -> Result<String, Unread> {
    let name = path.display().to_string();
    let bytes = read_whole(path).map_err(|error| Unread {
        report: Report::whole_file(&name, format!("the file cannot be read: {error}")),
        may_pass: !is_lasting(&error),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let (line, column) = report::place(&before, valid);
        let text = format!("the file is not UTF-8 text, from line {line} column {column} on");
        Unread { report: Report::whole_file(&name, text), may_pass: false }
    })
}

/// True if nothing but somebody's hand makes it another.
pub(crate) fn is_lasting(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
        PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };
    let lasting = [
        AlreadyExists,
        InvalidFilename,
        InvalidInput,
        IsADirectory,
        NotADirectory,
        NotFound,
        PermissionDenied,
        ReadOnlyFilesystem,
        Unsupported,
    ];
    lasting.contains(&error.kind())
}

/// Reads a file that nobody writes meanwhile: half of one may be good, and mean something else.
/// (One that is replaced by renaming another is whole either way.)
fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let before = file.metadata()?;
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let after = file.metadata()?;
    let is_same = (before.len(), before.modified()?) == (after.len(), after.modified()?);
    if is_same || !before.is_file() {
        return Ok(bytes);
    }
    Err(std::io::Error::other("it changed while it was read; try again when it is written"))
}

/// Reads `source`, the content of the file at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(path: &Path, source: &str) -> Result<(Config, Vec<Warning>), Report> {
    let name = path.display().to_string();
    if let Some(report) = unfit(&name, source) {
        return Err(report);
    }
    let (root, syntax) = DeTable::parse_recoverable(source);
    let mut reader = Reader { broken: !syntax.is_empty(), ..Reader::default() };
    let file = Section { path: "", table: root.get_ref(), span: 0..0 };
    let config = walk(&mut reader, &file);
    if let Some(report) = not_toml(&name, source, &syntax) {
        return Err(report);
    }
    let mut problems = merge(source, &syntax, reader.errors);
    let spans: Vec<_> = problems.iter().filter(|p| !p.yields).map(|p| p.span.clone()).collect();
    problems.retain(|problem| !problem.yields || !spans.contains(&problem.span));
    match config {
        Some((config, places)) if problems.is_empty() => {
            advise::advise(&config, &places, &file, &mut reader.warnings);
            Ok((config, warnings(&name, source, &reader.warnings)))
        }
        _ => Err(Report::new(&name, source, &problems)),
    }
}

/// Why a text is no configuration in any language.
pub(crate) fn unfit(name: &str, source: &str) -> Option<Report> {
    let text = if source.len() > MOST_BYTES {
        "the file is larger than 1 MB; a configuration is a few kB"
    } else if source.contains('\0') {
        "the file contains zero bytes; this is no text"
    } else {
        return None;
    };
    Some(Report::whole_file(name, text.to_owned()))
}

/// `None` only together with a noted problem.
fn walk(reader: &mut Reader, file: &Section<'_>) -> Option<(Config, advise::Places)> {
    reader.check_keys(file);
    let router = router::router(reader, file);
    let log = router::log(reader, file);
    let lan = router::lan(reader, file);
    let networks = network::networks(reader, file, lan);
    let firewall = router::firewall(reader, file);
    let balance = router::balance(reader, file, firewall.mode);
    let ranges = router::ranges(reader, file);
    let check = check::check(reader, file);
    let uplinks = uplink::uplinks(reader, file, &check.config);
    let translations = translation::translations(reader, file, &uplinks);
    let forwards = forward::forwards(reader, file, &uplinks);
    let performance = performance::performance(reader, file);
    let notify = notify::notify(reader, file);
    let ddns = ddns::ddns(reader, file, &uplinks);
    validate::agree(
        reader,
        file,
        &validate::Parts {
            networks: &networks,
            mode: firewall.mode,
            ranges: &ranges,
            uplinks: &uplinks,
            targets: &check.targets,
            forwards: &forwards,
        },
    );
    service::agree(reader, &networks, &uplinks, firewall.mode);
    let networks = network::finish(networks)?;
    let own = uplinks.iter().map(|uplink| uplink.check.place.clone()).collect();
    let places = advise::Places { all: check.place, own };
    let mut uplinks = uplinks.into_iter().map(uplink::Draft::finish).collect::<Option<Vec<_>>>()?;
    addresses::add_translated(&mut uplinks, &networks);
    let config = Config {
        router,
        log,
        networks,
        firewall,
        balance,
        ranges,
        check: check.config,
        uplinks,
        translations,
        forwards: forwards.into_iter().map(|forward| forward.value).collect(),
        performance,
        notify,
        ddns,
    };
    Some((config, places))
}

/// Syntax and meaning in one list, in the order of the file. What is said of the
/// meaning of a line whose syntax is broken is left out: it would mislead.
fn merge(source: &str, syntax: &[toml::de::Error], meaning: Vec<Problem>) -> Vec<Problem> {
    // Looked up, not searched: a damaged file can have a fault at every byte.
    let starts: Vec<usize> =
        std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |at: usize| starts.partition_point(|start| *start <= at).saturating_sub(1);
    let mut broken = Vec::new();
    let mut all = Vec::new();
    for error in syntax {
        let span = error.span().unwrap_or(0..0);
        let line = line_of(span.start);
        broken.push(line);
        let mut problem = Problem::new(span, format!("syntax: {}", error.message()));
        if all.len() < MOST_SHOWN
            && let Some(hint) = syntax_hint(&source[starts[line]..], &problem.message)
        {
            problem.hint(hint);
        }
        all.push(problem);
    }
    broken.sort_unstable();
    let sound = |p: &Problem| broken.binary_search(&line_of(p.span.start)).is_err();
    all.extend(meaning.into_iter().filter(sound));
    all.sort_by_key(|p| p.span.start);
    all.dedup();
    all
}

/// A file in another language has a fault in every line; one sentence says more.
fn not_toml(name: &str, source: &str, syntax: &[toml::de::Error]) -> Option<Report> {
    let lines = || source.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let is_yaml = |line: &&str| {
        let key = line.strip_prefix("- ").unwrap_or(line).split(':').next().unwrap_or("");
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'');
        line.contains(':') && !key.is_empty() && key.chars().all(is_word)
    };
    let is_uci =
        |line: &&str| ["config ", "option ", "list "].iter().any(|word| line.starts_with(word));
    let most = |is_it: &dyn Fn(&&str) -> bool| lines().filter(is_it).count() * 2 > lines().count();
    let language = if syntax.is_empty() || lines().any(|line| line.starts_with("[[")) {
        return None;
    } else if source.trim_start().starts_with('{') {
        "JSON"
    } else if most(&is_uci) {
        "UCI, as OpenWrt has it"
    } else if lines().count() > 1 && most(&is_yaml) {
        "YAML"
    } else {
        return None;
    };
    let first = source.find(|c: char| !c.is_whitespace()).unwrap_or(0);
    let text = format!("this is not TOML; it looks like {language}");
    let mut problem = Problem::new(first..source.len(), text);
    let is_theirs = language == "YAML" && lines().any(|line| line.starts_with("downlinks:"));
    problem.hint(match is_theirs {
        true => {
            "a file of fault_tolerant_router: `rail import fault_tolerant_router FILE` converts it"
        }
        false => "`rail generate-config FILE` writes an example to start from",
    });
    Some(Report::new(name, source, &[problem]))
}

/// What is usually meant by the usual mistakes.
fn syntax_hint(line: &str, message: &str) -> Option<&'static str> {
    let line = line.lines().next()?;
    if message.contains("recurs") {
        return Some("nothing here needs to be nested that deep");
    }
    if line.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        return Some("these are typographic quotes; write \" instead");
    }
    if line.matches('"').count() % 2 == 1 && message.contains("expected `\"`") {
        return Some("the closing quote is missing");
    }
    if message.contains("duplicate key") {
        return Some("this key or table was given before; [[uplink]] makes a new uplink each time");
    }
    if line.contains(": ") && !line.contains('=') {
        return Some("keys and values are separated by `=`, not by `:`");
    }
    let (_, value) = line.split_once('=')?;
    if value.trim_start().starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some("texts, addresses and values with a unit stand in quotes: \"200ms\"");
    }
    None
}

/// Larger files are refused.
const MOST_BYTES: usize = 1_000_000;

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
