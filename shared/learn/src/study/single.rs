//! One classifier of a study, from its fits to its figures.

use std::sync::Arc;

use wardround_core::query::{Column, Frame, Model, ScoreList};
use wardround_core::study::{Classifier, Ensemble, Family, Matrix, OwnSiteBaseline, Study};

use super::asker::Asker;
use super::bootstrap::{self, Replicates};
use super::choose::Choosing;
use super::common::Common;
use super::design::{Design, LeavingOut};
use super::ensemble::Member;
use super::error::StudyError;
use super::fits::{self, Ground, Models};
use super::judging::{self, Choices, Judging};
use super::scores::Scoring;
use super::{closed_fits, kernel_fits, tree_fits};
use crate::cohort::Cohort;
use crate::findings::{Cost, TargetFindings};
use crate::metrics::{ScoreCell, Threshold};
use crate::study::event::StudyEvent;

/// What one classifier comes to.
pub(crate) struct Single {
    pub design: Design,
    pub targets: Vec<TargetFindings>,
    pub cost: Cost,
    /// Its AUCs under the study's bootstrap, where it is compared with others.
    pub replicates: Option<Replicates>,
    /// Its models, where it is a member of an ensemble.
    pub member: Option<Member>,
    /// Its nested lists, where the sites' own models are set beside it.
    pub nested: Option<Nested>,
}

/// Every outer fold's rows with the model that was chosen without them, as a question carries them: one list
/// per modelled class and repeat.
pub(crate) struct Nested {
    pub frame: Arc<Frame>,
    pub models: Vec<Model>,
    pub lists: Vec<ScoreList>,
    /// Per list, per fold.
    pub thresholds: Vec<Vec<Threshold>>,
}

impl Nested {
    /// Of a classifier's choices.
    pub fn new(judging: &Judging<'_>, choices: &[Choices]) -> Self {
        let lists = judging.nested_lists(choices);
        let (models, lists) = lists.slice(0..lists.len(), &judging.scoring);
        let thresholds = judging.nested_thresholds(choices);
        Self { frame: judging.scoring.frame.clone(), models, lists, thresholds }
    }
}

/// Whether a classifier is compared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    Yes,
    No,
}

/// Fits a classifier, chooses among its grid points and judges the choices.
pub(crate) async fn run<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    classifier: &Classifier,
    common: &mut Common,
    alone: Alone,
) -> Result<Single, StudyError> {
    let before = asker.queries;
    let design = Design::new(study, classifier, asker.sites)?;
    let Fitted { frame, models, queries_before } =
        fit_design(asker, study, classifier, common, &design).await?;
    let choosing = Choosing::new(&design);
    let judged = Judged { design: &design, frame: &frame, models: &models, choosing: &choosing };
    let Verdict { targets, replicates, choices, nested } =
        judge(asker, study, common, judged, alone).await?;
    let cost = Cost {
        queries: asker.queries - before,
        fitting_queries: models.queries,
        models: models.len() as u64,
        queries_of_slowest_fit: alone_queries(&design, &models, queries_before),
    };
    let number = number(study, classifier);
    let is_member = |ensemble: &Ensemble| ensemble.members.contains(&number);
    let member = study.ensembles.iter().any(is_member).then(|| Member {
        number,
        design: design.clone(),
        models,
        choices,
    });
    Ok(Single { design, targets, cost, replicates, member, nested })
}

fn number(study: &Study, classifier: &Classifier) -> u8 {
    study.classifiers.iter().position(|one| one == classifier).unwrap_or(0) as u8
}

/// Models that are to be judged.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub models: &'a Models,
    pub choosing: &'a Choosing,
}

/// What judging comes to.
pub(crate) struct Verdict {
    pub targets: Vec<TargetFindings>,
    pub replicates: Option<Replicates>,
    /// Per modelled class.
    pub choices: Vec<Choices>,
    pub nested: Option<Nested>,
}

impl<'a> Judged<'a> {
    /// Asks for the scores to choose by: per choosing list, by site.
    pub async fn scores<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        common: &Common,
    ) -> Result<Vec<Vec<ScoreCell>>, StudyError> {
        let models = self.models.len();
        asker.observer.event(&StudyEvent::Phase { name: "scores to choose by", models });
        let scoring = self.scoring(common);
        self.choosing.lists.scores(asker, &scoring, &[Column::Site]).await
    }

    /// What chooses by them and judges the choices.
    pub fn judging(
        &self,
        study: &Study,
        common: &'a Common,
        scores: &'a [Vec<ScoreCell>],
    ) -> Judging<'a> {
        Judging {
            scoring: self.scoring(common),
            choosing: self.choosing,
            scores,
            choose_by: study.validation.choose_by,
            by_site: &common.profile.by_site,
            classes: &common.classes,
        }
    }

    fn scoring(&self, common: &Common) -> Scoring<'a> {
        let Self { design, frame, models, .. } = *self;
        Scoring { design, frame, models, rows: common.rows }
    }
}

/// Chooses among grid points and judges the choices.
pub(crate) async fn judge<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    common: &Common,
    judged: Judged<'_>,
    alone: Alone,
) -> Result<Verdict, StudyError> {
    let scores = judged.scores(asker, common).await?;
    let models = judged.design.classes.len();
    asker.observer.event(&StudyEvent::Phase { name: "figures", models });
    let judging = judged.judging(study, common, &scores);
    let choices = judging.all_choices(asker)?;
    let targets = judging::targets(asker, &judging, &choices).await?;
    let replicates = match alone {
        Alone::Yes => None,
        Alone::No => Some(bootstrap::ask(asker, &judging, &choices, study.seed).await?),
    };
    let nested = match study.validation.own_site_baseline {
        OwnSiteBaseline::Off => None,
        OwnSiteBaseline::On => Some(Nested::new(&judging, &choices)),
    };
    Ok(Verdict { targets, replicates, choices, nested })
}

/// What the final model at the slowest grid point alone would have asked: the profile, moments, a Gram matrix
/// where one is needed, and its own rounds.
fn alone_queries(design: &Design, models: &Models, before: u64) -> u64 {
    let rounds = models.most_evaluations(design.slowest_point(), design.all_folds());
    1 + before + models.gram_queries.min(1) + rounds
}

/// The models of a design, with what they act on.
pub(crate) struct Fitted {
    pub frame: Arc<Frame>,
    pub models: Models,
    /// Questions that a study of this classifier alone asks before it fits.
    pub queries_before: u64,
}

/// Fits all models of a design.
pub(crate) async fn fit_design<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    classifier: &Classifier,
    common: &mut Common,
    design: &Design,
) -> Result<Fitted, StudyError> {
    let observer = asker.observer;
    let phase = |name, models| observer.event(&StudyEvent::Phase { name, models });
    let family = classifier.family();
    let number = number(study, classifier);
    let by_site = common.profile.by_site.clone();
    let classes = common.classes.clone();
    let (frame, models, queries_before) = match family {
        Family::Linear(_) | Family::ClosedForm(_) | Family::Rbf => {
            let frame = common.frame.clone();
            let (cells, queries) = common.cells(asker).await?;
            let ground =
                Ground { design, frame: &frame, cells, by_site: &by_site, classes: &classes };
            phase("fit", design.fits().len());
            let models = match family {
                Family::Linear(loss) => fits::fit(asker, &ground, loss).await?,
                Family::Rbf => kernel_fits::fit(asker, &ground).await?,
                _ => closed_fits::fit(asker, &ground).await?,
            };
            (frame, models, queries)
        }
        Family::Forest | Family::Boosting => {
            let frame = common.grid_frame.clone();
            let by_site =
                design.left_out == LeavingOut::EverySite || study.validation.matrix == Matrix::On;
            let (counts, queries) = common.grid(asker, by_site).await?;
            phase("trees", design.fits().len());
            let ground = tree_fits::Ground {
                classifier,
                design,
                frame: &frame,
                counts,
                classes: &classes,
                seed: study.seed,
                number: u32::from(number),
            };
            let models = tree_fits::fit(asker, &ground).await?;
            (frame, models, queries)
        }
    };
    Ok(Fitted { frame, models, queries_before })
}
