//! Forged, replayed and torn echo replies, by the hundred thousand: none is taken, none moves a
//! verdict, and each that reaches the daemon is counted with its reason.

use rail_lab::icmp::{Forger, Listener, Request, sign};
use rail_lab::topology::targets;
use rail_lab::{ConfigText, Fault, Plan, Random, World, eventually, figures, isolated, long};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Nothing stands between the network and the daemon: a filter would drop most of it before.
fn world() -> (World, Listener) {
    let text = ConfigText { rest: "[firewall]\nmode = \"off\"\n".into(), ..ConfigText::default() };
    let world = World::start(&Plan::new(2), &text).unwrap();
    let listener = Listener::start(&world.topology.internet).unwrap();
    for line in 1..=2 {
        let from = world.topology.line(line).address();
        eventually(Duration::from_secs(20), "requests of the line", || {
            let heard = listener.last(from).len();
            if heard >= 30 { Ok(()) } else { Err(heard) }
        });
    }
    (world, listener)
}

fn replies() -> usize {
    if long() { 1_000_000 } else { 60_000 }
}

/// What the daemon says of one uplink.
fn seen(world: &World, name: &str) -> Value {
    let status = world.rail.status().unwrap();
    let uplinks = status["uplinks"].as_array().cloned().unwrap_or_default();
    uplinks.into_iter().find(|uplink| uplink["name"] == name).unwrap()
}

fn answered(uplink: &Value) -> Vec<u64> {
    let targets = uplink["targets"].as_array().unwrap();
    targets.iter().map(|target| target["probes"]["answered"].as_u64().unwrap()).collect()
}

fn refused(uplink: &Value) -> u64 {
    let reasons = uplink["refused"].as_object().unwrap();
    reasons.values().map(|count| count.as_u64().unwrap()).sum()
}

/// The lies about one uplink: all that somebody can say who knows everything but the secret bits
/// of the probes that are on their way.
struct Lies<'a> {
    /// Requests of the uplink and of the other one, as they were heard.
    own: &'a [Request],
    other: &'a [Request],
    to: Ipv4Addr,
    random: &'a mut Random,
}

impl Lies<'_> {
    /// One lie: source and message.
    fn next(&mut self, number: usize) -> (Ipv4Addr, Vec<u8>) {
        let dice = self.random.bits();
        let pick = |all: &[Request]| all[usize::try_from(dice >> 32).unwrap() % all.len()].clone();
        let request = pick(self.own);
        let mut message = request.reply();
        match number % 6 {
            // A number near the present ones, or any, and guessed secret bits.
            0 | 1 => {
                let present = u16::from_be_bytes([message[6], message[7]]);
                let near = present.wrapping_add(u16::try_from(dice & 0x1f).unwrap());
                let guess = if number.is_multiple_of(6) {
                    near
                } else {
                    u16::try_from(dice & 0xffff).unwrap()
                };
                message[6..8].copy_from_slice(&guess.to_be_bytes());
                message[8..16].copy_from_slice(&self.random.bits().to_be_bytes());
                sign(&mut message);
            }
            // A replay; and the same from somebody who is no target.
            2 => {}
            3 => return (Ipv4Addr::new(192, 0, 2, 50), message),
            // The answer to a probe of the other uplink.
            4 => {
                let request = pick(self.other);
                return (request.to, request.reply());
            }
            // Torn, or with a checksum that is none.
            _ if dice & 1 == 0 => message.truncate(8 + usize::try_from(dice % 8).unwrap()),
            _ => message[9] ^= 1,
        }
        (request.to, message)
    }
}

/// Sends the lies about an uplink through its own provider; how many, and how fast.
fn flood(world: &World, listener: &Listener, line: usize) -> (usize, Duration) {
    let [own, other] = [line, 3 - line].map(|n| world.topology.line(n).address());
    let forger = Forger::open(&world.topology.line(line).isp).unwrap();
    // The present requests of a dead uplink are not heard; those of before serve.
    let (mut heard, mut others) = (listener.last(own), listener.last(other));
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let start = Instant::now();
    let mut sent = 0;
    for number in 0..replies() {
        if number.is_multiple_of(1000) {
            let (new, news) = (listener.last(own), listener.last(other));
            heard = if new.is_empty() { heard } else { new };
            others = if news.is_empty() { others } else { news };
        }
        // What is answered already: an uplink that answers has had its real answer by now.
        let used = &heard[..heard.len().saturating_sub(3).max(1)];
        let mut lies = Lies { own: used, other: &others, to: own, random: &mut random };
        let (from, message) = lies.next(number);
        sent += usize::from(forger.send(from, lies.to, &message));
    }
    (sent, start.elapsed())
}

/// Waits until the daemon has read what waited, then gives its figures.
fn after_flood(world: &World, name: &str) -> Value {
    let mut last = u64::MAX;
    eventually(Duration::from_secs(5), "the flood to be read", || {
        let uplink = seen(world, name);
        let count = refused(&uplink);
        if std::mem::replace(&mut last, count) == count { Ok(uplink) } else { Err(count) }
    })
}

fn tell(what: &str, (sent, took): (usize, Duration), world: &World, uplink: &Value) {
    let lag = &world.rail.status().unwrap()["self"];
    figures(&format!(
        "{what}: {sent} replies in {took:.1?}, refused {}, loop lag p99 {} us, worst {} us",
        uplink["refused"], lag["lag_p99_us"], lag["lag_max_us"]
    ));
}

#[test]
fn a_dead_line_stays_down_under_forged_replies() {
    isolated(|| {
        // given an uplink that is dead behind its provider / when somebody there forges replies, with
        // everything right but what only the targets could know / then none counts as an answer,
        // and the uplink stays down; and the other uplink hears nothing of it
        let (world, listener) = world();
        let isp = &world.topology.line(2).isp;
        isp.sh("ip route add 100.64.1.2/32 via 100.64.2.2").unwrap();
        let _fault = world.topology.inject(2, Fault::Gateway).unwrap();
        world.rail.wait_health("isp2", "down", Duration::from_secs(10)).unwrap();
        let living = world.topology.line(1).address();
        let (dead, alive) = (seen(&world, "isp2"), seen(&world, "isp1"));
        let asked: Vec<u64> = targets().iter().map(|t| listener.count(living, *t)).collect();
        let sent = flood(&world, &listener, 2);
        // Genuine answers of the living uplink, brought by the wrong one.
        let forger = Forger::open(isp).unwrap();
        let stray = listener.last(living);
        let strayed = stray.iter().filter(|r| forger.send(r.to, living, &r.reply())).count();
        assert!(strayed > 0);
        let after = after_flood(&world, "isp2");
        tell("dead line", sent, &world, &after);
        assert_eq!(answered(&after), answered(&dead), "a forged reply was taken");
        assert_eq!(
            (&after["health"], &after["transitions"]),
            (&dead["health"], &dead["transitions"])
        );
        for reason in ["malformed", "wrong_source", "wrong_nonce", "wrong_interface"] {
            assert!(after["refused"][reason].as_u64() > Some(0), "{reason}: {}", after["refused"]);
        }
        let refusals = refused(&after) - refused(&dead);
        assert!(refusals > u64::try_from(sent.0 / 100).unwrap(), "{refusals} arrived of {sent:?}");
        let other = seen(&world, "isp1");
        assert_eq!(
            (&other["health"], &other["transitions"]),
            (&alive["health"], &alive["transitions"])
        );
        assert_no_more_answers_than_questions(&listener, living, &asked, (&alive, &other));
    });
}

/// Each answer that was taken between two looks belongs to a request that was heard since.
fn assert_no_more_answers_than_questions(
    listener: &Listener,
    line: Ipv4Addr,
    asked: &[u64],
    (before, after): (&Value, &Value),
) {
    let gained = answered(after).into_iter().zip(answered(before)).map(|(now, then)| now - then);
    for ((target, asked), gained) in targets().into_iter().zip(asked).zip(gained) {
        // A reply that was on its way when the figures of before were taken is one more.
        let since = listener.count(line, target) - asked + 2;
        assert!(gained <= since, "{target}: {gained} answers to {since} questions");
    }
}

#[test]
fn a_live_line_stays_up_under_forged_replies() {
    isolated(|| {
        // given an uplink that is well / when it is flooded with forged and replayed replies / then
        // it stays up, and no more answers are taken than there were questions
        let (world, listener) = world();
        let own = world.topology.line(1).address();
        let before = seen(&world, "isp1");
        let asked: Vec<u64> = targets().iter().map(|t| listener.count(own, *t)).collect();
        let sent = flood(&world, &listener, 1);
        let after = after_flood(&world, "isp1");
        tell("live line", sent, &world, &after);
        assert_eq!(
            (&after["health"], &after["transitions"]),
            (&"up".into(), &before["transitions"])
        );
        for reason in ["malformed", "wrong_source", "wrong_nonce", "duplicate"] {
            assert!(after["refused"][reason].as_u64() > Some(0), "{reason}: {}", after["refused"]);
        }
        assert_no_more_answers_than_questions(&listener, own, &asked, (&before, &after));
        let report = world.connect(200).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    });
}
