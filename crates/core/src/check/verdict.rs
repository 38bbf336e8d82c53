//! What the probes say of an uplink, and why, in words; and the pure function that says it.

use crate::time::Duration;
use core::fmt;

/// What the probes say of an uplink. A doubt stands beside it: it is raised and ends without a change
/// of the verdict.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Never judged.
    Probing,
    /// Good.
    Up,
    /// Usable, but not good.
    Degraded(Cause),
    /// Dead.
    Down(Cause),
    /// Good again, and held back; with the cause it had gone down for.
    Held(Cause),
}

impl Verdict {
    /// True if the uplink is degraded by loss, now or before the restart.
    pub(super) const fn is_lossy(self) -> bool {
        matches!(self, Self::Degraded(Cause::Loss(_) | Cause::WasDegraded))
    }

    /// True if the uplink can carry connections, or may.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Probing | Self::Up | Self::Degraded(_))
    }
}

/// Why an uplink is not good.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No valid answer from any target for this long.
    Silent(Duration),
    /// The gateway does not answer ARP.
    Neighbour,
    /// Fewer targets answer than required.
    Quorum {
        /// Answering.
        answering: usize,
        /// Required.
        required: usize,
    },
    /// Loss over the last seconds, in tenths of a per cent.
    Loss(u64),
    /// Mean round-trip time.
    Latency(Duration),
    /// Mean jitter.
    Jitter(Duration),
    /// The link, the address or the interface had gone.
    Interrupted,
    /// It was down before the restart.
    Adopted,
    /// It was degraded before the restart, or before it lost its way, and has not shown yet that it is good.
    WasDegraded,
}

impl Cause {
    /// True if the uplink had answered, but not well enough.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Loss(_) | Self::Quorum { .. })
    }

    /// True if nothing had answered.
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::Silent(_) | Self::Neighbour)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(d) => write!(f, "no answer from any target for {:.1} s", d.as_secs_f32()),
            Self::Neighbour => f.write_str("the gateway does not answer ARP"),
            Self::Quorum { answering, required } => {
                write!(f, "{answering} targets answer, {required} are required")
            }
            Self::Loss(permille) => write!(f, "loss {}.{} %", permille / 10, permille % 10),
            Self::Latency(d) => write!(f, "round-trip time {} ms", d.as_millis()),
            Self::Jitter(d) => write!(f, "jitter {} ms", d.as_millis()),
            Self::Interrupted => f.write_str("the link or its address was gone"),
            Self::Adopted => f.write_str("it was down before the restart"),
            Self::WasDegraded => f.write_str("it was degraded before"),
        }
    }
}

/// What is known at the moment of a judgement.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Findings {
    /// It is dead, and why.
    pub(super) dead: Option<Cause>,
    /// Enough targets have answered, for the first time.
    pub(super) has_answered: bool,
    /// Enough good rounds, and enough evidence, for a return.
    pub(super) is_back: bool,
    /// No time has to pass before the return.
    pub(super) is_released: bool,
    /// It loses, or returns from loss.
    pub(super) is_lossy: bool,
    /// Its loss is over.
    pub(super) is_recovered: bool,
    /// Loss, as it is now: the cause while it is degraded.
    pub(super) loss: u64,
    /// Its round trips are too long or too uneven.
    pub(super) slow: Option<Cause>,
}

/// The next verdict.
pub(super) fn judge(was: Verdict, f: &Findings) -> Verdict {
    if let Some(cause) = f.dead {
        return match was {
            Verdict::Down(old) => Verdict::Down(old),
            _ => Verdict::Down(cause),
        };
    }
    match was {
        Verdict::Probing if f.has_answered => grade(f),
        Verdict::Down(cause) if f.is_back && !f.is_released => Verdict::Held(cause),
        Verdict::Down(_) if f.is_back => grade(f),
        // What was held stays so until it dies or its time is over: its rounds are good enough.
        Verdict::Held(_) if f.is_back && f.is_released => grade(f),
        Verdict::Probing | Verdict::Down(_) | Verdict::Held(_) => was,
        Verdict::Degraded(Cause::Loss(_)) if !f.is_recovered => {
            Verdict::Degraded(Cause::Loss(f.loss))
        }
        // By what it was degraded then it shows again, or that it is good.
        Verdict::Degraded(Cause::WasDegraded) if !f.is_recovered => match grade(f) {
            Verdict::Up => was,
            found => found,
        },
        // What speaks against it is older than what speaks for it.
        Verdict::Degraded(Cause::Loss(_) | Cause::WasDegraded) => {
            grade(&Findings { is_lossy: false, ..*f })
        }
        Verdict::Up | Verdict::Degraded(_) => grade(f),
    }
}

/// Good, or not so good.
fn grade(f: &Findings) -> Verdict {
    if f.is_lossy {
        return Verdict::Degraded(Cause::Loss(f.loss));
    }
    f.slow.map_or(Verdict::Up, Verdict::Degraded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSS: Cause = Cause::Loss(300);
    const SLOW: Cause = Cause::Latency(Duration::from_millis(900));

    /// Given each verdict and each finding, then the next verdict is that of the table.
    #[test]
    fn the_table_of_verdicts() {
        use Cause::{Adopted, Neighbour, WasDegraded};
        use Verdict::{Degraded, Down, Held, Probing, Up};
        let none = Findings { loss: 300, ..Findings::default() };
        let dead = Findings { dead: Some(Neighbour), ..none };
        let first = Findings { has_answered: true, ..none };
        let back = Findings { is_back: true, ..none };
        let free = Findings { is_released: true, ..back };
        let lossy = Findings { is_lossy: true, ..none };
        let back_lossy = Findings { is_lossy: true, ..free };
        let cured = Findings { is_recovered: true, ..none };
        let slow = Findings { slow: Some(SLOW), ..none };
        for (was, findings, next) in [
            (Probing, none, Probing),
            (Probing, first, Up),
            (Probing, dead, Down(Neighbour)),
            (Up, none, Up),
            (Up, lossy, Degraded(LOSS)),
            (Up, slow, Degraded(SLOW)),
            (Up, dead, Down(Neighbour)),
            (Degraded(LOSS), none, Degraded(LOSS)),
            (Degraded(LOSS), cured, Up),
            (Degraded(LOSS), Findings { is_lossy: true, ..cured }, Up),
            (Degraded(SLOW), none, Up),
            (Degraded(WasDegraded), none, Degraded(WasDegraded)),
            (Degraded(WasDegraded), cured, Up),
            (Degraded(WasDegraded), slow, Degraded(SLOW)),
            (Degraded(WasDegraded), lossy, Degraded(LOSS)),
            (Degraded(WasDegraded), dead, Down(Neighbour)),
            (Degraded(SLOW), lossy, Degraded(LOSS)),
            (Degraded(LOSS), dead, Down(Neighbour)),
            (Down(Adopted), dead, Down(Adopted)),
            (Down(Adopted), none, Down(Adopted)),
            (Down(Adopted), back, Held(Adopted)),
            (Down(Adopted), free, Up),
            (Down(LOSS), back_lossy, Degraded(LOSS)),
            (Held(Adopted), none, Held(Adopted)),
            (Held(Adopted), free, Up),
            (Held(Adopted), dead, Down(Neighbour)),
        ] {
            assert_eq!(judge(was, &findings), next, "{was:?} {findings:?}");
        }
    }
}
