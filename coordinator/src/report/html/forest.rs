//! The forest plot: AUC of the pooled figures, of each site, and of each site when it was left out.
//! Its height grows with the sites.

use super::super::model::Report;
use super::super::values::Estimate;
use super::markup::{Element, Markup, el};
use super::plot::{Area, clipped, diamond, disc, label_at, line, svg, unit};

const WIDTH: f64 = 760.0;
const ROW: f64 = 23.0;
const TOP: f64 = 30.0;
const NAME_LENGTH: usize = 32;

/// How a line of the plot is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Pooled figures: a filled diamond.
    Pooled,
    /// A site in nested folds: a filled disc, solid interval.
    Site,
    /// A site left out: an open diamond, dashed interval.
    LeftOut,
    /// The mean of sites: a filled diamond.
    Mean,
    /// What is expected of another site: an interval alone.
    Expected,
}

struct Line<'a> {
    name: String,
    mark: Mark,
    estimate: &'a Estimate,
    /// Every other site stands on a band.
    band: bool,
}

/// The plot for one modelled class.
pub fn forest(report: &Report, at: usize) -> Markup {
    let lines = lines(report, at);
    let area = Area {
        left: 216.0,
        top: TOP,
        width: 350.0,
        height: lines.len() as f64 * ROW,
        x: range(&lines),
        y: [0.0, 1.0],
    };
    let height = area.top + area.height + 44.0;
    let listed: Vec<String> =
        lines.iter().map(|line| format!("{}: {}", line.name, line.estimate)).collect();
    let image = svg(
        &format!("forest-{at}"),
        [WIDTH, height],
        &format!("Area under the ROC curve by site, {}", report.models[at].class),
        &format!("{}.", listed.join("; ")),
    )
    .add(axis(&area))
    .add_all(lines.iter().enumerate().map(|(number, line)| draw(&area, number, line)));
    let left_out = if report.leave_one_site_out[at].sites.is_empty() {
        "Discs: a site by itself."
    } else {
        "Discs: a site by itself, in nested folds. Open diamonds on dashes: the same site judged by \
         models that never saw it."
    };
    let another = match report.sites[at].together.another_site.value() {
        Some(_) => " The line without a mark is where another site's AUC is expected.",
        None => "",
    };
    let caption = format!(
        "AUC with its 95 % interval. Filled diamonds: all sites. {left_out}{another} The dotted \
         line is chance."
    );
    el("figure")
        .add(
            el("div")
                .attr("class", "scroll")
                .attr("tabindex", 0)
                .attr("role", "region")
                .attr("aria-label", "forest plot")
                .add(image),
        )
        .add(el("figcaption").text(caption))
        .into()
}

fn lines(report: &Report, at: usize) -> Vec<Line<'_>> {
    let pooled = &report.pooled[at];
    let whole = |name: &str, estimate| Line {
        name: name.to_owned(),
        mark: Mark::Pooled,
        estimate,
        band: false,
    };
    let mut lines = vec![
        whole("within sites", &pooled.auc_within_sites),
        whole("all in one list", &pooled.auc_one_list),
    ];
    for (number, row) in report.sites[at].sites.iter().enumerate() {
        let band = number % 2 == 0;
        let name = row.site.to_string();
        lines.push(Line { name, mark: Mark::Site, estimate: &row.figures.auc, band });
        let left_out = report.leave_one_site_out[at].sites.iter().find(|out| out.site == row.site);
        if let Some(out) = left_out {
            let name = "left out".to_owned();
            lines.push(Line { name, mark: Mark::LeftOut, estimate: &out.figures.auc, band });
        }
    }
    let together = &report.sites[at].together;
    let under = [
        ("mean of the sites", Mark::Mean, &together.auc),
        ("another site", Mark::Expected, &together.another_site),
    ];
    let known = under.into_iter().filter(|(.., estimate)| estimate.value().is_some());
    lines.extend(known.map(|(name, mark, estimate)| Line {
        name: name.to_owned(),
        mark,
        estimate,
        band: false,
    }));
    lines
}

/// From a tenth below the lowest end, or chance, up to 1.
fn range(lines: &[Line<'_>]) -> [f64; 2] {
    let ends = lines.iter().filter_map(|line| {
        line.estimate.ends().map(|[low, _]| low).or_else(|| line.estimate.value())
    });
    let lowest = ends.fold(0.5, f64::min);
    [((lowest * 10.0).floor() / 10.0).clamp(0.0, 0.4), 1.0]
}

fn axis(area: &Area) -> Markup {
    let bottom = area.top + area.height;
    let tenths = (area.x[0] * 10.0).round() as u32;
    let mut group = el("g");
    for tick in tenths..=10 {
        let value = f64::from(tick) / 10.0;
        let x = area.x(value);
        let class = if tick == 5 { "chance" } else { "grid" };
        group = group.add(line(class, [x, area.top], [x, bottom])).add(label_at(
            "tick",
            [x, bottom + 16.0],
            "middle",
            &format!("{value:.1}"),
        ));
    }
    let middle = area.left + area.width / 2.0;
    group
        .add(line("axis", [area.left, bottom], [area.left + area.width, bottom]))
        .add(label_at("", [middle, bottom + 35.0], "middle", "area under the ROC curve"))
        .add(label_at(
            "tick",
            [area.left + area.width + 14.0, 18.0],
            "start",
            "AUC (95 % interval)",
        ))
        .into()
}

fn draw(area: &Area, number: usize, shown: &Line<'_>) -> Element {
    let middle = area.top + (number as f64 + 0.5) * ROW;
    let text_y = middle + 4.0;
    let mut group = el("g");
    let (class, indent) = match shown.mark {
        Mark::Pooled | Mark::Mean => ("name", 0.0),
        Mark::Site | Mark::Expected => ("", 0.0),
        Mark::LeftOut => ("tick", 16.0),
    };
    if shown.band {
        let band = el("rect")
            .attr("class", "band")
            .attr("x", 0)
            .attr("y", unit(middle - ROW / 2.0))
            .attr("width", WIDTH)
            .attr("height", unit(ROW));
        group = group.add(band);
    }
    let name = clipped(&shown.name, NAME_LENGTH);
    group = group.add(el("g").add(el("title").text(&shown.name)).add(label_at(
        class,
        [6.0 + indent, text_y],
        "start",
        &name,
    )));
    if let Some([low, high]) = shown.estimate.ends() {
        let class = match shown.mark {
            Mark::Pooled | Mark::Mean => "whole-line",
            Mark::Site => "first",
            Mark::LeftOut => "second",
            Mark::Expected => "axis",
        };
        group = group.add(line(class, [area.x(low), middle], [area.x(high), middle]));
    }
    if let Some(value) = shown.estimate.value().filter(|_| shown.mark != Mark::Expected) {
        let at = [area.x(value), middle];
        group = group.add(match shown.mark {
            Mark::Pooled | Mark::Mean => diamond("whole", at, 6.0),
            Mark::Site => disc("first-fill", at, 4.5),
            Mark::LeftOut | Mark::Expected => diamond("second-open", at, 5.0),
        });
    }
    let right = area.left + area.width + 14.0;
    // Why there is none stands in the table.
    let text = match shown.estimate {
        Estimate::Known { .. } => shown.estimate.to_string(),
        Estimate::Undefined { .. } | Estimate::Withheld { .. } => shown.estimate.short(),
    };
    group.add(label_at("tick", [right, text_y], "start", &clipped(&text, 32)))
}
