//! The script that starts the daemon again where the service manager does not.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/keep-running");

/// A program in the place of rail that does one of these things after the other.
struct Fake {
    dir: PathBuf,
}

impl Fake {
    fn new(name: &str, lives: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-keep-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut script = format!("#!/bin/sh\ncd {}\necho \"$@\" >>calls\n", dir.display());
        script += "case $(wc -l <calls) in\n";
        for (n, life) in lives.iter().enumerate() {
            script += &format!("{}) {life} ;;\n", n + 1);
        }
        fs::write(dir.join("rail"), script + "esac\n").unwrap();
        fs::set_permissions(dir.join("rail"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn start(&self) -> Child {
        // starts: rail
        Command::new(SCRIPT).arg(self.dir.join("rail")).args(["--config", "x"]).spawn().unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for_calls(&self, count: usize) {
        let begun = Instant::now();
        while self.calls().len() < count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", self.calls());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const UNTIL_TERM: &str =
    "trap 'echo term >>calls; exit 0' TERM; echo ready >>calls; while :; do sleep 0.02; done";

#[test]
fn it_starts_again_what_failed_and_obeys_a_stop() {
    // given a daemon that is killed, then ends with 3, then works / when the service is stopped,
    // then the daemon hears it, and nothing is started again
    let fake = Fake::new("again", &["kill -KILL $$", "exit 3", UNTIL_TERM]);
    let mut child = fake.start();
    fake.wait_for_calls(4);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let call = "run --config x";
    assert_eq!(fake.calls(), [call, call, call, "ready", "term"]);
}

#[test]
fn a_daemon_that_hangs_is_killed_by_a_stop() {
    // given a daemon that does not hear SIGTERM, and seconds that are short / when the service is
    // stopped, then the daemon has gone with it
    let fake = Fake::new("hang", &["trap '' TERM; echo $$ >>calls; while :; do sleep 9; done"]);
    fs::write(fake.dir.join("sleep"), "#!/bin/sh\nPATH=/usr/bin:/bin\nexec sleep 0.02\n").unwrap();
    fs::set_permissions(fake.dir.join("sleep"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", fake.dir.display());
    // starts: rail
    let mut command = Command::new(SCRIPT);
    let mut child = command.arg(fake.dir.join("rail")).env("PATH", path).spawn().unwrap();
    fake.wait_for_calls(2);
    let daemon: i32 = fake.calls()[1].parse().unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rustix::process::test_kill_process(Pid::from_raw(daemon).unwrap()).is_err());
}

#[test]
fn what_is_final_is_not_tried_again() {
    for code in [0, 1, 2] {
        let fake = Fake::new(&format!("final-{code}"), &[&format!("exit {code}")]);
        assert_eq!(fake.start().wait().unwrap().code(), Some(code));
        assert_eq!(fake.calls().len(), 1);
    }
}
