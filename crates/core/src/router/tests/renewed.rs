//! What a new configuration, and a new process, leave of what the checks have found.

use super::world::{MS, World, all, second, settled, uplinks};
use super::*;
use crate::check::Verdict;
use crate::config::{CheckConfig, CheckKind, DhcpConfig, Limit, UplinkKind};
use crate::status::Health;
use alloc::vec;

/// What a reload may change of the checks: limits, whom they ask, how they ask.
const CHANGES: [fn(&mut CheckConfig); 4] = [
    |check| check.recover_after = 9,
    |check| check.interval = MS * 300,
    |check| {
        check.targets.pop();
        check.required = 1;
    },
    |check| check.kind = CheckKind::Tcp { port: 443 },
];

fn reload(world: &mut World, change: fn(&mut CheckConfig)) {
    change(&mut world.config.check);
    world.input(Input::Reload(Box::new(world.config.clone())));
    world.changed(Scope::ALL);
}

/// Given a suspect uplink, when a reload changes its checks, then it carries nothing before it has answered.
#[test]
fn a_reload_believes_no_suspect() {
    for (row, change) in CHANGES.into_iter().enumerate() {
        let mut world = settled(&[1, 2]);
        world.run(MS * 700, second);
        assert_eq!((world.health()[0], world.active()), (Health::Suspect, vec![false, true]));
        reload(&mut world, change);
        for _ in 0..6000 {
            world.run(MS, second);
            assert_eq!(world.active(), [false, true], "row {row}");
        }
        assert_eq!(world.health()[0], Health::Down, "row {row}");
    }
}

/// Given a suspect uplink, when a reload changes its checks and it answers, then the doubt ends.
#[test]
fn a_doubt_ends_after_a_reload() {
    for (row, change) in CHANGES.into_iter().enumerate() {
        let mut world = settled(&[1, 2]);
        world.run(MS * 700, second);
        reload(&mut world, change);
        world.run(MS * 3000, all);
        assert_eq!(
            (world.health()[0], world.active()),
            (Health::Up, vec![true, false]),
            "row {row}"
        );
    }
}

/// Given an uplink that is held back because it fell again and again, when a reload changes its checks, then
/// it is held until the same moment.
#[test]
fn a_reload_ends_no_hold() {
    for (row, change) in CHANGES.into_iter().enumerate() {
        let mut world = settled(&[1, 1]);
        world.fall_again_and_again();
        let end = world.now + world.hold();
        reload(&mut world, change);
        while world.health()[0] != Health::Up {
            assert!(world.now <= end + MS * 400, "row {row}");
            world.run(MS * 50, all);
        }
        assert!(world.now >= end, "row {row}: {:?}", end.since(world.now));
    }
}

/// Given a target that is ignored, when a reload leaves an uplink nobody else to ask, then that uplink does
/// not stay up by asking nobody.
#[test]
fn an_uplink_of_ignored_targets_is_judged_by_them() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 30_000, |_, target, _| (target != 1).then_some(MS * 10));
    assert_eq!(world.router.uplinks.ignored, [world.config.asked()[1]]);
    let mut config = world.config.clone();
    let check = &mut config.uplinks[0].check;
    (check.targets, check.required) = (vec![config.check.targets[1]], 1);
    let mut out = Vec::new();
    world.router.handle(world.now, Input::Reload(Box::new(config.clone())), &mut out);
    world.config = config;
    world.changed(Scope::ALL);
    world.run(MS * 10_000, |uplink, target, _| (uplink == 2 && target != 1).then_some(MS * 10));
    assert_eq!(
        (world.health(), world.active()),
        (vec![Health::Down, Health::Up], vec![false, true])
    );
    let status = world.router.status(world.now);
    assert!(!status.uplinks[0].targets[0].ignored && status.uplinks[1].targets[1].ignored);
}

/// Given an uplink that is degraded by its latency, when the daemon is started anew, then it says that it
/// was degraded, then its latency, and is avoided all the time.
#[test]
fn a_restart_knows_no_loss_that_was_none() {
    let mut config = uplinks(&[1, 1]);
    config.check.latency = Some(Limit { degraded: MS * 100, recovered: MS * 80 });
    let slow = |uplink: u8, _: usize, _: u64| Some(MS * if uplink == 1 { 200 } else { 10 });
    let mut world = World::new(config);
    world.run(MS * 60_000, slow);
    let cause = |world: &World| world.router.uplinks.at(0).history.cause.clone();
    assert_eq!(cause(&world), "round-trip time 200 ms");
    let mut world = world.restart(|_| {});
    let mut told = Vec::new();
    for _ in 0..60 {
        world.run(MS * 500, slow);
        assert_eq!((world.health()[0], world.active()), (Health::Degraded, vec![false, true]));
        told.push(cause(&world));
    }
    told.dedup();
    assert_eq!(told, ["it was degraded before", "round-trip time 200 ms"]);
    world.run(MS * 120_000, all);
    assert_eq!(world.health()[0], Health::Up);
}

/// Given a limiter of probes that was found, when the daemon is started anew or the limits of the checks
/// change, then it is known, and shown.
#[test]
fn a_limiter_is_found_once() {
    let mut world = settled(&[1, 1]);
    let limited_kind = Some(CheckKind::Icmp);
    let learnt = crate::Learnt { limited_rate: Some(2500), limited_kind, ..Default::default() };
    world.router.desk.saved.learnt.insert("isp1".into(), learnt);
    let mut world = world.restart(|_| {});
    reload(&mut world, CHANGES[0]);
    let shown = |world: &World| world.router.status(world.now).uplinks[0].limited_per_s;
    assert_eq!(shown(&world), Some(2.5));
    assert_eq!(world.router.desk.saved.learnt["isp1"].limited_rate, Some(2500));
    let mut world = world.restart(|_| {});
    assert_eq!(shown(&world), Some(2.5));
    assert_eq!(world.router.desk.saved.learnt["isp1"].limited_kind, limited_kind);
    // Who asks in another way may be answered more often.
    world.config.check.kind = CheckKind::Tcp { port: 443 };
    let mut world = world.restart(|_| {});
    assert_eq!(shown(&world), None);
    world.run(MS * 1000, all);
    assert_eq!(world.router.desk.saved.learnt.get("isp1"), Some(&crate::Learnt::default()));
}

/// Given a file in which somebody wrote anything about the falls of an uplink, or how many configurations
/// were loaded, then nothing panics, and no return is held back for longer than an hour.
#[test]
fn any_falls_can_be_read() {
    let falls = crate::Falls {
        held_until: Instant::FAR_FUTURE,
        returned: Some(Instant::FAR_FUTURE),
        by_loss: true,
        lossy_again: u32::MAX,
        silent_again: u32::MAX,
        penalty: u32::MAX,
        penalized: Instant::FAR_FUTURE,
    };
    for limited_rate in [Some(0), Some(u32::MAX)] {
        let mut world = settled(&[1, 1]);
        let limited_kind = Some(CheckKind::Icmp);
        let learnt = crate::Learnt { suspect: true, limited_rate, limited_kind, falls };
        world.router.desk.saved.learnt.insert("isp1".into(), learnt);
        world.router.desk.saved.generation = u64::MAX;
        let mut world = world.restart(|_| {});
        world.run(MS * 10_000, second);
        let left = world.router.uplinks.at(0).prober.hold_left(world.now);
        assert!(left <= MS * 3_600_000, "{left:?}");
    }
}

/// Given an uplink that is held back, when a new process finds another address of it in the file, or that
/// it leases one, then it begins anew, as after a reload: it is another uplink.
#[test]
fn another_uplink_of_that_name_begins_anew() {
    let mut world = settled(&[1, 1]);
    world.fall_again_and_again();
    world.config.uplinks[0].fixed_mut().unwrap().address = "100.64.1.9/24".parse().unwrap();
    let mut world = world.restart(|_| {});
    world.run(MS * 1000, all);
    assert_eq!((world.health()[0], world.hold()), (Health::Up, Duration::ZERO));
    world.fall_again_and_again();
    world.config.uplinks[0].kind = UplinkKind::Dhcp(DhcpConfig::default());
    let world = world.restart(|_| {});
    let prober = &world.router.uplinks.at(0).prober;
    assert_eq!((prober.verdict(), world.hold()), (Verdict::Probing, Duration::ZERO));
}
