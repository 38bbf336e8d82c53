//! A configuration that is bad at the start, or that nobody confirms, costs no traffic.

use rail_lab::topology::servers;
use rail_lab::{
    ConfigText, Plan, Rail, Random, Servers, Topology, World, daemon, eventually, figures,
    isolated, long, normal,
};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

/// A world whose state directory is a small disk of its own.
fn world(uplinks: usize, text: &ConfigText) -> World {
    let topology = Topology::build(&Plan::new(uplinks)).unwrap();
    let servers = Servers::start(&topology.internet, &servers()).unwrap();
    let mut rail = Rail::new(&topology.router, &topology.config(text)).unwrap();
    let disk = state(&rail);
    let words = ["-t", "tmpfs", "-o", "size=256k,mode=700", "none", disk.to_str().unwrap()];
    assert!(Command::new("mount").args(words).status().unwrap().success());
    rail.start().unwrap();
    rail.wait_all_up(LIMIT).unwrap();
    World { rail, servers, topology }
}

fn state(rail: &Rail) -> PathBuf {
    rail.runtime_dir().with_file_name("state")
}

fn fill(rail: &Rail) {
    // It ends with an error, when nothing more fits.
    let _ = fs::write(state(rail).join("full"), vec![0u8; 1 << 20]);
    assert!(fs::write(state(rail).join("more"), [0u8; 8192]).is_err(), "the disk is not full");
}

fn make_room(rail: &Rail) {
    for name in ["full", "more"] {
        // The second was perhaps not made.
        let _ = fs::remove_file(state(rail).join(name));
    }
}

fn told(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
    format!("{}: {out}{error}", output.status)
}

fn apply(rail: &Rail, config: &str, more: &[&str]) -> Output {
    let file = rail.runtime_dir().with_file_name("new.toml");
    fs::write(&file, config).unwrap();
    rail.ask(&[&["apply", file.to_str().unwrap()], more].concat()).unwrap()
}

fn wait_source(rail: &Rail, source: &str) {
    eventually(LIMIT, source, || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let found = status["configuration"].clone();
        if found["source"] == source { Ok(()) } else { Err(found.to_string()) }
    });
    rail.wait_settled(LIMIT).unwrap();
}

#[test]
fn traffic_flows_after_a_start_with_a_bad_file() {
    isolated(|| {
        // given a router that once had a good file / when it is killed, or all of its state is gone
        // as after a power cut, and the file is torn, no text, empty or missing, and the disk full /
        // then it works as before, and takes the file when that is repaired
        let mut world = world(2, &ConfigText::weights(&[1, 2]));
        let good = world.topology.config(&ConfigText::weights(&[1, 2]));
        let before = normal::state(&world.topology.router).unwrap();
        let mut random = Random::new(7);
        let rounds = if long() { 100 } else { 6 };
        for round in 0..rounds {
            if round % 2 == 0 {
                world.rail.kill().unwrap();
            } else {
                assert!(world.rail.stop(true).unwrap().success());
            }
            match round % 6 {
                0 => world.rail.write_config(&good[..random.below(good.len() - 1)]).unwrap(),
                1 => world.rail.write_config(&good.replace("gateway", "gatewey")).unwrap(),
                2 => world.rail.write_config("").unwrap(),
                3 => fs::remove_file(world.rail.config_path()).unwrap(),
                4 => fs::write(world.rail.config_path(), vec![0; good.len()]).unwrap(),
                _ => {
                    world.rail.write_config(&good[..good.len() / 2]).unwrap();
                    fill(&world.rail);
                }
            }
            world.rail.start().unwrap();
            world.rail.wait_all_up(LIMIT).unwrap();
            wait_source(&world.rail, "last-good");
            let report = world.connect(20).unwrap();
            assert_eq!(report.failed(), 0, "round {round}: {:?}", report.reasons());
            let now = normal::state(&world.topology.router).unwrap();
            assert_eq!(normal::difference(&before, &now), "", "round {round}");
            let screen = world.rail.ask(&["status"]).unwrap();
            assert!(told(&screen).contains("last good"), "{}", told(&screen));
            assert_eq!(screen.status.code(), Some(1));
            make_room(&world.rail);
            world.rail.write_config(&good).unwrap();
            wait_source(&world.rail, "file");
        }
        figures(&format!("traffic flowed after {rounds} of {rounds} starts with a bad file"));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn what_nobody_confirms_goes_back_and_loses_nothing() {
    isolated(|| {
        // given connections / when a configuration is on trial and nobody confirms it: the time runs
        // out, with a disk that is full meanwhile, or the daemon is killed and starts again in time,
        // or too late / then what was before is back, and no connection noticed
        let text = ConfigText::weights(&[1, 1, 1]);
        let mut world = world(3, &text);
        let other = ConfigText {
            rest: "[balance]\nby = \"client\"\n[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \
                   \"192.168.1.10:80\"\n"
                .into(),
            ..ConfigText::weights(&[1, 5, 1])
        };
        let other = world.topology.config(&other);
        let before = normal::state(&world.topology.router).unwrap();
        let flows = world.flows(12, 12);
        let connector = world.connector();
        let rounds = if long() { 100 } else { 4 };
        for round in 0..rounds {
            world.wait_for(&connector, 10).unwrap();
            let output = apply(&world.rail, &other, &["--confirm", "2s"]);
            assert!(output.status.success(), "{}", told(&output));
            wait_source(&world.rail, "trial");
            let tried = normal::state(&world.topology.router).unwrap();
            assert_ne!(normal::difference(&before, &tried), "");
            match round % 4 {
                0 => {}
                1 => fill(&world.rail),
                2 => {
                    world.rail.kill().unwrap();
                    world.rail.start().unwrap();
                }
                _ => {
                    world.rail.kill().unwrap();
                    std::thread::sleep(Duration::from_millis(2200));
                    world.rail.start().unwrap();
                }
            }
            wait_source(&world.rail, "file");
            world.rail.wait_all_up(LIMIT).unwrap();
            world.rail.wait_settled(LIMIT).unwrap();
            eventually(LIMIT, "the state of before", || {
                let now = normal::state(&world.topology.router).unwrap();
                let difference = normal::difference(&before, &now);
                if difference.is_empty() { Ok(()) } else { Err(difference) }
            });
            make_room(&world.rail);
            eventually(LIMIT, "the note of the trial to go", || {
                let exists = state(&world.rail).join("trial.json").exists();
                if exists { Err("it is there") } else { Ok(()) }
            });
        }
        let (report, flows) = (connector.stop().unwrap(), flows.stop().unwrap());
        figures(&format!(
            "{rounds} of {rounds} trials went back; {} of {} connections failed, {} flows broken, \
             {} of {} UDP lost",
            report.failed(),
            report.attempts.len(),
            flows.broken(),
            flows.udp_lost(),
            flows.udp_sent()
        ));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!((flows.udp_lost(), flows.broken(), flows.mixed()), (0, 0, 0));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_configuration_is_applied_confirmed_and_rolled_back() {
    isolated(|| {
        // given a running router / when configurations are applied, tried, confirmed and rolled back,
        // with a bad file, a full disk, and after a boot / then the file, the history and what is in
        // force agree, and what is refused changes nothing
        let text = |weight| ConfigText::weights(&[1, weight]);
        let mut world = world(2, &text(1));
        let config = |weight| world.topology.config(&text(weight));
        let configs: Vec<String> = (1..8).map(config).collect();
        let weight = |rail: &Rail| {
            let file = fs::read_to_string(rail.config_path()).unwrap();
            let file = configs.iter().position(|c| *c == file).unwrap() + 1;
            (rail.uplink("isp2", "weight").unwrap(), file)
        };
        let rail = &world.rail;
        let good = |output: Output| assert!(output.status.success(), "{}", told(&output));
        let refused = |output: Output, words: &str| {
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            assert!(told(&output).contains(words), "{}", told(&output));
        };
        good(apply(rail, &configs[1], &[]));
        assert_eq!(weight(rail), ("2".into(), 2));
        refused(apply(rail, &configs[2].replace("gateway", "gatewey"), &[]), "gatewey");
        assert_eq!(weight(rail), ("2".into(), 2));
        refused(rail.ask(&["confirm"]).unwrap(), "no configuration is on trial");

        good(apply(rail, &configs[2], &["--confirm", "60s"]));
        assert_eq!(weight(rail), ("3".into(), 2));
        refused(apply(rail, &configs[3], &[]), "is on trial for");
        refused(rail.ask(&["reload"]).unwrap(), "is on trial for");
        assert!(told(&rail.ask(&["status"]).unwrap()).contains("on trial"));
        assert!(told(&rail.ask(&["history"]).unwrap()).contains("on trial: apply by"));
        refused(rail.ask(&["rollback", "--confirm", "60s"]).unwrap(), "leave out --confirm");
        assert_eq!(weight(rail), ("3".into(), 2));
        good(rail.ask(&["rollback"]).unwrap());
        assert_eq!(weight(rail), ("2".into(), 2));
        good(apply(rail, &configs[2], &["--confirm", "60s"]));
        good(rail.ask(&["confirm"]).unwrap());
        assert_eq!(weight(rail), ("3".into(), 3));
        let history = told(&rail.ask(&["history"]).unwrap());
        assert_eq!(history.lines().count(), 4, "{history}");
        good(rail.ask(&["rollback", "2"]).unwrap());
        assert_eq!(weight(rail), ("1".into(), 1));
        refused(rail.ask(&["rollback", "9"]).unwrap(), "the history goes back 3 steps");

        // An edit that was never loaded: nothing is lost, whatever replaces the file.
        let edit = format!("{}\n# mine\n", configs[0]);
        rail.write_config(&edit).unwrap();
        refused(rail.ask(&["rollback", "0"]).unwrap(), "by 0 steps changes nothing");
        assert_eq!(fs::read_to_string(rail.config_path()).unwrap(), edit);
        let beside = format!("{}.unloaded", rail.config_path().display());
        for steps in [["rollback", "1"], ["rollback", "1"]] {
            rail.write_config(&edit).unwrap();
            let output = rail.ask(&steps).unwrap();
            assert!(told(&output).contains("the edit is kept in"), "{}", told(&output));
            good(output);
            assert_eq!(fs::read_to_string(&beside).unwrap(), edit);
            fs::remove_file(&beside).unwrap();
        }
        assert!(!told(&rail.ask(&["history"]).unwrap()).contains("on trial"));

        // A disk that is full: a trial could not be taken back after a crash, all else works.
        fill(rail);
        refused(apply(rail, &configs[4], &["--confirm", "60s"]), "nothing was changed");
        assert_eq!(weight(rail), ("1".into(), 1));
        let output = apply(rail, &configs[4], &[]);
        assert!(told(&output).contains("warning"), "{}", told(&output));
        good(output);
        assert_eq!(weight(rail), ("5".into(), 5));
        make_room(rail);

        // A boot: the trial is of another one.
        good(apply(rail, &configs[5], &["--confirm", "1h"]));
        assert_eq!(weight(rail), ("6".into(), 5));
        world.rail.kill().unwrap();
        for name in ["trial.json", "state.json"] {
            let path = state(&world.rail).join(name);
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            let text = fs::read_to_string(&path).unwrap().replace(boot.trim(), "another");
            fs::write(path, text).unwrap();
        }
        world.rail.start().unwrap();
        wait_source(&world.rail, "file");
        assert_eq!(weight(&world.rail), ("5".into(), 5));
        world.rail.wait_log(&["configuration on trial rolled back"]).unwrap();

        // A crash while it was confirmed: the file has it, the note is still there and says so.
        good(apply(&world.rail, &configs[6], &["--confirm", "1h"]));
        world.rail.kill().unwrap();
        world.rail.write_config(&configs[6]).unwrap();
        let note = state(&world.rail).join("trial.json");
        let text = fs::read_to_string(&note).unwrap();
        let noted = text.replace("\"is_confirmed\":false", "\"is_confirmed\":true");
        assert_ne!(noted, text);
        fs::write(note, noted).unwrap();
        world.rail.start().unwrap();
        wait_source(&world.rail, "file");
        assert_eq!(weight(&world.rail), ("7".into(), 7));
    });
}

#[test]
fn nobody_cuts_the_branch_he_sits_on_by_mistake() {
    isolated(|| {
        // given an administrator at the other end of an SSH connection / when a configuration, or
        // `rail disable`, would cut it / then that is refused with the reason, unless it goes back
        // by itself
        let allow = ConfigText {
            rest: "[firewall]\nallow = [\"tcp 22\"]\n".into(),
            ..ConfigText::weights(&[1, 1])
        };
        let world = world(2, &allow);
        let rail = &world.rail;
        let own = world.topology.line(1).address();
        let inside = "192.168.1.77 50000 192.168.1.1 22".to_owned();
        let outside = format!("198.18.9.9 50000 {own} 22");
        let ask = |ssh: &str, words: &[&str]| {
            // starts: rail
            let mut command = Command::new(daemon::program().unwrap());
            command.args(words).arg("--runtime-dir").arg(rail.runtime_dir());
            world.topology.router.output(command.env("SSH_CONNECTION", ssh)).unwrap()
        };
        let refused = |output: &Output, words: &str| {
            assert_eq!(output.status.code(), Some(1), "{}", told(output));
            assert!(told(output).contains(words), "{}", told(output));
        };
        let file = rail.runtime_dir().with_file_name("closed.toml");
        let path = file.to_str().unwrap();
        fs::write(&file, world.topology.config(&ConfigText::weights(&[1, 1]))).unwrap();
        refused(&ask(&outside, &["apply", path]), "your own connection from 198.18.9.9 by wan1");
        refused(&ask(&outside, &["disable", "isp1"]), "uplink isp1 is disabled");
        let before = fs::read_to_string(rail.config_path()).unwrap();
        fs::copy(&file, rail.config_path()).unwrap();
        refused(&ask(&outside, &["reload"]), "your own connection from 198.18.9.9 by wan1");
        fs::write(rail.config_path(), before).unwrap();
        assert!(ask(&outside, &["reload"]).status.success());
        assert!(ask(&inside, &["apply", path]).status.success());
        assert!(ask("", &["rollback"]).status.success());
        assert!(ask(&outside, &["apply", path, "--confirm", "1m"]).status.success());
        assert!(ask(&outside, &["rollback"]).status.success());
        let moved = world.topology.config(&allow).replace("\"lan0\"", "\"lan1\"");
        fs::write(&file, moved).unwrap();
        let here = format!("{} 50000 192.168.1.1 22", world.topology.clients()[0]);
        refused(&ask(&here, &["apply", path]), "it removes lan0");
        assert!(ask(&outside, &["apply", path]).status.success());
    });
}

#[test]
fn an_uplink_is_disabled_drained_and_preferred_by_command() {
    isolated(|| {
        // given connections / when an uplink is drained, preferred, disabled, over a restart and for
        // a time / then new connections go where they were told to, the others stay, and the end of
        // the time or `enable` gives back what was
        let mut world = world(3, &ConfigText::weights(&[1, 1, 1]));
        let sources = world.sources();
        let before = normal::state(&world.topology.router).unwrap();
        let flows = world.flows(12, 12);
        let ask = |world: &World, words: &[&str]| {
            let output = world.rail.ask(words).unwrap();
            assert!(output.status.success(), "{}", told(&output));
            world.rail.wait_settled(LIMIT).unwrap();
        };
        let by_source = |world: &World| {
            let report = world.connect(60).unwrap();
            assert_eq!(report.failed(), 0, "{:?}", report.reasons());
            let counts = report.by_source();
            sources.iter().map(|s| counts.get(s).copied().unwrap_or(0)).collect::<Vec<_>>()
        };
        ask(&world, &["drain", "isp1"]);
        assert_eq!(by_source(&world)[0], 0);
        assert_eq!(world.rail.uplink("isp1", "health").unwrap(), "up");
        world.rail.kill().unwrap();
        world.rail.start().unwrap();
        world.rail.wait_all_up(LIMIT).unwrap();
        assert_eq!(by_source(&world)[0], 0);
        assert!(told(&world.rail.ask(&["status"]).unwrap()).contains("drained by"));
        ask(&world, &["prefer", "isp1"]);
        assert_eq!(by_source(&world)[1..], [0, 0]);
        ask(&world, &["enable", "isp1"]);
        assert!(by_source(&world).iter().all(|count| *count > 0));
        let flows = flows.stop().unwrap();
        assert_eq!((flows.udp_lost(), flows.broken(), flows.mixed()), (0, 0, 0));

        ask(&world, &["disable", "isp2", "--for", "3s"]);
        assert_eq!(world.rail.uplink("isp2", "health").unwrap(), "disabled");
        assert_eq!(by_source(&world)[1], 0);
        assert!(told(&world.rail.ask(&["why", "isp2"]).unwrap()).contains("disabled by"));
        world.rail.wait_all_up(LIMIT).unwrap();
        assert!(by_source(&world)[1] > 0);
        // The kernel lists objects in the order in which they were made.
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(Into::into).collect();
            lines.sort();
            lines
        };
        let now = normal::state(&world.topology.router).unwrap();
        assert_eq!(sorted(&before), sorted(&now));

        let wrong = world.rail.ask(&["drain", "ips1"]).unwrap();
        assert_eq!(wrong.status.code(), Some(1));
        assert!(told(&wrong).contains("did you mean \"isp1\"?"), "{}", told(&wrong));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}
