//! The site's data as the worker sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::Study;
use wardround_learn::rows::Rows;
use wardround_privacy::dominance::Largest;

use crate::egress::{Counts, Enlisted, Failure, Step};

/// The site's data: what a study would get, the frozen cohort and its rows. Problems are written to
/// the site's own log in full; what leaves of them is a [`Failure`].
pub trait Desk: Send + 'static {
    /// How large the study's cohort would be. Nothing is frozen or extracted.
    ///
    /// # Errors
    /// Why the site couldn't take part.
    fn consider(&mut self, study: &Study, watch: &Watch) -> Result<Considered, Failure>;

    /// Freezes the cohort and computes its features. Done again it gives the same cohort, and goes
    /// on where it stopped.
    ///
    /// # Errors
    /// Why it can't.
    fn enlist(
        &mut self,
        id: &StudyId,
        study: &Study,
        study_toml: &str,
        watch: &Watch,
    ) -> Result<Enlisted, Failure>;

    /// The rows of a frozen cohort, checked against its lock.
    ///
    /// # Errors
    /// [`wardround_proto::v1::FailureCode::NotEnlisted`] when there is none; `LockBroken` when files
    /// vanished or changed since.
    fn open(&mut self, id: &StudyId, watch: &Watch) -> Result<OpenCohort, Failure>;

    /// An answer about a study's frozen cohort is about to leave: the cohort is compared with those that were answered
    /// before, and remembered.
    ///
    /// # Errors
    /// [`Failure::TooNear`]: the answer mustn't leave; or the cohort can't be remembered.
    fn answering(&mut self, id: &StudyId) -> Result<(), Failure>;

    /// The study is over.
    fn close(&mut self, id: &StudyId);
}

/// What a study would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// How large the cohort would be.
    pub counts: Counts,
    /// Patients with a row of the rarest class that occurs; it stays here.
    pub of_rarest_class: u64,
    /// The largest patient of the cohort and its classes; it stays here.
    pub largest: Largest,
    /// Rows whose features aren't in the cache yet.
    pub rows_to_extract: u64,
    /// Feature columns of each input.
    pub features: Vec<u32>,
}

/// The rows of a frozen cohort.
#[derive(Debug)]
pub struct OpenCohort {
    /// The rows of each input, of this site alone.
    pub rows: Vec<Rows>,
    /// Digest of the frozen list.
    pub lock: Digest,
}

/// Hears how far a job is, and says whether it is still wanted.
#[derive(Clone)]
pub struct Watch {
    moved: Arc<dyn Fn(Step) + Send + Sync>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Steps go to `moved`.
    pub fn new(moved: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { moved: Arc::new(moved), stop: Arc::new(AtomicBool::new(false)) }
    }

    /// Says how far the job is.
    pub fn moved(&self, step: Step) {
        (self.moved)(step);
    }

    /// Whether the job is still wanted; a long one asks now and then and gives up.
    pub fn is_wanted(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The job is no longer wanted.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
