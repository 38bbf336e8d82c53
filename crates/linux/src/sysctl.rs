//! Kernel settings below `/proc/sys`.
//!
//! Promises: a path can never lead out of `/proc/sys/net`; a setting that has the
//! value already is not written. Leaves out which settings exist and why: that
//! is the core's table. `/proc/sys/net` shows the network namespace of the
//! calling thread.

use rail_core::state::OpError;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// No setting that we read or write is longer.
const LONGEST: usize = 4096;

/// Reads a setting without its line end; several values are separated by a tab.
///
/// # Errors
/// A bad path, or the kernel's refusal.
pub fn read(path: &str) -> Result<String, OpError> {
    let full = full_path(path)?;
    // The kernel gives a setting as a whole to the first reading. All are read four times a second, so
    // neither the size is asked for nor the end.
    let mut text = [0; LONGEST];
    let length = fs::File::open(full).and_then(|mut file| file.read(&mut text));
    let length = length.map_err(|e| op_error(path, &e))?;
    Ok(String::from_utf8_lossy(&text[..length]).trim_end().into())
}

/// Writes a setting unless it has that value already.
///
/// # Errors
/// A bad path or value, or the kernel's refusal.
pub fn write(path: &str, value: &str) -> Result<(), OpError> {
    if read(path).is_ok_and(|now| now == value) {
        return Ok(());
    }
    let full = full_path(path)?;
    if value.len() > LONGEST || value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err(bad("the value of a setting is one line of text"));
    }
    let written = fs::OpenOptions::new()
        .write(true)
        .open(full)
        .and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()));
    written.map_err(|e| op_error(path, &e))
}

/// `/proc/sys/PATH`, of the network; every part is a plain name, so nothing climbs out.
fn full_path(path: &str) -> Result<PathBuf, OpError> {
    if !path.starts_with("net/") {
        return Err(bad("not a setting of the network"));
    }
    let mut full = PathBuf::from("/proc/sys");
    for part in path.split('/') {
        let plain = !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            return Err(bad("not a path below /proc/sys"));
        }
        full.push(part);
    }
    Ok(full)
}

fn bad(text: &str) -> OpError {
    OpError { errno: libc::EINVAL, text: text.into() }
}

fn op_error(path: &str, e: &io::Error) -> OpError {
    let errno = e.raw_os_error().unwrap_or(0);
    let text = match errno {
        libc::EROFS => format!("/proc/sys/{path} is mounted read-only; make it writable"),
        libc::ENOENT => format!("this kernel or namespace has no setting {path}"),
        _ => e.to_string(),
    };
    OpError { errno, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;

    #[test]
    fn paths_cannot_climb_out() {
        for path in [
            "",
            "/",
            "../kernel",
            "kernel/core_pattern",
            "net",
            "net/../../etc",
            "net//ipv4",
            "a b",
            "net/.",
        ] {
            assert_eq!(read(path).unwrap_err().errno, libc::EINVAL, "{path:?}");
        }
        assert_eq!(write("net/ipv4/ip_forward", "1\n0").unwrap_err().errno, libc::EINVAL);
    }

    #[test]
    fn a_setting_is_read_written_and_kept() {
        in_new_netns(|| {
            let path = "net/ipv4/fib_multipath_hash_policy";
            write(path, "1").unwrap();
            assert_eq!(read(path).unwrap(), "1");
            write(path, "1").unwrap();
            assert_eq!(read("net/ipv4/conf/nosuch0/rp_filter").unwrap_err().errno, libc::ENOENT);
            assert_ne!(write(path, "banana").unwrap_err().errno, 0);
        });
    }
}
