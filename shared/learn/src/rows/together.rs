//! Sites that add up as a federation does, without a network: for examples, tests and measuring.

use wardround_core::query::Query;
use wardround_core::sum::Sum;

use super::Rows;
use crate::cohort::{Cohort, CohortError, Held};

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

/// A cohort per input of a study: each question goes to the one of its input.
#[derive(Debug)]
pub struct Inputs<C>(pub Vec<C>);

impl<C: Cohort> Cohort for Inputs<C> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        match self.0.get(usize::from(query.input)) {
            Some(cohort) => cohort.sum(query).await,
            None => Err(CohortError::Unfit(format!(
                "it is about input {} of {}",
                query.input,
                self.0.len()
            ))),
        }
    }

    fn held(&self, input: u8) -> Held<'_> {
        // The inner cohort is of one input, whichever that is.
        self.0.get(usize::from(input)).map_or(Held::AtSites, |cohort| cohort.held(input))
    }
}
