//! Judges a finished model at sites, on rows that had no part in its fit. Nothing is fitted: the questions are who is there, how the
//! bundle's models score them, and the same under draws of the patients.
//!
//! Rows are dealt into folds as in any study, though the model doesn't know them: recalibration and conformal sets are learned from some
//! folds' scores and judged on another's ([`crate::metrics::uncertainty`]). All other figures are of all rows in one list, called at
//! the bundle's own threshold.

mod agree;
mod models;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Column, FoldSet, Model, RowSet, Schema, ScoreList, SiteSet};
use wardround_core::study::{Bootstrap, EnsemblePoint, Study};

pub use self::agree::{agree_with_sites, disagreements};

use self::models::Asked;
use super::asker::Asker;
use super::class_means;
use super::error::StudyError;
use super::event::{Observer, StudyEvent};
use super::profile;
use super::readers;
use super::resample::{self, Resampling};
use super::scores::{BINS, ask_placements, ask_scores, with_their_models};
use crate::bundle::{Learner, ModelBundle, Scorer};
use crate::cohort::{AnyCohort, Cohort, Dispatch};
use crate::findings::{
    Calls, Comparison, Cost, Evaluated, EvaluatedBundle, FinalEnsemble, FinalFit, FinalFourier,
    FinalKernel, FinalLimits, FinalLinear, FinalMember, FinalModel, Findings, GridPoint,
    LearningCurve, Matrix, Nested, Outliers, OwnSites, Profile, Races, Readers, Shift, Shortcuts,
    SubgroupNames, TargetFindings, TreeCounts, TreeGains,
};
use crate::metrics::judge::{self, CellSums, Part, without_interval};
use crate::metrics::ranking::site_only_auc;
use crate::metrics::{PlacementSums, ScoreCell, Threshold};

/// Judges a bundle at some sites of a cohort; `sites`, `schemas` and `observer` as [`super::run`] takes them.
///
/// # Errors
/// [`StudyError`] in clear sentences; [`crate::cohort::CohortError::SiteLost`] comes through, and the caller starts again without
/// the site.
pub async fn evaluate<C: Cohort>(
    cohort: &C,
    study: &Study,
    bundle: &ModelBundle,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    let cohort = AnyCohort::new(cohort);
    dispatched(cohort, study, bundle, id, sites, schemas, observer).await
}

/// [`over`] behind a pointer, so that it is compiled here.
fn dispatched<'a>(
    cohort: AnyCohort<'a>,
    study: &'a Study,
    bundle: &'a ModelBundle,
    id: &'a StudyId,
    sites: &'a [SiteId],
    schemas: &'a [Schema],
    observer: &'a dyn Observer,
) -> Dispatch<'a, Result<Findings, StudyError>> {
    Box::pin(async move { over(&cohort, study, bundle, id, sites, schemas, observer).await })
}

async fn over<C: Cohort>(
    cohort: &C,
    study: &Study,
    bundle: &ModelBundle,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    let unfit = StudyError::Unfit;
    let evaluation = study
        .evaluation()
        .ok_or_else(|| unfit("it fits models, and was asked to judge a finished one".to_owned()))?;
    let wrong = disagreements(study, bundle);
    if !wrong.is_empty() {
        return Err(unfit(wrong.join("; ")));
    }
    let [schema] = schemas else {
        return Err(unfit(format!("expected rows of 1 input, got {}", schemas.len())));
    };
    agree_with_sites(bundle, schema.features, None).map_err(unfit)?;
    let folds = study.fold_plan();
    let asked = Asked::new(bundle, FoldSet::all(folds.folds)).map_err(unfit)?;
    let mut asker = Asker::new(cohort, observer, id, sites, schema, folds);
    let phase = |name| observer.event(&StudyEvent::Phase { name, models: bundle.models.len() });
    phase("profile");
    let profile = profile::profile(&mut asker).await?;
    phase("figures");
    let thresholds = bundle.models.iter().map(|model| Threshold::nearest(BINS, model.threshold));
    let judging = Judging {
        study,
        bundle,
        asked: &asked,
        thresholds: thresholds.collect::<Result<_, _>>()?,
        rows: profile.all.rows(),
    };
    let (mut targets, whole) = judging.targets(&mut asker, &profile).await?;
    let names = study.target.classes.names();
    let mut class_means = class_means::of(study.target.classes.labelling(), &names, &targets);
    if let Bootstrap::Of(_) = study.validation.bootstrap {
        phase("intervals");
        let (models, lists) = judging.whole_lists(folds.folds);
        let parts = |at: &Threshold| vec![*at; usize::from(folds.folds)];
        let thresholds: Vec<_> = judging.thresholds.iter().map(parts).collect();
        let resampling = Resampling::of_lists(
            asked.frame.clone(),
            (models, lists),
            &thresholds,
            &whole,
            judging.rows,
        );
        let how = (study.validation.bootstrap, study.seed);
        resample::ask(&mut asker, how, &resampling, &mut targets, &mut class_means).await?;
    }
    let mut findings = Findings {
        sites: sites.to_vec(),
        classes: study.target.classes.names(),
        subgroups: study
            .subgroups
            .iter()
            .map(|s| SubgroupNames { name: s.name.clone(), levels: s.level_names() })
            .collect(),
        features: schema.features,
        profile,
        combination: 0,
        grid: bundle.manifest.models.iter().map(|entry| point(&entry.learner)).collect(),
        targets,
        comparison: Comparison::Single,
        own_sites: OwnSites::NotAsked,
        matrix: Matrix::NotAsked,
        learning_curve: LearningCurve::NotAsked,
        outliers: Outliers::NotAsked,
        shortcuts: Shortcuts::NotAsked,
        shift: Shift::NotAsked,
        readers: Readers::NotAsked,
        class_means,
        calls: Calls::NotAsked,
        cost: Cost { queries: asker.queries, ..Cost::default() },
        evaluated: Evaluated::Bundle(EvaluatedBundle {
            digest: evaluation.model,
            study: bundle.manifest.study.clone(),
            study_digest: bundle.manifest.study_digest,
            software: bundle.manifest.software.clone(),
            learner: words(&bundle.manifest.models[0].learner),
            sites: bundle.manifest.sites.clone(),
            figures: bundle.manifest.models.iter().map(|entry| entry.figures.clone()).collect(),
        }),
    };
    readers::ask(cohort, study, id, (sites, schema), observer, &mut findings).await?;
    Ok(findings)
}

struct Judging<'a> {
    study: &'a Study,
    bundle: &'a ModelBundle,
    asked: &'a Asked,
    thresholds: Vec<Threshold>,
    rows: u64,
}

/// Scores per list and cell, and their placement sums.
struct Cells {
    scores: Vec<Vec<ScoreCell>>,
    placements: Vec<Vec<PlacementSums>>,
}

impl Judging<'_> {
    /// Per modelled class, all rows: a part per fold.
    fn whole_lists(&self, folds: u8) -> (Vec<Model>, Vec<ScoreList>) {
        let list = |(class, model): (u8, u32)| ScoreList {
            class,
            parts: (0..folds).map(|fold| (fold_rows(fold), model)).collect(),
        };
        let classes = self.classes().zip(self.asked.of_class.iter().copied());
        (self.asked.models.clone(), classes.map(list).collect())
    }

    /// Per modelled class and fold, that fold.
    fn fold_lists(&self, folds: u8) -> Vec<ScoreList> {
        let classes = self.classes().zip(&self.asked.of_class);
        let lists = classes.flat_map(|(class, &model)| {
            (0..folds).map(move |fold| ScoreList { class, parts: vec![(fold_rows(fold), model)] })
        });
        lists.collect()
    }

    fn classes(&self) -> impl Iterator<Item = u8> {
        self.bundle.manifest.models.iter().map(|entry| entry.class)
    }

    /// The findings of every modelled class, and all its scores.
    async fn targets<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        profile: &Profile,
    ) -> Result<(Vec<TargetFindings>, Vec<ScoreCell>), StudyError> {
        let folds = asker.folds.folds;
        let per_class = usize::from(folds);
        let by_site = self.cells(asker, &[Column::Site]).await?;
        let mut by_subgroup = Vec::new();
        for column in 0..asker.schema.levels.len() as u8 {
            by_subgroup.push(self.cells(asker, &[Column::Subgroup(column)]).await?);
        }
        let mut whole = Vec::new();
        for lists in by_site.scores.chunks_exact(per_class) {
            whole.push(ScoreCell::merged(lists.iter().flatten())?);
        }
        let together: Vec<Vec<ScoreCell>> = whole.iter().map(|cell| vec![cell.clone()]).collect();
        let one_list = self.placements(asker, &[], &together).await?;
        let mut targets = Vec::new();
        for (at, class) in self.classes().enumerate() {
            let of_class = |cells: &Cells, cell: usize| CellSums {
                parts: cells.scores[at * per_class..(at + 1) * per_class]
                    .iter()
                    .map(|cells| Part { cell: cells[cell].clone(), threshold: self.thresholds[at] })
                    .collect(),
                placements: cells.placements[at][cell],
            };
            let sites: Vec<CellSums> =
                (0..asker.sites.len()).map(|site| of_class(&by_site, site)).collect();
            let mut parts = Vec::new();
            for fold in &by_site.scores[at * per_class..(at + 1) * per_class] {
                let cell = ScoreCell::merged(fold)?;
                parts.push(Part { cell, threshold: self.thresholds[at] });
            }
            let levels = by_subgroup.iter().zip(&asker.schema.levels).map(|(cells, &levels)| {
                (0..usize::from(levels)).map(|level| of_class(cells, level)).collect()
            });
            let judged = judge::judged(
                self.study.validation.threshold,
                &CellSums { parts, placements: one_list[at][0] },
                &sites,
                &levels.collect::<Vec<Vec<CellSums>>>(),
            )?;
            let counts: Vec<[u64; 2]> =
                profile.by_site.iter().map(|cell| cell.judged_against(class)).collect();
            targets.push(TargetFindings {
                class,
                used_for_choosing: Vec::new(),
                nested: Nested { choices: Vec::new(), judged, folds: Vec::new() },
                left_out: Vec::new(),
                site_only_auc: without_interval(site_only_auc(&counts)),
                model: FinalModel {
                    point: at,
                    threshold: self.thresholds[at].probability(),
                    limits: FinalLimits::NotLearned,
                    gains: TreeGains::NotKept,
                    fitted: fitted(
                        &self.bundle.manifest.models[at].learner,
                        &self.bundle.models[at].scorer,
                    ),
                },
                trees: TreeCounts::Given,
                races: Races::Off,
            });
        }
        Ok((targets, whole))
    }

    /// Scores by fold, and placement sums of all folds in one list.
    async fn cells<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        split: &[Column],
    ) -> Result<Cells, StudyError> {
        let folds = asker.folds.folds;
        let cells = asker.cells(split);
        let lists = self.fold_lists(folds);
        let of = |slice| with_their_models(&self.asked.models, &lists, slice);
        let scores =
            ask_scores(asker, (&self.asked.frame, self.rows), split, lists.len(), of).await?;
        let mut whole = Vec::new();
        for lists in scores.chunks_exact(usize::from(folds)) {
            let cell = |at: usize| ScoreCell::merged(lists.iter().map(|cells| &cells[at]));
            whole.push((0..cells).map(cell).collect::<Result<Vec<_>, _>>()?);
        }
        let placements = self.placements(asker, split, &whole).await?;
        Ok(Cells { scores, placements })
    }

    /// Placement sums per modelled class and cell, given its scores.
    async fn placements<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        split: &[Column],
        scores: &[Vec<ScoreCell>],
    ) -> Result<Vec<Vec<PlacementSums>>, StudyError> {
        let (models, lists) = self.whole_lists(asker.folds.folds);
        let of = |slice| with_their_models(&models, &lists, slice);
        ask_placements(asker, (&self.asked.frame, self.rows), split, scores, of).await
    }
}

fn fold_rows(fold: u8) -> RowSet {
    RowSet { repeat: 0, folds: FoldSet::only(fold), sites: SiteSet::All }
}

/// What stands in place of a grid point.
fn point(learner: &Learner) -> GridPoint {
    match learner {
        Learner::Linear { point, .. }
        | Learner::Fourier { point, .. }
        | Learner::Trees { point }
        | Learner::Kernel { point, .. } => *point,
        Learner::Ensemble { ensemble, members } => {
            GridPoint::Ensemble(EnsemblePoint { ensemble: *ensemble, members: members.len() as u8 })
        }
    }
}

/// A bundle's model as findings have it; nothing is known of its fit.
fn fitted(learner: &Learner, scorer: &Scorer) -> FinalFit {
    let (steps, gradient) = (0, 0.0);
    match scorer {
        Scorer::Linear(linear) => FinalFit::Linear(FinalLinear {
            scaler: linear.scaler.clone(),
            weights: linear.weights.clone(),
            intercept: linear.intercept,
            fill: linear.fill.clone(),
            steps,
            gradient,
        }),
        Scorer::Trees(trees) => FinalFit::Trees(trees.clone()),
        Scorer::Fourier(model) => {
            FinalFit::Fourier(FinalFourier { model: model.clone(), steps, gradient })
        }
        Scorer::Kernel(model) => {
            FinalFit::Kernel(FinalKernel { model: model.clone(), violation: gradient })
        }
        Scorer::Ensemble(ensemble) => {
            let both = (0..).zip(learner.singles().iter().zip(&ensemble.members));
            let members = both.map(|(classifier, (learner, member))| FinalMember {
                classifier,
                point: point(learner),
                fitted: fitted(learner, member),
            });
            let members = members.collect();
            FinalFit::Ensemble(FinalEnsemble { members, combine: ensemble.combine.clone() })
        }
    }
}

/// What a model is, in words.
fn words(learner: &Learner) -> String {
    use crate::bundle::LinearMethod;
    match learner {
        Learner::Linear { method, .. } => match method {
            LinearMethod::Logistic => "logistic regression",
            LinearMethod::SquaredHinge => "linear support vector machine",
            LinearMethod::Ridge => "ridge regression",
            LinearMethod::Lda => "linear discriminant analysis",
            LinearMethod::NearestMean => "nearest class mean",
            LinearMethod::Multinomial => "multinomial logistic regression",
        }
        .to_owned(),
        Learner::Fourier { .. } => {
            "support vector machine with a Gaussian kernel on random Fourier features".to_owned()
        }
        Learner::Trees { point: GridPoint::Boosting(_) } => "gradient-boosted trees".to_owned(),
        Learner::Trees { .. } => "random forest".to_owned(),
        Learner::Kernel { .. } => "support vector machine that is made of rows".to_owned(),
        Learner::Ensemble { members, .. } => {
            let members: Vec<String> = members.iter().map(words).collect();
            format!("ensemble of {}", members.join("; "))
        }
    }
}
