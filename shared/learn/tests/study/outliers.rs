//! How unlike rows are to training rows: the same over any sites, of rows that the measure never saw, and in the bundle.

use wardround_core::query::{Ask, Fill, Query};
use wardround_core::study::{Classes, Outliers as Rule, Recalibrate, Standardise, Study};
use wardround_core::sum::Sum;
use wardround_learn::bundle::{
    BundleError, BundleInput, ConformalEntry, FORMAT, ModelBundle, OutlierEntry, OutlierScore,
    Recalibration, predict,
};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{Findings, MeansOf, MeasuredOutliers, Outliers};
use wardround_learn::rows::{Rows, Together};

use crate::support::{Line, find, lines, rows, study};

fn asked() -> Study {
    let mut study = study(&[0.5], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    study.validation.outliers = Rule::On;
    study.validation.recalibrate = Recalibrate::Platt;
    study
}

fn found(rows: &Rows, study: &Study) -> Findings {
    find(rows, study, &rows.sites(), rows.schema()).expect("it can be fitted")
}

fn measured(found: &Findings) -> &MeasuredOutliers {
    let Outliers::Measured(measured) = &found.outliers else { panic!("{:?}", found.outliers) };
    measured
}

fn bundle(study: &Study, found: &Findings) -> ModelBundle {
    let mut study = study.clone();
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..found.features).map(|j| format!("x{j}")).collect();
    let input = BundleInput::of_table(&study).expect("a table");
    ModelBundle::new(&study, found, input, "wardround test")
}

/// Rows with the generator of the others, but of other patients.
fn fresh(n: usize, d: usize, sites: usize) -> Vec<Line> {
    lines(3 * n, d, sites, 71).into_iter().filter(|line| line.patient >= n).collect()
}

#[test]
fn sites_that_add_up_measure_as_one_place() {
    let study = asked();
    let mut made = lines(240, 6, 3, 71);
    made.iter_mut().step_by(11).for_each(|line| line.features[2] = f64::NAN);
    let one = rows(&made, &study);
    let (sites, schema) = (one.sites(), one.schema().clone());
    let expected = found(&one, &study);
    let Outliers::Measured(of) = &expected.outliers else { panic!("asked for") };
    assert_eq!((of.means, of.measure.means.len()), (MeansOf::Classes, 2));
    assert!(matches!(of.measure.fill, Fill::Values(_)));
    // Each row once, at its site.
    let of_site = |site| one.rows().filter(|row| row.site == site).count() as u64;
    let counted: Vec<u64> = of.by_site.iter().map(|bins| bins.iter().sum()).collect();
    assert_eq!(counted, sites.iter().map(of_site).collect::<Vec<_>>());
    let mut together = rows(&made, &study).by_site();
    together.rotate_left(1);
    assert_eq!(find(&Together(together), &study, &sites, &schema).unwrap(), expected);
}

/// Keeps the questions about distances.
struct Watched<'a> {
    rows: &'a Rows,
    measures: std::sync::Mutex<Vec<Query>>,
}

impl Cohort for Watched<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        if matches!(query.ask, Ask::Distances { .. }) {
            self.measures.lock().expect("nobody panics with it").push(query.clone());
        }
        self.rows.answer(query)
    }
}

fn question(rows: &Rows, study: &Study) -> Query {
    let watched = Watched { rows, measures: std::sync::Mutex::default() };
    find(&watched, study, &rows.sites(), rows.schema()).expect("it can be fitted");
    let mut asked = watched.measures.into_inner().expect("nobody panics with it");
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

#[test]
fn no_row_has_a_part_in_its_own_measure() {
    let study = asked();
    let made = lines(120, 4, 2, 72);
    let one = rows(&made, &study);
    let before = question(&one, &study);
    let fold = one.fold_column(&before.folds, 0);
    let held: Vec<usize> =
        one.rows().zip(&fold).filter(|(_, fold)| **fold == 2).map(|(row, _)| row.source).collect();
    let mut moved = made;
    held.iter().for_each(|&at| moved[at].features[0] += 3.0);
    let after = question(&rows(&moved, &study), &study);
    let (Ask::Distances { frame: f, terms: a, .. }, Ask::Distances { frame: g, terms: b, .. }) =
        (before.ask, after.ask)
    else {
        panic!("distances")
    };
    // The frame is of all rows and cancels out: means in the features' own units tell.
    let own = |frame: &wardround_core::query::Frame, mean: &[f64]| -> Vec<f64> {
        mean.iter().enumerate().map(|(j, m)| frame.center[j] + frame.scale[j] * m).collect()
    };
    for (at, (a, b)) in a.iter().zip(&b).enumerate() {
        let (a, b) = (own(&f, &a.measure.means[0]), own(&g, &b.measure.means[0]));
        let same = a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert_eq!(same, at == 2, "fold {at}");
    }
}

#[test]
fn a_bundle_knows_rows_like_its_own_from_others() {
    let study = asked();
    let one = rows(&lines(1200, 5, 3, 71), &study);
    let findings = found(&one, &study);
    let bundle = bundle(&study, &findings);
    let entry = &bundle.manifest.beside;
    let means = MeansOf::Classes;
    assert_eq!(entry.outliers, OutlierEntry::Mahalanobis { means, directions: 5 });
    let OutlierScore::Measured { steps, .. } = &bundle.beside.outliers else { panic!("measured") };
    let (limit, share) = steps.last().unwrap();
    assert!((0.98..0.995).contains(&share), "{share}");
    let beyond = measured(&findings).beyond(limit);
    let [all, flagged] = [0, 1].map(|at| beyond.iter().map(|site| site[at]).sum::<u64>());
    assert_eq!(all, one.len() as u64);
    assert!(((1.0 - share) * all as f64 - flagged as f64).abs() < 1e-6, "{flagged} of {all}");

    let new = fresh(1200, 5, 3);
    let said = |features: &[f64]| bundle.outlier(features).unwrap().unwrap();
    let of_new: Vec<_> = new.iter().map(|line| said(&line.features)).collect();
    let share = |of: &dyn Fn(f64) -> bool| {
        of_new.iter().filter(|said| of(said.percentile)).count() as f64 / new.len() as f64
    };
    for percent in [10.0, 50.0, 90.0] {
        let below = share(&|percentile| percentile < percent);
        assert!((below - percent / 100.0).abs() < 0.03, "{percent} %: {below}");
    }
    let flagged = of_new.iter().filter(|said| said.outlier).count() as f64 / new.len() as f64;
    assert!(flagged < 0.025, "{flagged}");
    // In units of its scale every feature lies within 1 of 3.
    let mut far = new[0].features.clone();
    far[2] += 6.0 * far[2].abs();
    let said = said(&far);
    assert!(said.outlier && said.percentile > 98.0 && said.distance > 3.0, "{said:?}");
    assert_eq!(bundle.outlier(&[f64::NAN; 5]), Ok(None));
    assert!(bundle.outlier(&far[..4]).is_err());
}

#[test]
fn conformal_sets_hold_the_class_of_new_rows() {
    let study = asked();
    let one = rows(&lines(1200, 5, 3, 71), &study);
    let bundle = bundle(&study, &found(&one, &study));
    let coverage_percent = 90;
    assert_eq!(bundle.manifest.beside.conformal, ConformalEntry::ByClass { coverage_percent });
    let (mut rows, mut held) = ([0.0; 2], [0.0; 2]);
    for line in fresh(1200, 5, 3) {
        let probabilities = predict(&bundle, &line.features).unwrap();
        let set = bundle.possible_classes(&probabilities).unwrap();
        let class = usize::from(line.class);
        rows[class] += 1.0;
        held[class] += f64::from(u8::from(set.contains(&line.class)));
    }
    for class in 0..2 {
        let share = held[class] / rows[class];
        assert!((0.87..0.94).contains(&share), "class {class}: {share}");
    }
}

#[test]
fn the_recalibration_that_was_chosen_is_in_the_bundle() {
    let mut study = asked();
    let one = rows(&lines(300, 4, 2, 73), &study);
    for (rule, free) in [(Recalibrate::Platt, true), (Recalibrate::Temperature, false)] {
        study.validation.recalibrate = rule;
        let bundle = bundle(&study, &found(&one, &study));
        assert_eq!(bundle.manifest.beside.recalibration, rule);
        let [Recalibration::Line { intercept, slope }] = bundle.beside.recalibration[..] else {
            panic!("a line")
        };
        assert_eq!(intercept != 0.0, free);
        let logit = intercept + slope * (0.2f64 / 0.8).ln();
        let [Some(p)] = bundle.recalibrated(&[0.2])[..] else { panic!("a probability") };
        assert!((p - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-12);
        assert_eq!(bundle.recalibrated(&[1.0]), [Some(1.0)]);
    }
    study.validation.recalibrate = Recalibrate::Off;
    assert!(bundle(&study, &found(&one, &study)).recalibrated(&[0.2]).is_empty());
}

#[test]
fn bundles_with_it_are_canonical_and_mistrusted() {
    let study = asked();
    let mut made = lines(150, 4, 2, 74);
    made.iter_mut().step_by(9).for_each(|line| line.features[1] = f64::NAN);
    let one = rows(&made, &study);
    let bundle = bundle(&study, &found(&one, &study));
    let bytes = bundle.write().unwrap();
    assert_eq!(ModelBundle::format_of(&bytes).unwrap(), FORMAT);
    let read = ModelBundle::read(&bytes).unwrap();
    assert_eq!(read, bundle);
    assert_eq!(read.write().unwrap(), bytes);

    let earlier = bundle.clone().in_format(2).write().unwrap();
    assert_eq!(ModelBundle::format_of(&earlier).unwrap(), 2);
    let earlier = ModelBundle::read(&earlier).unwrap();
    assert_eq!((&earlier.models, earlier.manifest.beside.is_nothing()), (&bundle.models, true));
    assert_eq!(earlier.possible_classes(&[0.5]), None);
    assert_eq!(earlier.outlier(&[0.0; 4]), Ok(None));

    let broken = |change: fn(&mut ModelBundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        match bundle.write() {
            Err(BundleError::Inconsistent(what)) => what,
            other => panic!("{other:?}"),
        }
    };
    fn numbers(
        bundle: &mut ModelBundle,
    ) -> (&mut wardround_core::query::Measure, &mut wardround_learn::metrics::steps::Steps) {
        match &mut bundle.beside.outliers {
            OutlierScore::Measured { measure, steps } => (measure, steps),
            OutlierScore::None => panic!("measured"),
        }
    }
    assert!(broken(|b| numbers(b).0.variances[0] = 0.0).contains("variance"));
    assert!(broken(|b| numbers(b).0.means[0][1] = f64::NAN).contains("finite"));
    assert!(broken(|b| numbers(b).0.directions.truncate(1)).contains("directions"));
    assert!(broken(|b| numbers(b).1.shares.reverse()).contains("steps"));
    assert!(broken(|b| numbers(b).1.limits.clear()).contains("steps"));
    assert!(broken(|b| b.beside.outliers = OutlierScore::None).contains("doesn't describe"));
    assert!(broken(|b| b.beside.sets[0].positive_from = 1.5).contains("no probability"));
    assert!(broken(|b| b.beside.sets.clear()).contains("0 limits"));
    let falls = Recalibration::Line { intercept: 0.0, slope: -1.0 };
    let mut down = bundle.clone();
    down.beside.recalibration = vec![falls];
    assert!(down.write().unwrap_err().to_string().contains("doesn't rise"));
}

#[test]
fn a_bundle_of_the_second_format_is_read() {
    let bytes = include_bytes!("../fixtures/bundle-2.safetensors");
    assert_eq!(ModelBundle::format_of(bytes).unwrap(), 2);
    let bundle = ModelBundle::read(bytes).unwrap();
    assert!(bundle.manifest.beside.is_nothing());
    assert_eq!(bundle.clone().in_format(2).write().unwrap(), bytes);
    assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
}

#[test]
fn few_patients_or_labels_are_measured_from_one_mean() {
    let mut study = asked();
    let mut made = lines(120, 4, 2, 75);
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    made.iter_mut().filter(|line| line.patient % 15 == 0).for_each(|line| line.class = 2);
    let findings = found(&rows(&made, &study), &study);
    let of = measured(&findings);
    assert_eq!((of.means, of.measure.means.len()), (MeansOf::AllRows, 1));
    // Twelve directions would be as many as patients allow; there are four columns.
    assert_eq!(of.measure.directions.len(), 4);
    study.validation.outliers = Rule::Off;
    assert_eq!(found(&rows(&made, &study), &study).outliers, Outliers::NotAsked);
}
