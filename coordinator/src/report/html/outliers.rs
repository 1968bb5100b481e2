//! Rows unlike those that the model was fitted to.

use super::super::model::Report;
use super::super::outliers::OutlierSection;
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// What a study found of it; nothing where it didn't ask.
pub fn outliers(report: &Report) -> Markup {
    let row = &report.study.row;
    let Some(words) = report.outliers.words(row) else { return Markup::default() };
    let body = el("div").add(el("h3").text("Outliers")).add(el("p").text(words));
    let OutlierSection::Measured { beyond, sites, .. } = &report.outliers else {
        return body.into();
    };
    let mut rows = vec![vec![Cell::plain("all sites"), Cell::estimate(beyond)]];
    rows.extend(
        sites
            .iter()
            .map(|one| vec![Cell::plain(format!("at {}", one.site)), Cell::estimate(&one.beyond)]),
    );
    let caption = format!(
        "Share of {row}s beyond the limit, of counts rounded to a multiple of the minimum cell"
    );
    body.add(table(&caption, &["of", "outliers"], rows)).into()
}
