//! How far a row is from the nearest class: the Mahalanobis distance of Lee, Lee, Lee and Shin (2018, "A simple unified framework for
//! detecting out-of-distribution samples and adversarial attacks", NeurIPS, section 2.1), class means under one covariance.
//!
//! Their covariance is inverted whole. Ours has its largest directions and one variance for the rest (probabilistic principal
//! components: Tipping and Bishop 1999, J. R. Stat. Soc. B 61:611), shrunk a little towards equal variances: with a thousand features of
//! some hundred patients the small directions are noise, whose inverse would drown the others; and a bundle stays small. Columns are
//! standardised first; one that is constant in the training rows has no part. Only the last layer's features are looked at.

use wardround_core::query::{Fill, Frame, Labelling, MOST_DIRECTIONS, Measure};

use crate::closed_form::Sums;
use crate::eigen::{self, Eigen};
use crate::logistic::cholesky::dot;
use crate::study::frame::Standard;

/// Part of each variance that the mean variance is.
const SHRINKAGE: f64 = 0.05;

/// Patients of a class, below which no class has a mean of its own: few patients' mean tells of each.
pub(crate) const LEAST_PATIENTS: u64 = 10;

/// Patients for each direction: more directions than that would lie along single patients.
const PATIENTS_EACH: u64 = 10;

/// A direction whose variance is below this share of the first one's is rounding.
const LEAST_VARIANCE: f64 = 1e-9;

/// A variance is at least this share of a column's, so that classes without any spread have a distance.
const SMALLEST: f64 = 1e-6;

/// Rows whose weights add up to less are none; sums are rounded.
const LEAST_WEIGHT: f64 = 1e-4;

/// Which means a measure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// Each class's.
    ByClass,
    /// That of all rows.
    OfAll,
}

impl Means {
    /// Of classes with so many patients each: where classes exclude each other and none that occurs is rare.
    pub fn of(labelling: Labelling, patients_by_class: &[u64]) -> Self {
        let rare = |patients: &u64| (1..LEAST_PATIENTS).contains(patients);
        match labelling {
            Labelling::Single if !patients_by_class.iter().any(rare) => Self::ByClass,
            _ => Self::OfAll,
        }
    }
}

/// The measure of a training set, in the units of its sums; nothing where no column varies. `patients` are those of the set, about.
pub(crate) fn measure(
    sums: &Sums,
    standard: &Standard,
    means: Means,
    patients: u64,
    fill: Fill,
) -> Option<Measure> {
    let d = sums.features;
    let all = sums.all();
    let n = all[d];
    let inverse: Vec<f64> = standard
        .deviation
        .iter()
        .zip(&standard.constant)
        .map(|(deviation, constant)| if *constant { 0.0 } else { 1.0 / deviation })
        .collect();
    let columns = inverse.iter().filter(|inverse| **inverse != 0.0).count();
    if columns == 0 || n < LEAST_WEIGHT {
        return None;
    }
    let groups: Vec<&[f64]> = match means {
        Means::ByClass => sums.by_class.iter().map(Vec::as_slice).collect(),
        Means::OfAll => vec![&all],
    };
    let groups: Vec<(f64, Vec<f64>)> = groups
        .into_iter()
        .filter(|sum| sum[d] >= LEAST_WEIGHT)
        .map(|sum| (sum[d], sum[..d].iter().map(|value| value / sum[d]).collect()))
        .collect();
    let mut within = vec![0.0; d * d];
    let mut rows = sums.gram.as_slice();
    for i in 0..d {
        let (row, rest) = rows.split_at(d + 1 - i);
        rows = rest;
        for (j, gram) in (i..d).zip(row) {
            let between: f64 = groups.iter().map(|(n, mean)| n * mean[i] * mean[j]).sum();
            let value = (gram - between) / n * inverse[i] * inverse[j];
            within[i * d + j] = value;
            within[j * d + i] = value;
        }
    }
    let trace: f64 = (0..d).map(|j| within[j * d + j]).sum();
    let mean_variance = (trace / columns as f64).max(SMALLEST);
    let most = MOST_DIRECTIONS.min(columns).min((patients / PATIENTS_EACH) as usize);
    let Eigen { values, vectors } = match most {
        0 => Eigen { values: Vec::new(), vectors: Vec::new() },
        most => eigen::largest(d, &within, most),
    };
    let least = LEAST_VARIANCE * values.first().copied().unwrap_or(0.0);
    let count = values.iter().filter(|value| **value > least).count();
    let explained: f64 = values[..count].iter().sum();
    let left = match columns - count {
        0 => mean_variance,
        left => (trace - explained).max(0.0) / left as f64,
    };
    let shrunk = |variance: f64| (1.0 - SHRINKAGE) * variance + SHRINKAGE * mean_variance;
    Some(Measure {
        inverse,
        fill,
        means: groups.into_iter().map(|(_, mean)| mean).collect(),
        directions: vectors.into_iter().take(count).collect(),
        variances: values[..count].iter().map(|value| shrunk(*value)).collect(),
        rest: shrunk(left),
    })
}

/// The same measure of rows in the features' own units.
pub(crate) fn in_own_units(measure: &Measure, frame: &Frame) -> Measure {
    let own = |values: &[f64]| -> Vec<f64> {
        let shift = frame.center.iter().zip(&frame.scale);
        shift.zip(values).map(|((center, scale), value)| center + scale * value).collect()
    };
    Measure {
        inverse: measure.inverse.iter().zip(&frame.scale).map(|(i, scale)| i / scale).collect(),
        fill: match &measure.fill {
            Fill::Complete => Fill::Complete,
            Fill::Values(values) => Fill::Values(own(values)),
        },
        means: measure.means.iter().map(|mean| own(mean)).collect(),
        ..measure.clone()
    }
}

/// A measure, made ready for many rows.
pub(crate) struct Ruler<'a> {
    measure: &'a Measure,
    columns: f64,
    /// The means on standardised columns, and along each direction.
    means: Vec<(Vec<f64>, Vec<f64>)>,
}

impl<'a> Ruler<'a> {
    /// A measure that fits together ([`Measure::problem`]).
    pub fn new(measure: &'a Measure) -> Self {
        let mean = |mean: &Vec<f64>| {
            let mean = standardised(mean, &measure.inverse);
            let along = measure.directions.iter().map(|u| dot(u, &mean)).collect();
            (mean, along)
        };
        let columns = measure.columns() as f64;
        Self { measure, columns, means: measure.means.iter().map(mean).collect() }
    }

    /// The squared distance per column to the nearest mean; about 1 for a row like the training set's. Missing features are filled
    /// already.
    pub fn squared_per_column(&self, row: &[f64]) -> f64 {
        let Measure { inverse, directions, variances, rest, .. } = self.measure;
        let z = standardised(row, inverse);
        let along: Vec<f64> = directions.iter().map(|u| dot(u, &z)).collect();
        let to_mean = |(mean, mean_along): &(Vec<f64>, Vec<f64>)| {
            let whole: f64 = z.iter().zip(mean).map(|(z, mean)| (z - mean) * (z - mean)).sum();
            let (mut inside, mut distance) = (0.0, 0.0);
            for ((a, m), variance) in along.iter().zip(mean_along).zip(variances) {
                let square = (a - m) * (a - m);
                inside += square;
                distance += square / variance;
            }
            distance + (whole - inside).max(0.0) / rest
        };
        self.means.iter().map(to_mean).fold(f64::INFINITY, f64::min) / self.columns
    }
}

fn standardised(row: &[f64], inverse: &[f64]) -> Vec<f64> {
    row.iter().zip(inverse).map(|(value, inverse)| value * inverse).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Made by `tests/golden/make_outliers.py`.
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        n: usize,
        d: usize,
        sites: usize,
        salt: u64,
        directions: usize,
        squared: Vec<f64>,
    }

    type Row = (u8, Vec<f64>);

    fn sums_of(rows: &[&Row], d: usize, classes: usize) -> Sums {
        let x = |row: &Row, j: usize| if j == d { 1.0 } else { row.1[j] };
        let each = (0..=d).flat_map(|i| (i..=d).map(move |j| (i, j)));
        let gram = each.map(|(i, j)| rows.iter().map(|row| x(row, i) * x(row, j)).sum()).collect();
        let sum = |class: usize, j: usize| {
            let of_class = rows.iter().filter(|row| usize::from(row.0) == class);
            of_class.map(|row| x(row, j)).sum()
        };
        let by_class = (0..classes).map(|class| (0..=d).map(|j| sum(class, j)).collect()).collect();
        Sums { features: d, gram, by_class, labelling: Labelling::Single }
    }

    fn standard_of(sums: &Sums) -> Standard {
        let (d, all) = (sums.features, sums.all());
        let mean: Vec<f64> = all[..d].iter().map(|sum| sum / all[d]).collect();
        let square = |j: usize| sums.gram[j * (d + 1) - j * (j + 1) / 2 + j] / all[d];
        let deviation: Vec<f64> = (0..d).map(|j| (square(j) - mean[j] * mean[j]).sqrt()).collect();
        let constant = deviation.iter().map(|s| s.is_nan() || *s < 1e-9).collect();
        Standard { rows: all[d] as u64, mean, deviation, constant }
    }

    #[test]
    fn distances_are_scikit_learns() {
        let golden = include_str!("../tests/golden/outliers.json");
        let Golden { cases } = serde_json::from_str(golden).unwrap();
        for Case { n, d, sites, salt, directions, squared } in cases {
            let rows = crate::golden_rows::rows(n, d, sites, salt);
            let (held, train): (Vec<_>, Vec<_>) =
                rows.iter().enumerate().partition(|(at, _)| at % 4 == 0);
            let train: Vec<&Row> = train.into_iter().map(|(_, row)| row).collect();
            let sums = sums_of(&train, d, 2);
            let standard = standard_of(&sums);
            let patients = (directions as u64) * PATIENTS_EACH + 5;
            let found =
                measure(&sums, &standard, Means::ByClass, patients, Fill::Complete).unwrap();
            assert_eq!((found.directions.len(), found.problem(d)), (directions, None));
            let frame = Frame { center: vec![-2.0; d], scale: vec![0.25; d] };
            let own = in_own_units(&found, &frame);
            assert_eq!(held.len(), squared.len());
            for ((_, (_, x)), expected) in held.into_iter().zip(squared) {
                let squared = Ruler::new(&found).squared_per_column(x);
                assert!((squared - expected).abs() < 1e-7 * expected, "{squared} {expected}");
                // What a frame shows of a row is measured the same in the row's own units.
                let out: Vec<f64> = x.iter().map(|x| -2.0 + 0.25 * x).collect();
                let squared = Ruler::new(&own).squared_per_column(&out);
                assert!((squared - expected).abs() < 1e-7 * expected, "{squared} {expected}");
            }
        }
    }

    #[test]
    fn a_column_without_spread_has_no_part() {
        let rows: Vec<Row> =
            (0..40).map(|i| (u8::from(i % 2 == 0), vec![f64::from(i % 7), 3.0])).collect();
        let sums = sums_of(&rows.iter().collect::<Vec<_>>(), 2, 2);
        let standard = standard_of(&sums);
        let found = measure(&sums, &standard, Means::ByClass, 400, Fill::Complete).unwrap();
        assert_eq!((found.columns(), found.directions.len(), found.problem(2)), (1, 1, None));
        let ruler = Ruler::new(&found);
        assert_eq!(ruler.squared_per_column(&[2.0, 3.0]), ruler.squared_per_column(&[2.0, 900.0]));
        let none = Standard { constant: vec![true; 2], ..standard };
        assert!(measure(&sums, &none, Means::OfAll, 400, Fill::Complete).is_none());
    }

    #[test]
    fn few_patients_of_a_class_have_no_mean_of_their_own() {
        assert_eq!(Means::of(Labelling::Single, &[10, 400, 0]), Means::ByClass);
        assert_eq!(Means::of(Labelling::Single, &[9, 400]), Means::OfAll);
        assert_eq!(Means::of(Labelling::Multi, &[100, 400]), Means::OfAll);
    }
}
