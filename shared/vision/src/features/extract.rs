//! Features of many image files: threads that read, threads that decode, and the thread that runs the network.
//!
//! Reading is apart from decoding, since on a slow share many files must be on their way at once while few are decoded. Files read,
//! pictures being decoded and inputs that wait for the network are bounded by their bytes, so memory doesn't grow with the number of
//! images. Features go to the cache as they come: a killed run goes on where it was. Results don't depend on threads or batches.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::pipeline::{Arrived, Input, Pipeline, View};
use super::{CacheError, FeatureCache, copy_id};
use crate::backbones::Backbone;
use crate::image::{Augmentation, Files, ImageError, ImageSource, Preprocess};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// Where a run's time went, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// From beginning to end.
    pub elapsed_s: f64,
    /// Of all reading threads together: waiting for files.
    pub reading_s: f64,
    /// Of all decoding threads together: decoding, altering, resizing.
    pub decoding_s: f64,
    /// In the network.
    pub inferring_s: f64,
    /// The network waited for images.
    pub idle_s: f64,
    /// Inputs that went through the network; an altered copy is one, too.
    pub inferred: usize,
}

/// What came of a run.
#[derive(Debug)]
pub struct Extraction {
    /// Per image, in order: the SHA-256 of its file, under which its features are in the cache, or why there are none.
    pub images: Vec<Result<[u8; 32], ImageError>>,
    /// Where the time went.
    pub timing: Timing,
}

/// Which views of each image are wanted, and where their features go.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The image as it is.
    pub plain: &'a FeatureCache,
    /// Altered copies.
    pub copies: Copies<'a>,
}

/// Altered copies of each image.
#[derive(Debug, Clone, Copy)]
pub enum Copies<'a> {
    /// None.
    Off,
    /// Copies 1 to `count`, under their [`copy_id`].
    Augmented {
        /// How they are altered.
        augmentation: &'a Augmentation,
        /// How many of each image.
        count: u16,
        /// Where their features go.
        cache: &'a FeatureCache,
    },
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
    source: Arc<dyn ImageSource>,
}

impl Wanted<'_> {
    /// The views of an image that have no features yet.
    pub(super) fn missing(&self, image: &[u8; 32], features: usize) -> Vec<View> {
        let lacks = |cache: &FeatureCache, id: &[u8; 32]| {
            cache.get(id).is_none_or(|found| found.len() != features)
        };
        let plain = lacks(self.plain, image).then_some(View::Plain);
        let copies = match self.copies {
            Copies::Off => 1..1,
            Copies::Augmented { count, .. } => 1..count.saturating_add(1),
        };
        let copies = copies.filter(|&copy| match self.copies {
            Copies::Augmented { cache, .. } => lacks(cache, &copy_id(image, copy)),
            Copies::Off => false,
        });
        plain.into_iter().chain(copies.map(View::Copy)).collect()
    }

    fn put(&self, image: &[u8; 32], view: View, features: &[f32]) -> Result<(), CacheError> {
        match (view, self.copies) {
            (View::Copy(copy), Copies::Augmented { cache, .. }) => {
                cache.put(&copy_id(image, copy), features)
            }
            _ => self.plain.put(image, features),
        }
    }
}

impl Extractor {
    /// `threads` decode, `batch` inputs go through the network at a time; 0 counts as 1.
    pub fn new(
        backbone: Arc<dyn Backbone>,
        preprocess: Preprocess,
        threads: usize,
        batch: usize,
    ) -> Self {
        let source = Arc::new(Files);
        Self { backbone, preprocess, threads: threads.max(1), batch: batch.max(1), source }
    }

    /// The same, with images from elsewhere.
    pub fn reading_from(self, source: Arc<dyn ImageSource>) -> Self {
        Self { source, ..self }
    }

    /// Puts the features of all images into the cache; an unusable image has its error instead. Blocks, and runs the network on the
    /// calling thread, from which `progress` is called too.
    ///
    /// # Errors
    /// [`ExtractError`]; an unusable image is none.
    pub fn run(
        &self,
        images: &[PathBuf],
        cache: &FeatureCache,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<Extraction, ExtractError> {
        let wanted = Wanted { plain: cache, copies: Copies::Off };
        self.run_views(images, &wanted, progress, cancel)
    }

    /// As [`Extractor::run`], for several views of each image; an image is read and decoded once for all of them.
    ///
    /// # Errors
    /// [`ExtractError`]; an unusable image is none.
    pub fn run_views(
        &self,
        images: &[PathBuf],
        wanted: &Wanted<'_>,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &AtomicBool,
    ) -> Result<Extraction, ExtractError> {
        let start = Instant::now();
        let stop = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed);
        let pipeline = Pipeline::new(
            images,
            self.source.as_ref(),
            &self.preprocess,
            wanted,
            self.backbone.feature_dim(),
            &stopped,
        );
        std::thread::scope(|scope| {
            let arrivals = pipeline.start(scope, self.threads, 2 * self.batch);
            let mut run = Run {
                images: (0..images.len()).map(|_| Image::Coming).collect(),
                progress: Progress { total: images.len(), ..Progress::default() },
                report: progress,
                timing: Timing::default(),
            };
            progress(run.progress);
            let mut work = || -> Result<(), ExtractError> {
                let mut waiting = Vec::with_capacity(self.batch);
                let mut idle = Instant::now();
                for arrived in &arrivals {
                    run.timing.idle_s += idle.elapsed().as_secs_f64();
                    if cancel.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    match arrived {
                        Arrived::Failed { index, error } => run.fail(index, error),
                        Arrived::Cached { index, image } => run.cached(index, image),
                        Arrived::Input(input) => {
                            waiting.push(input);
                            if waiting.len() == self.batch {
                                self.infer(&mut waiting, wanted, &mut run)?;
                            }
                        }
                    }
                    idle = Instant::now();
                }
                if cancel.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.infer(&mut waiting, wanted, &mut run)
            };
            let outcome = work();
            // Decoders that wait for room in the channel see it closed; the others see the flag.
            stop.store(true, Ordering::Relaxed);
            drop(arrivals);
            outcome?;
            let Progress { done, total, .. } = run.progress;
            let ended = run.images.into_iter().map(|image| match image {
                Image::Ended(result) => Some(result),
                Image::Coming | Image::Partly { .. } => None,
            });
            let images =
                ended.collect::<Option<Vec<_>>>().ok_or(ExtractError::Cancelled { done, total })?;
            let (reading_s, decoding_s) = pipeline.times();
            let elapsed_s = start.elapsed().as_secs_f64();
            let timing = Timing { elapsed_s, reading_s, decoding_s, ..run.timing };
            Ok(Extraction { images, timing })
        })
    }

    /// Images a second of the network alone, in this extractor's batches, measured for at least so long.
    ///
    /// # Errors
    /// The network's.
    pub fn network_alone(&self, at_least: Duration) -> Result<f64, ExtractError> {
        let side = self.preprocess.crop();
        // Not zeros: processors are slower with numbers of ordinary size than with zeros.
        let values = self.preprocess.colour().channels() * side * side;
        let input: Vec<f32> = (0..values).map(|at| (at % 17) as f32 / 8.0 - 1.0).collect();
        let batch = self.preprocess.tensor(&vec![input; self.batch])?;
        self.backbone.forward(&batch)?;
        let (start, mut rounds) = (Instant::now(), 0);
        while start.elapsed() < at_least || rounds == 0 {
            self.backbone.forward(&batch)?;
            rounds += 1;
        }
        Ok((rounds * self.batch) as f64 / start.elapsed().as_secs_f64())
    }

    fn infer(
        &self,
        waiting: &mut Vec<Input>,
        wanted: &Wanted<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), ExtractError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let pixels: Vec<Vec<f32>> =
            waiting.iter_mut().map(|input| std::mem::take(&mut input.pixels)).collect();
        let batch = self.preprocess.tensor(&pixels)?;
        drop(pixels);
        let features = self.backbone.forward(&batch)?.to_vec2::<f32>()?;
        run.timing.inferring_s += start.elapsed().as_secs_f64();
        run.timing.inferred += features.len();
        for (input, features) in waiting.drain(..).zip(features) {
            wanted.put(&input.image, input.view, &features)?;
            run.viewed(input.index, input.image, input.views);
        }
        Ok(())
    }
}

/// An image of a run.
enum Image {
    /// Nothing is known of it.
    Coming,
    /// So many of its views are still to come.
    Partly {
        left: usize,
    },
    Ended(Result<[u8; 32], ImageError>),
}

struct Run<'a> {
    images: Vec<Image>,
    progress: Progress,
    report: &'a (dyn Fn(Progress) + Sync),
    timing: Timing,
}

impl Run<'_> {
    fn fail(&mut self, index: usize, error: ImageError) {
        self.progress.failed += 1;
        self.end(index, Err(error));
    }

    fn cached(&mut self, index: usize, image: [u8; 32]) {
        self.progress.cached += 1;
        self.end(index, Ok(image));
    }

    /// One of the `views` of an image is in the cache.
    fn viewed(&mut self, index: usize, image: [u8; 32], views: usize) {
        let left = match self.images[index] {
            Image::Partly { left } => left - 1,
            _ => views - 1,
        };
        match left {
            0 => self.end(index, Ok(image)),
            left => self.images[index] = Image::Partly { left },
        }
    }

    fn end(&mut self, index: usize, result: Result<[u8; 32], ImageError>) {
        self.progress.done += 1;
        self.images[index] = Image::Ended(result);
        (self.report)(self.progress);
    }
}
