//! Recalibration from score histograms: maps from a logit's bin to a probability, fitted on some folds' scores and judged on
//! another's, so that no map is judged on scores that fitted it.
//!
//! Platt's map is a logistic regression on the logit (Platt 1999, without its smoothed targets: scikit-learn's `CalibratedClassifierCV`
//! on many rows), temperature scaling the same without a constant (Guo et al. 2017), isotonic regression the monotone map of least
//! squares (pool adjacent violators; Zadrozny and Elkan 2002). Every row's logit is taken to be the middle of its bin.

use super::interval::expit;
use super::recalibration::calibration_line;
use super::{ScoreHistogram, Undefined};

/// How probabilities are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// They stay as they are.
    Nothing,
    /// A slope and a constant on the logit.
    Platt,
    /// A slope on the logit.
    Temperature,
    /// Any rising map.
    Isotonic,
}

impl Method {
    /// Every one, in the order of a report.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Platt, Self::Temperature, Self::Isotonic];

    /// Its name in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Platt => "platt",
            Self::Temperature => "temperature",
            Self::Isotonic => "isotonic",
        }
    }

    /// The probability of each bin, fitted to a histogram.
    ///
    /// # Errors
    /// What is missing of the two classes; [`Undefined::Separated`] where a slope has no bound.
    pub fn fit(self, histogram: &ScoreHistogram) -> Result<Vec<f64>, Undefined> {
        let logits = middles(histogram);
        match self {
            Self::Nothing => Ok(logits.map(expit).collect()),
            Self::Platt => {
                let [intercept, slope] = calibration_line(histogram)?;
                Ok(logits.map(|z| expit(intercept + slope * z)).collect())
            }
            Self::Temperature => {
                let [_, slope] = temperature_line(histogram)?;
                Ok(logits.map(|z| expit(slope * z)).collect())
            }
            Self::Isotonic => isotonic(histogram),
        }
    }
}

/// How far probabilities are from what happens.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Fit {
    /// Mean of `(p - y)^2`.
    pub brier: f64,
    /// Mean of `-ln` of the probability given to what a row is.
    pub log_loss: f64,
    /// Expected calibration error over bins of equal width.
    pub ece: f64,
    /// The same over bins of equal mass.
    pub ece_equal_mass: f64,
}

/// Bins of calibration errors.
const BINS: usize = 15;

/// Judges probabilities by bin on histograms, each with its own.
///
/// # Errors
/// [`Undefined::NoRows`].
pub fn judged(folds: &[(Vec<f64>, &ScoreHistogram)]) -> Result<Fit, Undefined> {
    // Probability, negative and positive rows.
    let mut cells: Vec<(f64, u64, u64)> = Vec::new();
    for (probabilities, histogram) in folds {
        let rows = histogram.negatives().iter().zip(histogram.positives());
        let held = probabilities.iter().zip(rows).filter(|(_, (n, p))| **n + **p > 0);
        cells.extend(held.map(|(p, (negatives, positives))| (*p, *negatives, *positives)));
    }
    let all: u64 = cells.iter().map(|(_, n, p)| n + p).sum();
    if all == 0 {
        return Err(Undefined::NoRows);
    }
    let (mut brier, mut log_loss, mut width) = (0.0, 0.0, [[0.0; 2]; BINS]);
    for &(p, n, y) in &cells {
        let (negatives, positives) = (n as f64, y as f64);
        brier += negatives * p * p + positives * (1.0 - p) * (1.0 - p);
        let p_inside = p.clamp(CLIP, 1.0 - CLIP);
        log_loss -= negatives * libm::log(1.0 - p_inside) + positives * libm::log(p_inside);
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        width[bin][0] += (negatives + positives) * p;
        width[bin][1] += positives;
    }
    let rows = all as f64;
    let gaps = |bins: &[[f64; 2]]| bins.iter().map(|[p, y]| (p - y).abs()).sum::<f64>() / rows;
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut mass, mut before) = ([[0.0; 2]; BINS], 0);
    for alike in cells.chunk_by(|a, b| a.0 == b.0) {
        let rows: u64 = alike.iter().map(|(_, n, y)| n + y).sum();
        // Rows of one probability stay together, where the middle of them lies.
        let bin = ((2 * before + rows) as usize * BINS / (2 * all as usize)).min(BINS - 1);
        mass[bin][0] += rows as f64 * alike[0].0;
        mass[bin][1] += alike.iter().map(|(.., y)| *y as f64).sum::<f64>();
        before += rows;
    }
    Ok(Fit {
        brier: brier / rows,
        log_loss: log_loss / rows,
        ece: gaps(&width),
        ece_equal_mass: gaps(&mass),
    })
}

/// Probabilities nearer to 0 or 1 than this count as this in the log loss.
const CLIP: f64 = 1e-15;

fn middles(histogram: &ScoreHistogram) -> impl Iterator<Item = f64> + use<> {
    let bins = *histogram.bins();
    let half = bins.half_width / f64::from(bins.count);
    (0..bins.count as usize).map(move |bin| bins.lower_edge(bin) + half)
}

/// Constant, which is 0, and slope on the logit of temperature scaling.
///
/// # Errors
/// As [`Method::fit`].
pub fn temperature_line(histogram: &ScoreHistogram) -> Result<[f64; 2], Undefined> {
    Ok([0.0, temperature(histogram)?])
}

/// The slope of largest likelihood without a constant: the likelihood is concave, its derivative falls through 0 once.
fn temperature(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    both_classes(histogram)?;
    let rows: Vec<(f64, f64, f64)> = middles(histogram)
        .zip(histogram.negatives().iter().zip(histogram.positives()))
        .filter(|(_, (n, p))| **n + **p > 0)
        .map(|(z, (n, p))| (z, *n as f64, *p as f64))
        .collect();
    // Where 0 separates the classes, every larger slope is likelier.
    if rows.iter().all(|(z, n, p)| if *z > 0.0 { *n == 0.0 } else { *p == 0.0 }) {
        return Err(Undefined::Separated);
    }
    let derivative = |slope: f64| -> f64 {
        rows.iter().map(|(z, n, p)| z * (p - (n + p) * expit(slope * z))).sum()
    };
    let (mut low, mut high) = (0.0, 1.0);
    if derivative(low) <= 0.0 {
        // Scores that rank the wrong way round, or not at all.
        return Err(Undefined::Separated);
    }
    while derivative(high) > 0.0 {
        high *= 2.0;
        if high > 1e6 {
            return Err(Undefined::Separated);
        }
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return Ok(middle);
        }
        if derivative(middle) > 0.0 { low = middle } else { high = middle }
    }
}

/// Pool adjacent violators over the bins that hold rows; between two of them the map is a straight line, beyond the ends flat, as
/// scikit-learn's. Never nearer to 0 or 1 than half a row of all.
fn isotonic(histogram: &ScoreHistogram) -> Result<Vec<f64>, Undefined> {
    both_classes(histogram)?;
    // First and last bin, positives, rows.
    let mut blocks: Vec<(usize, usize, f64, f64)> = Vec::new();
    let held = histogram.negatives().iter().zip(histogram.positives()).enumerate();
    for (bin, (n, p)) in held.filter(|(_, (n, p))| **n + **p > 0) {
        blocks.push((bin, bin, *p as f64, (n + p) as f64));
        while let [.., before, last] = blocks.as_mut_slice() {
            if before.2 * last.3 < last.2 * before.3 {
                break;
            }
            *before = (before.0, last.1, before.2 + last.2, before.3 + last.3);
            blocks.pop();
        }
    }
    let rows: f64 = blocks.iter().map(|block| block.3).sum();
    let inside = |share: f64| share.clamp(0.5 / rows, 1.0 - 0.5 / rows);
    let ends: Vec<(usize, f64)> = blocks
        .iter()
        .flat_map(|&(first, last, p, n)| [(first, inside(p / n)), (last, inside(p / n))])
        .collect();
    let at = |bin: usize| {
        let next = ends.partition_point(|(end, _)| *end < bin);
        match (next.checked_sub(1).map(|before| ends[before]), ends.get(next)) {
            (Some((from, low)), Some(&(to, high))) => {
                low + (high - low) * (bin - from) as f64 / (to - from) as f64
            }
            (None, Some(&(_, value))) | (Some((_, value)), None) => value,
            (None, None) => f64::NAN,
        }
    };
    Ok((0..histogram.bins().count as usize).map(at).collect())
}

fn both_classes(histogram: &ScoreHistogram) -> Result<(), Undefined> {
    match (histogram.negative_rows(), histogram.positive_rows()) {
        (_, 0) => Err(Undefined::NoPositives),
        (0, _) => Err(Undefined::NoNegatives),
        _ => Ok(()),
    }
}
