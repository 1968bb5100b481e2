//! The calibration plot: observed share by predicted probability, all sites in one list.

use super::super::model::Report;
use super::super::values::{Calibration, decimal, grouped};
use super::markup::{Markup, el};
use super::plot::{Area, disc, label_at, path, svg};
use super::table::{Cell, table};

/// The plot for one modelled class.
pub fn plot(report: &Report, at: usize) -> Markup {
    let (section, class) = (&report.pooled[at], &report.models[at].class);
    let area =
        Area { left: 52.0, top: 10.0, width: 330.0, height: 330.0, x: [0.0, 1.0], y: [0.0, 1.0] };
    let bins = section.reliability.bins();
    let listed: Vec<String> = bins
        .iter()
        .map(|bin| format!("predicted {:.3}, observed {:.3}", bin.predicted, bin.observed))
        .collect();
    let description = format!(
        "Observed share of {class} by predicted probability. {}. Expected calibration error {}.",
        if listed.is_empty() { "No bins are shown".to_owned() } else { listed.join("; ") },
        section.figures.ece
    );
    let title = format!("Calibration of {class}, all sites in one list");
    let mut image = svg(&format!("calibration-{at}"), [392.0, 386.0], &title, &description)
        .add(area.unit_axes(0.2, "predicted probability", "observed share"))
        .add(area.diagonal());
    if bins.is_empty() {
        let middle = [area.left + area.width / 2.0, area.top + area.height / 2.0];
        image = image.add(label_at("tick", middle, "middle", why(&section.reliability)));
    }
    let points: Vec<[f64; 2]> = bins.iter().map(|bin| [bin.predicted, bin.observed]).collect();
    image = image.add(path("first", area.path(&points)));
    let most = bins.iter().map(|bin| bin.images).max().unwrap_or(1) as f64;
    for bin in bins {
        let radius = 3.0 + 6.0 * (bin.images as f64 / most).sqrt();
        let at = [area.x(bin.predicted), area.y(bin.observed)];
        image = image.add(disc("open", at, radius));
    }
    el("figure")
        .add(image)
        .add(el("figcaption").text(format!(
            "All sites in one list. The larger a ring, the more {}s are in its bin; on the dots \
             prediction and outcome agree.",
            report.study.judged.name
        )))
        .into()
}

/// The plot's numbers.
pub fn bins(report: &Report, at: usize) -> Markup {
    let rows = report.pooled[at].reliability.bins().iter().map(|bin| {
        vec![
            Cell::plain(decimal(bin.predicted)),
            Cell::plain(decimal(bin.observed)),
            Cell::plain(grouped(bin.images)),
        ]
    });
    table(
        "Calibration bins, all sites in one list",
        &["mean prediction", "observed share", &format!("{}s", report.study.judged.name)],
        rows.collect(),
    )
}

fn why(calibration: &Calibration) -> &'static str {
    match calibration {
        Calibration::Shown { .. } => "",
        Calibration::Withheld { .. } => "withheld",
        Calibration::Undefined => "too few for a bin",
    }
}
