//! Fits models in closed form: the sums of every training set in one round, then a linear system per
//! model.

use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{Ask, GramTerm, LinearModel};
use wardround_core::study::Standardise;

use super::asker::{Asker, finest_bits, slices};
use super::design::{FitKey, describe};
use super::error::StudyError;
use super::fits::{Fitted, FittedLinear, Ground, Models, scaler};
use super::frame::Standard;
use super::reduce::{Components, basis};
use crate::closed_form::{NoSolution, Solution, Sums, solve};
use crate::cohort::Cohort;

/// Binary places that are always kept on standardised columns.
const COARSEST_BITS: u8 = 32;

/// The sums of a training set, with what its model needs besides.
pub(super) struct TrainingSet {
    pub term: GramTerm,
    pub standardise: Standardise,
    pub standard: Arc<Standard>,
    pub sums: Sums,
}

impl TrainingSet {
    /// The deviation of each column in the units of the sums.
    pub fn scale(&self) -> Vec<f64> {
        match self.standardise {
            Standardise::All => self.standard.deviation.clone(),
            Standardise::Site | Standardise::Combat => vec![1.0; self.standard.deviation.len()],
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
    let sets = training_sets(asker, ground, keys).await?;
    let components = Components::of(&sets, design);
    let fit = |key: &FitKey| {
        let point = &design.grid[key.point];
        let class = design.classes[key.target];
        let set = sets
            .iter()
            .find(|set| set.term.rows == key.rows() && set.standardise == point.standardise())
            .expect("every training set was asked for in every way of scaling");
        let basis = basis(ground, &components, key);
        let (sums, scale, constant) =
            basis.restrict_sums(&set.sums, &set.scale(), &set.standard.constant);
        let solved = solve(&sums, usize::from(class), &scale, &constant, point);
        let Solution { weights, intercept } = solved.map_err(|why| {
            let rows = describe(&key.rows(), design.folds, asker.sites);
            match why {
                NoSolution::OneClass { positives, total } => {
                    let class = ground.classes[usize::from(class)].clone();
                    StudyError::OneClassOnly { rows, class, positives, total }
                }
                NoSolution::Singular => StudyError::Singular { rows, point: point.line() },
            }
        })?;
        let GramTerm { scaler, fill, .. } = set.term.clone();
        let weights = basis.expand(&weights);
        let model = LinearModel { class, scaler, weights, intercept, fill };
        let standard = set.standard.clone();
        let fitted = FittedLinear { model, standard, steps: 0, evaluations: 1, gradient: 0.0 };
        Ok::<_, StudyError>((*key, Fitted::Linear(fitted)))
    };
    let fitted: Vec<(FitKey, Fitted)> = keys.par_iter().map(fit).collect::<Result<_, _>>()?;
    Ok(Models::new(fitted, asker.queries - before))
}

/// Asks for the sums of every training set.
pub(super) async fn training_sets<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    keys: &[FitKey],
) -> Result<Vec<TrainingSet>, StudyError> {
    let design = ground.design;
    let mut wanted = Vec::new();
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let standard = Arc::new(ground.cells.standard(&rows));
        for standardise in Standardise::EACH {
            let scaled = |key: &FitKey| design.grid[key.point].standardise() == standardise;
            if of_set.iter().any(scaled) {
                let scaler = scaler(ground.cells, standardise, &rows);
                let fill = standard.fill(ground.cells.any_missing());
                wanted.push((GramTerm { rows, scaler, fill }, standardise, standard.clone()));
            }
        }
    }
    let features = asker.schema.features as usize;
    let (columns, classes) = (features + 1, usize::from(asker.schema.classes));
    let triangle = columns * (columns + 1) / 2;
    let bits = finest_bits(ground.rows() as f64 * asker.schema.weighting.most(), 2);
    let mut sets = Vec::with_capacity(wanted.len());
    for slice in slices(wanted.len(), (triangle + classes * columns) as u64) {
        let terms: Vec<GramTerm> =
            wanted[slice.clone()].iter().map(|(term, ..)| term.clone()).collect();
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::ClassGram {
                frame: ground.frame.clone(),
                terms: terms.clone(),
                bits,
            })
            .await?;
        let (grams, sums) = (answer.values("gram"), answer.values("sums"));
        for (at, (term, standardise, standard)) in wanted[slice].iter().enumerate() {
            let of_set = &sums[at * classes * columns..][..classes * columns];
            sets.push(TrainingSet {
                term: term.clone(),
                standardise: *standardise,
                standard: standard.clone(),
                sums: Sums {
                    features,
                    gram: grams[at * triangle..][..triangle].to_vec(),
                    by_class: of_set.chunks_exact(columns).map(<[f64]>::to_vec).collect(),
                    labelling: asker.schema.labelling,
                },
            });
        }
    }
    Ok(sets)
}
