//! What [`super::Ask::OwnSite`] asks and answers: a model of each site alone, beside the federated one.

use serde::{Deserialize, Serialize};

use super::{Bins, CALIBRATION_BINS, Column, DecodeError, Model, Query, ScoreList};
use crate::study::{Classes, Recipe};
use crate::sum::BlockSpec;

/// Why a site's own patients can't be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// The training rows of a fold hold one class only.
    OneClass,
    /// No two rows can be compared where a grid point or a threshold is chosen.
    NothingToCompare,
    /// A fit has no solution, or doesn't reach it.
    NoSolution,
}

impl Unfit {
    /// Every reason, in the order of the block `unfit`.
    pub const ALL: [Self; 3] = [Self::OneClass, Self::NothingToCompare, Self::NoSolution];

    /// Its place in the block `unfit`.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::OneClass => "the site's training rows of a fold hold one class only",
            Self::NothingToCompare => "the site has too few rows of both classes to choose by",
            Self::NoSolution => "a fit to the site's rows alone has no solution",
        })
    }
}

/// The blocks of [`super::Ask::OwnSite`]'s answer.
pub(super) fn layout(query: &Query, lists: usize, bins: &Bins, bits: u8) -> Vec<BlockSpec> {
    let (m, sites, count) = (lists, query.sites.len(), bins.count as usize);
    let fraction = |name| BlockSpec::fraction(name, &[m, sites], bits);
    vec![
        BlockSpec::count("fitted", &[sites]),
        BlockSpec::count("unfit", &[sites, Unfit::ALL.len()]),
        BlockSpec::count("positives", &[m, sites, count]),
        BlockSpec::count("negatives", &[m, sites, count]),
        fraction("brier"),
        fraction("log_loss"),
        BlockSpec::count("calibration_rows", &[m, sites, CALIBRATION_BINS, 2]),
        BlockSpec::fraction("calibration_scores", &[m, sites, CALIBRATION_BINS], bits),
        BlockSpec::count("calls", &[m, sites, 4]),
        BlockSpec::count("patients", &[m, sites, 2]),
        fraction("s10"),
        fraction("s01"),
        fraction("s11"),
        fraction("paired_s10"),
        fraction("paired_s01"),
        fraction("paired_s11"),
    ]
}

impl Query {
    /// What [`super::Ask::OwnSite`] carries fits together: a recipe, and one list per modelled class and repeat.
    pub(super) fn check_own_site(
        &self,
        recipe: &str,
        models: &[Model],
        lists: &[ScoreList],
        bins: &Bins,
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        self.check_lists(models, lists, &[Column::Site], bins)?;
        let recipe = Recipe::parse(recipe).map_err(DecodeError::Inconsistent)?;
        let study = recipe.study(&self.schema, &self.folds);
        if study.grid(&recipe.classifier).len() > 1 && self.folds.folds < 3 {
            return wrong("a choice among grid points needs 3 folds".into());
        }
        let classes = Classes::modelled(&study.target.classes);
        let repeats = usize::from(self.folds.repeats);
        let expected: Vec<u8> =
            classes.iter().flat_map(|&class| std::iter::repeat_n(class, repeats)).collect();
        if lists.iter().map(|list| list.class).ne(expected.iter().copied()) {
            return wrong(format!("expected lists of the classes {expected:?}"));
        }
        Ok(())
    }
}
