//! A study's bundle: the same bytes for the same findings, the same probabilities as the fit, and no
//! trust in a file.

use std::collections::HashMap;

use crate::support::{find, lines, rows, study};
use safetensors::tensor::{Dtype, TensorView};
use wardround_core::study::{
    Alterations, AugmentationRule, Missing, Precision, Standardise, Study,
};
use wardround_learn::bundle::{
    BundleError, BundleInput, BundleViews, Learner, LinearMethod, LinearScorer, MissingFeatures,
    ModelBundle, OwnScale, PredictError, Scorer, predict, predict_at_site,
};
use wardround_learn::rows::Rows;

fn made(standardise: Standardise, missing: bool) -> (Study, Rows, ModelBundle) {
    let mut study = study(&[0.5], &[standardise]);
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..4).map(|j| format!("x{j}")).collect();
    table.missing = Missing::Drop;
    let mut made = lines(120, 4, 2, 31);
    if missing {
        made.iter_mut().step_by(8).for_each(|line| line.features[1] = f64::NAN);
    }
    let rows = rows(&made, &study);
    let findings = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &findings, input, "wardround test");
    (study, rows, bundle)
}

#[test]
fn bytes_are_canonical_and_read_back() {
    let combat = (Standardise::Combat, true);
    for (standardise, missing) in [(Standardise::All, true), (Standardise::Site, false), combat] {
        let (.., bundle) = made(standardise, missing);
        let bytes = bundle.write().unwrap();
        assert_eq!(made(standardise, missing).2.write().unwrap(), bytes);
        let read = ModelBundle::read(&bytes).unwrap();
        assert_eq!(read, bundle);
        assert_eq!(read.write().unwrap(), bytes);
    }
}

#[test]
fn preprocessing_is_written_in_one_order() {
    let (study, rows, _) = made(Standardise::All, false);
    let findings = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let bytes = |preprocessing: &str| {
        let input = BundleInput::Images {
            backbone: "b".into(),
            weights_source: "file:w".into(),
            weights_digest: study.digest,
            preprocessing: serde_json::from_str(preprocessing).unwrap(),
            precision: Precision::F32,
            views: BundleViews::Plain,
        };
        ModelBundle::new(&study, &findings, input, "wardround test").write().unwrap()
    };
    assert_eq!(bytes(r#"{"a":1,"b":[{"c":2,"d":3}]}"#), bytes(r#"{"b":[{"d":3,"c":2}],"a":1}"#));
}

#[test]
fn precision_and_views_travel_with_the_models() {
    let (study, rows, _) = made(Standardise::All, false);
    let findings = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let alter = Alterations { rotation: 5.0, flip: true, ..Alterations::NOTHING };
    let rule = |views| AugmentationRule::On { copies: 3, views, alter };
    let input = |precision, views| BundleInput::Images {
        backbone: "b".into(),
        weights_source: "shipped".into(),
        weights_digest: study.digest,
        preprocessing: serde_json::json!({"crop": 3}),
        precision,
        views: BundleViews::of(&rule(views), study.seed),
    };
    for (precision, views, written) in [
        (Precision::F32, 1, [false; 2]),
        (Precision::Bf16, 1, [true, false]),
        (Precision::F32, 4, [false, true]),
    ] {
        let input = input(precision, views);
        let bundle = ModelBundle::new(&study, &findings, input.clone(), "wardround test");
        let bytes = bundle.write().unwrap();
        assert_eq!(ModelBundle::read(&bytes).unwrap().manifest.input, input);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!([text.contains("bf16"), text.contains("averaged")], written);
    }
}

#[test]
fn predictions_are_the_fits() {
    // At the optimum the residuals add up to nothing, over all rows and against every feature up to
    // the penalty: so the probabilities are those of the fit.
    for standardise in Standardise::EACH {
        let (_, rows, bundle) = made(standardise, standardise != Standardise::Site);
        let model = &bundle.models[0];
        let weights = &model.scorer.linear().unwrap().weights;
        let mut gradient: Vec<f64> = weights.iter().map(|w| w / 0.5).collect();
        let mut by_constant = 0.0;
        for site in rows.sites() {
            let of_site = || rows.rows().filter(|row| *row.site == site);
            let flat: Vec<f64> =
                of_site().flat_map(|row| row.features().unwrap().to_vec()).collect();
            let own = OwnScale::of(4, &flat).unwrap();
            for row in of_site() {
                let p = predict_at_site(&bundle, &own, &row.features().unwrap()).unwrap()[0];
                let residual = p - f64::from(u8::from(row.classes.has(1)));
                by_constant += residual;
                for (j, g) in gradient.iter_mut().enumerate() {
                    *g += residual * unit(&bundle, &own, &row.features().unwrap(), j);
                }
            }
        }
        assert!(by_constant.abs() < 1e-8, "{by_constant}");
        assert!(gradient.iter().all(|g| g.abs() < 1e-8), "{gradient:?}");
    }
}

fn linear(bundle: &mut ModelBundle) -> &mut LinearScorer {
    match &mut bundle.models[0].scorer {
        Scorer::Linear(linear) => linear,
        other => panic!("a linear model, got {other:?}"),
    }
}

/// A feature as the model sees it: the change of the logit, divided by the weight.
fn unit(bundle: &ModelBundle, own: &OwnScale, features: &[f64], j: usize) -> f64 {
    let logit = |bundle: &ModelBundle| {
        let p = predict_at_site(bundle, own, features).unwrap()[0];
        (p / (1.0 - p)).ln()
    };
    let mut only = bundle.clone();
    let linear = linear(&mut only);
    linear.intercept = 0.0;
    linear.weights = (0..4).map(|k| f64::from(u8::from(k == j))).collect();
    logit(&only)
}

#[test]
fn rows_that_dont_fit_are_refused() {
    let (_, _, complete) = made(Standardise::All, false);
    let row = [1.0, f64::NAN, 1.0, 1.0];
    assert_eq!(predict(&complete, &row), Err(PredictError::Missing(1, "NaN".into())));
    assert_eq!(predict(&complete, &row[..3]), Err(PredictError::Features { expected: 4, got: 3 }));
    let (_, _, filled) = made(Standardise::All, true);
    assert!(predict(&filled, &row).is_ok());
    for standardise in [Standardise::Site, Standardise::Combat] {
        let (_, _, own_site) = made(standardise, false);
        assert_eq!(predict(&own_site, &[1.0; 4]), Err(PredictError::NeedsOwnRows));
    }
    assert_eq!(OwnScale::of(4, &[1.0; 4]), Err(PredictError::TooFewRows(1)));
    assert_eq!(OwnScale::of(4, &[1.0; 9]), Err(PredictError::Features { expected: 4, got: 1 }));
}

#[test]
fn hostile_files_are_refused() {
    let (.., bundle) = made(Standardise::All, false);
    let bytes = bundle.write().unwrap();
    for cut in [0, 7, 8, 100, bytes.len() - 1] {
        assert!(ModelBundle::read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(ModelBundle::read(&longer).is_err());
    let mut huge_header = bytes.clone();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(ModelBundle::read(&huge_header).is_err());

    let one = 1f64.to_le_bytes();
    let tensor = || vec![("a", TensorView::new(Dtype::F64, vec![1], &one).unwrap())];
    let other = safetensors::serialize(tensor(), None).unwrap();
    assert!(matches!(ModelBundle::read(&other), Err(BundleError::NoManifest)));
    let later = HashMap::from([("wardround".to_owned(), r#"{"format": 4}"#.to_owned())]);
    let later = safetensors::serialize(tensor(), Some(later)).unwrap();
    assert!(matches!(ModelBundle::read(&later), Err(BundleError::Format(4))));
    let manifest = serde_json::to_string(&bundle.manifest).unwrap();
    let without = HashMap::from([("wardround".to_owned(), manifest)]);
    let without = safetensors::serialize(tensor(), Some(without)).unwrap();
    assert!(ModelBundle::read(&without).is_err());

    let broken = |change: fn(&mut ModelBundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        bundle.write().unwrap_err().to_string()
    };
    assert!(broken(|b| linear(b).weights[2] = f64::NAN).contains("weights isn't finite"));
    assert!(broken(|b| b.manifest.features = 5).contains("expected 5 numbers in mean, got 4"));
    assert!(broken(|b| b.models[0].threshold = 1.5).contains("threshold 1.5"));
    assert!(broken(|b| b.manifest.models[0].class = 9).contains("class 9 of 2"));
    assert!(broken(|b| b.manifest.sites.reverse()).contains("sites must be sorted"));

    // Not finite in the file itself: the last 8 bytes are a number of some tensor.
    let mut nan = bytes.clone();
    let at = nan.len() - 8;
    nan[at..].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(ModelBundle::read(&nan).is_err());
}

#[test]
fn a_bundle_of_the_first_format_is_read() {
    let bytes = include_bytes!("../fixtures/bundle-1.safetensors");
    let bundle = ModelBundle::read(bytes).unwrap();
    let Learner::Linear { method, point, missing } = bundle.manifest.models[0].learner.clone()
    else {
        panic!("format 1 knew linear models only")
    };
    assert_eq!((method, point.standardise()), (LinearMethod::Logistic, Standardise::All));
    assert_eq!(missing, MissingFeatures::Refused);
    assert!(point.linear().unwrap().c > 0.0);
    let features = bundle.manifest.features as usize;
    assert!(predict(&bundle, &vec![0.5; features]).unwrap()[0] > 0.0);
    // Written again it is a bundle of today.
    assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
}
