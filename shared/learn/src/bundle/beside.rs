//! What a bundle says beside a probability: which classes a row may have (conformal sets), the probability recalibrated where the
//! study chose that, and how unlike the row is to those that the models were fitted to.
//!
//! All of it was learned from scores and distances of outer folds, of rows that had no part in what scored them: limits and maps are
//! those of the folds' models, which had a fold less than the final one. A bundle before format 3 has none of it.
//!
//! Tensors: `class.k.conformal [2]` (the probability below which a row may be of another class, and from which it may be of class
//! `k`), `class.k.recalibration [2]` (constant and slope on the logit; `[0]` where they couldn't be fitted), `outliers.inverse
//! [features]`, `outliers.means [means * features]`, `outliers.directions [directions * features]`, `outliers.variances [directions]`,
//! `outliers.rest [1]`, `outliers.limits [steps]`, `outliers.shares [steps]`, and where features may be missing `outliers.fill
//! [features]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wardround_core::query::{Fill, Measure};
use wardround_core::study::{Recalibrate, Study};

use super::{BundleError, ModelBundle, PredictError};
use crate::distance::Ruler;
use crate::findings::{FinalLimits, Findings, LineFit, MeansOf, Outliers};
use crate::metrics::interval::expit;
use crate::metrics::steps::Steps;
use crate::metrics::uncertainty::COVERAGE_PERCENT;

/// What a manifest says of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BesideEntry {
    /// Which classes a row may have.
    pub conformal: ConformalEntry,
    /// Which map of the probabilities the study chose.
    pub recalibration: Recalibrate,
    /// How unlike a row is.
    pub outliers: OutlierEntry,
}

/// Whether there are limits of conformal sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ConformalEntry {
    /// No.
    #[default]
    None,
    /// Of each class by itself.
    ByClass {
        /// Rows in a hundred of a class whose set holds it, at least; 1 to 99.
        coverage_percent: u8,
    },
}

/// Whether there is a distance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum OutlierEntry {
    /// The study didn't ask for it.
    #[default]
    None,
    /// Mahalanobis distance to the nearest mean.
    Mahalanobis {
        /// What its means are of.
        means: MeansOf,
        /// How many directions have a variance of their own.
        directions: u32,
    },
    /// There is none.
    Undefined {
        /// Why.
        reason: String,
    },
}

/// Its numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// Per modelled class the ends of conformal sets; empty where there are none.
    pub sets: Vec<SetLimits>,
    /// Per modelled class; empty where the study chose none.
    pub recalibration: Vec<Recalibration>,
    /// The distance.
    pub outliers: OutlierScore,
}

/// Ends of a class's conformal sets, as probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetLimits {
    /// A row may be of another class below this; 1 where always.
    pub negative_below: f64,
    /// A row may be of the class from this; 0 where always.
    pub positive_from: f64,
}

/// How a class's probabilities are recalibrated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recalibration {
    /// A straight line on the logit.
    Line {
        /// Its constant.
        intercept: f64,
        /// Its slope, above 0.
        slope: f64,
    },
    /// It couldn't be fitted; the report says why.
    Undefined,
}

/// How unlike a row is to the training rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum OutlierScore {
    /// Not known.
    #[default]
    None,
    /// By a distance.
    Measured {
        /// In the features' own units.
        measure: Measure,
        /// Squared distances per column of training rows, by measures that had none of them.
        steps: Steps,
    },
}

/// How unlike a row is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OutlierSaid {
    /// Root mean square over columns of how many deviations it is from the nearest mean; about 1 for rows like the training set's.
    pub distance: f64,
    /// Percent of training rows that are known to be nearer, 0 to 99.
    pub percentile: f64,
    /// Whether it lies beyond the last of the percentiles.
    pub outlier: bool,
}

impl BesideEntry {
    /// Whether it says nothing; then a manifest doesn't mention it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Of a study's findings.
pub(super) fn of(study: &Study, findings: &Findings) -> (BesideEntry, Beside) {
    let (mut entry, mut beside) = (BesideEntry::default(), Beside::default());
    let learned: Option<Vec<_>> = findings
        .targets
        .iter()
        .map(|target| match &target.model.limits {
            FinalLimits::NotLearned => None,
            FinalLimits::Learned(limits) => Some(limits),
        })
        .collect();
    if let Some(learned) = learned {
        entry.conformal = ConformalEntry::ByClass { coverage_percent: COVERAGE_PERCENT };
        beside.sets = learned
            .iter()
            .map(|limits| SetLimits {
                negative_below: limits.negative_below,
                positive_from: limits.positive_from,
            })
            .collect();
        let line = |fit: &LineFit| match fit {
            LineFit::Known { intercept, slope } if *slope > 0.0 => {
                Recalibration::Line { intercept: *intercept, slope: *slope }
            }
            _ => Recalibration::Undefined,
        };
        entry.recalibration = study.validation.recalibrate;
        beside.recalibration = match study.validation.recalibrate {
            Recalibrate::Off => Vec::new(),
            Recalibrate::Platt => learned.iter().map(|limits| line(&limits.platt)).collect(),
            Recalibrate::Temperature => {
                learned.iter().map(|limits| line(&limits.temperature)).collect()
            }
        };
    }
    entry.outliers = match &findings.outliers {
        Outliers::NotAsked => OutlierEntry::None,
        Outliers::Undefined { reason } => OutlierEntry::Undefined { reason: reason.clone() },
        Outliers::Measured(measured) => {
            let steps = measured.steps(&findings.profile);
            match steps.last() {
                None => OutlierEntry::Undefined {
                    reason: "too few patients to tell how far rows usually are".to_owned(),
                },
                Some(_) => {
                    let measure = measured.measure.clone();
                    let directions = measure.directions.len() as u32;
                    beside.outliers = OutlierScore::Measured { measure, steps };
                    OutlierEntry::Mahalanobis { means: measured.means, directions }
                }
            }
        }
    };
    (entry, beside)
}

impl ModelBundle {
    /// The classes that a row may have, by code, given its probabilities: the set that holds each class in as many of its rows as the
    /// manifest says. Empty for a row that is unlike all of them; `None` where the bundle doesn't know. Of labels that may stand
    /// together, those that it may have.
    pub fn possible_classes(&self, probabilities: &[f64]) -> Option<Vec<u8>> {
        if self.beside.sets.is_empty() {
            return None;
        }
        let models = self.manifest.models.iter().map(|entry| entry.class);
        let mut classes: Vec<u8> = models
            .clone()
            .zip(&self.beside.sets)
            .zip(probabilities)
            .filter(|((_, limits), p)| **p >= limits.positive_from)
            .map(|((class, _), _)| class)
            .collect();
        // Of two classes with one model the other is what that isn't.
        if let ([limits], [p], 2) =
            (self.beside.sets.as_slice(), probabilities, self.manifest.classes.len())
            && (*p < limits.negative_below || limits.negative_below >= 1.0)
        {
            classes.extend((0..2).filter(|other| models.clone().all(|class| class != *other)));
        }
        classes.sort_unstable();
        Some(classes)
    }

    /// Each class's probability recalibrated, as the study chose; `None` where it couldn't be fitted. Empty where the study chose none.
    /// Those of several classes needn't add up to 1.
    pub fn recalibrated(&self, probabilities: &[f64]) -> Vec<Option<f64>> {
        let map = |(map, p): (&Recalibration, &f64)| match *map {
            Recalibration::Line { intercept, slope } => {
                let logit = libm::log(p / (1.0 - p));
                Some(expit(intercept + slope * logit))
            }
            Recalibration::Undefined => None,
        };
        self.beside.recalibration.iter().zip(probabilities).map(map).collect()
    }

    /// How unlike a row is to those that the models were fitted to; `None` where the bundle doesn't know, or the row misses a
    /// feature that no training row missed.
    ///
    /// # Errors
    /// [`PredictError::Features`].
    pub fn outlier(&self, features: &[f64]) -> Result<Option<OutlierSaid>, PredictError> {
        let OutlierScore::Measured { measure, steps } = &self.beside.outliers else {
            return Ok(None);
        };
        let (expected, got) = (self.manifest.features as usize, features.len());
        if expected != got {
            return Err(PredictError::Features { expected, got });
        }
        let filled: Option<Vec<f64>> = match &measure.fill {
            Fill::Complete => features.iter().map(|x| x.is_finite().then_some(*x)).collect(),
            Fill::Values(fill) => {
                let both = features.iter().zip(fill);
                Some(both.map(|(x, fill)| if x.is_nan() { *fill } else { *x }).collect())
            }
        };
        let Some(filled) = filled else { return Ok(None) };
        let squared = Ruler::new(measure).squared_per_column(&filled);
        Ok(Some(OutlierSaid {
            distance: squared.sqrt(),
            percentile: 100.0 * steps.share_below(squared),
            outlier: steps.last().is_some_and(|(limit, _)| squared >= limit),
        }))
    }
}

/// Name and values of every tensor.
pub(super) fn tensors(bundle: &ModelBundle) -> BTreeMap<String, Vec<f64>> {
    let mut tensors = BTreeMap::new();
    let classes = || bundle.manifest.models.iter().map(|entry| entry.class);
    for (class, limits) in classes().zip(&bundle.beside.sets) {
        let both = vec![limits.negative_below, limits.positive_from];
        tensors.insert(format!("class.{class}.conformal"), both);
    }
    for (class, map) in classes().zip(&bundle.beside.recalibration) {
        let line = match *map {
            Recalibration::Line { intercept, slope } => vec![intercept, slope],
            Recalibration::Undefined => Vec::new(),
        };
        tensors.insert(format!("class.{class}.recalibration"), line);
    }
    if let OutlierScore::Measured { measure, steps } = &bundle.beside.outliers {
        let mut put = |name: &str, values: Vec<f64>| {
            tensors.insert(format!("outliers.{name}"), values);
        };
        put("inverse", measure.inverse.clone());
        put("means", measure.means.concat());
        put("directions", measure.directions.concat());
        put("variances", measure.variances.clone());
        put("rest", vec![measure.rest]);
        put("limits", steps.limits.clone());
        put("shares", steps.shares.clone());
        if let Fill::Values(fill) = &measure.fill {
            put("fill", fill.clone());
        }
    }
    tensors
}

/// The numbers of a file whose manifest says `entry` of modelled `classes`; `take` gives a tensor by its name, of a known length or of
/// any, and says whether there is one.
pub(super) fn read(
    entry: &BesideEntry,
    classes: &[u8],
    features: usize,
    has: impl Fn(&str) -> bool,
    mut take: impl FnMut(&str, &str, Option<usize>) -> Result<Vec<f64>, BundleError>,
) -> Result<Beside, BundleError> {
    let mut beside = Beside::default();
    for class in classes {
        let of = format!("class.{class}");
        if entry.conformal != ConformalEntry::None {
            let both = take(&of, "conformal", Some(2))?;
            beside.sets.push(SetLimits { negative_below: both[0], positive_from: both[1] });
        }
        if !entry.recalibration.is_off() {
            beside.recalibration.push(match take(&of, "recalibration", None)?.as_slice() {
                [] => Recalibration::Undefined,
                &[intercept, slope] => Recalibration::Line { intercept, slope },
                other => {
                    let what = format!("{of}.recalibration: {} numbers", other.len());
                    return Err(BundleError::Inconsistent(what));
                }
            });
        }
    }
    if let OutlierEntry::Mahalanobis { directions, .. } = entry.outliers {
        let of = "outliers";
        let rows = |flat: Vec<f64>| flat.chunks(features).map(<[f64]>::to_vec).collect();
        let count = directions as usize;
        let length = count.checked_mul(features);
        beside.outliers = OutlierScore::Measured {
            measure: Measure {
                inverse: take(of, "inverse", Some(features))?,
                fill: match has("outliers.fill") {
                    true => Fill::Values(take(of, "fill", Some(features))?),
                    false => Fill::Complete,
                },
                means: rows(take(of, "means", None)?),
                directions: rows(take(of, "directions", length)?),
                variances: take(of, "variances", Some(count))?,
                rest: take(of, "rest", Some(1))?[0],
            },
            steps: Steps { limits: take(of, "limits", None)?, shares: take(of, "shares", None)? },
        };
    }
    Ok(beside)
}

/// What doesn't fit together.
pub(super) fn problem(bundle: &ModelBundle) -> Option<String> {
    let (entry, beside) = (&bundle.manifest.beside, &bundle.beside);
    let models = bundle.models.len();
    let expected = |there: bool| if there { models } else { 0 };
    let sets = expected(entry.conformal != ConformalEntry::None);
    if beside.sets.len() != sets {
        return Some(format!("{} limits of conformal sets, expected {sets}", beside.sets.len()));
    }
    if let ConformalEntry::ByClass { coverage_percent } = entry.conformal
        && !(1..100).contains(&coverage_percent)
    {
        return Some(format!("conformal sets that hold {coverage_percent} %"));
    }
    let share = |value: f64| (0.0..=1.0).contains(&value);
    if !beside.sets.iter().all(|set| share(set.negative_below) && share(set.positive_from)) {
        return Some("a limit of conformal sets that is no probability".to_owned());
    }
    let maps = expected(!entry.recalibration.is_off());
    if beside.recalibration.len() != maps {
        return Some(format!("{} recalibrations, expected {maps}", beside.recalibration.len()));
    }
    let rises = |map: &Recalibration| match *map {
        Recalibration::Line { intercept, slope } => {
            intercept.is_finite() && slope.is_finite() && slope > 0.0
        }
        Recalibration::Undefined => true,
    };
    if !beside.recalibration.iter().all(rises) {
        return Some("a recalibration that doesn't rise".to_owned());
    }
    match (&entry.outliers, &beside.outliers) {
        (OutlierEntry::None | OutlierEntry::Undefined { .. }, OutlierScore::None) => None,
        (
            OutlierEntry::Mahalanobis { directions, .. },
            OutlierScore::Measured { measure, steps },
        ) => {
            if measure.directions.len() != *directions as usize {
                return Some(format!("{directions} directions described"));
            }
            let rising = |values: &[f64]| values.is_sorted_by(|a, b| a < b);
            let inside = |share: &f64| *share > 0.0 && *share < 1.0;
            let limits = steps.limits.iter().all(|limit| limit.is_finite() && *limit > 0.0);
            if steps.limits.is_empty()
                || steps.limits.len() != steps.shares.len()
                || !rising(&steps.limits)
                || !rising(&steps.shares)
                || !limits
                || !steps.shares.iter().all(inside)
            {
                return Some("steps of distances that don't rise".to_owned());
            }
            measure.problem(bundle.manifest.features as usize)
        }
        _ => Some("distances that the manifest doesn't describe".to_owned()),
    }
}
