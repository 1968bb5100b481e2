//! A study over sites that add up equals the study on all rows in one place.

use crate::support::{
    Line, MakeStudy, every_classifier, find, lines, relative, rows, study, svm, with_subgroup,
};
use wardround_core::ids::StudyId;
use wardround_core::study::{Classes, Standardise};
use wardround_learn::recorded::{Keep, MemoryJournal, Recorded};
use wardround_learn::rows::Together;
use wardround_learn::study::{Silent, run};

const EACH: [Standardise; 3] = Standardise::EACH;

#[test]
fn the_order_of_sites_never_matters() {
    let study = with_subgroup(study(&[0.03, 1.0], &EACH));
    let pooled = rows(&lines(160, 6, 4, 11), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!(expected.targets[0].left_out.len(), 4);
    let mut together = pooled.by_site();
    for _ in 0..2 {
        together.rotate_left(1);
        let cohort = Together(together);
        assert_eq!(find(&cohort, &study, &sites, &schema).unwrap(), expected);
        together = cohort.0;
    }
}

#[test]
fn the_split_into_sites_doesnt_move_the_model() {
    let penalised: [MakeStudy; 2] = [study, svm];
    for (d, made) in [6, 70].into_iter().flat_map(|d| penalised.map(|made| (d, made))) {
        let mut study = made(&[0.3], &[Standardise::All]);
        study.validation.leave_one_site_out = false;
        let mut made = lines(200, d, 4, 12);
        let model = |made: &[Line]| {
            let rows = rows(made, &study);
            let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
            let model = found.targets[0].model.fitted.linear().unwrap();
            let mut weights = model.weights.clone();
            weights.push(model.intercept);
            weights
        };
        let four_sites = model(&made);
        made.iter_mut().for_each(|line| line.site = 0);
        let off = relative(&model(&made), &four_sites);
        assert!(off < if d == 6 { 1e-9 } else { 1e-6 }, "{d} features: {off:e}");
    }
}

#[test]
fn every_classifier_is_studied_with_several_classes_and_sites_left_out() {
    for (name, classifier) in every_classifier() {
        let mut study = study(&[1.0], &[Standardise::All]);
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        study.target.classes = Classes::OneVsRest { labels };
        study.classifiers = vec![classifier];
        let mut made = lines(240, 5, 4, 26);
        for line in &mut made {
            line.class = (line.class + 2 * u8::from(line.patient % 5 == 0)).min(2);
        }
        let rows = rows(&made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        assert_eq!(found.targets.len(), 3, "{name}");
        for target in &found.targets {
            assert_eq!(target.left_out.len(), 4, "{name}");
            let auc = crate::support::value(&target.nested.judged.one_list.auc);
            let expected = if target.class == 2 { 0.3 } else { 0.55 };
            assert!(auc > expected, "{name}, class {}: {auc}", target.class);
        }
        let together = Together(rows.by_site());
        let (sites, schema) = (found.sites.clone(), study.schema(5));
        assert_eq!(find(&together, &study, &sites, &schema).unwrap(), found, "{name}");
    }
}

#[test]
fn a_support_vector_machine_is_studied_as_any_classifier() {
    let study = svm(&[0.01, 0.3], &EACH);
    let rows = rows(&lines(200, 6, 4, 18), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    assert_eq!((found.grid.len(), found.targets[0].left_out.len()), (6, 4));
    let auc = crate::support::value(&found.targets[0].nested.judged.one_list.auc);
    let logistic = crate::support::study(&[0.01, 0.3], &EACH);
    let other = find(&rows, &logistic, &rows.sites(), rows.schema()).unwrap();
    let other = crate::support::value(&other.targets[0].nested.judged.one_list.auc);
    assert!(auc > 0.7 && (auc - other).abs() < 0.03, "{auc} beside {other}");
}

#[test]
fn a_lost_site_bubbles_up() {
    use wardround_learn::cohort::CohortError;
    use wardround_learn::study::StudyError;
    let study = study(&[1.0], &[Standardise::All]);
    let pooled = rows(&lines(90, 3, 3, 13), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let mut together = pooled.by_site();
    together.pop();
    let lost = find(&Together(together), &study, &sites, &schema).unwrap_err();
    assert_eq!(lost, StudyError::Cohort(CohortError::SiteLost(sites[2].clone())));
}

#[test]
fn every_class_is_judged_against_the_rest() {
    let mut study = study(&[1.0], &[Standardise::All]);
    let labels = vec!["0".into(), "1".into(), "2".into()];
    study.target.classes = Classes::OneVsRest { labels };
    let mut made = lines(240, 4, 3, 14);
    for line in made.iter_mut().filter(|line| line.features[1] / 0.1 > 3.3) {
        line.class = 2;
    }
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let classes: Vec<u8> = found.targets.iter().map(|target| target.class).collect();
    assert_eq!(classes, [0, 1, 2]);
    // Class 2 was made from one feature, so it is nearly separable.
    assert!(crate::support::value(&found.targets[2].nested.judged.one_list.auc) > 0.95);
    let images: u64 = found.targets.iter().map(|t| t.nested.judged.one_list.rows[1]).sum();
    assert_eq!(images, rows.len() as u64);
}

#[test]
fn repeats_are_averaged() {
    let mut study = study(&[0.1, 1.0], &[Standardise::All]);
    study.validation.repeats = 2;
    let rows = rows(&lines(160, 4, 2, 15), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let target = &found.targets[0];
    assert_eq!(target.nested.choices.len(), 10);
    assert_eq!(target.used_for_choosing[0].folds.len(), 10);
    let all = &target.nested.judged.one_list;
    assert_eq!(all.rows.iter().sum::<u64>(), rows.len() as u64);
    assert_eq!(all.confusion.iter().sum::<u64>(), rows.len() as u64);
}

#[test]
fn a_study_that_cant_be_run_says_why() {
    let mut two_folds = study(&[0.1, 1.0], &[Standardise::All]);
    two_folds.validation.folds = 2;
    let made = lines(60, 3, 2, 16);
    let cohort = rows(&made, &two_folds);
    let sites = cohort.sites();
    let error = |study: &_, sites: &[_]| {
        find(&cohort, study, sites, cohort.schema()).unwrap_err().to_string()
    };
    assert_eq!(
        error(&two_folds, &sites),
        "choosing among 2 grid points, or how many trees they have, needs at least 3 folds, this study has 2"
    );
    let one = study(&[1.0], &[Standardise::All]);
    assert_eq!(
        error(&one, &sites[..1]),
        "leaving one site out needs at least 2 sites, this study has 1"
    );
    let mut all_negative = made.clone();
    all_negative.iter_mut().for_each(|line| line.class = 0);
    let cohort = rows(&all_negative, &one);
    let error = find(&cohort, &one, &sites, cohort.schema()).unwrap_err().to_string();
    assert!(error.starts_with("the training rows without fold 1 of repeat 1 hold 0 of class '1'"));
}

#[test]
fn two_folds_and_one_grid_point_need_no_nesting() {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.folds = 2;
    let rows = rows(&lines(120, 3, 2, 17), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    assert_eq!(found.targets[0].nested.choices.len(), 2);
    assert!(crate::support::value(&found.targets[0].nested.judged.auc_within_sites) > 0.6);
}

#[test]
fn a_study_asks_little_more_than_its_slowest_fit() {
    let study = with_subgroup(study(&[0.1, 1.0, 10.0], &[Standardise::All]));
    let mut made = lines(900, 300, 4, 18);
    // Sharp labels with a few wrong, many features: the fit needs tens of rounds.
    for (at, line) in made.iter_mut().enumerate() {
        let x = |j: usize| line.features[j] / 10f64.powi(j as i32 % 5 - 2) - 3.0;
        let sharp = (0..300).map(|j| x(j) / (1.0 + j as f64)).sum::<f64>() > 0.0;
        line.class = u8::from(sharp != (at % 29 == 0));
    }
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let cost = &found.cost;
    println!("{cost:?}");
    // Folds, pairs of folds, the refit, and per left-out site its folds and refit.
    assert_eq!(cost.models, 3 * (5 + 10 + 1 + 4 * 6));
    assert!(cost.queries as f64 <= 1.5 * cost.queries_of_slowest_fit as f64, "{cost:?}");
}

#[test]
fn a_run_can_move_to_a_thread_of_its_own() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let study = study(&[1.0], &[Standardise::All]);
    let pooled = rows(&lines(90, 3, 3, 13), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let id = StudyId::parse("test").unwrap();
    let running =
        sendable(run(&pooled, &study, &id, &sites, std::slice::from_ref(&schema), &Silent));
    let here = find(&pooled, &study, &sites, &schema).unwrap();
    let there = std::thread::scope(|scope| {
        scope.spawn(move || futures::executor::block_on(running).unwrap()).join().unwrap()
    });
    assert_eq!(here, there);
}

#[test]
fn threads_and_replay_change_nothing() {
    let study = with_subgroup(study(&[0.03, 1.0], &EACH));
    let pooled = rows(&lines(160, 70, 4, 19), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let journal = MemoryJournal::default();
    let cohort = Recorded::new(pooled, &journal, Keep::Decisions);
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| find(&cohort, &study, &sites, &schema).unwrap())
    };
    let found = with_threads(1);
    assert_eq!(journal.len() as u64, found.cost.queries);
    // The questions are made from the answers with two threads, so they must be the recorded ones.
    let replayed = {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let replay = Recorded::replay_only(&journal);
        pool.install(|| find(&replay, &study, &sites, &schema).unwrap())
    };
    assert_eq!(replayed, found);
    assert_eq!(with_threads(2), found);
}

#[test]
fn columns_of_any_size_are_standardised() {
    let study = study(&[1.0], &[Standardise::All]);
    let made = lines(150, 6, 3, 20);
    let model = |made: &[Line]| {
        let rows = rows(made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        found.targets[0].model.fitted.linear().unwrap().clone()
    };
    let mut other_units = made.clone();
    for line in &mut other_units {
        let units = [1e-9, 1e6, 1e-4, 1.0, 3e5, 1e-7];
        line.features.iter_mut().zip(units).for_each(|(x, unit)| *x = *x * unit + 20.0 * unit);
        line.features.push(7.5);
        line.features.push(0.0);
    }
    let (model, in_other_units) = (model(&made), model(&other_units));
    assert!(relative(&in_other_units.weights[..6], &model.weights) < 1e-9);
    assert_eq!(in_other_units.weights[6..], [0.0, 0.0]);
    assert!((in_other_units.intercept - model.intercept).abs() < 1e-9);
}

#[test]
fn extreme_values_are_an_error_that_says_so() {
    let study = study(&[1.0], &[Standardise::All]);
    let mut made = lines(90, 3, 3, 21);
    made[5].features[1] = 1e12;
    let rows = rows(&made, &study);
    let error = find(&rows, &study, &rows.sites(), rows.schema()).unwrap_err().to_string();
    assert!(error.ends_with("are there extreme values in a feature?"), "{error}");
}
