//! Turns bytes into choices: each byte is one throw. When they are used up every
//! throw is 0, so that any input ends.

/// Choices from bytes.
pub(crate) struct Dice<'a> {
    bytes: &'a [u8],
}

impl<'a> Dice<'a> {
    /// Choices from these bytes.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Nothing is left.
    pub(crate) const fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u8) -> u8 {
        self.byte().checked_rem(end).unwrap_or(0)
    }

    /// True once in `n`, and never when nothing is left (for `n` above 1).
    pub(crate) fn one_in(&mut self, n: u8) -> bool {
        self.below(n) == n - 1
    }

    /// Up to `most` bytes.
    pub(crate) fn take(&mut self, most: u8) -> &'a [u8] {
        let length = usize::from(self.below(most)).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        taken
    }
}
