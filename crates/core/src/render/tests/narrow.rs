//! Providers that take smaller packets than Ethernet has.

use super::*;

/// Given one narrow uplink of two, then what comes in by it is clamped to its size before replies
/// are let through, and nothing is asked about the other one; a box inside has no such rule.
#[test]
fn what_a_narrow_line_brings_is_clamped() {
    let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let mut facts = facts(&config, &[0, 1]);
    assert!(!chains(&config, &facts, &["forward"]).contains("size set 1"));
    (facts.uplinks[0].mtu, facts.system.all_wide) = (1492, false);
    let text = chains(&config, &facts, &["forward"]);
    let rule = "iifname \"wan1\" meta nfproto ipv4 tcp flags & (syn | rst) == syn \
                tcp option maxseg size > 1452 tcp option maxseg size set 1452";
    let established = text.find("ct state established").unwrap();
    assert!(text.find(rule).is_some_and(|at| at < established), "{text}");
    assert_eq!(text.matches("size set 1").count(), 1, "{text}");
    inside(&mut config.uplinks[0]);
    assert!(!chains(&config, &facts, &["forward"]).contains("size set 1"));
}

/// Given a provider that takes less than its device, then every route by it says so, and each segment is cut to
/// it, whatever the devices are; one that takes more changes nothing.
#[test]
fn routes_say_what_the_provider_takes() {
    let config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let mut facts = facts(&config, &[0, 1]);
    let whole = text(&render(&config, &facts));
    facts.uplinks[0].way[Family::V4].as_mut().unwrap().mtu = Some(9000);
    assert_eq!(text(&render(&config, &facts)), whole);
    facts.uplinks[0].way[Family::V4].as_mut().unwrap().mtu = Some(1492);
    let narrow = text(&render(&config, &facts));
    let routes =
        narrow.lines().filter(|line| line.contains("dev wan1") && line.contains("default"));
    assert!(
        routes.clone().count() >= 3 && routes.clone().all(|r| r.ends_with(" mtu 1492")),
        "{narrow}"
    );
    assert!(!narrow.lines().any(|line| line.contains("mtu 1492") && !line.contains("wan1")));
    let forward = chains(&config, &facts, &["forward"]);
    assert!(forward.contains("size set 1452") && !forward.contains("size > 1460"), "{forward}");
}
