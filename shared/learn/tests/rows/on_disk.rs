//! Rows in a file answer every question with the bits of rows in memory. Blocks are of 64 rows here, the smallest.

use std::path::Path;

use proptest::prelude::*;
use wardround_core::query::{
    Ask, ClassWeights, Counting, JudgedUnit, Query, RowPrecision, Schema, UnitScore, Weighting,
};
use wardround_learn::cohort::CohortError;
use wardround_learn::rows::{Rows, RowsError, Storage, StorageError};

use crate::federation::{ask, sited, splitless};
use crate::population::{Population, query, schema};

fn disk(folder: &Path) -> Storage {
    Storage::Disk { folder: folder.to_owned(), above: 0 }
}

/// The same question of models whose training rows count in a way that is drawn.
fn counted(mut of: Ask, counting: Counting) -> Option<Ask> {
    let drawn = ClassWeights { counting, ..ClassWeights::new(1.0, 3.4) };
    match &mut of {
        Ask::Logistic { terms, .. } | Ask::SquaredHinge { terms, .. } => {
            terms.iter_mut().for_each(|term| term.weights = drawn);
        }
        Ask::FourierHinge { terms, .. } => {
            terms.iter_mut().for_each(|term| term.class_weights = drawn);
        }
        Ask::Trees { terms, .. } => terms.iter_mut().for_each(|term| term.weights = drawn),
        _ => return None,
    }
    Some(of)
}

fn questions(sites: usize) -> Vec<Ask> {
    let plain: Vec<Ask> = splitless().into_iter().chain(sited(sites)).collect();
    let drawn = [Counting::Drawn, Counting::Synthetic]
        .into_iter()
        .flat_map(|counting| plain.iter().filter_map(move |of| counted(of.clone(), counting)))
        .collect::<Vec<_>>();
    plain.into_iter().chain(drawn).collect()
}

fn answers_are_equal(memory: &Rows, file: &Rows, asks: Vec<Ask>) -> Result<(), TestCaseError> {
    for one in asks {
        let schema = memory.schema().clone();
        let query = Query { schema, ..query(memory.sites(), one) };
        prop_assert_eq!(ask(memory, &query), ask(file, &query), "{}", query.name());
        let [a, b] = [memory, file].map(|rows| rows.scores(&query).unwrap());
        prop_assert_eq!(a, b, "{}", query.name());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_file_changes_no_bit(
        seed: u64,
        count in 1usize..=3,
        copies in 0usize..=2,
        single: bool,
        weighted: bool,
        judged in 0usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut population = Population::draw(seed, 260);
        population.shuffle(seed);
        if single {
            population.single();
        }
        let weighting = if weighted { Weighting::Given } else { Weighting::Equal };
        let kept = |storage| {
            let judged = [
                JudgedUnit::Row,
                JudgedUnit::Exam(UnitScore::Mean),
                JudgedUnit::Exam(UnitScore::Max),
                JudgedUnit::Patient(UnitScore::Mean),
            ][judged];
            let schema = Schema { weighting, judged, ..schema() };
            population.kept(schema, count, seed, copies, storage)
        };
        let (memory, file) = (kept(Storage::Memory), kept(disk(folder.path())));
        answers_are_equal(&memory, &file, questions(memory.sites().len()))?;
        prop_assert_eq!(memory.missing_share(), file.missing_share());
        for (a, b) in memory.rows().zip(file.rows()) {
            let bits = |row: &[f64]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (a_features, b_features) = (a.features().unwrap(), b.features().unwrap());
            prop_assert_eq!(bits(&a_features), bits(&b_features));
            prop_assert_eq!((a.source, a.key), (b.source, b.key));
        }
        for (a, b) in memory.by_site().iter().zip(&file.by_site()) {
            let given = |precision| Ask::FeatureRows { rows: [1, a.len() as u32], precision };
            let both = [RowPrecision::Single, RowPrecision::Double].map(given).to_vec();
            answers_are_equal(a, b, both)?;
        }
    }
}

#[test]
fn rows_move_to_the_file_when_they_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let population = Population::draw(5, 100);
    let memory = population.rows(2, 5);
    let above = (memory.len() * 11 * 8) as u64;
    for above in [above, above - 1, above / 2] {
        let storage = Storage::Disk { folder: folder.path().to_owned(), above };
        let other = population.kept(schema(), 2, 5, 0, storage);
        answers_are_equal(&memory, &other, questions(2)).unwrap();
    }
    // Nothing has a name there.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_takes_nothing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let add = |storage: Storage| {
        let mut builder = wardround_learn::rows::RowsBuilder::new(schema());
        builder = builder.kept(storage);
        let site = wardround_core::ids::SiteId::parse("a").unwrap();
        let patient = wardround_learn::rows::Patient { site, issuer: "x".into(), key: "1".into() };
        builder.add(patient, 0, &[0, 0], &[0.0; 11])
    };
    let Err(RowsError::Storage(StorageError { folder: named, .. })) = add(disk(&gone)) else {
        panic!("expected a mistake of the folder");
    };
    assert_eq!(named, gone);
    assert_eq!(add(Storage::Memory), Ok(()));
    // The grid of trees is made later: the site fails then, and says why.
    let there = folder.path().join("there");
    std::fs::create_dir(&there).unwrap();
    let rows = Population::draw(1, 40).kept(schema(), 1, 1, 0, disk(&there));
    std::fs::remove_dir(&there).unwrap();
    let grid = sited(1).into_iter().find(|ask| matches!(ask, Ask::Grid { .. })).unwrap();
    let error = rows.answer(&query(rows.sites(), grid)).unwrap_err();
    let CohortError::SiteFailed { reason, .. } = error else { panic!("{error}") };
    assert!(reason.starts_with("can't make a scratch file in "), "{reason}");
}
