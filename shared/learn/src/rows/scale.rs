//! What a site's own rows are scaled by: their mean and deviation in some folds, or those of all sites adjusted
//! to them (ComBat, [`crate::combat`]).

use std::collections::HashMap;
use std::sync::Arc;

use wardround_core::query::{Combat, FoldPlan, FoldSet, Scaler};

use super::framed::{Framed, Views};
use super::site::{Seen, gaps, lock};
use crate::cohort::CohortError;
use crate::combat::{Own, adjust};

/// Known scales, by deal, repeat and folds.
pub(super) type Scales = HashMap<(FoldPlan, u8, FoldSet), Arc<OwnScale>>;

/// What the site scales each column of the frame's `z` by: `(z - mean) * inverse`.
#[derive(Debug)]
pub(super) struct SiteScale {
    pub(super) mean: Vec<f64>,
    /// 0 for a column that is constant or has no value.
    pub(super) inverse: Vec<f64>,
}

/// The site's own mean and deviation of each column, and the moments that they were made of.
#[derive(Debug)]
pub(super) struct OwnScale {
    scale: Arc<SiteScale>,
    moments: Vec<Own>,
}

impl Seen<'_> {
    /// What this site's rows are scaled by; nothing where the model's weights act on the frame's `z`. `repeat` is
    /// the deal that its folds are of.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: the file of features can't be read.
    pub(super) fn scale(
        &self,
        framed: &Framed,
        repeat: u8,
        scaler: &Scaler,
    ) -> Result<Option<Arc<SiteScale>>, CohortError> {
        match scaler {
            Scaler::Folded => Ok(None),
            Scaler::OwnSite(folds) => self.own_scale(framed, repeat, *folds).map(Some),
            Scaler::Combat(combat) => self.adjusted(framed, repeat, combat).map(Some),
        }
    }

    /// Mean and deviation of this site's rows in some folds of a repeat.
    ///
    /// # Errors
    /// As [`Seen::scale`].
    pub(super) fn own_scale(
        &self,
        framed: &Framed,
        repeat: u8,
        folds: FoldSet,
    ) -> Result<Arc<SiteScale>, CohortError> {
        Ok(self.moments(framed, repeat, folds)?.scale.clone())
    }

    /// Mean and deviation of all sites, adjusted to this site's rows.
    ///
    /// # Errors
    /// As [`Seen::scale`].
    pub(super) fn adjusted(
        &self,
        framed: &Framed,
        repeat: u8,
        combat: &Combat,
    ) -> Result<Arc<SiteScale>, CohortError> {
        let own = self.moments(framed, repeat, combat.folds)?;
        let (mean, inverse) = adjust(&own.moments, &combat.mean, &combat.deviation);
        Ok(Arc::new(SiteScale { mean, inverse }))
    }

    fn moments(
        &self,
        framed: &Framed,
        repeat: u8,
        folds: FoldSet,
    ) -> Result<Arc<OwnScale>, CohortError> {
        let key = (self.query.folds, repeat, folds);
        let mut scales = lock(&framed.scales);
        if let Some(known) = scales.get(&key) {
            return Ok(known.clone());
        }
        let computed = Arc::new(self.compute_scale(framed, repeat, folds)?);
        Ok(scales.entry(key).or_insert(computed).clone())
    }

    fn compute_scale(
        &self,
        framed: &Framed,
        repeat: u8,
        folds: FoldSet,
    ) -> Result<OwnScale, CohortError> {
        let d = self.features();
        let views = self.rows.plain(framed);
        let chosen: Vec<usize> =
            (0..self.rows.len()).filter(|&row| folds.contains(self.folds(repeat)[row])).collect();
        let (mut n, mut mean, mut variance) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        let (mut low, mut high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
        for_each_value(&views, &chosen, |column, z| {
            n[column] += 1.0;
            mean[column] += z;
            low[column] = z.min(low[column]);
            high[column] = z.max(high[column]);
        })?;
        mean.iter_mut().zip(&n).filter(|(_, n)| **n > 0.0).for_each(|(mean, n)| *mean /= n);
        for_each_value(&views, &chosen, |column, z| {
            variance[column] += (z - mean[column]) * (z - mean[column]);
        })?;
        // Constant is what has one value, not what rounding left a deviation of.
        let inverse = (0..d)
            .map(|k| if high[k] > low[k] { 1.0 / (variance[k] / n[k]).sqrt() } else { 0.0 })
            .collect();
        let moments = (0..d)
            .map(|k| {
                let spread = if high[k] > low[k] { variance[k] / n[k] } else { 0.0 };
                Own { n: n[k], mean: mean[k], variance: spread }
            })
            .collect();
        Ok(OwnScale { scale: Arc::new(SiteScale { mean, inverse }), moments })
    }
}

/// Each value of some rows that isn't missing, with its column, row by row.
fn for_each_value(
    views: &Views<'_>,
    chosen: &[usize],
    mut of: impl FnMut(usize, f64),
) -> Result<(), CohortError> {
    views.for_each(|block| {
        for &row in block.of(chosen) {
            let mut gaps = gaps(block.missing, row).iter().map(|&(_, gap)| gap).peekable();
            for (column, &z) in block.row(row)[..views.features()].iter().enumerate() {
                if gaps.next_if_eq(&column).is_none() {
                    of(column, z);
                }
            }
        }
        Ok(())
    })
}
