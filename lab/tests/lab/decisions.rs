//! What a reload, a start, a foreign route and an absent daemon may not do to uplinks.

use rail_lab::topology::targets;
use rail_lab::{ConfigText, Fault, Plan, Topology, World, eventually, figures, isolated};
use std::time::Duration;

#[test]
fn an_ignored_target_condemns_nobody() {
    isolated(|| {
        // given a target that fails everywhere, without which `required` cannot be met / when the
        // configuration is read anew, and another uplink starts / then no uplink goes down
        let text = ConfigText { check: "required = 3\n".into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        world.topology.silence(targets()[1]).unwrap();
        eventually(Duration::from_secs(15), "an ignored target", || {
            let status = world.rail.status().map_err(|e| e.to_string())?;
            let count = status["blamed"].as_array().map_or(0, Vec::len);
            if count == 1 { Ok(()) } else { Err(status["blamed"].to_string()) }
        });
        world.rail.reload(&world.topology.config(&text)).unwrap();
        let mut seen = world.rail.watch_health("isp1", Duration::from_secs(5)).unwrap();
        let injected = world.topology.inject(2, Fault::Carrier).unwrap();
        world.rail.wait_health("isp2", "no-carrier", Duration::from_secs(5)).unwrap();
        injected.repair().unwrap();
        seen.extend(world.rail.watch_health("isp1", Duration::from_secs(5)).unwrap());
        figures(&format!("{seen:?}"));
        assert!(seen.iter().all(|health| health == "up"), "{seen:?}");
    });
}

#[test]
fn an_uplink_whose_place_is_taken_carries_nothing() {
    isolated(|| {
        // given a route of somebody else where an uplink has its own / when the daemon starts /
        // then it is left there, and the uplink is not used until it is gone
        let topology = Topology::build(&Plan::new(2)).unwrap();
        // starts: ip
        let router = topology.router.clone();
        router.sh("ip route add unreachable default table 20001").unwrap();
        let world = World::begin(topology, &ConfigText::default()).unwrap();
        let rail = &world.rail;
        rail.wait_health("isp1", "no-way", Duration::from_secs(5)).unwrap();
        rail.wait_health("isp2", "up", Duration::from_secs(5)).unwrap();
        let role = |name: &str| rail.uplink(name, "role").unwrap();
        assert_eq!((role("isp1"), role("isp2")), ("standby".into(), "active".into()));
        let cause = rail.uplink("isp1", "cause").unwrap();
        assert!(cause.contains("a foreign route stands here"), "{cause}");
        let table = router.sh("ip route show table 20001 metric 0").unwrap();
        assert!(table.contains("unreachable default"), "{table}");
        router.sh("ip route del unreachable default table 20001").unwrap();
        rail.wait_health("isp1", "up", Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn an_interface_that_vanished_unseen_loses_its_connections() {
    isolated(|| {
        // given connections of an uplink / when its interface vanishes while no daemon runs / then
        // the next one says so, and deletes them
        let mut world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        world.connect(40).unwrap();
        let count = |world: &World| {
            // starts: conntrack
            let list = "conntrack -L -p tcp --mark 0x01000000/0x7f000000 2>/dev/null || true";
            world.topology.router.sh(list).unwrap().lines().filter(|l| l.contains("mark=")).count()
        };
        let before = count(&world);
        world.rail.kill().unwrap();
        world.topology.router.sh("ip link delete wan1").unwrap();
        world.rail.start().unwrap();
        world.rail.wait_health("isp1", "absent", Duration::from_secs(5)).unwrap();
        eventually(Duration::from_secs(10), "no connection of the absent uplink", || {
            let left = count(&world);
            if left == 0 { Ok(()) } else { Err(left.to_string()) }
        });
        figures(&format!("{before} connections before"));
        assert!(before > 0);
        assert!(world.rail.log().contains("to=absent"), "{}", world.rail.log());
    });
}
