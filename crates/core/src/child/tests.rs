//! Lists and log lines over the lives of a child.

use super::*;
use crate::io::{Exit, OnChange, Program, User};
use crate::notice::{ChildNews, Notice};
use crate::time::Duration;
use alloc::vec;

fn child() -> Child {
    Child {
        id: ChildId::Services,
        run: 0,
        program: Program::Own,
        args: Vec::new(),
        trial: Vec::new(),
        files: Vec::new(),
        user: User::Own,
        capabilities: Vec::new(),
        is_resolver: false,
        needs: None,
        keeps_state: false,
        on_change: OnChange::Restart,
        grace: Duration::from_secs(3),
    }
}

fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

fn ended(was_asked: bool) -> ChildEvent {
    ChildEvent::Ended { exit: Exit::Code(1), was_asked }
}

/// The runs of the lists in `out`, each list being one child or none.
fn runs(out: &[Output]) -> Vec<Option<u64>> {
    let lists = out.iter().filter_map(|output| match output {
        Output::Children(list) => Some(list.first().map(|child| child.run)),
        _ => None,
    });
    lists.collect()
}

/// Given no owner that wants anything, then an empty list goes out once, for what an earlier daemon
/// left; given a wanted child, then it is declared once, and again under a new number after it ended
/// by itself, but not after it was ended.
#[test]
fn a_list_goes_out_when_it_differs() {
    let (mut children, mut out) = (Children::default(), Vec::new());
    assert!(children.is_due());
    children.declare(Vec::new(), &mut out);
    children.declare(Vec::new(), &mut out);
    children.declare(vec![child()], &mut out);
    assert!(!children.is_due());
    children.take(at(1), ChildId::Services, &ended(false), &mut out);
    assert!(children.is_due());
    children.declare(vec![child()], &mut out);
    children.take(at(2), ChildId::Services, &ended(true), &mut out);
    children.declare(vec![child()], &mut out);
    assert_eq!(runs(&out), [None, Some(0), Some(1)]);
}

/// Given a child that ends every second for ten minutes, then it makes at most two log lines a
/// minute, and fewer as time goes on, which count all ends; the status has the last one, and its last words.
#[test]
fn a_loop_of_crashes_is_told_at_a_bounded_rate() {
    let (mut children, mut out) = (Children::default(), Vec::new());
    let began = ChildEvent::Began { pid: 7, is_adopted: false, age: Duration::ZERO };
    let said = ChildEvent::Said { line: "port taken".into(), missed: 3 };
    for second in 1..=600 {
        for event in [&began, &said, &ended(false)] {
            children.take(at(second), ChildId::Services, event, &mut out);
        }
    }
    let news = |output: &Output| match output {
        Output::Notice(Notice::Child(news)) => Some(news.clone()),
        _ => None,
    };
    let news: Vec<ChildNews> = out.iter().filter_map(news).collect();
    let told = |news: &&ChildNews| !matches!(news, ChildNews::Said { .. });
    // The first start is told, too.
    assert_eq!(news.iter().filter(told).count(), 7);
    let times = news.iter().filter_map(|news| match news {
        ChildNews::Ended { times, .. } => Some(*times),
        _ => None,
    });
    assert_eq!(times.sum::<u64>(), 361);
    let status = children.status(at(600), |_| true).remove(0);
    assert_eq!((status.restarts, status.pid, status.missed_lines), (600, None, 1800));
    assert_eq!(status.last_exit.as_deref(), Some("exit code 1"));
    assert_eq!((status.last_words.len(), status.last_words[0].as_str()), (10, "port taken"));
}

/// Given a child that runs with its old files after each crash, and that the system cannot ask, then either is told once
/// and shown all the while; when its files change, then a refusal is told anew; when the system is not to ask it, then
/// nothing hinders.
#[test]
fn what_a_loop_of_crashes_repeats_is_told_once() {
    let (mut children, mut out) = (Children::default(), Vec::new());
    let resolver = Child { is_resolver: true, ..child() };
    children.declare(vec![resolver.clone()], &mut out);
    let began = ChildEvent::Began { pid: 7, is_adopted: false, age: Duration::ZERO };
    let refused = ChildEvent::Refused { why: "bad".into() };
    let hindered = ChildEvent::Hindered { why: Some("a moment ago".into()) };
    for second in 1..=10 {
        for event in [&began, &refused, &hindered] {
            children.take(at(second), ChildId::Services, event, &mut out);
        }
        let status = children.status(at(second), |_| true).remove(0);
        assert_eq!(status.refused.as_deref(), Some("bad"));
        assert_eq!(status.hindered.as_deref(), Some("a moment ago"));
        children.take(at(second), ChildId::Services, &ended(false), &mut out);
        children.declare(Vec::new(), &mut out);
        children.declare(vec![resolver.clone()], &mut out);
    }
    let told = |out: &[Output]| {
        let is_it = |output: &&Output| {
            let news = [ChildNews::Refused { child: "services".into(), why: "bad".into() }];
            matches!(output, Output::Notice(Notice::Child(n)) if news.contains(n)
                || matches!(n, ChildNews::Hindered { .. }))
        };
        out.iter().filter(is_it).count()
    };
    assert_eq!(told(&out), 2);
    let other = Child { args: vec!["other".into()], ..child() };
    children.declare(vec![other], &mut out);
    let status = children.status(at(11), |_| true).remove(0);
    assert_eq!((status.refused, status.hindered), (None, None));
    children.take(at(11), ChildId::Services, &refused, &mut out);
    assert_eq!(told(&out), 3);
}

/// Given a child that an earlier daemon started an hour ago, then its age is an hour; given its end,
/// then that is what it lived; one that was told to end is not shown any more.
#[test]
fn an_adopted_child_keeps_its_age() {
    let (mut children, mut out) = (Children::default(), Vec::new());
    let began = ChildEvent::Began { pid: 7, is_adopted: true, age: Duration::from_secs(3600) };
    children.take(at(5000), ChildId::Services, &began, &mut out);
    assert_eq!(children.status(at(5001), |_| true)[0].running_s, Some(3601));
    let lived = children.take(at(5002), ChildId::Services, &ended(false), &mut out);
    assert_eq!(lived.as_secs(), 3602);
    assert!(children.take(at(5003), ChildId::Services, &ended(true), &mut out).is_zero());
    assert!(children.status(at(5003), |_| true).is_empty());
}
