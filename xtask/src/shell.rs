//! Just enough shell to know which programs a script starts.
//!
//! Promises: each word in the place of a command is found, in substitutions, here and in the text
//! of `sh -c`, unless a variable names it. Leaves out backquotes, and the words that other programs
//! start (`xargs`).

use std::collections::BTreeSet;

/// A word in the place of a command, with its line from 1.
pub(crate) type Command = (usize, String);

/// The programs of a script: no keywords, no builtins, no functions of its own.
pub(crate) fn programs(script: &str) -> Vec<Command> {
    let mut scanner = Scanner::new(script, 1);
    scanner.list(None);
    let Scanner { found, functions, .. } = scanner;
    let is_program =
        |word: &str| !BUILTINS.contains(&word) && !functions.contains(word) && !word.is_empty();
    found.into_iter().filter(|(_, word)| is_program(word)).collect()
}

/// The functions that a script defines.
pub(crate) fn functions(script: &str) -> BTreeSet<String> {
    let mut scanner = Scanner::new(script, 1);
    scanner.list(None);
    scanner.functions
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    first_line: usize,
    found: Vec<Command>,
    functions: BTreeSet<String>,
    /// Ends of texts (`<<`) that begin with the next line.
    texts: Vec<String>,
}

/// What comes next in a list.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Place {
    Command,
    Argument,
    /// The pattern of a `case`.
    Pattern,
}

/// A word as it is written, without quotes.
struct Word {
    text: String,
    /// No variable, no substitution: it is what it says.
    is_fixed: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, first_line: usize) -> Self {
        let (found, texts) = (Vec::new(), Vec::new());
        Self { text: text.as_bytes(), at: 0, first_line, found, functions: BTreeSet::new(), texts }
    }

    fn line(&self) -> usize {
        self.first_line + self.text[..self.at].iter().filter(|b| **b == b'\n').count()
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Commands until `end`, which is consumed.
    fn list(&mut self, end: Option<u8>) {
        let (mut place, mut words) = (Place::Command, Vec::new());
        while !self.is_end() {
            let byte = self.peek(0);
            if Some(byte) == end && place != Place::Pattern {
                self.at += 1;
                return;
            }
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\\' if self.peek(1) == b'\n' => self.at += 2,
                b'#' => self.skip_line(),
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' => {
                    self.separator(byte, &mut place);
                    words.clear();
                }
                b'<' | b'>' => self.redirection(),
                _ => place = self.word_in_list(place, &mut words),
            }
        }
    }

    fn skip_line(&mut self) {
        while !self.is_end() && self.peek(0) != b'\n' {
            self.at += 1;
        }
    }

    fn separator(&mut self, byte: u8, place: &mut Place) {
        self.at += 1;
        match (byte, *place) {
            (b'\n', was) => {
                self.skip_texts();
                *place = if was == Place::Pattern { was } else { Place::Command };
            }
            (b';', _) if self.peek(0) == b';' => {
                self.at += 1;
                *place = Place::Pattern;
            }
            // `a | b)` and `(a)` are still the pattern.
            (b'|' | b'(', Place::Pattern) => {}
            (b'(', Place::Command) if self.peek(0) == b'(' => self.skip_past(b"))"),
            (b'(', Place::Command) => self.list(Some(b')')),
            _ => *place = Place::Command,
        }
    }

    /// The texts that were announced on the line before.
    fn skip_texts(&mut self) {
        for end in std::mem::take(&mut self.texts) {
            while !self.is_end() {
                let start = self.at;
                self.skip_line();
                let line = String::from_utf8_lossy(&self.text[start..self.at]).trim().to_owned();
                self.at += 1;
                if line == end {
                    break;
                }
            }
        }
    }

    fn skip_past(&mut self, end: &[u8]) {
        while !self.is_end() && !self.text[self.at..].starts_with(end) {
            self.at += 1;
        }
        self.at += end.len();
    }

    fn redirection(&mut self) {
        if self.peek(1) == b'(' {
            self.at += 2;
            return self.list(Some(b')'));
        }
        let is_text = self.text[self.at..].starts_with(b"<<") && self.peek(2) != b'<';
        while matches!(self.peek(0), b'<' | b'>' | b'&' | b'-' | b' ') {
            // `> >(` is a redirection into a list.
            if self.peek(0) == b'>' && self.peek(1) == b'(' {
                return;
            }
            self.at += 1;
        }
        let word = self.word();
        if is_text {
            self.texts.push(word.text);
        }
    }

    /// One word, and what may follow it.
    fn word_in_list(&mut self, place: Place, words: &mut Vec<String>) -> Place {
        let line = self.line();
        let word = self.word();
        match place {
            Place::Pattern if word.text == "esac" => Place::Command,
            Place::Pattern => Place::Pattern,
            Place::Argument => self.argument(word, line, words),
            Place::Command => self.command(word, line, words),
        }
    }

    fn argument(&mut self, word: Word, line: usize, words: &mut Vec<String>) -> Place {
        let first = words.first().map(String::as_str).unwrap_or_default();
        let last = words.last().map(String::as_str).unwrap_or_default();
        if first == "case" && word.text == "in" {
            return Place::Pattern;
        }
        if matches!(first, "sh" | "bash") && last.starts_with('-') && last.ends_with('c') {
            let mut inner = Scanner::new(&word.text, line);
            inner.list(None);
            self.found.extend(inner.found);
        }
        // `ip netns exec NAME COMMAND`
        let is_exec = words.len() >= 3 && words[words.len() - 2] == "exec" && first == "ip";
        if is_exec {
            return self.command(word, line, words);
        }
        // `readonly NAME=( .. )`
        if word.text.ends_with('=') && self.peek(0) == b'(' {
            self.array();
        }
        // `timeout -k 5 10 COMMAND`
        if first == "timeout" && word.is_fixed && word.text.starts_with(char::is_alphabetic) {
            return self.command(word, line, words);
        }
        words.push(word.text);
        Place::Argument
    }

    fn command(&mut self, word: Word, line: usize, words: &mut Vec<String>) -> Place {
        if self.peek(0) == b'(' && self.peek(1) == b')' {
            self.at += 2;
            self.functions.insert(word.text);
            return Place::Command;
        }
        if let Some((name, value)) = word.text.split_once('=')
            && name.trim_end_matches('+').bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
        {
            if value.is_empty() && self.peek(0) == b'(' {
                self.array();
            }
            return Place::Command;
        }
        // `2>file`
        if matches!(self.peek(0), b'<' | b'>') && word.text.bytes().all(|b| b.is_ascii_digit()) {
            return Place::Command;
        }
        match word.text.as_str() {
            "[[" => self.skip_past(b"]]"),
            "if" | "then" | "else" | "elif" | "do" | "while" | "until" | "!" | "{" | "}" | "fi"
            | "done" | "esac" | "exec" | "time" => return Place::Command,
            // Options of `exec` and `env`.
            text if text.starts_with('-') => return Place::Command,
            text if word.is_fixed => {
                self.found.push((line, text.to_owned()));
                if matches!(text, "env" | "sudo" | "as_root") {
                    return Place::Command;
                }
            }
            _ => {}
        }
        words.clear();
        words.push(word.text);
        Place::Argument
    }

    /// The words of `name=( .. )`.
    fn array(&mut self) {
        self.at += 1;
        while !self.is_end() {
            match self.peek(0) {
                b')' => {
                    self.at += 1;
                    return;
                }
                b' ' | b'\n' | b'\t' => self.at += 1,
                b'#' => self.skip_line(),
                _ => drop(self.word()),
            }
        }
    }

    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), is_fixed: true };
        let start = self.at;
        while !self.is_end() {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                b'\'' => {
                    let from = self.at + 1;
                    self.at = from;
                    self.skip_past(b"'");
                    let end = (self.at - 1).min(self.text.len());
                    word.text.push_str(&String::from_utf8_lossy(&self.text[from..end]));
                }
                b'"' => self.quoted(&mut word),
                b'$' => self.variable(&mut word),
                b'\\' => {
                    word.text.push(char::from(self.peek(1)));
                    self.at += 2;
                }
                byte => {
                    word.text.push(char::from(byte));
                    self.at += 1;
                }
            }
        }
        if self.at == start {
            self.at += 1;
        }
        word
    }

    fn quoted(&mut self, word: &mut Word) {
        self.at += 1;
        while !self.is_end() && self.peek(0) != b'"' {
            match self.peek(0) {
                b'$' => self.variable(word),
                b'\\' => {
                    word.text.push(char::from(self.peek(1)));
                    self.at += 2;
                }
                byte => {
                    word.text.push(char::from(byte));
                    self.at += 1;
                }
            }
        }
        self.at += 1;
    }

    /// `$name`, `${..}`, `$(..)` or `$((..))`.
    fn variable(&mut self, word: &mut Word) {
        word.is_fixed = false;
        word.text.push('$');
        match (self.peek(1), self.peek(2)) {
            (b'(', b'(') => self.skip_past(b"))"),
            (b'(', _) => {
                self.at += 2;
                self.list(Some(b')'));
            }
            (b'{', _) => self.braces(),
            _ => self.at += 1,
        }
    }

    fn braces(&mut self) {
        self.at += 2;
        while !self.is_end() && self.peek(0) != b'}' {
            match (self.peek(0), self.peek(1)) {
                (b'$', b'(') => {
                    self.at += 2;
                    self.list(Some(b')'));
                }
                (b'$', b'{') => self.braces(),
                (b'\\', _) => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
    }
}

/// What a shell does itself.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "bind", "cd", "command", "compgen", "continue", "break", "echo", "eval", "exit",
    "export", "false", "for", "case", "declare", "hash", "in", "kill", "local", "mapfile",
    "printf", "read", "readonly", "return", "select", "set", "shift", "test", "trap", "true",
    "type", "umask", "unset", "wait",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<String> {
        programs(script).into_iter().map(|(_, word)| word).collect()
    }

    /// Given functions, then those alone are told.
    #[test]
    fn functions_are_known() {
        let functions = functions("a() { b; }\nc() { :; }\n[ -e /d ] && e f()\n");
        assert!(["a", "c"].iter().all(|name| functions.contains(*name)), "{functions:?}");
        assert!(["b", "e"].iter().all(|name| !functions.contains(*name)), "{functions:?}");
    }

    /// Given each way to start a program, then its name is found, and nothing else is.
    #[test]
    fn each_place_of_a_command_is_known() {
        for (script, expected) in [
            ("a b c", "a"),
            ("a | b && c || d; e & f", "a b c d e f"),
            ("if a; then b; elif ! c; then d; else e; fi", "a b c d e"),
            ("x=1 y=\"$(a)\" b", "a b"),
            ("x=(one \"$(a)\" three)\nb", "a b"),
            ("for x in a b; do c; done | d", "c d"),
            ("while read -r x; do a; done < <(b | c)", "a b c"),
            ("case \"$x\" in a | b) c ;; (d) e ;; *) f ;; esac; g", "c e f g"),
            ("f() { a; }\nf b", "a"),
            ("a <<'TEXT' | b\nnot this\nTEXT\nc", "a b c"),
            ("a <<<\"$(b)\" >c 2>&1; d", "b a d"),
            ("$x a; \"${x:-$(b)}\" c; echo $((1 + 2)); (( x = 1 ))", "b"),
            ("[[ \"$x\" =~ ^(a)$ ]] && b # c", "b"),
            ("exec env -i A=b a; bash -c 'b | c'; ip netns exec n d", "env a b c bash ip d"),
            ("( a; b ) | { c; }", "a b c"),
            ("a \\\n    b\nc", "a c"),
            ("readonly x=(a:b c:d); exec 2>&1; timeout -k 5 \"$x\" a b", "timeout a"),
        ] {
            let mut found = words(script);
            let mut expected: Vec<String> = expected.split(' ').map(str::to_owned).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{script}");
        }
    }

    /// Given a program on the third line, then that is its line.
    #[test]
    fn lines_count_from_one() {
        assert_eq!(programs("echo\n\na\n"), [(3, "a".to_owned())]);
    }
}
