//! A program that we start does not end: nothing but its own work waits for it.

use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Plan, World, eventually, figures, isolated, long,
    timed,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// From a cut to the last failed connection, on a machine that has other work, too.
const CARRIER: Duration = Duration::from_millis(300);

/// An `nft` in a directory of its own, which waits long before each transaction or refuses it, if it is
/// told to, and says when it has begun and ended.
struct Slow {
    directory: PathBuf,
}

impl Slow {
    fn new() -> Self {
        let directory = PathBuf::from("/run/rail-slow-nft");
        fs::create_dir_all(&directory).unwrap();
        let here = directory.display();
        let script = format!(
            "#!/bin/sh\n\
             PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             if test \"$1\" = -f && test -e {here}/hang; then\n\
             : > {here}/begun; sleep {}; nft \"$@\"; : > {here}/ended\n\
             elif test \"$1\" = -f && test -e {here}/refuse; then\n\
             : > {here}/begun; echo Error: no memory >&2; exit 1\n\
             else exec nft \"$@\"; fi\n",
            if long() { 10 } else { 5 }
        );
        let file = directory.join("nft");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["hang", "refuse", "begun", "ended"] {
            // Of a run before this one.
            let _ = fs::remove_file(directory.join(name));
        }
        Self { directory }
    }

    fn path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.display())
    }

    fn hang(&self) {
        self.begin("hang");
    }

    fn begin(&self, what: &str) {
        fs::write(self.directory.join(what), "").unwrap();
    }

    /// The next transaction goes at once; one that hangs goes on hanging.
    fn release(&self) {
        for what in ["hang", "refuse"] {
            let _ = fs::remove_file(self.directory.join(what));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }
}

/// Two uplinks and as many more as given, with that `nft`.
fn begin(plan: &Plan, text: &ConfigText) -> (World, Slow) {
    let mut world = World::start(plan, text).unwrap();
    let slow = Slow::new();
    world.rail.kill().unwrap();
    world.rail.launch_with(&[("PATH", &slow.path())]).unwrap();
    world.rail.wait_ready(Duration::from_secs(5)).unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    (world, slow)
}

/// Cuts the cable of the first uplink while `nft` hangs: the last failed connection after that.
fn cut(world: &World, slow: &Slow) {
    eventually(Duration::from_secs(5), "a transaction", || {
        if slow.has("begun") { Ok(()) } else { Err("nft was not started".to_owned()) }
    });
    let plan = ConnectorPlan { period: Duration::from_millis(2), ..world.plan() };
    let connector = Connector::start(&world.topology.client, plan);
    world.wait_for(&connector, 100).unwrap();
    let injected = world.topology.inject(1, Fault::Carrier).unwrap();
    thread::sleep(Duration::from_secs(2));
    assert!(!slow.has("ended"), "the cut came too late");
    let report = connector.stop().unwrap();
    let last = report.last_failed_after(injected.since);
    figures(&format!("nft hangs: last failed connection {last:?} after the cut"));
    assert!(last <= CARRIER, "{last:?}");
    world.rail.wait_health("isp1", "no-carrier", Duration::from_secs(1)).unwrap();
}

#[test]
fn a_switch_does_not_wait_for_nft() {
    timed(|| {
        // given an nft that hangs in a repair / when a cable is cut meanwhile / then
        // new connections move as without; the repair is done when nft goes on
        let (world, slow) = begin(&Plan::new(2), &ConfigText::weights(&[1, 1]));
        let router = world.topology.router.clone();
        let look = "nft -s list chain inet rail wan_input";
        // starts: nft
        let wanted = router.sh(look).unwrap();
        slow.hang();
        router.sh("nft flush chain inet rail wan_input").unwrap();
        cut(&world, &slow);
        // starts: nft
        eventually(Duration::from_secs(15), "the repair", || match router.sh(look) {
            Ok(now) if now == wanted => Ok(()),
            Ok(now) => Err(now),
            Err(error) => Err(error.to_string()),
        });
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_switch_does_not_wait_for_a_reload_that_changes_the_number_of_buckets() {
    timed(|| {
        // given an nft that hangs in a reload, after which another number of uplinks
        // share / when a cable is cut meanwhile / then new connections move as without; the reload is
        // done when nft goes on, and nobody is told that anything was refused
        for [before, after] in [["\"none\"", "1"], ["1", "\"none\""]] {
            let text = |last| ConfigText { tiers: vec!["1", "1", last], ..ConfigText::default() };
            let (world, slow) = begin(&Plan::new(3), &text(before));
            slow.hang();
            world.rail.reload(&world.topology.config(&text(after))).unwrap();
            cut(&world, &slow);
            if !long() {
                slow.release();
            }
            eventually(Duration::from_secs(30), "the reload", || {
                let status = world.rail.status().map_err(|error| error.to_string())?;
                if status["settled"] == true { Ok(()) } else { Err(status["trouble"].to_string()) }
            });
            let log = world.rail.log();
            assert!(!log.contains("failed to change"), "{log}");
            assert_eq!(world.topology.wrong_sources().unwrap(), 0);
        }
    });
}

#[test]
fn one_that_the_rules_do_not_know_leaves_the_buckets_to_another() {
    timed(|| {
        // given uplinks of tier 1 and 3, and a reload that adds one of tier 2, whose
        // rules nft is slow to load or refuses / when the first dies / then new connections go by the third
        // at once, and status says so; the second takes over when nft has loaded its rules
        for what in ["hang", "refuse"] {
            let text = ConfigText { tiers: vec!["1", "2", "3"], ..ConfigText::default() };
            let (world, slow) = begin(&Plan::new(3), &text);
            let all = world.topology.config(&text);
            let parts: Vec<&str> = all.split("\n[[uplink]]").collect();
            let (_, check) = parts[3].split_once("\n[check]").unwrap();
            let third = parts[3].split("\n[check]").next().unwrap();
            let two =
                format!("{}\n[[uplink]]{}\n[[uplink]]{third}\n[check]{check}", parts[0], parts[1]);
            world.rail.reload(&two).unwrap();
            world.rail.wait_settled(Duration::from_secs(10)).unwrap();
            slow.begin(what);
            world.rail.reload(&all).unwrap();
            world.rail.wait_health("isp2", "up", Duration::from_secs(5)).unwrap();
            let roles = || {
                let status = world.rail.status().unwrap();
                let uplinks = status["uplinks"].as_array().unwrap().clone();
                let of = |u: &serde_json::Value| format!("{} {}", u["role"], u["share"]);
                uplinks.iter().map(of).collect::<Vec<String>>()
            };
            let waiting = world.rail.status().unwrap()["uplinks"][1]["returns"].clone();
            assert_eq!(waiting, "when nft has loaded its rules", "{what}");
            cut(&world, &slow);
            let third = ["\"standby\" 0.0", "\"standby\" 0.0", "\"active\" 1.0"];
            assert_eq!(roles(), third, "{what}");
            slow.release();
            eventually(Duration::from_secs(15), "the second", || {
                let second = ["\"standby\" 0.0", "\"active\" 1.0", "\"standby\" 0.0"];
                if roles() == second { Ok(()) } else { Err(format!("{:?}", roles())) }
            });
            world.rail.wait_settled(Duration::from_secs(15)).unwrap();
            assert_eq!(world.topology.wrong_sources().unwrap(), 0);
        }
    });
}

#[test]
fn a_standby_whose_own_rules_change_takes_over_by_the_old_ones() {
    timed(|| {
        // given a standby, one more address on its interface or a reload that exempts destinations, and
        // an nft that is slow to load its new rules or refuses them / when the first uplink dies / then new
        // connections go by the standby at once, translated; the rules are as wanted when nft goes on
        for (what, is_reload) in [("hang", false), ("refuse", false), ("refuse", true)] {
            let text = ConfigText { tiers: vec!["1", "2"], ..ConfigText::default() };
            let (world, slow) = begin(&Plan::new(2), &text);
            slow.begin(what);
            if is_reload {
                let name = "name = \"isp2\"\n";
                let exempting = format!("{name}no_nat = [\"10.77.0.0/16\"]\n");
                let config = world.topology.config(&text);
                assert!(config.contains(name), "{config}");
                world.rail.reload(&config.replace(name, &exempting)).unwrap();
            } else {
                // starts: ip
                world.topology.router.sh("ip addr add 100.64.2.77/24 dev wan2").unwrap();
            }
            cut(&world, &slow);
            let status = world.rail.status().unwrap();
            assert_eq!(status["uplinks"][1]["share"], 1.0, "{what}: {status}");
            slow.release();
            world.rail.wait_settled(Duration::from_secs(20)).unwrap();
            assert_eq!(world.topology.wrong_sources().unwrap(), 0);
        }
    });
}

#[test]
fn a_withdrawal_rests_while_it_waits() {
    isolated(|| {
        // given the last good configuration in force, whose file is looked at every 2 s, and an nft that
        // hangs / when everything is withdrawn / then the daemon does not work while it waits,
        // and is told nothing that would be for the next start
        let (mut world, slow) = begin(&Plan::new(2), &ConfigText::weights(&[1, 1]));
        world.rail.kill().unwrap();
        world.rail.write_config("").unwrap();
        world.rail.launch_with(&[("PATH", &slow.path())]).unwrap();
        world.rail.wait_ready(Duration::from_secs(5)).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        slow.hang();
        thread::scope(|scope| {
            let withdrawal = scope.spawn(|| world.rail.ask(&["stop", "--withdraw"]).unwrap());
            eventually(Duration::from_secs(5), "a transaction", || {
                if slow.has("begun") { Ok(()) } else { Err("nft was not started".to_owned()) }
            });
            // Until the file is due.
            thread::sleep(Duration::from_millis(2500));
            let before = world.rail.processor_time().unwrap();
            thread::sleep(Duration::from_secs(1));
            let share = (world.rail.processor_time().unwrap() - before).as_secs_f64();
            let refused = world.rail.ask(&["drain", "isp1"]).unwrap();
            assert!(String::from_utf8_lossy(&refused.stderr).contains("is ending"), "{refused:?}");
            assert!(!slow.has("ended"), "that was too late");
            figures(&format!("{:.1} % of a core while a withdrawal waits", share * 100.0));
            assert!(share < 0.3, "{share}");
            let output = withdrawal.join().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        });
    });
}
