//! `features`: computed once, found again by the next run and by the next study.

use wardround_core::digest::Digest;

use super::made_up::{Site, images_study, weights};

#[test]
fn features_are_computed_once() {
    let site = Site::with_images(12);
    let features = |study: &str| {
        let ended = site.done(&["features", "--study", study, "--format", "json"]);
        let data = ended.data("features")[0].clone();
        ["images", "found", "computed"].map(|name| data[name].as_u64().unwrap())
    };
    assert_eq!(features("study.toml"), [11, 0, 11]);
    assert_eq!(features("study.toml"), [11, 11, 0]);
    let weights = Digest::of(&weights("resnet18"));
    site.write("second.toml", &images_study("Second", &site, weights));
    assert_eq!(features("second.toml"), [11, 11, 0]);
    let text = site.done(&["features", "--study", "study.toml"]).out;
    assert!(text.starts_with("Images: 11 images, all had features already"), "{text}");
}

#[test]
fn other_weights_are_refused() {
    let site = Site::with_images(2);
    site.write("study.toml", &images_study("Images", &site, Digest::of(b"others")));
    let ended = site.run(&["features", "--study", "study.toml"]);
    assert_eq!(ended.code, 1);
    let expected = format!("expected {}", Digest::of(b"others"));
    assert!(ended.err.contains(&expected), "{ended:?}");
}

#[test]
fn a_table_has_its_own_features() {
    let site = Site::with_table(30);
    let text = site.done(&["features", "--study", "study.toml"]).out;
    assert!(text.contains("nothing to compute"), "{text}");
    let ended = site.run(&["features"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("--study"), "{ended:?}");
}
