//! Holds the option tables of the pages to the reader: every key is there once, every
//! example is good, every default is the real one.

use super::*;

/// Pages with option tables. A page is about one section, or its headings name them.
const PAGES: &[(&str, &str)] = &[
    ("", include_str!("../../../../docs/configuration.md")),
    ("uplink.dhcp", include_str!("../../../../docs/dhcp.md")),
    ("uplink.ppp", include_str!("../../../../docs/ppp.md")),
    ("", include_str!("../../../../docs/services.md")),
    ("", include_str!("../../../../docs/notifications.md")),
];
const LAN: &str = "[lan]\ninterfaces = [\"lan0\"]\n";
/// An uplink that takes the keys of a client.
const LEASED: &str = "name = \"a\"\ninterface = \"wan1\"\naddress = \"dhcp\"\n";
/// One that takes the keys of a line by PPP.
const DIALLED: &str = "name = \"a\"\ninterface = \"ppp-a\"\naddress = \"ppp\"\n";
const INSIDE: &str = "name = \"isp1\"\ninterface = \"lan0\"\naddress = \"192.168.1.1/24\"\n\
                      gateway = \"192.168.1.254\"\nnat = false\n";
const UPLINKS: &str = "[[uplink]]\nname = \"isp1\"\ninterface = \"wan1\"\n\
    address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\n\
    [[uplink]]\nname = \"isp2\"\ninterface = \"wan2\"\n\
    address = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"\ndns = [\"203.0.113.53\"]\n";
const TCP: &str = "kind = \"tcp\"\n";
const FORWARD: &str = "protocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

/// A row of an option table.
#[derive(Clone, Copy)]
struct Row {
    section: &'static str,
    key: &'static str,
    default: &'static str,
    example: &'static str,
}

/// The rows of all tables. A row names the values with their unit or type, too.
fn rows() -> Vec<Row> {
    let mut section = "";
    let mut rows = Vec::new();
    let lines = PAGES.iter().flat_map(|(of, page)| page.lines().map(move |line| (*of, line)));
    for (of, line) in lines {
        if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            section = if of.is_empty() { title.trim_matches(['[', ']']) } else { of };
        }
        let cells: Vec<_> = line.split(" | ").collect();
        if let [key, values, default, example, meaning] = cells[..]
            && let Some(key) = key.strip_prefix("| `").and_then(|k| k.strip_suffix('`'))
        {
            let reported = [values, default, example, meaning.trim_end_matches(" |")];
            assert!(reported.iter().all(|cell| !cell.trim().is_empty()), "an empty cell: {line}");
            rows.push(Row { section, key, default, example: example.trim_matches('`') });
        }
    }
    rows
}

/// A whole file around the text of one section.
fn whole(section: &str, text: &str) -> String {
    if section == "uplink.dhcp" {
        let pairs: Vec<_> = text.lines().collect();
        return format!("{LAN}[[uplink]]\n{LEASED}dhcp = {{ {} }}\n", pairs.join(", "));
    }
    if section == "uplink.ppp" {
        let pairs: Vec<_> = text.lines().collect();
        return format!("{LAN}[[uplink]]\n{DIALLED}ppp = {{ {} }}\n", pairs.join(", "));
    }
    if section == "lan.dhcp.reservations" {
        let pairs: Vec<_> = text.lines().collect();
        let hosts = format!("reservations = [{{ {} }}]\n", pairs.join(", "));
        return whole("lan.dhcp", &format!("{}{hosts}", smallest("lan.dhcp")));
    }
    if section == "lan.dhcp.options" {
        let pairs: Vec<_> = text.lines().collect();
        let options = format!("options = [{{ {} }}]\n", pairs.join(", "));
        return whole("lan.dhcp", &format!("{}{options}", smallest("lan.dhcp")));
    }
    let lan = if section == "lan" { "" } else { LAN };
    let uplinks = if section == "uplink" { "" } else { UPLINKS };
    let header = match section {
        "uplink" | "forward" | "network" | "nat" | "ddns" => format!("[[{section}]]\n"),
        _ => format!("[{section}]\n"),
    };
    format!("{lan}{uplinks}{header}{text}\n")
}

/// What a section cannot do without.
fn smallest(section: &str) -> &'static str {
    match section {
        "uplink" => UPLINKS.split("[[uplink]]\n").nth(1).unwrap_or_default(),
        "forward" => FORWARD,
        "nat" => "from = [\"192.168.1.5\"]\nto = \"198.51.100.2\"\n",
        "network" => "name = \"dmz\"\ninterface = \"dmz0\"\n",
        "lan" => "interfaces = [\"lan0\"]\n",
        "lan.dhcp" => "ranges = [\"192.168.1.100-192.168.1.199\"]\n",
        "lan.dhcp.reservations" => "mac = \"02:00:00:00:00:01\"\naddress = \"192.168.1.10\"\n",
        // One content is enough: each key's example brings its own.
        "lan.dhcp.options" => "code = 66\ntext = \"a\"\n",
        "notify" => "command = [\"/bin/true\"]\n",
        "notify.email" => {
            "to = [\"a@example.org\"]\nfrom = \"b@example.org\"\nserver = \"smtp.example.org\"\n"
        }
        "notify.webhook" => "url = \"https://example.org/\"\n",
        "ddns" => "hostname = \"a.example.org\"\nupdate = \"https://example.org/\"\n",
        "check.latency" | "check.jitter" => "degraded = \"200ms\"\n",
        "uplink.ppp" => "device = \"/dev/ttyUSB0\"\n",
        "check.damping" => "suppress = 3\n",
        _ => "",
    }
}

/// The section's smallest text, with the key as in the example.
fn with_example(section: &str, key: &str, example: &str) -> String {
    let own = format!("{key} = ");
    // Only an uplink among the hosts takes it.
    let base = match (section, key) {
        (_, "redirects") => INSIDE,
        ("uplink", "dhcp" | "standby") => LEASED,
        ("uplink", "ppp") => DIALLED,
        ("uplink.ppp", "parent" | "device") => "",
        ("uplink.ppp", "service" | "ac" | "username" | "username_file") => "parent = \"eth2\"\n",
        ("uplink.ppp", "password_file") => "parent = \"eth2\"\nusername = \"a\"\n",
        ("uplink.ppp", _) => "device = \"/dev/ttyUSB0\"\n",
        // It stands instead of the address.
        ("notify.webhook", "url_file") => "",
        ("lan.dhcp.options", "addresses" | "hex") => "code = 43\n",
        _ => smallest(section),
    };
    let rest: String =
        base.lines().filter(|l| !l.starts_with(&own)).map(|l| format!("{l}\n")).collect();
    // These two go together.
    let other = match (section, key) {
        ("uplink", "parent") => "mac = \"02:00:00:00:00:02\"\n",
        ("uplink", "mac") => "parent = \"eth2\"\n",
        ("check", "port") => TCP,
        ("notify.email" | "ddns", "username") => "password_file = \"/etc/p\"\n",
        ("notify.email" | "ddns", "password_file") => "username = \"a\"\n",
        _ => "",
    };
    whole(section, &format!("{rest}{other}{example}"))
}

/// Given the document, when its tables are read, then every key of the reader has one row,
/// with values, default, example and meaning, and every row is a key.
#[test]
fn every_key_is_documented() {
    let documented: Vec<_> = rows().iter().map(|row| (row.section, row.key)).collect();
    let mut expected = Vec::new();
    // What an uplink may have of its own are the keys of `[check]`, and a network has those of `[lan]`.
    let is_told = |section: &&str| {
        let is_again = section.starts_with("uplink.check") || section.starts_with("network.");
        !section.is_empty() && !is_again
    };
    for section in keys::sections().filter(is_told) {
        expected.extend(keys::of(section).built.iter().map(|key| (section, *key)));
    }
    for row in &expected {
        let times = documented.iter().filter(|other| *other == row).count();
        assert_eq!(times, 1, "{row:?} has to be documented once");
    }
    for row in &documented {
        assert!(expected.contains(row), "{row:?} is no key");
    }
}

/// Given the examples of the tables, when they are read, then all are good.
#[test]
fn every_example_is_good() {
    for Row { section, key, example, .. } in rows() {
        assert!(example.starts_with(&format!("{key} = ")), "{section} {key}: {example}");
        let source = with_example(section, key, example);
        if let Err(report) = load(Path::new("example.toml"), &source) {
            panic!("{section} {key}\n{report}");
        }
    }
}

/// Given the default of each row, when a file leaves the key out, then `rail check
/// --show-effective` shows that default; and a file without a required key is refused.
#[test]
fn every_default_is_as_documented() {
    for Row { section, key, default, example } in rows() {
        let own = format!("{key} = ");
        let base = match (section, key) {
            ("check", "port") => TCP,
            ("uplink.ppp", "device") => "parent = \"eth2\"\n",
            ("lan.dhcp.options", "text") => "code = 43\nhex = \"61\"\n",
            _ => smallest(section),
        };
        let without: String = base
            .lines()
            .filter(|line| !line.starts_with(&own))
            .map(|line| format!("{line}\n"))
            .collect();
        let read = load(Path::new("default.toml"), &whole(section, &without));
        if default == "required" {
            let report = read.map(drop).expect_err(&format!("{section} {key} is not required"));
            let reported = report.to_string();
            assert!(reported.contains(&format!("`{key}`")), "{section} {key}: {reported}");
            continue;
        }
        let (config, _) = read.unwrap_or_else(|report| panic!("{section} {key}\n{report}"));
        let value = default.strip_prefix('`').and_then(|d| d.strip_suffix('`'));
        let value = value.map_or_else(|| meaning(section, key, default), |v| Some(v.into()));
        let shown = shown(&effective(&config), section, key);
        assert_eq!(shown, value, "{section} {key}, such as {example}");
    }
}

/// What `rail check --show-effective` shows for a default that the page tells in words; `None`: nothing.
fn meaning(section: &str, key: &str, words: &str) -> Option<String> {
    let text = match (section, key, words) {
        ("uplink", "description", "empty") => "\"\"",
        ("uplink", "check", "as in `[check]`") => "as in [check]",
        ("check", "required", "the smaller of 2 and the number of targets") => "2",
        ("check", "damping", "for longer each time") => words,
        ("check", "loss", "see below") => {
            "{ degraded = \"10%\", down = \"40%\", recovered = \"5%\" }"
        }
        ("check", "latency" | "jitter", "no limit") => "no limit",
        // The smallest text says 200 ms.
        ("check.latency" | "check.jitter", "recovered", "three quarters of `degraded`") => {
            "\"150ms\""
        }
        ("forward", "from", "anyone") => "anyone",
        ("forward", "address", "the first of each uplink") => "the first of each uplink",
        ("uplink", "addresses" | "no_nat" | "routed", "none") => "[]",
        ("uplink", "parent" | "mac" | "dhcp" | "ppp", "none") => "none",
        ("uplink.ppp", _, "none" | "any" | "what the modem has stored") => return None,
        // The smallest one is not metered.
        ("uplink", "on_failback", "`\"keep\"`, `\"drain 60s\"` if metered or on cold standby") => {
            "\"keep\""
        }
        ("uplink", "mtu", "of the provider, else of the interface") => words,
        ("uplink.dhcp", "reject_from", "none") => "[]",
        ("uplink.dhcp", _, "none" | "1 and the hardware address") => return None,
        ("forward", "uplinks", "every uplink") => "all",
        ("uplink", "dns", "of the provider") => words,
        ("lan" | "network", "dhcp" | "dns", "none") => "none",
        ("lan.dhcp", "reservations" | "dns" | "ntp" | "options", "none") => "[]",
        ("lan.dns", "names", "none") => "{}",
        ("lan.dhcp", "domain", "none")
        | ("lan.dns", "servers", "none")
        | ("lan.dhcp.reservations", "name", "none")
        | ("lan.dhcp.options", _, "none") => return None,
        ("network", "address", "not ours") => "not ours",
        // The smallest network is one of kind `lan`.
        ("network", "may_reach", "of kind `lan` everything, else `[\"internet\"]`") => "everything",
        ("firewall", "allow", "none") => "[]",
        // Without it the section tells nobody, and is not shown.
        ("notify", "command", "none") => return None,
        ("notify", _, "none") | ("ddns", "username" | "password_file", "none") => "none",
        ("notify.webhook", "headers", "none") => "[]",
        ("notify.email" | "notify.webhook", _, "none" | "the system's") => return None,
        ("ddns", "ask", "nobody") => "nobody",
        ("router", "tunnels", "none") => "[]",
        ("router", "name", "the host name") => {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
            return Some(format!("\"{}\"", name.trim()));
        }
        ("log", "file", "the journal or stderr") => "none, the journal or stderr",
        _ => panic!("the default of {section} {key}, {words:?}, is not checked: add it here"),
    };
    Some(text.into())
}

/// The value of a key in an effective configuration, or the words of its comment.
fn shown(effective: &str, section: &str, key: &str) -> Option<String> {
    let (section, inner) = match section.split_once('.') {
        Some((outer, table)) => (outer, Some(table)),
        None => (section, None),
    };
    let is_header = |line: &&str| line.trim_matches(['[', ']']) == section;
    let lines = effective.lines().skip_while(|line| !is_header(line)).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    let Some(table) = inner else {
        let (value, words) = (format!("{key} = "), format!("# {key}: "));
        let of =
            |line: &str| line.strip_prefix(&value).or(line.strip_prefix(&words)).map(Into::into);
        return lines.find_map(of);
    };
    let line = lines.find(|line| line.starts_with(&format!("{table} = {{")))?;
    let (_, rest) = line.split_once(&format!(" {key} = "))?;
    rest.split([',', ' ']).next().map(Into::into)
}
