//! Ensembles: models whose members are the models that were chosen for a study's classifiers. Nothing is
//! fitted anew but, for stacking, a logistic regression on the members' logits (Wolpert 1992).
//!
//! For an outer fold the members' grid points are those that were chosen without it, and the stack is fitted
//! to scores of the other folds by members that saw neither the fold nor the rows they score. So the figures
//! are nested as a classifier's are. The stack is penalised by `|w|^2 / 2` on its weights (logits are its
//! features, as they are), the constant is free.

use std::collections::BTreeMap;
use std::sync::Arc;

use wardround_core::query::{ClassWeights, Combine, Model, RowSet};
use wardround_core::study::{EarlyStopping, Ensemble, EnsembleKind, GridPoint, Loss, Study};

use super::asker::Asker;
use super::choose::{Choosing, For};
use super::common::Common;
use super::design::{Design, FitKey, Racing};
use super::error::StudyError;
use super::fits::{Fitted, FittedEnsemble, Ground, Models, failed};
use super::judging::Choices;
use super::profile::{FoldCounts, fold_counts};
use super::race::Standing;
use super::reduce::Selections;
use super::scores::Scored;
use super::single::{Alone, Judged, Single, Verdict, judge};
use crate::cohort::Cohort;
use crate::findings::Cost;
use crate::logistic::basis::Basis;
use crate::logistic::lockstep::{Fit, Space, fit_all};
use crate::logistic::newton::Newton;
use crate::logistic::{Constants, Optimiser, Penalty};
use crate::study::event::StudyEvent;

/// The penalty of a stack's weights.
const STRENGTH: f64 = 1.0;

/// What is kept of a classifier for the ensembles that it is a member of.
pub(crate) struct Member {
    /// Its number in the study.
    pub number: u8,
    pub design: Design,
    pub models: Models,
    /// Per modelled class.
    pub choices: Vec<Choices>,
}

/// Puts members together and judges what comes out.
pub(crate) async fn run<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    ensemble: &Ensemble,
    members: &[&Member],
    common: &mut Common,
) -> Result<Single, StudyError> {
    let before = asker.queries;
    let first = &members[0].design;
    let design = Design {
        grid: vec![GridPoint::Ensemble(ensemble.point())],
        early_stopping: EarlyStopping::Off,
        racing: Racing::Off,
        ..first.clone()
    };
    let choosing = Choosing::of_ensemble(&design);
    let together = Together { design: &design, members, choosing: &choosing };
    let stacks = match ensemble.kind {
        EnsembleKind::SoftVote => Stacks::new(),
        EnsembleKind::Stacking => {
            let counts = fold_counts(asker).await?;
            together.stack(asker, common, &counts).await?
        }
    };
    let fitting_queries = asker.queries - before;
    let models = Models::new(together.models(&stacks), fitting_queries);
    let count = models.len() as u64;
    let frame = common.frame.clone();
    let judged = Judged {
        design: &design,
        frame: &frame,
        models: &models,
        choosing: &choosing,
        standing: &Standing::Everyone,
    };
    let Verdict { targets, replicates, resampling, nested, .. } =
        judge(asker, study, common, judged, Alone::No).await?;
    let cost = Cost {
        queries: asker.queries - before,
        fitting_queries,
        models: count,
        queries_of_slowest_fit: fitting_queries,
    };
    Ok(Single { design, targets, cost, replicates, member: None, nested, resampling })
}

/// An ensemble's members, and which of their models it needs.
struct Together<'a> {
    design: &'a Design,
    members: &'a [&'a Member],
    choosing: &'a Choosing,
}

/// The stacks by modelled class and the choice that they are for.
type Stacks = BTreeMap<(usize, usize), Combine>;

impl Together<'_> {
    /// The models of the ensemble, by every key that it is judged by.
    fn models(&self, stacks: &Stacks) -> Vec<(FitKey, Fitted)> {
        let model = |key: FitKey| {
            let choice = For::numbered(key.point, self.design);
            let stack = stacks.get(&(key.target, key.point)).cloned();
            let origin = |member: &&Member| (member.number, member.point(&key, choice));
            let fitted = FittedEnsemble {
                class: self.design.classes[key.target],
                members: self.members.iter().map(|member| member.fitted(&key, choice)).collect(),
                origins: self.members.iter().map(origin).collect(),
                combine: stack.unwrap_or(Combine::MeanProbability),
            };
            (key, Fitted::Ensemble(fitted))
        };
        self.choosing.keys(self.design).into_iter().map(model).collect()
    }

    /// Fits the stack of every modelled class and choice.
    async fn stack<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        common: &mut Common,
        counts: &FoldCounts,
    ) -> Result<Stacks, StudyError> {
        let design = self.design;
        let wanted: Vec<(usize, For)> = (0..design.classes.len())
            .flat_map(|target| For::all(design).map(move |choice| (target, choice)))
            .collect();
        let mut known = Known::default();
        let all_parts: Vec<Vec<(RowSet, Vec<u32>)>> = wanted
            .iter()
            .map(|&(target, choice)| {
                let scored = self.choosing.without(design, target, choice);
                scored.iter().map(|part| (part.rows, known.members(self, part))).collect()
            })
            .collect();
        let models = Arc::new(known.models);
        let fit = |(&(target, choice), parts): (&(usize, For), Vec<_>)| {
            let (models, parts) = (models.clone(), Arc::new(parts));
            self.fit(target, choice.rows(design), counts, Space::Members { models, parts })
        };
        let mut fits: Vec<Fit> = wanted.iter().zip(all_parts).map(fit).collect();
        asker.observer.event(&StudyEvent::Phase { name: "stacking", models: fits.len() });
        let frame = common.frame.clone();
        if let Err(failure) = fit_all(asker, &frame, Loss::Logistic, &mut fits).await {
            let key = |&(target, choice): &(usize, For)| {
                let RowSet { repeat, folds, sites } = choice.rows(design);
                FitKey { target, point: 0, repeat, folds, sites }
            };
            let keys: Vec<FitKey> = wanted.iter().map(key).collect();
            let (by_site, classes) = (common.profile.by_site.clone(), common.classes.clone());
            let (cells, _) = common.cells(asker).await?;
            let ground = Ground {
                design,
                frame: &frame,
                cells,
                selections: &Selections::default(),
                by_site: &by_site,
                classes: &classes,
            };
            return Err(failed(failure, &keys, &fits, asker, &ground));
        }
        let named = |(&(target, choice), fit): (&(usize, For), &Fit)| {
            let (weights, intercept) = fit.weights_and_constant();
            ((target, choice.number(design)), Combine::Logits { weights, intercept })
        };
        Ok(wanted.iter().zip(&fits).map(named).collect())
    }

    /// A stack of a modelled class, to be fitted to out-of-fold scores of these rows.
    fn fit(&self, target: usize, rows: RowSet, counts: &FoldCounts, space: Space) -> Fit {
        let class = self.design.classes[target];
        let Space::Members { parts, .. } = &space else { unreachable!("made by the caller") };
        let (mut positives, mut count) = (0, 0);
        for (rows, _) in parts.iter() {
            let [of_others, of_class] = counts.of(rows).rows_against(class);
            positives += of_class;
            count += of_others + of_class;
        }
        // Where there is one class alone the first answer says so.
        let share = (positives as f64 / count.max(1) as f64).clamp(1e-6, 1.0 - 1e-6);
        let members = self.members.len();
        let mut start = vec![0.0; members];
        start.push(libm::log(share / (1.0 - share)));
        let penalty = Penalty { strength: vec![STRENGTH; members], constants: Constants::Free };
        let optimiser = Optimiser::Newton(Newton::start(penalty, start));
        Fit {
            rows,
            count,
            class,
            weights: ClassWeights::EQUAL,
            space,
            basis: Basis::Whole,
            optimiser,
        }
    }
}

/// Members' models in one question, each once.
#[derive(Default)]
struct Known {
    models: Vec<Model>,
    index: BTreeMap<(FitKey, usize), u32>,
}

impl Known {
    /// The models that score some rows, one per member.
    fn members(&mut self, together: &Together<'_>, part: &Scored) -> Vec<u32> {
        let choice = For::numbered(part.fit.point, together.design);
        let of_member = |(at, member): (usize, &&Member)| {
            *self.index.entry((part.fit, at)).or_insert_with(|| {
                self.models.push(member.fitted(&part.fit, choice).model());
                self.models.len() as u32 - 1
            })
        };
        together.members.iter().enumerate().map(of_member).collect()
    }
}

impl Member {
    /// The grid point that was chosen for it.
    fn at(&self, key: &FitKey, choice: For) -> usize {
        self.choices[key.target].of(choice, &self.design).point
    }

    fn point(&self, key: &FitKey, choice: For) -> GridPoint {
        let point = self.design.grid[self.at(key, choice)];
        match self.trees(key, choice) {
            Some(trees) => point.with_trees(trees),
            None => point,
        }
    }

    /// Its model of the ensemble's rows at the point that was chosen, with the trees that were.
    fn fitted(&self, key: &FitKey, choice: For) -> Arc<Fitted> {
        let fitted = self.models.shared(&FitKey { point: self.at(key, choice), ..*key });
        match (&*fitted, self.trees(key, choice)) {
            (Fitted::Trees(whole), Some(trees)) if whole.model.trees.len() > trees as usize => {
                let mut cut = whole.clone();
                cut.model.trees.truncate(trees as usize);
                Arc::new(Fitted::Trees(cut))
            }
            _ => fitted,
        }
    }

    /// How many trees it has, where held-out rows said so.
    fn trees(&self, key: &FitKey, choice: For) -> Option<u32> {
        let RowSet { repeat, folds, sites } = choice.rows(&self.design);
        let point = self.at(key, choice);
        let judged = FitKey { target: key.target, point, repeat, folds, sites };
        self.models.stopped.get(&judged).copied()
    }
}
