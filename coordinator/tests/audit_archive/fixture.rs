//! Archives of earlier formats, which every later version must still verify and replay.
//!
//! Each format leaves one: with `WARDROUND_WRITE_FIXTURE=1` in the environment the
//! test writes the file of the present formats, if there is none yet. Files without `archive-` have format 1 of the archive;
//! the study of `-trees`, and of format 3 of the journal, has boosted trees.

use std::path::PathBuf;

use wardround::archive::{ALGORITHM, FORMAT, JOURNAL_FORMAT};
use wardround::replay::{replay, verify};

use crate::signed;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[test]
fn journals_of_earlier_versions_are_replayed() {
    let present = folder()
        .join(format!("archive-{FORMAT}-journal-{JOURNAL_FORMAT}-algorithm-{ALGORITHM}.zip"));
    if std::env::var_os("WARDROUND_WRITE_FIXTURE").is_some() && !present.exists() {
        std::fs::write(&present, signed::with_everything()).unwrap();
    }
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "zip") {
            let archive = std::fs::read(&path).unwrap();
            verify(&archive).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let study =
                replay(&archive).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // The report may be written otherwise by now; the model may not.
            assert_eq!(study.archived, study.replayed, "{}", path.display());
            assert!(study.unused.is_empty(), "{}: {:?}", path.display(), study.unused);
            replayed += 1;
        }
    }
    assert!(present.exists() && replayed > 0, "no fixture {}", present.display());
}
