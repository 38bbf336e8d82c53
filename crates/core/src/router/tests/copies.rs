//! Copies of rules of others, and who deletes them.

use super::world::{MS, World, all, uplinks};
use super::*;
use crate::net::Family;
use crate::notice::DaemonNews;
use crate::state::{ObservedRule, Rule};
use alloc::vec::Vec;

fn theirs(priority: u32) -> ObservedRule {
    let from = Some("192.168.1.77/32".parse().unwrap());
    let rule = Rule { from, ..Rule::lookup(priority, Family::V4, 100) };
    ObservedRule { rule: Some(rule), priority, family: Family::V4, protocol: 3 }
}

fn priorities(world: &World) -> Vec<u32> {
    let is_it = |rule: &&ObservedRule| rule.rule.as_ref().is_some_and(|rule| rule.table == 100);
    world.state.rules.iter().filter(is_it).map(|rule| rule.priority).collect()
}

fn warnings(world: &World) -> usize {
    let is_it = |(_, notice): &&(Instant, Notice)| matches!(notice, Notice::Daemon(DaemonNews::Text { text, .. }) if text.contains("copy of the policy rule"));
    world.notices.iter().filter(is_it).count()
}

fn delete(world: &mut World, mut which: impl FnMut(u32) -> bool) {
    world.state.rules.retain(|rule| !which(rule.priority));
    world.changed(Scope::RULES);
    world.run(MS * 500, all);
}

/// A router that has a copy of a rule of others, and the priority of the copy.
fn with_a_copy() -> (World, u32) {
    let mut world = World::new(uplinks(&[1, 1]));
    world.state.rules.push(theirs(32_765));
    world.changed(Scope::RULES);
    world.run(MS * 1000, all);
    let both = priorities(&world);
    assert_eq!(both.len(), 2);
    let copy = both.iter().copied().find(|priority| *priority < 32_000).unwrap();
    (world, copy)
}

/// Given a rule of others behind ours, when somebody deletes it without its priority, so that the kernel
/// deletes the copy, then it stays away, which is reported once; when the rule is deleted, too, and added
/// again, then it has a copy as before. A copy that goes with other rules of ours comes back with them.
#[test]
fn a_copy_that_somebody_deletes_stays_away() {
    let (mut world, copy) = with_a_copy();
    delete(&mut world, |priority| (20_000..21_000).contains(&priority));
    assert_eq!((priorities(&world).len(), warnings(&world)), (2, 0), "all of ours");
    delete(&mut world, |priority| priority == copy);
    assert_eq!((priorities(&world), warnings(&world)), ([32_765].into(), 1));
    delete(&mut world, |priority| priority == 32_765);
    assert_eq!(priorities(&world), []);
    world.state.rules.push(theirs(32_765));
    world.changed(Scope::RULES);
    world.run(MS * 500, all);
    assert_eq!((priorities(&world).len(), warnings(&world)), (2, 1));
    world.run(MS * 4000, all);
    assert_eq!((priorities(&world).len(), warnings(&world)), (2, 1));
}

/// Given a copy that somebody deletes alone, and the rule stays, or goes and comes back before a reading
/// says so, then the copy comes back after a while, by itself, and that is reported.
#[test]
fn a_copy_comes_back_if_its_rule_stays() {
    let (mut world, copy) = with_a_copy();
    for round in 1..3 {
        delete(&mut world, |priority| priority == copy);
        assert_eq!((priorities(&world), warnings(&world)), ([32_765].into(), 2 * round - 1));
        world.run(MS * 3000, all);
        assert_eq!((priorities(&world).len(), warnings(&world)), (2, 2 * round));
    }
}
