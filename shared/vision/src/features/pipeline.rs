//! The threads before the network: they read files, and make inputs of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::budget::{Budget, Taken};
use super::extract::{Copies, Wanted};
use crate::image::{
    ImageError, ImageSource, Picture, Preprocess, decode_picture, decoded_bytes, read_from,
};

/// Threads that wait for files. They cost next to nothing, and a share that takes 50 ms per file still gives 320 files a second.
const READERS: usize = 16;

/// Bytes of files that are read ahead.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// Bytes of pictures being decoded.
const DECODING_BYTES: u64 = 384 << 20;

/// What a run's threads share.
pub(super) struct Pipeline<'a> {
    images: &'a [PathBuf],
    source: &'a dyn ImageSource,
    preprocess: &'a Preprocess,
    wanted: &'a Wanted<'a>,
    features: usize,
    stopped: &'a (dyn Fn() -> bool + Sync),
    next: AtomicUsize,
    read_ahead: Budget,
    decoding: Budget,
    reading_ns: AtomicU64,
    decoding_ns: AtomicU64,
}

/// Which view of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Plain,
    /// An altered copy, from 1.
    Copy(u16),
}

/// What comes to the network's thread.
pub(super) enum Arrived {
    /// All wanted features were there.
    Cached {
        index: usize,
        image: [u8; 32],
    },
    Failed {
        index: usize,
        error: ImageError,
    },
    Input(Input),
}

/// A view of an image, ready for the network.
pub(super) struct Input {
    /// Of the image in the run's list.
    pub(super) index: usize,
    /// SHA-256 of its file.
    pub(super) image: [u8; 32],
    pub(super) view: View,
    /// How many views of this image come in all.
    pub(super) views: usize,
    pub(super) pixels: Vec<f32>,
}

/// A file that was read.
struct FileRead<'a> {
    index: usize,
    image: [u8; 32],
    views: Vec<View>,
    bytes: Vec<u8>,
    _taken: Option<Taken<'a>>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(
        images: &'a [PathBuf],
        source: &'a dyn ImageSource,
        preprocess: &'a Preprocess,
        wanted: &'a Wanted<'a>,
        features: usize,
        stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self {
            images,
            source,
            preprocess,
            wanted,
            features,
            stopped,
            next: AtomicUsize::new(0),
            read_ahead: Budget::new(READ_AHEAD_BYTES),
            decoding: Budget::new(DECODING_BYTES),
            reading_ns: AtomicU64::new(0),
            decoding_ns: AtomicU64::new(0),
        }
    }

    /// Starts the threads. The channel, which holds up to `ahead` inputs, ends when all images have come or the run is stopped.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        decoders: usize,
        ahead: usize,
    ) -> Receiver<Arrived> {
        let (arrived, arrivals) = sync_channel(ahead);
        let (read, files) = sync_channel(self.images.len().clamp(1, 4 * READERS));
        let files = std::sync::Arc::new(Mutex::new(files));
        for _ in 0..READERS.min(self.images.len()) {
            let (read, arrived) = (read.clone(), arrived.clone());
            scope.spawn(move || self.read(&read, &arrived));
        }
        for _ in 0..decoders.min(self.images.len()) {
            let (files, arrived) = (files.clone(), arrived.clone());
            scope.spawn(move || self.decode(&files, &arrived));
        }
        arrivals
    }

    /// Seconds of all readers, and of all decoders.
    pub(super) fn times(&self) -> (f64, f64) {
        let seconds =
            |ns: &AtomicU64| Duration::from_nanos(ns.load(Ordering::Relaxed)).as_secs_f64();
        (seconds(&self.reading_ns), seconds(&self.decoding_ns))
    }

    fn read<'b>(&'b self, read: &SyncSender<FileRead<'b>>, arrived: &SyncSender<Arrived>) {
        while !(self.stopped)() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.images.get(index) else { return };
            let mut waited = Duration::ZERO;
            let start = Instant::now();
            let admit = |len| {
                let start = Instant::now();
                let taken = self.read_ahead.take(len, self.stopped);
                waited = start.elapsed();
                taken
            };
            let file = read_from(self.source, path, admit);
            spent(&self.reading_ns, start.elapsed().saturating_sub(waited));
            let sent = match file {
                Err(error) => arrived.send(Arrived::Failed { index, error }).is_ok(),
                // The digest is of the very bytes that are decoded, even if the file changes meanwhile.
                Ok((_taken, bytes)) => {
                    let image: [u8; 32] = Sha256::digest(&bytes).into();
                    let views = self.wanted.missing(&image, self.features);
                    match views.is_empty() {
                        true => arrived.send(Arrived::Cached { index, image }).is_ok(),
                        false => read.send(FileRead { index, image, views, bytes, _taken }).is_ok(),
                    }
                }
            };
            if !sent {
                return;
            }
        }
    }

    fn decode(&self, files: &Mutex<Receiver<FileRead<'_>>>, arrived: &SyncSender<Arrived>) {
        while !(self.stopped)() {
            let file = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
            // The readers have ended, and all they read is taken.
            let Ok(FileRead { index, image, views, bytes, _taken }) = file else { return };
            let Some(_decoding) = self.decoding.take(decoded_bytes(&bytes), self.stopped) else {
                return;
            };
            let start = Instant::now();
            let name = self.images[index].display().to_string();
            let picture = decode_picture(&bytes, &name);
            drop((bytes, _taken));
            spent(&self.decoding_ns, start.elapsed());
            let picture = match picture {
                Ok(picture) => picture,
                Err(error) => match arrived.send(Arrived::Failed { index, error }) {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let count = views.len();
            for view in views {
                let start = Instant::now();
                let pixels = self.pixels(&picture, &image, view);
                spent(&self.decoding_ns, start.elapsed());
                let input = Input { index, image, view, views: count, pixels };
                if arrived.send(Arrived::Input(input)).is_err() {
                    return;
                }
            }
        }
    }

    fn pixels(&self, picture: &Picture, image: &[u8; 32], view: View) -> Vec<f32> {
        match (view, self.wanted.copies) {
            (View::Copy(copy), Copies::Augmented { augmentation, .. }) => augmentation
                .draw(image, copy, picture.width(), picture.height())
                .apply(picture, self.preprocess),
            _ => self.preprocess.apply(picture),
        }
    }
}

fn spent(total: &AtomicU64, time: Duration) {
    total.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
