//! A study from its first question to its findings: cross-validation, nested choice, leave-one-site-
//! out and the final model, over any cohort.
//!
//! Phases: profile; the shared frame and every training set's scaler from moments; then, classifier by
//! classifier, all fits in lockstep; scores to choose by; scores and placement sums to judge by. Only questions are asked
//! and only sums come back, so a run is a function of the answers: it can be resumed and replayed. In
//! feature-rows mode (`gather`) the answers are rows, and the questions go to those.
//!
//! Read [`run`], then `single` (one classifier), `design` (what is fitted), `choose` (which rows a choice
//! may see), `judging`, `compare`; `race` and `early_stopping`, where a study asks for them.

pub(crate) mod asker;
mod bagged_fits;
mod bootstrap;
mod calls;
mod choose;
mod class_means;
mod closed_fits;
mod common;
mod compare;
mod crossed;
mod curve;
mod design;
mod early_stopping;
mod ensemble;
mod error;
mod evaluate;
pub(crate) mod event;
mod fits;
pub(crate) mod frame;
mod gather;
mod judging;
mod kernel_fits;
mod machine_fits;
mod matrix;
mod multinomial_fits;
mod outliers;
pub(crate) mod own_site;
mod plan;
pub(crate) mod profile;
mod race;
mod readers;
mod reduce;
mod repeats;
mod resample;
mod scores;
mod shift;
mod shortcuts;
pub(crate) mod single;
mod training_sums;
mod tree_fits;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Schema;
use wardround_core::study::{
    Combination, Confusion, Ensemble, Family, Learner, LearningCurve as CurveRule,
    Matrix as MatrixRule, Mode, Outliers as OutliersRule, OwnSiteBaseline,
    Shortcuts as ShortcutsRule, Study,
};

pub use self::error::StudyError;
pub use self::evaluate::{agree_with_sites, disagreements, evaluate};
pub use self::event::{Observer, Silent, StudyEvent};
pub use self::plan::{Bound, Exactness, Plan, PlannedCombination, Proposal, plan};
pub use self::scores::BINS;

use self::asker::Asker;
use self::common::Common;
use self::design::Design;
use self::gather::{Within, gather};
use self::single::{Alone, Single};
use crate::cohort::{AnyCohort, Cohort, Dispatch};
use crate::findings::{
    Calls, Comparison, Cost, Evaluated, Findings, LearningCurve, Matrix, Outliers, OwnSites,
    Profile, Readers, Shift, Shortcuts, SubgroupNames,
};

/// Runs a study over some sites of a cohort.
///
/// `sites` are sorted and distinct; `schemas` has one entry per input of the study, each
/// [`Study::schema`] of the features the sites have there. The future may be dropped at any question;
/// its work between questions is heavy, so it belongs on a thread of its own.
///
/// # Errors
/// [`StudyError`] in clear sentences; [`crate::cohort::CohortError::SiteLost`] comes through, and
/// the caller starts again without the site.
pub async fn run<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    dispatched(AnyCohort::new(cohort), study, id, sites, schemas, observer).await
}

/// [`over`] behind a pointer, so that it is compiled here.
fn dispatched<'a>(
    cohort: AnyCohort<'a>,
    study: &'a Study,
    id: &'a StudyId,
    sites: &'a [SiteId],
    schemas: &'a [Schema],
    observer: &'a dyn Observer,
) -> Dispatch<'a, Result<Findings, StudyError>> {
    Box::pin(async move { over(&cohort, study, id, sites, schemas, observer).await })
}

async fn over<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    check(study, sites, schemas)?;
    let mut findings = match study.federation.mode {
        Mode::Sums => from_sums(cohort, study, id, sites, schemas, observer).await?,
        Mode::FeatureRows => {
            let rows = gather(cohort, study, id, sites, schemas, observer).await?;
            let within = Within(observer);
            let mut findings =
                from_sums(&AnyCohort::new(&rows.cohort), study, id, sites, schemas, &within)
                    .await?;
            rows.account(&mut findings);
            findings
        }
    };
    readers::ask(cohort, study, id, (sites, &schemas[0]), observer, &mut findings).await?;
    Ok(findings)
}

async fn from_sums<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Findings, StudyError> {
    let combinations = study.combinations();
    let folds = study.fold_plan();
    let schema = &schemas[0];
    let mut asker = Asker::new(cohort, observer, id, sites, schema, folds);
    let phase = |name| observer.event(&StudyEvent::Phase { name, models: 0 });
    phase("profile");
    let profile = profile::profile(&mut asker).await?;

    let alone = if combinations.len() == 1 { Alone::Yes } else { Alone::No };
    let mut common: Option<Common> = None;
    let (mut singles, mut rounds) = (Vec::new(), Vec::new());
    for (number, combination) in (1..).zip(&combinations) {
        let Combination { input, learner, name } = combination;
        if alone == Alone::No {
            let (name, of) = (name.clone(), combinations.len());
            observer.event(&StudyEvent::Combination { name, number, of });
        }
        let mut shared = match common.take().filter(|_| asker.input == *input) {
            Some(shared) => shared,
            None => {
                asker.input = *input;
                asker.schema = &schemas[usize::from(*input)];
                phase("moments");
                let classes = study.target.classes.names();
                let by_class = reduce::by_class(study);
                Common::new(&mut asker, profile.clone(), classes, by_class).await?
            }
        };
        let first = asker.answered + 1;
        let single = match learner {
            Learner::Classifier(classifier) => {
                single::run(&mut asker, study, classifier, &mut shared, alone).await
            }
            Learner::Ensemble(ensemble) => {
                let of_input = &singles[singles.len() - shared.singles..];
                let members = members(ensemble, of_input);
                ensemble::run(&mut asker, study, ensemble, &members, &mut shared).await
            }
        };
        shared.singles += 1;
        common = Some(shared);
        singles.push(match alone {
            Alone::Yes => single?,
            Alone::No => single.map_err(|error| error.of(name))?,
        });
        rounds.push([first, asker.answered]);
    }
    let (chosen, comparison) = match alone {
        Alone::Yes => (0, Comparison::Single),
        Alone::No => {
            let compared = compare::compare(study, &singles, &rounds);
            (compared.chosen, Comparison::Several(compared))
        }
    };
    // A site can't put together an ensemble by itself: then it is the best classifier.
    let joining = match (combinations[chosen].learner, &comparison) {
        (Learner::Ensemble(_), Comparison::Several(compared)) => compare::best_of(compared, |at| {
            matches!(combinations[at].learner, Learner::Classifier(_))
        }),
        _ => Some(chosen),
    };
    let joining = joining.and_then(|at| match combinations[at].learner {
        Learner::Classifier(classifier) => Some((at, classifier)),
        Learner::Ensemble(_) => None,
    });
    let (mut own_sites, mut matrix) = (OwnSites::NotAsked, Matrix::NotAsked);
    let mut learning_curve = LearningCurve::NotAsked;
    if let Some((at, classifier)) = joining {
        let input = combinations[at].input;
        let known = common.take().filter(|_| asker.input == input);
        asker.input = input;
        asker.schema = &schemas[usize::from(input)];
        let Single { design, targets, nested, .. } = &singles[at];
        if let (Some(nested), OwnSiteBaseline::On) = (nested, study.validation.own_site_baseline) {
            phase("own sites");
            let (of, rows) = ((at, classifier), profile.all.rows());
            own_sites = own_site::ask(&mut asker, study, of, nested, targets, rows).await?;
        }
        common = known;
        if study.validation.matrix == MatrixRule::On {
            phase("models of single sites");
            let mut shared = common_of(&mut asker, study, &profile, common.take()).await?;
            let of = (at, classifier);
            matrix = matrix::ask(&mut asker, study, of, design, targets, &mut shared).await?;
            common = Some(shared);
        }
        if study.validation.learning_curve == CurveRule::On {
            phase("learning curve");
            let mut shared = common_of(&mut asker, study, &profile, common.take()).await?;
            let of = (at, classifier);
            learning_curve =
                curve::ask(&mut asker, study, of, design, targets, &mut shared).await?;
            common = Some(shared);
        }
    }
    let input = combinations[chosen].input;
    let known = common.filter(|_| asker.input == input);
    asker.input = input;
    asker.schema = &schemas[usize::from(input)];
    if let (false, Single { nested: Some(nested), targets, .. }) =
        (study.fairness.is_off(), &mut singles[chosen])
    {
        phase("subgroups by two columns");
        crossed::ask(&mut asker, study, nested, targets, profile.all.rows()).await?;
    }
    let names = study.target.classes.names();
    let labelling = study.target.classes.labelling();
    let mut class_means = class_means::of(labelling, &names, &singles[chosen].targets);
    if let Some(resampling) = singles[chosen].resampling.take() {
        phase("intervals");
        let how = (study.validation.bootstrap, study.seed);
        let targets = &mut singles[chosen].targets;
        resample::ask(&mut asker, how, &resampling, targets, &mut class_means).await?;
    }
    let mut called = Calls::NotAsked;
    if let (Some(nested), Confusion::On) = (&singles[chosen].nested, study.validation.confusion) {
        phase("calls by class");
        called = calls::ask(&mut asker, study, nested).await?;
    }
    let (mut shortcuts, mut shift) = (Shortcuts::NotAsked, Shift::NotAsked);
    let mut known = known;
    if let (Some(nested), ShortcutsRule::On) = (&singles[chosen].nested, study.validation.shortcuts)
    {
        phase("shortcuts");
        let mut shared = common_of(&mut asker, study, &profile, known).await?;
        let classes = &singles[chosen].design.classes;
        shortcuts = shortcuts::ask(&mut asker, study, classes, nested, &mut shared).await?;
        known = Some(shared);
    }
    let mut unlike = Outliers::NotAsked;
    if study.validation.outliers == OutliersRule::On {
        phase("outliers");
        let mut shared = common_of(&mut asker, study, &profile, known).await?;
        unlike = outliers::ask(&mut asker, study, &mut shared).await?;
        known = Some(shared);
    }
    if let Some(cells) = known.as_ref().and_then(Common::known_cells) {
        shift = shift::shift(cells, &profile.by_site);
    }
    let of_all = |of: fn(&Cost) -> u64| singles.iter().map(move |single| of(&single.cost));
    let cost = Cost {
        queries: asker.queries,
        fitting_queries: of_all(|cost| cost.fitting_queries).sum(),
        models: of_all(|cost| cost.models).sum(),
        queries_of_slowest_fit: of_all(|cost| cost.queries_of_slowest_fit).max().unwrap_or(0),
    };
    let Single { design, targets, .. } = singles.swap_remove(chosen);
    Ok(Findings {
        sites: sites.to_vec(),
        subgroups: study
            .subgroups
            .iter()
            .map(|s| SubgroupNames { name: s.name.clone(), levels: s.level_names() })
            .collect(),
        features: schemas[usize::from(combinations[chosen].input)].features,
        combination: chosen,
        grid: design.grid,
        classes: study.target.classes.names(),
        profile,
        targets,
        comparison,
        own_sites,
        matrix,
        learning_curve,
        outliers: unlike,
        shortcuts,
        shift,
        readers: Readers::NotAsked,
        class_means,
        calls: called,
        cost,
        evaluated: Evaluated::Fitted,
    })
}

/// What the classifiers of the asker's input share. Where it isn't at hand it was asked for before, when the input's turn was: a cohort
/// with a memory answers from it.
async fn common_of<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    profile: &Profile,
    known: Option<Common>,
) -> Result<Common, StudyError> {
    match known {
        Some(known) => Ok(known),
        None => {
            let classes = study.target.classes.names();
            Common::new(asker, profile.clone(), classes, reduce::by_class(study)).await
        }
    }
}

/// What is kept of an ensemble's members, of an input's classifiers and ensembles so far.
fn members<'a>(ensemble: &Ensemble, of_input: &'a [Single]) -> Vec<&'a ensemble::Member> {
    let kept = of_input.iter().filter_map(|single| single.member.as_ref());
    kept.filter(|member| ensemble.members.contains(&member.number)).collect()
}

/// What can't run is found out before anything is asked.
fn check(study: &Study, sites: &[SiteId], schemas: &[Schema]) -> Result<(), StudyError> {
    if study.evaluation().is_some() {
        let why = "it judges a finished model, and nothing is to be fitted".to_owned();
        return Err(StudyError::Unfit(why));
    }
    if schemas.len() != study.inputs() {
        let (expected, got) = (study.inputs(), schemas.len());
        return Err(StudyError::Unfit(format!("expected rows of {expected} inputs, got {got}")));
    }
    for schema in schemas {
        let expected = study.schema(schema.features);
        if *schema != expected {
            return Err(StudyError::Unfit(format!(
                "expected rows like {expected:?}, got {schema:?}"
            )));
        }
    }
    for classifier in &study.classifiers {
        Design::new(study, classifier, sites)?;
        if classifier.family() == Family::KernelSvm && study.federation.mode == Mode::Sums {
            let why = "\"kernel-svm\" has rows of patients as support vectors, and of a study of sums no row \
                       leaves a site: use kind = \"rbf-svm\", or mode = \"feature-rows\"";
            return Err(StudyError::Unfit(why.to_owned()));
        }
    }
    if study.federation.mode == Mode::FeatureRows && study.validation.matrix == MatrixRule::On {
        let why = "models of single sites are fitted from sums, where their owners can be asked; a study \
                   of feature rows needs validation.matrix = false";
        return Err(StudyError::Unfit(why.to_owned()));
    }
    Ok(())
}
