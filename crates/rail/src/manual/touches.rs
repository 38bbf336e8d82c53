//! Makes the middle of `docs/what-it-touches.md` from the program: the objects of
//! the README's configuration with the words of [`explain`], and what is different
//! with other configurations and in other situations.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rail` rewrites it; read it as prose.

use super::{root, sample};
use crate::load;
use rail_core::config::Config;
use rail_core::facts::{Facts, PerFamily, SystemFacts, UplinkFacts};
use rail_core::net::{IfName, UplinkId};
use rail_core::queues::{Carries, Cpu, PortQueues, ReceiveQueue, Topology};
use rail_core::render::{explain, mark, render};
use rail_core::state::{Firewall, Key, Resource, RouteValue, State};
use rail_core::status::Health;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const PAGE: &str = "docs/what-it-touches.md";
const BEGIN: &str = "<!-- made from the program: UPDATE_GOLDEN=1 cargo test -p rail -->\n";
const END: &str = "<!-- until here -->\n";

/// The README's configuration, in another form or another situation.
struct Variant {
    title: &'static str,
    /// What is written in place of what.
    replace: (&'static str, &'static str),
    append: &'static str,
    situation: fn(&mut Facts),
}

const PLAIN: Variant = Variant { title: "", replace: ("", ""), append: "", situation: |_| {} };

const VARIANTS: &[Variant] = &[
    Variant {
        title: "`[firewall] mode = \"off\"`: the filter is yours",
        append: "[firewall]\nmode = \"off\"\n",
        ..PLAIN
    },
    Variant {
        title: "`[firewall] mode = \"external\"`: nothing of rail in nftables",
        append: "[firewall]\nmode = \"external\"\n",
        ..PLAIN
    },
    Variant {
        title: "A port of the router that is let in: `allow = [\"tcp 22 from 203.0.113.0/24\"]`",
        append: "[firewall]\nallow = [\"tcp 22 from 203.0.113.0/24\"]\n",
        ..PLAIN
    },
    Variant {
        title: "A port forward, on `isp1` only: 8080 to 192.168.1.10:80",
        append: "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n\
                 uplinks = [\"isp1\"]\n",
        ..PLAIN
    },
    Variant {
        title: "An uplink without translation: `nat = false` on `isp1`",
        replace: ("weight = 2", "weight = 2\nnat = false"),
        ..PLAIN
    },
    Variant {
        title: "Sharing by client and server: `[balance] by = \"client+server\"`",
        append: "[balance]\nby = \"client+server\"\n",
        ..PLAIN
    },
    Variant {
        title: "A gateway outside the prefix: `gateway_onlink = true` on `isp2`",
        replace: (
            "address = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"",
            "address = \"203.0.113.2/32\"\ngateway = \"172.31.1.1\"\ngateway_onlink = true",
        ),
        ..PLAIN
    },
    Variant {
        title: "Names for the LAN: `[lan.dns]`, with `dns = [\"203.0.113.53\"]` on `isp2`",
        append: "[lan.dns]\nforward = \"health\"\n",
        replace: (
            "gateway = \"203.0.113.1\"",
            "gateway = \"203.0.113.1\"\ndns = [\"203.0.113.53\"]",
        ),
        ..PLAIN
    },
    Variant {
        title: "A network for guests: 10.9.0.1/24 on `guest0`",
        append: "[[network]]\nname = \"guests\"\ninterface = \"guest0\"\n\
                 address = \"10.9.0.1/24\"\nkind = \"guest\"\n",
        ..PLAIN
    },
    Variant {
        title: "Two uplinks on one port: `isp2` on `wan1`, too",
        replace: ("interface = \"wan2\"", "interface = \"wan1\""),
        ..PLAIN
    },
    Variant {
        title: "Two uplinks on one port, `wan2` a link of rail's own there: `parent = \"wan1\"` and `mac` on `isp2`",
        replace: (
            "interface = \"wan2\"",
            "interface = \"wan2\"\nparent = \"wan1\"\nmac = \"02:00:00:00:00:02\"",
        ),
        ..PLAIN
    },
    Variant {
        title: "Two uplinks with one address: `isp2` is a second stick like `isp1`",
        replace: (
            "address = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"",
            "address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"",
        ),
        ..PLAIN
    },
    Variant {
        title: "A provider's box inside the LAN, as `isp2`",
        replace: (
            "interface = \"wan2\"\naddress = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"",
            "interface = \"lan0\"\naddress = \"192.168.1.1/24\"\ngateway = \"192.168.1.254\"\n\
             nat = false",
        ),
        ..PLAIN
    },
    Variant {
        title: "`isp2` takes packets of 1492 bytes only, as PPPoE does",
        situation: |facts| {
            facts.system.all_wide = false;
            facts.uplinks[1].mtu = 1492;
        },
        ..PLAIN
    },
    Variant {
        title: "`isp1` is dead",
        situation: |facts| {
            facts.uplinks[0].health = Health::Down;
            facts.uplinks[0].active = false;
        },
        ..PLAIN
    },
    Variant {
        title: "`isp1` is dead, and the router has a tunnel: `[router] tunnels = [51820]`",
        append: "[router]\ntunnels = [51820]\n",
        situation: |facts| {
            facts.uplinks[0].health = Health::Down;
            facts.uplinks[0].active = false;
        },
        ..PLAIN
    },
    Variant {
        title: "The interface of `isp1` is gone",
        situation: |facts| {
            let UplinkFacts { id, way, .. } = facts.uplinks[0].clone();
            facts.uplinks[0] = UplinkFacts { way, ..UplinkFacts::new(id) };
        },
        ..PLAIN
    },
    Variant {
        title: "No uplink is usable, with `[router] no_uplink = \"unreachable\"`",
        append: "[router]\nno_uplink = \"unreachable\"\n",
        situation: |facts| {
            for fact in &mut facts.uplinks {
                fact.health = Health::Down;
                fact.active = false;
            }
        },
        ..PLAIN
    },
];

/// The configuration of a variant, and what is believed of the system when it works.
fn situation(variant: &Variant) -> (Config, Facts) {
    let (from, to) = variant.replace;
    let source = sample();
    assert!(source.contains(from), "the README's configuration has no {from:?} any more");
    let source = if from.is_empty() { source } else { source.replacen(from, to, 1) };
    let source = format!("{source}{}", variant.append);
    let (config, _) = load::load(Path::new(variant.title), &source).unwrap_or_else(|report| {
        panic!("{}\n{report}", variant.title);
    });
    let mut facts = all_well(&config);
    (variant.situation)(&mut facts);
    (config, facts)
}

/// Every uplink is good and carries connections; numbers as at the first start.
fn all_well(config: &Config) -> Facts {
    let numbers = (1..=u8::MAX).map(UplinkId);
    let mut facts = Facts::unseen(config, numbers);
    for fact in &mut facts.uplinks {
        *fact = UplinkFacts {
            ifindex: Some(10),
            link_up: true,
            carrier: true,
            has_address: PerFamily::of(|family| fact.way[family].is_some()),
            health: Health::Up,
            active: true,
            ..fact.clone()
        };
    }
    let networks = vec![Some(20); config.networks.len()];
    let masks = Arc::new(machine().masks(["wan1", "lan0"].map(|name| (port(name), Carries::Ip))));
    let system = SystemFacts { networks, loopback: true, all_wide: true, masks, ..facts.system };
    Facts { system, ..facts }
}

/// Two CPUs; a port with one queue for each way, and one with two.
fn machine() -> Topology {
    let queue = |cpu| ReceiveQueue { mask: Some("0".into()), cpu: Some(cpu) };
    let single =
        PortQueues { receive: vec![queue(0)], transmit: vec![None], ..PortQueues::default() };
    let double = PortQueues {
        receive: vec![queue(0), queue(1)],
        transmit: vec![Some("0".into()); 2],
        ..PortQueues::default()
    };
    Topology {
        cpus: [0, 1].map(|number| Cpu { number, capacity: 1024 }).into(),
        ports: [(port("wan1"), single), (port("lan0"), double)].into(),
    }
}

fn port(name: &str) -> IfName {
    name.parse().expect("a name")
}

/// A state as lines, one for each object and each rule of nftables.
fn lines(config: &Config, facts: &Facts, state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in state {
        match value {
            Resource::Firewall(table) => {
                lines.push(key.to_string());
                for chain in &table.chains {
                    let name = &chain.name;
                    lines.extend(chain.rules.iter().map(|rule| format!("nft {name}: {rule}")));
                }
            }
            Resource::Buckets(buckets) => {
                lines.push(format!("{key}: {}", shares(config, facts, buckets)))
            }
            Resource::Route(_) => {
                let Key::Route(route) = key else { continue };
                lines.push(format!("route table {}: {}", route.table, as_ip_route(key, value)));
            }
            Resource::Sysctl(value) => lines.push(format!("{key} = {value}")),
            Resource::Link(value) => lines.push(format!("{key} {value}")),
            Resource::Guard | Resource::Address | Resource::Rule => lines.push(as_ip(key)),
        }
    }
    lines
}

/// As `ip` writes it: the kernel's table `main` by its name.
fn as_ip(key: &Key) -> String {
    key.to_string().replace("lookup 254 ", "lookup main ")
}

fn as_ip_route(key: &Key, value: &Resource) -> String {
    let (Key::Route(key), Resource::Route(route)) = (key, value) else { return String::new() };
    let metric = if key.metric == 0 { String::new() } else { format!(" metric {}", key.metric) };
    let to = if key.prefix.length == 0 { "default".into() } else { key.prefix.to_string() };
    match route {
        RouteValue::Unicast { .. } => format!("{to} {route}{metric}"),
        RouteValue::Unreachable => format!("unreachable {to}{metric}"),
    }
}

/// How many buckets each uplink has.
fn shares(config: &Config, facts: &Facts, buckets: &BTreeMap<u32, u32>) -> String {
    let mut parts = Vec::new();
    for (uplink, fact) in config.uplinks.iter().zip(&facts.uplinks) {
        let own = mark(config, fact.id);
        let of = |is_bucket: fn(u32) -> bool| {
            buckets.iter().filter(|(bucket, mark)| is_bucket(**bucket) && **mark == own).count()
        };
        parts.push(format!("{} for {} ({own:#010x})", of(|bucket| bucket < 60_000), uplink.name));
        if of(|bucket| bucket >= 60_000) > 0 {
            parts.push(format!("usable ({})", uplink.name));
        }
    }
    parts.join(", ")
}

fn reason(config: &Config, key: &Key) -> &'static str {
    explain::why(config, key).unwrap_or_else(|| panic!("`{key}` has no words in render::explain"))
}

/// A table of the objects for which `row` gives cells.
fn table(page: &mut String, header: &str, state: &State, row: impl Fn(&Key, &Resource) -> String) {
    let columns = header.matches(" | ").count() + 1;
    let _ = writeln!(page, "| {header} |\n|{}", "---|".repeat(columns));
    for (key, value) in state {
        let cells = row(key, value);
        if !cells.is_empty() {
            let _ = writeln!(page, "| {cells} |");
        }
    }
}

/// The made part of the page.
fn made() -> String {
    let (config, facts) = situation(&PLAIN);
    let state = render(&config, &facts);
    let mut page = String::new();
    let _ = writeln!(page, "\n### Policy rules: `ip rule`\n");
    table(&mut page, "Rule | Why", &state, |key, _| match key {
        Key::Rule(rule) => {
            let text = as_ip(&Key::Rule(rule.clone()));
            format!("`{}` | {}", text.trim_start_matches("rule "), reason(&config, key))
        }
        _ => String::new(),
    });
    let _ = writeln!(page, "\n### Routes: `ip route show table TABLE`\n");
    table(&mut page, "Table | Route | Why", &state, |key, value| match key {
        Key::Route(route) => {
            let text = as_ip_route(key, value);
            format!("{} | `{text}` | {}", route.table, reason(&config, key))
        }
        _ => String::new(),
    });
    let _ = writeln!(page, "\n### Addresses: `ip address`\n");
    table(&mut page, "Address | Why", &state, |key, _| match key {
        Key::Address { ifname, prefix } => {
            format!("`{prefix}` on `{ifname}` | {}", reason(&config, key))
        }
        _ => String::new(),
    });
    let _ = writeln!(page, "\n### Kernel settings: `sysctl NAME`, and masks below `/sys`\n");
    table(&mut page, "Setting | Value | Why | Who else sets it", &state, |key, value| {
        let (Key::Sysctl(path), Resource::Sysctl(value)) = (key, value) else {
            return String::new();
        };
        let (why, others) = explain::setting(path).expect("each setting has its words");
        let name = key.to_string();
        let name = name.strip_prefix("sysctl ").unwrap_or(&name);
        format!("`{name}` | {value} | {why} | {others}")
    });
    for (key, value) in &state {
        match value {
            Resource::Firewall(table) => nftables(&mut page, reason(&config, key), table),
            Resource::Buckets(buckets) => {
                let shares = shares(&config, &facts, buckets);
                let _ = writeln!(page, "\nThe map `slots`: {}: {shares}.", reason(&config, key));
            }
            _ => {}
        }
    }
    let _ = writeln!(page, "\n## What `rail stop --withdraw` does to them\n");
    let _ = writeln!(page, "| Object | Afterwards |\n|---|---|");
    let mut kinds = BTreeMap::new();
    for key in state.keys() {
        kinds.insert(kind(key), explain::at_withdrawal(key));
    }
    for (kind, fate) in kinds {
        let _ = writeln!(page, "| {kind} | {fate} |");
    }
    differences(&mut page, &lines(&config, &facts, &state));
    page.push('\n');
    page
}

const fn kind(key: &Key) -> &'static str {
    match key {
        Key::Guard => "nftables: the boot guard",
        Key::Firewall => "nftables: chains and rules",
        Key::Buckets => "nftables: elements of the map `slots`",
        Key::Link(_) => "link of rail's own",
        Key::Address { .. } => "address",
        Key::Route(_) => "route",
        Key::Rule(_) => "policy rule",
        Key::Sysctl(_) => "kernel setting",
    }
}

fn nftables(page: &mut String, why: &str, table: &Firewall) {
    let _ = writeln!(page, "\n### nftables: `nft list table inet rail`\n\nThe table: {why}.\n");
    let _ = writeln!(page, "| Chain | Hook | What it does |\n|---|---|---|");
    for chain in &table.chains {
        let hook = chain.base.map_or_else(|| "jumped to".into(), |base| format!("`{base}`"));
        let why = explain::chain(&chain.name).expect("each chain has its words");
        let _ = writeln!(page, "| `{}` | {hook} | {why} |", chain.name);
    }
    let _ = writeln!(page, "\nTheir rules, without the comments:\n\n```text");
    for chain in &table.chains {
        let _ = writeln!(page, "chain {}", chain.name);
        for rule in &chain.rules {
            let _ = writeln!(page, "    {rule}");
        }
    }
    let _ = writeln!(page, "```");
}

fn differences(page: &mut String, plain: &[String]) {
    let _ = writeln!(page, "\n## What is different with other settings\n");
    let _ = writeln!(
        page,
        "Against the objects above: `-` is not there, `+` is there instead or besides."
    );
    for variant in VARIANTS {
        let (config, facts) = situation(variant);
        let now = lines(&config, &facts, &render(&config, &facts));
        let _ = writeln!(page, "\n### {}\n\n```diff", variant.title);
        let mut gone: Vec<_> = plain.iter().filter(|line| !now.contains(line)).collect();
        let is_table = |line: &String| line.starts_with("nft table ");
        if gone.iter().any(|line| is_table(line)) {
            // With it goes all that is in it.
            gone.retain(|line| is_table(line) || !line.starts_with("nft "));
        }
        let new: Vec<_> = now.iter().filter(|line| !plain.contains(line)).collect();
        assert!(!gone.is_empty() || !new.is_empty(), "{}: no difference", variant.title);
        for (sign, some) in [('-', gone), ('+', new)] {
            for line in some {
                let _ = writeln!(page, "{sign} {line}");
            }
        }
        let _ = writeln!(page, "```");
    }
}

/// Given the page, when its middle is made anew, then it is as before.
#[test]
fn the_page_shows_what_the_program_renders() {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the page says where it is made");
    let (old, after) = rest.split_once(END).expect("and until where");
    let new = made();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{new}{END}{after}")).expect("written");
        return;
    }
    let differ = old.lines().zip(new.lines()).find(|(old, new)| old != new);
    assert!(old == new, "{PAGE} is out of date: UPDATE_GOLDEN=1 cargo test -p rail; {differ:?}");
}

/// Given every good configuration, all variants among them, then each object and each chain has
/// its words.
#[test]
fn everything_that_can_be_rendered_is_explained() {
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let files = fs::read_dir(good).expect("the corpus is there").map(|e| e.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let config = load::read_file(&path).unwrap_or_else(|report| panic!("{report}")).0;
        let facts = all_well(&config);
        (config, facts)
    };
    let samples: Vec<_> = files.map(read).chain(VARIANTS.iter().map(situation)).collect();
    assert!(samples.len() > VARIANTS.len() + 4);
    for (config, facts) in samples {
        for (key, value) in render(&config, &facts) {
            assert!(!reason(&config, &key).is_empty());
            if let Resource::Firewall(table) = value {
                for chain in table.chains {
                    assert!(explain::chain(&chain.name).is_some(), "chain {}", chain.name);
                }
            }
        }
    }
}
