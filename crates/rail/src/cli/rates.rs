//! What the uplinks' interfaces carry, in bits a second, read where the command runs.
//!
//! Two readings of `/proc/net/dev` make a rate. An interface that is not there (the
//! daemon runs in another network namespace) has none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A single screen waits this long for its second reading.
const WINDOW: Duration = Duration::from_millis(250);

/// Bytes received and sent, by interface.
type Counters = BTreeMap<String, (u64, u64)>;

/// Rates between the last two readings.
pub(super) struct Rates {
    at: Instant,
    counters: Counters,
    rates: Counters,
}

impl Rates {
    /// The first reading.
    pub(super) fn begin() -> Self {
        Self { at: Instant::now(), counters: read(), rates: Counters::new() }
    }

    /// Reads again; soon after the last time it waits for the window to pass.
    pub(super) fn update(&mut self) {
        std::thread::sleep(WINDOW.saturating_sub(self.at.elapsed()));
        let (now, counters) = (Instant::now(), read());
        let ms = u64::try_from((now - self.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |new: u64, old: u64| new.saturating_sub(old).saturating_mul(8000) / ms;
        self.rates = counters
            .iter()
            .filter_map(|(name, new)| {
                let old = self.counters.get(name)?;
                Some((name.clone(), (rate(new.0, old.0), rate(new.1, old.1))))
            })
            .collect();
        (self.at, self.counters) = (now, counters);
    }

    /// Bits a second received and sent.
    pub(super) fn of(&self, interface: &str) -> Option<(u64, u64)> {
        self.rates.get(interface).copied()
    }
}

fn read() -> Counters {
    parse(&std::fs::read_to_string("/proc/net/dev").unwrap_or_default())
}

/// Lines `wan1: RX-BYTES 7 fields TX-BYTES ..` below two lines of heads; proc_net_dev(5).
fn parse(text: &str) -> Counters {
    let line = |line: &str| {
        let (name, fields) = line.split_once(':')?;
        let fields: Vec<u64> = fields.split_whitespace().map_while(|f| f.parse().ok()).collect();
        Some((name.trim().to_owned(), (*fields.first()?, *fields.get(8)?)))
    };
    text.lines().filter_map(line).collect()
}

/// `940M`, `1.2G`, `38k`, `0`: bits a second in at most four characters.
pub(super) fn bits(rate: u64) -> String {
    let units = [(1_000_000_000, 'G'), (1_000_000, 'M'), (1000, 'k')];
    match units.iter().find(|(size, _)| rate >= *size) {
        Some((size, unit)) if rate < 10 * size => {
            format!("{}.{}{unit}", rate / size, rate % size * 10 / size)
        }
        Some((size, unit)) => format!("{}{unit}", rate / size),
        None => rate.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n\
                    wan1: 1000 1 0 0 0 0 0 0 2000 2 0 0 0 0 0 0\n  lo: 5 5 0 0 0 0 0 0 5 5 0 0 0 0 0 0\n";
        let counters = parse(text);
        assert_eq!(counters["wan1"], (1000, 2000));
        assert_eq!(counters.len(), 2);
    }

    #[test]
    fn rates_read_well() {
        let shown: Vec<String> =
            [0, 999, 1000, 38_400, 9_990_000, 940_000_000, 1_250_000_000].map(bits).into();
        assert_eq!(shown, ["0", "999", "1.0k", "38k", "9.9M", "940M", "1.2G"]);
    }
}
