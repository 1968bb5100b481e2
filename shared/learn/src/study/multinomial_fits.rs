//! Fits multinomial logistic regression: one model of all classes per training set and grid point, by
//! Newton's method where it has few coefficients, else by L-BFGS with the Hessian of a model without weights
//! as its preconditioner ([`crate::logistic::blocks`]).
//!
//! Models start where a model without weights is best, at the logarithms of the classes' counts, so that
//! counts by fold are asked for first; a class without training rows has no optimum.

use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, ClassWeights, LinearModel, RowSet, Scaler, SiteSet, SoftmaxModel,
};
use wardround_core::study::{Balance, GridPoint, LinearPoint, Loss, Standardise};

use super::asker::{Asker, bits_of_products};
use super::design::{FitKey, Purpose, describe};
use super::error::StudyError;
use super::fits::{
    ACCURACY, ACCURACY_OF_SCORES, COARSEST_BITS, Fitted, FittedLinear, FittedSoftmax, Ground,
    Models, add_to_diagonal, failed, scaler,
};
use super::frame::Standard;
use super::profile::fold_counts;
use crate::cohort::Cohort;
use crate::logistic::basis::Basis;
use crate::logistic::blocks::{Blocks, axes};
use crate::logistic::cholesky::Cholesky;
use crate::logistic::lbfgs::{Factor, Lbfgs};
use crate::logistic::lockstep::{Fit, Space, fit_all};
use crate::logistic::newton::Newton;
use crate::logistic::{Constants, NEWTON_COEFFICIENTS, Optimiser, Penalty};

/// Fits all models of the design.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    keys: &[FitKey],
) -> Result<Models, StudyError> {
    let before = asker.queries;
    let design = ground.design;
    let coefficients = usize::from(asker.schema.classes) * (asker.schema.features as usize + 1);
    // Before Gram matrices of features are scaled by how often a class occurs.
    every_class(ground, asker, &keys[0])?;
    let method = if coefficients <= NEWTON_COEFFICIENTS {
        Method::Newton
    } else {
        Method::Lbfgs(preconditioners(asker, ground).await?)
    };
    let gram_queries = asker.queries - before;
    let counts = fold_counts(asker).await?;
    let mut fits: Vec<Fit> = Vec::with_capacity(keys.len());
    let mut standards: Vec<Arc<Standard>> = Vec::new();
    // Fits go training set by training set.
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let standard = Arc::new(ground.cells.standard(&rows));
        let by_class = counts.of(&rows).rows_by_class;
        if let Some(class) = by_class.iter().position(|&rows| rows == 0) {
            return Err(StudyError::OneClassOnly {
                rows: describe(&rows, design.folds, asker.sites),
                class: ground.classes[class].clone(),
                positives: 0,
                total: standard.rows,
            });
        }
        fits.extend(of_set.iter().map(|key| set_up(ground, key, &standard, &by_class, &method)));
        standards.extend(of_set.iter().map(|_| standard.clone()));
    }
    let fitted = fit_all(asker, ground.frame, Loss::Logistic, &mut fits).await;
    fitted.map_err(|failure| failed(failure, keys, &fits, asker, ground))?;
    let finish =
        |(at, fit): (usize, &Fit)| (keys[at], Fitted::Softmax(finish(fit, standards[at].clone())));
    let mut models = Models::new(fits.iter().enumerate().map(finish), asker.queries - before);
    models.gram_queries = gram_queries;
    Ok(models)
}

/// Whether the rows of all sites have every class; of single training sets their counts say so.
fn every_class<C>(
    ground: &Ground<'_>,
    asker: &Asker<'_, C>,
    key: &FitKey,
) -> Result<(), StudyError> {
    let lacks = |class: &u8| ground.prevalence(*class, SiteSet::All) == 0.0;
    match ground.design.classes.iter().find(|class| lacks(class)) {
        None => Ok(()),
        Some(&class) => Err(StudyError::OneClassOnly {
            rows: describe(&key.rows(), ground.design.folds, asker.sites),
            class: ground.classes[usize::from(class)].clone(),
            positives: 0,
            total: ground.cells.standard(&key.rows()).rows,
        }),
    }
}

/// How models are fitted.
enum Method {
    Newton,
    /// Preconditioners by grid point.
    Lbfgs(Vec<Factor>),
}

/// The preconditioner of every grid point, shared by all training sets.
async fn preconditioners<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
) -> Result<Vec<Factor>, StudyError> {
    let design = ground.design;
    let rows = RowSet { repeat: 0, folds: design.all_folds(), sites: SiteSet::All };
    let mut grams: Vec<(Standardise, Vec<f64>, Vec<f64>)> = Vec::new();
    for standardise in Standardise::EACH {
        if !design.grid.iter().any(|point| point.standardise() == standardise) {
            continue;
        }
        let bits = bits_of_products(ground.rows() as f64 * asker.schema.weighting.most());
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Gram {
                frame: ground.frame.clone(),
                rows,
                scaler: scaler(ground.cells, standardise, &rows),
                bits,
            })
            .await?;
        let strength = strengths(standardise, &ground.cells.standard(&rows));
        grams.push((standardise, answer.values("gram"), strength));
    }
    let (order, classes) = (asker.schema.features as usize + 1, asker.schema.classes);
    // The usual training set lacks one fold.
    let share_of_rows = 1.0 - 1.0 / f64::from(design.folds);
    let of_point = |point: &GridPoint| {
        let point = point.linear().expect("the grid is of this classifier");
        let shares: Vec<f64> = match point.balance {
            Balance::None => (0..classes).map(|k| ground.prevalence(k, SiteSet::All)).collect(),
            // Times are drawn for one class against the rest alone.
            Balance::Weights | Balance::OverSampling | Balance::Smote => {
                vec![1.0 / f64::from(classes); usize::from(classes)]
            }
        };
        let (_, gram, strength) = grams
            .iter()
            .find(|(standardise, ..)| *standardise == point.standardise)
            .expect("there is a Gram matrix for every scaler of the grid");
        let (values, basis) = axes(&shares);
        let penalty = strength.iter().map(|strength| strength / point.c);
        let mut roots: Vec<f64> = penalty.map(f64::sqrt).collect();
        let held = hold(ground.rows() as f64 * share_of_rows, classes);
        roots.push((held * f64::from(classes)).sqrt());
        // The first axis is that of equal entries.
        let mut blocks = vec![Factor::Diagonal(Arc::new(roots))];
        for value in &values[1..] {
            let weight = value * share_of_rows;
            let mut matrix: Vec<f64> = gram.iter().map(|g| weight * g).collect();
            add_to_diagonal(&mut matrix, order, strength, 1.0 / point.c);
            let factor = Cholesky::of_upper(order, &matrix).ok_or_else(|| {
                StudyError::Unfit(format!(
                    "the Gram matrix of the features with C = {} is not positive definite",
                    point.c
                ))
            })?;
            blocks.push(Factor::Dense(Arc::new(factor)));
        }
        Ok(Factor::Blocks(Arc::new(Blocks::new(basis, blocks))))
    };
    design.grid.par_iter().map(of_point).collect()
}

/// How strongly the sum of constants is held at 0: about as much as the loss holds a constant.
fn hold(rows: f64, classes: u8) -> f64 {
    rows / f64::from(classes)
}

/// The penalty of each feature's weight at C = 1.
fn strengths(standardise: Standardise, standard: &Standard) -> Vec<f64> {
    match standardise {
        Standardise::All => standard.deviation.iter().map(|s| s * s).collect(),
        Standardise::Site | Standardise::Combat => vec![1.0; standard.deviation.len()],
    }
}

fn set_up(
    ground: &Ground<'_>,
    key: &FitKey,
    standard: &Standard,
    by_class: &[u64],
    method: &Method,
) -> Fit {
    let LinearPoint { c, standardise, balance, .. } = ground.design.linear(key.point);
    let (features, classes) = (standard.mean.len(), by_class.len());
    let rows: u64 = by_class.iter().sum();
    let class_weights: Vec<f64> = match balance {
        Balance::None => vec![1.0; classes],
        Balance::Weights | Balance::OverSampling | Balance::Smote => {
            by_class.iter().map(|&own| rows as f64 / (classes as f64 * own as f64)).collect()
        }
    };
    let of_class: Vec<f64> = strengths(standardise, standard)
        .into_iter()
        .map(|strength| strength / c)
        .chain([0.0])
        .collect();
    let width = features + 1;
    let strength = hold(rows as f64, classes as u8);
    let penalty = Penalty {
        strength: of_class.repeat(classes),
        constants: Constants::SumToZero { width, strength },
    };
    let logarithms: Vec<f64> = by_class
        .iter()
        .zip(&class_weights)
        .map(|(&rows, weight)| libm::log(weight * rows as f64))
        .collect();
    let mean = logarithms.iter().sum::<f64>() / classes as f64;
    let mut start = vec![0.0; classes * width];
    for (of_class, logarithm) in start.chunks_exact_mut(width).zip(logarithms) {
        of_class[features] = logarithm - mean;
    }
    let optimiser = match method {
        Method::Newton => Optimiser::Newton(Newton::start(penalty, start)),
        Method::Lbfgs(factors) => {
            let accuracy = match ground.design.purpose(key) {
                Purpose::Use => ACCURACY,
                Purpose::Scores => ACCURACY_OF_SCORES,
            };
            let factor = factors[key.point].clone();
            Optimiser::Lbfgs(Lbfgs::start(penalty, factor, start, accuracy))
        }
    };
    Fit {
        rows: key.rows(),
        count: standard.rows,
        class: 0,
        weights: ClassWeights::EQUAL,
        space: Space::Softmax {
            scaler: scaler(ground.cells, standardise, &key.rows()),
            fill: standard.fill(ground.cells.any_missing()),
            class_weights,
        },
        basis: Basis::Whole,
        optimiser,
    }
}

/// Takes the optimum; the weights of a column that is constant in the training rows go into the constants.
fn finish(fit: &Fit, standard: Arc<Standard>) -> FittedSoftmax {
    let (scaler, fill) = fit.space.features().expect("only models on features are set up here");
    let mut coefficients = fit.optimiser.next_point().to_vec();
    if *scaler == Scaler::Folded {
        for of_class in coefficients.chunks_exact_mut(standard.mean.len() + 1) {
            let (intercept, weights) = of_class.split_last_mut().expect("a class has a constant");
            for (j, weight) in weights.iter_mut().enumerate().filter(|(j, _)| standard.constant[*j])
            {
                *intercept += *weight * standard.mean[j];
                *weight = 0.0;
            }
        }
    }
    FittedSoftmax {
        model: Arc::new(SoftmaxModel { scaler: scaler.clone(), fill: fill.clone(), coefficients }),
        standard,
        steps: fit.optimiser.steps(),
        evaluations: fit.optimiser.evaluations(),
        gradient: fit.optimiser.gradient() / fit.count as f64,
    }
}

impl FittedSoftmax {
    /// The weights and the constant of one class.
    pub fn of_class(&self, class: u8) -> FittedLinear {
        let width = self.standard.mean.len() + 1;
        let of_class = &self.model.coefficients[usize::from(class) * width..][..width];
        let (intercept, weights) = of_class.split_last().expect("a class has a constant");
        FittedLinear {
            model: LinearModel {
                class,
                scaler: self.model.scaler.clone(),
                weights: weights.to_vec(),
                intercept: *intercept,
                fill: self.model.fill.clone(),
            },
            standard: self.standard.clone(),
            steps: self.steps,
            evaluations: self.evaluations,
            gradient: self.gradient,
        }
    }
}
