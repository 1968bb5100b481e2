//! Tunes and fits a classifier as a study across made-up hospitals. It is given training images
//! alone: scaler, parameters, threshold and weights can't see any other.

use std::error::Error;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::bundle::{BundleInput, ModelBundle};
use wardround_learn::findings::{Figure, GridPoint};
use wardround_learn::rows::{Patient, Rows, RowsBuilder};
use wardround_learn::study::{Silent, run};

use crate::set::Image;

/// How a study is set up.
pub struct Rules {
    /// Hospitals that images are dealt to in turns.
    pub hospitals: usize,
    /// Decides the folds, and what trees draw.
    pub seed: u64,
}

/// A tuned and fitted classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model with its scaler and threshold.
    pub model: ModelBundle,
    /// The parameters that were chosen.
    pub point: GridPoint,
    /// AUC by nested cross-validation, all hospitals in one list.
    pub nested_auc: Figure,
}

/// Runs the study of a classifier, written as in a study file, on training images.
///
/// # Errors
/// A classifier that no study may have, or images that can't be studied.
pub fn fit(training: &[Image], classifier: &str, rules: &Rules) -> Result<Fitted, Box<dyn Error>> {
    let width = training.first().ok_or("no training images")?.features.len();
    let study = study(width, classifier, rules.seed)?;
    let rows = rows(training, &study, rules.hospitals)?;
    let (id, sites) = (StudyId::parse("official-split")?, rows.sites());
    let schemas = std::slice::from_ref(rows.schema());
    let study_run = run(&rows, &study, &id, &sites, schemas, &Silent);
    let findings = futures::executor::block_on(study_run)?;
    let input = BundleInput::of_table(&study).ok_or("the study isn't on a table")?;
    let target = &findings.targets[0];
    Ok(Fitted {
        model: ModelBundle::new(&study, &findings, input, "official_split"),
        point: findings.grid[target.model.point],
        nested_auc: target.nested.judged.one_list.auc.clone(),
    })
}

/// A study of features that were computed elsewhere, so on a table.
fn study(width: usize, classifier: &str, seed: u64) -> Result<Study, Box<dyn Error>> {
    let columns: Vec<String> = (0..width).map(|at| format!("f{at}")).collect();
    Ok(Study::parse(&format!(
        r#"
format = 1
name = "official split"
seed = {seed}
[target]
column = "label"
positive = ["1"]
negative = ["0"]
[patient]
key = "path"
[table]
numeric = {columns:?}
missing = "drop"
[classifier]
{classifier}
[validation]
folds = 5
leave_one_site_out = false
choose_by = "one-list"
"#
    ))?)
}

fn rows(training: &[Image], study: &Study, hospitals: usize) -> Result<Rows, Box<dyn Error>> {
    let width = training.first().map_or(0, |image| image.features.len());
    let mut builder = RowsBuilder::new(study.schema(u32::try_from(width)?));
    for (at, image) in training.iter().enumerate() {
        let site = SiteId::parse(&format!("hospital-{}", at % hospitals.max(1) + 1))?;
        let patient = Patient { issuer: site.to_string(), site, key: image.path.clone() };
        let label = if image.positive { "1" } else { "0" };
        let class =
            study.target.classes.of_cell(label).ok_or("the study doesn't know the label")?;
        builder.add(patient, class, &[], &image.features)?;
    }
    Ok(builder.build()?)
}
