//! A prober and the uplink that it asks.

use crate::check::{Context, Kind, Prober, Question, Settings, Verdict};
use crate::config::CheckKind;
use crate::io::Binding;
use crate::net::UplinkId;
use crate::random::Secret;
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::ip::icmp4::{Echo, EchoKind};

pub(super) const MS: Duration = Duration::from_millis(1);

/// What becomes of a question: its round trip, or its loss. Asked with the moment, the target and a
/// random number.
pub(super) type Fate = Box<dyn FnMut(Instant, usize, u64) -> Option<Duration>>;

/// The defaults, with four targets of which two must answer.
pub(super) fn settings() -> Settings {
    Settings {
        required: 2,
        interval: MS * 250,
        standby_factor: 10,
        fail_after: 10,
        recover_after: 10,
        stable_for: Duration::ZERO,
        damping: None,
        timeout: MS * 500,
        degraded_pct: 10,
        down_pct: 40,
        recovered_pct: 5,
        latency: None,
        jitter: None,
    }
}

/// Echoes of this uplink, and its secret.
pub(super) fn kind(id: UplinkId, secret: [u8; 16]) -> (Kind, Secret) {
    let secret = Secret::new(secret);
    (Kind::new(CheckKind::Icmp, id, (secret, 0x1200)), secret)
}

/// The packet that is due now: whom it goes to, and its bytes.
pub(super) fn packet(prober: &mut Prober, now: Instant) -> Option<(IpAddr, Vec<u8>)> {
    match prober.question(now, (binding(), None))? {
        Question::Packet { to, bytes } => Some((to.ip().unwrap(), bytes)),
        Question::Ask { .. } => panic!("an echo is a packet"),
    }
}

/// What questions are bound to.
pub(super) fn binding() -> Binding {
    Binding { ifname: "wan1".parse().unwrap(), ifindex: 1, source: None, mark: 1 }
}

/// What happened to the verdict.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) verdict: Verdict,
    pub(super) suspect: bool,
}

pub(super) struct World {
    pub(super) prober: Prober,
    pub(super) now: Instant,
    pub(super) fate: Fate,
    pub(super) ignored: Vec<bool>,
    pub(super) is_common: bool,
    /// The whole system slept: what waited for us has just arrived, as far as anybody knows.
    pub(super) is_suspended: bool,
    pub(super) changes: Vec<Change>,
    pub(super) sent: Vec<(Instant, usize)>,
    answers: BTreeMap<(Instant, u64), (IpAddr, Vec<u8>)>,
    dice: Secret,
    thrown: u64,
}

impl World {
    /// One that was never judged.
    pub(super) fn new(settings: Settings, seed: u64, fate: Fate) -> Self {
        Self::with_verdict(settings, seed, fate, Verdict::Probing)
    }

    /// One that had this verdict in an earlier process.
    pub(super) fn with_verdict(settings: Settings, seed: u64, fate: Fate, was: Verdict) -> Self {
        Self::of(4, settings, seed, fate, was)
    }

    /// One with so many targets.
    pub(super) fn of(count: u8, settings: Settings, seed: u64, fate: Fate, was: Verdict) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let dice = Secret::new(bytes);
        let targets = (1..=count).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
        let with = (settings, targets);
        let mut prober = Prober::new(now, UplinkId(1), with, kind(UplinkId(1), bytes), was);
        prober.start(now);
        Self {
            prober,
            now,
            fate,
            ignored: alloc::vec![false; 4],
            is_common: false,
            is_suspended: false,
            changes: Vec::new(),
            sent: Vec::new(),
            answers: BTreeMap::new(),
            dice,
            thrown: 0,
        }
    }

    /// One that has been good for some time.
    pub(super) fn settled(seed: u64) -> Self {
        let mut world = Self::new(settings(), seed, steady(20));
        world.run(MS * 20_000);
        assert_eq!(world.prober.verdict(), Verdict::Up);
        world.forget();
        world
    }

    pub(super) fn forget(&mut self) {
        self.changes.clear();
        self.sent.clear();
    }

    /// Runs for `time`.
    pub(super) fn run(&mut self, time: Duration) {
        let (end, mut idle) = (self.now + time, 0);
        loop {
            let next = self.answers.first_key_value().map(|((at, _), _)| *at);
            let next = next.into_iter().chain(self.prober.deadline()).min().unwrap();
            if next > end {
                break;
            }
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 1000, "stuck at {}: {:?}", self.now, self.prober);
            self.now = next.max(self.now);
            self.wake();
        }
        self.now = end;
    }

    /// Runs until the next probe is sent; returns when.
    pub(super) fn run_to_probe(&mut self) -> Instant {
        let before = self.sent.len();
        while self.sent.len() == before {
            self.run(MS);
        }
        self.sent[before].0
    }

    /// The loop stands still; packets go on.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        self.wake();
    }

    fn wake(&mut self) {
        while let Some(entry) = self.answers.first_entry().filter(|e| e.key().0 <= self.now) {
            let ((at, _), (from, bytes)) = entry.remove_entry();
            let age = if self.is_suspended { Duration::ZERO } else { self.now.since(at) };
            let _ = self.prober.answer(self.now, age, from.into(), &bytes);
        }
        while let Some((to, bytes)) = packet(&mut self.prober, self.now) {
            let IpAddr::V4(address) = to else { panic!() };
            let target = usize::from(address.octets()[3]) - 1;
            self.sent.push((self.now, target));
            self.thrown += 1;
            let random = self.dice.hash(&[self.thrown]);
            if let Some(rtt) = (self.fate)(self.now, target, random) {
                let echo = Echo::parse(&bytes).unwrap();
                let answer = Echo { kind: EchoKind::Reply, ..echo }.emit();
                self.answers.insert((self.now + rtt, self.thrown), (to, answer));
            }
        }
        let (ignored, is_common) = (&self.ignored[..], self.is_common);
        self.prober.judge(self.now, &Context { ignored, is_common, ..Context::default() });
        let change = Change {
            at: self.now,
            verdict: self.prober.verdict(),
            suspect: self.prober.is_suspect(),
        };
        let same =
            |a: Verdict, b: Verdict| core::mem::discriminant(&a) == core::mem::discriminant(&b);
        let last = self.changes.last();
        if last.is_none_or(|last| {
            !same(last.verdict, change.verdict) || last.suspect != change.suspect
        }) {
            self.changes.push(change);
        }
    }

    /// When it was first avoided: suspect, degraded or down.
    pub(super) fn avoided(&self) -> Option<Instant> {
        let is_avoided =
            |c: &&Change| c.suspect || !matches!(c.verdict, Verdict::Up | Verdict::Probing);
        self.changes.iter().find(is_avoided).map(|change| change.at)
    }

    /// When it was first down.
    pub(super) fn down(&self) -> Option<Instant> {
        self.changes.iter().find(|c| matches!(c.verdict, Verdict::Down(_))).map(|change| change.at)
    }

    pub(super) fn doubts(&self) -> usize {
        self.changes.windows(2).filter(|w| !w[0].suspect && w[1].suspect).count()
    }

    /// How often it could be used, and then not.
    pub(super) fn falls(&self) -> usize {
        let falls = |w: &&[Change]| w[0].verdict.is_usable() && !w[1].verdict.is_usable();
        self.changes.windows(2).filter(falls).count()
    }

    pub(super) fn downs(&self) -> usize {
        self.changes.iter().filter(|c| matches!(c.verdict, Verdict::Down(_))).count()
    }
}

/// Always this round trip, in milliseconds.
pub(super) fn steady(rtt: u32) -> Fate {
    Box::new(move |_, _, _| Some(MS * rtt))
}

/// No answer at all.
pub(super) fn silent() -> Fate {
    Box::new(|_, _, _| None)
}

/// Independent loss of so many thousandths, at a round trip of 20 ms.
pub(super) fn lossy(permille: u64) -> Fate {
    Box::new(move |_, _, random| (random % 1000 >= permille).then_some(MS * 20))
}

/// A token bucket: so many tokens a second, and so many at most.
#[derive(Clone)]
pub(super) struct Bucket {
    pause: Duration,
    burst: u32,
    /// When it will be full.
    full: Instant,
}

impl Bucket {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { pause: MS * 1000 / per_second, burst, full: Instant::ZERO }
    }

    /// True if there was a token.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full = self.full.max(now) + self.pause;
        let passes = full.since(now) <= self.pause * self.burst;
        if passes {
            self.full = full;
        }
        passes
    }
}

/// A limiter at the provider, and independent loss in thousandths, at 20 ms.
pub(super) fn limited(bucket: &Bucket, permille: u64) -> Fate {
    let mut bucket = bucket.clone();
    Box::new(move |now, _, random| {
        (bucket.take(now) && random % 1000 >= permille).then_some(MS * 20)
    })
}

/// One at each target.
pub(super) fn limited_targets(bucket: &Bucket) -> Fate {
    let mut buckets = alloc::vec![bucket.clone(); 4];
    Box::new(move |now, target, _| buckets[target].take(now).then_some(MS * 20))
}
