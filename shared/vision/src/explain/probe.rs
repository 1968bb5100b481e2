//! A backbone that is asked about single images, `[channels][side][side]` as [`crate::Preprocess::apply`] makes them.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::backbones::Backbone;

/// A backbone, and how images are put through it.
#[derive(Clone)]
pub struct Probe {
    backbone: Arc<dyn Backbone>,
    side: usize,
    batch: usize,
}

/// The last map of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct LastMap {
    /// Places from top to bottom.
    pub rows: usize,
    /// Places from left to right.
    pub columns: usize,
    /// `[channels][rows][columns]`.
    pub values: Vec<f32>,
}

impl LastMap {
    /// How many places it has.
    pub fn places(&self) -> usize {
        self.rows * self.columns
    }

    /// Channel by channel.
    pub fn planes(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.places().max(1))
    }
}

impl Probe {
    /// A backbone that sees `side * side` pixels, `batch` images at a time; 0 counts as 1.
    pub fn new(backbone: Arc<dyn Backbone>, side: usize, batch: usize) -> Self {
        Self { backbone, side, batch: batch.max(1) }
    }

    /// Height and width of the images.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The last map of an image.
    ///
    /// # Errors
    /// The network's; an image of another size.
    pub fn last_map(&self, image: &[f32]) -> Result<LastMap> {
        let map = self.backbone.forward_features(&self.tensor(vec![image.to_vec()])?)?;
        let (_, _, rows, columns) = map.dims4()?;
        Ok(LastMap { rows, columns, values: map.flatten_all()?.to_vec1()? })
    }

    /// The features of images, in order. Only one batch of them is held at a time.
    ///
    /// # Errors
    /// The network's; an image of another size.
    pub fn features(&self, images: impl IntoIterator<Item = Vec<f32>>) -> Result<Vec<Vec<f32>>> {
        let mut images = images.into_iter();
        let mut features = Vec::new();
        loop {
            let batch: Vec<Vec<f32>> = images.by_ref().take(self.batch).collect();
            if batch.is_empty() {
                return Ok(features);
            }
            features.extend(self.backbone.forward(&self.tensor(batch)?)?.to_vec2::<f32>()?);
        }
    }

    fn tensor(&self, images: Vec<Vec<f32>>) -> Result<Tensor> {
        let area = self.side * self.side;
        let channels = images.first().map_or(0, Vec::len) / area.max(1);
        let shape = (images.len(), channels, self.side, self.side);
        Tensor::from_vec(images.concat(), shape, &Device::Cpu)
    }
}
