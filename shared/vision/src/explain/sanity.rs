//! Whether a map depends on the model: J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018 (arXiv 1810.03292), section 4.
//!
//! The map of a model whose weights were exchanged for each other should look otherwise. We shuffle which feature meets which weight,
//! which is the same for every kind of model, and leave the backbone alone, as it is nobody's to train here. The figure is the
//! correlation of ranks of both maps (Spearman): near 0 the map shows the model, near 1 it shows the image.

use crate::weights::generated;

/// How many shuffles a figure is the mean of.
pub const SHUFFLES: usize = 8;

/// The features in another order, always the same for a number of features and a shuffle.
pub fn shuffled(features: usize, shuffle: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..features).collect();
    let drawn = generated::uniform(&format!("shuffle {shuffle}"), features);
    // Fisher and Yates, from the end.
    for (last, u) in (1..features).rev().zip(drawn) {
        let other = ((u + 1.0) / 2.0 * (last + 1) as f64) as usize;
        order.swap(last, other.min(last));
    }
    order
}

/// Spearman's correlation of ranks, -1 to 1; equal values share their mean rank. `None` when either has one value only, or they aren't
/// as many.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    // Ranks of n values have this mean, whatever ties there are.
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    let size = (product(&a, &a) * product(&b, &b)).sqrt();
    (size > 0.0).then(|| product(&a, &b) / size)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() as f64 - 1.0) / 2.0;
        tied.iter().for_each(|&at| ranks[at] = rank);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_as_scipy_says() {
        // scipy.stats.spearmanr
        let a = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let b = [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];
        let found = rank_correlation(&a, &b).unwrap();
        assert!((found - 0.198_853_681_209_924_67).abs() < 1e-12, "{found}");
        assert!((rank_correlation(&a, &a).unwrap() - 1.0).abs() < 1e-12);
        let turned = a.map(|x| -x * x * x);
        assert!((rank_correlation(&a, &turned).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(rank_correlation(&a, &[1.0; 8]), None);
        assert_eq!(rank_correlation(&a, &b[1..]), None);
    }

    #[test]
    fn a_shuffle_keeps_every_feature_and_moves_most() {
        for features in [0, 1, 2, 7, 512] {
            for shuffle in 0..SHUFFLES {
                let mut order = shuffled(features, shuffle);
                assert_eq!(order, shuffled(features, shuffle));
                let kept = order.iter().enumerate().filter(|(at, to)| at == *to).count();
                assert!(features < 512 || kept < 10, "{kept} stayed");
                order.sort_unstable();
                assert_eq!(order, (0..features).collect::<Vec<_>>());
            }
        }
        assert_ne!(shuffled(512, 0), shuffled(512, 1));
    }
}
