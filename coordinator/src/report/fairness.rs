//! How far apart subgroups lie, and whether by more than chance. Made from the rows that the report shows: a level whose figure is
//! withheld takes no part in a gap of it. Standard errors and deals of levels come from the findings, of the shown levels only.
//!
//! Names are fairlearn's: demographic parity compares the shares called positive, equal opportunity sensitivities, equalized odds
//! sensitivities and specificities, predictive parity positive predictive values.

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{ColumnSpread, Figure, Interval, MetricSpread};
use wardround_learn::metrics::fairness::{Chance, Gap, Level, equalized_odds, gap, level_interval};
use wardround_learn::metrics::registry::metric;

use super::crossed::{CrossedGaps, CrossedTable};
use super::model::{FigureRow, LevelRow, NamedEstimate, SubgroupColumn, SubgroupsSection};
use super::values::{Count, Estimate, rounded};

/// Subgroups of a modelled class beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FairnessSection {
    /// The class that counts as positive.
    pub class: String,
    /// The subgroup columns; none where patients weren't drawn again.
    pub columns: Vec<FairnessColumn>,
    /// By two columns at once, where the study asks for it.
    pub crossed: Vec<CrossedTable>,
}

/// The levels of a subgroup column beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FairnessColumn {
    /// Its name.
    pub name: String,
    /// The levels that are judged.
    pub levels: Vec<FairLevel>,
    /// The others, with the reason.
    pub not_judged: Vec<NotJudged>,
    /// What is compared.
    pub gaps: Vec<GapRow>,
}

/// A level that is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FairLevel {
    /// The level.
    pub level: String,
    /// Share of its images that are positive; unknown where counts are withheld.
    pub prevalence: Estimate,
    /// Its figures by metric, with intervals that hold for all levels of the column at once.
    pub figures: Vec<NamedEstimate>,
}

/// A level that isn't judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotJudged {
    /// The level.
    pub level: String,
    /// Why.
    pub why: String,
}

/// How far apart levels lie in something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapRow {
    /// Its name, fairlearn's where it has one there.
    pub name: String,
    /// The levels that are compared.
    pub compared: Vec<String>,
    /// The largest less the smallest, with an interval that holds for all pairs of levels at once.
    pub difference: Estimate,
    /// The smallest by the largest.
    pub ratio: Estimate,
    /// The level with the smallest value; empty where nothing is compared.
    pub lowest: String,
    /// The level with the largest value.
    pub highest: String,
    /// Beside chance.
    pub verdict: Verdict,
}

/// A difference beside those between levels that are dealt anew among patients of one site and class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", deny_unknown_fields)]
pub enum Verdict {
    /// It is larger than 95 % of those: a gap.
    Gap {
        /// 95 % of those are below.
        limit: f64,
        /// Their mean.
        mean: f64,
        /// Share of them that are as large.
        p: f64,
    },
    /// It isn't, which is no proof that there is none.
    Chance {
        /// 95 % of those are below.
        limit: f64,
        /// Their mean.
        mean: f64,
        /// Share of them that are as large.
        p: f64,
    },
    /// There is nothing to compare.
    Unknown,
}

impl Verdict {
    /// As `report.json` writes it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "gap",
            Self::Chance { .. } => "chance",
            Self::Unknown => "unknown",
        }
    }

    /// In words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Gap { .. } => "a gap",
            Self::Chance { .. } => "within chance",
            Self::Unknown => "not compared",
        }
    }

    /// Limit, mean and p-value.
    pub fn chance(&self) -> Option<[f64; 3]> {
        match *self {
            Self::Gap { limit, mean, p } | Self::Chance { limit, mean, p } => {
                Some([limit, mean, p])
            }
            Self::Unknown => None,
        }
    }

    fn of(difference: f64, chance: Option<Chance>) -> Self {
        let Some(Chance { limit, mean, p }) = chance else { return Self::Unknown };
        let is_gap = difference > limit;
        let (limit, mean, p) = (rounded(limit), rounded(mean), rounded(p));
        if is_gap { Self::Gap { limit, mean, p } } else { Self::Chance { limit, mean, p } }
    }
}

/// What is compared: a gap's name, what the page calls it, and the metrics that it is of.
struct Compared {
    name: &'static str,
    words: &'static str,
    of: Metrics,
}

enum Metrics {
    One(&'static str),
    /// Sensitivity and specificity.
    Odds,
}

impl Metrics {
    fn names(&self) -> [&'static str; 2] {
        match self {
            Self::One(metric) => [metric, metric],
            Self::Odds => ["sensitivity", "specificity"],
        }
    }
}

const COMPARED: &[Compared] = &[
    one("roc_auc_difference", "AUC", "roc_auc_score"),
    one("equal_opportunity_difference", "sensitivity (equal opportunity)", "sensitivity"),
    one("specificity_difference", "specificity", "specificity"),
    Compared {
        name: "equalized_odds_difference",
        words: "the larger of both (equalized odds)",
        of: Metrics::Odds,
    },
    one("demographic_parity_difference", "called positive (demographic parity)", "selection_rate"),
    one("predictive_parity_difference", "positive predictive value (predictive parity)", "ppv"),
    one("npv_difference", "negative predictive value", "npv"),
    one("accuracy_difference", "accuracy", "accuracy_score"),
    one("brier_score_difference", "Brier score", "brier_score_loss"),
    one(
        "calibration_error_difference",
        "ECE (calibration within subgroups)",
        "expected_calibration_error",
    ),
    one(
        "calibration_in_the_large_difference",
        "calibration in the large",
        "calibration_in_the_large",
    ),
];

/// The metrics whose values stand by level, in this order.
const BY_LEVEL: [&str; 6] = [
    "roc_auc_score",
    "sensitivity",
    "specificity",
    "ppv",
    "selection_rate",
    "calibration_in_the_large",
];

const fn one(name: &'static str, words: &'static str, metric: &'static str) -> Compared {
    Compared { name, words, of: Metrics::One(metric) }
}

impl GapRow {
    /// What the page calls it.
    pub fn words(&self) -> &str {
        let known = COMPARED.iter().find(|compared| compared.name == self.name);
        known.map_or(self.name.as_str(), |compared| compared.words)
    }

    /// With three decimals, which tell less of single patients.
    pub(super) fn coarse(self) -> Self {
        let [difference, ratio] = [self.difference, self.ratio].map(|one| one.to_decimals(3));
        Self { difference, ratio, ..self }
    }

    /// Whether levels lie further apart than by chance.
    pub fn is_gap(&self) -> bool {
        matches!(self.verdict, Verdict::Gap { .. })
    }
}

impl FairnessSection {
    /// Every gap of two columns at once, with what it is of.
    pub fn crossed_gaps(&self) -> impl Iterator<Item = (String, &GapRow)> {
        self.crossed.iter().flat_map(|table| {
            let of = |one: &CrossedGaps| match table.is_by_site() {
                true => format!("{}, {}", table.columns, one.of),
                false => table.words(),
            };
            table
                .compared
                .iter()
                .flat_map(move |one| one.gaps.iter().map(move |gap| (of(one), gap)))
        })
    }

    /// Every gap with its column's name.
    pub fn gaps(&self) -> impl Iterator<Item = (&str, &GapRow)> {
        self.columns
            .iter()
            .flat_map(|column| column.gaps.iter().map(|gap| (column.name.as_str(), gap)))
    }

    /// Of the rows of a report; `spread` by column of the findings, none where patients weren't drawn again.
    pub(super) fn of(subgroups: &SubgroupsSection, spread: &[ColumnSpread]) -> Self {
        let columns = subgroups.columns.iter().zip(spread);
        let columns = columns.map(|(column, spread)| of_column(column, spread)).collect();
        Self { class: subgroups.class.clone(), columns, crossed: Vec::new() }
    }
}

fn of_column(column: &SubgroupColumn, spread: &ColumnSpread) -> FairnessColumn {
    let judged = |row: &&LevelRow| row.figures.auc.value().is_some();
    let spread_of = |name: &str| spread.metrics.iter().find(|one: &&MetricSpread| one.name == name);
    let shown = column.levels.iter().filter(judged).count();
    let levels = column.levels.iter().enumerate().filter(|(_, row)| judged(row));
    let fair = |(at, row): (usize, &LevelRow)| FairLevel {
        level: row.level.clone(),
        prevalence: prevalence(&row.figures),
        figures: BY_LEVEL
            .iter()
            .map(|name| {
                let error = spread_of(name).and_then(|one| one.errors.get(at).copied().flatten());
                NamedEstimate {
                    name: (*name).to_owned(),
                    estimate: simultaneous(figure(&row.figures, name), name, error, shown),
                }
            })
            .collect(),
    };
    let value = |at: usize, name: &str| figure(&column.levels[at].figures, name).value();
    let items = Items {
        names: column.levels.iter().map(|row| row.level.clone()).collect(),
        value: &value,
        level: &|at, name| {
            let spread = spread_of(name);
            Level {
                value: value(at, name).unwrap_or(f64::NAN),
                error: spread.and_then(|one| one.errors.get(at).copied().flatten()),
                dealt: spread.and_then(|one| one.dealt.get(at)).map_or(&[][..], Vec::as_slice),
            }
        },
    };
    FairnessColumn {
        name: column.name.clone(),
        levels: levels.map(fair).collect(),
        not_judged: column
            .levels
            .iter()
            .filter(|row| !judged(row))
            .map(|row| NotJudged { level: row.level.clone(), why: row.figures.auc.why() })
            .collect(),
        gaps: items.gaps(|_| true),
    }
}

fn simultaneous(estimate: Estimate, name: &str, error: Option<f64>, levels: usize) -> Estimate {
    let (Estimate::Known { value, .. }, Some(metric)) = (&estimate, metric(name)) else {
        return estimate;
    };
    let interval = level_interval(*value, error, levels, metric.range);
    Estimate::from(&Figure::Known { value: *value, interval })
}

/// A row's figure by its metric's name.
fn figure(row: &FigureRow, name: &str) -> Estimate {
    let found = row.named().find(|(known, _)| *known == name);
    found.map_or_else(
        || Estimate::Undefined { reason: "not computed".to_owned() },
        |(_, estimate)| estimate.clone(),
    )
}

fn prevalence(row: &FigureRow) -> Estimate {
    let (Count::Shown(negative), Count::Shown(positive)) =
        (row.images.negative, row.images.positive)
    else {
        return Estimate::Undefined { reason: "its counts are withheld".to_owned() };
    };
    let value = positive as f64 / (negative + positive).max(1) as f64;
    Estimate::from(&Figure::Known { value, interval: Interval::NotComputed })
}

/// What is compared: levels or cells, each with its name and its metrics.
pub(super) struct Items<'a> {
    /// Their names.
    pub names: Vec<String>,
    /// A metric that is shown.
    pub value: &'a dyn Fn(usize, &str) -> Option<f64>,
    /// The same with what is known of its spread.
    pub level: &'a dyn Fn(usize, &str) -> Level<'a>,
}

impl Items<'_> {
    /// How far they lie apart, in what is made of these metrics.
    pub fn gaps(&self, is_of: impl Fn(&str) -> bool) -> Vec<GapRow> {
        let wanted = |compared: &&Compared| compared.of.names().into_iter().all(&is_of);
        COMPARED.iter().filter(wanted).map(|compared| self.gap(compared)).collect()
    }

    fn gap(&self, compared: &Compared) -> GapRow {
        let [first, second] = compared.of.names();
        let is_known = |at: usize, name: &str| (self.value)(at, name).is_some();
        // Those of which both are shown.
        let known: Vec<usize> = (0..self.names.len())
            .filter(|&at| is_known(at, first) && is_known(at, second))
            .collect();
        let of_metric =
            |name: &str| known.iter().map(|&at| (self.level)(at, name)).collect::<Vec<_>>();
        let found = match compared.of {
            Metrics::One(metric) => gap(&of_metric(metric)),
            Metrics::Odds => equalized_odds(&of_metric(first), &of_metric(second)),
        };
        let name = |at: usize| self.names[known[at]].clone();
        let reason = || "fewer than two levels are shown".to_owned();
        let row = GapRow {
            name: compared.name.to_owned(),
            compared: (0..known.len()).map(name).collect(),
            difference: Estimate::Undefined { reason: reason() },
            ratio: Estimate::Undefined { reason: reason() },
            lowest: String::new(),
            highest: String::new(),
            verdict: Verdict::Unknown,
        };
        let Some(Gap { difference, interval, ratio, lowest, highest, chance }) = found else {
            return row;
        };
        GapRow {
            difference: Estimate::from(&Figure::Known { value: difference, interval }),
            ratio: Estimate::from(&match ratio {
                Some(value) => Figure::Known { value, interval: Interval::NotComputed },
                None => Figure::Undefined { reason: "of numbers that may be below 0".to_owned() },
            }),
            lowest: name(lowest),
            highest: name(highest),
            verdict: Verdict::of(difference, chance),
            ..row
        }
    }
}
