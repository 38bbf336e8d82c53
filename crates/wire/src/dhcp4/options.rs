//! Options in a message: RFC 2132 §2, RFC 2131 §4.1, RFC 3396.
//!
//! Owns the walk over the places where options stand, the joining of an option that comes in pieces, and
//! the writer. Leaves out what an option says.
//!
//! ```text
//!  option     code:u8 length:u8 value
//!  padding    0
//!  end        255
//! ```

use super::code;
use crate::DecodeError;
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The options of a message.
#[derive(Clone, Debug)]
pub(super) struct Options<'a> {
    /// The places in the order in which pieces are joined (RFC 3396 §5): options, `file`, `sname`.
    places: [&'a [u8]; 3],
}

impl<'a> Options<'a> {
    /// Finds the places with options, and looks whether all options are whole.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] for an option that is longer than its place.
    pub(super) fn new(
        options: &'a [u8],
        file: &'a [u8],
        sname: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let alone = Self { places: [options, &[], &[]] };
        // Only the first place says which others there are.
        let overload = alone.get(code::OVERLOAD).and_then(|value| value.first().copied());
        let overload = overload.filter(|value| *value <= FILE | SNAME).unwrap_or(0);
        let place = |bit, place| if overload & bit == 0 { &[][..] } else { place };
        let all = Self { places: [options, place(FILE, file), place(SNAME, sname)] };
        all.pieces().try_for_each(|piece| piece.map(|_| ()))?;
        Ok(all)
    }

    /// The value of an option, its pieces joined; `None` if it is not there.
    pub(super) fn get(&self, code: u8) -> Option<Cow<'a, [u8]>> {
        let mut pieces =
            self.pieces().filter_map(Result::ok).filter(|piece| piece.0 == code).map(|p| p.1);
        let mut value = Cow::Borrowed(pieces.next()?);
        for piece in pieces {
            value.to_mut().extend(piece);
        }
        Some(value)
    }

    /// True if the option is there, whatever it says.
    pub(super) fn has(&self, code: u8) -> bool {
        self.pieces().any(|piece| piece.is_ok_and(|piece| piece.0 == code))
    }

    fn pieces(&self) -> impl Iterator<Item = Result<(u8, &'a [u8]), DecodeError>> {
        self.places.into_iter().flat_map(|rest| Pieces { rest })
    }
}

/// Writes a message. Nobody can send more than [`LONGEST`]: an option that does not fit is left out.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(SHORTEST) }
    }

    /// Adds bytes that are no option.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Adds an option, in pieces if one is too short for it.
    pub(super) fn put(&mut self, code: u8, value: &[u8]) {
        let headers = 2 * value.len().div_ceil(PIECE).max(1);
        if self.bytes.len() + headers + value.len() >= LONGEST {
            return;
        }
        let mut rest = value;
        loop {
            let (piece, left) = rest.split_at(rest.len().min(PIECE));
            self.bytes.extend([code, u8::try_from(piece.len()).unwrap_or(u8::MAX)]);
            self.bytes.extend(piece);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// The message, as long as the oldest relays and servers want it to be (RFC 1542 §2.1).
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        self.bytes.resize(self.bytes.len().max(SHORTEST), PAD);
        self.bytes
    }
}

/// Walks one place. A torn option ends the walk with an error.
struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<(u8, &'a [u8]), DecodeError>;
    fn next(&mut self) -> Option<Self::Item> {
        let mut whole = core::mem::take(&mut self.rest);
        while let [PAD, rest @ ..] = whole {
            whole = rest;
        }
        match whole {
            [] | [END, ..] => None,
            [code, length, rest @ ..] => match rest.split_at_checked(usize::from(*length)) {
                Some((value, rest)) => {
                    self.rest = rest;
                    Some(Ok((*code, value)))
                }
                None => Some(Err(DecodeError::Truncated)),
            },
            [_] => Some(Err(DecodeError::Truncated)),
        }
    }
}

const PAD: u8 = 0;
const END: u8 = 255;
/// Bits of the overload option.
const FILE: u8 = 1;
const SNAME: u8 = 2;
/// The longest value that one piece has room for.
const PIECE: usize = 255;
/// The shortest message that is sent.
const SHORTEST: usize = 300;
/// The longest payload of UDP over IPv4.
const LONGEST: usize = 65_507;
