//! `model show`.

use serde_json::Value;
use wardround_core::query::{Fill, Measure};
use wardround_core::study::Recalibrate;
use wardround_learn::bundle::{
    Beside, BesideEntry, ConformalEntry, OutlierEntry, OutlierScore, Recalibration, SetLimits,
};
use wardround_learn::findings::{FinalScaler, MeansOf};
use wardround_learn::metrics::steps::Steps;

use crate::{broken, bundle, bundle_file, wardround};

#[test]
fn a_bundle_in_plain_words() {
    let ran = wardround(&["model", "show", &bundle_file("svm")]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    let expected = "\
study 'Made up', study file cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd, fitted by wardround 0.1.0
target 'kind' of classes benign, malignant
input: the rows of a table, 5 features
sites: graz, wien

'malignant' against 'benign'
  linear support vector machine, squared hinge, probabilities not calibrated: C 0.5, standardised over all sites, balance none
  a row with a missing feature isn't judged
  called 'malignant' from a probability of 0.483
  by nested cross-validation: AUC 0.813 within sites, 0.790 in one list; sensitivity 0.750, specificity undefined
  coefficients, per deviation
  feature   coefficient
  x1        +1.5458
  x2        +0.5451
  x3        -0.5052
  x4        -0.1828
  x0        +0.0243
  constant  +0.5405
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn what_stands_beside_a_probability_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bundle").display().to_string();
    let mut with = bundle("svm");
    let d = with.manifest.features as usize;
    with.manifest.beside = BesideEntry {
        conformal: ConformalEntry::ByClass { coverage_percent: 90 },
        recalibration: Recalibrate::Platt,
        outliers: OutlierEntry::Mahalanobis { means: MeansOf::AllRows, directions: 0 },
    };
    with.beside = Beside {
        sets: vec![SetLimits { negative_below: 0.625, positive_from: 0.25 }],
        recalibration: vec![Recalibration::Line { intercept: -0.5, slope: 1.25 }],
        outliers: OutlierScore::Measured {
            measure: Measure {
                inverse: vec![1.0; d],
                fill: Fill::Complete,
                means: vec![vec![0.0; d]],
                directions: vec![],
                variances: vec![],
                rest: 1.0,
            },
            steps: Steps { limits: vec![1.0, 2.25], shares: vec![0.5, 0.99] },
        },
    };
    std::fs::write(&path, with.write().unwrap()).unwrap();
    let ran = wardround(&["model", "show", &path]);
    let expected = "
beside the probability
  conformal sets hold each class in 90 of 100 of its rows or more: 'malignant' from 0.250, others below 0.625
  recalibrated (platt): 'malignant' -0.500 +1.250 x logit
  outliers: Mahalanobis distance to the mean of all rows, 0 directions; beyond 1.50, where 99.0 % of training rows are nearer
  learned from scores and distances of outer folds, whose models had a fold less than this one
";
    assert!(ran.stdout.ends_with(expected), "{}", ran.stdout);
    let json = wardround(&["model", "show", &path, "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let beside = &json["data"]["beside"];
    assert_eq!(beside["sets"][0]["positive_from"], 0.25);
    assert_eq!(beside["outliers"]["limits"][1], 1.5);
    // A file that has only the probability is made all the same.
    let exported = folder.path().join("model.onnx").display().to_string();
    assert_eq!(wardround(&["model", "export", &path, "--onnx", &exported]).exit, 0);
}

#[test]
fn every_kind_says_what_it_is() {
    let says = |case: &str| wardround(&["model", "show", &bundle_file(case)]).stdout;
    let images = says("images");
    assert!(images.contains("images through resnet18 in f32, 16 features"), "{images}");
    assert!(images.contains("the 10 largest of 16 coefficients"), "{images}");
    assert_eq!(images.matches("against the rest").count(), 2);
    assert!(says("filled").contains("a missing feature takes the training rows' mean"));
    assert!(
        says("own_site")
            .contains("logistic regression, L2-penalised: C 0.5, standardised over each site")
    );
    let multinomial = says("multinomial");
    assert!(
        multinomial.contains("multinomial logistic regression, L2-penalised, probabilities of all"),
        "{multinomial}"
    );
    let elastic_net = says("elastic_net");
    assert!(
        elastic_net
            .contains("logistic regression with an elastic net penalty: C 0.5, L1 ratio 0.5"),
        "{elastic_net}"
    );
    assert!(
        elastic_net.contains("the 8 largest of 8 coefficients that aren't 0, of 16, per deviation"),
        "{elastic_net}"
    );
    let closed_form = says("closed_form");
    assert!(closed_form.contains("ridge regression, scores turned into logits: alpha 2"));
    assert!(closed_form.contains("linear discriminant analysis: shrinkage 0.1"));
    assert!(
        closed_form
            .contains("nearest class mean, scores turned into logits: standardised over all")
    );
    assert!(says("forest").contains("random forest: trees 7, depth 3, patients per leaf 5"));
    let kernel = says("kernel");
    assert!(
        kernel.contains(
            "support vector machine with a Gaussian kernel, squared hinge, probabilities not calibrated: C 0.5, \
             gamma 0.7, components 128, standardised over all sites, balance none"
        ),
        "{kernel}"
    );
    assert!(kernel.contains("128 random Fourier features of 5 features, drawn from seed 11"));
    assert!(kernel.contains("a row with a missing feature isn't judged"));
    assert!(says("kernel_filled").contains("a missing feature takes the training rows' mean"));
    let machine = says("machine_filled");
    assert!(
        machine.contains("this model holds 63 rows of features of patients of sites graz, wien"),
        "{machine}"
    );
    assert!(machine.contains("made of rows, hinge, probabilities not calibrated: C 3, gamma 0.7"));
    assert!(machine.contains("20 support vectors of 5 features, each a patient's row; constant"));
    assert!(machine.contains("a missing feature takes the training rows' mean"));
    assert!(says("machine").contains("a row with a missing feature isn't judged"));
    let boosting = says("boosting");
    assert!(boosting.contains("gradient-boosted trees: trees 7, depth 3"), "{boosting}");
    assert!(boosting.contains("7 trees, 47 splits, most of them by"), "{boosting}");
}

#[test]
fn json_holds_every_number() {
    let ran = wardround(&["model", "show", &bundle_file("filled"), "--format", "json"]);
    assert_eq!((ran.exit, ran.stdout.lines().count()), (0, 1));
    let envelope = ran.envelope();
    assert_eq!(envelope["command"], "model show");
    let data = &envelope["data"];
    assert_eq!(data["classes"], serde_json::json!(["mel", "nv", "bcc"]));
    assert_eq!(data["input"]["features"][4], "x4");
    let bundle = bundle("filled");
    for (at, model) in bundle.models.iter().enumerate() {
        let (shown, linear) = (&data["models"][at], model.scorer.linear().unwrap());
        assert_eq!((&shown["kind"], &shown["missing"]), (&"logistic".into(), &"filled".into()));
        assert_eq!(shown["point"], serde_json::json!({ "c": 0.5, "standardise": "all" }));
        let FinalScaler::All { mean, deviation } = &linear.scaler else { panic!("over all") };
        let one = |name, number: f64| (name, format!("{number}"));
        let list = |name, numbers: &Vec<f64>| (name, serde_json::to_string(numbers).unwrap());
        // As text: reading JSON may round its last digit.
        for (name, text) in [
            one("threshold", model.threshold),
            one("intercept", linear.intercept),
            list("weights", &linear.weights),
            list("fill", &linear.fill),
            list("mean", mean),
            list("deviation", deviation),
        ] {
            let part = format!("\"{name}\":{text}");
            assert!(ran.stdout.contains(&part), "{part}");
        }
        assert_eq!(shown["figures"]["specificity"], Value::Null);
    }
    let trees = wardround(&["model", "show", &bundle_file("forest"), "--format", "json"]);
    let shown = &trees.envelope()["data"]["models"][0];
    assert_eq!(
        (shown["kind"].as_str(), shown["trees"].as_array().unwrap().len()),
        (Some("forest"), 7)
    );
}

#[test]
fn what_is_no_bundle_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    for (file, says) in broken(folder.path()) {
        let ran = wardround(&["model", "show", &file]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{file}");
        assert!(ran.stderr.starts_with(&format!("{file}: ")), "{}", ran.stderr);
        assert!(ran.stderr.contains(&says), "{file}: {}", ran.stderr);
        let ran = wardround(&["model", "show", &file, "--format", "json"]);
        let error = &ran.envelope()["error"];
        assert_eq!((ran.exit, error["code"].as_str()), (4, Some("bad-input")));
        assert!(error["sentence"].as_str().unwrap().contains(&says));
    }
    let directory = wardround(&["model", "show", &folder.path().display().to_string()]);
    assert_eq!(directory.exit, 4, "{}", directory.stderr);
}
