//! `rail import`: the configuration of another program as one of ours, on standard output.

use super::{complain, exit, say, style};
use crate::{import, load};
use std::path::Path;
use std::process::ExitCode;

/// Converts a file of fault_tolerant_router.
pub(super) fn fault_tolerant_router(path: &Path) -> ExitCode {
    let is_styled = style::stderr_has_colour();
    // An interface of this machine may know a prefix length that the file does not say.
    let here = rail_linux::netlink::addresses().unwrap_or_default();
    let name = path.display().to_string();
    let source = load::read_text(path).map_err(|unread| unread.report);
    match source.and_then(|source| import::fault_tolerant_router(&name, &source, &here)) {
        Ok(imported) => {
            for warning in &imported.warnings {
                complain(warning.render(is_styled));
            }
            if say(&imported.text) { ExitCode::SUCCESS } else { exit::ERROR.into() }
        }
        Err(report) => {
            complain(report.render(is_styled));
            exit::ERROR.into()
        }
    }
}
