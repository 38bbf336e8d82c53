//! Our own pauses: a loop that stood still says nothing of an uplink.

use super::world::{MS, World, lossy, settings, steady};
use crate::check::Verdict;

/// Given a loop that stands still for 0.1 to 60 s, at 20 and 600 ms and at 5 % loss, then no uplink is
/// doubted or condemned for it.
#[test]
fn a_pause_condemns_nothing() {
    for rtt in [20, 600] {
        let mut w = World::new(settings(), 2, steady(rtt));
        w.run(MS * 30_000);
        w.forget();
        for n in 1..=120_u32 {
            w.run(MS * (1500 + n * 17));
            w.sleep(MS * 100 * n * n / 24);
        }
        w.run(MS * 5000);
        assert_eq!((w.doubts(), w.downs()), (0, 0), "{rtt}: {:?}", w.changes);
    }
}

/// Given the same with 5 % loss, then none is condemned.
#[test]
fn a_pause_on_a_lossy_line_condemns_nothing() {
    for seed in 0..20 {
        let mut w = World::settled(seed);
        w.fate = lossy(50);
        for n in 1..=60_u32 {
            w.run(MS * (1500 + n * 17));
            w.sleep(MS * 100 * n * n / 6);
        }
        assert_eq!((w.doubts(), w.downs()), (0, 0), "{seed}: {:?}", w.changes);
        assert_eq!(w.prober.verdict(), Verdict::Up);
    }
}
