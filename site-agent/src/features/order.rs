//! What is to be done with a list of image files, as data: performed here, or written to a child.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_vision::{BackboneEntry, ExtractError, Extractor, LocalWeights, Preprocess};

use super::Ready;
use crate::data::look;

/// Images that go through a network at a time.
const BATCH: usize = 8;

/// Progress while images are looked at is told once per so many.
const LOOKED_AT_STEP: u64 = 16;

/// Something to be done with images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// Threads that read and decode.
    pub threads: usize,
    /// What is to be done.
    pub what: What,
}

/// What is to be done with each image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum What {
    /// Read and decode it, and take its digest.
    Look,
    /// Put its features into the cache.
    Extract {
        backbone: String,
        weights: PathBuf,
        digest: Digest,
        preprocess: Preprocess,
        cache: PathBuf,
    },
}

/// What is heard while it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Note {
    /// So many images are done.
    Moved(u64),
    /// What came of an image: the digest of its bytes, or why it is unusable.
    Found(usize, Result<Digest, String>),
    /// The whole order ended before its end.
    Failed(ImagingError),
}

/// Why images weren't looked at, or have no features.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ImagingError {
    /// Nobody wants the result any more.
    #[error("stopped, since the result isn't wanted any more")]
    Stopped,
    /// No image is at fault: the weights, the network, the disk.
    #[error("{0}")]
    Failed(String),
    /// The child process ended in the middle.
    #[error("the process that reads images ended in the middle of its work ({0})")]
    Crashed(String),
}

impl Order {
    pub(super) fn extract(
        ready: &Ready,
        cache: &Path,
        paths: Vec<PathBuf>,
        threads: usize,
    ) -> Self {
        let what = What::Extract {
            backbone: ready.entry.name.to_owned(),
            weights: ready.weights.path.clone(),
            digest: Digest::from_bytes(ready.weights.digest),
            preprocess: ready.preprocess.clone(),
            cache: cache.to_owned(),
        };
        Self { paths, threads, what }
    }

    /// Does it, and says what comes of every image. `say` is called from several threads.
    ///
    /// # Errors
    /// [`ImagingError::Stopped`] as soon as it isn't wanted any more; [`ImagingError::Failed`].
    pub(super) fn perform(
        &self,
        wanted: &(dyn Fn() -> bool + Sync),
        say: &(dyn Fn(Note) + Sync),
    ) -> Result<(), ImagingError> {
        match &self.what {
            What::Look => self.look(wanted, say),
            What::Extract { backbone, weights, digest, preprocess, cache } => {
                let entry = BackboneEntry::find(backbone)
                    .ok_or_else(|| ImagingError::Failed(format!("no backbone '{backbone}'")))?;
                let (path, digest) = (weights.clone(), *digest.as_bytes());
                let weights = LocalWeights { path, digest };
                let ready = Ready { entry, weights, preprocess: preprocess.clone() };
                self.put_features(&ready, cache, wanted, say)
            }
        }
    }

    fn look(
        &self,
        wanted: &(dyn Fn() -> bool + Sync),
        say: &(dyn Fn(Note) + Sync),
    ) -> Result<(), ImagingError> {
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.clamp(1, self.paths.len().max(1)) {
                scope.spawn(|| {
                    while wanted() {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = self.paths.get(at) else { return };
                        say(Note::Found(at, look(path)));
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        if done.is_multiple_of(LOOKED_AT_STEP) {
                            say(Note::Moved(done));
                        }
                    }
                });
            }
        });
        if wanted() { Ok(()) } else { Err(ImagingError::Stopped) }
    }

    fn put_features(
        &self,
        ready: &Ready,
        cache: &Path,
        wanted: &(dyn Fn() -> bool + Sync),
        say: &(dyn Fn(Note) + Sync),
    ) -> Result<(), ImagingError> {
        let cache = ready.cache(cache).map_err(|error| failed(&error))?;
        let backbone = wardround_vision::load_backbone(ready.entry, &ready.weights)
            .map_err(|error| failed(&error))?;
        let extractor =
            Extractor::new(Arc::from(backbone), ready.preprocess.clone(), self.threads, BATCH);
        let cancel = AtomicBool::new(false);
        let moved = |progress: wardround_vision::Progress| {
            say(Note::Moved(progress.done as u64));
            cancel.store(!wanted(), Ordering::Relaxed);
        };
        let extracted =
            extractor.run(&self.paths, &cache, &moved, &cancel).map_err(|error| match error {
                ExtractError::Cancelled { .. } => ImagingError::Stopped,
                error => failed(&error),
            })?;
        for (at, extracted) in extracted.into_iter().enumerate() {
            let found = extracted
                .map(|extracted| Digest::from_bytes(extracted.digest))
                .map_err(|error| error.to_string());
            say(Note::Found(at, found));
        }
        Ok(())
    }
}

fn failed(error: &dyn std::fmt::Display) -> ImagingError {
    ImagingError::Failed(error.to_string())
}
