//! How far two readers of the same images agree.

use super::super::model::Report;
use super::super::readers::{ReadersRow, ReadersSection, ReadersTable};
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// The section's body; nothing where the study doesn't ask.
pub fn readers(report: &Report) -> Option<Markup> {
    let ReadersSection::Asked { column, tables } = &report.readers else { return None };
    let row = &report.study.row;
    let said = format!(
        "How far the labels of \u{2018}{}\u{2019} and of the second reader, \u{2018}{column}\u{2019}, agree on {row}s that both \
         labelled. No model has more to learn from labels than readers agree on: kappa is agreement beyond chance, 1 \
         where they always agree, 0 where they do as often as chance. It depends on how frequent classes are. Its \
         interval is Fleiss, Cohen and Everitt\u{2019}s, clustered by {}. Models are fitted to the first column alone.",
        report.study.target, report.study.unit
    );
    let tables = tables.iter().map(|one| of_table(report, one));
    Some(el("div").add(el("p").text(said)).add_all(tables).into())
}

fn of_table(report: &Report, of: &ReadersTable) -> Markup {
    let row = |name: String, row: &ReadersRow| {
        vec![
            Cell::plain(name),
            Cell::plain(row.images),
            Cell::estimate(&row.agreement),
            Cell::estimate(&row.kappa),
        ]
    };
    let mut rows = vec![row("all sites".to_owned(), &of.all)];
    rows.extend(of.sites.iter().map(|site| row(site.site.to_string(), &site.row)));
    let classes = of.classes.join(", ");
    let images = format!("{}s read twice", report.study.row);
    let counts = of.classes.iter().zip(&of.all.counts).map(|(class, counts)| {
        let mut cells = vec![Cell::plain(class)];
        cells.extend(counts.iter().map(|count| Cell::plain(*count)));
        cells
    });
    let mut columns = vec!["first reader \u{2193}, second \u{2192}"];
    columns.extend(of.classes.iter().map(String::as_str));
    el("div")
        .add(table(
            &format!("Agreement of readers: {classes}"),
            &["", &images, "agreement", "Cohen\u{2019}s kappa"],
            rows,
        ))
        .add(table(
            &format!("{}s by both readers\u{2019} labels, all sites", report.study.row),
            &columns,
            counts.collect(),
        ))
        .into()
}
