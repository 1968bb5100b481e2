//! Random Fourier features (Rahimi and Recht 2007) as queries carry them: a public map of a row to
//! numbers whose products are nearly a Gaussian kernel, so that a linear model on them is nearly a
//! kernel machine and no support vector exists anywhere. `wardround-learn` has the map itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ClassWeights, Combat, DecodeError, FoldSet, Query, RowSet};
use crate::seed::Seed;

/// The fewest numbers that a row may be mapped to.
pub const LEAST_COMPONENTS: u32 = 64;

/// The most numbers that a row may be mapped to.
pub const MOST_COMPONENTS: u32 = 16_384;

/// The narrowest kernel.
pub const MOST_GAMMA: f64 = 1e6;

/// A map of rows to random Fourier features of the kernel `exp(-gamma / features |x - x'|^2)`, `x`
/// standardised. A missing feature counts as its mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FourierMap {
    /// What the frequencies are drawn from.
    pub seed: Seed,
    /// Numbers that a row is mapped to, even, [`LEAST_COMPONENTS`] to [`MOST_COMPONENTS`].
    pub components: u32,
    /// The kernel's width, above 0, up to [`MOST_GAMMA`]: 1 is scikit-learn's `gamma="scale"`.
    pub gamma: f64,
    /// How rows are standardised.
    pub scaler: MapScaler,
}

/// How rows are standardised before they are mapped: `(z - mean) * inverse`, `z` the frame's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MapScaler {
    /// By these numbers, one of each per feature.
    Given {
        /// The training rows' mean.
        mean: Vec<f64>,
        /// One over the training rows' deviation; 0 where the feature is constant.
        inverse: Vec<f64>,
    },
    /// Each site by its own rows in these folds of the model's repeat, as
    /// [`super::Scaler::OwnSite`].
    OwnSite(FoldSet),
    /// As [`super::Scaler::Combat`].
    Combat(Arc<Combat>),
}

/// A linear model on random Fourier features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FourierModel {
    /// The class that counts as positive; all others are negative.
    pub class: u8,
    /// The map.
    pub map: Arc<FourierMap>,
    /// One weight per component.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

/// A model on random Fourier features with the rows it is fitted to, at the point where its loss is
/// wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FourierTerm {
    /// The training rows.
    pub rows: RowSet,
    /// How much rows count.
    pub class_weights: ClassWeights,
    /// The class that counts as positive; all others are negative.
    pub class: u8,
    /// The map, by its index in the query.
    pub map: u32,
    /// One weight per component.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

impl MapScaler {
    /// Whether it depends on the rows of the site that it scales.
    pub fn is_own(&self) -> bool {
        !matches!(self, Self::Given { .. })
    }
}

impl FourierMap {
    /// Checks the parameters that don't depend on features.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check_parameters(components: u32, gamma: f64) -> Result<(), String> {
        let range = LEAST_COMPONENTS..=MOST_COMPONENTS;
        if !range.contains(&components) || !components.is_multiple_of(2) {
            let (low, high) = range.into_inner();
            return Err(format!(
                "{components} components, expected an even number, {low} to {high}"
            ));
        }
        if gamma > 0.0 && gamma <= MOST_GAMMA {
            return Ok(());
        }
        Err(format!("gamma {gamma} of a kernel, expected above 0 and up to {MOST_GAMMA}"))
    }
}

impl Query {
    /// Whether a map fits the rows.
    pub(super) fn check_map(&self, map: &FourierMap) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        FourierMap::check_parameters(map.components, map.gamma)
            .map_err(DecodeError::Inconsistent)?;
        let (mean, inverse) = match &map.scaler {
            MapScaler::OwnSite(folds) => return self.check_folds(*folds),
            MapScaler::Combat(combat) => return self.check_combat(combat),
            MapScaler::Given { mean, inverse } => (mean, inverse),
        };
        let d = self.schema.features as usize;
        if mean.len() != d || inverse.len() != d {
            let (mean, inverse) = (mean.len(), inverse.len());
            return wrong(format!("{mean} means, {inverse} deviations for {d} features"));
        }
        if mean.iter().chain(inverse).all(|v| v.is_finite()) && inverse.iter().all(|v| *v >= 0.0) {
            return Ok(());
        }
        wrong("a map scales by a number that isn't finite or is negative".into())
    }

    /// Whether a model fits its map.
    pub(super) fn check_on_map(
        &self,
        map: &FourierMap,
        class: u8,
        weights: &[f64],
        intercept: f64,
    ) -> Result<(), DecodeError> {
        self.check_class(class)?;
        let (got, expected) = (weights.len(), map.components);
        if got != expected as usize {
            let what = format!("{got} weights for {expected} components");
            return Err(DecodeError::Inconsistent(what));
        }
        super::check::check_finite("a model", weights.iter().chain([&intercept]))
    }

    /// Whether a term fits the query and its map.
    pub(super) fn check_fourier_term(
        &self,
        term: &FourierTerm,
        maps: &[Arc<FourierMap>],
    ) -> Result<(), DecodeError> {
        self.check_rows(&term.rows)?;
        term.class_weights.check()?;
        let Some(map) = maps.get(term.map as usize) else {
            let what = format!("map {} of {}", term.map, maps.len());
            return Err(DecodeError::Inconsistent(what));
        };
        self.check_on_map(map, term.class, &term.weights, term.intercept)
    }
}
