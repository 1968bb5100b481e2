//! Recalibration against scikit-learn, conformal sets against MAPIE, gaps between groups against fairlearn;
//! `golden/make_uncertainty.py` made the numbers and records the versions. And how often sets hold what they promise.

use std::collections::BTreeMap;

use serde::Deserialize;
use wardround_core::seed::Seed;
use wardround_core::study::ThresholdRule;
use wardround_learn::metrics::conformal::{Limits, SetCounts};
use wardround_learn::metrics::fairness::{Gap, Level, equalized_odds, gap};
use wardround_learn::metrics::judge::{CellSums, Part};
use wardround_learn::metrics::recalibrate::{Method, judged};
use wardround_learn::metrics::uncertainty::uncertainty;
use wardround_learn::metrics::{
    CalibrationSums, Confusion, PlacementSums, ScoreCell, ScoreHistogram, Threshold, Undefined,
};
use wardround_learn::study::BINS;

const RULE: ThresholdRule = ThresholdRule::Sensitivity(0.9);

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    fit: Rows,
    test: Rows,
    recalibrated: BTreeMap<String, BTreeMap<String, f64>>,
    conformal: Sets,
    fairness: Fairness,
}

#[derive(Deserialize)]
struct Rows {
    bins: Vec<usize>,
    labels: Vec<u8>,
}

#[derive(Deserialize)]
struct Sets {
    rows: [u64; 2],
    covered: [u64; 2],
    both: u64,
    neither: u64,
}

#[derive(Deserialize)]
struct Fairness {
    group: Vec<usize>,
    demographic_parity_difference: f64,
    demographic_parity_ratio: f64,
    equalized_odds_difference: f64,
    equalized_odds_ratio: f64,
    equal_opportunity_difference: f64,
    difference: BTreeMap<String, f64>,
    ratio: BTreeMap<String, f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/uncertainty.json"))
        .expect("make_uncertainty.py writes what is read here")
}

impl Rows {
    fn histogram(&self, keep: impl Fn(usize) -> bool) -> ScoreHistogram {
        let count = BINS.count as usize;
        let mut rows = [vec![0; count], vec![0; count]];
        for (at, (&bin, &label)) in self.bins.iter().zip(&self.labels).enumerate() {
            rows[usize::from(label)][bin] += u64::from(keep(at));
        }
        let [negatives, positives] = rows;
        ScoreHistogram::new(BINS, positives, negatives).expect("one count per bin")
    }
}

#[test]
fn recalibration_equals_scikit_learn() {
    for case in golden().cases {
        let (fit, test) = (case.fit.histogram(|_| true), case.test.histogram(|_| true));
        for (name, method) in
            ["nothing", "platt", "temperature", "isotonic"].into_iter().zip(Method::ALL)
        {
            let map = method.fit(&fit).unwrap();
            let got = judged(&[(map, &test)]).unwrap();
            let expected = &case.recalibrated[name];
            for (what, got) in [
                ("brier", got.brier),
                ("log_loss", got.log_loss),
                ("ece", got.ece),
                ("ece_equal_mass", got.ece_equal_mass),
            ] {
                let off = (got - expected[what]).abs();
                assert!(off < 1e-9, "{}, {name}, {what}: {got}, off by {off}", case.name);
            }
        }
    }
}

#[test]
fn what_cant_be_fitted_says_why() {
    let bins = |positives: [u64; 1], negatives: [u64; 1]| {
        let all = |at: usize, n: u64| {
            (0..1024).map(|bin| if bin == at { n } else { 0 }).collect::<Vec<u64>>()
        };
        ScoreHistogram::new(BINS, all(600, positives[0]), all(400, negatives[0])).unwrap()
    };
    for method in [Method::Platt, Method::Temperature, Method::Isotonic] {
        assert_eq!(method.fit(&bins([0], [5])), Err(Undefined::NoPositives));
        assert_eq!(method.fit(&bins([5], [0])), Err(Undefined::NoNegatives));
    }
    // A threshold separates the classes: no slope is steep enough.
    assert_eq!(Method::Platt.fit(&bins([5], [5])), Err(Undefined::Separated));
    assert_eq!(Method::Temperature.fit(&bins([5], [5])), Err(Undefined::Separated));
    // Isotonic regression says so, but never 0 or 1: half a row of ten.
    let map = Method::Isotonic.fit(&bins([5], [5])).unwrap();
    assert_eq!((map[0], map[1023]), (0.05, 0.95));
    assert!(map.is_sorted());
    assert_eq!(judged(&[]), Err(Undefined::NoRows));
}

#[test]
fn conformal_sets_equal_mapies() {
    for case in golden().cases {
        let (fit, test) = (case.fit.histogram(|_| true), case.test.histogram(|_| true));
        let got = Limits::together(&fit, 0.9).count(&test);
        let Sets { rows, covered, both, neither } = case.conformal;
        assert_eq!(got, SetCounts { rows, covered, both, neither }, "{}", case.name);
    }
}

#[test]
fn gaps_equal_fairlearns() {
    for Case { name, test, fairness, .. } in golden().cases {
        let half = Threshold::nearest(BINS, 0.5).unwrap();
        let groups = 1 + fairness.group.iter().max().unwrap();
        let calls: Vec<Confusion> = (0..groups)
            .map(|group| {
                let rows = test.histogram(|at| fairness.group[at] == group);
                Confusion::at(&rows, &half).unwrap()
            })
            .collect();
        let levels = |of: fn(&Confusion) -> Result<f64, Undefined>| -> Vec<Level<'static>> {
            let level = |calls| Level { value: of(calls).unwrap(), error: Some(0.01), dealt: &[] };
            calls.iter().map(level).collect()
        };
        let close = |what: &str, got: f64, expected: f64| {
            assert!((got - expected).abs() < 1e-12, "{name}, {what}: {got} for {expected}");
        };
        for (what, of) in [
            ("sensitivity", Confusion::sensitivity as fn(&Confusion) -> Result<f64, Undefined>),
            ("specificity", Confusion::specificity),
            ("selection_rate", Confusion::selection_rate),
            ("accuracy_score", Confusion::accuracy),
        ] {
            let Gap { difference, ratio, .. } = gap(&levels(of)).unwrap();
            close(what, difference, fairness.difference[what]);
            close(what, ratio.unwrap(), fairness.ratio[what]);
        }
        let selected = gap(&levels(Confusion::selection_rate)).unwrap();
        close("parity", selected.difference, fairness.demographic_parity_difference);
        close("parity ratio", selected.ratio.unwrap(), fairness.demographic_parity_ratio);
        let odds = equalized_odds(&levels(Confusion::sensitivity), &levels(Confusion::specificity));
        let odds = odds.unwrap();
        close("odds", odds.difference, fairness.equalized_odds_difference);
        close("odds ratio", odds.ratio.unwrap(), fairness.equalized_odds_ratio);
        let opportunity = gap(&levels(Confusion::sensitivity)).unwrap();
        close("opportunity", opportunity.difference, fairness.equal_opportunity_difference);
    }
}

/// Exchangeable rows: logits of two overlapping classes.
fn drawn(seed: u64, n: usize) -> ScoreHistogram {
    let mut histogram = ScoreHistogram::empty(BINS);
    for at in 0..n {
        let uniform = |what: &str| Seed(seed).uniform(what, &[&at.to_le_bytes()]);
        let positive = uniform("class") < 0.3;
        let noise = uniform("a") + uniform("b") + uniform("c") - 1.5;
        histogram.add(3.0 * noise + if positive { 0.6 } else { -1.0 }, positive);
    }
    histogram
}

#[test]
fn sets_hold_the_right_class_as_often_as_they_promise() {
    let (mut together, mut by_class) = (SetCounts::default(), SetCounts::default());
    for seed in 0..400 {
        let (fit, test) = (drawn(seed, 250), drawn(seed + 10_000, 250));
        together.merge(&Limits::together(&fit, 0.9).count(&test));
        by_class.merge(&Limits::by_class(&fit, 0.9).count(&test));
    }
    let share = |covered: u64, rows: u64| covered as f64 / rows as f64;
    let all = |sets: &SetCounts| share(sets.covered.iter().sum(), sets.rows.iter().sum());
    let of = |sets: &SetCounts, class: usize| share(sets.covered[class], sets.rows[class]);
    println!("{} {} {} {}", all(&together), all(&by_class), of(&together, 1), of(&by_class, 1));
    assert!((all(&together) - 0.9).abs() < 0.01, "{}", all(&together));
    // Together they may hold one class less often, class by class neither.
    assert!((of(&together, 1) - of(&together, 0)).abs() > 0.02);
    for class in 0..2 {
        // 75 positive rows: at least 69 of 76.
        assert!((of(&by_class, class) - 0.9).abs() < 0.02, "{}", of(&by_class, class));
    }
}

#[test]
fn nothing_is_judged_on_the_fold_it_was_learned_from() {
    let part = |histogram: ScoreHistogram| Part {
        cell: ScoreCell { histogram, calibration: CalibrationSums::empty() },
        threshold: Threshold::nearest(BINS, 0.5).unwrap(),
    };
    let sums = |parts: Vec<Part>| CellSums { parts, placements: PlacementSums::default() };
    let folds: Vec<ScoreHistogram> = (0..4).map(|seed| drawn(seed, 200)).collect();
    let of = |folds: &[ScoreHistogram]| {
        let all = sums(folds.iter().cloned().map(part).collect());
        uncertainty(RULE, &all, std::slice::from_ref(&all), &[vec![all.clone()]]).unwrap()
    };
    let found = of(&folds);
    // One site and one level that hold all rows.
    let [together, by_class, by_level] = found.conformal.as_slice() else { panic!("three kinds") };
    assert_eq!(together.by_site[0], together.all);
    assert_eq!(by_level.all, together.all);
    assert_ne!(by_class.all, together.all);
    // A site's own threshold keeps what the rule asks for on rows that had no part in it, about; the common one of .5 doesn't.
    let [tp, fp, tn, fn_] = found.own_thresholds[0].calls[0];
    let sensitivity = tp as f64 / (tp + fn_) as f64;
    assert!((sensitivity - 0.9).abs() < 0.06, "{sensitivity}");
    assert_eq!(tp + fp + tn + fn_, 800);
    assert_eq!(found.own_thresholds[1].calls, found.own_thresholds[0].calls);
    // Fold 0's labels exchanged: only limits and maps of the other folds move, and those of fold 0 judge it.
    let mut planted = folds.clone();
    planted[0] =
        ScoreHistogram::new(BINS, folds[0].negatives().to_vec(), folds[0].positives().to_vec())
            .unwrap();
    let others = ScoreHistogram::merged(&folds[1..]).unwrap();
    let of_fold = Limits::together(&others, 0.9).count(&planted[0]);
    let mut expected = of_fold;
    for out in 1..4 {
        let rest = planted.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, one)| one);
        let limits = Limits::together(&ScoreHistogram::merged(rest).unwrap(), 0.9);
        expected.merge(&limits.count(&planted[out]));
    }
    assert_eq!(of(&planted).conformal[0].all, expected);
    assert!(of_fold.covered[1] * 10 < of_fold.rows[1] * 9, "{of_fold:?}");
}

#[test]
fn the_rows_nearest_to_the_threshold_are_left_out_first() {
    let found = {
        let histogram = drawn(5, 1000);
        let half = Part {
            cell: ScoreCell { histogram, calibration: CalibrationSums::empty() },
            threshold: Threshold::nearest(BINS, 0.4).unwrap(),
        };
        let all =
            CellSums { parts: vec![half.clone(), half], placements: PlacementSums::default() };
        uncertainty(RULE, &all, &[], &[]).unwrap().kept
    };
    let kept = |at: usize| found[at].calls.iter().sum::<u64>();
    assert_eq!((kept(0), found[0].rows), (2000, 2000));
    for (at, share) in [(1, 0.9), (3, 0.7), (5, 0.5)] {
        let most = (share * 2000.0) as u64;
        assert!(kept(at) <= most && kept(at) + 40 > most, "{} of {most}", kept(at));
    }
    let right = |at: usize| {
        let [tp, _, tn, _] = found[at].calls;
        (tp + tn) as f64 / kept(at) as f64
    };
    assert!(right(0) + 0.05 < right(3) && right(3) + 0.03 < right(5));
}
