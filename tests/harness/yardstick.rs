//! What a federation's result must equal: the same study on all rows in one place.

use wardround_core::ids::StudyId;
use wardround_core::study::{RowWeights, Study};
use wardround_learn::bundle::{Model, Scorer};
use wardround_learn::findings::{FinalFit, FinalModel, FinalScaler, Findings};
use wardround_learn::rows::{Patient, RowsBuilder};
use wardround_learn::study::{Silent, run};

use crate::Hospital;
use crate::made::FEATURES;

/// The findings of a study on the rows of some hospitals together.
///
/// # Panics
/// The study can't be run on them.
pub fn together(toml: &str, hospitals: &[&Hospital]) -> Findings {
    let study = Study::parse(toml).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let schema = study.schema(FEATURES as u32);
    let mut builder = RowsBuilder::new(schema.clone());
    for hospital in hospitals {
        for line in &hospital.lines {
            let patient = Patient {
                site: hospital.site.clone(),
                issuer: hospital.site.to_string(),
                key: line.patient.clone(),
            };
            let value = |column: &str| match column {
                "sex" => line.sex.to_owned(),
                "label" => line.label.to_string(),
                _ => line.age.to_string(),
            };
            let classes = study.target.classes.of_cell(&value(&study.target.column));
            let levels: Vec<u8> =
                study.subgroups.iter().map(|s| s.level(&value(&s.column))).collect();
            let classes = classes.expect("a label of the study");
            builder.add(patient, classes, &levels, &line.features).expect("a row");
            if let RowWeights::Column(column) = &study.cohort.weight {
                builder.weigh(value(column).parse().expect("a weight"));
            }
        }
    }
    let rows = builder.build().expect("rows");
    let id = StudyId::parse("yardstick").expect("an id");
    let sites = rows.sites();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime
        .block_on(run(&rows, &study, &id, &sites, std::slice::from_ref(&schema), &Silent))
        .expect("findings")
}

/// Largest difference between a bundle's model and a fit in one place, relative to the largest number
/// of each kind.
pub fn difference(model: &Model, expected: &FinalModel) -> f64 {
    let (Scorer::Linear(model), FinalFit::Linear(expected)) = (&model.scorer, &expected.fitted)
    else {
        return f64::INFINITY;
    };
    let flat = |weights: &[f64], intercept: f64| {
        let mut all = weights.to_vec();
        all.push(intercept);
        all
    };
    let mut worst = relative(
        &flat(&model.weights, model.intercept),
        &flat(&expected.weights, expected.intercept),
    );
    match (&model.scaler, &expected.scaler) {
        (
            FinalScaler::All { mean: a, deviation: b },
            FinalScaler::All { mean: c, deviation: d },
        )
        | (
            FinalScaler::Combat { mean: a, deviation: b },
            FinalScaler::Combat { mean: c, deviation: d },
        ) => worst = worst.max(relative(a, c)).max(relative(b, d)),
        (FinalScaler::OwnSite, FinalScaler::OwnSite) => {}
        _ => return f64::INFINITY,
    }
    worst
}

fn relative(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let largest = b.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0, |m: f64, (x, y)| m.max((x - y).abs() / largest))
}
