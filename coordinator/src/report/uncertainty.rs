//! Recalibration, conformal sets and abstention. All are cross-fitted over the outer folds: what a fold is judged by was learned from
//! the others.
//!
//! Several ways of calling the same rows stand beside each other here, and the difference of two of them is a count that may be small.
//! So every rate is of counts of patients rounded to a multiple of the minimum cell (images are taken as patients as in
//! [`super::slices`]); one whose numerator or complement is below the minimum isn't shown.

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{
    ConformalSets, Figure, Figures, Findings, Interval, OwnOf, OwnThresholds, RecalibratedFit,
    SetsKind, TargetFindings,
};
use wardround_learn::metrics::abstention::{Kept, SHARES};
use wardround_learn::metrics::conformal::SetCounts;
use wardround_learn::metrics::interval::{interval, wilson};
use wardround_learn::metrics::recalibrate::Method;
use wardround_learn::metrics::uncertainty::COVERAGE;
use wardround_privacy::policy::MinimumPatients;
use wardround_privacy::suppress::{Reason, Shown};

use super::disclose::Minimums;
use super::slices::{Slice, TargetMask, in_patients};
use super::values::Estimate;

/// What a modelled class's probabilities are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UncertaintySection {
    /// The class that counts as positive.
    pub class: String,
    /// Probabilities after each map, all sites in one list; none where findings don't have it.
    pub recalibrated: Vec<RecalibratedRow>,
    /// How often conformal sets shall hold the right class.
    pub coverage_wanted: f64,
    /// What they hold.
    pub conformal: Vec<ConformalRow>,
    /// What thresholds of sites and subgroups by themselves come to.
    pub own_thresholds: Vec<OwnThresholdRow>,
    /// Calls of the rows that are kept.
    pub abstention: Vec<AbstentionRow>,
}

/// Probabilities after a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecalibratedRow {
    /// The map.
    pub method: Method,
    /// Mean of `(p - y)^2`, of the middles of bins.
    pub brier: Estimate,
    /// Mean of `-ln` of the probability given to what a row is.
    pub log_loss: Estimate,
    /// Expected calibration error, bins of equal width.
    pub ece: Estimate,
    /// The same, bins of equal mass.
    pub ece_equal_mass: Estimate,
}

/// Conformal sets of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalRow {
    /// What the limits are taken from: "all rows", "each class", or a subgroup column.
    pub limits: String,
    /// Whose rows: "all sites", "at" a site, or a subgroup's.
    pub of: String,
    /// Share of sets that hold the right class.
    pub coverage: Estimate,
    /// The same of negative rows.
    pub coverage_negative: Estimate,
    /// The same of positive rows.
    pub coverage_positive: Estimate,
    /// Share of sets that hold both classes.
    pub both: Estimate,
}

/// Calls at a threshold that a site or subgroup chose by its own rows, beside those at the common one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnThresholdRow {
    /// Whose: "at" a site, or a subgroup's.
    pub of: String,
    /// Sensitivity at the common threshold.
    pub sensitivity: Estimate,
    /// At its own.
    pub own_sensitivity: Estimate,
    /// Specificity at the common threshold.
    pub specificity: Estimate,
    /// At its own.
    pub own_specificity: Estimate,
}

/// Calls of the rows that are farthest from the threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbstentionRow {
    /// Share of rows that are kept, at most.
    pub kept: f64,
    /// Sensitivity among them.
    pub sensitivity: Estimate,
    /// Specificity among them.
    pub specificity: Estimate,
}

impl UncertaintySection {
    /// Of a class's findings, as far as slices are shown.
    pub(super) fn of(
        findings: &Findings,
        target: &TargetFindings,
        shown: &TargetMask,
        minimums: Minimums,
    ) -> Self {
        let judged = &target.nested.judged;
        let uncertainty = &judged.uncertainty;
        let recalibrated = uncertainty.recalibrated.iter().map(|one| {
            let of = |value: fn(&wardround_learn::metrics::recalibrate::Fit) -> f64| {
                shown.whole(&match &one.fit {
                    RecalibratedFit::Known(fit) => {
                        Figure::Known { value: value(fit), interval: Interval::NotComputed }
                    }
                    RecalibratedFit::Undefined { reason } => {
                        Figure::Undefined { reason: reason.clone() }
                    }
                })
            };
            RecalibratedRow {
                method: one.method,
                brier: of(|fit| fit.brier),
                log_loss: of(|fit| fit.log_loss),
                ece: of(|fit| fit.ece),
                ece_equal_mass: of(|fit| fit.ece_equal_mass),
            }
        });
        let mut conformal = Vec::new();
        for sets in &uncertainty.conformal {
            conformal.extend(conformal_rows(findings, target, shown, minimums, sets));
        }
        let all = Cell { figures: &judged.one_list, slice: shown.all, minimum: minimums.cell };
        let abstention = SHARES.iter().zip(&uncertainty.kept).map(|(&share, kept)| {
            let Kept { calls: [tp, fp, tn, fn_], .. } = *kept;
            AbstentionRow {
                kept: share,
                sensitivity: all.rate(1, tp, tp + fn_),
                specificity: all.rate(0, tn, tn + fp),
            }
        });
        Self {
            class: findings.classes[usize::from(target.class)].clone(),
            recalibrated: recalibrated.collect(),
            coverage_wanted: COVERAGE,
            conformal,
            own_thresholds: own_thresholds(findings, target, shown, minimums),
            abstention: abstention.collect(),
        }
    }
}

/// One set of limits: all rows, and where they are taken from all rows each site and subgroup; where they are taken from a
/// subgroup column's levels, each of those.
fn conformal_rows(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
    sets: &ConformalSets,
) -> Vec<ConformalRow> {
    let judged = &target.nested.judged;
    let minimum = minimums.cell;
    let limits = match sets.kind {
        SetsKind::Together => "all rows".to_owned(),
        SetsKind::ByClass => "each class".to_owned(),
        SetsKind::BySubgroup(column) => findings
            .subgroups
            .get(usize::from(column))
            .map_or(String::new(), |one| one.name.clone()),
    };
    let row = |of: String, counts: &SetCounts, figures: &Figures, slice: Slice| {
        Cell { figures, slice, minimum }.conformal(&limits, of, counts)
    };
    let mut rows = vec![row("all sites".to_owned(), &sets.all, &judged.one_list, shown.all)];
    if sets.kind == SetsKind::Together {
        let sites = findings.sites.iter().zip(&sets.by_site);
        let cells = judged.by_site.iter().zip(&shown.sites);
        rows.extend(sites.zip(cells).map(|((site, counts), (figures, slice))| {
            row(format!("at {site}"), counts, figures, *slice)
        }));
    }
    if sets.kind != SetsKind::ByClass {
        for (at, column) in findings.subgroups.iter().enumerate() {
            let counts = sets.by_subgroup.get(at).map_or(&[][..], Vec::as_slice);
            let cells = judged.by_subgroup[at].iter().zip(&shown.levels[at]);
            rows.extend(column.levels.iter().zip(counts).zip(cells).map(
                |((level, counts), (figures, slice))| {
                    row(format!("{} {level}", column.name), counts, figures, *slice)
                },
            ));
        }
    }
    rows
}

fn own_thresholds(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
) -> Vec<OwnThresholdRow> {
    let judged = &target.nested.judged;
    let mut rows = Vec::new();
    for OwnThresholds { of, calls } in &judged.uncertainty.own_thresholds {
        let (names, figures, slices): (Vec<String>, &[Figures], &[Slice]) = match of {
            OwnOf::Sites => {
                let names = findings.sites.iter().map(|site| format!("at {site}"));
                (names.collect(), &judged.by_site, &shown.sites)
            }
            OwnOf::Levels(column) => {
                let at = usize::from(*column);
                let Some(column) = findings.subgroups.get(at) else { continue };
                let names = column.levels.iter().map(|level| format!("{} {level}", column.name));
                (names.collect(), &judged.by_subgroup[at], &shown.levels[at])
            }
        };
        for ((of, [tp, fp, tn, fn_]), (figures, slice)) in
            names.into_iter().zip(calls).zip(figures.iter().zip(slices))
        {
            let cell = Cell { figures, slice: *slice, minimum: minimums.cell };
            let [hits, alarms, passed, missed] = figures.confusion;
            rows.push(OwnThresholdRow {
                of,
                sensitivity: cell.rate(1, hits, hits + missed),
                own_sensitivity: cell.rate(1, *tp, tp + fn_),
                specificity: cell.rate(0, passed, passed + alarms),
                own_specificity: cell.rate(0, *tn, tn + fp),
            });
        }
    }
    rows
}

/// The share of a slice's rows that some are, in steps of the minimum.
pub(super) fn share(
    figures: &Figures,
    slice: Slice,
    minimum: MinimumPatients,
    part: u64,
    of: u64,
) -> Estimate {
    Cell { figures, slice, minimum }.rate_of_all(part, of)
}

/// A cell whose rates are shown in steps of the minimum.
struct Cell<'a> {
    figures: &'a Figures,
    slice: Slice,
    minimum: MinimumPatients,
}

impl Cell<'_> {
    fn conformal(&self, limits: &str, of: String, counts: &SetCounts) -> ConformalRow {
        let SetCounts { rows, covered, both, .. } = *counts;
        ConformalRow {
            limits: limits.to_owned(),
            of,
            coverage: self.rate_of_all(covered[0] + covered[1], rows[0] + rows[1]),
            coverage_negative: self.rate(0, covered[0], rows[0]),
            coverage_positive: self.rate(1, covered[1], rows[1]),
            both: self.rate_of_all(both, rows[0] + rows[1]),
        }
    }

    /// A rate of a class's rows.
    fn rate(&self, class: usize, part: u64, of: u64) -> Estimate {
        let (patients, rows) = (self.figures.patients[class], self.figures.rows[class]);
        self.coarse(in_patients(part, patients, rows), in_patients(of, patients, rows))
    }

    /// A rate of all rows.
    fn rate_of_all(&self, part: u64, of: u64) -> Estimate {
        let patients: u64 = self.figures.patients.iter().sum();
        let rows: u64 = self.figures.rows.iter().sum();
        self.coarse(in_patients(part, patients, rows), in_patients(of, patients, rows))
    }

    /// A rate of patients, both sides rounded to multiples of the minimum.
    fn coarse(&self, part: u64, of: u64) -> Estimate {
        for shown in [self.slice.counts, self.slice.figures] {
            if let Shown::Suppressed(reason) = shown {
                return Estimate::Withheld { reason };
            }
        }
        coarse(part, of, self.minimum)
    }
}

/// A rate of patients, both sides rounded to multiples of the minimum.
fn coarse(part: u64, of: u64, minimum: MinimumPatients) -> Estimate {
    let step = minimum.get().max(1);
    if of == 0 {
        return Estimate::Undefined { reason: "no rows".to_owned() };
    }
    if part < step || of.saturating_sub(part) < step {
        return Estimate::Withheld { reason: Reason::SmallCell };
    }
    let steps = Steps::of(part, of, minimum);
    let (value, of) = (steps.share(), steps.part + steps.rest);
    Estimate::from(&Figure::Known { value, interval: interval(wilson(value, of)) })
}

/// A share of patients, in counts that are multiples of the minimum.
pub(super) struct Steps {
    part: u64,
    rest: u64,
}

impl Steps {
    fn of(part: u64, of: u64, minimum: MinimumPatients) -> Self {
        let step = minimum.get().max(1);
        let round = |count: u64| (count + step / 2) / step * step;
        Self { part: round(part), rest: round(of.saturating_sub(part)) }
    }

    /// The share.
    pub fn share(&self) -> f64 {
        self.part as f64 / (self.part + self.rest).max(1) as f64
    }
}

/// A share of so many patients in steps of the minimum.
pub(super) fn in_steps(share: f64, patients: u64, minimum: MinimumPatients) -> Steps {
    Steps::of(part(share, patients), patients, minimum)
}

/// The same as an estimate, withheld where it or its complement is below the minimum.
pub(super) fn rate_in_steps(share: f64, patients: u64, minimum: MinimumPatients) -> Estimate {
    coarse(part(share, patients), patients, minimum)
}

/// How many of the patients, rounded down; a share of whole numbers may lie a little below one.
fn part(share: f64, patients: u64) -> u64 {
    ((share * patients as f64 + 1e-4) as u64).min(patients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(patients: [u64; 2], rows: [u64; 2]) -> Figures {
        let none = || Figure::Undefined { reason: "not asked".to_owned() };
        Figures {
            patients,
            rows,
            auc: none(),
            sensitivity: none(),
            specificity: none(),
            confusion: [0; 4],
            brier: none(),
            ece: none(),
            roc: Vec::new(),
            reliability: Vec::new(),
            more: Vec::new(),
        }
    }

    fn slice() -> Slice {
        let shown = Shown::Value(());
        Slice { counts: shown, figures: shown, positive_calls: shown, negative_calls: shown }
    }

    #[test]
    fn rates_go_in_steps_of_the_minimum() {
        let figures = figures([100, 60], [200, 60]);
        let cell = Cell { figures: &figures, slice: slice(), minimum: MinimumPatients::new(5) };
        let value = |estimate: Estimate| estimate.value().map(|x| (x * 1000.0).round());
        // 43 and 17 of 60 patients are 45 and 15.
        assert_eq!(value(cell.rate(1, 43, 60)), Some(750.0));
        // One more or less changes nothing: no small difference can be told.
        assert_eq!(value(cell.rate(1, 44, 60)), Some(750.0));
        // 180 of 200 images are 90 of 100 patients.
        assert_eq!(value(cell.rate(0, 180, 200)), Some(900.0));
        assert_eq!(value(cell.rate(1, 56, 60)), None);
        assert_eq!(value(cell.rate(1, 4, 60)), None);
        assert_eq!(value(cell.rate(1, 0, 0)), None);
        let hidden = Shown::Suppressed(Reason::SmallSlice);
        let cell = Cell { slice: Slice { figures: hidden, ..slice() }, ..cell };
        assert_eq!(cell.rate(1, 43, 60), Estimate::Withheld { reason: Reason::SmallSlice });
    }
}
