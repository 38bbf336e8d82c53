//! The verbs that speak to the daemon, against a small server in its place:
//! what goes over the socket, what is printed, which exit code.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

const STATUS: &str = include_str!("../src/cli/fixture.json");

fn rail(dir: &Path, args: &[&str]) -> Output {
    let mut rail = Command::new(env!("CARGO_BIN_EXE_rail"));
    rail.args(args).arg("--runtime-dir").arg(dir).output().expect("rail starts")
}

fn directory(name: &str) -> PathBuf {
    // Short, for a socket's path has at most 107 bytes.
    let dir = std::env::temp_dir().join(format!("rail-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&dir));
    fs::create_dir_all(&dir).expect("made");
    dir
}

/// Serves one connection with these lines, then goes; gives what was asked.
fn serve(dir: &Path, socket: &str, lines: &str) -> thread::JoinHandle<String> {
    let path = dir.join(socket);
    let listener = UnixListener::bind(&path).expect("bound");
    let lines = lines.to_owned();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("asked");
        let mut asked = String::new();
        BufReader::new(stream.try_clone().expect("cloned")).read_line(&mut asked).expect("a line");
        stream.write_all(lines.as_bytes()).expect("answered");
        drop(listener);
        drop(fs::remove_file(path));
        asked.trim().to_owned()
    })
}

fn answer(status: &str) -> String {
    format!("{{\"ok\":true,\"status\":{}}}\n", status.replace('\n', " "))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Given a file whose name is not UTF-8, when it is applied, then its text and its name go to the
/// daemon.
#[test]
fn a_file_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;
    let dir = directory("anyname");
    let file = dir.join(std::ffi::OsStr::from_bytes(b"a\xff.toml"));
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good/addresses.toml"), &file)
        .expect("copied");
    let asked = serve(&dir, "rail.sock", "{\"ok\":true,\"warnings\":[]}\n");
    let mut apply = Command::new(env!("CARGO_BIN_EXE_rail"));
    let output = apply.arg("apply").arg(&file).arg("--runtime-dir").arg(&dir).output();
    let output = output.expect("rail starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(asked.join().expect("asked").contains("a\u{fffd}.toml"));
    fs::remove_dir_all(dir).expect("removed");
}

/// Given no daemon, when a verb needs one, then the exit code is 3 and the socket is named.
#[test]
fn without_a_daemon_the_exit_code_is_3() {
    let dir = directory("none");
    for args in
        [&["status"][..], &["status", "--json"], &["why", "x"], &["events"], &["reload"], &["stop"]]
    {
        let output = rail(&dir, args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(text(&output.stderr).contains(".sock"), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    fs::remove_dir_all(dir).expect("removed");
}

/// Given a daemon with an uplink down, when the status is asked, then the screen and the JSON
/// show it, and the exit code is 1; with every uplink down it is 2.
#[test]
fn status_shows_and_tells() {
    let dir = directory("status");
    let server = serve(&dir, "rail-ro.sock", &answer(STATUS));
    let output = rail(&dir, &["status"]);
    assert_eq!(server.join().expect("served"), "{\"command\":\"status\"}");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), include_str!("../src/cli/golden/status.txt"));

    // The read-write socket serves where the other is missing.
    let server = serve(&dir, "rail.sock", &answer(STATUS));
    let output = rail(&dir, &["status", "--json"]);
    server.join().expect("served");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sent: serde_json::Value = serde_json::from_str(STATUS).expect("JSON");
    assert_eq!(shown, sent);

    let dead = STATUS.replace("\"up\"", "\"down\"").replace("\"degraded\"", "\"down\"");
    let server = serve(&dir, "rail-ro.sock", &answer(&dead));
    let output = rail(&dir, &["status"]);
    server.join().expect("served");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    fs::remove_dir_all(dir).expect("removed");
}

/// Given an uplink's name, when it is explained, then 0; a wrong name gets the nearest one.
#[test]
fn why_explains_and_corrects() {
    let dir = directory("why");
    let server = serve(&dir, "rail-ro.sock", &answer(STATUS));
    let output = rail(&dir, &["why", "dsl"]);
    server.join().expect("served");
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("dsl has been down for 3 m 12 s"));
    let server = serve(&dir, "rail-ro.sock", &answer(STATUS));
    let output = rail(&dir, &["why", "fibr"]);
    server.join().expect("served");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did you mean \"fibre\"?"));
    fs::remove_dir_all(dir).expect("removed");
}

/// Given events, when they are asked for, then each is one line.
#[test]
fn events_are_one_line_each() {
    let dir = directory("events");
    let events = "{\"at_ms\":1,\"wall\":\"2026-11-21T06:00:00Z\",\"severity\":\"info\",\
                  \"notice\":{\"event\":\"started\",\"router\":\"edge1\",\"adopted\":true}}\n\
                  {\"at_ms\":2,\"wall\":\"2026-11-21T06:00:01Z\",\"severity\":\"info\",\
                  \"notice\":{\"event\":\"from-the-future\"}}\n";
    let server = serve(&dir, "rail-ro.sock", events);
    let output = rail(&dir, &["events"]);
    assert_eq!(server.join().expect("served"), "{\"command\":\"events\",\"follow\":false}");
    assert!(output.status.success());
    let shown = text(&output.stdout);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("started and adopted what was there router=edge1"), "{shown}");
    let server = serve(&dir, "rail-ro.sock", events);
    let output = rail(&dir, &["events", "--json"]);
    server.join().expect("served");
    assert!(text(&output.stdout).lines().all(|l| l.starts_with('{') && l.ends_with('}')));
    fs::remove_dir_all(dir).expect("removed");
}

/// Given commands, when they are sent, then they go to the read-write socket; a refusal is
/// shown, and `stop` returns when the daemon has gone.
#[test]
fn commands_are_sent_and_refusals_shown() {
    let dir = directory("commands");
    let server = serve(&dir, "rail.sock", "{\"ok\":true}\n");
    assert!(rail(&dir, &["reload"]).status.success());
    let request = server.join().expect("served");
    assert!(request.starts_with("{\"command\":\"reload\",\"ssh\":\""), "{request}");
    let refusal = "{\"ok\":false,\"error\":\"error: unknown key\\n --> rail.toml:3:1\"}\n";
    let server = serve(&dir, "rail.sock", refusal);
    let output = rail(&dir, &["reload"]);
    server.join().expect("served");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(" --> rail.toml:3:1"));
    let server = serve(&dir, "rail.sock", "{\"ok\":true}\n");
    let output = rail(&dir, &["stop", "--withdraw"]);
    assert_eq!(server.join().expect("served"), "{\"command\":\"stop\",\"withdraw\":true}");
    assert!(output.status.success(), "{}", text(&output.stderr));
    for nonsense in ["", "nonsense\n", "{\"ok\":true}\n", "{\"ok\":true,\"status\":7}\n"] {
        let server = serve(&dir, "rail-ro.sock", nonsense);
        let output = rail(&dir, &["status"]);
        server.join().expect("served");
        assert!(matches!(output.status.code(), Some(1 | 75)), "{nonsense}");
        assert!(!output.stderr.is_empty());
    }
    fs::remove_dir_all(dir).expect("removed");
}

/// Given a daemon that takes no more clients, or does not answer, then the exit code is one of its own:
/// neither "degraded" nor "no daemon"; and `diff` compares with nothing in its place.
#[test]
fn a_busy_daemon_has_an_exit_code_of_its_own() {
    let dir = directory("busy");
    let file = dir.join("rail.toml");
    fs::write(&file, include_str!("good/minimal-inline.toml")).expect("written");
    let file = file.to_str().expect("UTF-8");
    for lines in ["{\"error\":\"too many clients; try again\",\"ok\":false}\n", ""] {
        for (socket, args) in
            [("rail-ro.sock", &["status"][..]), ("rail.sock", &["diff", file, "--config", file])]
        {
            let server = serve(&dir, socket, lines);
            let output = rail(&dir, args);
            server.join().expect("served");
            assert_eq!(output.status.code(), Some(75), "{args:?}: {}", text(&output.stderr));
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
        }
    }
    let output = rail(&dir, &["diff", file, "--config", file]);
    assert!(text(&output.stdout).starts_with("the configuration is the same"));
    assert!(text(&output.stderr).contains("no daemon runs; compared with"));
    fs::remove_dir_all(dir).expect("removed");
}

/// Given a wrong command line, when it is read, then the exit code is 64; help is 0.
#[test]
fn a_wrong_command_line_is_64() {
    let dir = std::env::temp_dir();
    for args in [&["nonsense"][..], &["why"], &["status", "--nonsense"]] {
        assert_eq!(rail(&dir, args).status.code(), Some(64), "{args:?}");
    }
    for args in [&["--help"][..], &["--version"], &["help", "status"]] {
        let mut rail = Command::new(env!("CARGO_BIN_EXE_rail"));
        assert!(rail.args(args).output().expect("rail starts").status.success(), "{args:?}");
    }
    let mut rail = Command::new(env!("CARGO_BIN_EXE_rail"));
    assert_eq!(rail.output().expect("rail starts").status.code(), Some(64), "no verb");
}
