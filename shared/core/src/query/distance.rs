//! What [`super::Ask::Distances`] asks: how far rows are from the classes of a training set they had no part in.

use serde::{Deserialize, Serialize};

use super::check::check_finite;
use super::{Bins, Column, DecodeError, Fill, MOST_CLASSES, Query, RowSet};

/// Directions of a measure at most.
pub const MOST_DIRECTIONS: usize = 64;

/// Bins of the natural logarithm of the squared distance per column: from an eighth of a thousandth part to three
/// thousand times what a row has that is like the training set's, in steps of 1.6 %.
pub const DISTANCE_BINS: Bins = Bins { half_width: 8.0, count: 1024 };

/// A squared Mahalanobis distance to the nearest of some means, under one covariance that is given by its largest directions and one
/// variance for all that is left.
///
/// With `s = (z - mean) * inverse` it is `sum_k (u_k s)^2 / variance_k + (|s|^2 - sum_k (u_k s)^2) / rest`, least over the means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// One over the deviation of each column; 0 leaves a column out. At least one isn't 0.
    pub inverse: Vec<f64>,
    /// What stands in for missing features.
    pub fill: Fill,
    /// One value per column each; at least one mean.
    pub means: Vec<Vec<f64>>,
    /// Directions `u_k` among standardised columns, of length 1 and at right angles; one value per column each.
    pub directions: Vec<Vec<f64>>,
    /// The variance along each, positive.
    pub variances: Vec<f64>,
    /// The variance of each direction at right angles to them, positive.
    pub rest: f64,
}

impl Measure {
    /// Columns that have a part in it.
    pub fn columns(&self) -> usize {
        self.inverse.iter().filter(|inverse| **inverse != 0.0).count()
    }
}

/// Rows that are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceTerm {
    /// The rows; none of them should have had a part in the measure.
    pub rows: RowSet,
    /// The measure, in the frame's units.
    pub measure: Measure,
}

impl Query {
    /// Whether measures fit the query.
    pub(super) fn check_distances(
        &self,
        terms: &[DistanceTerm],
        bins: &Bins,
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        bins.check()?;
        for DistanceTerm { rows, measure } in terms {
            self.check_rows(rows)?;
            self.check_fill(&measure.fill)?;
            let what = measure.problem(self.schema.features as usize);
            if let Some(what) = what {
                return wrong(what);
            }
        }
        Ok(())
    }

    /// The blocks' cells of a split, for as many bins.
    pub(super) fn binned(&self, split: &[Column], bins: &Bins) -> [usize; 2] {
        [self.cells(split), bins.count as usize]
    }
}

impl Measure {
    /// What doesn't fit together about it, for rows of `features` columns.
    pub fn problem(&self, features: usize) -> Option<String> {
        let Self { inverse, means, directions, variances, rest, .. } = self;
        if means.is_empty() || means.len() > usize::from(MOST_CLASSES) {
            return Some(format!("a distance to {} means", means.len()));
        }
        if directions.len() > MOST_DIRECTIONS || directions.len() != variances.len() {
            let (d, v) = (directions.len(), variances.len());
            return Some(format!("{v} variances of {d} directions"));
        }
        let lists = std::iter::once(inverse).chain(means).chain(directions);
        for list in lists {
            if list.len() != features {
                return Some(format!("{} values of a distance on {features} columns", list.len()));
            }
            if check_finite("", list).is_err() {
                return Some("a distance holds a number that isn't finite".to_owned());
            }
        }
        let positive = |value: &f64| *value > 0.0 && value.is_finite();
        if !variances.iter().chain([rest]).all(positive) {
            return Some("a distance with a variance that isn't positive".to_owned());
        }
        if self.columns() == 0 || inverse.iter().any(|inverse| *inverse < 0.0) {
            return Some("a distance needs columns, with deviations above 0".to_owned());
        }
        None
    }
}
