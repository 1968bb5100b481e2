//! Features of many images: [`Extractor`] makes them, [`FeatureCache`] remembers them, [`shelves`] lists what is remembered.

mod budget;
mod cache;
mod extract;
mod key;
mod pipeline;
mod segment;
mod shelf;

pub use cache::{CacheError, FeatureCache};
pub use extract::{Copies, ExtractError, Extraction, Extractor, Progress, Timing, Wanted};
pub use key::{FeatureKey, Views, copy_id};
pub use shelf::{Content, Removal, Shelf, shelves};
