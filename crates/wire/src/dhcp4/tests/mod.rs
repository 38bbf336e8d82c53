//! What all tests of DHCPv4 need.

mod malformed;
mod options;
mod properties;
mod table;
mod vectors;

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

const MAC: [u8; 6] = [0x02, 0, 0x5e, 0, 0x53, 0x01];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 154);
const SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);

/// Bytes from hexadecimal digits; `0*n` stands for n zeros.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = |word: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&word[at..at + 2], 16).unwrap();
        (0..word.len()).step_by(2).map(digit).collect()
    };
    let word = |word: &str| match word.strip_prefix("0*") {
        Some(count) => vec![0; count.parse().unwrap()],
        None => digits(word),
    };
    hex.split_ascii_whitespace().flat_map(word).collect()
}

/// A value of an option that we send.
fn option_value(bytes: &[u8]) -> OptionValue {
    OptionValue::new(bytes).unwrap()
}

/// The payload of a reply with these bytes in `sname`, in `file` and as options.
fn payload(sname: &str, file: &str, options: &str) -> Vec<u8> {
    let field = |hex: &str, length| {
        let mut field = bytes(hex);
        assert!(field.len() <= length);
        field.resize(length, 0);
        field
    };
    let fixed = bytes("020106005a000001 0*20 02005e005301 0*10");
    [fixed, field(sname, 64), field(file, 128), bytes("63825363"), bytes(options)].concat()
}

/// A grant with these options behind the kind of the message.
fn ack(options: &str) -> Reply {
    let options = [ACK, options].concat();
    Reply::parse(&payload("", "", &options), SERVER).unwrap()
}

const ACK: &str = "350105 ";
