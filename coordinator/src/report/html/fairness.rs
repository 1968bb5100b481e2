//! Subgroups beside each other: gaps with what chance makes of them.

use wardround_learn::metrics::registry::metric;

use super::super::fairness::{FairnessColumn, GapRow};
use super::super::model::Report;
use super::super::values::{Estimate, decimal, p_value};
use super::crossed;
use super::markup::{Element, Markup, el};
use super::plot::{disc, label_at, line, svg};
use super::table::{Cell, table};

pub(super) const GAP_COLUMNS: [&str; 8] = [
    "of",
    "largest less smallest",
    "smallest / largest",
    "smallest",
    "largest",
    "by chance up to",
    "p",
    "",
];

/// From this difference in prevalence on a note stands beside what depends on it.
const PREVALENCE_DIFFERS: f64 = 0.05;

/// Plots and tables of one modelled class; nothing without subgroup columns or draws.
pub fn fairness(report: &Report, at: usize) -> Markup {
    let section = &report.fairness[at];
    if section.columns.is_empty() {
        let none = "Nothing is compared: the study names no subgroup columns, or draws no patients again \
                    (bootstrap = false).";
        let none = el("p").attr("class", "soft").text(none);
        return el("div").add(none).add(crossed::crossed(report, at)).into();
    }
    let compared = section.gaps().filter(|(_, gap)| gap.verdict.chance().is_some()).count();
    let found = section.gaps().filter(|(_, gap)| gap.is_gap()).count();
    let by_chance = (compared as f64 / 20.0).ceil();
    let mut made = el("div").add(el("p").text(format!(
        "{found} of {compared} differences are gaps: larger than 95 of 100 differences between subgroups that are dealt at \
         random among patients of the same site and class. Chance alone would make about {by_chance} of {compared} so. A \
         difference within chance is no proof that there is none: see how far its interval reaches."
    )));
    for (number, column) in section.columns.iter().enumerate() {
        made = made.add(of_column(report, at, number, column));
    }
    made.add(crossed::crossed(report, at)).into()
}

fn of_column(report: &Report, at: usize, number: usize, column: &FairnessColumn) -> Markup {
    let mut names = vec![column.name.clone(), "prevalence".to_owned()];
    if let Some(level) = column.levels.first() {
        names.extend(level.figures.iter().map(|named| {
            metric(&named.name).map_or(named.name.clone(), |metric| metric.words.to_owned())
        }));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let levels = column.levels.iter().map(|level| {
        let mut cells = vec![Cell::plain(&level.level), Cell::estimate(&level.prevalence)];
        cells.extend(level.figures.iter().map(|named| Cell::estimate(&named.estimate)));
        cells
    });
    let mut made = el("div").add(el("h4").text(format!("By {}", column.name)));
    if column.levels.len() > 1 {
        made = made.add(el("div").attr("class", "pair").add(plot(report, at, number, column))).add(
            table(
                &format!("How far apart, by {}, all sites in one list", column.name),
                &GAP_COLUMNS,
                column.gaps.iter().map(gap_cells).collect(),
            ),
        );
    }
    let caption = format!("By {}; intervals hold for all rows of a column at once", column.name);
    made = made.add(table(&caption, &names, levels.collect()));
    if let Some(note) = prevalence_note(column) {
        made = made.add(el("p").attr("class", "soft").text(note));
    }
    let left: Vec<String> =
        column.not_judged.iter().map(|one| format!("{} ({})", one.level, one.why)).collect();
    if !left.is_empty() {
        let text = format!(
            "Not compared: {}. A level that is too small takes another one with it, since it would follow from all less the \
             others; a study that filters its {}s out, or bands that are wider, can compare the rest.",
            left.join("; "),
            report.study.unit
        );
        made = made.add(el("p").attr("class", "soft").text(text));
    }
    made.into()
}

pub(super) fn gap_cells(gap: &GapRow) -> Vec<Cell> {
    let (limit, p) = match gap.verdict.chance() {
        Some([limit, _, p]) => (decimal(limit), p_value(p)),
        None => (String::new(), String::new()),
    };
    let ratio = match &gap.ratio {
        Estimate::Known { value, .. } => decimal(*value),
        _ => String::new(),
    };
    let name = if gap.is_gap() { Cell::chosen(gap.words()) } else { Cell::plain(gap.words()) };
    let verdict = match gap.verdict.chance() {
        None => "",
        Some(_) if gap.is_gap() => "a gap",
        Some(_) => "within chance",
    };
    vec![
        name,
        Cell::estimate(&gap.difference),
        Cell::plain(ratio),
        Cell::plain(&gap.lowest),
        Cell::plain(&gap.highest),
        Cell::plain(limit),
        Cell::plain(p),
        Cell::plain(verdict),
    ]
}

/// Where prevalence differs, predictive values and the share called positive do even of a model that treats all alike.
fn prevalence_note(column: &FairnessColumn) -> Option<String> {
    let known: Vec<(f64, &str)> = column
        .levels
        .iter()
        .filter_map(|level| Some((level.prevalence.value()?, level.level.as_str())))
        .collect();
    let lowest = known.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let highest = known.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    (highest.0 - lowest.0 >= PREVALENCE_DIFFERS).then(|| {
        format!(
            "Prevalence goes from {} ({}) to {} ({}). Predictive values, the share called positive and accuracy differ with \
             it even where sensitivity and specificity are the same: a gap in them needn't be the model\u{2019}s. Which sites \
             patients of a subgroup come from is in the cohort\u{2019}s tables.",
            decimal(lowest.0),
            lowest.1,
            decimal(highest.0),
            highest.1
        )
    })
}

const ROW: f64 = 22.0;
const LEFT: f64 = 310.0;
const WIDTH: f64 = 300.0;

/// Each difference with its interval, and how far chance goes.
fn plot(report: &Report, at: usize, number: usize, column: &FairnessColumn) -> Markup {
    // Calibration in the large is in logits, all others are shares.
    let drawn: Vec<(&GapRow, f64)> = column
        .gaps
        .iter()
        .filter(|gap| gap.name != "calibration_in_the_large_difference")
        .filter_map(|gap| Some((gap, gap.difference.value()?)))
        .collect();
    if drawn.is_empty() {
        return Markup::default();
    }
    let most = drawn.iter().flat_map(|(gap, value)| {
        [
            Some(*value),
            gap.difference.ends().map(|ends| ends[1]),
            gap.verdict.chance().map(|c| c[0]),
        ]
    });
    let most = most.flatten().fold(0.1, f64::max);
    let top = (most * 10.0).ceil() / 10.0;
    let x = |value: f64| LEFT + WIDTH * value.clamp(0.0, top) / top;
    let bottom = 16.0 + ROW * drawn.len() as f64;
    let listed: Vec<String> =
        drawn.iter().map(|(gap, _)| format!("{}: {}", gap.words(), gap.difference)).collect();
    let mut image: Element = svg(
        &format!("fairness-{at}-{number}"),
        [LEFT + WIDTH + 30.0, bottom + 44.0],
        &format!("Differences by {}, {}", column.name, report.models[at].class),
        &format!("{}.", listed.join("; ")),
    );
    for tick in 0..=5 {
        let value = top * f64::from(tick) / 5.0;
        image = image.add(line("grid", [x(value), 8.0], [x(value), bottom])).add(label_at(
            "tick",
            [x(value), bottom + 15.0],
            "middle",
            &format!("{value:.2}"),
        ));
    }
    for (row, (gap, value)) in drawn.iter().enumerate() {
        let y = 8.0 + ROW * (row as f64 + 0.5);
        image = image.add(label_at("", [LEFT - 10.0, y + 4.0], "end", gap.words()));
        if let Some([limit, ..]) = gap.verdict.chance() {
            image = image.add(line("span", [x(0.0), y], [x(limit), y]));
        }
        if let Some([low, high]) = gap.difference.ends() {
            image = image.add(line("whole-line", [x(low), y], [x(high), y]));
        }
        image = image.add(disc(if gap.is_gap() { "whole" } else { "open" }, [x(*value), y], 4.5));
    }
    image = image.add(line("axis", [x(0.0), bottom], [x(top), bottom])).add(label_at(
        "",
        [LEFT + WIDTH / 2.0, bottom + 34.0],
        "middle",
        "largest less smallest",
    ));
    el("figure")
        .add(image)
        .add(el("figcaption").text(
            "Dots: the difference; full ones are gaps, rings lie within chance. Thin lines: 95 % intervals for all pairs of \
             subgroups at once. Grey bars: how far 95 of 100 random deals of the subgroups go.",
        ))
        .into()
}
