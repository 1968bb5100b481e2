//! Features of many images: [`Extractor`] makes them, [`FeatureCache`] remembers them.

mod cache;
mod extract;

pub use cache::{CacheError, FeatureCache, FeatureKey};
pub use extract::{ExtractError, Extracted, Extractor, Progress};
