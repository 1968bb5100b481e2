//! Whole studies on rows in a file find the same, bit by bit, as on rows in memory.

use wardround_core::study::{OwnSiteBaseline, Standardise};
use wardround_learn::rows::Storage;

use crate::support::{every_classifier, find, lines, rows_kept, study, with_subgroup};

#[test]
fn every_classifier_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Storage::Disk { folder: folder.path().to_owned(), above: 0 };
    let mut made = lines(240, 5, 2, 77);
    made.iter_mut().step_by(9).for_each(|line| line.features[1] = f64::NAN);
    for (name, classifier) in every_classifier() {
        let mut study = with_subgroup(study(&[1.0], &[Standardise::All]));
        study.validation.folds = 3;
        study.validation.leave_one_site_out = false;
        study.validation.own_site_baseline = OwnSiteBaseline::On;
        study.classifiers = vec![classifier];
        let [memory, file] = [Storage::Memory, disk()].map(|storage| {
            let rows = rows_kept(&made, &study, storage);
            find(&rows, &study, &rows.sites(), rows.schema()).unwrap()
        });
        assert_eq!(memory, file, "{name}");
    }
}
