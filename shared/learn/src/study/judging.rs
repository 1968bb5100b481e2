//! Judges the chosen models: scores by subgroup, placement sums, and all figures of the findings.

use std::sync::Arc;

use wardround_core::query::{Column, Combat, Fill, Frame, MapScaler, Scaler, SiteSet};
use wardround_core::study::{ChooseBy, GridPoint};

use super::asker::Asker;
use super::choose::{Choice, Choosing, For, Scores, merged, nothing_to_compare};
use super::design::{Design, FitKey};
use super::error::StudyError;
use super::fits::{Fitted, FittedEnsemble, FittedFourier, FittedLinear};
use super::race::Standing;
use super::repeats;
use super::scores::{Lists, Scoring};
use crate::cohort::Cohort;
use crate::findings::{
    Figure, FinalEnsemble, FinalFit, FinalFourier, FinalKernel, FinalLimits, FinalLinear,
    FinalMember, FinalModel, FinalScaler, FinalTrees, FoldResult, FourierScaler, GridResult,
    Judged, LeftOut, MissingFeatures, Nested, NestedChoice, OwnFourier, ProfileCell, StoppedTrees,
    TargetFindings, TreeCounts, TreeGains,
};
use crate::metrics::judge::{
    self, CellSums, Part, auc_clustered, within_sites_clustered, without_interval,
};
use crate::metrics::ranking::{auc_within_sites, roc_auc, site_only_auc};
use crate::metrics::uncertainty::final_limits;
use crate::metrics::{PlacementSums, ScoreCell, ScoreHistogram, Threshold};

/// All that judging needs.
pub(crate) struct Judging<'a> {
    pub scoring: Scoring<'a>,
    pub choosing: &'a Choosing,
    pub standing: &'a Standing,
    /// The choosing lists' scores by site.
    pub scores: &'a Scores,
    pub choose_by: ChooseBy,
    pub by_site: &'a [ProfileCell],
    /// A name per class code.
    pub classes: &'a [String],
}

/// What was chosen for one modelled class.
pub(crate) struct Choices {
    /// Per outer fold, repeat by repeat.
    nested: Vec<Choice>,
    /// Per left-out site.
    left_out: Vec<Choice>,
    last: Choice,
}

/// The findings of every modelled class.
pub(crate) async fn targets<C: Cohort>(
    asker: &mut Asker<'_, C>,
    judging: &Judging<'_>,
    choices: &[Choices],
) -> Result<Vec<TargetFindings>, StudyError> {
    let full = judging.full_lists(choices)?;
    let placed = judging.placements(asker, &full).await?;
    let subgroups = judging.subgroups(asker, choices).await?;
    let targets = 0..choices.len();
    targets.map(|t| judging.target(t, &choices[t], &placed, &subgroups)).collect()
}

/// Lists whose AUC gets an interval, with their scores by site.
struct Full {
    lists: Lists,
    scores: Vec<Vec<ScoreCell>>,
    /// Index of the nested list by target and repeat.
    nested: Vec<Vec<usize>>,
    /// Index of the plain list by target, point and repeat; none of points that left the last race.
    plain: Vec<Vec<Vec<Option<usize>>>>,
    /// Index of a left-out site's list by target, site and point; none of points that left its race.
    left_out: Vec<Vec<Vec<Option<usize>>>>,
}

/// Left-out sites' lists with the thresholds of their parts and their scores.
#[derive(Default)]
pub(crate) struct LeftOutLists {
    pub lists: Lists,
    pub thresholds: Vec<Vec<Threshold>>,
    pub scores: Vec<ScoreCell>,
}

/// Scores and placement sums of the full lists.
struct Placed<'a> {
    full: &'a Full,
    /// Per list.
    one_list: Vec<PlacementSums>,
    /// Per list and site.
    by_site: Vec<Vec<PlacementSums>>,
}

/// One subgroup column's scores and placement sums.
struct BySubgroup {
    levels: usize,
    /// Scores per target, outer fold and level.
    folds: Vec<Vec<Vec<ScoreCell>>>,
    /// Placement sums per target, repeat and level.
    placements: Vec<Vec<Vec<PlacementSums>>>,
}

impl Judging<'_> {
    /// The choices of every modelled class.
    pub fn all_choices<C>(&self, asker: &Asker<'_, C>) -> Result<Vec<Choices>, StudyError> {
        (0..self.scoring.design.classes.len()).map(|t| self.choices(asker, t)).collect()
    }

    /// Every outer fold's rows by the model that was chosen without them: one list per modelled class
    /// and repeat.
    pub fn nested_lists(&self, choices: &[Choices]) -> Lists {
        let design = self.scoring.design;
        let mut lists = Lists::default();
        for (t, choices) in choices.iter().enumerate() {
            for repeat in 0..design.repeats {
                let point = |k| choices.nested[outer(design, repeat, k)].point;
                lists.push(design, self.choosing.full_list(t, repeat, point));
            }
        }
        lists
    }

    /// The thresholds of [`Judging::nested_lists`]: per list, per fold.
    pub fn nested_thresholds(&self, choices: &[Choices]) -> Vec<Vec<Threshold>> {
        let folds = usize::from(self.scoring.design.folds);
        let of_repeats = choices.iter().flat_map(|choices| choices.nested.chunks_exact(folds));
        of_repeats.map(|folds| folds.iter().map(|choice| choice.threshold).collect()).collect()
    }

    /// All scores of [`Judging::nested_lists`].
    pub fn nested_scores(&self, choices: &[Choices]) -> Result<Vec<ScoreCell>, StudyError> {
        let design = self.scoring.design;
        let mut scores = Vec::new();
        for (t, choices) in choices.iter().enumerate() {
            for repeat in 0..design.repeats {
                let point = |k| choices.nested[outer(design, repeat, k)].point;
                let folds = (0..design.folds).map(|k| self.fold_scores(t, point(k), repeat, k));
                scores.push(ScoreCell::merged(folds.flatten())?);
            }
        }
        Ok(scores)
    }

    /// Every left-out site's rows by the model that was chosen without it: one list per modelled class and site.
    pub fn left_out_lists(&self, choices: &[Choices]) -> LeftOutLists {
        let design = self.scoring.design;
        let mut left_out = LeftOutLists::default();
        for (t, choices) in choices.iter().enumerate() {
            for (site, choice) in design.left_out_sites().zip(&choices.left_out) {
                let list = self.choosing.left_out_list(t, site, choice.point);
                let list = list.expect("what is chosen was judged at the site");
                let parts = self.choosing.lists.parts(list).to_vec();
                left_out.thresholds.push(vec![choice.threshold; parts.len()]);
                left_out.lists.push(design, parts);
                left_out.scores.push(self.scores[list][usize::from(site)].clone());
            }
        }
        left_out
    }

    fn choices<C>(&self, asker: &Asker<'_, C>, target: usize) -> Result<Choices, StudyError> {
        let design = self.scoring.design;
        let (scores, by) = (self.scores, self.choose_by);
        let class = &self.classes[usize::from(design.classes[target])];
        let mut nested = Vec::new();
        for (repeat, fold) in design.outer_folds() {
            let choice = self.choosing.for_fold(scores, design, by, target, repeat, fold)?;
            nested.push(choice.map_err(|why| {
                let when = format!("without fold {} of repeat {}", fold + 1, repeat + 1);
                nothing_to_compare(class, when, why)
            })?);
        }
        let mut left_out = Vec::new();
        for site in design.left_out_sites() {
            let choice = self.choosing.without_site(scores, design, by, target, site)?;
            left_out.push(choice.map_err(|why| {
                let when = format!("without site {}", asker.sites[usize::from(site)]);
                nothing_to_compare(class, when, why)
            })?);
        }
        let last = self
            .choosing
            .for_all(scores, design, by, target)?
            .map_err(|why| nothing_to_compare(class, "over all rows".to_owned(), why))?;
        Ok(Choices { nested, left_out, last })
    }

    fn full_lists(&self, choices: &[Choices]) -> Result<Full, StudyError> {
        let design = self.scoring.design;
        let mut lists = Lists::default();
        let mut scores = Vec::new();
        let mut nested = Vec::new();
        let mut plain = Vec::new();
        let mut left_out = Vec::new();
        for (t, choices) in choices.iter().enumerate() {
            let mut of_repeats = Vec::new();
            for repeat in 0..design.repeats {
                let point = |k| choices.nested[outer(design, repeat, k)].point;
                of_repeats.push(lists.push(design, self.choosing.full_list(t, repeat, point)));
                let folds = 0..design.folds;
                let list = |k| self.fold_scores(t, point(k), repeat, k);
                scores.push(merged(folds.map(list))?);
            }
            nested.push(of_repeats);
            let mut of_points = Vec::new();
            for point in 0..design.grid.len() {
                let mut of_repeats = Vec::new();
                for repeat in 0..design.repeats {
                    let of_point = self.choosing.out_of_fold(self.scores, t, point, repeat)?;
                    of_repeats.push(of_point.map(|of_point| {
                        scores.push(of_point);
                        lists.push(design, self.choosing.full_list(t, repeat, |_| point))
                    }));
                }
                of_points.push(of_repeats);
            }
            plain.push(of_points);
            let mut of_sites = Vec::new();
            for site in design.left_out_sites() {
                let mut of_points = Vec::new();
                for point in 0..design.grid.len() {
                    let list = self.choosing.left_out_list(t, site, point);
                    of_points.push(list.map(|list| {
                        scores.push(self.scores[list].clone());
                        lists.push(design, self.choosing.lists.parts(list).to_vec())
                    }));
                }
                of_sites.push(of_points);
            }
            left_out.push(of_sites);
        }
        Ok(Full { lists, scores, nested, plain, left_out })
    }

    async fn placements<'f, C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        full: &'f Full,
    ) -> Result<Placed<'f>, StudyError> {
        let mut together = Vec::with_capacity(full.scores.len());
        for sites in &full.scores {
            together.push(vec![ScoreCell::merged(sites)?]);
        }
        let one_list = full.lists.placements(asker, &self.scoring, &[], &together).await?;
        let split = [Column::Site];
        let by_site = full.lists.placements(asker, &self.scoring, &split, &full.scores).await?;
        Ok(Placed { full, one_list: one_list.into_iter().flatten().collect(), by_site })
    }

    async fn subgroups<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        choices: &[Choices],
    ) -> Result<Vec<BySubgroup>, StudyError> {
        let design = self.scoring.design;
        let (mut folds, full) = (Lists::default(), self.nested_lists(choices));
        for (t, choices) in choices.iter().enumerate() {
            for (at, (repeat, k)) in design.outer_folds().enumerate() {
                let list = self.chosen_list(t, choices.nested[at].point, repeat, k);
                folds.push(design, self.choosing.lists.parts(list).to_vec());
            }
        }
        let (per_repeat, repeats) = (usize::from(design.folds), usize::from(design.repeats));
        let mut columns = Vec::new();
        for (column, levels) in asker.schema.levels.clone().into_iter().enumerate() {
            let split = [Column::Subgroup(column as u8)];
            let scores = folds.scores(asker, &self.scoring, &split).await?;
            let together: Vec<_> =
                scores.chunks_exact(per_repeat).map(merged).collect::<Result<_, _>>()?;
            let placements = full.placements(asker, &self.scoring, &split, &together).await?;
            columns.push(BySubgroup {
                levels: usize::from(levels),
                folds: scores.chunks_exact(per_repeat * repeats).map(<[_]>::to_vec).collect(),
                placements: placements.chunks_exact(repeats).map(<[_]>::to_vec).collect(),
            });
        }
        Ok(columns)
    }

    fn target(
        &self,
        target: usize,
        choices: &Choices,
        placed: &Placed<'_>,
        subgroups: &[BySubgroup],
    ) -> Result<TargetFindings, StudyError> {
        let design = self.scoring.design;
        let class = design.classes[target];
        let points = 0..design.grid.len();
        let used_for_choosing = points
            .map(|point| self.grid_result(target, point, placed))
            .collect::<Result<_, _>>()?;
        let counts = self.by_site.iter().map(|cell| cell.judged_against(class));
        let left_out = design.left_out_sites().zip(&choices.left_out);
        Ok(TargetFindings {
            class,
            used_for_choosing,
            nested: self.nested(target, choices, placed, subgroups)?,
            left_out: left_out
                .map(|(site, choice)| self.left_out(target, site, choice, placed))
                .collect::<Result<_, _>>()?,
            site_only_auc: without_interval(site_only_auc(&counts.collect::<Vec<_>>())),
            model: self.final_model(target, choices)?,
            trees: self.tree_counts(target),
            races: self.standing.findings(design, target),
        })
    }

    fn grid_result(
        &self,
        target: usize,
        point: usize,
        placed: &Placed<'_>,
    ) -> Result<GridResult, StudyError> {
        let (mut within, mut one_list) = (Vec::new(), Vec::new());
        for list in &placed.full.plain[target][point] {
            let Some(list) = *list else {
                within.push(left_the_race());
                one_list.push(left_the_race());
                continue;
            };
            let histograms = histograms(&placed.full.scores[list]);
            within.push(within_sites_clustered(&histograms, &placed.by_site[list])?);
            let all = ScoreHistogram::merged(&histograms)?;
            one_list.push(auc_clustered(&all, &placed.one_list[list]));
        }
        let folds = self.scoring.design.outer_folds();
        Ok(GridResult {
            auc_within_sites: repeats::figure(&within),
            auc_one_list: repeats::figure(&one_list),
            folds: folds
                .map(|(repeat, fold)| self.fold_result(target, point, repeat, fold))
                .collect::<Result<_, _>>()?,
        })
    }

    fn fold_result(
        &self,
        target: usize,
        point: usize,
        repeat: u8,
        fold: u8,
    ) -> Result<FoldResult, StudyError> {
        let Some(list) = self.choosing.fold_list(target, point, repeat, fold) else {
            let (auc_within_sites, auc_one_list) = (left_the_race(), left_the_race());
            return Ok(FoldResult { repeat, fold, auc_within_sites, auc_one_list });
        };
        let histograms = histograms(&self.scores[list]);
        let all = ScoreHistogram::merged(&histograms)?;
        Ok(FoldResult {
            repeat,
            fold,
            auc_within_sites: without_interval(auc_within_sites(&histograms)),
            auc_one_list: without_interval(roc_auc(&all)),
        })
    }

    fn nested(
        &self,
        target: usize,
        choices: &Choices,
        placed: &Placed<'_>,
        subgroups: &[BySubgroup],
    ) -> Result<Nested, StudyError> {
        let design = self.scoring.design;
        let outer_folds = || design.outer_folds().zip(&choices.nested);
        let mut judged = Vec::new();
        for repeat in 0..design.repeats {
            judged.push(self.judged(target, repeat, choices, placed, subgroups)?);
        }
        Ok(Nested {
            choices: outer_folds()
                .map(|((repeat, fold), choice)| NestedChoice {
                    repeat,
                    fold,
                    point: choice.point,
                    threshold: choice.threshold.probability(),
                })
                .collect(),
            judged: repeats::judged(judged),
            folds: outer_folds()
                .map(|((repeat, fold), choice)| {
                    self.fold_result(target, choice.point, repeat, fold)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// One repeat's outer folds, each at its own grid point and threshold, judged in one list.
    fn judged(
        &self,
        target: usize,
        repeat: u8,
        choices: &Choices,
        placed: &Placed<'_>,
        subgroups: &[BySubgroup],
    ) -> Result<Judged, StudyError> {
        let design = self.scoring.design;
        let first = outer(design, repeat, 0);
        let of_repeat = first..first + usize::from(design.folds);
        let chosen = &choices.nested[of_repeat.clone()];
        let scores: Vec<&Vec<ScoreCell>> = chosen
            .iter()
            .zip(0..)
            .map(|(c, k)| self.fold_scores(target, c.point, repeat, k))
            .collect();
        let list = placed.full.nested[target][usize::from(repeat)];
        let mut parts = Vec::new();
        for (choice, sites) in chosen.iter().zip(&scores) {
            let cell = ScoreCell::merged(sites.iter())?;
            parts.push(Part { cell, threshold: choice.threshold });
        }
        let one_list = CellSums { parts, placements: placed.one_list[list] };
        let cell_of = |folds: &[&Vec<ScoreCell>], at: usize, placements: PlacementSums| {
            let part = |(choice, cells): (&Choice, &&Vec<ScoreCell>)| Part {
                cell: cells[at].clone(),
                threshold: choice.threshold,
            };
            CellSums { parts: chosen.iter().zip(folds).map(part).collect(), placements }
        };
        let by_site: Vec<CellSums> = (0..usize::from(design.sites))
            .map(|site| cell_of(&scores, site, placed.by_site[list][site]))
            .collect();
        let by_subgroup: Vec<Vec<CellSums>> = subgroups
            .iter()
            .map(|column| {
                let folds: Vec<_> = column.folds[target][of_repeat.clone()].iter().collect();
                let placements = &column.placements[target][usize::from(repeat)];
                (0..column.levels).map(|l| cell_of(&folds, l, placements[l])).collect()
            })
            .collect();
        Ok(judge::judged(design.threshold, &one_list, &by_site, &by_subgroup)?)
    }

    fn left_out(
        &self,
        target: usize,
        site: u16,
        choice: &Choice,
        placed: &Placed<'_>,
    ) -> Result<LeftOut, StudyError> {
        let lists = &placed.full.left_out[target][usize::from(site)];
        let at_site = |list: usize| &placed.full.scores[list][usize::from(site)];
        let chosen = lists[choice.point].expect("what is chosen was judged at the site");
        let part = Part { cell: at_site(chosen).clone(), threshold: choice.threshold };
        let placements = placed.one_list[chosen];
        let auc = |list: &Option<usize>| match *list {
            Some(list) => auc_clustered(&at_site(list).histogram, &placed.one_list[list]),
            None => left_the_race(),
        };
        Ok(LeftOut {
            site,
            point: choice.point,
            threshold: choice.threshold.probability(),
            figures: judge::figures(&CellSums { parts: vec![part], placements })?,
            auc_by_point: lists.iter().map(auc).collect(),
        })
    }

    /// The list of an outer fold's rows by the model that was chosen for it.
    fn chosen_list(&self, target: usize, point: usize, repeat: u8, fold: u8) -> usize {
        let list = self.choosing.fold_list(target, point, repeat, fold);
        list.expect("what is chosen for a fold is judged on it")
    }

    /// The scores in it.
    fn fold_scores(&self, target: usize, point: usize, repeat: u8, fold: u8) -> &Vec<ScoreCell> {
        &self.scores[self.chosen_list(target, point, repeat, fold)]
    }

    fn tree_counts(&self, target: usize) -> TreeCounts {
        let Scoring { design, models, .. } = &self.scoring;
        if models.stopped.is_empty() {
            return TreeCounts::Given;
        }
        let all = design.all_folds();
        let of_point = |point| {
            let count = |repeat, folds, sites| {
                let key = FitKey { target, point, repeat, folds, sites };
                *models.stopped.get(&key).expect("every model that is judged was stopped")
            };
            let outer = design.outer_folds();
            StoppedTrees {
                folds: outer.map(|(r, k)| count(r, all.without(k), SiteSet::All)).collect(),
                left_out: design
                    .left_out_sites()
                    .map(|site| count(0, all, SiteSet::Without(site)))
                    .collect(),
                all: count(0, all, SiteSet::All),
            }
        };
        TreeCounts::Stopped { points: (0..design.grid.len()).map(of_point).collect() }
    }

    fn final_model(&self, target: usize, choices: &Choices) -> Result<FinalModel, StudyError> {
        let Scoring { design, frame, models, .. } = &self.scoring;
        let choice = &choices.last;
        let key = self.choosing.final_key(design, target, choice.point);
        let point = |k| choices.nested[outer(design, 0, k)].point;
        let folds = (0..design.folds).map(|k| self.fold_scores(target, point(k), 0, k));
        let scores = ScoreCell::merged(folds.flatten())?.histogram;
        let fitted = models.get(&design.fitted_as(key));
        Ok(FinalModel {
            point: choice.point,
            threshold: choice.threshold.probability(),
            fitted: final_fit(fitted, design.classes[target], frame, frame),
            gains: match fitted {
                Fitted::Trees(trees) => trees.gains.clone(),
                _ => TreeGains::NotKept,
            },
            limits: FinalLimits::Learned(final_limits(&scores)),
        })
    }
}

impl Choices {
    /// One of the choices.
    pub fn of(&self, choice: For, design: &Design) -> &Choice {
        match choice {
            For::Fold(repeat, fold) => &self.nested[outer(design, repeat, fold)],
            For::Site(site) => &self.left_out[usize::from(site)],
            For::All => &self.last,
        }
    }
}

/// A class's model in the features' own units; trees act on `grid`, all else on `frame`.
fn final_fit(fitted: &Fitted, class: u8, frame: &Frame, grid: &Frame) -> FinalFit {
    match fitted {
        Fitted::Linear(fitted) => FinalFit::Linear(final_linear(fitted, frame)),
        Fitted::Trees(fitted) => FinalFit::Trees(FinalTrees::new(&fitted.model, grid)),
        Fitted::Fourier(fitted) => FinalFit::Fourier(final_fourier(fitted, frame)),
        Fitted::Softmax(fitted) => FinalFit::Linear(final_linear(&fitted.of_class(class), frame)),
        Fitted::Kernel(fitted) => {
            let model =
                fitted.model().expect("a model that is fitted to all rows keeps its vectors");
            FinalFit::Kernel(FinalKernel { model: model.clone(), violation: fitted.violation })
        }
        Fitted::Ensemble(FittedEnsemble { members, origins, combine, .. }) => {
            let grid = frame.grid();
            let member = |(fitted, &(classifier, point)): (&Arc<Fitted>, &(u8, GridPoint))| {
                let fitted = final_fit(fitted, class, frame, &grid);
                FinalMember { classifier, point, fitted }
            };
            let members = members.iter().zip(origins).map(member).collect();
            FinalFit::Ensemble(FinalEnsemble { members, combine: combine.clone() })
        }
    }
}

fn final_linear(fitted: &FittedLinear, frame: &Frame) -> FinalLinear {
    let FittedLinear { model, standard, .. } = fitted;
    let own_mean = standard.own_mean(frame);
    let (mut weights, mut intercept) = (model.weights.clone(), model.intercept);
    let scaler = match &model.scaler {
        Scaler::Folded => {
            // From the frame's units to standardised ones: z = mean + deviation * x.
            for (j, weight) in weights.iter_mut().enumerate() {
                intercept += *weight * standard.mean[j];
                *weight *= standard.deviation[j];
            }
            let deviation = standard.own_deviation(frame);
            FinalScaler::All { mean: own_mean.clone(), deviation }
        }
        Scaler::OwnSite(_) => FinalScaler::OwnSite,
        Scaler::Combat(combat) => {
            let (mean, deviation) = in_own_units(combat, frame);
            FinalScaler::Combat { mean, deviation }
        }
    };
    FinalLinear {
        scaler,
        weights,
        intercept,
        fill: match model.fill {
            Fill::Complete => Vec::new(),
            Fill::Values(_) => own_mean,
        },
        steps: fitted.steps,
        gradient: fitted.gradient,
    }
}

/// Mean and deviation of all sites in the features' own units.
fn in_own_units(combat: &Combat, frame: &Frame) -> (Vec<f64>, Vec<f64>) {
    let columns = frame.center.iter().zip(&frame.scale);
    let both = columns.zip(combat.mean.iter().zip(&combat.deviation));
    both.map(|((center, scale), (mean, s))| (center + scale * mean, scale * s)).unzip()
}

fn final_fourier(fitted: &FittedFourier, frame: &Frame) -> FinalFourier {
    let FittedFourier { model, standard, any_missing, steps, gradient, .. } = fitted;
    let own = OwnFourier {
        seed: model.map.seed,
        gamma: model.map.gamma,
        scaler: match &model.map.scaler {
            MapScaler::OwnSite(_) => FourierScaler::OwnSite,
            MapScaler::Combat(combat) => {
                let (mean, deviation) = in_own_units(combat, frame);
                FourierScaler::Combat { mean, deviation }
            }
            MapScaler::Given { inverse, .. } => FourierScaler::All {
                mean: standard.own_mean(frame),
                inverse: inverse.iter().zip(&frame.scale).map(|(i, scale)| i / scale).collect(),
            },
        },
        missing: if *any_missing { MissingFeatures::Filled } else { MissingFeatures::Refused },
        weights: model.weights.clone(),
        intercept: model.intercept,
    };
    FinalFourier { model: own, steps: *steps, gradient: *gradient }
}

/// The figure of a grid point on rows that it wasn't judged on.
fn left_the_race() -> Figure {
    Figure::Undefined { reason: "the grid point left the race before".to_owned() }
}

fn outer(design: &Design, repeat: u8, fold: u8) -> usize {
    usize::from(repeat) * usize::from(design.folds) + usize::from(fold)
}

fn histograms(cells: &[ScoreCell]) -> Vec<ScoreHistogram> {
    cells.iter().map(|cell| cell.histogram.clone()).collect()
}
