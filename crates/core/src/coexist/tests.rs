//! The examination, on rules written down as values. How real rules become such values is tested
//! where they are read.

use super::*;
use crate::config::CheckKind;
use crate::net::{IfName, Prefix};
use crate::state::Hook;
use alloc::vec;

mod probes;

fn view() -> View {
    let name = |text: &str| -> IfName { text.parse().unwrap() };
    View {
        inside: vec![name("lan0")],
        outside: vec![name("wan1"), name("wan2")],
        mark_mask: 0x7f00_0000,
        tables: (20000, 20999),
        priorities: (20000, 20900),
        forwards: false,
        external: false,
        uplinks: vec![uplink("wan1", CheckKind::Icmp), uplink("wan2", CheckKind::Icmp)],
        ..View::default()
    }
}

/// An uplink whose address is not known, with probes of this kind.
fn uplink(ifname: &str, check: CheckKind) -> UplinkView {
    let (name, ifname) = (ifname.to_uppercase(), ifname.parse().unwrap());
    UplinkView { name, ifname, address: None, gateway: None, check }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
    Rule { text: "a rule".into(), matches, effects: Vec::new(), verdict }
}

fn is(test: Test) -> Match {
    Match { test, not: false }
}

fn not(test: Test) -> Match {
    Match { test, not: true }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn effect(effect: Effect) -> Rule {
    Rule { effects: vec![effect], ..rule(Vec::new(), Verdict::Next) }
}

/// A survey of one chain in a hook, with other chains it may jump to.
fn hooked(hook: Hook, drops: bool, rules: Vec<Rule>, others: Vec<Chain>) -> Survey {
    let base = Some(Base { hook, priority: 0, drops });
    let mut chains = vec![Chain { name: "base".into(), base, rules }];
    chains.extend(others);
    let table = Table { family: "ip".into(), name: "filter".into(), iptables: true, chains };
    let inside = vec![prefix("192.168.1.0/24")];
    Survey { tables: vec![table], inside, has_firewall: true, ..Survey::default() }
}

fn forward(rules: Vec<Rule>) -> Survey {
    hooked(Hook::Forward, true, rules, Vec::new())
}

fn chain(name: &str, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), base: None, rules }
}

/// The effects, `?` before those that are doubtful.
fn effects(view: &View, survey: &Survey) -> Vec<String> {
    let reported = |c: &Conflict| format!("{}{}", if c.certain { "" } else { "?" }, c.effect);
    examine(view, survey).conflicts.iter().map(reported).collect()
}

const ALL: &str = "drops what is forwarded between lan0 and wan1, wan2";
const NEW: &str = "drops new connections from lan0 to wan1, wan2";

fn replies() -> Rule {
    rule(vec![is(Test::State(state::ESTABLISHED | state::RELATED))], Verdict::Accept)
}

/// Given a policy that drops / when rules accept what is ours, all of it or a part / then what is
/// left is reported, and nothing where nothing is.
#[test]
fn a_policy_counts_for_what_no_rule_accepts() {
    let accept = |matches| rule(matches, Verdict::Accept);
    let from = || is(Test::In(names(&["lan0"])));
    assert_eq!(effects(&view(), &forward(vec![])), [ALL]);
    assert_eq!(effects(&view(), &forward(vec![replies()])), [NEW]);
    assert!(effects(&view(), &forward(vec![replies(), accept(vec![from()])])).is_empty());
    let one = vec![replies(), accept(vec![from(), is(Test::Out(names(&["wan1"])))])];
    assert_eq!(effects(&view(), &forward(one)), ["drops new connections from lan0 to wan2"]);
    let only_new = vec![accept(vec![from()])];
    assert_eq!(effects(&view(), &forward(only_new)), ["drops replies from wan1, wan2 to lan0"]);
    let any = vec![replies(), accept(vec![is(Test::In(names(&["lan*"])))])];
    assert!(effects(&view(), &forward(any)).is_empty());
    let others = vec![replies(), accept(vec![not(Test::In(names(&["docker0"])))])];
    assert!(effects(&view(), &forward(others)).is_empty());
}

/// Given a chain that accepts by default / when a rule drops ordinary packets / then it is reported;
/// when it drops those of others, or a chosen few / then it is not.
#[test]
fn a_drop_counts_if_it_meets_ordinary_packets() {
    let open = |rules| hooked(Hook::Forward, false, rules, Vec::new());
    let drop = |matches| open(vec![rule(matches, Verdict::Drop)]);
    let meets = [
        drop(vec![]),
        drop(vec![not(Test::Out(names(&["docker0"])))]),
        drop(vec![is(Test::State(state::NEW | state::ESTABLISHED))]),
        drop(vec![is(Test::Protocol(names(&["tcp", "udp"])))]),
    ];
    for survey in meets {
        assert_eq!(effects(&view(), &survey), [ALL], "{survey:?}");
    }
    let spares = [
        drop(vec![is(Test::State(state::INVALID))]),
        drop(vec![is(Test::In(names(&["docker0"])))]),
        drop(vec![is(Test::Source(vec![prefix("203.0.113.5/32")]))]),
        drop(vec![is(Test::Destination(vec![prefix("10.0.0.0/8")]))]),
        drop(vec![is(Test::Port(vec![(25, 25)]))]),
        drop(vec![is(Test::Family(crate::net::Family::V6))]),
        drop(vec![is(Test::Mark { value: 0x8000, mask: 0x8000 })]),
        drop(vec![is(Test::Other { rare: true })]),
        open(vec![rule(vec![], Verdict::Accept), rule(vec![], Verdict::Drop)]),
    ];
    for survey in spares {
        assert_eq!(effects(&view(), &survey), [""; 0], "{survey:?}");
    }
}

/// Given conditions that are not understood / when they decide / then the drop is doubtful.
#[test]
fn what_is_not_understood_is_doubtful() {
    let strange = |rare| is(Test::Other { rare });
    for rare in [true, false] {
        let survey = forward(vec![replies(), rule(vec![strange(rare)], Verdict::Accept)]);
        let may = "?may drop new connections from lan0 to wan1, wan2";
        assert_eq!(effects(&view(), &survey), [may]);
    }
    let open = |rules| hooked(Hook::Forward, false, rules, Vec::new());
    let survey = open(vec![rule(vec![strange(false)], Verdict::Drop)]);
    let may = "?may drop what is forwarded between lan0 and wan1, wan2";
    assert_eq!(effects(&view(), &survey), [may]);
    // All but a few.
    let survey = open(vec![rule(vec![not(Test::Other { rare: true })], Verdict::Drop)]);
    assert_eq!(effects(&view(), &survey), [may]);
    let survey = open(vec![rule(vec![strange(false), is(Test::In(names(&["x"])))], Verdict::Drop)]);
    assert!(effects(&view(), &survey).is_empty(), "what fails for sure is no matter of doubt");
}

/// Given the network inside / when rules speak of sources / then a prefix around it is all of it.
#[test]
fn sources_inside_are_known() {
    let accept = |text: &str| {
        let source = is(Test::Source(vec![prefix(text)]));
        forward(vec![replies(), rule(vec![source], Verdict::Accept)])
    };
    assert!(effects(&view(), &accept("192.168.0.0/16")).is_empty());
    assert!(effects(&view(), &accept("192.168.1.0/24")).is_empty());
    assert_eq!(effects(&view(), &accept("172.17.0.0/16")), [NEW]);
    let may = "?may drop new connections from lan0 to wan1, wan2";
    assert_eq!(effects(&view(), &accept("192.168.1.7/32")), [may]);
}

/// Given chains that are jumped to / when they return, accept, or never end / then the walk goes
/// where the kernel goes, and ends.
#[test]
fn jumps_are_followed() {
    let jump = |name: &str| rule(vec![], Verdict::Jump(name.into()));
    let accept = || rule(vec![], Verdict::Accept);
    let through = |rules, other| hooked(Hook::Forward, true, rules, vec![chain("x", other)]);
    assert!(effects(&view(), &through(vec![jump("x")], vec![accept()])).is_empty());
    let back = vec![rule(vec![], Verdict::Return), accept()];
    assert_eq!(effects(&view(), &through(vec![jump("x")], back.clone())), [ALL]);
    assert!(effects(&view(), &through(vec![jump("x"), accept()], back.clone())).is_empty());
    let goto = vec![rule(vec![], Verdict::Goto("x".into())), accept()];
    assert_eq!(effects(&view(), &through(goto, back)), [ALL], "goto does not come back");
    assert_eq!(effects(&view(), &through(vec![jump("nowhere")], vec![])), [ALL]);
    let forever = vec![jump("x"), jump("x"), jump("x")];
    let found = examine(&view(), &through(forever.clone(), forever));
    assert!(found.unread[0].contains("too many"), "{found:?}");
    assert!(!found.conflicts.iter().any(|c| c.certain), "{found:?}");
}

/// Given names that programs document / when their chains drop / then they are named, with the
/// commands that open them.
#[test]
fn owners_are_known_by_their_chains() {
    let jumps = |name: &str| vec![rule(vec![], Verdict::Jump(name.into()))];
    let owner = |survey: &Survey| {
        let found = examine(&view(), survey).conflicts.remove(0);
        (found.owner, found.remedy)
    };
    let by = |name: &str| hooked(Hook::Forward, true, jumps(name), vec![chain(name, vec![])]);
    assert_eq!(owner(&by("DOCKER-USER")).0, "Docker");
    assert_eq!(owner(&by("ufw-before-forward")).0, "ufw");
    assert!(
        owner(&by("ufw-before-forward")).1.starts_with("ufw route allow in on lan0 out on wan1")
    );
    let (name, remedy) = owner(&by("mine"));
    assert_eq!(name, "table ip filter");
    assert!(remedy.starts_with("iptables -I base -i lan0 -j ACCEPT"), "{remedy}");
    let inner = vec![chain("KUBE-FORWARD", vec![rule(vec![], Verdict::Drop)])];
    let survey = hooked(Hook::Forward, false, jumps("KUBE-FORWARD"), inner);
    assert_eq!(owner(&survey).0, "Kubernetes (kube-proxy)");
}

/// Given port forwards / when DNAT is not accepted / then they are reported as closed, too.
#[test]
fn port_forwards_count_if_there_are_some() {
    let inside = is(Test::In(names(&["lan0"])));
    let survey = forward(vec![replies(), rule(vec![inside], Verdict::Accept)]);
    assert!(effects(&view(), &survey).is_empty());
    let view = View { forwards: true, ..view() };
    assert_eq!(effects(&view, &survey), ["drops port forwards from wan1, wan2 to lan0"]);
}

/// Given a flow table / when it has devices of ours and a rule that fills it / then it is reported.
#[test]
fn flow_tables_on_our_devices_are_told() {
    let rules = vec![effect(Effect::Offload("ft".into()))];
    let mut survey = hooked(Hook::Forward, false, rules, Vec::new());
    let flowtable = |devices: &[&str]| Flowtable {
        family: "ip".into(),
        table: "filter".into(),
        name: "ft".into(),
        devices: names(devices),
    };
    survey.flowtables = vec![flowtable(&["eth7"])];
    assert!(effects(&view(), &survey).is_empty());
    survey.flowtables = vec![flowtable(&["eth7", "wan2"])];
    assert_eq!(
        effects(&view(), &survey),
        ["offloads connections on wan2: they bypass marks, and stay on their uplink when it dies"]
    );
}

/// Given masquerade / when it comes before ours and meets our packets / then it is reported.
#[test]
fn masquerade_before_ours_is_told() {
    let at = |priority, matches| {
        let rules = vec![rule(matches, Verdict::Translate)];
        let mut survey = hooked(Hook::Postrouting, false, rules, Vec::new());
        survey.tables[0].chains[0].base =
            Some(Base { hook: Hook::Postrouting, priority, drops: false });
        effects(&view(), &survey)
    };
    assert!(at(100, vec![]).is_empty());
    assert_eq!(at(50, vec![]).len(), 1);
    assert!(at(50, vec![is(Test::Out(names(&["docker0"])))]).is_empty());
    assert!(at(50, vec![is(Test::Source(vec![prefix("172.17.0.0/16")]))]).is_empty());
}

/// Given rules about marks / when they use our bits, or write the mark as a whole / then they are
/// reported; those of Tailscale, mwan3, Kubernetes and wg-quick leave ours alone.
#[test]
fn marks_of_others_count_where_they_are_ours() {
    let write =
        |bits, value, copied| Effect::Mark(MarkWrite { connection: false, bits, value, copied });
    let of = |effect_of| {
        let survey = hooked(Hook::Prerouting, false, vec![effect(effect_of)], Vec::new());
        examine(&view(), &survey).conflicts.len()
    };
    assert_eq!(of(write(0x00ff_0000, 0x0004_0000, 0)), 0, "Tailscale");
    assert_eq!(of(write(0x3f00, 0x100, 0)), 0, "mwan3");
    assert_eq!(of(write(0x4000, 0x4000, 0)), 0, "Kubernetes");
    assert_eq!(of(write(u32::MAX, 0, u32::MAX)), 0, "wg-quick copies both ways");
    assert_eq!(of(write(0x0100_0000, 0x0100_0000, 0)), 1, "one of our bits");
    assert_eq!(of(write(u32::MAX, 1, 0)), 1, "all bits");
    assert_eq!(of(write(u32::MAX, 0, 0x00ff_0000)), 1, "all bits, and only some are copied");

    let asks = |value, mask| {
        let rules = vec![rule(vec![is(Test::Mark { value, mask })], Verdict::Next)];
        let survey = hooked(Hook::Output, false, rules, Vec::new());
        examine(&view(), &survey).conflicts.len()
    };
    assert_eq!(asks(0xca6c, u32::MAX), 0, "wg-quick");
    assert_eq!(asks(0x0008_0000, 0x00ff_0000), 0);
    assert_eq!(asks(0, 0x00ff_ff00), 0);
    assert_eq!(asks(0, 0xff00_0000), 1);
    assert_eq!(asks(0x0200_0000, u32::MAX), 1);
}

fn policy(priority: u32, table: u32) -> PolicyRule {
    PolicyRule { priority, action: RuleAction::Lookup(table), ..PolicyRule::default() }
}

/// Given policy rules before ours / when their table leads everywhere and they apply to what is
/// inside / then they are reported, by name.
#[test]
fn rules_before_ours_are_told_if_they_take_ours() {
    let of = |rule: PolicyRule| {
        let inside = vec![prefix("192.168.1.0/24")];
        let rules = vec![rule];
        let survey =
            Survey { rules, inside, catch_alls: vec![52, 254, 51820], ..Survey::default() };
        let reported = |c: Conflict| format!("{}{}", if c.certain { "" } else { "?" }, c.owner);
        examine(&view(), &survey).conflicts.into_iter().map(reported).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(of(policy(5270, 52)), ["Tailscale"]);
    assert_eq!(of(policy(5270, 53)), none, "nothing there leads everywhere");
    let marked = PolicyRule { mark: Some((0x80000, 0xff_0000)), ..policy(5210, 254) };
    assert_eq!(of(marked), none, "packets of ours have no such mark");
    let quick =
        PolicyRule { inverted: true, mark: Some((51820, u32::MAX)), ..policy(19999, 51820) };
    assert_eq!(of(quick.clone()), ["wg-quick"]);
    assert_eq!(of(PolicyRule { priority: 32765, ..quick }), none, "behind ours");
    assert_eq!(of(PolicyRule { suppress: Some(0), ..policy(19998, 254) }), none);
    assert_eq!(of(policy(100, 255)), none);
    assert_eq!(of(PolicyRule { protocol: PROTOCOL, ..policy(20000, 254) }), none, "ours");
    assert_eq!(of(policy(20050, 254)), ["rule 20050"], "between ours");
    assert_eq!(of(PolicyRule { protocol: 4, ..policy(10, 254) }).len(), 1);
    let from = |text| PolicyRule { from: Some(prefix(text)), ..policy(10, 254) };
    assert_eq!(of(from("10.0.0.0/8")), none);
    assert_eq!(of(from("192.168.1.0/24")), ["rule 10"]);
    let iif = |name: &str| PolicyRule { iif: Some(name.into()), ..policy(10, 254) };
    assert_eq!((of(iif("lan0")).len(), of(iif("tun0")).len()), (1, 0));
    assert_eq!(of(PolicyRule { has_more: true, ..policy(10, 254) }), none, "a user's, a port's");
    let refuse = PolicyRule { action: RuleAction::Refuse, ..policy(10, 0) };
    assert_eq!(of(refuse), ["rule 10"]);
}

/// Given mode `external` / when no rule pins connections / then that is reported, unless the rules
/// could not be read.
#[test]
fn external_rules_are_missed() {
    let view = View { external: true, ..view() };
    let empty = Survey { has_firewall: true, ..Survey::default() };
    assert_eq!(examine(&view, &empty).conflicts[0].kind, ConflictKind::NotLoaded);
    assert!(examine(&view, &Survey::default()).conflicts.is_empty());
    let write = MarkWrite { connection: true, bits: 0x7f00_0000, value: 0x0100_0000, copied: 0 };
    let rules = vec![effect(Effect::Mark(write))];
    let loaded = hooked(Hook::Prerouting, false, rules, Vec::new());
    assert!(examine(&view, &loaded).conflicts.is_empty());
}

/// Given as many copies as there may be of rules behind ours, then a rule that is to have one and has none
/// is reported so; with one copy less, or its own among them, and one that is not to have any, it is not.
#[test]
fn a_rule_without_room_for_its_copy_is_told() {
    let of = |priority, from: &str, protocol| PolicyRule {
        priority,
        protocol,
        from: Some(prefix(from)),
        action: RuleAction::Lookup(100),
        ..PolicyRule::default()
    };
    let has_no_room = |copies: u32, last: PolicyRule| {
        let host = |n| format!("192.168.1.{}/32", 10 + n);
        let theirs = (0..20).map(|n| of(32_700 + n, &host(n), 3));
        let copied = (0..copies).map(|n| of(20_230 + n, &host(n), PROTOCOL));
        let object = format!("rule {}", last.priority);
        let rules = copied.chain(theirs).chain([last]).collect();
        let survey = Survey { rules, filled: vec![100], ..Survey::default() };
        let all = examine(&view(), &survey).conflicts;
        let reported =
            all.iter().filter(|reported| reported.effect.ends_with("so this rule has none"));
        reported
            .inspect(|reported| assert!(reported.object.contains(&object), "{}", reported.object))
            .count()
            == 1
    };
    let last = of(32_765, "192.168.1.99/32", 3);
    assert!(has_no_room(20, last.clone()));
    assert!(!has_no_room(19, last.clone()));
    let refuses = PolicyRule { action: RuleAction::Refuse, ..last.clone() };
    let bound = PolicyRule { iif: Some("lan0".into()), ..last };
    for other in [refuses, bound, of(32_765, "192.168.0.0/16", 3)] {
        assert!(!has_no_room(20, other));
    }
}

/// Given policy rules of others behind ours, then those that lead somewhere are reported with a command
/// that moves them; the kernel's own, those for other devices, and empty tables are not.
#[test]
fn rules_behind_ours_never_match() {
    let behind = |change: &dyn Fn(&mut PolicyRule)| {
        let mut rule = PolicyRule {
            priority: 32_765,
            action: RuleAction::Lookup(100),
            ..PolicyRule::default()
        };
        change(&mut rule);
        Survey { rules: vec![rule], filled: vec![100, 254, 253], ..Survey::default() }
    };
    let reported = |survey: &Survey| examine(&view(), survey).conflicts;
    let client = behind(&|rule| rule.from = Some(prefix("192.168.1.11/32")));
    let [conflict] = reported(&client).try_into().unwrap();
    assert_eq!(conflict.kind, ConflictKind::Shadowed);
    assert_eq!(conflict.object, "ip rule 32765: from 192.168.1.11/32 lookup 100");
    assert_eq!(
        conflict.remedy,
        "ip rule del priority 32765; ip rule add from 192.168.1.11/32 lookup 100 priority 19999"
    );
    let acts: [&dyn Fn(&mut PolicyRule); 6] = [
        &|rule| rule.mark = Some((1, 1)),
        &|rule| rule.oif = Some("wan1".into()),
        &|rule| rule.iif = Some("lan0".into()),
        &|rule| rule.has_more = true,
        &|rule| rule.action = RuleAction::Refuse,
        &|rule| rule.priority = 20_901,
    ];
    for (at, change) in acts.iter().enumerate() {
        assert_eq!(reported(&behind(change)).len(), 1, "{at}");
    }
    let fine: [&dyn Fn(&mut PolicyRule); 7] = [
        &|rule| rule.oif = Some("tun0".into()),
        &|rule| rule.action = RuleAction::Lookup(101),
        &|rule| rule.action = RuleAction::Other,
        &|rule| rule.suppress = Some(0),
        &|rule| rule.action = RuleAction::Lookup(254),
        &|rule| (rule.priority, rule.action) = (32_767, RuleAction::Lookup(253)),
        &|rule| rule.protocol = PROTOCOL,
    ];
    for (at, change) in fine.iter().enumerate() {
        assert!(reported(&behind(change)).is_empty(), "{at}");
    }
}

/// Given a rule before ours for an uplink's own address or device, then it is reported unless it leads
/// by the uplink's gateway.
#[test]
fn rules_for_an_uplinks_own_packets_are_told() {
    let uplink = UplinkView {
        name: "isp1".into(),
        ifname: "wan1".parse().unwrap(),
        address: Some(prefix("198.51.100.2/24")),
        gateway: Some("198.51.100.1".parse().unwrap()),
        check: CheckKind::Icmp,
    };
    let view = View { uplinks: vec![uplink], ..view() };
    let rule = |from: Option<&str>, oif: Option<&str>| PolicyRule {
        priority: 1000,
        from: from.map(prefix),
        oif: oif.map(Into::into),
        action: RuleAction::Lookup(100),
        ..PolicyRule::default()
    };
    let inside = vec![prefix("192.168.1.0/24")];
    let reported = |rule, gateway: &str| {
        let ways = vec![(100, "wan1".into(), Some(gateway.parse().unwrap()))];
        let (rules, inside) = (vec![rule], inside.clone());
        let tables = vec![100];
        let survey = Survey { rules, inside, ways, catch_alls: tables, ..Survey::default() };
        examine(&view, &survey).conflicts
    };
    for (from, oif) in [
        (Some("198.51.100.2/32"), None),
        (Some("198.51.100.0/24"), None),
        (None, Some("wan1")),
        (Some("198.51.100.2/32"), Some("wan1")),
    ] {
        let [conflict] = reported(rule(from, oif), "198.51.100.9").try_into().unwrap();
        assert!(conflict.effect.contains("what the router itself sends by isp1"), "{conflict:?}");
        assert_eq!(conflict.uplinks, ["isp1"]);
        assert!(reported(rule(from, oif), "198.51.100.1").is_empty());
    }
    for (from, oif) in [(Some("203.0.113.2/32"), None), (None, Some("tun0"))] {
        assert!(reported(rule(from, oif), "198.51.100.9").is_empty());
    }
}
