//! How much each column gained in the splits of trees: the importance of columns that comes with the trees.
//!
//! A split gains what it adds to the score `G^2 / (H + l2)` of its rows, with sums of gradients `G` and of Hessians
//! `H` (Chen and Guestrin, "XGBoost", 2016). Where leaves hold shares, that is half the weighted decrease of the
//! Gini impurity (Breiman and others, "Classification and regression trees", 1984). Sums of gradients are kept with
//! a tree's splits, so a tree that grows by a record has the same gains.

use wardround_core::query::TreeOutput;

/// What one split gained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gain {
    /// The column that it splits by.
    pub column: u32,
    /// What it adds to the score of the rows, above 0.
    pub gain: f64,
}

/// Each column's share of the gains of a model's trees; shares sum to 1, or are all 0 where no tree splits. Trees of
/// a mean weigh the same (scikit-learn's `feature_importances_`), trees of a sum weigh as they gain (XGBoost's
/// `total_gain`).
pub(crate) fn shares<'a>(
    output: TreeOutput,
    columns: usize,
    trees: impl IntoIterator<Item = &'a Vec<Gain>>,
) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for gains in trees {
        let all: f64 = gains.iter().map(|one| one.gain).sum();
        let scale = match output {
            TreeOutput::Mean if all > 0.0 => all,
            TreeOutput::Mean | TreeOutput::Sum => 1.0,
        };
        for Gain { column, gain } in gains {
            sums[*column as usize] += gain / scale;
        }
    }
    let all: f64 = sums.iter().sum();
    if all > 0.0 {
        sums.iter_mut().for_each(|sum| *sum /= all);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_a_mean_weigh_the_same_and_trees_of_a_sum_as_they_gain() {
        let of = |column, gain| Gain { column, gain };
        let trees = [vec![of(0, 3.0), of(1, 1.0)], vec![], vec![of(1, 0.5), of(1, 0.5)]];
        assert_eq!(shares(TreeOutput::Mean, 3, &trees), [0.375, 0.625, 0.0]);
        assert_eq!(shares(TreeOutput::Sum, 3, &trees), [0.6, 0.4, 0.0]);
        assert_eq!(shares(TreeOutput::Mean, 2, &trees[1..2]), [0.0, 0.0]);
    }
}
