//! Several classes together against scikit-learn (`../golden/make_classes.py`): rows by class and the one with the largest score,
//! and means over classes of each against the rest. Draws are those of other questions about the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Bins, Column, Draws, FoldPlan, FoldSet, Frame, GivenScores, JudgedUnit, Labelling,
    ListCuts, Model, Query, RESAMPLED_GROUPS, RowSet, Scaler, Schema, ScoreList, SiteSet,
    Weighting,
};
use wardround_core::seed::Seed;
use wardround_core::sum::Sum;
use wardround_learn::findings::{Average, Figure};
use wardround_learn::metrics::called::{CALLED, figures};
use wardround_learn::metrics::cells::score_cells;
use wardround_learn::metrics::judge::called;
use wardround_learn::metrics::resampled::Drawn;
use wardround_learn::metrics::{Confusion, PlacementSums, ScoreCell, Threshold, classes};
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};

use crate::federation::{ask, model};
use crate::population::{Population, frame, query};

const BINS: Bins = Bins { half_width: 12.0, count: 1024 };

#[derive(Deserialize)]
struct Golden {
    rows: Vec<GoldenRow>,
    thresholds: Vec<usize>,
    ties: usize,
    confusion: Vec<Vec<i64>>,
    figures: BTreeMap<String, f64>,
    means: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct GoldenRow {
    site: String,
    key: String,
    class: u8,
    bins: Vec<usize>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/classes.json")).unwrap()
}

fn names() -> Vec<String> {
    ["a", "b", "c", "d"].map(str::to_owned).to_vec()
}

/// The golden rows, in another order where `reversed`.
fn rows(golden: &Golden, reversed: bool) -> (Rows, Vec<usize>) {
    let schema = Schema {
        features: 1,
        classes: 4,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    };
    let mut order: Vec<usize> = (0..golden.rows.len()).collect();
    if reversed {
        order.reverse();
    }
    let mut builder = RowsBuilder::new(schema);
    for &at in &order {
        let GoldenRow { site, key, class, .. } = &golden.rows[at];
        let site = SiteId::parse(site).unwrap();
        let patient = Patient { site, issuer: "clinic".to_owned(), key: key.clone() };
        builder.add(patient, ClassSet::only(*class), &[], &[0.0]).unwrap();
    }
    (builder.build().unwrap(), order)
}

/// The scores of each class, and a list of each.
fn scored(golden: &Golden, rows: &Rows, order: &[usize]) -> (Vec<Model>, Vec<ScoreList>) {
    let all = RowSet { repeat: 0, folds: FoldSet::all(4), sites: SiteSet::All };
    let width = 2.0 * BINS.half_width / f64::from(BINS.count);
    let of_class = |class: u8| {
        let mut by_site: BTreeMap<SiteId, Vec<f64>> = BTreeMap::new();
        for row in rows.rows() {
            let bin = golden.rows[order[row.source]].bins[usize::from(class)];
            let middle = BINS.lower_edge(bin) + width / 2.0;
            by_site.entry(row.site.clone()).or_default().push(middle);
        }
        Model::Given(Arc::new(GivenScores { class, by_site }))
    };
    let list = |class: u8| ScoreList { class, parts: vec![(all, u32::from(class))] };
    ((0..4).map(of_class).collect(), (0..4).map(list).collect())
}

fn question(rows: &Rows, ask: Ask) -> Query {
    let schema = rows.schema().clone();
    let folds = FoldPlan { seed: Seed(99), folds: 4, repeats: 1 };
    let study = StudyId::parse("classes").unwrap();
    Query { study, sites: rows.sites(), schema, input: 0, folds, ask }
}

fn calls_of((models, lists): (Vec<Model>, Vec<ScoreList>), split: Vec<Column>) -> Ask {
    let frame = Arc::new(Frame::identity(1));
    Ask::Calls { frame, models, lists, split, seed: Seed(3), replicates: [0, 3] }
}

#[test]
fn calls_equal_scikit_learns() {
    let golden = golden();
    // Of equal scores the first is called: numpy's order too.
    assert!(golden.ties > 5);
    for reversed in [false, true] {
        let (rows, order) = rows(&golden, reversed);
        let question = question(&rows, calls_of(scored(&golden, &rows, &order), vec![]));
        let sum = ask(&rows, &question);
        let flat: Vec<i64> = golden.confusion.concat();
        assert_eq!(sum.counts(&question, "calls").unwrap()[..16], flat);
        assert_eq!(sum.counts(&question, "patients").unwrap(), flat);
        let table: Vec<u64> = flat.iter().map(|&count| count as u64).collect();
        let drawn = vec![Drawn::default(); CALLED.len()];
        let found = figures(&names(), &[table], &drawn, 260);
        assert_eq!(found.len(), golden.figures.len());
        for named in found {
            let expected = golden.figures[&named.name];
            let Figure::Known { value, .. } = named.figure else {
                panic!("{} is undefined", named.name)
            };
            assert!((value - expected).abs() < 1e-12, "{}: {value} {expected}", named.name);
        }
    }
}

#[test]
fn means_equal_scikit_learns() {
    let golden = golden();
    let (rows, order) = rows(&golden, false);
    let (models, lists) = scored(&golden, &rows, &order);
    let frame = Arc::new(Frame::identity(1));
    let question =
        question(&rows, Ask::Scores { frame, models, lists, split: vec![], bins: BINS, bits: 40 });
    let cells = score_cells(&question, &ask(&rows, &question)).unwrap();
    let none = PlacementSums { with_positive: 9, with_negative: 9, s10: 0.1, s01: 0.1, s11: 0.0 };
    let of_class = |(cell, &bin): (&ScoreCell, &usize)| {
        let edge = BINS.lower_edge(bin);
        let threshold = Threshold::nearest(BINS, 1.0 / (1.0 + (-edge).exp())).unwrap();
        assert_eq!(threshold.bin(), bin);
        called(cell, &Confusion::at(&cell.histogram, &threshold).unwrap(), &none)
    };
    let figures: Vec<_> = cells.iter().zip(&golden.thresholds).map(of_class).collect();
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cells: Vec<_> = figures.iter().collect();
    let means = classes::means(Labelling::Multi, &names, &cells);
    assert_eq!(means.len(), 2 * classes::AVERAGED.len() + 1);
    for mean in &means {
        let expected = golden.means[&mean.name][mean.average.word()];
        let got = value(&mean.figure);
        assert!(
            (got - expected).abs() < 1e-9,
            "{} {:?}: {got} {expected}",
            mean.name,
            mean.average
        );
    }
    // One table of all calls is no figure of classes that exclude each other.
    let single = classes::means(Labelling::Single, &names, &cells);
    assert!(single.iter().all(|mean| mean.average != Average::Micro));
    // Classes in another order are the same classes.
    let turned: Vec<_> = figures.iter().rev().collect();
    for (a, b) in means.iter().zip(classes::means(Labelling::Multi, &names, &turned)) {
        assert!((value(&a.figure) - value(&b.figure)).abs() < 1e-12, "{}", a.name);
    }
    // A class that nobody has says so.
    let mut empty = figures[0].clone();
    empty.auc = Figure::Undefined { reason: "no positive rows".into() };
    let with_empty = classes::means(Labelling::Single, &["a", "b"], &[&figures[1], &empty]);
    let Figure::Undefined { reason } = &with_empty[0].figure else {
        panic!("there is no such mean")
    };
    assert_eq!(reason, "b: no positive rows");
}

fn value(figure: &Figure) -> f64 {
    match figure {
        Figure::Known { value, .. } => *value,
        Figure::Undefined { reason } => panic!("undefined: {reason}"),
    }
}

/// Lists of three classes by models of each, of the folds of both deals.
fn of_population() -> (Vec<Model>, Vec<ScoreList>) {
    let train = FoldSet::all(4).without(2);
    let of = |class: u8| {
        let mut model = model(u64::from(class), Scaler::Folded);
        model.class = class;
        Model::from(model)
    };
    let list = |repeat: u8, class: u8| {
        let part = |folds| (RowSet { repeat, folds, sites: SiteSet::All }, u32::from(class));
        ScoreList { class, parts: vec![part(train), part(FoldSet::only(2))] }
    };
    let lists = (0..2).flat_map(|repeat| (0..3).map(move |class| list(repeat, class)));
    ((0..3).map(of).collect(), lists.collect())
}

fn population_calls(split: Vec<Column>) -> Ask {
    let (models, lists) = of_population();
    Ask::Calls { frame: frame(), models, lists, split, seed: Seed(3), replicates: [0, 5] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn calls_are_those_of_the_pooled_rows(seed: u64, first in 1usize..=6, second in 1usize..=6) {
        let mut population = Population::draw(seed, 50);
        let a = population.rows(first, seed);
        for split in [vec![], vec![Column::Site], vec![Column::Subgroup(0)]] {
            let here = query(a.sites(), population_calls(split));
            let mut sites = population.rows(first, seed).by_site();
            sites.reverse();
            prop_assert_eq!(ask(&a, &here), ask(&Together(sites), &here));
        }
        population.shuffle(seed);
        let b = population.rows(second, !seed);
        let of = |rows: &Rows| ask(rows, &query(rows.sites(), population_calls(vec![]))).blocks;
        prop_assert_eq!(of(&a), of(&b));
    }

    #[test]
    fn draws_are_those_of_other_questions(seed: u64) {
        let rows = Population::draw(seed, 50).rows(3, seed);
        let (models, lists) = of_population();
        let calls = query(rows.sites(), population_calls(vec![]));
        let called = ask(&rows, &calls);
        let cuts = |list: &ScoreList| ListCuts {
            groups: vec![],
            thresholds: vec![31; list.parts.len()],
        };
        let drawn = query(rows.sites(), Ask::Resampled {
            frame: frame(),
            models,
            cuts: lists.iter().map(cuts).collect(),
            lists,
            split: vec![],
            bins: Bins { half_width: 6.0, count: 64 },
            draws: Draws::Patients,
            seed: Seed(3),
            replicates: [0, 5],
            bits: 20,
        });
        let sum: Sum = ask(&rows, &drawn);
        let positives = sum.counts(&drawn, "positives").unwrap();
        let tables = called.counts(&calls, "calls").unwrap();
        for (repeat, class, replicate) in
            (0..2).flat_map(|r| (0..3).flat_map(move |c| (0..5).map(move |d| (r, c, d))))
        {
            let row = ((repeat * 5 + replicate) * 3 + class) * 3;
            let of_class: i64 = tables[row..row + 3].iter().sum();
            let list = repeat * 3 + class;
            let at = (list * 5 + replicate) * RESAMPLED_GROUPS;
            let expected: i64 = positives[at..at + RESAMPLED_GROUPS].iter().sum();
            prop_assert_eq!(of_class, expected);
        }
    }
}

#[test]
fn other_groups_of_lists_are_refused() {
    let rows = Population::draw(5, 30).rows(2, 5);
    let wrong = |change: &dyn Fn(&mut Vec<ScoreList>)| {
        let (models, mut lists) = of_population();
        change(&mut lists);
        let seed = Seed(3);
        let (frame, split) = (frame(), vec![]);
        let ask = Ask::Calls { frame, models, lists, split, seed, replicates: [0, 2] };
        query(rows.sites(), ask).check().unwrap_err().to_string()
    };
    assert!(wrong(&|lists| drop(lists.pop())).contains("5 lists for groups of 3 classes"));
    assert!(wrong(&|lists| lists.swap(0, 1)).contains("a list of class 1 in place 0"));
    let other = wrong(&|lists| lists[1].parts.truncate(1));
    assert!(other.contains("different rows"), "{other}");
}
