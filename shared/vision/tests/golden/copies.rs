//! Fingerprints against PIL and scipy, and of copies that PIL altered; `make_copies.py` made the files.

use std::fs;

use wardround_vision::{Fingerprint, read_picture};

use super::golden;

/// A file, what it is a copy of, and its hash by scipy.
fn cases() -> Vec<[String; 3]> {
    let text = fs::read_to_string(golden("copies.tsv")).unwrap();
    let case = |line: &str| {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        fields.try_into().unwrap()
    };
    text.lines().map(case).collect()
}

fn fingerprint(name: &str) -> Fingerprint {
    Fingerprint::of(&read_picture(&golden(name)).unwrap())
}

#[test]
fn hashes_are_scipys() {
    let cases = cases();
    // Every decoder of JPEG has pixels of its own.
    let exact = cases.iter().filter(|[name, ..]| name.ends_with(".png"));
    let mut held = 0;
    for [name, _, expected] in exact {
        assert_eq!(fingerprint(name).hash.unwrap().to_string(), *expected, "{name}");
        held += 1;
    }
    assert_eq!(held, 14 + 3 * 3);
}

#[test]
fn altered_copies_are_near_and_others_far() {
    let cases = cases();
    let photographs = || cases.iter().filter(|[name, ..]| name.starts_with("copy-"));
    let mut copies = 0;
    for [name, original, _] in photographs() {
        let own = fingerprint(name);
        for [other, ..] in photographs().filter(|[_, of, _]| of == "-") {
            let other_print = fingerprint(other);
            let distance = own.hash.unwrap().distance(&other_print.hash.unwrap());
            match original == other || name == other {
                true => assert!(distance <= 20, "{name} {other}: {distance}"),
                false => assert!(distance > 70, "{name} {other}: {distance}"),
            }
            assert_eq!(own.pixels == other_print.pixels, name == other, "{name} {other}");
        }
        copies += usize::from(original != "-");
    }
    assert_eq!(copies, 3 * 5);
}
