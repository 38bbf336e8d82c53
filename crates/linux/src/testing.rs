//! For tests: a network namespace of one's own.

/// Runs `test` in a thread that is alone in a new network namespace with `lo` up. The namespace
/// ends with the thread.
///
/// # Panics
/// When `test` does, or without root.
#[expect(unsafe_code, reason = "rustix declares unshare unsafe because of CLONE_FILES")]
pub(crate) fn in_new_netns<F: FnOnce() + Send + 'static>(test: F) {
    let thread = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this thread changes; the file table stays shared.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
            .expect("these tests need root");
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these words.
///
/// # Panics
/// When it fails.
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs `nft` with these words.
///
/// # Panics
/// When it fails.
pub(crate) fn nft(words: &str) {
    run("nft", words);
}

fn run(program: &str, words: &str) {
    // starts: ip, nft
    let out = std::process::Command::new(program).args(words.split(' ')).output().unwrap();
    assert!(out.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&out.stderr));
}
