//! A learning curve: the chosen model fitted to parts of its training patients (Cortes and others, NIPS 1993; Figueroa and others, BMC
//! Medical Informatics and Decision Making 2012;12:8).
//!
//! Parts are whole folds: an outer fold is judged by models of the one, two, ... folds that follow it in the first deal, the last
//! of them all that aren't judged, so that smaller parts lie in larger ones, every patient is judged once per step and no question
//! is of other rows than folds. With five folds the steps are a quarter, a half, three quarters and all. The grid point is the one that
//! was chosen on all rows: steps differ in their patients alone, though fewer patients may want a stronger penalty, so early steps are
//! rather too low. We fit no curve through the steps and prolong none.

use wardround_core::query::{Column, Pairs, SiteSet, Unfit};
use wardround_core::study::{Bootstrap, Classifier, LearningCurve as Rule, Study};

use super::asker::Asker;
use super::bootstrap;
use super::common::Common;
use super::compare::percentiles;
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::matrix::{Group, groups};
use super::own_site::unfit;
use super::scores::{Lists, Scored, Scoring};
use super::single::{self, Fitted};
use crate::cohort::Cohort;
use crate::findings::{
    CurveModels, CurveOfClass, CurveStep, Figure, Interval, LearningCurve, TargetFindings,
    why_unfit,
};
use crate::metrics::judge::{auc_clustered, within_sites_clustered};
use crate::metrics::{ScoreCell, ScoreHistogram};

/// A step of one class, with its AUC within sites under the study's draws.
struct Step {
    models: CurveModels,
    drawn: Vec<f64>,
}

/// Fits models to parts of the training patients and judges them.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    (combination, classifier): (usize, &Classifier),
    design: &Design,
    targets: &[TargetFindings],
    common: &mut Common,
) -> Result<LearningCurve, StudyError> {
    let first = asker.answered + 1;
    let sizes = Rule::sizes(design.folds);
    let mut curves = targets.iter().map(|_| Vec::new()).collect::<Vec<Vec<Step>>>();
    for Group { point, targets } in groups(design, targets) {
        let classes: Vec<u8> = targets.iter().map(|&target| design.classes[target]).collect();
        let of = |sizes| design.following(&classes, point, sizes);
        // Together in the same rounds; where so few patients can't be fitted, each step by itself.
        let steps = match judged(asker, study, classifier, &of(sizes.clone()), &sizes, common).await
        {
            Err(error) if unfit(&error).is_some() => {
                let mut steps = Vec::new();
                for &size in &sizes {
                    let one = of(vec![size]);
                    match judged(asker, study, classifier, &one, &[size], common).await {
                        Err(error) => match unfit(&error) {
                            Some(reason) => steps.extend(classes.iter().map(|_| none(reason))),
                            None => return Err(error),
                        },
                        Ok(one) => steps.extend(one),
                    }
                }
                steps
            }
            other => other?,
        };
        for (at, step) in steps.into_iter().enumerate() {
            curves[targets[at % targets.len()]].push(step);
        }
    }
    let classes = targets.iter().zip(curves).map(|(target, steps)| CurveOfClass {
        class: target.class,
        point: target.model.point,
        last_gain: last_gain(&steps),
        steps: sizes
            .iter()
            .zip(steps)
            .map(|(&folds, step)| CurveStep { folds, models: step.models })
            .collect(),
    });
    let classes = classes.collect();
    Ok(LearningCurve::Asked { combination, classes, rounds: [first, asker.answered] })
}

fn none(reason: Unfit) -> Step {
    Step { models: CurveModels::Unfit { reason }, drawn: Vec::new() }
}

/// Fits the models of a design and judges them: per size, per class.
async fn judged<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    classifier: &Classifier,
    design: &Design,
    sizes: &[u8],
    common: &mut Common,
) -> Result<Vec<Step>, StudyError> {
    let Fitted { frame, models, .. } =
        single::fit_design(asker, study, classifier, common, design).await?;
    let scoring = Scoring { design, frame: &frame, models: &models, rows: common.rows };
    let mut lists = Lists::default();
    for &size in sizes {
        for target in 0..design.classes.len() {
            let fold = |k| {
                let folds = design.folds_after(k, size);
                let fit = FitKey { target, point: 0, repeat: 0, folds, sites: SiteSet::All };
                Scored::fold(k, SiteSet::All, fit)
            };
            lists.push(design, design.all_folds().iter().map(fold).collect());
        }
    }
    let split = [Column::Site];
    let scores = lists.scores(asker, &scoring, &split).await?;
    let by_site = lists.placements(asker, &scoring, &split, &scores).await?;
    let merged = |cells: &Vec<ScoreCell>| Ok(vec![ScoreCell::merged(cells.iter())?]);
    let together = scores.iter().map(merged).collect::<Result<Vec<_>, StudyError>>()?;
    let one_list = lists.placements(asker, &scoring, &[], &together).await?;
    let drawn = match study.validation.bootstrap {
        Bootstrap::Off => vec![Vec::new(); lists.len()],
        Bootstrap::Of(_) => {
            bootstrap::aucs(asker, &lists, &scoring, Pairs::WithinSites, study.seed).await?
        }
    };
    let mut steps = Vec::new();
    for (list, drawn) in drawn.iter().enumerate() {
        let histograms: Vec<ScoreHistogram> =
            scores[list].iter().map(|cell| cell.histogram.clone()).collect();
        steps.push(Step {
            models: CurveModels::Judged {
                auc_within_sites: within_sites_clustered(&histograms, &by_site[list])?,
                auc_one_list: auc_clustered(&together[list][0].histogram, &one_list[list][0]),
            },
            drawn: drawn.iter().map(|[drawn, _]| *drawn).collect(),
        });
    }
    Ok(steps)
}

/// The AUC within sites of the last step less that of the one before.
fn last_gain(steps: &[Step]) -> Figure {
    let undefined = |reason: String| Figure::Undefined { reason };
    let [.., before, last] = steps else {
        return undefined("there is one step".to_owned());
    };
    let auc = |step: &Step| match &step.models {
        CurveModels::Judged { auc_within_sites: Figure::Known { value, .. }, .. } => Ok(*value),
        CurveModels::Judged { auc_within_sites: Figure::Undefined { reason }, .. } => {
            Err(reason.clone())
        }
        CurveModels::Unfit { reason } => Err(why_unfit(*reason).to_owned()),
    };
    match (auc(before), auc(last)) {
        (Ok(before_auc), Ok(last_auc)) => {
            let drawn = last.drawn.iter().zip(&before.drawn).map(|(last, before)| last - before);
            let interval = match last.drawn.is_empty() {
                true => Interval::NotComputed,
                false => percentiles(drawn.collect()),
            };
            Figure::Known { value: last_auc - before_auc, interval }
        }
        (Err(reason), _) | (_, Err(reason)) => undefined(reason),
    }
}
