//! Several classifiers in one study: on the same folds, each as if it were alone.

use wardround_core::ids::StudyId;
use wardround_core::study::{
    AugmentationRule, BackboneRule, Choose, ChooseBy, Classes, Family, Input, Precision,
    PreprocessRule, Search, Standardise, Study, WeightsRule,
};
use wardround_learn::findings::{Compared, Comparison, Figure, Findings, Interval};
use wardround_learn::rows::{Inputs, Together};
use wardround_learn::study::{Silent, plan, run};

use crate::support::{every_classifier, find, lines, rows, study, value, with_subgroup};

fn several() -> Study {
    let classifiers = every_classifier().into_iter().map(|(_, classifier)| classifier).collect();
    let mut study = with_subgroup(study(&[1.0], &[Standardise::All]));
    study.validation.folds = 3;
    Study { classifiers, ..study }
}

fn compared(findings: &Findings) -> &Compared {
    let Comparison::Several(compared) = &findings.comparison else { panic!("compared") };
    compared
}

#[test]
fn each_classifier_is_as_if_it_were_alone() {
    let study = several();
    let rows = rows(&lines(240, 5, 4, 51), &study);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let together = find(&rows, &study, &sites, &schema).unwrap();
    let compared = compared(&together);
    let names: Vec<&str> = compared.classifiers.iter().map(|one| one.name.as_str()).collect();
    let kinds: Vec<&str> = every_classifier().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, kinds);
    for (at, classifier) in study.classifiers.iter().enumerate() {
        let alone = Study { classifiers: vec![classifier.clone()], ..study.clone() };
        let alone = find(&rows, &alone, &sites, &schema).unwrap();
        assert_eq!(alone.comparison, Comparison::Single);
        let (one, expected) = (&compared.classifiers[at].classes[0], &alone.targets[0]);
        assert_eq!(one.nested, expected.nested, "{}", names[at]);
        assert_eq!(one.left_out, expected.left_out, "{}", names[at]);
        if at == together.combination {
            assert_eq!(together.targets, alone.targets);
        }
    }
    let best = compared.classifiers.iter().map(|one| value(&one.auc)).fold(0.0, f64::max);
    assert_eq!(compared.chosen, together.combination);
    assert_eq!(value(&compared.classifiers[compared.chosen].auc), best);
    assert_eq!(compared.differences.len(), kinds.len() * (kinds.len() - 1) / 2);
    let queries: u64 = compared.classifiers.iter().map(|one| one.cost.queries).sum();
    assert!(queries < together.cost.queries);
    for pair in compared.classifiers.windows(2) {
        assert!(pair[0].rounds[1] < pair[1].rounds[0]);
    }
}

#[test]
fn sites_that_add_up_compare_as_one_place() {
    for by in [ChooseBy::WithinSites, ChooseBy::OneList] {
        let mut study = several();
        study.validation.choose_by = by;
        study.validation.leave_one_site_out = false;
        study.classifiers.truncate(3);
        let pooled = rows(&lines(160, 5, 3, 52), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let expected = find(&pooled, &study, &sites, &schema).unwrap();
        let mut apart = pooled.by_site();
        apart.reverse();
        assert_eq!(find(&Together(apart), &study, &sites, &schema).unwrap(), expected);
    }
}

#[test]
fn noise_is_estimated_as_noise_however_many_classifiers_try() {
    let mut study = several();
    study.validation.leave_one_site_out = false;
    let mut made = lines(200, 5, 2, 53);
    for (at, line) in made.iter_mut().enumerate() {
        line.class = u8::from(at * 7919 % 13 < 6);
    }
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let Figure::Known { value, interval: Interval::Between { low, high } } =
        compared(&found).estimate
    else {
        panic!("{:?}", compared(&found).estimate)
    };
    assert!(low < 0.5 && 0.5 < high, "{value} ({low} to {high})");
    let first = crate::support::value(&compared(&found).classifiers[compared(&found).chosen].auc);
    assert!(value < first, "{value} of a first row of {first}");
    assert!(compared(&found).differences.iter().all(|d| d.p.is_some_and(|p| p > 0.01)));
}

#[test]
fn several_classes_are_chosen_by_their_mean() {
    let mut study = several();
    study.classifiers.truncate(3);
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    study.validation.leave_one_site_out = false;
    let mut made = lines(240, 5, 2, 54);
    for line in &mut made {
        line.class = (line.class + 2 * u8::from(line.patient % 5 == 0)).min(2);
    }
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let compared = compared(&found);
    assert_eq!(compared.estimate_by_class.len(), 3);
    for one in &compared.classifiers {
        let of_class = |class: &wardround_learn::findings::ComparedClass| {
            value(&class.nested.judged.auc_within_sites)
        };
        let mean = one.classes.iter().map(of_class).sum::<f64>() / 3.0;
        assert!((value(&one.auc) - mean).abs() < 1e-12);
    }
    let mean = compared.estimate_by_class.iter().map(value).sum::<f64>() / 3.0;
    assert!((value(&compared.estimate) - mean).abs() < 1e-12);
}

#[test]
fn a_classifier_that_cant_be_fitted_is_named() {
    let mut study = several();
    let rows = rows(&lines(60, 40, 2, 55), &study);
    study.classifiers.retain(|one| matches!(one.kind(), "logistic" | "lda"));
    for classifier in &mut study.classifiers {
        if let wardround_core::study::Classifier::Lda { shrinkage, .. } = classifier {
            *shrinkage = vec![0.0];
        }
    }
    let error = find(&rows, &study, &rows.sites(), rows.schema()).unwrap_err().to_string();
    assert!(error.starts_with("lda: the features of rows"), "{error}");
}

#[test]
fn every_backbone_is_an_input_of_its_own() {
    let mut study = several();
    study.classifiers.retain(|one| matches!(one.kind(), "logistic" | "lda" | "forest"));
    study.classifiers.retain(|one| one.family() != Family::Multinomial);
    study.validation.leave_one_site_out = false;
    let backbone = |name: &str| BackboneRule {
        name: name.into(),
        weights: WeightsRule::Shipped,
        preprocess: PreprocessRule::Shipped,
        precision: Precision::F32,
    };
    study.input = Input::Images {
        column: "path".into(),
        backbones: vec![backbone("blurred"), backbone("sharp")],
        augmentation: AugmentationRule::Off,
    };
    let sharp = lines(200, 6, 3, 56);
    let mut blurred = sharp.clone();
    for line in &mut blurred {
        let mean = line.features.iter().sum::<f64>() / 6.0;
        line.features = vec![mean, -line.features[5]];
    }
    let both = [rows(&blurred, &study), rows(&sharp, &study)];
    let schemas = both.each_ref().map(|rows| rows.schema().clone());
    let sites = both[0].sites();
    let id = StudyId::parse("test").unwrap();
    let alone: Vec<Findings> = both
        .iter()
        .zip(&schemas)
        .zip(["blurred", "sharp"])
        .map(|((rows, schema), name)| {
            let mut study = study.clone();
            let Input::Images { backbones, .. } = &mut study.input else { panic!("images") };
            backbones.retain(|backbone| backbone.name == name);
            find(rows, &study, &sites, schema).unwrap()
        })
        .collect();
    let cohort = Inputs(both.into());
    let found =
        futures::executor::block_on(run(&cohort, &study, &id, &sites, &schemas, &Silent)).unwrap();
    let all = compared(&found);
    let names: Vec<&str> = all.classifiers.iter().map(|one| one.name.as_str()).collect();
    let expected = ["blurred: logistic", "blurred: lda", "blurred: forest"];
    assert_eq!(names[..3], expected);
    assert_eq!(names[3], "sharp: logistic");
    let apart = alone.iter().flat_map(|findings| &compared(findings).classifiers);
    for (one, expected) in all.classifiers.iter().zip(apart) {
        assert_eq!(one.classes, expected.classes, "{}", one.name);
    }
    assert!(names[found.combination].starts_with("sharp"), "{}", names[found.combination]);
    assert_eq!(found.features, 6);
    assert_eq!(found.targets, alone[1].targets);
    let promised = plan(&study, &schemas, &sites).unwrap();
    assert_eq!(promised.combinations.len(), 6);
    assert_eq!(promised.models, found.cost.models);
    let apart = find(&cohort.0[0], &study, &sites, &schemas[0]).unwrap_err().to_string();
    assert!(apart.contains("expected rows of 2 inputs, got 1"), "{apart}");
}

#[test]
fn the_simplest_point_within_one_standard_error_is_chosen() {
    let mut study = study(&[0.001, 0.01, 0.1, 1.0, 10.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    for by in [ChooseBy::WithinSites, ChooseBy::OneList] {
        study.validation.choose_by = by;
        study.validation.choose = Choose::Best;
        let rows = rows(&lines(150, 8, 3, 57), &study);
        let best = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        study.validation.choose = Choose::OneStandardError;
        let simple = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let (best, simple) = (&best.targets[0], &simple.targets[0]);
        assert_eq!(best.used_for_choosing, simple.used_for_choosing);
        let auc = |point: usize| {
            let result = &best.used_for_choosing[point];
            let figure = match by {
                ChooseBy::WithinSites => &result.auc_within_sites,
                ChooseBy::OneList => &result.auc_one_list,
            };
            let Figure::Known { interval: Interval::Between { low, .. }, value } = figure else {
                panic!("{figure:?}")
            };
            (*value, *low)
        };
        assert!(simple.model.point < best.model.point);
        // One standard error is about half of the way to the interval's end.
        let ((most, low), (chosen, _)) = (auc(best.model.point), auc(simple.model.point));
        assert!(chosen < most && chosen > most - 0.65 * (most - low), "{most} {low} {chosen}");
        let points = simple.nested.choices.iter().zip(&best.nested.choices);
        assert!(points.clone().all(|(simple, best)| simple.point <= best.point));
    }
}

#[test]
fn a_random_search_tries_some_points_and_always_the_same() {
    let mut study = study(&[0.001, 0.01, 0.1, 1.0, 10.0, 100.0], &[Standardise::All]);
    let all = study.grid(&study.classifiers[0]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..30 {
        study.seed = wardround_core::seed::Seed(seed);
        study.validation.search = Search::Random(3);
        let some = study.grid(&study.classifiers[0]);
        assert_eq!((some.len(), &some), (3, &study.grid(&study.classifiers[0])));
        let places: Vec<usize> =
            some.iter().map(|one| all.iter().position(|point| point == one).unwrap()).collect();
        assert!(places.is_sorted());
        seen.extend(places);
    }
    assert_eq!(seen.len(), 6);
    study.validation.search = Search::Random(9);
    assert_eq!(study.grid(&study.classifiers[0]), all);
    study.validation.search = Search::Random(2);
    let rows = rows(&lines(100, 4, 2, 58), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    assert_eq!(found.grid, study.grid(&study.classifiers[0]));
}
