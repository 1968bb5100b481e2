//! What decides an image's features besides the image: the key of a cache.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::image::{Augmentation, Preprocess};
use crate::precision::Precision;

/// The file in a cache's folder that says what it holds, for people and for [`super::shelves`].
const FILE: &str = "key.json";

/// All that decides an image's features, besides the image. The processor isn't in it, nor a GPU: engines agree to a
/// tolerance, to which a GPU is held before its first features are kept ([`crate::device::Guarded::proven`]), and features that are kept
/// must not change when a site gets another machine, nor when a GPU fails halfway through a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureKey {
    /// The architecture's name.
    pub architecture: String,
    /// SHA-256 of the weights file.
    #[serde(with = "hexadecimal")]
    pub weights: [u8; 32],
    /// What is done to an image first.
    pub preprocess: Preprocess,
    /// How exactly the network computes.
    pub precision: Precision,
    /// Of the image as it is, or of altered copies.
    pub views: Views,
}

/// Which views of an image a cache holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Views {
    /// The image as it is, under its digest.
    Plain,
    /// Augmented copies, each under its [`copy_id`].
    Augmented(Augmentation),
}

impl FeatureKey {
    /// SHA-256 of the key.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"wardround features 2\0");
        hasher.update((self.architecture.len() as u64).to_le_bytes());
        hasher.update(&self.architecture);
        hasher.update(self.weights);
        hasher.update(self.preprocess.digest());
        hasher.update([match self.precision {
            Precision::F32 => 0,
            Precision::Bf16 => 1,
        }]);
        match &self.views {
            Views::Plain => hasher.update([0]),
            Views::Augmented(augmentation) => {
                hasher.update([1]);
                hasher.update(augmentation.digest());
            }
        }
        hasher.finalize().into()
    }

    /// The same key for altered copies of the images.
    pub fn augmented(&self, augmentation: Augmentation) -> Self {
        Self { views: Views::Augmented(augmentation), ..self.clone() }
    }
}

/// What a copy's features are kept under: of the image with this digest, copy `copy` (from 1) of an augmentation.
pub fn copy_id(image: &[u8; 32], copy: u16) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"wardround augmented copy 1\0");
    hasher.update(image);
    hasher.update(copy.to_le_bytes());
    hasher.finalize().into()
}

/// What is written into a cache's folder.
#[derive(Serialize, Deserialize)]
struct Written {
    /// Who made the folder.
    engine: String,
    #[serde(flatten)]
    key: FeatureKey,
}

/// Writes the key into a cache's folder, unless one stands there.
pub(super) fn write(folder: &Path, key: &FeatureKey) -> io::Result<()> {
    let file = folder.join(FILE);
    if file.exists() {
        return Ok(());
    }
    let engine = format!("wardround {} on {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let written = Written { engine, key: key.clone() };
    let text = serde_json::to_vec_pretty(&written).map_err(io::Error::from)?;
    // Nobody else writes a file of this name, neither in this process nor in another.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!("{FILE}.{}.{number}", std::process::id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, &file)
}

/// The key and the maker of a cache's folder, if it has them and the folder has the key's name.
pub(super) fn read(folder: &Path) -> Option<(FeatureKey, String)> {
    let Written { engine, key } =
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
    (folder.file_name()? == folder_name(&key).as_str()).then_some((key, engine))
}

/// The name of a key's folder.
pub(super) fn folder_name(key: &FeatureKey) -> String {
    hex::encode(&key.digest()[..16])
}

/// A digest as text.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Interpolation;

    #[test]
    fn every_field_changes_the_digest() {
        let of =
            |side| Preprocess::new(side, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap();
        let base = FeatureKey {
            architecture: "a".into(),
            weights: [1; 32],
            preprocess: of(20),
            precision: Precision::F32,
            views: Views::Plain,
        };
        let flipped = Augmentation { flip: true, ..Augmentation::none(1) };
        let keys = [
            base.clone(),
            FeatureKey { architecture: "b".into(), ..base.clone() },
            FeatureKey { weights: [2; 32], ..base.clone() },
            FeatureKey { preprocess: of(21), ..base.clone() },
            FeatureKey { precision: Precision::Bf16, ..base.clone() },
            base.augmented(Augmentation::none(1)),
            base.augmented(Augmentation::none(2)),
            base.augmented(flipped),
        ];
        for (at, key) in keys.iter().enumerate() {
            for other in &keys[..at] {
                assert_ne!(key.digest(), other.digest(), "{key:?} {other:?}");
            }
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(folder_name(key));
            fs::create_dir(&folder).unwrap();
            assert_eq!(read(&folder), None);
            write(&folder, key).unwrap();
            assert_eq!(read(&folder).unwrap().0, *key);
            let other = dir.path().join("other");
            fs::rename(&folder, &other).unwrap();
            assert_eq!(read(&other), None, "the folder is another key's");
        }
    }

    #[test]
    fn copies_have_names_of_their_own() {
        let ids = [copy_id(&[1; 32], 1), copy_id(&[1; 32], 2), copy_id(&[2; 32], 1), [1; 32]];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id));
        }
    }
}
