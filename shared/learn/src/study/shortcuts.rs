//! The shortcut check: how well features tell a row's site and its level of each subgroup column, and how much the score follows.
//!
//! For each of them a logistic model of the features tells its rows from all others, in lockstep, out of fold on the study's folds. That
//! features tell sex or scanner is no fault; a model may then use it instead of the disease (Zech et al., PLoS Med 2018;15:e1002683;
//! Gichoya et al., Lancet Digit Health 2022;4:e406). So beside it stands how well the study's own out-of-fold score tells the level *among
//! rows of one class*: a half where it doesn't follow, whatever the level's prevalence is. What is told of a level by disease of
//! another kind or degree looks the same: it is a sign, no proof.
//!
//! All questions are marked ones ([`Marked`](wardround_core::query::Marked)): rows' classes are the levels. Sites say first which of
//! them they answer ([`Ask::MarksAllowed`]): a fold of few patients with or without one would tell of each. One regularisation strength for all:
//! [`wardround_core::study::Shortcuts::c`].

use wardround_core::query::{Ask, Mark, Model, RowSet, ScoreList, ScoreOf, SiteSet};
use wardround_core::study::{
    Balance, EarlyStopping, GridPoint, LinearPoint, Loss, Reduction, Shortcuts as Rule,
    Standardise, Study,
};

use super::asker::{Asker, ClassesOf, finest_bits};
use super::common::Common;
use super::design::{ClassModels, Design, FitKey, LeavingOut, Nesting, Racing, Trained};
use super::error::StudyError;
use super::fits::{self, Ground};
use super::own_site::unfit;
use super::reduce::Selections;
use super::scores::{BINS, COARSEST_BITS, LOSS_RESERVE, Lists, Scored, Scoring};
use super::single::Nested;
use crate::cohort::Cohort;
use crate::findings::{
    Among, FollowedLevel, JudgedCell, JudgedLevel, Profile, ProfileCell, ShortcutColumn,
    ShortcutLevel, ShortcutOf, Shortcuts, ShortcutsFound,
};
use crate::metrics::cells::{placement_cells, score_cells};
use crate::metrics::interval::placement_table;
use crate::metrics::judge::auc_clustered;
use crate::metrics::{PlacementSums, ScoreCell};

/// Fewest patients of a level, and of all others, at all sites together.
const FEWEST: u64 = 10;

/// The sites and levels of a study.
struct Levels {
    columns: Vec<(ShortcutOf, Vec<Level>)>,
    /// Those that are looked at.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy)]
enum Level {
    /// By its index among the marks.
    Marked(usize),
    Rest,
    Empty,
    TooFew,
    TooMany,
}

/// Fits the models that tell sites and levels, judges them, and asks how much the nested scores follow.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    classes: &[u8],
    nested: &Nested,
    common: &mut Common,
) -> Result<Shortcuts, StudyError> {
    let first = asker.answered + 1;
    let mut levels = Levels::new(&common.profile);
    if !levels.marks.is_empty() {
        let allowed = allowed(asker, &levels.marks).await?;
        levels.keep(&allowed);
    }
    let c = Rule::c(asker.schema.features);
    let mut judged = Vec::new();
    if !levels.marks.is_empty() {
        let (marks, schema) = (&levels.marks, asker.schema.marked(levels.marks.len()));
        // Moments have no part in what rows are of.
        common.cells(asker).await?;
        let mut marked = asker.marked(&schema, marks, ScoreOf::Mark);
        let told = told(&mut marked, study, c, common, marks).await;
        asker.take_back(marked);
        judged = match told {
            Err(error) if unfit(&error).is_some() => {
                return Ok(Shortcuts::Unfit { reason: error.to_string() });
            }
            other => other?,
        };
        let repeats = usize::from(asker.folds.repeats);
        for (at, &class) in classes.iter().enumerate() {
            let list = &nested.lists[at * repeats];
            let mut marked = asker.marked(&schema, marks, ScoreOf::Class(class));
            let followed = followed(&mut marked, (nested, list, class), common.rows, marks.len());
            let followed = followed.await;
            asker.take_back(marked);
            for (judged, among) in judged.iter_mut().zip(followed?) {
                judged.follows.push(FollowedLevel { class, among });
            }
        }
    }
    let columns = levels.columns.into_iter().map(|(of, levels)| {
        let found = |level| match level {
            Level::Marked(at) => ShortcutLevel::Judged(Box::new(judged[at].clone())),
            Level::Rest => ShortcutLevel::Rest,
            Level::Empty => ShortcutLevel::Empty,
            Level::TooFew => ShortcutLevel::TooFew,
            Level::TooMany => ShortcutLevel::TooMany,
        };
        ShortcutColumn { of, levels: levels.into_iter().map(found).collect() }
    });
    let columns = columns.collect();
    Ok(Shortcuts::Asked(ShortcutsFound { c, columns, rounds: [first, asker.answered] }))
}

impl Levels {
    fn new(profile: &Profile) -> Self {
        let mut levels = Self { columns: Vec::new(), marks: Vec::new() };
        let sites = profile.by_site.len();
        if sites > 1 {
            // Of each site, how many patients are of each site.
            let counts = |at: usize| -> Vec<u64> {
                let of = |site: usize| if site == at { profile.by_site[at].patients } else { 0 };
                (0..sites).map(of).collect()
            };
            let counts: Vec<_> = (0..sites).map(|at| (counts(at), &profile.by_site[at])).collect();
            levels.add(ShortcutOf::Site, &counts, |site| Mark::Site(site as u16));
        }
        for column in 0..profile.by_subgroup.len() {
            let of_site = |(of_site, all)| {
                let cells: &Vec<ProfileCell> = &Vec::<Vec<ProfileCell>>::as_slice(of_site)[column];
                (cells.iter().map(|cell| cell.patients).collect(), all)
            };
            let counts: Vec<(Vec<u64>, &ProfileCell)> =
                profile.by_site_and_subgroup.iter().zip(&profile.by_site).map(of_site).collect();
            let mark = |level| Mark::Level { column: column as u8, level: level as u8 };
            levels.add(ShortcutOf::Subgroup { column }, &counts, mark);
        }
        levels
    }

    /// Adds a column, given each site's patients by level and its counts of all.
    fn add(
        &mut self,
        of: ShortcutOf,
        counts: &[(Vec<u64>, &ProfileCell)],
        mark: impl Fn(usize) -> Mark,
    ) {
        let width = counts.first().map_or(0, |(levels, _)| levels.len());
        let total = |level: usize| counts.iter().map(|(levels, _)| levels[level]).sum::<u64>();
        let held: Vec<usize> = (0..width).filter(|&level| total(level) > 0).collect();
        let enough = |level: usize| {
            let mut sums = [0, 0];
            for (levels, all) in counts {
                // A patient may be of several levels; at least so many are of another one.
                let largest = levels.iter().enumerate().filter(|(at, _)| *at != level);
                let largest = largest.map(|(_, &count)| count).max().unwrap_or(0);
                let with = levels[level];
                let without = largest.max(all.patients.saturating_sub(with));
                sums = [sums[0] + without, sums[1] + with];
            }
            sums.iter().all(|&count| count >= FEWEST)
        };
        // Of two levels one is enough: the rarer.
        let rest = match held.as_slice() {
            [first, second] if total(*first) <= total(*second) => Some(*second),
            [first, _] => Some(*first),
            _ => None,
        };
        let mut found = vec![Level::Empty; width];
        for &level in &held {
            found[level] = if rest == Some(level) && held.iter().all(|&level| enough(level)) {
                Level::Rest
            } else if !enough(level) {
                Level::TooFew
            } else if Rule::marks(self.marks.len() + 1) > self.marks.len() {
                self.marks.push(mark(level));
                Level::Marked(self.marks.len() - 1)
            } else {
                Level::TooMany
            };
        }
        self.columns.push((of, found));
    }

    /// Gives up the marks that an owner doesn't let be asked about, and what would be told by one of them.
    fn keep(&mut self, allowed: &[bool]) {
        let kept = |at: usize| allowed[..at].iter().filter(|allowed| **allowed).count();
        for (_, levels) in &mut self.columns {
            for level in levels.iter_mut() {
                if let Level::Marked(at) = *level {
                    *level = if allowed[at] { Level::Marked(kept(at)) } else { Level::TooFew };
                }
            }
            let told = levels.iter().any(|level| matches!(level, Level::Marked(_)));
            for level in levels.iter_mut().filter(|level| matches!(level, Level::Rest)) {
                *level = if told { Level::Rest } else { Level::TooFew };
            }
        }
        let mut allowed = allowed.iter();
        self.marks.retain(|_| allowed.next().copied().unwrap_or(false));
    }
}

/// Which marks every site lets be asked about.
async fn allowed<C: Cohort>(
    asker: &mut Asker<'_, C>,
    marks: &[Mark],
) -> Result<Vec<bool>, StudyError> {
    let answer = asker.ask(Ask::MarksAllowed { marks: marks.to_vec() }).await?;
    let by_site = answer.counts("allowed");
    let of_mark = |at: usize| by_site.chunks_exact(marks.len()).all(|site| site[at] > 0);
    Ok((0..marks.len()).map(of_mark).collect())
}

/// How well features tell each mark.
async fn told<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    c: f64,
    common: &mut Common,
    marks: &[Mark],
) -> Result<Vec<JudgedLevel>, StudyError> {
    let by_site = marked_counts(&common.profile, marks);
    let names: Vec<String> = marks.iter().map(|mark| name(study, asker, mark)).collect();
    let design = design(study, asker, c, marks.len());
    let (frame, rows) = (common.frame.clone(), common.rows);
    let Some(cells) = common.known_cells() else {
        return Err(StudyError::Unfit("moments of the features weren't asked for".into()));
    };
    let ground = Ground {
        design: &design,
        frame: &frame,
        cells,
        selections: &Selections::default(),
        by_site: &by_site,
        classes: &names,
    };
    let all = design.all_folds();
    let fit = |target, k| FitKey {
        target,
        point: 0,
        repeat: 0,
        folds: all.without(k),
        sites: SiteSet::All,
    };
    let keys: Vec<FitKey> =
        all.iter().flat_map(|k| (0..marks.len()).map(move |target| fit(target, k))).collect();
    let models = fits::fit(asker, &ground, Loss::Logistic, &keys).await?;
    let mut lists = Lists::default();
    for target in 0..marks.len() {
        let parts = all.iter().map(|k| Scored::fold(k, SiteSet::All, fit(target, k)));
        lists.push(&design, parts.collect());
    }
    let scoring = Scoring { design: &design, frame: &frame, models: &models, rows };
    let scores = lists.scores(asker, &scoring, &[]).await?;
    let placements = lists.placements(asker, &scoring, &[], &scores).await?;
    let judged = |(scores, placements): (Vec<ScoreCell>, Vec<PlacementSums>)| {
        let (histogram, sums) = (&scores[0].histogram, &placements[0]);
        JudgedLevel {
            patients: [sums.with_negative, sums.with_positive],
            rows: [histogram.negative_rows(), histogram.positive_rows()],
            auc: auc_clustered(histogram, sums),
            follows: Vec::new(),
        }
    };
    Ok(scores.into_iter().zip(placements).map(judged).collect())
}

/// One model per mark and fold.
fn design<C>(study: &Study, asker: &Asker<'_, C>, c: f64, marks: usize) -> Design {
    Design {
        classes: (0..marks as u8).collect(),
        grid: vec![GridPoint::Linear(LinearPoint {
            c,
            standardise: Standardise::All,
            balance: Balance::None,
            l1_ratio: 0.0,
            reduce: Reduction::None,
        })],
        models: ClassModels::Own,
        folds: asker.folds.folds,
        repeats: asker.folds.repeats,
        sites: asker.sites.len() as u16,
        nested: Nesting::TwoFolds,
        left_out: LeavingOut::None,
        choose: study.validation.choose,
        threshold: study.validation.threshold,
        early_stopping: EarlyStopping::Off,
        racing: Racing::Off,
        trained: Trained::Study,
    }
}

fn name<C>(study: &Study, asker: &Asker<'_, C>, mark: &Mark) -> String {
    match *mark {
        Mark::Site(site) => format!("site {}", asker.sites[usize::from(site)]),
        Mark::Level { column, level } => {
            let subgroup = &study.subgroups[usize::from(column)];
            format!("{} {}", subgroup.name, subgroup.level_names()[usize::from(level)])
        }
    }
}

/// Each site's rows by mark; which have none isn't counted.
fn marked_counts(profile: &Profile, marks: &[Mark]) -> Vec<ProfileCell> {
    let of_site = |(site, all): (usize, &ProfileCell)| {
        let rows = |mark: &Mark| match *mark {
            Mark::Site(of) if usize::from(of) == site => all.rows(),
            Mark::Site(_) => 0,
            Mark::Level { column, level } => {
                let levels = &profile.by_site_and_subgroup[site][usize::from(column)];
                levels[usize::from(level)].rows()
            }
        };
        ProfileCell {
            patients: all.patients,
            patients_by_class: Vec::new(),
            rows_by_class: marks.iter().map(rows).collect(),
            all_rows: all.rows(),
            judged: JudgedCell::Rows,
        }
    };
    profile.by_site.iter().enumerate().map(of_site).collect()
}

/// How well the score of a modelled class tells each mark among its negative and its positive rows.
async fn followed<C: Cohort>(
    asker: &mut Asker<'_, C>,
    (nested, list, class): (&Nested, &ScoreList, u8),
    rows: u64,
    marks: usize,
) -> Result<Vec<[Among; 2]>, StudyError> {
    let (models, parts) = used(nested, list);
    let of_mark = |mark| ScoreList { class: mark, parts: parts.clone() };
    let lists: Vec<ScoreList> = (0..marks as u8).map(of_mark).collect();
    let ClassesOf::Marks { plain, .. } = asker.classes else {
        return Err(StudyError::Unfit("a question about marks without marks".into()));
    };
    let split = vec![plain.column_of_class(class)];
    let bits = finest_bits(rows as f64, LOSS_RESERVE);
    let scores = asker
        .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Scores {
            frame: nested.frame.clone(),
            models: models.clone(),
            lists: lists.clone(),
            split: split.clone(),
            bins: BINS,
            bits,
        })
        .await?;
    let scores = score_cells(&scores.query, &scores.sum)?;
    let tables: Vec<_> = scores.iter().map(|cell| placement_table(&cell.histogram)).collect();
    let bits = finest_bits(rows as f64 * rows as f64, 1);
    let placements = asker
        .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Placements {
            frame: nested.frame.clone(),
            models: models.clone(),
            lists: lists.clone(),
            split: split.clone(),
            bins: BINS,
            tables: tables.clone(),
            bits,
        })
        .await?;
    let placements = placement_cells(&placements.query, &placements.sum)?;
    let among = |(cell, sums): (&ScoreCell, &PlacementSums)| Among {
        patients: [sums.with_negative, sums.with_positive],
        auc: auc_clustered(&cell.histogram, sums),
    };
    let all: Vec<Among> = scores.iter().zip(&placements).map(among).collect();
    let both = |pair: &[Among]| [pair[0].clone(), pair[1].clone()];
    Ok(all.chunks_exact(2).map(both).collect())
}

/// The models of a list, and its parts by their places among them.
fn used(nested: &Nested, list: &ScoreList) -> (Vec<Model>, Vec<(RowSet, u32)>) {
    let mut places: Vec<u32> = Vec::new();
    let place = |(rows, model): &(RowSet, u32)| {
        let known = places.iter().position(|known| known == model);
        let at = known.unwrap_or_else(|| {
            places.push(*model);
            places.len() - 1
        });
        (*rows, at as u32)
    };
    let parts = list.parts.iter().map(place).collect();
    (places.iter().map(|&model| nested.models[model as usize].clone()).collect(), parts)
}
