//! Why an interface cannot be used, as people read it.

use super::*;
use crate::notice::UplinkNews;

fn link(index: u32, up: bool, carrier: bool, lower: Option<u32>) -> Link {
    Link { index, up, carrier, mtu: 1500, lower, ..Link::default() }
}

fn news(out: &[Output]) -> Vec<String> {
    let reported = out.iter().filter_map(|output| match output {
        Output::Notice(notice @ Notice::Uplink(UplinkNews::Unusable { .. })) => Some(notice),
        _ => None,
    });
    reported.map(|notice| alloc::format!("{notice:?}")).collect()
}

/// Given an interface that cannot be used, for one reason after the other, while the health stays
/// the same / then the cause that is shown is the present one, and it is reported once.
#[test]
fn the_cause_is_the_present_one() {
    let mut config = external(1);
    config.uplinks[0].ifname = "wan1.7".parse().unwrap();
    config.uplinks[0].interface = config.uplinks[0].ifname.into();
    let (mut router, mut kernel) = in_sync(&external(1), Saved::default());
    kernel.state.links.clear();
    router = Router::new(config, router.desk.saved, "boot".into(), [0; 16]);
    let mut out = Vec::new();
    router.start(Instant::ZERO, &mut out);
    // The first reading is believed when the second one says the same.
    for _ in 0..2 {
        router.handle(Instant::ZERO, Input::Observed(Scope::ALL, Box::default()), &mut out);
    }
    router.wake(Instant::ZERO, &mut out);
    assert_eq!(router.status(Instant::ZERO).uplinks[0].cause, "there is no interface wan1.7");
    let (name, below): (IfName, IfName) = ("wan1.7".parse().unwrap(), "wan1".parse().unwrap());
    let cases = [
        ((true, false, None), (true, true), "wan1.7 has no carrier"),
        ((false, false, None), (true, true), "wan1.7 is administratively down"),
        ((true, false, None), (true, true), "wan1.7 has no carrier"),
        ((true, false, Some(4)), (true, false), "wan1.7 has no carrier: wan1 below it has none"),
        (
            (true, false, Some(4)),
            (false, false),
            "wan1.7 has no carrier: wan1 below it is administratively down",
        ),
    ];
    for ((up, carrier, lower), (lower_up, lower_carrier), cause) in cases {
        let mut seen = Observed::default();
        seen.links.insert(name, link(7, up, carrier, lower));
        seen.links.insert(below, link(4, lower_up, lower_carrier, None));
        let mut out = Vec::new();
        for _ in 0..3 {
            let seen = Input::Observed(Scope::LINKS, Box::new(seen.clone()));
            router.handle(Instant::ZERO, seen, &mut out);
            router.wake(Instant::ZERO, &mut out);
        }
        let status = router.status(Instant::ZERO);
        assert_eq!(status.uplinks[0].cause, cause);
        // The first is a change of health.
        let reported = news(&out);
        assert!(reported.len() <= 1 && reported.iter().all(|t| t.contains(cause)), "{reported:?}");
    }
}
