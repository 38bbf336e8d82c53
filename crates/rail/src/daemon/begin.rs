//! Which configuration a start begins with: the reading around the core's choice.

use super::RunOptions;
use super::keeper::{self, Validated};
use super::setup::Failure;
use rail_core::config::Config;
use rail_core::notice::{Notice, RevisionNews, Severity};
use rail_core::revision::{Kept, Origin, Over, Revisions, TORN, Trial, Version, at_start};
use rail_core::status::Source;
use rail_core::time::Duration;
use rail_linux::{clock, revision};

/// What a start begins with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) config: Config,
    pub(super) revisions: Revisions,
    pub(super) notices: Vec<Notice>,
}

/// Reads the file and what was kept, and chooses.
pub(super) fn begin(options: &RunOptions, boot_id: &str) -> Result<Begun, Failure> {
    let path = &options.config;
    let mut file = keeper::read(path);
    for _ in 0..ATTEMPTS {
        if !file.as_ref().is_err_and(|bad| bad.may_pass) {
            break;
        }
        clock::wait(BETWEEN_ATTEMPTS);
        file = keeper::read(path);
    }
    let (kept, problems) = revision::load(&options.state_dir);
    let validate = |text: &str| keeper::validate(path, text.to_owned()).ok();
    let text = file.as_ref().ok().map(|valid| valid.version.text.as_str());
    let now = clock::now();
    let choice = at_start(now, boot_id, text, &kept, &|text| validate(text).is_some());
    let mut notices: Vec<Notice> =
        problems.into_iter().map(|text| Notice::daemon(Severity::Warn, text)).collect();
    let is_torn = choice.as_ref().is_some_and(|choice| choice.source == Source::LastGood);
    let (problem, bad) = match file {
        Ok(_) if is_torn => (Some(format!("{}: {TORN}", path.display())), None),
        Ok(_) => (None, None),
        Err(bad) => (Some(bad.problem.clone()), Some(bad)),
    };
    let chosen = choice.and_then(|choice| {
        let valid = validate(&choice.text)?;
        let back = choice.back.as_deref().and_then(validate);
        Some((choice, valid, back))
    });
    let Some((choice, valid, back)) = chosen else {
        return Err(match bad {
            Some(bad) if bad.may_pass => Failure::Passing(bad.problem),
            Some(bad) => Failure::Config(bad.report),
            None => Failure::Passing("the configuration could not be chosen".into()),
        });
    };
    match (choice.source, &problem) {
        (Source::LastGood, Some(problem)) => {
            notices.push(RevisionNews::LastGood { problem: problem.clone() }.into());
        }
        (Source::File, _) => notices.extend(valid.notices.iter().cloned()),
        _ => {}
    }
    notices.extend(choice.over.map(|over| reported(over, kept.trial.as_ref())));
    let config = valid.version.config.clone();
    let revisions = revisions(kept, valid, back, choice.source, problem);
    Ok(Begun { config, revisions, notices })
}

fn revisions(
    kept: Kept,
    valid: Validated,
    back: Option<Validated>,
    source: Source,
    problem: Option<String>,
) -> Revisions {
    let origin = Origin { wall: clock::wall(), by: "the file".into(), how: "start".into() };
    let now = clock::now();
    let begin = |good: Version, problem| Revisions::begin(now, good, origin, kept.history, problem);
    match (source, kept.trial, back) {
        (Source::Trial, Some(trial), Some(back)) => {
            let mut revisions = begin(back.version, problem);
            revisions.tried(trial, valid.version);
            revisions
        }
        _ => begin(valid.version, problem),
    }
}

fn reported(over: Over, trial: Option<&Trial>) -> Notice {
    match over {
        Over::Confirmed => {
            let by = trial.map_or_else(String::new, |trial| trial.origin.by.clone());
            Notice::Revision(RevisionNews::Confirmed { by })
        }
        Over::TakenBack => {
            let why = "nobody confirmed it before the restart";
            Notice::Revision(RevisionNews::TakenBack { why: why.into() })
        }
    }
}

/// What is wrong with a file for a moment, because somebody writes it, is over in this time.
const ATTEMPTS: u32 = 10;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);
