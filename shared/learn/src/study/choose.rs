//! Choices: grid points and thresholds, each from scores of rows that had no part in the models
//! behind them, and without the rows that the choice is judged on.
//!
//! For outer fold k the lists come from models fitted without k *and* the fold they score, so
//! neither the choice nor the threshold has seen anything of k. For a left-out site everything is
//! done again without it.

use wardround_core::query::{FoldSet, RowSet, SiteSet};
use wardround_core::study::{Choose, ChooseBy};

use super::design::{Design, FitKey, Nesting};
use super::error::StudyError;
use super::scores::{Lists, Scored};
use crate::metrics::interval::delong_variance;
use crate::metrics::ranking::{auc_within_sites, roc_auc};
use crate::metrics::threshold::youden;
use crate::metrics::{CellError, ScoreCell, ScoreHistogram, Threshold, Undefined};

/// The lists that choices are made from, all in one question.
pub(crate) struct Choosing {
    pub lists: Lists,
    targets: Vec<TargetLists>,
    folds: usize,
}

/// Indices of one modelled class's lists.
struct TargetLists {
    /// By point and outer fold: the fold, by the model fitted without it.
    plain: Vec<Vec<usize>>,
    /// By point and outer fold: all other folds, by models that saw neither.
    others: Vec<Vec<usize>>,
    /// By left-out site, point and repeat: all other sites' rows, out of fold.
    without: Vec<Vec<Vec<usize>>>,
    /// By left-out site and point: the site's rows, by the model fitted without it.
    at_site: Vec<Vec<usize>>,
}

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    /// Index into the grid.
    pub point: usize,
    pub threshold: Threshold,
}

/// The scores of all lists: per list, per site.
pub(crate) type Scores = [Vec<ScoreCell>];

impl Choosing {
    /// Sets up the lists.
    pub fn new(design: &Design) -> Self {
        let mut lists = Lists::default();
        let targets = (0..design.classes.len()).map(|t| target(design, t, &mut lists)).collect();
        Self { lists, targets, folds: usize::from(design.folds) }
    }

    /// The list of one outer fold's rows by the model fitted without it.
    pub fn fold_list(&self, target: usize, point: usize, repeat: u8, fold: u8) -> usize {
        self.targets[target].plain[point][usize::from(repeat) * self.folds + usize::from(fold)]
    }

    /// The list of a left-out site's rows by a grid point fitted without it.
    pub fn left_out_list(&self, target: usize, site: u16, point: usize) -> usize {
        self.targets[target].at_site[usize::from(site)][point]
    }

    /// The plain out-of-fold scores of a grid point in a repeat, by site.
    pub fn out_of_fold(
        &self,
        scores: &Scores,
        target: usize,
        point: usize,
        repeat: u8,
    ) -> Result<Vec<ScoreCell>, CellError> {
        let first = usize::from(repeat) * self.folds;
        let lists = &self.targets[target].plain[point][first..first + self.folds];
        merged(lists.iter().map(|&list| &scores[list]))
    }

    /// What an outer fold chooses without its own rows.
    pub fn for_fold(
        &self,
        scores: &Scores,
        design: &Design,
        by: ChooseBy,
        target: usize,
        repeat: u8,
        fold: u8,
    ) -> Result<Result<Choice, Undefined>, CellError> {
        let outer = usize::from(repeat) * self.folds + usize::from(fold);
        let of_point = |target: usize, point: usize| {
            vec![scores[self.targets[target].others[point][outer]].clone()]
        };
        choose(design, by, target, of_point)
    }

    /// What is chosen without a site.
    pub fn without_site(
        &self,
        scores: &Scores,
        design: &Design,
        by: ChooseBy,
        target: usize,
        site: u16,
    ) -> Result<Result<Choice, Undefined>, CellError> {
        let of_point = |target: usize, point: usize| {
            let lists = &self.targets[target].without[usize::from(site)];
            lists[point].iter().map(|&l| scores[l].clone()).collect()
        };
        choose(design, by, target, of_point)
    }

    /// What is chosen for the final model, from all out-of-fold scores.
    pub fn for_all(
        &self,
        scores: &Scores,
        design: &Design,
        by: ChooseBy,
        target: usize,
    ) -> Result<Result<Choice, Undefined>, CellError> {
        let targets = design.chosen_with(target);
        let mut repeats = Vec::with_capacity(targets.len());
        for target in targets.clone() {
            let mut of_target = Vec::with_capacity(design.grid.len());
            for point in 0..design.grid.len() {
                let of_repeat = |repeat| self.out_of_fold(scores, target, point, repeat);
                of_target.push((0..design.repeats).map(of_repeat).collect::<Result<Vec<_>, _>>()?);
            }
            repeats.push(of_target);
        }
        choose(design, by, target, |target, point| repeats[target - targets.start][point].clone())
    }
}

fn target(design: &Design, target: usize, lists: &mut Lists) -> TargetLists {
    let all = design.all_folds();
    let points = 0..design.grid.len();
    let fit = |point, repeat, folds, sites| FitKey { target, point, repeat, folds, sites };
    let mut push = |parts| lists.push(design, parts);
    let plain = points
        .clone()
        .map(|point| {
            let of_fold = |(repeat, k)| {
                let key = fit(point, repeat, all.without(k), SiteSet::All);
                push(vec![Scored::fold(k, SiteSet::All, key)])
            };
            design.outer_folds().map(of_fold).collect()
        })
        .collect();
    let others = points
        .clone()
        .map(|point| {
            let of_fold = |(repeat, k): (u8, u8)| {
                let by_model = |j: u8| {
                    let folds = match design.nested {
                        Nesting::Pairs => all.without(k).without(j),
                        Nesting::TwoFolds => all.without(j),
                    };
                    Scored::fold(j, SiteSet::All, fit(point, repeat, folds, SiteSet::All))
                };
                push(all.without(k).iter().map(by_model).collect())
            };
            design.outer_folds().map(of_fold).collect()
        })
        .collect();
    let mut without = Vec::new();
    let mut at_site = Vec::new();
    for site in design.left_out_sites() {
        let sites = SiteSet::Without(site);
        let of_point = |point| {
            let of_repeat = |repeat| {
                let of_fold = |k| Scored::fold(k, sites, fit(point, repeat, all.without(k), sites));
                push(all.iter().map(of_fold).collect())
            };
            (0..design.repeats).map(of_repeat).collect()
        };
        without.push(points.clone().map(of_point).collect());
        let at = |point| {
            let rows = RowSet { repeat: 0, folds: all, sites: SiteSet::Only(site) };
            push(vec![Scored { rows, fit: fit(point, 0, all, sites) }])
        };
        at_site.push(points.clone().map(at).collect());
    }
    TargetLists { plain, others, without, at_site }
}

/// Chooses a grid point by AUC, mean over repeats and over the classes that share it, and a class's threshold
/// on its scores. `scores` gives a class's out-of-fold scores by a grid point, per repeat and site. Of equal points
/// the one that is simpler, then the first.
fn choose(
    design: &Design,
    by: ChooseBy,
    target: usize,
    scores: impl Fn(usize, usize) -> Vec<Vec<ScoreCell>>,
) -> Result<Result<Choice, Undefined>, CellError> {
    let mut aucs = Vec::with_capacity(design.grid.len());
    for point in 0..design.grid.len() {
        let (mut sum, mut repeats) = (0.0, 0.0);
        for sites in design.chosen_with(target).flat_map(|target| scores(target, point)) {
            match auc(by, &sites)? {
                Ok(auc) => sum += auc,
                // All points are judged on the same rows, so none has an AUC.
                Err(why) => return Ok(Err(why)),
            }
            repeats += 1.0;
        }
        aucs.push(sum / repeats);
    }
    let Some(best) = simplest(design, &aucs, |at, of| aucs[at] > aucs[of]) else {
        return Ok(Err(Undefined::NoRows));
    };
    let point = match design.choose {
        Choose::Best => best,
        Choose::OneStandardError => {
            // Classes share their rows, so their mean is taken to be no surer than each.
            let (mut sum, targets) = (0.0, design.chosen_with(target));
            let of_each = targets.len() as f64;
            for target in targets {
                sum += standard_error(by, &scores(target, best))?;
            }
            let lowest = aucs[best] - sum / of_each;
            let near: Vec<f64> =
                aucs.iter().map(|&auc| if auc >= lowest { auc } else { f64::NAN }).collect();
            // Complexity comes first, the AUC only between equally simple points.
            let simpler = |at: usize, of: usize| {
                let (a, b) = (&design.grid[at], &design.grid[of]);
                a.is_simpler_than(b) || !b.is_simpler_than(a) && aucs[at] > aucs[of]
            };
            simplest(design, &near, simpler).unwrap_or(best)
        }
    };
    let chosen = scores(target, point);
    let all = ScoreHistogram::merged(chosen.iter().flatten().map(|cell| &cell.histogram))?;
    Ok(youden(&all).map(|threshold| Choice { point, threshold }))
}

/// The point that none of the others is better than; of equal ones the simpler, then the first. Points
/// without an AUC don't count.
fn simplest(design: &Design, aucs: &[f64], better: impl Fn(usize, usize) -> bool) -> Option<usize> {
    let points = (0..aucs.len()).filter(|&at| !aucs[at].is_nan());
    points.reduce(|of, at| {
        let simpler = aucs[at] == aucs[of] && design.grid[at].is_simpler_than(&design.grid[of]);
        if better(at, of) || simpler { at } else { of }
    })
}

/// The standard error of the mean AUC: DeLong's, rows taken as independent; repeats share their rows, so
/// their mean is no surer than each. 0 where it is undefined, so that the best point stays chosen.
fn standard_error(by: ChooseBy, repeats: &[Vec<ScoreCell>]) -> Result<f64, CellError> {
    let mut sum = 0.0;
    for sites in repeats {
        let variance = match by {
            ChooseBy::OneList => {
                let all = ScoreHistogram::merged(sites.iter().map(|cell| &cell.histogram))?;
                delong_variance(&all).unwrap_or(0.0)
            }
            ChooseBy::WithinSites => {
                let pairs = |cell: &ScoreCell| {
                    let histogram = &cell.histogram;
                    histogram.positive_rows() as f64 * histogram.negative_rows() as f64
                };
                let all: f64 = sites.iter().map(pairs).sum();
                let of_site = |cell: &ScoreCell| {
                    let share = pairs(cell) / all;
                    share * share * delong_variance(&cell.histogram).unwrap_or(0.0)
                };
                sites.iter().filter(|cell| pairs(cell) > 0.0).map(of_site).sum()
            }
        };
        sum += variance.sqrt();
    }
    Ok(sum / repeats.len().max(1) as f64)
}

/// The AUC that chooses, of scores by site.
fn auc(by: ChooseBy, sites: &[ScoreCell]) -> Result<Result<f64, Undefined>, CellError> {
    Ok(match by {
        ChooseBy::WithinSites => {
            let sites: Vec<_> = sites.iter().map(|cell| cell.histogram.clone()).collect();
            auc_within_sites(&sites)
        }
        ChooseBy::OneList => {
            roc_auc(&ScoreHistogram::merged(sites.iter().map(|cell| &cell.histogram))?)
        }
    })
}

/// Lists of scores in one, cell by cell.
pub(crate) fn merged<'a>(
    lists: impl IntoIterator<Item = &'a Vec<ScoreCell>>,
) -> Result<Vec<ScoreCell>, CellError> {
    let mut lists = lists.into_iter();
    let mut all = lists.next().ok_or(CellError::NoCells)?.clone();
    for list in lists {
        for (cell, other) in all.iter_mut().zip(list) {
            cell.merge(other)?;
        }
    }
    Ok(all)
}

/// Nothing could be compared at a choice.
pub(crate) fn nothing_to_compare(class: &str, when: String, why: Undefined) -> StudyError {
    StudyError::NothingToCompare { class: class.to_owned(), when, why: why.to_string() }
}

/// The full list of a repeat: every fold by its own model at its own grid point.
pub(crate) fn full_list(
    design: &Design,
    target: usize,
    repeat: u8,
    point: impl Fn(u8) -> usize,
) -> Vec<Scored> {
    let all: FoldSet = design.all_folds();
    let of_fold = |k: u8| {
        let folds = all.without(k);
        let fit = FitKey { target, point: point(k), repeat, folds, sites: SiteSet::All };
        Scored::fold(k, SiteSet::All, fit)
    };
    all.iter().map(of_fold).collect()
}
