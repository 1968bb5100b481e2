//! Sites that add up as a federation does, without a network: for examples, tests and measuring.

use wardround_core::query::Query;
use wardround_core::sum::Sum;

use super::Rows;
use crate::cohort::{Cohort, CohortError};

/// Several [`Rows`], each asked by itself, their answers added in the order given.
#[derive(Debug)]
pub struct Together(pub Vec<Rows>);

impl Cohort for Together {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let mut total = Sum::zero(query);
        for rows in &self.0 {
            if rows.sites().iter().any(|site| query.sites.contains(site)) {
                total.add(&rows.answer(query)?, query)?;
            }
        }
        match query.sites.iter().find(|site| !total.sites.contains(site)) {
            Some(lost) => Err(CohortError::SiteLost(lost.clone())),
            None => Ok(total),
        }
    }
}
