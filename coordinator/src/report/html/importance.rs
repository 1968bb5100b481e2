//! What the final model looks at: its features with the largest shares, each with a bar.

use super::super::importance::Importance;
use super::super::model::Report;
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// Of one modelled class.
pub fn importance(report: &Report, at: usize) -> Markup {
    let section = &report.importance[at];
    let heading = el("h3").text(format!("{}: {}", report.study.target, section.class));
    let sentences = section.found.sentences(report);
    let body = el("div").add(heading).add_all(sentences.into_iter().map(|s| el("p").text(s)));
    let Importance::Shares { of, largest, .. } = &section.found else { return body.into() };
    let most = largest.first().map_or(1.0, |first| first.share);
    let marked = largest.iter().any(|one| !one.subgroups.is_empty());
    let rows = (1..).zip(largest).map(|(rank, one): (usize, _)| {
        let mut cells = vec![
            Cell::plain(&one.feature),
            Cell::plain(rank),
            Cell::with_bar(format!("{:.1} %", 100.0 * one.share), one.share / most),
        ];
        if marked {
            cells.push(Cell::plain(one.mark()));
        }
        cells
    });
    let mut columns = vec!["feature", "rank", of.short()];
    if marked {
        columns.push("also a subgroup");
    }
    let rows = rows.collect();
    body.add(table("Features with the largest shares; bars beside the largest", &columns, rows))
        .into()
}
