//! From a picture to the tensor that a network expects, as data: it belongs to the weights, goes into the cache key and the model
//! bundle, and only a study may override it.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Picture;
use super::resize::resize_part;
use super::smooth::smoothed_square;

/// Longest side that a network may want.
const MAX_SIDE: usize = 4096;

/// How a picture is resized. The first two filters are antialiased as PIL's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Cubic convolution with a = -0.5 (Keys 1981).
    Bicubic,
    /// Of the picture's central square only, as torchxrayvision and scikit-image do it: a Gaussian, then linear, outside it zero
    /// after scaling.
    Smoothed,
}

/// Which colours a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Red, green and blue.
    #[default]
    Rgb,
    /// One channel, the red one: a grey picture has three equal channels.
    Grey,
}

impl Colour {
    /// Number of channels.
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Grey => 1,
        }
    }

    // serde passes a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_rgb(&self) -> bool {
        *self == Self::Rgb
    }
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
    pub(crate) colour: Colour,
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
        let made = Self { shorter_side, crop, interpolation, mean, std, colour: Colour::Rgb };
        made.check().map(|()| made)
    }

    /// The same with the other filter.
    pub(crate) fn bilinear(self) -> Self {
        Self { interpolation: Interpolation::Bilinear, ..self }
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

    /// Colours of the result.
    pub fn colour(&self) -> Colour {
        self.colour
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
            Interpolation::Smoothed => 2,
        }]);
        for value in self.mean.iter().chain(&self.std) {
            hasher.update(value.to_le_bytes());
        }
        match self.colour {
            Colour::Rgb => {}
            Colour::Grey => hasher.update(b"grey"),
        }
        hasher.finalize().into()
    }

    /// Resized and cropped, still 8-bit RGB row by row: PIL's result; or, with [`Interpolation::Smoothed`], what the network sees,
    /// rounded.
    pub fn resize(&self, picture: &Picture) -> Vec<u8> {
        if self.interpolation == Interpolation::Smoothed {
            let planes = [0, 1, 2].map(|channel| self.smoothed(picture, channel));
            return (0..planes[0].len())
                .flat_map(|at| planes.each_ref().map(|plane| plane[at].round_ties_even() as u8))
                .collect();
        }
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

    /// The middle of one channel's smoothed square, on the scale 0..255.
    fn smoothed(&self, picture: &Picture, channel: usize) -> Vec<f64> {
        let zero = 255.0 * f64::from(self.mean[channel]);
        let square = smoothed_square(picture, channel, self.shorter_side, zero);
        let start = (self.shorter_side - self.crop) / 2;
        let rows = square.chunks_exact(self.shorter_side).skip(start).take(self.crop);
        rows.flat_map(|row| row[start..][..self.crop].iter().copied()).collect()
    }

    /// The network's input: `[channels][crop][crop]`.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        if self.interpolation == Interpolation::Smoothed {
            let scaled = |channel: usize| {
                let (mean, std) = (f64::from(self.mean[channel]), f64::from(self.std[channel]));
                let plane = self.smoothed(picture, channel).into_iter();
                plane.map(move |v| ((v / 255.0 - mean) / std) as f32)
            };
            return (0..self.colour.channels()).flat_map(scaled).collect();
        }
        self.normalise(&self.resize(picture))
    }

    /// Pixels of [`Preprocess::resize`] as the network's input.
    pub(super) fn normalise(&self, rgb: &[u8]) -> Vec<f32> {
        let area = self.crop * self.crop;
        let mut planes = vec![0f32; self.colour.channels() * area];
        for (channel, plane) in planes.chunks_exact_mut(area).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            // One rounding per step, in the reference's order.
            let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
            for (out, pixel) in plane.iter_mut().zip(rgb.chunks_exact(3)) {
                *out = table[usize::from(pixel[channel])];
            }
        }
        planes
    }

    /// Results of [`Preprocess::apply`] as one batch, `[n, channels, crop, crop]`.
    pub fn tensor(&self, images: &[Vec<f32>]) -> candle_core::Result<Tensor> {
        let shape = (images.len(), self.colour.channels(), self.crop, self.crop);
        Tensor::from_vec(images.concat(), shape, &Device::Cpu)
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
    #[serde(default, skip_serializing_if = "Colour::is_rgb")]
    colour: Colour,
}

impl TryFrom<Unchecked> for Preprocess {
    type Error = PreprocessError;

    fn try_from(raw: Unchecked) -> Result<Self, PreprocessError> {
        let Unchecked { shorter_side, crop, interpolation, mean, std, colour } = raw;
        let made = Self { shorter_side, crop, interpolation, mean, std, colour };
        made.check().map(|()| made)
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
            colour: p.colour,
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
        let grey = Preprocess { colour: Colour::Grey, ..preprocess() };
        let written = serde_json::to_string(&grey).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&written).unwrap(), grey);
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
            Preprocess { interpolation: Interpolation::Smoothed, ..base.clone() },
            Preprocess { colour: Colour::Grey, ..base.clone() },
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
