//! `duplicates`: copies under several patients, with several labels, and harmless ones.

use std::fs;

use serde_json::Value;
use wardround_vision::{Picture, read_picture};

use super::explain::{is_private, is_self_contained};
use super::made_up::{Site, png};

/// The golden photographs and their altered copies, which PIL made.
fn photograph(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vision/tests/golden");
    fs::read(format!("{folder}/copy-{name}")).unwrap()
}

/// The same pixels in other bytes.
fn written_again(bytes: &[u8], site: &Site) -> Vec<u8> {
    fs::write(site.path("scratch"), bytes).unwrap();
    let picture = read_picture(&site.path("scratch")).unwrap();
    let same = Picture::from_rgb(picture.width(), picture.height(), picture.rgb().to_vec());
    let again = same.unwrap().png().unwrap();
    assert_ne!(again, bytes);
    again
}

/// A site whose rows are these: file, bytes, label, patient.
fn site(rows: &[(&str, Vec<u8>, &str, &str)]) -> Site {
    let site = Site::with_images(1);
    let mut manifest = String::from("path,ill,key\n");
    for (file, bytes, label, patient) in rows {
        fs::write(site.path(file), bytes).unwrap();
        manifest += &format!("{file},{label},{patient}\n");
    }
    site.write("manifest.csv", &manifest);
    site
}

fn names(group: &Value) -> Vec<&str> {
    group["rows"].as_array().unwrap().iter().map(|row| row["file"].as_str().unwrap()).collect()
}

#[test]
fn copies_are_found_and_sorted_by_their_harm() {
    let scratch = Site::new();
    let coffee = photograph("coffee.png");
    let again = written_again(&coffee, &scratch);
    let site = site(&[
        ("coffee.png", coffee, "yes", "p1"),
        ("rocket.png", photograph("rocket.png"), "no", "p2"),
        ("chelsea.png", photograph("chelsea.png"), "yes", "p3"),
        ("made up.png", png(1), "no", "p4"),
        ("coffee-again.png", again, "yes", "p5"),
        ("coffee-encoded.jpg", photograph("coffee-encoded.jpg"), "no", "p6"),
        ("rocket-half.png", photograph("rocket-half.png"), "no", "p2"),
        ("chelsea-brighter.jpg", photograph("chelsea-brighter.jpg"), "no", "p3"),
        ("other made up.png", png(1), "no", "p4"),
    ]);
    let arguments = ["duplicates", "--study", "study.toml"];
    let ended = site.run(&[&arguments[..], &["--out", "copies", "--format", "json"]].concat());
    assert_eq!(ended.code, 1, "copies under several patients: {ended:?}");
    let found = ended.data("duplicates");
    // The same file twice is no row of the study: it is set aside before.
    assert_eq!((&found["rows"], &found["set_aside"]["one_patient"]), (&8.into(), &1.into()));
    let groups = found["groups"].as_array().unwrap();
    let of: Vec<(&str, Vec<&str>)> =
        groups.iter().map(|group| (group["harm"].as_str().unwrap(), names(group))).collect();
    let expected = [
        ("several-patients", vec!["coffee.png", "coffee-again.png", "coffee-encoded.jpg"]),
        ("several-labels", vec!["chelsea.png", "chelsea-brighter.jpg"]),
        ("none", vec!["rocket.png", "rocket-half.png"]),
    ];
    assert_eq!(of, expected);
    let coffee = &groups[0];
    assert_eq!((&coffee["patients"], &coffee["labels"]), (&3.into(), &2.into()));
    assert_eq!(coffee["rows"][1]["alike"]["as"], "same-pixels");
    assert_eq!(coffee["rows"][2]["alike"]["as"], "near");
    // Two folds: of three patients with copies two are in one of them.
    let folds: Vec<u64> = coffee["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["fold"].as_u64().unwrap())
        .collect();
    assert!(folds.iter().all(|fold| (1..=2).contains(fold)), "{folds:?}");

    let page = site.read("copies/duplicates.html");
    is_self_contained(&page);
    is_private(&site.path("copies"));
    assert_eq!(page.matches("<img ").count(), 7);
    let written: Value = serde_json::from_str(&site.read("copies/duplicates.json")).unwrap();
    assert_eq!(written["groups"], found["groups"]);

    let text = site.run(&arguments).out;
    for part in [
        "copies under several patients",
        "coffee-encoded.jpg",
        "the same pixels in another file",
        "p3, line 9",
        "1 with a file of the same patient",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("rocket"), "harmless groups are counted: {text}");
    let few = site.run(&[&arguments[..], &["--limit", "0"]].concat()).out;
    assert!(few.contains("and 1 more groups"), "{few}");
}

#[test]
fn without_copies_it_ends_well() {
    let site = Site::with_images(1);
    let one = site.done(&["duplicates", "--study", "study.toml"]);
    assert!(one.out.contains("images of 1 rows"), "{one:?}");
    let study = site.read("study.toml");
    let (before, rest) = study.split_once("[images]").unwrap();
    let (_, after) = rest.split_once("[classifier]").unwrap();
    let table =
        format!("{before}[table]\nnumeric = [\"a\"]\nmissing = \"drop\"\n[classifier]{after}");
    site.write("table.toml", &table);
    let ended = site.run(&["duplicates", "--study", "table.toml"]);
    assert!(ended.code == 4 && ended.err.contains("not images"), "{ended:?}");
}
