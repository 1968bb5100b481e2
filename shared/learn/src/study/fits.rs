//! Sets up all linear fits of a study, runs them in lockstep and keeps the fitted models.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, ClassWeights, Combine, EnsembleModel, FoldSet, FourierModel, Frame, LinearModel, Model,
    RowSet, Scaler, Schema, SiteSet, SoftmaxModel, TreeModel, Weighting,
};
use wardround_core::study::{Balance, GridPoint, LinearPoint, Loss, Reduction, Standardise};

use super::asker::{Asker, bits_of_products};
use super::design::{Design, FitKey, Purpose, describe};
use super::error::StudyError;
use super::frame::{Cells, Standard};
use super::machine_fits::FittedKernel;
use super::profile::{FoldCounts, class_weights, fold_counts};
use super::reduce::{Components, Selections, basis};
use crate::cohort::Cohort;
use crate::findings::{ProfileCell, TreeGains};
use crate::logistic::basis::Basis;
use crate::logistic::cholesky::Cholesky;
use crate::logistic::lbfgs::{Factor, Lbfgs};
use crate::logistic::lockstep::{Failure, Fit, Space, fit_all};
use crate::logistic::newton::Newton;
use crate::logistic::proximal::{Curvature, ElasticNet, Proximal};
use crate::logistic::{Constants, NEWTON_FEATURES, Optimiser, Penalty};

/// The coarsest scale that a question about standardised columns falls back to where its sums leave the range.
pub(super) const COARSEST_BITS: u8 = 32;

/// Distance to the optimum, as a share of the weights, at which L-BFGS ends.
pub(super) const ACCURACY: f64 = 1e-7;

/// The same for models of which only scores count: those are binned at 0.023 of the logit, so this
/// is far more than enough. Such models train on fewer rows and would be the last to finish.
pub(super) const ACCURACY_OF_SCORES: f64 = 1e-6;

/// A site with one of this many rows, or more, is large: its absence calls for its own Gram matrix.
pub(crate) const LARGE_SITE: u64 = 7;

/// Share of rows within the margin that preconditioners expect.
pub(super) const WITHIN_MARGIN: f64 = 0.5;

/// Preconditioners kept at once; each takes half of (features + 1)^2 numbers.
pub(crate) const MOST_FACTORS: usize = 48;

/// What fits need to know besides their design.
pub(crate) struct Ground<'a> {
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub cells: &'a Cells,
    pub selections: &'a Selections,
    /// Counts of each site.
    pub by_site: &'a [ProfileCell],
    /// A name per class code.
    pub classes: &'a [String],
}

/// The fitted models of a study.
pub(crate) struct Models {
    by_key: BTreeMap<FitKey, Arc<Fitted>>,
    /// Questions asked for fitting.
    pub queries: u64,
    /// Of these, for Gram matrices.
    pub gram_queries: u64,
    /// How many trees a model has, where held-out rows said so; models that only stand in for others have
    /// more.
    pub stopped: BTreeMap<FitKey, u32>,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fitted {
    Linear(FittedLinear),
    Trees(FittedTrees),
    Fourier(FittedFourier),
    Ensemble(FittedEnsemble),
    Softmax(FittedSoftmax),
    Kernel(FittedKernel),
}

/// A linear model at its optimum, in the units of the question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedLinear {
    pub model: LinearModel,
    pub standard: Arc<Standard>,
    pub steps: u32,
    pub evaluations: u32,
    /// Largest entry of the gradient, divided by the number of rows.
    pub gradient: f64,
}

/// A linear model on random Fourier features at its optimum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedFourier {
    pub model: FourierModel,
    pub standard: Arc<Standard>,
    /// Whether any row of the study misses a feature.
    pub any_missing: bool,
    pub steps: u32,
    pub evaluations: u32,
    /// Largest entry of the gradient, divided by the number of rows.
    pub gradient: f64,
}

/// A model of all classes at its optimum, in the units of the question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedSoftmax {
    pub model: Arc<SoftmaxModel>,
    pub standard: Arc<Standard>,
    pub steps: u32,
    pub evaluations: u32,
    /// Largest entry of the gradient, divided by the number of rows.
    pub gradient: f64,
}

/// Grown trees, on the grid of the question's frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedTrees {
    pub model: TreeModel,
    /// What its splits gained.
    pub gains: TreeGains,
    /// Rounds it took part in.
    pub rounds: u32,
}

/// Models of several classifiers in one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedEnsemble {
    pub class: u8,
    pub members: Vec<Arc<Fitted>>,
    /// Each member's classifier, by its number in the study, and grid point.
    pub origins: Vec<(u8, GridPoint)>,
    pub combine: Combine,
}

impl Fitted {
    /// The model as a question carries it.
    pub fn model(&self) -> Model {
        match self {
            Self::Linear(fitted) => Model::Linear(fitted.model.clone()),
            Self::Trees(fitted) => Model::Trees(fitted.model.clone()),
            Self::Fourier(fitted) => Model::Fourier(fitted.model.clone()),
            Self::Ensemble(FittedEnsemble { class, members, combine, .. }) => {
                let members = members.iter().map(|member| member.model()).collect();
                let (class, combine) = (*class, combine.clone());
                Model::Ensemble(EnsembleModel { class, members, combine })
            }
            Self::Softmax(fitted) => Model::Softmax(fitted.model.clone()),
            Self::Kernel(fitted) => Model::Given(fitted.scores.clone()),
        }
    }

    /// Questions about it.
    fn evaluations(&self) -> u32 {
        match self {
            Self::Linear(fitted) => fitted.evaluations,
            Self::Trees(fitted) => fitted.rounds,
            Self::Fourier(fitted) => fitted.evaluations,
            Self::Ensemble(_) | Self::Kernel(_) => 0,
            Self::Softmax(fitted) => fitted.evaluations,
        }
    }
}

impl Models {
    /// Models by what they are fitted to.
    pub fn new(fitted: impl IntoIterator<Item = (FitKey, Fitted)>, queries: u64) -> Self {
        let by_key = fitted.into_iter().map(|(key, fitted)| (key, Arc::new(fitted))).collect();
        Self { by_key, queries, gram_queries: 0, stopped: BTreeMap::new() }
    }

    /// A fitted model.
    pub fn get(&self, key: &FitKey) -> &Fitted {
        self.by_key.get(key).expect("every key that is asked for was fitted")
    }

    /// Adds models that were fitted later.
    pub fn add(&mut self, later: Self) {
        self.by_key.extend(later.by_key);
        self.queries += later.queries;
        self.gram_queries = self.gram_queries.max(later.gram_queries);
        self.stopped.extend(later.stopped);
    }

    /// Whether a model was fitted.
    pub fn has(&self, key: &FitKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// A fitted model that others may hold as well.
    pub fn shared(&self, key: &FitKey) -> Arc<Fitted> {
        self.by_key
            .get(key)
            .expect("every key that is asked for is one of the design's fits")
            .clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The most points any class's model of a grid point, fitted to some folds of all sites, asked
    /// the loss at.
    pub fn most_evaluations(&self, point: usize, folds: FoldSet) -> u64 {
        let of_point =
            |key: &FitKey| key.point == point && key.folds == folds && key.sites == SiteSet::All;
        let fits = self.by_key.iter().filter(|(key, _)| of_point(key));
        fits.map(|(_, fitted)| u64::from(fitted.evaluations())).max().unwrap_or(0)
    }
}

/// Fits some models of the design, in its order.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    loss: Loss,
    keys: &[FitKey],
) -> Result<Models, StudyError> {
    let before = asker.queries;
    let design = ground.design;
    let components = Components::ask(asker, ground, keys).await?;
    let grams = match asker.schema.features as usize <= NEWTON_FEATURES {
        true => Vec::new(),
        false => grams(asker, ground).await?,
    };
    let gram_queries = asker.queries - before;
    let needs_counts = needs_counts(asker.schema, &design.grid);
    let counts = if needs_counts { Some(fold_counts(asker).await?) } else { None };
    // One per fit; fits go training set by training set.
    let mut standards: Vec<Arc<Standard>> = Vec::with_capacity(keys.len());
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let standard = Arc::new(ground.cells.standard(&of_set[0].rows()));
        standards.extend(of_set.iter().map(|_| standard.clone()));
    }
    let standard = |at: usize| &standards[at];
    // Before Gram matrices of features are scaled by how often a class occurs.
    for (at, key) in keys.iter().enumerate() {
        both_classes(ground, key, standard(at))
            .map_err(|failure| explain(failure, key, standard(at).rows, asker, ground))?;
    }
    let method = match asker.schema.features as usize <= NEWTON_FEATURES {
        true => Method::Newton,
        false => Method::Lbfgs(preconditioners(ground, loss, &grams)?, grams),
    };
    let mut fits = Vec::with_capacity(keys.len());
    let mut scalers = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        let standardise = design.linear(key.point).standardise;
        let scaler = scaler_of(&mut scalers, ground.cells, standardise, &key.rows());
        let scale = (&**standard(at), &scaler);
        let basis = basis(ground, &components, key);
        let fit = weights(ground, key, counts.as_ref())
            .and_then(|weights| set_up(ground, loss, key, scale, &method, (basis, weights)))
            .map_err(|failure| explain(failure, key, standard(at).rows, asker, ground))?;
        fits.push(fit);
    }
    if let Err(failure) = fit_all(asker, ground.frame, loss, &mut fits).await {
        return Err(failed(failure, keys, &fits, asker, ground));
    }
    let fitted = |(at, fit): (usize, &Fit)| Fitted::Linear(finish(fit, standard(at).clone()));
    let fitted = keys.iter().copied().zip(fits.iter().enumerate().map(fitted));
    Ok(Models { gram_queries, ..Models::new(fitted, asker.queries - before) })
}

/// Which fit failed, and why.
pub(super) fn failed<C>(
    failure: Failure,
    keys: &[FitKey],
    fits: &[Fit],
    asker: &Asker<'_, C>,
    ground: &Ground<'_>,
) -> StudyError {
    match failure {
        Failure::Study(error) => error,
        Failure::OneClass { fit, positives } => {
            let one_class = NoOptimum::OneClass { positives };
            explain(one_class, &keys[fit], fits[fit].count, asker, ground)
        }
        Failure::Stuck { fit } => {
            let Fit { optimiser, count, .. } = &fits[fit];
            let stuck =
                NoOptimum::Stuck { steps: optimiser.steps(), gradient: optimiser.gradient() };
            explain(stuck, &keys[fit], *count, asker, ground)
        }
    }
}

/// How models are fitted.
enum Method {
    Newton,
    /// Preconditioners by class, C and scaler, and what those of reduced features are made of.
    Lbfgs(Vec<Preconditioner>, Vec<Gram>),
}

/// Cross products over all folds of some sites.
struct Gram {
    standardise: Standardise,
    sites: SiteSet,
    triangle: Arc<Vec<f64>>,
}

struct Preconditioner {
    target: usize,
    point: LinearPoint,
    sites: SiteSet,
    metric: Metric,
}

/// What a preconditioner is made into.
#[derive(Clone)]
enum Metric {
    /// The factor of a whole matrix: where there is no L1 penalty.
    Factor(Factor),
    /// The loss's part of the matrix: a Gram matrix and its weight.
    Gram(Arc<Vec<f64>>, f64),
}

/// A preconditioner to be: `weight * gram` and the point's penalty.
struct Unfactored {
    target: usize,
    point: LinearPoint,
    sites: SiteSet,
    weight: f64,
    gram: Arc<Vec<f64>>,
    /// The penalty of each feature at C = 1.
    strength: Arc<Vec<f64>>,
}

/// Why a fit has no optimum.
pub(super) enum NoOptimum {
    OneClass {
        positives: u64,
    },
    Stuck {
        steps: u32,
        gradient: f64,
    },
    /// The matrix that starts the search isn't positive definite.
    Singular,
}

/// Asks for the Gram matrices that preconditioners are made of: of all sites, and of all without one that
/// holds much of the rows.
async fn grams<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
) -> Result<Vec<Gram>, StudyError> {
    let folds = ground.design.all_folds();
    let mut grams = Vec::new();
    for standardise in Standardise::EACH {
        // Along principal components the matrix is diagonal, and known.
        let needs = |point: &GridPoint| {
            point.standardise() == standardise && !matches!(point.reduce(), Reduction::Pca(_))
        };
        if !ground.design.grid.iter().any(needs) {
            continue;
        }
        for sites in ground.site_sets_with_own_gram() {
            let bits = bits_of_products(ground.rows() as f64 * asker.schema.weighting.most());
            let rows = RowSet { repeat: 0, folds, sites };
            let scaler = scaler(ground.cells, standardise, &rows);
            let answer = asker
                .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Gram {
                    frame: ground.frame.clone(),
                    rows,
                    scaler: scaler.clone(),
                    bits,
                })
                .await?;
            grams.push(Gram { standardise, sites, triangle: Arc::new(answer.values("gram")) });
        }
    }
    Ok(grams)
}

/// The Hessians of models without weights, from Gram matrices: one factor per class and grid point
/// of all features, shared by all training sets, and one more for training without a site that holds
/// much of the rows. They shorten the way to the optimum and have no part in where the optimum lies.
fn preconditioners(
    ground: &Ground<'_>,
    loss: Loss,
    grams: &[Gram],
) -> Result<Vec<Preconditioner>, StudyError> {
    let design = ground.design;
    let folds = design.all_folds();
    let order = ground.frame.scale.len() + 1;
    let mut asked: Vec<Unfactored> = Vec::new();
    for Gram { standardise, sites, triangle: gram } in grams {
        let linear = design.grid.iter().filter_map(GridPoint::linear).copied();
        let whole = linear.filter(|p| p.standardise == *standardise && p.reduce.is_none());
        let points: Vec<LinearPoint> = whole.collect();
        // The penalty acts on standardised weights, and without a site deviations may differ much
        // from the frame's.
        let strength: Arc<Vec<f64>> = Arc::new(match standardise {
            Standardise::All => {
                let standard = ground.cells.standard(&RowSet { repeat: 0, folds, sites: *sites });
                standard.deviation.iter().map(|s| s * s).collect()
            }
            Standardise::Site | Standardise::Combat => vec![1.0; order - 1],
        });
        for (target, class) in design.classes.iter().enumerate() {
            let of_point = |&point: &LinearPoint| {
                let weight = curvature(ground, loss, *class, &point, *sites)
                    // The usual training set lacks one fold.
                    * (1.0 - 1.0 / f64::from(design.folds));
                let (gram, strength) = (gram.clone(), strength.clone());
                Unfactored { target, point, sites: *sites, weight, gram, strength }
            };
            asked.extend(points.iter().map(of_point));
        }
    }
    asked
        .into_par_iter()
        .map(|Unfactored { target, point, sites, weight, gram, strength }| {
            if point.l1_ratio > 0.0 {
                return Ok(Preconditioner {
                    target,
                    point,
                    sites,
                    metric: Metric::Gram(gram, weight),
                });
            }
            let mut matrix: Vec<f64> = gram.iter().map(|g| weight * g).collect();
            add_to_diagonal(&mut matrix, order, &strength, 1.0 / point.c);
            let factor = Cholesky::of_upper(order, &matrix).ok_or_else(|| {
                StudyError::Unfit(format!(
                    "the Gram matrix of the features with C = {} is not positive definite",
                    point.c
                ))
            })?;
            let metric = Metric::Factor(Factor::Dense(Arc::new(factor)));
            Ok(Preconditioner { target, point, sites, metric })
        })
        .collect()
}

/// How many rows count, by the number of rows, where a class has this share of them.
pub(super) fn rows_after(balance: Balance, prevalence: f64) -> f64 {
    match balance {
        Balance::None | Balance::Weights => 1.0,
        Balance::OverSampling | Balance::Smote => 2.0 * prevalence.max(1.0 - prevalence),
    }
}

/// The second derivative of a row's loss by its score, of a model without weights, times how often
/// rows count.
fn curvature(
    ground: &Ground<'_>,
    loss: Loss,
    class: u8,
    point: &LinearPoint,
    sites: SiteSet,
) -> f64 {
    let prevalence = ground.prevalence(class, sites);
    let share = if point.balance.is_none() { prevalence } else { 0.5 };
    let curvature = match loss {
        Loss::Logistic => share * (1.0 - share),
        Loss::SquaredHinge => 2.0 * WITHIN_MARGIN,
    };
    curvature * rows_after(point.balance, prevalence)
}

/// The preconditioner of a model of reduced features, for its own training set.
fn reduced(
    ground: &Ground<'_>,
    (key, standard): (&FitKey, &Standard),
    curvature: f64,
    grams: &[Gram],
    (basis, strength): (&Basis, &[f64]),
) -> Option<Metric> {
    let point = ground.design.linear(key.point);
    let rows = curvature * standard.rows as f64;
    let diagonal = |variances: &mut dyn Iterator<Item = f64>| {
        let entries = variances.zip(strength);
        let mut roots: Vec<f64> = entries.map(|(v, s)| (rows * v + s).sqrt()).collect();
        roots.push(rows.max(1.0).sqrt());
        Metric::Factor(Factor::Diagonal(Arc::new(roots)))
    };
    let kept = match basis {
        Basis::Whole => return None,
        Basis::Directions(one) => return Some(diagonal(&mut one.variances.iter().copied())),
        Basis::Columns { kept, .. } => kept,
    };
    let of = |sites| {
        grams.iter().find(|gram| gram.standardise == point.standardise && gram.sites == sites)
    };
    let gram = of(key.sites).or_else(|| of(SiteSet::All))?;
    let weight = curvature * (1.0 - 1.0 / f64::from(ground.design.folds));
    let mut matrix = basis.restrict_matrix(&gram.triangle);
    matrix.iter_mut().for_each(|g| *g *= weight);
    add_to_diagonal(&mut matrix, kept.len() + 1, strength, 1.0);
    let factor = Cholesky::of_upper(kept.len() + 1, &matrix)?;
    Some(Metric::Factor(Factor::Dense(Arc::new(factor))))
}

/// Adds each feature's penalty to its entry, none to the constant's; the matrix is an upper triangle,
/// row by row.
pub(super) fn add_to_diagonal(matrix: &mut [f64], order: usize, strength: &[f64], penalty: f64) {
    let mut at = 0;
    for (i, strength) in strength.iter().enumerate() {
        matrix[at] += strength * penalty;
        at += order - i;
    }
}

/// Whether the rows of the model's sites have both classes; of single folds the first answer says so.
fn both_classes(ground: &Ground<'_>, key: &FitKey, standard: &Standard) -> Result<(), NoOptimum> {
    let prevalence = ground.prevalence(ground.design.classes[key.target], key.sites);
    match prevalence > 0.0 && prevalence < 1.0 {
        true => Ok(()),
        false => {
            let positives = if prevalence > 0.0 { standard.rows } else { 0 };
            Err(NoOptimum::OneClass { positives })
        }
    }
}

fn set_up(
    ground: &Ground<'_>,
    loss: Loss,
    key: &FitKey,
    (standard, scaler): (&Standard, &Scaler),
    method: &Method,
    (basis, weights): (Basis, ClassWeights),
) -> Result<Fit, NoOptimum> {
    let point = ground.design.linear(key.point);
    let class = ground.design.classes[key.target];
    let prevalence = ground.prevalence(class, key.sites);
    // Components are of standardised features.
    let penalty = |share: f64, by_deviation: fn(f64) -> f64| -> Vec<f64> {
        let deviation = basis.restrict(&standard.deviation);
        match (&basis, point.standardise) {
            (Basis::Directions(one), _) => vec![share / point.c; one.count],
            (_, Standardise::All) => {
                deviation.iter().map(|s| by_deviation(*s) * share / point.c).collect()
            }
            (_, Standardise::Site | Standardise::Combat) => vec![share / point.c; deviation.len()],
        }
    };
    let strength = penalty(1.0 - point.l1_ratio, |s| s * s);
    let lasso = penalty(point.l1_ratio, |s| s);
    let l2 = |strength| Penalty { strength, constants: Constants::Free };
    let mut start = vec![0.0; strength.len()];
    // Where both classes weigh the same.
    let share = if weights == ClassWeights::EQUAL { prevalence } else { 0.5 };
    start.push(match loss {
        Loss::Logistic => libm::log(share / (1.0 - share)),
        // Where the loss without weights is least, within the margin of every row.
        Loss::SquaredHinge => 2.0 * share - 1.0,
    });
    let elastic_net = point.l1_ratio > 0.0;
    let optimiser = match method {
        Method::Newton if elastic_net => {
            let penalty = ElasticNet { strength, lasso };
            Optimiser::Proximal(Proximal::start(penalty, Curvature::Asked, start))
        }
        Method::Newton => Optimiser::Newton(Newton::start(l2(strength), start)),
        Method::Lbfgs(known, grams) => {
            let of = |sites| {
                let fits = |p: &&Preconditioner| {
                    p.target == key.target && p.point == point && p.sites == sites
                };
                known.iter().find(fits).map(|known| known.metric.clone())
            };
            let curvature = curvature(ground, loss, class, &point, key.sites);
            let metric = reduced(ground, (key, standard), curvature, grams, (&basis, &strength))
                .or_else(|| of(key.sites))
                .or_else(|| of(SiteSet::All))
                .ok_or(NoOptimum::Singular)?;
            let accuracy = match ground.design.purpose(key) {
                Purpose::Use => ACCURACY,
                Purpose::Scores => ACCURACY_OF_SCORES,
            };
            match metric {
                Metric::Factor(factor) => {
                    Optimiser::Lbfgs(Lbfgs::start(l2(strength), factor, start, accuracy))
                }
                Metric::Gram(gram, weight) => {
                    let curvature = Curvature::Learned { gram, weight, accuracy };
                    let penalty = ElasticNet { strength, lasso };
                    Optimiser::Proximal(Proximal::start(penalty, curvature, start))
                }
            }
        }
    };
    Ok(Fit {
        rows: key.rows(),
        count: standard.rows,
        class,
        weights,
        space: Space::Features {
            scaler: scaler.clone(),
            fill: standard.fill(ground.cells.any_missing()),
        },
        basis,
        optimiser,
    })
}

/// Whether fits need the counts of their training sets: to balance classes, or to know that there are two where
/// rows have weights.
pub(super) fn needs_counts(schema: &Schema, grid: &[GridPoint]) -> bool {
    schema.weighting == Weighting::Given || grid.iter().any(|point| !point.balance().is_none())
}

/// How much rows count in a fit. Counts are there where a grid point needs them.
///
/// # Errors
/// [`NoOptimum::OneClass`] where counts are known and there is one class; elsewhere the first answer says so.
pub(super) fn weights(
    ground: &Ground<'_>,
    key: &FitKey,
    counts: Option<&FoldCounts>,
) -> Result<ClassWeights, NoOptimum> {
    let Some(counts) = counts else { return Ok(ClassWeights::EQUAL) };
    let [negatives, positives] =
        counts.of(&key.rows()).rows_against(ground.design.classes[key.target]);
    let total = negatives + positives;
    let weights = class_weights(ground.design.grid[key.point].balance(), positives, total);
    match positives == 0 || positives == total {
        true => Err(NoOptimum::OneClass { positives }),
        false => Ok(weights),
    }
}

/// The scaler of a model trained on some rows.
pub(crate) fn scaler(cells: &Cells, standardise: Standardise, rows: &RowSet) -> Scaler {
    match standardise {
        Standardise::All => Scaler::Folded,
        Standardise::Site => Scaler::OwnSite(rows.folds),
        Standardise::Combat => Scaler::Combat(Arc::new(cells.combat(rows))),
    }
}

/// As [`scaler`], each made once for all models of a training set.
fn scaler_of(
    known: &mut Vec<(Standardise, RowSet, Scaler)>,
    cells: &Cells,
    standardise: Standardise,
    rows: &RowSet,
) -> Scaler {
    let is_same = |(way, of, _): &&(Standardise, RowSet, Scaler)| *way == standardise && of == rows;
    if let Some((.., scaler)) = known.iter().find(is_same) {
        return scaler.clone();
    }
    let scaler = scaler(cells, standardise, rows);
    known.push((standardise, *rows, scaler.clone()));
    scaler
}

/// Takes the optimum; the weight of a column that is constant in the training rows goes into the
/// constant, exactly.
fn finish(fit: &Fit, standard: Arc<Standard>) -> FittedLinear {
    let (scaler, fill) = fit.space.features().expect("only linear models are set up here");
    let (weights, intercept) = fit.weights_and_constant();
    let fill = fill.clone();
    let scaler = scaler.clone();
    let mut model = LinearModel { class: fit.class, scaler, weights, intercept, fill };
    if model.scaler == Scaler::Folded {
        for (j, weight) in
            model.weights.iter_mut().enumerate().filter(|(j, _)| standard.constant[*j])
        {
            model.intercept += *weight * standard.mean[j];
            *weight = 0.0;
        }
    }
    FittedLinear {
        model,
        standard,
        steps: fit.optimiser.steps(),
        evaluations: fit.optimiser.evaluations(),
        gradient: fit.optimiser.gradient() / fit.count as f64,
    }
}

pub(super) fn explain<C>(
    why: NoOptimum,
    key: &FitKey,
    total: u64,
    asker: &Asker<'_, C>,
    ground: &Ground<'_>,
) -> StudyError {
    let design = ground.design;
    let rows = describe(&key.rows(), design.folds, asker.sites);
    match why {
        NoOptimum::OneClass { positives } => {
            let class = ground.classes[usize::from(design.classes[key.target])].clone();
            StudyError::OneClassOnly { rows, class, positives, total }
        }
        NoOptimum::Singular => StudyError::Singular { rows, point: design.grid[key.point].line() },
        NoOptimum::Stuck { steps, gradient } => StudyError::NotConverged {
            rows,
            c: match &design.grid[key.point] {
                GridPoint::Rbf(point) => point.c.to_string(),
                GridPoint::Linear(point) => point.c.to_string(),
                GridPoint::Kernel(point) => point.c.to_string(),
                other => other.line(),
            },
            steps,
            gradient: format!("{gradient:e}"),
        },
    }
}

impl Ground<'_> {
    /// Rows of all sites.
    pub fn rows(&self) -> u64 {
        self.by_site.iter().map(ProfileCell::rows).sum()
    }

    /// Sets of sites whose Gram matrix is asked for: all, and all without one that is left out and
    /// holds so much of the rows that the others' matrix is another one.
    fn site_sets_with_own_gram(&self) -> Vec<SiteSet> {
        let rows = self.rows();
        let of_site = |site: u16| self.by_site[usize::from(site)].rows();
        let mut sets = vec![SiteSet::All];
        let large = self.design.left_out_sites().filter(|&s| LARGE_SITE * of_site(s) >= rows);
        sets.extend(large.map(SiteSet::Without));
        let factors = sets.len() * self.design.classes.len() * self.design.grid.len();
        sets.truncate(if factors > MOST_FACTORS { 1 } else { sets.len() });
        sets
    }

    /// Share of rows of a class at some sites; 0 when there are none.
    pub(super) fn prevalence(&self, class: u8, sites: SiteSet) -> f64 {
        let (mut positives, mut all) = (0, 0);
        for (site, cell) in self.by_site.iter().enumerate() {
            if sites.contains(site as u16) {
                positives += cell.rows_by_class[usize::from(class)];
                all += cell.rows();
            }
        }
        if all == 0 { 0.0 } else { positives as f64 / all as f64 }
    }
}
