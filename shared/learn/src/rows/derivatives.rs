//! What the rows of a site make of a model's loss and its derivatives, from the rows and their altered
//! copies to the answer.

use wardround_core::query::{Derivatives, Query};

use super::framed::Views;
use super::tally::Tally;
use crate::cohort::CohortError;

/// What a term of a question adds up to, in the model's own units.
pub(super) struct Part {
    pub loss: f64,
    /// By weights and constant, of a model of all classes class by class.
    pub gradient: Vec<f64>,
    /// Upper triangle, row by row; empty when it isn't asked for.
    pub hessian: Vec<f64>,
}

impl Part {
    /// Parts over rows and their copies, of which each gets an equal share: a row weighs 1 whatever it has.
    ///
    /// # Errors
    /// What `of` says.
    pub fn of_all(
        all: &[Views<'_>],
        of: impl Fn(&Views<'_>) -> Result<Vec<Self>, CohortError>,
    ) -> Result<Vec<Self>, CohortError> {
        let mut parts = of(&all[0])?;
        let of_a_row: usize = all.iter().map(|views| views.each).sum();
        for copies in &all[1..] {
            for (part, more) in parts.iter_mut().zip(of(copies)?) {
                part.add(&more);
            }
        }
        if of_a_row > 1 {
            parts.iter_mut().for_each(|part| part.share(of_a_row as f64));
        }
        Ok(parts)
    }

    /// The blocks of an answer, from the parts of those terms that have rows here, each with its index.
    ///
    /// # Errors
    /// As [`Tally::add`].
    pub fn answer(
        query: &Query,
        derivatives: Derivatives,
        parts: &[(usize, Self)],
    ) -> Result<Vec<Vec<i64>>, CohortError> {
        let fill = |loss: &mut Tally, gradient: &mut Tally| -> Result<(), CohortError> {
            for (at, part) in parts {
                loss.add(*at, part.loss)?;
                for (k, &value) in part.gradient.iter().enumerate() {
                    gradient.add(at * part.gradient.len() + k, value)?;
                }
            }
            Ok(())
        };
        match derivatives {
            Derivatives::Gradient => {
                let [mut loss, mut gradient] = Tally::of(query);
                fill(&mut loss, &mut gradient)?;
                Ok(Tally::values([loss, gradient]))
            }
            Derivatives::Hessian => {
                let [mut loss, mut gradient, mut hessian] = Tally::of(query);
                fill(&mut loss, &mut gradient)?;
                for (at, Self { hessian: triangle, .. }) in parts {
                    for (k, &value) in triangle.iter().enumerate() {
                        hessian.add(at * triangle.len() + k, value)?;
                    }
                }
                Ok(Tally::values([loss, gradient, hessian]))
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        let sum = |to: &mut [f64], from: &[f64]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        sum(&mut self.gradient, &other.gradient);
        sum(&mut self.hessian, &other.hessian);
    }

    fn share(&mut self, among: f64) {
        self.loss /= among;
        self.gradient.iter_mut().chain(&mut self.hessian).for_each(|value| *value /= among);
    }
}

/// Adds the losses of some models in the order of blocks of rows.
pub(super) fn add_blocks(losses: &mut [f64], blocks: Vec<Vec<f64>>) {
    for of_block in blocks {
        losses.iter_mut().zip(of_block).for_each(|(loss, more)| *loss += more);
    }
}
