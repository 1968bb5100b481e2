//! A site's own model, fitted to and judged on its own rows: the code of a study on a cohort of one site, then
//! sums of its finished scores. See [`crate::study::own_site`](mod@crate::study) for what it is compared with.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wardround_core::query::{
    Bins, CALIBRATION_BINS, Frame, Model, PlacementTable, Query, ScoreList, Unfit,
};
use wardround_core::study::Recipe;
use wardround_core::sum::Sum;

use super::linear::Logit;
use super::scores::{CLIP, Scored};
use super::site::{Seen, SiteRows};
use super::tally::Tally;
use super::{HeldRows, Wanted};
use crate::cohort::{Cohort, CohortError, Held};
use crate::metrics::ScoreHistogram;
use crate::metrics::interval::placement_table;
use crate::study::StudyError;
use crate::study::own_site::{self, Own};
use crate::study::single::Nested;

/// What the site's own model is set beside.
pub(super) struct Beside<'a> {
    pub frame: &'a Frame,
    pub models: &'a [Model],
    pub lists: &'a [ScoreList],
}

/// [`wardround_core::query::Ask::OwnSite`].
pub(super) fn answer(
    seen: &Seen<'_>,
    recipe: &str,
    beside: &Beside<'_>,
    bins: &Bins,
    wanted: &Wanted<'_>,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let recipe = Recipe::parse(recipe).map_err(CohortError::Unfit)?;
    let mut blocks = Blocks::new(seen, bins);
    match own(seen, &recipe, wanted)? {
        Own::Unfit(reason) => blocks.unfit(reason),
        Own::Fitted(own) => {
            blocks.fitted.count(usize::from(seen.site), 1);
            let judged = Scored::new(seen, &own.frame, &own.models, &own.lists)?;
            let other = Scored::new(seen, beside.frame, beside.models, beside.lists)?;
            for (list, ScoreList { class, .. }) in beside.lists.iter().enumerate() {
                let hits = pairs(judged.list(list), other.list(list))?;
                blocks.list(list, *class, &hits, &own)?;
            }
        }
    }
    Ok(blocks.values())
}

/// The study on this site's rows alone.
fn own(seen: &Seen<'_>, recipe: &Recipe, wanted: &Wanted<'_>) -> Result<Own, CohortError> {
    let (Query { study, schema, folds, .. }, rows) = (seen.query, seen.rows);
    let alone = Alone { rows, wanted };
    let run = own_site::run(&alone, study, &rows.id, schema, *folds, recipe);
    let done = finished(run).ok_or_else(|| {
        CohortError::Unfit("rows in memory answer at once, these didn't".to_owned())
    })?;
    done.map_err(|error| match error {
        StudyError::Cohort(error) => error,
        other => CohortError::Unfit(other.to_string()),
    })
}

/// The output of a future that never waits.
fn finished<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// One site's rows as a cohort, as long as it is wanted.
struct Alone<'a> {
    rows: &'a SiteRows,
    wanted: &'a Wanted<'a>,
}

impl Cohort for Alone<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        if !(self.wanted)() {
            return Err(CohortError::Aborted);
        }
        let blocks = self.rows.answer(query, 0, self.wanted)?;
        Ok(Sum { query: query.digest(), sites: vec![self.rows.id.clone()], blocks })
    }

    fn held(&self, _: u8) -> Held<'_> {
        Held::Here(HeldRows::new(vec![self.rows]))
    }
}

/// What is judged, with both logits.
struct Hit {
    unit: usize,
    own: f64,
    other: f64,
}

/// What is judged of a patient in a list, each with a model's logit.
type Listed = Vec<(usize, f64)>;

/// Per patient what is judged of it, each with both logits.
fn pairs(own: Vec<Listed>, other: Vec<Listed>) -> Result<Vec<Vec<Hit>>, CohortError> {
    let of_patient = |(own, other): (Listed, Listed)| {
        let both = |(unit, logit): (usize, f64), others: &BTreeMap<usize, f64>| {
            others.get(&unit).map(|&other| Hit { unit, own: logit, other })
        };
        let (rows, others) = (own.len(), BTreeMap::from_iter(other.iter().copied()));
        let hits: Vec<Hit> = own.into_iter().filter_map(|hit| both(hit, &others)).collect();
        match hits.len() == rows && other.len() == rows {
            true => Ok(hits),
            false => Err(CohortError::Unfit(
                "expected lists of all rows, each once, to set the site's own model beside".into(),
            )),
        }
    };
    own.into_iter().zip(other).map(of_patient).collect()
}

/// The answer being added up.
struct Blocks<'a> {
    seen: &'a Seen<'a>,
    bins: &'a Bins,
    fitted: Tally,
    unfit: Tally,
    /// Positives and negatives.
    rows: [Tally; 2],
    /// Brier and log loss.
    losses: [Tally; 2],
    /// Rows and scores.
    calibration: [Tally; 2],
    calls: Tally,
    patients: Tally,
    placements: [Tally; 3],
    paired: [Tally; 3],
}

impl<'a> Blocks<'a> {
    fn new(seen: &'a Seen<'a>, bins: &'a Bins) -> Self {
        let [fitted, unfit, p, n, brier, log, rows, scores, calls, patients, a, b, c, d, e, f] =
            Tally::of(seen.query);
        Self {
            seen,
            bins,
            fitted,
            unfit,
            rows: [p, n],
            losses: [brier, log],
            calibration: [rows, scores],
            calls,
            patients,
            placements: [a, b, c],
            paired: [d, e, f],
        }
    }

    fn values(self) -> Vec<Vec<i64>> {
        let ([p, n], [brier, log], [rows, scores]) = (self.rows, self.losses, self.calibration);
        let ([a, b, c], [d, e, f]) = (self.placements, self.paired);
        let (calls, patients) = (self.calls, self.patients);
        let (fitted, unfit) = (self.fitted, self.unfit);
        Tally::values([
            fitted, unfit, p, n, brier, log, rows, scores, calls, patients, a, b, c, d, e, f,
        ])
    }

    fn unfit(&mut self, reason: Unfit) {
        self.unfit.count(usize::from(self.seen.site) * Unfit::ALL.len() + reason.index(), 1);
    }

    /// Adds one list, patient by patient.
    fn list(
        &mut self,
        list: usize,
        class: u8,
        patients: &[Vec<Hit>],
        own: &Nested,
    ) -> Result<(), CohortError> {
        let seen = self.seen;
        let at = list * seen.query.sites.len() + usize::from(seen.site);
        let units = seen.units();
        let positive = |unit: usize| units.classes[unit].has(class);
        let repeat = list % usize::from(seen.query.folds.repeats);
        let folds = seen.folds(repeat as u8);
        let table = |logit: fn(&Hit) -> f64| {
            let mut histogram = ScoreHistogram::empty(*self.bins);
            for hit in patients.iter().flatten() {
                histogram.add_rows(self.bins.index(logit(hit)), positive(hit.unit), 1);
            }
            placement_table(&histogram)
        };
        let tables = [table(|hit| hit.own), table(|hit| hit.other)];
        for hits in patients.iter().filter(|hits| !hits.is_empty()) {
            let (mut squares, mut logs) = (0.0, 0.0);
            let mut probabilities = [0.0; CALIBRATION_BINS];
            let mut of_class = [0i64; 2];
            let mut deviations = [Deviation::default(); 2];
            for hit in hits {
                let positive = positive(hit.unit);
                let threshold =
                    &own.thresholds[list][usize::from(folds[units.first_row[hit.unit]])];
                let called = threshold.bins().index(hit.own) >= threshold.bin();
                // True positives, false positives, true negatives, false negatives.
                let call = match (positive, called) {
                    (true, true) => 0,
                    (false, true) => 1,
                    (false, false) => 2,
                    (true, false) => 3,
                };
                self.calls.count(at * 4 + call, 1);
                let bin = self.bins.index(hit.own);
                self.rows[usize::from(!positive)].count(at * self.bins.count as usize + bin, 1);
                of_class[usize::from(!positive)] += 1;
                let p = Logit::new(hit.own).probability;
                let bin = ((p * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1);
                let place = (at * CALIBRATION_BINS + bin) * 2 + usize::from(positive);
                self.calibration[0].count(place, 1);
                probabilities[bin] += p;
                let clipped = p.clamp(CLIP, 1.0 - CLIP);
                let (error, right) = if positive { (p - 1.0, clipped) } else { (p, 1.0 - clipped) };
                squares += error * error;
                logs -= libm::log(right);
                for (deviation, (table, logit)) in
                    deviations.iter_mut().zip(tables.iter().zip([hit.own, hit.other]))
                {
                    deviation.add(table, self.bins.index(logit), positive);
                }
            }
            self.losses[0].add(at, squares)?;
            self.losses[1].add(at, logs)?;
            for (bin, &sum) in probabilities.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
                self.calibration[1].add(at * CALIBRATION_BINS + bin, sum)?;
            }
            for (side, &rows) in of_class.iter().enumerate() {
                self.patients.count(at * 2 + side, i64::from(rows > 0));
            }
            let [own, other] = deviations;
            own.square(&mut self.placements, at)?;
            own.less(other).square(&mut self.paired, at)?;
        }
        Ok(())
    }
}

/// What a patient's placement values deviate from what the AUC expects of them.
#[derive(Debug, Clone, Copy, Default)]
struct Deviation {
    positive: f64,
    negative: f64,
}

impl Deviation {
    fn add(&mut self, table: &PlacementTable, bin: usize, positive: bool) {
        match positive {
            true => self.positive += table.above[bin] - table.auc,
            false => self.negative += table.below[bin] - table.auc,
        }
    }

    fn less(self, other: Self) -> Self {
        let positive = self.positive - other.positive;
        Self { positive, negative: self.negative - other.negative }
    }

    fn square(self, [s10, s01, s11]: &mut [Tally; 3], at: usize) -> Result<(), CohortError> {
        s10.add(at, self.positive * self.positive)?;
        s01.add(at, self.negative * self.negative)?;
        Ok(s11.add(at, self.positive * self.negative)?)
    }
}
