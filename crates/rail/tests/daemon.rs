//! The built binary as a daemon, alone in a network namespace: what a service
//! manager, an administrator and a second daemon see of it. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

mod bench;

use bench::{Bench, CONFIG, LIMIT, eventually, inside, text};

/// What a service manager listens on, and its path.
fn manager(bench: &Bench) -> (UnixDatagram, String) {
    let path = bench.dir.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    (socket, path.display().to_string())
}

#[test]
fn it_says_when_it_is_ready_answers_and_ends_by_a_signal() {
    let mut bench = Bench::new("ready");
    let (manager, notify) = manager(&bench);
    bench.start("", &[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "40000")]);
    let said = |wanted: &str| {
        let mut bytes = [0; 200];
        while !text(&bytes).starts_with(wanted) {
            bytes = [0; 200];
            assert_ne!(manager.recv(&mut bytes).unwrap(), 0);
        }
    };
    said("READY=1");
    said("WATCHDOG=1");
    said("WATCHDOG=1");
    let answer = bench.ask("rail-ro.sock", r#"{"command":"status"}"#);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["status"]["uplinks"][1]["name"], "isp2");
    assert_eq!(answer["status"]["uplinks"][1]["health"], "absent");
    assert_eq!(answer["status"]["self"]["pid"], bench.pid());
    bench.signal(Signal::HUP);
    said("RELOADING=1");
    said("READY=1");
    bench.signal(Signal::TERM);
    said("STOPPING=1");
    assert_eq!(bench.exit().code(), Some(0));
    assert!(!bench.dir.join("run/rail.sock").exists());
    assert!(bench.log().contains(" info started router="), "{}", bench.log());
}

/// Given an nft that takes its time, when a reload ends before the first state stands, then the service
/// manager hears that rail is ready when it stands, and not before.
#[test]
fn a_reload_does_not_say_that_it_is_ready_before_it_is() {
    let mut bench = Bench::new("early");
    let (manager, notify) = manager(&bench);
    let bin = bench.dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let slow = "#!/bin/sh\ncase \"$*\" in *-v*) ;; *) sleep 1 ;; esac\nPATH=/usr/sbin:/sbin exec nft \"$@\"\n";
    fs::write(bin.join("nft"), slow).unwrap();
    fs::set_permissions(bin.join("nft"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    bench.start("", &[("NOTIFY_SOCKET", &notify), ("PATH", &path)]);
    bench.signal(Signal::HUP);
    let mut heard = Vec::new();
    while !heard.iter().any(|word: &String| word.starts_with("READY=1")) {
        let mut bytes = [0; 200];
        let length = manager.recv(&mut bytes).unwrap();
        heard.push(text(&bytes[..length]));
    }
    assert_eq!(heard[0], "RELOADING=1");
    assert_eq!(heard[1], format!("READY=1\nMAINPID={}", bench.pid()));
}

/// Given the page that lists files, sockets, threads and processes, when a daemon runs, is stopped,
/// and withdraws, then there is exactly what the page says.
#[test]
fn what_it_leaves_on_the_system_is_what_the_manual_says() {
    let page = include_str!("../../../docs/what-it-touches.md");
    let (_, page) = page.split_once("## Files, sockets, processes").unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .filter(|cells: &Vec<&str>| cells[0].contains('`'))
        .collect();
    let expected = |column: usize| -> BTreeSet<String> {
        let there = |cells: &&Vec<&str>| column == 1 || cells[column].starts_with("stays");
        rows.iter().filter(there).map(|cells| cells[0].replace('`', "")).collect()
    };
    let mut bench = Bench::new("traces");
    bench.start("", &[]);
    // Threads take a moment to get their names, and the state file to get its own.
    let mut found = BTreeSet::new();
    let begun = Instant::now();
    while found != expected(1) {
        assert!(begun.elapsed() < LIMIT, "there is {found:?}, the manual has {:?}", expected(1));
        found = bench.traces();
    }
    let modes = include_str!("../../../docs/daemon.md");
    for (name, path) in [("rail.sock", "run"), ("rail-ro.sock", "run"), ("state.json", "state")] {
        let file = fs::metadata(bench.dir.join(path).join(name)).unwrap();
        let row = modes.lines().find(|line| line.starts_with(&format!("| `DIR/{name}`"))).unwrap();
        let mode = format!(" {:04o} |", file.permissions().mode() & 0o7777);
        assert!(row.ends_with(&mode), "{mode} is not in: {row}");
    }
    for (withdraw, column) in [("false", 2), ("true", 3)] {
        let stop = format!(r#"{{"command":"stop","withdraw":{withdraw}}}"#);
        assert_eq!(bench.ask("rail.sock", &stop), "{\"ok\":true}\n");
        assert_eq!(bench.exit().code(), Some(0));
        assert_eq!(bench.traces(), expected(column), "withdraw: {withdraw}");
        if column == 2 {
            bench.start("", &[]);
        }
    }
    let state = fs::read_to_string(bench.dir.join("state/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["ids"]["isp2"], 2);
    assert_eq!(state["sysctls"].as_object().unwrap().len(), 0, "{state}");
}

#[test]
fn a_bad_configuration_is_told_and_what_runs_keeps_running() {
    let mut bench = Bench::new("reload");
    bench.start("", &[]);
    fs::write(bench.dir.join("rail.toml"), CONFIG.replace("gateway", "gatewey")).unwrap();
    let answer = bench.ask("rail.sock", r#"{"command":"reload"}"#);
    assert!(answer.starts_with("{\"error\":") && answer.contains("gatewey"), "{answer}");
    assert!(bench.ask("rail-ro.sock", r#"{"command":"reload"}"#).contains("read-only"));
    assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("\"generation\":1"));
    fs::write(bench.dir.join("rail.toml"), CONFIG.replace("isp2", "cable")).unwrap();
    assert_eq!(bench.ask("rail.sock", r#"{"command":"reload"}"#), "{\"ok\":true}\n");
    assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("\"cable\""));
    let answer = bench.ask("rail.sock", r#"{"command":"stop"}"#);
    assert_eq!(answer, "{\"ok\":true}\n");
    assert_eq!(bench.exit().code(), Some(0));
    assert!(bench.log().contains("kept the running configuration"), "{}", bench.log());
}

/// Given a daemon that once took a configuration, when it starts with a file that is bad, torn, no
/// text, unreadable or missing, then it works with the last good one and says so; when the file is
/// repaired, then that is taken.
#[test]
fn a_bad_file_at_the_start_costs_no_router() {
    let mut bench = Bench::new("last-good");
    let file = bench.dir.join("rail.toml");
    bench.start("", &[]);
    eventually("the last good one", || {
        (fs::read_to_string(bench.dir.join("state/last-good.toml")).ok()? == CONFIG).then_some(())
    });
    let torn = &CONFIG[..CONFIG.len() - 9];
    let weight = format!("{CONFIG}weight = 300\n");
    let bad: [(&str, Option<&[u8]>); 5] = [
        ("`weight` must be", Some(weight.as_bytes())),
        ("syntax", Some(torn.as_bytes())),
        ("not UTF-8", Some(b"[lan]\n\xff\xfe")),
        ("cannot be read", None),
        ("is missing", Some(b"")),
    ];
    for (words, content) in bad {
        bench.signal(Signal::KILL);
        bench.child.take().unwrap().wait().unwrap();
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        bench.start("", &[]);
        let answer = bench.ask("rail-ro.sock", r#"{"command":"status"}"#);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let reported = &answer["status"]["configuration"];
        assert_eq!(reported["source"], "last-good", "{words}: {reported}");
        let problem = reported["problem"].as_str().unwrap();
        assert!(problem.contains("rail.toml") && problem.contains(words), "{words}: {problem}");
        assert_eq!(answer["status"]["uplinks"][1]["name"], "isp2");
        eventually("the line of the log", || {
            bench.log().contains("started with the last good configuration").then_some(())
        });
    }
    // Good, and only the beginning of it, without the end of its last line.
    bench.signal(Signal::KILL);
    bench.child.take().unwrap().wait().unwrap();
    fs::write(&file, &CONFIG[..CONFIG.find("\n[[uplink]]\nname = \"isp2\"").unwrap()]).unwrap();
    bench.start("", &[]);
    let answer = bench.ask("rail-ro.sock", r#"{"command":"status"}"#);
    assert!(answer.contains("cut off") && answer.contains("isp2"), "{answer}");
    fs::write(&file, CONFIG.replace("isp2", "cable")).unwrap();
    eventually("the repaired file", || {
        let answer = bench.ask("rail-ro.sock", r#"{"command":"status"}"#);
        let is_taken = answer.contains("\"cable\"") && answer.contains(r#""source":"file""#);
        is_taken.then_some(())
    });
}

/// Given a configuration file that was edited itself and is on trial, when nobody confirms it, the
/// daemon is killed, or it is rolled back, then file and router have what was before, and what was
/// tried is beside it; when it is confirmed, then it stays.
#[test]
fn an_edited_file_on_trial_goes_back() {
    let mut bench = Bench::new("in-place");
    let (file, rejected) = (bench.dir.join("rail.toml"), bench.dir.join("rail.toml.rejected"));
    let edited = CONFIG.replace("isp2", "cable");
    let content = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let attempt = |bench: &Bench, limit_ms: u32| {
        fs::write(&file, &edited).unwrap();
        let (text, name) = (&edited, &file);
        let command = serde_json::json!({
            "command": "apply", "text": text, "name": name, "by": "me", "confirm_ms": limit_ms,
        });
        let answer = bench.ask("rail.sock", &command.to_string());
        assert!(answer.starts_with("{\"ok\":true"), "{answer}");
    };
    let is_on_trial =
        |bench: &Bench| bench.ask("rail.sock", r#"{"command":"status"}"#).contains(r#""trial":{"#);
    let goes_back = |bench: &Bench| {
        eventually("the file of before", || (content(&file) == CONFIG).then_some(()));
        assert_eq!(content(&rejected), edited);
        fs::remove_file(&rejected).unwrap();
        let gone = || (!bench.dir.join("state/trial.json").exists()).then_some(());
        eventually("the note to go", gone);
        let status = bench.ask("rail.sock", r#"{"command":"status"}"#);
        assert!(status.contains("isp2") && status.contains(r#""source":"file""#), "{status}");
    };
    bench.start("", &[]);
    attempt(&bench, 1000);
    goes_back(&bench);
    attempt(&bench, 60_000);
    bench.signal(Signal::HUP);
    eventually("the line of the log", || {
        bench.log().contains("did not take the configuration file").then_some(())
    });
    bench.ask("rail.sock", r#"{"command":"rollback","by":"me"}"#);
    goes_back(&bench);
    // Killed: the trial goes on until its time is over, and it may be over before the start.
    for (limit_ms, goes_on) in [(3000, true), (1000, false)] {
        attempt(&bench, limit_ms);
        bench.signal(Signal::KILL);
        bench.child.take().unwrap().wait().unwrap();
        if !goes_on {
            std::thread::sleep(Duration::from_millis(1100));
        }
        bench.start("", &[]);
        assert!(!bench.log().contains("confirmed the"), "{}", bench.log());
        assert_eq!(is_on_trial(&bench), goes_on);
        goes_back(&bench);
    }
    // From a pipe, which can be read once.
    let apply = bench.rail("apply").join(" ");
    let script = format!("{apply} --confirm 60s <(cat {}.new)", file.display());
    fs::write(bench.dir.join("rail.toml.new"), &edited).unwrap();
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer = bench.ask("rail.sock", r#"{"command":"confirm","by":"me"}"#);
    assert!(answer.starts_with("{\"ok\":true"), "{answer}");
    assert_eq!(content(&file), edited);
    assert!(!is_on_trial(&bench) && !rejected.exists());
}

/// Given a configuration file that cannot be replaced, when another text is applied, then it is in
/// use, and nobody says that it was installed; when that is rolled back, then nothing is to be said,
/// for the file has that text.
#[test]
fn what_could_not_be_installed_is_not_said_to_be() {
    let mut bench = Bench::new("install");
    let file = bench.dir.join("rail.toml");
    let name = file.display();
    bench.start(&format!("mount --bind {name} {name} && mount -o remount,ro,bind {name}"), &[]);
    let edited = CONFIG.replace("isp2", "cable");
    let command = serde_json::json!({
        "command": "apply", "text": edited, "name": file, "by": "me",
    });
    let answer = bench.ask("rail.sock", &command.to_string());
    let reported = "is in use, but the next start takes the file of before";
    assert!(answer.starts_with("{\"ok\":true") && answer.contains(reported), "{answer}");
    assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("cable"));
    assert!(!bench.log().contains("installed a configuration"), "{}", bench.log());
    let answer = bench.ask("rail.sock", r#"{"command":"rollback","by":"me"}"#);
    assert!(answer.starts_with("{\"ok\":true") && !answer.contains("next start"), "{answer}");
    assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("isp2"));
    assert_eq!(fs::read_to_string(&file).unwrap(), CONFIG);
}

/// Given a state directory whose files of before are damaged, or whose disk takes nothing, when a
/// daemon starts, then it works.
#[test]
fn a_damaged_history_or_a_full_disk_hinders_no_start() {
    let mut bench = Bench::new("history");
    fs::create_dir_all(bench.dir.join("state")).unwrap();
    for name in ["history.json", "trial.json", "last-good.toml", "state.json"] {
        fs::write(bench.dir.join("state").join(name), [0xff, 0, 0x7b]).unwrap();
    }
    let state = bench.dir.join("state").display().to_string();
    bench.start("", &[]);
    eventually("a new history", || {
        let history = fs::read_to_string(bench.dir.join("state/history.json")).ok()?;
        history.contains("isp2").then_some(())
    });
    assert!(!bench.dir.join("state/trial.json").exists());
    for how in ["ro", "size=4k"] {
        bench.signal(Signal::KILL);
        bench.child.take().unwrap().wait().unwrap();
        let fill = "head -c 100000 /dev/zero > $S/full 2> /dev/null || true";
        let fill = if how == "ro" { "true" } else { fill };
        let mount = format!("S={state}; mount -t tmpfs -o {how} none $S; {fill}");
        bench.start(&mount, &[]);
        eventually("the complaint", || {
            bench.log().contains("could not write the history to").then_some(())
        });
        assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("isp2"));
        assert_eq!(bench.ask("rail.sock", r#"{"command":"reload"}"#), "{\"ok\":true}\n");
    }
}

/// Given a machine that lacks descriptors for a moment, when a daemon starts, then it ends with the
/// code that the unit answers by another attempt.
#[test]
fn what_may_pass_is_not_final() {
    let mut bench = Bench::new("passing");
    for most in [8, 12, 16] {
        bench.spawn(&format!("ulimit -n {most}"), &[]);
        let code = bench.exit().code();
        assert_eq!(code, Some(3), "{most} descriptors: {}", bench.log());
        assert!(bench.log().contains("this may pass"), "{}", bench.log());
    }
    let unit = include_str!("../../../packaging/systemd/rail.service");
    assert!(unit.contains("RestartPreventExitStatus=1 2\n") && unit.contains("Restart=on-failure"));
}

#[test]
fn start_up_errors_are_one_sentence_and_a_code() {
    let mut bench = Bench::new("second");
    bench.start("", &[]);
    // A second one in the same namespace, with directories of its own.
    let other = Bench::new("other");
    let second = inside(bench.pid(), &other.rail("run"));
    assert_eq!(second.status.code(), Some(2));
    let said = text(&second.stderr);
    assert!(said.contains(&format!("(process {})", bench.pid())), "{said}");
    // And one elsewhere, with the same state directory.
    let mut words = vec!["--net".to_owned()];
    words.extend(other.rail("run"));
    let state = words.len() - 1;
    words[state] = bench.dir.join("state").display().to_string();
    let third = Command::new("unshare").args(&words).output().unwrap();
    assert_eq!(third.status.code(), Some(2));
    assert!(text(&third.stderr).contains("uses the state directory"), "{}", text(&third.stderr));
    // The first does not mind.
    assert!(bench.ask("rail.sock", r#"{"command":"status"}"#).contains("isp1"));
    // A configuration with errors.
    fs::write(other.dir.join("rail.toml"), "[lan]\n").unwrap();
    let bad = Command::new("unshare").arg("--net").args(other.rail("run")).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(!text(&bad.stderr).is_empty());
}

#[test]
fn the_nft_that_was_found_is_the_one_that_runs() {
    // given an nft in the first directory of PATH / when it is recent, then it is what loads the
    // rules; when it is too old, then one sentence says so
    let mut bench = Bench::new("nft");
    let directory = bench.dir.join("bin");
    fs::create_dir(&directory).unwrap();
    let inherited = std::env::var("PATH").unwrap();
    let path = format!("{}:{inherited}", directory.display());
    let real = rail_linux::programs::nft().unwrap();
    let install = |script: String| {
        fs::write(directory.join("nft"), script).unwrap();
        fs::set_permissions(directory.join("nft"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let calls = bench.dir.join("calls");
    install(format!("#!/bin/sh\necho \"$@\" >>{}\nexec {real} \"$@\"\n", calls.display()));
    bench.start("", &[("PATH", &path)]);
    let words = ["nft", "list", "table", "inet", "rail"].map(str::to_owned);
    eventually("the table", || inside(bench.pid(), &words).status.success().then_some(()));
    let called = fs::read_to_string(&calls).unwrap();
    assert!(called.lines().any(|line| line == "-f -"), "{called}");
    bench.signal(Signal::TERM);
    bench.exit();
    install("#!/bin/sh\necho 'nftables v0.9.3 (Topsy)'\n".into());
    bench.spawn("", &[("PATH", &path)]);
    assert_eq!(bench.exit().code(), Some(2));
    let said = bench.log();
    assert!(said.contains("too old (nftables v0.9.3 (Topsy))"), "{said}");
}

#[test]
fn it_starts_where_the_kernel_cannot_close_a_range_at_exec() {
    // given a kernel that knows no flags of close_range, as 5.10 / when the daemon starts / then it
    // runs nft as ever
    let mut bench = Bench::new("old-kernel");
    let mut command = bench.command("");
    #[expect(unsafe_code, reason = "the filter is set between fork and exec")]
    // SAFETY: system calls only, on values of its own.
    unsafe {
        command.pre_exec(|| refuse_close_range(libc::EINVAL))
    };
    bench.child = Some(command.spawn().unwrap());
    let words = ["nft", "list", "table", "inet", "rail"].map(str::to_owned);
    eventually("the table", || inside(bench.pid(), &words).status.success().then_some(()));
    assert!(!bench.log().contains("nft"), "{}", bench.log());
}

/// Has the kernel answer so to `close_range` from now on, here and in all that is started.
#[expect(unsafe_code, reason = "seccomp is not in rustix")]
fn refuse_close_range(errno: i32) -> std::io::Result<()> {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_close_range as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live through the call.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn without_rights_it_says_how_to_get_them() {
    let bench = Bench::new("rights");
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    // The build directory may be closed to others.
    let copy = bench.dir.join("rail");
    fs::copy(env!("CARGO_BIN_EXE_rail"), &copy).unwrap();
    let mut words = bench.rail("run");
    words[0] = copy.display().to_string();
    let out = Command::new("setpriv").args(user).args(words).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("start it as root") && said.lines().count() == 1, "{said}");
}

#[test]
fn it_gives_up_rights_and_dies_where_a_test_wants_it() {
    let mut bench = Bench::new("rights-crash");
    bench.start("", &[]);
    // It listens a moment before.
    let status = eventually("the rights to be given up", || {
        let status = fs::read_to_string(format!("/proc/{}/status", bench.pid())).unwrap();
        status.contains("CapEff:\t0000000000003400").then_some(status)
    });
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    bench.signal(Signal::KILL);
    bench.child.take().unwrap().wait().unwrap();
    assert!(Path::new(&bench.dir.join("run/rail.sock")).exists());
    // Over the rests of the dead one it starts again, and dies before its third change.
    let record = bench.dir.join("record").display().to_string();
    bench.spawn("", &[("RAIL_NETLINK_LOG", &record), ("RAIL_CRASH_AT", "3")]);
    let status = bench.exit();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    let record = fs::read_to_string(record).unwrap();
    // The one that `nft` is about to make has not been answered.
    assert!((1..=2).contains(&record.lines().count()), "{record}");
    let first: serde_json::Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
    assert_eq!(first["result"], "ok", "{record}");
    assert!(first["at_ns"].as_u64().unwrap() > 0);
}
