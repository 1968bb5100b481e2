//! Lists of scores to judge: which model scores which rows. A list is asked for by the splits that
//! are needed, in slices where the answer is large.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use wardround_core::query::{
    Ask, Bins, CALIBRATION_BINS, Column, EnsembleModel, FoldSet, FourierModel, Frame, LinearModel,
    MapScaler, Model, RowSet, Scaler, ScoreList, SiteSet,
};

use super::asker::{Asker, finest_bits, slices};
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::fits::Models;
use crate::cohort::Cohort;
use crate::metrics::cells::{placement_cells, score_cells};
use crate::metrics::interval::placement_table;
use crate::metrics::{PlacementSums, ScoreCell};

/// Bins of the logit: a width of 0.023 leaves the AUC within 5e-4 of the unbinned scores'.
pub const BINS: Bins = Bins { half_width: 12.0, count: 1024 };

/// Numbers of a list and cell in an answer to [`Ask::Scores`].
pub(crate) const SCORED_NUMBERS: usize = 2 * BINS.count as usize + 3 * CALIBRATION_BINS + 2;

/// Binary places that are always kept.
pub(crate) const COARSEST_BITS: u8 = 12;

/// Binary places kept free for a log loss that is larger than the number of rows.
pub(crate) const LOSS_RESERVE: u8 = 8;

/// Rows with the model that scores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scored {
    pub rows: RowSet,
    pub fit: FitKey,
    /// The model that something is chosen for by these scores; the scoring one itself where it is judged. It
    /// says how many trees count.
    pub stands_for: FitKey,
}

/// Some lists of scores, each of one modelled class.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists(Vec<(u8, Vec<Scored>)>);

impl Scored {
    /// One fold of a repeat by a model.
    pub fn fold(fold: u8, sites: SiteSet, fit: FitKey) -> Self {
        Self::rows(RowSet { repeat: fit.repeat, folds: FoldSet::only(fold), sites }, fit)
    }

    /// Rows by a model.
    pub fn rows(rows: RowSet, fit: FitKey) -> Self {
        Self { rows, fit, stands_for: fit }
    }

    /// The same scores, to choose something for another model by.
    pub fn for_choice_of(self, stands_for: FitKey) -> Self {
        Self { stands_for, ..self }
    }
}

impl Lists {
    /// Adds a list and returns its index.
    pub fn push(&mut self, design: &Design, parts: Vec<Scored>) -> usize {
        let class = parts.first().map_or(0, |part| design.classes[part.fit.target]);
        self.0.push((class, parts));
        self.0.len() - 1
    }

    /// The rows of a list with the models that score them.
    pub fn parts(&self, list: usize) -> &[Scored] {
        &self.0[list].1
    }

    /// Asks for the scores of all lists: per list, per cell of the split.
    pub async fn scores<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        ground: &Scoring<'_>,
        split: &[Column],
    ) -> Result<Vec<Vec<ScoreCell>>, StudyError> {
        let some = |slice| self.slice(slice, ground);
        ask_scores(asker, (ground.frame, ground.rows), split, self.0.len(), some).await
    }

    /// Asks for the placement sums of all lists, given their scores by the same split.
    pub async fn placements<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        ground: &Scoring<'_>,
        split: &[Column],
        scores: &[Vec<ScoreCell>],
    ) -> Result<Vec<Vec<PlacementSums>>, StudyError> {
        let some = |slice| self.slice(slice, ground);
        ask_placements(asker, (ground.frame, ground.rows), split, scores, some).await
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Some of the lists with the models they use, each once, in the order of first use.
    pub fn slice(&self, slice: Range<usize>, ground: &Scoring<'_>) -> (Vec<Model>, Vec<ScoreList>) {
        let mut models = Vec::new();
        let mut index = BTreeMap::new();
        let lists = self.0[slice]
            .iter()
            .map(|(class, parts)| {
                let parts = parts.iter().map(|part| {
                    let fit = ground.design.fitted_as(part.fit);
                    let at = *index
                        .entry((fit, scale_of(part), ground.trees(part)))
                        .or_insert_with(|| {
                            models.push(ground.model(part));
                            models.len() as u32 - 1
                        });
                    (part.rows, at)
                });
                ScoreList { class: *class, parts: parts.collect() }
            })
            .collect();
        (models, lists)
    }
}

/// Asks for the scores of `count` lists, of which `some` gives a slice with its models: per list, per cell of the split.
pub(crate) async fn ask_scores<C: Cohort>(
    asker: &mut Asker<'_, C>,
    (frame, rows): (&Arc<Frame>, u64),
    split: &[Column],
    count: usize,
    some: impl Fn(Range<usize>) -> (Vec<Model>, Vec<ScoreList>),
) -> Result<Vec<Vec<ScoreCell>>, StudyError> {
    let cells = asker.cells(split);
    let mut scores = Vec::with_capacity(count);
    let bits = finest_bits(rows as f64, LOSS_RESERVE);
    for slice in slices(count, (SCORED_NUMBERS * cells) as u64) {
        let (models, lists) = some(slice);
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Scores {
                frame: frame.clone(),
                models: models.clone(),
                lists: lists.clone(),
                split: split.to_vec(),
                bins: BINS,
                bits,
            })
            .await?;
        let all = score_cells(&answer.query, &answer.sum)?;
        scores.extend(all.chunks_exact(cells).map(<[ScoreCell]>::to_vec));
    }
    Ok(scores)
}

/// Asks for the placement sums of lists, given their scores by the same split; see [`ask_scores`].
pub(crate) async fn ask_placements<C: Cohort>(
    asker: &mut Asker<'_, C>,
    (frame, rows): (&Arc<Frame>, u64),
    split: &[Column],
    scores: &[Vec<ScoreCell>],
    some: impl Fn(Range<usize>) -> (Vec<Model>, Vec<ScoreList>),
) -> Result<Vec<Vec<PlacementSums>>, StudyError> {
    let cells = asker.cells(split);
    let mut placements = Vec::with_capacity(scores.len());
    // A patient's deviation is at most the number of its rows.
    let bits = finest_bits((rows as f64) * (rows as f64), 1);
    // The question is larger than the answer: it carries the tables.
    for slice in slices(scores.len(), (2 * BINS.count as usize * cells) as u64) {
        let tables: Vec<_> = scores[slice.clone()]
            .iter()
            .flatten()
            .map(|cell| placement_table(&cell.histogram))
            .collect();
        let (models, lists) = some(slice);
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Placements {
                frame: frame.clone(),
                models: models.clone(),
                lists: lists.clone(),
                split: split.to_vec(),
                bins: BINS,
                tables: tables.clone(),
                bits,
            })
            .await?;
        let all = placement_cells(&answer.query, &answer.sum)?;
        placements.extend(all.chunks_exact(cells).map(<[PlacementSums]>::to_vec));
    }
    Ok(placements)
}

/// Some of the lists that share models, with those that they need, each once, in the order of first use.
pub(crate) fn with_their_models(
    models: &[Model],
    lists: &[ScoreList],
    slice: Range<usize>,
) -> (Vec<Model>, Vec<ScoreList>) {
    let (mut needed, mut lists) = (Vec::new(), lists[slice].to_vec());
    let mut places = BTreeMap::new();
    for (_, model) in lists.iter_mut().flat_map(|list| &mut list.parts) {
        *model = *places.entry(*model).or_insert_with(|| {
            needed.push(models[*model as usize].clone());
            needed.len() as u32 - 1
        });
    }
    (needed, lists)
}

/// Whose rows scale the features of what is scored, where each site is scaled by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ScaleOf {
    /// The site's own training folds.
    TrainingFolds,
    /// All the site's own rows: it had no part in the training.
    AllRows,
}

fn scale_of(part: &Scored) -> ScaleOf {
    match (part.rows.sites, part.fit.sites) {
        (SiteSet::Only(scored), SiteSet::Without(left_out)) if scored == left_out => {
            ScaleOf::AllRows
        }
        (SiteSet::Only(scored), SiteSet::Only(trained)) if scored != trained => ScaleOf::AllRows,
        _ => ScaleOf::TrainingFolds,
    }
}

/// What scoring needs to know.
pub(crate) struct Scoring<'a> {
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub models: &'a Models,
    /// Rows of all sites.
    pub rows: u64,
}

/// The log loss of each list, summed over its rows.
pub(crate) async fn log_losses<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    rows: u64,
    models: Vec<Model>,
    lists: Vec<ScoreList>,
) -> Result<Vec<f64>, StudyError> {
    let bits = finest_bits(rows as f64, LOSS_RESERVE);
    let answer = asker
        .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Scores {
            frame: frame.clone(),
            models: models.clone(),
            lists: lists.clone(),
            split: Vec::new(),
            // Nobody asks for the ranking.
            bins: Bins { count: 1, ..BINS },
            bits,
        })
        .await?;
    Ok(answer.values("log_loss"))
}

impl Scoring<'_> {
    /// How many of a model's trees count, where it has more than that.
    fn trees(&self, part: &Scored) -> Option<u32> {
        self.models.stopped.get(&part.stands_for).copied()
    }

    fn model(&self, part: &Scored) -> Model {
        let mut model = self.models.get(&self.design.fitted_as(part.fit)).model();
        if let (Model::Trees(model), Some(trees)) = (&mut model, self.trees(part)) {
            model.trees.truncate(trees as usize);
        }
        if scale_of(part) == ScaleOf::AllRows {
            scale_by(&mut model, self.design.all_folds());
        }
        model
    }
}

/// Has a model that scales each site by itself do so by these folds.
fn scale_by(model: &mut Model, folds: FoldSet) {
    match model {
        Model::Linear(LinearModel { scaler, .. }) => match scaler {
            Scaler::Folded => {}
            Scaler::OwnSite(own) => *own = folds,
            Scaler::Combat(combat) => Arc::make_mut(combat).folds = folds,
        },
        Model::Fourier(FourierModel { map, .. }) if map.scaler.is_own() => {
            match &mut Arc::make_mut(map).scaler {
                MapScaler::Given { .. } => {}
                MapScaler::OwnSite(own) => *own = folds,
                MapScaler::Combat(combat) => Arc::make_mut(combat).folds = folds,
            }
        }
        Model::Ensemble(EnsembleModel { members, .. }) => {
            members.iter_mut().for_each(|member| scale_by(member, folds));
        }
        Model::Softmax(model) if model.scaler.is_own() => match &mut Arc::make_mut(model).scaler {
            Scaler::Folded => {}
            Scaler::OwnSite(own) => *own = folds,
            Scaler::Combat(combat) => Arc::make_mut(combat).folds = folds,
        },
        Model::Trees(_) | Model::Fourier(_) | Model::Softmax(_) | Model::Given(_) => {}
    }
}
