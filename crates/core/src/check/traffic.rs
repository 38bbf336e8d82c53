//! What the traffic of others tells: a device that was busy goes on sending, and nothing comes in.
//!
//! The shell looks at the counters of each device as often as at its carrier, and hands over nothing but
//! what this finds. It is a suspicion and no more: the owner of the checks has it looked into. What
//! comes in proves nothing, and keeps no uplink up.

use crate::io::Unanswered;
use crate::time::{Duration, Instant};

/// How many packets a device has counted, since it was made or its driver began anew.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Packets {
    /// The device's index: one that goes and comes has another.
    pub index: u32,
    /// Packets that came in.
    pub received: u64,
    /// Packets that went out.
    pub sent: u64,
}

/// The traffic of one device.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    last: Option<(Instant, Packets)>,
    /// What each look heard up to the last one that heard something, which comes first.
    heard: [u64; WINDOW],
    /// When that look was.
    since: Instant,
    /// The looks after it.
    quiet: usize,
    /// Those of them, but for the first, at which something had gone out.
    sending: u32,
}

impl Traffic {
    /// Takes one look, and says whether a busy device goes on sending and is not answered any more.
    pub fn look(&mut self, now: Instant, packets: Packets) -> Option<Unanswered> {
        let last = self.last.replace((now, packets));
        let Some((received, sent)) = last.and_then(|last| passed(last, (now, packets))) else {
            *self = Self { last: self.last, ..Self::default() };
            return None;
        };
        if received > 0 {
            self.hear(now, received);
            return None;
        }
        self.quiet = self.quiet.saturating_add(1);
        // The first look still sees what acknowledges the last packet that came.
        if sent == 0 || self.quiet == 1 {
            return None;
        }
        self.sending = self.sending.saturating_add(1);
        let silence = now.since(self.since);
        let received = self.heard.iter().fold(0, |sum: u64, heard| sum.saturating_add(*heard));
        let goes_on = self.quiet >= LEAST_QUIET && self.sending >= LEAST_SENDING;
        let is_news = goes_on && received >= BUSY && silence <= LONGEST;
        is_news.then_some(Unanswered { index: packets.index, silence, received })
    }

    /// It was busy a moment ago, and may be for all we know: the next look is worth its cost.
    pub fn is_busy(&self) -> bool {
        let heard = self.heard.iter().fold(0, |sum: u64, heard| sum.saturating_add(*heard));
        let silence = self.last.map(|(at, _)| at.since(self.since)).unwrap_or_default();
        heard >= BUSY / 2 && silence <= LONGEST
    }

    /// Something came in: the silence is over, and counts as time in which nothing did.
    fn hear(&mut self, now: Instant, received: u64) {
        let shift = self.quiet.saturating_add(1).min(WINDOW);
        self.heard.rotate_right(shift);
        self.heard.iter_mut().take(shift).for_each(|heard| *heard = 0);
        if let Some(newest) = self.heard.first_mut() {
            *newest = received;
        }
        (self.since, self.quiet, self.sending) = (now, 0, 0);
    }
}

/// What came in and went out between two looks; `None` if nobody can tell: it is another device, a
/// counter fell back, or we slept.
fn passed((before, old): (Instant, Packets), (now, new): (Instant, Packets)) -> Option<(u64, u64)> {
    let is_next = old.index == new.index && now.since(before) <= LATE;
    let received = new.received.checked_sub(old.received).filter(|_| is_next)?;
    Some((received, new.sent.checked_sub(old.sent)?))
}

/// A device with so many packets in 100 ms is busy. A call has five. An uplink gets one or two answers
/// to probes of ours in that time, unless it is looked at closely already.
pub(crate) const BUSY: u64 = 4;
/// Looks in 100 ms.
const WINDOW: usize = 5;
/// So many looks without a packet are 40 to 60 ms, longer than an acknowledgement is put off.
const LEAST_QUIET: usize = 3;
/// What ends sends a last packet; what goes on sends at several looks.
const LEAST_SENDING: u32 = 2;
/// By then the probes have found out by themselves.
const LONGEST: Duration = Duration::from_secs(1);
/// A look that comes later than this tells nothing: we slept, not they.
const LATE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const MS: Duration = Duration::from_millis(1);
    const START: Packets = Packets { index: 7, received: 1000, sent: 1000 };

    struct Device {
        traffic: Traffic,
        now: Instant,
        packets: Packets,
    }

    impl Device {
        fn new(packets: Packets) -> Self {
            let mut traffic = Traffic::default();
            let now = Instant::from_nanos(1_000_000_000);
            assert_eq!(traffic.look(now, packets), None);
            Self { traffic, now, packets }
        }

        /// So many looks, between which so many packets come in and go out; what was found.
        fn looks(&mut self, count: u32, received: u64, sent: u64) -> Vec<u128> {
            let looks = (0..count).filter_map(|_| {
                self.now = self.now + MS * 20;
                self.packets.received = self.packets.received.wrapping_add(received);
                self.packets.sent = self.packets.sent.wrapping_add(sent);
                self.traffic.look(self.now, self.packets)
            });
            looks.map(|found| found.silence.as_millis()).collect()
        }
    }

    /// Given a busy device, when packets go out and none comes in, then it is found after 60 ms, and
    /// at each look of the first second; given traffic of another shape, then never.
    #[test]
    fn out_and_not_in() {
        type Case = (&'static str, &'static [(u32, u64, u64)], usize);
        // So many looks, each with so many packets in and out; and how often it is found.
        let cases: [Case; 11] = [
            ("busy, then silent", &[(10, 20, 20), (3, 0, 2)], 1),
            ("a call", &[(10, 1, 1), (3, 0, 1)], 1),
            ("found until somebody looks", &[(10, 20, 20), (500, 0, 2)], 48),
            ("both ways", &[(500, 20, 20)], 0),
            ("idle", &[(500, 0, 0)], 0),
            ("only out", &[(500, 0, 20)], 0),
            ("only in", &[(500, 20, 0)], 0),
            ("ends with acknowledgements", &[(10, 20, 20), (1, 0, 9), (1, 0, 1), (9, 0, 0)], 0),
            ("silent for two looks", &[(10, 20, 20), (2, 0, 5), (1, 1, 1), (2, 0, 5)], 0),
            ("our echoes", &[(1, 1, 1), (12, 0, 0), (1, 1, 1), (9, 0, 1)], 0),
            (
                "our echoes, quicker",
                &[(1, 1, 1), (1, 0, 0), (1, 1, 1), (1, 0, 0), (1, 1, 1), (9, 0, 1)],
                0,
            ),
        ];
        for (name, parts, expected) in cases {
            let mut device = Device::new(START);
            let found: Vec<u128> =
                parts.iter().flat_map(|(n, r, s)| device.looks(*n, *r, *s)).collect();
            assert_eq!(found.len(), expected, "{name}: {found:?}");
            assert!(found.first().is_none_or(|first| *first == 60), "{name}: {found:?}");
        }
    }

    /// Given a device that was busy and only sends since, then the next suspicion takes another busy time.
    #[test]
    fn one_way_traffic_is_suspected_once() {
        let mut device = Device::new(START);
        device.looks(10, 20, 20);
        assert_eq!(device.looks(500, 0, 20).len(), 48);
        assert_eq!(device.looks(1, 3, 20), []);
        assert_eq!(device.looks(500, 0, 20), []);
        device.looks(1, 4, 20);
        assert_eq!(device.looks(3, 0, 20), [60]);
    }

    /// Given counters that wrap or fall back, another device of the name, or a pause of ours, when nothing
    /// comes in after that, then it is not known that it was busy.
    #[test]
    fn what_cannot_be_compared_begins_anew() {
        let changes: [fn(&mut Device); 5] = [
            |d| d.packets.received = 0,
            |d| d.packets.sent = 0,
            |d| (d.packets.received, d.packets.sent) = (u64::MAX, 0),
            |d| d.packets.index = 8,
            |d| d.now = d.now + MS * 40,
        ];
        for change in changes {
            let mut device = Device::new(START);
            device.looks(10, 20, 20);
            change(&mut device);
            assert_eq!(device.looks(100, 0, 2), []);
            device.looks(2, 20, 20);
            assert_eq!(device.looks(3, 0, 2), [60]);
        }
        let almost = Packets { received: u64::MAX - 150, sent: u64::MAX - 30, ..START };
        let mut device = Device::new(almost);
        device.looks(10, 20, 20);
        assert_eq!(device.looks(3, 0, 20), [60]);
    }
}
