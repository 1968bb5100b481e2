//! Judges a finished model once, on images that had no part in it, with the metrics that studies
//! are judged with.

use std::error::Error;

use serde::Serialize;
use wardround_core::query::Bins;
use wardround_learn::bundle::{ModelBundle, predict};
use wardround_learn::findings::Figure;
use wardround_learn::metrics::interval::{auc_interval, delong_variance, interval};
use wardround_learn::metrics::judge::proportion;
use wardround_learn::metrics::ranking::roc_auc;
use wardround_learn::metrics::{Confusion, ScoreHistogram, Threshold};

use crate::set::Image;

/// Sixteen bins for one of a study's, over four times the range: thresholds of studies lie on their
/// edges, and the AUC is that of the scores themselves to four digits.
const BINS: Bins = Bins { half_width: 48.0, count: 65_536 };

/// A model's figures on images that it hasn't seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OnTest {
    /// Area under the ROC curve; interval by DeLong, symmetric on the logit scale.
    pub auc: Figure,
    /// Share called rightly at the model's own threshold; Wilson interval.
    pub accuracy: Figure,
    /// Share called rightly at a probability of one half, as MedMNIST calls; Wilson interval.
    pub accuracy_at_half: Figure,
    /// True positives, false positives, true negatives, false negatives at the own threshold.
    pub confusion: [u64; 4],
}

/// Scores images with a model and judges the scores.
///
/// # Errors
/// An image that the model can't take.
pub fn judge(model: &ModelBundle, test: &[Image]) -> Result<OnTest, Box<dyn Error>> {
    let mut scores = ScoreHistogram::empty(BINS);
    for image in test {
        let p = predict(model, &image.features)?[0];
        let logit = (p / (1.0 - p)).ln().clamp(-BINS.half_width, BINS.half_width);
        scores.add(logit, image.positive);
    }
    let called = |probability| -> Result<Confusion, Box<dyn Error>> {
        Ok(Confusion::at(&scores, &Threshold::nearest(BINS, probability)?)?)
    };
    let (own, half) = (called(model.models[0].threshold)?, called(0.5)?);
    let auc = match roc_auc(&scores) {
        Ok(value) => {
            let ends = delong_variance(&scores).and_then(|variance| auc_interval(value, variance));
            Figure::Known { value, interval: interval(ends) }
        }
        Err(why) => Figure::Undefined { reason: why.to_string() },
    };
    let images = test.len() as u64;
    Ok(OnTest {
        auc,
        accuracy: proportion(own.accuracy(), images),
        accuracy_at_half: proportion(half.accuracy(), images),
        confusion: [own.tp, own.fp, own.tn, own.fn_],
    })
}
