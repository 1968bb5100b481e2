//! A cohort with a memory: the journal first, then the cohort. A restarted coordinator runs the
//! algorithm from its start against it and goes on where the journal ends; an auditor's replay is
//! the same without anybody to ask.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::query::Query;
use wardround_core::sum::Sum;

use crate::cohort::{Cohort, CohortError};

/// A store of total sums by query digest. Errors are texts for people.
pub trait Journal: Send + Sync {
    /// The recorded answer to a query; `None` when it was never answered.
    ///
    /// # Errors
    /// The journal can't be read.
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String>;

    /// Records an answer durably before it is used.
    ///
    /// # Errors
    /// The journal can't be written, or holds another answer to the query.
    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String>;
}

/// A cohort whose answers are looked up in a journal first and recorded before they are returned:
/// a question is asked once, however often the algorithm is run.
#[derive(Debug)]
pub struct Recorded<C, J> {
    inner: C,
    journal: J,
}

impl<C: Cohort, J: Journal> Recorded<C, J> {
    /// Puts a journal before a cohort.
    pub fn new(inner: C, journal: J) -> Self {
        Self { inner, journal }
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }
}

impl<J: Journal> Recorded<NoCohort, J> {
    /// A journal without a cohort behind it: what isn't recorded is an error.
    pub fn replay_only(journal: J) -> Self {
        Self::new(NoCohort, journal)
    }
}

impl<C: Cohort, J: Journal> Cohort for Recorded<C, J> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let recorded = self.journal.find(&query.digest()).map_err(CohortError::Journal)?;
        if let Some(sum) = recorded {
            return match check(&sum, query) {
                Ok(()) => Ok(sum),
                Err(error) => Err(CohortError::Journal(error.to_string())),
            };
        }
        let sum = self.inner.sum(query).await?;
        check(&sum, query)?;
        self.journal.record(query, &sum).map_err(CohortError::Journal)?;
        Ok(sum)
    }
}

/// Nobody to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCohort;

impl Cohort for NoCohort {
    fn sum(&self, query: &Query) -> impl Future<Output = Result<Sum, CohortError>> + Send {
        let (name, digest) = (query.name(), query.digest());
        let error = format!("expected a recorded answer to the {name} query {digest}, got none");
        std::future::ready(Err(CohortError::Journal(error)))
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    sums: Mutex<BTreeMap<Digest, Sum>>,
}

impl MemoryJournal {
    /// How many answers it holds.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Sum>> {
        // Entries are inserted whole, so a panic elsewhere leaves nothing half done.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        Ok(self.lock().get(query).cloned())
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        let digest = query.digest();
        match self.lock().entry(digest).or_insert_with(|| sum.clone()) {
            recorded if recorded == sum => Ok(()),
            _ => Err(format!("query {digest} already has another answer")),
        }
    }
}

impl<J: Journal> Journal for &J {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        J::find(self, query)
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        J::record(self, query, sum)
    }
}

/// A total answers its query in shape and range and holds exactly the query's sites, since no fit
/// mixes rounds with and without a site.
fn check(sum: &Sum, query: &Query) -> Result<(), CohortError> {
    sum.check(query)?;
    if sum.sites == query.sites {
        return Ok(());
    }
    let list = |sites: &[wardround_core::ids::SiteId]| {
        sites.iter().map(|site| site.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (expected, got) = (list(&query.sites), list(&sum.sites));
    Err(CohortError::Unfit(format!("expected the sum of sites {expected}, got that of {got}")))
}
