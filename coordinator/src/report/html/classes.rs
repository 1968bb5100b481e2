//! Several classes together: means over them, and the table of classes by calls.

use wardround_learn::metrics::called::CALLED;
use wardround_learn::metrics::registry::metric;

use super::super::classes::{CallsRow, CallsSection, ClassesSection, MeansRow};
use super::super::model::Report;
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// The section's body; nothing where one class is modelled.
pub fn classes(report: &Report) -> Option<Markup> {
    let ClassesSection::Several { means, calls } = &report.classes else { return None };
    let said = "Means over classes of each class against the rest: macro, in which classes count the same, and weighted by how \
                many have the class, as scikit-learn\u{2019}s averages. Each class is called at its own threshold, so F1, \
                sensitivity and specificity are not those of the class with the largest probability. A class without the \
                figure leaves the mean undefined. Micro takes the calls of all labels as one table.";
    let mut body = el("div").add(el("p").text(said)).add(all_sites(means));
    body = body.add(by_slice(means));
    Some(body.add(called(report, calls)).into())
}

fn name(metric_name: &str) -> &str {
    metric(metric_name).map_or(metric_name, |metric| metric.words)
}

fn all_sites(means: &[MeansRow]) -> Markup {
    let Some(all) = means.first() else { return Markup::default() };
    let rows = all.means.iter().map(|mean| {
        vec![
            Cell::plain(name(&mean.name)),
            Cell::plain(mean.average.word()),
            Cell::estimate(&mean.estimate),
        ]
    });
    table(
        "Means over classes, all sites",
        &["metric", "mean", "value (95 % interval)"],
        rows.collect(),
    )
}

fn by_slice(means: &[MeansRow]) -> Markup {
    let Some((all, slices)) = means.split_first() else { return Markup::default() };
    if slices.is_empty() {
        return Markup::default();
    }
    let heads: Vec<String> = all
        .means
        .iter()
        .map(|mean| format!("{}, {}", name(&mean.name), mean.average.word()))
        .collect();
    let rows = slices.iter().map(|row| {
        let mut cells = vec![Cell::plain(&row.of)];
        cells.extend(row.means.iter().map(|mean| Cell::estimate(&mean.estimate)));
        cells
    });
    let head: Vec<&str> = std::iter::once("of").chain(heads.iter().map(String::as_str)).collect();
    table("Means over classes, by site and subgroup", &head, rows.collect())
}

fn called(report: &Report, calls: &CallsSection) -> Markup {
    let CallsSection::Asked { classes, counts, step, figures } = calls else {
        return Markup::default();
    };
    let judged = &report.study.judged.name;
    let said = format!(
        "Here each {judged} is called the class with the largest probability; of equal ones the first that the study names. \
         Counts are rounded to multiples of {step}; those of few patients are withheld, and what would tell them. Figures \
         have two decimals, accuracy is of rounded counts. Sites and subgroups are shown where all of a column may be."
    );
    let rows = classes.iter().zip(counts).map(|(class, counts)| {
        let mut cells = vec![Cell::plain(class)];
        cells.extend(counts.iter().map(|count| Cell::plain(*count)));
        cells
    });
    let mut head = vec!["class \u{2193}, called \u{2192}"];
    head.extend(classes.iter().map(String::as_str));
    let words = CALLED.iter().map(|metric| metric.words);
    let of_figures: Vec<&str> = std::iter::once("of").chain(words).collect();
    let of_row = |row: &CallsRow| {
        let mut cells = vec![Cell::plain(&row.of)];
        cells.extend(row.figures.iter().map(|named| Cell::estimate(&named.estimate)));
        cells
    };
    el("div")
        .add(el("h3").text("The class with the largest probability"))
        .add(el("p").text(said))
        .add(table(&format!("{judged}s by class and call, all sites"), &head, rows.collect()))
        .add(table("Figures of these calls", &of_figures, figures.iter().map(of_row).collect()))
        .into()
}
