//! Users of the machine who have no rights: none of them may take the processor, lock the
//! administrator out, or keep the daemon from starting.
//!
//! Speeds are ratios to what the same machine did before the attack; where others load it they
//! are taken again, and at last only told.

use rail_lab::{ConfigText, Node, Plan, Rail, World, alone, eventually, figures, isolated, long};
use rustix::fs::{FlockOperation, flock};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    sockopt,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one thread of an attacker does with the public socket, again and again.
type Blow = fn(&Path, &AtomicBool);

/// Threads of the user nobody, until this is dropped.
struct Attack {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    fn start(count: usize, socket: &Path, blow: Blow) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (stop, socket) = (Arc::clone(&stop), socket.to_owned());
            std::thread::spawn(move || {
                become_nobody();
                while !stop.load(Ordering::Relaxed) {
                    blow(&socket, &stop);
                }
            })
        };
        let threads = (0..count).map(start).collect();
        Self { stop, threads }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The rights belong to the thread: the rest of the test stays root.
fn become_nobody() {
    let nobody = rustix::process::Uid::from_raw(65_534);
    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
}

/// A connection, with a limit for each step; a daemon that makes us wait must not keep the test.
fn dial(path: &Path) -> Option<UnixStream> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(STEP)).unwrap();
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(STEP)).unwrap();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).ok()?;
    Some(UnixStream::from(socket))
}

/// Writes the text again and again on one connection, and reads what comes if it `reads`.
fn talk(path: &Path, stop: &AtomicBool, text: &[u8], reads: bool) {
    let Some(mut stream) = dial(path) else { return };
    let mut buffer = vec![0; 1 << 20];
    while !stop.load(Ordering::Relaxed) && stream.write_all(text).is_ok() {
        if reads && matches!(stream.read(&mut buffer), Ok(0)) {
            return;
        }
    }
}

fn asks_status(path: &Path, stop: &AtomicBool) {
    talk(path, stop, b"{\"command\":\"status\"}\n", true);
}

fn asks_events(path: &Path, _: &AtomicBool) {
    let Some(mut stream) = dial(path) else { return };
    if stream.write_all(b"{\"command\":\"events\"}\n").is_ok() {
        let mut all = Vec::new();
        // A limit, or the end of the connection: both end this round.
        let _ = stream.read_to_end(&mut all);
    }
}

fn connects_and_leaves(path: &Path, _: &AtomicBool) {
    drop(dial(path));
}

fn talks_nonsense(path: &Path, stop: &AtomicBool) {
    talk(path, stop, b"\x01\x02 nonsense {\n", true);
}

fn sends_half_lines(path: &Path, stop: &AtomicBool) {
    talk(path, stop, b"{\"command\":", false);
}

fn never_reads(path: &Path, stop: &AtomicBool) {
    talk(
        path,
        stop,
        b"{\"command\":\"status\"}\n{\"command\":\"events\",\"follow\":true}\n",
        false,
    );
}

/// Holds 32 connections and says nothing; a new one for each that is closed.
fn idles(path: &Path, stop: &AtomicBool) {
    let mut held: Vec<UnixStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for stream in &held {
            stream.set_nonblocking(true).unwrap();
        }
        held.retain_mut(|stream| !matches!(stream.read(&mut [0; 256]), Ok(0)));
        while held.len() < 32 && !stop.load(Ordering::Relaxed) {
            held.extend(dial(path));
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

const BLOWS: [(&str, usize, Blow); 8] = [
    ("30 clients ask for the status", 30, asks_status),
    ("30 clients ask for the events", 30, asks_events),
    ("30 clients connect and leave", 30, connects_and_leaves),
    ("30 clients talk nonsense", 30, talks_nonsense),
    ("30 clients send half lines", 30, sends_half_lines),
    ("30 clients never read", 30, never_reads),
    ("one holds 32 connections", 1, idles),
    // Each waits in connect(): the queue of the public socket is full.
    ("200 clients fill the backlog", 200, idles),
];

/// How far a program comes that has nothing to do with the router, on the daemon's core, in this
/// time.
fn speed(pid: u32, time: Duration) -> u64 {
    let all_cores = sched_getaffinity(None).unwrap();
    let mut core = CpuSet::new();
    core.set(core_of(pid));
    sched_setaffinity(None, &core).unwrap();
    let (start, mut count, mut x) = (Instant::now(), 0, 1_u64);
    while start.elapsed() < time {
        for _ in 0..1000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        count += 1;
    }
    sched_setaffinity(None, &all_cores).unwrap();
    count
}

/// The core that a process ran on last.
fn core_of(pid: u32) -> usize {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(36).unwrap().parse().unwrap()
}

/// How long root waits for the status; at best of some, for others may use the machine.
fn answer_time(rail: &Rail) -> Duration {
    let ask = |_| {
        let begun = Instant::now();
        let output = rail.ask(&["status", "--json"]).unwrap();
        assert!(output.stdout.starts_with(b"{"), "{}", String::from_utf8_lossy(&output.stderr));
        begun.elapsed()
    };
    (0..3).map(ask).min().unwrap()
}

/// What an attack did.
struct Damage {
    /// The daemon's part of a core.
    share: f64,
    /// The speed of others, compared with before and after.
    ratio: f64,
    /// The same program was equally fast before and after.
    is_quiet: bool,
    /// How long root waited for the status.
    answer: Duration,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (share, ratio) = (self.share * 100.0, self.ratio * 100.0);
        write!(f, "daemon {share:.1} % of a core, others {ratio:.0} % of their speed")?;
        write!(f, "{}, root after {:.1?}", if self.is_quiet { "" } else { " (busy)" }, self.answer)
    }
}

fn attack(rail: &Rail, start: impl FnOnce() -> Attack, time: Duration) -> Damage {
    let pid = rail.pid().unwrap();
    let quiet = speed(pid, time / 2);
    let attack = start();
    // The burst that everybody has.
    std::thread::sleep(Duration::from_millis(500));
    let (begun, before) = (Instant::now(), rail.processor_time().unwrap());
    let busy = speed(pid, time / 2);
    std::thread::sleep(time / 2);
    let share =
        (rail.processor_time().unwrap() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let answer = answer_time(rail);
    drop(attack);
    let again = speed(pid, time / 2);
    let ratio = busy as f64 / quiet.max(again) as f64;
    Damage { share, ratio, is_quiet: quiet.abs_diff(again) * 20 < quiet, answer }
}

#[test]
fn no_local_user_takes_the_processor_or_the_administrators_place() {
    alone(|| {
        // given a router / when a user without rights does this to its public socket / then the
        // daemon uses little of the processor, other programs go on, and root is answered
        // Asked seldom, for here the kernel carries a probe through the whole network and back in the
        // time of who sent it, and that is not what attackers cost.
        let text = ConfigText { check: "interval = \"1s\"\n".into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let rail = &world.rail;
        let socket = rail.runtime_dir().join("rail-ro.sock");
        let time = Duration::from_secs(if long() { 10 } else { 1 });
        for (name, count, blow) in BLOWS {
            // Three times, for others use the machine; theirs is the blame when none is quiet.
            let mut kept = Vec::new();
            for _ in 0..3 {
                let blow = attack(rail, || Attack::start(count, &socket, blow), time);
                figures(&format!("{name}: {blow}"));
                assert!(blow.share <= 0.05, "{name}: {blow}");
                assert!(blow.answer <= Duration::from_millis(200), "{name}: {blow}");
                kept.push((blow.is_quiet, blow.ratio));
                if blow.ratio >= 0.9 {
                    break;
                }
            }
            let is_slow = kept.iter().all(|(is_quiet, ratio)| *is_quiet && *ratio < 0.9);
            assert!(!is_slow, "{name}: the speed of others was {kept:?}");
        }
        let status = rail.status().unwrap();
        assert!(status["uplinks"].as_array().unwrap().iter().all(|u| u["health"] == "up"));
    });
}

#[test]
fn root_is_answered_when_no_descriptor_is_left() {
    isolated(|| {
        // given a daemon that has one descriptor to spare / when a user without rights takes it and
        // others wait / then root is answered at once, the daemon does not spin, and afterwards
        // everybody is answered
        let world = World::start(&Plan::new(1), &ConfigText::default()).unwrap();
        let rail = &world.rail;
        let socket = rail.runtime_dir().join("rail-ro.sock");
        let pid = rail.pid().unwrap();
        let process = Pid::from_raw(i32::try_from(pid).unwrap());
        let most = u64::try_from(rail.descriptors().unwrap() + 1).unwrap();
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: Some(most), maximum };
        let before = prlimit(process, Resource::Nofile, limit).unwrap();
        let attack = Attack::start(4, &socket, idles);
        std::thread::sleep(Duration::from_millis(500));
        let (begun, used_before) = (Instant::now(), rail.processor_time().unwrap());
        let answers: Vec<Duration> = (0..3).map(|_| answer_time(rail)).collect();
        std::thread::sleep(Duration::from_secs(1));
        let share = (rail.processor_time().unwrap() - used_before).as_secs_f64()
            / begun.elapsed().as_secs_f64();
        figures(&format!("root after {answers:.1?}, daemon {:.1} % of a core", share * 100.0));
        let best = answers.iter().min().unwrap();
        assert!(*best <= Duration::from_millis(200), "{answers:?}");
        assert!(share <= 0.05, "the daemon used {share:.3} of a core");
        drop(attack);
        prlimit(process, Resource::Nofile, before).unwrap();
        eventually(Duration::from_secs(5), "an answer for everybody", || {
            let mut stream = dial(&socket).ok_or("no connection")?;
            stream.write_all(b"{\"command\":\"status\"}\n").map_err(|_| "closed")?;
            let mut first = [0; 10];
            stream.read_exact(&mut first).map_err(|_| "no answer")
        });
    });
}

/// Names that a start wants, taken by the user nobody before it, until this is dropped.
struct Squatters {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Squatters {
    /// The abstract name of the network namespace, its backlog full, and the directory of lock files
    /// with a lock that is held.
    fn begin(router: &Node) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(Barrier::new(2));
        let (until, ready) = (Arc::clone(&stop), Arc::clone(&begun));
        let thread = router.spawn(move || {
            let inode = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
            let _ = std::fs::remove_dir_all(LOCKS);
            std::fs::create_dir(LOCKS).unwrap();
            std::os::unix::fs::chown(LOCKS, Some(65_534), Some(65_534)).unwrap();
            become_nobody();
            let file = File::create(Path::new(LOCKS).join(format!("netns-{inode}.lock"))).unwrap();
            flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
            let name = SocketAddrUnix::new_abstract_name(b"rail-daemon").unwrap();
            let socket = |flags| socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let listener = socket(SocketFlags::CLOEXEC).unwrap();
            bind(&listener, &name).unwrap();
            listen(&listener, 0).unwrap();
            let waiting: Vec<_> = (0..4)
                .map(|_| {
                    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                    let client = socket(flags).unwrap();
                    let _ = connect(&client, &name);
                    client
                })
                .collect();
            ready.wait();
            while !until.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            drop((file, listener, waiting));
        });
        begun.wait();
        Self { stop, threads: vec![thread] }
    }
}

impl Drop for Squatters {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn no_local_user_holds_a_start_up() {
    alone(|| {
        // given names that a start wants in the hands of a user without rights, and what he does to
        // the public socket / when the daemon is killed and starts again / then it answers root within
        // two seconds, says what was in its way, and every uplink is up as before
        let mut world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let socket = world.rail.runtime_dir().join("rail-ro.sock");
        let router = world.topology.router.clone();
        for (name, count, blow) in BLOWS {
            // Three times, for others use the machine.
            let mut took = Duration::MAX;
            for _ in 0..3 {
                world.rail.kill().unwrap();
                let squatters = Squatters::begin(&router);
                let attack = Attack::start(count, &socket, blow);
                let begun = world.rail.start().unwrap();
                took = took.min(begun.elapsed());
                drop((attack, squatters));
                figures(&format!(
                    "{name}, and names are taken: root is answered {took:.1?} after the start"
                ));
                if took <= Duration::from_secs(2) {
                    break;
                }
            }
            assert!(took <= Duration::from_secs(2), "{name}: {took:.1?}");
            for sentence in ["others can write there", "the name @rail-daemon"] {
                world.rail.wait_log(&[sentence]).unwrap();
            }
            world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        }
    });
}

#[test]
fn a_runtime_directory_of_somebody_else_is_told() {
    isolated(|| {
        // given a runtime directory that a user without rights has, with a link in the place of a
        // socket / when the daemon starts / then it works, says that he can answer in its place, and what
        // the link leads to is as before
        let mut world = World::start(&Plan::new(1), &ConfigText::default()).unwrap();
        world.rail.kill().unwrap();
        let dir = world.rail.runtime_dir();
        let (socket, secret) = (dir.join("rail-ro.sock"), dir.join("secret"));
        std::fs::write(&secret, "").unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_file(&socket).unwrap();
        std::os::unix::fs::symlink(&secret, &socket).unwrap();
        std::os::unix::fs::chown(&dir, Some(65_534), None).unwrap();
        world.rail.start().unwrap();
        world.rail.wait_log(&["others can write in"]).unwrap();
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!(
            (mode(&secret), mode(&socket), mode(&dir.join("rail.sock"))),
            (0o600, 0o666, 0o660)
        );
    });
}

const LOCKS: &str = "/run/rail";
const STEP: Duration = Duration::from_secs(2);
