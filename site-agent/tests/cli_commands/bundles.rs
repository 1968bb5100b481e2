//! Made-up bundles.

use std::fs;

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Combine;
use wardround_core::study::{
    Balance, EnsembleKind, GridPoint, LinearPoint, Precision, Reduction, Standardise,
};
use wardround_learn::bundle::{
    Beside, BesideEntry, BundleInput, BundleJudged, BundleViews, EnsembleScorer, FORMAT, Learner,
    LinearMethod, LinearScorer, Manifest, MissingFeatures, Model, ModelBundle, ModelEntry, Scorer,
    Summary,
};
use wardround_learn::findings::FinalScaler;

use super::made_up::{Site, weights};

/// A bundle with one model for 'ill': logit = sum of the scaled features - 0.25, threshold 0.6.
pub fn write_bundle(site: &Site, input: BundleInput, features: usize, scaler: FinalScaler) {
    let weights = vec![1.0; features];
    let model = LinearScorer { scaler, weights, intercept: -0.25, fill: vec![] };
    write_linear(site, input, model, 0.6);
}

/// The same whose figures and thresholds are of exams or patients.
pub fn write_judged_bundle(
    site: &Site,
    input: BundleInput,
    features: usize,
    scaler: FinalScaler,
    judged: BundleJudged,
) {
    write_bundle(site, input, features, scaler);
    let bytes = fs::read(site.path("model.bundle")).unwrap();
    let mut bundle = ModelBundle::read(&bytes).unwrap();
    bundle.manifest.judged = judged;
    fs::write(site.path("model.bundle"), bundle.write().unwrap()).unwrap();
}

/// A bundle with one linear model for 'ill'.
pub fn write_linear(site: &Site, input: BundleInput, scorer: LinearScorer, threshold: f64) {
    let standardise = match scorer.scaler {
        FinalScaler::OwnSite => Standardise::Site,
        FinalScaler::Combat { .. } => Standardise::Combat,
        FinalScaler::All { .. } => Standardise::All,
    };
    let learner = logistic(standardise);
    let features = scorer.weights.len();
    write_model(
        site,
        input,
        features,
        learner,
        Model { threshold, scorer: Scorer::Linear(scorer) },
    );
}

/// A bundle of the soft vote of two linear models for 'ill', which is no linear model itself.
pub fn write_ensemble(site: &Site, input: BundleInput, members: [LinearScorer; 2], threshold: f64) {
    let features = members[0].weights.len();
    let members: Vec<Scorer> = members.into_iter().map(Scorer::Linear).collect();
    let learner = Learner::Ensemble {
        ensemble: EnsembleKind::SoftVote,
        members: vec![logistic(Standardise::All); members.len()],
    };
    let scorer = Scorer::Ensemble(EnsembleScorer { members, combine: Combine::MeanProbability });
    write_model(site, input, features, learner, Model { threshold, scorer });
}

fn logistic(standardise: Standardise) -> Learner {
    let point = GridPoint::Linear(LinearPoint {
        c: 1.0,
        standardise,
        balance: Balance::None,
        l1_ratio: 0.0,
        reduce: Reduction::None,
    });
    let missing = MissingFeatures::Refused;
    Learner::Linear { method: LinearMethod::Logistic, point, missing }
}

fn write_model(site: &Site, input: BundleInput, features: usize, learner: Learner, model: Model) {
    let figures = Summary {
        auc_within_sites: None,
        auc_one_list: None,
        sensitivity: None,
        specificity: None,
    };
    let entry = ModelEntry { class: 1, learner, figures };
    let manifest = Manifest {
        format: FORMAT,
        software: "test".into(),
        study: "Small".into(),
        study_digest: Digest::of(b"study"),
        target: "ill".into(),
        classes: vec!["no".into(), "yes".into()],
        input,
        features: features as u32,
        sites: vec![SiteId::parse("a").unwrap()],
        judged: BundleJudged::Row,
        models: vec![entry],
        beside: BesideEntry::default(),
    };
    let bundle = ModelBundle { manifest, models: vec![model], beside: Beside::default() };
    fs::write(site.path("model.bundle"), bundle.write().unwrap()).unwrap();
}

/// Images of `side` pixels through a backbone with made-up weights, which lie in `net.safetensors`.
pub fn small_images(site: &Site, backbone: &str, side: usize) -> BundleInput {
    let bytes = weights(backbone);
    fs::write(site.path("net.safetensors"), &bytes).unwrap();
    BundleInput::Images {
        backbone: backbone.into(),
        weights_source: format!("file:{}", site.path("net.safetensors").display()),
        weights_digest: Digest::of(&bytes),
        preprocessing: serde_json::json!({
            "shorter_side": side,
            "crop": side,
            "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        }),
        precision: Precision::F32,
        views: BundleViews::Plain,
    }
}

/// A scale that changes nothing.
pub fn unit(features: usize) -> FinalScaler {
    FinalScaler::All { mean: vec![0.0; features], deviation: vec![1.0; features] }
}
