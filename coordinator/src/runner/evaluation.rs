//! The bundle of a study that judges a finished model: checked when it is submitted, read again when it runs.

use wardround_core::digest::Digest;
use wardround_core::study::{Input, Study};
use wardround_learn::bundle::ModelBundle;
use wardround_learn::study::{agree_with_sites, disagreements};
use wardround_proto::problem::{Problem, ProblemCode};

use crate::store::{Artefact, EnlistedSite, Store, StudyRecord};

/// The bundle that a study judges: the one that came with it or, where none did, the one that this coordinator's own study left. It is
/// the one that the study names, and both mean the same. Empty for a study that fits models.
pub(super) fn submitted(store: &Store, study: &Study, model: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let model = match study.evaluation() {
        Some(evaluation) if model.is_empty() => store.file(&evaluation.model).unwrap_or_default(),
        _ => model,
    };
    let read = read(study, &model);
    read.map(|_| model).map_err(|why| Problem::new(ProblemCode::BadInput, why))
}

fn read(study: &Study, model: &[u8]) -> Result<Option<ModelBundle>, String> {
    let Some(evaluation) = study.evaluation() else {
        return match model.is_empty() {
            true => Ok(None),
            false => Err("a model came with a study that fits its own".to_owned()),
        };
    };
    if model.is_empty() {
        let why = "the study judges a model, none came with it, and no study of this coordinator left it; a bundle \
                   that is too large for a message can be judged where it was fitted";
        return Err(why.to_owned());
    }
    let (expected, got) = (evaluation.model, Digest::of(model));
    if expected != got {
        return Err(format!("the model has SHA-256 {got}, [model] says {expected}"));
    }
    let bundle = ModelBundle::read(model).map_err(|error| format!("the model: {error}"))?;
    match disagreements(study, &bundle) {
        none if none.is_empty() => Ok(Some(bundle)),
        wrong => Err(wrong.join("\n")),
    }
}

/// The bundle that a study judges; nothing of one that fits models.
pub(super) fn bundle(
    store: &Store,
    record: &StudyRecord,
    study: &Study,
) -> Result<Option<ModelBundle>, String> {
    if study.evaluation().is_none() {
        return Ok(None);
    }
    let model = store.artefact(&record.id, Artefact::Bundle).map_err(|error| error.to_string())?;
    read(study, &model.unwrap_or_default())
}

/// Whether a site's features are the ones that the bundle takes.
pub(super) fn agree(
    study: &Study,
    bundle: &ModelBundle,
    site: &EnlistedSite,
) -> Result<(), String> {
    let images = match &study.input {
        Input::Table(_) => None,
        Input::Images { .. } => {
            let weights = site.weights.first().map_or("", String::as_str);
            Some((weights, site.preprocess.first().map_or("", String::as_str)))
        }
    };
    agree_with_sites(bundle, site.features.first().copied().unwrap_or(0), images)
}
