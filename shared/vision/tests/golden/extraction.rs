//! Extraction: order, errors of single images, cancelling and going on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use wardround_vision::image::{Files, ImageSource};
use wardround_vision::network::Stage;
use wardround_vision::{
    Augmentation, Backbone, Copies, ExtractError, Extractor, FeatureCache, FeatureKey, ImageError,
    Interpolation, Precision, Preprocess, Progress, Views, Wanted, copy_id, image_digest,
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

    fn key(&self) -> FeatureKey {
        FeatureKey {
            architecture: "means".into(),
            weights: [0; 32],
            preprocess: self.preprocess.clone(),
            precision: Precision::F32,
            views: Views::Plain,
        }
    }

    fn cache(&self) -> FeatureCache {
        FeatureCache::open(self.dir.path(), &self.key()).unwrap()
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
        let cache = setup.cache();
        let extraction = setup
            .extractor(threads, batch)
            .run(&pictures(), &cache, &report, &AtomicBool::new(false))
            .unwrap();
        assert_eq!((extraction.images.len(), extraction.timing.inferred), (16, 16));
        for (path, result) in pictures().iter().zip(extraction.images) {
            let digest = result.unwrap();
            assert_eq!(digest, image_digest(path).unwrap());
            for (a, b) in cache.get(&digest).unwrap().iter().zip(expected(&setup, path)) {
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
        .unwrap()
        .images;
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
    let cache = setup.cache();
    let run = |threads, batch, report: &(dyn Fn(Progress) + Sync)| {
        let extractor = setup.extractor(threads, batch);
        let cancel = AtomicBool::new(false);
        let images = extractor.run(&pictures(), &cache, report, &cancel).unwrap().images;
        images.into_iter().map(|image| cache.get(&image.unwrap()).unwrap()).collect::<Vec<_>>()
    };
    let results = run(2, 2, &|_| {});
    assert_eq!(setup.computed(), 16, "nothing is computed twice");
    let last = Mutex::new(Progress::default());
    let again = run(1, 3, &|progress| *last.lock().unwrap() = progress);
    assert_eq!(setup.computed(), 16);
    assert_eq!(last.into_inner().unwrap(), Progress { done: 16, total: 16, cached: 16, failed: 0 });
    assert_eq!(results, again);
}

#[test]
fn a_changed_image_is_computed_again() {
    let setup = Setup::new();
    let path = setup.dir.path().join("image.png");
    let cache = setup.cache();
    let run = || {
        let extractor = setup.extractor(1, 1);
        let run =
            extractor.run(std::slice::from_ref(&path), &cache, &|_| {}, &AtomicBool::new(false));
        cache.get(run.unwrap().images[0].as_ref().unwrap()).unwrap()
    };
    fs::copy(&pictures()[0], &path).unwrap();
    let first = run();
    fs::copy(&pictures()[1], &path).unwrap();
    assert_ne!(run(), first);
    assert_eq!(setup.computed(), 2);
}

#[test]
fn features_are_found_when_the_images_are_gone() {
    let setup = Setup::new();
    let run =
        setup.extractor(2, 4).run(&pictures(), &setup.cache(), &|_| {}, &AtomicBool::new(false));
    let cache = setup.cache();
    for image in run.unwrap().images {
        assert_eq!(cache.get(&image.unwrap()).unwrap().len(), 3);
    }
}

#[test]
fn no_images_are_no_features() {
    let setup = Setup::new();
    let run =
        setup.extractor(2, 2).run(&[], &setup.cache(), &|_| {}, &AtomicBool::new(false)).unwrap();
    assert!(run.images.is_empty());
    assert!(setup.extractor(2, 2).network_alone(std::time::Duration::ZERO).unwrap() > 0.0);
}

#[test]
fn copies_are_the_same_whatever_was_there_before() {
    let augmentation =
        Augmentation { rotation: 30.0, flip: true, brightness: 0.3, ..Augmentation::none(9) };
    let all = |setup: &Setup, plain_first: bool| {
        let plain = setup.cache();
        let key = setup.key().augmented(augmentation.clone());
        let cache = FeatureCache::open(setup.dir.path(), &key).unwrap();
        let cancel = AtomicBool::new(false);
        if plain_first {
            setup.extractor(2, 3).run(&pictures(), &plain, &|_| {}, &cancel).unwrap();
        }
        let copies = |count| Wanted {
            plain: &plain,
            copies: Copies::Augmented { augmentation: &augmentation, count, cache: &cache },
        };
        let extractor = setup.extractor(2, 5);
        for count in [2, 3] {
            let run = extractor.run_views(&pictures(), &copies(count), &|_| {}, &cancel).unwrap();
            assert_eq!(run.images.len(), 16);
        }
        assert_eq!(setup.computed(), 16 * 4, "nothing is computed twice");
        let ids = pictures().into_iter().map(|path| image_digest(&path).unwrap());
        ids.map(|id| [1, 2, 3].map(|copy| cache.get(&copy_id(&id, copy)).unwrap()))
            .collect::<Vec<_>>()
    };
    let [one, other] = [true, false].map(|plain_first| all(&Setup::new(), plain_first));
    assert_eq!(one, other);
    assert!(one.iter().all(|[a, b, c]| a != b && b != c && a != c));
    // A copy is what the augmentation says it is.
    let setup = Setup::new();
    let path = &pictures()[4];
    let picture = wardround_vision::read_picture(path).unwrap();
    let input = augmentation
        .draw(&image_digest(path).unwrap(), 2, picture.width(), picture.height())
        .apply(&picture, &setup.preprocess);
    for (plane, got) in input.chunks_exact(256).zip(&one[4][1]) {
        assert!((plane.iter().sum::<f32>() / 256.0 - got).abs() < 1e-5);
    }
}

/// Counts the files that are open at once; reading one takes a while.
struct Counting {
    open: Arc<AtomicUsize>,
    most: AtomicUsize,
}

struct Counted(Arc<AtomicUsize>, Box<dyn std::io::Read + Send>);

impl ImageSource for Counting {
    fn open(&self, path: &Path) -> std::io::Result<(u64, Box<dyn std::io::Read + Send>)> {
        self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (len, content) = Files.open(path)?;
        Ok((len, Box::new(Counted(self.open.clone(), content))))
    }
}

impl std::io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1.read(buffer)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn many_files_are_on_their_way_while_one_thread_decodes() {
    let setup = Setup::new();
    let source = Arc::new(Counting { open: Arc::default(), most: AtomicUsize::new(0) });
    let extractor = setup.extractor(1, 4).reading_from(source.clone());
    let run = extractor.run(&pictures(), &setup.cache(), &|_| {}, &AtomicBool::new(false)).unwrap();
    assert!(run.images.iter().all(|image| image.is_ok()));
    let most = source.most.load(Ordering::SeqCst);
    assert!(most >= 8, "only {most} files were open at once");
}
