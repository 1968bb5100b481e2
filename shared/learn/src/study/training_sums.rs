//! The sums of every training set, as closed forms and principal components need them, in one round.
//!
//! Where all rows are standardised alike, single folds are asked for and added up here: a training set is
//! those folds' sum to the last bit, and a fold is the difference of two training sets, so neither tells
//! more than the other. Five folds make the 16 training sets of a nested validation.

use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{Ask, Fill, FoldSet, Frame, GramTerm, RowSet, Scaler};
use wardround_core::study::Standardise;
use wardround_core::sum::unit;

use super::asker::{Asker, bits_of_products, slices};
use super::design::FitKey;
use super::error::StudyError;
use super::fits::{COARSEST_BITS, Ground, scaler};
use super::frame::Standard;
use crate::closed_form::Sums;
use crate::cohort::Cohort;

/// The sums of a training set, with what its model needs besides.
pub(super) struct TrainingSet {
    pub term: GramTerm,
    pub standardise: Standardise,
    pub standard: Arc<Standard>,
    pub sums: Sums,
}

impl TrainingSet {
    /// The deviation of each column in the units of the sums.
    pub fn scale(&self) -> Vec<f64> {
        match self.standardise {
            Standardise::All => self.standard.deviation.clone(),
            Standardise::Site | Standardise::Combat => vec![1.0; self.standard.deviation.len()],
        }
    }
}

/// The sets of rows that are asked for so that each of `wanted`, all standardised alike, is one of them or a
/// sum of some: single folds of a deal and its sites where those are fewer.
pub(crate) fn asked_for(wanted: &[RowSet]) -> Vec<RowSet> {
    let mut asked = Vec::new();
    for set in wanted {
        let alike = wanted.iter().filter(|one| (one.repeat, one.sites) == (set.repeat, set.sites));
        let folds = FoldSet(alike.clone().fold(0, |all, one| all | one.folds.0));
        if alike.count() <= folds.iter().count() {
            asked.push(*set);
        } else if !asked
            .iter()
            .any(|one: &RowSet| (one.repeat, one.sites) == (set.repeat, set.sites))
        {
            asked.extend(folds.iter().map(|fold| RowSet { folds: FoldSet::only(fold), ..*set }));
        }
    }
    asked
}

/// Asks for the sums of the training sets of some fits.
pub(super) async fn training_sets<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    keys: &[FitKey],
) -> Result<Vec<TrainingSet>, StudyError> {
    let design = ground.design;
    let mut wanted = Vec::new();
    for of_set in keys.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let standard = Arc::new(ground.cells.standard(&rows));
        for standardise in Standardise::EACH {
            let scaled = |key: &FitKey| design.grid[key.point].standardise() == standardise;
            if of_set.iter().any(scaled) {
                let scaler = scaler(ground.cells, standardise, &rows);
                let fill = standard.fill(ground.cells.any_missing());
                wanted.push((GramTerm { rows, scaler, fill }, standardise, standard.clone()));
            }
        }
    }
    let of_terms: Vec<GramTerm> = wanted.iter().map(|(term, ..)| term.clone()).collect();
    let sums = sums_of(asker, ground.frame, ground.rows(), &of_terms).await?;
    let set =
        |((term, standardise, standard), sums)| TrainingSet { term, standardise, standard, sums };
    Ok(wanted.into_iter().zip(sums).map(set).collect())
}

/// Asks for the sums of some sets of rows, of `rows` in all.
pub(super) async fn sums_of<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    rows: u64,
    wanted: &[GramTerm],
) -> Result<Vec<Sums>, StudyError> {
    let asked = terms(wanted.iter());
    let parts = ask(asker, frame, rows, &asked).await?;
    let finest = parts.iter().map(|part| part.bits).max().unwrap_or(0);
    let features = asker.schema.features as usize;
    let labelling = asker.schema.labelling;
    let sums = |term: &GramTerm| {
        let of_set = parts_of(term, &asked);
        let add = |of: fn(&Part) -> &[i64]| {
            let summands: Vec<(&[i64], u8)> =
                of_set.iter().map(|&at| (of(&parts[at]), finest - parts[at].bits)).collect();
            let length = summands.first().map_or(0, |(values, _)| values.len());
            let entry = |k: usize| {
                let whole: i128 = summands.iter().map(|(v, shift)| i128::from(v[k]) << shift).sum();
                // Most fit 64 bits, which are quicker to convert.
                let value =
                    i64::try_from(whole).map_or_else(|_| whole as f64, |small| small as f64);
                value * unit(finest)
            };
            (0..length).map(entry).collect::<Vec<f64>>()
        };
        let by_class = add(|part| &part.by_class);
        let by_class = by_class.chunks_exact(features + 1).map(<[f64]>::to_vec).collect();
        Sums { features, gram: add(|part| &part.gram), by_class, labelling }
    };
    Ok(wanted.par_iter().map(sums).collect())
}

/// Sums of a term, in whole units.
struct Part {
    bits: u8,
    gram: Vec<i64>,
    by_class: Vec<i64>,
}

/// The terms that are asked for: what makes rows of a training set depend on the set is asked set by set.
fn terms<'a>(wanted: impl Iterator<Item = &'a GramTerm> + Clone) -> Vec<GramTerm> {
    let (alike, others): (Vec<&GramTerm>, Vec<&GramTerm>) = wanted.partition(|term| adds_up(term));
    let alike: Vec<RowSet> = alike.into_iter().map(|term| term.rows).collect();
    let alike = asked_for(&alike).into_iter();
    let alike = alike.map(|rows| GramTerm { rows, scaler: Scaler::Folded, fill: Fill::Complete });
    alike.chain(others.into_iter().cloned()).collect()
}

/// Whether its rows are the same numbers in every training set.
fn adds_up(term: &GramTerm) -> bool {
    term.scaler == Scaler::Folded && term.fill == Fill::Complete
}

/// Which of the terms that were asked for add up to one.
fn parts_of(term: &GramTerm, asked: &[GramTerm]) -> Vec<usize> {
    if let Some(at) = asked.iter().position(|one| one == term) {
        return vec![at];
    }
    let is_part = |one: &GramTerm| {
        let RowSet { repeat, folds, sites } = one.rows;
        let within = folds.0 & !term.rows.folds.0 == 0;
        adds_up(one) && within && (repeat, sites) == (term.rows.repeat, term.rows.sites)
    };
    (0..asked.len()).filter(|&at| is_part(&asked[at])).collect()
}

async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    rows: u64,
    asked: &[GramTerm],
) -> Result<Vec<Part>, StudyError> {
    let columns = asker.schema.features as usize + 1;
    let triangle = columns * (columns + 1) / 2;
    let by_class = usize::from(asker.schema.classes) * columns;
    let bits = bits_of_products(rows as f64 * asker.schema.weighting.most());
    let mut parts = Vec::with_capacity(asked.len());
    for slice in slices(asked.len(), (triangle + by_class) as u64) {
        let terms = &asked[slice];
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::ClassGram {
                frame: frame.clone(),
                terms: terms.to_vec(),
                bits,
            })
            .await?;
        let grams = answer.counts("gram").chunks_exact(triangle);
        let sums = answer.counts("sums").chunks_exact(by_class);
        let bits = answer.bits("gram");
        let part = |(gram, sums): (&[i64], &[i64])| Part {
            bits,
            gram: gram.to_vec(),
            by_class: sums.to_vec(),
        };
        parts.extend(grams.zip(sums).map(part));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use wardround_core::query::SiteSet;

    use super::*;

    fn rows(repeat: u8, folds: &[u8], sites: SiteSet) -> RowSet {
        RowSet { repeat, folds: FoldSet(folds.iter().map(|fold| 1 << fold).sum()), sites }
    }

    fn term(rows: RowSet) -> GramTerm {
        GramTerm { rows, scaler: Scaler::Folded, fill: Fill::Complete }
    }

    #[test]
    fn training_sets_are_sums_of_folds_where_those_are_fewer() {
        let everywhere = |folds: &[u8]| rows(0, folds, SiteSet::All);
        let left_out = rows(0, &[0, 1, 2], SiteSet::Without(1));
        let wanted = [
            everywhere(&[0, 1]),
            everywhere(&[0, 2]),
            everywhere(&[1, 2]),
            everywhere(&[0, 1, 2]),
            left_out,
        ];
        let single = |fold| everywhere(&[fold]);
        assert_eq!(asked_for(&wanted), [single(0), single(1), single(2), left_out]);
        let asked: Vec<GramTerm> = asked_for(&wanted).into_iter().map(term).collect();
        assert_eq!(parts_of(&term(wanted[1]), &asked), [0, 2]);
        assert_eq!(parts_of(&term(wanted[3]), &asked), [0, 1, 2]);
        assert_eq!(parts_of(&term(left_out), &asked), [3]);
        // Three sets of three folds are no more than the folds.
        assert_eq!(asked_for(&wanted[..3]), wanted[..3]);
    }

    #[test]
    fn what_depends_on_the_training_set_is_asked_for_as_it_is() {
        let sets: Vec<GramTerm> = [[0, 1].as_slice(), &[0, 2], &[1, 2], &[0, 1, 2]]
            .map(|folds| rows(0, folds, SiteSet::All))
            .map(|rows| GramTerm { scaler: Scaler::OwnSite(rows.folds), ..term(rows) })
            .to_vec();
        assert_eq!(terms(sets.iter()), sets);
        assert_eq!(parts_of(&sets[2], &sets), [2]);
    }
}
