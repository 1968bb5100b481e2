//! What is fitted to which rows: every training set of a study, every model, in one fixed order.

use std::ops::Range;

use wardround_core::ids::SiteId;
use wardround_core::query::{FoldSet, RowSet, SiteSet};
use wardround_core::study::{
    Choose, Classifier, EarlyStopping, Family, GridPoint, Halving, LinearPoint, Quorum, Search,
    Study, ThresholdRule,
};

use super::error::StudyError;
use super::scores::Scored;

/// The shape of a study's fits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Design {
    /// Class codes that a model is fitted for.
    pub classes: Vec<u8>,
    /// The grid, in the order of [`wardround_core::study::Study::grid`].
    pub grid: Vec<GridPoint>,
    pub models: ClassModels,
    pub folds: u8,
    pub repeats: u8,
    pub sites: u16,
    pub nested: Nesting,
    pub left_out: LeavingOut,
    pub choose: Choose,
    pub threshold: ThresholdRule,
    pub early_stopping: EarlyStopping,
    pub racing: Racing,
    pub trained: Trained,
}

/// Whose rows models are fitted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trained {
    /// As the study validates.
    Study,
    /// Each of these sites' alone: every repeat without each fold, and all of them once.
    Alone(Vec<u16>),
    /// So many of the folds that follow each fold of the first repeat, round and round.
    Following(Vec<u8>),
}

/// Whether grid points race for the folds that they are judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Racing {
    /// All are judged on all.
    Off,
    /// Of so many points one goes on.
    Halving { eta: usize },
}

/// What models are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassModels {
    /// One modelled class each.
    Own,
    /// All classes, which then have one grid point in common.
    Shared,
}

/// Whether models are fitted without two folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// An outer fold's choice and threshold come from models that saw nothing of it.
    Pairs,
    /// Two folds and one grid point: nothing to choose; a fold's threshold comes from the other's
    /// scores.
    TwoFolds,
}

/// Whether sites are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeavingOut {
    EverySite,
    None,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It may become the final model, which is given away with all its digits.
    Use,
    /// Only its scores count, binned: to choose by or to be judged.
    Scores,
}

/// One model: a modelled class, a grid point and training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FitKey {
    /// Index into [`Design::classes`].
    pub target: usize,
    /// Index into [`Design::grid`].
    pub point: usize,
    pub repeat: u8,
    pub folds: FoldSet,
    pub sites: SiteSet,
}

impl FitKey {
    /// Whether two have the same training rows.
    pub fn same_rows(&self, other: &Self) -> bool {
        self.rows() == other.rows()
    }

    /// The training rows.
    pub fn rows(&self) -> RowSet {
        RowSet { repeat: self.repeat, folds: self.folds, sites: self.sites }
    }
}

impl Design {
    /// The fits of one of a study's classifiers over some sites.
    ///
    /// # Errors
    /// [`StudyError::TooFewSites`], [`StudyError::TooFewFolds`].
    pub fn new(
        study: &Study,
        classifier: &Classifier,
        sites: &[SiteId],
    ) -> Result<Self, StudyError> {
        let grid = study.grid(classifier);
        let validation = &study.validation;
        let leave_out = validation.leave_one_site_out;
        let got = sites.len();
        let enough = |what, expected| {
            if got >= expected {
                Ok(())
            } else {
                Err(StudyError::TooFewSites { what, expected, got })
            }
        };
        enough("a study", 1)?;
        if leave_out {
            enough("leaving one site out", 2)?;
        }
        if let Quorum::AtLeast(quorum) = study.federation.quorum {
            enough("the study's quorum", usize::from(quorum))?;
        }
        let (folds, points) = (validation.folds, grid.len());
        let early_stopping = classifier.early_stopping();
        let nested = match (folds, points) {
            (3.., _) => Nesting::Pairs,
            (_, 1) if early_stopping.is_off() => Nesting::TwoFolds,
            _ => return Err(StudyError::TooFewFolds { points, folds }),
        };
        let racing = match validation.search {
            Search::Halving(Halving { eta, .. }) if points > 1 => {
                Racing::Halving { eta: usize::from(eta) }
            }
            _ => Racing::Off,
        };
        Ok(Self {
            classes: study.target.classes.modelled(),
            grid,
            models: match classifier.family() {
                Family::Multinomial => ClassModels::Shared,
                _ => ClassModels::Own,
            },
            folds,
            repeats: validation.repeats,
            sites: u16::try_from(got)
                .map_err(|_| StudyError::Unfit(format!("{got} sites are more than 65,535")))?,
            nested,
            left_out: if leave_out { LeavingOut::EverySite } else { LeavingOut::None },
            choose: validation.choose,
            threshold: validation.threshold,
            trained: Trained::Study,
            early_stopping,
            racing,
        })
    }

    /// The fits of some classes at one grid point to each of some sites' rows alone.
    pub fn alone(&self, classes: &[u8], point: GridPoint, sites: Vec<u16>) -> Self {
        Self {
            classes: classes.to_vec(),
            grid: vec![point],
            left_out: LeavingOut::None,
            early_stopping: EarlyStopping::Off,
            racing: Racing::Off,
            trained: Trained::Alone(sites),
            ..self.clone()
        }
    }

    /// The sites that models are fitted to alone.
    pub fn sites_alone(&self) -> &[u16] {
        match &self.trained {
            Trained::Study | Trained::Following(_) => &[],
            Trained::Alone(sites) => sites,
        }
    }

    /// The fits of some classes at one grid point to parts of the rows that each outer fold of the first repeat is learned from:
    /// to as many folds as each of `sizes` says.
    pub fn following(&self, classes: &[u8], point: GridPoint, sizes: Vec<u8>) -> Self {
        Self {
            classes: classes.to_vec(),
            grid: vec![point],
            repeats: 1,
            left_out: LeavingOut::None,
            early_stopping: EarlyStopping::Off,
            racing: Racing::Off,
            trained: Trained::Following(sizes),
            ..self.clone()
        }
    }

    /// So many folds that follow one, the first after the last.
    pub fn folds_after(&self, fold: u8, size: u8) -> FoldSet {
        let bit = |step: u8| 1u64 << ((u16::from(fold) + u16::from(step)) % u16::from(self.folds));
        FoldSet((1..=size).map(bit).sum())
    }

    /// Every training set, each once.
    pub fn training_sets(&self) -> Vec<RowSet> {
        let all = FoldSet::all(self.folds);
        let set = |repeat, folds, sites| RowSet { repeat, folds, sites };
        let each_fold = |sites| {
            let folds =
                move |repeat| (0..self.folds).map(move |k| set(repeat, all.without(k), sites));
            (0..self.repeats).flat_map(folds)
        };
        if let Trained::Alone(sites) = &self.trained {
            let of_site = |&site: &u16| {
                let only = SiteSet::Only(site);
                each_fold(only).chain([set(0, all, only)])
            };
            return sites.iter().flat_map(of_site).collect();
        }
        if let Trained::Following(sizes) = &self.trained {
            let of_size = |&size: &u8| {
                (0..self.folds).map(move |k| set(0, self.folds_after(k, size), SiteSet::All))
            };
            return sizes.iter().flat_map(of_size).collect();
        }
        let mut sets: Vec<RowSet> = each_fold(SiteSet::All).collect();
        if self.nested == Nesting::Pairs {
            for repeat in 0..self.repeats {
                for k in 0..self.folds {
                    let without = |j| set(repeat, all.without(k).without(j), SiteSet::All);
                    sets.extend((k + 1..self.folds).map(without));
                }
            }
        }
        sets.push(set(0, all, SiteSet::All));
        for site in self.left_out_sites() {
            sets.extend(each_fold(SiteSet::Without(site)));
            sets.push(set(0, all, SiteSet::Without(site)));
        }
        sets
    }

    /// Every model, training set by training set, class by class, in grid order.
    pub fn fits(&self) -> Vec<FitKey> {
        let of_set = |rows: RowSet| {
            let RowSet { repeat, folds, sites } = rows;
            let of_target = move |target| {
                (0..self.grid.len()).map(move |point| FitKey {
                    target,
                    point,
                    repeat,
                    folds,
                    sites,
                })
            };
            (0..self.models_of_each()).flat_map(of_target)
        };
        self.training_sets().into_iter().flat_map(of_set).collect()
    }

    /// Models of a training set and grid point.
    pub fn models_of_each(&self) -> usize {
        match self.models {
            ClassModels::Own => self.classes.len(),
            ClassModels::Shared => 1,
        }
    }

    /// The fit that has a class's model.
    pub fn fitted_as(&self, key: FitKey) -> FitKey {
        match self.models {
            ClassModels::Own => key,
            ClassModels::Shared => FitKey { target: 0, ..key },
        }
    }

    /// The modelled classes that a class shares its grid point with, itself among them.
    pub fn chosen_with(&self, target: usize) -> Range<usize> {
        match self.models {
            ClassModels::Own => target..target + 1,
            ClassModels::Shared => 0..self.classes.len(),
        }
    }

    /// What a model is for.
    pub fn purpose(&self, key: &FitKey) -> Purpose {
        match (key.folds == self.all_folds(), key.sites) {
            (true, SiteSet::All) => Purpose::Use,
            _ => Purpose::Scores,
        }
    }

    /// The models that stand in for one when something about it is chosen, each with the rows that it scores:
    /// each was fitted to the same rows less a fold, and scores that fold. None for models that themselves
    /// only stand in.
    pub fn stand_ins(&self, of: &FitKey) -> Vec<Scored> {
        let less = |repeat, k| {
            let fit = FitKey { repeat, folds: of.folds.without(k), ..*of };
            Scored::fold(k, of.sites, fit).for_choice_of(*of)
        };
        let all = self.all_folds();
        if of.folds == all {
            return self.outer_folds().map(|(repeat, k)| less(repeat, k)).collect();
        }
        let of_an_outer_fold = all.iter().any(|k| of.folds == all.without(k));
        match (self.nested, of.sites) {
            (Nesting::Pairs, SiteSet::All) if of_an_outer_fold => {
                of.folds.iter().map(|j| less(of.repeat, j)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Every training set that a grid point is chosen for, once per class: those of the outer folds, those without a
    /// site, and all rows. Points are the first.
    pub fn choices(&self) -> Vec<FitKey> {
        let first = self.fits().into_iter().filter(|key| key.point == 0);
        first.filter(|key| !self.stand_ins(key).is_empty()).collect()
    }

    /// Sites that are left out once.
    pub fn left_out_sites(&self) -> impl Iterator<Item = u16> + use<> {
        match self.left_out {
            LeavingOut::EverySite => 0..self.sites,
            LeavingOut::None => 0..0,
        }
    }

    /// All folds.
    pub fn all_folds(&self) -> FoldSet {
        FoldSet::all(self.folds)
    }

    /// Repeat and fold of every outer fold.
    pub fn outer_folds(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let (repeats, folds) = (self.repeats, self.folds);
        (0..repeats).flat_map(move |repeat| (0..folds).map(move |fold| (repeat, fold)))
    }

    /// A grid point of linear models.
    pub fn linear(&self, point: usize) -> LinearPoint {
        *self.grid[point].linear().expect("only linear models' fits ask for it")
    }

    /// Index of the grid point that takes the most rounds: of linear models the one with the weakest
    /// penalty, of trees the one with the most.
    pub fn slowest_point(&self) -> usize {
        let mut slowest = 0;
        for (at, point) in self.grid.iter().enumerate() {
            if self.grid[slowest].is_simpler_than(point) {
                slowest = at;
            }
        }
        slowest
    }
}

/// A training set in words.
pub(crate) fn describe(rows: &RowSet, folds: u8, sites: &[SiteId]) -> String {
    let out: Vec<String> =
        (0..folds).filter(|&k| !rows.folds.contains(k)).map(|k| (k + 1).to_string()).collect();
    let of_folds = match out.is_empty() {
        true => "of all folds".to_owned(),
        false => format!("without fold {} of repeat {}", out.join(" and "), rows.repeat + 1),
    };
    let name = |at: u16| sites.get(usize::from(at)).map_or("?", SiteId::as_str);
    match rows.sites {
        SiteSet::All => of_folds,
        SiteSet::Only(site) => format!("{of_folds} at site {}", name(site)),
        SiteSet::Without(site) => format!("{of_folds} without site {}", name(site)),
    }
}
