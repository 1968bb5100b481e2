//! Choices: grid points and thresholds, each from scores of rows that had no part in the models
//! behind them, and without the rows that the choice is judged on.
//!
//! For outer fold k the lists come from models fitted without k *and* the fold they score, so
//! neither the choice nor the threshold has seen anything of k. For a left-out site everything is
//! done again without it.

use std::collections::{BTreeMap, BTreeSet};

use wardround_core::query::{RowSet, SiteSet};
use wardround_core::study::{Choose, ChooseBy};

use super::design::{Design, FitKey, Nesting};
use super::error::StudyError;
use super::fits::Models;
use super::race::Standing;
use super::scores::{Lists, Scored};
use crate::metrics::interval::delong_variance;
use crate::metrics::ranking::{auc_within_sites, roc_auc};
use crate::metrics::threshold::by_rule;
use crate::metrics::{CellError, ScoreCell, ScoreHistogram, Threshold, Undefined};

/// The lists that choices are made from, all in one question.
pub(crate) struct Choosing {
    pub lists: Lists,
    targets: Vec<TargetLists>,
    folds: usize,
    points: Points,
}

/// What the points of the lists' keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Points {
    /// Those of a grid.
    OfGrid,
    /// Numbers of choices ([`For::number`]): an ensemble's members have the points that were chosen so.
    OfChoices,
}

/// What is chosen for: whose rows have no part in the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// An outer fold of a repeat.
    Fold(u8, u8),
    /// A left-out site.
    Site(u16),
    /// The final model: nobody's.
    All,
}

impl For {
    /// Every choice of a design, in the order of their numbers.
    pub fn all(design: &Design) -> impl Iterator<Item = Self> + use<> {
        let folds = design.outer_folds().map(|(repeat, fold)| Self::Fold(repeat, fold));
        folds.chain(design.left_out_sites().map(Self::Site)).chain([Self::All])
    }

    /// Its number, from 0.
    pub fn number(self, design: &Design) -> usize {
        let outer = usize::from(design.repeats) * usize::from(design.folds);
        match self {
            Self::Fold(repeat, fold) => {
                usize::from(repeat) * usize::from(design.folds) + usize::from(fold)
            }
            Self::Site(site) => outer + usize::from(site),
            Self::All => outer + design.left_out_sites().count(),
        }
    }

    /// The choice with a number.
    pub fn numbered(number: usize, design: &Design) -> Self {
        Self::all(design).nth(number).unwrap_or(Self::All)
    }

    /// The rows that it is made from.
    pub fn rows(self, design: &Design) -> RowSet {
        let folds = design.all_folds();
        match self {
            Self::Fold(repeat, fold) => {
                RowSet { repeat, folds: folds.without(fold), sites: SiteSet::All }
            }
            Self::Site(site) => RowSet { repeat: 0, folds, sites: SiteSet::Without(site) },
            Self::All => RowSet { repeat: 0, folds, sites: SiteSet::All },
        }
    }
}

/// Indices of one modelled class's lists.
struct TargetLists {
    /// By point and outer fold: the fold, by the model fitted without it, where there is one.
    plain: Vec<Vec<Option<usize>>>,
    /// By outer fold and point that is chosen from: all other folds, by models that saw neither.
    others: Vec<Candidates<usize>>,
    /// By left-out site, point that is chosen from and repeat: all other sites' rows, out of fold.
    without: Vec<Candidates<Vec<usize>>>,
    /// By left-out site and point: the site's rows, by the model fitted without it, where there is one.
    at_site: Vec<Vec<Option<usize>>>,
    /// Points that the final model is chosen from.
    last: Vec<usize>,
}

/// Grid points that something is chosen from, each with its lists.
type Candidates<T> = BTreeMap<usize, T>;

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
    /// Sets up the lists of what was fitted.
    pub fn new(design: &Design, standing: &Standing, models: &Models) -> Self {
        Self::with(design, Points::OfGrid, standing, |key| models.has(&design.fitted_as(*key)))
    }

    /// Sets up the lists of an ensemble, whose grid has one point.
    pub fn of_ensemble(design: &Design) -> Self {
        Self::with(design, Points::OfChoices, &Standing::Everyone, |_| true)
    }

    fn with(
        design: &Design,
        points: Points,
        standing: &Standing,
        is_fitted: impl Fn(&FitKey) -> bool,
    ) -> Self {
        let mut lists = Lists::default();
        let fitted = Fitted { points, standing, is_fitted: &is_fitted };
        let of_target = |t| target(design, t, &fitted, &mut lists);
        let targets = (0..design.classes.len()).map(of_target).collect();
        Self { lists, targets, folds: usize::from(design.folds), points }
    }

    /// Every model that is judged, each once: those of the lists, and the final ones.
    pub fn keys(&self, design: &Design) -> BTreeSet<FitKey> {
        let lists = (0..self.lists.len()).flat_map(|list| self.lists.parts(list));
        let finals = (0..design.classes.len()).flat_map(|target| {
            (0..design.grid.len()).map(move |point| self.final_key(design, target, point))
        });
        lists.map(|part| part.fit).chain(finals).collect()
    }

    /// The model on all rows at a grid point.
    pub fn final_key(&self, design: &Design, target: usize, point: usize) -> FitKey {
        let point = self.points.at(design, point, For::All);
        FitKey { target, point, repeat: 0, folds: design.all_folds(), sites: SiteSet::All }
    }

    /// What a choice is made from at the first grid point: rows with models that saw neither them nor those
    /// that the choice is for.
    pub fn without(&self, design: &Design, target: usize, choice: For) -> Vec<Scored> {
        let TargetLists { plain, others, without, .. } = &self.targets[target];
        let lists: Vec<usize> = match choice {
            For::Fold(..) => others[choice.number(design)].get(&0).copied().into_iter().collect(),
            For::Site(site) => without[usize::from(site)].get(&0).cloned().unwrap_or_default(),
            For::All => plain[0].iter().copied().flatten().collect(),
        };
        lists.into_iter().flat_map(|list| self.lists.parts(list).iter().copied()).collect()
    }

    /// A repeat's rows, every fold by the model fitted without it at its own grid point, which was judged on it.
    pub fn full_list(&self, target: usize, repeat: u8, point: impl Fn(u8) -> usize) -> Vec<Scored> {
        let lists = (0..self.folds as u8).map(|k| {
            let list = self.fold_list(target, point(k), repeat, k);
            list.expect("whoever asks knows that the point was judged on the fold")
        });
        lists.flat_map(|list| self.lists.parts(list).iter().copied()).collect()
    }

    /// The list of one outer fold's rows by the model fitted without it; none where the point left its races.
    pub fn fold_list(&self, target: usize, point: usize, repeat: u8, fold: u8) -> Option<usize> {
        self.targets[target].plain[point][usize::from(repeat) * self.folds + usize::from(fold)]
    }

    /// The list of a left-out site's rows by a grid point fitted without it; none where it left the race.
    pub fn left_out_list(&self, target: usize, site: u16, point: usize) -> Option<usize> {
        self.targets[target].at_site[usize::from(site)][point]
    }

    /// The plain out-of-fold scores of a grid point in a repeat, by site; none where it left its races.
    pub fn out_of_fold(
        &self,
        scores: &Scores,
        target: usize,
        point: usize,
        repeat: u8,
    ) -> Result<Option<Vec<ScoreCell>>, CellError> {
        let first = usize::from(repeat) * self.folds;
        let lists = &self.targets[target].plain[point][first..first + self.folds];
        match lists.iter().copied().collect::<Option<Vec<usize>>>() {
            Some(lists) => merged(lists.iter().map(|&list| &scores[list])).map(Some),
            None => Ok(None),
        }
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
        let points: Vec<usize> = self.targets[target].others[outer].keys().copied().collect();
        let of_point = |target: usize, point: usize| {
            vec![scores[self.targets[target].others[outer][&point]].clone()]
        };
        choose(design, by, (target, &points), of_point)
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
        let lists = |target: usize| &self.targets[target].without[usize::from(site)];
        let points: Vec<usize> = lists(target).keys().copied().collect();
        let of_point = |target: usize, point: usize| {
            lists(target)[&point].iter().map(|&l| scores[l].clone()).collect()
        };
        choose(design, by, (target, &points), of_point)
    }

    /// What is chosen for the final model, from all out-of-fold scores.
    pub fn for_all(
        &self,
        scores: &Scores,
        design: &Design,
        by: ChooseBy,
        target: usize,
    ) -> Result<Result<Choice, Undefined>, CellError> {
        let points = &self.targets[target].last;
        let mut repeats = BTreeMap::new();
        for target in design.chosen_with(target) {
            for &point in points {
                let of_repeat = |repeat| {
                    let scores = self.out_of_fold(scores, target, point, repeat)?;
                    Ok(scores.expect("what is chosen from was judged on every fold"))
                };
                let of_point = (0..design.repeats).map(of_repeat).collect::<Result<Vec<_>, _>>()?;
                repeats.insert((target, point), of_point);
            }
        }
        choose(design, by, (target, points), |target, point| repeats[&(target, point)].clone())
    }
}

impl Points {
    /// The point of a key.
    fn at(self, design: &Design, point: usize, choice: For) -> usize {
        match self {
            Self::OfGrid => point,
            Self::OfChoices => choice.number(design),
        }
    }
}

/// What lists are set up of.
struct Fitted<'a> {
    points: Points,
    standing: &'a Standing,
    is_fitted: &'a dyn Fn(&FitKey) -> bool,
}

fn target(design: &Design, target: usize, fitted: &Fitted<'_>, lists: &mut Lists) -> TargetLists {
    let Fitted { points: points_are, standing, is_fitted } = *fitted;
    let all = design.all_folds();
    let at = |point, choice| points_are.at(design, point, choice);
    let points = 0..design.grid.len();
    let fit = |point, repeat, folds, sites| FitKey { target, point, repeat, folds, sites };
    let mut push = |parts| lists.push(design, parts);
    let plain = points
        .clone()
        .map(|point| {
            let of_fold = |(repeat, k)| {
                let point = at(point, For::Fold(repeat, k));
                let key = fit(point, repeat, all.without(k), SiteSet::All);
                is_fitted(&key).then(|| push(vec![Scored::fold(k, SiteSet::All, key)]))
            };
            design.outer_folds().map(of_fold).collect()
        })
        .collect();
    let mut others = vec![Candidates::new(); design.outer_folds().count()];
    for grid_point in points.clone() {
        for (outer, (repeat, k)) in design.outer_folds().enumerate() {
            let point = at(grid_point, For::Fold(repeat, k));
            let judged = fit(point, repeat, all.without(k), SiteSet::All);
            let by_model = |j: u8| {
                let folds = match design.nested {
                    Nesting::Pairs => all.without(k).without(j),
                    Nesting::TwoFolds => all.without(j),
                };
                Scored::fold(j, SiteSet::All, fit(point, repeat, folds, SiteSet::All))
                    .for_choice_of(judged)
            };
            if standing.points(design, judged).contains(&grid_point) {
                others[outer]
                    .insert(grid_point, push(all.without(k).iter().map(by_model).collect()));
            }
        }
    }
    let mut without = Vec::new();
    let mut at_site = Vec::new();
    for site in design.left_out_sites() {
        let sites = SiteSet::Without(site);
        let of_point = |grid_point| {
            let point = at(grid_point, For::Site(site));
            let of_repeat = |repeat| {
                let of_fold = |k| {
                    Scored::fold(k, sites, fit(point, repeat, all.without(k), sites))
                        .for_choice_of(fit(point, 0, all, sites))
                };
                push(all.iter().map(of_fold).collect())
            };
            (grid_point, (0..design.repeats).map(of_repeat).collect())
        };
        let candidates = standing.points(design, fit(0, 0, all, sites));
        without.push(candidates.into_iter().map(of_point).collect());
        let at_site_of = |point| {
            let point = at(point, For::Site(site));
            let rows = RowSet { repeat: 0, folds: all, sites: SiteSet::Only(site) };
            let key = fit(point, 0, all, sites);
            is_fitted(&key).then(|| push(vec![Scored::rows(rows, key)]))
        };
        at_site.push(points.clone().map(at_site_of).collect());
    }
    let last = standing.points(design, fit(0, 0, all, SiteSet::All));
    TargetLists { plain, others, without, at_site, last }
}

/// Chooses a grid point, of some ascending ones, by AUC, mean over repeats and over the classes that share it, and a
/// class's threshold on its scores. `scores` gives a class's out-of-fold scores by a grid point, per repeat and site. Of
/// equal points the one that is simpler, then the first.
fn choose(
    design: &Design,
    by: ChooseBy,
    (target, points): (usize, &[usize]),
    scores: impl Fn(usize, usize) -> Vec<Vec<ScoreCell>>,
) -> Result<Result<Choice, Undefined>, CellError> {
    let mut aucs = vec![f64::NAN; design.grid.len()];
    for &point in points {
        let of_all: Vec<Vec<ScoreCell>> =
            design.chosen_with(target).flat_map(|target| scores(target, point)).collect();
        match mean_auc(by, &of_all)? {
            Ok(auc) => aucs[point] = auc,
            // All points are judged on the same rows, so none has an AUC.
            Err(why) => return Ok(Err(why)),
        }
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
    Ok(by_rule(&all, design.threshold).map(|threshold| Choice { point, threshold }))
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

/// The AUC that chooses, mean over repeats, of scores by repeat and site.
pub(super) fn mean_auc(
    by: ChooseBy,
    repeats: &[Vec<ScoreCell>],
) -> Result<Result<f64, Undefined>, CellError> {
    let (mut sum, mut count) = (0.0, 0.0);
    for sites in repeats {
        match auc(by, sites)? {
            Ok(auc) => sum += auc,
            Err(why) => return Ok(Err(why)),
        }
        count += 1.0;
    }
    Ok(Ok(sum / count))
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
