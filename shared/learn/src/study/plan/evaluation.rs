//! What judging a finished model will cost. How large the model is isn't known here; it counts as one weight per feature.

use wardround_core::query::{CALIBRATION_BINS, RESAMPLED_NUMBERS, Schema};
use wardround_core::study::{Bootstrap, Study};

use super::super::scores::{BINS, SCORED_NUMBERS};
use super::tally::{Numbers, Tally};
use super::{Bound, Exactness, Plan};

/// Questions and bytes of a study that fits nothing.
pub(super) fn plan(study: &Study, schema: &Schema, sites: usize) -> Plan {
    let (sites, classes) = (sites as f64, f64::from(schema.classes));
    let targets = f64::from(study.target.classes.modelled().len() as u32);
    let model = targets * (f64::from(schema.features) + 1.0);
    let folds = f64::from(study.validation.folds);
    let bins = f64::from(BINS.count);
    let cell = SCORED_NUMBERS as f64;
    let mut tally = Tally::default();
    tally.ask(0.0, Numbers::counts(sites * (1.0 + 2.0 * classes)));
    for &levels in &schema.levels {
        tally.ask(0.0, Numbers::counts(sites * f64::from(levels) * (1.0 + 2.0 * classes)));
    }
    let splits: Vec<f64> = std::iter::once(sites)
        .chain(schema.levels.iter().map(|&levels| f64::from(levels)))
        .collect();
    let placed = |tally: &mut Tally, cells: f64| {
        tally.ask(model + targets * cells * 2.0 * bins, Numbers::fractions(targets * cells * 5.0));
    };
    for &cells in &splits {
        tally.ask(model, Numbers::counts(targets * folds * cells * cell));
        placed(&mut tally, cells);
    }
    placed(&mut tally, 1.0);
    let bootstrap = study.validation.bootstrap;
    if bootstrap != Bootstrap::Off {
        let mut drawn = |draws: u16, cells: f64| {
            let all = targets * f64::from(draws + 1) * cells;
            let fractions = all * (2.0 + CALIBRATION_BINS as f64);
            let counts = all * RESAMPLED_NUMBERS as f64 - fractions;
            tally.ask(model, Numbers { counts, fractions });
        };
        drawn(bootstrap.draws(), sites);
        for &levels in &schema.levels {
            drawn(bootstrap.draws(), f64::from(levels));
            drawn(bootstrap.deals(), f64::from(levels));
        }
    }
    let Numbers { counts, fractions } = tally.numbers;
    Plan {
        queries: tally.queries as u64,
        models: 0,
        bytes_down_per_site: tally.down as u64,
        bytes_up_per_site: tally.up() as u64,
        numbers_per_site: (counts + fractions) as u64,
        widest_numbers_per_model: 2 * u64::from(BINS.count),
        models_at_each_site: 0,
        bound: Bound::Expected,
        exactness: Exactness::Exact,
        combinations: Vec::new(),
        proposals: Vec::new(),
    }
}
