//! Puts metrics together into the findings: every figure with its interval, or why it is undefined.
//!
//! Intervals: AUC clustered by patient (Obuchowski); sensitivity and specificity by Wilson with the
//! number of *patients* that have such a row as n, since images of one patient are no independent
//! evidence; Brier and calibration error have none, their spread isn't in the sums.

use super::confusion::Confusion;
use super::interval::{
    PlacementSums, auc_interval, clustered_variance, interval, pair_sites, wilson,
    within_sites_variance,
};
use super::ranking::{auc_within_sites, roc_auc, roc_curve};
use super::{CellError, ScoreCell, ScoreHistogram, Threshold, Undefined};
use crate::findings::{Figure, Figures, Interval, Judged};

/// Rows with the threshold they are called at.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The rows' scores.
    pub cell: ScoreCell,
    /// Chosen without these rows.
    pub threshold: Threshold,
}

/// All that the figures of one cell are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct CellSums {
    /// The cell's rows; in nested cross-validation one part per outer fold, each with its own
    /// threshold. Ranking and calibration take them in one list, confusions add up.
    pub parts: Vec<Part>,
    /// Placement sums of all parts in one list.
    pub placements: PlacementSums,
}

/// The figures of one cell.
///
/// # Errors
/// [`CellError::NoCells`] without parts; [`CellError::OtherBins`] when parts or thresholds have
/// different bins.
pub fn figures(sums: &CellSums) -> Result<Figures, CellError> {
    let all = ScoreCell::merged(sums.parts.iter().map(|part| &part.cell))?;
    let mut confusion = Confusion::default();
    for part in &sums.parts {
        confusion.merge(&Confusion::at(&part.cell.histogram, &part.threshold)?);
    }
    let PlacementSums { with_positive, with_negative, .. } = sums.placements;
    Ok(Figures {
        patients: [with_negative, with_positive],
        rows: [all.histogram.negative_rows(), all.histogram.positive_rows()],
        auc: auc_clustered(&all.histogram, &sums.placements),
        sensitivity: proportion(confusion.sensitivity(), with_positive),
        specificity: proportion(confusion.specificity(), with_negative),
        confusion: [confusion.tp, confusion.fp, confusion.tn, confusion.fn_],
        brier: without_interval(all.calibration.brier_score()),
        ece: without_interval(all.calibration.expected_calibration_error()),
        roc: roc_curve(&all.histogram).unwrap_or_default(),
        reliability: all.calibration.reliability(),
    })
}

/// A list of scores judged within sites, in one list, by site and by subgroup. `one_list` has the
/// same rows as `by_site` together, with placement sums of its own; `by_subgroup` goes by column and
/// level.
///
/// # Errors
/// As [`figures`].
pub fn judged(
    one_list: &CellSums,
    by_site: &[CellSums],
    by_subgroup: &[Vec<CellSums>],
) -> Result<Judged, CellError> {
    let histograms = by_site
        .iter()
        .map(|site| ScoreHistogram::merged(site.parts.iter().map(|part| &part.cell.histogram)))
        .collect::<Result<Vec<_>, _>>()?;
    let placements: Vec<_> = by_site.iter().map(|site| site.placements).collect();
    let all = |cells: &[CellSums]| cells.iter().map(figures).collect::<Result<Vec<_>, _>>();
    Ok(Judged {
        auc_within_sites: within_sites_clustered(&histograms, &placements)?,
        one_list: figures(one_list)?,
        by_site: all(by_site)?,
        by_subgroup: by_subgroup.iter().map(|levels| all(levels)).collect::<Result<_, _>>()?,
    })
}

/// AUC of one list with its interval clustered by patient.
pub fn auc_clustered(histogram: &ScoreHistogram, placements: &PlacementSums) -> Figure {
    let auc = roc_auc(histogram);
    let ends = auc.and_then(|auc| auc_interval(auc, clustered_variance(histogram, placements)?));
    figure(auc, interval(ends))
}

/// AUC within sites with its interval clustered by patient; one entry per site in both.
///
/// # Errors
/// [`CellError::Sites`] when the numbers of sites differ.
pub fn within_sites_clustered(
    histograms: &[ScoreHistogram],
    placements: &[PlacementSums],
) -> Result<Figure, CellError> {
    let sites = pair_sites(histograms, placements)?;
    let auc = auc_within_sites(histograms);
    let ends = auc.and_then(|auc| auc_interval(auc, within_sites_variance(&sites)?));
    Ok(figure(auc, interval(ends)))
}

/// A share of rows with Wilson's interval for `patients`.
pub fn proportion(share: Result<f64, Undefined>, patients: u64) -> Figure {
    figure(share, interval(share.and_then(|share| wilson(share, patients))))
}

/// A figure whose interval isn't computed.
pub fn without_interval(value: Result<f64, Undefined>) -> Figure {
    figure(value, Interval::NotComputed)
}

fn figure(value: Result<f64, Undefined>, interval: Interval) -> Figure {
    match value {
        Ok(value) => Figure::Known { value, interval },
        Err(why) => Figure::Undefined { reason: why.to_string() },
    }
}
