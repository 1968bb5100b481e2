//! From a picture to the tensor that a network expects, as data: it belongs to the weights, goes into the cache key and the model
//! bundle, and only a study may override it.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Picture;
use super::resize::resize_part;

/// Longest side that a network may want.
const MAX_SIDE: usize = 4096;

/// How a picture is resized; both filters are antialiased as PIL's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Cubic convolution with a = -0.5 (Keys 1981).
    Bicubic,
}

/// Shorter side to a length, centre crop, scale to 0..1, subtract the mean, divide by the standard deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Preprocess {
    pub(crate) shorter_side: usize,
    pub(crate) crop: usize,
    pub(crate) interpolation: Interpolation,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// A preprocessing that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// The crop is larger than the resized picture, or a size is out of range.
    #[error(
        "crop {crop} and shorter side {shorter_side} must satisfy 1 <= crop <= shorter side <= {MAX_SIDE}"
    )]
    Size {
        /// Side of the crop.
        crop: usize,
        /// Shorter side after resizing.
        shorter_side: usize,
    },
    /// A mean that isn't finite, or a standard deviation that isn't above zero.
    #[error("mean {mean:?} must be finite and std {std:?} positive")]
    Scale {
        /// Per channel.
        mean: [f32; 3],
        /// Per channel.
        std: [f32; 3],
    },
}

impl Preprocess {
    /// A checked preprocessing; sizes in pixels, mean and standard deviation per RGB channel on a scale of 0..1.
    pub fn new(
        shorter_side: usize,
        crop: usize,
        interpolation: Interpolation,
        mean: [f32; 3],
        std: [f32; 3],
    ) -> Result<Self, PreprocessError> {
        let made = Self { shorter_side, crop, interpolation, mean, std };
        made.check().map(|()| made)
    }

    pub(crate) fn check(&self) -> Result<(), PreprocessError> {
        let Self { shorter_side, crop, mean, std, .. } = *self;
        if crop == 0 || crop > shorter_side || shorter_side > MAX_SIDE {
            return Err(PreprocessError::Size { crop, shorter_side });
        }
        if !mean.iter().all(|m| m.is_finite()) || !std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(PreprocessError::Scale { mean, std });
        }
        Ok(())
    }

    /// Height and width of the result.
    pub fn crop(&self) -> usize {
        self.crop
    }

    /// Shorter side of the picture before the crop.
    pub fn shorter_side(&self) -> usize {
        self.shorter_side
    }

    /// SHA-256 of all that decides the result, this module's algorithm included.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"wardround preprocess 1: PIL resize, centre crop, normalise\0");
        hasher.update((self.shorter_side as u64).to_le_bytes());
        hasher.update((self.crop as u64).to_le_bytes());
        hasher.update([match self.interpolation {
            Interpolation::Bilinear => 0,
            Interpolation::Bicubic => 1,
        }]);
        for value in self.mean.iter().chain(&self.std) {
            hasher.update(value.to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// Resized and cropped, still 8-bit RGB row by row: PIL's result.
    pub fn resize(&self, picture: &Picture) -> Vec<u8> {
        let (w, h) = (picture.width(), picture.height());
        let scale = self.shorter_side as f64 / w.min(h) as f64;
        // Python's round goes to even.
        let size =
            [w, h].map(|side| ((side as f64 * scale).round_ties_even() as usize).max(self.crop));
        let [columns, rows] = size.map(|side| {
            let start = (side - self.crop) / 2;
            start..start + self.crop
        });
        resize_part(picture, size, columns, rows, self.interpolation)
    }

    /// The network's input: `[3][crop][crop]`.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        let rgb = self.resize(picture);
        let mut planes = vec![0f32; rgb.len()];
        for (channel, plane) in planes.chunks_exact_mut(self.crop * self.crop).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            // One rounding per step, in the reference's order.
            let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
            for (out, pixel) in plane.iter_mut().zip(rgb.chunks_exact(3)) {
                *out = table[usize::from(pixel[channel])];
            }
        }
        planes
    }

    /// Results of [`Preprocess::apply`] as one batch, `[n, 3, crop, crop]`.
    pub fn tensor(&self, images: &[Vec<f32>]) -> candle_core::Result<Tensor> {
        Tensor::from_vec(images.concat(), (images.len(), 3, self.crop, self.crop), &Device::Cpu)
    }
}

/// The same fields as written in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    shorter_side: usize,
    crop: usize,
    interpolation: Interpolation,
    mean: [f32; 3],
    std: [f32; 3],
}

impl TryFrom<Unchecked> for Preprocess {
    type Error = PreprocessError;

    fn try_from(raw: Unchecked) -> Result<Self, PreprocessError> {
        Self::new(raw.shorter_side, raw.crop, raw.interpolation, raw.mean, raw.std)
    }
}

impl From<Preprocess> for Unchecked {
    fn from(p: Preprocess) -> Self {
        Self {
            shorter_side: p.shorter_side,
            crop: p.crop,
            interpolation: p.interpolation,
            mean: p.mean,
            std: p.std,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preprocess() -> Preprocess {
        Preprocess::new(256, 224, Interpolation::Bicubic, [0.5; 3], [0.25; 3]).unwrap()
    }

    #[test]
    fn nonsense_is_refused_also_from_a_file() {
        assert!(Preprocess::new(224, 256, Interpolation::Bicubic, [0.0; 3], [1.0; 3]).is_err());
        assert!(Preprocess::new(256, 0, Interpolation::Bicubic, [0.0; 3], [1.0; 3]).is_err());
        assert!(Preprocess::new(256, 224, Interpolation::Bicubic, [0.0; 3], [0.0; 3]).is_err());
        let json = serde_json::to_string(&preprocess()).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), preprocess());
        for (from, to) in
            [("224", "1000"), ("\"crop\"", "\"krop\""), ("\"crop\":224,", "\"crop\":224,\"x\":1,")]
        {
            assert!(serde_json::from_str::<Preprocess>(&json.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn every_field_changes_the_digest() {
        let base = preprocess();
        let others = [
            Preprocess { shorter_side: 257, ..base.clone() },
            Preprocess { crop: 223, ..base.clone() },
            Preprocess { interpolation: Interpolation::Bilinear, ..base.clone() },
            Preprocess { mean: [0.5, 0.5, 0.25], ..base.clone() },
            Preprocess { std: [0.25, 0.5, 0.25], ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.digest(), base.digest(), "{other:?}");
        }
    }

    #[test]
    fn extreme_shapes_take_little_memory() {
        let p = Preprocess::new(8, 4, Interpolation::Bicubic, [0.0; 3], [1.0; 3]).unwrap();
        let picture = Picture::from_rgb(1, 200_000, vec![255; 600_000]).unwrap();
        assert_eq!(p.apply(&picture), vec![1.0; 3 * 4 * 4]);
    }
}
