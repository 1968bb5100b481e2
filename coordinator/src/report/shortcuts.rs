//! Shortcuts and shift between sites, as the report shows them.
//!
//! What a level's AUC tells belongs to no sum over levels, so a level stands by itself as a left-out site does: it needs its own counts
//! shown, and enough patients on both sides; among rows of one class, enough on both sides of that class. A site's own figures need its
//! owner's release; of two sites each is the other's rest, so both owners'.
//!
//! Whether a score follows a level is tested on the logit scale against one half. Many levels, classes and targets are tested at once,
//! so p-values are multiplied by their number (Bonferroni).

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_learn::findings::{
    Among, Distance, Figure, Findings, Interval, JudgedLevel, ProfileCell, Shift, ShortcutLevel,
    ShortcutOf, Shortcuts,
};
use wardround_learn::metrics::interval::half_p;
use wardround_learn::metrics::judge::proportion;
use wardround_privacy::policy::Consent;
use wardround_privacy::suppress::{CellMask, CohortMask, Reason, Shown};

use super::check::{BuildError, below};
use super::context::SiteContext;
use super::disclose::Minimums;
use super::values::{Estimate, rounded};

/// Adjusted p-values below which a score is said to follow a level.
const SIGNIFICANT: f64 = 0.05;

/// How well features tell sites and subgroups, and whether scores follow them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ShortcutsSection {
    /// The study doesn't ask for it.
    NotAsked,
    /// The models that tell sites and levels have no solution.
    Unfit {
        /// Why.
        reason: String,
    },
    /// It was looked at.
    Asked {
        /// The penalty's inverse strength of the models that tell levels.
        c: f64,
        /// How many comparisons of a score with a level are shown; p-values are adjusted for so many.
        comparisons: u32,
        /// Sites, then the subgroup columns.
        columns: Vec<ShortcutColumn>,
    },
}

/// A column whose levels features may tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortcutColumn {
    /// "site", or the subgroup column's name.
    pub name: String,
    /// Mean over the levels that are shown.
    pub mean_auc: Estimate,
    /// Its levels.
    pub levels: Vec<ShortcutRow>,
}

/// A site or a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortcutRow {
    /// Of which site or level rows are.
    pub of: String,
    /// What was found.
    pub found: ShortcutFound,
}

/// What was found of a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum ShortcutFound {
    /// How well features tell it.
    Judged {
        /// AUC of a logistic model of the features, out of fold, the level against the rest.
        auc: Estimate,
        /// One entry per modelled class.
        follows: Vec<FollowRow>,
    },
    /// It is the rest of the column's only other level.
    Rest,
    /// Nobody is of it.
    Empty,
    /// Too few are of it, or aren't, at all sites or in a fold of one.
    TooFew,
    /// More levels than one question has room for.
    TooMany,
}

/// How well the score of a modelled class tells a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowRow {
    /// The class that counts as positive.
    pub class: String,
    /// Among rows without it.
    pub among_negatives: Follow,
    /// Among rows with it.
    pub among_positives: Follow,
}

/// How well a score tells a level among rows that are alike in the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// AUC of the score for the level: above a half where rows of the level score higher, a half where it doesn't follow.
    pub auc: Estimate,
    /// p-value of one half, adjusted for all comparisons; nothing where it isn't known.
    pub p: Option<f64>,
}

impl Follow {
    /// Whether the score follows the level.
    pub fn follows(&self) -> bool {
        self.p.is_some_and(|p| p < SIGNIFICANT)
    }
}

impl FollowRow {
    /// Both, with what stands for the rows they are among.
    pub fn both(&self) -> [(&'static str, &Follow); 2] {
        [("without", &self.among_negatives), ("with", &self.among_positives)]
    }
}

impl ShortcutFound {
    /// Why there is no figure; nothing where there is one.
    pub fn why(&self) -> &'static str {
        match self {
            Self::Judged { .. } => "",
            Self::Rest => "the rest of the other level, told as well as that",
            Self::Empty => "nobody is in it",
            Self::TooFew => "too few in it, or not in it, at all sites or in a fold of one",
            Self::TooMany => "more levels than one question has room for",
        }
    }
}

/// How far sites lie apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ShiftSection {
    /// There is one site, or no classifier of the study needs the features' moments by site.
    NotAsked,
    /// From those moments.
    Known {
        /// Each site beside all others together.
        sites: Vec<ShiftRow>,
        /// Each site beside each other one.
        pairs: Vec<PairsRow>,
        /// How often classes are, one entry per modelled class.
        prevalence: Vec<PrevalenceRow>,
    },
}

/// A site's features beside those of all others together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftRow {
    /// The site.
    pub site: SiteId,
    /// How far.
    pub features: ShownDistance,
}

/// How far the features of a site lie from the others'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum ShownDistance {
    /// So far.
    Known {
        /// Root mean square over features of standardised mean differences.
        root_mean_square: f64,
        /// What it would be about by chance alone.
        by_chance: f64,
        /// Share of features whose difference is beyond 0.2.
        beyond_small: f64,
        /// Share of features whose difference is beyond 0.5.
        beyond_medium: f64,
        /// The largest difference.
        largest: f64,
        /// Geometric mean over features of the site's variance by the others'.
        variance_ratio: f64,
    },
    /// Not shown.
    Withheld {
        /// Why.
        reason: Reason,
    },
}

/// Root mean squares of standardised mean differences of one site and each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairsRow {
    /// The site.
    pub site: SiteId,
    /// One entry per site, in the order of the rows; 0 for the site itself.
    pub distances: Vec<Estimate>,
}

/// How often a class is at each site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrevalenceRow {
    /// The class.
    pub class: String,
    /// One entry per site.
    pub sites: Vec<SitePrevalence>,
}

/// How often a class is at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitePrevalence {
    /// The site.
    pub site: SiteId,
    /// Share of its patients with a row of the class; Wilson's interval.
    pub share: Estimate,
}

/// See [`ShortcutsSection`].
pub(super) fn shortcuts(
    findings: &Findings,
    sites: &[&SiteContext],
    mask: &CohortMask,
    minimums: Minimums,
) -> Result<ShortcutsSection, BuildError> {
    let found = match &findings.shortcuts {
        Shortcuts::NotAsked => return Ok(ShortcutsSection::NotAsked),
        Shortcuts::Unfit { reason } => {
            return Ok(ShortcutsSection::Unfit { reason: reason.clone() });
        }
        Shortcuts::Asked(found) => found,
    };
    let mut columns = Vec::new();
    for column in &found.columns {
        let (name, names, masks): (&str, Vec<&str>, Vec<CellMask>) = match column.of {
            ShortcutOf::Site => {
                ("site", findings.sites.iter().map(SiteId::as_str).collect(), of_sites(sites, mask))
            }
            ShortcutOf::Subgroup { column } => {
                below("a subgroup column", column, findings.subgroups.len())?;
                let subgroup = &findings.subgroups[column];
                let names = subgroup.levels.iter().map(String::as_str).collect();
                (&subgroup.name, names, mask.levels[column].clone())
            }
        };
        if names.len() != column.levels.len() {
            let (expected, got) = (names.len(), column.levels.len());
            return Err(BuildError::Size { what: "levels of shortcuts", expected, got });
        }
        let each = column.levels.iter().zip(names).zip(masks);
        let levels = each
            .map(|((level, name), mask)| {
                let found = match level {
                    ShortcutLevel::Judged(level) => judged(findings, level, mask, minimums)?,
                    ShortcutLevel::Rest => ShortcutFound::Rest,
                    ShortcutLevel::Empty => ShortcutFound::Empty,
                    ShortcutLevel::TooFew => ShortcutFound::TooFew,
                    ShortcutLevel::TooMany => ShortcutFound::TooMany,
                };
                Ok(ShortcutRow { of: name.to_owned(), found })
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        columns.push(ShortcutColumn { name: name.to_owned(), mean_auc: mean(&levels), levels });
    }
    let comparisons = adjust(&mut columns);
    Ok(ShortcutsSection::Asked { c: found.c, comparisons, columns })
}

/// What is shown of each site: nothing where its owner refuses, or where one of two does.
fn of_sites(sites: &[&SiteContext], mask: &CohortMask) -> Vec<CellMask> {
    let refuses = |site: &SiteContext| site.policy.per_site_metrics == Consent::Refused;
    let either = sites.len() == 2 && sites.iter().any(|site| refuses(site));
    let refused = Shown::Suppressed(Reason::RefusedBySite);
    let one = |(site, mask): (&&SiteContext, &CellMask)| match either || refuses(site) {
        true => CellMask { patients: refused, classes: refused },
        false => *mask,
    };
    sites.iter().zip(&mask.sites).map(one).collect()
}

fn judged(
    findings: &Findings,
    level: &JudgedLevel,
    mask: CellMask,
    minimums: Minimums,
) -> Result<ShortcutFound, BuildError> {
    let auc = shown(&level.auc, level.patients, mask.patients, minimums);
    let follow = |Among { patients, auc }: &Among| Follow {
        auc: shown(auc, *patients, mask.classes, minimums),
        // Until it is known how many comparisons there are.
        p: None,
    };
    let mut follows = Vec::new();
    for followed in &level.follows {
        below("a class of shortcuts", usize::from(followed.class), findings.classes.len())?;
        follows.push(FollowRow {
            class: findings.classes[usize::from(followed.class)].clone(),
            among_negatives: follow(&followed.among[0]),
            among_positives: follow(&followed.among[1]),
        });
    }
    Ok(ShortcutFound::Judged { auc, follows })
}

fn shown(figure: &Figure, patients: [u64; 2], mask: Shown<()>, minimums: Minimums) -> Estimate {
    let few = patients.iter().any(|&count| count < minimums.per_class.get());
    match mask {
        Shown::Suppressed(Reason::SmallCell) => Estimate::Withheld { reason: Reason::SmallSlice },
        Shown::Suppressed(reason) => Estimate::Withheld { reason },
        Shown::Value(()) if few => Estimate::Withheld { reason: Reason::SmallSlice },
        Shown::Value(()) => Estimate::from(figure),
    }
}

/// Mean over the levels that are shown, without an interval.
fn mean(levels: &[ShortcutRow]) -> Estimate {
    let values: Vec<f64> = levels
        .iter()
        .filter_map(|row| match &row.found {
            ShortcutFound::Judged { auc, .. } => auc.value(),
            _ => None,
        })
        .collect();
    match values.is_empty() {
        true => Estimate::Undefined { reason: "no level is shown".to_owned() },
        false => {
            let value = rounded(values.iter().sum::<f64>() / values.len() as f64);
            Estimate::Known { value, interval: Interval::NotComputed }
        }
    }
}

/// Fills in p-values, adjusted for how many comparisons there are.
fn adjust(columns: &mut [ShortcutColumn]) -> u32 {
    let mut all: Vec<(&mut Follow, f64)> = Vec::new();
    for row in columns.iter_mut().flat_map(|column| &mut column.levels) {
        let ShortcutFound::Judged { follows, .. } = &mut row.found else { continue };
        for follow in follows {
            for one in [&mut follow.among_negatives, &mut follow.among_positives] {
                if let (Some(auc), Some(ends)) = (one.auc.value(), one.auc.ends())
                    && let Ok(p) = half_p(auc, ends)
                {
                    all.push((one, p));
                }
            }
        }
    }
    let count = all.len();
    for (follow, p) in all {
        follow.p = Some(rounded((p * count as f64).min(1.0)));
    }
    count as u32
}

/// See [`ShiftSection`].
pub(super) fn shift(
    findings: &Findings,
    sites: &[&SiteContext],
    mask: &CohortMask,
) -> Result<ShiftSection, BuildError> {
    let Shift::Known { from_others, pairs } = &findings.shift else {
        return Ok(ShiftSection::NotAsked);
    };
    let count = findings.sites.len();
    let size = |what, expected: usize, got: usize| match expected == got {
        true => Ok(()),
        false => Err(BuildError::Size { what, expected, got }),
    };
    size("sites of a shift", count, from_others.len())?;
    size("pairs of sites", count * (count - 1) / 2, pairs.len())?;
    let refuses: Vec<bool> =
        sites.iter().map(|site| site.policy.per_site_metrics == Consent::Refused).collect();
    let any = refuses.contains(&true);
    let hidden = |site: usize| match (refuses[site], mask.sites[site].patients) {
        (true, _) => Some(Reason::RefusedBySite),
        (false, Shown::Suppressed(reason)) => Some(reason),
        (false, Shown::Value(())) => None,
    };
    // All others together hold the one whose owner refuses.
    let of_others = |site: usize| if any { Some(Reason::RefusedBySite) } else { hidden(site) };
    let rows = from_others.iter().enumerate().map(|(at, distance)| ShiftRow {
        site: findings.sites[at].clone(),
        features: match of_others(at) {
            Some(reason) => ShownDistance::Withheld { reason },
            None => ShownDistance::from(distance),
        },
    });
    let between = |one: usize, other: usize| {
        let (low, high) = (one.min(other), one.max(other));
        if let Some(reason) = hidden(low).or(hidden(high)) {
            return Estimate::Withheld { reason };
        }
        // Pairs go row by row of the upper triangle.
        let before = low * (2 * count - low - 1) / 2;
        let value = match low == high {
            true => 0.0,
            false => pairs[before + high - low - 1].root_mean_square,
        };
        Estimate::from(&Figure::Known { value, interval: Interval::NotComputed })
    };
    let pairs_row = |one: usize| PairsRow {
        site: findings.sites[one].clone(),
        distances: (0..count).map(|other| between(one, other)).collect(),
    };
    let prevalence = findings.targets.iter().map(|target| PrevalenceRow {
        class: findings.classes[usize::from(target.class)].clone(),
        sites: (0..count)
            .map(|site| SitePrevalence {
                site: findings.sites[site].clone(),
                share: match mask.sites[site].classes {
                    Shown::Suppressed(reason) => Estimate::Withheld { reason },
                    Shown::Value(()) => share(&findings.profile.by_site[site], target.class),
                },
            })
            .collect(),
    });
    Ok(ShiftSection::Known {
        sites: rows.collect(),
        pairs: (0..count).map(pairs_row).collect(),
        prevalence: prevalence.collect(),
    })
}

fn share(cell: &ProfileCell, class: u8) -> Estimate {
    let of_class = cell.patients_by_class[usize::from(class)];
    if cell.patients == 0 {
        return Estimate::Undefined { reason: "no patients".to_owned() };
    }
    let share = of_class as f64 / cell.patients as f64;
    Estimate::from(&proportion(Ok(share), cell.patients))
}

impl From<&Distance> for ShownDistance {
    fn from(distance: &Distance) -> Self {
        Self::Known {
            root_mean_square: rounded(distance.root_mean_square),
            by_chance: rounded(distance.by_chance),
            beyond_small: rounded(distance.beyond[0]),
            beyond_medium: rounded(distance.beyond[1]),
            largest: rounded(distance.largest),
            variance_ratio: rounded(distance.variance_ratio),
        }
    }
}

impl ShownDistance {
    /// Its numbers by name.
    pub(super) fn estimates(&self) -> Vec<(&'static str, Estimate)> {
        let known = |value: f64| Estimate::Known { value, interval: Interval::NotComputed };
        match *self {
            Self::Known {
                root_mean_square,
                by_chance,
                beyond_small,
                beyond_medium,
                largest,
                variance_ratio,
            } => vec![
                ("root_mean_square", known(root_mean_square)),
                ("by_chance", known(by_chance)),
                ("beyond_small", known(beyond_small)),
                ("beyond_medium", known(beyond_medium)),
                ("largest", known(largest)),
                ("variance_ratio", known(variance_ratio)),
            ],
            Self::Withheld { reason } => {
                vec![("root_mean_square", Estimate::Withheld { reason })]
            }
        }
    }
}

/// Scores that follow a level, in sentences; the same on the page and in the terminal.
pub(super) fn sentences(section: &ShortcutsSection) -> Vec<String> {
    let ShortcutsSection::Asked { columns, .. } = section else { return Vec::new() };
    let mut lines = Vec::new();
    for column in columns {
        let mut found: Vec<(f64, String)> = Vec::new();
        for row in &column.levels {
            let ShortcutFound::Judged { auc, follows } = &row.found else { continue };
            for follow in follows {
                for (side, one) in follow.both() {
                    let Some(value) = one.auc.value().filter(|_| one.follows()) else { continue };
                    let words = format!(
                        "{} {} (features tell it with AUC {}): the score for {} tells it with AUC {} \
                         among those {side} {}",
                        column.name,
                        row.of,
                        auc.short(),
                        follow.class,
                        one.auc.short(),
                        follow.class,
                    );
                    found.push(((value - 0.5).abs(), words));
                }
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let more = found.len().saturating_sub(1);
        if let Some((_, words)) = found.into_iter().next() {
            let rest = match more {
                0 => String::new(),
                more => format!("; {more} more such under Shortcuts"),
            };
            lines.push(format!("Possible shortcut: {words}{rest}."));
        }
    }
    lines
}
