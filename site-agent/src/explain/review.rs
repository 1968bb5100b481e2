//! Which rows of a labelled cohort are worth a doctor's look.

use wardround_learn::metrics::Confusion;

/// A row with its label and what a model says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The row, in whatever order the caller has.
    pub row: usize,
    /// Whether its label is the class.
    pub is_class: bool,
    /// The probability of the class.
    pub probability: f64,
    /// How far it is from the training rows, if it is an outlier among them.
    pub outlier: Option<f64>,
}

/// Rows by what is remarkable about them, each list with the most remarkable first. A row may be in several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lists {
    /// Called the class and aren't, the most confident first.
    pub false_positives: Vec<usize>,
    /// Are the class and aren't called it, the most confident first.
    pub false_negatives: Vec<usize>,
    /// Right or wrong, the closest to the threshold first.
    pub near: Vec<usize>,
    /// Rightly called the class, the most confident first.
    pub true_positives: Vec<usize>,
    /// Rightly not called the class, the most confident first.
    pub true_negatives: Vec<usize>,
    /// Unlike the training rows, the farthest first.
    pub outliers: Vec<usize>,
}

/// Sorts rows into lists of at most `limit`; from `threshold` on a row is called the class.
pub fn sort(cases: &[Case], threshold: f64, limit: usize) -> Lists {
    let of = |is_class: bool, is_called: bool, key: &dyn Fn(f64) -> f64| {
        let chosen = cases
            .iter()
            .filter(|case| case.is_class == is_class && called(case, threshold) == is_called);
        ordered(chosen, limit, key)
    };
    let (highest, lowest) = (|p: f64| -p, |p: f64| p);
    let outlier = |case: &Case| Some((case.row, case.outlier?));
    let mut outliers: Vec<(usize, f64)> = cases.iter().filter_map(outlier).collect();
    outliers.sort_by(|a, b| b.1.total_cmp(&a.1));
    Lists {
        false_positives: of(false, true, &highest),
        false_negatives: of(true, false, &lowest),
        near: ordered(cases.iter(), limit, &|p| (p - threshold).abs()),
        true_positives: of(true, true, &highest),
        true_negatives: of(false, false, &lowest),
        outliers: outliers.into_iter().take(limit).map(|(row, _)| row).collect(),
    }
}

/// Counts rows.
pub fn confusion<'a>(cases: impl IntoIterator<Item = &'a Case>, threshold: f64) -> Confusion {
    let mut counts = Confusion::default();
    for case in cases {
        *match (case.is_class, called(case, threshold)) {
            (true, true) => &mut counts.tp,
            (false, true) => &mut counts.fp,
            (false, false) => &mut counts.tn,
            (true, false) => &mut counts.fn_,
        } += 1;
    }
    counts
}

fn called(case: &Case, threshold: f64) -> bool {
    case.probability >= threshold
}

/// Rows by ascending key, then in the caller's order.
fn ordered<'a>(
    cases: impl Iterator<Item = &'a Case>,
    limit: usize,
    key: &dyn Fn(f64) -> f64,
) -> Vec<usize> {
    let mut cases: Vec<&Case> = cases.collect();
    cases.sort_by(|a, b| key(a.probability).total_cmp(&key(b.probability)));
    cases.into_iter().take(limit).map(|case| case.row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<Case> {
        let labelled = [
            (true, 0.95),
            (true, 0.6),
            (true, 0.59),
            (true, 0.1),
            (false, 0.99),
            (false, 0.7),
            (false, 0.05),
            (false, 0.05),
            (false, 0.4),
        ];
        let case = |(row, (is_class, probability))| {
            let outlier: Option<f64> = [(1, 3.0), (3, 9.0), (4, 4.0)]
                .into_iter()
                .find_map(|(at, distance)| (at == row).then_some(distance));
            Case { row, is_class, probability, outlier }
        };
        labelled.into_iter().enumerate().map(case).collect()
    }

    #[test]
    fn the_most_remarkable_come_first() {
        let lists = sort(&cases(), 0.6, 2);
        let expected = Lists {
            false_positives: vec![4, 5],
            false_negatives: vec![3, 2],
            near: vec![1, 2],
            // At the threshold is called.
            true_positives: vec![0, 1],
            // Equal ones stay in their order, and the third is too many.
            true_negatives: vec![6, 7],
            outliers: vec![3, 4],
        };
        assert_eq!(lists, expected);
        assert_eq!(sort(&cases(), 0.6, 0), Lists::default());
        assert_eq!(sort(&[], 0.6, 5), Lists::default());
    }

    #[test]
    fn counts_are_those_of_the_threshold() {
        let counts = confusion(&cases(), 0.6);
        assert_eq!(counts, Confusion { tp: 2, fp: 2, tn: 3, fn_: 2 });
        assert_eq!((counts.sensitivity(), counts.specificity()), (Ok(0.5), Ok(0.6)));
    }
}
