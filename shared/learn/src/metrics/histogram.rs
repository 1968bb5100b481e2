//! Score histograms: how many positive and negative rows have their score in each bin of the logit.
//!
//! What is computed from one is exact for the *binned* scores;
//! [`crate::metrics::ranking::binning_error`] bounds what binning changes. Logit bins rather than
//! probability bins, since over-confident models crowd their probabilities at 0 and 1.

use wardround_core::query::Bins;

use super::CellError;

/// Counts of positive and negative rows per bin of the logit.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreHistogram {
    bins: Bins,
    positives: Vec<u64>,
    negatives: Vec<u64>,
}

impl ScoreHistogram {
    /// No rows.
    pub fn empty(bins: Bins) -> Self {
        let zeros = vec![0; bins.count as usize];
        Self { bins, positives: zeros.clone(), negatives: zeros }
    }

    /// From counts per bin.
    ///
    /// # Errors
    /// [`CellError::Shape`] unless there is one count per bin and class.
    pub fn new(bins: Bins, positives: Vec<u64>, negatives: Vec<u64>) -> Result<Self, CellError> {
        let expected = bins.count as usize;
        for (block, counts) in [("positives", &positives), ("negatives", &negatives)] {
            if counts.len() != expected {
                return Err(CellError::Shape { block, expected, got: counts.len() });
            }
        }
        Ok(Self { bins, positives, negatives })
    }

    /// From one cell's slices of the blocks `positives` and `negatives` of a sum.
    ///
    /// # Errors
    /// [`CellError::Shape`] or [`CellError::NegativeCount`].
    pub fn from_blocks(
        bins: Bins,
        positives: &[i64],
        negatives: &[i64],
    ) -> Result<Self, CellError> {
        Self::new(bins, counts("positives", positives)?, counts("negatives", negatives)?)
    }

    /// Counts one row. `logit` is finite.
    pub fn add(&mut self, logit: f64, positive: bool) {
        self.add_rows(self.bins.index(logit), positive, 1);
    }

    /// Counts some rows of one bin. `bin` is below the number of bins.
    pub(crate) fn add_rows(&mut self, bin: usize, positive: bool, rows: u64) {
        let counts = if positive { &mut self.positives } else { &mut self.negatives };
        // `Bins::index` is below `count`; a histogram of no bins counts nothing.
        if let Some(count) = counts.get_mut(bin) {
            *count += rows;
        }
    }

    /// Adds the rows of another histogram.
    ///
    /// # Errors
    /// [`CellError::OtherBins`]; nothing changes then.
    pub fn merge(&mut self, other: &Self) -> Result<(), CellError> {
        same_bins(&self.bins, &other.bins)?;
        self.positives.iter_mut().zip(&other.positives).for_each(|(a, b)| *a += b);
        self.negatives.iter_mut().zip(&other.negatives).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// The rows of several histograms in one.
    ///
    /// # Errors
    /// [`CellError::NoCells`] or [`CellError::OtherBins`].
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Result<Self, CellError> {
        let mut all = all.into_iter();
        let mut total = all.next().ok_or(CellError::NoCells)?.clone();
        all.try_for_each(|histogram| total.merge(histogram))?;
        Ok(total)
    }

    /// The bins.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// Positive rows per bin, by ascending logit.
    pub fn positives(&self) -> &[u64] {
        &self.positives
    }

    /// Negative rows per bin, by ascending logit.
    pub fn negatives(&self) -> &[u64] {
        &self.negatives
    }

    /// Number of positive rows.
    pub fn positive_rows(&self) -> u64 {
        self.positives.iter().sum()
    }

    /// Number of negative rows.
    pub fn negative_rows(&self) -> u64 {
        self.negatives.iter().sum()
    }
}

/// A slice of whole numbers as counts.
pub(super) fn counts(block: &'static str, values: &[i64]) -> Result<Vec<u64>, CellError> {
    values
        .iter()
        .map(|&got| u64::try_from(got).map_err(|_| CellError::NegativeCount { block, got }))
        .collect()
}

pub(super) fn same_bins(expected: &Bins, got: &Bins) -> Result<(), CellError> {
    if expected == got {
        return Ok(());
    }
    Err(CellError::OtherBins {
        expected_count: expected.count,
        expected_half_width: expected.half_width,
        count: got.count,
        half_width: got.half_width,
    })
}

/// A histogram of so many bins of width 1.
#[cfg(test)]
pub(super) fn histogram<const N: usize>(
    positives: [u64; N],
    negatives: [u64; N],
) -> ScoreHistogram {
    let bins = Bins { half_width: N as f64 / 2.0, count: N as u32 };
    ScoreHistogram::new(bins, positives.to_vec(), negatives.to_vec()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: Bins = Bins { half_width: 2.0, count: 4 };

    #[test]
    fn rows_fall_into_their_bins() {
        let mut h = ScoreHistogram::empty(BINS);
        for (logit, positive) in [(-9.0, false), (-0.5, true), (0.5, true), (9.0, true)] {
            h.add(logit, positive);
        }
        assert_eq!(h.positives(), [0, 1, 1, 1]);
        assert_eq!(h.negatives(), [1, 0, 0, 0]);
        assert_eq!((h.positive_rows(), h.negative_rows()), (3, 1));
    }

    #[test]
    fn sums_that_are_no_histogram_are_refused() {
        let negative = ScoreHistogram::from_blocks(BINS, &[0, 0, -3, 0], &[0; 4]);
        assert_eq!(negative, Err(CellError::NegativeCount { block: "positives", got: -3 }));
        let short = ScoreHistogram::from_blocks(BINS, &[0; 4], &[0; 3]);
        assert_eq!(short, Err(CellError::Shape { block: "negatives", expected: 4, got: 3 }));
        let mut h = ScoreHistogram::empty(BINS);
        let other = ScoreHistogram::empty(Bins { half_width: 3.0, count: 4 });
        assert!(matches!(h.merge(&other), Err(CellError::OtherBins { half_width: 3.0, .. })));
        assert_eq!(ScoreHistogram::merged([]), Err(CellError::NoCells));
    }
}
