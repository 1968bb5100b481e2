//! What may leave: a value that passed the disclosure rules.
//!
//! A [`Released`] has no public constructor and isn't deserialisable. It comes from
//! [`Allowed::release`], and an [`Allowed`] comes from [`crate::judge::judge`] only; so whatever
//! egress accepts was judged, and is the answer to the very query that was judged.

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::sum::Sum;

use crate::judge::Allowed;

/// A value that the site's policy lets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released<T> {
    value: T,
    query: Digest,
    holds: Holds,
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Sums over patients.
    Sums,
    /// Rows of single patients, which the owner gives away by name.
    Rows,
}

impl<T> Released<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// The query that was judged.
    pub fn query(&self) -> Digest {
        self.query
    }

    /// What it is made of.
    pub fn holds(&self) -> Holds {
        self.holds
    }
}

/// The value isn't the answer to the judged query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// An answer to something else.
    #[error("expected an answer to the judged query {judged}, got one to {answered}")]
    OtherQuery {
        /// What was judged.
        judged: Digest,
        /// What was answered.
        answered: Digest,
    },
    /// An answer that holds others' patients.
    #[error("expected the sum of site {site} alone, got one of {got} sites")]
    OtherSites {
        /// The site that was judged.
        site: SiteId,
        /// Sites in the sum.
        got: usize,
    },
}

impl Allowed {
    /// Releases the answer to the query that was judged.
    ///
    /// # Errors
    /// [`ReleaseError`]: it answers another query, or isn't this site's own sum.
    pub fn release(self, sum: Sum) -> Result<Released<Sum>, ReleaseError> {
        if sum.query != self.query {
            return Err(ReleaseError::OtherQuery { judged: self.query, answered: sum.query });
        }
        if sum.sites != [self.site.clone()] {
            return Err(ReleaseError::OtherSites { site: self.site, got: sum.sites.len() });
        }
        Ok(Released { value: sum, query: self.query, holds: self.holds })
    }
}

#[cfg(test)]
mod tests {
    use wardround_core::ids::StudyId;
    use wardround_core::query::{Ask, FoldPlan, JudgedUnit, Labelling, Query, Schema, Weighting};
    use wardround_core::seed::Seed;

    use super::*;
    use crate::dominance::Largest;
    use crate::judge::{Aggregation, CohortFacts, judge};
    use crate::policy::Policy;

    #[test]
    fn only_the_judged_answer_is_released() {
        let [a, b] = ["a", "b"].map(|id| SiteId::parse(id).unwrap());
        let query = Query {
            study: StudyId::parse("s1").unwrap(),
            sites: vec![a.clone(), b.clone()],
            schema: Schema {
                features: 2,
                classes: 2,
                labelling: Labelling::Single,
                weighting: Weighting::Equal,
                judged: JudgedUnit::Row,
                levels: vec![],
            },
            input: 0,
            folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
            ask: Ask::Profile { split: vec![] },
        };
        let facts = CohortFacts {
            patients: 100,
            of_rarest_class: 50,
            aggregation: Aggregation::Plain,
            largest: Largest::NONE,
        };
        let allowed = judge(&Policy::default(), &query, &facts, &a).unwrap();
        let mut sum = Sum { sites: vec![a.clone()], ..Sum::zero(&query) };
        assert_eq!(allowed.clone().release(sum.clone()).unwrap().get(), &sum);
        sum.sites = vec![b.clone()];
        assert!(matches!(
            allowed.clone().release(sum.clone()),
            Err(ReleaseError::OtherSites { got: 1, .. })
        ));
        sum.sites = vec![a, b];
        assert!(allowed.clone().release(sum.clone()).is_err());
        sum.query = Digest::of(b"another");
        assert!(matches!(allowed.release(sum), Err(ReleaseError::OtherQuery { .. })));
    }
}
