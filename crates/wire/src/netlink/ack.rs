//! `NLMSG_ERROR`: the kernel's answer to a request, with its extended text.

use super::{HEADER, Message, attributes, text};
use alloc::string::{String, ToString};

/// `NLM_F_CAPPED`: the request is not repeated behind its header.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow.
const HAS_ATTRIBUTES: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`.
const TEXT: u16 = 1;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Error number, positive; 0 is success.
    pub errno: i32,
    /// The kernel's words, if it had any.
    pub text: Option<String>,
}

impl Ack {
    /// Reads an `NLMSG_ERROR` or a `NLMSG_DONE` payload; a message cut short is success without words.
    pub fn parse(message: &Message<'_>) -> Self {
        let bytes = message.payload;
        let code = bytes.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
        let request = super::u32_at(bytes, 4).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let skip = match message.kind {
            super::DONE => 4,
            _ if message.flags & CAPPED != 0 => 4 + HEADER,
            _ => 4 + request.max(HEADER),
        };
        let words = (message.flags & HAS_ATTRIBUTES != 0)
            .then(|| bytes.get(skip..).unwrap_or(&[]))
            .and_then(|rest| attributes(rest).find(|(kind, _)| *kind == TEXT))
            .and_then(|(_, value)| text(value))
            .map(ToString::to_string);
        Self { errno: code.checked_neg().unwrap_or(i32::MAX).max(0), text: words }
    }
}
