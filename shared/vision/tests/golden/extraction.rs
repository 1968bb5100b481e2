//! Extraction: order, errors of single images, cancelling and going on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use wardround_vision::network::Stage;
use wardround_vision::{
    Backbone, ExtractError, Extractor, FeatureCache, FeatureKey, ImageError, Interpolation,
    Preprocess, Progress, image_digest,
};

use super::{golden, pictures};

/// The mean of each channel: a backbone whose features everybody can check. It counts its images.
struct Means(AtomicUsize);

impl Backbone for Means {
    fn name(&self) -> &str {
        "means"
    }

    fn feature_dim(&self) -> usize {
        3
    }

    fn stages(&self) -> &[Stage] {
        &[]
    }

    fn weights_digest(&self) -> [u8; 32] {
        [0; 32]
    }

    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        Ok(images.clone())
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.0.fetch_add(images.dims()[0], Ordering::Relaxed);
        images.mean((2, 3))
    }

    fn forward_stages(&self, _: &Tensor, _: &[&str]) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }
}

struct Setup {
    dir: tempfile::TempDir,
    backbone: Arc<Means>,
    preprocess: Preprocess,
}

impl Setup {
    fn new() -> Self {
        let preprocess =
            Preprocess::new(20, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            backbone: Arc::new(Means(AtomicUsize::new(0))),
            preprocess,
        }
    }

    fn cache(&self) -> FeatureCache {
        let key = FeatureKey {
            architecture: "means".into(),
            weights: [0; 32],
            preprocess: self.preprocess.digest(),
        };
        FeatureCache::open(self.dir.path(), &key).unwrap()
    }

    fn extractor(&self, threads: usize, batch: usize) -> Extractor {
        Extractor::new(self.backbone.clone(), self.preprocess.clone(), threads, batch)
    }

    fn computed(&self) -> usize {
        self.backbone.0.load(Ordering::Relaxed)
    }
}

fn expected(setup: &Setup, path: &Path) -> Vec<f32> {
    let image = setup.preprocess.apply(&wardround_vision::read_picture(path).unwrap());
    image.chunks_exact(256).map(|plane| plane.iter().sum::<f32>() / 256.0).collect()
}

#[test]
fn results_are_in_order_whatever_threads_and_batches() {
    for (threads, batch) in [(1, 1), (3, 4), (4, 100), (0, 0)] {
        let setup = Setup::new();
        let seen = Mutex::new(Vec::new());
        let report = |progress: Progress| seen.lock().unwrap().push(progress);
        let results = setup
            .extractor(threads, batch)
            .run(&pictures(), &setup.cache(), &report, &AtomicBool::new(false))
            .unwrap();
        assert_eq!(results.len(), 16);
        for (path, result) in pictures().iter().zip(results) {
            let got = result.unwrap();
            assert_eq!(got.digest, image_digest(path).unwrap());
            for (a, b) in got.features.iter().zip(expected(&setup, path)) {
                assert!((a - b).abs() < 1e-5, "{a} for {b}");
            }
        }
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.iter().map(|p| p.done).collect::<Vec<_>>(), (0..=16).collect::<Vec<_>>());
        assert_eq!(*seen.last().unwrap(), Progress { done: 16, total: 16, cached: 0, failed: 0 });
    }
}

#[test]
fn a_bad_image_is_an_error_of_its_own() {
    let setup = Setup::new();
    let broken = setup.dir.path().join("broken.png");
    fs::write(&broken, b"\x89PNG\r\n\x1a\nnothing").unwrap();
    let images = [
        pictures()[0].clone(),
        broken,
        PathBuf::from("nowhere.png"),
        golden("make_golden.py"),
        pictures()[1].clone(),
    ];
    let results = setup
        .extractor(2, 2)
        .run(&images, &setup.cache(), &|_| {}, &AtomicBool::new(false))
        .unwrap();
    let failed: Vec<bool> = results.iter().map(|r| r.is_err()).collect();
    assert_eq!(failed, [false, true, true, true, false]);
    assert!(matches!(&results[2], Err(ImageError::Read { name, .. }) if name == "nowhere.png"));
    assert!(matches!(&results[3], Err(ImageError::Unsupported { .. })));
}

#[test]
fn a_cancelled_run_goes_on_where_it_was() {
    let setup = Setup::new();
    let cancel = AtomicBool::new(false);
    let report = |progress: Progress| {
        if progress.done >= 5 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let error =
        setup.extractor(2, 2).run(&pictures(), &setup.cache(), &report, &cancel).unwrap_err();
    assert!(matches!(error, ExtractError::Cancelled { done: 5..=8, total: 16 }), "{error}");
    let before = setup.computed();
    assert_eq!(setup.cache().len(), before, "all that was computed is kept");
    let results = setup
        .extractor(2, 2)
        .run(&pictures(), &setup.cache(), &|_| {}, &AtomicBool::new(false))
        .unwrap();
    assert!(results.iter().all(|r| r.is_ok()));
    assert_eq!(setup.computed(), 16, "nothing is computed twice");
    let last = Mutex::new(Progress::default());
    let report = |progress| *last.lock().unwrap() = progress;
    let again = setup
        .extractor(1, 3)
        .run(&pictures(), &setup.cache(), &report, &AtomicBool::new(false))
        .unwrap();
    assert_eq!(setup.computed(), 16);
    assert_eq!(last.into_inner().unwrap(), Progress { done: 16, total: 16, cached: 16, failed: 0 });
    for (a, b) in results.iter().zip(&again) {
        assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap());
    }
}

#[test]
fn a_changed_image_is_computed_again() {
    let setup = Setup::new();
    let path = setup.dir.path().join("image.png");
    fs::copy(&pictures()[0], &path).unwrap();
    let run = || {
        let images = [path.clone()];
        let mut results = setup
            .extractor(1, 1)
            .run(&images, &setup.cache(), &|_| {}, &AtomicBool::new(false))
            .unwrap();
        results.remove(0).unwrap()
    };
    let first = run();
    fs::copy(&pictures()[1], &path).unwrap();
    assert_ne!(run().features, first.features);
    assert_eq!(setup.computed(), 2);
}

#[test]
fn no_images_are_no_features() {
    let setup = Setup::new();
    let results =
        setup.extractor(2, 2).run(&[], &setup.cache(), &|_| {}, &AtomicBool::new(false)).unwrap();
    assert!(results.is_empty());
}
