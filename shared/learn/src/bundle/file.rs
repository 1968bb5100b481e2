//! Bytes of a bundle: canonical when written, mistrusted when read.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use wardround_core::query::{Combine, MOST_MEMBERS, TreeOutput};
use wardround_core::study::{EnsembleKind, GridPoint, KernelPoint, Standardise};

use super::{
    EnsembleScorer, FORMAT, Learner, LinearScorer, Manifest, MissingFeatures, Model, ModelBundle,
    ModelEntry, Scorer, beside, first_format, fourier, kernel, reduction, trees,
};
use crate::findings::{FinalScaler, FourierScaler, OwnFourier, OwnKernel};

/// Bytes above which a file is refused unread: 64 classes of 100,000 features fit.
pub const LARGEST_BUNDLE: usize = 256 << 20;

/// The manifest's key in the metadata.
const KEY: &str = "wardround";

/// Why a file is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Larger than any bundle.
    #[error("a bundle has at most {LARGEST_BUNDLE} bytes, this file has {0}")]
    TooLarge(usize),
    /// No safetensors file.
    #[error("not a safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A safetensors file of something else.
    #[error("the file has no '{KEY}' entry in its metadata, so it isn't a model bundle")]
    NoManifest,
    /// The manifest can't be read.
    #[error("the bundle's manifest can't be read: {0}")]
    Manifest(#[from] serde_json::Error),
    /// Written by another version.
    #[error("expected a bundle of format 1 to {FORMAT}, got format {0}")]
    Format(u64),
    /// The manifest contradicts itself or the tensors.
    #[error("the bundle is inconsistent: {0}")]
    Inconsistent(String),
}

impl ModelBundle {
    /// The bundle's bytes: the same for the same bundle.
    ///
    /// # Errors
    /// [`BundleError`] when the bundle doesn't fit together, as [`ModelBundle::read`] would say.
    pub fn write(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let mut tensors: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (entry, model) in self.manifest.models.iter().zip(&self.models) {
            let name = class_name(entry.class);
            tensors.insert(format!("{name}.threshold"), vec![model.threshold]);
            put_scorer(&name, &model.scorer, &mut tensors);
        }
        tensors.extend(beside::tensors(self));
        let bytes: Vec<(String, usize, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, values)| {
                (name, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, len, bytes)| Ok((name, TensorView::new(Dtype::F64, vec![*len], bytes)?)))
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        let manifest = serde_json::to_string(&self.manifest)?;
        // One entry, so the map has one order.
        let metadata = HashMap::from([(KEY.to_owned(), manifest)]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Reads and checks a bundle's bytes.
    ///
    /// # Errors
    /// [`BundleError`] says what was expected and what came.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > LARGEST_BUNDLE {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let (format, loose) = loose_manifest(bytes)?;
        let mut loose = match format {
            1 => first_format::upgrade(loose),
            _ => loose,
        };
        if format < FORMAT && loose.get("beside").is_some() {
            return Err(inconsistent(format!(
                "a bundle of format {format} with what it doesn't know"
            )));
        }
        loose["format"] = FORMAT.into();
        let manifest: Manifest = serde_json::from_value(loose)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let mut taken = 0;
        let mut models = Vec::with_capacity(manifest.models.len());
        for entry in &manifest.models {
            models.push(model(entry, manifest.features as usize, &tensors, &mut taken)?);
        }
        let classes: Vec<u8> = manifest.models.iter().map(|entry| entry.class).collect();
        let has = |name: &str| tensors.tensor(name).is_ok();
        let take =
            |of: &str, name: &str, expected| tensor(of, name, expected, &tensors, &mut taken);
        let beside =
            beside::read(&manifest.beside, &classes, manifest.features as usize, has, take)?;
        if taken != tensors.len() {
            let (got, names) = (tensors.len(), tensors.names());
            return Err(inconsistent(format!("expected {taken} tensors, got {got}: {names:?}")));
        }
        let bundle = Self { manifest, models, beside };
        bundle.check()?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), BundleError> {
        let Manifest { classes, features, sites, models, .. } = &self.manifest;
        if models.is_empty() || models.len() != self.models.len() {
            let (expected, got) = (models.len(), self.models.len());
            return Err(inconsistent(format!("{expected} models described, {got} there")));
        }
        if classes.len() < 2 || *features == 0 {
            let classes = classes.len();
            return Err(inconsistent(format!("{classes} classes and {features} features")));
        }
        if sites.is_empty() || !sites.is_sorted_by(|a, b| a < b) {
            return Err(inconsistent("sites must be sorted, distinct and at least one".into()));
        }
        if !models.is_sorted_by(|a, b| a.class < b.class) {
            return Err(inconsistent("modelled classes must be ascending and distinct".into()));
        }
        if self.is_multinomial() {
            let same = models.iter().all(|entry| entry.learner == models[0].learner);
            if !same || models.len() != classes.len() {
                let (expected, got) = (classes.len(), models.len());
                return Err(inconsistent(format!(
                    "a multinomial model has one part for each of {expected} classes, all of one \
                     grid point; there are {got}"
                )));
            }
        }
        for (entry, model) in models.iter().zip(&self.models) {
            check_model(entry, model, classes.len(), *features as usize)?;
        }
        match beside::problem(self) {
            None => Ok(()),
            Some(what) => Err(inconsistent(what)),
        }
    }

    /// The format of a bundle's bytes, which may be an earlier one.
    ///
    /// # Errors
    /// As [`ModelBundle::read`].
    pub fn format_of(bytes: &[u8]) -> Result<u32, BundleError> {
        Ok(loose_manifest(bytes)?.0)
    }
}

/// A manifest and its format, which comes first: a later one may have other fields.
fn loose_manifest(bytes: &[u8]) -> Result<(u32, serde_json::Value), BundleError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let entries = metadata.metadata().as_ref().ok_or(BundleError::NoManifest)?;
    let text = entries.get(KEY).ok_or(BundleError::NoManifest)?;
    let loose: serde_json::Value = serde_json::from_str(text)?;
    let format = loose.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    match u32::try_from(format) {
        Ok(known) if (1..=FORMAT).contains(&known) => Ok((known, loose)),
        _ => Err(BundleError::Format(format)),
    }
}

fn put_scorer(of: &str, scorer: &Scorer, tensors: &mut BTreeMap<String, Vec<f64>>) {
    let mut put = |name: &str, values: &[f64]| {
        tensors.insert(format!("{of}.{name}"), values.to_vec());
    };
    match scorer {
        Scorer::Linear(model) => {
            put("weights", &model.weights);
            put("intercept", &[model.intercept]);
            if let FinalScaler::All { mean, deviation } | FinalScaler::Combat { mean, deviation } =
                &model.scaler
            {
                put("mean", mean);
                put("deviation", deviation);
            }
            if !model.fill.is_empty() {
                put("fill", &model.fill);
            }
        }
        Scorer::Trees(trees) => {
            trees::columns(trees).iter().for_each(|(name, values)| put(name, values));
        }
        Scorer::Fourier(model) => {
            put("weights", &model.weights);
            put("intercept", &[model.intercept]);
            match &model.scaler {
                FourierScaler::All { mean, inverse } => {
                    put("mean", mean);
                    put("inverse", inverse);
                }
                FourierScaler::Combat { mean, deviation } => {
                    put("mean", mean);
                    put("deviation", deviation);
                }
                FourierScaler::OwnSite => {}
            }
        }
        Scorer::Kernel(model) => {
            put("vectors", &model.vectors);
            put("coefficients", &model.coefficients);
            put("intercept", &[model.intercept]);
            put("mean", &model.mean);
            put("inverse", &model.inverse);
        }
        Scorer::Ensemble(EnsembleScorer { members, combine }) => {
            if let Combine::Logits { weights, intercept } = combine {
                put("weights", weights);
                put("intercept", &[*intercept]);
            }
            for (at, member) in members.iter().enumerate() {
                put_scorer(&member_name(of, at), member, tensors);
            }
        }
    }
}

fn check_model(
    entry: &ModelEntry,
    model: &Model,
    classes: usize,
    features: usize,
) -> Result<(), BundleError> {
    let class = entry.class;
    if usize::from(class) >= classes {
        return Err(inconsistent(format!("a model of class {class} of {classes}")));
    }
    if !(0.0..=1.0).contains(&model.threshold) {
        return Err(inconsistent(format!("class {class}: threshold {}", model.threshold)));
    }
    check_scorer(&format!("class {class}"), &entry.learner, &model.scorer, features)
}

fn check_scorer(
    class: &str,
    learner: &Learner,
    scorer: &Scorer,
    features: usize,
) -> Result<(), BundleError> {
    if let Learner::Linear { point, .. }
    | Learner::Fourier { point, .. }
    | Learner::Kernel { point, .. }
    | Learner::Trees { point } = learner
    {
        reduction::check(point, scorer, features)
            .map_err(|what| inconsistent(format!("{class}: {what}")))?;
    }
    match (learner, scorer) {
        (Learner::Linear { method, point, missing }, Scorer::Linear(model)) => {
            if !method.takes(point) {
                let line = point.line();
                return Err(inconsistent(format!("{class}: {method:?} with {line}")));
            }
            check_linear(class, point.standardise(), *missing, model, features)
        }
        (Learner::Trees { point }, Scorer::Trees(model)) => {
            if !point.is_trees() {
                return Err(inconsistent(format!("{class}: trees of a linear model")));
            }
            trees::check(model, features).map_err(|what| inconsistent(format!("{class}: {what}")))
        }
        (Learner::Fourier { point, seed, missing }, Scorer::Fourier(model))
            if (*seed, *missing) == (model.seed, model.missing) =>
        {
            let point = point
                .rbf()
                .ok_or_else(|| inconsistent(format!("{class}: a map with {}", point.line())))?;
            fourier::check(model, point, features)
                .map_err(|what| inconsistent(format!("{class}: {what}")))
        }
        (Learner::Kernel { point, missing, rows_of_patients }, Scorer::Kernel(model))
            if *missing == model.missing =>
        {
            let point = machine(class, point)?;
            kernel::check(model, point, *rows_of_patients, features)
                .map_err(|what| inconsistent(format!("{class}: {what}")))
        }
        (Learner::Ensemble { ensemble, members }, Scorer::Ensemble(model)) => {
            let expected = members.len();
            if !(2..=MOST_MEMBERS).contains(&expected) || model.members.len() != expected {
                let got = model.members.len();
                return Err(inconsistent(format!("{class}: {got} of {expected} members")));
            }
            match (ensemble, &model.combine) {
                (EnsembleKind::SoftVote, Combine::MeanProbability) => {}
                (EnsembleKind::Stacking, Combine::Logits { weights, intercept })
                    if weights.len() == expected
                        && weights.iter().chain([intercept]).all(|w| w.is_finite()) => {}
                _ => return Err(inconsistent(format!("{class}: its members' weights"))),
            }
            for (at, (learner, scorer)) in members.iter().zip(&model.members).enumerate() {
                let member = format!("{class}, member {at}");
                if matches!(learner, Learner::Ensemble { .. }) {
                    return Err(inconsistent(format!("{member} is an ensemble")));
                }
                check_scorer(&member, learner, scorer, features)?;
            }
            Ok(())
        }
        _ => Err(inconsistent(format!("{class} isn't of the kind that it says"))),
    }
}

fn check_linear(
    class: &str,
    standardise: Standardise,
    missing: MissingFeatures,
    model: &LinearScorer,
    features: usize,
) -> Result<(), BundleError> {
    let (scaler, mut parts) = match &model.scaler {
        FinalScaler::OwnSite => (Standardise::Site, vec![]),
        FinalScaler::All { mean, deviation } => {
            if deviation.iter().any(|s| *s <= 0.0) {
                return Err(inconsistent(format!("{class} has a deviation of 0 or less")));
            }
            (Standardise::All, vec![("mean", mean), ("deviation", deviation)])
        }
        FinalScaler::Combat { mean, deviation } => {
            if deviation.iter().any(|s| *s < 0.0) {
                return Err(inconsistent(format!("class {class} has a deviation below 0")));
            }
            (Standardise::Combat, vec![("mean", mean), ("deviation", deviation)])
        }
    };
    if scaler != standardise {
        return Err(inconsistent(format!("{class} is scaled as {standardise:?}")));
    }
    parts.push(("weights", &model.weights));
    match missing {
        MissingFeatures::Filled => parts.push(("fill", &model.fill)),
        MissingFeatures::Refused if model.fill.is_empty() => {}
        MissingFeatures::Refused => {
            return Err(inconsistent(format!("{class} refuses missing features, yet fills")));
        }
    }
    for (name, values) in parts {
        let got = values.len();
        if got != features {
            let what = format!("{class}: expected {features} numbers in {name}, got {got}");
            return Err(inconsistent(what));
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(inconsistent(format!("{class}: {name} isn't finite")));
        }
    }
    if !model.intercept.is_finite() {
        return Err(inconsistent(format!("{class}: intercept {}", model.intercept)));
    }
    Ok(())
}

fn model(
    entry: &ModelEntry,
    features: usize,
    tensors: &SafeTensors<'_>,
    taken: &mut usize,
) -> Result<Model, BundleError> {
    let name = class_name(entry.class);
    let threshold = tensor(&name, "threshold", Some(1), tensors, taken)?[0];
    let scorer = scorer(&name, &entry.learner, features, tensors, taken)?;
    Ok(Model { threshold, scorer })
}

/// A tensor of a model, of a known length or of any.
fn tensor(
    of: &str,
    name: &str,
    expected: Option<usize>,
    tensors: &SafeTensors<'_>,
    taken: &mut usize,
) -> Result<Vec<f64>, BundleError> {
    let name = format!("{of}.{name}");
    let tensor = tensors.tensor(&name)?;
    let fits = match (tensor.shape(), expected) {
        ([got], Some(expected)) => *got == expected,
        ([_], None) => true,
        _ => false,
    };
    if tensor.dtype() != Dtype::F64 || !fits {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let expected = expected.map_or("a list".to_owned(), |n| n.to_string());
        let what = format!("{name}: expected F64 [{expected}], got {dtype:?} {shape:?}");
        return Err(inconsistent(what));
    }
    *taken += 1;
    let number = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("chunks of 8 bytes"));
    Ok(tensor.data().chunks_exact(8).map(number).collect())
}

fn scorer(
    of: &str,
    learner: &Learner,
    features: usize,
    tensors: &SafeTensors<'_>,
    taken: &mut usize,
) -> Result<Scorer, BundleError> {
    if let Learner::Ensemble { ensemble, members } = learner {
        if !(2..=MOST_MEMBERS).contains(&members.len()) {
            return Err(inconsistent(format!("{of}: an ensemble of {} members", members.len())));
        }
        let combine = match ensemble {
            EnsembleKind::SoftVote => Combine::MeanProbability,
            EnsembleKind::Stacking => Combine::Logits {
                weights: tensor(of, "weights", Some(members.len()), tensors, taken)?,
                intercept: tensor(of, "intercept", Some(1), tensors, taken)?[0],
            },
        };
        let mut scorers = Vec::with_capacity(members.len());
        for (at, learner) in members.iter().enumerate() {
            if matches!(learner, Learner::Ensemble { .. }) {
                return Err(inconsistent(format!("{of}: member {at} is an ensemble")));
            }
            scorers.push(scorer(&member_name(of, at), learner, features, tensors, taken)?);
        }
        return Ok(Scorer::Ensemble(EnsembleScorer { members: scorers, combine }));
    }
    let mut take = |name: &str, expected| tensor(of, name, expected, tensors, taken);
    Ok(match learner {
        Learner::Linear { point, missing, .. } => {
            let features = Some(features);
            let scaler = match point.standardise() {
                Standardise::Site => FinalScaler::OwnSite,
                Standardise::All => FinalScaler::All {
                    mean: take("mean", features)?,
                    deviation: take("deviation", features)?,
                },
                Standardise::Combat => FinalScaler::Combat {
                    mean: take("mean", features)?,
                    deviation: take("deviation", features)?,
                },
            };
            let fill = match missing {
                MissingFeatures::Filled => take("fill", features)?,
                MissingFeatures::Refused => Vec::new(),
            };
            Scorer::Linear(LinearScorer {
                scaler,
                weights: take("weights", features)?,
                intercept: take("intercept", Some(1))?[0],
                fill,
            })
        }
        Learner::Fourier { point, seed, missing } => {
            let point = point
                .rbf()
                .ok_or_else(|| inconsistent(format!("{of}: a map with {}", point.line())))?;
            let features = Some(features);
            Scorer::Fourier(OwnFourier {
                seed: *seed,
                gamma: point.gamma,
                scaler: match point.standardise {
                    Standardise::Site => FourierScaler::OwnSite,
                    Standardise::All => FourierScaler::All {
                        mean: take("mean", features)?,
                        inverse: take("inverse", features)?,
                    },
                    Standardise::Combat => FourierScaler::Combat {
                        mean: take("mean", features)?,
                        deviation: take("deviation", features)?,
                    },
                },
                missing: *missing,
                weights: take("weights", Some(point.components as usize))?,
                intercept: take("intercept", Some(1))?[0],
            })
        }
        Learner::Kernel { point, missing, rows_of_patients } => {
            let point = machine(of, point)?;
            let numbers = kernel::numbers(*rows_of_patients, features)
                .map_err(|what| inconsistent(format!("{of}: {what}")))?;
            Scorer::Kernel(OwnKernel {
                gamma: point.gamma,
                mean: take("mean", Some(features))?,
                inverse: take("inverse", Some(features))?,
                missing: *missing,
                vectors: take("vectors", Some(numbers))?,
                coefficients: take("coefficients", Some(*rows_of_patients as usize))?,
                intercept: take("intercept", Some(1))?[0],
            })
        }
        Learner::Trees { point } => {
            let mut columns = trees::Columns::new();
            for name in trees::COLUMNS {
                columns.insert(name, take(name, None)?);
            }
            let output = match point {
                GridPoint::Boosting(_) => TreeOutput::Sum,
                _ => TreeOutput::Mean,
            };
            let trees = trees::from_columns(output, &columns);
            Scorer::Trees(trees.map_err(|what| inconsistent(format!("{of}: {what}")))?)
        }
        Learner::Ensemble { .. } => {
            return Err(inconsistent(format!("{of}: an ensemble of ensembles")));
        }
    })
}

/// The hyperparameters of a machine that is made of rows.
fn machine<'a>(of: &str, point: &'a GridPoint) -> Result<&'a KernelPoint, BundleError> {
    point
        .kernel()
        .ok_or_else(|| inconsistent(format!("{of}: support vectors with {}", point.line())))
}

fn class_name(class: u8) -> String {
    format!("class.{class}")
}

fn member_name(of: &str, at: usize) -> String {
    format!("{of}.member.{at}")
}

fn inconsistent(what: String) -> BundleError {
    BundleError::Inconsistent(what)
}
