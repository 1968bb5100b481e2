//! Randomness for science: a pseudo-random function keyed by a study's seed, so that every site
//! deals the same folds and draws the same weights without talking. (HMAC-SHA256 as PRF: RFC 2104.)
//! Secrets never come from here; they use the operating system's generator.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// A study's public seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// 64 uniform bits for a purpose and some parts (site, patient key, repeat, ...). Parts are
    /// length-prefixed, so no two lists of parts collide by concatenation.
    pub fn bits(self, purpose: &str, parts: &[&[u8]]) -> u64 {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.to_le_bytes())
            .expect("HMAC takes a key of any length");
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let out: [u8; 32] = mac.finalize().into_bytes().into();
        u64::from_le_bytes(out[..8].try_into().expect("the first 8 of 32 bytes"))
    }

    /// A uniform number in [0, 1) with 53 bits.
    pub fn uniform(self, purpose: &str, parts: &[&[u8]]) -> f64 {
        (self.bits(purpose, parts) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_parts_are_kept_apart() {
        let seed = Seed(7);
        assert_eq!(seed.bits("folds", &[b"a"]), seed.bits("folds", &[b"a"]));
        assert_ne!(seed.bits("folds", &[b"a"]), seed.bits("weights", &[b"a"]));
        assert_ne!(seed.bits("folds", &[b"ab", b"c"]), seed.bits("folds", &[b"a", b"bc"]));
        assert_ne!(seed.bits("folds", &[b"a"]), Seed(8).bits("folds", &[b"a"]));
    }

    #[test]
    fn uniform_stays_in_range_and_spreads() {
        let draws: Vec<f64> =
            (0..2000u32).map(|i| Seed(1).uniform("test", &[&i.to_le_bytes()])).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }
}
