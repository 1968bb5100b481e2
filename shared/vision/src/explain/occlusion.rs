//! Occlusion: M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (arXiv 1311.2901),
//! section 4.2: a patch slides over the image, and what the score loses is what the place under it was worth.
//!
//! It asks nothing of backbone and model, so it works for every one. Departures: the patch has the image's own mean colour rather than
//! grey, since a grey square on a dark radiograph is a finding of its own; and a place's number is the mean over all patches that
//! cover it.

use std::ops::Range;

use super::{HeatMap, Probe};

/// Places along a side. A patch covers two by two of them: a seventh of the side, as much as a place of a ResNet's last map.
const PLACES: usize = 14;

/// Features of an image and of its covered copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Occluded {
    places: usize,
    /// Of the image as it is.
    plain: Vec<f32>,
    /// Per patch, row by row: `places - 1` along a side.
    covered: Vec<Vec<f32>>,
}

impl Occluded {
    /// Puts an image, as the network takes it, and all its covered copies through a backbone.
    ///
    /// # Errors
    /// The network's; an image of one pixel.
    pub fn of(probe: &Probe, image: &[f32]) -> candle_core::Result<Self> {
        let side = probe.side();
        let places = PLACES.min(side);
        if places < 2 {
            candle_core::bail!("an image of {side} pixels a side can't be covered in parts");
        }
        let patches = places - 1;
        let edge = |place: usize| place * side / places;
        let covered = |patch: usize| {
            let (row, column) = (patch / patches, patch % patches);
            let (rows, columns) = (edge(row)..edge(row + 2), edge(column)..edge(column + 2));
            cover(image, side, &rows, &columns)
        };
        let covered = probe.features((0..patches * patches).map(covered))?;
        let plain = probe.features([image.to_vec()])?.concat();
        Ok(Self { places, plain, covered })
    }

    /// Features of the image as it is.
    pub fn plain(&self) -> &[f32] {
        &self.plain
    }

    /// What a score loses where the image is covered.
    ///
    /// # Errors
    /// The score's.
    pub fn map<E>(&self, score: impl Fn(&[f32]) -> Result<f64, E>) -> Result<HeatMap, E> {
        let whole = score(&self.plain)?;
        let patches = self.places - 1;
        let (mut sums, mut counts) =
            (vec![0f64; self.places * self.places], vec![0u32; self.places * self.places]);
        for (patch, features) in self.covered.iter().enumerate() {
            let lost = whole - score(features)?;
            for place in [0, 1, self.places, self.places + 1] {
                let at = patch / patches * self.places + patch % patches + place;
                sums[at] += lost;
                counts[at] += 1;
            }
        }
        let values = sums.iter().zip(counts).map(|(sum, count)| sum / f64::from(count)).collect();
        Ok(HeatMap { rows: self.places, columns: self.places, values })
    }
}

/// The image with a rectangle in its own mean colour.
fn cover(image: &[f32], side: usize, rows: &Range<usize>, columns: &Range<usize>) -> Vec<f32> {
    let mut covered = image.to_vec();
    for plane in covered.chunks_exact_mut(side * side) {
        let mean = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64;
        for row in rows.clone() {
            plane[row * side..][columns.clone()].fill(mean as f32);
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Result, Tensor};

    use super::*;
    use crate::backbones::Backbone;
    use crate::network::Stage;

    const SIDE: usize = 28;

    /// A network whose one feature is the sum of the pixels in the upper right quarter.
    struct Quarter;

    impl Backbone for Quarter {
        fn name(&self) -> &str {
            "quarter"
        }
        fn feature_dim(&self) -> usize {
            1
        }
        fn stages(&self) -> &[Stage] {
            &[]
        }
        fn weights_digest(&self) -> [u8; 32] {
            [0; 32]
        }
        fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
            Ok(images.clone())
        }
        fn forward(&self, images: &Tensor) -> Result<Tensor> {
            images
                .narrow(2, 0, SIDE / 2)?
                .narrow(3, SIDE / 2, SIDE / 2)?
                .sum((1, 2, 3))?
                .reshape(((), 1))
        }
        fn forward_stages(&self, _: &Tensor, _: &[&str]) -> Result<Vec<Tensor>> {
            Ok(vec![])
        }
    }

    #[test]
    fn what_the_score_comes_from_is_found() {
        // Bright in the upper half, so that the mean lies between.
        let image: Vec<f32> =
            (0..SIDE * SIDE).map(|at| f32::from(u8::from(at < SIDE * SIDE / 2))).collect();
        for batch in [1, 8, 1000] {
            let occluded =
                Occluded::of(&Probe::new(Arc::new(Quarter), SIDE, batch), &image).unwrap();
            assert_eq!(occluded.plain(), [(SIDE * SIDE / 4) as f32]);
            let map = occluded.map(|features| Ok::<_, ()>(f64::from(features[0]))).unwrap();
            assert_eq!((map.rows(), map.columns()), (PLACES, PLACES));
            for (at, &value) in map.values().iter().enumerate() {
                let (row, column) = (at / PLACES, at % PLACES);
                match (row, column) {
                    // A patch of 4 x 4 pixels takes half of their brightness.
                    (..6, 8..) => assert!((value - 8.0).abs() < 1e-3, "{row} {column} {value}"),
                    (8.., _) | (_, ..6) => assert!(value.abs() < 1e-3, "{row} {column} {value}"),
                    _ => assert!((0.0..8.01).contains(&value)),
                }
            }
            assert!(occluded.map(|_| Err::<f64, _>("no score")).is_err());
        }
        assert!(Occluded::of(&Probe::new(Arc::new(Quarter), 1, 1), &[1.0]).is_err());
    }
}
