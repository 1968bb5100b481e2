//! Whether a study and the bundle that it judges mean the same by target, classes and features.

use wardround_core::study::{Input, Study, UnitScore, WeightsRule};

use crate::bundle::{BundleInput, BundleJudged, BundleViews, ModelBundle};

/// Every way in which a study and a bundle disagree, field by field, in sentences; none where they agree. What sites state of their
/// weights and preprocessing when they freeze their cohorts is for [`agree_with_sites`].
pub fn disagreements(study: &Study, bundle: &ModelBundle) -> Vec<String> {
    let manifest = &bundle.manifest;
    let mut wrong = Vec::new();
    let mut differ = |field: &str, study: String, bundle: String| {
        if study != bundle {
            wrong.push(format!("{field} is {study}, the model's is {bundle}"));
        }
    };
    differ("target.column", quoted(&study.target.column), quoted(&manifest.target));
    differ(
        "the list of classes of [target]",
        study.target.classes.names().join(", "),
        manifest.classes.join(", "),
    );
    differ("what [validation] judges", judged(&BundleJudged::of(study)), judged(&manifest.judged));
    match (&study.input, &manifest.input) {
        (Input::Table(table), BundleInput::Table { features, table: of_model }) => {
            differ(
                "the list of features of [table]",
                table.feature_names().join(", "),
                features.join(", "),
            );
            let of_study = serde_json::to_value(table).unwrap_or_default();
            if table.feature_names() == *features && of_study != *of_model {
                differ("[table]", of_study.to_string(), of_model.to_string());
            }
        }
        (
            Input::Images { backbones, .. },
            BundleInput::Images { backbone, weights_digest, precision, views, .. },
        ) => {
            let of_study = &backbones[0];
            differ("images.backbone", quoted(&of_study.name), quoted(backbone));
            differ("images.precision", of_study.precision.to_string(), precision.to_string());
            if let WeightsRule::Pinned { sha256, .. } = &of_study.weights {
                differ("images.sha256", sha256.to_string(), weights_digest.to_string());
            }
            if *views != BundleViews::Plain {
                wrong.push(
                    "the model averages several views of an image, and an evaluation judges the image alone".to_owned(),
                );
            }
        }
        (Input::Table(_), BundleInput::Images { .. }) => {
            wrong.push("the study is on [table], the model takes images".to_owned());
        }
        (Input::Images { .. }, BundleInput::Table { .. }) => {
            wrong.push("the study is on [images], the model takes a table".to_owned());
        }
    }
    wrong
}

/// Whether the features that sites computed are the ones that a bundle takes: their number, and of images the digest of the weights and
/// the preprocessing, in JSON.
///
/// # Errors
/// Every difference in a sentence.
pub fn agree_with_sites(
    bundle: &ModelBundle,
    features: u32,
    images: Option<(&str, &str)>,
) -> Result<(), String> {
    let mut wrong = Vec::new();
    if features != bundle.manifest.features {
        let of_model = bundle.manifest.features;
        wrong.push(format!("the sites have {features} features, the model takes {of_model}"));
    }
    if let (
        Some((weights, preprocess)),
        BundleInput::Images { weights_digest, preprocessing, .. },
    ) = (images, &bundle.manifest.input)
    {
        if weights != weights_digest.to_string() {
            wrong.push(format!(
                "the sites computed features with weights {weights}, the model is of {weights_digest}"
            ));
        }
        let stated = serde_json::from_str::<serde_json::Value>(preprocess).unwrap_or_default();
        if stated != *preprocessing {
            wrong.push(format!(
                "the sites prepare images by {stated}, the model is of {preprocessing}"
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// What a threshold is of.
fn judged(judged: &BundleJudged) -> String {
    match judged {
        BundleJudged::Row => "each row by itself".to_owned(),
        BundleJudged::Together { name, score: UnitScore::Mean, .. } => {
            format!("the mean of each {name}'s rows")
        }
        BundleJudged::Together { name, score: UnitScore::Max, .. } => {
            format!("the largest of each {name}'s rows")
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
