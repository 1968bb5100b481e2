//! Each site's own model beside the federated one: what a hospital gains by joining.
//!
//! A site runs the code of a study on a cohort of its own rows alone ([`run`], called by the rows that
//! answer [`Ask::OwnSite`]), with the same folds, the same grid and the same nested choice, so that both
//! models are judged out of fold on the same patients. Only histograms and sums of the finished scores leave.
//!
//! The difference's variance is DeLong's (Biometrics 1988;44:837) of two correlated AUCs, its placement
//! deviations summed per patient first (Obuchowski, Biometrics 1997;53:567); its interval is symmetric.
//! It is conditional on both models: it leaves out that other patients would give other models.

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Ask, FoldPlan, Schema, Unfit};
use wardround_core::study::{Classifier, Recipe, Study};

use super::asker::{Asker, finest_bits};
use super::choose::Choosing;
use super::common::Common;
use super::design::Design;
use super::error::StudyError;
use super::event::Silent;
use super::scores::{BINS, COARSEST_BITS, LOSS_RESERVE};
use super::single::{self, Fitted, Judged, Nested};
use super::{profile, reduce, repeats};
use crate::cohort::Cohort;
use crate::findings::{
    Figure, Interval, OwnModel, OwnSite, OwnSites, OwnSitesOfClass, TargetFindings,
};
use crate::metrics::cells::{OwnCell, own_cells};
use crate::metrics::interval::{Z, clustered_variance};
use crate::metrics::judge;

/// What a site's own study comes to.
pub(crate) enum Own {
    /// Its nested lists.
    Fitted(Nested),
    /// Its rows can't be fitted.
    Unfit(Unfit),
}

/// Runs a study of one classifier on a cohort of one site, up to its choices.
pub(crate) async fn run<C: Cohort>(
    cohort: &C,
    id: &StudyId,
    site: &SiteId,
    schema: &Schema,
    plan: FoldPlan,
    recipe: &Recipe,
) -> Result<Own, StudyError> {
    let study = recipe.study(schema, &plan);
    let sites = std::slice::from_ref(site);
    let mut asker = Asker::new(cohort, &Silent, id, sites, schema, plan);
    match nested(&mut asker, &study).await {
        Ok(nested) => Ok(Own::Fitted(nested)),
        Err(error) => unfit(&error).map(Own::Unfit).ok_or(error),
    }
}

/// Why a site's rows alone can't be fitted; nothing where an error is about something else.
pub(crate) fn unfit(error: &StudyError) -> Option<Unfit> {
    match error {
        StudyError::OneClassOnly { .. } => Some(Unfit::OneClass),
        StudyError::NothingToCompare { .. } => Some(Unfit::NothingToCompare),
        StudyError::NotConverged { .. }
        | StudyError::Singular { .. }
        | StudyError::OutOfRange { .. } => Some(Unfit::NoSolution),
        StudyError::Of { source, .. } => unfit(source),
        _ => None,
    }
}

async fn nested<C: Cohort>(asker: &mut Asker<'_, C>, study: &Study) -> Result<Nested, StudyError> {
    let profile = profile::profile(asker).await?;
    let mut common =
        Common::new(asker, profile, study.target.classes.names(), reduce::by_class(study)).await?;
    let classifier = &study.classifiers[0];
    let design = Design::new(study, classifier, asker.sites)?;
    let Fitted { frame, models, standing, .. } =
        single::fit_design(asker, study, classifier, &mut common, &design).await?;
    let choosing = Choosing::new(&design, &standing, &models);
    let judged = Judged {
        design: &design,
        frame: &frame,
        models: &models,
        choosing: &choosing,
        standing: &standing,
    };
    let scores = judged.scores(asker, &common).await?;
    let judging = judged.judging(study, &common, &scores);
    let choices = judging.all_choices(asker)?;
    Ok(Nested::new(&judging, &choices))
}

/// Asks every site for its own model of a classifier, to be set beside the federated one's nested lists.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    (combination, classifier): (usize, &Classifier),
    federated: &Nested,
    targets: &[TargetFindings],
    rows: u64,
) -> Result<OwnSites, StudyError> {
    let recipe = Recipe::of(study, classifier).text();
    let bits = finest_bits(rows as f64, LOSS_RESERVE);
    let first = asker.answered + 1;
    let answer = asker
        .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::OwnSite {
            recipe: recipe.clone(),
            frame: federated.frame.clone(),
            models: federated.models.clone(),
            lists: federated.lists.clone(),
            bins: BINS,
            bits,
        })
        .await?;
    let cells = own_cells(&answer.query, &answer.sum)?;
    let (sites, of_repeats) = (asker.sites.len(), usize::from(asker.folds.repeats));
    let of_site = |target: usize, site: usize| -> Result<OwnSite, StudyError> {
        if let Some(reason) = cells.unfit[site] {
            return Ok(OwnSite::Unfit { reason });
        }
        let lists = target * of_repeats..(target + 1) * of_repeats;
        let of_list = |list: usize| &cells.lists[list * sites + site];
        let federated = targets[target].nested.judged.by_site[site].auc.clone();
        let mut figures = Vec::new();
        let mut errors = Vec::new();
        for cell in lists.map(of_list) {
            figures.push(own_figures(cell));
            errors.push(standard_error(cell));
        }
        let own = repeats::figures(&figures);
        let gain = gain(&federated, &own.auc, &errors);
        Ok(OwnSite::Fitted(Box::new(OwnModel { own, federated, gain })))
    };
    let class = |(target, findings): (usize, &TargetFindings)| {
        let of_sites = (0..sites).map(|site| of_site(target, site));
        let of_sites = of_sites.collect::<Result<Vec<_>, _>>()?;
        Ok(OwnSitesOfClass { class: findings.class, sites: of_sites })
    };
    let classes = targets.iter().enumerate().map(class).collect::<Result<_, StudyError>>()?;
    Ok(OwnSites::Asked { combination, classes, rounds: [first, asker.answered] })
}

fn own_figures(cell: &OwnCell) -> crate::findings::Figures {
    judge::called(&cell.scores, &cell.calls, &cell.placements)
}

/// Of the difference of both models' AUCs in one repeat; none where a class has too few patients.
fn standard_error(cell: &OwnCell) -> Option<f64> {
    let variance = clustered_variance(&cell.scores.histogram, &cell.paired).ok()?;
    (variance > 0.0).then(|| variance.sqrt())
}

/// What the federated model has more. Repeats share their patients, so their mean is no surer than each.
fn gain(federated: &Figure, own: &Figure, errors: &[Option<f64>]) -> Figure {
    let (Figure::Known { value: federated, .. }, Figure::Known { value: own, .. }) =
        (federated, own)
    else {
        let undefined = |figure: &&Figure| matches!(figure, Figure::Undefined { .. });
        return [federated, own]
            .into_iter()
            .find(undefined)
            .cloned()
            .unwrap_or_else(|| Figure::Undefined { reason: "an AUC is undefined".to_owned() });
    };
    let value = federated - own;
    let known: Option<Vec<f64>> = errors.iter().copied().collect();
    let interval = match known {
        Some(errors) if !errors.is_empty() => {
            let half = Z * errors.iter().sum::<f64>() / errors.len() as f64;
            Interval::Between { low: (value - half).max(-1.0), high: (value + half).min(1.0) }
        }
        _ => Interval::NotComputed,
    };
    Figure::Known { value, interval }
}
