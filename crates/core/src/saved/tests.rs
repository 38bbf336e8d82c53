//! Numbers of uplinks, and what is stale under a new configuration.

use super::*;
use crate::config::Tier;
use crate::facts::Facts;
use crate::net::UplinkId;
use crate::render::tests::config;

fn three() -> Config {
    config(&[(1, Tier::Number(1)); 3])
}

/// Numbers the uplinks of a configuration and takes what it says of them.
fn take(saved: &mut Saved, config: &Config) {
    saved.number(config);
    let facts = Facts::unseen(config, saved.ids_of(config).collect::<Vec<_>>());
    saved.take(config, &facts.uplinks);
}

/// The first configuration, then a change of it; what is stale is left.
fn void_after(change: impl Fn(&mut Config)) -> Vec<(u8, u32, u32, Which)> {
    let (mut config, mut saved) = (three(), Saved::default());
    take(&mut saved, &config);
    take(&mut saved, &config);
    assert_eq!(saved.stale, []);
    change(&mut config);
    take(&mut saved, &config);
    saved.stale.iter().map(|v| (v.uplink.0, v.mark >> 24, v.mask >> 24, v.which)).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Given an uplink of the same name with another address or translation, then what bears the old one
/// is stale, and nothing else; interface and gateway change nothing.
#[test]
fn a_line_that_becomes_another_one_leaves_void_connections() {
    let old = ip("100.64.2.2");
    let to = |c: &mut Config, address: &str| {
        c.uplinks[1].fixed_mut().unwrap().address = address.parse().unwrap()
    };
    let moved = [(2, 2, 0x7f, Which::From(old)), (2, 2, 0x7f, Which::At(old))];
    assert_eq!(void_after(|c| to(c, "100.64.9.2/24")), moved);
    assert_eq!(void_after(|c| to(c, "100.64.2.2/30")), []);
    assert_eq!(void_after(|c| c.uplinks[1].fixed_mut().unwrap().gateway = ip("100.64.2.9")), []);
    assert_eq!(void_after(|c| c.uplinks[1].ifname = "wan9".parse().unwrap()), []);
    assert_eq!(void_after(|c| c.uplinks[1].enabled = false), []);
    let translated = |c: &mut Config| c.uplinks[1].nat = Nat::To([192, 0, 2, 9].into());
    assert_eq!(void_after(translated), moved[..1]);
    assert_eq!(void_after(|c| c.uplinks[1].nat = Nat::Off), moved[..1]);
    assert_eq!(void_after(|c| drop(c.uplinks.remove(1))), moved);
}

/// Given an uplink that begins to translate, then what was not translated is stale.
#[test]
fn what_was_not_translated_is_void_when_it_should_be() {
    let (mut config, mut saved) = (three(), Saved::default());
    config.uplinks[0].nat = Nat::Off;
    take(&mut saved, &config);
    config.uplinks[0].fixed_mut().unwrap().address = "100.64.9.2/24".parse().unwrap();
    take(&mut saved, &config);
    let which: Vec<Which> = saved.stale.iter().map(|v| v.which).collect();
    assert_eq!(which, [Which::At(ip("100.64.1.2"))]);
    config.uplinks[0].nat = Nat::On;
    take(&mut saved, &config);
    assert!(saved.stale.iter().any(|v| v.which == Which::Movable));
}

/// Given other bits for marks, then what has the old ones is stale, with the old mask; fewer
/// bits that hold the same numbers at the same place make nothing stale.
#[test]
fn other_marks_leave_void_connections() {
    let all = void_after(|c| c.ranges.mark_mask = 0x00ff_0000);
    assert_eq!(all.len(), 6);
    assert_eq!(all[0], (1, 1, 0x7f, Which::From(ip("100.64.1.2"))));
    assert_eq!(void_after(|c| c.ranges.mark_mask = 0x0f00_0000), []);
    assert_eq!(void_after(|c| c.ranges.mark_mask = 0xff00_0000).len(), 6);
}

/// Given an uplink that goes back before the deletion was done, then its connections are good again.
#[test]
fn what_came_back_is_not_void() {
    let (first, mut saved) = (three(), Saved::default());
    take(&mut saved, &first);
    let mut second = first.clone();
    second.uplinks[0].fixed_mut().unwrap().address = "100.64.9.2/24".parse().unwrap();
    take(&mut saved, &second);
    take(&mut saved, &first);
    let new = ip("100.64.9.2");
    let which: Vec<Which> = saved.stale.iter().map(|v| v.which).collect();
    assert_eq!(which, [Which::From(new), Which::At(new)]);
}

/// Given tables for three uplinks, when one is renamed, then it gets the number of the name that
/// is gone: no uplink has a table that is not ours.
#[test]
fn numbers_stay_within_the_tables() {
    let (mut config, mut saved) = (three(), Saved::default());
    config.ranges.tables = (1000, 1003);
    take(&mut saved, &config);
    config.uplinks[0].name = "other".into();
    take(&mut saved, &config);
    let tables = |saved: &Saved, config: &Config| -> Vec<u32> {
        config.uplinks.iter().map(|u| crate::render::table(config, saved.ids[&u.name])).collect()
    };
    assert_eq!(tables(&saved, &config), [1001, 1002, 1003]);
    // Mark and address are those of the uplink under its old name.
    assert_eq!(saved.stale, []);
}

/// Given numbers from a wider range, when it becomes narrow, then those beyond are given anew, and
/// the connections of the old ones are stale.
#[test]
fn numbers_beyond_the_range_are_given_anew() {
    let (config, mut saved) = (three(), Saved::default());
    saved.ids = [("isp1".into(), UplinkId(9)), ("gone".into(), UplinkId(2))].into();
    take(&mut saved, &config);
    assert_eq!(saved.ids["isp1"], UplinkId(9));
    let mut narrow = config;
    narrow.ranges.tables = (1000, 1003);
    take(&mut saved, &narrow);
    let ids: Vec<u8> = narrow.uplinks.iter().map(|u| saved.ids[&u.name].0).collect();
    assert_eq!(ids, [2, 1, 3]);
    assert_eq!(saved.stale.iter().map(|v| v.uplink.0).collect::<Vec<_>>(), [9, 9]);
    assert_eq!(narrow.ranges.highest_id(), 3);
    assert_eq!(crate::config::Ranges::default().highest_id(), 126);
}

/// Given a file that gives one number to several names, then one name of the configuration keeps it, and
/// each uplink has a number of its own.
#[test]
fn a_number_is_of_one_name() {
    let names = ["gone", "isp1", "isp2", "isp3"];
    let ids = names.into_iter().map(|name| (name.into(), UplinkId(2))).collect();
    let mut saved = Saved { ids, ..Saved::default() };
    saved.number(&three());
    let ids: Vec<_> = saved.ids.iter().map(|(name, id)| (name.as_str(), id.0)).collect();
    assert_eq!(ids, [("isp1", 2), ("isp2", 1), ("isp3", 3)]);
}
