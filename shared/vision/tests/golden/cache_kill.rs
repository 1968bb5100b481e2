//! Writers killed in the middle of a record, many times: whatever whole is there is right, and nothing that was there is lost.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wardround_vision::{FeatureCache, FeatureKey, Interpolation, Precision, Preprocess, Views};

/// Names the folder to a child, which runs the same test.
const FOLDER: &str = "WARDROUND_TEST_CACHE_FOLDER";

/// So many that a write takes long enough to be killed in.
const FEATURES: usize = 60_000;

const IMAGES: u32 = 400;

fn key() -> FeatureKey {
    FeatureKey {
        architecture: "made up".into(),
        weights: [1; 32],
        preprocess: Preprocess::new(20, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap(),
        precision: Precision::F32,
        views: Views::Plain,
    }
}

fn image(at: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&at.to_le_bytes());
    digest
}

fn features(at: u32) -> Vec<f32> {
    (0..FEATURES as u32).map(|k| (at.wrapping_mul(2_654_435_761) ^ k) as f32).collect()
}

/// Writes all images, in an order of its own, and then waits to be killed.
fn write(folder: &Path) {
    let cache = FeatureCache::open(folder, &key()).unwrap();
    let step = [1, 3, 7, 9][std::process::id() as usize % 4];
    for at in (0..IMAGES).map(|at| at * step % (IMAGES + 1)) {
        cache.put(&image(at), &features(at)).unwrap();
    }
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn what_killed_writers_leave_is_whole() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut before = Vec::new();
    for round in 0..12 {
        let writers: Vec<Child> = (0..3).map(|_| writer(folder.path())).collect();
        wait_for_more(folder.path(), before.len());
        std::thread::sleep(Duration::from_micros(700 * round));
        for mut writer in writers {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        let cache = FeatureCache::open(folder.path(), &key()).unwrap();
        let there: Vec<u32> = (0..=IMAGES).filter(|at| cache.has(&image(*at))).collect();
        assert_eq!(there.len(), cache.len(), "round {round}: a record isn't whole");
        assert!(before.iter().all(|at| there.contains(at)), "round {round}: a record is gone");
        assert!(there.iter().all(|&at| cache.get(&image(at)).unwrap() == features(at)));
        before = there;
    }
    assert!(before.len() >= 12);
}

fn writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["cache_kill::what_killed_writers_leave_is_whole", "--exact"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Until there is more than was, so that no child is killed before it has begun.
fn wait_for_more(folder: &Path, before: usize) {
    for _ in 0..3000 {
        let cache = FeatureCache::open(folder, &key()).unwrap();
        if cache.len() > before.min(IMAGES as usize - 1) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no writer writes");
}
