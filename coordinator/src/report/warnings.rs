//! For whom the model isn't: gaps between subgroups, sites where it isn't shown to be better than chance, and what was too small to
//! judge. The same sentences on the page and in the terminal.

use super::crossed::disagreements;
use super::fairness::{FairnessSection, GapRow};
use super::html::counted;
use super::model::Report;
use super::shortcuts;
use super::values::{Estimate, p_words};

/// Gaps that are named for each modelled class.
const MOST_GAPS: usize = 4;

/// In sentences, class by class.
pub fn warnings(report: &Report) -> Vec<String> {
    let several = report.models.len() > 1;
    let mut lines = Vec::new();
    for (at, section) in report.fairness.iter().enumerate() {
        let class = if several { format!("{}: ", section.class) } else { String::new() };
        // The larger of two gaps that stand there themselves says nothing new.
        let of_its_own = |gap: &GapRow| gap.is_gap() && gap.name != "equalized_odds_difference";
        let mut gaps: Vec<_> = section.gaps().filter(|(_, gap)| of_its_own(gap)).collect();
        let more = gaps.len().saturating_sub(MOST_GAPS);
        gaps.truncate(MOST_GAPS);
        for (column, gap) in gaps {
            let p =
                gap.verdict.chance().map_or(String::new(), |[.., p]| format!(", {}", p_words(p)));
            lines.push(format!(
                "{class}{column}: {} is {} apart between {} (less) and {} (more), beyond chance{p}.",
                gap.words(),
                gap.difference.short(),
                gap.lowest,
                gap.highest
            ));
        }
        if more > 0 {
            lines.push(format!("{class}{} under Fairness.", counted(more, "more gap")));
        }
        lines.extend(of_cells(section).into_iter().map(|line| format!("{class}{line}")));
        if section.columns.is_empty() && !report.subgroups[at].columns.is_empty() {
            lines.push(format!("{class}subgroups weren\u{2019}t compared: bootstrap = false."));
        }
        let compared = section.gaps().filter(|(_, gap)| gap.verdict.chance().is_some()).count();
        if compared > 0 && !section.gaps().any(|(_, gap)| gap.is_gap()) {
            lines.push(format!(
                "{class}no gap between subgroups beyond chance in {}, which is no proof that there is none.",
                counted(compared, "comparison")
            ));
        }
        let unsure = report.sites[at]
            .sites
            .iter()
            .filter(|row| row.figures.auc.ends().is_some_and(|[low, _]| low <= 0.5));
        let unsure: Vec<&str> = unsure.map(|row| row.site.as_str()).collect();
        if !unsure.is_empty() {
            lines.push(format!(
                "{class}not shown to be better than chance at {}.",
                unsure.join(", ")
            ));
        }
    }
    lines.extend(shortcuts::sentences(&report.shortcuts));
    let not_judged = not_judged(report);
    if !not_judged.is_empty() {
        lines.push(format!("Not judged, withheld or nobody there: {}.", not_judged.join(", ")));
    }
    if lines.is_empty() {
        lines.push("The study names no subgroup columns.".to_owned());
    }
    lines
}

/// Gaps of two columns at once, the smallest AUC of each table, and how many cells aren't judged.
fn of_cells(section: &FairnessSection) -> Vec<String> {
    let mut lines = disagreements(section);
    let more = lines.len().saturating_sub(MOST_GAPS);
    lines.truncate(MOST_GAPS);
    if more > 0 {
        lines.push(format!("{} at sites under Fairness.", counted(more, "more disagreement")));
    }
    for table in &section.crossed {
        let name = table.words();
        if let Some((cell, auc)) = table.worst() {
            lines.push(format!(
                "{name}: the smallest AUC is {auc}, {} (at least {} of each class).",
                cell.words(),
                table.at_least
            ));
        }
        let all = table.cells.len() + table.not_judged.len();
        if !table.not_judged.is_empty() {
            let left = table.not_judged.len();
            lines.push(format!("{name}: {left} of {} not judged.", counted(all, "cell")));
        }
    }
    lines
}

/// Sites and levels without an AUC of their own in any class.
fn not_judged(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for (sites, subgroups) in report.sites.iter().zip(&report.subgroups) {
        let unjudged = |estimate: &Estimate| estimate.value().is_none();
        let of_sites = sites.sites.iter().filter(|row| unjudged(&row.figures.auc));
        of_sites.for_each(|row| add(format!("site {}", row.site)));
        for column in &subgroups.columns {
            let levels = column.levels.iter().filter(|row| unjudged(&row.figures.auc));
            levels.for_each(|row| add(format!("{} {}", column.name, row.level)));
        }
    }
    names
}
