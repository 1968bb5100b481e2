//! `audit sites`: every site's figures beside each other, and beside those of models that never saw it.

use clap::Args;
use serde_json::{Value, json};

use super::source::{Source, answer, cell};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, table};
use crate::report::{Count, FigureRow, LeftOutRow, Report, SitesTogether};

/// Every site's figures, beside those of models that never saw it (leads and auditors)
#[derive(Debug, Args)]
pub struct Sites {
    /// The study's id, or the path of a report.json
    study: Source,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Sites {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let report = self.study.report(&self.remote).await?;
        let classes: Vec<Value> = (0..report.models.len()).map(|at| class(&report, at)).collect();
        Ok(answer(&report, classes, words))
    }
}

fn class(report: &Report, at: usize) -> Value {
    let sites = &report.sites[at];
    let rows = sites.sites.iter().map(|row| {
        let left_out = left_out(report, at, row.site.as_str());
        json!({
            "site": row.site, "figures": row.figures,
            "left_out": left_out.map(|one| json!({
                "point": one.point, "threshold": one.threshold, "figures": one.figures,
            })),
        })
    });
    json!({
        "class": sites.class, "all_sites": report.pooled[at].figures,
        "auc_within_sites": report.pooled[at].auc_within_sites,
        "sites": rows.collect::<Vec<_>>(), "together": sites.together,
    })
}

fn words(report: &Report, at: usize) -> String {
    let left_out_at_all = !report.leave_one_site_out[at].sites.is_empty();
    let (patients, without) = (format!("{}s -/+", report.study.unit), "without it");
    let mut head = vec!["site", patients.as_str()];
    for name in ["AUC (95 %)", "sens.", "spec.", "Brier", "ECE"] {
        head.push(name);
        if left_out_at_all {
            head.push(without);
        }
    }
    let line = |name: String, row: &FigureRow, other: Option<&FigureRow>| {
        let mut line = vec![name, pair(row)];
        let figures = |row: &FigureRow| {
            [
                cell(&row.auc),
                row.sensitivity.short(),
                row.specificity.short(),
                row.brier.short(),
                row.ece.short(),
            ]
        };
        let others = other.map(figures);
        for (which, figure) in figures(row).into_iter().enumerate() {
            line.push(figure);
            if left_out_at_all {
                line.push(others.as_ref().map_or("-".to_owned(), |others| others[which].clone()));
            }
        }
        line
    };
    let mut rows = vec![line("all sites".to_owned(), &report.pooled[at].figures, None)];
    for row in &report.sites[at].sites {
        let other = left_out(report, at, row.site.as_str()).map(|one| &one.figures);
        rows.push(line(row.site.to_string(), &row.figures, other));
    }
    let mut lines = vec![
        format!("{}: {} against the rest", report.study.target, report.sites[at].class),
        table(&head, &rows),
    ];
    lines.push(match left_out_at_all {
        true => format!("{without}: by models that never saw the site, threshold and grid point chosen without it"),
        false => "no site was left out".to_owned(),
    });
    lines.extend(reasons(report, at));
    lines.push(together(&report.sites[at].together));
    lines.join("\n")
}

fn left_out<'a>(report: &'a Report, at: usize, site: &str) -> Option<&'a LeftOutRow> {
    report.leave_one_site_out[at].sites.iter().find(|one| one.site.as_str() == site)
}

fn pair(row: &FigureRow) -> String {
    match (row.patients.negative, row.patients.positive) {
        (Count::Shown(negative), Count::Shown(positive)) => format!("{negative}/{positive}"),
        (hidden @ Count::Withheld(_), _) | (_, hidden) => hidden.to_string(),
    }
}

/// Why a site has no AUC.
fn reasons(report: &Report, at: usize) -> Vec<String> {
    let rows = report.sites[at].sites.iter().filter(|row| row.figures.auc.value().is_none());
    rows.map(|row| format!("{}: {}", row.site, row.figures.auc)).collect()
}

/// The random-effects line.
fn together(together: &SitesTogether) -> String {
    let SitesTogether { sites, auc, another_site, tau, i_squared } = together;
    if auc.value().is_none() {
        return format!("random effects of sites: {auc}");
    }
    let expected = match another_site.ends() {
        Some([low, high]) => format!("another site's AUC is expected from {low:.3} to {high:.3}"),
        None => format!("another site's AUC: {another_site}"),
    };
    format!(
        "random effects of {sites} sites: mean AUC {}; {expected}; tau {}, I2 {}",
        cell(auc),
        tau.short(),
        i_squared.short()
    )
}
