//! A cohort with a memory: the journal first, then the cohort. A restarted coordinator runs the
//! algorithm from its start against it and goes on where the journal ends; an auditor's replay is
//! the same without anybody to ask.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Query;
use wardround_core::sum::Sum;

use crate::cohort::{Cohort, CohortError, Heard, Purpose};

/// A store of total sums by query digest, and of what was decided by them. Errors are texts for people.
pub trait Journal: Send + Sync {
    /// The recorded answer to a query; `None` when it was never answered, or isn't kept.
    ///
    /// # Errors
    /// The journal can't be read.
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String>;

    /// What was decided by the answer to a query for a purpose; `None` when nothing was.
    ///
    /// # Errors
    /// The journal can't be read.
    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String>;

    /// Records an answer durably before it is used.
    ///
    /// # Errors
    /// The journal can't be written, or holds another answer to the query.
    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String>;

    /// Records what was decided by an answer, and of the answer itself only its receipt.
    ///
    /// # Errors
    /// As [`Journal::record`].
    fn record_decision(
        &self,
        receipt: &Receipt,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), String>;
}

/// What is left of a total that isn't kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The query that it answered.
    pub query: Digest,
    /// What was asked, in a word.
    pub what: String,
    /// Digest of the total's encoding.
    pub total: Digest,
    /// The sites in it, sorted.
    pub sites: Vec<SiteId>,
    /// How many numbers it had.
    pub numbers: u64,
}

impl Receipt {
    /// The receipt of an answer to a query.
    pub fn new(query: &Query, sum: &Sum) -> Self {
        Self::of_encoded(query, sum, &sum.encode())
    }

    /// The same of an answer whose encoding is at hand.
    pub fn of_encoded(query: &Query, sum: &Sum, encoded: &[u8]) -> Self {
        Self {
            query: sum.query,
            what: query.name().to_owned(),
            total: Digest::of(encoded),
            sites: sum.sites.clone(),
            numbers: query.numbers(),
        }
    }
}

/// What is recorded of questions whose sums need not be ([`Cohort::sum_or_decision`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The decision, and the digest of the sum.
    #[default]
    Decisions,
    /// The sum, as of every other question: a replay then takes the decisions again.
    Sums,
}

/// A cohort whose answers are looked up in a journal first and recorded before they are returned:
/// a question is asked once, however often the algorithm is run.
///
/// Where a decision is to stand for an answer ([`Heard::Passing`]), it is recorded when it is settled,
/// not before: a run that is cut in between asks the question again.
#[derive(Debug)]
pub struct Recorded<C, J> {
    inner: C,
    journal: J,
    keep: Keep,
    /// Answers that wait for their decisions.
    passing: Mutex<BTreeMap<(Digest, Purpose), Receipt>>,
}

impl<C: Cohort, J: Journal> Recorded<C, J> {
    /// Puts a journal before a cohort.
    pub fn new(inner: C, journal: J, keep: Keep) -> Self {
        Self { inner, journal, keep, passing: Mutex::default() }
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    fn find(&self, query: &Query) -> Result<Option<Sum>, CohortError> {
        let found = self.journal.find(&query.digest()).map_err(CohortError::Journal)?;
        if let Some(sum) = &found {
            check(sum, query).map_err(|error| CohortError::Journal(error.to_string()))?;
        }
        Ok(found)
    }

    async fn ask(&self, query: &Query) -> Result<Sum, CohortError> {
        let sum = self.inner.sum(query).await?;
        check(&sum, query)?;
        Ok(sum)
    }

    async fn ask_and_record(&self, query: &Query) -> Result<Sum, CohortError> {
        let sum = self.ask(query).await?;
        self.journal.record(query, &sum).map_err(CohortError::Journal)?;
        Ok(sum)
    }
}

impl<J: Journal> Recorded<NoCohort, J> {
    /// A journal without a cohort behind it: what isn't recorded is an error.
    pub fn replay_only(journal: J) -> Self {
        Self::new(NoCohort, journal, Keep::Sums)
    }
}

impl<C: Cohort, J: Journal> Cohort for Recorded<C, J> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        match self.find(query)? {
            Some(sum) => Ok(sum),
            None => self.ask_and_record(query).await,
        }
    }

    async fn sum_or_decision(
        &self,
        query: &Query,
        purpose: &Purpose,
    ) -> Result<Heard, CohortError> {
        let decided = self.journal.find_decision(&query.digest(), purpose);
        if let Some((receipt, decision)) = decided.map_err(CohortError::Journal)? {
            check_receipt(&receipt, query)?;
            return Ok(Heard::Decided(decision));
        }
        if let Some(sum) = self.find(query)? {
            return Ok(Heard::Kept(sum));
        }
        if self.keep == Keep::Sums {
            return self.ask_and_record(query).await.map(Heard::Kept);
        }
        let sum = self.ask(query).await?;
        locked(&self.passing).insert((sum.query, *purpose), Receipt::new(query, &sum));
        Ok(Heard::Passing(sum))
    }

    fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), CohortError> {
        let receipt = locked(&self.passing).remove(&(*query, *purpose)).ok_or_else(|| {
            CohortError::Journal(format!("expected a decision on an answer, got one on {query}"))
        })?;
        self.journal.record_decision(&receipt, purpose, decision).map_err(CohortError::Journal)
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
    decisions: Mutex<BTreeMap<(Digest, Purpose), Decision>>,
}

/// What is left of a total, and what was decided by it.
type Decision = (Receipt, Vec<u8>);

impl MemoryJournal {
    /// How many answers it holds, and decisions by answers.
    pub fn len(&self) -> usize {
        locked(&self.sums).len() + locked(&self.decisions).len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Journal for MemoryJournal {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        Ok(locked(&self.sums).get(query).cloned())
    }

    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String> {
        Ok(locked(&self.decisions).get(&(*query, *purpose)).cloned())
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        let digest = query.digest();
        match locked(&self.sums).entry(digest).or_insert_with(|| sum.clone()) {
            recorded if recorded == sum => Ok(()),
            _ => Err(format!("query {digest} already has another answer")),
        }
    }

    fn record_decision(
        &self,
        receipt: &Receipt,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), String> {
        let (query, line) = (receipt.query, (receipt.clone(), decision.to_vec()));
        match locked(&self.decisions).entry((query, *purpose)).or_insert_with(|| line.clone()) {
            recorded if *recorded == line => Ok(()),
            _ => Err(format!("query {query} already has another decision")),
        }
    }
}

impl<J: Journal> Journal for &J {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        J::find(self, query)
    }

    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String> {
        J::find_decision(self, query, purpose)
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        J::record(self, query, sum)
    }

    fn record_decision(
        &self,
        receipt: &Receipt,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), String> {
        J::record_decision(self, receipt, purpose, decision)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries are inserted and removed whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is left of a total fits its query.
fn check_receipt(receipt: &Receipt, query: &Query) -> Result<(), CohortError> {
    let expected = (query.name(), query.numbers());
    let got = (receipt.what.as_str(), receipt.numbers);
    if expected == got && receipt.sites == query.sites {
        return Ok(());
    }
    let (expected, got) = (query.sites.len(), receipt.sites.len());
    Err(CohortError::Journal(format!(
        "expected {} numbers of {} from {expected} sites, got {} of {} from {got} for query {}",
        query.numbers(),
        query.name(),
        receipt.numbers,
        receipt.what,
        receipt.query
    )))
}

/// A total answers its query in shape and range and holds exactly the query's sites, since no fit
/// mixes rounds with and without a site.
fn check(sum: &Sum, query: &Query) -> Result<(), CohortError> {
    sum.check(query)?;
    if sum.sites == query.sites {
        return Ok(());
    }
    let list =
        |sites: &[SiteId]| sites.iter().map(|site| site.as_str()).collect::<Vec<_>>().join(", ");
    let (expected, got) = (list(&query.sites), list(&sum.sites));
    Err(CohortError::Unfit(format!("expected the sum of sites {expected}, got that of {got}")))
}
