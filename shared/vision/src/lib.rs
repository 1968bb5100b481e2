//! Images, weights, backbones and features.
//!
//! An image file becomes a [`Picture`], a picture a normalised tensor ([`Preprocess`]), and a [`Backbone`] with fetched weights turns
//! that into features. [`Extractor`] does so for many files, and remembers in a [`FeatureCache`]. [`explain`] says which parts of an
//! image a model's score comes from.
//!
//! ```no_run
//! use std::path::{Path, PathBuf};
//! use wardround_vision::{BackboneEntry, Precision, WeightsStore, load_backbone};
//!
//! let entry = BackboneEntry::find("efficientnet_lite0").expect("it ships");
//! let weights = WeightsStore::new(PathBuf::from("weights")).fetch(&entry.source(), entry.digest())?;
//! let backbone = load_backbone(entry, &weights, Precision::F32)?;
//! let picture = wardround_vision::read_picture(Path::new("chest.png"))?;
//! let image = entry.preprocess().tensor(&[entry.preprocess().apply(&picture)])?;
//! println!("{}", backbone.forward(&image)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod backbones;
pub mod device;
mod engine;
pub mod explain;
pub mod features;
pub mod image;
mod kernels;
pub mod network;
mod precision;
pub mod weights;

pub use backbones::{Backbone, BackboneEntry, Licence, backbones, load_backbone};
pub use features::{
    CacheError, Copies, ExtractError, Extraction, Extractor, FeatureCache, FeatureKey, Progress,
    Timing, Views, Wanted, copy_id,
};
pub use image::{
    Augmentation, Colour, Fingerprint, ImageError, Interpolation, PerceptualHash, Picture,
    Preprocess, RandomCrop, decode_picture, image_digest, read_picture,
};
pub use precision::Precision;
pub use weights::{Digest, LocalWeights, WeightsError, WeightsSource, WeightsStore};
