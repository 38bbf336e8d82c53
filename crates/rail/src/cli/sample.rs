//! `rail generate-config`: a commented sample that `rail check` accepts.

use super::{complain, exit, say};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

/// Writes the sample; never over an existing file.
pub(super) fn run(path: &Path) -> ExitCode {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(SAMPLE.as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => {
            say(&format!("wrote {}; adapt it, then: rail check\n", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let words = match error.kind() {
                ErrorKind::AlreadyExists => "exists already and is left alone".to_owned(),
                _ => error.to_string(),
            };
            complain(&format!("rail: {}: {words}\n", path.display()));
            exit::ERROR.into()
        }
    }
}

const SAMPLE: &str = include_str!("sample.toml");
