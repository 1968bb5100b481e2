//! What a hospital gains by joining: its own model beside the federated one, and a heat map of models of single
//! sites at every site.

use super::super::joining::{
    MatrixClass, MatrixModels, MatrixRow, MatrixSection, OwnSiteModel, OwnSitesClass,
    OwnSitesSection,
};
use super::super::model::Report;
use super::super::values::Estimate;
use super::heat::{SHADES, heat_map};
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// The section's body; nothing where the study asks for neither.
pub fn joining(report: &Report) -> Option<Markup> {
    let mut about: Option<&String> = None;
    let own = match &report.own_sites {
        OwnSitesSection::NotAsked => None,
        OwnSitesSection::Asked { classes, classifier } => {
            about = about.or(classifier.as_ref());
            Some(classes.iter().map(|class| own_sites(report, class)).collect::<Markup>())
        }
    };
    let matrix = match &report.matrix {
        MatrixSection::NotAsked => None,
        MatrixSection::Asked { classes, classifier } => {
            about = about.or(classifier.as_ref());
            Some(classes.iter().map(|class| matrix(report, class)).collect::<Markup>())
        }
    };
    if own.is_none() && matrix.is_none() {
        return None;
    }
    let about =
        about.map(|name| el("p").text(format!("Of all classifiers that were compared: {name}.")));
    Some(el("div").add_all(about).add_all(own).add_all(matrix).into())
}

fn own_sites(report: &Report, class: &OwnSitesClass) -> Markup {
    let rows = class.sites.iter().map(|row| {
        let mut cells = vec![Cell::plain(&row.site)];
        match &row.model {
            OwnSiteModel::Fitted { own, federated, gain } => cells.extend(
                [
                    &own.auc,
                    federated,
                    gain,
                    &own.sensitivity,
                    &own.specificity,
                    &own.brier,
                    &own.ece,
                ]
                .map(Cell::estimate),
            ),
            OwnSiteModel::Unfit { reason } => {
                cells.push(Cell::why("none", reason));
                cells.extend((0..6).map(|_| Cell::plain("\u{2013}")));
            }
        }
        cells
    });
    let caption = format!(
        "{}: each site's own model, fitted to and chosen on its {}s alone, beside the federated model \
         on the same {}s, both from nested folds; the gain is paired by {}",
        class.class, report.study.unit, report.study.unit, report.study.unit,
    );
    let columns = [
        "site",
        "AUC of its own model",
        "AUC of the federated model",
        "gain by joining",
        "own sensitivity",
        "own specificity",
        "own Brier score",
        "own ECE",
    ];
    table(&caption, &columns, rows.collect())
}

/// A table of what models are trained on against where they are judged, coloured by the AUC.
fn matrix(report: &Report, class: &MatrixClass) -> Markup {
    let head = class.judged_at.iter().map(|site| el("th").attr("scope", "col").text(site));
    let rows = class.rows.iter().map(|row| heat_row(row, class.judged_at.len()));
    let caption = format!(
        "{}: AUC of models trained on the rows of each line, judged at the site of each column. Where a \
         site's own {}s had a part in training it is judged out of fold. Models of single sites are \
         fitted at the grid point that was chosen on all sites ({})",
        class.class,
        report.study.unit,
        class.point.line(),
    );
    heat_map(
        &caption,
        &format!("{}: where models are trained and judged", class.class),
        "trained on \\ judged at",
        head,
        rows,
    )
}

fn heat_row(row: &MatrixRow, columns: usize) -> Element {
    let line = el("tr").add(el("th").attr("scope", "row").text(row.trained_on.words()));
    match &row.models {
        MatrixModels::Judged { auc } => line.add_all(auc.iter().map(heat)),
        other => {
            let why = el("small").attr("class", "why").text(other.why());
            line.add(el("td").attr("colspan", columns).text("none").add(why))
        }
    }
}

fn heat(auc: &Estimate) -> Element {
    let Some(value) = auc.value() else {
        let why = el("small").attr("class", "why").text(auc.why());
        return el("td").text(auc.short()).add(why);
    };
    let shade = ((value - 0.5).abs() / 0.5 * SHADES).ceil() as u32;
    let side = if value < 0.5 { "below" } else { "above" };
    el("td")
        .attr("class", format!("{side} shade-{shade}"))
        .add(el("span").text(auc.short()))
        .add(el("small").text(auc.interval_text()))
}
