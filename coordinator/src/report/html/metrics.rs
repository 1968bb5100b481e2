//! Tables of the metrics that have no column of their own.

use wardround_learn::metrics::registry::metric;

use super::super::model::{FigureRow, NamedEstimate};
use super::markup::Markup;
use super::table::{Cell, table};

/// All of one row, with what each says.
pub fn of_all(caption: &str, row: &FigureRow) -> Markup {
    let rows = row.more.iter().map(|named| {
        let known = metric(&named.name);
        vec![
            Cell::plain(known.map_or(named.name.as_str(), |metric| metric.words)),
            Cell::estimate(&named.estimate),
            Cell::plain(known.map_or("", |metric| metric.says)),
        ]
    });
    table(caption, &["metric", "value", "what it says"], rows.collect())
}

/// All of several rows, each a column under its name.
pub fn side_by_side(caption: &str, columns: &[(String, &FigureRow)]) -> Markup {
    let Some((_, first)) = columns.first() else { return Markup::default() };
    let rows = first.more.iter().enumerate().map(|(at, named)| {
        let known = metric(&named.name);
        let name = Cell::plain(known.map_or(named.name.as_str(), |metric| metric.words));
        let of_column = |(_, row): &(String, &FigureRow)| cell(&row.more, at);
        std::iter::once(name).chain(columns.iter().map(of_column)).collect()
    });
    let names = columns.iter().map(|(name, _)| name.as_str());
    let head: Vec<&str> = std::iter::once("metric").chain(names).collect();
    table(caption, &head, rows.collect())
}

/// A column's cell; why something isn't there is said once in it.
fn cell(column: &[NamedEstimate], at: usize) -> Cell {
    let Some(NamedEstimate { estimate, .. }) = column.get(at) else { return Cell::plain("") };
    let why = estimate.why();
    let said = !why.is_empty() && column[..at].iter().any(|before| before.estimate.why() == why);
    if said { Cell::plain("\u{2013}") } else { Cell::estimate(estimate) }
}
