//! Fits models in closed form: the sums of every training set in one round, then a linear system per
//! model.

use rayon::prelude::*;
use wardround_core::query::{GramTerm, LinearModel};

use super::asker::Asker;
use super::design::{FitKey, describe};
use super::error::StudyError;
use super::fits::{Fitted, FittedLinear, Ground, Models};
use super::reduce::{Components, basis};
use super::training_sums::training_sets;
use crate::closed_form::{NoSolution, Solution, solve};
use crate::cohort::Cohort;

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
