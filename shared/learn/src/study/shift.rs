//! Shift between sites: how far their features lie apart, from the moments by site and fold that standardise linear models anyway.
//!
//! A feature's standardised difference is `(m1 - m2) / sqrt((v1 + v2) / 2)` (Austin, Stat Med 2009;28:3083), which is the same in
//! every unit; 0.2 and 0.5 are what Cohen calls small and medium. Over many features it is summed up by its root mean square. If two
//! groups of patients differ by chance alone, its square is expected to be about `1/n1 + 1/n2`.

use super::frame::{Cells, ClassSums};
use crate::findings::{Distance, ProfileCell, Shift};

/// Standardised differences beyond which features are counted.
pub(crate) const BEYOND: [f64; 2] = [0.2, 0.5];

/// Each site beside the others, and every pair of sites.
pub(crate) fn shift(cells: &Cells, by_site: &[ProfileCell]) -> Shift {
    let sites: Vec<Side> = cells.by_site().into_iter().zip(by_site).map(Side::new).collect();
    if sites.len() < 2 {
        return Shift::NotAsked;
    }
    let others = |at: usize| {
        let rest = sites.iter().enumerate().filter(|(other, _)| *other != at);
        Side::together(rest.map(|(_, site)| site))
    };
    let from_others = (0..sites.len()).map(|at| sites[at].distance(&others(at))).collect();
    let pair = |first: usize| {
        let later = first + 1..sites.len();
        let sites = &sites;
        later.map(move |second| sites[first].distance(&sites[second]))
    };
    Shift::Known { from_others, pairs: (0..sites.len()).flat_map(pair).collect() }
}

/// Some rows.
struct Side {
    patients: u64,
    sums: ClassSums,
}

impl Side {
    fn new((sums, cell): (ClassSums, &ProfileCell)) -> Self {
        Self { patients: cell.patients, sums }
    }

    fn together<'a>(sides: impl Iterator<Item = &'a Self>) -> Self {
        let empty = ClassSums { n: Vec::new(), sum: Vec::new(), squares: Vec::new() };
        let mut all = Self { patients: 0, sums: empty };
        for Self { patients, sums } in sides {
            all.patients += patients;
            let add = |to: &mut Vec<f64>, more: &[f64]| {
                to.resize(more.len(), 0.0);
                to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
            };
            add(&mut all.sums.n, &sums.n);
            add(&mut all.sums.sum, &sums.sum);
            add(&mut all.sums.squares, &sums.squares);
        }
        all
    }

    /// Mean and variance (n in the denominator) of a feature; nothing where it is constant, but for rounding, or missing.
    fn moments(&self, feature: usize) -> Option<[f64; 2]> {
        let ClassSums { n, sum, squares } = &self.sums;
        let mean = sum[feature] / n[feature];
        let variance = squares[feature] / n[feature] - mean * mean;
        (n[feature] > 0.0 && variance > 1e-9 * (1.0 + mean * mean)).then_some([mean, variance])
    }

    fn distance(&self, other: &Self) -> Distance {
        let (mut squares, mut logs, mut beyond) = (0.0, 0.0, [0u32; 2]);
        let (mut features, mut largest, mut largest_feature) = (0u32, 0.0f64, 0);
        for feature in 0..self.sums.n.len() {
            let both = self.moments(feature).zip(other.moments(feature));
            let Some(([mean, variance], [other_mean, other_variance])) = both else { continue };
            let difference = (mean - other_mean).abs() / ((variance + other_variance) / 2.0).sqrt();
            features += 1;
            squares += difference * difference;
            logs += libm::log(variance / other_variance);
            for (count, limit) in beyond.iter_mut().zip(BEYOND) {
                *count += u32::from(difference > limit);
            }
            if difference > largest {
                (largest, largest_feature) = (difference, feature as u32);
            }
        }
        let of = f64::from(features.max(1));
        let by_chance = 1.0 / self.patients.max(1) as f64 + 1.0 / other.patients.max(1) as f64;
        Distance {
            features,
            root_mean_square: (squares / of).sqrt(),
            by_chance: by_chance.sqrt(),
            beyond: beyond.map(|count| f64::from(count) / of),
            largest,
            largest_feature,
            variance_ratio: libm::exp(logs / of),
        }
    }
}
