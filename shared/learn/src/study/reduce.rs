//! Which features a selection keeps and which principal components there are, of every training set
//! by itself: from sums of its rows alone, so that nothing that is judged has had a part in it.
//!
//! Univariate selection is of each modelled class against all others, as each is a model of its own:
//! with several classes the models of a study may keep different features.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{Frame, RowSet};
use wardround_core::study::{Reduction, Standardise, Study};

use super::asker::Asker;
use super::common::Common;
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::fits::Ground;
use super::frame::{ByClass, Cells, ClassSums, Standard};
use super::training_sums::{TrainingSet, training_sets};
use crate::cohort::Cohort;
use crate::logistic::basis::{Basis, Directions};
use crate::pca;

/// The selections of a design, by training set, modelled class and reduction.
#[derive(Debug, Default)]
pub(crate) struct Selections(BTreeMap<(RowSet, usize, Reduction), Arc<Vec<u32>>>);

/// Principal components, by training set, way of scaling and their number.
#[derive(Debug, Default)]
pub(crate) struct Components(BTreeMap<(RowSet, Standardise, Reduction), Arc<Directions>>);

/// Whether any classifier of a study needs moments by class.
pub(crate) fn by_class(study: &Study) -> ByClass {
    let mut reductions = study.classifiers.iter().flat_map(|one| one.reductions());
    match reductions.any(|one| matches!(one, Reduction::Univariate(_))) {
        true => ByClass::Yes,
        false => ByClass::No,
    }
}

/// Selects for the training sets of some fits, after asking for moments where nobody has yet.
pub(crate) async fn selections<C: Cohort>(
    asker: &mut Asker<'_, C>,
    common: &mut Common,
    design: &Design,
    keys: &[FitKey],
) -> Result<Selections, StudyError> {
    let mut wanted: Vec<Reduction> = design.grid.iter().map(|point| point.reduce()).collect();
    wanted.retain(|one| matches!(one, Reduction::Variance(_) | Reduction::Univariate(_)));
    wanted.sort_unstable();
    wanted.dedup();
    let mut selections = Selections::default();
    if wanted.is_empty() {
        return Ok(selections);
    }
    let frame = common.frame.clone();
    let (cells, _) = common.cells(asker).await?;
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let standard = cells.standard(&rows);
        for (target, class) in design.classes.iter().enumerate() {
            for &reduction in &wanted {
                let columns = select(cells, &rows, &standard, &frame, *class, reduction);
                selections.0.insert((rows, target, reduction), Arc::new(columns));
            }
        }
    }
    Ok(selections)
}

impl Selections {
    /// The features, ascending, that a fit keeps; `None` where it selects nothing.
    pub fn of(&self, key: &FitKey, reduction: Reduction) -> Option<&Arc<Vec<u32>>> {
        self.0.get(&(key.rows(), key.target, reduction))
    }
}

impl Components {
    /// Asks for cross products where a design needs components.
    pub async fn ask<C: Cohort>(
        asker: &mut Asker<'_, C>,
        ground: &Ground<'_>,
        keys: &[FitKey],
    ) -> Result<Self, StudyError> {
        if pcas(ground.design).next().is_none() {
            return Ok(Self::default());
        }
        let sets = training_sets(asker, ground, keys).await?;
        Ok(Self::of(&sets, ground.design))
    }

    /// Those of training sets whose sums are known.
    pub fn of(sets: &[TrainingSet], design: &Design) -> Self {
        let of_set = |set: &TrainingSet| {
            let of_standardise = pcas(design).filter(|(scaled, _)| *scaled == set.standardise);
            let wanted: Vec<u32> = of_standardise.map(|(_, count)| count).collect();
            // The first of more are the fewer.
            let most = wanted.iter().copied().max()? as usize;
            let all = pca::components(&set.sums, &set.scale(), &set.standard.constant, most);
            let first = wanted.into_iter().map(move |count| {
                let key = (set.term.rows, set.standardise, Reduction::Pca(count));
                (key, Arc::new(all.first(count as usize)))
            });
            Some(first.collect::<Vec<_>>())
        };
        Self(sets.par_iter().filter_map(of_set).flatten_iter().collect())
    }
}

/// The ways of scaling and numbers of components of a design.
fn pcas(design: &Design) -> impl Iterator<Item = (Standardise, u32)> {
    design.grid.iter().filter_map(|point| match point.reduce() {
        Reduction::Pca(count) => Some((point.standardise(), count)),
        _ => None,
    })
}

/// What the weights of a linear fit are coordinates of.
pub(crate) fn basis(ground: &Ground<'_>, components: &Components, key: &FitKey) -> Basis {
    let point = &ground.design.grid[key.point];
    if let Some(kept) = ground.selections.of(key, point.reduce()) {
        return Basis::Columns { features: ground.frame.scale.len(), kept: kept.clone() };
    }
    match components.0.get(&(key.rows(), point.standardise(), point.reduce())) {
        Some(directions) => Basis::Directions(directions.clone()),
        None => Basis::Whole,
    }
}

fn select(
    cells: &Cells,
    rows: &RowSet,
    standard: &Standard,
    frame: &Frame,
    class: u8,
    reduction: Reduction,
) -> Vec<u32> {
    let scores = match reduction {
        Reduction::Univariate(_) => f_values(&cells.against(rows, class), standard),
        _ => variances(standard, frame),
    };
    largest(&scores, reduction.kept_of(scores.len() as u32) as usize)
}

/// The variance of each feature in its own units.
fn variances(standard: &Standard, frame: &Frame) -> Vec<f64> {
    let own = standard.own_deviation(frame).into_iter().zip(&standard.constant);
    own.map(|(s, constant)| if *constant { 0.0 } else { s * s }).collect()
}

/// F of an analysis of variance of each feature between a class and all others, as scikit-learn's
/// `f_classif` over the rows that have the feature; below all others where the feature is constant.
fn f_values([negative, positive]: &[ClassSums; 2], standard: &Standard) -> Vec<f64> {
    let f = |j: usize| {
        if standard.constant[j] {
            return -1.0;
        }
        let of = |sums: &ClassSums| [sums.n[j], sums.sum[j], sums.squares[j]];
        let [[n1, sum1, squares1], [n0, sum0, squares0]] = [of(positive), of(negative)];
        if n1 == 0.0 || n0 == 0.0 {
            return -1.0;
        }
        let apart = sum1 / n1 - sum0 / n0;
        let between = n1 * n0 / (n1 + n0) * apart * apart;
        let within = (squares1 - sum1 * sum1 / n1) + (squares0 - sum0 * sum0 / n0);
        if within > 0.0 { between / within * (n1 + n0 - 2.0) } else { f64::INFINITY }
    };
    (0..standard.constant.len()).map(f).collect()
}

/// The indices of the `count` largest, ascending; of equal ones the first.
fn largest(scores: &[f64], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lower_index() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0, 3.0], 3), [1, 2, 4]);
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0, 3.0], 1), [1]);
        assert_eq!(largest(&[0.0, f64::INFINITY, -1.0], 2), [0, 1]);
    }

    #[test]
    fn f_values_are_scikit_learns() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/reduced.json")).unwrap();
        let made = &golden["rows"];
        let of = |name: &str| made[name].as_u64().unwrap() as usize;
        let d = of("d");
        let rows = crate::golden_rows::rows(of("n"), d, of("sites"), of("salt") as u64);
        let sums = |class: u8| {
            let of_class: Vec<&Vec<f64>> =
                rows.iter().filter(|(own, _)| *own == class).map(|(_, x)| x).collect();
            let add = |f: fn(f64) -> f64| {
                (0..d).map(|j| of_class.iter().map(|x| f(x[j])).sum()).collect()
            };
            ClassSums { n: add(|_| 1.0), sum: add(|x| x), squares: add(|x| x * x) }
        };
        let standard = Standard {
            rows: rows.len() as u64,
            mean: vec![0.0; d],
            deviation: vec![1.0; d],
            constant: vec![false; d],
        };
        let found = f_values(&[sums(0), sums(1)], &standard);
        for (found, expected) in found.iter().zip(golden["f_values"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() < 1e-9 * expected.max(1.0), "{found} {expected}");
        }
    }
}
