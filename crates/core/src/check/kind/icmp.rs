//! ICMP echo (RFC 792): asks with an identifier of the uplink, the low 16 bits of the number, and a
//! nonce that only one who saw the question can repeat.

use super::Refusal;
use crate::io::IDENT_PREFIX;
use crate::net::UplinkId;
use crate::random::Secret;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::ip::icmp4::{Echo, EchoKind};

/// Echo questions of one uplink.
#[derive(Clone, Debug)]
pub struct Icmp {
    ident: u16,
    secret: Secret,
}

impl Icmp {
    /// `secret` differs by uplink and start; `prefix` is what the identifiers of all uplinks share.
    pub fn new(id: UplinkId, secret: Secret, prefix: u16) -> Self {
        Self { ident: (prefix & IDENT_PREFIX) | (u16::from(id.0) & !IDENT_PREFIX), secret }
    }

    /// The ICMP identifier.
    pub const fn ident(&self) -> u16 {
        self.ident
    }

    /// The message that asks a target with number `n`.
    pub fn question(&self, n: u64, target: usize) -> Vec<u8> {
        let sequence = low_bits(n);
        let nonce = self.nonce(n, target);
        Echo { kind: EchoKind::Request, ident: self.ident, sequence, nonce }.emit()
    }

    /// The target and the number that a message answers. `newest` is the last number that was sent:
    /// an answer to an older one than the 65,536 before it is not recognised.
    ///
    /// # Errors
    /// [`Refusal`], but never a wrong interface or a duplicate: only the caller knows of those.
    pub fn recognise(
        &self,
        newest: u64,
        targets: &[Ipv4Addr],
        from: IpAddr,
        bytes: &[u8],
    ) -> Result<(usize, u64), Refusal> {
        let echo = Echo::parse(bytes).map_err(|_| Refusal::Malformed)?;
        if echo.kind != EchoKind::Reply {
            return Err(Refusal::Malformed);
        }
        let target = targets.iter().position(|target| IpAddr::V4(*target) == from);
        let target = target.ok_or(Refusal::WrongSource)?;
        let age = u64::from(low_bits(newest).wrapping_sub(echo.sequence));
        let n = newest.checked_sub(age).filter(|n| *n > 0 && echo.ident == self.ident);
        let n = n.ok_or(Refusal::WrongSequence)?;
        if echo.nonce != self.nonce(n, target) {
            return Err(Refusal::WrongNonce);
        }
        Ok((target, n))
    }

    fn nonce(&self, n: u64, target: usize) -> u64 {
        self.secret.hash(&[n, u64::try_from(target).unwrap_or(u64::MAX)])
    }
}

fn low_bits(n: u64) -> u16 {
    u16::try_from(n & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

    fn reply(question: &[u8]) -> Vec<u8> {
        Echo { kind: EchoKind::Reply, ..Echo::parse(question).unwrap() }.emit()
    }

    /// Given a number beyond 16 bits, then its answer is recognised until as many have been sent again.
    #[test]
    fn numbers_outlive_the_sixteen_bits() {
        let icmp = Icmp::new(UplinkId(3), Secret::new([1; 16]), 0x1200);
        let answer = reply(&icmp.question(200_000, 1));
        let hear = |newest| icmp.recognise(newest, &TARGETS, TARGETS[1].into(), &answer);
        assert_eq!(hear(200_000), Ok((1, 200_000)));
        assert_eq!(hear(265_535), Ok((1, 200_000)));
        assert_eq!(hear(265_536), Err(Refusal::WrongNonce));
    }

    /// Given forged answers, then each is refused for its reason.
    #[test]
    fn forgeries_are_refused() {
        let icmp = Icmp::new(UplinkId(3), Secret::new([1; 16]), 0x1200);
        let echo = Echo::parse(&icmp.question(7, 0)).unwrap();
        let echo = Echo { kind: EchoKind::Reply, ..echo };
        let hear = |echo: Echo, from: Ipv4Addr| {
            icmp.recognise(9, &TARGETS, from.into(), &echo.emit()).unwrap_err()
        };
        let question = Echo { kind: EchoKind::Request, ..echo };
        assert_eq!(hear(question, TARGETS[0]), Refusal::Malformed);
        assert_eq!(hear(echo, Ipv4Addr::LOCALHOST), Refusal::WrongSource);
        assert_eq!(hear(echo, TARGETS[1]), Refusal::WrongNonce);
        assert_eq!(hear(Echo { nonce: 1, ..echo }, TARGETS[0]), Refusal::WrongNonce);
        assert_eq!(hear(Echo { ident: 0x1204, ..echo }, TARGETS[0]), Refusal::WrongSequence);
        assert_eq!(hear(Echo { sequence: 10, ..echo }, TARGETS[0]), Refusal::WrongSequence);
    }
}
