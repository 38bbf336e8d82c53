//! Who sits at the command line: the SSH connection of this process.
//!
//! `sudo` and `su` take the variable away that tells it, so the processes that
//! this one came from are asked, too.

use std::fs;

/// The value of `SSH_CONNECTION`, here or in the nearest ancestor that has it.
pub fn ssh_connection() -> Option<String> {
    if let Ok(own) = std::env::var("SSH_CONNECTION") {
        return Some(own);
    }
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..MOST_ANCESTORS {
        if pid <= 1 {
            return None;
        }
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if let Some(found) = find(&environment) {
            return Some(found);
        }
        pid = parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    }
    None
}

fn find(environment: &[u8]) -> Option<String> {
    let mut all = environment.split(|byte| *byte == 0);
    let value = all.find_map(|entry| entry.strip_prefix(b"SSH_CONNECTION="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// The fourth field; the second is a name in brackets that may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// A shell in a terminal in a shell ..
const MOST_ANCESTORS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given what the kernel tells of a process, then its parent and its connection are found.
    #[test]
    fn the_words_of_proc_are_understood() {
        assert_eq!(parent("12 (a ) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (a"), None);
        let environment = b"A=1\0SSH_CONNECTION=192.0.2.9 50000 192.0.2.1 22\0B=\0";
        assert_eq!(find(environment).as_deref(), Some("192.0.2.9 50000 192.0.2.1 22"));
        assert_eq!(find(b"XSSH_CONNECTION=1\0"), None);
    }
}
