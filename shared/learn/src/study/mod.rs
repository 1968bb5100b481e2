//! A study from its first question to its findings: cross-validation, nested choice, leave-one-site-
//! out and the final model, over any cohort.
//!
//! Phases: profile; the shared frame and every training set's scaler from moments; then, classifier by
//! classifier, all fits in lockstep; scores to choose by; scores and placement sums to judge by. Only questions are asked
//! and only sums come back, so a run is a function of the answers: it can be resumed and replayed.
//!
//! Read [`run`], then `single` (one classifier), `design` (what is fitted), `choose` (which rows a choice
//! may see), `judging`, `compare`.

pub(crate) mod asker;
mod bootstrap;
mod choose;
mod closed_fits;
mod common;
mod compare;
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
mod single;
mod tree_fits;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Schema;
use wardround_core::study::Study;

pub use self::error::StudyError;
pub use self::event::{Observer, Silent, StudyEvent};
pub use self::plan::{Plan, PlannedClassifier, plan};
pub use self::scores::BINS;

use self::asker::Asker;
use self::common::Common;
use self::design::Design;
use self::single::{Alone, Single};
use crate::cohort::Cohort;
use crate::findings::{Comparison, Cost, Findings, SubgroupNames};

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
    if *schema != study.schema(schema.features) {
        let expected = study.schema(schema.features);
        return Err(StudyError::Unfit(format!("expected rows like {expected:?}, got {schema:?}")));
    }
    for classifier in &study.classifiers {
        // What can't run is found out before anything is asked.
        Design::new(study, classifier, sites)?;
    }
    let folds = study.fold_plan();
    let mut asker = Asker { cohort, observer, study: id, sites, schema, folds, queries: 0 };
    let phase = |name| observer.event(&StudyEvent::Phase { name, models: 0 });
    phase("profile");
    let profile = profile::profile(&mut asker).await?;
    phase("moments");
    let mut common = Common::new(&mut asker, profile, study.target.classes.names()).await?;

    let names = study.classifier_names();
    let alone = if names.len() == 1 { Alone::Yes } else { Alone::No };
    let (mut singles, mut rounds) = (Vec::new(), Vec::new());
    for (number, (name, classifier)) in (1..).zip(names.iter().zip(&study.classifiers)) {
        if alone == Alone::No {
            let (name, of) = (name.clone(), names.len());
            observer.event(&StudyEvent::Classifier { name, number, of });
        }
        let first = asker.queries + 1;
        let single = single::run(&mut asker, study, classifier, &mut common, alone).await;
        singles.push(match alone {
            Alone::Yes => single?,
            Alone::No => single.map_err(|error| error.of(name))?,
        });
        rounds.push([first, asker.queries]);
    }
    let (chosen, comparison) = match alone {
        Alone::Yes => (0, Comparison::Single),
        Alone::No => {
            let compared = compare::compare(study, &singles, &rounds);
            (compared.chosen, Comparison::Several(compared))
        }
    };
    let of_all = |of: fn(&Cost) -> u64| singles.iter().map(move |single| of(&single.cost));
    let cost = Cost {
        queries: asker.queries,
        fitting_queries: of_all(|cost| cost.fitting_queries).sum(),
        models: of_all(|cost| cost.models).sum(),
        queries_of_slowest_fit: of_all(|cost| cost.queries_of_slowest_fit).max().unwrap_or(0),
    };
    let Single { design, targets, .. } = singles.swap_remove(chosen);
    let Common { profile, classes, .. } = common;
    Ok(Findings {
        sites: sites.to_vec(),
        subgroups: study
            .subgroups
            .iter()
            .map(|s| SubgroupNames { name: s.name.clone(), levels: s.level_names() })
            .collect(),
        features: schema.features,
        classifier: chosen,
        grid: design.grid,
        classes,
        profile,
        targets,
        comparison,
        cost,
    })
}
