//! Values with a unit: durations, sizes, percentages. A bare number is an
//! error that names the units.

use super::reader::{Node, Reader, Section, shown};
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

impl Reader {
    /// A duration within `bounds`; `None` when it is not one.
    pub(super) fn duration(
        &mut self,
        node: Node<'_>,
        key: &str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text =
            self.with_unit(node, key, "a duration", "\"200ms\", \"3s\", \"5m\" or \"1h\"")?;
        let Some(duration) = parse_duration(text) else {
            self.error(node.span(), format!("`{key}`: \"{}\" is no duration", shown(text)))
                .hint("a whole number and a unit (ms, s, m, h): \"200ms\", \"3s\", \"5m\", \"1h\"");
            return None;
        };
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = (show(*bounds.start()), show(*bounds.end()));
        self.error(node.span(), format!("`{key}` must be between {least} and {most}"));
        None
    }

    /// A duration of `section` within `bounds`, or its default.
    pub(super) fn duration_or(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        section.get(key).and_then(|node| self.duration(node, key, bounds)).unwrap_or(default)
    }

    /// A size in bytes within `bounds`, or its default.
    pub(super) fn size_or(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(node) = section.get(key) else { return default };
        let Some(text) = self.with_unit(node, key, "a size", "\"500kB\", \"1MB\" or \"10GB\"")
        else {
            return default;
        };
        let Some(size) = parse_size(text) else {
            self.error(node.span(), format!("`{key}`: \"{}\" is no size", shown(text)))
                .hint("a whole number and a unit (kB, MB, GB): \"500kB\", \"1MB\", \"10GB\"");
            return default;
        };
        if !bounds.contains(&size) {
            let (least, most) = (show_size(*bounds.start()), show_size(*bounds.end()));
            self.error(node.span(), format!("`{key}` must be between {least} and {most}"));
        }
        size
    }

    /// A percentage, 0 to 100.
    pub(super) fn percent_or(&mut self, section: &Section<'_>, key: &str, default: u8) -> u8 {
        let Some(node) = section.get(key) else { return default };
        let Some(text) = self.with_unit(node, key, "a percentage", "\"20%\"") else {
            return default;
        };
        let number = text.strip_suffix('%').and_then(digits).filter(|n| *n <= 100);
        let Some(percent) = number.and_then(|n| u8::try_from(n).ok()) else {
            self.error(node.span(), format!("`{key}`: \"{}\" is no percentage", shown(text)))
                .hint("a whole number from 0 to 100 and the sign: \"20%\"");
            return default;
        };
        percent
    }

    fn with_unit<'a>(
        &mut self,
        node: Node<'a>,
        key: &str,
        what: &str,
        examples: &str,
    ) -> Option<&'a str> {
        if let DeValue::Integer(_) | DeValue::Float(_) = node.get_ref() {
            let text = format!("`{key}` is {what} and needs a unit");
            self.error(node.span(), text).hint(format!("write {examples}, in quotes"));
            return None;
        }
        self.text(node, key, &format!("{what} such as {examples}"))
    }
}

/// Writes a duration as the file does, in the largest unit that fits.
pub(super) fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// Writes a size as the file does.
pub(crate) fn show_size(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1_000_000_000) => format!("{}GB", bytes / 1_000_000_000),
        _ if bytes.is_multiple_of(1_000_000) => format!("{}MB", bytes / 1_000_000),
        _ if bytes.is_multiple_of(1000) => format!("{}kB", bytes / 1000),
        _ => format!("{bytes}B"),
    }
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor).map(Duration::from_millis)
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((digits(&text[..end])?, &text[end..]))
}

/// A number of plain digits only: no sign, no space.
pub(super) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_round_trip_and_need_units() {
        for text in ["200ms", "3s", "5m", "1h", "90s", "0s"] {
            assert_eq!(parse_duration(text).map(show).as_deref(), Some(text));
        }
        for text in ["", "s", "5", "5 s", "-5s", "5.5s", "5d", "99999999999999999999s", "1h5m"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("18446744073709551615h"), None);
        for text in ["1MB", "500kB", "10GB", "7B"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Some(text));
        }
        assert_eq!(parse_size("5m"), None);
    }
}
