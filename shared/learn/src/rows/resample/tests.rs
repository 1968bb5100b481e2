use proptest::prelude::*;
use serde::Deserialize;
use std::sync::Arc as Shared;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, ColumnCuts, Cuts, Derivatives, Fill, FourierMap, FourierTerm, Gradients, JudgedUnit,
    Labelling, LinearModel, LinearTerm, MapScaler, Node, Query, Sampling, Scaler, Schema,
    Side as Child, SiteSet, Tree, TreeTerm, Weighting,
};

use super::*;
use crate::rows::{Patient, Rows, RowsBuilder};

const D: usize = 4;
const PLAN: FoldPlan = FoldPlan { seed: Seed(5), folds: 3, repeats: 1 };
const ALL: RowSet = RowSet { repeat: 0, folds: FoldSet(0b111), sites: SiteSet::All };

/// A row of made-up rows.
#[derive(Clone)]
struct Line {
    site: usize,
    key: String,
    class: u8,
    features: Vec<f64>,
    copy: Vec<f32>,
}

/// A fifth of them of class 1, two rows per patient.
fn lines(count: usize, sites: usize, missing: f64, seed: u64) -> Vec<Line> {
    let uniform = |what: &str, row: usize, k: usize| {
        Seed(seed).uniform(what, &[&row.to_le_bytes(), &k.to_le_bytes()])
    };
    let line = |row: usize| {
        let class = u8::from(uniform("class", row, 0) < 0.2);
        let feature = |k: usize| match uniform("missing", row, k) < missing {
            true => f64::NAN,
            false => (k as f64 + 1.0) * (uniform("x", row, k) + f64::from(class) * 0.3),
        };
        let copy = (0..D).map(|k| uniform("copy", row, k) as f32).collect();
        let (patient, features) = (row / 2, (0..D).map(feature).collect());
        Line { site: patient % sites, key: format!("p{patient:04}"), class, features, copy }
    };
    (0..count).map(line).collect()
}

fn rows(lines: &[Line], copies: bool) -> Rows {
    let schema = Schema {
        features: D as u32,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    };
    let mut builder = RowsBuilder::with_copies(schema, usize::from(copies));
    for Line { site, key, class, features, copy } in lines {
        let site = SiteId::parse(&format!("site{site}")).unwrap();
        let patient = Patient { site, issuer: "clinic".into(), key: key.clone() };
        builder.add(patient, *class, &[], features).unwrap();
        if copies {
            builder.add_copies(copy).unwrap();
        }
    }
    builder.build().unwrap()
}

fn query(rows: &Rows, ask: Ask) -> Query {
    let (study, sites) = (StudyId::parse("s").unwrap(), rows.sites());
    Query { study, sites, schema: rows.schema().clone(), input: 0, folds: PLAN, ask }
}

fn drawn(counting: Counting, positive: f64) -> ClassWeights {
    ClassWeights { counting, ..ClassWeights::new(1.0, positive) }
}

/// How a site's rows count in a set, and the rows with all that count as rows of their own.
fn counts(rows: &Rows, set: &RowSet, weights: ClassWeights) -> Vec<Counts> {
    let query = query(rows, Ask::Profile { split: vec![] });
    let of = |(at, site): (usize, &SiteRows)| {
        site.seen(&query, at as u16).counts(set, 1, weights).unwrap()
    };
    rows.sites.iter().enumerate().map(of).collect()
}

/// Every row as often as it counts, synthetic ones made real, each a patient of its own.
fn written_out(lines: &[Line], weights: ClassWeights, copies: bool) -> Vec<Line> {
    let from = rows(lines, copies);
    let mut out = Vec::new();
    for (site, counts) in from.sites.iter().zip(counts(&from, &ALL, weights)) {
        let line = |row: usize| &lines[site.view(row).source];
        let mut push = |line: Line| {
            out.push(Line { key: format!("q{:05}", out.len()), ..line });
        };
        for row in 0..site.len() {
            let times = counts.of(row, line(row).class == 1);
            (0..times as u32).for_each(|_| push(line(row).clone()));
        }
        for made in counts.made() {
            let (row, other) = (line(made.row), line(made.other));
            let both = row.features.iter().zip(&other.features);
            let features = both.map(|(&row, &other)| made.between(row, other)).collect();
            let share = made.share as f32;
            let both = row.copy.iter().zip(&other.copy);
            let copy = both.map(|(row, other)| row + share * (other - row)).collect();
            push(Line { features, copy, ..row.clone() });
        }
    }
    out
}

fn frame() -> Shared<Frame> {
    Shared::new(Frame { center: vec![0.1, 0.4, 0.0, -1.0], scale: vec![1.0, 2.0, 3.0, 0.5] })
}

fn model() -> LinearModel {
    LinearModel {
        class: 1,
        scaler: Scaler::Folded,
        weights: vec![0.5, -0.3, 0.2, 0.1],
        intercept: -0.2,
        fill: Fill::Values(vec![0.3, -0.1, 0.2, 0.4]),
    }
}

fn linear(weights: ClassWeights, hinge: bool) -> Ask {
    let terms = vec![LinearTerm { rows: ALL, weights, model: model() }];
    let (frame, derivatives, bits) = (frame(), Derivatives::Hessian, 40);
    match hinge {
        true => Ask::SquaredHinge { frame, terms, derivatives, bits },
        false => Ask::Logistic { frame, terms, derivatives, bits },
    }
}

fn fourier(class_weights: ClassWeights) -> Ask {
    let scaler = MapScaler::Given { mean: vec![0.2; D], inverse: vec![0.8, 1.0, 1.2, 0.5] };
    let map = FourierMap { seed: Seed(3), components: 64, gamma: 0.7, scaler };
    let weights = (0..64).map(|k| f64::from(k % 7) - 3.0).collect();
    let term = FourierTerm { rows: ALL, class_weights, class: 1, map: 0, weights, intercept: 0.1 };
    Ask::FourierHinge { frame: frame(), maps: vec![Shared::new(map)], terms: vec![term], bits: 36 }
}

fn trees(weights: ClassWeights, gradients: Gradients, sampling: Sampling) -> Ask {
    let cut = |column| ColumnCuts { column, steps: vec![450, 512, 560], missing: true };
    let split = Node::Split { column: 1, below: 520, missing: Child::Left, left: 1 };
    let leaf = |value| Node::Leaf { value };
    let term = TreeTerm {
        rows: ALL,
        class: 1,
        weights,
        sampling,
        gradients,
        cuts: 0,
        columns: vec![0, 1, 2, 3],
        tree: Tree(vec![split, leaf(0.0), leaf(0.0)]),
        nodes: vec![1, 2],
    };
    let cuts = vec![Cuts((0..D as u32).map(cut).collect())];
    Ask::Trees { frame: frame(), cuts, terms: vec![term.clone(), term], bits: 24 }
}

fn boosted() -> Gradients {
    let split = Node::Split { column: 2, below: 530, missing: Child::Right, left: 1 };
    let trees = vec![Tree(vec![split, Node::Leaf { value: 0.4 }, Node::Leaf { value: -0.3 }])];
    Gradients::Logistic { start: 0.2, trees }
}

/// Blocks of the answer of rows that count so are those of the rows written out.
fn assert_same(
    lines: &[Line],
    counting: Counting,
    copies: bool,
    ask: impl Fn(ClassWeights) -> Ask,
) {
    let weights = drawn(counting, 3.4);
    let (given, all) = (rows(lines, copies), rows(&written_out(lines, weights, copies), copies));
    let (asked, plain) = (query(&given, ask(weights)), query(&all, ask(ClassWeights::EQUAL)));
    let (counted, expected) = (given.answer(&asked).unwrap(), all.answer(&plain).unwrap());
    for block in asked.layout().iter().map(|block| block.name).filter(|name| *name != "patients") {
        let counted = counted.values(&asked, block).unwrap();
        let expected = expected.values(&plain, block).unwrap();
        assert!(expected.iter().any(|value| *value != 0.0), "{block}");
        for (counted, expected) in counted.iter().zip(&expected) {
            let off = (counted - expected).abs();
            assert!(off < 2e-6 * (1.0 + expected.abs()), "{block}: {counted} for {expected}");
        }
    }
}

#[test]
fn rows_count_as_if_they_were_written_out() {
    for counting in [Counting::Drawn, Counting::Synthetic] {
        for missing in [0.0, 0.2] {
            let made = lines(160, 2, missing, 9);
            assert_same(&made, counting, false, |weights| linear(weights, false));
            assert_same(&made, counting, false, |weights| linear(weights, true));
            assert_same(&made, counting, false, fourier);
            let every = Sampling::Every;
            assert_same(&made, counting, false, |w| trees(w, Gradients::Share, every));
            assert_same(&made, counting, false, |w| trees(w, boosted(), every));
        }
        let made = lines(160, 2, 0.0, 9);
        assert_same(&made, counting, true, |weights| linear(weights, false));
        assert_same(&made, counting, true, |weights| linear(weights, true));
    }
}

#[test]
fn a_sites_own_scaler_acts_on_synthetic_rows_as_on_all_others() {
    let weights = drawn(Counting::Synthetic, 2.7);
    let made = lines(120, 1, 0.1, 4);
    let mut scaled = made.clone();
    for k in 0..D {
        let known = || made.iter().map(|line| line.features[k]).filter(|x| !x.is_nan());
        let n = known().count() as f64;
        let mean = known().sum::<f64>() / n;
        let deviation = (known().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        scaled.iter_mut().for_each(|line| line.features[k] = (line.features[k] - mean) / deviation);
    }
    let ask = |scaler, fill| {
        let model = LinearModel { scaler, fill, ..model() };
        let terms = vec![LinearTerm { rows: ALL, weights, model }];
        let frame = Shared::new(Frame::identity(D));
        Ask::Logistic { frame, terms, derivatives: Derivatives::Hessian, bits: 40 }
    };
    let (given, scaled) = (rows(&made, false), rows(&scaled, false));
    let own = query(&given, ask(Scaler::OwnSite(ALL.folds), Fill::Values(vec![7.0; D])));
    let by_hand = query(&scaled, ask(Scaler::Folded, Fill::Values(vec![0.0; D])));
    let [own_sum, by_hand_sum] = [given.answer(&own).unwrap(), scaled.answer(&by_hand).unwrap()];
    for block in ["loss", "gradient", "hessian"] {
        let pairs = own_sum.values(&own, block).unwrap();
        for (a, b) in pairs.iter().zip(by_hand_sum.values(&by_hand, block).unwrap()) {
            assert!((a - b).abs() < 1e-8 * (1.0 + b.abs()), "{block}: {a} {b}");
        }
    }
}

#[test]
fn synthetic_rows_go_with_the_patient_they_were_made_for_and_are_no_patients() {
    let made = lines(160, 2, 0.0, 9);
    let rows = rows(&made, false);
    let weights = drawn(Counting::Synthetic, 3.4);
    let answer = |weights, sampling| {
        let asked = query(&rows, trees(weights, Gradients::Share, sampling));
        let sum = rows.answer(&asked).unwrap();
        ["hessians", "patients"].map(|block| sum.values(&asked, block).unwrap())
    };
    let bootstrap = Sampling::Bootstrap { seed: Seed(8), draw: 3 };
    for sampling in [Sampling::Every, bootstrap] {
        let [synthetic, patients] = answer(weights, sampling);
        let [plain, of_plain] = answer(ClassWeights::EQUAL, sampling);
        assert_eq!(patients, of_plain);
        assert!(synthetic.iter().sum::<f64>() > 1.3 * plain.iter().sum::<f64>());
    }
}

#[test]
fn rows_that_are_held_out_change_no_bit() {
    let made = lines(160, 2, 0.1, 9);
    let held_out = 1u8;
    let train = RowSet { folds: FoldSet::all(3).without(held_out), ..ALL };
    let given = rows(&made, false);
    let folds = given.fold_column(&PLAN, 0);
    let mut poisoned = made.clone();
    for (view, fold) in given.rows().zip(&folds) {
        if *fold == held_out {
            poisoned[view.source]
                .features
                .iter_mut()
                .for_each(|x| *x = 1e3 * f64::from(view.classes.single().unwrap()));
        }
    }
    let poisoned = rows(&poisoned, false);
    assert_eq!(poisoned.fold_column(&PLAN, 0), folds);
    let asks = |set: RowSet| {
        let weights = drawn(Counting::Synthetic, 3.4);
        let every = trees(weights, boosted(), Sampling::Every);
        let mut all = [linear(weights, false), linear(weights, true), fourier(weights), every];
        for ask in &mut all {
            match ask {
                Ask::Logistic { terms, .. } | Ask::SquaredHinge { terms, .. } => {
                    terms[0].rows = set
                }
                Ask::FourierHinge { terms, .. } => terms[0].rows = set,
                Ask::Trees { terms, .. } => terms.iter_mut().for_each(|term| term.rows = set),
                _ => {}
            }
        }
        all
    };
    for (held_out, (out, all)) in asks(train).into_iter().zip(asks(ALL)).enumerate() {
        let both = |ask: Ask| {
            [&given, &poisoned].map(|rows| rows.answer(&query(rows, ask.clone())).unwrap().blocks)
        };
        let [before, after] = both(out);
        assert_eq!(before, after, "{held_out}");
        // The control: in the training set they show.
        let [before, after] = both(all);
        assert_ne!(before, after, "{held_out}");
    }
}

#[test]
fn draws_dont_depend_on_the_split_into_sites() {
    let one = lines(200, 1, 0.0, 6);
    let weights = drawn(Counting::Drawn, 4.3);
    let times = |lines: &[Line]| {
        let rows = rows(lines, false);
        let counts = counts(&rows, &ALL, weights);
        let mut times = Vec::new();
        for (site, counts) in rows.sites.iter().zip(&counts) {
            for row in 0..site.len() {
                let view = site.view(row);
                times.push((view.key.to_owned(), row, counts.of(row, view.classes.has(1))));
            }
        }
        times.iter_mut().for_each(|(.., row, _)| *row %= 2);
        times.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        times
    };
    let three = lines(200, 3, 0.0, 6);
    assert_eq!(times(&one), times(&three));
    let bits = |lines: &[Line]| {
        let rows = rows(lines, false);
        let asked = query(&rows, trees(weights, boosted(), Sampling::Every));
        rows.answer(&asked).unwrap().blocks
    };
    assert_eq!(bits(&one), bits(&three));
}

#[test]
fn a_row_that_is_alone_at_its_site_is_copied() {
    let mut made = lines(40, 2, 0.0, 6);
    let mut seen = false;
    for line in made.iter_mut().filter(|line| line.site == 1) {
        line.class = u8::from(!std::mem::replace(&mut seen, true));
    }
    made.iter_mut().filter(|line| line.site == 0).for_each(|line| line.class = 0);
    // Site 1: one row of class 1; of class 0, all others there and all of site 0.
    let rows = rows(&made, false);
    let counts = counts(&rows, &ALL, drawn(Counting::Synthetic, 39.0));
    assert!(counts.iter().all(|counts| counts.made().is_empty()));
    let site = &rows.sites[1];
    let alone = (0..site.len()).find(|&row| site.classes[row].has(1)).unwrap();
    assert_eq!(counts[1].of(alone, true), 39.0);
}

#[derive(Deserialize)]
struct Golden {
    features: Vec<Vec<f64>>,
    class: Vec<u8>,
    nearest: Vec<Vec<usize>>,
    row: Vec<usize>,
    column: Vec<usize>,
    step: Vec<f64>,
    made: Vec<Vec<f64>>,
}

/// Made by tests/golden/make_smote.py.
#[test]
fn neighbours_and_synthetic_rows_are_those_of_imbalanced_learn() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../tests/golden/smote.json")).unwrap();
    let d = golden.features[0].len();
    let schema = Schema {
        features: d as u32,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    };
    let mut builder = RowsBuilder::new(schema);
    for (at, (features, class)) in golden.features.iter().zip(&golden.class).enumerate() {
        let site = SiteId::parse("a").unwrap();
        let patient = Patient { site, issuer: "a".into(), key: format!("{at:03}") };
        builder.add(patient, *class, &[], features).unwrap();
    }
    let rows = builder.build().unwrap();
    let query = query(&rows, Ask::Profile { split: vec![] });
    let seen = rows.sites[0].seen(&query, 0);
    let members: Vec<usize> = (0..rows.len()).filter(|&row| golden.class[row] == 1).collect();
    let found = Neighbours::search(&seen, 0, ALL.folds, members.clone()).unwrap();
    for (&row, nearest) in members.iter().zip(&golden.nearest) {
        assert!(found.of(row).iter().map(|&other| other as usize).eq(nearest.iter().copied()));
    }
    for (at, expected) in golden.made.iter().enumerate() {
        let (row, share) = (golden.row[at], golden.step[at]);
        let made = Made { row, other: found.of(row)[golden.column[at]] as usize, share };
        for (k, expected) in expected.iter().enumerate() {
            let got = made.between(golden.features[made.row][k], golden.features[made.other][k]);
            assert!((got - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{got} {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn classes_are_equal_within_the_draw_and_synthetic_rows_between_neighbours(
        count in 30usize..400,
        sites in 1usize..4,
        missing in 0.0f64..0.3,
        seed: u64,
    ) {
        let made = lines(count, sites, missing, seed);
        let positives = made.iter().filter(|line| line.class == 1).count();
        prop_assume!(positives > 0 && 2 * positives < count);
        let negatives = count - positives;
        let weights = drawn(Counting::Synthetic, negatives as f64 / positives as f64);
        let rows = rows(&made, false);
        let mut total = 0.0;
        for (site, counts) in rows.sites.iter().zip(counts(&rows, &ALL, weights)) {
            let members: Vec<usize> = (0..site.len()).filter(|&row| site.classes[row].has(1)).collect();
            total += members.iter().map(|&row| counts.of(row, true)).sum::<f64>();
            total += counts.made().len() as f64;
            let at = rows.sites().binary_search(&site.id).unwrap() as u16;
            let query = query(&rows, Ask::Profile { split: vec![] });
            let near = Neighbours::search(&site.seen(&query, at), 0, ALL.folds, members);
            let near = near.unwrap();
            for made in counts.made() {
                prop_assert!(site.classes[made.row].has(1) && site.classes[made.other].has(1));
                prop_assert!(made.row != made.other && (0.0..1.0).contains(&made.share));
                prop_assert!(near.of(made.row).contains(&(made.other as u32)));
                prop_assert!(near.of(made.row).len() <= 5);
            }
        }
        // Each row's rounding up or down has a variance of 1/4 at most: five deviations.
        prop_assert!((total - negatives as f64).abs() <= 2.5 * (positives as f64).sqrt() + 1.0);
    }
}
