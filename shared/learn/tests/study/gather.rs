//! Feature-rows mode: rows come to one place, and the same learners run on them.

use wardround_core::ids::StudyId;
use wardround_core::study::{Mode, Standardise, Study};
use wardround_learn::recorded::{Keep, MemoryJournal, Recorded};
use wardround_learn::rows::{Rows, Together};
use wardround_learn::study::{Silent, run};

use crate::support::{every_classifier, find, lines, relative, rows, study, with_subgroup};

fn on_rows(study: &Study) -> Study {
    let mut study = study.clone();
    study.federation.mode = Mode::FeatureRows;
    study
}

fn made(study: &Study, missing: bool) -> Rows {
    let mut made = lines(160, 6, 4, 11);
    if missing {
        made.iter_mut().step_by(7).for_each(|line| line.features[2] = f64::NAN);
    }
    rows(&made, study)
}

#[test]
fn what_comes_is_what_the_sites_have() {
    for missing in [false, true] {
        let sums = with_subgroup(study(&[0.3], &[Standardise::All]));
        let pooled = made(&sums, missing);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let expected = find(&pooled, &sums, &sites, &schema).unwrap();
        let together = Together(pooled.by_site());
        let found = find(&together, &on_rows(&sums), &sites, &schema).unwrap();
        // The final model has no part in folds, which are dealt by other keys.
        let [a, b] = [&found, &expected].map(|f| f.targets[0].model.fitted.linear().unwrap());
        assert!(relative(&a.weights, &b.weights) < 1e-9, "{missing}");
        assert_eq!(found.profile, expected.profile);
        // The counts, then every site once.
        assert_eq!((found.cost.queries, found.cost.fitting_queries), (5, 0));
    }
}

#[test]
fn one_place_and_many_give_the_same() {
    let mut study = with_subgroup(study(&[0.03, 1.0], &[Standardise::All, Standardise::Site]));
    study.classifiers.extend(every_classifier().into_iter().map(|(_, one)| one).skip(2).take(2));
    let study = on_rows(&study);
    let pooled = made(&study, false);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!(find(&Together(pooled.by_site()), &study, &sites, &schema).unwrap(), expected);
}

#[test]
fn a_journal_holds_the_rows_and_a_replay_asks_nobody() {
    let study = on_rows(&study(&[0.3], &[Standardise::All]));
    let pooled = made(&study, false);
    let (sites, schemas) = (pooled.sites(), vec![pooled.schema().clone()]);
    let id = StudyId::parse("rows").unwrap();
    let asked = Recorded::new(pooled, MemoryJournal::default(), Keep::Decisions);
    let go = |cohort| {
        futures::executor::block_on(run(cohort, &study, &id, &sites, &schemas, &Silent)).unwrap()
    };
    let expected = go(&asked);
    assert_eq!(expected.cost.queries, 5);
    assert_eq!(asked.journal().len(), 5);
    assert_eq!(go(&asked), expected);
    assert_eq!(asked.journal().len(), 5);
}
