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

#[test]
fn a_backbone_alone_takes_all_images_of_the_manifest() {
    let site = Site::with_images(5);
    // Where the entry's weights would lie; made-up ones can't have its digest.
    let ended = site.run(&["features", "--backbone", "no_such_net"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("no backbone is called 'no_such_net'"), "{ended:?}");
    let arguments = ["features", "--backbone", "efficientnet_lite0", "--image-column", "picture"];
    let ended = site.run(&arguments);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("the manifest has no column 'picture'"), "{ended:?}");
    let ended = site.run(&["features", "--backbone", "resnet18", "--study", "study.toml"]);
    assert_eq!(ended.code, 4);
}

#[test]
fn the_summary_says_how_fast_it_went() {
    let site = Site::with_images(6);
    let text = site.done(&["features", "--study", "study.toml"]).out;
    let expected = "Images: 5 images, 0 had features already, 5 computed, 0 unusable";
    assert!(text.starts_with(expected), "{text}");
    let weights = format!("weights: SHA-256 {}", Digest::of(&weights("resnet18")));
    for part in ["images/s; the network alone", "waiting for images", "decoding", &weights] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn copies_are_computed_beside_the_images_and_kept() {
    let site = Site::with_images(6);
    let features = |study: &str| {
        let ended = site.done(&["features", "--study", study, "--format", "json"]);
        let data = ended.data("features")[0].clone();
        ["images", "copies", "found", "computed"].map(|name| data[name].as_u64().unwrap())
    };
    let altered = |copies: u8, seed: u8| {
        let section = format!("[augmentation]\ncopies = {copies}\nflip = true\nrotation = 10\n");
        let study = site.read("study.toml").replace("seed = 1", &format!("seed = {seed}"));
        site.write("altered.toml", &(study + &section));
        features("altered.toml")
    };
    assert_eq!(features("study.toml"), [5, 0, 0, 5]);
    assert_eq!(altered(2, 1), [5, 2, 0, 5]);
    assert_eq!(altered(2, 1), [5, 2, 5, 0]);
    assert_eq!(altered(1, 1), [5, 1, 5, 0], "the first of two copies is there");
    assert_eq!(altered(1, 2), [5, 1, 0, 5], "another seed alters otherwise");
    assert_eq!(features("study.toml"), [5, 0, 5, 0]);
    let list = site.done(&["cache", "list"]).out;
    assert!(
        list.contains("5 ") && list.contains("10 copies") && list.contains("5 copies"),
        "{list}"
    );
}
