//! The commands of the pages: every verb and option that is documented exists, and
//! every one that exists is documented.

use super::{blocks, pages, prose, root};
use crate::cli;
use clap::error::ErrorKind;
use std::collections::BTreeSet;

/// Commands of `rail` in a line of a shell: behind a prompt, a pipe, `sudo` or a full path.
fn commands(line: &str) -> Vec<Vec<String>> {
    let code = line.split(" #").next().unwrap_or_default();
    let parts = code.split(['|', ';']).flat_map(|part| part.split("&&"));
    // What a shell writes to a file is none of the words.
    let parts = parts.filter_map(|part| part.split(" > ").next());
    let words = |part: &str| {
        let mut words: Vec<String> = part.split_whitespace().map(Into::into).collect();
        words.retain(|word| !["$", "#", "sudo"].contains(&word.as_str()));
        words
    };
    let is_rail = |words: &Vec<String>| {
        words.first().is_some_and(|w| w == "rail" || w.ends_with("/rail")) && words.len() > 1
    };
    parts.map(words).filter(is_rail).collect()
}

/// A synopsis as commands: brackets are left off, of alternatives each is taken.
fn variants(synopsis: &str) -> Vec<String> {
    let plain = synopsis.replace(['[', ']'], "");
    let Some(word) = plain.split(' ').find(|word| word.contains('|')) else { return vec![plain] };
    word.split('|').map(|choice| plain.replacen(word, choice, 1)).collect()
}

/// Why a command is not understood; a mere name of a verb may lack what belongs to it.
fn complaint(words: &[String], is_prose: bool) -> Option<clap::Error> {
    // The word for any verb.
    let words = words.iter().map(|w| if w == "VERB" { "status" } else { w.as_str() });
    let error = cli::grammar().try_get_matches_from(words).err()?;
    let lacks =
        [ErrorKind::MissingRequiredArgument, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
    let is_name = is_prose && lacks.contains(&error.kind());
    (error.use_stderr() && !is_name).then_some(error)
}

/// Given commands that are wrong in one way each, then they are not understood.
#[test]
fn wrong_commands_are_found() {
    let words = |line: &str| commands(line).into_iter().next().unwrap_or_default();
    for line in
        ["sudo rail chekc", "$ rail status --josn", "rail why # isp1", "true; rail stop now"]
    {
        assert!(complaint(&words(line), false).is_some(), "{line}");
    }
    assert!(complaint(&words("/usr/bin/rail why isp1   # explains"), false).is_none());
    assert!(complaint(&words("rail why   # explains"), true).is_none());
}

/// Given the commands of `rail` in the blocks and in the prose, then they are understood.
#[test]
fn commands_of_the_manual_are_understood() {
    let mut seen = 0;
    for block in blocks().iter().filter(|block| block.info == "sh") {
        for command in block.text.lines().flat_map(commands) {
            if let Some(error) = complaint(&command, false) {
                panic!("{}: {error}", block.place);
            }
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} commands in blocks");
    for (page, text) in pages() {
        // A vertical line in a cell of a table is written with a backslash.
        let text = prose(&text).replace("\\|", "|");
        let spans = text.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n'));
        // These are no verbs: the daemon starts itself with such a word.
        let own = ["rail --spawner", "rail --supervisor"];
        let is_verb = |span: &&str| span.starts_with("rail ") && !own.contains(span);
        for span in spans.filter(is_verb) {
            for variant in variants(span) {
                let words: Vec<String> = variant.split_whitespace().map(Into::into).collect();
                if let Some(error) = complaint(&words, true) {
                    panic!("{page}: `{span}`: {error}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 60, "only {seen} commands");
}

/// Given the units that the installation copies, then their commands are understood and begin with
/// the place to which it copies the binary.
#[test]
fn commands_of_the_units_are_understood() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "docs/install.md").expect("it");
    assert!(page.contains("target/release/rail /usr/bin/rail\n"));
    let folder = root().join("packaging/systemd");
    let mut seen = 0;
    for unit in std::fs::read_dir(folder).expect("the units are there") {
        let unit = unit.expect("a file").path();
        let text = std::fs::read_to_string(&unit).expect("a unit can be read");
        for line in text.lines().filter(|line| line.starts_with("Exec")) {
            let (_, command) = line.split_once('=').expect("a setting");
            let words: Vec<String> = command.split_whitespace().map(Into::into).collect();
            assert_eq!(words[0], "/usr/bin/rail", "{}", unit.display());
            if let Some(error) = complaint(&words, false) {
                panic!("{}: {command}: {error}", unit.display());
            }
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

/// Given the scripts for service managers other than systemd, then their commands are understood, and a
/// shell can read them.
#[test]
fn commands_of_the_scripts_are_understood() {
    let mut seen = 0;
    for script in
        ["keep-running", "openrc/rail", "openrc/rail-guard", "procd/rail", "procd/rail-guard"]
    {
        let path = root().join("packaging").join(script);
        let read = std::process::Command::new("sh").arg("-n").arg(&path).status().expect("a shell");
        assert!(read.success(), "{script}");
        let text = std::fs::read_to_string(&path).expect("a script can be read");
        for line in text.replace("\\\n", "").lines().filter(|line| !line.starts_with('#')) {
            let Some((_, options)) = line.split_once("/usr/bin/rail ") else { continue };
            // `keep-running` adds the verb.
            let verb = if options.trim().starts_with("--") { "run " } else { "" };
            let command = format!("rail {verb}{}", options.trim_end_matches('"'));
            let words: Vec<String> = command.split_whitespace().map(Into::into).collect();
            if let Some(error) = complaint(&words, false) {
                panic!("{script}: {command}: {error}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

/// Given `docs/commands.md`, then each verb has one row, with all of its options, and each global
/// option has one.
#[test]
fn every_verb_and_option_is_documented() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "docs/commands.md").expect("it");
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let grammar = cli::grammar();
    for argument in grammar.get_arguments().filter(|a| a.is_global_set()) {
        let long = argument.get_long().expect("global options are long");
        let row = rows.iter().filter(|row| row.starts_with(&format!("--{long} "))).count();
        assert_eq!(row, 1, "--{long}");
        let default = argument.get_default_values()[0].to_string_lossy();
        let default = format!("| `{default}` |");
        let reported = rows.iter().any(|row| row.starts_with("--") && row.contains(&default));
        assert!(reported, "--{long}: {default}");
    }
    for verb in leaves(&grammar, "rail") {
        let (name, command) = verb;
        let own = |row: &&&str| row.split(['`', ' ']).zip(name.split(' ')).all(|(a, b)| a == b);
        let found: Vec<_> = rows.iter().filter(own).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let synopsis = found[0].split("` |").next().unwrap_or_default();
        let mut reported: BTreeSet<&str> =
            synopsis.split([' ', '[', ']']).filter_map(|word| word.strip_prefix("--")).collect();
        let is_own = |a: &&clap::Arg| !a.is_global_set() && a.get_id() != "help";
        for long in command.get_arguments().filter(is_own).filter_map(clap::Arg::get_long) {
            assert!(
                reported.remove(long) || long == "version",
                "{name} --{long} is not documented"
            );
        }
        assert!(reported.is_empty(), "{name}: no such options: {reported:?}");
    }
}

/// Given the options and arguments of all verbs, then their help says something, those that may be left
/// out and take a value say what holds then, and times say their range, as the page does.
#[test]
fn help_tells_ranges_and_defaults() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "docs/commands.md").expect("it");
    let mut times = 0;
    for (name, command) in leaves(&cli::grammar(), "rail") {
        let own = |a: &&clap::Arg| !a.is_global_set() && a.get_id() != "help";
        for argument in command.get_arguments().filter(own) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let is_time = argument.get_value_names().is_some_and(|names| names[0] == "TIME");
            assert!(!is_time || help.contains("1s to 24h"), "{name}: {help}");
            let is_value = argument.get_action().takes_values() && !argument.is_required_set();
            let has_default =
                !argument.get_default_values().is_empty() || help.contains("default: ");
            assert!(!is_value || has_default || name == "rail demo", "{name}: {help}");
            times += usize::from(is_time);
        }
    }
    assert!(times >= 5 && page.matches("1s to 24h").count() >= 2, "{times} times");
}

/// Verbs that do something, with their full names.
fn leaves(command: &clap::Command, name: &str) -> Vec<(String, clap::Command)> {
    let mut all = Vec::new();
    for verb in
        command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set())
    {
        let name = format!("{name} {}", verb.get_name());
        if verb.has_subcommands() {
            all.extend(leaves(verb, &name));
        } else {
            all.push((name, verb.clone()));
        }
    }
    all
}

/// Given the uses of `./dev` on the pages, then its usage text knows the verb.
#[test]
fn verbs_of_the_front_door_exist() {
    let dev = std::fs::read_to_string(root().join("dev")).expect("the front door is there");
    let usage = dev.split("TEXT").nth(1).expect("a usage text");
    let mut seen = 0;
    for (page, text) in pages() {
        for (at, _) in text.match_indices("./dev ") {
            let rest = &text[at + "./dev ".len()..];
            let verb = rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
            assert!(usage.contains(&format!("\n  {verb} ")), "{page}: ./dev {verb}");
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

/// Given the table of exit codes, then each verb has one row in it, and each row has all columns.
#[test]
fn every_verb_has_its_exit_codes() {
    let is_it = |(name, _): &(String, String)| name == "docs/commands.md";
    let (_, page) = pages().into_iter().find(is_it).expect("the page");
    let section = page.split("## Exit codes\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    let table: Vec<&str> = section.trim().lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows, table, "the table is torn");
    assert!(rows.iter().all(|row| row.matches('|').count() == 6), "{rows:#?}");
    let firsts: Vec<&str> = rows.iter().filter_map(|row| row.split('|').nth(1)).collect();
    for verb in cli::grammar().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        let named = |first: &&&str| {
            let words = first.split('`').skip(1).step_by(2);
            words.into_iter().any(|word| word == name || word.starts_with(&format!("{name} ")))
        };
        assert_eq!(firsts.iter().filter(named).count(), 1, "{name} in {firsts:?}");
    }
}
