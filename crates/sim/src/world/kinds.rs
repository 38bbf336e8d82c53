//! Worlds whose uplinks are checked in one way or another, under all laws.

use super::World;
use crate::dice::Dice;
use crate::fault::Mix;
use crate::net::CLOSED_PORT;
use crate::scenario::Scenario;
use rail_core::config::CheckKind;
use rail_core::status::Health;
use rail_core::time::Duration;

/// A world without faults whose uplinks are checked in this way and are up.
fn world(kind: CheckKind) -> World {
    let mut dice = Dice::new(1);
    let mut scenario = Scenario { mix: Mix::none(), ..Scenario::draw(1, &mut dice) };
    let mut check = scenario.config.check.clone();
    check.kind = kind;
    scenario.config.check_all(check);
    let mut world = World::new(dice, scenario);
    world.run_for(SECOND * 30);
    assert!(world.violation.is_none(), "{:?}", world.violation);
    assert!(is_each(&world, Health::Up));
    world
}

fn is_each(world: &World, health: Health) -> bool {
    world.scene.lines.iter().all(|line| line.health == health)
}

const SECOND: Duration = Duration::from_secs(1);

/// The first uplink is down while its provider is silent, and up again when it forwards.
fn falls_and_returns(world: &mut World) {
    world.scene.net.lines[0].silent = true;
    world.run_for(SECOND * 6);
    assert_eq!(world.scene.lines[0].health, Health::Down);
    world.scene.net.lines[0].silent = false;
    world.run_for(SECOND * 60);
    assert!(world.violation.is_none(), "{:?}", world.violation);
    assert!(is_each(world, Health::Up));
}

/// Given uplinks that are checked by echoes, when the provider of the first falls silent, then it is
/// down; when the provider forwards again, it returns.
#[test]
fn uplinks_are_checked_by_echoes() {
    falls_and_returns(&mut world(CheckKind::Icmp));
}

/// Given uplinks that are checked by connecting, to a port that listens and to one that refuses, when
/// the provider of the first falls silent, then it is down; when the provider forwards again, it
/// returns.
#[test]
fn uplinks_are_checked_by_connecting() {
    for port in [443, CLOSED_PORT] {
        falls_and_returns(&mut world(CheckKind::Tcp { port }));
    }
}

/// Given uplinks whose gateways are asked by ARP, when a provider falls silent behind its gateway, then
/// its uplink stays up; when the gateway is gone, then it is down; when it is there again, it returns.
#[test]
fn uplinks_are_checked_by_arp() {
    let mut world = world(CheckKind::Arp);
    world.judge_by(Some("probe"), None);
    world.scene.net.lines[0].silent = true;
    world.run_for(SECOND * 6);
    assert_eq!(world.scene.lines[0].health, Health::Up);
    world.scene.net.lines[0].gateway_dead = true;
    world.run_for(SECOND * 6);
    assert_eq!(world.scene.lines[0].health, Health::Down);
    world.scene.net.lines[0].gateway_dead = false;
    world.run_for(SECOND * 60);
    assert!(world.violation.is_none(), "{:?}", world.violation);
    assert!(is_each(&world, Health::Up));
}
