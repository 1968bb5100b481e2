//! Means over classes of figures of each class against the rest: macro, and weighted by how many rows have the class, as
//! scikit-learn's `average = "macro"` and `"weighted"`. Of labels that may stand together also F1 of all calls in one table
//! (`average = "micro"`).
//!
//! Each class is called at its own threshold, so that F1, sensitivity and specificity are those of labels by themselves
//! (scikit-learn's of an indicator matrix), not of the class with the largest probability ([`super::called`]). A class whose figure
//! is undefined leaves the mean undefined, where scikit-learn may count it as 0.

use wardround_core::query::Labelling;

use super::Confusion;
use super::registry::Spread;
use super::resampled::Drawn;
use crate::findings::{Average, ClassMean, Figure, Figures, Interval};

/// The figures whose means are taken: their names, scikit-learn's where it has one.
pub const AVERAGED: &[&str] = &[
    "roc_auc_score",
    "average_precision_score",
    "f1_score",
    "sensitivity",
    "specificity",
    "brier_score_loss",
    "expected_calibration_error",
];

/// The figure of calls in one table.
pub const MICRO: &str = "f1_score";

/// A class's figure by its name.
fn figure<'a>(figures: &'a Figures, name: &str) -> Option<&'a Figure> {
    match name {
        "roc_auc_score" => Some(&figures.auc),
        "sensitivity" => Some(&figures.sensitivity),
        "specificity" => Some(&figures.specificity),
        "brier_score_loss" => Some(&figures.brier),
        "expected_calibration_error" => Some(&figures.ece),
        name => figures.more.iter().find(|named| named.name == name).map(|named| &named.figure),
    }
}

/// The means of a cell, without intervals. `names` and `cells` go by class.
pub fn means(labelling: Labelling, names: &[&str], cells: &[&Figures]) -> Vec<ClassMean> {
    let mut means = Vec::new();
    for &name in AVERAGED {
        let values: Result<Vec<f64>, String> = cells
            .iter()
            .zip(names)
            .map(|(cell, class)| match figure(cell, name) {
                Some(Figure::Known { value, .. }) => Ok(*value),
                Some(Figure::Undefined { reason }) => Err(format!("{class}: {reason}")),
                None => Err(format!("{class}: not computed")),
            })
            .collect();
        let weights: Vec<f64> = cells.iter().map(|cell| cell.rows[1] as f64).collect();
        for average in [Average::Macro, Average::Weighted] {
            let value = values.clone().and_then(|values| {
                let mean = mean(average, &values, &weights);
                if mean.is_finite() { Ok(mean) } else { Err("no positive rows".to_owned()) }
            });
            means.push(ClassMean { name: name.to_owned(), average, figure: known(value) });
        }
    }
    if labelling == Labelling::Multi {
        let calls = cells.iter().map(|cell| {
            let [tp, fp, tn, fn_] = cell.confusion;
            Confusion { tp, fp, tn, fn_ }
        });
        let all = calls.fold(Confusion::default(), |mut all, calls| {
            all.merge(&calls);
            all
        });
        let figure = known(all.f1().map_err(|why| why.to_string()));
        means.push(ClassMean { name: MICRO.to_owned(), average: Average::Micro, figure });
    }
    means
}

fn known(value: Result<f64, String>) -> Figure {
    match value {
        Ok(value) => Figure::Known { value, interval: Interval::NotComputed },
        Err(reason) => Figure::Undefined { reason },
    }
}

fn mean(average: Average, values: &[f64], weights: &[f64]) -> f64 {
    match average {
        Average::Weighted => {
            let weighted = values.iter().zip(weights).map(|(value, weight)| value * weight);
            weighted.sum::<f64>() / weights.iter().sum::<f64>()
        }
        Average::Macro | Average::Micro => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// A class of a cell under draws of the patients.
#[derive(Debug, Clone, Copy)]
pub struct DrawnClass<'a> {
    /// In the order of [`AVERAGED`].
    pub figures: &'a [&'a Drawn],
    /// True positives, false positives and false negatives.
    pub calls: [&'a Drawn; 3],
}

/// Gives a cell's means their intervals: all classes see the same draws of the patients.
pub fn put(means: &mut [ClassMean], classes: &[DrawnClass<'_>]) {
    for ClassMean { name, average, figure } in means {
        let Figure::Known { value, interval } = figure else { continue };
        let average = *average;
        let of = |value: &dyn Fn(&Drawn) -> f64| match average {
            Average::Micro => {
                let sum =
                    |at: usize| -> f64 { classes.iter().map(|one| value(one.calls[at])).sum() };
                2.0 * sum(0) / (2.0 * sum(0) + sum(1) + sum(2))
            }
            Average::Macro | Average::Weighted => {
                let at = AVERAGED.iter().position(|one| one == name).unwrap_or(0);
                let values: Vec<f64> = classes.iter().map(|one| value(one.figures[at])).collect();
                let rows = |one: &DrawnClass<'_>| value(one.calls[0]) + value(one.calls[2]);
                let weights: Vec<f64> = classes.iter().map(rows).collect();
                mean(average, &values, &weights)
            }
        };
        let draws = classes.first().map_or(0, |one| one.calls[0].draws.len());
        let drawn = Drawn {
            as_is: of(&|drawn| drawn.as_is),
            draws: (0..draws).map(|at| of(&|drawn| drawn.draws[at])).collect(),
        };
        let spread = match name.as_str() {
            "expected_calibration_error" => Spread::WithBias,
            _ => Spread::Percentiles,
        };
        *interval = drawn.interval(spread, *value, [0.0, 1.0], 0);
    }
}
