//! Support vector machines with a Gaussian kernel: the final model against scikit-learn's LinearSVC on the
//! same map written out as matrices (`golden/make_rbf.py`: 1e-5), and what holds of any classifier.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use wardround_core::ids::StudyId;
use wardround_core::query::{
    Ask, Bins, Combat, FoldSet, FourierMap, FourierModel, Frame, MapScaler, Model, Query, RowSet,
    ScoreList, SiteSet,
};
use wardround_core::seed::Seed;
use wardround_core::study::{Balance, Classifier, Input, Missing, Reduction, Standardise, Study};
use wardround_learn::bundle::{
    BundleInput, Learner, ModelBundle, OwnScale, PredictError, Scorer, predict, predict_at_site,
};
use wardround_learn::findings::{FinalFit, Findings, FourierScaler, MissingFeatures, OwnFourier};
use wardround_learn::rows::{Rows, Together};

use crate::golden::Case;
use crate::support::{Line, changed, find, lines, relative, rows, study, value};

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    gamma: f64,
    components: u32,
    cases: BTreeMap<String, Case>,
}

const GAMMA: f64 = 0.7;
const COMPONENTS: u32 = 200;

fn with(c: &[f64], gamma: &[f64], standardise: &[Standardise], balance: Balance) -> Study {
    let classifier = Classifier::RbfSvm {
        c: c.to_vec(),
        gamma: gamma.to_vec(),
        components: COMPONENTS,
        standardise: standardise.to_vec(),
        balance: vec![balance],
        reduce: vec![Reduction::None],
    };
    Study { classifiers: vec![classifier], ..study(c, standardise) }
}

fn rbf(c: f64, standardise: Standardise) -> Study {
    let mut study = with(&[c], &[GAMMA], &[standardise], Balance::None);
    study.validation.leave_one_site_out = false;
    study
}

fn model(found: &Findings) -> &OwnFourier {
    match &found.targets[0].model.fitted {
        FinalFit::Fourier(fitted) => &fitted.model,
        other => panic!("a model on random Fourier features, got {other:?}"),
    }
}

fn numbers(model: &OwnFourier) -> Vec<f64> {
    model.weights.iter().chain([&model.intercept]).copied().collect()
}

#[test]
fn weights_are_scikit_learns_on_the_same_map() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/rbf.json")).unwrap();
    assert_eq!((golden.gamma, golden.components), (GAMMA, COMPONENTS));
    for (name, case) in &golden.cases {
        let balance = if name == "balanced" { Balance::Weights } else { Balance::None };
        let mut study = with(&[case.c], &[GAMMA], &[case.standardise], balance);
        study.validation.leave_one_site_out = false;
        assert_eq!(study.seed, Seed(golden.seed));
        let mut made = lines(case.n, case.d, case.sites, case.salt);
        for (at, line) in made.iter_mut().enumerate() {
            if case.missing && at % 9 == 0 {
                line.features[1] = f64::NAN;
            }
            if case.constant {
                line.features[2] = 5.0;
            }
        }
        let rows = rows(&made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let model = model(&found);
        if let FourierScaler::All { mean, inverse } = &model.scaler {
            assert!(relative(mean, &case.mean) < 1e-12, "{name}");
            for (at, (inverse, deviation)) in inverse.iter().zip(&case.deviation).enumerate() {
                let expected = if case.constant && at == 2 { 0.0 } else { 1.0 / deviation };
                assert!((inverse - expected).abs() <= 1e-12 * expected, "{name}");
            }
        }
        let expected = case.weights.iter().chain([&case.intercept]).copied();
        let off = relative(&numbers(model), &expected.collect::<Vec<_>>());
        println!("{name}: {off:e}, {:?}", found.cost);
        assert!(off < 1e-5, "{name}: {off:e}");
    }
}

#[test]
fn the_split_into_sites_doesnt_move_the_model() {
    let study = rbf(3.0, Standardise::All);
    let mut made = lines(200, 6, 4, 12);
    let fitted = |made: &[Line]| {
        let rows = rows(made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        numbers(model(&found))
    };
    let four_sites = fitted(&made);
    made.iter_mut().for_each(|line| line.site = line.patient % 7 / 3);
    assert!(relative(&fitted(&made), &four_sites) < 1e-6);
    made.iter_mut().for_each(|line| line.site = 0);
    assert!(relative(&fitted(&made), &four_sites) < 1e-6);
}

#[test]
fn a_grid_is_studied_the_same_by_any_order_of_sites_and_threads() {
    let both = [Standardise::All, Standardise::Site];
    let mut study = with(&[0.3, 3.0], &[0.3, 1.0], &both, Balance::None);
    study.validation.folds = 3;
    let pooled = rows(&lines(150, 4, 3, 51), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| find(&pooled, &study, &sites, &schema).unwrap())
    };
    let found = with_threads(1);
    assert_eq!((found.grid.len(), found.targets[0].left_out.len()), (8, 3));
    let points: Vec<(f64, f64)> =
        found.grid.iter().filter_map(|point| point.rbf()).map(|p| (p.c, p.gamma)).collect();
    assert_eq!(points[..4], [(0.3, 0.3), (3.0, 0.3), (0.3, 1.0), (3.0, 1.0)]);
    assert_eq!(with_threads(3), found);
    let mut by_site = pooled.by_site();
    by_site.rotate_left(1);
    assert_eq!(find(&Together(by_site), &study, &sites, &schema).unwrap(), found);
}

#[test]
fn what_no_line_parts_is_parted() {
    let study = rbf(3.0, Standardise::All);
    let mut made = lines(400, 4, 2, 52);
    for line in &mut made {
        let x = |j: usize| line.features[j] / 10f64.powi(j as i32 % 5 - 2) - 3.0;
        line.class = u8::from((x(0) > 0.0) == (x(1) > 0.0));
    }
    let rows = rows(&made, &study);
    let auc = |study: &Study| {
        let found = find(&rows, study, &rows.sites(), rows.schema()).unwrap();
        value(&found.targets[0].nested.judged.one_list.auc)
    };
    let mut linear = crate::support::svm(&[0.1], &[Standardise::All]);
    linear.validation.leave_one_site_out = false;
    let (curved, straight) = (auc(&study), auc(&linear));
    println!("{curved} beside {straight}");
    assert!(curved > 0.95 && straight < 0.65);
}

fn made(standardise: Standardise, missing: bool) -> (Study, Rows, ModelBundle, OwnFourier) {
    let mut study = rbf(2.0, standardise);
    let Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..5).map(|j| format!("x{j}")).collect();
    table.missing = Missing::Drop;
    let mut made = lines(120, 5, 2, 53);
    if missing {
        made.iter_mut().step_by(8).for_each(|line| line.features[1] = f64::NAN);
    }
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &found, input, "wardround test");
    let model = model(&found).clone();
    (study, rows, bundle, model)
}

/// The model's logits of all rows, as a question about scores has them.
fn scores(study: &Study, rows: &Rows, model: &OwnFourier) -> Vec<f64> {
    let folds = study.fold_plan();
    let all = FoldSet::all(folds.folds);
    let scaler = match &model.scaler {
        FourierScaler::All { mean, inverse } => {
            MapScaler::Given { mean: mean.clone(), inverse: inverse.clone() }
        }
        FourierScaler::OwnSite => MapScaler::OwnSite(all),
        FourierScaler::Combat { mean, deviation } => {
            let (mean, deviation) = (mean.clone(), deviation.clone());
            MapScaler::Combat(Arc::new(Combat { folds: all, mean, deviation }))
        }
    };
    let components = model.weights.len() as u32;
    let map = FourierMap { seed: model.seed, components, gamma: model.gamma, scaler };
    let (weights, intercept) = (model.weights.clone(), model.intercept);
    let fourier = FourierModel { class: 1, map: Arc::new(map), weights, intercept };
    let set = RowSet { repeat: 0, folds: all, sites: SiteSet::All };
    let query = Query {
        study: StudyId::parse("test").unwrap(),
        sites: rows.sites(),
        schema: rows.schema().clone(),
        input: 0,
        folds,
        ask: Ask::Scores {
            frame: Arc::new(Frame::identity(rows.schema().features as usize)),
            models: vec![Model::Fourier(fourier)],
            lists: vec![ScoreList { class: 1, parts: vec![(set, 0)] }],
            split: vec![],
            bins: Bins { half_width: 12.0, count: 64 },
            bits: 30,
        },
    };
    let mut scored = rows.scores(&query).unwrap().remove(0);
    scored.sort_by_key(|score| score.row);
    scored.iter().map(|score| score.logit).collect()
}

#[test]
fn bundles_read_back_and_say_what_the_study_says() {
    for (standardise, missing) in [
        (Standardise::All, true),
        (Standardise::All, false),
        (Standardise::Site, true),
        (Standardise::Combat, true),
    ] {
        let (study, rows, bundle, model) = made(standardise, missing);
        let bytes = bundle.write().unwrap();
        assert_eq!(ModelBundle::read(&bytes).unwrap(), bundle);
        assert_eq!(made(standardise, missing).2.write().unwrap(), bytes);
        let entry = &bundle.manifest.models[0].learner;
        let Learner::Fourier { point, seed, missing: fills } = entry else { panic!("{entry:?}") };
        assert_eq!((point.rbf().unwrap().gamma, *seed), (GAMMA, study.seed));
        assert_eq!(*fills == MissingFeatures::Filled, missing);
        let expected = scores(&study, &rows, &model);
        for (row, logit) in rows.rows().zip(expected) {
            let of_site = rows.rows().filter(|other| other.site == row.site);
            let flat: Vec<f64> =
                of_site.flat_map(|other| other.features().unwrap().to_vec()).collect();
            let own = OwnScale::of(5, &flat).unwrap();
            let p = predict_at_site(&bundle, &own, &row.features().unwrap()).unwrap()[0];
            assert!((p - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-9);
            if standardise == Standardise::All {
                assert_eq!(predict(&bundle, &row.features().unwrap()).unwrap()[0], p);
            }
        }
    }
}

#[test]
fn rows_that_dont_fit_are_refused() {
    let (_, rows, complete, _) = made(Standardise::All, false);
    let mut row = rows.rows().next().unwrap().features().unwrap().to_vec();
    row[1] = f64::NAN;
    assert_eq!(predict(&complete, &row), Err(PredictError::Missing(1, "NaN".into())));
    assert_eq!(predict(&complete, &row[..3]), Err(PredictError::Features { expected: 5, got: 3 }));
    row[1] = 1e308;
    assert_eq!(predict(&complete, &row), Err(PredictError::Missing(1, row[1].to_string())));
    let (_, _, filled, _) = made(Standardise::All, true);
    row[1] = f64::INFINITY;
    assert!(predict(&filled, &row).is_ok());
    let (_, _, own_site, _) = made(Standardise::Site, false);
    assert_eq!(predict(&own_site, &row), Err(PredictError::NeedsOwnRows));
}

fn fourier(bundle: &mut ModelBundle) -> &mut OwnFourier {
    match &mut bundle.models[0].scorer {
        Scorer::Fourier(model) => model,
        other => panic!("a model on random Fourier features, got {other:?}"),
    }
}

#[test]
fn hostile_models_are_refused() {
    let (_, _, bundle, _) = made(Standardise::All, false);
    let refused = |change: fn(&mut ModelBundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        bundle.write().unwrap_err().to_string()
    };
    let point = |bundle: &mut ModelBundle, change: fn(&mut wardround_core::study::RbfPoint)| {
        let Learner::Fourier { point, .. } = &mut bundle.manifest.models[0].learner else {
            panic!("a model on random Fourier features")
        };
        let wardround_core::study::GridPoint::Rbf(point) = point else { panic!("its point") };
        change(point);
    };
    let mut odd = bundle.clone();
    point(&mut odd, |point| point.components = 199);
    assert!(odd.write().unwrap_err().to_string().contains("199 components"));
    let mut huge = bundle.clone();
    point(&mut huge, |point| point.components = u32::MAX - 1);
    assert!(huge.write().unwrap_err().to_string().contains("components"));
    let mut free = bundle.clone();
    point(&mut free, |point| point.c = 0.0);
    assert!(free.write().is_err());
    for (change, why) in [
        ((|b| fourier(b).weights[3] = f64::NAN) as fn(&mut ModelBundle), "weights isn't finite"),
        (|b| fourier(b).weights.truncate(198), "expected 200 numbers in weights, got 198"),
        (|b| fourier(b).intercept = f64::INFINITY, "intercept inf"),
        (|b| fourier(b).gamma = 0.5, "gamma 0.5"),
        (|b| fourier(b).seed = Seed(8), "isn't of the kind"),
        (|b| fourier(b).missing = MissingFeatures::Filled, "isn't of the kind"),
        (|b| fourier(b).scaler = FourierScaler::OwnSite, "scaled as"),
        (|b| b.manifest.features = 6, "expected 6 numbers in mean, got 5"),
        (
            |b| {
                let FourierScaler::All { inverse, .. } = &mut fourier(b).scaler else { return };
                inverse[0] = -1.0;
            },
            "below 0",
        ),
    ] {
        let error = refused(change);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_file_of_a_map_may_hold_any_bytes() {
    let (_, _, bundle, _) = made(Standardise::All, true);
    let bytes = bundle.write().unwrap();
    let numbers: [f64; 7] = [f64::NAN, f64::INFINITY, -1.0, 1e300, 1e-300, 0.5, -0.0];
    for draw in 0..4000u64 {
        // Refused, or a model that says something, or why it can't.
        if let Ok(read) = ModelBundle::read(&changed(&bytes, draw, &numbers)) {
            match predict(&read, &[0.1, 0.2, f64::NAN, 4.0, 5.0]).map(|p| p[0]) {
                Ok(p) => assert!((0.0..=1.0).contains(&p), "draw {draw}: {p}"),
                Err(error) => assert!(
                    matches!(error, PredictError::Missing(..) | PredictError::Features { .. }),
                    "draw {draw}: {error}"
                ),
            }
        }
    }
}
