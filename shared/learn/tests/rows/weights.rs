//! Rows with weights of their own: in what is fitted, one of weight 3 is three rows; elsewhere it is one.

use futures::executor::block_on;
use proptest::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::query::{
    Ask, ClassWeights, Column, Derivatives, FoldSet, GramTerm, LinearTerm, Query, RowSet, Scaler,
    Schema, SiteSet, StackTerm, Weighting,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::Cohort;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, RowsError, Together};

use crate::federation::{fourier_hinge, given, growing, map, model, on_map, softmax, splitless};
use crate::population::{FEATURES, Population, frame, query, schema, sites};

fn weighted() -> Schema {
    Schema { weighting: Weighting::Given, ..schema() }
}

/// How often a row counts, 1 to 3.
fn times(x: f64) -> usize {
    1 + (x.max(-2.0) + 2.0).rem_euclid(3.0) as usize
}

fn ask(cohort: &impl Cohort, query: &Query) -> Sum {
    let sum = block_on(cohort.sum(query)).unwrap();
    sum.check(query).unwrap();
    sum
}

fn of_weighted(rows: &Rows, ask: Ask) -> Query {
    Query { schema: weighted(), ..query(rows.sites(), ask) }
}

fn all() -> RowSet {
    RowSet { repeat: 1, folds: FoldSet::all(4), sites: SiteSet::All }
}

/// What models are fitted to, of every kind, without knowing how folds are dealt.
fn fitting() -> Vec<Ask> {
    let weights = ClassWeights::new(0.5, 3.0);
    let term = LinearTerm { weights, ..LinearTerm::new(all(), model(1, Scaler::Folded)) };
    let (terms, derivatives, bits) = (vec![term], Derivatives::Hessian, 36);
    let fill = model(5, Scaler::Folded).fill;
    let products = vec![GramTerm { rows: all(), scaler: Scaler::Folded, fill }];
    vec![
        Ask::Logistic { frame: frame(), terms: terms.clone(), derivatives, bits },
        Ask::SquaredHinge { frame: frame(), terms, derivatives, bits },
        Ask::Gram { frame: frame(), rows: all(), scaler: Scaler::Folded, bits },
        Ask::ClassGram { frame: frame(), terms: products, bits },
        softmax(&[(all(), Scaler::Folded)], Derivatives::Hessian),
        fourier_hinge(&[(all(), on_map(1, &map(1, given())))], bits),
        stack(),
        growing(all()),
    ]
}

/// A stack of models that don't know how many rows a site has.
fn stack() -> Ask {
    let models = vec![model(1, Scaler::Folded).into(), model(2, Scaler::Folded).into()];
    let term = StackTerm {
        class: 1,
        class_weights: ClassWeights::new(0.6, 2.5),
        parts: vec![(all(), vec![0, 1])],
        weights: vec![0.4, -1.3],
        intercept: 0.2,
    };
    Ask::Stack { frame: frame(), models, terms: vec![term], bits: 36 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_row_of_weight_three_is_three_rows(seed: u64, count in 1usize..=4) {
        let population = Population::draw(seed, 60);
        let classes = |class, _| ClassSet::only(class);
        let heavy = |x| (1, times(x) as f64);
        let rows = population.rows_of(weighted(), count, seed, classes, heavy);
        let often = population.rows_of(schema(), count, seed, classes, |x| (times(x), 1.0));
        for one in fitting() {
            let trees = matches!(one, Ask::Trees { .. });
            let (ours, theirs) = (of_weighted(&rows, one.clone()), query(often.sites(), one));
            let (got, expected) = (ask(&rows, &ours), ask(&often, &theirs));
            for (block, (got, expected)) in got.blocks.iter().zip(&expected.blocks).enumerate() {
                // Patients of a leaf are counted, not weighed.
                if trees && block == 2 {
                    continue;
                }
                let close = got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 512);
                prop_assert!(close, "{} {block}: {got:?} {expected:?}", ours.name());
            }
        }
    }

    #[test]
    fn counts_and_scores_weigh_nothing(seed: u64, count in 1usize..=4) {
        let population = Population::draw(seed, 60);
        let classes = |class, _| ClassSet::only(class);
        let rows = population.rows_of(weighted(), count, seed, classes, |x| (1, times(x) as f64));
        let plain = population.rows(count, seed);
        let split = vec![Column::Subgroup(0)];
        let asks = splitless().into_iter().filter(|ask| !matches!(ask, Ask::Trees { .. }));
        for one in asks.chain([Ask::Profile { split }]) {
            let (ours, theirs) = (of_weighted(&rows, one.clone()), query(plain.sites(), one));
            prop_assert_eq!(ask(&rows, &ours).blocks, ask(&plain, &theirs).blocks, "{}", ours.name());
        }
        let together = Together(
            population.rows_of(weighted(), count, seed, classes, |x| (1, times(x) as f64)).by_site(),
        );
        for one in fitting() {
            let query = of_weighted(&rows, one);
            prop_assert_eq!(ask(&rows, &query), ask(&together, &query), "{}", query.name());
        }
    }
}

#[test]
fn weights_out_of_range_are_refused() {
    for (schema, weight) in
        [(weighted(), -0.5), (weighted(), 101.0), (weighted(), f64::NAN), (schema(), 2.0)]
    {
        let site = sites(&["a"]).remove(0);
        let patient = Patient { site, issuer: "a".to_owned(), key: "1".to_owned() };
        let mut builder = RowsBuilder::new(schema);
        builder.add(patient, 0, &[0, 0], &[0.0; FEATURES]).unwrap();
        builder.weigh(weight);
        let error = builder.build().unwrap_err();
        assert!(matches!(error, RowsError::Weight { row: 0, .. }), "{error}");
    }
}
