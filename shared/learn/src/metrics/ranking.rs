//! How well scores rank: area under the ROC curve in one list, within sites, and of the site alone;
//! the ROC curve; average precision.
//!
//! The AUC is the probability that a positive row scores higher than a negative one, ties half
//! (Mann and Whitney 1947; Hanley and McNeil 1982, Radiology 143:29). Pairs are counted as
//! integers.

use std::cmp::Ordering;

use super::{ScoreHistogram, Undefined};

/// Area under the ROC curve of all rows in one list; scikit-learn's `roc_auc_score` of the binned
/// scores.
///
/// `sum_b h+_b (N-_{<b} + h-_b / 2) / (N+ N-)`, in `[0, 1]`, 0.5 for scores that know nothing.
///
/// It is not a within-site figure: where sites differ in prevalence, knowing the site alone ranks
/// well (see [`site_only_auc`]). It differs from the AUC of the unbinned scores by at most
/// [`binning_error`].
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn roc_auc(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    let pairs = RowPairs::of(histogram);
    if histogram.positive_rows() == 0 {
        return Err(Undefined::NoPositives);
    }
    if histogram.negative_rows() == 0 {
        return Err(Undefined::NoNegatives);
    }
    Ok(pairs.share())
}

/// AUC over pairs of rows of the same site only: `sum_s n+_s n-_s AUC_s / sum_s n+_s n-_s`, one
/// histogram per site; in `[0, 1]`.
///
/// Unmoved by differences of prevalence between sites. It is not the mean of the sites' AUCs: a
/// site counts by its number of pairs, so small sites hardly count.
///
/// # Errors
/// [`Undefined::NoSiteWithBoth`].
pub fn auc_within_sites(sites: &[ScoreHistogram]) -> Result<f64, Undefined> {
    let mut pairs = RowPairs::default();
    for site in sites {
        let of_site = RowPairs::of(site);
        pairs.all += of_site.all;
        pairs.won_twice += of_site.won_twice;
    }
    if pairs.all == 0 { Err(Undefined::NoSiteWithBoth) } else { Ok(pairs.share()) }
}

/// AUC in one list of a score that knows only the site: every row scores its site's prevalence.
/// `counts` has negative and positive rows of each site.
///
/// Of all scores that depend on the site alone this is the best (Neyman and Pearson), on these
/// rows; in `[0.5, 1]`. What a one-list AUC has beyond it comes from somewhere else than knowing
/// the hospital; it isn't a bound on anything within a site.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn site_only_auc(counts: &[[u64; 2]]) -> Result<f64, Undefined> {
    let mut sites: Vec<[u128; 2]> =
        counts.iter().map(|c| c.map(u128::from)).filter(|[n, p]| n + p > 0).collect();
    // By prevalence p / (n + p), compared as p n' < p' n.
    sites.sort_by(|[n, p], [other_n, other_p]| (p * other_n).cmp(&(other_p * n)));
    let mut pairs = RowPairs::default();
    let (mut below, mut all_positives, mut at) = (0, 0, 0);
    while at < sites.len() {
        let [n, p] = sites[at];
        let tied = |[m, q]: &&[u128; 2]| (p * m).cmp(&(q * n)) == Ordering::Equal;
        let group: Vec<_> = sites[at..].iter().take_while(tied).collect();
        let negatives: u128 = group.iter().map(|site| site[0]).sum();
        let positives: u128 = group.iter().map(|site| site[1]).sum();
        pairs.won_twice += positives * (2 * below + negatives);
        below += negatives;
        all_positives += positives;
        at += group.len();
    }
    if all_positives == 0 {
        return Err(Undefined::NoPositives);
    }
    if below == 0 {
        return Err(Undefined::NoNegatives);
    }
    pairs.all = all_positives * below;
    Ok(pairs.share())
}

/// Area under the precision-recall curve by steps: by falling threshold the sum of `(R_b - R_{b+1}) P_b`, R
/// recall and P precision at the lower edge of bin b; scikit-learn's `average_precision_score` of the binned
/// scores. In `[0, 1]`.
///
/// To be read beside the prevalence, which is what a score that knows nothing reaches; so it can't be
/// compared between rows of another prevalence.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn average_precision(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    roc_auc(histogram)?;
    let (mut sum, mut called, mut hits) = (0.0, 0, 0);
    for (n, p) in histogram.negatives().iter().zip(histogram.positives()).rev() {
        called += n + p;
        hits += p;
        if *p > 0 {
            sum += *p as f64 * (hits as f64 / called as f64);
        }
    }
    Ok(sum / histogram.positive_rows() as f64)
}

/// The ROC curve from (0, 0) to (1, 1) as (false positive rate, true positive rate), both
/// non-decreasing, by falling threshold; scikit-learn's `roc_curve` of the binned scores.
///
/// Points on a straight line between their neighbours are left out, so the polygon is the same and
/// its area is [`roc_auc`]. (scikit-learn's `drop_intermediate` leaves out only those in the middle
/// of equal steps.) Not fit to be shown as it is: its steps may hold single patients.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn roc_curve(histogram: &ScoreHistogram) -> Result<Vec<[f64; 2]>, Undefined> {
    let (positives, negatives) = (histogram.positive_rows(), histogram.negative_rows());
    if positives == 0 {
        return Err(Undefined::NoPositives);
    }
    if negatives == 0 {
        return Err(Undefined::NoNegatives);
    }
    let mut vertices: Vec<[u64; 2]> = vec![[0, 0]];
    let (mut fp, mut tp) = (0, 0);
    let steps = histogram.negatives().iter().zip(histogram.positives()).rev();
    for (n, p) in steps.filter(|(n, p)| **n + **p > 0) {
        fp += n;
        tp += p;
        if let [.., before, last] = vertices[..]
            && collinear(before, last, [fp, tp])
        {
            vertices.pop();
        }
        vertices.push([fp, tp]);
    }
    let rates = |[fp, tp]: [u64; 2]| [fp as f64 / negatives as f64, tp as f64 / positives as f64];
    Ok(vertices.into_iter().map(rates).collect())
}

/// How far [`roc_auc`] can be from the AUC of the same scores unbinned:
/// `1/2 sum_b (h+_b / N+)(h-_b / N-)`.
///
/// Proof: binning changes only pairs within a bin, from 0, 1/2 or 1 to 1/2. Reached when one class
/// of every bin lies above the other.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn binning_error(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    roc_auc(histogram)?;
    let both = histogram.positives().iter().zip(histogram.negatives());
    let tied: u128 = both.map(|(p, n)| u128::from(*p) * u128::from(*n)).sum();
    Ok(0.5 * tied as f64 / RowPairs::of(histogram).all as f64)
}

/// Pairs of a positive and a negative row, and twice the number the positive one won (ties once).
#[derive(Debug, Default)]
pub(crate) struct RowPairs {
    pub all: u128,
    pub won_twice: u128,
}

impl RowPairs {
    pub fn of(histogram: &ScoreHistogram) -> Self {
        let mut below = 0;
        let mut won_twice = 0;
        for (p, n) in histogram.positives().iter().zip(histogram.negatives()) {
            let (p, n) = (u128::from(*p), u128::from(*n));
            won_twice += p * (2 * below + n);
            below += n;
        }
        Self { all: u128::from(histogram.positive_rows()) * below, won_twice }
    }

    fn share(&self) -> f64 {
        self.won_twice as f64 / (2.0 * self.all as f64)
    }
}

fn collinear([ax, ay]: [u64; 2], [bx, by]: [u64; 2], [cx, cy]: [u64; 2]) -> bool {
    // Coordinates never fall, so the differences are counts.
    u128::from(bx - ax) * u128::from(cy - by) == u128::from(by - ay) * u128::from(cx - bx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::histogram;

    #[test]
    fn undefined_says_why() {
        let none = histogram([0; 4], [1; 4]);
        assert_eq!(roc_auc(&none), Err(Undefined::NoPositives));
        assert_eq!(roc_curve(&none), Err(Undefined::NoPositives));
        assert_eq!(binning_error(&histogram([1; 4], [0; 4])), Err(Undefined::NoNegatives));
        let apart = [histogram([1; 4], [0; 4]), none];
        assert_eq!(auc_within_sites(&apart), Err(Undefined::NoSiteWithBoth));
        assert_eq!(site_only_auc(&[[0, 0], [3, 0]]), Err(Undefined::NoPositives));
        assert_eq!(site_only_auc(&[[0, 4]]), Err(Undefined::NoNegatives));
        assert_eq!(site_only_auc(&[]), Err(Undefined::NoPositives));
    }

    #[test]
    fn within_sites_is_blind_to_prevalence() {
        // Within each site the scores say nothing; the second site scores higher and is sicker.
        let low = histogram([1, 1, 0, 0], [9, 9, 0, 0]);
        let high = histogram([0, 0, 9, 9], [0, 0, 1, 1]);
        let within = auc_within_sites(&[low.clone(), high.clone()]).unwrap();
        let one_list = roc_auc(&ScoreHistogram::merged([&low, &high]).unwrap()).unwrap();
        assert_eq!(within, 0.5);
        assert_eq!(one_list, site_only_auc(&[[18, 2], [2, 18]]).unwrap());
        assert!((one_list - 0.9).abs() < 1e-15);
    }

    #[test]
    fn precision_is_averaged_over_the_positives() {
        // From the top: 1 of 1, then 2 of 4 at once, then 3 of 8.
        let some = histogram([0, 1, 1, 1], [2, 3, 2, 0]);
        let expected = (1.0 + 2.0 / 4.0 + 3.0 / 8.0) / 3.0;
        assert!((average_precision(&some).unwrap() - expected).abs() < 1e-15);
        assert_eq!(average_precision(&histogram([0; 4], [1; 4])), Err(Undefined::NoPositives));
        assert_eq!(average_precision(&histogram([1; 4], [0; 4])), Err(Undefined::NoNegatives));
    }

    #[test]
    fn sites_of_one_prevalence_tie() {
        assert_eq!(site_only_auc(&[[6, 2], [0, 0], [3, 1], [9, 3]]), Ok(0.5));
        // Positives at 1/2 (1), at 1/4 (1); negatives 1 and 3: (1 (3 + 1/2) + 1 (3/2)) / 8.
        assert_eq!(site_only_auc(&[[1, 1], [3, 1]]), Ok(0.625));
    }

    #[test]
    fn the_curve_keeps_vertices_only() {
        let straight = roc_curve(&histogram([1, 2, 3, 4], [1, 2, 3, 4])).unwrap();
        assert_eq!(straight, [[0.0, 0.0], [1.0, 1.0]]);
        let bent = roc_curve(&histogram([0, 0, 1, 1], [1, 1, 0, 0])).unwrap();
        assert_eq!(bent, [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]);
    }
}
