//! Reads the sites' summed answers into cells: one histogram with its calibration sums, or one set of
//! placement sums, per list and cell of the query's split.
//!
//! Cell `c` of list `l` is at `l * cells + c`, as the query orders its blocks.

use wardround_core::query::{Ask, CALIBRATION_BINS, Query};
use wardround_core::sum::Sum;

use super::histogram::counts;
use super::{CalibrationSums, CellError, PlacementSums, ScoreHistogram};

/// The scores of one list and cell.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreCell {
    /// By logit and class.
    pub histogram: ScoreHistogram,
    /// By probability.
    pub calibration: CalibrationSums,
}

impl ScoreCell {
    /// Adds the rows of another cell.
    ///
    /// # Errors
    /// [`CellError::OtherBins`]; nothing changes then.
    pub fn merge(&mut self, other: &Self) -> Result<(), CellError> {
        self.histogram.merge(&other.histogram)?;
        self.calibration.merge(&other.calibration);
        Ok(())
    }

    /// The rows of several cells in one.
    ///
    /// # Errors
    /// [`CellError::NoCells`] or [`CellError::OtherBins`].
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Result<Self, CellError> {
        let mut all = all.into_iter();
        let mut total = all.next().ok_or(CellError::NoCells)?.clone();
        all.try_for_each(|cell| total.merge(cell))?;
        Ok(total)
    }
}

/// All cells of an answer to [`Ask::Scores`].
///
/// # Errors
/// [`CellError`]: another query, another shape, counts below zero, or rows that disagree.
pub fn score_cells(query: &Query, sum: &Sum) -> Result<Vec<ScoreCell>, CellError> {
    let Ask::Scores { lists, split, bins, .. } = &query.ask else {
        return Err(CellError::OtherQuery { expected: "scores", got: query.name() });
    };
    let (cells, width) = (lists.len() * query.cells(split), bins.count as usize);
    let positives = whole(query, sum, "positives", cells * width)?;
    let negatives = whole(query, sum, "negatives", cells * width)?;
    let brier = fractions(query, sum, "brier", cells)?;
    let log_loss = fractions(query, sum, "log_loss", cells)?;
    let rows = whole(query, sum, "calibration_rows", cells * CALIBRATION_BINS * 2)?;
    let scores = fractions(query, sum, "calibration_scores", cells * CALIBRATION_BINS)?;
    (0..cells)
        .map(|cell| {
            let at = cell * width..(cell + 1) * width;
            let histogram =
                ScoreHistogram::from_blocks(*bins, &positives[at.clone()], &negatives[at])?;
            let first = cell * CALIBRATION_BINS;
            let rows =
                counts("calibration_rows", &rows[2 * first..2 * (first + CALIBRATION_BINS)])?;
            let calibration = CalibrationSums {
                rows: std::array::from_fn(|bin| [rows[2 * bin], rows[2 * bin + 1]]),
                scores: std::array::from_fn(|bin| scores[first + bin]),
                brier: brier[cell],
                log_loss: log_loss[cell],
            };
            let expected = histogram.positive_rows() + histogram.negative_rows();
            let got = calibration.total_rows();
            if expected != got {
                return Err(CellError::RowsDisagree { expected, got });
            }
            Ok(ScoreCell { histogram, calibration })
        })
        .collect()
}

/// All cells of an answer to [`Ask::Placements`].
///
/// # Errors
/// [`CellError`]: another query, another shape, or counts below zero.
pub fn placement_cells(query: &Query, sum: &Sum) -> Result<Vec<PlacementSums>, CellError> {
    let Ask::Placements { lists, split, .. } = &query.ask else {
        return Err(CellError::OtherQuery { expected: "placements", got: query.name() });
    };
    let cells = lists.len() * query.cells(split);
    let patients = counts("patients", whole(query, sum, "patients", cells * 2)?)?;
    let s10 = fractions(query, sum, "s10", cells)?;
    let s01 = fractions(query, sum, "s01", cells)?;
    let s11 = fractions(query, sum, "s11", cells)?;
    let read = |cell: usize| PlacementSums {
        with_positive: patients[2 * cell],
        with_negative: patients[2 * cell + 1],
        s10: s10[cell],
        s01: s01[cell],
        s11: s11[cell],
    };
    Ok((0..cells).map(read).collect())
}

fn whole<'a>(
    query: &Query,
    sum: &'a Sum,
    block: &'static str,
    expected: usize,
) -> Result<&'a [i64], CellError> {
    let values = sum.counts(query, block).unwrap_or_default();
    if values.len() == expected {
        return Ok(values);
    }
    Err(CellError::Shape { block, expected, got: values.len() })
}

fn fractions(
    query: &Query,
    sum: &Sum,
    block: &'static str,
    expected: usize,
) -> Result<Vec<f64>, CellError> {
    let values = sum.values(query, block).unwrap_or_default();
    if values.len() == expected {
        return Ok(values);
    }
    Err(CellError::Shape { block, expected, got: values.len() })
}
