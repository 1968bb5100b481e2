//! Cells of two columns: levels at each site, and intersections of subgroup columns, each beside the others and beside chance.
//!
//! Which cells are judged is [`wardround_privacy::suppress::crossed`]'s choice. Of those that are, no counts are shown and nothing
//! that adds up over cells: rates are of patients in steps of the minimum cell, as in [`super::uncertainty`]; an AUC is rounded
//! to more than one half pair of its images, so that its digits don't tell how many there are. Deals of the levels are rounded in the
//! same way, so a difference and what chance makes of it stay comparable.
//!
//! Cells of an intersection are judged for all modelled classes or for none: what one class shows would bound another's counts.

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{
    Crossed, CrossedRows, Figure, Figures, Findings, Interval, MetricSpread, TargetFindings,
};
use wardround_learn::metrics::fairness::{Level, level_interval};
use wardround_learn::metrics::registry::{CROSSED, metric};
use wardround_privacy::suppress::{
    CohortMask, CrossedCounts, CrossedTable as Judge, Shown, Slice, crossed,
};

use super::disclose::Minimums;
use super::fairness::{FairnessSection, GapRow, Items};
use super::model::NamedEstimate;
use super::slices::{TargetMask, first};
use super::uncertainty::{in_steps, rate_in_steps};
use super::values::Estimate;

/// A table of cells, each of one site or level and one level of another column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossedTable {
    /// What is crossed.
    pub kind: CrossedKind,
    /// "site", or a subgroup column.
    pub rows: String,
    /// A subgroup column.
    pub columns: String,
    /// Every judged cell holds at least so many patients of each class.
    pub at_least: u64,
    /// The cells that are judged.
    pub cells: Vec<CrossedCell>,
    /// The others, with the reason.
    pub not_judged: Vec<CrossedNotJudged>,
    /// What is compared: each site's cells with each other, or all cells.
    pub compared: Vec<CrossedGaps>,
}

/// What a table crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossedKind {
    /// Sites and a subgroup column: levels are compared within each site.
    BySite,
    /// Two subgroup columns: all cells are compared.
    Intersection,
}

/// A cell that is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossedCell {
    /// "at" a site, or a column's level.
    pub of: String,
    /// The other column's level.
    pub level: String,
    /// Its figures by metric; intervals hold for all cells of the table at once, where patients were drawn again.
    pub figures: Vec<NamedEstimate>,
}

/// A cell that isn't judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossedNotJudged {
    /// "at" a site, or a column's level.
    pub of: String,
    /// The other column's level.
    pub level: String,
    /// Why.
    pub why: String,
}

/// How far some cells lie apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossedGaps {
    /// "at" a site, or "all cells".
    pub of: String,
    /// The gaps.
    pub gaps: Vec<GapRow>,
}

impl CrossedTable {
    /// Whether it compares levels within sites.
    pub fn is_by_site(&self) -> bool {
        self.kind == CrossedKind::BySite
    }

    /// What the page calls it.
    pub fn words(&self) -> String {
        match self.is_by_site() {
            true => format!("{} at each site", self.columns),
            false => format!("{} and {}", self.rows, self.columns),
        }
    }

    /// The cells that aren't judged, reason by reason: "male, unknown and female, unknown (too few)".
    pub fn not_judged_by_reason(&self) -> Vec<String> {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for one in &self.not_judged {
            let name = format!("{}, {}", one.of, one.level);
            match reasons.iter_mut().find(|(why, _)| *why == one.why) {
                Some((_, names)) => names.push(name),
                None => reasons.push((&one.why, vec![name])),
            }
        }
        reasons.into_iter().map(|(why, names)| format!("{} ({why})", names.join(" and "))).collect()
    }

    /// The judged cell with the smallest AUC, where there are two.
    pub fn worst(&self) -> Option<(&CrossedCell, &Estimate)> {
        let auc = |cell: &'_ CrossedCell| cell.figures.first().and_then(|f| f.estimate.value());
        let known = self.cells.iter().filter(|cell| auc(cell).is_some());
        let lowest = known.clone().min_by(|a, b| {
            let [a, b] = [a, b].map(|cell| auc(cell).unwrap_or(f64::INFINITY));
            a.total_cmp(&b)
        })?;
        (known.count() > 1).then_some((lowest, &lowest.figures.first()?.estimate))
    }
}

impl CrossedCell {
    /// Both of its levels.
    pub fn words(&self) -> String {
        format!("{}, {}", self.of, self.level)
    }
}

/// What the comparison of all cells is called.
const ALL: &str = "all cells";

/// Where a gap at a site and over all sites disagree, in sentences.
pub fn disagreements(section: &FairnessSection) -> Vec<String> {
    let mut lines = Vec::new();
    for table in section.crossed.iter().filter(|table| table.is_by_site()) {
        let Some(column) = section.columns.iter().find(|one| one.name == table.columns) else {
            continue;
        };
        // The larger of two gaps that stand there themselves says nothing new.
        for whole in column.gaps.iter().filter(|gap| gap.name != "equalized_odds_difference") {
            let at_sites: Vec<(&str, &GapRow)> = (table.compared.iter())
                .filter_map(|site| {
                    let gap = site.gaps.iter().find(|gap| gap.name == whole.name)?;
                    Some((site.of.as_str(), gap))
                })
                .filter(|(_, gap)| gap.verdict.chance().is_some())
                .collect();
            if at_sites.is_empty() || whole.verdict.chance().is_none() {
                continue;
            }
            let found = || at_sites.iter().filter(|(_, gap)| gap.is_gap());
            if whole.is_gap() && found().count() == 0 {
                lines.push(format!(
                    "{}: {} is a gap over all sites ({} less, {} more) and at none of {} that could be compared: sites may differ \
                     more than their patients do, or be too small to show it.",
                    column.name,
                    whole.words(),
                    whole.lowest,
                    whole.highest,
                    at_sites.len()
                ));
            }
            for (site, gap) in found() {
                let turned = gap.lowest == whole.highest && gap.highest == whole.lowest;
                let why = match (whole.is_gap(), turned) {
                    (false, _) => "over all sites it is within chance",
                    (true, true) => "over all sites it is the other way round",
                    (true, false) => continue,
                };
                lines.push(format!(
                    "{}, {site}: {} is {} apart between {} (less) and {} (more), beyond chance; {why}.",
                    column.name,
                    gap.words(),
                    gap.difference.short(),
                    gap.lowest,
                    gap.highest
                ));
            }
        }
    }
    lines
}

/// The tables of every modelled class; `masks` are theirs.
pub(super) fn tables(
    findings: &Findings,
    cohort: &CohortMask,
    masks: &[TargetMask],
    minimums: Minimums,
) -> Vec<Vec<CrossedTable>> {
    let of_target = |(target, mask): (&TargetFindings, &TargetMask)| {
        let tables = target.nested.judged.crossed.iter().enumerate();
        tables
            .map(|(at, found)| {
                let judged = match found.rows {
                    CrossedRows::Sites => at_sites(found, cohort, mask, minimums),
                    CrossedRows::Subgroup(row) => {
                        intersection(findings, at, usize::from(row), masks, minimums)
                    }
                };
                table(findings, found, &judged, minimums)
            })
            .collect()
    };
    findings.targets.iter().zip(masks).map(of_target).collect()
}

/// Which levels are judged at which sites: none whose class counts are hidden, since an interval tells about how many there are.
fn at_sites(
    found: &Crossed,
    cohort: &CohortMask,
    mask: &TargetMask,
    minimums: Minimums,
) -> Vec<Vec<Shown<()>>> {
    let column = usize::from(found.column);
    let cells = found.cells.iter().zip(&cohort.cells).map(|(row, shown)| {
        let counts = shown[column].iter().map(|cell| cell.classes);
        row.iter().zip(counts).map(|(cell, given)| slice(&cell.patients, given)).collect()
    });
    let table = Judge {
        rows: mask.sites.iter().map(|site| site.figures).collect(),
        columns: mask.levels[column].iter().map(|level| level.figures).collect(),
        cells: cells.collect(),
        counts: CrossedCounts::Elsewhere,
    };
    crossed(&table, minimums.per_class, minimums.cell)
}

/// Which cells of two columns are judged, for all modelled classes together.
fn intersection(
    findings: &Findings,
    at: usize,
    row: usize,
    masks: &[TargetMask],
    minimums: Minimums,
) -> Vec<Vec<Shown<()>>> {
    let tables: Vec<&Crossed> =
        findings.targets.iter().map(|target| &target.nested.judged.crossed[at]).collect();
    let column = usize::from(tables[0].column);
    let margin = |column: usize| -> Vec<Shown<()>> {
        let levels = 0..findings.subgroups[column].levels.len();
        let of_level = |level: usize| {
            let of_classes = masks.iter().map(|mask| mask.levels[column][level].figures);
            of_classes.fold(Shown::Value(()), first)
        };
        levels.map(of_level).collect()
    };
    let cell = |i: usize, j: usize| {
        let of_classes = tables.iter().flat_map(|table| table.cells[i][j].patients);
        slice(&of_classes.collect::<Vec<_>>(), Shown::Value(()))
    };
    let cells = tables[0].cells.iter().enumerate();
    let table = Judge {
        rows: margin(row),
        columns: margin(column),
        cells: cells.map(|(i, row)| (0..row.len()).map(|j| cell(i, j)).collect()).collect(),
        counts: CrossedCounts::Nowhere,
    };
    crossed(&table, minimums.per_class, minimums.cell)
}

fn slice(by_class: &[u64], given: Shown<()>) -> Slice {
    Slice { by_class: by_class.to_vec(), given }
}

fn table(
    findings: &Findings,
    found: &Crossed,
    judged: &[Vec<Shown<()>>],
    minimums: Minimums,
) -> CrossedTable {
    let column = &findings.subgroups[usize::from(found.column)];
    let kind = match found.rows {
        CrossedRows::Sites => CrossedKind::BySite,
        CrossedRows::Subgroup(_) => CrossedKind::Intersection,
    };
    let (rows, of): (String, Vec<String>) = match found.rows {
        CrossedRows::Sites => {
            let sites = findings.sites.iter().map(|site| format!("at {site}"));
            ("site".to_owned(), sites.collect())
        }
        CrossedRows::Subgroup(at) => {
            let row = &findings.subgroups[usize::from(at)];
            (row.name.clone(), row.levels.clone())
        }
    };
    let (mut shown, mut not_judged) = (Vec::new(), Vec::new());
    for (i, row) in judged.iter().enumerate() {
        for (j, &state) in row.iter().enumerate() {
            let (of, level) = (of[i].clone(), column.levels[j].clone());
            match state {
                Shown::Value(()) => shown.push(Judged {
                    row: i,
                    of,
                    level,
                    figures: &found.cells[i][j],
                    spread: &found.spread.metrics,
                    at: i * row.len() + j,
                    minimums,
                }),
                Shown::Suppressed(reason) => {
                    let why = Estimate::Withheld { reason }.why();
                    not_judged.push(CrossedNotJudged { of, level, why });
                }
            }
        }
    }
    let all: Vec<&Judged<'_>> = shown.iter().collect();
    let compared = match found.rows {
        CrossedRows::Subgroup(_) => {
            vec![CrossedGaps { of: ALL.to_owned(), gaps: gaps(&all, |cell| cell.words()) }]
        }
        CrossedRows::Sites => {
            let by_site = all.chunk_by(|a, b| a.row == b.row).filter(|cells| cells.len() > 1);
            let of_site = |cells: &[&Judged<'_>]| CrossedGaps {
                of: cells[0].of.clone(),
                gaps: gaps(cells, |cell| cell.level.clone()),
            };
            by_site.map(of_site).collect()
        }
    };
    CrossedTable {
        kind,
        rows,
        columns: column.name.clone(),
        at_least: minimums.per_class.get(),
        cells: shown.iter().map(|cell| cell.row(shown.len())).collect(),
        not_judged,
        compared,
    }
}

/// A judged cell.
struct Judged<'a> {
    row: usize,
    of: String,
    level: String,
    figures: &'a Figures,
    spread: &'a [MetricSpread],
    /// Its place in the spread.
    at: usize,
    minimums: Minimums,
}

impl Judged<'_> {
    fn words(&self) -> String {
        format!("{}, {}", self.of, self.level)
    }

    fn row(&self, cells: usize) -> CrossedCell {
        let figures = CROSSED.iter().map(|&name| NamedEstimate {
            name: name.to_owned(),
            estimate: self.simultaneous(name, cells),
        });
        CrossedCell { of: self.of.clone(), level: self.level.clone(), figures: figures.collect() }
    }

    /// What is shown of a metric, with its own interval.
    fn estimate(&self, name: &str) -> Estimate {
        let figure = match name {
            "roc_auc_score" => Some(&self.figures.auc),
            "sensitivity" => Some(&self.figures.sensitivity),
            "specificity" => Some(&self.figures.specificity),
            name => {
                let mut more = self.figures.more.iter();
                more.find(|named| named.name == name).map(|named| &named.figure)
            }
        };
        let Some(figure) = figure else {
            return Estimate::Undefined { reason: "not computed".to_owned() };
        };
        match (self.patients(name), figure) {
            (Some(patients), Figure::Known { value, .. }) => {
                rate_in_steps(*value, patients, self.minimums.cell)
            }
            _ => Estimate::from(figure).to_decimals(self.decimals(name)),
        }
    }

    /// The same with an interval that holds for all cells at once, where patients were drawn again.
    fn simultaneous(&self, name: &str, cells: usize) -> Estimate {
        let estimate = self.estimate(name);
        let (Some(value), Some(metric), Some(error)) =
            (estimate.value(), metric(name), self.error(name))
        else {
            return estimate;
        };
        match level_interval(value, Some(error), cells, metric.range) {
            Interval::NotComputed => estimate,
            interval => Estimate::from(&Figure::Known { value, interval }).to_decimals(3),
        }
    }

    /// Patients of which a metric is a share.
    fn patients(&self, name: &str) -> Option<u64> {
        let [negative, positive] = self.figures.patients;
        match name {
            "sensitivity" => Some(positive),
            "specificity" => Some(negative),
            "selection_rate" => Some(negative + positive),
            _ => None,
        }
    }

    /// Decimals that don't tell how many images there are.
    fn decimals(&self, name: &str) -> i32 {
        let [negative, positive] = self.figures.rows.map(|rows| rows as f64);
        match name {
            "roc_auc_score" => ((negative * positive / 2.0).max(1.0).log10() as i32).min(3),
            _ => 2,
        }
    }

    fn error(&self, name: &str) -> Option<f64> {
        let spread = self.spread.iter().find(|one| one.name == name)?;
        spread.errors.get(self.at).copied().flatten().filter(|error| *error > 0.0)
    }

    /// A metric when levels are dealt anew, rounded as it is itself.
    fn dealt(&self, name: &str) -> Vec<Option<f64>> {
        let spread = self.spread.iter().find(|one| one.name == name);
        let dealt = spread.and_then(|one| one.dealt.get(self.at));
        let scale = 10f64.powi(self.decimals(name));
        let of = |value: f64| match self.patients(name) {
            Some(patients) => in_steps(value, patients, self.minimums.cell).share(),
            None => (value * scale).round() / scale,
        };
        dealt.map_or(Vec::new(), |deals| deals.iter().map(|value| value.map(of)).collect())
    }
}

/// How far some cells lie apart.
fn gaps(cells: &[&Judged<'_>], name: impl Fn(&Judged<'_>) -> String) -> Vec<GapRow> {
    let values: Vec<Vec<Option<f64>>> = (cells.iter())
        .map(|cell| CROSSED.iter().map(|name| cell.estimate(name).value()).collect())
        .collect();
    let dealt: Vec<Vec<Vec<Option<f64>>>> =
        cells.iter().map(|cell| CROSSED.iter().map(|name| cell.dealt(name)).collect()).collect();
    let place = |name: &str| CROSSED.iter().position(|known| *known == name);
    let items = Items {
        names: cells.iter().map(|cell| name(cell)).collect(),
        value: &|at, name| place(name).and_then(|metric| values[at][metric]),
        level: &|at, name| Level {
            value: place(name).and_then(|metric| values[at][metric]).unwrap_or(f64::NAN),
            error: cells[at].error(name),
            dealt: place(name).map_or(&[][..], |metric| &dealt[at][metric]),
        },
    };
    items.gaps(|metric| CROSSED.contains(&metric)).into_iter().map(GapRow::coarse).collect()
}
