//! Fits support vector machines that are made of rows, where rows are in one place: features standardised by
//! the training rows' mean and deviation, missing ones at the mean, one machine per class against the rest.
//!
//! A training set's machines are fitted one after the other, some sets at once as far as their kernel matrices
//! fit into [`MEMORY`]. Every row of the study is then scored by each: questions carry those scores
//! ([`GivenScores`]) and never a support vector.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{FoldSet, GivenScores, SiteSet, Weighting};

use super::asker::Asker;
use super::design::{Design, FitKey, Purpose};
use super::error::StudyError;
use super::fits::{Fitted, Ground, Models, NoOptimum, explain, needs_counts, weights};
use super::frame::Standard;
use super::profile::fold_counts;
use crate::bundle::LARGEST_BUNDLE;
use crate::cohort::{Cohort, Held};
use crate::findings::{MissingFeatures, OwnKernel};
use crate::kernel_machine::{MOST_ROWS, MOST_STEPS, Machine, Setting, fit as fit_machine};
use crate::kernel_machine::{scores, violation};
use crate::rows::HeldRows;
use crate::rows::kernel::Matrix;

/// Bytes of kernel matrices at once.
const MEMORY: usize = 2 << 30;

/// A violation up to which a machine counts as fitted; linfa ends at a hundredth of it.
const TOLERATED: f64 = 1e-5;

/// A support vector machine that is made of rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedKernel {
    /// Its score of every row of the study.
    pub scores: Arc<GivenScores>,
    /// What it is made of.
    pub vectors: Vectors,
    /// By how much it misses the optimality conditions.
    pub violation: f64,
}

/// Whether support vectors are kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Vectors {
    /// Of a model that may be given away.
    Kept(Arc<OwnKernel>),
    /// Of one whose scores alone count.
    Dropped,
}

impl FittedKernel {
    /// The model, where its support vectors are kept.
    pub fn model(&self) -> Option<&OwnKernel> {
        match &self.vectors {
            Vectors::Kept(model) => Some(model),
            Vectors::Dropped => None,
        }
    }
}

/// Fits some models of the design, in its order.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    keys: &[FitKey],
) -> Result<Models, StudyError> {
    let before = asker.queries;
    let design = ground.design;
    let needs_counts = needs_counts(asker.schema, &design.grid);
    let counts = if needs_counts { Some(fold_counts(asker).await?) } else { None };
    let Held::Here(held) = asker.cohort.held(asker.input) else {
        let what = "\"kernel-svm\" is made of rows, and these are at their sites: use \"rbf-svm\"";
        return Err(StudyError::Unfit(what.to_owned()));
    };
    if asker.schema.weighting != Weighting::Equal {
        let what = "\"kernel-svm\" counts a row by its class alone, and these have weights: use \"rbf-svm\"";
        return Err(StudyError::Unfit(what.to_owned()));
    }
    let held = held.of(asker.sites);
    let all = Gathered::new(asker, design, &held)?;
    check_rows(all.classes.len() as u64)?;
    let mut sets = Vec::new();
    // Fits go training set by training set.
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let standard = ground.cells.standard(&of_set[0].rows());
        let mut settings = Vec::with_capacity(of_set.len());
        for key in of_set {
            let point = design.grid[key.point].kernel().expect("the grid is of this classifier");
            let weights = weights(ground, key, counts.as_ref())
                .map_err(|failure| explain(failure, key, standard.rows, asker, ground))?;
            let c = [point.c * weights.negative, point.c * weights.positive];
            settings.push(Setting { gamma: point.gamma, c });
        }
        sets.push((of_set, standard, settings));
    }
    let at_once = (MEMORY / (8 * all.classes.len().pow(2))).max(1);
    let mut models = Vec::with_capacity(keys.len());
    for some in sets.chunks(at_once) {
        let of_set = |(keys, standard, settings): &(&[FitKey], Standard, Vec<Setting>)| {
            all.fit(ground, keys, standard, settings)
        };
        let fitted: Vec<_> = some.par_iter().map(of_set).collect();
        for (of_set, (keys, standard, _)) in fitted.into_iter().zip(some) {
            let of_set = of_set
                .map_err(|(at, why)| explain(why, &keys[at], standard.rows, asker, ground))?;
            models.extend(keys.iter().copied().zip(of_set));
        }
    }
    Ok(Models::new(models, asker.queries - before))
}

/// Whether machines can be fitted to so many rows of a study.
pub(crate) fn check_rows(rows: u64) -> Result<(), StudyError> {
    if rows <= MOST_ROWS as u64 {
        return Ok(());
    }
    Err(StudyError::Unfit(format!(
        "\"kernel-svm\" takes up to {MOST_ROWS} rows, since its kernel matrix has as many numbers as rows \
         times rows, and the study has {rows}: use kind = \"rbf-svm\", or fewer rows"
    )))
}

/// Whether a bundle has room for so many rows in each of some models.
pub(crate) fn check_bundle(rows: u64, features: u32, models: u64) -> Result<(), StudyError> {
    let bytes = rows * u64::from(features) * 8 * models;
    if bytes <= LARGEST_BUNDLE as u64 {
        return Ok(());
    }
    Err(StudyError::Unfit(format!(
        "\"kernel-svm\" keeps rows in its models, here up to {} MB ({models} of {rows} rows of {features} \
         features), and a bundle has at most {} MB: use kind = \"rbf-svm\", or fewer rows or classes",
        bytes >> 20,
        LARGEST_BUNDLE >> 20
    )))
}

/// All rows of a study.
struct Gathered<'a> {
    held: &'a HeldRows<'a>,
    /// Per row, its site by index in the study.
    sites: Vec<u16>,
    classes: Vec<ClassSet>,
    /// Per repeat, the fold of each row.
    folds: Vec<Vec<u8>>,
    features: usize,
    /// Row by row; NaN where one is missing.
    values: Vec<f64>,
}

impl<'a> Gathered<'a> {
    fn new<C>(
        asker: &Asker<'_, C>,
        design: &Design,
        held: &'a HeldRows<'a>,
    ) -> Result<Self, StudyError> {
        let of_site = |(site, rows)| {
            let at = asker.sites.binary_search(site).expect("rows of other sites were left out");
            std::iter::repeat_n(at as u16, rows)
        };
        let mut values = Vec::new();
        for row in held.rows() {
            let features = row.features();
            values.extend_from_slice(&features.map_err(|why| StudyError::Unfit(why.to_string()))?);
        }
        Ok(Self {
            values,
            sites: held.sites().flat_map(of_site).collect(),
            classes: held.rows().map(|row| row.classes).collect(),
            folds: (0..design.repeats).map(|repeat| held.folds(&asker.folds, repeat)).collect(),
            features: asker.schema.features as usize,
            held,
        })
    }

    /// The rows of a training set.
    fn training(&self, repeat: u8, folds: FoldSet, sites: SiteSet) -> Vec<usize> {
        let dealt = &self.folds[usize::from(repeat)];
        let is_in = |row: &usize| folds.contains(dealt[*row]) && sites.contains(self.sites[*row]);
        (0..self.classes.len()).filter(is_in).collect()
    }

    /// Fits the models of a training set; of one that has none, its place and why.
    fn fit(
        &self,
        ground: &Ground<'_>,
        keys: &[FitKey],
        standard: &Standard,
        settings: &[Setting],
    ) -> Result<Vec<Fitted>, (usize, NoOptimum)> {
        let FitKey { repeat, folds, sites, .. } = keys[0];
        let training = self.training(repeat, folds, sites);
        let (mean, inverse) = scaler(ground, standard);
        let rows = self.standardised(&mean, &inverse);
        let (count, d) = (self.classes.len(), self.features);
        let own: Vec<f64> = training.iter().flat_map(|&row| &rows.row(row)[..d]).copied().collect();
        let own = ArrayView2::from_shape((training.len(), d), &own)
            .expect("as many numbers as rows times features were copied");
        let mut machines = Vec::with_capacity(keys.len());
        let mut positives = Vec::with_capacity(keys.len());
        for (at, (key, setting)) in keys.iter().zip(settings).enumerate() {
            let class = ground.design.classes[key.target];
            let positive: Vec<bool> =
                training.iter().map(|&row| self.classes[row].has(class)).collect();
            let in_class = positive.iter().filter(|positive| **positive).count();
            if in_class == 0 || in_class == positive.len() {
                return Err((at, NoOptimum::OneClass { positives: in_class as u64 }));
            }
            let machine = fit_machine(own, ArrayView1::from(&positive), setting)
                .map_err(|_| (at, NoOptimum::Singular))?;
            machines.push((*setting, machine));
            positives.push(positive);
        }
        let scores = scores(&rows, (count, d), &training, &machines);
        let missing = match ground.cells.any_missing() {
            true => MissingFeatures::Filled,
            false => MissingFeatures::Refused,
        };
        let mut fitted = Vec::with_capacity(keys.len());
        for (at, (key, scores)) in keys.iter().zip(scores).enumerate() {
            let (setting, machine) = &machines[at];
            let of_training: Vec<f64> = training.iter().map(|&row| scores[row]).collect();
            let violation = violation(machine, setting, &positives[at], &of_training);
            if violation.is_nan() || violation > TOLERATED {
                return Err((at, NoOptimum::Stuck { steps: MOST_STEPS, gradient: violation }));
            }
            let vectors = match ground.design.purpose(key) {
                Purpose::Scores => Vectors::Dropped,
                Purpose::Use => {
                    let (vectors, coefficients) = support(machine, own);
                    let (mean, inverse) = (mean.clone(), inverse.clone());
                    let (gamma, intercept) = (setting.gamma, machine.intercept);
                    Vectors::Kept(Arc::new(OwnKernel {
                        gamma,
                        mean,
                        inverse,
                        missing,
                        vectors,
                        coefficients,
                        intercept,
                    }))
                }
            };
            let scores = Arc::new(GivenScores {
                class: ground.design.classes[key.target],
                by_site: self.by_site(&scores),
            });
            fitted.push(Fitted::Kernel(FittedKernel { scores, vectors, violation }));
        }
        Ok(fitted)
    }

    /// All rows, standardised; a missing feature is at the mean.
    fn standardised(&self, mean: &[f64], inverse: &[f64]) -> Matrix {
        let mut rows = Matrix::zero(self.classes.len(), self.features);
        for (at, row) in self.values.chunks_exact(self.features).enumerate() {
            let columns = row.iter().zip(mean).zip(inverse);
            for (z, ((x, mean), inverse)) in rows.row_mut(at).iter_mut().zip(columns) {
                *z = if x.is_nan() { 0.0 } else { (x - mean) * inverse };
            }
        }
        rows
    }

    fn by_site(&self, scores: &[f64]) -> BTreeMap<SiteId, Vec<f64>> {
        let mut rest = scores;
        let mut by_site = BTreeMap::new();
        for (site, rows) in self.held.sites() {
            let (own, others) = rest.split_at(rows);
            by_site.insert(site.clone(), own.to_vec());
            rest = others;
        }
        by_site
    }
}

/// Mean, and one over the deviation, in the features' own units.
fn scaler(ground: &Ground<'_>, standard: &Standard) -> (Vec<f64>, Vec<f64>) {
    let deviation = standard.own_deviation(ground.frame);
    let both = deviation.iter().zip(&standard.constant);
    let inverse = both.map(|(s, constant)| if *constant { 0.0 } else { 1.0 / s }).collect();
    (standard.own_mean(ground.frame), inverse)
}

/// The support vectors, row by row, with their coefficients.
fn support(machine: &Machine, rows: ArrayView2<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    let is_support = |at: &usize| machine.coefficients[*at] != 0.0;
    let support: Vec<usize> = (0..machine.coefficients.len()).filter(is_support).collect();
    let vectors = support.iter().flat_map(|&at| rows.row(at).to_vec()).collect();
    (vectors, support.iter().map(|&at| machine.coefficients[at]).collect())
}
