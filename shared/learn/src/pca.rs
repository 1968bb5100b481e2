//! Principal components of standardised features (Jolliffe, Principal Component Analysis, 2nd ed.,
//! section 2.3): eigenvectors of the correlation matrix, from a training set's sums. The same as
//! scikit-learn's `PCA` after a `StandardScaler`, but for signs: an entry of largest magnitude is
//! positive. They aren't whitened, so that a penalty weighs them as it weighs features.

use crate::closed_form::Sums;
use crate::eigen::{self, Eigen};
use crate::logistic::basis::Directions;

/// A component whose variance is below this share of the first one's is rounding.
const LEAST_VARIANCE: f64 = 1e-9;

/// The first `most` components, or all where there are fewer, as directions in the units of the sums.
/// `scale` is the deviation of each column, `constant` says which columns have none: those have no part.
pub(crate) fn components(sums: &Sums, scale: &[f64], constant: &[bool], most: usize) -> Directions {
    let d = sums.features;
    let total = sums.all();
    let n = total[d];
    let mean: Vec<f64> = total[..d].iter().map(|sum| sum / n).collect();
    let mut matrix = vec![0.0; d * d];
    let mut rows = sums.gram.as_slice();
    for i in 0..d {
        let (row, rest) = rows.split_at(d + 1 - i);
        rows = rest;
        for (j, gram) in (i..d).zip(row) {
            if !constant[i] && !constant[j] {
                let value = (gram / n - mean[i] * mean[j]) / (scale[i] * scale[j]);
                matrix[i * d + j] = value;
                matrix[j * d + i] = value;
            }
        }
    }
    let Eigen { values, vectors } = eigen::largest(d, &matrix, most);
    let least = LEAST_VARIANCE * values.first().copied().unwrap_or(0.0);
    // Of columns without any spread one is left, so that there is a model.
    let count = values.iter().filter(|value| **value > least).count().max(1);
    let entry = |j: usize| vectors[..count].iter().map(move |vector| (j, vector));
    Directions {
        count,
        by_feature: (0..d).flat_map(entry).map(|(j, vector)| vector[j] / scale[j]).collect(),
        variances: values[..count].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use wardround_core::query::Labelling;

    use super::*;

    /// Made by `tests/golden/make_reduced.py`.
    #[derive(Deserialize)]
    struct Golden {
        rows: Made,
        components: Vec<Vec<f64>>,
        variances: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Made {
        n: usize,
        d: usize,
        sites: usize,
        salt: u64,
    }

    #[test]
    fn components_are_scikit_learns() {
        let golden = include_str!("../tests/golden/reduced.json");
        let Golden { rows: made, components: expected, variances } =
            serde_json::from_str(golden).unwrap();
        let Made { n, d, sites, salt } = made;
        let rows = crate::golden_rows::features(n, d, sites, salt);
        let mut sums = Sums {
            features: d,
            gram: Vec::new(),
            by_class: vec![vec![0.0; d + 1]],
            labelling: Labelling::Single,
        };
        let x = |row: &Vec<f64>, j: usize| if j == d { 1.0 } else { row[j] };
        for i in 0..=d {
            for j in i..=d {
                sums.gram.push(rows.iter().map(|row| x(row, i) * x(row, j)).sum());
            }
            sums.by_class[0][i] = rows.iter().map(|row| x(row, i)).sum();
        }
        let count = rows.len() as f64;
        let scale: Vec<f64> = (0..d)
            .map(|j| {
                let mean = sums.by_class[0][j] / count;
                let square = |row: &Vec<f64>| (row[j] - mean) * (row[j] - mean);
                (rows.iter().map(square).sum::<f64>() / count).sqrt()
            })
            .collect();
        let found = components(&sums, &scale, &vec![false; d], 5);
        assert_eq!(found.count, 5);
        let of = |c: usize, j: usize| found.by_feature[j * 5 + c] * scale[j];
        for (c, expected) in variances.iter().enumerate() {
            assert!((found.variances[c] - expected).abs() < 1e-9);
        }
        for i in 0..d {
            for j in 0..d {
                let own: f64 = (0..5).map(|c| of(c, i) * of(c, j)).sum();
                let theirs: f64 = expected.iter().map(|v| v[i] * v[j]).sum();
                assert!((own - theirs).abs() < 1e-6, "projector at {i}, {j}: {own} {theirs}");
            }
        }
        for (c, expected) in expected.iter().enumerate() {
            let sign = (0..d).map(|j| of(c, j) * expected[j]).sum::<f64>().signum();
            for (j, theirs) in expected.iter().enumerate() {
                assert!((of(c, j) - sign * theirs).abs() < 1e-6);
            }
            let most =
                (0..d).fold(0.0f64, |m, j| if of(c, j).abs() > m.abs() { of(c, j) } else { m });
            assert!(most > 0.0);
        }
    }
}
