//! Nothing is left behind, nothing of the machine is touched, nothing is skipped.

use rail_lab::{Node, Plan, Topology, eventually, figures, isolated, outside};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

const MARK: &str = "RAIL_LAB_MARK";

/// Not a test of its own: what the others start and kill.
#[test]
#[ignore = "a part of other tests"]
fn sleeper() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(1)).unwrap();
        if std::env::var_os(MARK).is_none() {
            return;
        }
        let mut sleep = topology.router.start(Command::new("sleep").arg("3600")).unwrap();
        sleep.wait().unwrap();
    });
}

/// Not a test of its own: forbids user namespaces inside one, then asks for one.
#[test]
#[ignore = "a part of other tests"]
fn forbidden() {
    isolated(|| {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        if map.split_whitespace().last() != Some("1") {
            // The first user namespace: its limits are the machine's.
            return;
        }
        fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
        let output = start("sleeper").env_remove("RAIL_LAB_INSIDE").output().unwrap();
        assert!(!output.status.success());
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        panic!("as it should be");
    });
}

/// One of the parts above, in a process of its own.
fn start(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&format!("isolation::{test}"), "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::null());
    command
}

/// Processes with this mark in their environment.
fn marked(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let wanted = format!("{MARK}={mark}");
    let has = |path: std::path::PathBuf| {
        fs::read(path.join("environ"))
            .is_ok_and(|text| text.split(|b| *b == 0).any(|v| v == wanted.as_bytes()))
    };
    entries.filter(|entry| has(entry.path())).count()
}

#[test]
fn a_killed_test_leaves_no_process() {
    outside(|| {
        // given a test with namespaces and a process in one of them / when its outermost process
        // is killed / then every process below it ends, and the namespaces with them
        let mark = format!("{}-kill", std::process::id());
        let mut child = start("sleeper")
            .env(MARK, &mark)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = eventually(Duration::from_secs(20), "the chain of processes", || {
            let count = marked(&mark);
            // Outer, intermediate, pid 1, the test, and sleep.
            if count >= 5 { Ok(count) } else { Err(count) }
        });
        child.kill().unwrap();
        child.wait().unwrap();
        eventually(Duration::from_secs(5), "the end of all of them", || match marked(&mark) {
            0 => Ok(()),
            left => Err(left),
        });
        figures(&format!("{running} processes ended with the outermost"));
    });
}

#[test]
fn the_machine_is_not_touched() {
    outside(|| {
        // given the machine's links and mounts / when a drawing is built / then they are the same
        let look = || {
            let links = fs::read_to_string("/proc/net/dev").unwrap();
            let names: Vec<String> =
                links.lines().filter_map(|l| l.split_once(':')).map(|l| l.0.to_owned()).collect();
            (names, fs::read_to_string("/proc/mounts").unwrap())
        };
        // Others may change the machine meanwhile, but not every time.
        let untouched = (0..5).any(|_| {
            let before = look();
            assert!(start("sleeper").output().unwrap().status.success());
            before == look()
        });
        assert!(untouched, "links or mounts of the machine changed: {:?}", look());
    });
}

#[test]
fn a_system_that_forbids_namespaces_gets_one_sentence() {
    outside(|| {
        let output = start("forbidden").env("RAIL_LAB_USERNS", "1").output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success());
        let sentence = text.lines().find(|line| line.contains("does not let you make namespaces"));
        assert!(sentence.is_some_and(|line| line.contains("sudo sysctl -w")), "{text}");
        figures(sentence.unwrap_or_default().trim());
    });
}

#[test]
fn settings_can_be_written_inside_a_user_namespace() {
    isolated(|| {
        let node = Node::new("one").unwrap();
        for (name, value) in [("ip_forward", "1"), ("fib_multipath_hash_policy", "1")] {
            node.set(&format!("net/ipv4/{name}"), value).unwrap();
            let path = format!("/proc/sys/net/ipv4/{name}");
            assert_eq!(node.enter(|| fs::read_to_string(path)).unwrap().trim(), value);
        }
        let own = fs::read_to_string("/proc/sys/net/ipv4/fib_multipath_hash_policy").unwrap();
        assert_eq!(own.trim(), "0", "the setting belongs to the node alone");
    });
}
