//! What `explain` and `review` have in common: the option that chooses a method, explaining one image after the other, and the folder
//! that it goes to.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use wardround_learn::bundle::{BundleInput, BundleViews, ModelBundle};

use super::failure::Failure;
use super::progress::Screen;
use crate::explain::{
    ExplainError, Explainer, Explanation, FolderError, Method, PrivateFolder, Trust, Wish,
};

/// The last line of what both print.
pub(super) const STAYS_HERE: &str =
    "the folder shows patients: it must not leave the hospital, and can be deleted at any time\n";

/// [`Wish`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum MethodWord {
    Auto,
    Cam,
    Occlusion,
}

impl MethodWord {
    /// What it means.
    pub(super) fn wish(self) -> Wish {
        match self {
            Self::Auto => Wish::Auto,
            Self::Cam => Wish::Only(Method::Cam),
            Self::Occlusion => Wish::Only(Method::Occlusion),
        }
    }
}

/// An image that is to be explained.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Its file.
    pub path: PathBuf,
    /// For which of the bundle's models.
    pub model: usize,
}

/// Explains images; one that can't be read has the reason instead.
///
/// # Errors
/// What no image can be blamed for.
pub(super) fn explain_each(
    explainer: &Explainer<'_>,
    chosen: &[Chosen],
    wish: Wish,
) -> Result<Vec<Result<Explanation, String>>, Failure> {
    let screen = Screen::default();
    let mut explained = Vec::with_capacity(chosen.len());
    for Chosen { path, model } in chosen {
        screen.count("explaining images", explained.len() as u64, chosen.len() as u64);
        explained.push(match wardround_vision::read_picture(path) {
            Ok(picture) => Ok(explainer.explain(&picture, *model, wish)?),
            Err(error) => Err(error.to_string()),
        });
    }
    screen.count("explaining images", chosen.len() as u64, chosen.len() as u64);
    Ok(explained)
}

/// Writes page and numbers, and says where they lie.
///
/// # Errors
/// The disk's.
pub(super) fn write(
    folder: &PrivateFolder,
    name: &str,
    page: &str,
    numbers: &impl Serialize,
) -> Result<(PathBuf, PathBuf), Failure> {
    let json = serde_json::to_string_pretty(numbers).map_err(Failure::internal)? + "\n";
    let page = folder.write(&format!("{name}.html"), page.as_bytes())?;
    let numbers = folder.write(&format!("{name}.json"), json.as_bytes())?;
    Ok((page, numbers))
}

/// The folder for a gallery, made before any work is done.
///
/// # Errors
/// It has something in it already, or can't be made.
pub(super) fn folder(path: &Path) -> Result<PrivateFolder, Failure> {
    Ok(PrivateFolder::create(path)?)
}

/// How far the maps can be trusted, in a line.
pub(super) fn trust_text(trust: &Trust) -> String {
    let likeness = match trust.likeness_to_shuffled {
        Some(likeness) => format!("{likeness:.2}"),
        None => "undefined".to_owned(),
    };
    format!(
        "faithfulness {:+.3} (about 0: the maps say nothing; at most 0.5), likeness to maps of \
         shuffled models {likeness} (near 1: they show the image rather than the model)\n",
        trust.faithfulness
    )
}

/// What people should know where models judge several views of an image.
pub(super) fn said_of_views(bundle: &ModelBundle) -> Option<String> {
    match bundle.manifest.input {
        BundleInput::Images { views: BundleViews::Averaged { views, .. }, .. } => Some(format!(
            "The models judge the mean of {views} views of an image. Maps are of the image as \
             it is; the probability is of all views."
        )),
        BundleInput::Images { .. } | BundleInput::Table { .. } => None,
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::NoReadout(_)
            | ExplainError::NotLinear(_)
            | ExplainError::Features { .. }
            | ExplainError::Predict(_) => Self::bad_input(error),
            ExplainError::Weights(_) | ExplainError::Backbone(_) => Self::failed(error),
            ExplainError::Drawing => Self::internal(error),
        }
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::NotEmpty(_) => Self::bad_input(error),
            FolderError::Io { .. } => Self::failed(error),
        }
    }
}
