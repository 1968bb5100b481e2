//! The decision curve: net benefit by threshold, all sites in one list.

use super::super::model::Report;
use super::super::values::decimal;
use super::markup::{Element, Markup, el};
use super::plot::{Area, disc, label_at, line, path, svg};
use super::table::{Cell, table};

/// Plot and table for one modelled class; nothing where there is no threshold between two shown bins.
pub fn decision(report: &Report, at: usize) -> Markup {
    let points = &report.pooled[at].decision;
    if points.is_empty() {
        return Markup::default();
    }
    let rows = points.iter().map(|point| {
        let best = if point.model > point.all.max(0.0) { "the model" } else { "" };
        vec![
            Cell::plain(decimal(point.threshold)),
            Cell::plain(decimal(point.model)),
            Cell::plain(decimal(point.all)),
            Cell::plain(best),
        ]
    });
    let rows = rows.collect();
    el("div")
        .add(el("div").attr("class", "pair").add(plot(report, at)))
        .add(table(
            "Net benefit, all sites in one list: true positives less false positives times t / (1 \u{2212} t), per \
             case, of calls from a probability of t on",
            &["t", "the model", "calling all positive", "most"],
            rows,
        ))
        .into()
}

fn plot(report: &Report, at: usize) -> Element {
    let (points, class) = (&report.pooled[at].decision, &report.models[at].class);
    let most = points.iter().flat_map(|p| [p.model, p.all]).fold(0.0, f64::max);
    let top = ((most * 50.0).ceil() / 50.0).max(0.02);
    let area = Area {
        left: 60.0,
        top: 10.0,
        width: 330.0,
        height: 220.0,
        x: [0.0, 1.0],
        y: [-top / 4.0, top],
    };
    let listed: Vec<String> = points
        .iter()
        .map(|p| format!("from {:.3}: {:.3}, all {:.3}", p.threshold, p.model, p.all))
        .collect();
    let image = svg(
        &format!("decision-{at}"),
        [400.0, 276.0],
        &format!("Net benefit of calling {class}, all sites in one list"),
        &format!("{}.", listed.join("; ")),
    )
    .add(axes(&area, top))
    .add(path(
        "second",
        area.path(&points.iter().map(|p| [p.threshold, p.all]).collect::<Vec<_>>()),
    ))
    .add(path(
        "first",
        area.path(&points.iter().map(|p| [p.threshold, p.model]).collect::<Vec<_>>()),
    ))
    .add_all(
        points.iter().map(|p| disc("first-fill", [area.x(p.threshold), area.y(p.model)], 3.0)),
    );
    el("figure").add(image).add(el("figcaption").text(
        "Line with dots: the model's calls. Dashes: calling all positive. The dotted line at 0: calling none. Where the \
         model's line isn't above both, its calls do no good at that threshold. Curves end at the lower edge.",
    ))
}

fn axes(area: &Area, top: f64) -> Markup {
    let bottom = area.top + area.height;
    let mut group = el("g");
    for tick in 0..=5 {
        let value = f64::from(tick) / 5.0;
        let x = area.x(value);
        group = group.add(line("grid", [x, area.top], [x, bottom])).add(label_at(
            "tick",
            [x, bottom + 15.0],
            "middle",
            &format!("{value:.1}"),
        ));
    }
    for share in [0.0, 0.5, 1.0] {
        let y = area.y(share * top);
        let class = if share == 0.0 { "chance" } else { "grid" };
        group = group.add(line(class, [area.left, y], [area.left + area.width, y])).add(label_at(
            "tick",
            [area.left - 6.0, y + 4.0],
            "end",
            &decimal(share * top),
        ));
    }
    let middle = area.left + area.width / 2.0;
    group
        .add(line("axis", [area.left, bottom], [area.left + area.width, bottom]))
        .add(label_at(
            "",
            [middle, bottom + 34.0],
            "middle",
            "called positive from a probability of",
        ))
        .into()
}
