//! Every text here was printed by `nft -j list ruleset`, shortened.

use super::*;
use rail_core::coexist::{Effect, Match, Rule, Test, Verdict, state};

/// The rules of the expressions of one rule in an inet chain.
fn rules(expressions: &str) -> Vec<Rule> {
    rules_with("", expressions)
}

fn rules_with(objects: &str, expressions: &str) -> Vec<Rule> {
    let json = format!(
        r#"{{"nftables":[{{"metainfo":{{"version":"1.0.6"}}}},
        {{"table":{{"family":"inet","name":"x","handle":1}}}},{objects}
        {{"chain":{{"family":"inet","table":"x","name":"f","handle":2,"type":"filter","hook":"forward","prio":10,"policy":"drop"}}}},
        {{"rule":{{"family":"inet","table":"x","chain":"f","handle":7,"expr":[{expressions}]}}}}]}}"#
    );
    let mut survey = Survey::default();
    read(json.as_bytes(), &mut survey).unwrap();
    let chain = survey.tables.remove(0).chains.remove(0);
    assert_eq!(chain.base, Some(Base { hook: Hook::Forward, priority: 10, drops: true }));
    chain.rules
}

fn tests(expressions: &str) -> Vec<(Test, bool)> {
    let mut rules = rules(expressions);
    assert_eq!(rules.len(), 1, "{rules:?}");
    rules.remove(0).matches.into_iter().map(|m| (m.test, m.not)).collect()
}

/// Given conditions that are understood, then they are what they say.
#[test]
fn conditions_are_read() {
    let one = |text: &str| tests(text).remove(0);
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        one(
            r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}}"#
        ),
        (Test::State(state::ESTABLISHED | state::RELATED), false)
    );
    assert_eq!(
        one(
            r#"{"match":{"op":"!=","left":{"meta":{"key":"oifname"}},"right":{"set":["wan1","wan2"]}}}"#
        ),
        (Test::Out(names(&["wan1", "wan2"])), true)
    );
    assert_eq!(
        one(
            r#"{"match":{"op":"==","left":{"&":[{"meta":{"key":"mark"}},16711680]},"right":262144}}"#
        ),
        (Test::Mark { value: 0x40000, mask: 0xff_0000 }, false)
    );
    assert_eq!(
        one(
            r#"{"match":{"op":"!=","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":{"prefix":{"addr":"10.0.0.0","len":8}}}}"#
        ),
        (Test::Destination(vec!["10.0.0.0/8".parse().unwrap()]), true)
    );
    assert_eq!(
        tests(
            r#"{"match":{"op":"!=","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"range":[1,1024]}}}"#
        ),
        [(Test::Protocol(names(&["tcp"])), false), (Test::Port(vec![(1, 1024)]), true)]
    );
    assert_eq!(
        one(r#"{"match":{"op":"==","left":{"fib":{"result":"type","flags":["daddr"]}},"right":"local"}}"#).0,
        Test::Other { rare: true }
    );
    assert_eq!(
        one(r#"{"match":{"op":"==","left":{"meta":{"key":"iifgroup"}},"right":1}}"#).0,
        Test::Other { rare: false }
    );
    assert_eq!(one(r#"{"xt":{"type":"match","name":"conntrack"}}"#).0, Test::Other { rare: false });
}

/// Given a verdict map, in the rule or by name, then each element is a rule.
#[test]
fn verdict_maps_become_rules() {
    let expected = [("lan0", Verdict::Jump("a".into())), ("lan1", Verdict::Goto("b".into()))];
    let elements = r#"[["lan0",{"jump":{"target":"a"}}],["lan1",{"goto":{"target":"b"}}]]"#;
    let key = r#""key":{"meta":{"key":"iifname"}}"#;
    let here = rules(&format!(r#"{{"vmap":{{{key},"data":{{"set":{elements}}}}}}}"#));
    let map = format!(
        r#"{{"map":{{"family":"inet","name":"m","table":"x","type":"ifname","map":"verdict","elem":{elements}}}}},"#
    );
    let named = rules_with(&map, &format!(r#"{{"vmap":{{{key},"data":"@m"}}}}"#));
    for rules in [here, named] {
        let found: Vec<_> = rules.iter().map(|r| (r.matches[0].test.clone(), &r.verdict)).collect();
        for ((test, verdict), (name, expected)) in found.into_iter().zip(&expected) {
            assert_eq!((test, verdict), (Test::In(vec![(*name).into()]), expected));
        }
    }
    let unknown = rules(&format!(r#"{{"vmap":{{{key},"data":"@elsewhere"}}}}"#));
    assert_eq!(unknown[0].matches[0].test, Test::Other { rare: false });
}

/// Given a pair of interfaces in one condition, then each pair is an alternative.
#[test]
fn concatenations_become_alternatives() {
    let rules = rules(
        r#"{"match":{"op":"==","left":{"concat":[{"meta":{"key":"iifname"}},{"meta":{"key":"oifname"}}]},
            "right":{"set":[{"concat":["lan0","wan1"]},{"concat":["lan0","wan2"]}]}}},{"accept":null}"#,
    );
    let is = |test| Match { test, not: false };
    for (rule, out) in rules.iter().zip(["wan1", "wan2"]) {
        let pair = [is(Test::In(vec!["lan0".into()])), is(Test::Out(vec![out.into()]))];
        assert_eq!((rule.matches.as_slice(), &rule.verdict), (&pair[..], &Verdict::Accept));
    }
    assert_eq!(rules.len(), 2);
}

/// Given statements that write marks, then their bits are known.
#[test]
fn marks_are_read() {
    let write = |key: &str, value: &str| {
        let text =
            format!(r#"{{"mangle":{{"key":{{"{key}":{{"key":"mark"}}}},"value":{value}}}}}"#);
        match rules(&text).remove(0).effects.as_slice() {
            [Effect::Mark(write)] => (write.connection, write.bits, write.value, write.copied),
            other => panic!("{other:?}"),
        }
    };
    let (meta, ct) = (r#"{"meta":{"key":"mark"}}"#, r#"{"ct":{"key":"mark"}}"#);
    let all = u32::MAX;
    assert_eq!(write("ct", "5"), (true, all, 5, 0));
    assert_eq!(write("meta", ct), (false, all, 0, all));
    assert_eq!(write("meta", &format!(r#"{{"&":[{ct},255]}}"#)), (false, all, 0, 255));
    assert_eq!(write("ct", &format!(r#"{{"|":[{ct},16384]}}"#)), (true, 16384, 16384, 0));
    let own = format!(r#"{{"|":[{{"&":[{meta},4278255615]}},262144]}}"#);
    assert_eq!(write("meta", &own), (false, 0xff_0000, 0x40000, 0));
    let drawn =
        r#"{"map":{"key":{"numgen":{"mode":"inc","mod":2,"offset":0}},"data":{"set":[[0,1]]}}}"#;
    assert_eq!(write("meta", drawn), (false, all, 0, 0));
}

/// Given a flow table and its rule, then both are read; tables that see no IPv4 and our own are not.
#[test]
fn flow_tables_are_read_and_ours_are_not() {
    let json = r#"{"nftables":[
        {"table":{"family":"inet","name":"rail","handle":1}},
        {"chain":{"family":"inet","table":"rail","name":"f","handle":1}},
        {"chain":{"family":"ip6","table":"filter","name":"FORWARD","handle":1}},
        {"flowtable":{"family":"inet","name":"ft","table":"fw4","handle":5,"hook":"ingress","prio":0,"dev":["lan0","wan1"]}},
        {"chain":{"family":"inet","table":"fw4","name":"forward","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"drop"}},
        {"rule":{"family":"inet","table":"fw4","chain":"forward","handle":7,"comment":"!fw4","expr":[{"flow":{"op":"add","flowtable":"@ft"}}]}}]}"#;
    let mut survey = Survey::default();
    read(json.as_bytes(), &mut survey).unwrap();
    assert_eq!(survey.flowtables[0].devices, ["lan0", "wan1"]);
    assert_eq!(survey.tables.len(), 1);
    let rule = &survey.tables[0].chains[0].rules[0];
    assert_eq!(rule.effects, [Effect::Offload("ft".into())]);
    assert_eq!(rule.text, "rule with handle 7 (!fw4)");
    assert!(read(b"{\"nftables\":[1]}", &mut survey).is_err());
    assert!(read(b"no JSON", &mut survey).is_err());
}

/// Given a ruleset without what is in sets, and one set with it, when they are joined, then the rule
/// is read with what is in the set; sets of addresses are not asked for.
#[test]
fn sets_that_decide_are_read_by_name() {
    let set = r#"{"set":{"family":"ip","table":"t","name":"ifs","type":"ifname""#;
    let terse = format!(
        r#"{{"nftables":[{{"metainfo":{{}}}},{set}}}}},
        {{"set":{{"family":"ip","table":"t","name":"big","type":"ipv4_addr"}}}}]}}"#
    );
    let names = named(terse.as_bytes()).unwrap();
    assert_eq!(names, [["set", "ip", "t", "ifs"].map(str::to_owned)]);
    let full = format!(r#"{{"nftables":[{{"metainfo":{{}}}},{set},"elem":["lan0"]}}}}]}}"#);
    let whole = join(&[full.into_bytes(), terse.into_bytes()]);
    let root: Root = serde_json::from_slice(&whole).unwrap();
    let elements: Vec<_> = root.nftables.sets.values().collect();
    assert_eq!(elements, [&[Value::from("lan0")]]);
}
