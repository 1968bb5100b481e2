//! The classifiers beside each other: the ranking, and a heat map of their differences.

use super::super::comparison::{ComparedSection, ComparisonSection, DifferenceRow};
use super::super::model::Report;
use super::super::values::{Estimate, bytes, grouped, p_words};
use super::first_screen::counted;
use super::heat::{SHADES, heat_map};
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// The section's body; nothing where the study has one classifier.
pub fn comparison(report: &Report) -> Option<Markup> {
    let ComparisonSection::Several(compared) = &report.comparison else { return None };
    Some(
        el("div")
            .add(el("p").text(verdict(report, compared)))
            .add(ranking(report, compared))
            .add(differences(compared))
            .add(tried(report, compared))
            .into(),
    )
}

/// What was chosen among what, and what it is worth.
pub fn verdict(report: &Report, compared: &ComparedSection) -> String {
    let over = match compared.judged_by.as_str() {
        "within-sites" => "within sites",
        _ => "with all sites in one list",
    };
    let kind = if compared.inputs == 1 { "classifier" } else { "combination" };
    format!(
        "{} was chosen among {} with {} in all, by AUC {over}. Without the advantage of having been \
         chosen its AUC is {} (bootstrap bias-corrected, {} replicates of the {}s).",
        compared.chosen,
        counted(compared.ranking.len(), kind),
        counted(compared.grid_points as usize, "grid point"),
        compared.estimate,
        grouped(compared.replicates),
        report.study.unit,
    )
}

fn ranking(report: &Report, compared: &ComparedSection) -> Markup {
    let several = report.models.len() > 1;
    let rows = compared.ranking.iter().flat_map(|one| {
        let mut rows = Vec::new();
        let name = if one.chosen { Cell::chosen(&one.name) } else { Cell::plain(&one.name) };
        let cost = [
            grouped(one.cost.rounds),
            grouped(one.cost.models),
            bytes(one.cost.bytes_up),
            bytes(one.cost.bytes_down),
            format!("{:.1} s", one.cost.took_ms as f64 / 1000.0),
        ];
        if several {
            let mut row = vec![name.clone(), Cell::plain("mean"), Cell::estimate(&one.auc)];
            row.extend((0..3).map(|_| Cell::plain("")));
            row.extend(cost.iter().map(Cell::plain));
            rows.push(row);
        }
        for class in &one.classes {
            let mut row = match several {
                true => vec![Cell::plain(""), Cell::plain(&class.class)],
                false => vec![name.clone()],
            };
            row.extend(
                [&class.auc_within_sites, &class.auc_one_list, &class.brier, &class.ece]
                    .map(Cell::estimate),
            );
            match several {
                true => row.extend((0..5).map(|_| Cell::plain(""))),
                false => row.extend(cost.iter().map(Cell::plain)),
            }
            rows.push(row);
        }
        rows
    });
    let mut columns = vec!["classifier"];
    if several {
        columns.push("class");
    }
    columns.extend([
        "AUC within sites",
        "AUC in one list",
        "Brier score",
        "ECE",
        "rounds",
        "models",
        "to the coordinator",
        "from the coordinator",
        "rounds took",
    ]);
    table(
        "Every classifier from nested folds, best first; the first row's figure is the largest of \
         several and so too good, its estimate stands above",
        &columns,
        rows.collect(),
    )
}

/// A table of rows less columns, coloured by the difference.
fn differences(compared: &ComparedSection) -> Markup {
    let names: Vec<&str> = compared.ranking.iter().map(|one| one.name.as_str()).collect();
    let most = compared
        .differences
        .iter()
        .filter_map(|d| d.auc.value())
        .fold(0.0, |most, value| f64::max(most, value.abs()));
    let head = names.iter().map(|name| el("th").attr("scope", "col").text(name));
    let rows = names.iter().map(|first| {
        let cells = names.iter().map(|second| {
            let of = |a: &str, b: &str| {
                compared.differences.iter().find(|d| d.first == a && d.second == b)
            };
            match (of(first, second), of(second, first)) {
                (Some(found), _) => heat(found, 1.0, most),
                (None, Some(found)) => heat(found, -1.0, most),
                (None, None) => el("td").text("\u{2013}"),
            }
        });
        el("tr").add(el("th").attr("scope", "row").text(first)).add_all(cells)
    });
    let caption = "Differences of AUC, row less column, paired by patient; 95 % intervals and p-values \
                   hold for all of them at once (max-T). Bold: the interval leaves out 0";
    heat_map(caption, "Differences of AUC between classifiers", "row less column", head, rows)
}

fn heat(found: &DifferenceRow, sign: f64, most: f64) -> Element {
    let Some(value) = found.auc.value() else {
        return el("td").text(found.auc.short());
    };
    let value = sign * value;
    let share = if most > 0.0 { value.abs() / most } else { 0.0 };
    let shade = (share * SHADES).ceil() as u32;
    let side = if value < 0.0 { "below" } else { "above" };
    let ends = found.auc.ends().map(|[low, high]| match sign < 0.0 {
        true => [-high, -low],
        false => [low, high],
    });
    let clear = ends.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
    let number = format!("{value:+.3}");
    let number = if clear { el("strong").text(number) } else { el("span").text(number) };
    let mut small = ends.map(|[low, high]| format!("{low:+.3} to {high:+.3}")).unwrap_or_default();
    if let Some(p) = found.p {
        let separator = if small.is_empty() { "" } else { "; " };
        small = format!("{small}{separator}{}", p_words(p));
    }
    el("td").attr("class", format!("{side} shade-{shade}")).add(number).add(el("small").text(small))
}

/// Every grid point of every classifier.
fn tried(report: &Report, compared: &ComparedSection) -> Markup {
    let several = report.models.len() > 1;
    let rows = compared.ranking.iter().flat_map(|one| {
        one.classes.iter().flat_map(move |class| {
            class.used_for_choosing.iter().map(move |tried| {
                let name = Cell::plain(&one.name);
                let mut row = vec![name];
                if several {
                    row.push(Cell::plain(&class.class));
                }
                row.push(Cell::plain(tried.point.line()));
                row.push(Cell::plain(if tried.chosen { "chosen" } else { "" }));
                row.extend(
                    [&tried.auc_within_sites, &tried.auc_one_list]
                        .map(|auc: &Estimate| Cell::estimate(auc)),
                );
                row
            })
        })
    });
    let columns: &[&str] = match several {
        true => &["classifier", "class", "grid point", "", "AUC within sites", "AUC in one list"],
        false => &["classifier", "grid point", "", "AUC within sites", "AUC in one list"],
    };
    table(
        "Everything that was tried: plain out-of-fold figures, used for choosing and so too good",
        columns,
        rows.collect(),
    )
}
