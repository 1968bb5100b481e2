//! What must hold for every metric of the registry, on any rows.

use proptest::prelude::*;
use wardround_core::query::{Bins, CALIBRATION_BINS};
use wardround_core::sum::{fix, unit};
use wardround_learn::findings::{Figure, NamedFigure};
use wardround_learn::metrics::ranking::{auc_within_sites, roc_auc, site_only_auc};
use wardround_learn::metrics::registry::{METRICS, Place, listed, metric};
use wardround_learn::metrics::{
    CalibrationSums, Confusion, ScoreCell, ScoreHistogram, Threshold, Undefined,
};

const BINS: Bins = Bins { half_width: 4.0, count: 16 };
const SITES: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Row {
    logit: f64,
    positive: bool,
    site: usize,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (-5.0f64..5.0, any::<bool>(), 0..SITES);
    let row = row.prop_map(|(logit, positive, site)| Row { logit, positive, site });
    prop::collection::vec(row, 0..60)
}

fn threshold() -> impl Strategy<Value = Threshold> {
    let probability = 0.0f64..=1.0;
    probability.prop_map(|p| Threshold::nearest(BINS, p).expect("p is a probability"))
}

fn empty() -> ScoreCell {
    let calibration = CalibrationSums::empty();
    ScoreCell { histogram: ScoreHistogram::empty(BINS), calibration }
}

/// Fractions rounded row by row, as sites send them.
fn cell<'a>(rows: impl IntoIterator<Item = &'a Row>) -> ScoreCell {
    let rounded = |v: f64| fix(v, 32, "row").expect("a row's terms are small") as f64 * unit(32);
    let mut cell = empty();
    for row in rows {
        cell.histogram.add(row.logit, row.positive);
        let p = 1.0 / (1.0 + (-row.logit).exp());
        let y = f64::from(u8::from(row.positive));
        let bin = (p * CALIBRATION_BINS as f64) as usize;
        let sums = &mut cell.calibration;
        sums.rows[bin][usize::from(row.positive)] += 1;
        sums.scores[bin] += rounded(p);
        sums.brier += rounded((p - y) * (p - y));
        sums.log_loss -= rounded((y * p + (1.0 - y) * (1.0 - p)).ln());
    }
    cell
}

fn by_site(rows: &[Row]) -> Vec<ScoreCell> {
    (0..SITES).map(|site| cell(rows.iter().filter(|row| row.site == site))).collect()
}

fn swapped(h: &ScoreHistogram) -> ScoreHistogram {
    ScoreHistogram::new(BINS, h.negatives().to_vec(), h.positives().to_vec())
        .expect("the same bins")
}

/// Labels swapped and scores turned round: the same question asked of the other class.
fn mirrored(h: &ScoreHistogram) -> ScoreHistogram {
    let back = |counts: &[u64]| counts.iter().rev().copied().collect();
    ScoreHistogram::new(BINS, back(h.negatives()), back(h.positives())).expect("the same bins")
}

proptest! {
    #[test]
    fn any_split_into_sites_and_any_order_give_the_same_bits(
        rows in rows(),
        order in Just((0..SITES).collect::<Vec<_>>()).prop_shuffle(),
        threshold in threshold(),
    ) {
        let together = cell(&rows);
        let sites = by_site(&rows);
        let merged = ScoreCell::merged(order.iter().map(|&site| &sites[site])).unwrap();
        for metric in METRICS {
            let [one, other] =
                [&together, &merged].map(|cell| metric.value(cell, &threshold).unwrap());
            prop_assert_eq!(one.map(f64::to_bits), other.map(f64::to_bits), "{}", metric.name);
        }
        let shuffled: Vec<_> = order.iter().map(|&s| sites[s].histogram.clone()).collect();
        let sorted: Vec<_> = sites.iter().map(|s| s.histogram.clone()).collect();
        let within = [&sorted, &shuffled].map(|all| auc_within_sites(all).map(f64::to_bits));
        prop_assert_eq!(within[0], within[1]);
        let counts = |all: &[ScoreHistogram]| -> Vec<_> {
            all.iter().map(|h| [h.negative_rows(), h.positive_rows()]).collect()
        };
        let alone = [&sorted, &shuffled].map(|all| site_only_auc(&counts(all)).map(f64::to_bits));
        prop_assert_eq!(alone[0], alone[1]);
    }

    #[test]
    fn every_metric_stays_in_its_range(rows in rows(), threshold in threshold()) {
        let cell = cell(&rows);
        for metric in METRICS {
            if let Ok(value) = metric.value(&cell, &threshold).unwrap() {
                let [least, most] = metric.range;
                prop_assert!((least..=most).contains(&value), "{} is {value}", metric.name);
            }
        }
    }

    #[test]
    fn swapping_the_classes_turns_metrics_round(rows in rows(), threshold in threshold()) {
        let h = cell(&rows).histogram;
        match (roc_auc(&h), roc_auc(&swapped(&h))) {
            (Ok(auc), Ok(other)) => {
                prop_assert!((auc + other - 1.0).abs() < 1e-15);
                prop_assert!((roc_auc(&mirrored(&h)).unwrap() - auc).abs() < 1e-15);
            }
            (Err(Undefined::NoPositives), Err(why)) => {
                let rows = h.positive_rows() + h.negative_rows();
                let both = if rows == 0 { Undefined::NoPositives } else { Undefined::NoNegatives };
                prop_assert_eq!(why, both);
            }
            (one, other) => {
                prop_assert_eq!(one, Err(Undefined::NoNegatives));
                prop_assert_eq!(other, Err(Undefined::NoPositives));
            }
        }
        // The first bin's threshold has no mirror image: none stands above the last bin.
        if threshold.bin() > 0 {
            let bin = BINS.count as usize - threshold.bin();
            let p = 1.0 / (1.0 + (-BINS.lower_edge(bin)).exp());
            let turned = Threshold::nearest(BINS, p).unwrap();
            let one = Confusion::at(&h, &threshold).unwrap();
            let other = Confusion::at(&mirrored(&h), &turned).unwrap();
            let expected = Confusion { tp: one.tn, fp: one.fn_, tn: one.tp, fn_: one.fp };
            prop_assert_eq!(other, expected);
        }
    }

    #[test]
    fn no_score_of_the_site_alone_beats_the_prevalence(
        counts in prop::collection::vec([0u64..30, 0u64..30], SITES),
        order in Just((0..SITES).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // Another score: the sites in any order, one bin each.
        let mut histogram = vec![[0; 2]; BINS.count as usize];
        order.iter().enumerate().for_each(|(bin, &site)| histogram[bin] = counts[site]);
        let of = |class: usize| histogram.iter().map(|c| c[class]).collect();
        let other = roc_auc(&ScoreHistogram::new(BINS, of(1), of(0)).unwrap());
        match (site_only_auc(&counts), other) {
            (Ok(best), Ok(other)) => {
                prop_assert!(best >= 0.5 && other <= best + 1e-15, "{other} beats {best}");
            }
            (one, other) => prop_assert_eq!(one, other),
        }
    }
}

#[test]
fn no_metric_has_a_value_on_nothing() {
    let threshold = Threshold::nearest(BINS, 0.5).unwrap();
    for metric in METRICS {
        assert!(metric.value(&empty(), &threshold).unwrap().is_err(), "{}", metric.name);
    }
    let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
    let listed = listed(&empty(), &Confusion::default());
    let expected = METRICS.iter().filter(|metric| metric.place == Place::List).count();
    assert_eq!(listed.len(), expected);
    for NamedFigure { name, figure } in listed {
        assert_eq!(metric(&name).unwrap().place, Place::List);
        assert!(matches!(figure, Figure::Undefined { .. }), "{name}: {figure:?}");
    }
}
