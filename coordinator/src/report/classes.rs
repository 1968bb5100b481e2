//! Several classes together: means over classes, and how often rows of each class were called which.
//!
//! - A mean is shown where every class's figure is. It follows from those and from the classes' counts, which are shown where figures
//!   are: nothing more is told.
//! - The table of classes by calls is of all sites. Its counts are rounded to multiples of the minimum cell. A class whose right or wrong
//!   calls are of fewer patients than that has no counts; in others a count of fewer patients is withheld, and where it is the only one
//!   of its class the smallest other count with it.
//! - Sites and subgroups have figures, no table. They are shown where every site's, or every level's that anybody is in, may be, else
//!   none is: one's would follow from all less the others.
//! - Figures of the table are rounded, lest their digits tell its counts: accuracy is of counts in steps of the minimum, others have two
//!   decimals.

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{
    Average, CallTable, Calls, ClassMean, ClassMeans, Figure, Findings, Interval,
};
use wardround_privacy::suppress::{Reason, Shown};

use super::disclose::Minimums;
use super::model::{FigureRow, NamedEstimate, Report};
use super::slices::{Slice, TargetMask, first, in_patients};
use super::uncertainty::rate_in_steps;
use super::values::{Count, Estimate};

/// Whether several classes are modelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ClassesSection {
    /// One is.
    One,
    /// Several are.
    Several {
        /// Means over classes: all sites, each site, each subgroup.
        means: Vec<MeansRow>,
        /// How often rows of each class were called which.
        calls: CallsSection,
    },
}

/// Means over classes of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeansRow {
    /// Whose rows: "all sites", "at" a site, or a subgroup's.
    pub of: String,
    /// The means.
    pub means: Vec<MeanEstimate>,
}

/// A mean over classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanEstimate {
    /// The metric's name.
    pub name: String,
    /// How classes count.
    pub average: Average,
    /// The mean.
    pub estimate: Estimate,
}

/// Whether the study asks which class has the largest probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum CallsSection {
    /// It doesn't.
    NotAsked,
    /// It does.
    Asked {
        /// The classes, in the order of the counts.
        classes: Vec<String>,
        /// What is judged, of all sites, by class and then by call; in steps of `step`.
        counts: Vec<Vec<Count>>,
        /// What counts are multiples of.
        step: u64,
        /// Figures: all sites, each site, each subgroup.
        figures: Vec<CallsRow>,
    },
}

/// Figures of the calls of some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsRow {
    /// Whose rows: "all sites", "at" a site, or a subgroup's.
    pub of: String,
    /// The figures.
    pub figures: Vec<NamedEstimate>,
}

/// The section, of a report that has each class's own figures already.
pub(super) fn section(
    findings: &Findings,
    report: &Report,
    masks: &[TargetMask],
    minimums: Minimums,
) -> ClassesSection {
    let ClassMeans::Several(found) = &findings.class_means else { return ClassesSection::One };
    let mut means = Vec::new();
    let mut add = |of: String, found: &[ClassMean], rows: Vec<&FigureRow>| {
        let means_of = found.iter().map(|mean| shown_mean(mean, &rows));
        means.push(MeansRow { of, means: means_of.collect() });
    };
    let all = report.pooled.iter().map(|section| &section.figures);
    add("all sites".to_owned(), &found.one_list, all.collect());
    for (at, (site, found)) in findings.sites.iter().zip(&found.by_site).enumerate() {
        let rows = report.sites.iter().map(|section| &section.sites[at].figures);
        add(format!("at {site}"), found, rows.collect());
    }
    for (column, (names, levels)) in findings.subgroups.iter().zip(&found.by_subgroup).enumerate() {
        for (level, (name, found)) in names.levels.iter().zip(levels).enumerate() {
            let rows = report
                .subgroups
                .iter()
                .map(|section| &section.columns[column].levels[level].figures);
            add(format!("{} {name}", names.name), found, rows.collect());
        }
    }
    ClassesSection::Several { means, calls: calls(findings, masks, minimums) }
}

/// A mean, as far as every class's figure is shown.
fn shown_mean(mean: &ClassMean, rows: &[&FigureRow]) -> MeanEstimate {
    let withheld = rows.iter().find_map(|row| {
        let (_, estimate) = row.named().find(|(name, _)| *name == mean.name)?;
        match estimate {
            Estimate::Withheld { reason } => Some(*reason),
            Estimate::Known { .. } | Estimate::Undefined { .. } => None,
        }
    });
    let estimate = match withheld {
        Some(reason) => Estimate::Withheld { reason },
        None => Estimate::from(&mean.figure),
    };
    MeanEstimate { name: mean.name.clone(), average: mean.average, estimate }
}

fn calls(findings: &Findings, masks: &[TargetMask], minimums: Minimums) -> CallsSection {
    let Calls::Asked(tables) = &findings.calls else { return CallsSection::NotAsked };
    let all = of_classes(masks.iter().map(|mask| mask.all));
    let mut figures =
        vec![row("all sites".to_owned(), &tables.all, findings.classes.len(), all, minimums)];
    let sites: Vec<Shown<()>> = (0..findings.sites.len())
        .map(|at| of_classes(masks.iter().map(|mask| mask.sites[at])))
        .collect();
    let names = findings.sites.iter().map(|site| format!("at {site}"));
    figures.extend(rows(names, &tables.by_site, findings.classes.len(), &sites, minimums));
    for (column, levels) in findings.subgroups.iter().enumerate() {
        let shown: Vec<Shown<()>> = (0..levels.levels.len())
            .map(|level| of_classes(masks.iter().map(|mask| mask.levels[column][level])))
            .collect();
        let names = levels.levels.iter().map(|level| format!("{} {level}", levels.name));
        let tables = &tables.by_subgroup[column];
        figures.extend(rows(names, tables, findings.classes.len(), &shown, minimums));
    }
    CallsSection::Asked {
        classes: findings.classes.clone(),
        counts: counts(findings, &tables.all, all, minimums),
        step: minimums.cell.get().max(1),
        figures,
    }
}

/// Whether all of every class is shown of a slice.
fn of_classes(slices: impl Iterator<Item = Slice>) -> Shown<()> {
    let of_class = |slice: Slice| {
        let calls = first(slice.positive_calls, slice.negative_calls);
        first(first(slice.counts, slice.figures), calls)
    };
    slices.map(of_class).fold(Shown::Value(()), first)
}

/// The rows of a column: all that anybody is in, or none.
fn rows(
    names: impl Iterator<Item = String>,
    tables: &[CallTable],
    side: usize,
    shown: &[Shown<()>],
    minimums: Minimums,
) -> Vec<CallsRow> {
    let counts_as_shown =
        |one: &Shown<()>| matches!(one, Shown::Value(()) | Shown::Suppressed(Reason::Empty));
    let each = shown.iter().all(counts_as_shown);
    let of = |((name, table), shown): ((String, &CallTable), &Shown<()>)| {
        let shown = match (each, shown) {
            (false, Shown::Value(())) => Shown::Suppressed(Reason::SmallSlice),
            (_, shown) => *shown,
        };
        row(name, table, side, shown, minimums)
    };
    names.zip(tables).zip(shown).map(of).collect()
}

fn row(
    of: String,
    table: &CallTable,
    side: usize,
    shown: Shown<()>,
    minimums: Minimums,
) -> CallsRow {
    // Of patients with a row of several calls each counts, so that there are no fewer than patients.
    let rows: u64 = table.rows.iter().sum();
    let patients = table.patients.iter().sum::<u64>().min(rows);
    let right = table.rows.iter().step_by(side + 1).sum::<u64>();
    let figures = table.figures.iter().map(|named| {
        let estimate = match (shown, &named.figure) {
            (Shown::Suppressed(reason), _) => Estimate::Withheld { reason },
            (Shown::Value(()), Figure::Known { value, interval })
                if named.name == "accuracy_score" =>
            {
                // Of the first deal in counts; the mean over deals moves by less than a step.
                let share = right as f64 / rows.max(1) as f64;
                accuracy(rate_in_steps(share, patients, minimums.cell), *value, interval)
            }
            (Shown::Value(()), figure) => Estimate::from(figure).to_decimals(2),
        };
        NamedEstimate { name: named.name.clone(), estimate }
    });
    CallsRow { of, figures: figures.collect() }
}

/// The accuracy in steps, with the interval of the draws moved along, as wide as it is.
fn accuracy(steps: Estimate, value: f64, interval: &Interval) -> Estimate {
    match (steps, interval) {
        (Estimate::Known { value: shown, .. }, &Interval::Between { low, high }) => {
            let end = |end: f64| (shown + end - value).clamp(0.0, 1.0);
            let interval = Interval::Between { low: end(low), high: end(high) };
            Estimate::from(&Figure::Known { value: shown, interval }).to_decimals(3)
        }
        (steps, _) => steps,
    }
}

/// The table's counts in steps of the minimum.
fn counts(
    findings: &Findings,
    table: &CallTable,
    shown: Shown<()>,
    minimums: Minimums,
) -> Vec<Vec<Count>> {
    let side = findings.classes.len();
    let least = minimums.cell.get().max(1);
    let by_class = table.rows.chunks_exact(side).zip(table.patients.chunks_exact(side));
    let of_class = |(class, (rows, patients)): (usize, (&[u64], &[u64]))| {
        if let Shown::Suppressed(reason) = shown {
            return vec![Count::Withheld(reason); side];
        }
        let figures = findings.targets.iter().find(|target| usize::from(target.class) == class);
        let [all_patients, all_rows] = figures.map_or([0, 0], |target| {
            let figures = &target.nested.judged.one_list;
            [figures.patients[1], figures.rows[1]]
        });
        let right = rows[class];
        let wrong = rows.iter().sum::<u64>().saturating_sub(right);
        let few = |rows: u64| in_patients(rows, all_patients, all_rows) < least;
        if few(right) || few(wrong) {
            return vec![Count::Withheld(Reason::SmallCell); side];
        }
        let mut hidden: Vec<bool> = patients.iter().map(|&patients| patients < least).collect();
        if hidden.iter().filter(|hidden| **hidden).count() == 1 {
            let others = (0..side).filter(|&call| !hidden[call]);
            if let Some(smallest) = others.min_by_key(|&call| rows[call]) {
                hidden[smallest] = true;
            }
        }
        let count = |(&rows, hidden): (&u64, bool)| match hidden {
            true => Count::Withheld(Reason::SmallCell),
            false => Count::Shown((rows + least / 2) / least * least),
        };
        rows.iter().zip(hidden).map(count).collect()
    };
    by_class.enumerate().map(of_class).collect()
}
