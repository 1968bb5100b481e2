//! Variances and 95 % intervals: AUC by DeLong's placement values, plain and clustered by patient;
//! proportions by Wilson's score interval.
//!
//! Sources: DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837); Obuchowski 1997 (Biometrics
//! 53:567) for rows clustered by patient; Wilson 1927 (JASA 22:209). An AUC's interval is symmetric
//! on the logit scale (Pepe 2003, The Statistical Evaluation of Medical Tests, chapter 5), which
//! keeps it inside (0, 1) and covers better than the plain one for an AUC near 1 or few patients;
//! the plain one (pROC's default) would need cutting off there.

use wardround_core::query::PlacementTable;

use super::histogram::ScoreHistogram;
use super::ranking::roc_auc;
use super::{CellError, Undefined};
use crate::findings::Interval;

/// The 97.5 % point of the standard normal distribution.
pub const Z: f64 = 1.959_963_984_540_054;

/// Sums over patients of squared placement deviations: one list and cell of
/// [`wardround_core::query::Ask::Placements`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlacementSums {
    /// Patients with at least one positive row (Obuchowski's I10).
    pub with_positive: u64,
    /// Patients with at least one negative row (Obuchowski's I01).
    pub with_negative: u64,
    /// Sum over patients of (a - m auc)^2.
    pub s10: f64,
    /// Sum over patients of (b - n auc)^2.
    pub s01: f64,
    /// Sum over patients of (a - m auc)(b - n auc).
    pub s11: f64,
}

/// The placement values that a placements query carries, from the summed histogram of its list and
/// cell: `above_b = (N-_{<b} + h-_b / 2) / N-`, `below_b = (N+_{>b} + h+_b / 2) / N+`.
///
/// A cell without an AUC gets zeros, since the query wants a table for every cell; its patients are
/// then still counted, and its AUC stays undefined.
pub fn placement_table(histogram: &ScoreHistogram) -> PlacementTable {
    let count = histogram.bins().count as usize;
    let Ok(auc) = roc_auc(histogram) else {
        return PlacementTable { above: vec![0.0; count], below: vec![0.0; count], auc: 0.0 };
    };
    let (positives, negatives) = (histogram.positive_rows(), histogram.negative_rows());
    let mut above = Vec::with_capacity(count);
    let mut below = Vec::with_capacity(count);
    let (mut lower_negatives, mut higher_positives) = (0, positives);
    for (p, n) in histogram.positives().iter().zip(histogram.negatives()) {
        higher_positives -= p;
        above.push((lower_negatives as f64 + *n as f64 / 2.0) / negatives as f64);
        below.push((higher_positives as f64 + *p as f64 / 2.0) / positives as f64);
        lower_negatives += n;
    }
    PlacementTable { above, below, auc }
}

/// DeLong's variance of [`roc_auc`], rows taken as independent:
/// `S10 / N+ + S01 / N-`, `S10 = sum_b h+_b (above_b - AUC)^2 / (N+ - 1)`, S01 likewise.
///
/// Too small where a patient has several rows: then use [`clustered_variance`].
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; [`Undefined::TooFewPatients`] when a
/// class has one row.
pub fn delong_variance(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    roc_auc(histogram)?;
    let table = placement_table(histogram);
    let mut sums = PlacementSums {
        with_positive: histogram.positive_rows(),
        with_negative: histogram.negative_rows(),
        ..PlacementSums::default()
    };
    for (bin, (p, n)) in histogram.positives().iter().zip(histogram.negatives()).enumerate() {
        let (a, b) = (table.above[bin] - table.auc, table.below[bin] - table.auc);
        sums.s10 += *p as f64 * a * a;
        sums.s01 += *n as f64 * b * b;
    }
    clustered_variance(histogram, &sums)
}

/// Obuchowski's variance of [`roc_auc`] with rows clustered by patient, from the sums that the
/// histogram's [`placement_table`] led to; M, N are its positive and negative rows:
///
/// `I10 / (I10 - 1) s10 / M^2 + I01 / (I01 - 1) s01 / N^2 + 2 I / (I - 1) s11 / (M N)`.
///
/// With one row per patient it is DeLong's. The paper's I, all patients, isn't among the sums; it
/// lies between max(I10, I01) and I10 + I01, and we take the end that makes the variance larger;
/// this moves the last term by less than the share 1 / (max(I10, I01) - 1). Never negative, but for
/// rounding.
///
/// It is conditional on the model: it leaves out that another training set gives another model.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`], [`Undefined::TooFewPatients`].
pub fn clustered_variance(
    histogram: &ScoreHistogram,
    sums: &PlacementSums,
) -> Result<f64, Undefined> {
    roc_auc(histogram)?;
    if sums.with_positive < 2 || sums.with_negative < 2 {
        return Err(Undefined::TooFewPatients);
    }
    let (m, n) = (histogram.positive_rows() as f64, histogram.negative_rows() as f64);
    let (i10, i01) = (sums.with_positive as f64, sums.with_negative as f64);
    let i = if sums.s11 > 0.0 { i10.max(i01) } else { i10 + i01 };
    let unbias = |patients: f64| patients / (patients - 1.0);
    Ok(unbias(i10) * sums.s10 / (m * m)
        + unbias(i01) * sums.s01 / (n * n)
        + 2.0 * unbias(i) * sums.s11 / (m * n))
}

/// Variance of [`crate::metrics::ranking::auc_within_sites`]: `sum_s w_s^2 Var(AUC_s)`, with the
/// weights `w_s = n+_s n-_s / sum n+ n-` taken as given. Sites share no patients.
///
/// A site with pairs but fewer than two patients of a class has no estimate; it enters with 1/4,
/// the largest variance that a number in [0, 1] can have.
///
/// # Errors
/// [`Undefined::NoSiteWithBoth`]; [`Undefined::TooFewPatients`] when no site with pairs has a
/// variance.
pub fn within_sites_variance(sites: &[(ScoreHistogram, PlacementSums)]) -> Result<f64, Undefined> {
    let pairs = |h: &ScoreHistogram| h.positive_rows() as f64 * h.negative_rows() as f64;
    let all: f64 = sites.iter().map(|(histogram, _)| pairs(histogram)).sum();
    if all == 0.0 {
        return Err(Undefined::NoSiteWithBoth);
    }
    let (mut variance, mut estimated) = (0.0, false);
    for (histogram, sums) in sites.iter().filter(|(histogram, _)| pairs(histogram) > 0.0) {
        let weight = pairs(histogram) / all;
        let of_site = clustered_variance(histogram, sums);
        estimated |= of_site.is_ok();
        variance += weight * weight * of_site.unwrap_or(LARGEST_VARIANCE);
    }
    if estimated { Ok(variance) } else { Err(Undefined::TooFewPatients) }
}

/// Of a number in [0, 1] (Popoviciu).
const LARGEST_VARIANCE: f64 = 0.25;

/// p-value, two-sided, of an AUC of one half, given its interval of [`auc_interval`]: by the normal distribution of its logit.
///
/// # Errors
/// [`Undefined::NoSpread`] where the interval isn't inside (0, 1) or has no width.
pub fn half_p(auc: f64, [low, high]: [f64; 2]) -> Result<f64, Undefined> {
    let logit = |p: f64| libm::log(p / (1.0 - p));
    let error = (logit(high) - logit(low)) / (2.0 * Z);
    if !(low > 0.0 && high < 1.0 && error > 0.0 && error.is_finite()) {
        return Err(Undefined::NoSpread);
    }
    Ok(libm::erfc((logit(auc) / error).abs() / std::f64::consts::SQRT_2))
}

/// 95 % interval of an AUC from its variance, symmetric on the logit scale:
/// `logit(AUC) +- z sd / (AUC (1 - AUC))`, transformed back; inside (0, 1).
///
/// # Errors
/// [`Undefined::NoSpread`] for an AUC of 0 or 1 or a variance that isn't positive: the estimate
/// then says nothing about how sure it is.
pub fn auc_interval(auc: f64, variance: f64) -> Result<[f64; 2], Undefined> {
    let inside = auc > 0.0 && auc < 1.0 && variance > 0.0 && variance.is_finite();
    if !inside {
        return Err(Undefined::NoSpread);
    }
    let center = libm::log(auc / (1.0 - auc));
    let half = Z * libm::sqrt(variance) / (auc * (1.0 - auc));
    Ok([expit(center - half), expit(center + half)])
}

/// Wilson's 95 % score interval of a share out of `n`; statsmodels' `proportion_confint(method =
/// "wilson")`, in [0, 1].
///
/// `n` counts what is independent. For rows clustered by patient it should be the number of
/// patients: right when the rows of a patient are always alike, wider than needed otherwise (for
/// patients with about equally many rows). It is never the interval of another model trained
/// elsewhere.
///
/// `share` is in [0, 1].
///
/// # Errors
/// [`Undefined::NoRows`] when `n` is 0.
pub fn wilson(share: f64, n: u64) -> Result<[f64; 2], Undefined> {
    wilson_of(share, n as f64)
}

/// [`wilson`] of a number that needn't be whole: an effective number of rows.
///
/// # Errors
/// [`Undefined::NoRows`] when `n` isn't above 0.
pub fn wilson_of(share: f64, n: f64) -> Result<[f64; 2], Undefined> {
    // Not-a-number too.
    if n.is_nan() || n <= 0.0 {
        return Err(Undefined::NoRows);
    }
    let shrink = 1.0 + Z * Z / n;
    let center = (share + Z * Z / (2.0 * n)) / shrink;
    let half = Z * libm::sqrt(share * (1.0 - share) / n + Z * Z / (4.0 * n * n)) / shrink;
    // Wilson's interval holds its estimate; rounding must not push it out at 0 and 1.
    Ok([(center - half).min(share).max(0.0), (center + half).max(share).min(1.0)])
}

/// An interval as the findings hold it; one that is undefined wasn't computed.
pub fn interval(ends: Result<[f64; 2], Undefined>) -> Interval {
    ends.map_or(Interval::NotComputed, |[low, high]| Interval::Between { low, high })
}

/// Pairs each site's histogram with its placement sums.
///
/// # Errors
/// [`CellError::Sites`] when their numbers differ.
pub(super) fn pair_sites(
    histograms: &[ScoreHistogram],
    sums: &[PlacementSums],
) -> Result<Vec<(ScoreHistogram, PlacementSums)>, CellError> {
    if histograms.len() != sums.len() {
        return Err(CellError::Sites { expected: histograms.len(), got: sums.len() });
    }
    Ok(histograms.iter().cloned().zip(sums.iter().copied()).collect())
}

pub(crate) fn expit(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::histogram;

    #[test]
    fn an_interval_that_ends_at_one_half_has_a_p_value_of_5_percent() {
        let ends = auc_interval(0.6, 0.0025).unwrap();
        // 2 * scipy.stats.norm.sf(log(.6 / .4) / (.05 / (.6 * .4)))
        assert!((half_p(0.6, ends).unwrap() - 0.051627).abs() < 1e-6);
        let other = half_p(0.4, [1.0 - ends[1], 1.0 - ends[0]]).unwrap();
        assert!((other - 0.051627).abs() < 1e-6);
        assert_eq!(half_p(0.6, [0.6, 0.6]), Err(Undefined::NoSpread));
        assert_eq!(half_p(0.6, [0.5, 1.0]), Err(Undefined::NoSpread));
    }

    #[test]
    fn a_table_averages_to_the_auc() {
        let h = histogram([1, 2, 5], [4, 3, 1]);
        let table = placement_table(&h);
        assert_eq!(table.above, [0.25, 0.6875, 0.9375]);
        let mean = |values: &[f64], counts: &[u64]| {
            values.iter().zip(counts).map(|(v, c)| v * *c as f64).sum::<f64>() / 8.0
        };
        assert!((mean(&table.above, h.positives()) - table.auc).abs() < 1e-15);
        assert!((mean(&table.below, h.negatives()) - table.auc).abs() < 1e-15);
        let one_class = placement_table(&histogram([1, 2, 5], [0; 3]));
        assert!(one_class.above.iter().chain(&one_class.below).all(|v| *v == 0.0));
    }

    #[test]
    fn undefined_says_why() {
        assert_eq!(delong_variance(&histogram([0; 3], [1; 3])), Err(Undefined::NoPositives));
        let one = histogram([0, 0, 1], [4, 3, 1]);
        assert_eq!(delong_variance(&one), Err(Undefined::TooFewPatients));
        let none = within_sites_variance(&[(histogram([1; 3], [0; 3]), PlacementSums::default())]);
        assert_eq!(none, Err(Undefined::NoSiteWithBoth));
        let lone = within_sites_variance(&[(one, PlacementSums::default())]);
        assert_eq!(lone, Err(Undefined::TooFewPatients));
        for (auc, variance) in [(1.0, 0.0), (0.0, 0.1), (0.5, 0.0), (0.5, f64::NAN)] {
            assert_eq!(auc_interval(auc, variance), Err(Undefined::NoSpread));
        }
        assert_eq!(wilson(0.5, 0), Err(Undefined::NoRows));
        assert_eq!(interval(wilson(0.5, 0)), Interval::NotComputed);
    }

    #[test]
    fn a_site_without_a_variance_enters_with_the_largest() {
        let large = histogram([10, 20, 50], [40, 30, 10]);
        let sums =
            PlacementSums { with_positive: 80, with_negative: 80, s10: 4.0, s01: 4.0, s11: 0.0 };
        let small = histogram([0, 0, 1], [1, 0, 0]);
        let alone = within_sites_variance(&[(large.clone(), sums)]).unwrap();
        let both =
            within_sites_variance(&[(large, sums), (small, PlacementSums::default())]).unwrap();
        let (w, v) = (6400.0 / 6401.0, 1.0 / 6401.0);
        assert!((both - (w * w * alone + v * v / 4.0)).abs() < 1e-18);
    }

    #[test]
    fn intervals_stay_inside_and_hold_their_estimate() {
        let [low, high] = auc_interval(0.98, 0.02).unwrap();
        assert!(0.0 < low && low < 0.98 && 0.98 < high && high < 1.0);
        assert_eq!(wilson(0.0, 10).unwrap()[0], 0.0);
        assert_eq!(wilson(1.0, 10).unwrap()[1], 1.0);
    }
}
