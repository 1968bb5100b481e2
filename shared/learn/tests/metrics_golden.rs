//! Metrics against scikit-learn, statsmodels and the definitions of DeLong and Obuchowski;
//! `golden/make_metrics.py` made the numbers and records the versions.

mod metrics_support;

use metrics_support::{BINS, Row, cell, placements};
use serde::Deserialize;
use wardround_learn::metrics::decision::net_benefit;
use wardround_learn::metrics::interval::{
    auc_interval, clustered_variance, delong_variance, wilson, within_sites_variance,
};
use wardround_learn::metrics::random_effects::{SiteAuc, random_effects};
use wardround_learn::metrics::ranking::{
    auc_within_sites, average_precision, binning_error, roc_auc, roc_curve, site_only_auc,
};
use wardround_learn::metrics::recalibration::{calibration_in_the_large, calibration_line};
use wardround_learn::metrics::threshold::{fixed_sensitivity, fixed_specificity, youden};
use wardround_learn::metrics::{Confusion, ScoreHistogram, Threshold};

#[derive(Deserialize)]
struct Golden {
    bins: GoldenBins,
    cases: Vec<Case>,
    sites: Sites,
    wilson: Vec<Proportion>,
}

#[derive(Deserialize)]
struct GoldenBins {
    half_width: f64,
    count: u32,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    logit: Vec<f64>,
    label: Vec<u8>,
    patient: Vec<usize>,
    roc_auc: f64,
    average_precision: f64,
    roc_auc_unbinned: f64,
    roc_curve: Vec<[f64; 2]>,
    delong: f64,
    obuchowski: Clustered,
    auc_interval: [f64; 2],
    brier_score_loss: f64,
    log_loss: f64,
    ece: f64,
    reliability: Reliability,
    calibration: Calibration,
    line: Line,
    line_unbinned: Line,
    net_benefit: Benefit,
    thresholds: Thresholds,
    at_half: Calls,
    at_youden: Calls,
}

#[derive(Deserialize)]
struct Clustered {
    patients: u64,
    with_positive: u64,
    with_negative: u64,
    s10: f64,
    s01: f64,
    s11: f64,
    variance: f64,
}

#[derive(Deserialize)]
struct Reliability {
    rows: Vec<u64>,
    mean_y: Vec<f64>,
    mean_score: Vec<f64>,
}

#[derive(Deserialize)]
struct Calibration {
    maximum: f64,
    if_calibrated: f64,
    reliability: f64,
    resolution: f64,
    uncertainty: f64,
}

#[derive(Deserialize)]
struct Benefit {
    model: Vec<f64>,
    all: Vec<f64>,
}

#[derive(Deserialize)]
struct Line {
    intercept: f64,
    slope: f64,
    in_the_large: f64,
}

#[derive(Deserialize)]
struct Thresholds {
    youden: usize,
    sensitivity_90: usize,
    specificity_90: usize,
}

#[derive(Deserialize)]
struct Calls {
    tp: u64,
    fp: u64,
    tn: u64,
    #[serde(rename = "fn")]
    fn_: u64,
    sensitivity: f64,
    specificity: f64,
    ppv: f64,
    npv: f64,
    accuracy: f64,
    balanced_accuracy: f64,
    f1: f64,
    matthews: f64,
    kappa: f64,
    lift: f64,
    selection_rate: f64,
}

#[derive(Deserialize)]
struct Sites {
    sites: Vec<String>,
    auc_within_sites: f64,
    variance: f64,
    site_only_auc: f64,
    one_list_auc: f64,
}

#[derive(Deserialize)]
struct Proportion {
    k: u64,
    n: u64,
    low: f64,
    high: f64,
}

impl Case {
    fn rows(&self) -> Vec<Row> {
        let labelled = self.logit.iter().zip(&self.label).zip(&self.patient);
        labelled.map(|((&logit, &y), &patient)| Row { logit, positive: y == 1, patient }).collect()
    }
}

fn golden() -> Golden {
    let golden: Golden = serde_json::from_str(include_str!("golden/metrics.json"))
        .expect("golden/metrics.json has the shape that make_metrics.py writes");
    assert_eq!((golden.bins.half_width, golden.bins.count), (BINS.half_width, BINS.count));
    assert_eq!(golden.cases.len(), 6);
    golden
}

#[track_caller]
fn close(case: &str, what: &str, ours: f64, theirs: f64) {
    let tolerance = 1e-12 * theirs.abs().max(1e-2);
    assert!((ours - theirs).abs() <= tolerance, "{case}: {what} is {theirs}, got {ours}");
}

#[test]
fn ranking_equals_scikit_learn() {
    for case in golden().cases {
        let h = cell(&case.rows()).histogram;
        let auc = roc_auc(&h).unwrap();
        close(&case.name, "roc_auc_score", auc, case.roc_auc);
        let precision = average_precision(&h).unwrap();
        close(&case.name, "average_precision_score", precision, case.average_precision);
        let off = (auc - case.roc_auc_unbinned).abs();
        assert!(off < 5e-4, "{}: binning moves the AUC by {off}", case.name);
        assert!(off <= binning_error(&h).unwrap() + 1e-15);
    }
}

#[test]
fn the_curve_is_scikit_learns_less_points_on_lines() {
    for case in golden().cases {
        let curve = roc_curve(&cell(&case.rows()).histogram).unwrap();
        let same = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-12;
        assert!(same(&curve[0], &[0.0, 0.0]) && same(&curve[curve.len() - 1], &[1.0, 1.0]));
        assert!(curve.windows(2).all(|w| w[0][0] <= w[1][0] && w[0][1] <= w[1][1]));
        assert!(curve.len() < case.roc_curve.len(), "{}: nothing thinned", case.name);
        for point in &curve {
            assert!(case.roc_curve.iter().any(|theirs| same(point, theirs)), "{point:?}");
        }
        for [x, y] in &case.roc_curve {
            let on_it = curve.windows(2).any(|w| {
                let ([ax, ay], [bx, by]) = (w[0], w[1]);
                let inside =
                    ax - 1e-12 <= *x && *x <= bx + 1e-12 && ay - 1e-12 <= *y && *y <= by + 1e-12;
                inside && ((bx - ax) * (y - ay) - (by - ay) * (x - ax)).abs() < 1e-12
            });
            assert!(on_it, "{}: ({x}, {y}) is off the curve", case.name);
        }
        let area: f64 =
            curve.windows(2).map(|w| (w[1][0] - w[0][0]) * (w[0][1] + w[1][1]) / 2.0).sum();
        close(&case.name, "area", area, case.roc_auc);
    }
}

#[test]
fn variances_equal_the_definitions() {
    for case in golden().cases {
        let rows = case.rows();
        let h = cell(&rows).histogram;
        let (name, theirs) = (&case.name, &case.obuchowski);
        close(name, "DeLong's variance", delong_variance(&h).unwrap(), case.delong);
        let sums = placements(&rows, &h);
        assert_eq!(sums.with_positive, theirs.with_positive);
        assert_eq!(sums.with_negative, theirs.with_negative);
        close(name, "s10", sums.s10, theirs.s10);
        close(name, "s01", sums.s01, theirs.s01);
        close(name, "s11", sums.s11, theirs.s11);

        // We take the number of patients in the last term to be the end of its range that makes the
        // variance larger; the paper knows the number.
        let (i10, i01) = (theirs.with_positive, theirs.with_negative);
        let i = if theirs.s11 > 0.0 { i10.max(i01) } else { i10 + i01 };
        let unbias = |i: u64| i as f64 / (i as f64 - 1.0);
        let pairs = h.positive_rows() as f64 * h.negative_rows() as f64;
        let more = 2.0 * theirs.s11 / pairs * (unbias(i) - unbias(theirs.patients));
        let variance = clustered_variance(&h, &sums).unwrap();
        close(name, "Obuchowski's variance", variance, theirs.variance + more);
        assert!((0.0..0.02 * theirs.variance).contains(&more), "{name}: {more}");

        let [low, high] = auc_interval(case.roc_auc, theirs.variance).unwrap();
        close(name, "lower end", low, case.auc_interval[0]);
        close(name, "upper end", high, case.auc_interval[1]);
    }
}

#[test]
fn clustered_by_single_rows_is_delong() {
    let cases = golden().cases;
    let single: Vec<_> =
        cases.iter().filter(|case| case.obuchowski.patients == case.label.len() as u64).collect();
    assert_eq!(single.len(), 3);
    for case in single {
        let rows = case.rows();
        let h = cell(&rows).histogram;
        let clustered = clustered_variance(&h, &placements(&rows, &h)).unwrap();
        close(&case.name, "variance", clustered, delong_variance(&h).unwrap());
    }
}

#[test]
fn calibration_equals_scikit_learn() {
    for case in golden().cases {
        let sums = cell(&case.rows()).calibration;
        let name = &case.name;
        close(name, "brier_score_loss", sums.brier_score().unwrap(), case.brier_score_loss);
        close(name, "log_loss", sums.log_loss().unwrap(), case.log_loss);
        close(name, "ECE", sums.expected_calibration_error().unwrap(), case.ece);
        let theirs = &case.calibration;
        let parts = sums.brier_parts().unwrap();
        close(name, "MCE", sums.maximum_calibration_error().unwrap(), theirs.maximum);
        close(name, "chance's ECE", sums.error_if_calibrated().unwrap(), theirs.if_calibrated);
        close(name, "reliability", parts.reliability, theirs.reliability);
        close(name, "resolution", parts.resolution, theirs.resolution);
        close(name, "uncertainty", parts.uncertainty, theirs.uncertainty);
        let curve = sums.reliability();
        assert_eq!(curve.iter().map(|bin| bin.rows).collect::<Vec<_>>(), case.reliability.rows);
        for (at, bin) in curve.iter().enumerate() {
            let share = bin.positives as f64 / bin.rows as f64;
            close(name, "mean of y", share, case.reliability.mean_y[at]);
            close(name, "mean of p", bin.mean_score, case.reliability.mean_score[at]);
        }
    }
}

#[test]
fn net_benefits_are_dcurves() {
    for case in golden().cases {
        let sums = cell(&case.rows()).calibration;
        let count = |bins: &[[u64; 2]], class: usize| bins.iter().map(|bin| bin[class]).sum();
        let all: [u64; 2] = [count(&sums.rows, 0), count(&sums.rows, 1)];
        let rows = all[0] + all[1];
        assert_eq!(case.net_benefit.model.len(), sums.rows.len() - 1);
        let theirs = case.net_benefit.model.iter().zip(&case.net_benefit.all);
        for (from, (model, of_all)) in (1..).zip(theirs) {
            let threshold = from as f64 / sums.rows.len() as f64;
            let called = &sums.rows[from..];
            let ours = net_benefit(count(called, 1), count(called, 0), rows, threshold).unwrap();
            close(&case.name, "net benefit", ours, *model);
            let ours = net_benefit(all[1], all[0], rows, threshold).unwrap();
            close(&case.name, "net benefit of calling all", ours, *of_all);
        }
    }
}

#[test]
fn calibration_lines_equal_statsmodels() {
    for case in golden().cases {
        let h = cell(&case.rows()).histogram;
        let ([intercept, slope], shift) =
            (calibration_line(&h).unwrap(), calibration_in_the_large(&h).unwrap());
        let theirs = &case.line;
        for (what, ours, theirs, unbinned) in [
            ("intercept", intercept, theirs.intercept, case.line_unbinned.intercept),
            ("slope", slope, theirs.slope, case.line_unbinned.slope),
            ("shift", shift, theirs.in_the_large, case.line_unbinned.in_the_large),
        ] {
            let off = (ours - theirs).abs();
            assert!(off < 1e-9, "{}: {what} is {theirs}, got {ours}", case.name);
            let moved = (ours - unbinned).abs();
            assert!(moved < 0.012, "{}: bins move the {what} by {moved}", case.name);
        }
    }
}

#[derive(Deserialize)]
struct GoldenEffects {
    cases: Vec<EffectsCase>,
}

#[derive(Deserialize)]
struct EffectsCase {
    name: String,
    auc: Vec<f64>,
    interval: Vec<[f64; 2]>,
    mean: f64,
    ends: [f64; 2],
    prediction: Option<[f64; 2]>,
    tau: f64,
    i_squared: f64,
}

#[test]
fn random_effects_equal_metafors_formulas() {
    let golden: GoldenEffects = serde_json::from_str(include_str!("golden/random_effects.json"))
        .expect("golden/random_effects.json has the shape that make_random_effects.py writes");
    for case in golden.cases {
        let sites = case.auc.iter().zip(&case.interval);
        let sites: Vec<SiteAuc> =
            sites.map(|(&auc, &interval)| SiteAuc { auc, interval }).collect();
        let found = random_effects(&sites).unwrap();
        // The maximum is flat: a search of the likelihood finds it to the root of its precision.
        let near = |what: &str, ours: f64, theirs: f64| {
            assert!((ours - theirs).abs() < 2e-6, "{}: {what} is {theirs}, got {ours}", case.name);
        };
        near("the mean", found.mean, case.mean);
        near("tau", found.tau, case.tau);
        near("I squared", found.i_squared, case.i_squared);
        (0..2).for_each(|end| near("an end", found.interval[end], case.ends[end]));
        assert_eq!(found.prediction.ok().is_some(), case.prediction.is_some(), "{}", case.name);
        if let (Ok(ours), Some(theirs)) = (found.prediction, case.prediction) {
            (0..2).for_each(|end| near("an end of the prediction", ours[end], theirs[end]));
        }
    }
}

#[test]
fn thresholds_and_calls_equal_scikit_learn() {
    for case in golden().cases {
        let h = cell(&case.rows()).histogram;
        let chosen = youden(&h).unwrap();
        assert_eq!(chosen.bin(), case.thresholds.youden, "{}", case.name);
        let sensitive = fixed_sensitivity(&h, 0.9).unwrap();
        assert_eq!(sensitive.bin(), case.thresholds.sensitivity_90, "{}", case.name);
        let specific = fixed_specificity(&h, 0.9).unwrap();
        assert_eq!(specific.bin(), case.thresholds.specificity_90, "{}", case.name);
        // A threshold is a probability that calls the scores themselves as the histogram does.
        for (threshold, theirs) in
            [(Threshold::nearest(BINS, 0.5).unwrap(), &case.at_half), (chosen, &case.at_youden)]
        {
            let ours = Confusion::at(&h, &threshold).unwrap();
            let expected =
                Confusion { tp: theirs.tp, fp: theirs.fp, tn: theirs.tn, fn_: theirs.fn_ };
            assert_eq!(ours, expected, "{}", case.name);
            for (what, ours, theirs) in [
                ("sensitivity", ours.sensitivity(), theirs.sensitivity),
                ("specificity", ours.specificity(), theirs.specificity),
                ("ppv", ours.ppv(), theirs.ppv),
                ("npv", ours.npv(), theirs.npv),
                ("accuracy", ours.accuracy(), theirs.accuracy),
                ("balanced accuracy", ours.balanced_accuracy(), theirs.balanced_accuracy),
                ("f1", ours.f1(), theirs.f1),
                ("Matthews", ours.matthews(), theirs.matthews),
                ("kappa", ours.kappa(), theirs.kappa),
                ("lift", ours.lift(), theirs.lift),
                ("selection rate", ours.selection_rate(), theirs.selection_rate),
            ] {
                close(&case.name, what, ours.unwrap(), theirs);
            }
            let unbinned = case.rows().iter().fold(Confusion::default(), |mut all, row| {
                let called = 1.0 / (1.0 + (-row.logit).exp()) >= threshold.probability();
                match (called, row.positive) {
                    (true, true) => all.tp += 1,
                    (true, false) => all.fp += 1,
                    (false, true) => all.fn_ += 1,
                    (false, false) => all.tn += 1,
                }
                all
            });
            assert_eq!(unbinned, ours, "{}", case.name);
        }
    }
}

#[test]
fn sites_equal_the_weighted_sums() {
    let Golden { cases, sites, .. } = golden();
    let chosen: Vec<_> = sites
        .sites
        .iter()
        .map(|name| cases.iter().find(|case| case.name == *name).unwrap().rows())
        .map(|rows| {
            let histogram = cell(&rows).histogram;
            let sums = placements(&rows, &histogram);
            (histogram, sums)
        })
        .collect();
    let histograms: Vec<ScoreHistogram> = chosen.iter().map(|(h, _)| h.clone()).collect();
    let counts: Vec<_> =
        histograms.iter().map(|h| [h.negative_rows(), h.positive_rows()]).collect();
    let one_list = ScoreHistogram::merged(&histograms).unwrap();
    close("sites", "within", auc_within_sites(&histograms).unwrap(), sites.auc_within_sites);
    close("sites", "variance", within_sites_variance(&chosen).unwrap(), sites.variance);
    close("sites", "site only", site_only_auc(&counts).unwrap(), sites.site_only_auc);
    close("sites", "one list", roc_auc(&one_list).unwrap(), sites.one_list_auc);
}

#[test]
fn wilson_equals_statsmodels() {
    for Proportion { k, n, low, high } in golden().wilson {
        let ours = wilson(k as f64 / n as f64, n).unwrap();
        assert!((ours[0] - low).abs() < 1e-14, "{k} of {n}: {low}, got {}", ours[0]);
        assert!((ours[1] - high).abs() < 1e-14, "{k} of {n}: {high}, got {}", ours[1]);
    }
}
