//! `audit compare`: two studies' reports beside each other.
//!
//! Differences have no interval: the two studies' figures may be of the same patients, of others, or of some of both,
//! and no report says which. Intervals of one study's figures aren't paired with the other's.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::{Value, json};

use super::difference::{Change, changes};
use super::source::{Source, cell, heading};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, table};
use crate::report::{Estimate, Report, Slice, SliceKind};

/// Figures that the table has; JSON has all.
const SHOWN: [&str; 6] = [
    "auc_within_sites",
    "roc_auc_score",
    "sensitivity",
    "specificity",
    "brier_score_loss",
    "expected_calibration_error",
];

/// Two studies beside each other: what changed in file and figures (leads and auditors)
#[derive(Debug, Args)]
pub struct Compare {
    /// The one study's id, or the path of its report.json
    first: Source,
    /// The other's
    second: Source,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Compare {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let first = self.first.report(&self.remote).await?;
        let second = self.second.report(&self.remote).await?;
        let changes = changes(&first.study.parsed, &second.study.parsed);
        let (beware, rows) = (beware(&first, &second), rows(&first, &second));
        let study = |report: &Report| {
            json!({
                "study": report.study.id, "name": report.study.name, "target": report.study.target,
                "classes": report.study.classes, "sites": sites(report), "edition": report.edition,
            })
        };
        let data = json!({
            "first": study(&first), "second": study(&second), "beware": beware,
            "changes": changes, "figures": rows.iter().map(Row::value).collect::<Vec<_>>(),
        });
        Ok(Answer::Data { data, text: words(&first, &second, &changes, &beware, &rows) })
    }
}

/// A figure of both studies, or of one.
struct Row {
    slice: Slice,
    metric: String,
    of: [Option<Estimate>; 2],
}

impl Row {
    fn difference(&self) -> Option<f64> {
        let [first, second] = self.of.each_ref().map(|one| one.as_ref().and_then(Estimate::value));
        Some(second? - first?)
    }

    fn value(&self) -> Value {
        let Slice { class, kind, column, name } = &self.slice;
        json!({
            "class": class, "slice_kind": kind, "column": column, "slice": name,
            "metric": self.metric, "first": self.of[0], "second": self.of[1],
            "difference": self.difference().map(|value| (value * 1e6).round() / 1e6),
        })
    }
}

/// Every figure of either study, in the first one's order.
fn rows(first: &Report, second: &Report) -> Vec<Row> {
    type Key = (Slice, String);
    let all = |report: &Report| -> Vec<(Key, Estimate)> {
        let figures = report.figures().into_iter();
        figures.map(|one| ((one.slice, one.metric.to_owned()), one.estimate.clone())).collect()
    };
    let (first, second) = (all(first), all(second));
    let mut others: BTreeMap<Key, Estimate> = second.iter().cloned().collect();
    let mut rows: Vec<Row> = first
        .into_iter()
        .map(|(key, estimate)| {
            let other = others.remove(&key);
            Row { slice: key.0, metric: key.1, of: [Some(estimate), other] }
        })
        .collect();
    let alone = second.into_iter().filter(|(key, _)| others.contains_key(key));
    rows.extend(alone.map(|((slice, metric), estimate)| Row {
        slice,
        metric,
        of: [None, Some(estimate)],
    }));
    rows
}

fn sites(report: &Report) -> BTreeSet<&str> {
    report.cohort.sites.iter().map(|site| site.site.as_str()).collect()
}

/// What makes figures incomparable, in sentences.
fn beware(first: &Report, second: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            lines.push(format!("The studies differ in their {what}: {a}; {b}."));
        }
    };
    let (a, b) = (&first.study, &second.study);
    differ("target", a.target.clone(), b.target.clone());
    differ("classes", a.classes.join(", "), b.classes.join(", "));
    let list = |report: &Report| sites(report).into_iter().collect::<Vec<_>>().join(", ");
    differ("sites", list(first), list(second));
    differ("seed, so that folds differ", a.seed.0.to_string(), b.seed.0.to_string());
    if first.edition != second.edition
        || !first.edition.is_original() && first.study.id != second.study.id
    {
        lines.push(
            "Sites are pseudonymised: the same number needn't be the same site in the other study."
                .to_owned(),
        );
    }
    let locks = |report: &Report| -> BTreeMap<String, String> {
        let sites = report.cohort.sites.iter();
        sites.map(|site| (site.site.to_string(), site.lock.to_string())).collect()
    };
    let (a, b) = (locks(first), locks(second));
    let other = a.iter().filter(|(site, lock)| b.get(*site).is_some_and(|other| other != *lock));
    let other: Vec<&str> = other.map(|(site, _)| site.as_str()).collect();
    if !other.is_empty() {
        lines.push(format!(
            "The list of patients and rows that was frozen isn't the same at {}.",
            other.join(", ")
        ));
    }
    lines.push(
        "Differences are the second study's figure less the first one's. Intervals aren't paired: they say how sure each \
         figure is by itself, not whether a difference is more than chance."
            .to_owned(),
    );
    lines
}

fn words(
    first: &Report,
    second: &Report,
    changes: &[Change],
    beware: &[String],
    rows: &[Row],
) -> String {
    let mut parts = vec![format!("first:  {}\nsecond: {}", heading(first), heading(second))];
    parts.push(beware.join("\n"));
    let listed: Vec<String> = changes.iter().map(|one| format!("  {}", one.words())).collect();
    parts.push(match listed.is_empty() {
        true => "The study files say the same.".to_owned(),
        false => format!("Changed in the study file:\n{}", listed.join("\n")),
    });
    let shown = rows.iter().filter(|row| SHOWN.contains(&row.metric.as_str()));
    let shown = shown.filter(|row| row.slice.kind != SliceKind::OwnModel);
    let word = |of: &Option<Estimate>| of.as_ref().map_or("-".to_owned(), cell);
    let lines: Vec<Vec<String>> = shown
        .map(|row| {
            let difference =
                row.difference().map_or("-".to_owned(), |value| format!("{value:+.3}"));
            let [first, second] = row.of.each_ref().map(word);
            let (class, slice) = (row.slice.class.clone(), row.slice.words());
            vec![class, slice, row.metric.clone(), first, second, difference]
        })
        .collect();
    let head = ["class", "", "figure", "first (95 %)", "second (95 %)", "difference"];
    parts.push(table(&head, &lines));
    parts.join("\n\n")
}
