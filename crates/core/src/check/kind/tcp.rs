//! TCP connections (RFC 9293): a target is reached if the connection comes about, and as well if it is
//! refused (RST, section 3.5.2), for the refusal comes from there.
//!
//! The sequence numbers of TCP show that the other end saw the question. The number of a question begins
//! anywhere, so that no answer to checks of before is taken for one to these.

use crate::io::{Ask, Binding};
use crate::random::Secret;
use crate::time::Duration;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A connection costs the target and the routers on the way some memory, so there are no more than 20 a
/// second. With a time-out of a second an uplink has 20 open at most. All uplinks together may have
/// [`MOST_ASKS`](crate::MOST_ASKS), of which each has its share.
pub(super) const SPACING: Duration = Duration::from_millis(50);

/// Connections of one uplink.
#[derive(Copy, Clone, Debug)]
pub struct Tcp {
    pub(super) port: u16,
    /// The number of question 0.
    base: u64,
}

impl Tcp {
    /// Connects to this port of its targets. `secret` differs by uplink and start.
    pub fn new(secret: Secret, port: u16) -> Self {
        Self { port, base: secret.hash(&[u64::from(port), 2]) }
    }

    /// The connection that asks a target with number `n`, and the number that it bears.
    pub fn question(
        &self,
        n: u64,
        target: Ipv4Addr,
        (binding, timeout): (Binding, Duration),
    ) -> (u64, Ask) {
        let to = SocketAddr::new(IpAddr::V4(target), self.port);
        (self.base.wrapping_add(n), Ask::Connect { binding, to, timeout })
    }

    /// The number of the question that was asked as `asked`; `newest` is the last one.
    pub const fn number(&self, newest: u64, asked: u64) -> Option<u64> {
        let n = asked.wrapping_sub(self.base);
        if n == 0 || n > newest { None } else { Some(n) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// Given a question, then it goes to the port of the target, bound as it was told, and its answer is
    /// recognised; a later number, or one of other checks, is none of ours.
    #[test]
    fn answers_are_told_by_their_number() {
        let tcp = Tcp::new(Secret::new([1; 16]), 443);
        let binding = Binding {
            ifname: "wan1".parse().unwrap(),
            ifindex: 1,
            source: Some([198, 51, 100, 2].into()),
            mark: 7,
        };
        let timeout = Duration::from_secs(1);
        let (asked, ask) = tcp.question(7, TARGET, (binding, timeout));
        let to = SocketAddr::new(TARGET.into(), 443);
        assert_eq!(ask, Ask::Connect { binding, to, timeout });
        assert_eq!(tcp.number(9, asked), Some(7));
        assert_eq!(tcp.number(6, asked), None);
        assert_eq!(tcp.number(9, asked - 7), None);
        assert_eq!(Tcp::new(Secret::new([2; 16]), 443).number(9, asked), None);
        assert_eq!(Tcp::new(Secret::new([1; 16]), 80).number(9, asked), None);
    }
}
