//! Answers without data: `NLMSG_ERROR` and `NLMSG_DONE`, with the kernel's
//! sentence about what it did not like (extended ack).
//!
//! ```text
//!  error:i32 [header:16 [payload, unless CAPPED] [attributes, if ACK_ATTRIBUTES]]
//! ```

use super::{HEADER_LENGTH, Message, attributes, flag, kind, padded, u32_at};
use crate::DecodeError;
use alloc::string::String;

/// The end of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Linux error number; 0: it succeeded.
    pub errno: i32,
    /// The kernel's sentence; empty if it gave none.
    pub text: String,
}

impl Ack {
    /// Reads `NLMSG_ERROR` and `NLMSG_DONE`.
    ///
    /// # Errors
    /// The message is of another kind, or ends before the error number.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let errno = match (message.kind, u32_at(message.payload, 0)) {
            (kind::ERROR | kind::DONE, Ok(number)) => number.cast_signed().saturating_neg(),
            // Some dumps end without a number.
            (kind::DONE, Err(_)) => 0,
            (kind::ERROR, Err(e)) => return Err(e),
            _ => return Err(DecodeError::Unsupported),
        };
        let mut text = String::new();
        if message.flags & flag::ACK_ATTRIBUTES != 0 {
            let behind = match message.kind {
                kind::DONE => 4,
                _ if message.flags & flag::CAPPED != 0 => 4 + HEADER_LENGTH,
                _ => {
                    let length = u32_at(message.payload, 4).unwrap_or(0);
                    usize::try_from(length).map_or(usize::MAX, |l| padded(l).saturating_add(4))
                }
            };
            let rest = message.payload.get(behind..).unwrap_or(&[]);
            if let Some(found) = attributes(rest).find(|a| a.kind == NLMSGERR_ATTR_MSG) {
                text = found.text().unwrap_or_default().into();
            }
        }
        Ok(Self { errno, text })
    }
}

const NLMSGERR_ATTR_MSG: u16 = 1;
