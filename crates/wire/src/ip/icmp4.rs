//! ICMP echo: RFC 792, and the checksum of RFC 1071.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     Type      |     Code      |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |           Identifier          |        Sequence Number        |
//! +-------------------------------+-------------------------------+
//! |                        Nonce (64 bits)                        |
//! +---------------------------------------------------------------+
//! ```
//! Our echo carries a 64-bit nonce, so that an answer can only come from one
//! who saw the question.

use crate::DecodeError;
use alloc::vec::Vec;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const LENGTH: usize = 16;

/// The direction of an echo message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum EchoKind {
    /// Type 8.
    Request,
    /// Type 0.
    Reply,
}

/// An echo message with our payload.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Echo {
    /// Request or reply.
    pub kind: EchoKind,
    /// Identifier.
    pub ident: u16,
    /// Sequence number.
    pub sequence: u16,
    /// Nonce.
    pub nonce: u64,
}

impl Echo {
    /// Reads an ICMP message (without IP header).
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] for another type, [`DecodeError::Truncated`] when
    /// the payload is shorter than the nonce, [`DecodeError::Checksum`],
    /// [`DecodeError::Malformed`] for another code or a longer payload.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let kind = match bytes.first() {
            Some(&ECHO_REPLY) => EchoKind::Reply,
            Some(&ECHO_REQUEST) => EchoKind::Request,
            Some(_) => return Err(DecodeError::Unsupported),
            None => return Err(DecodeError::Truncated),
        };
        let fixed: &[u8; LENGTH] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        if checksum(bytes) != 0 {
            return Err(DecodeError::Checksum);
        }
        if fixed[1] != 0 || bytes.len() != LENGTH {
            return Err(DecodeError::Malformed);
        }
        let [_, _, _, _, i0, i1, s0, s1, nonce @ ..] = *fixed;
        Ok(Self {
            kind,
            ident: u16::from_be_bytes([i0, i1]),
            sequence: u16::from_be_bytes([s0, s1]),
            nonce: u64::from_be_bytes(nonce),
        })
    }

    /// The message as bytes, checksum included.
    pub fn emit(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        let kind = match self.kind {
            EchoKind::Request => ECHO_REQUEST,
            EchoKind::Reply => ECHO_REPLY,
        };
        bytes.extend([kind, 0, 0, 0]);
        bytes.extend(self.ident.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.nonce.to_be_bytes());
        let sum = checksum(&bytes).to_be_bytes();
        bytes[2..4].copy_from_slice(&sum);
        bytes
    }
}

/// The internet checksum (RFC 1071) of `bytes`; 0 over data that contains its own valid checksum.
pub fn checksum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    if let [last] = rest {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given an echo request, when emitted and parsed, then it is the same; each flipped bit is refused.
    #[test]
    fn round_trip_and_bit_flips() {
        let echo = Echo { kind: EchoKind::Request, ident: 0x1234, sequence: 7, nonce: 0xfeed_f00d };
        let bytes = echo.emit();
        assert_eq!(Echo::parse(&bytes), Ok(echo));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Echo::parse(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Echo::parse(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }

    /// Given the example of RFC 1071 §3, then the sum is as printed there.
    #[test]
    fn rfc1071_example() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
