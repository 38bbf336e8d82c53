//! What an imported file means, and what no file can bring about.

use super::*;
use rail_core::config::{BalanceBy, Config, NetworkKind, Reach, Tier};
use rail_lab::Random;
use std::net::Ipv4Addr;

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    std::fs::read_to_string(folder.join(name)).expect("a sample")
}

/// Imports a file without faults, and reads the outcome.
fn imported(source: &str) -> (Config, Imported) {
    let imported =
        fault_tolerant_router("f", source, &[]).unwrap_or_else(|report| panic!("{report}"));
    let text = &imported.text;
    let (config, _) =
        load::load(Path::new("f.toml"), text).unwrap_or_else(|r| panic!("{r}\n{text}"));
    (config, imported)
}

fn refused(source: &str) -> String {
    match fault_tolerant_router("f", source, &[]) {
        Ok(imported) => panic!("not refused:\n{}", imported.text),
        Err(report) => report.to_string(),
    }
}

/// One uplink with these keys besides, and these lines behind.
fn file(keys: &str, more: &str) -> String {
    format!(
        "uplinks:\n- interface: eth1\n  type: static\n  ip: 198.51.100.2\n  gateway: 198.51.100.1\n  \
         description: Provider One\n{keys}downlinks:\n  lan: eth0\n{more}"
    )
}

/// Given the sample, then its uplinks keep names, weights and groups, the ppp one is followed, and
/// targets and quorum are theirs.
#[test]
fn the_sample_keeps_its_meaning() {
    let (config, _) = imported(&sample("sample.conf"));
    let rows: Vec<_> = config
        .uplinks
        .iter()
        .map(|u| (u.name.as_str(), u.ifname.to_string(), u.weight, u.tier))
        .collect();
    let expected = [
        ("fibre-north", "eth1".to_owned(), 1, Tier::Number(1)),
        ("cable-south", "eth2".to_owned(), 2, Tier::Number(1)),
        ("mobile", "ppp0".to_owned(), 1, Tier::Number(2)),
    ];
    assert_eq!(rows, expected);
    assert!(config.uplinks[2].is_kept());
    assert_eq!(config.uplinks[0].description, "Fibre North");
    assert_eq!(config.check.required, 4);
    assert_eq!(config.check.targets.len(), 6);
    assert_eq!(config.check.targets[0], Ipv4Addr::new(192, 0, 2, 53));
    assert_eq!(config.balance, BalanceBy::ClientServer);
    assert_eq!((config.log.max_size_bytes, config.log.keep), (1_024_000, 10));
    // Anybody can write to /tmp.
    assert_eq!(config.log.file, None);
}

/// Given every key of the sample, then the outcome names it.
#[test]
fn each_key_is_told_of() {
    for name in ["sample.conf", "old-dmz.conf", "one-subnet.conf", "two-modems.conf"] {
        let source = sample(name);
        let (_, made) = imported(&source);
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
        for line in source.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let line = line.strip_prefix("- ").unwrap_or(line);
            let Some((key, _)) = line.split_once(':') else { continue };
            let key = key.trim_matches('"');
            let is_key = !key.is_empty() && key.chars().all(is_word);
            let is_told =
                made.text.lines().any(|l| l.split('#').nth(1).is_some_and(|c| c.contains(key)));
            assert!(!is_key || is_told, "{name}: {key} is not in\n{}", made.text);
        }
    }
}

/// Given groups, blank groups and versions without groups, then the tiers have the same order, and what was
/// for inbound connections alone still is.
#[test]
fn groups_become_tiers() {
    let group = |text: &str| format!("  priority_group: {text}\n");
    let tiers = |groups: &[&str]| -> Vec<Tier> {
        let uplinks: String = groups
            .iter()
            .enumerate()
            .map(|(i, keys)| {
                format!(
                    "- interface: eth{i}\n  ip: 192.0.2.{}\n  gateway: 192.0.2.{}\n{keys}",
                    4 * i + 1,
                    4 * i + 2
                )
            })
            .collect();
        let (config, _) = imported(&format!("uplinks:\n{uplinks}downlinks:\n  lan: lan0\n"));
        config.uplinks.iter().map(|uplink| uplink.tier).collect()
    };
    let (one, blank, five) = (group("1"), group(""), group("5"));
    let [zero, minus, far] = [group("0"), group("-3"), group("70000")];
    assert_eq!(
        tiers(&[&five, &one, &blank, ""]),
        [Tier::Number(5), Tier::Number(1), Tier::Inbound, Tier::Inbound]
    );
    assert_eq!(
        tiers(&[&zero, &far, &minus, &zero, &blank]),
        [Tier::Number(2), Tier::Number(3), Tier::Number(1), Tier::Number(2), Tier::Inbound]
    );
    let [yes, no, nothing] =
        ["  default_route: true\n", "  default_route: no\n", "  default_route:\n"];
    assert_eq!(
        tiers(&[yes, no, nothing, ""]),
        [Tier::Number(1), Tier::Inbound, Tier::Number(1), Tier::Number(1)]
    );
    // No key says anything: all of them carried, in the versions that had none.
    assert_eq!(tiers(&["", ""]), [Tier::Number(1), Tier::Number(1)]);
    assert_eq!(tiers(&[&format!("{one}{no}"), &one]), [Tier::Inbound, Tier::Number(1)]);
}

/// Given a DMZ, then it is a network of its own that reaches the internet; a LAN of that name is no clash.
#[test]
fn the_dmz_is_a_network() {
    let (config, _) = imported(&sample("old-dmz.conf"));
    let rows: Vec<_> =
        config.networks.iter().map(|n| (n.name.as_str(), n.ifname.to_string(), n.kind)).collect();
    let expected = [
        ("eth1", "eth1".to_owned(), NetworkKind::Lan),
        ("dmz", "eth2".to_owned(), NetworkKind::Dmz),
    ];
    assert_eq!(rows, expected);
    assert_eq!(config.networks[1].reach, Reach::Only { internet: true, networks: Vec::new() });
    let named = file("", "").replace("lan: eth0", "lan: dmz\n  dmz: eth9");
    assert_eq!(imported(&named).0.networks[1].name, "dmz-network");
    let alone = file("", "").replace("lan: eth0", "dmz: eth9");
    assert_eq!(imported(&alone).0.networks.len(), 1);
}

/// Given targets that rail cannot ask, then those are left out with a warning, and the quorum is at most what
/// is left; a quorum that nobody could reach is refused.
#[test]
fn targets_and_quorum() {
    let tests = |ips: &str, required: &str| {
        file("", &format!("tests:\n  ips: [{ips}]\n  required_successful: {required}\n"))
    };
    let (config, made) =
        imported(&tests("192.0.2.5, ping.example.org, 192.0.2.5, 2001:db8::1", "3"));
    assert_eq!(config.check.targets, [Ipv4Addr::new(192, 0, 2, 5)]);
    assert_eq!(config.check.required, 1);
    let told: Vec<_> = made.warnings.iter().map(|w| w.entry.message.as_str()).collect();
    assert_eq!(told.iter().filter(|t| t.contains("is left out")).count(), 3, "{told:?}");
    assert!(told.iter().any(|t| t.contains("targets left are 1")), "{told:?}");
    let many: Vec<_> = (1..40).map(|n| format!("192.0.2.{n}")).collect();
    let (config, made) = imported(&tests(&many.join(", "), "30"));
    assert_eq!((config.check.targets.len(), config.check.required), (16, 16));
    assert!(made.text.contains("tests.ips: 192.0.2.39: left out ("));
    // None of them is left: those of rail are asked.
    let (config, _) = imported(&tests("a.example.org, b.example.org", "2"));
    assert_eq!((config.check.targets.len(), config.check.required), (4, 2));
    assert!(refused(&tests("192.0.2.5", "2")).contains("`tests.ips` has only 1"));
    assert!(refused(&tests("192.0.2.5", "0")).contains("nothing would be checked"));
}

/// Given an interface of this machine that has the address, then its prefix length is in the file, and there
/// is no warning of a guess.
#[test]
fn the_machine_knows_the_prefix_length() {
    let source = file("", "tests:\n  ips: [192.0.2.5]\n  required_successful: 1\n");
    let here = [("eth1".parse().unwrap(), "198.51.100.2/24".parse().unwrap())];
    let made = fault_tolerant_router("f", &source, &here).unwrap();
    assert!(made.text.contains("address = \"198.51.100.2/24\""), "{}", made.text);
    assert_eq!(made.warnings, []);
    let guessed = fault_tolerant_router("f", &source, &[]).unwrap();
    assert!(guessed.text.contains("address = \"198.51.100.2/30\""), "{}", guessed.text);
    assert!(guessed.warnings[0].entry.message.contains("is a guess: /30"));
    // Far from each other: the gateway is a neighbour by word.
    let source = source.replace("gateway: 198.51.100.1", "gateway: 172.31.1.1");
    let (config, _) = imported(&source);
    let fixed = config.uplinks[0].fixed().unwrap();
    assert!(fixed.onlink && fixed.address.length == 32);
}

/// Given unknown keys with values of any shape, then they are warned of, kept as comments, and never end a
/// comment; those of mail are named without their values.
#[test]
fn unknown_keys_are_kept() {
    let keys = "  gatway: 1\n  \"x\\n[evil]\": \"a\\nname = 1\"\n";
    let more = "colour:\n  shade:\n  - dark\npasswd: hunter-2\nemail:\n  passwort: hunter-2\n  send: true\n";
    let (config, made) = imported(&file(keys, more));
    assert_eq!(config.uplinks.len(), 1);
    for line in [
        "#   gatway: 1",
        "#   colour:",
        "#     - dark",
        "#   email.passwort: not copied",
        "#   passwd: not copied",
    ] {
        assert!(made.text.lines().any(|l| l == line), "{line}\n{}", made.text);
    }
    assert!(!made.text.contains("hunter-2"));
    let told: Vec<_> = made.warnings.iter().map(|w| &*w.entry.message).collect();
    for words in ["`uplinks.gatway`", "`colour`", "`email.passwort`", "nobody will get mail"] {
        assert!(told.iter().any(|t| t.contains(words)), "{words}: {told:?}");
    }
    let hints: Vec<_> = made.warnings.iter().filter_map(|w| w.entry.hint.as_deref()).collect();
    assert!(hints.contains(&"did you mean `gateway`?"), "{hints:?}");
}

/// Given two uplinks on one interface, then they are told of; rail takes them if their gateways differ.
#[test]
fn one_interface_twice() {
    let other = |gateway: &str| {
        let keys = format!("- interface: eth1\n  ip: 198.51.100.6\n  gateway: {gateway}\n");
        file(&keys, "")
    };
    let (config, made) = imported(&other("198.51.100.5"));
    assert_eq!(config.uplinks.len(), 2);
    let told =
        made.warnings.iter().any(|w| w.entry.message.contains("two uplinks on the interface eth1"));
    assert!(told, "{:?}", made.warnings);
    let report = refused(&other("198.51.100.1"));
    assert!(
        report.contains("the gateway 198.51.100.1 is given twice") && report.contains("f:9:"),
        "{report}"
    );
}

/// Given 200 uplinks, then they are refused in one sentence; 126 are read.
#[test]
fn there_are_not_too_many() {
    let uplinks = |count: usize| {
        let one = |i: usize| {
            let (a, b) = (i / 60, i % 60 * 4);
            format!(
                "- interface: w{i}\n  ip: 10.1.{a}.{}\n  gateway: 10.1.{a}.{}\n  description: Same\n",
                b + 1,
                b + 2
            )
        };
        let all: String = (0..count).map(one).collect();
        format!("uplinks:\n{all}downlinks:\n  lan: lan0\nbase_table: 1\nbase_priority: 40000\n")
    };
    let report = refused(&uplinks(200));
    assert!(
        report.contains("200 uplinks are more than 126") && report.contains("1 error"),
        "{report}"
    );
    let (config, made) = imported(&uplinks(126));
    assert_eq!(config.uplinks.len(), 126);
    assert_eq!(config.uplinks[125].name, "same-126");
    assert_eq!(made.warnings.len(), MOST_SHOWN);
    assert!(
        made.text.contains("seq 40000 40252") && made.text.contains("seq 1 127"),
        "{}",
        made.text
    );
}

/// Given numbers that reach into the kernel's own rules and tables, then no command is offered that would
/// delete those.
#[test]
fn what_is_the_kernels_stays() {
    for (table, priority, is_offered) in [
        ("1", "40000", true),
        ("251", "40000", true),
        ("252", "40000", false),
        ("1", "32700", false),
    ] {
        let numbers = format!("base_table: {table}\nbase_priority: {priority}\n");
        let (_, made) = imported(&file("", &numbers));
        assert_eq!(made.text.contains("ip route del"), is_offered, "{}", made.text);
        assert_eq!(made.text.contains("ip rule del"), is_offered, "{}", made.text);
    }
}

/// Given damaged samples and noise, then there is a file that our reader takes, or a report with places inside
/// the text, and never a panic.
#[test]
fn damage_never_panics() {
    let samples = ["sample.conf", "one-subnet.conf", "two-modems.conf", "old-dmz.conf"].map(sample);
    let lines: Vec<&str> = samples.iter().flat_map(|text| text.lines()).collect();
    let pieces = [
        "'", "\"", ":", "- ", "#", "  ", "\n", "[", "]", "&", "\u{fc}", "\u{1b}", "\\n", "99999",
        "-1",
    ];
    let mut random = Random::new(0x00f7_a11e);
    let mut passed = 0;
    for _ in 0..1000 {
        let mut text: Vec<String> = random.of(&samples).lines().map(str::to_owned).collect();
        for _ in 0..random.below(5) {
            let at = random.below(text.len());
            match random.below(4) {
                0 if text.len() > 1 => drop(text.remove(at)),
                1 => text.insert(at, (*random.of(&lines)).to_owned()),
                2 => text[at].push_str(random.of::<&str>(&pieces)),
                _ => {
                    let cut = random.below(text[at].chars().count() + 1);
                    let (start, end): (String, String) = (
                        text[at].chars().take(cut).collect(),
                        text[at].chars().skip(cut).collect(),
                    );
                    text[at] = format!("{start}{}{end}", random.of(&pieces));
                }
            }
        }
        let source = text.join("\n");
        match fault_tolerant_router("f", &source, &[]) {
            Ok(made) => {
                passed += 1;
                assert!(
                    load::load(Path::new("f.toml"), &made.text).is_ok(),
                    "{source}\n{}",
                    made.text
                );
            }
            Err(report) => {
                let count = source.split('\n').count();
                let is_inside = report.entries.iter().all(|e| (1..=count).contains(&e.line));
                assert!(is_inside && !report.entries.is_empty(), "{source}\n{report}");
            }
        }
    }
    assert!(passed > 100, "only {passed} were still good");
}

/// Given keys that are not theirs and look like passwords, an address with a login, and a command that has one, then
/// none is copied.
#[test]
fn no_secret_is_copied() {
    let more = "smtp_pwd: hunter2\nhook: https://u:hunter2@example.net/\napi_key: hunter2\n";
    let command = "  up_command: curl -u me:hunter2 http://example.net/up\n";
    let (_, imported) = imported(&file(command, more));
    for key in ["smtp_pwd", "up_command"] {
        assert!(imported.text.contains(&format!("{key}: not copied")), "{}", imported.text);
    }
    assert!(!imported.text.contains("hunter2"), "{}", imported.text);
}
