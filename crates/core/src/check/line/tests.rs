//! One uplink against a virtual provider.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;
use core::net::IpAddr;

const MS: Duration = Duration::from_millis(1);

fn check() -> CheckConfig {
    let targets = (1..=3).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
    CheckConfig { interval: MS * 200, fail_after: 4, ..CheckConfig::of(targets) }
}

/// A provider: what becomes of an echo to target `t` sent at a moment.
struct World {
    line: Line,
    now: Instant,
    answers: BTreeMap<(Instant, u64), (IpAddr, Vec<u8>)>,
    count: u64,
    blamed: Vec<bool>,
}

impl World {
    fn new(check: CheckConfig, verdict: Verdict) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let key = Secret::new([7; 16]);
        let blamed = vec![false; check.targets.len()];
        let mut line = Line::new(now, UplinkId(1), check, (key, 0x1200), verdict);
        line.start(now);
        Self { line, now, answers: BTreeMap::new(), count: 0, blamed }
    }

    /// Runs for `time`; `fate` gives the round-trip time of an echo, or its loss.
    fn run(&mut self, time: Duration, mut fate: impl FnMut(usize, u64) -> Option<Duration>) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + MS;
            let mut stirred = false;
            while let Some(((at, n), _)) = self.answers.first_key_value() {
                if *at > self.now {
                    break;
                }
                let (from, bytes) = self.answers.remove(&(*at, *n)).unwrap();
                stirred |= self.line.packet(self.now, Duration::ZERO, from, &bytes).is_ok();
            }
            for (to, bytes) in self.line.send(self.now) {
                let target = self.line.check.targets.iter().position(|t| *t == to).unwrap();
                self.count += 1;
                stirred = true;
                if let Some(rtt) = fate(target, self.count) {
                    let answer = reply(&bytes);
                    self.answers.insert((self.now + rtt, self.count), (IpAddr::V4(to), answer));
                }
            }
            if stirred || self.line.deadline().is_some_and(|at| at <= self.now) {
                self.line.judge(self.now, &self.blamed);
            }
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.line.verdict(), Verdict::Down(_))
    }
}

fn reply(request: &[u8]) -> Vec<u8> {
    let echo = Echo::parse(request).unwrap();
    Echo { kind: EchoKind::Reply, ..echo }.emit()
}

/// Pseudo-random loss of `pct` per cent.
fn lossy(pct: u64) -> impl FnMut(usize, u64) -> Option<Duration> {
    let dice = Secret::new([9; 16]);
    move |_, n| (dice.hash(&[n]) % 100 >= pct).then_some(MS * 10)
}

/// Given an uplink never judged, when the first round is good, then it is up.
#[test]
fn the_first_good_round_brings_it_up() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 5, |_, _| Some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Probing);
    w.run(MS * 20, |_, _| Some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given a good uplink, when all answers cease, then it is dead 0.9 s after the last one.
#[test]
fn silence_is_fast_death() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 5050, |_, _| Some(MS * 10));
    let last = w.line.last_arrival.unwrap();
    w.run(MS * 899 - w.now.since(last), |_, _| None);
    assert!(!w.is_down());
    w.run(MS * 3, |_, _| None);
    assert!(matches!(w.line.verdict(), Verdict::Down(Cause::Silent(_))), "{:?}", w.line.verdict());
}

/// Given a dead uplink, when it answers again, then ten good rounds bring it back, not nine.
#[test]
fn ten_good_rounds_bring_it_back() {
    let mut w = World::new(check(), Verdict::Down(Cause::Adopted));
    w.run(MS * 1790, |_, _| Some(MS * 5));
    assert!(w.is_down());
    w.run(MS * 100, |_, _| Some(MS * 5));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given `stable_for` of 5 s, when the uplink is good again, then it is held meanwhile.
#[test]
fn it_is_held_until_it_was_stable() {
    let check = CheckConfig { stable_for: Duration::from_secs(5), ..check() };
    let mut w = World::new(check, Verdict::Down(Cause::Adopted));
    w.run(MS * 4000, |_, _| Some(MS * 5));
    assert!(matches!(w.line.verdict(), Verdict::Held(_)));
    w.run(MS * 1500, |_, _| Some(MS * 5));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given an uplink that was held before a restart, when it answers, then it is held until it was
/// stable; when it answers no more, or too few targets do, then it is down.
#[test]
fn what_was_held_is_held_after_a_restart() {
    let check = CheckConfig { stable_for: Duration::from_secs(5), ..check() };
    let begin = || World::new(check.clone(), Verdict::Held(Cause::Adopted));
    let mut w = begin();
    for _ in 0..490 {
        w.run(MS * 10, |_, _| Some(MS * 5));
        assert_eq!(w.line.verdict(), Verdict::Held(Cause::Adopted));
    }
    w.run(MS * 500, |_, _| Some(MS * 5));
    assert_eq!(w.line.verdict(), Verdict::Up);
    let mut w = begin();
    w.run(MS * 1000, |_, _| None);
    assert!(w.is_down());
    let mut w = begin();
    w.run(MS * 700, |target, _| (target == 0).then_some(MS * 5));
    assert!(w.is_down());
}

/// Given a standby that has lost half of its packets, when it loses none any more, then it is asked at
/// full pace until its long window is clean, and slowly from then on.
#[test]
fn who_has_lost_much_is_not_asked_slowly() {
    let mut w = World::new(check(), Verdict::Up);
    w.line.set_carrying(w.now, false);
    w.run(MS * 9000, lossy(50));
    w.run(MS * 4000, |_, _| Some(MS * 10));
    assert_eq!((w.line.interval(), w.is_down()), (MS * 200, false));
    w.run(MS * 70_000, |_, _| Some(MS * 10));
    assert_eq!((w.line.interval(), w.line.verdict()), (MS * 2000, Verdict::Up));
}

/// Given targets that are all required, when one of them misses a probe and the loop then sleeps for a
/// little more than an interval, then the uplink lives: one lost probe is no silence.
#[test]
fn a_short_sleep_makes_no_silence_of_one_lost_probe() {
    let mut check = CheckConfig { interval: MS * 1000, fail_after: 3, ..check() };
    check.targets.truncate(2);
    let mut w = World::new(check, Verdict::Probing);
    w.run(MS * 9500, |_, _| Some(MS * 10));
    w.run(MS * 1000, |target, _| (target == 0).then_some(MS * 10));
    w.now = w.now + MS * 1950;
    w.run(MS * 2000, |_, _| Some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
    w.run(MS * 5000, |target, _| (target == 0).then_some(MS * 10));
    assert!(matches!(w.line.verdict(), Verdict::Down(Cause::Quorum { .. })));
}

/// Given one target of three dead, then nothing changes.
#[test]
fn one_dead_target_changes_nothing() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 70_000, |t, _| (t != 1).then_some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given two targets of three dead, then the quorum fails after three seconds; blamed, they leave the count.
#[test]
fn two_dead_targets_break_the_quorum_unless_blamed() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 1000, |_, _| Some(MS * 10));
    w.run(MS * 2700, |t, _| (t == 0).then_some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
    w.run(MS * 600, |t, _| (t == 0).then_some(MS * 10));
    assert!(matches!(w.line.verdict(), Verdict::Down(Cause::Quorum { answering: 1, required: 2 })));

    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 1000, |_, _| Some(MS * 10));
    w.blamed = vec![false, true, true];
    w.run(MS * 9000, |t, _| (t == 0).then_some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given a round trip of 600 ms, longer than the timeout, then the uplink lives without loss, and can return.
#[test]
fn a_slow_line_lives_and_returns() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 60_000, |_, _| Some(MS * 600));
    assert_eq!(w.line.verdict(), Verdict::Up);
    assert_eq!(w.line.sums(w.now, &w.blamed).loss_permille(), Some(0));
    w.run(MS * 5000, |_, _| None);
    assert!(w.is_down());
    w.run(MS * 4000, |_, _| Some(MS * 600));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given an uplink that was dead for a minute, when it has returned, then it is good, and its past
/// does not condemn it.
#[test]
fn a_line_that_returned_is_not_blamed_for_its_death() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 5_000, |_, _| Some(MS));
    w.run(MS * 60_000, |_, _| None);
    w.run(MS * 2_500, |_, _| Some(MS));
    for _ in 0..700 {
        w.run(MS * 100, |_, _| Some(MS));
        assert_eq!(w.line.verdict(), Verdict::Up);
    }
}

/// Given an uplink that was quick, when its round trip jumps to 600 ms, then it stays up.
#[test]
fn a_line_that_becomes_slow_stays_up() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 5_000, |_, _| Some(MS));
    for _ in 0..100 {
        w.run(MS * 100, |_, _| Some(MS * 600));
        assert_eq!(w.line.verdict(), Verdict::Up);
    }
}

/// Given 30 % loss for ten minutes, then the uplink is degraded and never down; with 80 % it goes
/// down and never returns.
#[test]
fn loss_degrades_and_much_loss_kills() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 40_000, lossy(30));
    for _ in 0..560 {
        w.run(MS * 1000, lossy(30));
        assert!(matches!(w.line.verdict(), Verdict::Degraded(Cause::Loss(_))));
    }
    w.run(MS * 40_000, lossy(80));
    for _ in 0..120 {
        assert!(w.is_down());
        w.run(MS * 1000, lossy(80));
    }
}

/// Given heavy loss too short to condemn an uplink, when it is over before the long window has proved
/// it, then the uplink, which answers everything by now, is not given up for its past.
#[test]
fn loss_that_is_over_condemns_nobody() {
    let mut w = World::new(check(), Verdict::Probing);
    let one_round_of_three = |_, n: u64| ((n - 1) / 3).is_multiple_of(3).then_some(MS * 10);
    w.run(MS * 14_000, one_round_of_three);
    assert!(!w.is_down(), "{:?}", w.line.verdict());
    for _ in 0..60 {
        w.run(MS * 1000, lossy(0));
        assert!(!w.is_down(), "{:?}", w.line.verdict());
    }
}

/// Given an uplink that carries nothing, when it answers well, then it is probed at a tenth of the
/// pace; a first miss, or traffic, brings back the full pace.
#[test]
fn an_idle_line_is_probed_slowly() {
    let mut w = World::new(check(), Verdict::Probing);
    w.line.set_carrying(w.now, false);
    w.run(MS * 4000, |_, _| Some(MS * 10));
    assert_eq!(w.line.interval(), MS * 2000);
    let before = w.count;
    w.run(MS * 20_000, |_, _| Some(MS * 10));
    assert_eq!(w.count - before, 30);
    assert_eq!(w.line.verdict(), Verdict::Up);
    w.run(MS * 3600, |_, _| None);
    assert!(w.is_down());
}

/// Given that our own loop slept for five seconds, then the uplink is not dead for it.
#[test]
fn our_own_sleep_is_no_death() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 3000, |_, _| Some(MS * 10));
    w.now = w.now + MS * 5000;
    w.run(MS * 3000, |_, _| Some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
}

/// Given answers with a wrong nonce, source, identifier, or a second copy, then they are refused.
#[test]
fn forged_answers_are_refused() {
    let mut w = World::new(check(), Verdict::Probing);
    let sent = w.line.send(w.now);
    let (to, request) = &sent[0];
    let echo = Echo { kind: EchoKind::Reply, ..Echo::parse(request).unwrap() };
    let from = IpAddr::V4(*to);
    let mut forged = |e: Echo, from: IpAddr| w.line.packet(w.now, Duration::ZERO, from, &e.emit());
    assert_eq!(forged(Echo { nonce: echo.nonce ^ 1, ..echo }, from), Err(Refusal::WrongNonce));
    assert_eq!(forged(Echo { ident: echo.ident ^ 1, ..echo }, from), Err(Refusal::WrongSequence));
    let late = Echo { sequence: echo.sequence + 1, ..echo };
    assert_eq!(forged(late, from), Err(Refusal::WrongSequence));
    assert_eq!(forged(Echo { kind: EchoKind::Request, ..echo }, from), Err(Refusal::Malformed));
    assert_eq!(forged(echo, IpAddr::V4(sent[1].0)), Err(Refusal::WrongNonce));
    assert_eq!(forged(echo, IpAddr::V4(Ipv4Addr::LOCALHOST)), Err(Refusal::WrongSource));
    assert!(forged(echo, from).is_ok());
    assert_eq!(forged(echo, from), Err(Refusal::Duplicate));
}

/// Given an answer that waited for a late loop, then the round trip ends when the kernel received it.
#[test]
fn a_late_loop_is_no_latency() {
    let mut w = World::new(check(), Verdict::Probing);
    let sent = w.line.send(w.now);
    let (to, request) = &sent[0];
    let now = w.now + MS * 310;
    assert!(w.line.packet(now, MS * 300, IpAddr::V4(*to), &reply(request)).is_ok());
    let target = w.line.check.targets.iter().position(|target| target == to).unwrap();
    assert_eq!(w.line.targets[target].quality.last_rtt(), Some(MS * 10));
}

/// Given probes of which some are lost and some answered after the time-out, then each is counted
/// once, and a late answer takes its loss back.
#[test]
fn probes_are_counted_by_what_became_of_them() {
    let mut w = World::new(check(), Verdict::Probing);
    let fate = |target: usize, n: u64| match target {
        0 => Some(MS * 10),
        1 => Some(if n.is_multiple_of(2) { MS * 10 } else { MS * 700 }),
        _ => None,
    };
    w.run(MS * 10_000, fate);
    let [good, slow, silent] = [0, 1, 2].map(|target| w.line.probes(target));
    assert_eq!((good.late, good.lost), (0, 0));
    assert!(good.sent >= 50 && good.sent - good.answered <= 1, "{good:?}");
    assert_eq!((silent.answered, silent.late), (0, 0));
    // The last rounds are not due yet.
    assert!((46..=48).contains(&silent.lost), "{silent:?}");
    assert!(slow.late > 15 && slow.answered > 45 && slow.lost <= 1, "{slow:?}");
    assert_eq!(w.line.refused(), RefusedCounters::default());
}

/// Given two uplinks, when the answer of one comes in by the other, then it is known as such, and
/// their identifiers differ only where a socket does not look.
#[test]
fn an_answer_of_another_line_is_known() {
    let mut w = World::new(check(), Verdict::Probing);
    let mut other =
        Line::new(w.now, UplinkId(2), check(), (Secret::new([8; 16]), 0x1234), Verdict::Up);
    other.start(w.now);
    w.line.send(w.now);
    let (to, request) = other.send(w.now).remove(0);
    let reply = Echo { kind: EchoKind::Reply, ..Echo::parse(&request).unwrap() }.emit();
    let from = IpAddr::V4(to);
    assert_eq!(w.line.packet(w.now, Duration::ZERO, from, &reply), Err(Refusal::WrongSequence));
    assert!(other.is_answer(from, &reply) && !w.line.is_answer(from, &reply));
    assert_eq!((w.line.ident(), other.ident()), (0x1201, 0x1202));
    w.line.count_refusal(Refusal::WrongInterface);
    assert_eq!(w.line.refused().wrong_interface, 1);
}

/// Given a failed neighbour and silence of two intervals, then the uplink is down; while answers
/// arrive it is not.
#[test]
fn a_failed_neighbour_condemns_a_silent_line() {
    let mut w = World::new(check(), Verdict::Probing);
    w.run(MS * 2000, |_, _| Some(MS * 10));
    w.line.set_neighbour_failed(true);
    w.run(MS * 300, |_, _| Some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
    w.run(MS * 100, |_, _| None);
    w.line.set_neighbour_failed(true);
    w.run(MS * 400, |_, _| None);
    assert_eq!(w.line.verdict(), Verdict::Down(Cause::Neighbour));
}

/// Given a return that takes longer than the rounds of ten seconds, by their number or by
/// `stable_for`, when the uplink is good, then it returns when it should.
#[test]
fn a_long_proof_of_health_can_be_given() {
    for (recover_after, stable_for, at_least) in [(30, 0, 30), (2, 25, 25)] {
        let check = CheckConfig {
            interval: MS * 1000,
            recover_after,
            stable_for: MS * stable_for * 1000,
            ..check()
        };
        let mut world = World::new(check, Verdict::Down(Cause::Adopted));
        world.run(MS * (at_least - 2) * 1000, |_, _| Some(MS * 10));
        assert!(!matches!(world.line.verdict(), Verdict::Up), "{:?}", world.line.verdict());
        world.run(MS * 4000, |_, _| Some(MS * 10));
        assert_eq!(world.line.verdict(), Verdict::Up);
    }
}

/// Given an uplink of two targets at a tenth of the pace, when one target is dead for half a minute
/// and answers again, then its losses are its own.
#[test]
fn a_target_that_returns_does_not_condemn_a_line() {
    for carrying in [true, false] {
        let mut two = check();
        two.targets.truncate(2);
        two.required = 1;
        let mut world = World::new(two, Verdict::Up);
        world.line.set_carrying(world.now, carrying);
        world.run(MS * 20_000, |_, _| Some(MS * 10));
        world.run(MS * 30_000, |target, _| (target == 0).then_some(MS * 10));
        world.run(MS * 30_000, |_, _| Some(MS * 10));
        assert_eq!(world.line.verdict(), Verdict::Up, "carrying: {carrying}");
    }
}

/// Given an uplink that begins, then it has its gateway asked again with each round, at most ten times
/// and not after the first answer; and afresh when it begins anew.
#[test]
fn a_line_that_begins_has_its_gateway_asked_again() {
    for interval in [20, 200] {
        let mut w =
            World::new(CheckConfig { interval: MS * interval, ..check() }, Verdict::Probing);
        let asked = |w: &mut World, time: u64, answer: Option<Duration>| {
            let mut count = 0;
            for _ in 0..time {
                count += u32::from(w.line.resolves(w.now + MS));
                w.run(MS, |_, _| answer);
            }
            count
        };
        let most = if interval == 20 { 10 } else { 5 };
        assert_eq!(asked(&mut w, 3000, None), most);
        assert_eq!(asked(&mut w, 3000, Some(MS)), 0);
        w.line.stop();
        assert!(!w.line.resolves(w.now));
        w.line.start(w.now);
        assert_eq!(asked(&mut w, 3000, Some(MS * 30)), 1);
    }
}

/// Given three targets of which one is silent for long, when another one is blamed for one lost
/// probe, then the uplink lives: that one has answered lately.
#[test]
fn blame_for_one_lost_probe_condemns_no_line() {
    let check = CheckConfig { interval: MS * 1000, fail_after: 3, ..check() };
    let mut w = World::new(check, Verdict::Probing);
    w.run(MS * 10_000, |_, _| Some(MS * 10));
    w.run(MS * 2500, |t, _| (t != 0).then_some(MS * 10));
    w.blamed = vec![false, false, true];
    w.run(MS * 1000, |t, _| (t == 1).then_some(MS * 10));
    assert_eq!(w.line.verdict(), Verdict::Up);
    // Silent for the whole window, it does not count: of the two that are not blamed one answers.
    w.run(MS * 3000, |t, _| (t == 1).then_some(MS * 10));
    assert!(w.is_down());
}
