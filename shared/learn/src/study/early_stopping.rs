//! How many boosted trees a model has: as many as make the log loss of rows held out of its training rows
//! least (Prechelt 1998, "Early stopping - but when?"; XGBoost's `early_stopping_rounds`).
//!
//! A model is never judged on its own training rows, nor on the rows that it will be judged on. For an outer
//! fold's model the inner models stand in, each fitted without one more fold and judged on that fold; for
//! the final model, and for that without a site, the models of the outer folds do. Where folds are dealt several
//! times, the final model's stand-ins are those of all deals. With two folds there are no inner models, so
//! such a study is refused.
//!
//! All models grow in lockstep. Every [`STEP`] trees, and at the most trees that the study allows, one question asks for the log
//! loss of every model's stand-ins, summed over all their folds and all sites. A model is done once the loss
//! hasn't become less for `patience` trees; it has as many trees as at its least loss, the first of equal ones. It and its stand-ins
//! grow side by side, since rounds cost more than the trees beyond the least loss, which are dropped. Rows count once each in the loss,
//! with class weights or without.

use std::collections::BTreeMap;
use std::sync::Arc;

use wardround_core::query::{Frame, Model, ScoreList};

use super::asker::Asker;
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::scores::log_losses;
use crate::cohort::Cohort;
use crate::trees::lockstep::{TreeFit, fit_all};

/// Trees from one look at the loss to the next.
pub(crate) const STEP: u32 = 5;

/// What growing needs to know.
pub(crate) struct Growing<'a> {
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    /// The classifier's number in the study.
    pub number: u32,
    /// Rows of all sites.
    pub rows: u64,
    /// Which fit is whose.
    pub by_key: BTreeMap<FitKey, usize>,
}

/// A model whose number of trees is looked for.
struct Curve {
    key: FitKey,
    /// Its own fit, then those that stand in for it.
    fits: Vec<usize>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Unknown,
    Growing { least: f64, at: u32 },
    Done { at: u32 },
}

impl Curve {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// Takes the loss of the first `trees` trees of at most `most`.
    fn take(&mut self, trees: u32, most: u32, loss: f64, patience: u32) {
        let (least, at) = match self.state {
            State::Growing { least, at } if loss >= least => (least, at),
            _ => (loss, trees),
        };
        let done = trees >= most || trees - at >= patience;
        self.state = if done { State::Done { at } } else { State::Growing { least, at } };
    }
}

/// Grows all fits and returns how many trees each model has that something is chosen for; fits may have more.
pub(crate) async fn grow<C: Cohort>(
    asker: &mut Asker<'_, C>,
    growing: &Growing<'_>,
    fits: &mut [TreeFit],
    patience: u32,
) -> Result<BTreeMap<FitKey, u32>, StudyError> {
    let mut curves = curves(growing);
    let most = fits.iter().map(|fit| fit.count).max().unwrap_or(0);
    fits.iter_mut().for_each(|fit| fit.count = 0);
    let (mut trees, mut rounds) = (0, 0);
    while curves.iter().any(|curve| !curve.is_done()) {
        let open: Vec<&mut Curve> = curves.iter_mut().filter(|curve| !curve.is_done()).collect();
        trees = most.min(trees + STEP);
        for curve in &open {
            curve.fits.iter().for_each(|&fit| fits[fit].count = trees);
        }
        rounds = fit_all(asker, growing.frame, growing.number, fits, rounds).await?;
        let losses = losses(asker, growing, fits, &open).await?;
        for (curve, loss) in open.into_iter().zip(losses) {
            curve.take(trees, most, loss, patience);
        }
    }
    let counts = curves.iter().filter_map(|curve| match curve.state {
        State::Done { at } => Some((curve.key, at)),
        _ => None,
    });
    Ok(counts.collect())
}

fn curves(growing: &Growing<'_>) -> Vec<Curve> {
    let fit = |key: &FitKey| growing.by_key[key];
    let with_stand_ins = growing.by_key.keys().filter_map(|key| {
        let stand_ins = growing.design.stand_ins(key);
        let all = std::iter::once(key).chain(stand_ins.iter().map(|scored| &scored.fit));
        let (fits, state) = (all.map(fit).collect(), State::Unknown);
        (!stand_ins.is_empty()).then_some(Curve { key: *key, fits, state })
    });
    with_stand_ins.collect()
}

/// The held-out log loss of the stand-ins of each model, with the trees that they have.
async fn losses<C: Cohort>(
    asker: &mut Asker<'_, C>,
    growing: &Growing<'_>,
    fits: &[TreeFit],
    curves: &[&mut Curve],
) -> Result<Vec<f64>, StudyError> {
    let mut models = Vec::new();
    let mut index = BTreeMap::new();
    let list = |curve: &&mut Curve| {
        let parts = growing.design.stand_ins(&curve.key).into_iter().map(|scored| {
            let fit = growing.by_key[&scored.fit];
            let at = *index.entry(fit).or_insert_with(|| {
                models.push(Model::Trees(fits[fit].model(fits[fit].trees.len())));
                models.len() as u32 - 1
            });
            (scored.rows, at)
        });
        let parts = parts.collect();
        ScoreList { class: growing.design.classes[curve.key.target], parts }
    };
    let lists = curves.iter().map(list).collect();
    log_losses(asker, growing.frame, growing.rows, models, lists).await
}
