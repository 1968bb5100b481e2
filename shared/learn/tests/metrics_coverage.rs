//! The 95 % interval of an AUC covers the true value 92 to 98 times of 100 when a patient's images
//! are alike (correlation 0.6). Fixed seeds, so the same numbers every time.

mod metrics_support;
#[path = "metrics_support/normal.rs"]
mod normal;

use metrics_support::{Row, cell, placements};
use normal::Normal;
use wardround_learn::metrics::interval::{
    auc_interval, clustered_variance, delong_variance, within_sites_variance,
};
use wardround_learn::metrics::ranking::{auc_within_sites, roc_auc};

const CORRELATION: f64 = 0.6;
const EFFECT: f64 = 1.2;
const REPLICATES: usize = 2000;

/// Patients with these many (negative, positive) images each.
fn draw(random: &mut Normal, patients: &[[usize; 2]], shift: f64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (patient, counts) in patients.iter().enumerate() {
        let shared = CORRELATION.sqrt() * random.draw();
        for (class, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                let own = (1.0 - CORRELATION).sqrt() * random.draw();
                let logit = shift + EFFECT * class as f64 + shared + own;
                rows.push(Row { logit, positive: class == 1, patient });
            }
        }
    }
    rows
}

fn phi(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// True AUC of images of different patients.
fn between_patients() -> f64 {
    phi(EFFECT / 2f64.sqrt())
}

fn share(hits: usize) -> f64 {
    hits as f64 / REPLICATES as f64
}

fn covers([low, high]: [f64; 2], truth: f64) -> usize {
    usize::from(low <= truth && truth <= high)
}

#[test]
fn patients_of_one_class_are_covered() {
    let patients = [[[3, 0]; 90].as_slice(), &[[0, 3]; 60]].concat();
    let mut random = Normal(1);
    let (mut clustered, mut plain) = (0, 0);
    for _ in 0..REPLICATES {
        let rows = draw(&mut random, &patients, 0.0);
        let h = cell(&rows).histogram;
        let auc = roc_auc(&h).unwrap();
        let variance = clustered_variance(&h, &placements(&rows, &h)).unwrap();
        clustered += covers(auc_interval(auc, variance).unwrap(), between_patients());
        plain +=
            covers(auc_interval(auc, delong_variance(&h).unwrap()).unwrap(), between_patients());
    }
    println!("clustered {}, DeLong by rows {}", share(clustered), share(plain));
    assert!((0.92..=0.98).contains(&share(clustered)), "{}", share(clustered));
    // What clustering is for: rows taken as independent promise too much.
    assert!(share(plain) < 0.85, "{}", share(plain));
}

#[test]
fn patients_of_both_classes_are_covered() {
    let patients = [[2, 2]; 80];
    // One pair in 80 is of one patient, whose images share their patient effect.
    let same_patient = phi(EFFECT / (2.0 * (1.0 - CORRELATION)).sqrt());
    let truth = (79.0 * between_patients() + same_patient) / 80.0;
    let mut random = Normal(2);
    let mut covered = 0;
    for _ in 0..REPLICATES {
        let rows = draw(&mut random, &patients, 0.0);
        let h = cell(&rows).histogram;
        let variance = clustered_variance(&h, &placements(&rows, &h)).unwrap();
        covered += covers(auc_interval(roc_auc(&h).unwrap(), variance).unwrap(), truth);
    }
    println!("clustered {}", share(covered));
    assert!((0.92..=0.98).contains(&share(covered)), "{}", share(covered));
}

#[test]
fn within_sites_is_covered() {
    // Four hospitals of their own size, prevalence and brightness.
    let hospital = |sick: usize, well: usize| [vec![[0, 2]; sick], vec![[2, 0]; well]].concat();
    let hospitals = [
        (hospital(40, 60), 0.0),
        (hospital(15, 80), -1.5),
        (hospital(50, 20), 2.0),
        (hospital(5, 10), 0.5),
    ];
    let mut random = Normal(3);
    let mut covered = 0;
    for _ in 0..REPLICATES {
        let (histograms, sites): (Vec<_>, Vec<_>) = hospitals
            .iter()
            .map(|(patients, shift)| {
                let rows = draw(&mut random, patients, *shift);
                let h = cell(&rows).histogram;
                let sums = placements(&rows, &h);
                (h.clone(), (h, sums))
            })
            .unzip();
        let auc = auc_within_sites(&histograms).unwrap();
        let variance = within_sites_variance(&sites).unwrap();
        covered += covers(auc_interval(auc, variance).unwrap(), between_patients());
    }
    println!("within sites {}", share(covered));
    assert!((0.92..=0.98).contains(&share(covered)), "{}", share(covered));
}
