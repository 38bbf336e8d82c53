//! `rail guard`: nothing is forwarded from boot to the first verified state.

use super::{complain, exit, say};
use rail_linux::guard::{self, Closing};
use std::process::ExitCode;

/// Closes, or opens by hand.
pub(super) fn run(open: bool) -> ExitCode {
    let done = if open {
        guard::open().map(|was| if was { "opened\n" } else { "the guard is not closed\n" })
    } else {
        guard::close().map(|closing| match closing {
            Closing::Closed => {
                "closed: nothing is forwarded until the router has verified its first state\n"
            }
            Closing::Left => "left open: the router's state is in the kernel already\n",
        })
    };
    match done {
        Ok(text) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("rail: {error}\n"));
            exit::ERROR.into()
        }
    }
}
