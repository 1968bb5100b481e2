//! The whole way on a small made-up set.

use std::fmt::Write;

use wardround_learn::bundle::predict;

use super::*;

const SMALL: [(&str, &str); 6] = [
    ("logistic", "c = [1e-3, 1e-1]"),
    ("linear-svm", "c = [1e-4, 1e-2]"),
    ("ridge", "alpha = [1.0, 100.0]"),
    ("lda", "shrinkage = [0.1, 0.5]"),
    ("forest", "trees = [20]\nmin_patients = [2, 5]"),
    ("boosting", "trees = [10, 20]\ndepth = [2]\nrows = 0.8"),
];

const RULES: Rules = Rules { hospitals: 3, seed: 5 };

/// A line of the manifest with its features.
#[derive(Clone)]
struct Line {
    split: &'static str,
    positive: bool,
    features: [f32; 4],
}

/// A number in [-1, 1) of its own for every pair.
fn noise(i: usize, j: usize) -> f32 {
    let mut h = (i * 1_000_003 + j * 8191 + 12345) as u32;
    for _ in 0..3 {
        h = h.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        h ^= h >> 15;
    }
    h as f32 / (1u32 << 31) as f32 - 1.0
}

/// 240 images whose first two features say something, split 3 : 1 : 2.
fn lines() -> Vec<Line> {
    let line = |i: usize| {
        let x: [f32; 4] = std::array::from_fn(|j| noise(i, j));
        let positive = x[0] - x[1] + 0.8 * noise(i, 9) > -0.3;
        let split = ["train", "test", "train", "val", "test", "train"][i % 6];
        Line { split, positive, features: [x[0] * 40.0, x[1] + 7.0, x[2], x[3] * 0.01] }
    };
    (0..240).map(line).collect()
}

fn set(lines: &[Line]) -> OfficialSplit {
    let mut manifest = "path,label,split\n".to_owned();
    for (at, line) in lines.iter().enumerate() {
        let Line { split, positive, .. } = line;
        writeln!(manifest, "images/{at:04}.png,{},{split}", u8::from(*positive)).unwrap();
    }
    let numbers = lines.iter().flat_map(|line| line.features);
    let features: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    OfficialSplit::read(manifest.as_bytes(), &features).unwrap()
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::default();
    table.add("made up", &set(lines), &SMALL, &RULES).unwrap();
    table.mark().unwrap();
    table
}

/// Turns an image's label around and makes its features say so, loudly.
fn poison(line: &mut Line) {
    line.positive = !line.positive;
    line.features = [if line.positive { 1e6 } else { -1e6 }; 4];
}

fn value(figure: &Figure) -> f64 {
    match figure {
        Figure::Known { value, .. } => *value,
        Figure::Undefined { reason } => panic!("undefined: {reason}"),
    }
}

#[test]
fn test_images_have_no_part_in_models_scalers_thresholds_and_the_choice() {
    let made = lines();
    let before = table(&made);
    assert_eq!((before.training_images, before.test_images), (160, 80));

    let mut poisoned = made.clone();
    poisoned.iter_mut().filter(|line| line.split == "test").for_each(poison);
    let after = table(&poisoned);
    for (old, new) in before.rows.iter().zip(&after.rows) {
        let of = |row: &Row| (row.model, row.threshold.to_bits(), row.chosen);
        assert_eq!(of(old), of(new), "{}", old.classifier);
        assert_eq!((old.point, &old.nested_auc), (new.point, &new.nested_auc));
        // The control: the test images themselves did change.
        assert_ne!(old.test, new.test, "{}", old.classifier);
    }

    // The control: a single image of `val` does take part.
    let mut poisoned = made;
    poison(poisoned.iter_mut().find(|line| line.split == "val").unwrap());
    for (old, new) in before.rows.iter().zip(&table(&poisoned).rows) {
        assert_ne!(old.model, new.model, "{}", old.classifier);
    }
}

#[test]
fn figures_are_those_of_scores_counted_by_hand() {
    let set = set(&lines());
    for (kind, parameters) in SMALL {
        let fitted =
            fit(&set.training, &format!("kind = \"{kind}\"\n{parameters}"), &RULES).unwrap();
        let got = judge(&fitted.model, &set.test).unwrap();
        let scored: Vec<(f64, bool)> = set
            .test
            .iter()
            .map(|image| (predict(&fitted.model, &image.features).unwrap()[0], image.positive))
            .collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for (p, _) in scored.iter().filter(|(_, positive)| *positive) {
            for (q, _) in scored.iter().filter(|(_, positive)| !positive) {
                won += if p > q { 1.0 } else { f64::from(u8::from(p == q)) / 2.0 };
                pairs += 1.0;
            }
        }
        let right = |threshold: f64| {
            let right = scored.iter().filter(|(p, positive)| (*p >= threshold) == *positive);
            right.count() as f64 / scored.len() as f64
        };
        assert!((value(&got.auc) - won / pairs).abs() < 1e-3, "{kind}");
        assert_eq!(value(&got.accuracy), right(fitted.model.models[0].threshold), "{kind}");
        assert_eq!(value(&got.accuracy_at_half), right(0.5), "{kind}");
        assert!(value(&got.auc) > 0.75, "{kind} learned nothing");
        for figure in [&got.auc, &got.accuracy, &got.accuracy_at_half] {
            let Figure::Known { value, interval: Interval::Between { low, high } } = figure else {
                panic!("{kind}: no interval of {figure:?}");
            };
            assert!(low < value && value < high, "{kind}");
        }
        assert_eq!(got.confusion.iter().sum::<u64>(), 80);
    }
}

#[test]
fn the_row_with_the_largest_nested_auc_is_marked_whatever_the_test_says() {
    let mut table = table(&lines());
    let figure = |value| Figure::Known { value, interval: Interval::NotComputed };
    for (at, row) in table.rows.iter_mut().enumerate() {
        row.chosen = false;
        row.nested_auc = figure([0.7, 0.9, 0.8, 0.9, 0.6, 0.5][at]);
        row.test.auc = figure([0.9, 0.5, 0.99, 0.95, 0.9, 0.9][at]);
    }
    table.mark().unwrap();
    let chosen: Vec<bool> = table.rows.iter().map(|row| row.chosen).collect();
    assert_eq!(chosen, [false, true, false, false, false, false]);
}
