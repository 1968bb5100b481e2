//! One classifier of a study, from its fits to its figures.

use std::sync::Arc;

use wardround_core::query::{Column, Frame, Model, ScoreList};
use wardround_core::study::{
    Bootstrap, Classifier, Confusion, Ensemble, Family, Matrix, OwnSiteBaseline, Shortcuts, Study,
};

use super::asker::Asker;
use super::bootstrap::{self, Replicates};
use super::choose::Choosing;
use super::common::Common;
use super::design::{Design, FitKey, LeavingOut, Racing};
use super::ensemble::Member;
use super::error::StudyError;
use super::fits::{self, Ground, Models};
use super::judging::{self, Choices, Judging};
use super::race::{self, Standing};
use super::resample::Resampling;
use super::scores::Scoring;
use super::{
    bagged_fits, closed_fits, kernel_fits, machine_fits, multinomial_fits, reduce, tree_fits,
};
use crate::cohort::Cohort;
use crate::findings::{Cost, ProfileCell, TargetFindings};
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
    /// Its nested lists, where the sites' own models are set beside it, shortcuts are looked for or they are judged by two columns
    /// at once.
    pub nested: Option<Nested>,
    /// What is resampled for intervals, where that is on.
    pub resampling: Option<Resampling>,
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
    let Fitted { frame, models, standing, queries_before } =
        fit_design(asker, study, classifier, common, &design).await?;
    let choosing = Choosing::new(&design, &standing, &models);
    let judged = Judged {
        design: &design,
        frame: &frame,
        models: &models,
        choosing: &choosing,
        standing: &standing,
    };
    let Verdict { targets, replicates, choices, nested, resampling } =
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
    Ok(Single { design, targets, cost, replicates, member, nested, resampling })
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
    pub standing: &'a Standing,
}

/// What judging comes to.
pub(crate) struct Verdict {
    pub targets: Vec<TargetFindings>,
    pub replicates: Option<Replicates>,
    /// Per modelled class.
    pub choices: Vec<Choices>,
    pub nested: Option<Nested>,
    pub resampling: Option<Resampling>,
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
            standing: self.standing,
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
    let wanted = study.validation.own_site_baseline == OwnSiteBaseline::On
        || study.validation.shortcuts == Shortcuts::On
        || study.validation.confusion == Confusion::On
        || !study.fairness.is_off();
    let nested = wanted.then(|| Nested::new(&judging, &choices));
    let resampling = match study.validation.bootstrap {
        Bootstrap::Off => None,
        Bootstrap::Of(_) => Some(Resampling::new(&judging, &choices)?),
    };
    Ok(Verdict { targets, replicates, choices, nested, resampling })
}

/// What the final model at the slowest grid point alone would have asked: the profile, moments, a Gram matrix
/// where one is needed, and its own rounds.
fn alone_queries(design: &Design, models: &Models, before: u64) -> u64 {
    let of_point = |point| models.most_evaluations(point, design.all_folds());
    let rounds = match design.racing {
        Racing::Off => of_point(design.slowest_point()),
        // Of those that came to be fitted to all rows.
        Racing::Halving { .. } => (0..design.grid.len()).map(of_point).max().unwrap_or(0),
    };
    1 + before + models.gram_queries.min(1) + rounds
}

/// The models of a design, with what they act on.
pub(crate) struct Fitted {
    pub frame: Arc<Frame>,
    pub models: Models,
    /// Which grid points came through their races.
    pub standing: Standing,
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
    let by_site = common.profile.by_site.clone();
    let classes = common.classes.clone();
    let rows = common.rows;
    let mut fitter = Fitter {
        study,
        classifier,
        number: number(study, classifier),
        design,
        frame: match classifier.family().is_trees() {
            true => common.grid_frame.clone(),
            false => common.frame.clone(),
        },
        rows,
        by_site: &by_site,
        classes: &classes,
        common,
        queries_before: 0,
    };
    let by = study.validation.choose_by;
    let (models, standing) = match design.racing {
        Racing::Off => (fitter.fit(asker, &design.fits(), 0).await?, Standing::Everyone),
        Racing::Halving { eta } => race::run(asker, &mut fitter, by, eta).await?,
    };
    let (frame, queries_before) = (fitter.frame.clone(), fitter.queries_before);
    Ok(Fitted { frame, models, standing, queries_before })
}

/// Fits models of one classifier.
pub(crate) struct Fitter<'a> {
    study: &'a Study,
    classifier: &'a Classifier,
    /// The classifier's number in the study.
    number: u8,
    pub design: &'a Design,
    /// What the models act on.
    frame: Arc<Frame>,
    /// Rows of all sites.
    rows: u64,
    by_site: &'a [ProfileCell],
    /// A name per class code.
    pub classes: &'a [String],
    common: &'a mut Common,
    /// Questions that a study of this classifier alone asks before it fits any.
    queries_before: u64,
}

impl Fitter<'_> {
    /// Fits some models of the design, in its order, on a rung of a race; 0 without one.
    pub async fn fit<C: Cohort>(
        &mut self,
        asker: &mut Asker<'_, C>,
        keys: &[FitKey],
        rung: usize,
    ) -> Result<Models, StudyError> {
        let Self { study, classifier, number, design, by_site, classes, rows, .. } = *self;
        let family = classifier.family();
        let observer = asker.observer;
        let phase = |name| observer.event(&StudyEvent::Phase { name, models: keys.len() });
        let selections = reduce::selections(asker, self.common, design, keys).await?;
        match family {
            Family::Linear(_)
            | Family::Multinomial
            | Family::ClosedForm(_)
            | Family::Rbf
            | Family::KernelSvm => {
                let (cells, queries) = self.common.cells(asker).await?;
                self.queries_before = queries;
                let ground = Ground {
                    design,
                    frame: &self.frame,
                    cells,
                    selections: &selections,
                    by_site,
                    classes,
                };
                phase("fit");
                match family {
                    Family::Linear(loss) => fits::fit(asker, &ground, loss, keys).await,
                    Family::Multinomial => multinomial_fits::fit(asker, &ground, keys).await,
                    Family::Rbf => kernel_fits::fit(asker, &ground, keys).await,
                    Family::KernelSvm => machine_fits::fit(asker, &ground, keys).await,
                    _ => closed_fits::fit(asker, &ground, keys).await,
                }
            }
            Family::Forest | Family::Boosting | Family::BaggedForest => {
                let by_site = design.left_out == LeavingOut::EverySite
                    || study.validation.matrix == Matrix::On;
                let (counts, queries) = self.common.grid(asker, by_site).await?;
                self.queries_before = queries;
                phase("trees");
                let ground = tree_fits::Ground {
                    classifier,
                    design,
                    frame: &self.frame,
                    counts,
                    selections: &selections,
                    classes,
                    rows,
                    seed: study.seed,
                    // On two rungs the same fit may ask the same question about different trees.
                    number: u32::from(number) + ((rung as u32) << 16),
                };
                match family {
                    Family::BaggedForest => bagged_fits::fit(asker, &ground, keys).await,
                    _ => tree_fits::fit(asker, &ground, keys).await,
                }
            }
        }
    }

    /// What scoring needs to know.
    pub fn scoring<'a>(&'a self, models: &'a Models) -> Scoring<'a> {
        Scoring { design: self.design, frame: &self.frame, models, rows: self.rows }
    }
}
