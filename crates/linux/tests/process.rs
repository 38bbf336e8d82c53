//! Real children through a real spawner: this test program, started again.
#![expect(clippy::unwrap_used, reason = "a test")]

use rail_linux::process::{Finished, Spawner, Status, spawner_main};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

extern "C" fn become_spawner() {
    if std::env::args().nth(1).is_some_and(|word| word == "--spawner") {
        spawner_main();
    }
}

#[expect(unsafe_code, reason = "runs before the main function of the test harness")]
#[used]
// SAFETY: the loader calls what stands in this section, once, with one thread.
#[unsafe(link_section = ".init_array")]
static BECOME_SPAWNER: extern "C" fn() = become_spawner;

const LONG: Duration = Duration::from_secs(20);

fn wait(spawner: &mut Spawner, count: usize) -> Vec<Finished> {
    let end = Instant::now() + LONG;
    let mut all = Vec::new();
    while all.len() < count {
        assert!(Instant::now() < end, "only {all:?}");
        let fd = spawner.as_fd();
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&second)).unwrap();
        all.extend(spawner.drain());
    }
    all
}

fn run(argv: &[&str], stdin: &[u8], timeout: Duration) -> Finished {
    let mut spawner = Spawner::start().unwrap();
    let id = spawner.request(argv, stdin, timeout).unwrap();
    let done = wait(&mut spawner, 1).remove(0);
    assert_eq!(done.id, id);
    done
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn gone(pid: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    let stat = Path::new("/proc").join(pid).join("stat");
    while Instant::now() < end {
        // A zombie whom init has not collected yet is gone as well.
        match std::fs::read_to_string(&stat) {
            Ok(line) if !line.contains(") Z ") => std::thread::sleep(Duration::from_millis(10)),
            _ => return true,
        }
    }
    false
}

#[test]
fn output_code_and_signal_come_back() {
    let done = run(&["sh", "-c", "cat; echo oops >&2; exit 3"], b"hello", LONG);
    assert_eq!(done.status, Status::Exited(3));
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("hello", "oops\n"));
    let done = run(&["sh", "-c", "kill -TERM $$"], b"", LONG);
    assert_eq!(done.status, Status::Signalled(libc::SIGTERM));
    assert_eq!(run(&["no-such-program"], b"", LONG).status, Status::Failed(libc::ENOENT));
}

#[test]
fn big_input_arrives_and_big_output_is_cut() {
    let input = vec![b'x'; 1 << 20];
    assert_eq!(text(&run(&["wc", "-c"], &input, LONG).stdout).trim(), "1048576");
    let done = run(&["sh", "-c", "cat; cat /dev/stdin >&2"], &input, LONG);
    assert_eq!(done.status, Status::Exited(0));
    assert_eq!(done.stdout, vec![b'x'; 64 * 1024]);
    assert_eq!(done.stderr, vec![b'x'; 64 * 1024]);
}

#[test]
fn a_child_has_nothing_of_ours() {
    let leak = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let output = |argv: &[&str]| text(&run(argv, b"", LONG).stdout).to_owned();
    assert_eq!(output(&["env"]), "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
    // The last one is the directory that is being listed.
    assert_eq!(output(&["ls", "/proc/self/fd"]), "0\n1\n2\n3\n");
    assert_eq!(output(&["pwd"]), "/\n");
    // Process, name, state, parent and group.
    let stat = output(&["cat", "/proc/self/stat"]);
    let fields: Vec<&str> = stat.split(' ').collect();
    assert_eq!(fields[0], fields[4], "{stat}");
}

#[test]
fn a_child_hears_signals() {
    let done = run(&["cat", "/proc/self/status"], b"", LONG);
    let field = |name| {
        let value = text(&done.stdout).lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(value.trim(), 16).unwrap()
    };
    assert_eq!(field("SigBlk:"), 0);
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGTERM, libc::SIGCHLD] {
        assert_eq!(field("SigIgn:") >> (signal - 1) & 1, 0, "{signal}");
    }
}

#[test]
fn too_long_is_killed_with_the_whole_group() {
    let start = Instant::now();
    let script = "sleep 600 & echo $!; sleep 600";
    let done = run(&["sh", "-c", script], b"", Duration::from_millis(300));
    assert_eq!(done.status, Status::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(gone(text(&done.stdout).trim()));
}

#[test]
fn what_a_child_left_behind_goes_with_it() {
    let done = run(&["sh", "-c", "sleep 600 & echo $!"], b"", LONG);
    assert_eq!(done.status, Status::Exited(0));
    assert!(gone(text(&done.stdout).trim()));
}

#[test]
fn several_run_at_once_and_a_loud_one_delays_nobody() {
    let mut spawner = Spawner::start().unwrap();
    let start = Instant::now();
    let loud = spawner.request(&["yes"], b"", Duration::from_millis(1500)).unwrap();
    let slow: Vec<_> =
        (0..8).map(|_| spawner.request(&["sleep", "0.5"], b"", LONG).unwrap()).collect();
    let first = wait(&mut spawner, 8);
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    let mut ids: Vec<_> = first.iter().map(|f| f.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, slow);
    let last = wait(&mut spawner, 1).remove(0);
    assert_eq!((last.id, last.status, last.stdout.len()), (loud, Status::TimedOut, 64 * 1024));
}

#[test]
fn children_end_with_the_daemon_side() {
    let mut spawner = Spawner::start().unwrap();
    let file = std::env::temp_dir().join(format!("rail-process-{}", std::process::id()));
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", file.display());
    spawner.request(&["sh", "-c", &script], b"", LONG * 30).unwrap();
    let end = Instant::now() + LONG;
    while !file.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    drop(spawner);
    assert!(gone(pid.trim()));
}

#[test]
fn a_dead_spawner_is_replaced() {
    let mut spawner = Spawner::start().unwrap();
    // Its parent is the spawner itself.
    let id = spawner.request(&["sh", "-c", "kill -KILL $PPID; exec sleep 600"], b"", LONG).unwrap();
    let done = wait(&mut spawner, 1).remove(0);
    assert_eq!((done.id, done.status), (id, Status::Failed(libc::EPIPE)));
    assert!(spawner.drain().is_empty());
    let fd = spawner.as_fd();
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&zero)), Ok(0));
    let id = spawner.request(&["echo", "again"], b"", LONG).unwrap();
    let done = wait(&mut spawner, 1).remove(0);
    assert_eq!((done.id, text(&done.stdout)), (id, "again\n"));
}

#[test]
fn bad_arguments_are_refused() {
    let mut spawner = Spawner::start().unwrap();
    assert!(spawner.request(&[], b"", LONG).is_err());
    assert!(spawner.request(&["a\0b"], b"", LONG).is_err());
    assert!(spawner.request(&["true", &"x".repeat(1 << 17)], b"", LONG).is_err());
    spawner.request(&["true"], b"", LONG).unwrap();
    assert_eq!(wait(&mut spawner, 1)[0].status, Status::Exited(0));
}

#[test]
fn nft_results_are_told_as_results_of_a_change() {
    let mut spawner = Spawner::start().unwrap();
    // Only checked by the parser: this touches no ruleset.
    spawner.nft("no such command\n").unwrap();
    let end = Instant::now() + LONG;
    let result = loop {
        assert!(Instant::now() < end);
        match spawner.finished() {
            Some(result) => break result,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = result.unwrap_err().text;
    assert!(text.contains("rror"), "{text}");
}
