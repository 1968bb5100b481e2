//! Images, checkpoints and features against the programs that everybody else uses; the scripts beside this file made the numbers.

#[cfg(test)]
mod architectures;
#[cfg(test)]
mod augmented;
#[cfg(test)]
mod bfloat16;
#[cfg(test)]
mod cache_kill;
#[cfg(test)]
mod candle_transformers;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod extraction;
#[cfg(test)]
mod features;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod images;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod photographs;

use std::path::PathBuf;

#[cfg(test)]
use wardround_vision::weights::generated;

/// A file beside this one.
fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The 16 pictures of `make_golden.py`.
fn pictures() -> Vec<PathBuf> {
    (0..16).map(|i| golden(&format!("picture-{i:02}.png"))).collect()
}
