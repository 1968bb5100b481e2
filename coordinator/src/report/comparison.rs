//! A study's classifiers beside each other, as the report shows them.
//!
//! Every row judges the same patients, so what may be shown of the chosen classifier may be shown of all;
//! sensitivities and specificities of the others are left out, since each would be two more counts.

use serde::{Deserialize, Serialize};
use wardround_core::study::{GridPoint, Study};
use wardround_learn::findings::{
    Compared, ComparedClass, ComparedClassifier, Comparison, Figure, Findings, Matrix, OwnSites,
};

use super::check::BuildError;
use super::model::RoundCost;
use super::slices::TargetMask;
use super::values::{Estimate, rounded};

/// Whether a study compares classifiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ComparisonSection {
    /// It has one.
    Single,
    /// It has several.
    Several(ComparedSection),
}

/// Several classifiers on the same folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedSection {
    /// The chosen one's name.
    pub chosen: String,
    /// Its AUC without the advantage of having been chosen; of several classes, the mean.
    pub estimate: Estimate,
    /// The same for each modelled class.
    pub estimate_by_class: Vec<ClassEstimate>,
    /// Which AUC all of this is about: "within-sites" or "one-list".
    pub judged_by: String,
    /// How many inputs, such as backbones, the classifiers were tried on.
    pub inputs: u64,
    /// Grid points that were tried, of all classifiers.
    pub grid_points: u64,
    /// Bootstrap replicates behind the estimate and the differences.
    pub replicates: u64,
    /// The classifiers, best first.
    pub ranking: Vec<RankedClassifier>,
    /// Every pair of them, in the order of the ranking.
    pub differences: Vec<DifferenceRow>,
}

/// A modelled class's estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassEstimate {
    /// The class that counts as positive.
    pub class: String,
    /// Its AUC.
    pub auc: Estimate,
}

/// A classifier in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedClassifier {
    /// Its name.
    pub name: String,
    /// Whether it became the model.
    pub chosen: bool,
    /// Its nested AUC; of several classes, the mean.
    pub auc: Estimate,
    /// One per modelled class.
    pub classes: Vec<RankedClass>,
    /// What it cost.
    pub cost: ClassifierCost,
}

/// One modelled class of a classifier, from nested folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankedClass {
    /// The class that counts as positive.
    pub class: String,
    /// AUC over pairs of one site.
    pub auc_within_sites: Estimate,
    /// AUC of all sites in one list.
    pub auc_one_list: Estimate,
    /// Mean of `(p - y)^2`.
    pub brier: Estimate,
    /// Expected calibration error.
    pub ece: Estimate,
    /// Every grid point's plain out-of-fold AUCs: used for choosing, so optimistic.
    pub used_for_choosing: Vec<TriedPoint>,
}

/// A grid point that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedPoint {
    /// The grid point.
    pub point: GridPoint,
    /// Whether a final model of this classifier would use it.
    pub chosen: bool,
    /// AUC over pairs of one site.
    pub auc_within_sites: Estimate,
    /// AUC of all sites in one list.
    pub auc_one_list: Estimate,
}

/// What a classifier cost, without what all of them share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierCost {
    /// Rounds.
    pub rounds: u64,
    /// Models fitted in them.
    pub models: u64,
    /// Bytes from all sites to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to all sites.
    pub bytes_down: u64,
    /// How long its rounds took, in milliseconds.
    pub took_ms: u64,
}

/// Two classifiers' AUCs, one less the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceRow {
    /// The one.
    pub first: String,
    /// The other, which is subtracted.
    pub second: String,
    /// The difference, paired by patient; its interval holds for all differences at once.
    pub auc: Estimate,
    /// The p-value, adjusted for the number of differences; left out where the difference is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

/// The section; `shown` has one mask per modelled class.
pub(super) fn section(
    findings: &Findings,
    study: &Study,
    rounds: &[RoundCost],
    shown: &[TargetMask],
) -> Result<ComparisonSection, BuildError> {
    let Comparison::Several(compared) = &findings.comparison else {
        return Ok(ComparisonSection::Single);
    };
    check(findings, compared)?;
    let class = |at: usize| findings.classes[usize::from(findings.targets[at].class)].clone();
    let mut order: Vec<usize> = (0..compared.classifiers.len()).collect();
    let value = |at: usize| match compared.classifiers[at].auc {
        Figure::Known { value, .. } => value,
        Figure::Undefined { .. } => f64::NEG_INFINITY,
    };
    order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
    let ranking = order.iter().map(|&at| {
        let one = &compared.classifiers[at];
        let classes = one.classes.iter().zip(shown).enumerate();
        RankedClassifier {
            name: one.name.clone(),
            chosen: at == compared.chosen,
            auc: masked(&one.auc, shown),
            classes: classes.map(|(at, (of, shown))| ranked(one, of, class(at), shown)).collect(),
            cost: cost(one, findings, rounds),
        }
    });
    let name = |at: usize| compared.classifiers[at].name.clone();
    let mut differences = Vec::new();
    for (rank, &first) in order.iter().enumerate() {
        for &second in &order[rank + 1..] {
            let pair = |d: &&wardround_learn::findings::Difference| {
                (d.first, d.second) == (first.min(second), first.max(second))
            };
            let Some(found) = compared.differences.iter().find(pair) else { continue };
            let auc = if first < second { found.auc.clone() } else { turned(&found.auc) };
            let auc = masked(&auc, shown);
            let p = auc.value().and(found.p).map(rounded);
            differences.push(DifferenceRow { first: name(first), second: name(second), auc, p });
        }
    }
    let by_class = compared.estimate_by_class.iter().zip(shown).enumerate();
    Ok(ComparisonSection::Several(ComparedSection {
        chosen: name(compared.chosen),
        estimate: masked(&compared.estimate, shown),
        estimate_by_class: by_class
            .map(|(at, (figure, shown))| ClassEstimate {
                class: class(at),
                auc: shown.within(figure, 1),
            })
            .collect(),
        judged_by: super::build::judged_by(study.validation.choose_by).to_owned(),
        inputs: study.inputs() as u64,
        grid_points: compared.classifiers.iter().map(|one| one.grid.len() as u64).sum(),
        replicates: compared.replicates,
        ranking: ranking.collect(),
        differences,
    }))
}

fn check(findings: &Findings, compared: &Compared) -> Result<(), BuildError> {
    let count = compared.classifiers.len();
    let index = |what, got| match got < count {
        true => Ok(()),
        false => Err(BuildError::Index { what, below: count, got }),
    };
    index("the chosen classifier", compared.chosen)?;
    for difference in &compared.differences {
        index("a compared classifier", difference.first)?;
        index("a compared classifier", difference.second)?;
    }
    let expected = findings.targets.len();
    for one in &compared.classifiers {
        let got = one.classes.len();
        if got != expected {
            let what = "modelled classes of a classifier";
            return Err(BuildError::Size { what, expected, got });
        }
        for class in &one.classes {
            let (expected, got) = (one.grid.len(), class.used_for_choosing.len());
            if got != expected {
                let what = "grid points of a classifier";
                return Err(BuildError::Size { what, expected, got });
            }
        }
    }
    Ok(())
}

/// A figure over all classes: withheld where one of them is.
fn masked(figure: &Figure, shown: &[TargetMask]) -> Estimate {
    let each = shown.iter().map(|shown| shown.within(figure, 1));
    let coarsest = each.reduce(|a, b| match (&a, &b) {
        (Estimate::Withheld { .. }, _) => a,
        (_, Estimate::Withheld { .. }) => b,
        // Of two roundings the coarser one is written in fewer digits.
        _ if digits(&b) < digits(&a) => b,
        _ => a,
    });
    coarsest.unwrap_or_else(|| Estimate::from(figure))
}

fn digits(estimate: &Estimate) -> usize {
    estimate.value().map_or(0, |value| value.to_string().len())
}

fn turned(figure: &Figure) -> Figure {
    use wardround_learn::findings::Interval;
    match figure {
        Figure::Known { value, interval } => Figure::Known {
            value: -value,
            interval: match *interval {
                Interval::Between { low, high } => Interval::Between { low: -high, high: -low },
                Interval::NotComputed => Interval::NotComputed,
            },
        },
        Figure::Undefined { .. } => figure.clone(),
    }
}

fn ranked(
    one: &ComparedClassifier,
    of: &ComparedClass,
    class: String,
    shown: &TargetMask,
) -> RankedClass {
    let judged = &of.nested.judged;
    let tried = one.grid.iter().zip(&of.used_for_choosing).enumerate();
    RankedClass {
        class,
        auc_within_sites: shown.within(&judged.auc_within_sites, 1),
        auc_one_list: shown.whole(&judged.one_list.auc),
        brier: shown.whole(&judged.one_list.brier),
        ece: shown.whole(&judged.one_list.ece),
        used_for_choosing: tried
            .map(|(at, (point, result))| TriedPoint {
                point: *point,
                chosen: at == of.point,
                auc_within_sites: shown.within(&result.auc_within_sites, 1),
                auc_one_list: shown.whole(&result.auc_one_list),
            })
            .collect(),
    }
}

/// Adds up a classifier's rounds. The study's own are the last ones of the journal: what an earlier run
/// asked, that was given up, stands before them.
fn cost(one: &ComparedClassifier, findings: &Findings, rounds: &[RoundCost]) -> ClassifierCost {
    let Comparison::Several(compared) = &findings.comparison else {
        return ClassifierCost::default();
    };
    let mut answered = compared.classifiers.iter().map(|one| one.rounds[1]).max().unwrap_or(0);
    if let OwnSites::Asked { rounds, .. } = &findings.own_sites {
        answered = answered.max(rounds[1]);
    }
    if let Matrix::Asked { rounds, .. } = &findings.matrix {
        answered = answered.max(rounds[1]);
    }
    let before = rounds.len().saturating_sub(answered as usize);
    let [first, last] = one.rounds.map(|number| before + number as usize);
    let own = rounds.get(first.saturating_sub(1)..last.min(rounds.len())).unwrap_or_default();
    let sum = |of: fn(&RoundCost) -> u64| own.iter().map(of).sum();
    ClassifierCost {
        rounds: one.cost.queries,
        models: one.cost.models,
        bytes_up: sum(|round| round.bytes_up),
        bytes_down: sum(|round| round.bytes_down),
        took_ms: sum(|round| round.took_ms),
    }
}
