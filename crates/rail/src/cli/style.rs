//! Colours, durations and text as people read them.

use crate::hidden::is_hidden;
use std::io::IsTerminal;

/// Colours of the screens.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Colour {
    Green,
    Yellow,
    Red,
    Dim,
    Bold,
}

/// Puts colours on, or does not.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// Colours only on a terminal, and not if `NO_COLOR` is set.
    pub(super) fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && wants_colour())
    }

    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Red => "31",
            Colour::Dim => "2",
            Colour::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// True if complaints may be coloured.
pub(super) fn stderr_has_colour() -> bool {
    std::io::stderr().is_terminal() && wants_colour()
}

fn wants_colour() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
    !dumb && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Text from elsewhere, without what could steer a terminal or mislead the eye.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '?' } else { c }).collect()
}

/// Seconds as `3d04h`, `2h11m`, `03:12`, at most 6 characters up to 99 days.
pub(super) fn short(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match seconds {
        0..3600 => format!("{minutes:02}:{rest:02}"),
        3600..86_400 => format!("{hours}h{minutes:02}m"),
        86_400..8_640_000 => format!("{days}d{hours:02}h"),
        _ => format!("{days}d"),
    }
}

/// Seconds as `3 m 12 s`.
pub(super) fn long(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match seconds {
        0..60 => format!("{rest} s"),
        60..3600 => format!("{minutes} m {rest} s"),
        3600..86_400 => format!("{hours} h {minutes} m"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Milliseconds as `0.3 s`, `12.0 s`, `3 m 12 s`.
pub(super) fn long_ms(ms: u64) -> String {
    if ms < 60_000 { format!("{}.{} s", ms / 1000, ms % 1000 / 100) } else { long(ms / 1000) }
}

/// `once`, `twice`, `3 times`.
pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".into(),
        2 => "twice".into(),
        _ => format!("{count} times"),
    }
}

/// Microseconds as `0.4 ms`, `11 ms`, `1.2 s`.
pub(super) fn rtt(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// At most `width` characters; what is cut off is shown by `~`.
pub(super) fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text;
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('~');
    cut
}

/// Breaks text into lines of at most `width` characters, between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let text = clean(text);
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&fit(word, width));
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Compares a screen with the expected one; `UPDATE_GOLDEN=1` rewrites it.
#[cfg(test)]
pub(super) fn golden(name: &str, expected: &str, screen: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden");
        std::fs::write(dir.join(name), screen).expect("written");
        return;
    }
    assert_eq!(screen, expected, "{name}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(short(0), "00:00");
        assert_eq!(short(192), "03:12");
        assert_eq!(short(7860), "2h11m");
        assert_eq!(short(273_600), "3d04h");
        assert_eq!(short(u64::MAX).len(), 16);
        assert_eq!(long(192), "3 m 12 s");
        assert_eq!(long_ms(12_345), "12.3 s");
        assert_eq!(rtt(412), "0.4 ms");
        assert_eq!(rtt(11_900), "11 ms");
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a?[2Jb?c");
        assert_eq!(clean("pay\u{202e}gnp.exe\u{200b}"), "pay?gnp.exe?");
        assert_eq!(fit("abcdef", 4), "abc~");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
