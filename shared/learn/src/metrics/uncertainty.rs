//! What is learned from some outer folds' scores and judged on another's: recalibration, conformal sets, thresholds of sites and
//! subgroups by themselves; and what abstaining is
//! worth. Everything is cross-fitted: a fold's rows have no part in what they are judged by.

use wardround_core::study::ThresholdRule;

use super::conformal::{Limits, SetCounts};
use super::judge::{CellSums, Part};
use super::recalibrate::{Method, judged, temperature_line};
use super::recalibration::calibration_line;
use super::threshold::by_rule;
use super::{CellError, Confusion, ScoreHistogram, abstention};
use crate::findings::{
    ConformalSets, LearnedLimits, LineFit, OwnOf, OwnThresholds, Recalibrated, SetsKind,
    Uncertainty,
};

/// How often a conformal set shall hold the right class.
pub const COVERAGE: f64 = 0.9;

/// The same in rows of a hundred.
pub const COVERAGE_PERCENT: u8 = 90;

/// Rows of a class beyond its limit, at least, in limits that are told to whoever uses a model: the minimum cell, as images are taken
/// as patients.
const LEAST_BEYOND: u64 = 5;

/// What is learned from all outer folds' scores, for the final model.
pub fn final_limits(scores: &ScoreHistogram) -> LearnedLimits {
    let limits = Limits::for_use(scores, COVERAGE, LEAST_BEYOND);
    let [negative_below, positive_from] = limits.probabilities(scores.bins());
    let line = |fit: Result<[f64; 2], super::Undefined>| match fit {
        Ok([intercept, slope]) => LineFit::Known { intercept, slope },
        Err(why) => LineFit::Undefined { reason: why.to_string() },
    };
    LearnedLimits {
        negative_below,
        positive_from,
        platt: line(calibration_line(scores)),
        temperature: line(temperature_line(scores)),
    }
}

/// Of a list of parts, one per outer fold, called by the rule, that is also split by site and by subgroup column and level, part by part.
///
/// # Errors
/// [`CellError::OtherBins`] where parts have different bins.
pub fn uncertainty(
    rule: ThresholdRule,
    one_list: &CellSums,
    by_site: &[CellSums],
    by_subgroup: &[Vec<CellSums>],
) -> Result<Uncertainty, CellError> {
    let folds = one_list.parts.len();
    if folds < 2 {
        return Ok(Uncertainty::default());
    }
    let others = Others::of(&one_list.parts)?;
    let recalibrated = Method::ALL.map(|method| {
        let maps: Result<Vec<_>, super::Undefined> = (one_list.parts.iter().zip(&others.0))
            .map(|(fold, others)| Ok((method.fit(others)?, &fold.cell.histogram)))
            .collect();
        Recalibrated {
            method,
            fit: maps.and_then(|maps| judged(&maps)).map_err(|why| why.to_string()).into(),
        }
    });
    let mut conformal = Vec::new();
    for (kind, limits) in [
        (SetsKind::Together, Limits::together as fn(&ScoreHistogram, f64) -> Limits),
        (SetsKind::ByClass, Limits::by_class),
    ] {
        let limits: Vec<Limits> = others.0.iter().map(|others| limits(others, COVERAGE)).collect();
        let count = |cell: &CellSums| counted(&limits, &cell.parts);
        conformal.push(ConformalSets {
            kind,
            all: count(one_list),
            by_site: by_site.iter().map(count).collect(),
            by_subgroup: by_subgroup
                .iter()
                .map(|levels| levels.iter().map(count).collect())
                .collect(),
        });
    }
    for (column, levels) in (0..).zip(by_subgroup) {
        let mut sets = ConformalSets {
            kind: SetsKind::BySubgroup(column),
            all: SetCounts::default(),
            by_site: Vec::new(),
            by_subgroup: vec![Vec::new(); by_subgroup.len()],
        };
        for level in levels {
            let others = Others::of(&level.parts)?;
            let limits: Vec<Limits> =
                others.0.iter().map(|others| Limits::together(others, COVERAGE)).collect();
            let counts = counted(&limits, &level.parts);
            sets.all.merge(&counts);
            sets.by_subgroup[usize::from(column)].push(counts);
        }
        conformal.push(sets);
    }
    let mut own_thresholds = vec![own(rule, OwnOf::Sites, by_site)?];
    for (column, levels) in (0..).zip(by_subgroup) {
        own_thresholds.push(own(rule, OwnOf::Levels(column), levels)?);
    }
    Ok(Uncertainty {
        own_thresholds,
        recalibrated: recalibrated.into(),
        conformal,
        kept: abstention::kept(&one_list.parts),
    })
}

/// Calls at thresholds that each cell chooses by its own rows of the other folds, where it has both classes there; at the common one
/// elsewhere.
fn own(rule: ThresholdRule, of: OwnOf, cells: &[CellSums]) -> Result<OwnThresholds, CellError> {
    let mut calls = Vec::new();
    for cell in cells {
        let mut all = Confusion::default();
        let others = Others::of(&cell.parts)?;
        for (part, others) in cell.parts.iter().zip(&others.0) {
            let threshold = by_rule(others, rule).unwrap_or(part.threshold);
            all.merge(&Confusion::at(&part.cell.histogram, &threshold)?);
        }
        calls.push([all.tp, all.fp, all.tn, all.fn_]);
    }
    Ok(OwnThresholds { of, calls })
}

fn counted(limits: &[Limits], parts: &[Part]) -> SetCounts {
    let mut all = SetCounts::default();
    for (limits, part) in limits.iter().zip(parts) {
        all.merge(&limits.count(&part.cell.histogram));
    }
    all
}

/// Per part, the scores of all others.
struct Others(Vec<ScoreHistogram>);

impl Others {
    fn of(parts: &[Part]) -> Result<Self, CellError> {
        let without = |out: usize| {
            let none = ScoreHistogram::empty(*parts[out].cell.histogram.bins());
            let others = parts.iter().enumerate().filter(|(at, _)| *at != out);
            ScoreHistogram::merged(others.map(|(_, part)| &part.cell.histogram).chain([&none]))
        };
        Ok(Self((0..parts.len()).map(without).collect::<Result<_, _>>()?))
    }
}
