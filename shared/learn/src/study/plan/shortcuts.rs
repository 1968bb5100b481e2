//! What looking for shortcuts costs, if every level of every column is looked at.

use wardround_core::query::Schema;
use wardround_core::study::{
    Balance, GridPoint, LinearPoint, Loss, Reduction, Shortcuts, Standardise, Study,
};

use super::ground::Ground;
use super::tally::{Numbers, Tally};
use crate::study::design::{ClassModels, Design, LeavingOut, Nesting, Racing, Trained};
use crate::study::scores::{BINS, SCORED_NUMBERS};

/// Models that are fitted for it at most: one per level and fold.
pub(super) fn models(study: &Study, schema: &Schema, sites: usize) -> u64 {
    match study.validation.shortcuts {
        Shortcuts::Off => 0,
        Shortcuts::On => (marks(schema, sites) * usize::from(study.validation.folds)) as u64,
    }
}

/// Levels that are looked at: of two that somebody may be of, one. "Unknown" is expected of nobody.
fn marks(schema: &Schema, sites: usize) -> usize {
    let of = |levels: usize| match levels {
        0 | 1 => 0,
        2 => 1,
        more => more,
    };
    let columns = schema.levels.iter().map(|&levels| of(usize::from(levels.saturating_sub(1))));
    Shortcuts::marks(of(sites) + columns.sum::<usize>())
}

impl Ground<'_> {
    /// Fits of the levels, their scores, and those of the chosen models by level.
    pub(super) fn shortcuts(&self, tally: &mut Tally, study: &Study, sites: usize) {
        let Self { design, schema, model_size, d, .. } = *self;
        let marks = marks(schema, sites);
        let point = LinearPoint {
            c: Shortcuts::c(schema.features),
            standardise: Standardise::All,
            balance: Balance::None,
            l1_ratio: 0.0,
            reduce: Reduction::None,
        };
        let told = Design {
            classes: (0..marks as u8).collect(),
            grid: vec![GridPoint::Linear(point)],
            models: ClassModels::Own,
            repeats: 1,
            nested: Nesting::TwoFolds,
            left_out: LeavingOut::None,
            racing: Racing::Off,
            trained: Trained::Study,
            ..design.clone()
        };
        Ground { design: &told, model_size: d + 1.0, ..*self }.linear(tally, Loss::Logistic, sites);
        let (marks, folds) = (marks as f64, f64::from(study.validation.folds));
        let bins = 2.0 * f64::from(BINS.count);
        let cell = SCORED_NUMBERS as f64;
        // Which marks sites let be asked about.
        tally.ask(marks, Numbers::counts(marks * sites as f64));
        let question = marks * folds * (d + 1.0);
        tally.ask(question, Numbers::counts(marks * cell));
        tally.ask(question + marks * bins, Numbers::fractions(marks * 5.0));
        for _ in &design.classes {
            let question = folds * model_size;
            tally.ask(question, Numbers::counts(marks * 2.0 * cell));
            tally.ask(question + marks * 2.0 * bins, Numbers::fractions(marks * 10.0));
        }
    }
}
