//! Scripted children under a real supervisor: this test program, started again.

use super::*;
use rail_core::{Capability, ChildFile, Exit, OnChange, Program, User};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::mount::{mount, mount_change, mount_remount, unmount};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs;
use std::os::unix::fs::PermissionsExt;

mod renewal;
mod slots;

struct Bench {
    dir: PathBuf,
    children: Children,
    spawner: Spawner,
    news: Vec<ChildEvent>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-child-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let (children, spawner) = (Children::start(&dir, &dir).unwrap(), Spawner::start().unwrap());
        Self { children, spawner, dir, news: Vec::new() }
    }

    /// Waits until `find` finds something in what happened.
    fn until<T>(&mut self, find: impl Fn(&[ChildEvent]) -> Option<T>) -> T {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = find(&self.news) {
                return found;
            }
            assert!(std::time::Instant::now() < end, "only {:?}", self.news);
            let second = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let fd = self.children.as_fd();
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&second)).unwrap();
            for news in self.children.drain() {
                let News::Child(ChildId::Services, event) = news else { panic!("{news:?}") };
                self.news.push(event);
            }
            assert_eq!(self.children.wake(clock::now(), &mut self.spawner), None);
        }
    }

    fn said(&mut self, begin: &str) -> String {
        self.until(|news| {
            news.iter().find_map(|event| match event {
                ChildEvent::Said { line, .. } => line.strip_prefix(begin).map(str::to_owned),
                _ => None,
            })
        })
    }

    fn began(&mut self) -> (u32, bool) {
        self.until(|news| {
            news.iter().find_map(|event| match event {
                ChildEvent::Began { pid, is_adopted, .. } => Some((*pid, *is_adopted)),
                _ => None,
            })
        })
    }

    fn ended(&mut self) -> (Exit, bool) {
        self.until(|news| {
            news.iter().find_map(|event| match event {
                ChildEvent::Ended { exit, was_asked } => Some((exit.clone(), *was_asked)),
                _ => None,
            })
        })
    }

    fn carried_out(&mut self) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !self.children.is_carried_out() {
            assert!(std::time::Instant::now() < end, "only {:?}", self.news);
            let news = self.children.drain();
            self.news.extend(news.into_iter().filter_map(|news| match news {
                News::Child(_, event) => Some(event),
                News::Lost | News::Weak => None,
            }));
            clock::wait(Duration::from_millis(5));
        }
    }

    /// The daemon dies and another one begins, with the same directories.
    fn renew(&mut self) {
        // The old supervisor must not be the one that answers.
        let next = Children::start(&self.dir, &self.dir).unwrap();
        drop(std::mem::replace(&mut self.children, next));
        self.news.clear();
    }

    fn record(&self, kind: &str) -> PathBuf {
        self.dir.join("children").join(format!("services.{kind}"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that fails leaves no child either.
        self.children.set(Vec::new());
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !self.children.is_carried_out() && std::time::Instant::now() < end {
            self.children.drain();
            clock::wait(Duration::from_millis(5));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn script(text: &str) -> Child {
    Child {
        id: ChildId::Services,
        run: 0,
        // starts: sh
        program: Program::System("sh".into()),
        args: vec!["-c".into(), text.into()],
        trial: Vec::new(),
        files: Vec::new(),
        user: User::Root,
        capabilities: Vec::new(),
        is_resolver: false,
        needs: None,
        keeps_state: false,
        on_change: OnChange::Reload,
        grace: Duration::from_secs(5),
    }
}

fn file(content: &str) -> ChildFile {
    ChildFile { name: "conf".into(), content: content.into(), is_secret: true }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|line| !line.contains(") Z "))
}

fn until_dead(pid: u32) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while is_alive(pid) {
        assert!(std::time::Instant::now() < end, "{pid} lives");
        clock::wait(Duration::from_millis(5));
    }
}

/// A process of somebody else.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Self {
        // starts: sleep
        let mut command = std::process::Command::new("sleep");
        Self(command.arg("60").stdout(std::process::Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const WAIT: &str = "while :; do sleep 0.05; done";

/// Given a child that ends by itself, when the same list comes again, then it is not started again; when
/// its declaration bears another number, then it is.
#[test]
fn the_owner_says_when_it_starts_again() {
    let mut bench = Bench::new("again");
    let child = script("echo hello; exit 3");
    bench.children.set(vec![child.clone()]);
    assert_eq!(bench.ended(), (Exit::Code(3), false));
    assert_eq!(bench.said("hel"), "lo");
    bench.children.set(vec![child.clone()]);
    bench.carried_out();
    let count = |news: &[ChildEvent]| {
        news.iter().filter(|event| matches!(event, ChildEvent::Ended { .. })).count()
    };
    assert_eq!(count(&bench.news), 1);
    bench.children.set(vec![Child { run: 1, ..child }]);
    bench.until(|news| (count(news) == 2).then_some(()));
}

/// Given a program that is not there, then that is told with its name.
#[test]
fn a_missing_program_is_named() {
    let mut bench = Bench::new("missing");
    let program = Program::System("no-such-program".into());
    bench.children.set(vec![Child { program, ..script("") }]);
    let (exit, _) = bench.ended();
    assert!(exit.to_string().contains("no-such-program is missing"), "{exit}");
}

/// Given a child that ignores SIGTERM, when it is not wanted any more, then it is killed after its grace,
/// and the order counts as carried out only then.
#[test]
fn one_that_ignores_the_end_is_killed() {
    let mut bench = Bench::new("stubborn");
    let text = format!("trap '' TERM; echo ready; {WAIT}");
    let grace = Duration::from_millis(300);
    bench.children.set(vec![Child { grace, ..script(&text) }]);
    bench.said("ready");
    let (pid, _) = bench.began();
    let asked = std::time::Instant::now();
    bench.children.set(Vec::new());
    bench.carried_out();
    assert!(asked.elapsed() >= grace && !is_alive(pid));
    assert_eq!(bench.ended(), (Exit::Signal(9), true));
}

/// Given a child that leaves processes behind, one of them in a group of its own, when it ends, then they
/// are gone; when it ended while no supervisor lived, then the next one sees to it.
#[test]
fn what_it_leaves_behind_goes_with_it() {
    let mut bench = Bench::new("forks");
    let text = "set -m; sleep 1000 & echo left $!; sleep 0.1";
    bench.children.set(vec![script(&format!("{text}; exit 0"))]);
    let left: u32 = bench.said("left ").parse().unwrap();
    assert_eq!(bench.ended(), (Exit::Code(0), false));
    until_dead(left);
    bench.news.clear();
    bench.children.set(vec![Child { run: 1, ..script(&format!("{text}; read line < conf.end")) }]);
    let left: u32 = bench.said("left ").parse().unwrap();
    let (pid, _) = bench.began();
    drop(std::mem::replace(&mut bench.children, Children::start(&bench.dir, &bench.dir).unwrap()));
    until_dead(pid);
    assert!(is_alive(left));
    bench.children.set(Vec::new());
    bench.carried_out();
    until_dead(left);
}

/// Given a child that ended while no supervisor lived, and whose number then led a session of somebody else
/// who lives on without that leader, as daemons do, when a supervisor finds the record, then he is not
/// touched.
#[test]
fn a_session_that_got_its_number_later_is_not_touched() {
    let mut bench = Bench::new("session");
    bench.children.set(vec![script(WAIT)]);
    let (pid, _) = bench.began();
    let (text, line) = (fs::read(bench.record("json")), fs::read(bench.record("process")));
    bench.children.set(Vec::new());
    bench.carried_out();
    let line = String::from_utf8(line.unwrap()).unwrap();
    // starts: setsid, sh
    let mut daemon = std::process::Command::new("setsid");
    daemon.args(["sh", "-c", "sleep 60 >&- 2>&- & echo $$ $!"]);
    let said = String::from_utf8(daemon.output().unwrap().stdout).unwrap();
    let (leader, stranger) = said.trim().split_once(' ').unwrap();
    let stranger: u32 = stranger.parse().unwrap();
    fs::write(bench.record("json"), text.unwrap()).unwrap();
    fs::write(bench.record("process"), line.replacen(&pid.to_string(), leader, 1)).unwrap();
    bench.renew();
    bench.children.set(Vec::new());
    bench.carried_out();
    let lives = is_alive(stranger);
    let pid = rustix::process::Pid::from_raw(stranger.cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    assert!(lives && !bench.record("process").exists());
}

/// Given a child that writes without end, then some lines come, and the number of others; it is ended as
/// quickly as any.
#[test]
fn a_flood_of_words_is_bounded() {
    let mut bench = Bench::new("flood");
    let text =
        "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done 2>&-";
    bench.children.set(vec![script(text)]);
    bench.until(|news| {
        let missed = |event: &ChildEvent| match event {
            ChildEvent::Said { missed, .. } => *missed,
            _ => 0,
        };
        (news.iter().map(missed).sum::<u64>() > 100).then_some(())
    });
    assert!(bench.news.len() < 200, "{}", bench.news.len());
    bench.children.set(Vec::new());
    assert_eq!(bench.ended(), (Exit::Signal(15), true));
}

/// Given a child whose daemon and supervisor die, when it writes meanwhile, more than a pipe holds, then it
/// lives; when the next ones come, then they have the same process and its last words, reload it with new
/// files, and hear of its end.
#[test]
fn a_child_outlives_the_daemon_and_is_adopted() {
    let mut bench = Bench::new("adopted");
    let text = "trap 'now=$(cat conf)' HUP; now=; echo ready; while [ ! -e ../go ]; do sleep 0.01; done; \
                n=0; while [ $n -lt 3000 ]; do echo 0123456789012345678901234567890123456789; \
                n=$((n+1)); done 2>&-; : > ../done; while :; do echo now $now; sleep 0.4; done";
    let child = |content| Child { files: vec![file(content)], ..script(text) };
    bench.children.set(vec![child("one")]);
    bench.said("ready");
    let (pid, is_adopted) = bench.began();
    assert!(!is_adopted);
    let next = Children::start(&bench.dir, &bench.dir).unwrap();
    drop(std::mem::replace(&mut bench.children, next));
    fs::write(bench.dir.join("children/go"), "").unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !bench.dir.join("children/done").exists() {
        assert!(is_alive(pid) && std::time::Instant::now() < end);
        clock::wait(Duration::from_millis(5));
    }
    bench.news.clear();
    bench.children.set(vec![child("one")]);
    assert_eq!(bench.began(), (pid, true));
    bench.said("0123456789");
    bench.children.set(vec![child("two")]);
    bench.said("now two");
    assert!(is_alive(pid));
    bench.children.set(Vec::new());
    assert_eq!(bench.ended(), (Exit::Unknown, true));
    assert!(!bench.record("process").exists() && !bench.dir.join("children/services").exists());
}

/// Given a child, when its arguments change, then it is ended and started again; when only files change
/// and it cannot reload, too.
#[test]
fn a_change_starts_it_anew() {
    let mut bench = Bench::new("change");
    let (first, second) = (script(WAIT), script(&format!("echo second; {WAIT}")));
    bench.children.set(vec![first]);
    let (pid, _) = bench.began();
    bench.children.set(vec![second.clone()]);
    bench.said("second");
    assert!(!is_alive(pid));
    assert_eq!(bench.ended(), (Exit::Signal(15), true));
    bench.news.clear();
    let on_change = OnChange::Restart;
    bench.children.set(vec![Child { on_change, files: vec![file("x")], ..second }]);
    bench.said("second");
}

/// Given a disk that became read-only, with what a child kept there, when the child is started, then it runs, has
/// what it kept, and can write.
#[test]
fn a_disk_that_is_read_only_keeps_nobody_from_running() {
    std::thread::spawn(|| {
        // The mount is this thread's, and that of those it starts.
        own_mounts();
        let mut bench = Bench::new("read-only");
        let state = bench.dir.join("state");
        fs::create_dir(&state).unwrap();
        mount("tmpfs", &state, "tmpfs", MountFlags::empty(), c"mode=0755").unwrap();
        bench.children = Children::start(&bench.dir, &state).unwrap();
        let write = |text: &str| {
            let text = format!(
                "echo had $(cat \u{2}/leases); echo {text} > \u{2}/leases && echo wrote {text}; {WAIT}"
            );
            Child { user: User::Own, keeps_state: true, ..script(&text) }
        };
        bench.children.set(vec![write("one")]);
        bench.said("wrote one");
        bench.children.set(Vec::new());
        bench.carried_out();
        mount_remount(&state, MountFlags::RDONLY, c"").unwrap();
        bench.news.clear();
        bench.children.set(vec![write("two")]);
        assert_eq!(bench.said("had "), "one");
        bench.said("wrote two");
        bench.children.set(Vec::new());
        bench.carried_out();
        unmount(&state, UnmountFlags::DETACH).unwrap();
    })
    .join()
    .unwrap();
}

#[expect(unsafe_code, reason = "a thread with mounts of its own")]
pub(super) fn own_mounts() {
    // SAFETY: a system call without memory.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}

/// Given a record whose number belongs to another process now, or one that others can write, or of another
/// boot, when a supervisor finds it, then that process is not touched, and a new child is started.
#[test]
fn a_record_that_cannot_be_right_is_not_believed() {
    let mut bench = Bench::new("records");
    let stranger = Stranger::new();
    let id = stranger.0.id();
    let line = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let began = session::identify(id).unwrap().began.to_string();
    let reused = line.replace(&format!(" {began} "), " 77 ");
    assert_ne!(line, reused);
    let spoil: [&dyn Fn(&Bench); 3] = [
        &|bench| fs::write(bench.record("process"), &reused).unwrap(),
        &|bench| {
            fs::write(bench.record("process"), &line).unwrap();
            let all = fs::Permissions::from_mode(0o666);
            fs::set_permissions(bench.record("process"), all).unwrap();
        },
        &|bench| {
            fs::write(bench.record("process"), &line).unwrap();
            let declared = fs::read_to_string(bench.record("json")).unwrap();
            let other = declared.replace(&clock::boot_id(), "another");
            fs::write(bench.record("json"), other).unwrap();
        },
    ];
    for spoil in spoil {
        bench.news.clear();
        bench.children.set(vec![script(WAIT)]);
        bench.began();
        let (text, line) = (fs::read(bench.record("json")), fs::read(bench.record("process")));
        bench.children.set(Vec::new());
        bench.carried_out();
        fs::write(bench.record("json"), text.unwrap()).unwrap();
        fs::write(bench.record("process"), line.unwrap()).unwrap();
        spoil(&bench);
        bench.renew();
        bench.children.set(vec![script(WAIT)]);
        let (pid, is_adopted) = bench.began();
        assert!(!is_adopted && pid != id);
        bench.children.set(Vec::new());
        bench.carried_out();
        assert!(is_alive(id));
        bench.renew();
    }
}

/// Given a child of root's that declares what it needs, then it has these rights and can get no others.
#[test]
fn one_of_roots_has_what_it_declares() {
    let mut bench = Bench::new("root-rights");
    let text = format!("echo caps $(grep CapEff /proc/self/status); echo uid $(id -u); {WAIT}");
    let capabilities = vec![Capability::RawSockets];
    bench.children.set(vec![Child { user: User::Root, capabilities, ..script(&text) }]);
    assert_eq!(bench.said("caps CapEff: "), "0000000000002000");
    assert_eq!(bench.said("uid "), "0");
}

/// Given a child with a user of its own, then it is that user with the rights that were declared and no
/// others, ordinary and without core files, in a session of its own; it reads its files and cannot change
/// them, and writes where its state is kept; it cannot enter the directory of others.
#[test]
fn it_has_the_rights_that_it_needs() {
    // The daemon may become real-time. Without the right to allow it, nobody may here anyway.
    let (current, maximum) = (Some(9), Some(9));
    let _ = setrlimit(Resource::Rtprio, Rlimit { current, maximum });
    let mut bench = Bench::new("rights");
    let text = format!(
        "echo uid $(id -u) $(id -g) $(id -G); echo caps $(grep CapEff /proc/self/status); \
         echo new $(grep NoNewPrivs /proc/self/status); echo core $(ulimit -c); \
         echo time $(grep \"realtime priority\" /proc/self/limits); \
         echo oom $(cat /proc/self/oom_score_adj); echo conf $(cat conf); \
         (: > conf) 2>/dev/null || echo cannot write; (: > \u{2}/leases) && echo kept; \
         (: > ../x) 2>/dev/null || echo outside closed; echo in $(pwd) \u{1}; \
         echo session $(cut -d' ' -f6 /proc/$$/stat) $$; echo env $(env | sort); {WAIT}"
    );
    let child = Child {
        user: User::Own,
        capabilities: vec![Capability::LowPorts, Capability::RawSockets],
        files: vec![file("secret")],
        keeps_state: true,
        ..script(&text)
    };
    bench.children.set(vec![child]);
    assert_eq!(bench.said("uid "), "60820 60820 60820");
    assert_eq!(bench.said("caps CapEff: "), "0000000000002400");
    assert_eq!(bench.said("new NoNewPrivs: "), "1");
    assert_eq!(bench.said("core "), "0");
    assert_eq!(bench.said("time "), "Max realtime priority 0 0");
    assert_eq!(bench.said("oom "), "0");
    assert_eq!(bench.said("conf "), "secret");
    bench.said("cannot write");
    bench.said("kept");
    bench.said("outside closed");
    let dir = bench.dir.join("children/services").display().to_string();
    assert_eq!(bench.said("in "), format!("{dir} {dir}"));
    let session = bench.said("session ");
    let (session, pid) = session.split_once(' ').unwrap();
    assert_eq!(session, pid);
    let env = bench.said("env ");
    assert!(env.starts_with("LC_ALL=C") && !env.contains("HOME"), "{env}");
    let mode = fs::metadata(bench.dir.join("children/services/conf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}
