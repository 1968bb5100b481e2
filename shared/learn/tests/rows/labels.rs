//! Labels that may stand together: each is what two classes are, with it and without it, and no more rows
//! than there are.

use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::query::{
    Ask, ClassWeights, Column, Derivatives, Fill, FoldSet, GramTerm, Labelling, LinearModel,
    LinearTerm, Model, Query, RowSet, Scaler, Schema, ScoreList, SiteSet, SoftmaxModel,
    SoftmaxTerm,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::Cohort;
use wardround_learn::rows::{Rows, RowsBuilder, RowsError, Together};

use crate::federation::splitless;
use crate::population::{FEATURES, Population, frame, query, schema, sites};

/// Three labels and none of them.
fn labels() -> Schema {
    Schema { classes: 4, labelling: Labelling::Multi, ..schema() }
}

/// Label 0 of rows of class 0, label 1 of those of class 1 and of many others, label 2 of few.
fn labels_of(class: u8, x: f64) -> ClassSet {
    let has = [class == 0 && x > -1.0, class == 1 || x > 0.5, class == 2 && x < 0.0];
    let set: ClassSet = (0..).zip(has).filter(|(_, has)| *has).map(|(label, _)| label).collect();
    if set.count() == 0 { ClassSet::only(3) } else { set }
}

/// Every row once, with a weight of 1.
fn once(_: f64) -> (usize, f64) {
    (1, 1.0)
}

fn ask(cohort: &impl Cohort, query: &Query) -> Sum {
    let sum = block_on(cohort.sum(query)).unwrap();
    sum.check(query).unwrap();
    sum
}

fn of_labels(rows: &Rows, ask: Ask) -> Query {
    Query { schema: labels(), ..query(rows.sites(), ask) }
}

fn all() -> RowSet {
    RowSet { repeat: 1, folds: FoldSet::all(4), sites: SiteSet::All }
}

fn model(class: u8) -> LinearModel {
    let weights = (0..FEATURES).map(|k| 0.1 * k as f64 - 0.4).collect();
    let fill = Fill::Values(vec![0.25; FEATURES]);
    LinearModel { class, scaler: Scaler::Folded, weights, intercept: 0.2, fill }
}

/// Questions about a class whose answers don't know how folds are dealt.
fn about(class: u8) -> Vec<Ask> {
    let terms = |weights| vec![LinearTerm { weights, ..LinearTerm::new(all(), model(class)) }];
    let weights = ClassWeights::new(0.5, 3.0);
    let list = ScoreList { class, parts: vec![(all(), 0)] };
    let models: Vec<Model> = vec![model(class).into()];
    let bins = wardround_core::query::Bins { half_width: 6.0, count: 32 };
    let (derivatives, bits) = (Derivatives::Hessian, 36);
    vec![
        Ask::Logistic { frame: frame(), terms: terms(weights), derivatives, bits },
        Ask::SquaredHinge { frame: frame(), terms: terms(weights), derivatives, bits },
        Ask::Scores {
            frame: frame(),
            models,
            lists: vec![list],
            split: vec![Column::Subgroup(0)],
            bins,
            bits: 40,
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_label_is_two_classes(seed: u64, count in 1usize..=5) {
        let population = Population::draw(seed, 60);
        let rows = population.rows_of(labels(), count, seed, labels_of, once);
        let two = Schema { classes: 2, labelling: Labelling::Single, ..schema() };
        for label in 0..3 {
            let has = |class, x| ClassSet::only(u8::from(labels_of(class, x).has(label)));
            let apart = population.rows_of(two.clone(), count, seed, has, once);
            for (one, other) in about(label).into_iter().zip(about(1)) {
                let alone = Query { schema: two.clone(), ..query(apart.sites(), other) };
                let together = of_labels(&rows, one);
                prop_assert_eq!(ask(&rows, &together).blocks, ask(&apart, &alone).blocks);
            }
            let profile = Ask::Profile { split: vec![Column::Subgroup(0)] };
            let alone = Query { schema: two.clone(), ..query(apart.sites(), profile.clone()) };
            let (ours, theirs) = (of_labels(&rows, profile), ask(&apart, &alone));
            let sum = ask(&rows, &ours);
            let of = |sum: &Sum, query: &Query, block, classes: usize, class: usize| -> Vec<i64> {
                let counts = sum.counts(query, block).unwrap();
                counts.iter().skip(class).step_by(classes).copied().collect()
            };
            for block in ["patients_by_class", "rows_by_class"] {
                prop_assert_eq!(
                    of(&sum, &ours, block, 4, usize::from(label)),
                    of(&theirs, &alone, block, 2, 1)
                );
            }
            let by_class = theirs.counts(&alone, "rows_by_class").unwrap();
            let rows_of_cell: Vec<i64> = by_class.chunks(2).map(|two| two.iter().sum()).collect();
            prop_assert_eq!(sum.counts(&ours, "rows").unwrap(), rows_of_cell);
        }
    }

    #[test]
    fn moments_and_products_of_a_label_are_those_of_its_rows(seed: u64, count in 1usize..=5) {
        let population = Population::draw(seed, 60);
        let rows = population.rows_of(labels(), count, seed, labels_of, once);
        let split = |last| vec![Column::Subgroup(1), last];
        let moments = |split| Ask::Moments { frame: frame(), split, bits: 40 };
        let grams = || {
            let (rows, scaler) = (all(), Scaler::Folded);
            let fill = Fill::Values(vec![0.25; FEATURES]);
            let terms = vec![GramTerm { rows, scaler, fill }];
            Ask::ClassGram { frame: frame(), terms, bits: 36 }
        };
        let (by_label, products) =
            (of_labels(&rows, moments(split(Column::Class))), of_labels(&rows, grams()));
        let (by_label_sum, products_sum) = (ask(&rows, &by_label), ask(&rows, &products));
        for label in 0..4usize {
            let has = |class, x| ClassSet::only(u8::from(labels_of(class, x).has(label as u8)));
            let two = Schema { classes: 2, labelling: Labelling::Single, ..schema() };
            let apart = population.rows_of(two.clone(), count, seed, has, once);
            let alone = |ask| Query { schema: two.clone(), ..query(apart.sites(), ask) };
            let by_class = alone(moments(split(Column::Class)));
            let expected = ask(&apart, &by_class);
            for (block, width) in [("n", FEATURES), ("rows", 1), ("sum", FEATURES)] {
                let of = |sum: &Sum, query: &Query, classes, class| -> Vec<i64> {
                    let counts = sum.counts(query, block).unwrap().chunks(width);
                    counts.skip(class).step_by(classes).flatten().copied().collect()
                };
                prop_assert_eq!(of(&by_label_sum, &by_label, 4, label), of(&expected, &by_class, 2, 1));
            }
            let alone = alone(grams());
            let expected = ask(&apart, &alone);
            prop_assert_eq!(
                products_sum.counts(&products, "gram").unwrap(),
                expected.counts(&alone, "gram").unwrap()
            );
            let of = |sum: &Sum, query: &Query, class: usize| -> Vec<i64> {
                sum.counts(query, "sums").unwrap()[class * (FEATURES + 1)..][..FEATURES + 1].to_vec()
            };
            prop_assert_eq!(of(&products_sum, &products, label), of(&expected, &alone, 1));
        }
    }

    #[test]
    fn no_split_into_sites_changes_a_bit(seed: u64, first in 1usize..=8, second in 1usize..=8) {
        let population = Population::draw(seed, 60);
        let of = |count, seed| population.rows_of(labels(), count, seed, labels_of, once);
        let (a, b) = (of(first, seed), of(second, !seed));
        let asks = splitless().into_iter().filter(|ask| {
            // Models of all classes are refused where a row may have several.
            !matches!(ask, Ask::Scores { .. }
                    | Ask::Placements { .. }
                    | Ask::Resampled { .. }
                    | Ask::Bootstrap { .. })
        });
        for one in asks {
            let (here, there) = (of_labels(&a, one.clone()), of_labels(&b, one));
            prop_assert_eq!(ask(&a, &here).blocks, ask(&b, &there).blocks, "{}", here.name());
        }
        let together = Together(of(first, seed).by_site());
        for one in splitless().into_iter().take(3).chain(about(0)) {
            let here = of_labels(&a, one);
            prop_assert_eq!(ask(&a, &here), ask(&together, &here), "{}", here.name());
        }
    }
}

#[test]
fn what_labels_cant_be_is_refused() {
    let rows = Population::draw(3, 40).rows_of(labels(), 2, 3, labels_of, once);
    let softmax = SoftmaxModel {
        scaler: Scaler::Folded,
        fill: Fill::Complete,
        coefficients: vec![0.0; 4 * (FEATURES + 1)],
    };
    let term = SoftmaxTerm { rows: all(), class_weights: vec![1.0; 4], model: Arc::new(softmax) };
    let (terms, derivatives) = (vec![term], Derivatives::Gradient);
    let ask = Ask::Softmax { frame: frame(), terms, derivatives, bits: 30 };
    let error = rows.answer(&of_labels(&rows, ask)).unwrap_err().to_string();
    assert!(error.contains("may have several"), "{error}");
    let split = vec![Column::Class, Column::Subgroup(0)];
    let ask = Ask::Moments { frame: frame(), split, bits: 30 };
    let error = rows.answer(&of_labels(&rows, ask)).unwrap_err().to_string();
    assert!(error.contains("isn't the last"), "{error}");

    let patient = || wardround_learn::rows::Patient {
        site: sites(&["a"]).remove(0),
        issuer: "a".to_owned(),
        key: "1".to_owned(),
    };
    for (schema, set, count) in [
        (labels(), ClassSet(0), 0),
        (labels(), ClassSet(0b1001), 2),
        (schema(), ClassSet(0b11), 2),
        (schema(), ClassSet(0), 0),
    ] {
        let mut builder = RowsBuilder::new(schema);
        builder.add(patient(), set, &[0, 0], &[0.0; FEATURES]).unwrap();
        let error = builder.build().unwrap_err();
        assert!(
            matches!(error, RowsError::Classes { row: 0, count: n, .. } if n == count),
            "{error}"
        );
    }
}
