//! How many messages come of how many events, in virtual time.

use super::*;
use crate::notifier::event::Number;
use crate::notifier::event::tests::{health, told};

fn rules(at_most: u32, quiet: Option<Quiet>) -> Rules {
    let window = Duration::from_secs(10);
    Rules::from(&Notify { fold: window, at_most, quiet, ..Notify::default() })
}

fn number(n: u64) -> Number {
    Number { daemon: 7, n }
}

fn at(ms: u64) -> Moment {
    let minute = u16::try_from(ms / 60_000 % 1440).unwrap();
    Moment { ms, minute }
}

/// Gives the events at their times, and lets time go on for a day: when messages left, with how many events.
fn run(rules: &Rules, events: &[(u64, Told)]) -> Vec<(u64, u64)> {
    let (mut fold, mut sent) = (Fold::default(), Vec::new());
    let mut events = events.iter().enumerate().peekable();
    let mut now = 0;
    while now < 100_000_000 {
        while let Some((seq, (_, told))) = events.next_if(|(_, (when, _))| *when <= now) {
            fold.take(now, number(seq as u64), told.clone(), false);
        }
        if let Some(group) = fold.due(rules, at(now)) {
            sent.push((now, group.told.len() as u64 + group.more));
        }
        let due = fold.due_ms(rules, at(now)).map(|due| due.max(now + 1));
        let next = events.peek().map(|(_, (when, _))| *when);
        now = [due, next].into_iter().flatten().min().unwrap_or(u64::MAX);
    }
    sent
}

fn flapping(period_ms: u64, length_ms: u64) -> Vec<(u64, Told)> {
    let words = ["up", "down"];
    let steps = length_ms / (period_ms / 2);
    let step = |n: u64| {
        let (from, to) = (words[n as usize % 2], words[(n as usize + 1) % 2]);
        (1000 + n * (period_ms / 2), health(n, "isp1", from, to))
    };
    (0..=steps).map(step).collect()
}

/// Given one failure with what follows from it, then it is one message, as soon as the window ends.
#[test]
fn what_belongs_together_is_one_message() {
    let switched = told(r#"{"event":"switched","active":["isp2"],"took_us":5}"#).unwrap();
    let events = [(1000, health(1, "isp1", "up", "down")), (1300, switched)];
    assert_eq!(run(&rules(20, None), &events), [(11_000, 2)]);
}

/// Given an uplink that comes and goes for 20 s, at each period from 100 ms to 10 s, then there are two
/// messages at most, and no event is lost; for a whole day, no hour has more than is allowed. Reported: a mail for each
/// change of a line that comes and goes (asusmerlin 3), a hook run a hundred times a day (OpenWrt packages 22996).
#[test]
fn flapping_is_a_digest() {
    for period in (100..=10_000).step_by(100) {
        let events = flapping(period, 20_000);
        let sent = run(&rules(20, None), &events);
        assert!(sent.len() <= 2, "period {period}: {sent:?}");
        assert_eq!(sent.iter().map(|(_, n)| n).sum::<u64>(), events.len() as u64);
    }
    // However many would be allowed: the windows are 10, 20, 40 s and so on, up to ten minutes.
    let sent = run(&rules(1000, None), &flapping(2000, 3_600_000));
    assert!((8..=13).contains(&sent.len()), "{sent:?}");
    for (period, at_most) in [(2000, 1), (10_000, 3), (60_000, 20), (600_000, 2), (1_300_000, 1)] {
        let events = flapping(period, 80_000_000);
        let sent = run(&rules(at_most, None), &events);
        for (index, (when, _)) in sent.iter().enumerate() {
            let hour = sent[index..].iter().take_while(|(other, _)| *other < when + HOUR_MS);
            assert!(hour.count() <= at_most as usize, "period {period}");
        }
        assert_eq!(sent.iter().map(|(_, n)| n).sum::<u64>(), events.len() as u64, "{period}");
    }
}

/// Given quiet hours, then a change waits for their end; a total loss does not, and its end neither.
#[test]
fn a_total_loss_breaks_the_quiet() {
    let quiet = Some(Quiet { from: 0, to: 420 });
    let one = [(1000, health(1, "isp1", "up", "down"))];
    let end = 420 * 60_000;
    assert_eq!(run(&rules(20, quiet), &one), [(end + 1000, 1)]);
    let lost = told(r#"{"event":"no-uplink","kept":true}"#).unwrap();
    let back = health(3, "isp1", "down", "up");
    let later = health(4, "isp2", "down", "up");
    let all = [(1000, lost), (100_000, back), (200_000, later)];
    assert_eq!(run(&rules(20, quiet), &all), [(11_000, 1), (120_000, 1), (end + 20_000, 1)]);
}

/// Given more events than a message has room for, then it knows the first ones, the last one and how many.
#[test]
fn a_group_is_bounded() {
    let mut fold = Fold::default();
    for n in 0..5000 {
        fold.take(1000, number(n), health(n, "isp1", "up", "down"), false);
    }
    let group = fold.due(&rules(20, None), at(60_000)).unwrap();
    assert_eq!((group.told.len(), group.more, group.first), (MOST_TOLD, 4900, number(0)));
    assert!(group.told[MOST_TOLD - 1].wall.ends_with(&format!("{:02}.000Z", 4999 % 60)));
}

/// Given a group that was open when the machine was restarted, then it leaves at once.
#[test]
fn what_waited_for_a_boot_leaves_at_once() {
    let mut fold = Fold::default();
    fold.take(9_000_000_000, number(7), health(7, "isp1", "up", "down"), false);
    let text = serde_json::to_string(&fold).unwrap();
    let mut read: Fold = serde_json::from_str(&text).unwrap();
    read.after_boot();
    assert_eq!(read.due(&rules(20, None), at(20_000)).map(|group| group.first), Some(number(7)));
}
