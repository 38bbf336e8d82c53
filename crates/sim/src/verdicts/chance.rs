//! Chance as a function: the same words give the same number, whoever asks, and how often.

use crate::dice::Dice;
use rail_core::time::Duration;

/// A number made of these words; neighbouring words have nothing in common.
pub(super) fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x243f_6a88_85a3_08d3, |sum, word| {
        let z = (sum ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A number made of a text, FNV-1a.
pub(super) fn mix_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The bits as a fraction, at least 0 and less than 1.
pub(super) fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A duration of this mean from a fraction: exponentially distributed.
pub(super) fn exponential(mean: Duration, fraction: f64) -> Duration {
    mean.mul_f64(-(1.0 - fraction).ln())
}

/// A duration between two, evenly distributed.
pub(super) fn between((low, high): (Duration, Duration), fraction: f64) -> Duration {
    low + high.saturating_sub(low).mul_f64(fraction)
}

/// A duration between two that are not zero, its logarithm evenly distributed: short ones are common.
pub(super) fn log_between((low, high): (Duration, Duration), fraction: f64) -> Duration {
    low.mul_f64((high.as_secs_f64() / low.as_secs_f64()).powf(fraction))
}

/// The next fraction of these dice.
pub(super) fn roll(dice: &mut Dice) -> f64 {
    fraction(dice.bits())
}
