//! Medians and spreads.

/// A median with its spread.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
    /// In 95 of 100 benchmarks this holds what the median of endless rounds would be.
    pub(crate) interval: (f64, f64),
}

impl Spread {
    /// Width of the interval.
    pub(crate) fn width(&self) -> f64 {
        self.interval.1 - self.interval.0
    }
}

/// Sorts and summarises; zeros for nothing.
pub(crate) fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(0.0);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        at(middle)
    } else {
        (at(middle.wrapping_sub(1)) + at(middle)) / 2.0
    };
    let (low, high) = ranks(sorted.len());
    Spread {
        min: at(0),
        median,
        max: at(sorted.len().saturating_sub(1)),
        interval: (at(low), at(high)),
    }
}

/// Between the values of these ranks lies the true median with 95 % confidence: half of all values
/// are below it, so their number is binomial (here by the normal approximation), whatever the
/// values' distribution.
fn ranks(count: usize) -> (usize, usize) {
    let half = 0.98 * (count as f64).sqrt();
    let low = (count as f64 / 2.0 - half - 1.0).floor().max(0.0) as usize;
    (low, count.saturating_sub(low + 1))
}

/// Ratios of two series, round by round, in per cent.
pub(crate) fn ratios(values: &[f64], reference: &[f64]) -> Spread {
    let pairs = values.iter().zip(reference);
    spread(&pairs.map(|(v, r)| if *r > 0.0 { v / r * 100.0 } else { 0.0 }).collect::<Vec<_>>())
}

/// A number from the environment.
pub(crate) fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        // Ranks of the 95 % interval of a median, counted from 1; that of few values is wider here.
        for (count, low, high) in [(9, 1, 9), (41, 14, 28), (100, 40, 61)] {
            assert_eq!(ranks(count), (low - 1, high - 1), "{count}");
        }
        let values: Vec<f64> = (1..=41).map(f64::from).collect();
        let spread = spread(&values);
        assert_eq!((spread.median, spread.interval), (21.0, (14.0, 28.0)));
        assert_eq!(super::spread(&[]).width(), 0.0);
    }
}
