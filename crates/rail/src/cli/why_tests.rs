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
