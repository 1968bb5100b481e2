//! Which parts of an image a model's score comes from, as a [`HeatMap`].
//!
//! A [`Probe`] puts single images through a backbone. Two methods: [`Readout`] makes class activation maps, which are exact, of
//! linear models on backbones whose features are a mean over the last map. [`Occluded`] covers one part of the image after the other
//! and works for every backbone and model. [`road`] measures whether the parts that a map names matter, [`sanity`] whether the map
//! depends on the model at all, and [`paint`] draws it.

mod cam;
mod occlusion;
pub mod paint;
mod probe;
pub mod road;
pub mod sanity;

pub use cam::{ClassMap, NoReadout, Readout};
pub use occlusion::Occluded;
pub use probe::{LastMap, Probe};

/// A number for each part of an image: rows of equal height, columns of equal width, over the whole of what a network sees.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

/// A part of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// From the top, the middle of the part as a share of the height.
    pub down: f64,
    /// From the left, the middle of the part as a share of the width.
    pub across: f64,
    /// Its number.
    pub value: f64,
}

impl HeatMap {
    /// A map of `rows * columns` numbers, row by row; `None` when there are others, or none.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> Option<Self> {
        let fits = !values.is_empty() && rows.checked_mul(columns) == Some(values.len());
        fits.then_some(Self { rows, columns, values })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The mean over all parts.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The same with something added to every number.
    pub fn plus(mut self, constant: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value += constant);
        self
    }

    /// The first part with the largest number.
    pub fn highest(&self) -> Part {
        self.extreme(|value, best| value > best)
    }

    /// The first part with the smallest number.
    pub fn lowest(&self) -> Part {
        self.extreme(|value, best| value < best)
    }

    /// The map as `height * width` pixels: linear between the middles of the parts, constant beyond the outermost ones.
    pub fn grown(&self, height: usize, width: usize) -> Vec<f64> {
        let (down, across) = (between(self.rows, height), between(self.columns, width));
        let at = |row: usize, column: usize| self.values[row * self.columns + column];
        let mut pixels = Vec::with_capacity(height * width);
        for &(upper, lower, y) in &down {
            for &(left, right, x) in &across {
                let above = at(upper, left) * (1.0 - x) + at(upper, right) * x;
                let below = at(lower, left) * (1.0 - x) + at(lower, right) * x;
                pixels.push(above * (1.0 - y) + below * y);
            }
        }
        pixels
    }

    fn extreme(&self, is_better: impl Fn(f64, f64) -> bool) -> Part {
        let mut best = 0;
        for (at, &value) in self.values.iter().enumerate() {
            if is_better(value, self.values[best]) {
                best = at;
            }
        }
        let middle = |at: usize, count: usize| (at as f64 + 0.5) / count as f64;
        Part {
            down: middle(best / self.columns, self.rows),
            across: middle(best % self.columns, self.columns),
            value: self.values[best],
        }
    }
}

/// For each of `pixels`, the parts on both sides of it, and how far it is from the first to the second.
fn between(parts: usize, pixels: usize) -> Vec<(usize, usize, f64)> {
    let last = parts - 1;
    let place = |pixel: usize| {
        let at = (pixel as f64 + 0.5) * parts as f64 / pixels as f64 - 0.5;
        let at = at.clamp(0.0, last as f64);
        let first = at as usize;
        (first, (first + 1).min(last), at - first as f64)
    };
    (0..pixels).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_grows_as_pil_resizes() {
        let map = HeatMap::new(2, 2, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let grown = map.grown(4, 4);
        // PIL.Image.fromarray(float32 [[0, 1], [2, 3]]).resize((4, 4), BILINEAR)
        let expected = [
            [0.0, 0.25, 0.75, 1.0],
            [0.5, 0.75, 1.25, 1.5],
            [1.5, 1.75, 2.25, 2.5],
            [2.0, 2.25, 2.75, 3.0],
        ];
        assert_eq!(grown, expected.concat());
        assert_eq!(HeatMap::new(1, 1, vec![4.0]).unwrap().grown(2, 3), [4.0; 6]);
    }

    #[test]
    fn the_first_extreme_counts() {
        let map = HeatMap::new(2, 3, vec![1.0, 5.0, 0.0, 5.0, -1.0, -1.0]).unwrap();
        assert_eq!(map.highest(), Part { down: 0.25, across: 0.5, value: 5.0 });
        assert_eq!(map.lowest(), Part { down: 0.75, across: 0.5, value: -1.0 });
        assert_eq!(HeatMap::new(2, 3, vec![1.0; 5]), None);
        assert_eq!(HeatMap::new(0, 0, vec![]), None);
    }
}
