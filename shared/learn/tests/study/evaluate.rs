//! A finished model judged at other sites: the figures are those of the scores that the bundle itself gives, for any kind of model and
//! any split into sites; what doesn't belong together is refused.

use futures::executor::block_on;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::{
    Bootstrap, DriftFigure, DriftLimit, Ensemble, EnsembleKind, Evaluation, Input, Missing,
    Standardise, Study, StudyKind,
};
use wardround_learn::bundle::{BundleInput, Learner, ModelBundle, OwnScale, predict_at_site};
use wardround_learn::findings::{Evaluated, Figure, Findings, Interval};
use wardround_learn::rows::Rows;
use wardround_learn::study::{Silent, StudyError, evaluate};

use crate::support::{every_classifier, find, lines, rows, study, value, with_subgroup};

const FEATURES: usize = 4;

/// A study on a table of so many columns without a site left out.
fn on_table(standardise: Standardise) -> Study {
    let mut study = study(&[0.5], &[standardise]);
    let Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..FEATURES).map(|j| format!("x{j}")).collect();
    table.missing = Missing::Drop;
    study.validation.leave_one_site_out = false;
    study
}

fn bundle(study: &Study, rows: &Rows) -> ModelBundle {
    let findings = find(rows, study, &rows.sites(), rows.schema()).expect("findings");
    let input = BundleInput::of_table(study).expect("a table");
    let bundle = ModelBundle::new(study, &findings, input, "wardround test");
    // As it comes from a file.
    ModelBundle::read(&bundle.write().expect("bytes")).expect("a bundle")
}

/// The study that judges it.
fn judging(trained: &Study) -> Study {
    let mut study = trained.clone();
    study.kind = StudyKind::Evaluate(Evaluation {
        model: Digest::of(b"bundle"),
        file: "model.safetensors".into(),
        drift: vec![DriftLimit { figure: DriftFigure::AucBelow, limit: 0.6 }],
    });
    study.classifiers.clear();
    study.ensembles.clear();
    study
}

fn judge(study: &Study, bundle: &ModelBundle, rows: &Rows) -> Result<Findings, StudyError> {
    let id = StudyId::parse("judging").unwrap();
    let schemas = [rows.schema().clone()];
    block_on(evaluate(rows, study, bundle, &id, &rows.sites(), &schemas, &Silent))
}

/// The probabilities of a bundle's first class, row by row, as `predict` gives them at each site.
fn predicted(bundle: &ModelBundle, rows: &Rows) -> Vec<(bool, f64)> {
    let mut all = Vec::new();
    for site in rows.sites() {
        let of_site = || rows.rows().filter(|row| *row.site == site);
        let flat: Vec<f64> = of_site().flat_map(|row| row.features().unwrap().to_vec()).collect();
        let own = OwnScale::of(FEATURES, &flat).unwrap();
        for row in of_site() {
            let p = predict_at_site(bundle, &own, &row.features().unwrap()).unwrap()[0];
            all.push((row.classes.has(bundle.manifest.models[0].class), p));
        }
    }
    all
}

/// The area under the ROC curve, pair by pair.
fn auc(scored: &[(bool, f64)]) -> f64 {
    let of = |positive: bool| scored.iter().filter(move |(y, _)| *y == positive).map(|(_, p)| *p);
    let mut won = 0.0;
    for a in of(true) {
        for b in of(false) {
            won += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    won / (of(true).count() * of(false).count()) as f64
}

#[test]
fn figures_are_those_of_the_bundles_own_scores() {
    let mut trained: Vec<(String, Study)> = Standardise::EACH
        .into_iter()
        .map(|standardise| (format!("{standardise:?}"), on_table(standardise)))
        .collect();
    for (name, classifier) in every_classifier() {
        let study = Study { classifiers: vec![classifier], ..on_table(Standardise::All) };
        trained.push((name.to_owned(), study));
    }
    let of = |names: [&str; 2]| {
        let all = every_classifier().into_iter();
        all.filter(|(name, _)| names.contains(name)).map(|(_, one)| one).collect::<Vec<_>>()
    };
    let mut stacked = on_table(Standardise::All);
    stacked.classifiers = of(["logistic", "boosting"]);
    stacked.ensembles = vec![Ensemble { kind: EnsembleKind::SoftVote, members: vec![0, 1] }];
    trained.push(("soft vote".to_owned(), stacked));

    let elsewhere = lines(150, FEATURES, 3, 77);
    for (name, trained) in trained {
        if name.contains("multinomial") {
            continue;
        }
        let mut bundle = bundle(&trained, &rows(&lines(120, FEATURES, 2, 31), &trained));
        if name == "soft vote" {
            // Whichever was chosen, the ensemble is what is judged here.
            bundle = ensemble_of(&trained, bundle);
        }
        let study = judging(&trained);
        let others = rows(&elsewhere, &study);
        let found = judge(&study, &bundle, &others).unwrap_or_else(|e| panic!("{name}: {e}"));
        let scored = predicted(&bundle, &others);
        let judged = &found.targets[0].nested.judged;
        // Scores are counted in bins of 0.023.
        let (got, expected) = (value(&judged.one_list.auc), auc(&scored));
        assert!((got - expected).abs() < 3e-3, "{name}: {got} and {expected}");
        let brier = scored.iter().map(|(y, p)| (p - f64::from(u8::from(*y))).powi(2));
        let brier = brier.sum::<f64>() / scored.len() as f64;
        let got = value(&judged.one_list.brier);
        assert!((got - brier).abs() < 1e-9, "{name}: {got} and {brier}");
        let threshold = bundle.models[0].threshold;
        let hits = scored.iter().filter(|(y, p)| *y && *p >= threshold).count() as u64;
        assert_eq!(judged.one_list.confusion[0], hits, "{name}");
        assert_eq!(found.cost.fitting_queries + found.cost.models, 0);
        assert!(matches!(&found.evaluated, Evaluated::Bundle(one) if one.sites.len() == 2));
    }
}

/// The soft vote of what a study fitted, judged whether it was chosen or not.
fn ensemble_of(study: &Study, chosen: ModelBundle) -> ModelBundle {
    if matches!(chosen.manifest.models[0].learner, Learner::Ensemble { .. }) {
        return chosen;
    }
    let made = rows(&lines(120, FEATURES, 2, 31), study);
    let singles: Vec<ModelBundle> = study
        .classifiers
        .iter()
        .map(|one| {
            let alone =
                Study { classifiers: vec![one.clone()], ensembles: vec![], ..study.clone() };
            bundle(&alone, &made)
        })
        .collect();
    let mut together = chosen;
    together.manifest.models[0].learner = Learner::Ensemble {
        ensemble: EnsembleKind::SoftVote,
        members: singles.iter().map(|one| one.manifest.models[0].learner.clone()).collect(),
    };
    let members = singles.iter().map(|one| one.models[0].scorer.clone()).collect();
    together.models[0].scorer =
        wardround_learn::bundle::Scorer::Ensemble(wardround_learn::bundle::EnsembleScorer {
            members,
            combine: wardround_core::query::Combine::MeanProbability,
        });
    ModelBundle::read(&together.write().expect("bytes")).expect("a bundle")
}

#[test]
fn any_split_into_sites_gives_the_same_figures_with_intervals() {
    let mut trained = with_subgroup(on_table(Standardise::All));
    trained.validation.bootstrap = Bootstrap::Of(100);
    let bundle = {
        let mut quick = trained.clone();
        quick.validation.bootstrap = Bootstrap::Off;
        bundle(&quick, &rows(&lines(120, FEATURES, 2, 31), &quick))
    };
    let study = judging(&trained);
    let made = lines(120, FEATURES, 3, 5);
    let mut merged = made.clone();
    for line in &mut merged {
        (line.patient, line.site) = (line.patient + 1000 * line.site, 0);
    }
    let of = |lines: &[crate::support::Line]| {
        let found = judge(&study, &bundle, &rows(lines, &study)).unwrap();
        found.targets[0].nested.judged.one_list.clone()
    };
    let (one, three) = (of(&merged), of(&made));
    assert_eq!(one.confusion, three.confusion);
    assert_eq!(one.auc, three.auc);
    let Figure::Known { interval: Interval::Between { low, high }, value } = one.brier else {
        panic!("{:?}", one.brier)
    };
    assert!(low < value && value < high);
}

#[test]
fn what_doesnt_belong_together_is_refused_all_at_once() {
    let trained = on_table(Standardise::All);
    let made = rows(&lines(120, FEATURES, 2, 31), &trained);
    let bundle = bundle(&trained, &made);
    let study = judging(&trained);
    let why =
        |study: &Study, bundle: &ModelBundle| judge(study, bundle, &made).unwrap_err().to_string();
    let mut other = bundle.clone();
    other.manifest.target = "diagnosis".into();
    other.manifest.classes = vec!["no".into(), "yes".into()];
    let said = why(&study, &other);
    assert!(said.contains("target.column is \"label\", the model's is \"diagnosis\""), "{said}");
    assert!(said.contains("the model's is no, yes"), "{said}");
    let mut columns = study.clone();
    let Input::Table(table) = &mut columns.input else { panic!("a table") };
    table.numeric[0] = "y".into();
    assert!(why(&columns, &bundle).contains("the model's is x0, x1, x2, x3"));
    assert!(why(&trained, &bundle).contains("it fits models"));
    let refused = find(&made, &study, &made.sites(), made.schema()).unwrap_err();
    assert!(refused.to_string().contains("nothing is to be fitted"));
}
