//! What others do to probes, by the kind of the checks.

use super::*;

/// Given an input chain that drops / when replies are not accepted / then probes get none.
#[test]
fn probes_need_their_answers() {
    let closed = hooked(Hook::Input, true, vec![], Vec::new());
    assert_eq!(effects(&view(), &closed), ["drops probes on wan1, wan2: the uplink looks dead"]);
    assert!(effects(&view(), &hooked(Hook::Input, true, vec![replies()], Vec::new())).is_empty());
}

/// Given uplinks that are checked in several ways, two of them on one device / when a chain of others
/// drops one protocol / then the uplinks that ask by that are told, with a remedy for it alone; ARP
/// passes these chains by.
#[test]
fn probes_are_followed_by_their_kind() {
    let uplinks = vec![
        uplink("wan1", CheckKind::Icmp),
        uplink("wan1", CheckKind::Tcp { port: 853 }),
        uplink("wan2", CheckKind::Arp),
    ];
    let view = View { uplinks, ..view() };
    let drop = |test| rule(vec![is(test)], Verdict::Drop);
    let found = |hook, rules| {
        let survey = hooked(hook, false, rules, Vec::new());
        let told = |c: Conflict| (c.uplinks, c.effect, c.remedy);
        examine(&view, &survey).conflicts.into_iter().map(told).collect::<Vec<_>>()
    };
    let lost = "drops probes on wan1: the uplink looks dead".to_string();
    let wan1 = vec!["WAN1".to_string()];
    let icmp = "iptables -I base -o wan1 -p icmp -j ACCEPT".to_string();
    let icmp = (wan1.clone(), lost.clone(), icmp);
    assert_eq!(found(Hook::Output, vec![drop(Test::Protocol(names(&["icmp"])))]), [icmp]);
    let tcp = "iptables -I base -o wan1 -p tcp --dport 853 -j ACCEPT".to_string();
    let tcp = (wan1.clone(), lost.clone(), tcp);
    assert_eq!(found(Hook::Output, vec![drop(Test::Port(vec![(853, 853)]))]), [tcp]);
    let back = "iptables -I base -i wan1 -p tcp --sport 853 -m conntrack --ctstate ESTABLISHED \
                -j ACCEPT";
    let back = (wan1, lost, back.to_string());
    assert_eq!(found(Hook::Input, vec![drop(Test::SourcePort(vec![(853, 853)]))]), [back]);
    assert!(found(Hook::Output, vec![drop(Test::Out(names(&["wan2"])))]).is_empty());
    assert!(found(Hook::Output, vec![drop(Test::Port(vec![(443, 443)]))]).is_empty());
}
