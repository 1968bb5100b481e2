//! Cells under draws of the patients, and the intervals that follow: percentiles of the bootstrap (Efron and Tibshirani, *An
//! Introduction to the Bootstrap*, 1993, chapter 13) and, for shares, Wilson's interval with the effective number of rows (Korn and
//! Graubard, Survey Methodology 1998;24:193, do so with Clopper and Pearson's).
//!
//! A cell of a replicate has its rows in few groups of bins. Its metrics are taken as if each group's rows stood in one bin, which
//! moves a ranking a little and its spread hardly: so a replicate counts by how far it is from replicate 0, the rows as they are.

use wardround_core::query::{
    Ask, Bins, CALIBRATION_BINS, ListCuts, Query, RESAMPLED_GROUPS, RESAMPLED_NUMBERS,
};
use wardround_core::sum::Sum;

use super::cells::{fractions, whole};
use super::histogram::counts;
use super::interval::{Z, wilson, wilson_of};
use super::registry::Spread;
use super::{CalibrationSums, CellError, Confusion, ScoreCell, ScoreHistogram};
use crate::findings::Interval;

/// Share of draws in which a metric may be undefined; beyond, its interval would be of the others.
const MOST_UNDEFINED: f64 = 0.05;

/// Half of what an interval leaves out.
const TAIL: f64 = 0.025;

/// The cuts of a list into groups of about equally many rows, where bins allow it, and the bin that stands for each group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The first bin of every group but the first, ascending.
    pub firsts: Vec<u16>,
    /// Per group, the bin nearest to the mean of its rows.
    pub means: Vec<usize>,
}

impl Groups {
    /// Groups of a histogram's rows; its bins are at most 65,536.
    pub fn of(histogram: &ScoreHistogram) -> Self {
        let both = histogram.positives().iter().zip(histogram.negatives());
        let rows: Vec<u64> = both.map(|(p, n)| p + n).collect();
        let all: u64 = rows.iter().sum();
        let (mut firsts, mut before, mut group) = (Vec::new(), 0u64, 0u64);
        for (bin, here) in rows.iter().enumerate() {
            // A bin belongs where the middle of its rows lies.
            let at = (2 * before + here) * RESAMPLED_GROUPS as u64 / (2 * all.max(1));
            let at = at.min(RESAMPLED_GROUPS as u64 - 1);
            if at > group && *here > 0 && bin > 0 {
                firsts.push(bin as u16);
                group = at;
            }
            before += here;
        }
        let ends = firsts.iter().map(|&bin| usize::from(bin)).chain([rows.len()]);
        let mut first = 0;
        let means = ends.map(|end| {
            let span = first..end;
            let total: u64 = rows[span.clone()].iter().sum();
            let weighted: u64 = span.clone().map(|bin| bin as u64 * rows[bin]).sum();
            first = end;
            (weighted + total / 2).checked_div(total).map_or(span.start, |mean| mean as usize)
        });
        Self { means: means.collect(), firsts }
    }
}

/// A cell of a replicate.
#[derive(Debug, Clone, PartialEq)]
pub struct ResampledCell {
    /// Its scores, each group's rows in one bin.
    pub scores: ScoreCell,
    /// Its calls.
    pub calls: Confusion,
}

impl ResampledCell {
    /// Adds the rows of another cell.
    ///
    /// # Errors
    /// [`CellError::OtherBins`]; nothing changes then.
    pub fn merge(&mut self, other: &Self) -> Result<(), CellError> {
        self.scores.merge(&other.scores)?;
        self.calls.merge(&other.calls);
        Ok(())
    }
}

/// An answer to [`Ask::Resampled`], to be read cell by cell.
#[derive(Debug, Clone)]
pub struct Resampled<'a> {
    bins: Bins,
    groups: Vec<&'a Groups>,
    shape: [usize; 3],
    positives: &'a [i64],
    negatives: &'a [i64],
    called: &'a [i64],
    brier: Vec<f64>,
    log_loss: Vec<f64>,
    rows: &'a [i64],
    scores: Vec<f64>,
}

impl<'a> Resampled<'a> {
    /// Reads an answer. `groups` are those that the lists' cuts were made of.
    ///
    /// # Errors
    /// [`CellError`]: another query, or another shape.
    pub fn read(query: &Query, sum: &'a Sum, groups: Vec<&'a Groups>) -> Result<Self, CellError> {
        let Ask::Resampled { lists, cuts, split, bins, replicates, .. } = &query.ask else {
            return Err(CellError::OtherQuery { expected: "resampled", got: query.name() });
        };
        let of_list = |(cuts, groups): (&ListCuts, &&Groups)| cuts.groups == groups.firsts;
        if groups.len() != lists.len() || !cuts.iter().zip(&groups).all(of_list) {
            let (expected, got) = (lists.len(), groups.len());
            return Err(CellError::Shape { block: "groups", expected, got });
        }
        let draws = usize::from(replicates[1] - replicates[0]);
        let shape = [lists.len(), draws, query.cells(split)];
        let cells: usize = shape.iter().product();
        let counts = |block, each: usize| whole(query, sum, block, cells * each);
        let values = |block, each: usize| fractions(query, sum, block, cells * each);
        debug_assert_eq!(RESAMPLED_NUMBERS, 2 * RESAMPLED_GROUPS + 4 + 3 * CALIBRATION_BINS);
        Ok(Self {
            bins: *bins,
            shape,
            positives: counts("positives", RESAMPLED_GROUPS)?,
            negatives: counts("negatives", RESAMPLED_GROUPS)?,
            called: counts("called", 2)?,
            brier: values("brier", 1)?,
            log_loss: values("log_loss", 1)?,
            rows: counts("calibration_rows", 2 * CALIBRATION_BINS)?,
            scores: values("calibration_scores", CALIBRATION_BINS)?,
            groups,
        })
    }

    /// Lists, replicates and cells.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// All cells of a replicate of a list.
    ///
    /// # Errors
    /// [`CellError`]: counts below zero, or rows that disagree.
    pub fn cells(&self, list: usize, replicate: usize) -> Result<Vec<ResampledCell>, CellError> {
        let [_, replicates, cells] = self.shape;
        let first = (list * replicates + replicate) * cells;
        (first..first + cells).map(|at| self.cell(at, self.groups[list])).collect()
    }

    fn cell(&self, at: usize, groups: &Groups) -> Result<ResampledCell, CellError> {
        let of = |block, values: &[i64], each: usize| counts(block, &values[at * each..][..each]);
        let positives = of("positives", self.positives, RESAMPLED_GROUPS)?;
        let negatives = of("negatives", self.negatives, RESAMPLED_GROUPS)?;
        let called = of("called", self.called, 2)?;
        let rows = of("calibration_rows", self.rows, 2 * CALIBRATION_BINS)?;
        let mut histogram = ScoreHistogram::empty(self.bins);
        for (group, &bin) in groups.means.iter().enumerate() {
            histogram.add_rows(bin, true, positives[group]);
            histogram.add_rows(bin, false, negatives[group]);
        }
        let [in_negatives, in_positives] = [histogram.negative_rows(), histogram.positive_rows()];
        let calibration = CalibrationSums {
            rows: std::array::from_fn(|bin| [rows[2 * bin], rows[2 * bin + 1]]),
            scores: std::array::from_fn(|bin| self.scores[at * CALIBRATION_BINS + bin]),
            brier: self.brier[at],
            log_loss: self.log_loss[at],
        };
        let (expected, got) = (in_negatives + in_positives, calibration.total_rows());
        let not_called = |side: usize, rows: u64| rows.checked_sub(called[side]);
        let (Some(tn), Some(fn_), true) =
            (not_called(0, in_negatives), not_called(1, in_positives), expected == got)
        else {
            return Err(CellError::RowsDisagree { expected, got });
        };
        let calls = Confusion { tp: called[1], fp: called[0], tn, fn_ };
        Ok(ResampledCell { scores: ScoreCell { histogram, calibration }, calls })
    }
}

/// A metric's values in replicates: of the rows as they are, and under draws; NaN where it is undefined.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    /// Of the rows as they are.
    pub as_is: f64,
    /// Under draws.
    pub draws: Vec<f64>,
}

impl Drawn {
    /// The draws in which it is defined, ascending; none where there are too few of those.
    fn defined(&self) -> Option<Vec<f64>> {
        let mut known: Vec<f64> = self.draws.iter().copied().filter(|x| x.is_finite()).collect();
        let enough = (1.0 - MOST_UNDEFINED) * self.draws.len() as f64;
        if known.len() < 2 || (known.len() as f64) < enough || !self.as_is.is_finite() {
            return None;
        }
        known.sort_by(f64::total_cmp);
        Some(known)
    }

    /// The draws' standard deviation.
    pub fn standard_error(&self) -> Option<f64> {
        let known = self.defined()?;
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let squares: f64 = known.iter().map(|x| (x - mean) * (x - mean)).sum();
        Some(libm::sqrt(squares / (n - 1.0)))
    }

    /// The 95 % interval of an estimate whose metric varies so. `patients` is what a share without any spread rests on.
    pub fn interval(
        &self,
        spread: Spread,
        estimate: f64,
        range: [f64; 2],
        patients: u64,
    ) -> Interval {
        let ends = match spread {
            Spread::Nothing => None,
            Spread::Share => self.standard_error().and_then(|error| {
                let n = estimate * (1.0 - estimate) / (error * error);
                if n.is_finite() && n >= 1.0 {
                    wilson_of(estimate, n)
                } else {
                    wilson(estimate, patients)
                }
                .ok()
            }),
            Spread::Percentiles => self.defined().map(|known| {
                [TAIL, 1.0 - TAIL].map(|share| estimate + quantile(&known, share) - self.as_is)
            }),
            Spread::WithBias => self.defined().map(|known| {
                let squares: f64 = known.iter().map(|x| (x - self.as_is) * (x - self.as_is)).sum();
                let half = Z * libm::sqrt(squares / known.len() as f64);
                [estimate - half, estimate + half]
            }),
        };
        ends.map_or(Interval::NotComputed, |[low, high]| Interval::Between {
            low: low.max(range[0]).min(estimate),
            high: high.min(range[1]).max(estimate),
        })
    }
}

/// A quantile of ascending values, linear between them; scipy's and numpy's default.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    ascending[below] + (at - below as f64) * (ascending[above] - ascending[below])
}
