//! Fits support vector machines with a Gaussian kernel: linear ones on random Fourier features, whose
//! map every site works out by itself from the study's public seed and a training set's mean and
//! deviation.
//!
//! The preconditioner is the diagonal of the Hessian. A Gram matrix of the mapped rows would save
//! rounds, but has the square of the components in numbers, more than the rounds that it saves.

use std::sync::Arc;

use wardround_core::query::{ClassWeights, FourierMap, FourierModel, MapScaler};
use wardround_core::study::{Loss, RbfPoint, Standardise};

use super::asker::Asker;
use super::design::{FitKey, Purpose};
use super::error::StudyError;
use super::fits::{
    ACCURACY, ACCURACY_OF_SCORES, Fitted, FittedFourier, Ground, Models, WITHIN_MARGIN, explain,
    failed, needs_counts, rows_after, weights,
};
use super::frame::Standard;
use super::profile::fold_counts;
use crate::cohort::Cohort;
use crate::logistic::basis::Basis;
use crate::logistic::lbfgs::{Factor, Lbfgs};
use crate::logistic::lockstep::{Failure, Fit, Space, fit_all};
use crate::logistic::{Constants, Optimiser, Penalty};

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
    let mut fits: Vec<Fit> = Vec::with_capacity(keys.len());
    let mut standards = Vec::new();
    // Fits go training set by training set.
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let standard = Arc::new(ground.cells.standard(&rows));
        let mut maps: Vec<Arc<FourierMap>> = Vec::new();
        for key in of_set {
            let point = *design.grid[key.point].rbf().expect("the grid is of this classifier");
            let kept = ground.selections.of(key, point.reduce).map(|kept| kept.as_slice());
            let map = map(asker, ground, (&point, key), &standard, kept);
            let known = maps.iter().find(|known| ***known == map).cloned();
            let map = known.unwrap_or_else(|| {
                maps.push(Arc::new(map));
                maps[maps.len() - 1].clone()
            });
            let weights = weights(ground, key, counts.as_ref())
                .map_err(|failure| explain(failure, key, standard.rows, asker, ground))?;
            let most = asker.schema.weighting.most();
            fits.push(set_up(ground, key, &point, &standard, map, (weights, most)));
        }
        standards.extend(of_set.iter().map(|_| standard.clone()));
    }
    let fitted = fit_all(asker, ground.frame, Loss::SquaredHinge, &mut fits).await;
    fitted.map_err(|failure: Failure| failed(failure, keys, &fits, asker, ground))?;
    let any_missing = ground.cells.any_missing();
    let finish = |(at, fit): (usize, Fit)| {
        let Space::Fourier(map) = &fit.space else { return None };
        let (weights, intercept) = fit.weights_and_constant();
        let fitted = FittedFourier {
            model: FourierModel { class: fit.class, map: map.clone(), weights, intercept },
            standard: standards[at].clone(),
            any_missing,
            steps: fit.optimiser.steps(),
            evaluations: fit.optimiser.evaluations(),
            gradient: fit.optimiser.gradient() / fit.count as f64,
        };
        Some((keys[at], Fitted::Fourier(fitted)))
    };
    Ok(Models::new(fits.into_iter().enumerate().filter_map(finish), asker.queries - before))
}

/// The map of a grid point for a training set, of some features or all. The kernel divides squared
/// distances by the number of features, so that those which are kept are scaled for the others.
fn map<C>(
    asker: &Asker<'_, C>,
    ground: &Ground<'_>,
    (point, key): (&RbfPoint, &FitKey),
    standard: &Standard,
    kept: Option<&[u32]>,
) -> FourierMap {
    let scaler = match point.standardise {
        Standardise::Site => MapScaler::OwnSite(key.folds),
        Standardise::Combat => MapScaler::Combat(Arc::new(ground.cells.combat(&key.rows()))),
        Standardise::All => {
            let both = standard.deviation.iter().zip(&standard.constant);
            let mut inverse: Vec<f64> =
                both.map(|(s, constant)| if *constant { 0.0 } else { 1.0 / s }).collect();
            if let Some(kept) = kept {
                let all = inverse.len() as f64;
                let stretch = (all / kept.len() as f64).sqrt();
                let mut of_kept = vec![0.0; inverse.len()];
                for j in kept.iter().map(|&j| j as usize) {
                    of_kept[j] = stretch * inverse[j];
                }
                inverse = of_kept;
            }
            MapScaler::Given { mean: standard.mean.clone(), inverse }
        }
    };
    let RbfPoint { components, gamma, .. } = *point;
    FourierMap { seed: asker.folds.seed, components, gamma, scaler }
}

fn set_up(
    ground: &Ground<'_>,
    key: &FitKey,
    point: &RbfPoint,
    standard: &Standard,
    map: Arc<FourierMap>,
    (weights, most): (ClassWeights, f64),
) -> Fit {
    let class = ground.design.classes[key.target];
    let components = map.components as usize;
    let penalty = Penalty { strength: vec![1.0 / point.c; components], constants: Constants::Free };
    // Within the margin of every row, where the loss without weights is least.
    let prevalence = ground.prevalence(class, key.sites);
    let share = if weights == ClassWeights::EQUAL { prevalence } else { 0.5 };
    let mut start = vec![0.0; components];
    start.push(2.0 * share - 1.0);
    // A mapped row has length 1, so that a component's mean square is one over their number. Where rows have
    // weights a first step as if all had the largest is short enough; the next ones know better.
    let rows = most * standard.rows as f64 * rows_after(point.balance, prevalence);
    let curvature = 2.0 * WITHIN_MARGIN * rows;
    let mut roots = vec![(curvature / components as f64 + 1.0 / point.c).sqrt(); components];
    roots.push(curvature.max(1.0).sqrt());
    let accuracy = match ground.design.purpose(key) {
        Purpose::Use => ACCURACY,
        Purpose::Scores => ACCURACY_OF_SCORES,
    };
    let factor = Factor::Diagonal(Arc::new(roots));
    Fit {
        rows: key.rows(),
        count: standard.rows,
        class,
        weights,
        space: Space::Fourier(map),
        basis: Basis::Whole,
        optimiser: Optimiser::Lbfgs(Lbfgs::start(penalty, factor, start, accuracy)),
    }
}
