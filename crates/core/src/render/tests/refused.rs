//! What an error route of `main` refuses.

use super::*;
use crate::state::Rule;

/// Given `main` without an error route for everything, with one, and with one beside very many other
/// routes, then it is asked as a whole, or for its networks alone, each once; and a new connection
/// takes a bucket only if the router itself would find a way, where that question can be asked.
#[test]
fn main_is_asked_for_what_it_has_while_it_refuses_the_rest() {
    let config = config(&[(1, Tier::Number(1)); 2]);
    let networks = ["192.168.1.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.8.0.0/16"];
    let refuses = MainDefault::refusing(networks.map(|text| text.parse().unwrap()).into());
    let many = (0..=64).map(|n| alloc::format!("10.{n}.0.0/16").parse().unwrap()).collect();
    let cases = [
        (MainDefault::Passable, vec!["20250: from all lookup 254 suppress_prefixlength 0"], true),
        (
            refuses,
            vec![
                "20251: from all to 10.0.0.0/8 lookup 254 suppress_prefixlength 0",
                "20251: from all to 192.168.1.0/24 lookup 254 suppress_prefixlength 0",
            ],
            true,
        ),
        (
            MainDefault::refusing(many),
            vec!["20250: from all lookup 254 suppress_prefixlength 0"],
            false,
        ),
    ];
    for (main, rules, asks) in cases {
        let facts = Facts { main, ..facts(&config, &[0, 1]) };
        let state = render(&config, &facts);
        let is_rung = |rule: &&Rule| (20_250..20_260).contains(&rule.priority);
        let rungs = state.keys().filter_map(|key| match key {
            Key::Rule(rule) => Some(rule).filter(is_rung).map(ToString::to_string),
            _ => None,
        });
        assert_eq!(rungs.collect::<Vec<_>>(), rules);
        let classify = chains(&config, &facts, &["classify"]);
        assert_eq!(classify.contains("fib daddr oif exists"), asks, "{classify}");
    }
}

/// Given two readings of `main`, then the later one lacks something of the earlier one only if a
/// network is in none of its own.
#[test]
fn less_of_main_is_less() {
    let of = |networks: &[&str]| {
        MainDefault::refusing(networks.iter().map(|text| text.parse().unwrap()).collect())
    };
    let (narrow, wide) = (of(&["10.8.0.0/16"]), of(&["10.0.0.0/8", "192.0.2.0/24"]));
    assert!(wide.has_all_of(&narrow) && !narrow.has_all_of(&wide));
    assert!(narrow.has_all_of(&MainDefault::Passable));
    assert!(!MainDefault::Passable.has_all_of(&of(&[])));
    assert!(MainDefault::RefusesBesideMany.has_all_of(&wide));
    assert!(!wide.has_all_of(&MainDefault::RefusesBesideMany));
}
