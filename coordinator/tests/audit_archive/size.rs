//! How large the journal of a study of trees gets. Made-up rows of the size of a study on images.

use wardround::replay::{replay, verify};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_learn::recorded::Keep;
use wardround_learn::rows::{Patient, Rows, RowsBuilder};

use crate::made::{Fate, enlisted_with, finish, site, submitted, with_classifier};

const SITES: usize = 4;
const COLUMNS: u32 = 128;
const ROWS: usize = 8_000;
/// Bytes that the journal of the study below may take.
const MOST: u64 = 200 << 20;

/// 100 trees of depth 4 on 128 columns of 64 bins, five folds nested.
fn toml() -> String {
    let classifier = "kind = \"boosting\"\ntrees = [100]\ndepth = [4]\nmin_patients = [5]";
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("\"x{column}\"")).collect();
    with_classifier(classifier)
        .replace("folds = 3", "folds = 5")
        .replace("\"age\", \"chol\", \"thalach\", \"oldpeak\"", &names.join(", "))
}

fn rows(study: &Study) -> Vec<Rows> {
    let mut builder = RowsBuilder::new(study.schema(COLUMNS));
    for at in 0..ROWS {
        let draw = |what: &str, column: u32| {
            Seed(5).uniform(what, &[&at.to_le_bytes(), &column.to_le_bytes()])
        };
        let x: Vec<f64> = (0..COLUMNS)
            .map(|column| draw("a", column) + draw("b", column) + draw("c", column) - 1.5)
            .collect();
        let logit = 3.0 * x[0] - 2.0 * x[1] * x[2] + x[3] - 1.5;
        let class = u8::from(draw("class", 0) < 1.0 / (1.0 + (-logit).exp()));
        let site = site(at % SITES);
        let patient = Patient { issuer: site.to_string(), site, key: format!("p{at:05}") };
        builder.add(patient, class, &[], &x).unwrap();
    }
    builder.build().unwrap().by_site()
}

#[test]
#[ignore = "takes minutes: a study of 1,600 trees on 8,000 rows, with and without histograms"]
fn a_journal_of_a_hundred_trees_stays_small() {
    let toml = toml();
    let study = Study::parse(&toml).unwrap();
    let mut models = Vec::new();
    for keep in [Keep::Decisions, Keep::Sums] {
        let made = submitted(&toml, SITES);
        for site in (0..SITES).map(site) {
            let enlisted = enlisted_with(&toml, &site, COLUMNS);
            made.store.set_enlisted(&made.study, &site, &enlisted).unwrap();
        }
        finish(&made, rows(&study), COLUMNS, Fate::Smooth, keep);
        let archive = made.archive();
        let (verified, replayed) = (verify(&archive).unwrap(), replay(&archive).unwrap());
        assert!(replayed.is_confirmed(), "{replayed:?}");
        let on_disk = |folder: &str| bytes_in(&made.store.folder().join(folder));
        let (files, sealed) = (on_disk("files"), on_disk("sealed"));
        let (lines, decisions, exported) = (verified.lines, verified.decisions, archive.len());
        println!(
            "{keep:?}: {lines} lines, {decisions} with decisions; archive {exported} bytes, of totals \
             and decisions {} unpacked; files {files}, sealed answers {sealed}",
            verified.total_bytes
        );
        if keep == Keep::Decisions {
            assert!((exported as u64).max(files) < MOST, "{exported} bytes, {files} in files");
        }
        models.push(replayed.replayed);
    }
    assert_eq!(models[0], models[1]);
}

fn bytes_in(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => bytes_in(&entry.path()),
                false => entry.metadata().unwrap().len(),
            }
        })
        .sum()
}
