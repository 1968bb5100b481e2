//! What a study will cost, before anything is asked. Rounds of fitting are estimates; everything
//! else follows from the design.

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::query::{CALIBRATION_BINS, Schema};
use wardround_core::study::{Loss, Standardise, Study};

use super::design::{Design, LeavingOut};
use super::error::StudyError;
use super::fits::{LARGE_SITE, MOST_FACTORS};
use super::frame::LOOKS;
use super::scores::BINS;
use crate::logistic::NEWTON_FEATURES;

/// Bytes of a fraction in an answer: fixed point with 40 to 50 binary places as a variable-length
/// integer.
const FRACTION_BYTES: f64 = 7.0;

/// Bytes of a count, and of a zero in another site's cell.
const COUNT_BYTES: f64 = 1.0;

/// Bytes of a number in a question.
const QUESTION_BYTES: f64 = 8.0;

/// Rounds of Newton's method.
const NEWTON_ROUNDS: f64 = 8.0;

/// What a study is expected to cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Questions, each one round with every site; estimated.
    pub queries: u64,
    /// Models fitted.
    pub models: u64,
    /// Bytes that each site receives; estimated, before compression.
    pub bytes_down_per_site: u64,
    /// Bytes that each site sends; estimated, before compression.
    pub bytes_up_per_site: u64,
    /// Numbers that each site sends; estimated, zeros of other sites' cells included.
    pub numbers_per_site: u64,
    /// The most numbers that a question asks for per model, which the rule on wide sums compares
    /// with a site's patients.
    pub widest_numbers_per_model: u64,
}

/// Estimates what a study over some sites will cost, given what its rows look like.
///
/// # Errors
/// [`StudyError::TooFewSites`], [`StudyError::TooFewFolds`]: the study can't run at all.
pub fn plan(study: &Study, schema: &Schema, sites: &[SiteId]) -> Result<Plan, StudyError> {
    let design = Design::new(study, sites)?;
    let mut tally = Tally::default();
    let d = f64::from(schema.features);
    let n_sites = sites.len() as f64;
    let classes = f64::from(schema.classes);

    tally.ask(0.0, Numbers::counts(n_sites * (1.0 + 2.0 * classes)));
    for &levels in &schema.levels {
        tally.ask(0.0, Numbers::counts(n_sites * f64::from(levels) * (1.0 + 2.0 * classes)));
    }
    for _ in 0..LOOKS - 1 {
        tally.ask(2.0 * d, Numbers { counts: d + 1.0, fractions: 2.0 * d });
    }
    for _ in 0..design.repeats {
        let cells = f64::from(design.folds);
        let others = (n_sites - 1.0) * cells * 2.0 * d;
        let counts = n_sites * cells * (d + 1.0) + others;
        tally.ask(2.0 * d, Numbers { counts, fractions: cells * 2.0 * d });
    }
    let triangle = (d + 1.0) * (d + 2.0) / 2.0;
    let newton = schema.features as usize <= NEWTON_FEATURES;
    if !newton {
        let large_sites = match design.left_out {
            LeavingOut::EverySite if sites.len() <= LARGE_SITE as usize => sites.len(),
            _ => 0,
        };
        let factors = (1 + large_sites) * design.classes.len() * design.grid.len();
        let grams = if factors > MOST_FACTORS { 1 } else { 1 + large_sites };
        for standardise in [Standardise::All, Standardise::Site] {
            if design.grid.iter().any(|point| point.standardise == standardise) {
                (0..grams).for_each(|_| tally.ask(2.0 * d, Numbers::fractions(triangle)));
            }
        }
    }
    let per_point = (design.training_sets().len() * design.classes.len()) as f64;
    let rounds: Vec<f64> = design
        .grid
        .iter()
        .map(|point| if newton { NEWTON_ROUNDS } else { lbfgs_rounds(design.loss, point.c, d) })
        .collect();
    let slowest = rounds.iter().copied().fold(0.0, f64::max);
    let evaluations: f64 = rounds.iter().map(|rounds| rounds * per_point).sum();
    let answer = d + 2.0 + if newton { triangle } else { 0.0 };
    tally.queries += slowest.ceil();
    tally.down += QUESTION_BYTES * (slowest * 2.0 * d + evaluations * (d + 1.0));
    tally.numbers.fractions += evaluations * answer;

    let models = design.fits().len() as f64;
    let targets = design.classes.len() as f64;
    let (points, outer) = (design.grid.len() as f64, design.outer_folds().count() as f64);
    let repeats = f64::from(design.repeats);
    let left_out = design.left_out_sites().count() as f64;
    let bins = f64::from(BINS.count);
    let cell = 2.0 * bins + 3.0 * CALIBRATION_BINS as f64 + 2.0;
    let lists = targets * points * (2.0 * outer + left_out * (repeats + 1.0));
    tally.ask(models * (d + 1.0), Numbers::counts(lists * n_sites * cell));
    let full = targets * (repeats * (1.0 + points) + left_out * points);
    let model_numbers = targets * (points * outer + left_out * points) * (d + 1.0);
    tally.ask(model_numbers + full * 2.0 * bins, Numbers::fractions(full * 5.0));
    tally.ask(model_numbers + full * n_sites * 2.0 * bins, Numbers::counts(full * n_sites * 5.0));
    for &levels in &schema.levels {
        let (levels, chosen) = (f64::from(levels), targets * outer * (d + 1.0));
        tally.ask(chosen, Numbers::counts(targets * outer * levels * cell));
        let full = targets * repeats * levels;
        tally.ask(chosen + full * 2.0 * bins, Numbers::fractions(full * 5.0));
    }
    let Numbers { counts, fractions } = tally.numbers;
    Ok(Plan {
        queries: tally.queries as u64,
        models: models as u64,
        bytes_down_per_site: tally.down as u64,
        bytes_up_per_site: (counts * COUNT_BYTES + fractions * FRACTION_BYTES) as u64,
        numbers_per_site: (counts + fractions) as u64,
        widest_numbers_per_model: u64::from(schema.features + 1).max(2 * u64::from(BINS.count)),
    })
}

#[derive(Default)]
struct Tally {
    queries: f64,
    /// Bytes to a site.
    down: f64,
    /// Numbers from a site.
    numbers: Numbers,
}

#[derive(Default)]
struct Numbers {
    /// Small whole numbers and zeros.
    counts: f64,
    fractions: f64,
}

impl Numbers {
    fn counts(counts: f64) -> Self {
        Self { counts, fractions: 0.0 }
    }

    fn fractions(fractions: f64) -> Self {
        Self { counts: 0.0, fractions }
    }
}

impl Tally {
    fn ask(&mut self, question: f64, answer: Numbers) {
        self.queries += 1.0;
        self.down += question * QUESTION_BYTES;
        self.numbers.counts += answer.counts;
        self.numbers.fractions += answer.fractions;
    }
}

/// Rounds of preconditioned L-BFGS. The slowest model of a study on 1,280 features of 8,019 images
/// took 28 at C = 0.001 and 55 at C = 0.01; with the squared hinge 20 at C = 0.0001 and 43 at
/// C = 0.001. Fewer features take fewer rounds.
fn lbfgs_rounds(loss: Loss, c: f64, features: f64) -> f64 {
    let (at_milli, power) = match loss {
        Loss::Logistic => (28.0, 0.285),
        Loss::SquaredHinge => (43.0, 0.33),
    };
    let rounds = at_milli * libm::pow(c / 0.001, power) * (features / 1280.0).sqrt();
    rounds.clamp(8.0, 400.0)
}
