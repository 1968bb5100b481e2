//! Where images are read: in this process or in a child of it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wardround_core::digest::Digest;
use wardround_vision::device::DeviceChoice;

use super::order::{ImagingError, Moved, Note, Order, Timed, What};
use super::{Ready, child};
use crate::answer::Watch;

/// Where images are read and put through networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imaging {
    /// In this process: for commands that end soon.
    Here {
        /// Threads that read and decode.
        threads: usize,
    },
    /// In a child process, one per order: for an agent that runs for months.
    Child {
        /// A `wardround-site`.
        program: PathBuf,
        /// Threads that read and decode.
        threads: usize,
    },
}

/// Per image, in order: the digest of its bytes, or why it is unusable.
pub type FoundImages = Vec<Result<Digest, String>>;

/// What came of an extraction.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// Per image.
    pub images: FoundImages,
    /// Where the time went.
    pub timed: Timed,
    /// How many were kept before or are unusable.
    pub moved: Moved,
    /// Whether the device that was asked for computed all of them.
    pub kept: Kept,
}

/// Whether a device was used to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Kept,
    /// The CPU stood in for it, from the beginning or later.
    Fell,
}

/// What is to be extracted.
#[derive(Clone, Copy)]
pub struct Extract<'a> {
    /// The backbone.
    pub ready: &'a Ready,
    /// The folder of all caches.
    pub cache: &'a Path,
    /// Where the backbone computes.
    pub device: DeviceChoice,
    /// Whether the network is measured alone as well.
    pub measure: bool,
}

impl Imaging {
    /// Reads and decodes images. `moved` hears how many are done.
    ///
    /// # Errors
    /// [`ImagingError`]; an unusable image is none.
    pub fn look(
        &self,
        paths: Vec<PathBuf>,
        watch: &Watch,
        moved: &(dyn Fn(u64) + Sync),
    ) -> Result<FoundImages, ImagingError> {
        let order = Order { paths, threads: self.threads(), what: What::Look };
        self.carry_out(&order, watch, &|at: Moved| moved(at.done)).map(|found| found.images)
    }

    /// Puts the features of images into their cache. `moved` hears how many are done.
    ///
    /// # Errors
    /// [`ImagingError`]; an unusable image is none. What was finished before an error is in the cache.
    pub fn extract(
        &self,
        what: Extract<'_>,
        paths: Vec<PathBuf>,
        watch: &Watch,
        moved: &(dyn Fn(Moved) + Sync),
    ) -> Result<Extracted, ImagingError> {
        let Extract { ready, cache, device, measure } = what;
        let order = Order::extract(ready, cache, device, paths, self.threads(), measure);
        self.carry_out(&order, watch, moved)
    }

    fn threads(&self) -> usize {
        match self {
            Imaging::Here { threads } | Imaging::Child { threads, .. } => *threads,
        }
    }

    fn carry_out(
        &self,
        order: &Order,
        watch: &Watch,
        moved: &(dyn Fn(Moved) + Sync),
    ) -> Result<Extracted, ImagingError> {
        let (timed, last) = (Mutex::new(Timed::default()), Mutex::new(Moved::default()));
        let kept = Mutex::new(Kept::Kept);
        let found = Mutex::new(vec![None; order.paths.len()]);
        let hear = |note| match note {
            Note::Moved(at) => {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = at;
                moved(at);
            }
            Note::Timed(at) => *timed.lock().unwrap_or_else(PoisonError::into_inner) = at,
            Note::Found(at, what) => {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = found.get_mut(at) {
                    *place = Some(what);
                }
            }
            Note::Fell(why) => {
                tracing::warn!("{why}");
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::Fell;
            }
            // A child's own; it ends as an error.
            Note::Failed(_) => {}
        };
        match self {
            Imaging::Here { .. } => order.perform(&|| watch.is_wanted(), &hear)?,
            Imaging::Child { program, .. } => child::perform(program, order, watch, &hear)?,
        }
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = || ImagingError::Crashed("images are missing in its answer".to_owned());
        let images = found.into_iter().collect::<Option<_>>().ok_or_else(missing)?;
        let timed = timed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let moved = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Extracted { images, timed, moved, kept })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A grey PNG of 1 x 1 pixel.
    pub(super) const PNG: &[u8] = &[
        0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0,
        0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A',
        b'T', 0x78, 0x9c, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0x77, 0xcd, 0x72, 0xb6,
        0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
    ];

    #[test]
    fn every_image_has_its_own_fate() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..40).map(|at| folder.path().join(format!("{at}.png"))).collect();
        for (at, path) in paths.iter().enumerate() {
            fs::write(path, if at == 7 { b"no image" } else { PNG }).unwrap();
        }
        let here = Imaging::Here { threads: 3 };
        let moved = Mutex::new(Vec::new());
        let watch = Watch::new(|_| {});
        let found =
            here.look(paths.clone(), &watch, &|done| moved.lock().unwrap().push(done)).unwrap();
        for (at, found) in found.iter().enumerate() {
            match at {
                7 => assert!(found.as_ref().unwrap_err().contains("7.png")),
                _ => assert_eq!(*found, Ok(Digest::of(PNG))),
            }
        }
        assert!(moved.lock().unwrap().contains(&32));
        assert_eq!(here.look(vec![], &watch, &|_| {}), Ok(vec![]));
    }

    #[test]
    fn what_is_not_wanted_stops() {
        let watch = Watch::new(|_| {});
        watch.stop();
        let here = Imaging::Here { threads: 1 };
        assert_eq!(here.look(vec!["a".into()], &watch, &|_| {}), Err(ImagingError::Stopped));
    }
}
