//! Trees behind a journal that keeps what was decided in place of histograms: replayed, cut anywhere and
//! taken up again, and how large it gets.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wardround_core::digest::Digest;
use wardround_core::query::Query;
use wardround_core::study::{
    Balance, BoostingGrid, Candidates, Classifier, ColumnSample, EarlyStopping, ForestGrid,
    Halving, LeafLimit, Reduction, Search, Standardise, Study, TreeRules,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError, Purpose};
use wardround_learn::findings::Findings;
use wardround_learn::recorded::{Journal, Keep, MemoryJournal, Receipt, Recorded};
use wardround_learn::rows::Rows;
use wardround_learn::study::StudyError;

use crate::support::{find, lines, rows, study};

fn with(classifier: Classifier) -> Study {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    study.validation.folds = 3;
    Study { classifiers: vec![classifier], ..study }
}

fn rules(bins: u8) -> TreeRules {
    TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins }
}

/// Of two depths, so that some trees are done while others grow.
fn boosted(trees: u32, bins: u8) -> Study {
    with(Classifier::Boosting(BoostingGrid {
        trees: vec![trees],
        depth: vec![1, 3],
        min_patients: vec![3],
        learning_rate: vec![0.3],
        l2: vec![1.0],
        rows: 0.8,
        min_weight: 0.001,
        early_stopping: EarlyStopping::Off,
        rules: rules(bins),
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    }))
}

fn forest(trees: u32) -> Study {
    with(Classifier::Forest(ForestGrid {
        trees: vec![trees],
        depth: vec![4],
        min_patients: vec![3],
        rules: TreeRules { columns: ColumnSample::AtMost(3), ..rules(16) },
        balance: vec![Balance::Weights],
        reduce: vec![Reduction::None],
    }))
}

/// Boosted trees that may stop early, with looks at their held-out loss in between.
fn stopping() -> Study {
    let mut study = boosted(10, 16);
    let Classifier::Boosting(grid) = &mut study.classifiers[0] else { panic!("boosted") };
    grid.early_stopping = EarlyStopping::Patience(5);
    study
}

/// Forests on several rungs of races.
fn racing() -> Study {
    let mut study = forest(2);
    let Classifier::Forest(grid) = &mut study.classifiers[0] else { panic!("a forest") };
    (grid.depth, grid.min_patients) = (vec![2, 3], vec![3, 10]);
    study.validation.search = Search::Halving(Halving { eta: 2, candidates: Candidates::Grid });
    study
}

fn hospital(study: &Study, columns: usize) -> Rows {
    rows(&lines(120, columns, 3, 71), study)
}

fn run(cohort: &impl Cohort, study: &Study, of: &Rows) -> Result<Findings, StudyError> {
    find(cohort, study, &of.sites(), of.schema())
}

/// Counts the bytes of decisions and sums, and fails once it has been written to so often.
struct Watched<'a> {
    inner: &'a MemoryJournal,
    writes: AtomicUsize,
    most: usize,
    of_decisions: AtomicUsize,
    of_histograms: AtomicUsize,
    decided: Mutex<Vec<Digest>>,
}

impl<'a> Watched<'a> {
    fn new(inner: &'a MemoryJournal, most: usize) -> Self {
        let zero = || AtomicUsize::new(0);
        let (writes, of_decisions, of_histograms) = (zero(), zero(), zero());
        Self { inner, writes, most, of_decisions, of_histograms, decided: Mutex::default() }
    }

    /// How many questions were decided more than once.
    fn twice(&self) -> usize {
        let mut decided = self.decided.lock().unwrap().clone();
        let all = decided.len();
        decided.sort_unstable();
        decided.dedup();
        all - decided.len()
    }

    fn count(&self) -> Result<(), String> {
        match self.writes.fetch_add(1, Ordering::SeqCst) < self.most {
            true => Ok(()),
            false => Err("killed".into()),
        }
    }
}

impl Journal for &Watched<'_> {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        self.inner.find(query)
    }

    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String> {
        self.inner.find_decision(query, purpose)
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        self.count()?;
        if query.name() == "tree histograms" {
            self.of_histograms.fetch_add(sum.encode().len(), Ordering::SeqCst);
        }
        self.inner.record(query, sum)
    }

    fn record_decision(
        &self,
        receipt: &Receipt,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), String> {
        self.count()?;
        assert_eq!(receipt.what, "tree histograms");
        self.of_decisions.fetch_add(decision.len(), Ordering::SeqCst);
        self.decided.lock().unwrap().push(receipt.query);
        self.inner.record_decision(receipt, purpose, decision)
    }
}

#[test]
fn trees_are_replayed_from_what_was_decided() {
    for study in [boosted(4, 16), forest(6)] {
        let rows = hospital(&study, 5);
        let expected = run(&rows, &study, &rows).unwrap();
        let journal = MemoryJournal::default();
        let watched = Watched::new(&journal, usize::MAX);
        let found = run(&Recorded::new(&rows, &watched, Keep::Decisions), &study, &rows).unwrap();
        assert_eq!(found, expected);
        assert_eq!(journal.len() as u64, found.cost.queries);
        assert!(watched.of_decisions.into_inner() > 0);
        assert_eq!(watched.of_histograms.into_inner(), 0);
        assert_eq!(run(&Recorded::replay_only(&journal), &study, &rows).unwrap(), expected);
    }
}

#[test]
fn a_run_that_is_cut_before_any_line_ends_as_if_it_hadnt_been() {
    for study in [boosted(3, 16), forest(4), stopping(), racing()] {
        let rows = hospital(&study, 5);
        let expected = run(&rows, &study, &rows).unwrap();
        for most in 0..expected.cost.queries as usize {
            let journal = MemoryJournal::default();
            let cut = Watched::new(&journal, most);
            let error = run(&Recorded::new(&rows, &cut, Keep::Decisions), &study, &rows);
            let killed = StudyError::Cohort(CohortError::Journal("killed".into()));
            assert_eq!(error.unwrap_err().to_string(), killed.to_string());
            assert_eq!(journal.len(), most);
            let again = run(&Recorded::new(&rows, &journal, Keep::Decisions), &study, &rows);
            assert_eq!(again.unwrap(), expected, "cut before line {most}");
            assert_eq!(journal.len() as u64, expected.cost.queries);
            assert_eq!(run(&Recorded::replay_only(&journal), &study, &rows).unwrap(), expected);
        }
    }
}

/// Aborts after so many questions.
struct Until<'a>(&'a Rows, AtomicUsize);

impl Cohort for Until<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        match self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => self.0.sum(query).await,
            Err(_) => Err(CohortError::Aborted),
        }
    }
}

#[test]
fn a_run_may_be_taken_up_with_another_choice_of_what_is_kept() {
    for study in [boosted(3, 16), forest(4)] {
        let rows = hospital(&study, 5);
        let expected = run(&rows, &study, &rows).unwrap();
        for after in 0..expected.cost.queries as usize {
            for first in [Keep::Sums, Keep::Decisions] {
                let journal = MemoryJournal::default();
                let until = || Until(&rows, AtomicUsize::new(after));
                let second = if first == Keep::Sums { Keep::Decisions } else { Keep::Sums };
                // Cut, taken up with the other choice, cut again, taken up with the first.
                for keep in [first, second] {
                    let cohort = Recorded::new(until(), &journal, keep);
                    let error = run(&cohort, &study, &rows).err();
                    assert!(matches!(error, None | Some(StudyError::Cohort(CohortError::Aborted))));
                }
                let found = run(&Recorded::new(&rows, &journal, first), &study, &rows).unwrap();
                assert_eq!(found, expected, "{first:?} until {after}");
                let replayed = run(&Recorded::replay_only(&journal), &study, &rows).unwrap();
                assert_eq!(replayed, expected, "{first:?} until {after}");
            }
        }
    }
}

#[test]
fn fits_that_ask_the_same_question_decide_for_themselves() {
    // Of two boosted models the first tree's first question is the same, and what follows isn't.
    let one = boosted(3, 16);
    let mut deeper = one.classifiers[0].clone();
    let Classifier::Boosting(grid) = &mut deeper else { panic!("boosted") };
    grid.depth = vec![1, 4];
    let several = Study { classifiers: vec![one.classifiers[0].clone(), deeper], ..one.clone() };
    // Forests whose trees fill the memory: those of the second grid point begin once those of the first are
    // done, with the same question.
    let mut wide = forest(2);
    let Classifier::Forest(grid) = &mut wide.classifiers[0] else { panic!("a forest") };
    (grid.depth, grid.min_patients) = (vec![20], vec![3, 10]);
    for study in [several, wide] {
        let rows = hospital(&study, 5);
        let expected = run(&rows, &study, &rows).unwrap();
        let journal = MemoryJournal::default();
        let watched = Watched::new(&journal, usize::MAX);
        let found = run(&Recorded::new(&rows, &watched, Keep::Decisions), &study, &rows).unwrap();
        assert_eq!(found, expected);
        assert_eq!(journal.len() as u64, found.cost.queries);
        assert!(watched.twice() > 0);
        assert_eq!(run(&Recorded::replay_only(&journal), &study, &rows).unwrap(), expected);
    }
}

#[test]
fn a_journal_grows_with_trees_and_not_with_columns_and_bins() {
    let bytes = |trees, bins, columns| {
        let study = boosted(trees, bins);
        let rows = hospital(&study, columns);
        let (journal, sums) = (MemoryJournal::default(), MemoryJournal::default());
        let watched = Watched::new(&journal, usize::MAX);
        run(&Recorded::new(&rows, &watched, Keep::Decisions), &study, &rows).unwrap();
        let with_sums = Watched::new(&sums, usize::MAX);
        run(&Recorded::new(&rows, &with_sums, Keep::Sums), &study, &rows).unwrap();
        [watched.of_decisions.into_inner() as f64, with_sums.of_histograms.into_inner() as f64]
    };
    let small = bytes(6, 8, 6);
    let [wide, more] = [bytes(6, 64, 24), bytes(12, 8, 6)];
    assert!(wide[1] > 10.0 * small[1], "histograms of {} and {} bytes", small[1], wide[1]);
    assert!(wide[0] < 1.5 * small[0], "decisions of {} and {} bytes", small[0], wide[0]);
    let ratio = more[0] / small[0];
    assert!((1.5..2.5).contains(&ratio), "twice the trees take {ratio} times the bytes");
}
