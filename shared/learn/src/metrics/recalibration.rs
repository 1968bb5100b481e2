//! Calibration as a straight line: the slope and intercept of a logistic regression of the label on the
//! model's logit (Cox 1958; Van Calster et al. 2019, BMC Medicine 17:230), from a score histogram.
//!
//! Slope 1 and intercept 0 are a calibrated model. A slope below 1 is one whose probabilities are too extreme,
//! as those of an overfitted model on new patients. Each row's logit is taken to be the middle of its bin,
//! which is off by at most half a bin's width; the outer bins also hold what lies beyond.

use super::interval::expit;
use super::{ScoreHistogram, Undefined};

/// Newton steps at most; a handful is usual.
const MOST_STEPS: u32 = 100;

/// A step shorter than this ends the search.
const SHORTEST: f64 = 1e-13;

/// Rounding of a log likelihood, as a share of it.
const ROUNDING: f64 = 1e-12;

/// Halvings of a step that doesn't make the likelihood larger.
const HALVINGS: u32 = 60;

/// Intercept and slope of the label's logit along the score's.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; [`Undefined::Separated`] when a threshold
/// separates the classes, where the slope has no bound.
pub fn calibration_line(histogram: &ScoreHistogram) -> Result<[f64; 2], Undefined> {
    let points = points(histogram)?;
    let ends = |class: usize| {
        let mut bins = points.iter().enumerate().filter(|(_, p)| p.rows[class] > 0.0);
        let first = bins.next().map_or(0, |(at, _)| at);
        [first, bins.next_back().map_or(first, |(at, _)| at)]
    };
    let ([lowest_negative, highest_negative], [lowest, highest]) = (ends(0), ends(1));
    if highest_negative <= lowest || highest <= lowest_negative {
        return Err(Undefined::Separated);
    }
    let mut line = [0.0, 1.0];
    let mut likelihood = log_likelihood(&points, line);
    for _ in 0..MOST_STEPS {
        let Some(step) = newton_step(&points, line) else { return Err(Undefined::Separated) };
        let mut share = 1.0;
        let mut next = line;
        for _ in 0..HALVINGS {
            next = [line[0] + share * step[0], line[1] + share * step[1]];
            // Near the optimum steps change it by less than it is rounded.
            if log_likelihood(&points, next) >= likelihood - ROUNDING * likelihood.abs() {
                break;
            }
            share /= 2.0;
        }
        let moved = (next[0] - line[0]).abs().max((next[1] - line[1]).abs());
        line = next;
        likelihood = log_likelihood(&points, line);
        if moved <= SHORTEST * (1.0 + line[0].abs().max(line[1].abs())) {
            break;
        }
    }
    Ok(line)
}

/// Calibration in the large: what must be added to all logits so that as many positive rows are expected as
/// there are. Above 0 the model's probabilities are too low on the whole.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn calibration_in_the_large(histogram: &ScoreHistogram) -> Result<f64, Undefined> {
    let points = points(histogram)?;
    let positives: f64 = points.iter().map(|point| point.rows[1]).sum();
    let expected = |shift: f64| -> f64 {
        points.iter().map(|p| (p.rows[0] + p.rows[1]) * expit(p.logit + shift)).sum()
    };
    // What is expected grows with the shift, from none to all rows.
    let (mut low, mut high) = (-1.0, 1.0);
    while expected(low) > positives {
        low *= 2.0;
    }
    while expected(high) < positives {
        high *= 2.0;
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return Ok(middle);
        }
        if expected(middle) < positives { low = middle } else { high = middle }
    }
}

/// The rows of a bin.
struct Point {
    logit: f64,
    /// Negative, positive rows.
    rows: [f64; 2],
}

fn points(histogram: &ScoreHistogram) -> Result<Vec<Point>, Undefined> {
    if histogram.positive_rows() == 0 {
        return Err(Undefined::NoPositives);
    }
    if histogram.negative_rows() == 0 {
        return Err(Undefined::NoNegatives);
    }
    let bins = histogram.bins();
    let half_a_bin = bins.half_width / f64::from(bins.count);
    let both = histogram.negatives().iter().zip(histogram.positives()).enumerate();
    let some = both.filter(|(_, (n, p))| **n + **p > 0);
    Ok(some
        .map(|(bin, (&n, &p))| Point {
            logit: bins.lower_edge(bin) + half_a_bin,
            rows: [n as f64, p as f64],
        })
        .collect())
}

fn log_likelihood(points: &[Point], [intercept, slope]: [f64; 2]) -> f64 {
    let of_point = |point: &Point| {
        let score = intercept + slope * point.logit;
        // ln(1 + e^score) without overflow.
        let softplus = score.max(0.0) + libm::log1p(libm::exp(-score.abs()));
        point.rows[1] * score - (point.rows[0] + point.rows[1]) * softplus
    };
    points.iter().map(of_point).sum()
}

/// `H^-1 g`; nothing where the curvature vanishes.
fn newton_step(points: &[Point], [intercept, slope]: [f64; 2]) -> Option<[f64; 2]> {
    let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
    for Point { logit, rows } in points {
        let all = rows[0] + rows[1];
        let p = expit(intercept + slope * logit);
        let (off, curvature) = (rows[1] - all * p, all * p * (1.0 - p));
        g[0] += off;
        g[1] += off * logit;
        h[0] += curvature;
        h[1] += curvature * logit;
        h[2] += curvature * logit * logit;
    }
    let determinant = h[0] * h[2] - h[1] * h[1];
    let step =
        [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
    (determinant > 0.0 && step.iter().all(|part| part.is_finite())).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::histogram;

    #[test]
    fn undefined_says_why() {
        let both = |h: &ScoreHistogram| {
            (calibration_line(h).unwrap_err(), calibration_in_the_large(h).unwrap_err())
        };
        assert_eq!(both(&histogram([0; 4], [1; 4])).0, Undefined::NoPositives);
        assert_eq!(both(&histogram([1; 4], [0; 4])).1, Undefined::NoNegatives);
        let separated = [
            histogram([0, 0, 1, 2], [3, 1, 0, 0]),
            histogram([0, 0, 1, 2], [3, 1, 4, 0]),
            histogram([3, 1, 0, 0], [0, 2, 1, 2]),
            histogram([0, 7, 0, 0], [0, 9, 0, 0]),
        ];
        for one in separated {
            assert_eq!(calibration_line(&one), Err(Undefined::Separated), "{one:?}");
            assert!(calibration_in_the_large(&one).unwrap().is_finite());
        }
    }

    #[test]
    fn a_calibrated_score_has_slope_one() {
        // Middles of bins at logits -1.5, -0.5, 0.5, 1.5, with as many positives as they say.
        let rows = 1_000_000.0;
        let positives = [-1.5, -0.5, 0.5, 1.5].map(|logit| (rows * expit(logit)).round());
        let negatives = positives.map(|p| (rows - p) as u64);
        let good = histogram(positives.map(|p| p as u64), negatives);
        let [intercept, slope] = calibration_line(&good).unwrap();
        assert!(intercept.abs() < 1e-5 && (slope - 1.0).abs() < 1e-5, "{intercept} {slope}");
        assert!(calibration_in_the_large(&good).unwrap().abs() < 1e-5);
        // Ten times as many negatives: all logits are ln 10 too high.
        let rare = histogram(positives.map(|p| p as u64), negatives.map(|n| 10 * n));
        let [intercept, slope] = calibration_line(&rare).unwrap();
        assert!((intercept + 10f64.ln()).abs() < 1e-5 && (slope - 1.0).abs() < 1e-5);
    }
}
