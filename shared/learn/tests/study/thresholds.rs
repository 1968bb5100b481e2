//! Thresholds by every rule: chosen on rows that have no part in the model, so that what was asked for is
//! about what rows show that had no part in the choice.

use wardround_core::query::{FoldPlan, Schema};
use wardround_core::study::{Recipe, Standardise, Study, ThresholdRule};
use wardround_learn::findings::Findings;

use crate::support::{Line, find, lines, rows, study, value};

const RULES: [ThresholdRule; 4] = [
    ThresholdRule::Youden,
    ThresholdRule::Sensitivity(0.9),
    ThresholdRule::Specificity(0.9),
    ThresholdRule::MissCost(8.0),
];

fn by(rule: ThresholdRule) -> Study {
    let mut study = study(&[0.1, 10.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    study.validation.threshold = rule;
    study
}

fn run(made: &[Line], rule: ThresholdRule) -> Findings {
    let study = by(rule);
    let rows = rows(made, &study);
    find(&rows, &study, &rows.sites(), rows.schema()).unwrap()
}

#[test]
fn rates_on_held_out_rows_are_about_what_was_asked_for() {
    let made = lines(1500, 6, 4, 61);
    let rates = RULES.map(|rule| {
        let found = run(&made, rule);
        let all = &found.targets[0].nested.judged.one_list;
        [value(&all.sensitivity), value(&all.specificity)]
    });
    let [youden, sensitive, specific, costly] = rates;
    assert!((sensitive[0] - 0.9).abs() < 0.04, "{sensitive:?}");
    assert!((specific[1] - 0.9).abs() < 0.04, "{specific:?}");
    assert!(youden[0] + youden[1] > sensitive[0] + sensitive[1] - 0.02, "{rates:?}");
    // A miss that costs eight false alarms: more are called positive than by the rule of equal weights.
    assert!(costly[0] > youden[0], "{rates:?}");
}

#[test]
fn an_outer_fold_has_no_part_in_its_threshold_by_any_rule() {
    let made = lines(300, 5, 4, 62);
    for rule in RULES {
        let study = by(rule);
        let cohort = rows(&made, &study);
        let folds = cohort.fold_column(&study.fold_plan(), 0);
        let before = run(&made, rule);
        let mut planted = made.clone();
        for (row, _) in cohort.rows().zip(&folds).filter(|(_, fold)| **fold == 1) {
            let line = &mut planted[row.source];
            let label = f64::from(line.class) * 2.0 - 1.0;
            line.features.iter_mut().for_each(|x| *x = 30.0 * label);
        }
        let after = run(&planted, rule);
        let [old, new] = [&before, &after].map(|found| &found.targets[0].nested.choices);
        assert_eq!(old[1].threshold, new[1].threshold, "{rule:?}");
        assert!((0..5).any(|fold| old[fold].threshold != new[fold].threshold), "{rule:?}");
    }
}

#[test]
fn a_recipe_carries_the_rule_and_one_without_is_as_it_was() {
    let recipe = |rule| {
        let study = by(rule);
        Recipe::of(&study, &study.classifiers[0])
    };
    assert!(!recipe(ThresholdRule::Youden).text().contains("threshold"));
    let plan: FoldPlan = by(ThresholdRule::Youden).fold_plan();
    let made = lines(40, 3, 2, 63);
    let schema: Schema = rows(&made, &by(ThresholdRule::Youden)).schema().clone();
    for rule in RULES {
        let read = Recipe::parse(&recipe(rule).text()).unwrap();
        assert_eq!(read, recipe(rule));
        assert_eq!(read.study(&schema, &plan).validation.threshold, rule);
    }
    for wrong in [
        ThresholdRule::Sensitivity(0.0),
        ThresholdRule::Specificity(1.0),
        ThresholdRule::MissCost(-1.0),
    ] {
        assert!(Recipe::parse(&recipe(wrong).text()).is_err(), "{wrong:?}");
    }
}
