//! Shortcuts: how well features tell sites and subgroups, and whether scores follow; and how far sites lie apart.

use super::super::model::Report;
use super::super::shortcuts::{
    Follow, PairsRow, PrevalenceRow, ShiftRow, ShiftSection, ShortcutColumn, ShortcutFound,
    ShortcutsSection, ShownDistance, sentences,
};
use super::super::values::{Estimate, decimal, p_words};
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// The section's body; nothing where neither is known.
pub fn shortcuts(report: &Report) -> Option<Markup> {
    let mut body = el("div");
    match &report.shortcuts {
        ShortcutsSection::NotAsked => {
            if report.shift == ShiftSection::NotAsked {
                return None;
            }
            body = body.add(
                el("p")
                    .attr("class", "soft")
                    .text("The study didn\u{2019}t look for shortcuts: shortcuts = false."),
            );
        }
        ShortcutsSection::Unfit { reason } => {
            body = body.add(el("p").text(format!(
                "Models that tell sites and subgroups from features have no solution: {reason}."
            )));
        }
        ShortcutsSection::Asked { c, comparisons, columns } => {
            body = body.add(el("p").text(format!(
                "How well a logistic model of the features (C = {c:.6}, out of fold, all sites in one list) tells a \
                 site or a level from the rest. That features tell it is no fault by itself; it is a sign of a \
                 shortcut where the score follows it among {}s of one class. There, a half means that it \
                 doesn\u{2019}t. A level whose disease is of another kind or degree looks the same: a sign, no \
                 proof. p-values are adjusted for {comparisons} comparisons.",
                report.study.row
            )));
            for line in sentences(&report.shortcuts) {
                body = body.add(el("p").text(line));
            }
            body = body.add_all(columns.iter().map(told)).add_all(columns.iter().map(followed));
        }
    }
    if let ShiftSection::Known { sites, pairs, prevalence } = &report.shift {
        body = body
            .add(el("p").text(
                "How far sites lie apart: a feature\u{2019}s standardised difference is that of its means by the \
                 square root of the mean of both variances; 0.2 is small, 0.5 medium. Beside the root mean \
                 square over features stands what it would be about if only chance told the sites apart.",
            ))
            .add(shift(sites))
            .add(distances(pairs))
            .add_all(prevalence.iter().map(|row| how_often(report, row)));
    }
    Some(body.into())
}

fn told(column: &ShortcutColumn) -> Markup {
    let rows = column.levels.iter().map(|row| {
        let cell = match &row.found {
            ShortcutFound::Judged { auc, .. } => Cell::estimate(auc),
            other => Cell::why("\u{2013}", other.why()),
        };
        vec![Cell::plain(&row.of), cell]
    });
    let mean = column.mean_auc.value().map_or(String::new(), |value| format!("; mean {value:.3}"));
    let caption = format!("{}: how well features tell it{mean}", column.name);
    table(&caption, &[&column.name, "AUC of the features"], rows.collect())
}

fn followed(column: &ShortcutColumn) -> Markup {
    let mut rows = Vec::new();
    for row in &column.levels {
        let ShortcutFound::Judged { follows, .. } = &row.found else { continue };
        for follow in follows {
            let [negatives, positives] = [&follow.among_negatives, &follow.among_positives];
            rows.push(vec![
                Cell::plain(&row.of),
                Cell::plain(&follow.class),
                Cell::estimate(&negatives.auc),
                Cell::plain(verdict(negatives)),
                Cell::estimate(&positives.auc),
                Cell::plain(verdict(positives)),
            ]);
        }
    }
    let columns = [
        column.name.as_str(),
        "score for",
        "AUC of the score, without the class",
        "follows",
        "AUC of the score, with the class",
        "follows",
    ];
    table(&format!("{}: whether the score follows it", column.name), &columns, rows)
}

fn verdict(follow: &Follow) -> String {
    match follow.p {
        None => "\u{2013}".to_owned(),
        Some(p) if follow.follows() => format!("yes, {}", p_words(p)),
        Some(p) => format!("not shown, {}", p_words(p)),
    }
}

fn shift(sites: &[ShiftRow]) -> Markup {
    let rows = sites.iter().map(|row| {
        let mut cells = vec![Cell::plain(&row.site)];
        match &row.features {
            ShownDistance::Known {
                root_mean_square,
                by_chance,
                beyond_small,
                beyond_medium,
                largest,
                variance_ratio,
            } => {
                cells.extend(
                    [root_mean_square, by_chance].map(|value| Cell::plain(decimal(*value))),
                );
                let share = |value: &f64| Cell::plain(format!("{:.1} %", 100.0 * value));
                cells.extend([beyond_small, beyond_medium].map(share));
                cells.extend([largest, variance_ratio].map(|value| Cell::plain(decimal(*value))));
            }
            ShownDistance::Withheld { reason } => {
                cells.push(Cell::estimate(&Estimate::Withheld { reason: *reason }));
                cells.extend((0..5).map(|_| Cell::plain("\u{2013}")));
            }
        }
        cells
    });
    let columns = [
        "site",
        "root mean square",
        "by chance about",
        "features beyond 0.2",
        "beyond 0.5",
        "largest",
        "variance ratio",
    ];
    table("Features of each site beside all others together", &columns, rows.collect())
}

fn distances(pairs: &[PairsRow]) -> Markup {
    let names: Vec<String> = pairs.iter().map(|row| row.site.to_string()).collect();
    let mut columns = vec!["site"];
    columns.extend(names.iter().map(String::as_str));
    let rows = pairs.iter().map(|row| {
        let cells = row.distances.iter().map(Cell::estimate);
        std::iter::once(Cell::plain(&row.site)).chain(cells).collect()
    });
    let caption = "Features of sites in pairs: root mean square of standardised differences";
    table(caption, &columns, rows.collect())
}

fn how_often(report: &Report, row: &PrevalenceRow) -> Markup {
    let rows = row.sites.iter();
    let rows = rows.map(|one| vec![Cell::plain(&one.site), Cell::estimate(&one.share)]);
    let caption =
        format!("{}: share of each site\u{2019}s {}s with it", row.class, report.study.unit);
    table(&caption, &["site", "prevalence"], rows.collect())
}
