//! Medians and spreads.

/// A median with its spread.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
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
    Spread { min: at(0), median, max: at(sorted.len().saturating_sub(1)) }
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
