//! Targets that listen: on all ports of TCP but one.

use super::Net;
use crate::dice::Dice;
use rail_core::time::Duration;
use rail_core::{Answer, AskError};
use std::net::{IpAddr, SocketAddr};

impl Net {
    /// What becomes of a connection, and after what time.
    pub fn connect(
        &self,
        line: usize,
        to: SocketAddr,
        timeout: Duration,
        dice: &mut Dice,
    ) -> (Duration, Result<Answer, AskError>) {
        if self.lines[line].gateway_dead && timeout > RESOLVED_FOR {
            return (RESOLVED_FOR, Err(AskError::Unreachable));
        }
        let IpAddr::V4(host) = to.ip() else { return (timeout, Err(AskError::TimedOut)) };
        for sent in SENT_AT {
            if self.is_lost(line, host, dice) {
                continue;
            }
            let rtt = self.round_trip(line, dice);
            let after = sent + rtt;
            if after < timeout {
                let answer = match to.port() {
                    CLOSED_PORT => Answer::Refused { rtt: after },
                    _ => Answer::Connected { rtt: after },
                };
                return (after, Ok(answer));
            }
        }
        (timeout, Err(AskError::TimedOut))
    }
}

/// The port that nobody listens on.
pub const CLOSED_PORT: u16 = 9;

/// When the kernel sends the first segment, and sends it again: after one second, and then after twice
/// as long each time (RFC 6298 §5.5).
const SENT_AT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(7),
    Duration::from_secs(15),
];
/// So long the kernel asks for a neighbour before it gives up.
const RESOLVED_FOR: Duration = Duration::from_secs(3);
