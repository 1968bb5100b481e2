//! What `wardround-site check` says about a site's data: counts, and all problems.
//!
//! It is for the site's owner and stays there: it names lines and values, and suppresses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use wardround_core::study::{Input, Missing, Study};

use super::cohort::{CohortRow, Incomplete, RowInput, SetAside, Unusable};
use super::inspect::Inspection;
use super::reason::{Obstacle, numbers};

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The study's name.
    pub study: String,
    /// What a patient key names: "patient", "lesion".
    pub unit: String,
    /// What a row is: "image" or "row".
    pub row: String,
    /// Whether the site can take part.
    pub verdict: Verdict,
    /// Rows of the manifest.
    pub lines: usize,
    /// Rows that didn't pass the study's filters.
    pub filtered_out: usize,
    /// Rows with problems.
    pub set_aside: usize,
    /// Rows left out for missing values.
    pub incomplete: usize,
    /// The rows that take part.
    pub total: Count,
    /// Those by class, in the order of class codes. A patient counts in every class it has a row of.
    pub classes: Vec<Count>,
    /// Those by subgroup.
    pub subgroups: Vec<SubgroupCounts>,
    /// Per column of a table that has missing values: rows without one.
    pub missing: Vec<Count>,
    /// What keeps the whole site from taking part.
    pub obstacles: Vec<String>,
    /// What may be wrong, though no row is.
    pub warnings: Vec<String>,
    /// Problems by kind, the most frequent first.
    pub problems: Vec<ProblemGroup>,
    /// Every row with problems.
    pub rows_set_aside: Vec<SetAside>,
    /// Every row left out for missing values.
    pub rows_incomplete: Vec<Incomplete>,
}

/// Whether a site can take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It can.
    Ready,
    /// It can't, and why.
    Stopped(String),
}

/// A number of patients and rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Of what.
    pub name: String,
    /// Patients, by issuer and key.
    pub patients: usize,
    /// Rows.
    pub rows: usize,
}

/// The counts of a subgroup's levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubgroupCounts {
    /// The subgroup.
    pub name: String,
    /// One per level, "unknown" last.
    pub levels: Vec<LevelCount>,
}

/// The counts of a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelCount {
    /// Patients and rows that take part.
    #[serde(flatten)]
    pub count: Count,
    /// Of those rows, by class.
    pub rows_by_class: Vec<usize>,
    /// Rows with missing values: left out, or taking part with imputed ones.
    pub missing: usize,
}

/// Rows with the same kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemGroup {
    /// The problem.
    pub kind: String,
    /// Their lines in the manifest.
    pub lines: Vec<u64>,
    /// The first of them in full.
    pub example: String,
}

impl Report {
    /// Reports an inspection; `allowed` is the site's `problem_share`.
    pub fn of(study: &Study, found: &Inspection, allowed: f64) -> Self {
        let classes = study.target.classes.names();
        let class_counts = (0..).zip(&classes).map(|(class, name)| {
            count(name, found.rows.iter().filter(|row| row.classes.has(class)))
        });
        let subgroups = study.subgroups.iter().enumerate().map(|(at, subgroup)| SubgroupCounts {
            name: subgroup.name.clone(),
            levels: levels(study, found, at, subgroup.level_names()),
        });
        Self {
            study: study.name.clone(),
            unit: study.patient.unit.clone(),
            row: match study.input {
                Input::Images { .. } => "image".to_owned(),
                Input::Table(_) => "row".to_owned(),
            },
            verdict: match found.usable(allowed) {
                Ok(()) => Verdict::Ready,
                Err(Unusable::Obstacles(_)) => {
                    Verdict::Stopped("something is missing, see above".to_owned())
                }
                Err(why) => Verdict::Stopped(why.to_string()),
            },
            lines: found.lines,
            filtered_out: found.filtered_out,
            set_aside: found.set_aside.len(),
            incomplete: found.incomplete.len(),
            total: count("all", found.rows.iter()),
            classes: class_counts.collect(),
            subgroups: subgroups.collect(),
            missing: missing(study, found),
            obstacles: found.obstacles.iter().map(Obstacle::to_string).collect(),
            warnings: found.warnings.clone(),
            problems: problems(&found.set_aside),
            rows_set_aside: found.set_aside.clone(),
            rows_incomplete: found.incomplete.clone(),
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("texts, numbers and lists are JSON")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "study: {}", self.study)?;
        writeln!(
            f,
            "manifest: {} rows; {} don't pass the filters, {} have problems, {} lack values, {} take part\n",
            self.lines, self.filtered_out, self.set_aside, self.incomplete, self.total.rows
        )?;
        self.counts(f)?;
        for count in &self.missing {
            writeln!(
                f,
                "{} rows ({} {}s) have no {}",
                count.rows, count.patients, self.unit, count.name
            )?;
        }
        for (title, texts) in [("missing", &self.obstacles), ("please check", &self.warnings)] {
            if !texts.is_empty() {
                writeln!(f, "\n{title}:")?;
            }
            for text in texts {
                writeln!(f, "  {text}")?;
            }
        }
        if !self.problems.is_empty() {
            writeln!(f, "\nrows set aside:")?;
        }
        for group in &self.problems {
            let (rows, lines) = (group.lines.len(), numbers(&group.lines));
            writeln!(f, "  {rows} x {}: {lines}", group.kind)?;
            if group.example != group.kind {
                writeln!(f, "      {}", group.example)?;
            }
        }
        match &self.verdict {
            Verdict::Ready => writeln!(f, "\nready"),
            Verdict::Stopped(why) => writeln!(f, "\nstopped: {why}"),
        }
    }
}

impl Report {
    /// A table of counts: one line per class and per level of a subgroup.
    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, &Count, usize)> = vec![("all".to_owned(), &self.total, 0)];
        let classes = self.classes.iter().map(|count| (format!("class {}", count.name), count, 0));
        lines.extend(classes);
        for SubgroupCounts { name, levels } in &self.subgroups {
            let levels = levels
                .iter()
                .map(|level| (format!("{name} {}", level.count.name), &level.count, level.missing));
            lines.extend(levels);
        }
        let width = lines.iter().map(|(name, ..)| name.chars().count() + 2).max().unwrap_or(0);
        let (patients, rows) = (format!("{}s", self.unit), format!("{}s", self.row));
        writeln!(f, "{:width$}{patients:>10}{rows:>10}", "")?;
        for (name, count, missing) in lines {
            write!(f, "{name:width$}{:>10}{:>10}", count.patients, count.rows)?;
            if missing > 0 {
                write!(f, "   {missing} with missing values")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn count<'r>(name: &str, rows: impl Iterator<Item = &'r CohortRow>) -> Count {
    let (mut patients, mut number) = (BTreeSet::new(), 0);
    for row in rows {
        patients.insert(row.patient.as_str());
        number += 1;
    }
    Count { name: name.to_owned(), patients: patients.len(), rows: number }
}

fn levels(study: &Study, found: &Inspection, at: usize, names: Vec<String>) -> Vec<LevelCount> {
    let classes = usize::from(study.target.classes.count());
    let is = |levels: &[u8], level: usize| levels.get(at).is_some_and(|&l| usize::from(l) == level);
    let level = |(level, name): (usize, String)| {
        let rows: Vec<&CohortRow> =
            found.rows.iter().filter(|row| is(&row.levels, level)).collect();
        let mut rows_by_class = vec![0; classes];
        for row in &rows {
            row.classes.iter().for_each(|class| rows_by_class[usize::from(class)] += 1);
        }
        let imputed = rows.iter().filter(|row| has_missing(row)).count();
        let left_out = found.incomplete.iter().filter(|row| is(&row.levels, level)).count();
        LevelCount {
            count: count(&name, rows.iter().copied()),
            rows_by_class,
            missing: imputed + left_out,
        }
    };
    names.into_iter().enumerate().map(level).collect()
}

fn has_missing(row: &CohortRow) -> bool {
    matches!(&row.input, RowInput::Table(features) if features.iter().any(|value| value.is_nan()))
}

/// Rows without a value, per column of the table.
fn missing(study: &Study, found: &Inspection) -> Vec<Count> {
    let Input::Table(table) = &study.input else { return Vec::new() };
    let columns: Vec<&String> =
        table.numeric.iter().chain(table.categorical.iter().map(|c| &c.column)).collect();
    let per_column = columns.iter().enumerate().map(|(at, column)| {
        // With imputation the last features say of each column whether it is missing.
        let indicator = |row: &&CohortRow| match &row.input {
            RowInput::Table(features) if table.missing == Missing::Impute => {
                let first = features.len() - columns.len();
                features.get(first + at).is_some_and(|&value| value == 1.0)
            }
            _ => false,
        };
        let imputed = count(column, found.rows.iter().filter(indicator));
        let left_out: Vec<&Incomplete> =
            found.incomplete.iter().filter(|row| row.columns.contains(column)).collect();
        let patients: BTreeSet<&str> = left_out.iter().map(|row| row.patient.as_str()).collect();
        Count {
            name: imputed.name,
            patients: imputed.patients + patients.len(),
            rows: imputed.rows + left_out.len(),
        }
    });
    per_column.filter(|count| count.rows > 0).collect()
}

fn problems(set_aside: &[SetAside]) -> Vec<ProblemGroup> {
    let mut groups: BTreeMap<String, ProblemGroup> = BTreeMap::new();
    for row in set_aside {
        for reason in &row.reasons {
            let kind = reason.kind();
            let group = groups.entry(kind.clone()).or_insert_with(|| ProblemGroup {
                kind,
                lines: Vec::new(),
                example: reason.to_string(),
            });
            group.lines.push(row.line);
        }
    }
    let mut groups: Vec<ProblemGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.lines.len()));
    groups
}
