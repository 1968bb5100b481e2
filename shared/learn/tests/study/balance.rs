//! Studies whose training rows are drawn: over-sampling and SMOTE.

use wardround_core::ids::SiteId;
use wardround_core::study::{Balance, Classifier, Standardise, Study};
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};

use crate::support::{Line, every_classifier, find, lines, relative, rows, study, value};

const DRAWN: [Balance; 2] = [Balance::OverSampling, Balance::Smote];

/// Every classifier that knows of balance, with this one.
fn balanced(one: Balance) -> Vec<(&'static str, Study)> {
    let mut all = Vec::new();
    for (name, mut classifier) in every_classifier() {
        match &mut classifier {
            Classifier::Logistic { balance, .. } | Classifier::LinearSvm { balance, .. } => {
                *balance = vec![one];
            }
            Classifier::RbfSvm { components, balance, .. } => {
                (*components, *balance) = (64, vec![one]);
            }
            Classifier::Forest(grid) => (grid.trees, grid.balance) = (vec![10], vec![one]),
            Classifier::Boosting(grid) => (grid.trees, grid.balance) = (vec![10], vec![one]),
            _ => continue,
        }
        let mut study = study(&[1.0], &[Standardise::All]);
        study.validation.folds = 3;
        study.classifiers = vec![classifier];
        all.push((name, study));
    }
    assert_eq!(all.len(), 6);
    all
}

/// Fewer of class 1, and some features missing.
fn unequal(d: usize, missing: bool, salt: u64) -> Vec<Line> {
    let mut made = lines(260, d, 3, salt);
    made.retain(|line| line.class == 0 || line.patient % 2 == 0);
    if missing {
        for (at, line) in made.iter_mut().enumerate().filter(|(at, _)| at % 7 == 0) {
            line.features[at % d] = f64::NAN;
        }
    }
    made
}

#[test]
fn sites_that_add_up_equal_all_in_one_place_bit_by_bit() {
    for (balance, d) in [(DRAWN[0], 5), (DRAWN[1], 5), (DRAWN[0], 70), (DRAWN[1], 70)] {
        // Trees and maps know no other way with many features.
        let all = balanced(balance).into_iter().filter(|(name, _)| d == 5 || *name == "logistic");
        for (name, study) in all {
            let pooled = rows(&unequal(d, true, 31), &study);
            let (sites, schema) = (pooled.sites(), pooled.schema().clone());
            let expected = find(&pooled, &study, &sites, &schema).unwrap();
            assert!(value(&expected.targets[0].nested.judged.auc_within_sites) > 0.6, "{name}");
            let mut together = pooled.by_site();
            together.rotate_left(1);
            let found = find(&Together(together), &study, &sites, &schema).unwrap();
            assert_eq!(found, expected, "{name} with {balance:?}");
        }
    }
}

#[test]
fn over_sampling_doesnt_depend_on_the_split_into_sites_and_smote_does() {
    let with_issuer = |made: &[Line], study: &Study| -> Rows {
        let mut builder = RowsBuilder::new(study.schema(made[0].features.len() as u32));
        for line in made {
            let site = SiteId::parse(&format!("site-{}", line.site)).unwrap();
            let key = format!("p{:05}", line.patient);
            let patient = Patient { site, issuer: "all".into(), key };
            builder.add(patient, line.class, &[], &line.features).unwrap();
        }
        builder.build().unwrap()
    };
    for balance in DRAWN {
        let (_, mut study) = balanced(balance).swap_remove(0);
        study.validation.leave_one_site_out = false;
        let weights = |made: &[Line]| {
            let rows = with_issuer(made, &study);
            let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
            found.targets[0].model.fitted.linear().unwrap().weights.clone()
        };
        let mut made = unequal(5, false, 32);
        let three_sites = weights(&made);
        made.iter_mut().for_each(|line| line.site = 0);
        let off = relative(&weights(&made), &three_sites);
        match balance {
            Balance::OverSampling => assert!(off < 1e-9, "{off:e}"),
            _ => assert!(off > 1e-3, "{off:e}"),
        }
    }
}

#[test]
fn a_balanced_model_predicts_more_positives_and_ranks_about_the_same() {
    let of = |balance| {
        let (_, study) = balanced(balance).swap_remove(0);
        let rows = rows(&unequal(5, false, 33), &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let judged = &found.targets[0].nested.judged;
        (value(&judged.auc_within_sites), value(&judged.one_list.brier))
    };
    let (plain_auc, plain_brier) = of(Balance::None);
    for balance in [Balance::Weights, Balance::OverSampling, Balance::Smote] {
        let (auc, brier) = of(balance);
        assert!((auc - plain_auc).abs() < 0.03, "{balance:?}: {auc} for {plain_auc}");
        assert!(brier > plain_brier + 0.01, "{balance:?}: {brier} for {plain_brier}");
    }
}
