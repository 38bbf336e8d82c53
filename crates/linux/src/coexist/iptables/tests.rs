use super::*;

fn rules(lines: &str) -> Vec<Rule> {
    let text = format!("*mangle\n:X - [0:0]\n{lines}\nCOMMIT\n");
    read(&text).remove(0).chains.remove(0).rules
}

fn rule(line: &str) -> Rule {
    rules(line).remove(0)
}

/// Given the head of a table, then hooks, policies and priorities are read.
#[test]
fn chains_are_read() {
    let text = "# a comment\n*nat\n:POSTROUTING ACCEPT [1:2]\nCOMMIT\n*filter\n:FORWARD DROP [0:0]\n\
                :DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n";
    let tables = read(text);
    let base = |t: usize, c: usize| tables[t].chains[c].base;
    assert_eq!(base(0, 0), Some(Base { hook: Hook::Postrouting, priority: 100, drops: false }));
    assert_eq!(base(1, 0), Some(Base { hook: Hook::Forward, priority: 0, drops: true }));
    assert_eq!(base(1, 1), None);
    let first = &tables[1].chains[0].rules[0];
    assert_eq!(first.verdict, Verdict::Jump("DOCKER-USER".into()));
    assert_eq!(first.text, "-A FORWARD -j DOCKER-USER");
}

/// Given conditions that are understood, with and without `!`, then they are what they say.
#[test]
fn conditions_are_read() {
    let line = "-A X ! -i lo -o wan+ -s 10.0.0.0/8 -p tcp -m conntrack ! --ctstate INVALID,DNAT \
                -m mark --mark 0x40000/0xff0000 -m tcp --dport 80:90 -m comment --comment \"a -j b\" \
                -j ACCEPT";
    let tests: Vec<(Test, bool)> =
        rule(line).matches.into_iter().map(|m| (m.test, m.not)).collect();
    let expected = [
        (Test::In(vec!["lo".into()]), true),
        (Test::Out(vec!["wan*".into()]), false),
        (Test::Source(vec!["10.0.0.0/8".parse().unwrap()]), false),
        (Test::Protocol(vec!["tcp".into()]), false),
        (Test::State(state::INVALID | state::DNAT), true),
        (Test::Mark { value: 0x40000, mask: 0xff_0000 }, false),
        (Test::Port(vec![(80, 90)]), false),
    ];
    assert_eq!(tests, expected);
    assert_eq!(rule(line).verdict, Verdict::Accept);
}

/// Given conditions that are not understood, then it is known which pick out few.
#[test]
fn other_conditions_are_noted() {
    let test = |line| rule(line).matches.into_iter().map(|m| m.test).collect::<Vec<_>>();
    let rare = test("-A X -m set --match-set blocked src -j DROP");
    assert_eq!(rare, [Test::Other { rare: true }]);
    let unknown = test("-A X -m statistic --mode random --probability 0.5 -j DROP");
    assert_eq!(unknown, [Test::Other { rare: false }, Test::Other { rare: false }]);
    assert!(test("-A X -j REJECT --reject-with icmp-port-unreachable").is_empty());
}

/// Given rules that write marks, then their bits are known: those that change, those that are
/// set, and those of the other mark.
#[test]
fn marks_are_read() {
    let write = |line| match rule(line).effects.as_slice() {
        [Effect::Mark(write)] => (write.connection, write.bits, write.value, write.copied),
        other => panic!("{other:?}"),
    };
    let tailscale = write("-A X -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000");
    assert_eq!(tailscale, (false, 0xff_0000, 0x40000, 0));
    assert_eq!(write("-A X -j CONNMARK --restore-mark"), (false, u32::MAX, 0, u32::MAX));
    let saved = write("-A X -m mark --mark 0xca6c -j CONNMARK --save-mark");
    assert_eq!(saved, (true, u32::MAX, 0, u32::MAX));
    let mwan3 = write("-A X -j CONNMARK --restore-mark --nfmask 0x3f00 --ctmask 0xff00");
    assert_eq!(mwan3, (false, 0x3f00, 0, 0xff00));
}

/// Given targets, then it is known which are verdicts, which are chains, and which are neither.
#[test]
fn targets_are_read() {
    let verdict = |line| rule(line).verdict;
    assert_eq!(verdict("-A X -j LOG --log-prefix \"a b\""), Verdict::Next);
    assert_eq!(verdict("-A X -g Y"), Verdict::Goto("Y".into()));
    assert_eq!(verdict("-A X -j MASQUERADE --random"), Verdict::Translate);
    assert_eq!(verdict("-A X -j REJECT"), Verdict::Drop);
    assert!(rules("-A UNKNOWN -j DROP\n-A\nnonsense").is_empty());
}
