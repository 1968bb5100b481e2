//! Random numbers of one picture: SplitMix64 (Steele, Lea and Flood 2014), started from the study
//! seed's pseudo-random function, so that no picture depends on the one drawn before it.

use wardround_core::seed::Seed;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream for a purpose and some names.
    pub fn new(seed: Seed, purpose: &str, names: &[&str]) -> Self {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        Self(seed.bits(&format!("phantom {purpose}"), &names))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// True with some probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        f64::from(self.uniform()) < probability
    }

    /// Bell-shaped with mean 0 and deviation 1, within 3.5: the sum of four uniform numbers.
    pub fn bell(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u32 = (0..4).map(|part| (bits >> (16 * part)) as u16).map(u32::from).sum();
        // Four uniform numbers on 0..65536 have mean 131070 and deviation 65536 / sqrt(3).
        (sum as f32 - 131_070.0) / 37_837.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right() {
        let mut dice = Dice::new(Seed(1), "test", &["a"]);
        let draws: Vec<f32> = (0..20_000).map(|_| dice.bell()).collect();
        let mean = draws.iter().sum::<f32>() / 20_000.0;
        let variance = draws.iter().map(|d| d * d).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        let uniform = (0..20_000).map(|_| dice.uniform()).sum::<f32>() / 20_000.0;
        assert!((uniform - 0.5).abs() < 0.01, "{uniform}");
    }

    #[test]
    fn names_are_told_apart() {
        let first = |names: &[&str]| Dice::new(Seed(1), "test", names).bits();
        assert_ne!(first(&["a", "b"]), first(&["ab"]));
        assert_ne!(first(&["a", "b"]), first(&["a", "c"]));
    }
}
