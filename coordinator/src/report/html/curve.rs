//! The learning curve: table, plot and what it says.

use super::super::curve::{CurveClass, CurvePointModels, LearningCurveSection};
use super::super::model::Report;
use super::super::values::grouped;
use super::markup::{Element, Markup, el};
use super::plot::{Area, disc, label_at, line, path, svg};
use super::table::{Cell, table};

/// The section's body; nothing where the study doesn't ask for it.
pub fn curve(report: &Report) -> Option<Markup> {
    let LearningCurveSection::Asked { classifier, classes } = &report.learning_curve else {
        return None;
    };
    let about = classifier
        .as_ref()
        .map(|name| el("p").text(format!("Of all classifiers that were compared: {name}.")));
    let classes = classes.iter().enumerate().map(|(at, class)| of_class(report, at, class));
    Some(el("div").add_all(about).add_all(classes).into())
}

fn of_class(report: &Report, at: usize, class: &CurveClass) -> Markup {
    let unit = &report.study.unit;
    let rows = class.steps.iter().map(|step| {
        let mut cells = vec![
            Cell::plain(format!("{:.0} %", 100.0 * step.share)),
            Cell::plain(grouped(step.about_patients)),
        ];
        match &step.models {
            CurvePointModels::Judged { auc_within_sites, auc_one_list } => {
                cells.extend([auc_within_sites, auc_one_list].map(Cell::estimate));
            }
            CurvePointModels::Unfit { reason } => {
                cells.push(Cell::why("none", reason));
                cells.push(Cell::plain("\u{2013}"));
            }
        }
        cells
    });
    let rows = rows.collect();
    let caption = format!(
        "{}: models fitted to parts of the training {unit}s, judged out of fold. All at the grid point that was chosen on all \
         ({}); fewer {unit}s may want a stronger penalty, so early steps are rather too low",
        class.class,
        class.point.line(),
    );
    let head = [
        format!("of the training {unit}s"),
        format!("about {unit}s"),
        "AUC within sites".to_owned(),
        "AUC, one list".to_owned(),
    ];
    el("div")
        .add(el("h3").text(format!("{}: {}", report.study.target, class.class)))
        .add(el("p").text(class.verdict(unit)))
        .add_all(plot(at, class, unit).map(|plot| el("div").attr("class", "pair").add(plot)))
        .add(table(&caption, &head.each_ref().map(String::as_str), rows))
        .into()
}

/// AUC within sites by share of patients, with intervals; nothing where fewer than two steps have one.
fn plot(at: usize, class: &CurveClass, unit: &str) -> Option<Element> {
    let points: Vec<(f64, f64, Option<[f64; 2]>)> = class
        .steps
        .iter()
        .filter_map(|step| {
            let auc = step.models.within_sites()?;
            Some((step.share, auc.value()?, auc.ends()))
        })
        .collect();
    if points.len() < 2 {
        return None;
    }
    let ends = points.iter().flat_map(|(_, auc, ends)| ends.unwrap_or([*auc; 2]));
    let tenth = |value: f64| (value * 10.0).floor() / 10.0;
    let low = tenth(ends.fold(1.0, f64::min)).min(0.9);
    let area =
        Area { left: 60.0, top: 10.0, width: 310.0, height: 200.0, x: [0.0, 1.0], y: [low, 1.0] };
    let listed: Vec<String> =
        points.iter().map(|(share, auc, _)| format!("{:.0} %: {auc:.3}", 100.0 * share)).collect();
    let image = svg(
        &format!("learning-{at}"),
        [400.0, 256.0],
        &format!("AUC within sites of {} by share of the training {unit}s", class.class),
        &format!("{}.", listed.join("; ")),
    )
    .add(axes(&area, low, unit))
    .add_all(points.iter().filter_map(|&(share, _, ends)| {
        let [low, high] = ends?;
        let x = area.x(share);
        Some(line("axis", [x, area.y(low)], [x, area.y(high)]))
    }))
    .add(path("first", area.path(&points.iter().map(|p| [p.0, p.1]).collect::<Vec<_>>())))
    .add_all(points.iter().map(|p| disc("first-fill", [area.x(p.0), area.y(p.1)], 3.0)));
    let caption = "Dots: AUC within sites out of fold; bars: 95 % intervals, of one step each. Steps share their \
                   patients, so bars that overlap say little about a difference: the sentence above has its interval.";
    Some(el("figure").add(image).add(el("figcaption").text(caption)))
}

fn axes(area: &Area, low: f64, unit: &str) -> Markup {
    let bottom = area.top + area.height;
    let mut group = el("g");
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let x = area.x(share);
        group = group.add(line("grid", [x, area.top], [x, bottom])).add(label_at(
            "tick",
            [x, bottom + 15.0],
            "middle",
            &format!("{:.0} %", 100.0 * share),
        ));
    }
    for tick in 0..=((1.0 - low) * 10.0).round() as u32 {
        let auc = low + f64::from(tick) / 10.0;
        let y = area.y(auc);
        group = group.add(line("grid", [area.left, y], [area.left + area.width, y])).add(label_at(
            "tick",
            [area.left - 6.0, y + 4.0],
            "end",
            &format!("{auc:.1}"),
        ));
    }
    let middle = area.left + area.width / 2.0;
    group
        .add(line("axis", [area.left, bottom], [area.left + area.width, bottom]))
        .add(label_at("", [middle, bottom + 34.0], "middle", &format!("of the training {unit}s")))
        .into()
}
