//! One classifier of a study, from its fits to its figures.

use std::sync::Arc;

use wardround_core::query::{Column, Frame};
use wardround_core::study::{Classifier, Ensemble, Family, Study};

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
use super::scores::Scoring;
use super::{bagged_fits, closed_fits, kernel_fits, tree_fits};
use crate::cohort::Cohort;
use crate::findings::{Cost, ProfileCell, TargetFindings};
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
    let number = study.classifiers.iter().position(|one| one == classifier).unwrap_or(0) as u8;
    let by_site = common.profile.by_site.clone();
    let classes = common.classes.clone();
    let rows = common.rows;
    let mut fitter = Fitter {
        study,
        classifier,
        number,
        design: &design,
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

    let choosing = Choosing::new(&design, &standing, &models);
    let judged = Judged {
        design: &design,
        frame: &frame,
        models: &models,
        choosing: &choosing,
        standing: &standing,
    };
    let (targets, replicates, choices) = judge(asker, study, common, judged, alone).await?;
    let cost = Cost {
        queries: asker.queries - before,
        fitting_queries: models.queries,
        models: models.len() as u64,
        queries_of_slowest_fit: alone_queries(&design, &models, queries_before),
    };
    let is_member = |ensemble: &Ensemble| ensemble.members.contains(&number);
    let member = study.ensembles.iter().any(is_member).then(|| Member {
        number,
        design: design.clone(),
        models,
        choices,
    });
    Ok(Single { design, targets, cost, replicates, member })
}

/// Models that are to be judged.
pub(crate) struct Judged<'a> {
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub models: &'a Models,
    pub choosing: &'a Choosing,
    pub standing: &'a Standing,
}

/// Chooses among grid points and judges the choices.
pub(crate) async fn judge<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    common: &Common,
    Judged { design, frame, models, choosing, standing }: Judged<'_>,
    alone: Alone,
) -> Result<(Vec<TargetFindings>, Option<Replicates>, Vec<Choices>), StudyError> {
    let observer = asker.observer;
    let phase = |name, models| observer.event(&StudyEvent::Phase { name, models });
    phase("scores to choose by", models.len());
    let scoring = Scoring { design, frame, models, rows: common.rows };
    let scores = choosing.lists.scores(asker, &scoring, &[Column::Site]).await?;

    phase("figures", design.classes.len());
    let judging = Judging {
        scoring,
        choosing,
        standing,
        scores: &scores,
        choose_by: study.validation.choose_by,
        by_site: &common.profile.by_site,
        classes: &common.classes,
    };
    let choices = judging.all_choices(asker)?;
    let targets = judging::targets(asker, &judging, &choices).await?;
    let replicates = match alone {
        Alone::Yes => None,
        Alone::No => Some(bootstrap::ask(asker, &judging, &choices, study.seed).await?),
    };
    Ok((targets, replicates, choices))
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
        match family {
            Family::Linear(_) | Family::ClosedForm(_) | Family::Rbf => {
                let (cells, queries) = self.common.cells(asker).await?;
                self.queries_before = queries;
                let ground = Ground { design, frame: &self.frame, cells, by_site, classes };
                phase("fit");
                match family {
                    Family::Linear(loss) => fits::fit(asker, &ground, loss, keys).await,
                    Family::Rbf => kernel_fits::fit(asker, &ground, keys).await,
                    _ => closed_fits::fit(asker, &ground, keys).await,
                }
            }
            Family::Forest | Family::Boosting | Family::BaggedForest => {
                let leaves_out = design.left_out == LeavingOut::EverySite;
                let (counts, queries) = self.common.grid(asker, leaves_out).await?;
                self.queries_before = queries;
                phase("trees");
                let ground = tree_fits::Ground {
                    classifier,
                    design,
                    frame: &self.frame,
                    counts,
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
