//! Each site's own model beside the federated one.

use wardround_core::ids::SiteId;
use wardround_core::query::{Query, Unfit};
use wardround_core::study::{
    Balance, Classes, Classifier, MultiClass, OwnSiteBaseline, Reduction, Standardise, Study,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{
    Figure, Figures, Findings, Interval, OwnModel, OwnSite, OwnSites, OwnSitesOfClass,
};
use wardround_learn::rows::{Rows, Together};

use crate::support::{
    Line, every_classifier, find, keep_one_positive, lines, noise, rows, study, value,
    with_subgroup,
};

fn asked(study: Study) -> Study {
    let mut study = study;
    study.validation.leave_one_site_out = false;
    study.validation.own_site_baseline = OwnSiteBaseline::On;
    study
}

fn classes(found: &Findings) -> &[OwnSitesOfClass] {
    let OwnSites::Asked { classes, .. } = &found.own_sites else { panic!("asked for") };
    classes
}

fn model(one: &OwnSite) -> &OwnModel {
    let OwnSite::Fitted(model) = one else { panic!("{one:?}") };
    model
}

/// All but rounding: sums are rounded at the scale of all sites' rows, not of the site's own.
fn close(got: &Figures, expected: &Figures, what: &str) {
    assert_eq!(got.patients, expected.patients, "{what}");
    assert_eq!(got.rows, expected.rows, "{what}");
    assert_eq!(got.confusion, expected.confusion, "{what}");
    assert_eq!(got.roc, expected.roc, "{what}");
    let numbers = |figures: &Figures| {
        let each = [
            &figures.auc,
            &figures.sensitivity,
            &figures.specificity,
            &figures.brier,
            &figures.ece,
        ];
        let ends = |figure: &Figure| match figure {
            Figure::Known { value, interval: Interval::Between { low, high } } => {
                vec![*value, *low, *high]
            }
            other => vec![value(other)],
        };
        each.into_iter().flat_map(ends).collect::<Vec<f64>>()
    };
    for (a, b) in numbers(got).into_iter().zip(numbers(expected)) {
        assert!((a - b).abs() < 1e-9, "{what}: {a} and {b}");
    }
}

#[test]
fn own_figures_are_those_of_a_study_on_the_sites_rows_alone() {
    for (name, classifier) in every_classifier() {
        let classifier = match classifier {
            // A grid, so that there is something to choose inside the folds.
            Classifier::Logistic { .. } => Classifier::Logistic {
                l1_ratio: vec![0.0],
                multi_class: MultiClass::OneVsRest,
                c: vec![0.01, 0.3, 10.0],
                standardise: vec![Standardise::All, Standardise::Site],
                balance: vec![Balance::None, Balance::Weights],
                reduce: vec![Reduction::None],
            },
            other => other,
        };
        let mut study = asked(with_subgroup(study(&[1.0], &[Standardise::All])));
        study.classifiers = vec![classifier];
        study.validation.repeats = if name == "logistic" { 2 } else { 1 };
        let pooled = rows(&lines(280, 5, 3, 61), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let found = find(&pooled, &study, &sites, &schema).unwrap();
        let mut alone = study.clone();
        alone.validation.own_site_baseline = OwnSiteBaseline::Off;
        for (rows, own) in pooled.by_site().into_iter().zip(&classes(&found)[0].sites) {
            let expected = find(&rows, &alone, &rows.sites(), &schema).unwrap();
            let expected = &expected.targets[0].nested.judged.by_site[0];
            close(&model(own).own, expected, &format!("{name} at {}", rows.sites()[0]));
        }
        for (at, own) in classes(&found)[0].sites.iter().enumerate() {
            let OwnModel { own, federated, gain } = model(own);
            assert_eq!(*federated, found.targets[0].nested.judged.by_site[at].auc);
            assert!((value(federated) - value(&own.auc) - value(gain)).abs() < 1e-12);
            let Figure::Known { value, interval: Interval::Between { low, high } } = gain else {
                panic!("{name}: {gain:?}");
            };
            assert!(low < value && value < high);
        }
    }
}

#[test]
fn sites_that_add_up_answer_as_one_place() {
    let mut study = asked(with_subgroup(study(&[0.1, 1.0], &[Standardise::Site])));
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    study.classifiers = every_classifier().into_iter().map(|(_, one)| one).take(3).collect();
    let mut made = lines(280, 5, 4, 62);
    for line in &mut made {
        line.class = (line.class + 2 * u8::from(line.patient % 5 == 0)).min(2);
    }
    let pooled = rows(&made, &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!(classes(&expected).len(), 3);
    assert!(classes(&expected).iter().all(|class| class.sites.len() == 4));
    let mut apart = pooled.by_site();
    apart.rotate_left(1);
    assert_eq!(find(&Together(apart), &study, &sites, &schema).unwrap(), expected);
}

#[test]
fn a_study_that_doesnt_ask_finds_what_it_found_before() {
    let with = asked(study(&[0.1, 1.0], &[Standardise::All]));
    let mut without = with.clone();
    without.validation.own_site_baseline = OwnSiteBaseline::Off;
    let rows = rows(&lines(160, 4, 3, 63), &with);
    let [with, without] =
        [&with, &without].map(|study| find(&rows, study, &rows.sites(), rows.schema()).unwrap());
    assert_eq!(with.targets, without.targets);
    assert_eq!(with.cost.queries, without.cost.queries + 1);
    let text = serde_json::to_string(&without).unwrap();
    assert!(!text.contains("own_sites"));
    let text = serde_json::to_string(&with).unwrap();
    let read: Findings = serde_json::from_str(&text).unwrap();
    // The last digit of a number read from JSON may differ.
    assert_eq!(classes(&read)[0].sites.len(), 3);
    let federated = |found: &Findings| value(&model(&classes(found)[0].sites[1]).federated);
    assert!((federated(&read) - federated(&with)).abs() < 1e-15);
}

/// Site 0 is small and a quarter of its labels are noise, site 1's scores mean the opposite, the others agree.
fn planted() -> Vec<Line> {
    let site = |patient: usize| match patient % 10 {
        0 => 0,
        1..=3 => 1,
        4..=6 => 2,
        _ => 3,
    };
    let line = |patient: usize| {
        let features: Vec<f64> = (0..12).map(|j| noise(patient as u64, j, 64)).collect();
        let draw = (noise(patient as u64, 0, 65) + 1.0) / 2.0;
        let logit = 4.0 * (features[0] - features[5] + features[9]);
        let mut class = u8::from(draw < 1.0 / (1.0 + (-logit).exp()));
        if site(patient) == 1 || site(patient) == 0 && noise(patient as u64, 1, 66) < -0.5 {
            class = 1 - class;
        }
        Line { site: site(patient), patient, class, level: 0, features }
    };
    (0..600).map(line).collect()
}

#[test]
fn joining_helps_a_small_site_and_hurts_one_that_is_unlike_the_others() {
    let study = asked(study(&[0.1, 1.0], &[Standardise::All]));
    let rows = rows(&planted(), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let gains: Vec<f64> =
        classes(&found)[0].sites.iter().map(|site| value(&model(site).gain)).collect();
    assert!(gains[0] > 0.03, "{gains:?}");
    assert!(gains[1] < -0.3, "{gains:?}");
    assert!(gains[2].abs() < 0.1 && gains[3].abs() < 0.1, "{gains:?}");
    let Figure::Known { interval: Interval::Between { high, .. }, .. } =
        model(&classes(&found)[0].sites[1]).gain
    else {
        panic!("an interval");
    };
    assert!(high < 0.0);
}

#[test]
fn a_site_that_cant_be_fitted_says_why_and_the_study_goes_on() {
    let study = asked(study(&[1.0], &[Standardise::All]));
    let mut made = lines(240, 4, 4, 67);
    keep_one_positive(&mut made, 2);
    let pooled = rows(&made, &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let found = find(&pooled, &study, &sites, &schema).unwrap();
    let of = |at: usize| &classes(&found)[0].sites[at];
    assert_eq!(*of(2), OwnSite::Unfit { reason: Unfit::OneClass });
    assert!([0, 1, 3].iter().all(|&at| matches!(of(at), OwnSite::Fitted(_))));
    assert_eq!(find(&Together(pooled.by_site()), &study, &sites, &schema).unwrap(), found);
}

/// Rows that nobody waits for any more once the long question comes.
struct Impatient(Rows);

impl Cohort for Impatient {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let left = std::sync::atomic::AtomicU32::new(5);
        let wanted = || left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 1;
        self.0.answer_while(query, &wanted)
    }
}

#[test]
fn a_long_answer_that_isnt_wanted_any_more_stops() {
    let study = asked(study(&[1.0], &[Standardise::All]));
    let rows = rows(&lines(160, 4, 2, 68), &study);
    let (sites, schema): (Vec<SiteId>, _) = (rows.sites(), rows.schema().clone());
    let stopped = find(&Impatient(rows), &study, &sites, &schema).unwrap_err();
    assert_eq!(stopped, CohortError::Aborted.into());
}
