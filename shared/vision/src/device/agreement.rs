//! How near a device's features are to the CPU's.

use candle_core::{Result, Tensor};
use serde::Serialize;

use crate::precision::Precision;

/// The most that f32 features may differ, as a share of the largest.
const DIFFERENCE: f64 = 1e-4;

/// The least cosine of an image's features in half precision, as for the admission of a backbone.
const COSINE: f64 = 0.9995;

/// Two sets of features of the same images, compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// max |a - b| / max |b|; infinite where a number isn't finite.
    pub difference: f64,
    /// Of the image where it is least, -1 to 1.
    pub cosine: f64,
}

impl Agreement {
    /// Compares features `[n, features]` with the reference's.
    ///
    /// # Errors
    /// They can't be read.
    pub fn of(features: &Tensor, reference: &Tensor) -> Result<Self> {
        let (a, b) = (features.to_vec2::<f32>()?, reference.to_vec2::<f32>()?);
        if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| a.len() != b.len()) {
            candle_core::bail!("{:?} features can't be compared with {:?}", features, reference);
        }
        if a.iter().chain(&b).flatten().any(|v| !v.is_finite()) {
            return Ok(Self { difference: f64::INFINITY, cosine: -1.0 });
        }
        let (mut most, mut largest, mut cosine) = (0f64, 0f64, 1f64);
        for (a, b) in a.iter().zip(&b) {
            let (mut ab, mut aa, mut bb) = (0f64, 0f64, 0f64);
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                most = most.max((a - b).abs());
                largest = largest.max(b.abs());
                (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
            }
            // Two zero vectors are the same; of one nothing can be said.
            let both = (aa * bb).sqrt();
            cosine = cosine.min(if both > 0.0 { ab / both } else { f64::from(u8::from(aa == bb)) });
        }
        Ok(Self { difference: most / largest.max(f64::MIN_POSITIVE), cosine })
    }

    /// Whether a cache may hold the one beside the other.
    pub fn suffices(&self, precision: Precision) -> bool {
        match precision {
            Precision::F32 => self.difference <= DIFFERENCE,
            Precision::Bf16 => self.cosine >= COSINE,
        }
    }

    /// The bar in words.
    pub fn bar(precision: Precision) -> String {
        match precision {
            Precision::F32 => format!("difference at most {DIFFERENCE:.0e}"),
            Precision::Bf16 => format!("cosine at least {COSINE}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn of(a: &[[f32; 2]], b: &[[f32; 2]]) -> Agreement {
        let tensor = |rows: &[[f32; 2]]| {
            Tensor::new(rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), &Device::Cpu)
                .unwrap()
        };
        Agreement::of(&tensor(a), &tensor(b)).unwrap()
    }

    #[test]
    fn the_worst_image_and_number_count() {
        let same = of(&[[1.0, 2.0], [0.0, 0.0]], &[[1.0, 2.0], [0.0, 0.0]]);
        assert!(same.difference == 0.0 && (same.cosine - 1.0).abs() < 1e-12);
        let other = of(&[[1.0, 0.0], [0.0, 4.0]], &[[1.0, 0.0], [3.0, 4.0]]);
        assert_eq!((other.difference, other.cosine), (0.75, 0.8));
        assert_eq!(of(&[[f32::NAN, 1.0]], &[[1.0, 1.0]]).difference, f64::INFINITY);
        assert_eq!(of(&[[0.0, 0.0]], &[[1.0, 1.0]]).cosine, 0.0);
        let two = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        assert!(Agreement::of(&two, &Tensor::new(&[[1f32]], &Device::Cpu).unwrap()).is_err());
    }

    #[test]
    fn each_precision_has_its_bar() {
        let near = Agreement { difference: 9e-5, cosine: 0.9 };
        assert!(near.suffices(Precision::F32) && !near.suffices(Precision::Bf16));
        let half = Agreement { difference: 0.01, cosine: 0.9996 };
        assert!(!half.suffices(Precision::F32) && half.suffices(Precision::Bf16));
        assert_eq!(Agreement::bar(Precision::F32), "difference at most 1e-4");
    }
}
