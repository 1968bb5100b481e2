//! A bundle in plain words and as JSON. The JSON's keys are this command's own: a later format of bundles
//! doesn't change them.

use serde_json::{Value, json};
use wardround_core::query::Combine;
use wardround_core::study::{EnsembleKind, GridPoint, Standardise};
use wardround_learn::bundle::{
    BundleInput, BundleViews, EnsembleScorer, Learner, LinearMethod, LinearScorer, Manifest,
    MissingFeatures, Model, ModelBundle, ModelEntry, Scorer, Summary,
};
use wardround_learn::findings::{FinalTrees, OwnFourier, OwnKernel, OwnNode};

use super::beside;
use crate::cli::output::table;
use crate::export::{held_rows, kind};
use crate::report::decimal;

/// Coefficients, or features that trees split by, that a person is shown.
const SHOWN: usize = 10;

/// Everything that is in a bundle.
pub fn data(bundle: &ModelBundle) -> Value {
    let manifest = &bundle.manifest;
    let models = manifest.models.iter().zip(&bundle.models);
    let mut data = json!({
        "study": manifest.study,
        "study_digest": manifest.study_digest,
        "software": manifest.software,
        "target": manifest.target,
        "classes": manifest.classes,
        "input": manifest.input,
        "features": manifest.features,
        "sites": manifest.sites,
        "judged": manifest.judged,
        "models": models.map(|(entry, model)| model_data(manifest, entry, model)).collect::<Vec<_>>(),
    });
    extend(&mut data, beside::data(bundle));
    if bundle.rows_of_patients() > 0 {
        data["rows_of_patients"] = bundle.rows_of_patients().into();
    }
    data
}

/// What a person wants to know of a bundle.
pub fn text(bundle: &ModelBundle) -> String {
    let manifest = &bundle.manifest;
    let sites: Vec<&str> = manifest.sites.iter().map(|site| site.as_str()).collect();
    let mut parts = vec![format!(
        "study '{}', study file {}, fitted by {}\n\
         target '{}' of classes {}\n\
         input: {}\n\
         sites: {}",
        manifest.study,
        manifest.study_digest,
        manifest.software,
        manifest.target,
        manifest.classes.join(", "),
        input(manifest),
        sites.join(", "),
    )];
    let row = match &manifest.input {
        BundleInput::Images { .. } => "image",
        BundleInput::Table { .. } => "row",
    };
    parts.extend(manifest.judged.sentence(row).map(|said| format!("{said}.")));
    parts.extend(held_rows(bundle));
    let models = manifest.models.iter().zip(&bundle.models);
    parts.extend(models.map(|(entry, model)| model_text(manifest, entry, model)));
    parts.extend(beside::text(bundle));
    parts.join("\n\n")
}

fn model_data(manifest: &Manifest, entry: &ModelEntry, model: &Model) -> Value {
    let mut data = json!({
        "class": entry.class,
        "name": class_name(manifest, entry.class),
        "threshold": model.threshold,
        "figures": entry.figures,
        "multi_class": if entry.learner.is_multinomial() { "multinomial" } else { "one-vs-rest" },
    });
    extend(&mut data, scorer_data(&entry.learner, &model.scorer));
    data
}

fn scorer_data(learner: &Learner, scorer: &Scorer) -> Value {
    let mut data = json!({ "kind": kind(learner) });
    if let Some(point) = point(learner) {
        extend(&mut data, json!({ "point": point, "missing": missing(learner).0 }));
    }
    let own = match scorer {
        Scorer::Linear(linear) => json!({
            "intercept": linear.intercept,
            "weights": linear.weights,
            "weights_not_zero": linear.weights_not_zero(),
            "scaler": linear.scaler,
            "fill": linear.fill,
        }),
        Scorer::Trees(trees) => json!({ "start": trees.start, "trees": trees.trees }),
        Scorer::Fourier(fourier) => json!({
            "seed": fourier.seed,
            "intercept": fourier.intercept,
            "weights": fourier.weights,
            "scaler": fourier.scaler,
        }),
        // The vectors are rows of patients: they stay in the file.
        Scorer::Kernel(kernel) => json!({
            "rows_of_patients": kernel.coefficients.len(),
            "intercept": kernel.intercept,
            "coefficients": kernel.coefficients,
            "mean": kernel.mean,
            "inverse": kernel.inverse,
        }),
        Scorer::Ensemble(EnsembleScorer { members, combine }) => {
            let pairs = learner.singles().iter().zip(members);
            let members: Vec<Value> = pairs.map(|(one, model)| scorer_data(one, model)).collect();
            match combine {
                Combine::MeanProbability => json!({ "members": members }),
                Combine::Logits { weights, intercept } => {
                    json!({ "members": members, "weights": weights, "intercept": intercept })
                }
            }
        }
    };
    extend(&mut data, own);
    data
}

fn extend(data: &mut Value, more: Value) {
    if let (Value::Object(data), Value::Object(more)) = (data, more) {
        data.extend(more);
    }
}

/// The hyperparameters of a model; an ensemble has none.
fn point(learner: &Learner) -> Option<&GridPoint> {
    match learner {
        Learner::Linear { point, .. }
        | Learner::Fourier { point, .. }
        | Learner::Kernel { point, .. }
        | Learner::Trees { point } => Some(point),
        Learner::Ensemble { .. } => None,
    }
}

fn model_text(manifest: &Manifest, entry: &ModelEntry, model: &Model) -> String {
    let name = class_name(manifest, entry.class);
    let others = match manifest.classes.as_slice() {
        [first, second] => format!("'{}'", if entry.class == 0 { second } else { first }),
        _ => "the rest".to_owned(),
    };
    let mut lines = kind_lines(&entry.learner);
    lines.push(format!("called '{name}' from a probability of {}", brief(model.threshold)));
    lines.push(figures(&entry.figures));
    lines.extend(numbers(manifest, &entry.learner, &model.scorer));
    let lines = lines.iter().flat_map(|text| text.lines()).map(|line| format!("  {line}"));
    let head = format!("'{name}' against {others}");
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// What kind of model it is, and what it does about missing features.
fn kind_lines(learner: &Learner) -> Vec<String> {
    let kind = match point(learner) {
        Some(point) => {
            let parameters: Vec<String> =
                point.words().into_iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!("{}: {}", kind_words(learner), parameters.join(", "))
        }
        None => kind_words(learner).to_owned(),
    };
    vec![kind, missing(learner).1.to_owned()]
}

/// Its numbers, or the most telling of them.
fn numbers(manifest: &Manifest, learner: &Learner, scorer: &Scorer) -> Vec<String> {
    let mut lines = Vec::new();
    match scorer {
        Scorer::Linear(linear) => lines.push(coefficients(manifest, linear)),
        Scorer::Trees(trees) => lines.push(splits(manifest, trees)),
        Scorer::Fourier(fourier) => lines.push(map_words(manifest, fourier)),
        Scorer::Kernel(kernel) => lines.push(vectors_words(manifest, kernel)),
        Scorer::Ensemble(EnsembleScorer { members, combine }) => {
            for (at, (learner, scorer)) in learner.singles().iter().zip(members).enumerate() {
                let weight = match combine {
                    Combine::MeanProbability => String::new(),
                    Combine::Logits { weights, .. } => {
                        format!(", its logit weighs {}", signed(weights[at]))
                    }
                };
                lines.push(format!("member {}{weight}", at + 1));
                let own = [kind_lines(learner), numbers(manifest, learner, scorer)].concat();
                let own = own.iter().flat_map(|text| text.lines());
                lines.extend(own.map(|line| format!("  {line}")));
            }
            if let Combine::Logits { intercept, .. } = combine {
                lines.push(format!("constant {}", signed(*intercept)));
            }
        }
    }
    lines
}

pub(super) fn class_name(manifest: &Manifest, class: u8) -> &str {
    manifest.classes.get(usize::from(class)).map_or("", String::as_str)
}

/// A feature's name; of a backbone's its number, from 0.
fn feature_name(manifest: &Manifest, feature: usize) -> String {
    match &manifest.input {
        BundleInput::Table { features, .. } => {
            features.get(feature).cloned().unwrap_or_else(|| format!("number {feature}"))
        }
        BundleInput::Images { .. } => format!("number {feature}"),
    }
}

fn input(manifest: &Manifest) -> String {
    let features = manifest.features;
    match &manifest.input {
        BundleInput::Table { .. } => format!("the rows of a table, {features} features"),
        BundleInput::Images {
            backbone, weights_source, weights_digest, precision, views, ..
        } => {
            let views = match views {
                BundleViews::Plain => String::new(),
                BundleViews::Averaged { views, .. } => {
                    format!(", mean of {views} views of an image")
                }
            };
            format!(
                "images through {backbone} in {precision}, {features} features{views}\n\
                 weights {weights_source}, {weights_digest}"
            )
        }
    }
}

fn kind_words(learner: &Learner) -> &'static str {
    match learner {
        Learner::Linear { method, point, .. } => match method {
            LinearMethod::Logistic if point.linear().is_some_and(|p| p.l1_ratio > 0.0) => {
                "logistic regression with an elastic net penalty"
            }
            LinearMethod::Logistic => "logistic regression, L2-penalised",
            LinearMethod::SquaredHinge => {
                "linear support vector machine, squared hinge, probabilities not calibrated"
            }
            LinearMethod::Multinomial => {
                "multinomial logistic regression, L2-penalised, probabilities of all classes add up to 1"
            }
            LinearMethod::Ridge => "ridge regression, scores turned into logits",
            LinearMethod::Lda => "linear discriminant analysis",
            LinearMethod::NearestMean => "nearest class mean, scores turned into logits",
        },
        Learner::Fourier { .. } => {
            "support vector machine with a Gaussian kernel, squared hinge, probabilities not calibrated"
        }
        Learner::Kernel { .. } => {
            "support vector machine with a Gaussian kernel, made of rows, hinge, probabilities not calibrated"
        }
        Learner::Trees { point: GridPoint::Boosting(_) } => "gradient-boosted trees",
        Learner::Trees { .. } => "random forest",
        Learner::Ensemble { ensemble: EnsembleKind::SoftVote, .. } => {
            "soft vote: the mean of the members' probabilities"
        }
        Learner::Ensemble { ensemble: EnsembleKind::Stacking, .. } => {
            "stacking: a logistic regression on the members' logits"
        }
    }
}

/// What becomes of a missing feature: in a word, and for people.
fn missing(learner: &Learner) -> (&'static str, &'static str) {
    match learner {
        Learner::Linear { missing: MissingFeatures::Refused, .. }
        | Learner::Fourier { missing: MissingFeatures::Refused, .. }
        | Learner::Kernel { missing: MissingFeatures::Refused, .. } => {
            ("refused", "a row with a missing feature isn't judged")
        }
        Learner::Linear { missing: MissingFeatures::Filled, point, .. }
        | Learner::Fourier { missing: MissingFeatures::Filled, point, .. }
        | Learner::Kernel { missing: MissingFeatures::Filled, point, .. } => {
            let mean = match point.standardise() {
                Standardise::All => "a missing feature takes the training rows' mean",
                Standardise::Site => "a missing feature takes the mean of the site's own rows",
                Standardise::Combat => "a missing feature takes the mean of the adjusted site",
            };
            ("filled", mean)
        }
        Learner::Trees { .. } => ("split", "each split says where rows go that miss its feature"),
        Learner::Ensemble { .. } => {
            ("members", "each member says what becomes of a missing feature")
        }
    }
}

fn figures(figures: &Summary) -> String {
    let figure = |value: Option<f64>| value.map_or("undefined".to_owned(), decimal);
    format!(
        "by nested cross-validation: AUC {} within sites, {} in one list; sensitivity {}, specificity {}",
        figure(figures.auc_within_sites),
        figure(figures.auc_one_list),
        figure(figures.sensitivity),
        figure(figures.specificity),
    )
}

/// The largest coefficients with what they are of.
fn coefficients(manifest: &Manifest, model: &LinearScorer) -> String {
    let mut order: Vec<usize> = (0..model.weights.len()).collect();
    order.sort_by(|a, b| model.weights[*b].abs().total_cmp(&model.weights[*a].abs()));
    let not_zero = model.weights_not_zero();
    let rows: Vec<Vec<String>> = order
        .into_iter()
        .take(SHOWN.min(not_zero))
        .map(|at| vec![feature_name(manifest, at), signed(model.weights[at])])
        .chain([vec!["constant".to_owned(), signed(model.intercept)]])
        .collect();
    let shown = rows.len() - 1;
    let head = match model.weights.len() {
        all if all > not_zero => format!(
            "the {shown} largest of {not_zero} coefficients that aren't 0, of {all}, per deviation"
        ),
        all if all > shown => format!("the {shown} largest of {all} coefficients, per deviation"),
        _ => "coefficients, per deviation".to_owned(),
    };
    format!("{head}\n{}", table(&["feature", "coefficient"], &rows))
}

/// The features that most splits go by.
fn splits(manifest: &Manifest, model: &FinalTrees) -> String {
    let mut counts = vec![0usize; manifest.features as usize];
    for node in model.trees.iter().flat_map(|tree| &tree.0) {
        if let OwnNode::Split { feature, .. } = node {
            counts[*feature as usize] += 1;
        }
    }
    let all: usize = counts.iter().sum();
    let mut order: Vec<usize> = (0..counts.len()).filter(|at| counts[*at] > 0).collect();
    order.sort_by_key(|at| std::cmp::Reverse(counts[*at]));
    let rows: Vec<Vec<String>> = order
        .into_iter()
        .take(SHOWN)
        .map(|at| vec![feature_name(manifest, at), counts[at].to_string()])
        .collect();
    let trees = model.trees.len();
    format!(
        "{trees} trees, {all} splits, most of them by\n{}",
        table(&["feature", "splits"], &rows)
    )
}

/// What stands in place of coefficients: those of random features say nothing of one feature.
fn map_words(manifest: &Manifest, model: &OwnFourier) -> String {
    format!(
        "{} random Fourier features of {} features, drawn from seed {}; constant {}",
        model.weights.len(),
        manifest.features,
        model.seed.0,
        signed(model.intercept)
    )
}

/// What stands in place of coefficients: which rows they weigh is nobody's business.
fn vectors_words(manifest: &Manifest, model: &OwnKernel) -> String {
    format!(
        "{} support vectors of {} features, each a patient's row; constant {}",
        model.coefficients.len(),
        manifest.features,
        signed(model.intercept)
    )
}

/// Four digits, with a sign.
fn signed(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(1e-3..1e5).contains(&size) => format!("{value:+.3e}"),
        _ => format!("{value:+.4}"),
    }
}

/// Three decimals, more where nothing would be left.
fn brief(value: f64) -> String {
    if value != 0.0 && value < 0.01 { format!("{value:.2e}") } else { decimal(value) }
}
