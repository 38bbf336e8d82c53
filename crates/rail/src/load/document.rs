//! Holds `docs/configuration.md` to the reader: every key is there, and every
//! example is good.

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/configuration.md");
const LAN: &str = "[lan]\ninterfaces = [\"lan0\"]\n";
const INSIDE: &str = "name = \"isp1\"\ninterface = \"lan0\"\naddress = \"192.168.1.1/24\"\n\
                      gateway = \"192.168.1.254\"\nnat = false\n";
const UPLINKS: &str = "[[uplink]]\nname = \"isp1\"\ninterface = \"wan1\"\n\
    address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\n\
    [[uplink]]\nname = \"isp2\"\ninterface = \"wan2\"\n\
    address = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"\n";
const FORWARD: &str = "protocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

/// Rows of the tables: section, key, example.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            section = title.trim_matches(['[', ']']);
        }
        let cells: Vec<_> = line.split(" | ").collect();
        if let [key, _, _, example, _] = cells[..]
            && let Some(key) = key.strip_prefix("| `").and_then(|k| k.strip_suffix('`'))
        {
            rows.push((section, key, example.trim_matches('`')));
        }
    }
    rows
}

/// A whole file around the text of one section.
fn whole(section: &str, text: &str) -> String {
    let lan = if section == "lan" { "" } else { LAN };
    let uplinks = if section == "uplink" { "" } else { UPLINKS };
    let header = match section {
        "uplink" | "forward" => format!("[[{section}]]\n"),
        _ => format!("[{section}]\n"),
    };
    format!("{lan}{uplinks}{header}{text}\n")
}

/// What a section cannot do without.
fn smallest(section: &str) -> &'static str {
    match section {
        "uplink" => UPLINKS.split("[[uplink]]\n").nth(1).unwrap_or_default(),
        "forward" => FORWARD,
        "check.latency" | "check.jitter" => "degraded = \"200ms\"\n",
        _ => "",
    }
}

/// The section's smallest text, with the key as in the example.
fn with_example(section: &str, key: &str, example: &str) -> String {
    let own = format!("{key} = ");
    // Only a line among the hosts takes it.
    let base = if key == "redirects" { INSIDE } else { smallest(section) };
    let rest: String =
        base.lines().filter(|l| !l.starts_with(&own)).map(|l| format!("{l}\n")).collect();
    whole(section, &format!("{rest}{example}"))
}

/// Given the document, when its tables are read, then every key of the reader has a row
/// and every row is a key.
#[test]
fn every_key_is_documented() {
    let documented: Vec<_> = rows().iter().map(|(section, key, _)| (*section, *key)).collect();
    let mut expected = Vec::new();
    for section in keys::sections().filter(|s| !s.is_empty()) {
        expected.extend(keys::of(section).built.iter().map(|key| (section, *key)));
    }
    for row in &expected {
        assert!(documented.contains(row), "{row:?} is not documented");
    }
    for row in &documented {
        assert!(expected.contains(row), "{row:?} is no key");
    }
}

/// Given the examples of the tables and the blocks, when they are read, then all are good.
#[test]
fn every_example_is_good() {
    for (section, key, example) in rows() {
        assert!(example.starts_with(&format!("{key} = ")), "{section} {key}: {example}");
        let source = with_example(section, key, example);
        if let Err(report) = load(Path::new("example.toml"), &source) {
            panic!("{section} {key}\n{report}");
        }
    }
    let blocks: Vec<_> = DOCUMENT.split("```toml\n").skip(1).collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        let block = block.split("```").next().unwrap_or_default();
        let lan = if block.contains("[lan]") { "" } else { LAN };
        let uplinks = if block.contains("[[uplink]]") { "" } else { UPLINKS };
        let source = format!("{lan}{uplinks}{block}");
        if let Err(report) = load(Path::new("example.toml"), &source) {
            panic!("{report}");
        }
    }
}

/// Given the defaults in the tables, when they stand in a file, then it means the same as
/// without them.
#[test]
fn every_default_is_as_documented() {
    let plain = load(Path::new("t"), &format!("{LAN}{UPLINKS}")).map(|(config, _)| config);
    let forward = load(Path::new("t"), &whole("forward", FORWARD)).map(|(config, _)| config);
    for line in DOCUMENT.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        let [key, _, default, _, _] = cells[..] else { continue };
        let is_value = default.starts_with('`') && default.ends_with('`');
        let Some(key) = key.strip_prefix("| `").and_then(|k| k.strip_suffix('`')) else { continue };
        let section = rows().iter().find(|(_, k, _)| *k == key).map_or("", |(s, _, _)| s);
        let unique = rows().iter().filter(|(_, k, _)| *k == key).count() == 1;
        if is_value && unique && section != "uplink" {
            let line = format!("{key} = {}", default.trim_matches('`'));
            let given = load(Path::new("t"), &with_example(section, key, &line));
            let same = if section == "forward" { &forward } else { &plain };
            assert_eq!(&given.map(|(config, _)| config), same, "{section} {key}");
        }
    }
}
