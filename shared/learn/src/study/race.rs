//! Races of grid points: successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification
//! and hyperparameter optimization", 2016) with folds as the resource.
//!
//! Every training set that a point is chosen for has a race of its own: an outer fold's, that without a
//! site, the final one. On the first rung each point is judged on one held-out fold, by the model fitted without
//! it; the better one of `eta` go on to the next rung with `eta` times the folds, and those on the last rung
//! are judged on all. Among them the study's rule chooses as it does without a race. An outer fold's race
//! sees its inner folds alone. Folds come in their order; of repeated deals a fold counts as judged once it is in
//! each.
//!
//! The resource is folds, not rows: scikit-learn's `HalvingGridSearchCV` fits to more and more rows, and
//! ranks points by models of few rows. Here all models have the rows that they would have without a race, so a race is the
//! same choice with less known of the points that look bad. The price: one fold may rank them wrongly.
//!
//! All races climb together, rung by rung, and all models of a rung are fitted in lockstep.

use std::collections::{BTreeMap, BTreeSet};

use wardround_core::query::{Column, SiteSet};
use wardround_core::study::ChooseBy;

use super::asker::Asker;
use super::choose::{mean_auc, nothing_to_compare};
use super::design::{Design, FitKey, Racing, describe};
use super::error::StudyError;
use super::fits::Models;
use super::scores::{Lists, Scored};
use super::single::Fitter;
use crate::cohort::Cohort;
use crate::findings::{Figure, Interval, RaceOf, RaceResult, Races, Trial};

/// Which grid points are judged on all folds of a choice.
pub(crate) enum Standing {
    /// All.
    Everyone,
    /// The finalists.
    Raced(Vec<Race>),
}

/// The race for one training set of one class.
pub(crate) struct Race {
    /// Its training set; the point is the first.
    key: FitKey,
    /// Points that are still in it.
    alive: Vec<usize>,
    /// By grid point, where it ended.
    trials: Vec<(u8, f64)>,
}

impl Standing {
    /// The points that a training set's choice is among.
    pub fn points(&self, design: &Design, choice: FitKey) -> Vec<usize> {
        let choice = FitKey { point: 0, ..choice };
        let of_choice = |races: &Vec<Race>| {
            races.iter().find(|race| race.key == choice).map(|race| race.alive.clone())
        };
        match self {
            Self::Everyone => None,
            Self::Raced(races) => of_choice(races),
        }
        .unwrap_or_else(|| (0..design.grid.len()).collect())
    }

    /// What the findings say of a class's races.
    pub fn findings(&self, design: &Design, target: usize) -> Races {
        let (Self::Raced(races), Racing::Halving { eta }) = (self, design.racing) else {
            return Races::Off;
        };
        let all = design.all_folds();
        let of_race = |race: &Race| {
            let FitKey { repeat, folds, sites, .. } = race.key;
            let of = match sites {
                SiteSet::Without(site) => RaceOf::Site { site },
                _ => match all.iter().find(|&fold| !folds.contains(fold)) {
                    Some(fold) => RaceOf::Fold { repeat, fold },
                    None => RaceOf::All,
                },
            };
            let trial = |&(folds, auc): &(u8, f64)| {
                let auc = Figure::Known { value: auc, interval: Interval::NotComputed };
                Trial { folds, auc }
            };
            RaceResult { of, trials: race.trials.iter().map(trial).collect() }
        };
        let of_target = races.iter().filter(|race| race.key.target == target);
        Races::Halved { eta: eta as u16, races: of_target.map(of_race).collect() }
    }
}

/// Held-out folds by rung: 1, eta, eta^2, and so on, up to all.
pub(crate) fn rungs(folds: usize, eta: usize) -> Vec<usize> {
    let mut rungs = vec![1];
    while let Some(&last) = rungs.last().filter(|&&last| last < folds) {
        rungs.push((last * eta).min(folds));
    }
    rungs
}

/// How many of the points of a rung go on.
pub(crate) fn going_on(points: usize, eta: usize) -> usize {
    points.div_ceil(eta)
}

/// The most models that a design with races fits, and on how many rungs; some of them are of several races.
pub(crate) fn most_models(design: &Design, eta: usize) -> (usize, usize) {
    let (mut models, mut most_rungs) = (0, 0);
    for choice in design.choices() {
        let rungs = rungs(choice.folds.iter().count(), eta);
        let (mut points, mut judged) = (design.grid.len(), 0);
        for (at, &folds) in rungs.iter().enumerate() {
            models += points * (stand_ins(design, &choice, folds).len() - judged);
            judged = stand_ins(design, &choice, folds).len();
            points = if at + 1 < rungs.len() { going_on(points, eta) } else { points };
        }
        models += points;
        most_rungs = most_rungs.max(rungs.len());
    }
    (models.min(design.fits().len()), most_rungs)
}

/// Those that stand in for a model on the first so many of its held-out folds.
fn stand_ins(design: &Design, key: &FitKey, folds: usize) -> Vec<Scored> {
    let first: Vec<u8> = key.folds.iter().take(folds).collect();
    let of_first = |scored: &Scored| first.iter().any(|&fold| scored.rows.folds.contains(fold));
    design.stand_ins(key).into_iter().filter(of_first).collect()
}

/// Runs all races of a design and fits what is chosen from.
pub(crate) async fn run<C: Cohort>(
    asker: &mut Asker<'_, C>,
    fitter: &mut Fitter<'_>,
    by: ChooseBy,
    eta: usize,
) -> Result<(Models, Standing), StudyError> {
    let design = fitter.design;
    let start = |key| Race {
        key,
        alive: (0..design.grid.len()).collect(),
        trials: vec![(0, 0.0); design.grid.len()],
    };
    let mut races: Vec<Race> = design.choices().into_iter().map(start).collect();
    let rungs: Vec<Vec<usize>> =
        races.iter().map(|race| rungs(race.key.folds.iter().count(), eta)).collect();
    let most = rungs.iter().map(Vec::len).max().unwrap_or(0);
    let mut models = Models::new([], 0);
    for rung in 0..most {
        let now: Vec<usize> = (0..races.len()).filter(|&at| rung < rungs[at].len()).collect();
        let judged_on = |at: usize| rungs[at][rung];
        let wanted = now.iter().flat_map(|&at| {
            let race = &races[at];
            race.alive.iter().flat_map(move |&point| {
                stand_ins(design, &FitKey { point, ..race.key }, judged_on(at))
            })
        });
        fit(asker, fitter, &mut models, wanted.map(|scored| scored.fit).collect(), rung).await?;
        let aucs = aucs(asker, fitter, &models, by, &races, &now, judged_on).await?;
        for (&at, aucs) in now.iter().zip(aucs) {
            let (race, folds) = (&mut races[at], judged_on(at) as u8);
            for (&point, &auc) in race.alive.iter().zip(&aucs) {
                race.trials[point] = (folds, auc);
            }
            if rung + 1 < rungs[at].len() {
                race.halve(design, eta);
            }
        }
    }
    let finals = races.iter().flat_map(|race| {
        race.alive.iter().map(|&point| FitKey { point, ..race.key }).collect::<Vec<_>>()
    });
    fit(asker, fitter, &mut models, finals.collect(), most).await?;
    Ok((models, Standing::Raced(races)))
}

impl Race {
    /// Keeps the better ones; of equal ones the simpler, then the first.
    fn halve(&mut self, design: &Design, eta: usize) {
        let going_on = going_on(self.alive.len(), eta);
        let trials = &self.trials;
        self.alive.sort_by(|&a, &b| {
            let simpler = |a: usize, b: usize| design.grid[a].is_simpler_than(&design.grid[b]);
            let simplicity = simpler(b, a).cmp(&simpler(a, b));
            trials[b].1.total_cmp(&trials[a].1).then(simplicity).then(a.cmp(&b))
        });
        self.alive.truncate(going_on);
        self.alive.sort_unstable();
    }
}

/// Fits what isn't fitted yet.
async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    fitter: &mut Fitter<'_>,
    models: &mut Models,
    wanted: BTreeSet<FitKey>,
    rung: usize,
) -> Result<(), StudyError> {
    let new = |key: &FitKey| wanted.contains(key) && !models.has(key);
    let keys: Vec<FitKey> = fitter.design.fits().into_iter().filter(new).collect();
    if !keys.is_empty() {
        models.add(fitter.fit(asker, &keys, rung).await?);
    }
    Ok(())
}

/// Per race of a rung, the AUC of each point that is in it, on the folds so far.
async fn aucs<C: Cohort>(
    asker: &mut Asker<'_, C>,
    fitter: &Fitter<'_>,
    models: &Models,
    by: ChooseBy,
    races: &[Race],
    now: &[usize],
    judged_on: impl Fn(usize) -> usize,
) -> Result<Vec<Vec<f64>>, StudyError> {
    let design = fitter.design;
    let mut lists = Lists::default();
    // Per race and point, its lists: one per repeat.
    let mut of_races: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
    for &at in now {
        let race = &races[at];
        let of_points = race.alive.iter().map(|&point| {
            let parts = stand_ins(design, &FitKey { point, ..race.key }, judged_on(at));
            let repeats = parts.chunk_by(|a, b| a.rows.repeat == b.rows.repeat);
            repeats.map(|of_repeat| lists.push(design, of_repeat.to_vec())).collect()
        });
        of_races.insert(at, of_points.collect());
    }
    let scores = lists.scores(asker, &fitter.scoring(models), &[Column::Site]).await?;
    let mut aucs = Vec::with_capacity(now.len());
    for at in now {
        let key = &races[*at].key;
        let mut of_points = Vec::new();
        for of_point in &of_races[at] {
            let repeats: Vec<_> = of_point.iter().map(|&list| scores[list].clone()).collect();
            of_points.push(mean_auc(by, &repeats)?.map_err(|why| {
                let class = &fitter.classes[usize::from(design.classes[key.target])];
                let rows = describe(&key.rows(), design.folds, asker.sites);
                let folds = judged_on(*at);
                nothing_to_compare(class, format!("on {folds} held-out folds of rows {rows}"), why)
            })?);
        }
        aucs.push(of_points);
    }
    Ok(aucs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_end_at_all_folds() {
        assert_eq!(rungs(4, 3), [1, 3, 4]);
        assert_eq!(rungs(9, 3), [1, 3, 9]);
        assert_eq!(rungs(5, 200), [1, 5]);
        assert_eq!(rungs(2, 2), [1, 2]);
        assert_eq!(
            [going_on(9, 3), going_on(4, 3), going_on(1, 3), going_on(5, 200)],
            [3, 2, 1, 1]
        );
    }
}
