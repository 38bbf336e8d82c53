//! Packet codecs: bytes to values and back. No state, no time, no I/O.
//!
//! Every decoder is total: any bytes give a value or a [`DecodeError`], never a
//! panic. Length and checksum are derived on emission, never fields.
#![no_std]
extern crate alloc;

use core::fmt;

pub mod dhcp4;
pub mod ip;
pub mod netlink;
pub mod nfnetlink;

/// Why bytes are not a valid message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// It ends before the value does.
    Truncated,
    /// A checksum is wrong.
    Checksum,
    /// A field has a value that the protocol does not allow.
    Malformed,
    /// It is well formed, but of a kind that we do not handle.
    Unsupported,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Checksum => "wrong checksum",
            Self::Malformed => "malformed",
            Self::Unsupported => "of an unsupported kind",
        })
    }
}

impl core::error::Error for DecodeError {}
