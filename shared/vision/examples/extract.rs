//! Features of all images in a folder, end to end, with the time they took.
//!
//!     cargo run -p wardround-vision --example extract -- FOLDER [COUNT] [BACKBONE]
//!
//! Prints images per second of the whole way (read, decode, resize, network) and of the network alone. With `WARDROUND_FEATURES=FILE`
//! the features are written there, little-endian f32, in the order of the file names. Weights are kept in `WARDROUND_WEIGHTS`, by
//! default `target/weights`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use wardround_vision::{
    Backbone, BackboneEntry, Extractor, FeatureCache, FeatureKey, WeightsStore, load_backbone,
    read_picture,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: extract FOLDER [COUNT] [BACKBONE]")?;
    let count = arguments.next().map_or(Ok(usize::MAX), |count| count.parse())?;
    let name = arguments.next().unwrap_or_else(|| "efficientnet_lite0".to_owned());
    let entry = BackboneEntry::find(&name).ok_or_else(|| format!("no backbone `{name}`"))?;
    let mut images: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    images.sort();
    images.truncate(count);

    let store = std::env::var_os("WARDROUND_WEIGHTS").unwrap_or_else(|| "target/weights".into());
    let start = Instant::now();
    let weights = WeightsStore::new(store.into()).fetch(&entry.source(), entry.digest())?;
    println!("weights after {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let backbone: Arc<dyn Backbone> = load_backbone(entry, &weights)?.into();
    println!("compiled in {:.2} s", start.elapsed().as_secs_f64());

    let preprocess = entry.preprocess().clone();
    let batch = (0..16)
        .map(|i| Ok(preprocess.apply(&read_picture(&images[i % images.len()])?)))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let batch = preprocess.tensor(&batch)?;
    backbone.forward(&batch)?;
    let start = Instant::now();
    let rounds = 20;
    for _ in 0..rounds {
        backbone.forward(&batch)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("network alone: {:.1} images/s in batches of 16", f64::from(16 * rounds) / seconds);

    let key = FeatureKey {
        architecture: entry.name.to_owned(),
        weights: weights.digest,
        preprocess: preprocess.digest(),
    };
    let dir = std::env::temp_dir().join(format!("wardround-extract-{}", std::process::id()));
    let cache = FeatureCache::open(&dir, &key)?;
    let threads = std::thread::available_parallelism()?.get();
    let extractor = Extractor::new(backbone, preprocess, threads, 16);
    let start = Instant::now();
    let results = extractor.run(&images, &cache, &|_| {}, &AtomicBool::new(false))?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "end to end: {} images in {seconds:.2} s, {:.1} images/s",
        images.len(),
        images.len() as f64 / seconds
    );
    let mut values = Vec::new();
    for result in results {
        values.extend(result?.features.iter().flat_map(|value| value.to_le_bytes()));
    }
    if let Some(file) = std::env::var_os("WARDROUND_FEATURES") {
        std::fs::write(file, values)?;
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
