//! A target over time: what arrives, how often, and in which order.

use super::*;
use crate::notifier::message;
use std::path::PathBuf;

fn place(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("rail-target-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    place
}

fn message(n: u64) -> Message {
    message::test(format!("b-{n}"), 1_800_000_000, "2026-11-21T06:00:00.000Z", "gw", None)
}

fn open(place: &Path) -> Target {
    Target::open("command".into(), Kind::Command(vec!["/bin/true".into()]), place)
}

/// Given a server that is silent for ten minutes while there is a message each half minute, and a process
/// that is killed meanwhile, then each arrives once, in order, and the server was asked a few times only.
#[test]
fn an_outage_of_ten_minutes_loses_nothing() {
    let place = place("outage");
    let mut target = open(&place);
    let (mut arrived, mut attempts, mut made) = (Vec::new(), 0, 0);
    for now_s in 0..3600_u64 {
        let now_ms = now_s * 1000;
        if now_s % 30 == 0 && now_s <= 600 {
            target.spool.push(message(made));
            made += 1;
        }
        if now_s == 400 {
            target = open(&place);
        }
        if now_s == 601 {
            // The uplinks are back.
            target.retry.hurry(now_ms);
        }
        while target.retry.next_ms() <= now_ms
            && let Some(message) = target.spool.first().cloned()
        {
            attempts += 1;
            let outcome = if now_s <= 600 {
                Outcome::unheard("silent")
            } else {
                arrived.push(message.id.clone());
                Outcome::new(Verdict::Done, "250 ok")
            };
            target.ended(&message.id, outcome, now_ms, "now");
        }
    }
    let expected: Vec<String> = (0..made).map(|n| format!("b-{n}")).collect();
    assert_eq!(arrived, expected);
    assert!(attempts - arrived.len() <= 5, "{attempts} attempts");
    assert_eq!(target.news(0).error, None);
    std::fs::remove_dir_all(place).unwrap();
}

/// Given outcomes, then people hear of the first failure and of its end, and the next attempt goes by another
/// uplink if nobody answered, by the same if somebody did.
#[test]
fn people_hear_of_the_first_failure_and_its_end() {
    let place = place("words");
    let mut target = open(&place);
    target.spool.push(message(1));
    let mut end = |verdict| target.ended("b-1", Outcome::new(verdict, "w"), 0, "now").is_some();
    assert!(end(Verdict::Unheard));
    assert!(!end(Verdict::Later { after_s: None }));
    assert!(end(Verdict::Done));
    assert_eq!((target.turn, target.spool.len(), target.news(0).sent), (1, 0, 1));
    target.spool.push(message(2));
    assert!(target.ended("b-2", Outcome::new(Verdict::Never, "550 no"), 0, "now").is_some());
    let news = target.news(0);
    assert_eq!((news.dropped, news.queued, news.error.as_deref()), (1, 0, Some("550 no")));
    std::fs::remove_dir_all(place).unwrap();
}

/// Given messages that are too old, then they go; one that was made before the clock was set stays, and so does one that
/// only a clock that was set since makes old.
#[test]
fn old_messages_go() {
    let place = place("old");
    let mut target = open(&place);
    target.spool.push(message(1));
    target.expire(1_800_000_000 + EXPIRES_S, 0);
    assert_eq!(target.spool.len(), 1);
    target.expire(1_800_000_001 + EXPIRES_S, 0);
    assert_eq!((target.spool.len(), target.news(0).dropped), (0, 1));
    target.spool.push(Message { made_s: 5, ..message(2) });
    target.expire(1_900_000_000, 0);
    assert_eq!(target.spool.len(), 1);
    target.spool.pop();
    // The machine was off for a week, and learns the time by the first uplink.
    target.spool.push(Message { made_ms: Some(5000), ..message(3) });
    target.expire(1_800_000_000 + 7 * 86_400, 65_000);
    assert_eq!(target.spool.len(), 1);
    target.expire(1_800_000_000, 6000 + EXPIRES_S * 1000);
    assert_eq!(target.spool.len(), 0);
    std::fs::remove_dir_all(place).unwrap();
}

/// Given files that hold no secret, then that is said, and none of their content.
#[test]
fn a_secret_is_the_first_line_of_a_file() {
    let place = place("secret");
    std::fs::create_dir_all(&place).unwrap();
    let path = |name: &str| place.join(name).display().to_string();
    std::fs::write(path("good"), "s3 cret \r\nsecond\n").unwrap();
    std::fs::write(path("empty"), "\n").unwrap();
    std::fs::write(path("bytes"), b"\xff\xfe").unwrap();
    assert_eq!(secret(&path("good")), Ok("s3 cret".into()));
    for name in ["empty", "bytes", "missing", "."] {
        assert!(secret(&path(name)).is_err(), "{name}");
    }
    assert_eq!(host_of("https://hooks.example.org:8443/x"), "hooks.example.org");
    std::fs::remove_dir_all(place).unwrap();
}
