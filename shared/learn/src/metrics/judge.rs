//! Puts metrics together into the findings: every figure with its interval, or why it is undefined.
//!
//! Intervals: AUC clustered by patient (Obuchowski); sensitivity and specificity by Wilson with the
//! number of *patients* that have such a row as n, since images of one patient are no independent
//! evidence; all others have none, their spread isn't in the sums.

use wardround_core::study::ThresholdRule;

use super::confusion::Confusion;
use super::interval::{
    PlacementSums, auc_interval, clustered_variance, interval, pair_sites, wilson,
    within_sites_variance,
};
use super::ranking::{auc_within_sites, roc_auc, roc_curve};
use super::uncertainty::uncertainty;
use super::{CellError, ScoreCell, ScoreHistogram, Threshold, Undefined, registry};
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
    Ok(called(&all, &confusion, &sums.placements))
}

/// The figures of a cell whose rows were called already.
pub fn called(all: &ScoreCell, confusion: &Confusion, placements: &PlacementSums) -> Figures {
    let PlacementSums { with_positive, with_negative, .. } = *placements;
    Figures {
        patients: [with_negative, with_positive],
        rows: [all.histogram.negative_rows(), all.histogram.positive_rows()],
        auc: auc_clustered(&all.histogram, placements),
        sensitivity: proportion(confusion.sensitivity(), with_positive),
        specificity: proportion(confusion.specificity(), with_negative),
        confusion: [confusion.tp, confusion.fp, confusion.tn, confusion.fn_],
        brier: without_interval(all.calibration.brier_score()),
        ece: without_interval(all.calibration.expected_calibration_error()),
        roc: roc_curve(&all.histogram).unwrap_or_default(),
        reliability: all.calibration.reliability(),
        more: registry::listed(all, confusion),
    }
}

/// A list of scores judged within sites, in one list, by site and by subgroup. `one_list` has the
/// same rows as `by_site` together, with placement sums of its own; `by_subgroup` goes by column
/// and level. `rule` is the one that the parts' thresholds were chosen by.
///
/// # Errors
/// As [`figures`].
pub fn judged(
    rule: ThresholdRule,
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
        fairness: Vec::new(),
        crossed: Vec::new(),
        uncertainty: uncertainty(rule, one_list, by_site, by_subgroup)?,
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

#[cfg(test)]
mod tests {
    use wardround_core::query::Bins;

    use super::*;
    use crate::metrics::CalibrationSums;

    const BINS: Bins = Bins { half_width: 2.0, count: 4 };

    fn part(positives: [u64; 4], negatives: [u64; 4], threshold: f64) -> Part {
        let histogram = ScoreHistogram::new(BINS, positives.to_vec(), negatives.to_vec()).unwrap();
        let mut calibration = CalibrationSums::empty();
        calibration.rows[3] = [histogram.negative_rows(), histogram.positive_rows()];
        calibration.scores[3] = 0.2 * calibration.total_rows() as f64;
        calibration.brier = 0.1 * calibration.total_rows() as f64;
        let threshold = Threshold::nearest(BINS, threshold).unwrap();
        Part { cell: ScoreCell { histogram, calibration }, threshold }
    }

    fn two_folds() -> CellSums {
        let parts =
            vec![part([0, 1, 2, 3], [4, 3, 2, 1], 0.5), part([1, 1, 1, 1], [2, 2, 1, 1], 0.73)];
        let placements =
            PlacementSums { with_positive: 8, with_negative: 9, s10: 2.0, s01: 3.0, s11: -0.5 };
        CellSums { parts, placements }
    }

    fn one_class() -> CellSums {
        let placements = PlacementSums { with_negative: 5, ..PlacementSums::default() };
        CellSums { parts: vec![part([0; 4], [2, 2, 1, 1], 0.5)], placements }
    }

    #[test]
    fn folds_are_called_at_their_own_thresholds() {
        let figures = figures(&two_folds()).unwrap();
        assert_eq!(figures.patients, [9, 8]);
        assert_eq!(figures.rows, [16, 10]);
        // Fold 1 from bin 2 up, fold 2 from bin 3 up.
        assert_eq!(figures.confusion, [5 + 1, 3 + 1, 7 + 5, 1 + 3]);
        let [low, high] = wilson(0.6, 8).unwrap();
        let sensitivity = Figure::Known { value: 0.6, interval: Interval::Between { low, high } };
        assert_eq!(figures.sensitivity, sensitivity);
        let Figure::Known { value, interval: Interval::Between { low, high } } = figures.auc else {
            panic!("an AUC with its interval, got {:?}", figures.auc);
        };
        // Bins of both folds: positives 1 2 3 4, negatives 6 5 3 2.
        assert!((value - (3.0 + 17.0 + 37.5 + 60.0) / 160.0).abs() < 1e-15);
        assert!(low < value && value < high);
        let Figure::Known { interval: Interval::NotComputed, .. } = figures.brier else {
            panic!("no interval of the Brier score, got {:?}", figures.brier);
        };
        assert_eq!(figures.reliability.len(), 1);
    }

    #[test]
    fn undefined_figures_say_why() {
        let figures = figures(&one_class()).unwrap();
        let undefined = Figure::Undefined { reason: "no positive rows".into() };
        assert_eq!(figures.auc, undefined);
        assert_eq!(figures.sensitivity, undefined);
        assert!(matches!(figures.specificity, Figure::Known { .. }));
        assert!(figures.roc.is_empty());
        let none = super::figures(&CellSums { parts: vec![], ..one_class() });
        assert_eq!(none, Err(CellError::NoCells));
    }

    #[test]
    fn a_list_is_judged_within_sites_and_by_each_cell() {
        let (one, other) = (two_folds(), one_class());
        let mut together = one.clone();
        together.parts.extend(other.parts.clone());
        let sites = [one.clone(), other.clone()];
        let levels = [vec![other, one.clone()]];
        let judged = judged(ThresholdRule::Youden, &together, &sites, &levels).unwrap();
        // The site of one class has no pairs, so the other's AUC is all of it, interval and all.
        assert_eq!(judged.auc_within_sites, judged.by_site[0].auc);
        assert_eq!(judged.one_list.rows, [22, 10]);
        assert_ne!(judged.one_list.auc, judged.by_site[0].auc);
        assert_eq!(judged.by_subgroup[0][1], judged.by_site[0]);
        let missing = within_sites_clustered(&[ScoreHistogram::empty(BINS)], &[]);
        assert_eq!(missing, Err(CellError::Sites { expected: 1, got: 0 }));
    }

    #[test]
    fn perfect_separation_has_no_interval() {
        let apart = part([0, 0, 0, 3], [3, 0, 0, 0], 0.5).cell.histogram;
        let sums = PlacementSums { with_positive: 3, with_negative: 3, ..Default::default() };
        let figure = auc_clustered(&apart, &sums);
        assert_eq!(figure, Figure::Known { value: 1.0, interval: Interval::NotComputed });
    }
}
