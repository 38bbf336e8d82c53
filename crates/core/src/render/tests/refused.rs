//! What an error route of `main` refuses.

use super::*;
use crate::state::{MainReading, Refused, Rule};

/// Given `main` without an error route for everything, with one, and with one beside very many other
/// routes, then it is asked as a whole, or for its networks alone, each once; and a new connection
/// takes a bucket only if the router itself would find a way, or beside very many routes, if no known
/// error route is for its network; beside very many of these both. What one is for is refused, and
/// so is what `main` leads elsewhere but the ladder by an uplink.
#[test]
fn main_is_asked_for_what_it_has_while_it_refuses_the_rest() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let prefix = |text: &str| text.parse().unwrap();
    let mut reading = MainReading::default();
    for network in ["192.168.1.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.8.0.0/16"] {
        reading.take(prefix(network), network == "0.0.0.0/0");
    }
    let whole = || vec!["20250: from all lookup 254 suppress_prefixlength 0"];
    let asks = "type unicast fib daddr oif exists meta";
    let beside = |others: Option<&[&str]>, refused: &[&str]| {
        let list = |networks: &[&str]| networks.iter().map(|text| prefix(text)).collect();
        let refused = Refused { networks: list(refused), is_whole: refused.len() > 1 };
        MainDefault::Refuses { others: others.map(list), refused }
    };
    let beside_many = |refused: &[&str]| beside(None, refused);
    let cases = [
        (MainDefault::Passable, whole(), asks),
        (
            reading.finish(),
            vec![
                "20251: from all to 10.0.0.0/8 lookup 254 suppress_prefixlength 0",
                "20251: from all to 192.168.1.0/24 lookup 254 suppress_prefixlength 0",
                "20252: from all fwmark 0x7f000000/0x7f000000 lookup 254 suppress_prefixlength 0",
            ],
            "fib daddr . mark oifname != { \"wan1\", \"wan2\" } meta mark set 0x00000000 \
             fib daddr oifname { \"wan1\", \"wan2\" } counter drop",
        ),
        (beside_many(&[]), whole(), "type unicast meta"),
        (beside_many(&["10.0.0.0/8"]), whole(), "== 0x00000000 ip daddr 10.0.0.0/8 fib"),
        (
            beside_many(&["10.0.0.0/8", "192.0.2.0/24"]),
            whole(),
            "== 0x00000000 ip daddr { 10.0.0.0/8, 192.0.2.0/24 } fib",
        ),
        (
            beside(Some(&["192.168.1.0/24"]), &["192.0.2.7/32"]),
            vec![
                "20251: from all to 192.168.1.0/24 lookup 254 suppress_prefixlength 0",
                "20252: from all fwmark 0x7f000000/0x7f000000 lookup 254 suppress_prefixlength 0",
            ],
            "ip daddr 192.0.2.7/32 fib daddr type unicast meta mark set meta mark and 0x80ffffff or \
             0x7f000000 fib daddr . mark oif missing accept",
        ),
    ];
    for (main, rules, asks) in cases {
        let mut facts = facts(&config, &[0, 1]);
        facts.system.main = main;
        let state = render(&config, &facts);
        let is_rung = |rule: &&Rule| (20_250..20_260).contains(&rule.priority);
        let rungs = state.keys().filter_map(|key| match key {
            Key::Rule(rule) => Some(rule).filter(is_rung).map(ToString::to_string),
            _ => None,
        });
        let nowhere = "20255: from all fwmark 0x7f000000/0x7f000000 iif lo lookup 20127";
        assert_eq!(rungs.collect::<Vec<_>>(), [rules, vec![nowhere]].concat());
        let classify = chains(&config, &facts, &["classify"]);
        assert!(classify.contains(asks), "{classify}");
    }
}

/// Given a loopback, then one look there says that a connection takes a bucket, before the two that are
/// asked otherwise, whatever `main` refuses; without one, or a table for it, nothing leads to it.
#[test]
fn the_loopback_answers_for_what_main_has_no_route_for() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let passable = facts(&config, &[0, 1]);
    let text = chains(&config, &passable, &["classify"]);
    let one = "meta mark set 0x7f000000 fib daddr . mark oif \"lo\" meta mark set numgen";
    let (once, twice) = (text.find(one), text.find("fib daddr oif exists"));
    assert!(once.is_some() && once < twice, "{text}");
    let mut narrow = config.clone();
    narrow.ranges.tables = (20000, 20002);
    let mut external = config.clone();
    external.firewall.mode = FirewallMode::External;
    let mut lonely = passable.clone();
    lonely.system.loopback = false;
    for (config, facts) in [(&config, lonely), (&narrow, passable.clone()), (&external, passable)] {
        let state = render(config, &facts);
        let text = super::text(&state);
        assert!(!text.contains("\"lo\" meta mark set") && !text.contains("dev lo\n"), "{text}");
        assert!(!text.contains("rule 20255"), "{text}");
    }
}
