//! A model bundle as an ONNX file: scaler and classifiers, from features to probabilities.
//!
//! Source: the ONNX specification, IR version 8 (IR.md "Models", MetadataProps.md), operators of set 17 and,
//! for trees, of `ai.onnx.ml` 3. Input `features [N, d]` and output `probabilities [N, modelled classes]` are
//! float32, what lies between is double precision; the probabilities are [`predict`]'s, to 1e-5, for rows
//! of float32 numbers. Backbones aren't exported: of images the features go in.
//!
//! A missing feature is NaN. Where the bundle fills, the fill stands in; where it refuses, the row's
//! probability is NaN, as is that of a row which trees refuse because a feature is infinite. Thresholds are
//! in the metadata, the graph doesn't apply them.
//!
//! [`predict`]: wardround_learn::bundle::predict

mod ensemble;
mod fourier;
mod graph;
mod kernel;
mod linear;
mod messages;
mod trees;

use prost::Message as _;
use serde::Serialize;
use wardround_core::query::Combine;
use wardround_learn::bundle::{
    BundleInput, EnsembleScorer, Learner, LinearMethod, LinearScorer, Manifest, MissingFeatures,
    ModelBundle, ModelEntry, Scorer,
};
use wardround_learn::findings::{FinalScaler, FourierScaler};

use self::graph::{Graph, Value, int};
use self::linear::Scale;
use self::messages::{DataType, ModelProto, StringStringEntryProto};
use super::kind;

/// The version of the file's structure.
const IR_VERSION: i64 = 8;

/// By how much a probability of the file may differ from `predict`'s.
const TOLERANCE: f64 = 1e-5;

/// Most frequencies' numbers that are written out: half a gigabyte, a quarter of what a file may hold.
const MOST_NUMBERS: u64 = 1 << 26;

/// Why a bundle can't be an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Models that scale each site by its own rows.
    #[error(
        "the model of class '{0}' scales each site by that site's own rows, which an ONNX file doesn't have: \
         use `wardround-site predict` at the site, or fit a study with standardise = [\"all\"]"
    )]
    NeedsOwnRows(String),
    /// A model whose frequencies don't fit into a file.
    #[error(
        "the frequencies of the model of class '{class}' are {numbers} numbers, an ONNX file takes \
         {MOST_NUMBERS} here: use `wardround-site predict`, or fit a study with fewer components"
    )]
    TooLarge {
        /// The class.
        class: String,
        /// Features times frequencies.
        numbers: u64,
    },
    /// An ensemble that is a member of one; no bundle that was read has such.
    #[error("the model of class '{0}' is an ensemble of ensembles, which a bundle doesn't hold")]
    Nested(String),
    /// Metadata that is no JSON.
    #[error("the bundle's manifest can't be written as JSON: {0}")]
    Metadata(String),
}

/// A feature of which float32 keeps too few digits for a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoarseInput {
    /// Its place among the features, from 0.
    pub feature: usize,
    /// Its name; `None` for images.
    pub name: Option<String>,
    /// The class whose probability it moves most.
    pub class: u8,
    /// By how much rounding it to float32 can move that probability at its mean, 0 to 1.
    pub moves: f64,
}

/// The bytes of the ONNX file: the same for the same bundle and version. `version` is that of the software
/// that exports.
///
/// # Errors
/// [`ExportError`] says which model can't be exported and what to do instead.
pub fn write(bundle: &ModelBundle, version: &str) -> Result<Vec<u8>, ExportError> {
    let manifest = &bundle.manifest;
    let (features, classes) = (manifest.features as usize, bundle.models.len());
    let (mut graph, rows) = Graph::new("wardround", "features", features, &input_doc(bundle));
    let mut columns = Vec::with_capacity(classes);
    for (entry, model) in manifest.models.iter().zip(&bundle.models) {
        let class = class_name(manifest, entry.class);
        columns.push(match bundle.is_multinomial() {
            true => score(&mut graph, &rows, class, features, &model.scorer)?,
            false => probability(&mut graph, &rows, class, features, &model.scorer)?,
        });
    }
    let columns: Vec<_> = columns.iter().collect();
    let joined = match bundle.is_multinomial() {
        true => {
            let scores = graph.node("scores", "Concat", &columns, vec![int("axis", 1)]);
            graph.node("probabilities_double", "Softmax", &[&scores], vec![int("axis", 1)])
        }
        false => graph.node("probabilities_double", "Concat", &columns, vec![int("axis", 1)]),
    };
    let output = graph.cast("probabilities", &joined, DataType::Float);
    let (graph, opset_import) = graph.finish(&output, classes, &output_doc(manifest));
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "wardround".to_owned(),
        producer_version: version.to_owned(),
        doc_string: format!("Predicts '{}', from study '{}'", manifest.target, manifest.study),
        graph: Some(graph),
        opset_import,
        metadata_props: metadata(bundle)
            .map_err(|error| ExportError::Metadata(error.to_string()))?,
    };
    Ok(model.encode_to_vec())
}

/// The probability of a class, `[N, 1]` of doubles, for float32 rows.
fn probability(
    graph: &mut Graph,
    rows: &Value,
    class: &str,
    features: usize,
    scorer: &Scorer,
) -> Result<Value, ExportError> {
    Ok(match scorer {
        Scorer::Trees(model) => trees::probability(graph, rows, model),
        Scorer::Ensemble(EnsembleScorer { members, combine }) => {
            let of_member = |member| score(graph, rows, class, features, member);
            let members: Vec<Value> = members.iter().map(of_member).collect::<Result<_, _>>()?;
            ensemble::probability(graph, &members, combine)
        }
        Scorer::Linear(_) | Scorer::Fourier(_) | Scorer::Kernel(_) => {
            let score = score(graph, rows, class, features, scorer)?;
            graph.node("probability", "Sigmoid", &[&score], vec![])
        }
    })
}

/// The logit of a class, as [`probability`]; a bundle's ensembles have no ensembles as members.
fn score(
    graph: &mut Graph,
    rows: &Value,
    class: &str,
    features: usize,
    scorer: &Scorer,
) -> Result<Value, ExportError> {
    let needs_own_rows = || ExportError::NeedsOwnRows(class.to_owned());
    match scorer {
        Scorer::Linear(linear) => {
            let scale = scale(linear).ok_or_else(needs_own_rows)?;
            Ok(linear::score(graph, rows, &scale, linear))
        }
        Scorer::Trees(model) => Ok(trees::score(graph, rows, model)),
        Scorer::Fourier(model) => {
            let FourierScaler::All { mean, inverse } = &model.scaler else {
                return Err(needs_own_rows());
            };
            let numbers = features as u64 * model.weights.len() as u64 / 2;
            if numbers > MOST_NUMBERS {
                return Err(ExportError::TooLarge { class: class.to_owned(), numbers });
            }
            Ok(fourier::score(graph, rows, (mean, inverse), model))
        }
        Scorer::Kernel(model) => Ok(kernel::score(graph, rows, model)),
        Scorer::Ensemble(_) => Err(ExportError::Nested(class.to_owned())),
    }
}

/// Features whose values, rounded to float32, could move a probability by more than 1e-5: those with a mean
/// that is large beside their deviation. By feature; of several classes the one that is moved most. Trees
/// aren't among them: a value that is rounded over a threshold goes the other way, wherever it lies. Of a
/// model on random Fourier features, or with a kernel, it is the most that any row's probability can move.
pub fn coarse_inputs(bundle: &ModelBundle) -> Vec<CoarseInput> {
    // Of an ensemble its members: its probability moves by no more than theirs where they vote, and by as much
    // as their weights say where they are stacked.
    let singles = bundle.manifest.models.iter().zip(&bundle.models).flat_map(|(entry, model)| {
        let weight = |at: usize| match &model.scorer {
            Scorer::Ensemble(EnsembleScorer {
                combine: Combine::Logits { weights, .. }, ..
            }) => weights[at].abs(),
            _ => 1.0,
        };
        let scorers = model.scorer.singles().iter().enumerate();
        scorers.map(move |(at, scorer)| (entry.class, weight(at), scorer))
    });
    let mut singles: Vec<(u8, f64, &Scorer, Vec<f64>)> =
        singles.map(|(class, weight, scorer)| (class, weight, scorer, slopes(scorer))).collect();
    if bundle.is_multinomial() {
        let own: Vec<Vec<f64>> = singles.iter().map(|(.., slopes)| slopes.clone()).collect();
        singles.iter_mut().zip(apart(&own)).for_each(|(single, slopes)| single.3 = slopes);
    }
    let worst = |feature: usize| {
        let moved = singles.iter().filter_map(|(class, weight, scorer, slopes)| {
            // Half a unit in the last of 24 binary digits; a probability moves by at most a quarter of
            // its logit.
            let mean = mean(scorer)?[feature];
            let rounding = mean.abs() * f64::from(f32::EPSILON) / 2.0;
            Some((*class, weight * slopes[feature].abs() * rounding / 4.0))
        });
        let (class, moves) = moved.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let name = match &bundle.manifest.input {
            BundleInput::Table { features, .. } => features.get(feature).cloned(),
            BundleInput::Images { .. } => None,
        };
        (moves > TOLERANCE).then_some(CoarseInput { feature, name, class, moves })
    };
    (0..bundle.manifest.features as usize).filter_map(worst).collect()
}

/// Of a model of all classes, by how much a class's log-odds move with each feature at most: as the scores of two
/// classes move apart.
fn apart(slopes: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of_class = |own: &Vec<f64>| {
        let most = |(at, slope): (usize, &f64)| {
            slopes.iter().map(|other| (slope - other[at]).abs()).fold(0.0, f64::max)
        };
        own.iter().enumerate().map(most).collect()
    };
    slopes.iter().filter(|own| !own.is_empty()).map(of_class).collect()
}

/// By how much a logit moves with each feature, or at most; none where that isn't known.
fn slopes(scorer: &Scorer) -> Vec<f64> {
    match scorer {
        Scorer::Linear(model) => {
            scale(model).map_or_else(Vec::new, |Scale { deviation, .. }| {
                model.weights.iter().zip(deviation).map(|(w, s)| w / s).collect()
            })
        }
        Scorer::Fourier(model) => fourier::slopes(model),
        Scorer::Kernel(model) => kernel::slopes(model),
        Scorer::Trees(_) | Scorer::Ensemble(_) => Vec::new(),
    }
}

/// The mean of each feature, where a model scales by it.
fn mean(scorer: &Scorer) -> Option<&[f64]> {
    match scorer {
        Scorer::Linear(model) => scale(model).map(|scale| scale.mean),
        Scorer::Fourier(model) => match &model.scaler {
            FourierScaler::All { mean, .. } => Some(mean),
            FourierScaler::OwnSite | FourierScaler::Combat { .. } => None,
        },
        Scorer::Kernel(model) => Some(&model.mean),
        Scorer::Trees(_) | Scorer::Ensemble(_) => None,
    }
}

fn scale(model: &LinearScorer) -> Option<Scale<'_>> {
    match &model.scaler {
        FinalScaler::All { mean, deviation } => Some(Scale { mean, deviation }),
        FinalScaler::OwnSite | FinalScaler::Combat { .. } => None,
    }
}

fn class_name(manifest: &Manifest, class: u8) -> &str {
    manifest.classes.get(usize::from(class)).map_or("", String::as_str)
}

fn input_doc(bundle: &ModelBundle) -> String {
    let what = match &bundle.manifest.input {
        BundleInput::Table { .. } => "Rows of the table's features, in their own units.".to_owned(),
        BundleInput::Images { backbone, .. } => {
            format!("Features that {backbone} makes of prepared images, one image a row.")
        }
    };
    let refuses = |learner: &Learner| {
        matches!(
            learner,
            Learner::Linear { missing: MissingFeatures::Refused, .. }
                | Learner::Fourier { missing: MissingFeatures::Refused, .. }
                | Learner::Kernel { missing: MissingFeatures::Refused, .. }
        )
    };
    let missing = match bundle
        .manifest
        .models
        .iter()
        .any(|entry| entry.learner.singles().iter().any(refuses))
    {
        true => "A missing one is NaN; a model that takes complete rows only then says NaN.",
        false => "A missing one is NaN.",
    };
    format!("{what} {missing}")
}

fn output_doc(manifest: &Manifest) -> String {
    let names: Vec<&str> =
        manifest.models.iter().map(|entry| class_name(manifest, entry.class)).collect();
    let svm = |learner: &Learner| {
        matches!(
            learner,
            Learner::Linear { method: LinearMethod::SquaredHinge, .. }
                | Learner::Fourier { .. }
                | Learner::Kernel { .. }
        )
    };
    let multinomial = |entry: &ModelEntry| entry.learner.is_multinomial();
    let sum = match manifest.models.iter().any(multinomial) {
        true => " They add up to 1.",
        false => "",
    };
    let calibration = match manifest.models.iter().any(|entry| svm(&entry.learner)) {
        true => " Those of support vector machines rank rows and aren't calibrated.",
        false => "",
    };
    format!(
        "Probability of each modelled class against the rest, in this order: {}. NaN for a row that can't be \
         judged.{sum}{calibration}",
        names.join(", ")
    )
}

/// What a reader needs beside the graph: texts, and lists as JSON in the order of the output's columns.
fn metadata(bundle: &ModelBundle) -> serde_json::Result<Vec<StringStringEntryProto>> {
    let manifest = &bundle.manifest;
    let modelled: Vec<&str> =
        manifest.models.iter().map(|entry| class_name(manifest, entry.class)).collect();
    let thresholds: Vec<f64> = bundle.models.iter().map(|model| model.threshold).collect();
    let kinds: Vec<&str> = manifest.models.iter().map(|entry| kind(&entry.learner)).collect();
    let entries = [
        ("study", manifest.study.clone()),
        ("study_digest", manifest.study_digest.to_string()),
        ("software", manifest.software.clone()),
        ("target", manifest.target.clone()),
        ("classes", serde_json::to_string(&manifest.classes)?),
        ("modelled_classes", serde_json::to_string(&modelled)?),
        ("thresholds", serde_json::to_string(&thresholds)?),
        ("kinds", serde_json::to_string(&kinds)?),
        ("input", serde_json::to_string(&manifest.input)?),
    ];
    let entry =
        |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    let rows = bundle.rows_of_patients();
    let held = (rows > 0).then(|| ("rows_of_patients", rows.to_string()));
    Ok(entries.into_iter().chain(held).map(entry).collect())
}
