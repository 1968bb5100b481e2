//! Rows whose label may be wrong.
//!
//! Source: confident learning (Northcutt, Jiang, Chuang 2021, section 3.1). A class's threshold is the mean probability of the class over
//! the rows labelled so. A row is suspected when the probability of the class that it isn't labelled reaches that one's threshold, and the
//! label's own probability doesn't reach its own, or is the smaller: the confident joint's cells off the diagonal. Each modelled class is
//! set against all others, as for its counts and lists.
//!
//! The paper takes probabilities out of sample. A bundle that was fitted to these very rows has bent towards their labels: then fewer
//! wrong ones are found, and the page says so.

use serde::Serialize;

use super::Case;

/// Rows whose label may be wrong, and what they are held against.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Suspects {
    /// The rows, the least probable label first.
    #[serde(skip)]
    pub rows: Vec<usize>,
    /// How many there are, also beyond those listed.
    pub count: usize,
    /// Mean probability of the class over rows labelled so; `None` where there are none.
    pub class_threshold: Option<f64>,
    /// Mean probability of not being the class over the others.
    pub others_threshold: Option<f64>,
}

/// Finds them, and lists at most `limit`.
pub fn label_suspects(cases: &[Case], limit: usize) -> Suspects {
    let mean = |is_class: bool| {
        let of_class = || cases.iter().filter(|case| case.is_class == is_class);
        let sum: f64 = of_class().map(|case| of(case, is_class)).sum();
        (of_class().count() > 0).then(|| sum / of_class().count() as f64)
    };
    let (class_threshold, others_threshold) = (mean(true), mean(false));
    let threshold = |is_class: bool| if is_class { class_threshold } else { others_threshold };
    let is_suspect = |case: &&Case| {
        let (own, other) = (of(case, case.is_class), of(case, !case.is_class));
        // Without rows of the other class nobody knows what is usual of it.
        let reached = threshold(!case.is_class).is_some_and(|threshold| other >= threshold);
        let own_reached = threshold(case.is_class).is_some_and(|threshold| own >= threshold);
        reached && (!own_reached || other > own)
    };
    let mut found: Vec<&Case> = cases.iter().filter(is_suspect).collect();
    found.sort_by(|a, b| of(a, a.is_class).total_cmp(&of(b, b.is_class)));
    let count = found.len();
    let rows = found.into_iter().take(limit).map(|case| case.row).collect();
    Suspects { rows, count, class_threshold, others_threshold }
}

/// The probability that a case is of the class, or that it isn't.
fn of(case: &Case, is_class: bool) -> f64 {
    if is_class { case.probability } else { 1.0 - case.probability }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Label, probability, and whether cleanlab suspects it: `make_suspects.py`.
    fn golden() -> Vec<(Case, bool)> {
        let line = |(row, line): (usize, &str)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let probability = fields[1].parse().expect("a probability");
            let case = Case { row, is_class: fields[0] == "1", probability, outlier: None };
            (case, fields[2] == "1")
        };
        include_str!("suspects.tsv").lines().enumerate().map(line).collect()
    }

    #[test]
    fn suspects_are_cleanlabs() {
        let (cases, expected): (Vec<Case>, Vec<bool>) = golden().into_iter().unzip();
        let found = label_suspects(&cases, usize::MAX);
        let mut rows = found.rows.clone();
        rows.sort_unstable();
        let expected: Vec<usize> = (0..cases.len()).filter(|&row| expected[row]).collect();
        assert!(expected.len() > 10, "{}", expected.len());
        assert_eq!((rows, found.count), (expected.clone(), expected.len()));
        // The least probable label first, whatever the limit.
        let own = |row: &usize| of(&cases[*row], cases[*row].is_class);
        assert!(found.rows.is_sorted_by(|a, b| own(a) <= own(b)));
        let few = label_suspects(&cases, 3);
        assert_eq!((&few.rows[..], few.count), (&found.rows[..3], found.count));
    }

    #[test]
    fn one_class_alone_has_no_suspects() {
        let cases: Vec<Case> = (0..4)
            .map(|row| Case { row, is_class: true, probability: 0.1, outlier: None })
            .collect();
        let found = label_suspects(&cases, 10);
        assert_eq!((found.count, found.others_threshold), (0, None));
        assert_eq!(label_suspects(&[], 10), Suspects::default());
    }
}
