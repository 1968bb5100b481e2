//! The confusion matrix at a threshold and its rates.
//!
//! Rates of rows, not of patients. None of them says how well scores rank or how true probabilities
//! are; predictive values and accuracy hold for these rows' prevalence only.

use serde::Serialize;

use super::histogram::same_bins;
use super::{CellError, ScoreHistogram, Threshold, Undefined};

/// How many rows are called what, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Confusion {
    /// Positives called positive.
    #[serde(rename = "true_positives")]
    pub tp: u64,
    /// Negatives called positive.
    #[serde(rename = "false_positives")]
    pub fp: u64,
    /// Negatives called negative.
    #[serde(rename = "true_negatives")]
    pub tn: u64,
    /// Positives called negative.
    #[serde(rename = "false_negatives")]
    pub fn_: u64,
}

impl Confusion {
    /// Of a histogram's rows, cut at a threshold.
    ///
    /// # Errors
    /// [`CellError::OtherBins`] when the threshold is one of other bins.
    pub fn at(histogram: &ScoreHistogram, threshold: &Threshold) -> Result<Self, CellError> {
        same_bins(histogram.bins(), threshold.bins())?;
        let (missed, hit) = histogram.positives().split_at(threshold.bin());
        let (passed, alarmed) = histogram.negatives().split_at(threshold.bin());
        let count = |bins: &[u64]| bins.iter().sum();
        Ok(Self { tp: count(hit), fp: count(alarmed), tn: count(passed), fn_: count(missed) })
    }

    /// Adds the rows of another matrix, called at a threshold of its own.
    pub fn merge(&mut self, other: &Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.tn += other.tn;
        self.fn_ += other.fn_;
    }

    /// `tp / (tp + fn)`: the share of positives called positive (recall, true positive rate).
    ///
    /// # Errors
    /// [`Undefined::NoPositives`].
    pub fn sensitivity(&self) -> Result<f64, Undefined> {
        share(self.tp, self.tp + self.fn_, Undefined::NoPositives)
    }

    /// `tn / (tn + fp)`: the share of negatives called negative (true negative rate).
    ///
    /// # Errors
    /// [`Undefined::NoNegatives`].
    pub fn specificity(&self) -> Result<f64, Undefined> {
        share(self.tn, self.tn + self.fp, Undefined::NoNegatives)
    }

    /// `tp / (tp + fp)`: the share of positives among those called positive (precision).
    ///
    /// # Errors
    /// [`Undefined::NoneCalledPositive`], where scikit-learn's `precision_score` warns and says 0.
    pub fn ppv(&self) -> Result<f64, Undefined> {
        share(self.tp, self.tp + self.fp, Undefined::NoneCalledPositive)
    }

    /// `tn / (tn + fn)`: the share of negatives among those called negative.
    ///
    /// # Errors
    /// [`Undefined::NoneCalledNegative`].
    pub fn npv(&self) -> Result<f64, Undefined> {
        share(self.tn, self.tn + self.fn_, Undefined::NoneCalledNegative)
    }

    /// `(tp + tn) / n`: the share called rightly.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn accuracy(&self) -> Result<f64, Undefined> {
        share(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn_, Undefined::NoRows)
    }

    /// Mean of sensitivity and specificity; 0.5 for calls that know nothing.
    ///
    /// # Errors
    /// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; scikit-learn's
    /// `balanced_accuracy_score` averages over the classes that occur.
    pub fn balanced_accuracy(&self) -> Result<f64, Undefined> {
        Ok((self.sensitivity()? + self.specificity()?) / 2.0)
    }

    /// `2 tp / (2 tp + fp + fn)`: harmonic mean of sensitivity and positive predictive value.
    ///
    /// # Errors
    /// [`Undefined::NoPositives`] when there are no positives and none is called so; scikit-learn's
    /// `f1_score` warns and says 0.
    pub fn f1(&self) -> Result<f64, Undefined> {
        share(2 * self.tp, 2 * self.tp + self.fp + self.fn_, Undefined::NoPositives)
    }

    /// Matthews' correlation of labels and calls (1975): `(tp tn - fp fn)` by the root of the product of both
    /// classes' and both calls' rows; in [-1, 1], 0 for calls that know nothing.
    ///
    /// # Errors
    /// What is missing of the two classes and the two calls; scikit-learn's `matthews_corrcoef` says 0.
    pub fn matthews(&self) -> Result<f64, Undefined> {
        self.all_sides()?;
        let [tp, fp, tn, fn_] = self.as_f64();
        // Root by root: the product of four counts may be beyond what a double holds exactly.
        let roots = (tp + fn_).sqrt() * (tn + fp).sqrt() * (tp + fp).sqrt() * (tn + fn_).sqrt();
        Ok(((tp * tn - fp * fn_) / roots).clamp(-1.0, 1.0))
    }

    /// Cohen's kappa of labels and calls (1960): agreement beyond chance as a share of all there could be; in
    /// [-1, 1], 0 for calls that know nothing. It depends on prevalence.
    ///
    /// # Errors
    /// [`Undefined::NoRows`]; [`Undefined::NoNegatives`] or [`Undefined::NoPositives`] when all rows are of one
    /// class and called so, where chance can't disagree.
    pub fn kappa(&self) -> Result<f64, Undefined> {
        self.accuracy()?;
        let [tp, fp, tn, fn_] = self.as_f64();
        let all = tp + fp + tn + fn_;
        let by_chance = ((tp + fn_) * (tp + fp) + (tn + fp) * (tn + fn_)) / (all * all);
        if self.tp + self.fn_ + self.fp == 0 {
            return Err(Undefined::NoPositives);
        }
        if self.tn + self.fp + self.fn_ == 0 {
            return Err(Undefined::NoNegatives);
        }
        Ok((((tp + tn) / all - by_chance) / (1.0 - by_chance)).clamp(-1.0, 1.0))
    }

    /// How much more often a row that is called positive is so than any row: the positive predictive value by
    /// the prevalence; 1 for calls that know nothing, at most one by the prevalence.
    ///
    /// # Errors
    /// [`Undefined::NoneCalledPositive`], [`Undefined::NoPositives`].
    pub fn lift(&self) -> Result<f64, Undefined> {
        let [tp, fp, tn, fn_] = self.as_f64();
        self.sensitivity()?;
        Ok(self.ppv()? / ((tp + fn_) / (tp + fp + tn + fn_)))
    }

    /// Share of rows that are called positive: what fairlearn calls the selection rate.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn selection_rate(&self) -> Result<f64, Undefined> {
        share(self.tp + self.fp, self.tp + self.fp + self.tn + self.fn_, Undefined::NoRows)
    }

    /// Rows of both classes and of both calls.
    fn all_sides(&self) -> Result<(), Undefined> {
        self.sensitivity().and(self.specificity()).and(self.ppv()).and(self.npv()).map(|_| ())
    }

    fn as_f64(&self) -> [f64; 4] {
        [self.tp, self.fp, self.tn, self.fn_].map(|count| count as f64)
    }
}

fn share(part: u64, whole: u64, empty: Undefined) -> Result<f64, Undefined> {
    if whole == 0 { Err(empty) } else { Ok(part as f64 / whole as f64) }
}

#[cfg(test)]
mod tests {
    use wardround_core::query::Bins;

    use super::*;
    use crate::metrics::threshold::youden;

    #[test]
    fn undefined_says_why() {
        let none = Confusion::default();
        assert_eq!(none.sensitivity(), Err(Undefined::NoPositives));
        assert_eq!(none.specificity(), Err(Undefined::NoNegatives));
        assert_eq!(none.ppv(), Err(Undefined::NoneCalledPositive));
        assert_eq!(none.npv(), Err(Undefined::NoneCalledNegative));
        assert_eq!(none.accuracy(), Err(Undefined::NoRows));
        assert_eq!(none.f1(), Err(Undefined::NoPositives));
        assert_eq!(none.matthews(), Err(Undefined::NoPositives));
        assert_eq!(none.kappa(), Err(Undefined::NoRows));
        assert_eq!(none.lift(), Err(Undefined::NoPositives));
        assert_eq!(none.selection_rate(), Err(Undefined::NoRows));
        let sure = [Confusion { tp: 3, ..none }, Confusion { tn: 3, ..none }];
        let why = [Undefined::NoNegatives, Undefined::NoPositives];
        assert_eq!(sure.map(|one| one.kappa()), why.map(Err));
        let all_called = Confusion { tp: 3, fp: 2, ..none };
        assert_eq!(all_called.matthews(), Err(Undefined::NoneCalledNegative));
        assert_eq!((all_called.kappa(), all_called.lift()), (Ok(0.0), Ok(1.0)));
        let negatives = Confusion { tn: 3, fp: 1, ..none };
        assert_eq!(negatives.balanced_accuracy(), Err(Undefined::NoPositives));
        assert_eq!(negatives.f1(), Ok(0.0));
    }

    #[test]
    fn a_threshold_cuts_its_own_bins_only() {
        let bins = Bins { half_width: 2.0, count: 4 };
        let h = ScoreHistogram::new(bins, vec![1, 2, 3, 4], vec![8, 7, 6, 5]).unwrap();
        let threshold = Threshold::nearest(bins, 0.5).unwrap();
        let cut = Confusion::at(&h, &threshold).unwrap();
        assert_eq!(cut, Confusion { tp: 7, fp: 11, tn: 15, fn_: 3 });
        let finer = Bins { count: 8, ..bins };
        let other = ScoreHistogram::new(finer, vec![1; 8], vec![1; 8]).unwrap();
        assert!(Confusion::at(&h, &youden(&other).unwrap()).is_err());
    }
}
