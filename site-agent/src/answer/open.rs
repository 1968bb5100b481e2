//! A study that is open for questions: its rows at hand, and the way from a question to a
//! released answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Ask, Mark, Query};
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::CohortError;
use wardround_learn::rows::Rows;
use wardround_privacy::dominance::Largest;
use wardround_privacy::judge::{Aggregation, CohortFacts, judge, mark_allowed};
use wardround_privacy::policy::{Consent, MinimumPatients, Policy};
use wardround_privacy::release::Released;
use wardround_proto::v1::{FailureCode, Stage};

use super::{AnswerStore, OpenCohort, Watch};
use crate::egress::{Failure, Step};

/// A study that is open for questions.
#[derive(Debug)]
pub struct OpenStudy {
    study: StudyId,
    me: SiteId,
    rows: Vec<Rows>,
    lock: Digest,
    facts: CohortFacts,
    /// Whether its cohort is among those that were answered.
    remembered: bool,
    /// Of a cell.
    minimum: MinimumPatients,
    /// The last marks that were asked about, and what the rules need to know of them.
    of_marks: Mutex<Option<(Vec<Mark>, CohortFacts)>>,
}

impl OpenStudy {
    /// Opens a study at the site `me`. `minimum` is of a cell.
    pub fn new(study: StudyId, me: SiteId, cohort: OpenCohort, minimum: MinimumPatients) -> Self {
        let OpenCohort { rows, lock } = cohort;
        // Every input is of the same patients.
        let patients = rows.first().map_or(0, |rows| rows.patients().count()) as u64;
        // Until sums are masked the coordinator sees each site's own.
        let of_rarest_class = rows
            .first()
            .map_or(0, |rows| rarest(rows.rows().map(|row| ((row.issuer, row.key), row.classes))));
        let aggregation = Aggregation::Plain;
        let each = rows.first().into_iter().flat_map(Rows::rows);
        let each = each.map(|row| ((row.issuer, row.key), row.classes));
        let largest = Largest::of_cohort(each, minimum);
        let facts = CohortFacts { patients, of_rarest_class, aggregation, largest };
        let (remembered, of_marks) = (false, Mutex::default());
        Self { study, me, rows, lock, facts, minimum, remembered, of_marks }
    }

    /// Whether its cohort is known to be among those that were answered.
    pub fn is_remembered(&self) -> bool {
        self.remembered
    }

    /// Its cohort is among those that were answered.
    pub fn remembered(&mut self) {
        self.remembered = true;
    }

    /// Which study.
    pub fn study(&self) -> &StudyId {
        &self.study
    }

    /// Answers a question: reads it, checks that it is for this cohort, judges it, and only then
    /// looks at a row. An answer that was finished before is taken as it was.
    ///
    /// # Errors
    /// Why it isn't answered.
    pub fn answer(
        &self,
        bytes: &[u8],
        lock: Digest,
        policy: &Policy,
        store: &AnswerStore,
        watch: &Watch,
    ) -> Result<Released<Sum>, Failure> {
        if lock != self.lock {
            tracing::warn!(study = %self.study, "a question is for another cohort than the frozen one");
            return Err(Failure::Code(FailureCode::NotEnlisted, 0, 0));
        }
        let query = Query::decode(bytes).map_err(|error| not_understood(&error.to_string()))?;
        if query.study != self.study {
            return Err(not_understood("the question is for another study than its task"));
        }
        let Some(rows) = self.rows.get(usize::from(query.input)) else {
            return Err(not_understood(
                "the question is about an input that the study doesn't have",
            ));
        };
        let allowed = judge(policy, &query, &self.facts(&query), &self.me).map_err(|refusal| {
            tracing::warn!(study = %self.study, query = query.name(), %refusal, "refused");
            Failure::Refused(refusal)
        })?;
        let digest = query.digest();
        let sum = match store.find(&self.study, lock, digest).map_err(|e| internal(&e))? {
            Some(sum) => sum,
            None => {
                let answered = match (&query.ask, policy.own_model) {
                    // Rows don't know what their owner allows.
                    (Ask::OwnModels, Consent::Refused) => {
                        Ok(Sum { sites: vec![self.me.clone()], ..Sum::zero(&query) })
                    }
                    (Ask::MarksAllowed { marks }, _) => Ok(self.allowed(marks, policy, &query)),
                    _ => rows.answer_while(&query, &steps(watch)),
                };
                let sum = answered.map_err(|error| failure(&error, &query))?;
                if is_kept(&query.ask) {
                    store.keep(&self.study, lock, &sum).map_err(|e| internal(&e))?;
                }
                sum
            }
        };
        allowed.release(sum).map_err(|error| internal(&error))
    }

    /// Which marks may be asked about.
    fn allowed(&self, marks: &[Mark], policy: &Policy, query: &Query) -> Sum {
        let mut sum = Sum { sites: vec![self.me.clone()], ..Sum::zero(query) };
        // A site that isn't asked refused before.
        let Ok(at) = query.sites.binary_search(&self.me) else { return sum };
        let site = u16::try_from(at).unwrap_or(u16::MAX);
        let allowed = marks.iter().map(|&mark| {
            let facts = self.facts_of(&[mark], site);
            let shown = mark.shows_site(site, query.sites.len());
            i64::from(mark_allowed(policy, &facts, query.folds.folds, shown))
        });
        let own = sum.blocks.iter_mut().flatten().skip(at * marks.len());
        own.zip(allowed).for_each(|(slot, allowed)| *slot = allowed);
        sum
    }

    /// What the rules need to know for a question.
    fn facts(&self, query: &Query) -> CohortFacts {
        let Ask::Marked(marked) = &query.ask else { return self.facts };
        // Entries are put in whole.
        let mut known = self.of_marks.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((marks, facts)) if *marks == marked.marks => *facts,
            _ => {
                // A site that isn't asked refuses by another rule.
                let site = query.sites.binary_search(&self.me).map_or(u16::MAX, |at| at as u16);
                let facts = self.facts_of(&marked.marks, site);
                *known = Some((marked.marks.clone(), facts));
                facts
            }
        }
    }

    /// Of patients with a mark or without it, where there are any, the fewest over all marks; and the
    /// largest patient of those with a mark.
    fn facts_of(&self, marks: &[Mark], site: u16) -> CohortFacts {
        let all = ClassSet((1 << marks.len().min(63)) - 1);
        let rows = || {
            let rows = self.rows.first().into_iter().flat_map(|rows| rows.rows());
            rows.map(|row| {
                let set = Mark::of_row(marks, site, |column| row.levels[usize::from(column)]);
                ((row.issuer, row.key), ClassSet(set.0 & all.0))
            })
        };
        let without = rows().map(|(patient, set)| (patient, ClassSet(all.0 & !set.0)));
        let sides = [rarest(rows()), rarest(without)];
        let of_rarest_class = sides.into_iter().filter(|&count| count > 0).min().unwrap_or(0);
        let largest = Largest::of_cohort(rows(), self.minimum);
        CohortFacts { of_rarest_class, largest, ..self.facts }
    }
}

/// Patients with a row of the rarest class that occurs, of rows with their patients and classes.
pub(super) fn rarest<P: Ord>(rows: impl Iterator<Item = (P, ClassSet)>) -> u64 {
    let mut by_class: BTreeMap<u8, BTreeSet<Rc<P>>> = BTreeMap::new();
    for (patient, classes) in rows {
        let patient = Rc::new(patient);
        for class in classes.iter() {
            by_class.entry(class).or_default().insert(patient.clone());
        }
    }
    by_class.values().map(|patients| patients.len() as u64).min().unwrap_or(0)
}

/// Whether an answer stays on disk until its study is over. Histograms of trees and products of features are
/// nearly all of a study's bytes, and as quick to make again as to write; as nothing in them is drawn anew, it's
/// the same bytes.
fn is_kept(ask: &Ask) -> bool {
    !matches!(ask, Ask::Trees { .. } | Ask::Gram { .. } | Ask::ClassGram { .. })
}

/// Says how far a long answer is, and whether it is still wanted. Its steps aren't known beforehand.
fn steps(watch: &Watch) -> impl Fn() -> bool + Sync {
    let done = AtomicU64::new(0);
    move || {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        watch.moved(Step { stage: Stage::Answering, done, total: done + 1 });
        watch.is_wanted()
    }
}

fn failure(error: &CohortError, query: &Query) -> Failure {
    match error {
        CohortError::Sum(SumError::OutOfRange { block, bits }) => {
            let at = query.layout().iter().position(|spec| spec.name == *block).unwrap_or(0);
            Failure::Code(FailureCode::OutOfRange, u64::from(*bits), at as u64)
        }
        CohortError::Unfit(why) => not_understood(why),
        other => internal(other),
    }
}

fn not_understood(why: &str) -> Failure {
    tracing::error!(why, "a question isn't understood");
    Failure::Code(FailureCode::NotUnderstood, 0, 0)
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "a question can't be answered");
    Failure::Code(FailureCode::Internal, 0, 0)
}
