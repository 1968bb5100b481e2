//! Bagged forests: each site's own trees, in one round.

use std::sync::atomic::{AtomicU64, Ordering};

use wardround_core::query::{Ask, Query};
use wardround_core::study::{
    Balance, Classifier, ColumnSample, ForestGrid, Halving, LeafLimit, Reduction, Search,
    Standardise, Study, TreeRules,
};
use wardround_core::sum::Sum;
use wardround_learn::bundle::{BundleInput, ModelBundle, predict};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{FinalFit, FinalTrees, Findings, OwnNode, TreeGains};
use wardround_learn::recorded::{Keep, MemoryJournal, Recorded};
use wardround_learn::rows::{Rows, Together};
use wardround_learn::study::{Exactness, StudyError, plan};

use crate::support::{Line, find, lines, rows, study, value};

fn grid(trees: &[u32]) -> ForestGrid {
    ForestGrid {
        trees: trees.to_vec(),
        depth: vec![3, 5],
        min_patients: vec![5],
        balance: vec![Balance::None, Balance::Weights],
        rules: TreeRules {
            columns: ColumnSample::AtMost(3),
            leaves: LeafLimit::AtMost(9),
            bins: 16,
        },
        reduce: vec![Reduction::None],
    }
}

fn with(classifier: Classifier) -> Study {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.folds = 3;
    Study { classifiers: vec![classifier], ..study }
}

fn bagged(trees: &[u32]) -> Study {
    with(Classifier::BaggedForest(grid(trees)))
}

fn run(study: &Study, of: &Rows) -> Findings {
    find(of, study, &of.sites(), of.schema()).unwrap()
}

fn trees(found: &Findings) -> &FinalTrees {
    match &found.targets[0].model.fitted {
        FinalFit::Trees(trees) => trees,
        _ => panic!("trees"),
    }
}

fn made() -> Vec<Line> {
    let mut made = lines(300, 5, 4, 101);
    for (at, line) in made.iter_mut().enumerate() {
        if at % 5 == 0 {
            line.features[at % 4] = f64::NAN;
        }
    }
    made
}

#[test]
fn a_forest_of_one_site_is_that_sites_forest() {
    let mut one = made();
    one.iter_mut().for_each(|line| line.site = 0);
    let (mut bag, mut forest) = (bagged(&[4, 9]), with(Classifier::Forest(grid(&[4, 9]))));
    (bag.validation.leave_one_site_out, forest.validation.leave_one_site_out) = (false, false);
    let rows = rows(&one, &bag);
    let (bag, mut forest) = (run(&bag, &rows), run(&forest, &rows));
    // What a site's trees gained stays there.
    assert_ne!(bag.targets[0].model.gains, forest.targets[0].model.gains);
    forest.targets[0].model.gains = TreeGains::NotKept;
    assert_eq!(bag.targets, forest.targets);
    assert!(bag.cost.queries < forest.cost.queries);
}

/// Counts questions about forests of single sites and the bytes of their answers.
struct Watch<'a, C> {
    inner: &'a C,
    asked: AtomicU64,
    bytes: AtomicU64,
}

impl<C: Cohort> Cohort for Watch<'_, C> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let sum = self.inner.sum(query).await?;
        if let Ask::OwnForests { .. } = query.ask {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.bytes.fetch_add(sum.encode().len() as u64, Ordering::SeqCst);
        }
        Ok(sum)
    }
}

#[test]
fn sites_asked_one_by_one_in_one_round_give_the_same() {
    let study = bagged(&[4, 9]);
    let rows = rows(&made(), &study);
    let (names, schema) = (rows.sites(), rows.schema().clone());
    let journal = MemoryJournal::default();
    let watch = Watch { inner: &rows, asked: AtomicU64::new(0), bytes: AtomicU64::new(0) };
    let recorded = Recorded::new(&watch, &journal, Keep::Decisions);
    let found = find(&recorded, &study, &names, &schema).unwrap();
    assert_eq!(watch.asked.load(Ordering::SeqCst), 1);
    let replay = Recorded::replay_only(&journal);
    assert_eq!(find(&replay, &study, &names, &schema).unwrap(), found);
    let planned = plan(&study, std::slice::from_ref(&schema), &names).unwrap();
    assert_eq!(planned.exactness, Exactness::Inexact);
    assert_eq!(planned.models, found.cost.models);
    let ratio = planned.queries as f64 / found.cost.queries as f64;
    assert!((0.7..1.4).contains(&ratio), "{} of {}", planned.queries, found.cost.queries);
    let nested = value(&found.targets[0].nested.judged.auc_within_sites);
    assert!(nested > 0.6, "{nested}");
    let mut each = rows.by_site();
    each.reverse();
    assert_eq!(find(&Together(each), &study, &names, &schema).unwrap(), found);
}

/// An answer, block by block.
fn answer(cohort: &Rows, query: &Query) -> Vec<Vec<i64>> {
    cohort.answer(query).unwrap().blocks
}

/// Keeps the one question about forests.
struct Keeping<'a>(&'a Rows, std::sync::Mutex<Option<Query>>);

impl Cohort for Keeping<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        if let Ask::OwnForests { .. } = query.ask {
            *self.1.lock().unwrap() = Some(query.clone());
        }
        self.0.answer(query)
    }
}

#[test]
fn a_site_fills_its_own_slots_and_no_others() {
    let study = bagged(&[4]);
    let rows = rows(&made(), &study);
    let (names, schema) = (rows.sites(), rows.schema().clone());
    let keeping = Keeping(&rows, std::sync::Mutex::new(None));
    find(&keeping, &study, &names, &schema).unwrap();
    let query = keeping.1.into_inner().unwrap().unwrap();
    let Ask::OwnForests { terms, .. } = &query.ask else { panic!("forests") };
    for (site, of_site) in rows.by_site().iter().enumerate() {
        let [patients, nodes] = &answer(of_site, &query)[..] else { panic!("two blocks") };
        let mut rest = &nodes[..];
        for (term, patients) in terms.iter().zip(patients.chunks_exact(names.len())) {
            for (slot, patients) in patients.iter().enumerate() {
                let (own, others) = rest.split_at(term.numbers_per_site());
                rest = others;
                let takes_part = slot == site && term.rows.sites.contains(site as u16);
                assert_eq!(*patients > 0, takes_part);
                assert_eq!(own.iter().any(|&number| number != 0), takes_part);
            }
        }
    }
}

#[test]
fn leaves_hold_their_patients_within_the_site() {
    let mut study = bagged(&[6]);
    let Classifier::BaggedForest(grid) = &mut study.classifiers[0] else { panic!() };
    // More than half of a site's patients: no site can split, though all together could.
    (grid.min_patients, grid.depth) = (vec![40], vec![3]);
    let rows = rows(&made(), &study);
    let found = run(&study, &rows);
    assert!(trees(&found).trees.iter().all(|tree| matches!(tree.0[..], [OwnNode::Leaf { .. }])));
    assert_eq!(trees(&found).trees.len(), 4 * 6);
}

#[test]
fn a_site_that_refuses_stops_the_study_by_name() {
    struct Refusing<'a>(&'a Rows);
    impl Cohort for Refusing<'_> {
        async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
            if let Ask::OwnForests { .. } = query.ask {
                let (site, reason) = (query.sites[2].clone(), "own_model".to_owned());
                return Err(CohortError::Refused { site, reason });
            }
            self.0.answer(query)
        }
    }
    let study = bagged(&[4]);
    let rows = rows(&made(), &study);
    let error = find(&Refusing(&rows), &study, &rows.sites(), rows.schema()).unwrap_err();
    assert_eq!(error.to_string(), "site site-2 refuses: own_model");
}

#[test]
fn an_answer_that_is_no_forest_is_refused_by_name() {
    struct Hostile<'a>(&'a Rows);
    impl Cohort for Hostile<'_> {
        async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
            let mut sum = self.0.answer(query)?;
            if let Ask::OwnForests { terms, .. } = &query.ask {
                // The second site's first tree without its root.
                sum.blocks[1][terms[0].numbers_per_site()] = 0;
            }
            Ok(sum)
        }
    }
    let study = bagged(&[4]);
    let rows = rows(&made(), &study);
    let error = find(&Hostile(&rows), &study, &rows.sites(), rows.schema()).unwrap_err();
    assert!(
        matches!(&error, StudyError::NoTree { site, .. } if site.as_str() == "site-1"),
        "{error}"
    );
}

#[test]
fn bagged_forests_race_and_are_bundled() {
    let mut study = bagged(&[3, 8]);
    study.validation.search =
        Search::Halving(Halving { eta: 3, candidates: wardround_core::study::Candidates::Grid });
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!() };
    table.numeric = (0..5).map(|j| format!("x{j}")).collect();
    let rows = rows(&lines(240, 5, 3, 102), &study);
    let found = run(&study, &rows);
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &found, input, "wardround test");
    assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
    let model = trees(&found);
    for row in rows.rows() {
        let expected = 1.0 / (1.0 + (-model.logit(&row.features().unwrap())).exp());
        assert!((predict(&bundle, &row.features().unwrap()).unwrap()[0] - expected).abs() < 1e-15);
        assert!((0.0..=1.0).contains(&expected));
    }
}
