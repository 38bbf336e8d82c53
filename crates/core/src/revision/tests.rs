use super::*;
use crate::config::{Allow, FirewallMode, Network, NetworkKind, Protocol, Tier};
use crate::render::tests::config as sample;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::net::IpAddr;

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn version(text: &str) -> Version {
    Version { text: text.into(), config: sample(&[(1, Tier::Number(1))]) }
}

fn origin(how: &str) -> Origin {
    Origin { wall: "w".into(), by: "root".into(), how: how.into() }
}

fn trial(text: &str, until: u64) -> Trial {
    Trial {
        origin: origin("apply"),
        text: text.into(),
        back: "old".into(),
        boot_id: "boot".into(),
        until: at(until),
        is_confirmed: false,
        replaced: None,
    }
}

fn running(problem: Option<&str>) -> Revisions {
    let problem = problem.map(ToString::to_string);
    let mut all =
        Revisions::begin(at(10), version("old"), origin("start"), History::default(), problem);
    assert_eq!(all.due(at(10)), [Due::Keep]);
    all.kept(at(10), true);
    all
}

/// Given each state of file, trial and what was kept, when a start chooses, then it has the right
/// text, and none only where nothing is good.
#[test]
fn a_start_takes_what_is_good() {
    let is_good = |text: &str| !text.starts_with("bad");
    let history = |texts: &[&str]| History {
        entries: texts.iter().map(|t| Entry { text: (*t).into(), ..Entry::default() }).collect(),
    };
    let chosen = |file: Option<&str>, kept: &Kept| {
        let choice = at_start(at(100), "boot", file, kept, &is_good)?;
        Some((choice.source, choice.text, choice.back, choice.over))
    };
    let of = |source, text: &str| Some((source, text.to_string(), None, None));
    let mut kept = Kept::default();
    assert_eq!(chosen(None, &kept), None);
    assert_eq!(chosen(Some("file"), &kept), of(Source::File, "file"));
    kept.last_good = Some("good".into());
    assert_eq!(chosen(Some("file"), &kept), of(Source::File, "file"));
    assert_eq!(chosen(None, &kept), of(Source::LastGood, "good"));
    // A last good one that this version does not read, or that was damaged.
    kept.last_good = Some("bad".into());
    kept.history = history(&["first", "second", "bad"]);
    assert_eq!(chosen(None, &kept), of(Source::LastGood, "second"));
    kept.history = history(&["bad"]);
    assert_eq!(chosen(None, &kept), None);
}

/// Given a file that is good, and only the beginning of what was good before, then a start does not
/// take it, and no look does; what differs in its end alone, or has anything else, is taken.
#[test]
fn a_file_that_was_cut_off_is_not_taken() {
    assert!(is_torn("a\nb", "a\nb\nc\n") && is_torn("", "a"));
    assert!(!is_torn("a\nb\n\n", "a\nb") && !is_torn("a\nc", "a\nb\nc") && !is_torn("a", "a\n"));
    // Somebody deleted the last lines; a crash that leaves whole lines cuts at a page.
    assert!(!is_torn("a\n", "a\nb\n"));
    let page = format!("{}\n", "a".repeat(PAGE - 1));
    assert!(is_torn(&page, &format!("{page}b\n")));
    let kept = Kept { last_good: Some("old and more".into()), ..Kept::default() };
    let chosen = |file| at_start(at(1), "boot", Some(file), &kept, &|_| true).unwrap();
    assert_eq!(chosen("old").source, Source::LastGood);
    assert_eq!(chosen("new").source, Source::File);
    // Where the last good one is good no more, the file is all there is.
    let only = |text: &str| text == "old";
    assert_eq!(at_start(at(1), "boot", Some("old"), &kept, &only).unwrap().source, Source::File);
    let mut all = running(Some("cut off"));
    for _ in 0..3 {
        assert_eq!(all.looked(Ok(version("ol"))), None);
    }
    assert_eq!(all.status(at(11)).problem.as_deref(), Some(TORN));
}

/// Given a trial on the disk, when a start finds it, then it goes on within its time and its boot,
/// ends else, and counts as confirmed if that was noted and the file has its text.
#[test]
fn a_start_keeps_the_time_of_a_trial() {
    let is_good = |text: &str| !text.starts_with("bad");
    let kept =
        |trial| Kept { trial: Some(trial), last_good: Some("old".into()), ..Kept::default() };
    let chosen = |file, trial| {
        let choice = at_start(at(100), "boot", file, &kept(trial), &is_good).unwrap();
        (choice.source, choice.text, choice.back, choice.over)
    };
    let goes_on = (Source::Trial, "new".to_string(), Some("old".to_string()), None);
    let back = (Source::File, "old".to_string(), None, Some(Over::TakenBack));
    assert_eq!(chosen(Some("old"), trial("new", 101)), goes_on);
    assert_eq!(chosen(None, trial("new", 101)), goes_on);
    assert_eq!(chosen(Some("old"), trial("new", 100)), back);
    let other_boot = Trial { boot_id: "other".into(), ..trial("new", 101) };
    assert_eq!(chosen(Some("old"), other_boot.clone()), back);
    assert_eq!(chosen(None, other_boot).0, Source::LastGood);
    assert_eq!(chosen(Some("old"), trial("bad", 101)), back);
    // The file itself was edited, and tried: the edit confirms nothing.
    assert_eq!(chosen(Some("new"), trial("new", 101)), goes_on);
    assert_eq!(chosen(Some("new"), trial("new", 100)), back);
    let of_another = Trial { boot_id: "other".into(), ..trial("new", 101) };
    assert_eq!(chosen(Some("new"), of_another), back);
    let noted = |until| Trial { is_confirmed: true, ..trial("new", until) };
    assert_eq!(chosen(Some("old"), noted(101)), goes_on);
    assert_eq!(chosen(Some("new"), noted(100)).3, Some(Over::Confirmed));
    let confirmed = chosen(Some("new"), noted(101));
    assert_eq!(confirmed, (Source::File, "new".into(), None, Some(Over::Confirmed)));
    // Confirmed and written, and edited before the next start.
    let edited = (Source::File, "file".into(), None, Some(Over::Confirmed));
    assert_eq!(chosen(Some("file"), noted(101)), edited);
    // It was noted, and the file still has what somebody had edited before, and never loaded.
    let over_an_edit = |until| Trial { replaced: Some("file".into()), ..noted(until) };
    assert_eq!(chosen(Some("file"), over_an_edit(101)), goes_on);
    let edited_again = (Source::File, "other".into(), None, Some(Over::Confirmed));
    assert_eq!(chosen(Some("other"), over_an_edit(101)), edited_again);
    // Of its text a part was written: that is none.
    assert_eq!(chosen(Some("ne"), noted(101)).0, Source::Trial);
    let of_another_boot = Trial { boot_id: "other".into(), ..noted(101) };
    for over in [noted(100), of_another_boot] {
        assert_eq!(chosen(Some("ne"), over).0, Source::LastGood);
    }
    // What it would go back to is good no more: the file is.
    let back_is_bad = Trial { back: "bad".into(), ..trial("new", 101) };
    assert_eq!(chosen(Some("file"), back_is_bad).2.as_deref(), Some("file"));
}

/// Given a trial, when nobody confirms, then what was before comes back at its time, once, and the
/// disk is reported until it takes it; when somebody confirms, nothing comes back.
#[test]
fn a_trial_ends_at_its_time() {
    let mut all = running(None);
    all.tried(trial("new", 70), version("new"));
    assert_eq!((all.running().text.as_str(), all.deadline()), ("new", Some(at(70))));
    assert_eq!(all.status(at(30)).trial, Some(TrialStatus { left_s: 40 }));
    assert_eq!(all.due(at(69)), []);
    assert_eq!(all.due(at(70)), [Due::TakeBack(Box::new(version("old"))), Due::Keep]);
    assert_eq!((all.running().text.as_str(), all.on_trial()), ("old", None));
    all.kept(at(71), false);
    assert_eq!(all.deadline(), Some(at(71) + KEEP_AGAIN));
    assert_eq!(all.due(at(71) + KEEP_AGAIN), [Due::Keep]);
    all.kept(at(102), true);
    assert_eq!((all.deadline(), all.history().entries.len()), (None, 1));

    all.tried(trial("new", 170), version("new"));
    all.taken(at(120), version("new"), origin("apply"));
    assert_eq!(all.due(at(200)), [Due::Keep]);
    assert_eq!(all.running().text, "new");
    assert_eq!(all.history().entries.len(), 2);
    assert_eq!(all.history().back(1).unwrap().text, "old");
}

/// Given a start with the last good configuration, when the file is read again, then it is taken as
/// soon as it is good and was the same twice, and its problem is reported until then.
#[test]
fn a_mended_file_is_taken_when_it_is_whole() {
    let mut all = running(Some("line 3"));
    assert_eq!(all.status(at(11)).problem.as_deref(), Some("line 3"));
    assert_eq!(all.status(at(11)).source, Source::LastGood);
    assert_eq!(all.due(at(10) + LOOK_EVERY), [Due::Look]);
    assert_eq!(all.looked(Err("line 4".into())), None);
    assert_eq!(all.status(at(11)).problem.as_deref(), Some("line 4"));
    assert_eq!(all.looked(Ok(version("half"))), None);
    assert_eq!(all.looked(Ok(version("whole"))), None);
    assert_eq!(all.looked(Err("line 5".into())), None);
    assert_eq!(all.looked(Ok(version("whole"))), None);
    let taken = all.looked(Ok(version("whole"))).unwrap();
    all.taken(at(20), taken, origin("start"));
    assert_eq!(all.status(at(20)).source, Source::File);
    assert_eq!(all.due(at(500)), [Due::Keep]);
    // Nobody waits for the file any more.
    assert_eq!(all.looked(Ok(version("whole"))), None);
}

/// Given many changes, then the newest are kept, within the bounds, and the same text once.
#[test]
fn the_history_is_bounded() {
    let mut history = History::default();
    for n in 0..100 {
        for _ in 0..2 {
            history.add(Entry { text: format!("text {n}"), ..Entry::default() });
        }
    }
    assert_eq!(history.entries.len(), KEPT);
    assert_eq!(history.back(0).unwrap().text, "text 99");
    assert_eq!(history.back(KEPT), None);
    for n in 0..10 {
        let text = format!("{n}{}", " ".repeat(MOST_BYTES / 4));
        history.add(Entry { text, ..Entry::default() });
    }
    assert_eq!(history.entries.len(), 3);
    history.add(Entry { text: " ".repeat(MOST_BYTES + 1), ..Entry::default() });
    assert_eq!(history.entries.len(), 1);
}

/// Given a trial that is being confirmed, then its time does not run out, until that fails.
#[test]
fn a_confirmation_in_time_is_in_time() {
    let mut all = running(None);
    all.tried(trial("new", 70), version("new"));
    all.hold(true);
    assert_eq!((all.deadline(), all.due(at(80))), (None, vec![]));
    all.hold(false);
    assert_eq!(all.due(at(81)).len(), 2);
}

/// Given what an SSH server tells, then the connection is known, or nothing at all.
#[test]
fn the_words_of_ssh_are_understood() {
    let find = |client: IpAddr, _| (client.to_string() == "192.0.2.9").then(|| name("wan1"));
    let found = |words| ssh_path(words, find).map(|p| (p.ifname, p.client.to_string(), p.port));
    let expected = Some((name("wan1"), "192.0.2.9".to_string(), 22));
    assert_eq!(found("192.0.2.9 50000 192.0.2.1 22"), expected);
    assert_eq!(found("::ffff:192.0.2.9 50000 ::ffff:192.0.2.1 22"), expected);
    let zone = Some((name("lan0"), "fe80::1".to_string(), 22));
    assert_eq!(found("fe80::1%lan0 50000 fe80::2%lan0 22"), zone);
    for words in ["", "192.0.2.9", "192.0.2.9 1 x 22", "198.18.0.1 1 192.0.2.1 22"] {
        assert_eq!(found(words), None, "{words}");
    }
}

fn name(text: &str) -> crate::net::IfName {
    text.parse().unwrap()
}

/// Given the ways of an administrator to the router, when a configuration closes one, then the
/// reason is given; what it leaves open, or was closed before, is not checked.
#[test]
fn a_change_that_cuts_its_author_is_known() {
    let mut old = sample(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
    let ssh = Allow {
        protocol: Protocol::Tcp,
        ports: vec![(22, 22)],
        from: vec!["203.0.113.0/24".parse().unwrap()],
        to: Vec::new(),
    };
    old.firewall.allow.push(ssh);
    let path = |ifname: &str, client: &str, server: &str| Path {
        ifname: ifname.parse().unwrap(),
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
        port: 22,
    };
    let outside = path("wan1", "203.0.113.9", "100.64.1.2");
    let inside = path("lan0", "192.168.1.9", "192.168.1.1");
    let cut_by = |path: &Path, change: &dyn Fn(&mut Config)| {
        let mut new = old.clone();
        change(&mut new);
        cut(&old, &new, path)
    };
    assert_eq!(cut_by(&outside, &|_| {}), None);
    assert_eq!(cut_by(&outside, &|new| new.uplinks[1].enabled = false), None);
    let expect = |path: &Path, words: &str, change: &dyn Fn(&mut Config)| {
        let reported = cut_by(path, change).unwrap_or_default();
        assert!(reported.ends_with(words), "{reported:?} lacks {words}");
    };
    expect(&outside, "uplink isp1 is disabled", &|new| new.uplinks[0].enabled = false);
    expect(&outside, "it removes wan1", &|new| drop(new.uplinks.remove(0)));
    expect(&outside, "no uplink has the address 100.64.1.2", &|new| {
        new.uplinks[0].fixed_mut().unwrap().address = "100.64.1.3/24".parse().unwrap();
    });
    expect(&outside, "`[firewall] allow` has no \"tcp 22\" for it", &|new| {
        new.firewall.allow.clear();
    });
    assert_eq!(
        cut_by(&outside, &|new| {
            new.firewall.allow.clear();
            new.firewall.mode = FirewallMode::Off;
        }),
        None
    );
    // It was closed before: no change can cut it.
    let stranger = path("wan1", "198.18.0.9", "100.64.1.2");
    assert_eq!(cut_by(&stranger, &|new| new.firewall.allow.clear()), None);
    expect(&inside, "it removes lan0", &|new| {
        new.networks = vec![Network::lan("lan1".parse().unwrap())];
    });
    expect(&inside, "network lan0 does not reach the router itself", &|new| {
        new.networks[0].kind = NetworkKind::Guest;
    });
    // A management port that rail does not know, and that becomes an uplink.
    let apart = path("eth9", "10.0.0.9", "10.0.0.1");
    assert_eq!(cut_by(&apart, &|new| new.networks.clear()), None);
    expect(&apart, "no uplink has the address 10.0.0.1", &|new| {
        new.uplinks[0].ifname = "eth9".parse().unwrap();
    });
    // Or one that comes to stand in the network of an uplink, and is filtered as that from then on.
    let beside = |new: &mut Config| {
        new.uplinks[0].fixed_mut().unwrap().address = "10.0.0.2/24".parse().unwrap()
    };
    expect(
        &apart,
        "eth9 stands in the network of uplink isp1, and `[firewall] allow` has no \"tcp 22\"",
        &beside,
    );
    let allowed = Path { client: "203.0.113.9".parse().unwrap(), ..apart };
    assert_eq!(cut_by(&allowed, &beside), None);
    // Or one that has the address by which the file means an uplink's card, or a guest network's.
    let twin = |new: &mut Config| new.uplinks[0].others.push("eth9".parse().unwrap());
    let refused = "too, as uplink isp1, and `[firewall] allow` has no \"tcp 22\"";
    expect(&apart, refused, &twin);
    assert_eq!(cut_by(&allowed, &twin), None);
    let guests = |kind: NetworkKind| {
        move |new: &mut Config| {
            new.networks[0].kind = kind;
            new.networks[0].others.push("eth9".parse().unwrap());
        }
    };
    expect(
        &apart,
        "and network lan0 does not reach the router itself",
        &guests(NetworkKind::Guest),
    );
    assert_eq!(cut_by(&apart, &guests(NetworkKind::Lan)), None);
}
