//! The one trait everything goes through: a set of patients that answers a question with a sum over
//! them, and never shows a row.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Query;
use wardround_core::sum::{Sum, SumError};

use crate::rows::HeldRows;

/// A set of patients that answers a question with a sum over them, and never shows a row.
///
/// The answer names exactly the query's sites ([`Query::sites`]); a cohort that can't reach one of
/// them returns [`CohortError::SiteLost`].
pub trait Cohort: Sync {
    /// Asks one question.
    ///
    /// # Errors
    /// [`CohortError`] says whose fault it is. The future may be dropped at any await.
    fn sum(&self, query: &Query) -> impl Future<Output = Result<Sum, CohortError>> + Send;

    /// Asks one question whose answer is large beside what is decided by it. A cohort with a memory
    /// need not remember the sum ([`Heard::Passing`]): once [`Cohort::settle`] brings the decision,
    /// that stands in for it when the question is asked again for the same purpose
    /// ([`Heard::Decided`]).
    ///
    /// # Errors
    /// As [`Cohort::sum`].
    fn sum_or_decision(
        &self,
        query: &Query,
        purpose: &Purpose,
    ) -> impl Future<Output = Result<Heard, CohortError>> + Send {
        let _ = purpose;
        async move { self.sum(query).await.map(Heard::Kept) }
    }

    /// The rows of an input of the study, for a learner that no sums are enough for. A federation has none:
    /// only rows that are in one place anyway are handed out, as those of a study in feature-rows mode.
    fn held(&self, input: u8) -> Held<'_> {
        let _ = input;
        Held::AtSites
    }

    /// Says what was decided by a sum that came as [`Heard::Passing`].
    ///
    /// # Errors
    /// [`CohortError::Journal`]: the decision can't be kept, or there was no such sum.
    fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), CohortError> {
        let (Purpose(_), bytes) = (purpose, decision.len());
        Err(CohortError::Journal(format!(
            "expected no decision on query {query}, got one of {bytes} bytes"
        )))
    }
}

/// Where a cohort's rows are.
#[derive(Debug)]
pub enum Held<'a> {
    /// At their sites, which never show one.
    AtSites,
    /// Here.
    Here(HeldRows<'a>),
}

/// Who of a run asks a question, as a digest: one question may be asked twice, and lead to two decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Purpose(pub Digest);

/// The answer to a question whose sum need not be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The sum; there is nothing to settle.
    Kept(Sum),
    /// The sum, which the cohort forgets: to be settled by the decision that it leads to.
    Passing(Sum),
    /// What an earlier run decided by the sum, in that run's bytes.
    Decided(Vec<u8>),
}

impl<C: Cohort + Send> Cohort for &C {
    fn sum(&self, query: &Query) -> impl Future<Output = Result<Sum, CohortError>> + Send {
        C::sum(self, query)
    }

    fn sum_or_decision(
        &self,
        query: &Query,
        purpose: &Purpose,
    ) -> impl Future<Output = Result<Heard, CohortError>> + Send {
        C::sum_or_decision(self, query, purpose)
    }

    fn held(&self, input: u8) -> Held<'_> {
        C::held(self, input)
    }

    fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), CohortError> {
        C::settle(self, query, purpose, decision)
    }
}

/// Any cohort as one type, so that what runs over cohorts is compiled once, not once in every crate that
/// runs it over one of its own.
#[derive(Clone, Copy)]
pub(crate) struct AnyCohort<'a>(&'a dyn Dispatched);

impl<'a> AnyCohort<'a> {
    /// The cohort behind it.
    pub fn new<C: Cohort>(cohort: &'a C) -> Self {
        Self(cohort)
    }
}

impl Cohort for AnyCohort<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        self.0.sum(query).await
    }

    async fn sum_or_decision(
        &self,
        query: &Query,
        purpose: &Purpose,
    ) -> Result<Heard, CohortError> {
        self.0.sum_or_decision(query, purpose).await
    }

    fn held(&self, input: u8) -> Held<'_> {
        self.0.held(input)
    }

    fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), CohortError> {
        self.0.settle(query, purpose, decision)
    }
}

/// A future behind a pointer.
pub(crate) type Dispatch<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Cohort`] with futures behind pointers, which a `dyn` can have.
trait Dispatched: Sync {
    fn sum<'a>(&'a self, query: &'a Query) -> Dispatch<'a, Result<Sum, CohortError>>;

    fn sum_or_decision<'a>(
        &'a self,
        query: &'a Query,
        purpose: &'a Purpose,
    ) -> Dispatch<'a, Result<Heard, CohortError>>;

    fn held(&self, input: u8) -> Held<'_>;

    fn settle(&self, query: &Digest, purpose: &Purpose, decision: &[u8])
    -> Result<(), CohortError>;
}

impl<C: Cohort> Dispatched for C {
    fn sum<'a>(&'a self, query: &'a Query) -> Dispatch<'a, Result<Sum, CohortError>> {
        Box::pin(Cohort::sum(self, query))
    }

    fn sum_or_decision<'a>(
        &'a self,
        query: &'a Query,
        purpose: &'a Purpose,
    ) -> Dispatch<'a, Result<Heard, CohortError>> {
        Box::pin(Cohort::sum_or_decision(self, query, purpose))
    }

    fn held(&self, input: u8) -> Held<'_> {
        Cohort::held(self, input)
    }

    fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), CohortError> {
        Cohort::settle(self, query, purpose, decision)
    }
}

/// Why a cohort doesn't answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CohortError {
    /// A site of the fit was given up; unfinished fits start again without it.
    #[error("site {0} is lost to this fit")]
    SiteLost(SiteId),
    /// A site's owner doesn't allow the question.
    #[error("site {site} refuses: {reason}")]
    Refused {
        /// The site.
        site: SiteId,
        /// The rule, with its numbers.
        reason: String,
    },
    /// A site can't answer: its data changed, a file is gone.
    #[error("site {site} can't answer: {reason}")]
    SiteFailed {
        /// The site.
        site: SiteId,
        /// What is wrong there.
        reason: String,
    },
    /// A number left the fixed point's range; the same question at a coarser scale may pass.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// The question doesn't fit the rows: other schema, unknown site, missing values.
    #[error("the question doesn't fit the cohort: {0}")]
    Unfit(String),
    /// The study was aborted.
    #[error("aborted")]
    Aborted,
    /// The journal can't be read or written, or doesn't match the question.
    #[error("journal: {0}")]
    Journal(String),
}
