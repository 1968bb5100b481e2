//! Studies that judge exams or patients: models are those of rows, every figure is of units.

use wardround_core::study::{ExamKey, JudgedUnit, OwnSiteBaseline, Standardise, Study, UnitScore};
use wardround_learn::findings::{Findings, JudgedCell, OwnSite, OwnSites};
use wardround_learn::rows::{Rows, Together};

use crate::support::{find, lines, rows, study, value, with_subgroup};

fn judging(judge: JudgedUnit) -> Study {
    let mut study = with_subgroup(study(&[0.1, 1.0], &[Standardise::All]));
    study.validation.leave_one_site_out = false;
    study.validation.own_site_baseline = OwnSiteBaseline::On;
    study.validation.judge = judge;
    if let JudgedUnit::Exam(_) = judge {
        study.patient.exam = ExamKey::Column("exam".into());
    }
    study
}

fn found(study: &Study) -> (Rows, Findings) {
    let rows = rows(&lines(240, 5, 3, 9), study);
    let found = find(&rows, study, &rows.sites(), rows.schema()).expect("the study runs");
    (rows, found)
}

#[test]
fn figures_are_of_units_and_models_of_rows() {
    let (rows, by_row) = found(&judging(JudgedUnit::Row));
    let study = judging(JudgedUnit::Patient(UnitScore::Mean));
    let (_, by_patient) = found(&study);
    let (all, patients) = (rows.len() as u64, rows.patients().count() as u64);
    assert!(patients + 50 < all);
    for (found, judged) in [(&by_row, all), (&by_patient, patients)] {
        let nested = &found.targets[0].nested.judged;
        let count = |figures: &wardround_learn::findings::Figures| figures.rows.iter().sum::<u64>();
        assert_eq!(count(&nested.one_list), judged);
        assert_eq!(nested.by_site.iter().map(count).sum::<u64>(), judged);
        assert_eq!(nested.by_subgroup[0].iter().map(count).sum::<u64>(), judged);
        assert_eq!(nested.one_list.confusion.iter().sum::<u64>(), judged);
        assert_eq!(found.profile.all.rows(), all);
        let OwnSites::Asked { classes, .. } = &found.own_sites else { panic!("asked for") };
        let own = classes[0].sites.iter().zip(&nested.by_site);
        for (own, site) in own {
            let OwnSite::Fitted(own) = own else { panic!("every site has both classes") };
            assert_eq!(own.own.rows, site.rows);
        }
    }
    let JudgedCell::Units(units) = &by_patient.profile.all.judged else { panic!("patients") };
    assert_eq!((units.count, units.patients, units.rows), (patients, patients, all));
    assert_eq!(by_row.profile.all.judged, JudgedCell::Rows);
    // The same grid point leads to the same model, whatever is judged.
    let [a, b] = [&by_row, &by_patient].map(|found| &found.targets[0].model);
    if a.point == b.point {
        assert_eq!(a.fitted, b.fitted);
    }
    let auc = |found: &Findings| value(&found.targets[0].nested.judged.one_list.auc);
    assert_ne!(auc(&by_row), auc(&by_patient));
}

#[test]
fn a_federation_judges_units_as_one_place_does() {
    for judge in [JudgedUnit::Exam(UnitScore::Max), JudgedUnit::Patient(UnitScore::Mean)] {
        let study = judging(judge);
        let (rows, here) = found(&study);
        let (sites, schema) = (rows.sites(), rows.schema().clone());
        let there =
            find(&Together(rows.by_site()), &study, &sites, &schema).expect("the study runs");
        assert_eq!(here, there);
    }
}
