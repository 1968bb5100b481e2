//! A study applied to the site's data, with the images looked at wherever [`Imaging`] says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::study::Study;
use wardround_proto::v1::Stage;

use super::seen::Stamp;
use super::{Imaging, ImagingError, Seen};
use crate::answer::Watch;
use crate::config::SiteConfig;
use crate::data::{Inspection, Manifest, ManifestError, SiteData, inspect};
use crate::egress::Step;

/// Why the data can't be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The images.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
}

/// Reads the manifest and applies a study to it. Only images that `seen` doesn't know are read;
/// the watch hears of them.
///
/// # Errors
/// [`SurveyError`]; problems of rows are none, they are in the [`Inspection`].
pub fn survey(
    study: &Study,
    config: &SiteConfig,
    issuer: &str,
    imaging: &Imaging,
    seen: &mut Seen,
    watch: &Watch,
) -> Result<Inspection, SurveyError> {
    let manifest = Manifest::read(&config.data.manifest)?;
    let inspected = |look: &(dyn Fn(&Path) -> Result<Digest, String> + Sync)| {
        let data = SiteData {
            manifest: &manifest,
            columns: &config.columns,
            images: &config.data.images,
            issuer,
            look,
            threads: config.data.image_threads.count(),
        };
        inspect(study, &data)
    };

    // The first pass finds out which images are meant, the second one has their digests.
    let meant: Mutex<HashMap<PathBuf, Option<Stamp>>> = Mutex::default();
    inspected(&|path| {
        let stamp = Stamp::of(path);
        let mut meant = meant.lock().unwrap_or_else(PoisonError::into_inner);
        meant.insert(path.to_owned(), stamp);
        Err(String::new())
    });
    let meant = meant.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut digests: HashMap<PathBuf, Result<Digest, String>> = HashMap::new();
    let mut unknown = Vec::new();
    for (path, stamp) in &meant {
        match seen.known(path, *stamp) {
            Some(digest) => drop(digests.insert(path.clone(), Ok(digest))),
            None => unknown.push(path.clone()),
        }
    }
    // In the order of their names: disks and shares like that.
    unknown.sort();
    let (before, total) = (digests.len() as u64, meant.len() as u64);
    let moved = |done| watch.moved(Step { stage: Stage::Checking, done: before + done, total });
    moved(0);
    if !unknown.is_empty() {
        let found = imaging.look(unknown.clone(), watch, &moved)?;
        for (path, found) in unknown.into_iter().zip(found) {
            if let (Ok(digest), Some(Some(stamp))) = (&found, meant.get(&path)) {
                seen.remember(path.clone(), *stamp, *digest);
            }
            digests.insert(path, found);
        }
        if let Err(error) = seen.save() {
            // The images are looked at again next time.
            tracing::warn!(%error, "the list of images that were looked at isn't written");
        }
    }
    moved(total - before);
    let look = |path: &Path| match digests.get(path) {
        Some(found) => found.clone(),
        None => Err(format!("{}: it wasn't looked at", path.display())),
    };
    Ok(inspected(&look))
}
