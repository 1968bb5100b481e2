//! What an image looks like, in a few bytes: for finding copies of it, exact ones and near ones.
//!
//! Source of the hash: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1: the signs of
//! low frequencies of the discrete cosine transform about their median. Departures: 16 x 16 frequencies of 64 x 64 pixels instead of
//! 8 x 8 of 32 x 32, since radiographs of one view are so alike that 64 bits don't tell them apart (of 17 million pairs of
//! pneumoniamnist 2,149 differ by at most 6 of 64 bits and aren't copies; none by at most 40 of 256); the median leaves out the mean grey;
//! and an image without contrast has no hash, for its signs would be noise.
//!
//! A crate does the like (`image_hasher`), with an FFT of eight crates behind it and a resampling of its own; here PIL's is at hand, so that
//! numpy and PIL make the same bits.

use std::f64::consts::PI;
use std::fmt;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::resize::resize_part;
use super::{Interpolation, Picture};

/// Pixels a side that the transform sees.
const SIDE: usize = 64;

/// Frequencies a side that are kept.
const KEPT: usize = 16;

/// An image whose strongest wave is below this has no contrast: an eighth of a grey level.
const NO_CONTRAST: f64 = 8.0;

/// What an image looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of size and pixels: the same for every lossless copy, whatever the file.
    pub pixels: [u8; 32],
    /// What stays nearly the same when an image is re-encoded, resized, brightened or stretched in contrast; `None` without contrast.
    pub hash: Option<PerceptualHash>,
}

/// 256 bits, each the sign of a wave. Of images that have nothing to do with each other about 128 differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerceptualHash([u64; 4]);

impl Fingerprint {
    /// That of a picture.
    pub fn of(picture: &Picture) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((picture.width as u64).to_le_bytes());
        hasher.update((picture.height as u64).to_le_bytes());
        hasher.update(&picture.rgb);
        Self { pixels: hasher.finalize().into(), hash: PerceptualHash::of(picture) }
    }
}

impl PerceptualHash {
    /// Bits.
    pub const BITS: u32 = 256;

    /// Bands of 16 bits.
    pub const BANDS: usize = 16;

    /// The hash of these bits.
    pub fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// That of a picture; `None` when it has no contrast.
    fn of(picture: &Picture) -> Option<Self> {
        let waves = waves(&grey(picture));
        let mut others: Vec<f64> = waves[1..].to_vec();
        if others.iter().all(|wave| wave.abs() < NO_CONTRAST) {
            return None;
        }
        others.sort_by(f64::total_cmp);
        let median = others[others.len() / 2];
        let mut words = [0; 4];
        for (at, wave) in waves.iter().enumerate() {
            if *wave > median {
                let bit = place(at / KEPT, at % KEPT);
                words[bit / 64] |= 1 << (bit % 64);
            }
        }
        Some(Self(words))
    }

    /// How many bits differ, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// The bits of a band, each of which holds low and high frequencies: hashes that differ by fewer than `2 * BANDS` bits agree in at
    /// least one band but for at most one bit.
    pub fn band(&self, band: usize) -> u16 {
        (self.0[band / 4] >> (16 * (band % 4))) as u16
    }
}

impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerceptualHash({self})")
    }
}

/// The bit of a frequency: along the diagonals, so that no band holds the lowest frequencies alone, in which images of one kind agree.
fn place(down: usize, across: usize) -> usize {
    16 * ((down + across) % KEPT) + down
}

/// 64 x 64 grey pixels, as PIL's `resize((64, 64), BILINEAR).convert("L")` makes them.
fn grey(picture: &Picture) -> Vec<f64> {
    let small = resize_part(picture, [SIDE; 2], 0..SIDE, 0..SIDE, Interpolation::Bilinear);
    let luma = |pixel: &[u8]| {
        let [r, g, b] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
        f64::from((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16)
    };
    small.chunks_exact(3).map(luma).collect()
}

/// The lowest frequencies of the orthonormal DCT-II, row by row.
fn waves(pixels: &[f64]) -> Vec<f64> {
    static COSINES: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let side = SIDE as f64;
        let cosine = |frequency: usize, at: usize| {
            let scale = if frequency == 0 { 1.0 } else { 2.0 };
            let angle = PI * (2 * at + 1) as f64 * frequency as f64 / (2.0 * side);
            (scale / side).sqrt() * libm::cos(angle)
        };
        (0..KEPT).flat_map(|frequency| (0..SIDE).map(move |at| cosine(frequency, at))).collect()
    });
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosines = || COSINES.chunks_exact(SIDE);
    // First along the rows: one list of row values per frequency across.
    let across: Vec<Vec<f64>> = cosines()
        .map(|cosine| pixels.chunks_exact(SIDE).map(|row| dot(row, cosine)).collect())
        .collect();
    cosines().flat_map(|down| across.iter().map(move |column| dot(column, down))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(grey: u8) -> Picture {
        Picture::from_rgb(40, 30, vec![grey; 40 * 30 * 3]).unwrap()
    }

    #[test]
    fn without_contrast_there_is_no_hash() {
        let [black, grey] = [0, 90].map(|shade| Fingerprint::of(&flat(shade)));
        assert_eq!((black.hash, grey.hash), (None, None));
        assert_ne!(black.pixels, grey.pixels);
        assert_eq!(grey, Fingerprint::of(&flat(90)));
        let wide = Picture::from_rgb(30, 40, vec![90; 40 * 30 * 3]).unwrap();
        assert_ne!(grey.pixels, Fingerprint::of(&wide).pixels, "the size counts");
    }

    #[test]
    fn every_frequency_has_its_bit() {
        let mut bits: Vec<usize> =
            (0..KEPT).flat_map(|down| (0..KEPT).map(move |across| place(down, across))).collect();
        bits.sort_unstable();
        assert_eq!(bits, (0..256).collect::<Vec<_>>());
        let hash = PerceptualHash([0x0123_4567_89ab_cdef, 1, 2, 3 << 48]);
        assert_eq!([hash.band(0), hash.band(3), hash.band(15)], [0xcdef, 0x0123, 3]);
        assert_eq!(hash.distance(&PerceptualHash([0x0123_4567_89ab_cdee, 1, 2, 0])), 3);
    }
}
