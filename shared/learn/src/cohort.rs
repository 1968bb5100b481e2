//! The one trait everything goes through: a set of patients that answers a question with a sum over
//! them, and never shows a row.

use std::future::Future;

use wardround_core::ids::SiteId;
use wardround_core::query::Query;
use wardround_core::sum::{Sum, SumError};

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
}

impl<C: Cohort + Send> Cohort for &C {
    fn sum(&self, query: &Query) -> impl Future<Output = Result<Sum, CohortError>> + Send {
        C::sum(self, query)
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
