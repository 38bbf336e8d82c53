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
