//! ROC curves: all sites in one list with the operating point, and each site beside it.

use super::super::model::{FigureRow, Report};
use super::markup::{Markup, el};
use super::plot::{Area, clipped, disc, label_at, path, svg};

/// All sites in one list.
pub fn all_sites(report: &Report, at: usize) -> Markup {
    let (section, class) = (&report.pooled[at], &report.models[at].class);
    let row = &section.figures;
    let title = format!("ROC curve of {class}, all sites in one list");
    let area =
        Area { left: 52.0, top: 10.0, width: 330.0, height: 330.0, x: [0.0, 1.0], y: [0.0, 1.0] };
    let description = format!(
        "True positive rate by false positive rate. AUC {}. {}",
        section.auc_one_list,
        operating_point(row).map_or_else(
            || "The operating point isn't shown.".to_owned(),
            |[x, y]| format!("Operating point: sensitivity {y:.3}, specificity {:.3}.", 1.0 - x)
        )
    );
    let mut image = svg(&format!("roc-{at}"), [392.0, 386.0], &title, &description)
        .add(area.unit_axes(0.2, "1 \u{2212} specificity", "sensitivity"))
        .add(area.diagonal());
    let points = row.roc.points();
    if points.is_empty() {
        image = image.add(nothing(&area, "no curve: withheld or undefined"));
    } else {
        image = image.add(path("first", area.path(points)));
    }
    if let Some([x, y]) = operating_point(row) {
        image = image.add(disc("open", [area.x(x), area.y(y)], 5.0));
    }
    el("figure")
        .add(image)
        .add(el("figcaption").text(
            "All sites in one list. Ring: the calls at the thresholds that were chosen without \
             these patients. Dots: a score that knows nothing.",
        ))
        .into()
}

/// One small plot per site, with the curve of all sites for comparison.
pub fn by_site(report: &Report, at: usize) -> Markup {
    let all = report.pooled[at].figures.roc.points();
    let plots = report.sites[at].sites.iter().enumerate().map(|(number, row)| {
        let name = row.site.as_str();
        let area = Area {
            left: 30.0,
            top: 24.0,
            width: 160.0,
            height: 160.0,
            x: [0.0, 1.0],
            y: [0.0, 1.0],
        };
        let title = format!("ROC curve at {name}");
        let description = format!("AUC {}. Dashed: all sites in one list.", row.figures.auc);
        let key = format!("roc-{at}-{number}");
        let mut image = svg(&key, [198.0, 206.0], &title, &description)
            .add(label_at("name", [30.0, 15.0], "start", &clipped(name, 22)))
            .add(area.unit_axes(0.5, "", ""))
            .add(area.diagonal());
        if !all.is_empty() {
            image = image.add(path("reference", area.path(all)));
        }
        let points = row.figures.roc.points();
        if points.is_empty() {
            image = image.add(nothing(&area, &row.figures.auc.short()));
        } else {
            image = image.add(path("first", area.path(points)));
        }
        if let Some([x, y]) = operating_point(&row.figures) {
            image = image.add(disc("open", [area.x(x), area.y(y)], 4.0));
        }
        image
    });
    el("figure")
        .add(el("div").attr("class", "many").add_all(plots))
        .add(el("figcaption").text(
            "Each site by itself (solid) beside all sites in one list (dashed). Curves go in steps \
             of at least the minimum cell. Axes as above.",
        ))
        .into()
}

fn nothing(area: &Area, why: &str) -> Markup {
    let middle = [area.left + area.width / 2.0, area.top + area.height / 2.0];
    label_at("tick", middle, "middle", &clipped(why, (area.width / 6.0) as usize))
}

/// False positive rate and true positive rate of the calls, where both are shown.
fn operating_point(row: &FigureRow) -> Option<[f64; 2]> {
    Some([1.0 - row.specificity.value()?, row.sensitivity.value()?])
}
