//! Secrets in the files of children: put in where a file is written, and nowhere else.
//!
//! Promises: a file with a secret has one line, belongs to root or to whom we run as, and nobody else can
//! read it; otherwise its child is not started, and the cause names the file but nothing of its content.

use rail_core::FIRST_LINE_OF;
use rail_core::status::SECRET_FILE;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// The text with each secret in its place.
///
/// # Errors
/// A file cannot be read, is not kept secret, or does not hold one line.
pub(super) fn fill_in(text: &str) -> io::Result<String> {
    let mut out = String::new();
    for (place, part) in text.split(FIRST_LINE_OF).enumerate() {
        if place % 2 == 0 {
            out.push_str(part);
            continue;
        }
        let secret = read(part)
            .map_err(|e| io::Error::new(e.kind(), format!("{SECRET_FILE} {part}: {e}")))?;
        out.push('"');
        for c in secret.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    Ok(out)
}

fn read(path: &str) -> io::Result<String> {
    let wrong = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidData, text));
    // A pipe would make us wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return wrong("it is no file");
    }
    let me = rustix::process::geteuid().as_raw();
    if ![0, me].contains(&found.uid()) {
        return wrong("it belongs to somebody else");
    }
    if found.mode() & 0o077 != 0 {
        return wrong("others can read it; `chmod 600` helps");
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    let Ok(text) = String::from_utf8(bytes) else { return wrong("it is no text") };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.len() > 255 || line.chars().any(char::is_control) {
        return wrong("it does not hold one line of 1 to 255 bytes");
    }
    Ok(line.to_owned())
}

/// A line and its end.
const LONGEST: u64 = 257;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn file(name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rail-secret-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn filled(name: &str, content: &[u8], mode: u32) -> Result<String, String> {
        let path = file(name, content, mode);
        let text = format!("user a\npassword \u{3}{}\u{3}\n", path.display());
        let result = fill_in(&text).map_err(|e| e.to_string());
        std::fs::remove_file(path).unwrap();
        result
    }

    /// Given a file with one line that is kept secret, then that line stands in the text as one word, whatever it
    /// holds.
    #[test]
    fn a_secret_is_one_word() {
        let of = |content: &[u8]| filled("word", content, 0o600).unwrap();
        assert_eq!(of(b"swordfish"), "user a\npassword \"swordfish\"\n");
        assert_eq!(of(b"sword fish # 1\r\n"), "user a\npassword \"sword fish # 1\"\n");
        assert_eq!(of(b"a\"b\\c\n"), "user a\npassword \"a\\\"b\\\\c\"\n");
    }

    /// Given a file that others can read, that is no single line or not there, then there is no text, and the
    /// cause names the file and nothing of its content.
    #[test]
    fn what_is_no_secret_is_refused() {
        let cases: [(&[u8], u32); 7] = [
            (b"swordfish", 0o640),
            (b"swordfish", 0o604),
            (b"", 0o600),
            (b"swordfish\nplugin evil.so\n", 0o600),
            (b"sword\0fish", 0o600),
            (b"\xff\xfeswordfish", 0o600),
            (&[b'x'; 300], 0o600),
        ];
        for (n, (content, mode)) in cases.into_iter().enumerate() {
            let why = filled(&format!("refused-{n}"), content, mode).unwrap_err();
            assert!(why.starts_with("secret file /"), "{why}");
            assert!(!why.contains("sword") && !why.contains("xxx"), "{why}");
        }
        assert!(fill_in("\u{3}/nowhere/at/all\u{3}").is_err());
        assert!(fill_in("\u{3}/dev/null\u{3}").is_err());
    }
}
