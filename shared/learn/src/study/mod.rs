//! A study from its first question to its findings: cross-validation, nested choice, leave-one-site-
//! out and the final model, over any cohort.
//!
//! Phases: profile; the shared frame and every training set's scaler from moments; all fits in
//! lockstep; scores to choose by; scores and placement sums to judge by. Only questions are asked
//! and only sums come back, so a run is a function of the answers: it can be resumed and replayed.
//!
//! Read [`run`], then `design` (what is fitted), `choose` (which rows a choice may see), `judging`.

pub(crate) mod asker;
mod choose;
mod closed_fits;
mod design;
mod error;
pub(crate) mod event;
mod fits;
mod frame;
mod judging;
mod plan;
mod profile;
mod repeats;
mod scores;
mod tree_fits;

use std::sync::Arc;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Schema;
use wardround_core::study::{Family, Study};

pub use self::error::StudyError;
pub use self::event::{Observer, Silent, StudyEvent};
pub use self::plan::{Plan, plan};
pub use self::scores::BINS;

use self::asker::Asker;
use self::choose::Choosing;
use self::design::Design;
use self::fits::{Ground, Models};
use self::judging::Judging;
use self::scores::Scoring;
use crate::cohort::Cohort;
use crate::findings::{Cost, Findings, SubgroupNames};
use crate::trees::cuts::grid_frame;

/// Runs a study over some sites of a cohort.
///
/// `sites` are sorted and distinct; `schema` is [`Study::schema`] of the features the sites have.
/// The future may be dropped at any question; its work between questions is heavy, so it belongs
/// on a thread of its own.
///
/// # Errors
/// [`StudyError`] in clear sentences; [`crate::cohort::CohortError::SiteLost`] comes through, and
/// the caller starts again without the site.
pub async fn run<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    sites: &[SiteId],
    schema: &Schema,
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    let design = Design::new(study, sites)?;
    if *schema != study.schema(schema.features) {
        let expected = study.schema(schema.features);
        return Err(StudyError::Unfit(format!("expected rows like {expected:?}, got {schema:?}")));
    }
    let folds = study.fold_plan();
    let mut asker = Asker { cohort, observer, study: id, sites, schema, folds, queries: 0 };
    let phase = |name, models| observer.event(&StudyEvent::Phase { name, models });

    phase("profile", 0);
    let profile = profile::profile(&mut asker).await?;
    let rows: u64 = profile.all.rows_by_class.iter().sum();
    phase("moments", 0);
    let before_moments = asker.queries;
    let frame = frame::frame(&mut asker, rows).await?;
    let classes = study.target.classes.names();
    let family = study.classifier.family();
    let (frame, models, moment_queries) = match family {
        Family::Linear(_) | Family::ClosedForm(_) => {
            let cells = frame::cells(&mut asker, &frame, rows).await?;
            let moment_queries = asker.queries - before_moments;
            let ground = Ground {
                design: &design,
                frame: &frame,
                cells: &cells,
                by_site: &profile.by_site,
                classes: &classes,
            };
            phase("fit", design.fits().len());
            let models = match family {
                Family::Linear(loss) => fits::fit(&mut asker, &ground, loss).await?,
                _ => closed_fits::fit(&mut asker, &ground).await?,
            };
            (frame, models, moment_queries)
        }
        Family::Forest | Family::Boosting => {
            let frame = Arc::new(grid_frame(&frame));
            let moment_queries = asker.queries - before_moments;
            phase("trees", design.fits().len());
            let models = tree_fits::fit(&mut asker, study, &design, &frame, &classes).await?;
            (frame, models, moment_queries)
        }
    };

    phase("scores to choose by", models.len());
    let scoring = Scoring { design: &design, frame: &frame, models: &models, rows };
    let choosing = Choosing::new(&design);
    let by_site = [wardround_core::query::Column::Site];
    let scores = choosing.lists.scores(&mut asker, &scoring, &by_site).await?;

    phase("figures", design.classes.len());
    let judging = Judging {
        scoring,
        choosing: &choosing,
        scores: &scores,
        choose_by: study.validation.choose_by,
        by_site: &profile.by_site,
        classes: &classes,
    };
    let targets = judging::targets(&mut asker, &judging).await?;

    let cost = Cost {
        queries: asker.queries,
        fitting_queries: models.queries,
        models: models.len() as u64,
        queries_of_slowest_fit: alone(&design, &models, moment_queries),
    };
    Ok(Findings {
        sites: sites.to_vec(),
        subgroups: study
            .subgroups
            .iter()
            .map(|s| SubgroupNames { name: s.name.clone(), levels: s.level_names() })
            .collect(),
        features: schema.features,
        grid: design.grid.clone(),
        classes,
        profile,
        targets,
        cost,
    })
}

/// What the final model at the slowest grid point alone would have asked: the profile, moments, a Gram matrix
/// where one is needed, and its own rounds.
fn alone(design: &Design, models: &Models, moment_queries: u64) -> u64 {
    let rounds = models.most_evaluations(design.slowest_point(), design.all_folds());
    1 + moment_queries + models.gram_queries.min(1) + rounds
}
