//! Characters that people do not see, or that make them see something else than is there: they may
//! stand neither in the configuration nor on a screen or in the log.

/// True for control characters, for those that turn the direction of writing (so that text reads
/// otherwise than it is), and for those without width.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

    /// Given text that turns, that has no width or that steers a terminal, then it is hidden; what
    /// any language writes is not.
    #[test]
    fn what_people_write_is_not_hidden() {
        for c in "\u{202e}\u{202a}\u{2066}\u{2069}\u{200b}\u{200f}\u{feff}\u{1b}\n\u{ad}".chars() {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in "Büro – L'Été, №1 שלום 東京 العربية 🛰 \u{a0}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
    }
}
