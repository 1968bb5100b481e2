//! Federated equals pooled: one `Rows` of all sites, the same sites adding up in any order, and any
//! other split of the patients give the same bits.

use std::sync::Arc;

use futures::executor::block_on;
use proptest::prelude::*;
use wardround_core::ids::SiteId;
use wardround_core::query::{
    Ask, Bins, ClassWeights, Column, ColumnCuts, Combine, Cuts, Derivatives, DistanceTerm, Draws,
    EnsembleModel, Fill, FoldSet, FourierMap, FourierModel, FourierTerm, Gradients, GramTerm,
    LinearModel, LinearTerm, ListCuts, MapScaler, Measure, Model, Node, Pairs, PlacementTable,
    Query, RowSet, Sampling, Scaler, ScoreList, Side, SiteSet, SoftmaxModel, SoftmaxTerm,
    StackTerm, Tree, TreeModel, TreeOutput, TreeTerm,
};
use wardround_core::seed::Seed;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::fourier::Fourier;
use wardround_learn::rows::{Rows, Together};

use crate::population::{FEATURES, Population, frame, query, schema, sites};

/// Rows of some folds everywhere.
fn everywhere(folds: FoldSet) -> RowSet {
    RowSet { repeat: 1, folds, sites: SiteSet::All }
}

pub fn model(seed: u64, scaler: Scaler) -> LinearModel {
    let draw = |k: usize| Seed(seed).uniform("weights", &[&k.to_le_bytes()]) - 0.5;
    LinearModel {
        class: 1,
        scaler,
        weights: (0..FEATURES).map(draw).collect(),
        intercept: draw(FEATURES),
        fill: Fill::Values((0..FEATURES).map(|k| draw(100 + k)).collect()),
    }
}

/// A map of a few components.
pub fn map(seed: u64, scaler: MapScaler) -> Arc<FourierMap> {
    Arc::new(FourierMap { seed: Seed(seed), components: 64, gamma: 0.6, scaler })
}

pub fn given() -> MapScaler {
    let number = |k: usize| 0.1 + 0.05 * k as f64;
    let mean = (0..FEATURES).map(number).collect();
    MapScaler::Given { mean, inverse: (0..FEATURES).map(number).rev().collect() }
}

pub fn on_map(seed: u64, map: &Arc<FourierMap>) -> FourierModel {
    let draw = |k: usize| 4.0 * Seed(seed).uniform("weights", &[&k.to_le_bytes()]) - 2.0;
    let weights = (0..64).map(draw).collect();
    FourierModel { class: 1, map: map.clone(), weights, intercept: draw(64) }
}

/// The hinge loss of models on maps, each with its rows.
pub fn fourier_hinge(models: &[(RowSet, FourierModel)], bits: u8) -> Ask {
    let mut maps: Vec<Arc<FourierMap>> = Vec::new();
    let mut terms = Vec::new();
    for (rows, FourierModel { class, map, weights, intercept }) in models {
        if !maps.contains(map) {
            maps.push(map.clone());
        }
        terms.push(FourierTerm {
            rows: *rows,
            class_weights: ClassWeights::new(0.6, 2.5),
            class: *class,
            map: maps.iter().position(|other| other == map).unwrap() as u32,
            weights: weights.clone(),
            intercept: *intercept,
        });
    }
    Ask::FourierHinge { frame: frame(), maps, terms, bits }
}

/// A model of all classes.
fn of_all_classes(salt: u64, scaler: Scaler) -> SoftmaxModel {
    let each = (0..3).map(|class| model(salt + class, scaler.clone()));
    let coefficients: Vec<f64> =
        each.flat_map(|model| model.weights.into_iter().chain([model.intercept])).collect();
    SoftmaxModel { fill: model(salt, scaler.clone()).fill, scaler, coefficients }
}

/// The multinomial loss of models on some rows.
pub fn softmax(terms: &[(RowSet, Scaler)], derivatives: Derivatives) -> Ask {
    let terms = terms.iter().map(|(rows, scaler)| SoftmaxTerm {
        rows: *rows,
        class_weights: vec![0.6, 2.5, 1.0],
        model: of_all_classes(3, scaler.clone()).into(),
    });
    Ask::Softmax { frame: frame(), terms: terms.collect(), derivatives, bits: 36 }
}

/// Trees that grow, of a forest and of a boosted model, on some rows.
pub fn growing(rows: RowSet) -> Ask {
    let split = |column, left| Node::Split { column, below: 520, missing: Side::Right, left };
    let leaf = |value| Node::Leaf { value };
    let tree = Tree(vec![split(2, 1), leaf(0.3), split(7, 3), leaf(-0.2), leaf(0.1)]);
    let cuts = (0..FEATURES as u32).step_by(2).map(|column| ColumnCuts {
        column,
        steps: vec![400, 500 + column as u16, 600],
        missing: true,
    });
    let term = |sampling, gradients, weights, nodes: &[u32]| TreeTerm {
        rows,
        class: 1,
        weights,
        sampling,
        gradients,
        cuts: 0,
        columns: vec![0, 4, 10],
        tree: tree.clone(),
        nodes: nodes.to_vec(),
    };
    let (seed, draw) = (Seed(4), 9);
    let boosted = Gradients::Logistic { start: -0.4, trees: vec![tree.clone(), tree.clone()] };
    let weights = ClassWeights::new(0.6, 2.5);
    let terms = vec![
        term(Sampling::Bootstrap { seed, draw }, Gradients::Share, ClassWeights::EQUAL, &[1, 3]),
        term(Sampling::Share { seed, draw, share: 0.7 }, boosted.clone(), weights, &[1, 3, 4]),
        term(Sampling::Every, boosted, ClassWeights::EQUAL, &[4]),
    ];
    Ask::Trees { frame: frame(), cuts: vec![Cuts(cuts.collect())], terms, bits: 24 }
}

/// An ensemble of a linear model and trees.
fn vote(seed: u64, scaler: Scaler) -> Model {
    let members = vec![model(seed, scaler).into(), Model::Trees(trees())];
    Model::Ensemble(EnsembleModel { class: 1, members, combine: Combine::MeanProbability })
}

fn trees() -> TreeModel {
    let split = Node::Split { column: 1, below: 530, missing: Side::Left, left: 1 };
    let leaf = |value| Node::Leaf { value };
    let tree = Tree(vec![split, leaf(0.7), leaf(-0.4)]);
    TreeModel { class: 1, output: TreeOutput::Sum, start: 0.2, trees: vec![tree] }
}

/// Stacks of a linear model and trees.
fn stack(all: RowSet, some: RowSet, train: FoldSet) -> Ask {
    let models = vec![
        model(1, Scaler::Folded).into(),
        model(2, Scaler::OwnSite(train)).into(),
        Model::Trees(trees()),
    ];
    let term = |parts| StackTerm {
        class: 1,
        class_weights: ClassWeights::new(0.6, 2.5),
        parts,
        weights: vec![0.4, -1.3],
        intercept: 0.2,
    };
    let terms =
        vec![term(vec![(all, vec![0, 2])]), term(vec![(some, vec![1, 2]), (all, vec![2, 0])])];
    Ask::Stack { frame: frame(), models, terms, bits: 36 }
}

/// Questions whose answers don't depend on how patients are split into sites.
pub fn splitless() -> Vec<Ask> {
    let split = vec![Column::Subgroup(0), Column::Subgroup(1)];
    let all = everywhere(FoldSet::all(4));
    let models: Vec<Model> = vec![
        model(1, Scaler::Folded).into(),
        model(2, Scaler::Folded).into(),
        Model::Fourier(on_map(3, &map(1, given()))),
        vote(3, Scaler::Folded),
        Model::Softmax(of_all_classes(5, Scaler::Folded).into()),
    ];
    let lists = vec![
        ScoreList { class: 1, parts: vec![(all, 0), (all, 4)] },
        ScoreList { class: 2, parts: vec![(all, 1), (all, 0), (all, 2), (all, 3)] },
    ];
    let bins = Bins { half_width: 6.0, count: 64 };
    let table = |at: usize| PlacementTable {
        above: (0..64).map(|bin| f64::from(bin) / 64.0).collect(),
        below: (0..64).map(|bin| 1.0 - f64::from(bin) / 60.0).collect(),
        auc: 0.5 + at as f64 / 100.0,
    };
    vec![
        Ask::Profile { split: split.clone() },
        Ask::Moments { frame: frame(), split: split.clone(), bits: 40 },
        Ask::Moments { frame: frame(), split: vec![Column::Subgroup(1), Column::Class], bits: 40 },
        Ask::Scores {
            frame: frame(),
            models: models.clone(),
            lists: lists.clone(),
            split: split.clone(),
            bins,
            bits: 40,
        },
        Ask::Placements {
            frame: frame(),
            models: models.clone(),
            lists: lists.clone(),
            split,
            bins,
            tables: (0..12).map(table).collect(),
            bits: 40,
        },
        Ask::Grid { frame: frame(), split: vec![Column::Subgroup(0)], columns: [3, 8] },
        growing(all),
        resampled(models.clone(), lists.clone(), vec![Column::Subgroup(0)], Draws::Patients),
        bootstrap(models, lists, Pairs::AllSites),
        distances(&[(all, 1)], vec![Column::Subgroup(0)]),
    ]
}

/// How far rows are from two means.
pub fn distances(terms: &[(RowSet, u64)], split: Vec<Column>) -> Ask {
    let term = |&(rows, seed): &(RowSet, u64)| {
        let values = |of: u64| model(10 * seed + of, Scaler::Folded).weights;
        let unit = |at: usize| (0..FEATURES).map(|k| f64::from(u8::from(k == at))).collect();
        let mut inverse: Vec<f64> = values(1).into_iter().map(|value| 1.0 + value).collect();
        inverse[3] = 0.0;
        let measure = Measure {
            inverse,
            fill: Fill::Values(values(2)),
            means: vec![values(3), values(4)],
            directions: vec![unit(0), unit(7)],
            variances: vec![1.7, 0.4],
            rest: 0.6,
        };
        DistanceTerm { rows, measure }
    };
    let terms = terms.iter().map(term).collect();
    Ask::Distances { frame: frame(), terms, split, bins: Bins { half_width: 4.0, count: 64 } }
}

/// Ten draws of the patients, or deals of levels, and the rows as they are.
pub fn resampled(
    models: Vec<Model>,
    lists: Vec<ScoreList>,
    split: Vec<Column>,
    draws: Draws,
) -> Ask {
    let cuts = |list: &ScoreList| ListCuts {
        groups: vec![20, 28, 30, 31, 32, 33, 35, 40],
        thresholds: (31..).take(list.parts.len()).collect(),
    };
    Ask::Resampled {
        frame: frame(),
        models,
        cuts: lists.iter().map(cuts).collect(),
        lists,
        split,
        bins: Bins { half_width: 6.0, count: 64 },
        draws,
        seed: Seed(3),
        replicates: [0, 11],
        bits: 20,
    }
}

fn bootstrap(models: Vec<Model>, lists: Vec<ScoreList>, pairs: Pairs) -> Ask {
    let bins = Bins { half_width: 6.0, count: 64 };
    Ask::Bootstrap { frame: frame(), models, lists, bins, pairs, seed: Seed(8), replicates: 20 }
}

/// Questions that know sites and folds; their models are fitted to some of them.
pub fn sited(count: usize) -> Vec<Ask> {
    let split = vec![Column::Site, Column::Fold { repeat: 1 }];
    let train = FoldSet::all(4).without(2);
    let without = RowSet { repeat: 0, folds: train, sites: SiteSet::Without(0) };
    let only =
        RowSet { repeat: 1, folds: FoldSet::only(2), sites: SiteSet::Only(count as u16 - 1) };
    let terms = vec![
        LinearTerm::new(everywhere(train), model(1, Scaler::Folded)),
        LinearTerm::new(without, model(2, Scaler::Folded)),
        LinearTerm::new(only, model(3, Scaler::OwnSite(train))),
        LinearTerm::new(everywhere(FoldSet::all(4)), model(4, Scaler::OwnSite(train))),
    ];
    let (logistic, hinge) = (
        |derivatives| Ask::Logistic { frame: frame(), terms: terms.clone(), derivatives, bits: 36 },
        |derivatives| Ask::SquaredHinge {
            frame: frame(),
            terms: terms.clone(),
            derivatives,
            bits: 36,
        },
    );
    let own = map(1, MapScaler::OwnSite(train));
    let on_maps = [
        (everywhere(train), on_map(1, &map(1, given()))),
        (without, on_map(2, &own)),
        (only, on_map(3, &own)),
        (everywhere(FoldSet::all(4)), on_map(4, &map(2, given()))),
    ];
    let list = |parts: &[(RowSet, u32)]| ScoreList { class: 1, parts: parts.to_vec() };
    let lists = vec![
        list(&[(everywhere(train), 0), (only, 1), (without, 1)]),
        list(&[(everywhere(train), 2), (only, 3), (without, 3)]),
        list(&[(everywhere(train), 4), (only, 4)]),
    ];
    vec![
        Ask::Profile { split: split.clone() },
        Ask::Moments { frame: frame(), split: split.clone(), bits: 40 },
        Ask::Gram { frame: frame(), rows: without, scaler: Scaler::Folded, bits: 36 },
        Ask::Gram { frame: frame(), rows: only, scaler: Scaler::OwnSite(train), bits: 36 },
        Ask::ClassGram {
            frame: frame(),
            terms: [(without, Scaler::Folded), (only, Scaler::OwnSite(train))]
                .map(|(rows, scaler)| GramTerm {
                    rows,
                    scaler: scaler.clone(),
                    fill: model(5, scaler).fill,
                })
                .to_vec(),
            bits: 36,
        },
        Ask::Grid { frame: frame(), split: split.clone(), columns: [0, 2] },
        distances(&[(everywhere(train), 1), (without, 2), (only, 3)], split.clone()),
        growing(without),
        logistic(Derivatives::Gradient),
        logistic(Derivatives::Hessian),
        hinge(Derivatives::Gradient),
        hinge(Derivatives::Hessian),
        fourier_hinge(&on_maps, 36),
        stack(everywhere(train), without, train),
        softmax(
            &[(without, Scaler::Folded), (only, Scaler::OwnSite(train))],
            Derivatives::Gradient,
        ),
        softmax(&[(without, Scaler::Folded), (only, Scaler::OwnSite(train))], Derivatives::Hessian),
        Ask::Scores {
            frame: frame(),
            models: vec![
                model(1, Scaler::Folded).into(),
                model(2, Scaler::OwnSite(train)).into(),
                Model::Fourier(on_maps[0].1.clone()),
                Model::Fourier(on_maps[1].1.clone()),
                vote(4, Scaler::OwnSite(train)),
                Model::Softmax(of_all_classes(5, Scaler::OwnSite(train)).into()),
            ],
            lists,
            split,
            bins: Bins { half_width: 6.0, count: 32 },
            bits: 40,
        },
        resampled(
            vec![model(1, Scaler::Folded).into(), model(2, Scaler::OwnSite(train)).into()],
            vec![list(&[(everywhere(train), 0), (only, 1), (without, 1)])],
            vec![Column::Site, Column::Subgroup(1), Column::Subgroup(0)],
            Draws::Levels(1),
        ),
        bootstrap(
            vec![model(1, Scaler::Folded).into(), model(2, Scaler::OwnSite(train)).into()],
            vec![ScoreList {
                class: 1,
                parts: vec![(everywhere(train), 0), (only, 1), (without, 1)],
            }],
            Pairs::WithinSites,
        ),
    ]
}

pub fn ask(cohort: &impl Cohort, query: &Query) -> Sum {
    let sum = block_on(cohort.sum(query)).unwrap();
    sum.check(query).unwrap();
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sites_add_up_to_the_pooled_rows(seed: u64, count in 1usize..=8, rotation in 0usize..8) {
        let population = Population::draw(seed, 60);
        let pooled = population.rows(count, seed);
        let mut split = population.rows(count, seed).by_site();
        let by = rotation % split.len();
        split.rotate_left(by);
        let together = Together(split);
        for one in splitless().into_iter().chain(sited(pooled.sites().len())) {
            let query = query(pooled.sites(), one);
            prop_assert_eq!(ask(&pooled, &query), ask(&together, &query), "{}", query.name());
        }
    }

    #[test]
    fn no_split_into_sites_changes_a_bit(seed: u64, first in 1usize..=8, second in 1usize..=8) {
        let population = Population::draw(seed, 60);
        let (a, b) = (population.rows(first, seed), population.rows(second, !seed));
        for one in splitless() {
            let here = query(a.sites(), one.clone());
            let there = query(b.sites(), one);
            prop_assert_eq!(ask(&a, &here).blocks, ask(&b, &there).blocks, "{}", here.name());
        }
    }

    #[test]
    fn the_order_of_patients_changes_no_bit(seed: u64) {
        let mut population = Population::draw(seed, 40);
        let a = population.rows(3, seed);
        population.shuffle(seed);
        let b = population.rows(3, seed);
        for one in splitless().into_iter().chain(sited(a.sites().len())) {
            let query = query(a.sites(), one);
            prop_assert_eq!(ask(&a, &query), ask(&b, &query), "{}", query.name());
        }
    }

    #[test]
    fn without_scalers_of_sites_a_gradient_is_that_of_one_site(seed: u64, count in 2usize..=8) {
        // Rounded once per site, so not the same bits as in one place, but to 1e-9.
        let population = Population::draw(seed, 60);
        let (many, one) = (population.rows(count, seed), population.rows(1, seed));
        let ask_both = |ask_: Ask, name: &str| {
            let (here, there) = (query(many.sites(), ask_.clone()), query(one.sites(), ask_));
            let a = ask(&many, &here).values(&here, name).unwrap();
            let b = ask(&one, &there).values(&there, name).unwrap();
            a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let all = everywhere(FoldSet::all(4));
        for derivatives in [Derivatives::Gradient, Derivatives::Hessian] {
            let terms = vec![LinearTerm::new(all, model(seed, Scaler::Folded))];
            let logistic =
                Ask::Logistic { frame: frame(), terms: terms.clone(), derivatives, bits: 40 };
            let hinge = Ask::SquaredHinge { frame: frame(), terms, derivatives, bits: 40 };
            let softmax = softmax(&[(all, Scaler::Folded)], derivatives);
            for name in ["loss", "gradient", "hessian"] {
                if derivatives == Derivatives::Hessian || name != "hessian" {
                    prop_assert!(ask_both(softmax.clone(), name) < 1e-9);
                    prop_assert!(ask_both(logistic.clone(), name) < 1e-9);
                    prop_assert!(ask_both(hinge.clone(), name) < 1e-9);
                }
            }
        }
        let gram = Ask::Gram { frame: frame(), rows: all, scaler: Scaler::Folded, bits: 40 };
        prop_assert!(ask_both(gram, "gram") < 1e-9);
        let on_maps = fourier_hinge(&[(all, on_map(seed, &map(seed, given())))], 40);
        prop_assert!(ask_both(on_maps.clone(), "loss") < 1e-9);
        prop_assert!(ask_both(on_maps, "gradient") < 1e-9);
    }
}

#[test]
fn left_out_sites_answer_zeros() {
    let rows = Population::draw(3, 60).rows(3, 3);
    let names = rows.sites();
    let set = RowSet { repeat: 0, folds: FoldSet::all(4), sites: SiteSet::Without(1) };
    let terms = vec![LinearTerm::new(set, model(1, Scaler::Folded))];
    let logistic =
        Ask::Logistic { frame: frame(), terms, derivatives: Derivatives::Hessian, bits: 30 };
    let gram = Ask::Gram { frame: frame(), rows: set, scaler: Scaler::Folded, bits: 30 };
    let on_map = fourier_hinge(&[(set, on_map(1, &map(1, given())))], 30);
    for one in [logistic, gram, on_map] {
        let query = query(names.clone(), one);
        for (site, rows) in Population::draw(3, 60).rows(3, 3).by_site().into_iter().enumerate() {
            let sum = rows.answer(&query).unwrap();
            assert_eq!(sum.sites, [names[site].clone()]);
            let zeros = sum.blocks.iter().flatten().all(|&value| value == 0);
            assert_eq!(zeros, site == 1, "{} at site {site}", query.name());
        }
    }
}

#[test]
fn models_on_maps_are_the_same_alone_and_in_company() {
    let rows = Population::draw(9, 60).rows(2, 9);
    let train = FoldSet::all(4).without(1);
    let (shared, own) = (map(1, given()), map(1, MapScaler::OwnSite(train)));
    let other = RowSet { repeat: 0, folds: FoldSet::only(1), sites: SiteSet::Only(0) };
    let models = [
        (everywhere(train), on_map(1, &shared)),
        (other, on_map(2, &shared)),
        (everywhere(train), on_map(3, &own)),
        (RowSet { repeat: 0, ..everywhere(train) }, on_map(3, &own)),
    ];
    let gradient = |models: &[_]| {
        let query = query(rows.sites(), fourier_hinge(models, 40));
        rows.answer(&query).unwrap().blocks[1].clone()
    };
    let together = gradient(&models);
    for (model, in_company) in models.iter().zip(together.chunks_exact(65)) {
        assert_eq!(gradient(std::slice::from_ref(model)), in_company);
        assert!(in_company.iter().any(|&value| value != 0));
    }
}

#[test]
fn the_hinge_of_a_model_on_a_map_is_that_of_its_mapped_rows() {
    // By hand from the map's matrix, with missing features at the mean.
    let rows = Population::draw(10, 60).rows(2, 10);
    let set = everywhere(FoldSet::all(4).without(3));
    let (map, weights) = (map(5, given()), ClassWeights::new(0.6, 2.5));
    let model = on_map(6, &map);
    let query = query(rows.sites(), fourier_hinge(&[(set, model.clone())], 40));
    let sum = rows.answer(&query).unwrap();
    let MapScaler::Given { mean, inverse } = given() else { panic!("given") };
    let matrix = Fourier::new(Seed(5), FEATURES, 64, 0.6).matrix();
    let (frame, folds) = (frame(), rows.fold_column(&query.folds, 1));
    let (mut loss, mut gradient) = (0.0, vec![0.0; 65]);
    for (view, fold) in rows.rows().zip(folds).filter(|(_, fold)| *fold != 3) {
        assert!(set.folds.contains(fold));
        let x = |k: usize| match view.features().unwrap()[k] {
            gap if gap.is_nan() => 0.0,
            x => ((x - frame.center[k]) / frame.scale[k] - mean[k]) * inverse[k],
        };
        let angle = |at: usize| (0..FEATURES).map(|k| x(k) * matrix[k * 32 + at]).sum::<f64>();
        let root = 32f64.sqrt();
        let mut mapped: Vec<f64> = (0..32).map(|at| angle(at).cos() / root).collect();
        mapped.extend((0..32).map(|at| angle(at).sin() / root));
        mapped.push(1.0);
        let all = model.weights.iter().chain([&model.intercept]);
        let says: f64 = all.zip(&mapped).map(|(w, z)| w * z).sum();
        let (sign, weight) = match view.classes.has(1) {
            true => (1.0, weights.positive),
            false => (-1.0, weights.negative),
        };
        let short = (1.0 - sign * says).max(0.0);
        loss += weight * short * short;
        let slope = -2.0 * weight * sign * short;
        gradient.iter_mut().zip(&mapped).for_each(|(sum, z)| *sum += slope * z);
    }
    assert!((sum.values(&query, "loss").unwrap()[0] - loss).abs() < 1e-9);
    for (got, expected) in sum.values(&query, "gradient").unwrap().iter().zip(&gradient) {
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    }
}

#[test]
fn only_named_sites_count() {
    let rows = Population::draw(4, 60).rows(3, 4);
    let names = rows.sites();
    let two = vec![names[0].clone(), names[2].clone()];
    let profile = |sites| query(sites, Ask::Profile { split: vec![Column::Site] });
    let all = rows.answer(&profile(names.clone())).unwrap();
    let some = rows.answer(&profile(two.clone())).unwrap();
    assert_eq!(some.sites, two);
    assert_eq!(some.blocks[0], [all.blocks[0][0], all.blocks[0][2]]);
    // A site that isn't here doesn't count, and a cohort that lacks one says which.
    let mut more = names.clone();
    more.push(SiteId::parse("zz").unwrap());
    assert_eq!(rows.answer(&profile(more.clone())).unwrap().sites, names);
    let together = Together(rows.by_site());
    let lost = block_on(together.sum(&profile(more)));
    assert_eq!(lost, Err(CohortError::SiteLost(SiteId::parse("zz").unwrap())));
    let nobody = together.0[0].answer(&profile(sites(&["zz"])));
    assert!(matches!(nobody, Err(CohortError::Unfit(_))), "{nobody:?}");
}

#[test]
fn another_schema_is_refused() {
    let rows = Population::draw(5, 20).rows(1, 5);
    let mut other = query(rows.sites(), Ask::Profile { split: vec![] });
    other.schema.classes += 1;
    assert!(matches!(rows.answer(&other), Err(CohortError::Unfit(_))));
}

#[test]
fn out_of_range_names_the_block() {
    let rows = Population::draw(6, 40).rows(2, 6);
    let refused = |one: Ask, expected: &str, places: u8| {
        let error = rows.answer(&query(rows.sites(), one)).unwrap_err();
        match error {
            CohortError::Sum(SumError::OutOfRange { block, bits }) => {
                assert_eq!((block, bits), (expected, places));
            }
            other => panic!("{other:?}"),
        }
    };
    let moments = |bits| Ask::Moments { frame: frame(), split: vec![], bits };
    refused(moments(62), "sum", 62);
    assert!(rows.answer(&query(rows.sites(), moments(40))).is_ok());
    let all = everywhere(FoldSet::all(4));
    let mut huge = model(1, Scaler::Folded);
    huge.weights[0] = 1e300;
    let terms = vec![LinearTerm::new(all, huge.clone())];
    let derivatives = Derivatives::Gradient;
    refused(Ask::Logistic { frame: frame(), terms, derivatives, bits: 30 }, "loss", 30);
    refused(Ask::Gram { frame: frame(), rows: all, scaler: Scaler::Folded, bits: 61 }, "gram", 61);
    // A score that isn't finite is no score.
    huge.weights[0] = 1e308;
    huge.weights[1] = 1e308;
    let scores = Ask::Scores {
        frame: frame(),
        models: vec![huge.into()],
        lists: vec![ScoreList { class: 1, parts: vec![(all, 0)] }],
        split: vec![],
        bins: Bins { half_width: 6.0, count: 8 },
        bits: 30,
    };
    let error = rows.answer(&query(rows.sites(), scores)).unwrap_err();
    assert!(matches!(error, CohortError::Unfit(_)), "{error:?}");
}

#[test]
fn missing_values_are_refused_where_a_model_calls_rows_complete() {
    let population = Population::draw(7, 40);
    let rows: Rows = population.rows(1, 7);
    assert!(rows.missing_share() > 0.0);
    let mut complete = model(1, Scaler::Folded);
    complete.fill = Fill::Complete;
    let term = LinearTerm::new(everywhere(FoldSet::all(4)), complete);
    let derivatives = Derivatives::Gradient;
    let one = Ask::Logistic { frame: frame(), terms: vec![term], derivatives, bits: 30 };
    let error = rows.answer(&query(rows.sites(), one)).unwrap_err();
    assert!(matches!(error, CohortError::Unfit(_)), "{error:?}");
}

#[test]
fn a_schema_fits_its_population() {
    assert_eq!(Population::draw(8, 20).rows(2, 8).schema(), &schema());
}
