//! Exams or patients judged by their images or rows, as the bundle says.

use std::collections::BTreeMap;

use serde::Serialize;
use wardround_learn::bundle::{BundleJudged, ModelBundle};

use super::{Judged, called};

/// What the models say of an exam or patient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgedUnit {
    /// Its key.
    pub key: String,
    /// How many of its rows it is made of.
    pub rows: usize,
    /// How many of its rows couldn't be judged, and aren't in it.
    pub problems: usize,
    /// The probability of each modelled class, in the bundle's order; empty when no row was judged.
    pub probabilities: Vec<f64>,
    /// The classes that it is called, by their thresholds.
    pub classes: Vec<String>,
}

/// Puts rows with one key together; empty where the bundle judges rows. Rows without a key are left out.
pub fn together(bundle: &ModelBundle, rows: &[Judged]) -> Vec<JudgedUnit> {
    let BundleJudged::Together { score, .. } = &bundle.manifest.judged else { return Vec::new() };
    let mut of_unit: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.unit.is_empty()) {
        of_unit.entry(&row.unit).or_default().push(row);
    }
    let judge = |(key, rows): (&str, Vec<&Judged>)| {
        let usable: Vec<&Judged> =
            rows.iter().copied().filter(|row| row.problem.is_none()).collect();
        let of_class = |at: usize| {
            let all: Vec<f64> = usable.iter().map(|row| row.probabilities[at]).collect();
            score.probability(&all)
        };
        let probabilities: Vec<f64> = (0..bundle.models.len()).filter_map(of_class).collect();
        let classes = match probabilities.is_empty() {
            true => Vec::new(),
            false => called(bundle, &probabilities),
        };
        let (key, problems) = (key.to_owned(), rows.len() - usable.len());
        JudgedUnit { key, rows: usable.len(), problems, probabilities, classes }
    };
    of_unit.into_iter().map(judge).collect()
}
