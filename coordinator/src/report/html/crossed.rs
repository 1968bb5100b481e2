//! Levels at each site beside all sites, and intersections of subgroup columns.

use wardround_learn::metrics::registry::{CROSSED, metric};

use super::super::crossed::{CrossedGaps, CrossedTable, disagreements};
use super::super::fairness::{FairnessSection, GapRow};
use super::super::model::Report;
use super::super::values::decimal;
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// All tables of a modelled class, with where they disagree with all sites in one list; nothing where the study asks for none.
pub fn crossed(report: &Report, at: usize) -> Markup {
    let section = &report.fairness[at];
    let mut made = el("div");
    for one in &section.crossed {
        made = made.add(el("h4").text(upper(&one.words())));
        made = made.add(match one.is_by_site() {
            true => side_by_side(section, one),
            false => apart(one),
        });
        made = made.add(cells(report, one)).add_all(not_judged(one));
    }
    let lines = disagreements(section);
    if section.crossed.iter().any(CrossedTable::is_by_site) && !lines.is_empty() {
        made = made.add(el("h4").text("Where sites and all sites together disagree"));
        made = made.add(el("ul").add_all(lines.iter().map(|line| el("li").text(line))));
    }
    made.into()
}

fn upper(text: &str) -> String {
    format!("By {text}")
}

/// Differences over all sites, and at each site.
fn side_by_side(section: &FairnessSection, table_of: &CrossedTable) -> Markup {
    let whole = section.columns.iter().find(|one| one.name == table_of.columns);
    let Some(first) = table_of.compared.first() else {
        return el("p").attr("class", "soft").text("At no site two levels are judged.").into();
    };
    let mut names = vec!["largest less smallest", "all sites in one list"];
    names.extend(table_of.compared.iter().map(|site| site.of.as_str()));
    let row = |of: &GapRow| {
        let find = |gaps: &[GapRow]| gaps.iter().find(|gap| gap.name == of.name).map(beside_chance);
        let none = || Cell::plain("");
        let mut cells = vec![Cell::plain(of.words())];
        cells.push(whole.and_then(|column| find(&column.gaps)).unwrap_or_else(none));
        let at_sites = table_of.compared.iter();
        cells.extend(at_sites.map(|site| find(&site.gaps).unwrap_or_else(none)));
        cells
    };
    let caption = format!("How far apart, by {}: over all sites and at each", table_of.columns);
    table(&caption, &names, first.gaps.iter().map(row).collect())
}

/// A difference, and below it between whom and how far chance goes.
fn beside_chance(gap: &GapRow) -> Cell {
    let Some([limit, ..]) = gap.verdict.chance() else { return Cell::estimate(&gap.difference) };
    let word = if gap.is_gap() { ", a gap" } else { "" };
    let below =
        format!("{} to {}; by chance up to {}{word}", gap.lowest, gap.highest, decimal(limit));
    Cell::with_below(gap.difference.short(), below)
}

/// Differences between all cells.
fn apart(table_of: &CrossedTable) -> Markup {
    let Some(CrossedGaps { gaps, .. }) = table_of.compared.first() else {
        return Markup::default();
    };
    let rows = gaps.iter().map(super::fairness::gap_cells).collect();
    let caption = format!("How far apart, by {}, all cells", table_of.words());
    table(&caption, &super::fairness::GAP_COLUMNS, rows)
}

fn cells(report: &Report, table_of: &CrossedTable) -> Markup {
    let mut names = vec![table_of.rows.clone(), table_of.columns.clone()];
    names.extend(
        CROSSED
            .iter()
            .map(|&name| metric(name).map_or(name.to_owned(), |metric| metric.words.to_owned())),
    );
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = table_of.cells.iter().map(|cell| {
        let mut cells = vec![Cell::plain(&cell.of), Cell::plain(&cell.level)];
        cells.extend(cell.figures.iter().map(|named| Cell::estimate(&named.estimate)));
        cells
    });
    let caption = format!(
        "By {}: at least {} {}s of each class in every row; shares in steps, so that no small count follows",
        table_of.words(),
        table_of.at_least,
        report.study.unit
    );
    table(&caption, &names, rows.collect())
}

/// What isn't judged, by reason.
fn not_judged(table_of: &CrossedTable) -> Option<Element> {
    let lines = table_of.not_judged_by_reason();
    (!lines.is_empty())
        .then(|| el("p").attr("class", "soft").text(format!("Not judged: {}.", lines.join("; "))))
}
