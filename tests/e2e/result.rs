//! A federation's result is that of all rows in one place.

use wardround_learn::bundle::Scorer;
use wardround_learn::findings::{Figure, FinalFit, Interval};
use wardround_tests::made::{MadeStudy, lines};
use wardround_tests::yardstick::{difference, together};
use wardround_tests::{Hospital, LEAD, Trial};

/// Largest relative difference between a federated fit by Newton and the fit in one place.
pub const EXACT: f64 = 1e-9;

pub fn four() -> Vec<Hospital> {
    [("alster", 60), ("bille", 70), ("elbe", 55), ("wandse", 80)]
        .map(|(site, patients)| Hospital::loose(site, lines(site, patients)))
        .to_vec()
}

#[test]
fn a_whole_study_equals_the_fit_on_all_rows() {
    let hospitals = four();
    let trial = Trial::with(&hospitals);
    let toml = MadeStudy { leave_one_site_out: true, ..MadeStudy::default() }.toml();
    let study = trial.submit(&toml).unwrap();
    trial.wait_done(&study);

    let expected = together(&toml, &hospitals.iter().collect::<Vec<_>>());
    let bundle = trial.bundle(&study);
    let off = difference(&bundle.models[0], &expected.targets[0].model);
    assert!(off < EXACT, "{off:e}");
    assert_eq!(bundle.manifest.sites, expected.sites);

    let report = trial.report(&study);
    assert_eq!(report["cohort"]["all"]["patients"], expected.profile.all.patients);
    // Draws of the patients are the same ones wherever they are made.
    let judged = &expected.targets[0].nested.judged;
    let Figure::Known { value, interval: Interval::Between { low, high } } = &judged.one_list.brier
    else {
        panic!("{:?}", judged.one_list.brier)
    };
    let brier = &report["pooled"][0]["figures"]["brier"];
    for (got, expected) in [
        (&brier["value"], value),
        (&brier["interval"]["low"], low),
        (&brier["interval"]["high"], high),
    ] {
        assert!((got.as_f64().unwrap() - expected).abs() < 2e-6, "{got} for {expected}");
    }
    assert_eq!(report["uncertainty"][0]["recalibrated"].as_array().unwrap().len(), 4);
    assert!(
        trial
            .federation
            .ask(LEAD, &["study", "report", study.as_str()])
            .unwrap()
            .contains("within sites")
    );
    let html = trial
        .federation
        .ask(LEAD, &["study", "report", study.as_str(), "--format", "html"])
        .unwrap();
    assert!(html.contains("until secure aggregation is on"));
    assert!(
        !html.contains("http://") || html.contains("http://www.w3.org"),
        "the page loads nothing"
    );

    // The same submission word gives the same study, another one a new study.
    let file = trial.path("study.toml");
    let file = file.to_str().unwrap();
    let again =
        |token| trial.json(LEAD, &["study", "submit", file, "--token", token])["study"].clone();
    assert_eq!(again("monday"), again("monday"));
    assert_ne!(again("monday"), again("tuesday"));
}

#[test]
fn labels_and_weights_equal_the_fit_on_all_rows() {
    let hospitals = four();
    let trial = Trial::with(&hospitals);
    let toml = MadeStudy::default().toml();
    let (before, rest) = toml.split_once("[target]").unwrap();
    let (_, after) = rest.split_once("\n[").unwrap();
    let toml = format!(
        "{before}[target]\ncolumn = \"sex\"\nany_of = [\"female\", \"male\"]\n\
         [cohort]\nweight = \"age\"\n[{after}"
    );
    let study = trial.submit(&toml).unwrap();
    trial.wait_done(&study);
    let expected = together(&toml, &hospitals.iter().collect::<Vec<_>>());
    let bundle = trial.bundle(&study);
    assert_eq!(bundle.manifest.classes, ["female", "male", "none of them"]);
    for (model, expected) in bundle.models.iter().zip(&expected.targets) {
        let off = difference(model, &expected.model);
        assert!(off < EXACT, "{off:e}");
    }
    let report = trial.report(&study);
    assert_eq!(report["cohort"]["all"]["images"], expected.profile.all.all_rows);
    assert_eq!(report["models"].as_array().unwrap().len(), 2);
}

#[test]
fn trees_equal_those_grown_on_all_rows() {
    let hospitals = four();
    let trial = Trial::with(&hospitals);
    for classifier in [
        "kind = \"forest\"\ntrees = [5, 20]\ndepth = [4]\nmin_patients = [5]",
        "kind = \"boosting\"\ntrees = [15]\ndepth = [2, 3]\nrows = 0.8\ncolumns = 3",
    ] {
        let toml = MadeStudy { classifier, ..MadeStudy::default() }.toml();
        let study = trial.submit(&toml).unwrap();
        trial.wait_done(&study);
        let expected = together(&toml, &hospitals.iter().collect::<Vec<_>>());
        let bundle = trial.bundle(&study);
        let (Scorer::Trees(got), FinalFit::Trees(expected)) =
            (&bundle.models[0].scorer, &expected.targets[0].model.fitted)
        else {
            panic!("trees")
        };
        assert_eq!(got, expected);
        let report = trial.report(&study);
        assert_eq!(report["models"][0]["chosen"]["fitted"]["kind"], "trees");
        let text = trial.federation.ask(LEAD, &["study", "report", study.as_str()]).unwrap();
        assert!(text.contains("patients per leaf"), "{text}");
    }
}

#[test]
fn untouched_defaults_refuse_at_submit_and_say_why() {
    let mut hospitals = four();
    hospitals[1] = Hospital::strict("bille", hospitals[1].lines.clone());
    let trial = Trial::with(&hospitals);
    let refusal =
        trial.submit(&MadeStudy { leave_one_site_out: true, ..MadeStudy::default() }.toml());
    let sentence = refusal.unwrap_err();
    for expected in ["bille", "leave_one_site_out"] {
        assert!(sentence.contains(expected), "'{expected}' isn't in: {sentence}");
    }
    for other in ["alster", "elbe", "wandse"] {
        assert!(!sentence.contains(&format!("{other} refuses")), "{sentence}");
    }
}

#[test]
fn wide_sums_are_refused_with_both_numbers_and_the_ways_out() {
    let mut hospitals = four();
    // Few patients: a Hessian of four features and a constant is wide for them.
    hospitals[2] = Hospital::strict("elbe", lines("elbe", 40));
    let trial = Trial::with(&hospitals);
    let sentence = trial.submit(&MadeStudy::default().toml()).unwrap_err();
    for expected in ["elbe", "wide_sums", "13", "fewer", "secure"] {
        assert!(sentence.contains(expected), "'{expected}' isn't in: {sentence}");
    }
    let list = trial.json(LEAD, &["study", "list"]);
    assert_eq!(list.as_array().map(Vec::len), Some(0), "a refused study isn't kept: {list}");
}
