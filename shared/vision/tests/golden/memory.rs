//! The memory of an extraction, each measured in a process of its own: bounded, and not by the number of images.
//!
//! Only Linux says a process's peak.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use wardround_vision::backbones::{Architecture, ResNet};
use wardround_vision::weights::WeightsSource;
use wardround_vision::{
    BackboneEntry, Extractor, FeatureCache, FeatureKey, Interpolation, Precision, Preprocess,
    Views, WeightsStore, load_backbone,
};

use super::generated;

/// Tells a child, which runs the same test, folder, backbone, crop and number of images.
const ORDER: &str = "WARDROUND_TEST_MEMORY";

/// Decoded, a picture of this size takes 2.4 MB.
const PICTURE: (u32, u32) = (1024, 768);

fn weights(folder: &Path, backbone: &str) -> PathBuf {
    folder.join(format!("{backbone}.safetensors"))
}

fn picture(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("{at}.png"))
}

fn write_weights(folder: &Path, architecture: &dyn Architecture) {
    let state = generated::state(architecture, 1.0);
    let tensors: Vec<(&str, &[usize], Vec<u8>)> = state
        .shapes()
        .map(|(name, shape)| {
            let values = state.get(name).unwrap().values.iter();
            (name, shape, values.flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let path = weights(folder, architecture.name());
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Extracts as a site does, with two threads, and says its peak.
fn extract(order: &str) {
    let [folder, backbone, crop, count] = order.split('|').collect::<Vec<_>>()[..] else {
        panic!("{order}")
    };
    let (folder, crop) = (Path::new(folder), crop.parse().unwrap());
    let entry = BackboneEntry::find(backbone).unwrap();
    let source = WeightsSource::File { path: weights(folder, backbone) };
    let store = WeightsStore::new(folder.to_owned());
    let weights = store.fetch(&source, wardround_vision::Digest::Unpinned).unwrap();
    let scale = [0.5; 3];
    let preprocess = Preprocess::new(crop, crop, Interpolation::Bilinear, scale, scale).unwrap();
    let key = FeatureKey {
        architecture: backbone.to_owned(),
        weights: weights.digest,
        preprocess: preprocess.clone(),
        precision: Precision::F32,
        views: Views::Plain,
    };
    let network = load_backbone(entry, &weights, Precision::F32).unwrap();
    let cache = FeatureCache::open(&folder.join(format!("{backbone}-{count}")), &key).unwrap();
    let images: Vec<PathBuf> = (0..count.parse().unwrap()).map(|at| picture(folder, at)).collect();
    let extractor = Extractor::new(Arc::from(network), preprocess, 2, 16);
    let extraction = extractor.run(&images, &cache, &|_| {}, &AtomicBool::new(false)).unwrap();
    assert!(extraction.images.iter().all(Result::is_ok));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_bounded_and_not_by_the_number_of_images() {
    if let Ok(order) = std::env::var(ORDER) {
        return extract(&order);
    }
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path(), &ResNet::RESNET50);
    write_weights(folder.path(), &ResNet::RESNET18);
    for at in 0..200 {
        // Each another, as the cache knows them by their bytes.
        let colour = image::Rgb([at as u8, (at >> 8) as u8, 77]);
        let picture = image::RgbImage::from_pixel(PICTURE.0, PICTURE.1, colour);
        picture.save(self::picture(folder.path(), at)).unwrap();
    }
    let peak = |backbone: &str, crop: usize, count: usize| -> f64 {
        let order = format!("{}|{backbone}|{crop}|{count}", folder.path().display());
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::memory_is_bounded_and_not_by_the_number_of_images"])
            .arg("--nocapture")
            .env(ORDER, order)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let peak = said.lines().find_map(|line| line.split_once("VmHWM:"));
        let kilobytes = peak.unwrap_or_else(|| panic!("{output:?}")).1.split_whitespace().next();
        kilobytes.unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let resnet50 = peak("resnet50", 224, 32);
    assert!(resnet50 < 1500.0, "{resnet50} MB");
    let [few, many] = [20, 200].map(|count| peak("resnet18", 32, count));
    println!(
        "ResNet-50: {resnet50:.0} MB; ResNet-18: {few:.0} MB, ten times the images {many:.0} MB"
    );
    // All of them decoded would take 420 MB more.
    assert!(many < few + 100.0, "{few} MB for 20 images, {many} MB for 200");
}
