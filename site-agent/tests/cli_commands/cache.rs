//! `cache`: what is kept is listed, and removed unless somebody needs it or has it open.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use wardround_core::digest::Digest;
use wardround_vision::{BackboneEntry, FeatureCache, FeatureKey, Precision, Views};

use super::made_up::{Site, weights};

/// A site whose study has its features, with two caches that no study needs.
fn site() -> Site {
    let site = Site::with_images(6);
    site.done(&["features", "--study", "study.toml"]);
    let others = [[1; 32], [2; 32]];
    for weights in others {
        open(&site, weights).put(&[7; 32], &[1.0; 10]).unwrap();
    }
    site
}

fn open(site: &Site, weights: [u8; 32]) -> FeatureCache {
    let key = FeatureKey {
        architecture: "efficientnet_lite0".into(),
        weights,
        preprocess: BackboneEntry::find("resnet18").unwrap().preprocess().clone(),
        precision: Precision::F32,
        views: Views::Plain,
    };
    FeatureCache::open(&site.path("cache/features"), &key).unwrap()
}

/// The study as if the site had joined it.
fn join(site: &Site) {
    let folder = site.path("studies/s1");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(site.path("study.toml"), folder.join("study.toml")).unwrap();
}

fn fates(site: &Site, arguments: &[&str]) -> Vec<(String, String)> {
    let arguments = [&["cache", "prune", "--format", "json"], arguments].concat();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pruned = site.done(&arguments).data("cache prune");
    let each = pruned.as_array().unwrap().iter();
    let mut fates: Vec<_> = each
        .map(|p| (text(&p["architecture"]) + ":" + &text(&p["weights"])[..2], text(&p["fate"])))
        .collect();
    fates.sort();
    fates
}

fn fate(name: &str, fate: &str) -> (String, String) {
    (name.to_owned(), fate.to_owned())
}

#[test]
fn a_list_says_what_is_what() {
    let site = Site::with_images(6);
    assert_eq!(site.done(&["cache", "list"]).out, "no features are kept\n");
    assert_eq!(site.done(&["cache", "prune"]).out, "nothing to remove\n");
    site.done(&["features", "--study", "study.toml"]);
    join(&site);
    let list = site.done(&["cache", "list", "--format", "json"]).data("cache list");
    assert_eq!(list.as_array().unwrap().len(), 1);
    let digest = Digest::of(&weights("resnet18"));
    for (field, value) in [
        ("architecture", Value::from("resnet18")),
        ("weights", digest.to_string().into()),
        ("precision", "f32".into()),
        ("images", 5.into()),
        ("bytes", (40 + 5 * (36 + 4 * 512 + 8)).into()),
        ("needed_by", serde_json::json!(["s1"])),
    ] {
        assert_eq!(list[0][field], value, "{list}");
    }
    assert_eq!(list[0]["preprocess"]["crop"], 224);
    let text = site.done(&["cache", "list"]).out;
    let line = text.lines().nth(1).unwrap();
    let start = format!("resnet18  {}  224 of 235 px  f32        5", &digest.to_string()[..8]);
    assert!(line.starts_with(&start) && line.ends_with("s1"), "{text}");
}

#[test]
fn what_a_running_study_needs_stays() {
    let site = site();
    join(&site);
    let resnet = format!("resnet18:{}", &Digest::of(&weights("resnet18")).to_string()[..2]);
    let [one, two] = ["efficientnet_lite0:01", "efficientnet_lite0:02"];
    let would = "would-be-removed";
    assert_eq!(
        fates(&site, &["--dry-run"]),
        [fate(one, would), fate(two, would), fate(&resnet, "needed")]
    );
    assert_eq!(fates(&site, &["--older-than", "1"]), []);
    assert_eq!(fates(&site, &["--backbone", "resnet18"]), [fate(&resnet, "needed")]);
    let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
    for entry in fs::read_dir(site.path("cache/features")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder).unwrap() {
            fs::File::options()
                .write(true)
                .open(file.unwrap().path())
                .unwrap()
                .set_modified(old)
                .unwrap();
        }
    }
    // A cache that a process has open is left alone, though it was used now.
    let in_use = open(&site, [2; 32]);
    assert_eq!(
        fates(&site, &["--older-than", "2"]),
        [fate(one, "removed"), fate(&resnet, "needed")]
    );
    assert_eq!(fates(&site, &[]), [fate(two, "in-use"), fate(&resnet, "needed")]);
    assert_eq!(in_use.get(&[7; 32]).unwrap(), [1.0; 10]);
    drop(in_use);
    assert_eq!(fates(&site, &["--all"]), [fate(two, "removed"), fate(&resnet, "removed")]);
    // A study that is over needs nothing.
    site.done(&["features", "--study", "study.toml"]);
    assert_eq!(fates(&site, &[]), [fate(&resnet, "needed")]);
    fs::write(site.path("studies/s1/closed"), b"").unwrap();
    assert_eq!(fates(&site, &[]), [fate(&resnet, "removed")]);
}
