//! One classifier of a study, from its fits to its figures.

use wardround_core::query::Column;
use wardround_core::study::{Classifier, Family, Study};

use super::asker::Asker;
use super::bootstrap::{self, Replicates};
use super::choose::Choosing;
use super::common::Common;
use super::design::{Design, LeavingOut};
use super::error::StudyError;
use super::fits::{self, Ground, Models};
use super::judging::{self, Judging};
use super::scores::Scoring;
use super::{closed_fits, kernel_fits, multinomial_fits, tree_fits};
use crate::cohort::Cohort;
use crate::findings::{Cost, TargetFindings};
use crate::study::event::StudyEvent;

/// What one classifier comes to.
pub(crate) struct Single {
    pub design: Design,
    pub targets: Vec<TargetFindings>,
    pub cost: Cost,
    /// Its AUCs under the study's bootstrap, where it is compared with others.
    pub replicates: Option<Replicates>,
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
    let observer = asker.observer;
    let phase = |name, models| observer.event(&StudyEvent::Phase { name, models });
    let family = classifier.family();
    let by_site = common.profile.by_site.clone();
    let classes = common.classes.clone();
    let rows = common.rows;
    let (frame, models, queries_before) = match family {
        Family::Linear(_) | Family::Multinomial | Family::ClosedForm(_) | Family::Rbf => {
            let frame = common.frame.clone();
            let (cells, queries) = common.cells(asker).await?;
            let ground = Ground {
                design: &design,
                frame: &frame,
                cells,
                by_site: &by_site,
                classes: &classes,
            };
            phase("fit", design.fits().len());
            let models = match family {
                Family::Linear(loss) => fits::fit(asker, &ground, loss).await?,
                Family::Multinomial => multinomial_fits::fit(asker, &ground).await?,
                Family::Rbf => kernel_fits::fit(asker, &ground).await?,
                _ => closed_fits::fit(asker, &ground).await?,
            };
            (frame, models, queries)
        }
        Family::Forest | Family::Boosting => {
            let frame = common.grid_frame.clone();
            let leaves_out = design.left_out == LeavingOut::EverySite;
            let (counts, queries) = common.grid(asker, leaves_out).await?;
            phase("trees", design.fits().len());
            let number = study.classifiers.iter().position(|one| one == classifier).unwrap_or(0);
            let ground = tree_fits::Ground {
                classifier,
                design: &design,
                frame: &frame,
                counts,
                classes: &classes,
                seed: study.seed,
                number: number as u32,
            };
            let models = tree_fits::fit(asker, &ground).await?;
            (frame, models, queries)
        }
    };

    phase("scores to choose by", models.len());
    let scoring = Scoring { design: &design, frame: &frame, models: &models, rows };
    let choosing = Choosing::new(&design);
    let scores = choosing.lists.scores(asker, &scoring, &[Column::Site]).await?;

    phase("figures", design.classes.len());
    let judging = Judging {
        scoring,
        choosing: &choosing,
        scores: &scores,
        choose_by: study.validation.choose_by,
        by_site: &by_site,
        classes: &classes,
    };
    let choices = judging.all_choices(asker)?;
    let targets = judging::targets(asker, &judging, &choices).await?;
    let replicates = match alone {
        Alone::Yes => None,
        Alone::No => Some(bootstrap::ask(asker, &judging, &choices, study.seed).await?),
    };
    let cost = Cost {
        queries: asker.queries - before,
        fitting_queries: models.queries,
        models: models.len() as u64,
        queries_of_slowest_fit: alone_queries(&design, &models, queries_before),
    };
    Ok(Single { design, targets, cost, replicates })
}

/// What the final model at the slowest grid point alone would have asked: the profile, moments, a Gram matrix
/// where one is needed, and its own rounds.
fn alone_queries(design: &Design, models: &Models, before: u64) -> u64 {
    let rounds = models.most_evaluations(design.slowest_point(), design.all_folds());
    1 + before + models.gram_queries.min(1) + rounds
}
