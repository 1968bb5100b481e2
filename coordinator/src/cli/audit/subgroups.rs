//! `audit subgroups`: every level's figures, the gaps between levels with their verdict, and what wasn't judged.

use clap::Args;
use serde_json::{Value, json};

use super::source::{Source, answer, cell};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, table};
use crate::report::{
    CrossedTable, FairnessColumn, GapRow, Report, SubgroupColumn, decimal, disagreements,
};

/// Every subgroup's figures, the gaps between them, and what wasn't judged (leads and auditors)
#[derive(Debug, Args)]
pub struct Subgroups {
    /// The study's id, or the path of a report.json
    study: Source,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Subgroups {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let report = self.study.report(&self.remote).await?;
        let classes: Vec<Value> = report
            .subgroups
            .iter()
            .zip(&report.fairness)
            .map(|(levels, fairness)| {
                json!({
                    "class": levels.class, "columns": levels.columns,
                    "compared": fairness.columns, "crossed": fairness.crossed,
                })
            })
            .collect();
        Ok(answer(&report, classes, words))
    }
}

fn words(report: &Report, at: usize) -> String {
    let (levels, fairness) = (&report.subgroups[at], &report.fairness[at]);
    let mut parts = vec![format!("{}: {} against the rest", report.study.target, levels.class)];
    if levels.columns.is_empty() {
        parts.push("the study names no subgroup columns".to_owned());
    }
    for column in &levels.columns {
        parts.push(levels_table(report, column));
        match fairness.columns.iter().find(|one| one.name == column.name) {
            Some(compared) => parts.push(gaps(compared)),
            None => parts.push(format!(
                "{}: levels weren't compared, since patients weren't drawn again (bootstrap = false)",
                column.name
            )),
        }
    }
    parts.extend(fairness.crossed.iter().map(crossed));
    parts.extend(disagreements(fairness));
    parts.join("\n\n")
}

/// Cells of two columns, their gaps, and what isn't judged of them.
fn crossed(of: &CrossedTable) -> String {
    let name = of.words();
    let head = [name.as_str(), "AUC (95 %)", "sens.", "spec.", "positive", "calibration"];
    let rows = of.cells.iter().map(|one| {
        let mut line = vec![one.words()];
        let mut figures = one.figures.iter().map(|named| &named.estimate);
        line.extend(figures.next().map(cell));
        line.extend(figures.map(|estimate| estimate.short()));
        line
    });
    let mut lines = vec![table(&head, &rows.collect::<Vec<_>>())];
    for one in &of.compared {
        lines.push(format!("{}, {}:", name, one.of));
        lines.push(gaps_table(&one.gaps));
    }
    lines.extend(of.not_judged_by_reason().into_iter().map(|why| format!("not judged: {why}")));
    lines.join("\n")
}

fn levels_table(report: &Report, column: &SubgroupColumn) -> String {
    let patients = format!("{}s -/+", report.study.unit);
    let head = [column.name.as_str(), &patients, "AUC (95 %)", "sens.", "spec.", "Brier", "ECE"];
    let rows = column.levels.iter().map(|row| {
        let figures = &row.figures;
        let of = &figures.patients;
        let patients = match (of.negative.number(), of.positive.number()) {
            (Some(negative), Some(positive)) => format!("{negative}/{positive}"),
            (None, _) => of.negative.to_string(),
            (_, None) => of.positive.to_string(),
        };
        let auc = cell(&figures.auc);
        let rest = [&figures.sensitivity, &figures.specificity, &figures.brier, &figures.ece];
        let mut line = vec![row.level.clone(), patients, auc];
        line.extend(rest.map(|estimate| estimate.short()));
        line
    });
    table(&head, &rows.collect::<Vec<_>>())
}

fn gaps_table(gaps: &[GapRow]) -> String {
    let line = |gap: &GapRow| {
        let chance = gap.verdict.chance();
        let of_chance = |at: usize| chance.map_or("-".to_owned(), |chance| decimal(chance[at]));
        vec![
            gap.words().to_owned(),
            cell(&gap.difference),
            gap.ratio.short(),
            gap.lowest.clone(),
            gap.highest.clone(),
            gap.verdict.words().to_owned(),
            of_chance(0),
            of_chance(2),
        ]
    };
    let rows: Vec<Vec<String>> = gaps.iter().map(line).collect();
    let head =
        ["gaps in", "difference (95 %)", "ratio", "least", "most", "verdict", "chance up to", "p"];
    table(&head, &rows)
}

fn gaps(column: &FairnessColumn) -> String {
    let known = column.gaps.iter().any(|gap| gap.difference.value().is_some());
    let mut lines = match known {
        true => {
            vec![format!("{}, levels beside each other:", column.name), gaps_table(&column.gaps)]
        }
        false => {
            vec![format!("{}: fewer than two levels are shown, so none are compared", column.name)]
        }
    };
    for one in &column.not_judged {
        lines.push(format!("not judged: {} {}: {}", column.name, one.level, one.why));
    }
    let compared = column.gaps.iter().filter(|gap| gap.verdict.chance().is_some()).count();
    if compared > 0 {
        let found = column.gaps.iter().filter(|gap| gap.is_gap()).count();
        lines.push(format!(
            "{found} of {compared} differences are larger than chance; one within chance is no proof that there is none"
        ));
    }
    lines.join("\n")
}
