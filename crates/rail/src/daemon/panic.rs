//! A defect in any thread ends the process.
//!
//! A helper thread that is gone would be missed by nobody: the state would not be
//! written any more, dead connections not be removed. A new process adopts what
//! is in the kernel, and has all its threads.

use std::panic::{set_hook, take_hook};

/// From now on a panic ends the process with code 101, after its report.
pub(super) fn end_the_process() {
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const INSIDE: &str = "RAIL_TEST_PANIC";

    /// Given a process with the hook, when a thread that nobody waits for panics, then the process
    /// ends with code 101, and has said why.
    #[test]
    fn a_panic_in_a_thread_ends_the_process() {
        if std::env::var_os(INSIDE).is_some() {
            super::end_the_process();
            let thread = std::thread::spawn(|| panic!("planted"));
            while !thread.is_finished() {
                std::thread::yield_now();
            }
            // The process should not be here any more.
            std::process::exit(0);
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["daemon::panic::tests::a_panic_in_a_thread_ends_the_process", "--exact"]);
        let output = again.arg("--nocapture").env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{said}");
        assert!(said.contains("planted"), "{said}");
    }
}
