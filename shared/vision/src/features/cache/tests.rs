use std::io::Write;

use super::super::Views;
use super::super::segment::{HEADER_BYTES, record};
use super::*;
use crate::image::{Interpolation, Preprocess};
use crate::precision::Precision;

pub(super) fn key(architecture: &str) -> FeatureKey {
    FeatureKey {
        architecture: architecture.to_owned(),
        weights: [1; 32],
        preprocess: Preprocess::new(20, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap(),
        precision: Precision::F32,
        views: Views::Plain,
    }
}

fn only_segment(dir: &Path, key: &FeatureKey) -> PathBuf {
    let paths = segment::paths(&dir.join(key::folder_name(key))).unwrap();
    assert_eq!(paths.len(), 1);
    paths.into_iter().next().unwrap()
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn features_come_back_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
    assert!(cache.is_empty());
    cache.put(&[7; 32], &[1.0, -2.5, f32::MIN_POSITIVE]).unwrap();
    cache.put(&[8; 32], &[4.0]).unwrap();
    assert_eq!(cache.get(&[7; 32]).unwrap(), [1.0, -2.5, f32::MIN_POSITIVE]);
    drop(cache);
    let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
    assert_eq!(cache.len(), 2);
    assert_eq!(cache.get(&[8; 32]).unwrap(), [4.0]);
    assert_eq!(cache.get(&[9; 32]), None);
    cache.put(&[9; 32], &[5.0]).unwrap();
    only_segment(dir.path(), &key("a"));
}

#[test]
fn another_key_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0]).unwrap();
    let other_size = Preprocess::new(21, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap();
    let others = [
        key("b"),
        FeatureKey { weights: [3; 32], ..key("a") },
        FeatureKey { preprocess: other_size, ..key("a") },
        FeatureKey { precision: Precision::Bf16, ..key("a") },
        key("a").augmented(crate::image::Augmentation::none(7)),
    ];
    for other in others {
        assert_eq!(FeatureCache::open(dir.path(), &other).unwrap().get(&[7; 32]), None);
    }
    assert!(FeatureCache::open(dir.path(), &key("a")).unwrap().has(&[7; 32]));
}

#[test]
fn a_segment_of_another_key_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0]).unwrap();
    let from = only_segment(dir.path(), &key("a"));
    let to = dir.path().join(key::folder_name(&key("b")));
    fs::create_dir(&to).unwrap();
    fs::copy(from, to.join("000000.segment")).unwrap();
    let cache = FeatureCache::open(dir.path(), &key("b")).unwrap();
    assert!(cache.is_empty());
    cache.put(&[7; 32], &[2.0]).unwrap();
    drop(cache);
    let cache = FeatureCache::open(dir.path(), &key("b")).unwrap();
    assert_eq!(cache.get(&[7; 32]).unwrap(), [2.0]);
}

#[test]
fn a_tail_torn_anywhere_is_ignored_and_cut_off() {
    let whole = record(&[8; 32], &[2.0, 3.0]);
    for cut in 0..whole.len() {
        let dir = tempfile::tempdir().unwrap();
        FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0, 1.5]).unwrap();
        append(&only_segment(dir.path(), &key("a")), &whole[..cut]);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!(cache.get(&[7; 32]).unwrap(), [1.0, 1.5]);
        assert_eq!(cache.get(&[8; 32]), None);
        cache.put(&[9; 32], &[4.0, 5.0]).unwrap();
        drop(cache);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(&[9; 32]).unwrap(), [4.0, 5.0]);
    }
}

#[test]
fn a_tail_of_zeros_is_ignored_and_cut_off() {
    // A machine that loses its power may leave a file longer than what was written of it.
    let dir = tempfile::tempdir().unwrap();
    FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0]).unwrap();
    append(&only_segment(dir.path(), &key("a")), &[0; 5000]);
    FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[9; 32], &[4.0]).unwrap();
    let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
    assert_eq!((cache.len(), cache.get(&[9; 32])), (2, Some(vec![4.0])));
}

#[test]
fn damage_is_never_served_and_can_be_made_good() {
    let body = HEADER_BYTES + 4 + 32;
    for at in [body + 5, body + 4 * 8 + 2] {
        let dir = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        cache.put(&[7; 32], &[1.0; 8]).unwrap();
        cache.put(&[8; 32], &[2.0; 8]).unwrap();
        flip(&only_segment(dir.path(), &key("a")), at);
        drop(cache);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert!(!cache.has(&[7; 32]));
        assert_eq!(cache.get(&[8; 32]).unwrap(), [2.0; 8]);
        cache.put(&[7; 32], &[3.0; 8]).unwrap();
        assert_eq!(cache.get(&[7; 32]).unwrap(), [3.0; 8]);
        drop(cache);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!(cache.get(&[7; 32]).unwrap(), [3.0; 8]);
    }
}

#[test]
fn a_second_record_stands_in_for_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = [(); 2].map(|()| FeatureCache::open(dir.path(), &key("a")).unwrap());
    one.put(&[7; 32], &[1.0; 8]).unwrap();
    two.put(&[7; 32], &[1.0; 8]).unwrap();
    let folder = dir.path().join(key::folder_name(&key("a")));
    for damaged in segment::paths(&folder).unwrap() {
        flip(&damaged, HEADER_BYTES + 40);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!((cache.len(), cache.get(&[7; 32])), (1, Some(vec![1.0; 8])));
        flip(&damaged, HEADER_BYTES + 40);
    }
}

#[test]
fn what_others_write_is_seen_after_a_refresh() {
    let dir = tempfile::tempdir().unwrap();
    let [reader, one, two] = [(); 3].map(|()| FeatureCache::open(dir.path(), &key("a")).unwrap());
    for (at, cache) in [(1, &one), (2, &two), (3, &one), (4, &reader)] {
        cache.put(&[at; 32], &[f32::from(at)]).unwrap();
        reader.refresh().unwrap();
        assert_eq!(reader.len(), usize::from(at));
        assert_eq!(reader.get(&[at; 32]).unwrap(), [f32::from(at)]);
    }
}

#[test]
fn writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Each opens for itself, as processes do; file locks are per open file.
    std::thread::scope(|scope| {
        for writer in 0..4u8 {
            let dir = dir.path();
            scope.spawn(move || {
                let cache = FeatureCache::open(dir, &key("a")).unwrap();
                for i in 0..50u8 {
                    let mut image = [writer; 32];
                    image[0] = i;
                    cache.put(&image, &[f32::from(writer), f32::from(i)]).unwrap();
                }
            });
        }
    });
    let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
    assert_eq!(cache.len(), 200);
    let mut image = [3; 32];
    image[0] = 49;
    assert_eq!(cache.get(&image).unwrap(), [3.0, 49.0]);
}
