//! Features of all images in a folder, end to end, with the time they took: from this disk, and as if from a slow share.
//!
//!     cargo run -p wardround-vision --example extract -- FOLDER [COUNT] [BACKBONE] [LATENCY_MS]
//!
//! Prints images per second of the whole way (read, decode, resize, network) and of the network alone. With LATENCY_MS every opening
//! and every reading of up to 1 MB of a file takes so much longer. With `WARDROUND_FEATURES=FILE` the features are written there,
//! little-endian f32, in the order of the file names. Weights are kept in `WARDROUND_WEIGHTS`, by default `target/weights`. With
//! `WARDROUND_PRECISION=bf16` products are in bfloat16.

use std::error::Error;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use wardround_vision::image::{Files, ImageSource};
use wardround_vision::{
    Backbone, BackboneEntry, Extractor, FeatureCache, FeatureKey, Precision, Views, WeightsStore,
    load_backbone,
};

/// Bytes that a share gives at a time.
const CHUNK: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: extract FOLDER [COUNT] [BACKBONE] [LATENCY_MS]")?;
    let count = arguments.next().map_or(Ok(usize::MAX), |count| count.parse())?;
    let name = arguments.next().unwrap_or_else(|| "efficientnet_lite0".to_owned());
    let latency = arguments.next().map_or(Ok(0), |latency| latency.parse())?;
    let entry = BackboneEntry::find(&name).ok_or_else(|| format!("no backbone `{name}`"))?;
    let precision = match std::env::var("WARDROUND_PRECISION") {
        Ok(word) => {
            serde_json::from_value(word.into()).map_err(|_| "WARDROUND_PRECISION is f32 or bf16")?
        }
        Err(_) => Precision::F32,
    };
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
    let backbone: Arc<dyn Backbone> = load_backbone(entry, &weights, precision)?.into();
    println!("compiled in {:.2} s", start.elapsed().as_secs_f64());

    let preprocess = entry.preprocess().clone();
    let key = FeatureKey {
        architecture: entry.name.to_owned(),
        weights: weights.digest,
        preprocess: preprocess.clone(),
        precision,
        views: Views::Plain,
    };
    let threads = std::thread::available_parallelism()?.get();
    let extractor = |source| {
        Extractor::new(backbone.clone(), preprocess.clone(), threads, 16).reading_from(source)
    };
    let alone = extractor(Arc::new(Files)).network_alone(Duration::from_secs(5))?;
    println!("network alone: {alone:.1} images/s in batches of 16");

    let mut sources: Vec<(&str, Arc<dyn ImageSource>)> = vec![("this disk", Arc::new(Files))];
    if latency > 0 {
        sources.push(("the slow share", Arc::new(SlowShare(Duration::from_millis(latency)))));
    }
    for (name, source) in sources {
        let dir = tempfolder();
        let cache = FeatureCache::open(&dir, &key)?;
        let extraction =
            extractor(source).run(&images, &cache, &|_| {}, &AtomicBool::new(false))?;
        let t = extraction.timing;
        println!(
            "from {name}: {} images in {:.2} s, {:.1} images/s ({:.0} % of the network alone); inferring {:.2} s, \
             waiting {:.2} s; reading {:.2} s and decoding {:.2} s of all threads; peak memory {}",
            images.len(),
            t.elapsed_s,
            images.len() as f64 / t.elapsed_s,
            100.0 * images.len() as f64 / t.elapsed_s / alone,
            t.inferring_s,
            t.idle_s,
            t.reading_s,
            t.decoding_s,
            peak_memory(),
        );
        if let Some(file) = std::env::var_os("WARDROUND_FEATURES") {
            let mut values = Vec::new();
            for image in &extraction.images {
                let digest = image.as_ref().map_err(|error| error.to_string())?;
                let features = cache.get(digest).ok_or("features are gone from the cache")?;
                values.extend(features.iter().flat_map(|value| value.to_le_bytes()));
            }
            std::fs::write(file, values)?;
        }
        drop(cache);
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

fn tempfolder() -> PathBuf {
    std::env::temp_dir().join(format!("wardround-extract-{}", std::process::id()))
}

/// What Linux says of this process's largest size.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .map_or("unknown".to_owned(), |kb| format!("{:.0} MB", kb / 1024.0))
}

/// Files that come late.
struct SlowShare(Duration);

struct Late(Duration, Box<dyn Read + Send>);

impl ImageSource for SlowShare {
    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)> {
        std::thread::sleep(self.0);
        let (len, content) = Files.open(path)?;
        Ok((len, Box::new(Late(self.0, content))))
    }
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(self.0);
        let room = buffer.len().min(CHUNK);
        self.1.read(&mut buffer[..room])
    }
}
