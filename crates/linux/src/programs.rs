//! Where the programs are that we start, and whether `nft` is recent enough.
//!
//! Promises: one rule finds a program, so what was checked at the start is what runs later: the first
//! executable file in the absolute directories of `PATH`, then in those of the system. `nft` is
//! looked for once in the life of a process.
//! Leaves out running them: see `process`.

use crate::process::{Finished, Spawner};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::time::Duration;

/// The path of a program; `None` if there is none.
pub fn find(name: &str) -> Option<String> {
    find_in(&std::env::var("PATH").unwrap_or_default(), name)
}

/// The path of `nft`.
///
/// # Errors
/// There is none; the text says what to install.
pub fn nft() -> io::Result<&'static str> {
    static FOUND: OnceLock<String> = OnceLock::new();
    if let Some(path) = FOUND.get() {
        return Ok(path);
    }
    // starts: nft
    let Some(path) = find("nft") else {
        return Err(io::Error::new(io::ErrorKind::NotFound, MISSING));
    };
    Ok(FOUND.get_or_init(|| path))
}

/// Why `nft` cannot be used; one sentence that says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// It is missing or too old.
    Lasting(String),
    /// It did not run: the machine may have been short of time, memory or processes.
    Passing(String),
}

/// Checks that `nft` is there, runs, and knows what our rules are made of.
///
/// # Errors
/// It is not so.
pub fn check_nft(spawner: &mut Spawner) -> Result<(), Unusable> {
    let path = nft().map_err(|e| Unusable::Lasting(e.to_string()))?;
    let asked = spawner.run(&[path, "--version"], PATIENCE, 1024);
    assess(path, &asked.map_err(|e| failed(path, &e.to_string()))?)
}

/// Says whether this `nft --version` will do.
fn assess(path: &str, finished: &Finished) -> Result<(), Unusable> {
    finished.result().map_err(|e| failed(path, &e.text))?;
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    if is_recent(&said) {
        return Ok(());
    }
    let (a, b, c) = OLDEST;
    let said = said.trim();
    let text = format!("{path} is too old ({said}); install nftables {a}.{b}.{c} or later");
    Err(Unusable::Lasting(text))
}

fn failed(path: &str, why: &str) -> Unusable {
    let text = format!("{path} --version failed: {why}; if it fails again, install nftables anew");
    Unusable::Passing(text)
}

fn find_in(path: &str, name: &str) -> Option<String> {
    let directories = path.split(':').chain(DIRECTORIES).filter(|place| place.starts_with('/'));
    directories.map(|place| format!("{place}/{name}")).find(|file| {
        std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}

/// Words without a version are given the benefit of the doubt.
fn is_recent(words: &str) -> bool {
    let version = words.split_whitespace().find_map(|word| {
        let mut numbers = word.strip_prefix('v')?.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().map_or(Some(0), |number| number.parse::<u32>().ok());
        Some((next()?, next()?, next().unwrap_or(0)))
    });
    version.is_none_or(|version| version >= OLDEST)
}

/// The first with `typeof` in a map, by which the shares of the uplinks are kept.
const OLDEST: (u32, u32, u32) = (0, 9, 4);
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const PATIENCE: Duration = Duration::from_secs(5);
const MISSING: &str = "the program nft is missing; install the package nftables \
                       (apt install nftables, dnf install nftables, apk add nftables)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Status;

    /// Given each end of `nft --version`, then only a version that is too old is final.
    #[test]
    fn what_did_not_run_may_run_the_next_time() {
        let ended = |status, said: &str| {
            assess("nft", &Finished { id: 1, status, stdout: said.into(), stderr: Vec::new() })
        };
        assert_eq!(ended(Status::Exited(0), "nftables v1.0.6"), Ok(()));
        let old = ended(Status::Exited(0), "nftables v0.9.3");
        assert!(matches!(old, Err(Unusable::Lasting(_))), "{old:?}");
        let short = [Status::TimedOut, Status::Failed(11), Status::Signalled(9), Status::Exited(1)];
        for status in short {
            let result = ended(status, "");
            assert!(matches!(result, Err(Unusable::Passing(_))), "{result:?}");
        }
    }

    /// Given a directory whose file cannot be run, one that is relative, and one that is right, when
    /// a program is looked for, then the right one has it; the system's come last.
    #[test]
    fn the_first_that_can_be_run_is_taken() {
        let place = std::env::temp_dir().join(format!("rail-programs-{}", std::process::id()));
        let [bad, good] = ["bad", "good"].map(|name| place.join(name));
        for (directory, mode) in [(&bad, 0o644), (&good, 0o755)] {
            std::fs::create_dir_all(directory).unwrap();
            std::fs::write(directory.join("sh"), "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(directory.join("sh"), mode).unwrap();
        }
        let path = format!("good:{}:{}", bad.display(), good.display());
        let found = find_in(&path, "sh");
        let expected = good.join("sh").display().to_string();
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(found, Some(expected));
        assert!(["/usr/bin/sh", "/bin/sh"].contains(&find_in("", "sh").unwrap().as_str()));
        assert_eq!(find_in("", "no-such-program"), None);
    }

    /// Given what several versions say of themselves, then those before 0.9.4 are too old.
    #[test]
    fn old_versions_are_known() {
        for (words, recent) in [
            ("nftables v0.9.4 (Jive at Five)\n", true),
            ("nftables v0.9.3 (Topsy)\n", false),
            ("nftables v0.8.2 (Joe Btfsplk)\n", false),
            ("nftables v0.9 (Fearless Fosdick)\n", false),
            ("nftables v1.0.6 (Lester Gooch #5)\n", true),
            ("nftables v1.1.3 (Commodore Bullmoose #4)\n", true),
            ("nftables v2\n", true),
            ("something else\n", true),
        ] {
            assert_eq!(is_recent(words), recent, "{words}");
        }
    }
}
