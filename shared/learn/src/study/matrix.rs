//! Models of single sites, judged at every site: how far what one hospital learns holds at another.
//!
//! A model of one site is fitted by the ordinary rounds with the other sites answering zeros: the sums of one
//! site are that site's model, so its owner's consent is asked first ([`Ask::OwnModels`]). The grid point is
//! the one that was chosen on all sites' rows, so these models differ from the federated one in their
//! training rows alone. At the site itself they are judged out of fold, elsewhere the model of all the
//! site's rows is judged.

use wardround_core::query::{Ask, Column, FoldSet, RowSet, SiteSet};
use wardround_core::study::{Classifier, EarlyStopping, GridPoint, Study};

use super::asker::Asker;
use super::common::Common;
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::own_site::unfit;
use super::repeats;
use super::scores::{Lists, Scored, Scoring};
use super::single::{self, Fitted};
use crate::cohort::Cohort;
use crate::findings::{Figure, FinalFit, Matrix, MatrixOfClass, TargetFindings, TrainedAt};
use crate::metrics::judge::auc_clustered;

/// Classes whose models share a grid point.
pub(super) struct Group {
    /// With the trees that the federated model came to, where their number was found early.
    pub point: GridPoint,
    /// Indices into the study's modelled classes.
    pub targets: Vec<usize>,
}

/// Fits a model to each site that allows it and judges them at every site.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    (combination, classifier): (usize, &Classifier),
    design: &Design,
    targets: &[TargetFindings],
    common: &mut Common,
) -> Result<Matrix, StudyError> {
    let first = asker.answered + 1;
    let answer = asker.ask(Ask::OwnModels).await?;
    let allowed: Vec<bool> = answer.counts("allowed").iter().map(|&count| count > 0).collect();
    let sites: Vec<u16> = (0..design.sites).filter(|&site| allowed[usize::from(site)]).collect();
    let mut trained: Vec<Vec<TrainedAt>> =
        vec![vec![TrainedAt::Refused; allowed.len()]; targets.len()];
    for Group { point, targets } in groups(design, targets) {
        let classes: Vec<u8> = targets.iter().map(|&target| design.classes[target]).collect();
        let of = |sites| design.alone(&classes, point, sites);
        // Together in the same rounds; where a site's rows can't be fitted, each by itself.
        let parts = match judged(asker, study, classifier, &of(sites.clone()), common).await {
            Err(error) if unfit(&error).is_some() => None,
            other => Some(other?),
        };
        let mut by_site = Vec::new();
        match parts {
            Some(parts) => by_site.extend(sites.iter().copied().zip(parts)),
            None => {
                for &site in &sites {
                    let alone = of(vec![site]);
                    let one = match judged(asker, study, classifier, &alone, common).await {
                        Err(error) => match unfit(&error) {
                            Some(reason) => vec![TrainedAt::Unfit { reason }; targets.len()],
                            None => return Err(error),
                        },
                        Ok(mut one) => one.pop().unwrap_or_default(),
                    };
                    by_site.push((site, one));
                }
            }
        }
        for (site, of_targets) in by_site {
            for (&target, one) in targets.iter().zip(of_targets) {
                trained[target][usize::from(site)] = one;
            }
        }
    }
    let class = |(target, trained_at): (&TargetFindings, Vec<TrainedAt>)| MatrixOfClass {
        class: target.class,
        point: target.model.point,
        trained_at,
    };
    let classes = targets.iter().zip(trained).map(class).collect();
    Ok(Matrix::Asked { combination, classes, rounds: [first, asker.answered] })
}

/// The modelled classes by the grid point that was chosen for them on all rows.
pub(super) fn groups(design: &Design, targets: &[TargetFindings]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (target, findings) in targets.iter().enumerate() {
        let chosen = design.grid[findings.model.point];
        let point = match (design.early_stopping, &findings.model.fitted) {
            (EarlyStopping::Patience(_), FinalFit::Trees(model)) => {
                chosen.with_trees(model.trees.len() as u32)
            }
            _ => chosen,
        };
        match groups.iter_mut().find(|group| group.point == point) {
            Some(group) => group.targets.push(target),
            None => groups.push(Group { point, targets: vec![target] }),
        }
    }
    groups
}

/// Fits the models of a design of single sites: per site, per class, what they come to everywhere.
async fn judged<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    classifier: &Classifier,
    design: &Design,
    common: &mut Common,
) -> Result<Vec<Vec<TrainedAt>>, StudyError> {
    let alone = design.sites_alone();
    if alone.is_empty() {
        return Ok(Vec::new());
    }
    let Fitted { frame, models, .. } =
        single::fit_design(asker, study, classifier, common, design).await?;
    let scoring = Scoring { design, frame: &frame, models: &models, rows: common.rows };
    let mut lists = Lists::default();
    for &site in alone {
        for target in 0..design.classes.len() {
            for repeat in 0..design.repeats {
                lists.push(design, parts(design, target, site, repeat));
            }
        }
    }
    let split = [Column::Site];
    let scores = lists.scores(asker, &scoring, &split).await?;
    let placements = lists.placements(asker, &scoring, &split, &scores).await?;
    let mut aucs = scores.iter().zip(&placements).map(|(cells, sums)| {
        let auc =
            |(cell, sums): (&crate::metrics::ScoreCell, _)| auc_clustered(&cell.histogram, sums);
        cells.iter().zip(sums).map(auc).collect::<Vec<Figure>>()
    });
    let repeats = usize::from(design.repeats);
    let of_site = |&site: &u16| {
        let of_target = |_| {
            let lists: Vec<Vec<Figure>> = aucs.by_ref().take(repeats).collect();
            // Elsewhere there is one model, judged once.
            let mut auc = lists[0].clone();
            let own: Vec<Figure> =
                lists.iter().map(|list| list[usize::from(site)].clone()).collect();
            auc[usize::from(site)] = repeats::figure(&own);
            TrainedAt::Judged { auc }
        };
        (0..design.classes.len()).map(of_target).collect()
    };
    Ok(alone.iter().map(of_site).collect())
}

/// A site's model in one repeat: out of fold at the site itself, and in the first repeat at all others.
fn parts(design: &Design, target: usize, site: u16, repeat: u8) -> Vec<Scored> {
    let (all, sites) = (design.all_folds(), SiteSet::Only(site));
    let fit = |folds: FoldSet| FitKey { target, point: 0, repeat, folds, sites };
    let out_of_fold = all.iter().map(|k| Scored::fold(k, sites, fit(all.without(k))));
    let mut parts: Vec<Scored> = out_of_fold.collect();
    if repeat == 0 {
        let others = (0..design.sites).filter(|&other| other != site);
        parts.extend(others.map(|other| {
            let rows = RowSet { repeat: 0, folds: all, sites: SiteSet::Only(other) };
            Scored::rows(rows, fit(all))
        }));
    }
    parts
}
