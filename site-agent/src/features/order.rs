//! What is to be done with a list of image files, as data: performed here, or written to a child.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_vision::device::{self, DeviceChoice};
use wardround_vision::{
    BackboneEntry, ExtractError, Extractor, LocalWeights, Precision, Preprocess, Timing,
};

use super::{Altered, Caches, Ready};
use crate::data::look;

/// How long the network is measured alone.
const ALONE: Duration = Duration::from_secs(1);

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
#[expect(clippy::large_enum_variant, reason = "there is one for a whole run")]
pub(super) enum What {
    /// Read and decode it, and take its digest.
    Look,
    /// Put its features into the cache.
    Extract {
        backbone: String,
        weights: PathBuf,
        digest: Digest,
        preprocess: Preprocess,
        precision: Precision,
        altered: Altered,
        device: DeviceChoice,
        cache: PathBuf,
        /// Measure the network alone as well, after the work.
        measure: bool,
    },
}

/// What is heard while it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Note {
    /// So many images are done.
    Moved(Moved),
    /// Where the time went.
    Timed(Timed),
    /// What came of an image: the digest of its bytes, or why it is unusable.
    Found(usize, Result<Digest, String>),
    /// The device can't be used, or no longer, and the CPU computes instead: a sentence.
    Fell(String),
    /// The whole order ended before its end.
    Failed(ImagingError),
}

/// How many images are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moved {
    /// All of them.
    pub done: u64,
    /// Of those: their features were kept before.
    pub cached: u64,
    /// Of those: unusable.
    pub failed: u64,
}

/// Where the time of an extraction went.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timed {
    /// Of the whole.
    #[serde(flatten)]
    pub timing: Timing,
    /// Images a second of the network alone, when that was measured.
    pub network_alone: Option<f64>,
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
        device: DeviceChoice,
        paths: Vec<PathBuf>,
        threads: usize,
        measure: bool,
    ) -> Self {
        let what = What::Extract {
            backbone: ready.entry.name.to_owned(),
            weights: ready.weights.path.clone(),
            digest: Digest::from_bytes(ready.weights.digest),
            preprocess: ready.preprocess.clone(),
            precision: ready.precision,
            altered: ready.altered.clone(),
            device,
            cache: cache.to_owned(),
            measure,
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
            What::Extract {
                backbone,
                weights,
                digest,
                preprocess,
                precision,
                altered,
                device,
                cache,
                measure,
            } => {
                let entry = BackboneEntry::find(backbone)
                    .ok_or_else(|| ImagingError::Failed(format!("no backbone '{backbone}'")))?;
                let (path, digest) = (weights.clone(), *digest.as_bytes());
                let weights = LocalWeights { path, digest };
                let (preprocess, altered) = (preprocess.clone(), altered.clone());
                let ready = Ready { entry, weights, preprocess, precision: *precision, altered };
                let how = How { cache, device: *device, measure: *measure };
                self.put_features(&ready, how, wanted, say)
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
                            say(Note::Moved(Moved { done, cached: 0, failed: 0 }));
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
        how: How<'_>,
        wanted: &(dyn Fn() -> bool + Sync),
        say: &(dyn Fn(Note) + Sync),
    ) -> Result<(), ImagingError> {
        let caches = Caches::open(ready, how.cache).map_err(|error| failed(&error))?;
        let (place, why) = device::look(how.device);
        why.into_iter().for_each(|why| say(Note::Fell(why)));
        let (fell, fallen) = channel();
        let fallen = Mutex::new(fallen);
        let tell = || {
            let fallen = fallen.lock().unwrap_or_else(PoisonError::into_inner);
            fallen.try_iter().for_each(|why| say(Note::Fell(why)));
        };
        // Nobody hears it any more only when all is over.
        let fell = Box::new(move |why: &str| drop(fell.send(why.to_owned())));
        let side = ready.preprocess.crop();
        let loaded = device::load(&place, ready.entry, &ready.weights, ready.precision, side, fell)
            .map_err(|error| failed(&error))?;
        tell();
        let preprocess = ready.preprocess.clone();
        let extractor = Extractor::new(loaded.backbone, preprocess, self.threads, loaded.batch);
        let cancel = AtomicBool::new(false);
        let moved = |progress: wardround_vision::Progress| {
            say(Note::Moved(Moved {
                done: progress.done as u64,
                cached: progress.cached as u64,
                failed: progress.failed as u64,
            }));
            tell();
            cancel.store(!wanted(), Ordering::Relaxed);
        };
        let extraction = extractor
            .run_views(&self.paths, &caches.wanted(), &moved, &cancel)
            .map_err(|error| match error {
                ExtractError::Cancelled { .. } => ImagingError::Stopped,
                error => failed(&error),
            })?;
        for (at, image) in extraction.images.into_iter().enumerate() {
            say(Note::Found(at, image.map(Digest::from_bytes).map_err(|error| error.to_string())));
        }
        let network_alone = match how.measure && extraction.timing.inferred > 0 {
            true => Some(extractor.network_alone(ALONE).map_err(|error| failed(&error))?),
            false => None,
        };
        tell();
        say(Note::Timed(Timed { timing: extraction.timing, network_alone }));
        Ok(())
    }
}

/// How features are put into a cache.
#[derive(Clone, Copy)]
struct How<'a> {
    cache: &'a Path,
    device: DeviceChoice,
    measure: bool,
}

fn failed(error: &dyn std::fmt::Display) -> ImagingError {
    ImagingError::Failed(error.to_string())
}
