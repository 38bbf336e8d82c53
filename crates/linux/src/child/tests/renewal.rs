//! New files that a program refuses, a program that is new, and a supervisor that is killed.

use super::*;
use rustix::process::{Pid, Signal, kill_process};

/// A child whose trial refuses what is bad, and hangs where it is to.
pub(super) fn tried(content: &str) -> Child {
    let judge = "case $(cat conf) in bad) echo; echo \"$PWD/conf: no good\"; exit 1;; hang) sleep 60;; esac";
    Child {
        trial: vec!["-c".into(), judge.into()],
        files: vec![file(content)],
        on_change: OnChange::Restart,
        ..script(&format!("echo with $(cat conf); {WAIT}"))
    }
}

fn refused(bench: &mut Bench) -> String {
    bench.until(|news| {
        news.iter().find_map(|event| match event {
            ChildEvent::Refused { why } => Some(why.clone()),
            _ => None,
        })
    })
}

/// Given a child that runs, when its program refuses the new files, or hangs over them, then it goes on with the
/// old ones, that is told once with the program's words, and nothing of the trial is left; when good ones come,
/// then it runs with those.
#[test]
fn files_that_its_program_refuses_cost_nothing() {
    let mut bench = Bench::new("trial");
    bench.children.set(vec![tried("one")]);
    let (pid, _) = bench.began();
    for (content, words) in [("bad", "conf: no good"), ("hang", "it did not judge")] {
        bench.news.clear();
        bench.children.set(vec![tried(content)]);
        let why = refused(&mut bench);
        assert!(why.starts_with(words), "{why}");
        bench.carried_out();
        bench.children.set(vec![tried(content)]);
        bench.carried_out();
        let again = bench.news.iter().filter(|event| matches!(event, ChildEvent::Refused { .. }));
        assert_eq!(again.count(), 1);
        assert!(is_alive(pid) && !bench.dir.join("children/trial").exists());
        let kept = fs::read_to_string(bench.dir.join("children/services/conf")).unwrap();
        assert_eq!(kept, "one");
    }
    bench.children.set(vec![tried("two")]);
    bench.said("with two");
    assert!(!is_alive(pid));
}

/// Given a child, when its supervisor is killed, then another one adopts it; when that one is killed, too, and the
/// spawner with it, then the next has fewer rights and says so.
#[test]
fn a_killed_supervisor_is_followed_by_another() {
    let mut bench = Bench::new("killed");
    bench.children.set(vec![script(WAIT)]);
    let (pid, _) = bench.began();
    let parent = |pid: u32| -> Pid {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let field = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap();
        Pid::from_raw(field.parse().unwrap()).unwrap()
    };
    kill_process(parent(pid), Signal::KILL).unwrap();
    let mut news = until_renewed(&mut bench);
    assert_eq!(news.remove(0), News::Lost);
    let is_adopted = |news: &News| matches!(news, News::Child(_, ChildEvent::Began { pid: found, is_adopted: true, .. }) if *found == pid);
    assert!(news.iter().any(is_adopted) && !news.contains(&News::Weak), "{news:?}");
    bench.news.clear();
    bench.children.set(vec![Child { run: 1, ..script("echo second; sleep 60") }]);
    bench.said("second");
    let (second, _) = bench.until(|news| match news.last() {
        Some(ChildEvent::Began { pid, is_adopted, .. }) => Some((*pid, *is_adopted)),
        Some(ChildEvent::Said { .. }) => news.iter().rev().find_map(|event| match event {
            ChildEvent::Began { pid, is_adopted, .. } => Some((*pid, *is_adopted)),
            _ => None,
        }),
        _ => None,
    });
    let supervisor = parent(second);
    kill_process(parent(supervisor.as_raw_nonzero().get().cast_unsigned()), Signal::KILL).unwrap();
    kill_process(supervisor, Signal::KILL).unwrap();
    let news = until_renewed(&mut bench);
    assert!(news.contains(&News::Weak), "{news:?}");
}

/// Given a child whose program was replaced by an upgrade while no supervisor lived, when the next one adopts
/// it, then it is ended and the new program is started.
#[test]
fn an_upgrade_begins_it_anew() {
    let mut bench = Bench::new("upgrade");
    bench.children.set(vec![script(WAIT)]);
    let (pid, _) = bench.began();
    let declared = fs::read(bench.record("json")).unwrap();
    let mut declared: serde_json::Value = serde_json::from_slice(&declared).unwrap();
    declared["file"] = "another file".into();
    fs::write(bench.record("json"), declared.to_string()).unwrap();
    bench.renew();
    bench.children.set(vec![script(WAIT)]);
    assert_eq!(bench.ended(), (Exit::Unknown, true));
    assert_eq!(bench.began(), (pid, true));
    bench.until(|news| {
        news.iter().find(|event| matches!(event, ChildEvent::Began { is_adopted: false, .. }))?;
        Some(())
    });
}

/// All that happened until a child was adopted.
fn until_renewed(bench: &mut Bench) -> Vec<News> {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    let mut all = Vec::new();
    let began = |news: &News| matches!(news, News::Child(_, ChildEvent::Began { .. }));
    while !all.iter().any(began) {
        assert!(std::time::Instant::now() < end, "only {all:?}");
        all.extend(bench.children.drain());
        all.extend(bench.children.wake(clock::now(), &mut bench.spawner));
        clock::wait(Duration::from_millis(5));
    }
    all
}
