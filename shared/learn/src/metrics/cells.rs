//! Reads the sites' summed answers into cells: one histogram with its calibration sums, or one set
//! of placement sums, per list and cell of the query's split.
//!
//! Cell `c` of list `l` is at `l * cells + c`, as the query orders its blocks.

use wardround_core::query::{Ask, Bins, CALIBRATION_BINS, Query, Unfit};
use wardround_core::sum::Sum;

use super::histogram::counts;
use super::{CalibrationSums, CellError, Confusion, PlacementSums, ScoreHistogram};

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
    read_scores(query, sum, lists.len() * query.cells(split), bins)
}

/// A site's own model in one list.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnCell {
    /// Its scores.
    pub scores: ScoreCell,
    /// Rows by label and call.
    pub calls: Confusion,
    /// Its placement sums.
    pub placements: PlacementSums,
    /// Of the difference to the model that it is set beside.
    pub paired: PlacementSums,
}

/// An answer to [`Ask::OwnSite`].
#[derive(Debug, Clone, PartialEq)]
pub struct OwnCells {
    /// Per site, why it has no model of its own; none where it has one.
    pub unfit: Vec<Option<Unfit>>,
    /// Site by site within each list; of a site without a model all are zeros.
    pub lists: Vec<OwnCell>,
}

/// All cells of an answer to [`Ask::OwnSite`].
///
/// # Errors
/// [`CellError`]: another query, another shape, counts below zero, rows that disagree, or a site that neither
/// has a model nor says why.
pub fn own_cells(query: &Query, sum: &Sum) -> Result<OwnCells, CellError> {
    let Ask::OwnSite { lists, bins, .. } = &query.ask else {
        return Err(CellError::OtherQuery { expected: "own site", got: query.name() });
    };
    let sites = query.sites.len();
    let cells = lists.len() * sites;
    let reasons = Unfit::ALL.len();
    let fitted = whole(query, sum, "fitted", sites)?;
    let unfit = whole(query, sum, "unfit", sites * reasons)?;
    let said = |(fitted, unfit): (&i64, &[i64])| match (fitted, unfit.iter().sum::<i64>()) {
        (1, 0) => Ok(None),
        (0, 1) => Ok(Unfit::ALL.into_iter().find(|reason| unfit[reason.index()] == 1)),
        (fitted, unfit) => Err(CellError::Models { got: fitted.saturating_add(unfit) }),
    };
    let unfit =
        fitted.iter().zip(unfit.chunks_exact(reasons)).map(said).collect::<Result<Vec<_>, _>>()?;
    let scores = read_scores(query, sum, cells, bins)?;
    let calls = counts("calls", whole(query, sum, "calls", cells * 4)?)?;
    let patients = counts("patients", whole(query, sum, "patients", cells * 2)?)?;
    let own = read_placements(query, sum, ["s10", "s01", "s11"], &patients)?;
    let names = ["paired_s10", "paired_s01", "paired_s11"];
    let paired = read_placements(query, sum, names, &patients)?;
    let calls = calls.as_chunks::<4>().0;
    let all = scores.into_iter().zip(calls).zip(own.into_iter().zip(paired));
    let lists = all.map(|((scores, calls), (placements, paired))| {
        let [tp, fp, tn, fn_] = *calls;
        OwnCell { scores, calls: Confusion { tp, fp, tn, fn_ }, placements, paired }
    });
    Ok(OwnCells { unfit, lists: lists.collect() })
}

fn read_scores(
    query: &Query,
    sum: &Sum,
    cells: usize,
    bins: &Bins,
) -> Result<Vec<ScoreCell>, CellError> {
    let width = bins.count as usize;
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
    read_placements(query, sum, ["s10", "s01", "s11"], &patients)
}

/// Placement sums of some cells with their patients, with a positive and with a negative row.
fn read_placements(
    query: &Query,
    sum: &Sum,
    [s10, s01, s11]: [&'static str; 3],
    patients: &[u64],
) -> Result<Vec<PlacementSums>, CellError> {
    let cells = patients.len() / 2;
    let s10 = fractions(query, sum, s10, cells)?;
    let s01 = fractions(query, sum, s01, cells)?;
    let s11 = fractions(query, sum, s11, cells)?;
    let read = |cell: usize| PlacementSums {
        with_positive: patients[2 * cell],
        with_negative: patients[2 * cell + 1],
        s10: s10[cell],
        s01: s01[cell],
        s11: s11[cell],
    };
    Ok((0..cells).map(read).collect())
}

/// A block of whole numbers, of the expected length.
pub(super) fn whole<'a>(
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

/// A block of fractions, of the expected length.
pub(super) fn fractions(
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wardround_core::ids::{SiteId, StudyId};
    use wardround_core::query::{
        Column, FoldPlan, FoldSet, Frame, JudgedUnit, Labelling, RowSet, Schema, ScoreList,
        SiteSet, Weighting,
    };
    use wardround_core::seed::Seed;

    use super::*;

    const BINS: Bins = Bins { half_width: 2.0, count: 3 };

    fn query(ask: Ask) -> Query {
        Query {
            study: StudyId::parse("s1").unwrap(),
            sites: ["a", "b"].map(|s| SiteId::parse(s).unwrap()).to_vec(),
            schema: Schema {
                features: 1,
                classes: 2,
                labelling: Labelling::Single,
                weighting: Weighting::Equal,
                judged: JudgedUnit::Row,
                levels: vec![],
            },
            input: 0,
            folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
            ask,
        }
    }

    fn lists() -> Vec<ScoreList> {
        let rows = RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All };
        vec![ScoreList { class: 1, parts: vec![(rows, 0)] }; 2]
    }

    fn scores() -> Query {
        query(Ask::Scores {
            frame: Arc::new(Frame::identity(1)),
            models: vec![],
            lists: lists(),
            split: vec![Column::Site],
            bins: BINS,
            bits: 1,
        })
    }

    /// Every number of the sum says where it stands.
    fn answer(query: &Query) -> Sum {
        let mut sum = Sum::zero(query);
        for block in &mut sum.blocks {
            (0..).zip(block).for_each(|(at, value)| *value = at);
        }
        sum
    }

    /// Calibration rows that agree with the histogram of [`answer`].
    fn agreeing(query: &Query) -> Sum {
        let mut sum = answer(query);
        sum.blocks[4].fill(0);
        for cell in 0..4 {
            let positives: i64 = sum.blocks[0][3 * cell..3 * cell + 3].iter().sum();
            sum.blocks[4][30 * cell + 29] = positives;
            sum.blocks[4][30 * cell + 2] = positives;
        }
        sum
    }

    #[test]
    fn cells_are_read_from_their_places() {
        let q = scores();
        let cells = score_cells(&q, &agreeing(&q)).unwrap();
        assert_eq!(cells.len(), 4);
        assert_eq!(cells[2].histogram.positives(), [6, 7, 8]);
        assert_eq!(cells[2].histogram.negatives(), [6, 7, 8]);
        let calibration = cells[2].calibration;
        assert_eq!((calibration.rows[1], calibration.rows[14]), ([21, 0], [0, 21]));
        assert_eq!((calibration.scores[0], calibration.scores[14]), (15.0, 22.0));
        assert_eq!((calibration.brier, calibration.log_loss), (1.0, 1.0));
    }

    #[test]
    fn placements_are_read_from_their_places() {
        let q = query(Ask::Placements {
            frame: Arc::new(Frame::identity(1)),
            models: vec![],
            lists: lists(),
            split: vec![Column::Site],
            bins: BINS,
            tables: vec![],
            bits: 1,
        });
        let cells = placement_cells(&q, &answer(&q)).unwrap();
        let expected =
            PlacementSums { with_positive: 6, with_negative: 7, s10: 1.5, s01: 1.5, s11: 1.5 };
        assert_eq!((cells.len(), cells[3]), (4, expected));
        let other = score_cells(&q, &answer(&q));
        assert_eq!(other, Err(CellError::OtherQuery { expected: "scores", got: "placements" }));
    }

    #[test]
    fn sums_that_are_no_scores_are_refused() {
        let q = scores();
        let disagreeing = score_cells(&q, &answer(&q)).unwrap_err();
        assert!(matches!(disagreeing, CellError::RowsDisagree { expected: 6, .. }));
        let mut negative = agreeing(&q);
        negative.blocks[1][4] = -1;
        let negative = score_cells(&q, &negative).unwrap_err();
        assert_eq!(negative, CellError::NegativeCount { block: "negatives", got: -1 });
        let mut short = agreeing(&q);
        short.blocks[2].pop();
        let short = score_cells(&q, &short).unwrap_err();
        assert_eq!(short, CellError::Shape { block: "brier", expected: 4, got: 3 });
    }
}
