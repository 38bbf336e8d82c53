use super::*;

fn shown(name: &str) -> String {
    let status: Status = serde_json::from_str(include_str!("fixture.json")).expect("a status");
    let uplink = status.uplinks.iter().find(|u| u.name == name).expect("there");
    render(&status, uplink, 992_000, Paint(false))
}

/// Given a fixed status, when an uplink is explained, then each layer is shown exactly as
/// expected.
#[test]
fn the_screens_are_the_expected_ones() {
    use crate::cli::style::golden;
    golden("why-dsl.txt", include_str!("golden/why-dsl.txt"), &shown("dsl"));
    golden("why-fibre.txt", include_str!("golden/why-fibre.txt"), &shown("fibre"));
    golden("why-cable.txt", include_str!("golden/why-cable.txt"), &shown("cable-with-a-long-name"));
    golden("why-lte.txt", include_str!("golden/why-lte.txt"), &shown("lte"));
    golden("why-spare.txt", include_str!("golden/why-spare.txt"), &shown("spare"));
}

/// Given an uplink that was overridden by command, then it is explained by whom and until when,
/// and the configuration is not accused.
#[test]
fn a_command_is_named_and_not_the_configuration() {
    let mut status: Status = serde_json::from_str(include_str!("fixture.json")).expect("a status");
    let said = serde_json::json!({
        "action": "disabled", "by": "alice", "until": "", "left_s": null,
        "text": "disabled by alice",
    });
    let uplink = status.uplinks.iter_mut().find(|u| u.name == "spare").expect("there");
    uplink.said = Some(serde_json::from_value(said).expect("it is one"));
    (uplink.cause, uplink.returns) = ("disabled by alice".into(), String::new());
    let uplink = status.uplinks.iter().find(|u| u.name == "spare").expect("there");
    let screen = render(&status, uplink, 992_000, Paint(false));
    assert!(screen.contains("by command") && screen.contains("disabled by alice"), "{screen}");
    assert!(!screen.contains("in the configuration"), "{screen}");

    // What was said is not why, if the configuration disables it by now.
    let uplink = status.uplinks.iter_mut().find(|u| u.name == "spare").expect("there");
    uplink.cause = "disabled in the configuration".into();
    let uplink = status.uplinks.iter().find(|u| u.name == "spare").expect("there");
    let screen = render(&status, uplink, 992_000, Paint(false));
    assert!(!screen.contains("disabled by command"), "{screen}");
}

/// The fixture with changes to each uplink that is named, as its JSON has it; the screen of the first.
fn changed(changes: &[(&str, serde_json::Value)]) -> String {
    let mut status: Status = serde_json::from_str(include_str!("fixture.json")).expect("a status");
    for (name, with) in changes {
        let uplink = status.uplinks.iter_mut().find(|u| u.name == *name).expect("there");
        let mut json = serde_json::to_value(&*uplink).expect("JSON");
        let all = json.as_object_mut().expect("a table");
        for (key, value) in with.as_object().expect("a table") {
            all.insert(key.clone(), value.clone());
        }
        *uplink = serde_json::from_value(json).expect("an uplink");
    }
    let uplink = status.uplinks.iter().find(|u| u.name == changes[0].0).expect("there");
    render(&status, uplink, 992_000, Paint(false))
}

fn target(address: &str, answering: bool) -> serde_json::Value {
    serde_json::json!([{
        "address": address, "answering": answering, "blamed": false, "rtt_us": 10, "loss_pct": 0.0,
        "silent_ms": 900, "probes": { "sent": 9, "answered": 9, "late": 0, "lost": 0 },
    }])
}

/// Given checks by ARP, then the gateway is as they see it, whatever the kernel knows; when it is silent,
/// it is accused, and no gateway of the same address on another uplink speaks for it.
#[test]
fn a_gateway_that_is_asked_by_arp_is_as_the_checks_see_it() {
    let arp = |health: &str, answering| {
        serde_json::json!({
            "health": health, "neighbour": "unknown", "check": { "kind": "arp", "port": null, "required": 1 },
            "targets": target("192.0.2.9", answering), "gateway": "192.0.2.9",
        })
    };
    let screen = changed(&[("dsl", arp("up", true)), ("fibre", arp("up", true))]);
    for line in ["ok    192.0.2.9 answers ARP", "ok    1 of 1 answer, by arp"] {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
    let screen = changed(&[("dsl", arp("down", false)), ("fibre", arp("up", true))]);
    for line in [
        "FAIL  192.0.2.9 does not answer ARP",
        "FAIL  0 of 1 answer, by arp\n",
        "the gateway does not answer ARP: it, or",
    ] {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
}

/// Given an uplink that is down, then it is told whether other uplinks ask the same targets, and whether
/// those are answered.
#[test]
fn others_speak_of_the_same_targets_only() {
    let by = |health: &str, address: &str, answering| {
        serde_json::json!({
            "health": health, "neighbour": "known", "targets": target(address, answering),
            "check": { "kind": "tcp", "port": 853, "required": 1 },
        })
    };
    let verdict = |of_fibre, of_cable| {
        let down = by("down", "192.0.2.7", false);
        changed(&[("dsl", down), ("fibre", of_fibre), ("cable-with-a-long-name", of_cable)])
    };
    let screen = verdict(by("up", "192.0.2.8", true), by("up", "192.0.2.8", true));
    assert!(screen.contains("nothing answers here; no other uplink asks the same"), "{screen}");
    assert!(screen.contains("0 of 1 answer, by tcp port 853"), "{screen}");
    let screen = verdict(by("up", "192.0.2.8", true), by("up", "192.0.2.7", true));
    assert!(screen.contains("fault beyond the gateway"), "{screen}");
    let screen = verdict(by("up", "192.0.2.8", true), by("down", "192.0.2.7", false));
    assert!(screen.contains("nor do its targets answer on another"), "{screen}");
    let screen = verdict(by("down", "192.0.2.7", false), by("down", "192.0.2.7", false));
    assert!(screen.contains("nothing answers on any uplink"), "{screen}");
}

/// Given an uplink in doubt, then its targets are shown as what they were, and what is overdue is said.
#[test]
fn a_doubt_is_no_answer() {
    let suspect = serde_json::json!({ "health": "suspect", "targets": target("192.0.2.1", true) });
    let screen = changed(&[("fibre", suspect)]);
    let lines = ["1 of 1 answered until a moment ago; answers to", "192.0.2.1 answered in"];
    for line in lines {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
    assert!(!screen.contains("ok    1 of 1"), "{screen}");
}

/// Given a client that asks nothing although there is a carrier, then no carrier is waited for; nor is a denial
/// blamed for a pause, for somebody else may have had the address, nor this system where nothing is leased.
#[test]
fn a_client_that_asks_nothing_says_why() {
    let with = |health: &str, phase: &str| {
        let lease = serde_json::json!({
            "phase": phase, "server": null, "remaining_s": null, "resolvers": [], "sent": 0,
            "received": 0, "refusals": 0, "denied": 0, "refused": "",
        });
        let with = serde_json::json!({ "health": health, "lease": lease, "address": null });
        changed(&[("fibre", with)])
    };
    assert!(with("no-address", "discovering").contains("fault in the provider's DHCP server"));
    assert!(with("no-address", "bound").contains("provider gives no default route"));
    assert!(with("no-address", "halted").contains("wan1 has no hardware address to ask from"));
    assert!(with("disabled", "halted").contains("asks nobody"));
    assert!(with("no-address", "waiting").contains("pauses before it asks for another address"));
}

/// Given a line by PPP that is not connected, then the page says why, how pppd ended, what it said last, when it
/// dials again and what can be done; what pppd said only root sees.
#[test]
fn a_line_that_is_not_connected_says_why() {
    let ppp = serde_json::json!({
        "phase": "resting", "peer": null, "resolvers": [], "dials": 3, "redial_s": 120,
        "cause": "the provider refused the user name or the password", "ended": "pppd ended with 19",
        "advice": "compare `username` and `password_file` with the provider's letter",
        "said": ["Connect: ppp0 <--> eth2", "PAP authentication failed"],
    });
    let with =
        serde_json::json!({ "health": "absent", "ppp": ppp, "address": null, "carrier": null });
    let screen = changed(&[("fibre", with)]);
    // However wide the screen is.
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = [
        "pauses before it dials again, 2 m 0 s left; the last time pppd ended with 19: the provider refused",
        "its last words: PAP authentication failed (help: compare",
        "wan1: there only while it is connected",
        "not connected: the line above says why",
    ];
    for line in lines {
        assert!(screen.contains(line), "{line}\n{screen}");
    }
}
