//! Features of many image files: decode threads beside the thread that runs the network.
//!
//! Decoded images wait in a bounded channel, so memory doesn't grow with their number. Results come in the order of the paths, and
//! don't depend on threads or batches. Every finished image is in the cache at once: a killed run goes on where it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use super::{CacheError, FeatureCache};
use crate::backbones::Backbone;
use crate::image::{ImageError, Preprocess, decode_picture, read_file};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Images with a result, good or bad.
    pub done: usize,
    /// Images in all.
    pub total: usize,
    /// Of those done: found in the cache.
    pub cached: usize,
    /// Of those done: unusable.
    pub failed: usize,
}

/// An image's features.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// The backbone's pooled features.
    pub features: Vec<f32>,
}

/// A run that ended before its end. What was finished is in the cache.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The cancel flag was set.
    #[error("extraction cancelled after {done} of {total} images")]
    Cancelled {
        /// Images with a result.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// The cache can't be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The network failed, which no image can be blamed for.
    #[error("backbone: {0}")]
    Backbone(#[from] candle_core::Error),
}

/// A backbone, its preprocessing, and how to share out the work. Dropped, it frees all its memory; glibc's allocator hands that back
/// to the system only under `MALLOC_MMAP_THRESHOLD_=131072` (measured with 300 images: 7.5 MB resident afterwards instead of 77).
pub struct Extractor {
    backbone: Arc<dyn Backbone>,
    preprocess: Preprocess,
    threads: usize,
    batch: usize,
}

impl Extractor {
    /// `threads` decode, `batch` images go through the network at a time; 0 counts as 1.
    pub fn new(
        backbone: Arc<dyn Backbone>,
        preprocess: Preprocess,
        threads: usize,
        batch: usize,
    ) -> Self {
        Self { backbone, preprocess, threads: threads.max(1), batch: batch.max(1) }
    }

    /// Features of all images, in their order; an unusable image has its error instead. Blocks, and runs the network on the calling
    /// thread, from which `progress` is called too.
    pub fn run(
        &self,
        images: &[PathBuf],
        cache: &FeatureCache,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<Vec<Result<Extracted, ImageError>>, ExtractError> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed);
        let (sender, receiver) = sync_channel(2 * self.batch);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(images.len()) {
                let sender = sender.clone();
                scope.spawn(|| self.decode(images, cache, &next, &stopped, sender));
            }
            drop(sender);
            let mut run = Run {
                results: (0..images.len()).map(|_| None).collect(),
                progress: Progress { total: images.len(), ..Progress::default() },
                report: progress,
            };
            progress(run.progress);
            let mut waiting = Vec::new();
            let mut work = || -> Result<(), ExtractError> {
                for decoded in &receiver {
                    if cancel.load(Ordering::Relaxed) {
                        break;
                    }
                    match decoded.content {
                        Content::Failed(error) => run.finish(decoded.index, Err(error), false),
                        Content::Cached(extracted) => {
                            run.finish(decoded.index, Ok(extracted), true)
                        }
                        Content::Pixels(digest, pixels) => {
                            waiting.push((decoded.index, digest, pixels))
                        }
                    }
                    if waiting.len() == self.batch {
                        self.infer(&mut waiting, cache, &mut run)?;
                    }
                }
                if !cancel.load(Ordering::Relaxed) {
                    self.infer(&mut waiting, cache, &mut run)?;
                }
                Ok(())
            };
            let outcome = work();
            // Decoders that wait for room in the channel see it closed; the others see the flag.
            stop.store(true, Ordering::Relaxed);
            drop(receiver);
            outcome?;
            let Progress { done, total, .. } = run.progress;
            run.results
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .ok_or(ExtractError::Cancelled { done, total })
        })
    }

    fn decode(
        &self,
        images: &[PathBuf],
        cache: &FeatureCache,
        next: &AtomicUsize,
        stopped: &dyn Fn() -> bool,
        sender: SyncSender<Decoded>,
    ) {
        while !stopped() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = images.get(index) else { return };
            let content = self.content(path, cache).unwrap_or_else(Content::Failed);
            if sender.send(Decoded { index, content }).is_err() {
                return;
            }
        }
    }

    fn content(&self, path: &Path, cache: &FeatureCache) -> Result<Content, ImageError> {
        // The digest is of the very bytes that are decoded, even if the file changes meanwhile.
        let bytes = read_file(path)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        if let Some(features) = cache.get(&digest)
            && features.len() == self.backbone.feature_dim()
        {
            return Ok(Content::Cached(Extracted { digest, features }));
        }
        let picture = decode_picture(&bytes, &path.display().to_string())?;
        Ok(Content::Pixels(digest, self.preprocess.apply(&picture)))
    }

    fn infer(
        &self,
        waiting: &mut Vec<Waiting>,
        cache: &FeatureCache,
        run: &mut Run<'_>,
    ) -> Result<(), ExtractError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mut pixels = Vec::with_capacity(waiting.len());
        let mut images = Vec::with_capacity(waiting.len());
        for (index, digest, image) in waiting.drain(..) {
            images.push((index, digest));
            pixels.push(image);
        }
        let features =
            self.backbone.forward(&self.preprocess.tensor(&pixels)?)?.to_vec2::<f32>()?;
        for ((index, digest), features) in images.into_iter().zip(features) {
            cache.put(&digest, &features)?;
            run.finish(index, Ok(Extracted { digest, features }), false);
        }
        Ok(())
    }
}

/// Index, file digest and pixels of an image that waits for its batch.
type Waiting = (usize, [u8; 32], Vec<f32>);

struct Decoded {
    index: usize,
    content: Content,
}

enum Content {
    Cached(Extracted),
    Pixels([u8; 32], Vec<f32>),
    Failed(ImageError),
}

struct Run<'a> {
    results: Vec<Option<Result<Extracted, ImageError>>>,
    progress: Progress,
    report: &'a (dyn Fn(Progress) + Sync),
}

impl Run<'_> {
    fn finish(&mut self, index: usize, result: Result<Extracted, ImageError>, cached: bool) {
        self.progress.done += 1;
        self.progress.cached += usize::from(cached);
        self.progress.failed += usize::from(result.is_err());
        self.results[index] = Some(result);
        (self.report)(self.progress);
    }
}
