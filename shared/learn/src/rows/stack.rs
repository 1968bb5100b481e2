//! The logistic loss of weighted sums of members' logits, with its derivatives, as stacking needs them
//! (Wolpert 1992): what a row's features are to a classifier, its members' scores are here.

use wardround_core::query::{Frame, MEMBER_LIMIT, Model, ScoreList, StackTerm};
use wardround_core::study::Loss;

use super::linear::Logit;
use super::loss;
use super::scores::Scored;
use super::site::Seen;
use super::tally::Tally;
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::Stack`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    models: &[Model],
    terms: &[StackTerm],
) -> Result<Vec<Vec<i64>>, CohortError> {
    // One list of scores per term and member.
    let mut lists = Vec::new();
    for term in terms {
        for member in 0..term.weights.len() {
            let of_part = |(rows, members): &(_, Vec<u32>)| (*rows, members[member]);
            let parts = term.parts.iter().map(of_part).collect();
            lists.push(ScoreList { class: term.class, parts });
        }
    }
    let scored = Scored::of_members(seen, frame, models, &lists)?;
    let [mut losses, mut gradients, mut hessians] = Tally::of(seen.query);
    let (mut list, mut gradient_at, mut hessian_at) = (0, 0, 0);
    for (at, term) in terms.iter().enumerate() {
        let members = term.weights.len();
        let sums = of_term(seen, term, &scored, list);
        list += members;
        losses.add(at, sums.loss)?;
        for value in &sums.gradient {
            gradients.add(gradient_at, *value)?;
            gradient_at += 1;
        }
        for value in &sums.hessian {
            hessians.add(hessian_at, *value)?;
            hessian_at += 1;
        }
    }
    Ok(Tally::values([losses, gradients, hessians]))
}

struct Sums {
    loss: f64,
    /// By weights and constant.
    gradient: Vec<f64>,
    /// Upper triangle, row by row.
    hessian: Vec<f64>,
}

/// What the rows of a term add up to, in their order; its members' lists begin at `first`.
fn of_term(seen: &Seen<'_>, term: &StackTerm, scored: &Scored, first: usize) -> Sums {
    let members = term.weights.len();
    let by_member: Vec<Vec<(usize, f64)>> = (first..first + members)
        .map(|list| scored.list(list).into_iter().flatten().collect())
        .collect();
    let columns = members + 1;
    let mut sums = Sums {
        loss: 0.0,
        gradient: vec![0.0; columns],
        hessian: vec![0.0; columns * (columns + 1) / 2],
    };
    let mut x = vec![1.0; columns];
    for (at, &(row, _)) in by_member[0].iter().enumerate() {
        for (x, of_member) in x.iter_mut().zip(&by_member) {
            // All lists of a term hold the same rows in the same order.
            *x = of_member[at].1.clamp(-MEMBER_LIMIT, MEMBER_LIMIT);
        }
        let says = x.iter().zip(&term.weights).fold(term.intercept, |sum, (x, w)| sum + x * w);
        let positive = seen.classes[row].has(term.class);
        let weight = term.class_weights.of(positive) * seen.rows.weights.of(row);
        let (value, slope) = loss::of(Loss::Logistic, says, positive);
        sums.loss += weight * value;
        let curvature = weight * Logit::new(says).variance;
        let mut to = 0;
        for (j, &of_j) in x.iter().enumerate() {
            sums.gradient[j] += weight * slope * of_j;
            for &of_k in &x[j..] {
                sums.hessian[to] += curvature * of_j * of_k;
                to += 1;
            }
        }
    }
    sums
}
