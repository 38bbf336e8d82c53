//! Keyed pseudo-randomness: SipHash-2-4 (Aumasson and Bernstein, 2012).
//!
//! The core has no entropy of its own; the shell hands in a secret key once.
//! An attacker who does not see our probes cannot guess their nonces.

/// A secret key.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Secret {
    k0: u64,
    k1: u64,
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A key from 16 bytes.
    pub const fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_le_bytes(seed);
        let (lo, hi) = split(seed);
        Self { k0: lo, k1: hi }
    }

    /// SipHash-2-4 of some 64-bit words (as their little-endian bytes).
    pub fn hash(self, words: &[u64]) -> u64 {
        let mut sip = Sip::new(self);
        for word in words {
            sip.absorb(*word);
        }
        sip.finish(words.len() * 8, 0)
    }

    /// SipHash-2-4 of bytes.
    pub fn hash_bytes(self, bytes: &[u8]) -> u64 {
        let mut sip = Sip::new(self);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            sip.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sip.finish(bytes.len(), u64::from_le_bytes(last))
    }
}

const fn split(x: u128) -> (u64, u64) {
    let b = x.to_le_bytes();
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, ba, bb, bc, bd, be, bf] = b;
    (
        u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        u64::from_le_bytes([b8, b9, ba, bb, bc, bd, be, bf]),
    )
}

struct Sip {
    v: [u64; 4],
}

impl Sip {
    const fn new(key: Secret) -> Self {
        Self {
            v: [
                key.k0 ^ 0x736f_6d65_7073_6575,
                key.k1 ^ 0x646f_7261_6e64_6f6d,
                key.k0 ^ 0x6c79_6765_6e65_7261,
                key.k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    const fn absorb(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    fn finish(&mut self, length: usize, rest: u64) -> u64 {
        let length = u64::try_from(length % 256).unwrap_or(0);
        self.absorb(length << 56 | rest);
        self.v[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given the key and messages of the SipHash paper's reference vectors, then the same output.
    #[test]
    fn reference_vectors() {
        let mut seed = [0; 16];
        for (i, b) in seed.iter_mut().enumerate() {
            *b = u8::try_from(i).unwrap();
        }
        let key = Secret::new(seed);
        let message: [u8; 15] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(key.hash_bytes(&message), 0xa129_ca61_49be_45e5);
        assert_eq!(key.hash_bytes(&[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(key.hash(&[0x0706_0504_0302_0100]), key.hash_bytes(&message[..8]));
    }
}
