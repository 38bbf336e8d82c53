//! One slot alone: what runs after files were refused, and what the system may ask.

use super::super::place::Place;
use super::super::slot::{Site, Slot};
use super::renewal::tried;
use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Instant;

struct Alone {
    dir: PathBuf,
    site: Site,
    slot: Slot,
    now: Instant,
}

impl Alone {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-slot-{}-{name}", std::process::id()));
        let state = dir.join("state");
        fs::create_dir_all(&state).unwrap();
        let place = Place::open(&dir, &state).unwrap();
        let slot = Slot::new("services".into(), &place);
        let site = Site { place, boot: clock::boot_id() };
        Self { dir, site, slot, now: Instant::now() }
    }

    /// What happens when this is wanted.
    fn want(&mut self, content: &str, run: u64) -> Vec<ChildEvent> {
        self.put(Child { run, keeps_state: true, ..tried(content) })
    }

    fn put(&mut self, child: Child) -> Vec<ChildEvent> {
        self.slot.wanted = Some(child);
        self.slot.act(&self.site, self.now)
    }

    fn runs_with(&self) -> String {
        fs::read_to_string(self.dir.join("children/services/conf")).unwrap()
    }

    /// Waits for the end of what runs.
    fn until_ended(&mut self) {
        let end = &self.slot.process.as_ref().unwrap().end;
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&patience)), Ok(1));
        self.slot.ended(&self.site).unwrap();
    }

    /// It dies; another slot is all that is left where there was a boot in between.
    fn kill(&mut self, pid: u32, boots: bool) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
        self.until_ended();
        if boots {
            self.slot = Slot::new("services".into(), &self.site.place);
        }
    }

    fn end(&mut self) {
        self.slot.wanted = None;
        assert_eq!(self.slot.act(&self.site, self.now), []);
        self.until_ended();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.slot.process.is_some() {
            self.end();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Which process began, and whether files were refused.
fn began(events: &[ChildEvent]) -> (u32, bool) {
    match events {
        [ChildEvent::Began { pid, .. }] => (*pid, false),
        [ChildEvent::Began { pid, .. }, ChildEvent::Refused { .. }] => (*pid, true),
        other => panic!("{other:?}"),
    }
}

/// Given files that the program refuses, when what runs dies, and again after a boot, then it comes back with the
/// files that were taken last, and that others are refused is said; when good files come, then it has those; when
/// nobody wanted it meanwhile, then nothing of before is known.
#[test]
fn what_was_taken_outlives_what_is_refused() {
    let mut alone = Alone::new("taken");
    let (pid, _) = began(&alone.want("one", 0));
    assert!(matches!(alone.want("bad", 0)[..], [ChildEvent::Refused { .. }]));
    assert_eq!(alone.want("bad", 0), []);
    alone.kill(pid, false);
    let (pid, is_refused) = began(&alone.want("bad", 1));
    assert!(is_refused && alone.runs_with() == "one");
    alone.kill(pid, true);
    let (pid, is_refused) = began(&alone.want("bad", 0));
    assert!(is_refused && alone.runs_with() == "one");
    assert_eq!(alone.want("two", 0), []);
    alone.until_ended();
    let next = began(&alone.want("two", 0));
    assert!(next.0 != pid && !next.1 && alone.runs_with() == "two");
    alone.end();
    let (_, is_refused) = began(&alone.want("bad", 1));
    assert!(!is_refused && alone.runs_with() == "bad");
}

/// Given a program that could not say anything about its files, when it can a minute later, then it is asked again and
/// takes them.
#[test]
fn who_said_nothing_is_asked_again() {
    let mut alone = Alone::new("unheard");
    began(&alone.want("one", 0));
    let ready = alone.dir.join("ready");
    let trial = vec!["-c".into(), format!("[ -e {} ] || kill -9 $$", ready.display())];
    let child = Child { trial, keeps_state: true, ..tried("two") };
    assert!(matches!(alone.put(child.clone())[..], [ChildEvent::Refused { .. }]));
    fs::write(&ready, "").unwrap();
    assert_eq!(alone.put(child.clone()), []);
    let at = alone.slot.ask_at().unwrap();
    assert!(alone.slot.deadline(alone.now).is_some_and(|first| first <= at));
    alone.now = at;
    assert_eq!(alone.put(child.clone()), []);
    assert_eq!(alone.slot.ask_at(), None);
    alone.until_ended();
    assert!(!began(&alone.put(child)).1 && alone.runs_with() == "two");
}

/// Given a child that does not answer the system's own questions, when its program refuses the files with which it is
/// to, then the system is not led to it; when it takes them, then it is.
#[test]
fn only_what_runs_is_asked() {
    std::thread::spawn(|| {
        own_network();
        asks_what_runs();
    })
    .join()
    .unwrap();
}

#[expect(unsafe_code, reason = "a thread with a loopback that nobody else has")]
fn own_network() {
    // SAFETY: a system call without memory.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
}

fn asks_what_runs() {
    let mut alone = Alone::new("asked");
    began(&alone.want("one", 0));
    let resolver = |content| Child { is_resolver: true, keeps_state: true, ..tried(content) };
    alone.put(resolver("bad"));
    assert!(!alone.slot.answers());
    alone.put(resolver("two"));
    assert!(!alone.slot.answers());
    alone.until_ended();
    began(&alone.put(resolver("two")));
    assert!(alone.slot.answers());
    alone.put(Child { is_resolver: false, ..resolver("two") });
    assert!(!alone.slot.answers());
}
