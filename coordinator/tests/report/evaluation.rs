//! The report of a study that judges a finished model.

use serde_json::Value;
use wardround::report::{DriftState, EvaluationSection, Report, SCHEMA};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::study::{DriftFigure, DriftLimit, Evaluation, StudyKind};
use wardround_learn::bundle::Summary;
use wardround_learn::findings::{Evaluated, EvaluatedBundle};

use crate::made_up::{context, findings, outputs, patients};

/// A model of the first two sites and of one that isn't here, judged at four.
fn judged() -> Report {
    let mut findings = findings(4, &patients(4, 160));
    findings.grid.truncate(1);
    let target = &mut findings.targets[0];
    target.used_for_choosing.clear();
    target.left_out.clear();
    target.nested.choices.clear();
    target.nested.folds.clear();
    target.model.point = 0;
    let mut sites = findings.sites[..2].to_vec();
    sites.push(SiteId::parse("xanten").expect("an id"));
    let figures = Summary {
        auc_within_sites: Some(0.9),
        auc_one_list: Some(0.92),
        sensitivity: None,
        specificity: Some(0.8),
    };
    findings.evaluated = Evaluated::Bundle(EvaluatedBundle {
        digest: Digest::of(b"model"),
        study: "The year before".into(),
        study_digest: Digest::of(b"before"),
        software: "wardround test".into(),
        learner: "logistic regression".into(),
        sites,
        figures: vec![figures],
    });
    let mut context = context(&findings);
    let limit = |figure, limit| DriftLimit { figure, limit };
    context.study.kind = StudyKind::Evaluate(Evaluation {
        model: Digest::of(b"model"),
        file: "model.safetensors".into(),
        drift: vec![
            limit(DriftFigure::AucBelow, 0.1),
            limit(DriftFigure::AucDrop, 0.01),
            limit(DriftFigure::BrierAbove, 0.99),
        ],
    });
    context.study.classifiers.clear();
    Report::build(&findings, &context).expect("a report")
}

#[test]
fn it_says_everywhere_that_nothing_was_fitted_and_fits_the_schema() {
    let report = judged();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
    let states: Vec<DriftState> = report.evaluation.drift().iter().map(|row| row.state).collect();
    assert_eq!(states, [DriftState::Within, DriftState::Alarm, DriftState::Within]);
    let html = report.to_html();
    for text in outputs(&report) {
        assert!(!text.contains("from nested folds"), "{text}");
    }
    let card = report.to_model_card();
    for text in [&html, &report.to_text(), &card] {
        assert!(text.contains("nothing was fitted here"), "{text}");
        assert!(text.contains("Alarm:"), "{text}");
    }
}

#[test]
fn a_copy_for_others_names_no_training_site_either() {
    let report = judged();
    let EvaluationSection::Judged { overlap, trained_at, .. } = &report.evaluation else {
        panic!("judged")
    };
    assert_eq!((overlap.sites.len(), trained_at.sites.len()), (2, 3));
    let copy = report.with_sites_pseudonymised().unwrap();
    let digest = Digest::of(b"model").to_string();
    for text in outputs(&copy) {
        assert!(!text.contains("xanten"), "{text}");
        assert!(!text.contains(&digest), "{text}");
    }
}
