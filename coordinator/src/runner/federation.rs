//! The cohort that the product is about: asks all sites of a fit through the hub and adds up.

use std::sync::Arc;

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Query;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_proto::v1::FailureCode;

use super::events::Events;
use crate::hub::{Failure, Hub, Outcome, RoundEnd, Work};
use crate::round::{Ending, Patience};
use crate::store::Store;

/// The sites of a study, asked over the wire.
pub(super) struct Federation {
    pub(super) hub: Arc<Hub>,
    pub(super) store: Arc<Store>,
    pub(super) events: Arc<Events>,
    pub(super) clock: Arc<dyn wardround_core::clock::Clock>,
    pub(super) locks: Vec<(SiteId, Digest)>,
    pub(super) patience: Patience,
}

impl Cohort for Federation {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let store_error = |error: crate::store::StoreError| CohortError::Journal(error.to_string());
        if self.store.study(&query.study).map_err(store_error)?.is_none_or(|s| s.state.is_over()) {
            return Err(CohortError::Aborted);
        }
        let started = self.clock.now();
        let work = Work::Ask { query: Box::new(query.clone()), locks: self.locks.clone() };
        let asked = self
            .hub
            .ask(&query.study, work, &query.sites, self.patience, self.events.clone())
            .map_err(store_error)?;
        let outcomes = match asked.end().await {
            RoundEnd::Complete(outcomes) => outcomes,
            RoundEnd::Broken { ending, outcomes } => return Err(broken(query, ending, outcomes)),
            RoundEnd::Withdrawn => return Err(CohortError::Aborted),
        };
        let mut total: Option<Sum> = None;
        for (site, outcome) in outcomes {
            match (outcome, &mut total) {
                (Outcome::Answer(sum), None) => total = Some(sum),
                (Outcome::Answer(sum), Some(total)) => total.add(&sum, query)?,
                _ => return Err(CohortError::Unfit(format!("{site} brought no sum"))),
            }
        }
        let total = total.unwrap_or_else(|| Sum::zero(query));
        let took = self.clock.now().since_ms(started);
        self.store.set_round_time(&query.study, &total.query, took).map_err(store_error)?;
        Ok(total)
    }
}

fn broken(query: &Query, ending: Ending, outcomes: Vec<(SiteId, Outcome)>) -> CohortError {
    match ending {
        Ending::Aborted => CohortError::Aborted,
        Ending::SiteLost { site } => CohortError::SiteLost(site),
        Ending::SiteFailed { site } => {
            let failure = outcomes.into_iter().find_map(|(s, outcome)| match outcome {
                Outcome::Failed(failure) if s == site => Some(failure),
                _ => None,
            });
            match failure {
                Some(failure) => failed(query, site, &failure),
                // Revoked or left: it won't come back.
                None => CohortError::SiteLost(site),
            }
        }
    }
}

fn failed(query: &Query, site: SiteId, failure: &Failure) -> CohortError {
    let reason = failure.sentence(&site);
    match failure.code {
        FailureCode::Refused => CohortError::Refused { site, reason },
        FailureCode::OutOfRange => {
            let layout = query.layout();
            let block = layout.get(failure.second as usize).map_or("unknown", |spec| spec.name);
            let bits = u8::try_from(failure.first).unwrap_or(u8::MAX);
            CohortError::Sum(SumError::OutOfRange { block, bits })
        }
        _ => CohortError::SiteFailed { site, reason },
    }
}
