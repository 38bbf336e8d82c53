//! Answers for rules of `rail` itself, which ask in bytes: an echo comes back as its reply.

use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// The replies to the newest questions.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// The number of the oldest.
    first: u64,
    replies: VecDeque<Vec<u8>>,
}

impl Echoes {
    /// Keeps the reply to a question; returns the question's number.
    pub(super) fn keep(&mut self, question: &[u8]) -> u64 {
        let reply = Echo::parse(question).map(|echo| Echo { kind: EchoKind::Reply, ..echo }.emit());
        self.replies.push_back(reply.unwrap_or_default());
        if self.replies.len() > MOST {
            self.replies.pop_front();
            self.first += 1;
        }
        self.first + self.replies.len() as u64 - 1
    }

    /// The reply to a question, if it is not too old.
    pub(super) fn reply(&self, id: u64) -> Option<&[u8]> {
        let index = usize::try_from(id.checked_sub(self.first)?).ok()?;
        self.replies.get(index).map(Vec::as_slice)
    }
}

/// The address of a target.
pub(super) fn address(target: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, u8::try_from(target).unwrap_or(0))
}

/// The target with this address.
pub(super) fn target(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => usize::from(address.octets()[3]),
        IpAddr::V6(_) => 0,
    }
}

/// At 60 questions a second answers may take a minute.
const MOST: usize = 4096;
