//! The open caches of a backbone made ready: of images, and of their altered copies where those are wanted.

use std::path::Path;

use wardround_core::digest::Digest;
use wardround_vision::{Augmentation, CacheError, Copies, FeatureCache, Wanted, copy_id};

use super::{Altered, Ready};

/// Open caches. As long as they are open nobody removes them.
#[derive(Debug)]
pub struct Caches {
    plain: FeatureCache,
    copies: CopyCache,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a whole run")]
enum CopyCache {
    Off,
    Open { augmentation: Augmentation, count: u16, cache: FeatureCache },
}

impl Caches {
    /// Opens them below `folder`.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(ready: &Ready, folder: &Path) -> Result<Self, CacheError> {
        let key = ready.key();
        let plain = FeatureCache::open(folder, &key)?;
        let copies = match &ready.altered {
            Altered::Off => CopyCache::Off,
            Altered::Copies { augmentation, count } => CopyCache::Open {
                cache: FeatureCache::open(folder, &key.augmented(augmentation.clone()))?,
                augmentation: augmentation.clone(),
                count: *count,
            },
        };
        Ok(Self { plain, copies })
    }

    /// Looks for what other processes have written since they were opened.
    ///
    /// # Errors
    /// The disk's.
    pub fn refresh(&self) -> Result<(), CacheError> {
        self.plain.refresh()?;
        match &self.copies {
            CopyCache::Off => Ok(()),
            CopyCache::Open { cache, .. } => cache.refresh(),
        }
    }

    /// What an extractor is asked for.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        let copies = match &self.copies {
            CopyCache::Off => Copies::Off,
            CopyCache::Open { augmentation, count, cache } => {
                Copies::Augmented { augmentation, count: *count, cache }
            }
        };
        Wanted { plain: &self.plain, copies }
    }

    /// Whether all that is wanted of an image is here.
    pub fn has(&self, image: &Digest) -> bool {
        self.plain.has(image.as_bytes()) && self.copies(image).is_some()
    }

    /// The features of an image as it is.
    pub fn plain(&self, image: &Digest) -> Option<Vec<f32>> {
        self.plain.get(image.as_bytes())
    }

    /// The features of its altered copies, one after the other; none when one is missing.
    pub fn copies(&self, image: &Digest) -> Option<Vec<f32>> {
        let mut all = Vec::new();
        if let CopyCache::Open { count, cache, .. } = &self.copies {
            for copy in 1..=*count {
                all.extend(cache.get(&copy_id(image.as_bytes(), copy))?);
            }
        }
        Some(all)
    }

    /// The mean of the features of an image and of its copies.
    pub fn mean(&self, image: &Digest) -> Option<Vec<f64>> {
        let plain = self.plain(image)?;
        let copies = self.copies(image)?;
        let mut mean: Vec<f64> = plain.iter().copied().map(f64::from).collect();
        let views = 1 + copies.len() / plain.len().max(1);
        for copy in copies.chunks_exact(plain.len()) {
            mean.iter_mut().zip(copy).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        if views > 1 {
            mean.iter_mut().for_each(|sum| *sum /= views as f64);
        }
        Some(mean)
    }
}

#[cfg(test)]
mod tests {
    use wardround_vision::{BackboneEntry, LocalWeights, Precision};

    use super::*;
    use crate::data::{Features, FeaturesError};

    /// ResNet-18 with two altered copies of every image.
    fn ready() -> Ready {
        let entry = BackboneEntry::find("resnet18").unwrap();
        Ready {
            entry,
            weights: LocalWeights { path: "none".into(), digest: [1; 32] },
            preprocess: entry.preprocess().clone(),
            precision: Precision::F32,
            altered: Altered::Copies {
                augmentation: Augmentation { flip: true, ..Augmentation::none(1) },
                count: 2,
            },
        }
    }

    #[test]
    fn features_stay_in_the_cache_until_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let caches = || Caches::open(&ready(), folder.path()).unwrap();
        let images = [b"a" as &[u8], b"b", b"c"].map(Digest::of);
        let written = caches();
        for (at, image) in images[..2].iter().enumerate() {
            let at = at as f32;
            let wanted = written.wanted();
            let Copies::Augmented { cache, .. } = wanted.copies else { panic!("copies") };
            wanted.plain.put(image.as_bytes(), &[at, 2.0]).unwrap();
            cache.put(&copy_id(image.as_bytes(), 1), &[at, 5.0]).unwrap();
            cache.put(&copy_id(image.as_bytes(), 2), &[7.0, 2.0]).unwrap();
        }
        let cached = |per_row| Features::cached(caches(), per_row, 2, images.to_vec());
        let features = cached(2);
        assert_eq!((features.len(), features.per_row()), (3, 2));
        assert_eq!(*features.row(1).unwrap(), [1.0, 2.0]);
        assert_eq!(*features.copies(1).unwrap(), [1.0, 5.0, 7.0, 2.0]);
        // Altered copies are frozen with their row.
        let alone = Features::new([[0.0f32, 2.0], [1.0, 2.0]]).unwrap();
        assert_ne!(features.digest(1).unwrap(), alone.digest(1).unwrap());
        let plain = Caches::open(&Ready { altered: Altered::Off, ..ready() }, folder.path());
        let plain = Features::cached(plain.unwrap(), 2, 0, images.to_vec());
        assert_eq!(plain.digest(1).unwrap(), alone.digest(1).unwrap());
        // What isn't there any more is no row of features.
        assert_eq!(features.row(2), Err(FeaturesError::Gone { row: 2 }));
        assert_eq!(features.digest(2), Err(FeaturesError::Gone { row: 2 }));
        let error = FeaturesError::Length { row: 0, expected: 3, got: 2 };
        assert_eq!(cached(3).row(0), Err(error));
    }

    #[test]
    fn an_image_has_features_when_all_its_views_have() {
        let folder = tempfile::tempdir().unwrap();
        let ready = ready();
        let caches = Caches::open(&ready, folder.path()).unwrap();
        let image = Digest::of(b"image");
        let wanted = caches.wanted();
        let Copies::Augmented { cache, .. } = wanted.copies else { panic!("copies are wanted") };
        wanted.plain.put(image.as_bytes(), &[1.0, 2.0]).unwrap();
        cache.put(&copy_id(image.as_bytes(), 1), &[4.0, 5.0]).unwrap();
        assert!(!caches.has(&image));
        assert_eq!((caches.copies(&image), caches.mean(&image)), (None, None));
        cache.put(&copy_id(image.as_bytes(), 2), &[7.0, 2.0]).unwrap();
        assert!(caches.has(&image));
        assert_eq!(caches.copies(&image).unwrap(), [4.0, 5.0, 7.0, 2.0]);
        assert_eq!(caches.mean(&image).unwrap(), [4.0, 3.0]);
        // Without copies the same image needs no more than itself.
        let plain = Caches::open(&Ready { altered: Altered::Off, ..ready }, folder.path()).unwrap();
        assert!(plain.has(&image));
        assert_eq!(plain.mean(&image).unwrap(), [1.0, 2.0]);
    }
}
