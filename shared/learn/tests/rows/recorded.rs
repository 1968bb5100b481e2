//! A recorded cohort asks once and replays without asking.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use wardround_core::query::{Ask, Column, Query};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::recorded::{Journal, MemoryJournal, Recorded};
use wardround_learn::rows::Rows;

use crate::population::{Population, query, sites};

struct Counting(Rows, AtomicUsize);

impl Cohort for Counting {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sum(query).await
    }
}

fn profile(rows: &Rows, split: Vec<Column>) -> Query {
    query(rows.sites(), Ask::Profile { split })
}

#[test]
fn a_question_is_asked_once() {
    let rows = Population::draw(1, 30).rows(3, 1);
    let (first, second) = (profile(&rows, vec![]), profile(&rows, vec![Column::Site]));
    let journal = MemoryJournal::default();
    let cohort = Recorded::new(Counting(rows, AtomicUsize::new(0)), &journal);
    let answer = block_on(cohort.sum(&first)).unwrap();
    assert_eq!(block_on(cohort.sum(&first)).unwrap(), answer);
    block_on(cohort.sum(&second)).unwrap();
    assert_eq!(journal.len(), 2);

    // A restarted coordinator and an auditor find the same bytes without asking anybody.
    let replay = Recorded::replay_only(&journal);
    assert_eq!(block_on(replay.sum(&first)).unwrap().encode(), answer.encode());
    let mut unknown = first.clone();
    unknown.folds.folds = 7;
    let error = block_on(replay.sum(&unknown)).unwrap_err();
    assert!(matches!(&error, CohortError::Journal(text) if text.contains("profile")), "{error}");
}

#[test]
fn the_inner_cohort_is_asked_only_for_what_is_new() {
    let rows = Population::draw(2, 30).rows(2, 2);
    let query = profile(&rows, vec![]);
    let counting = Counting(rows, AtomicUsize::new(0));
    let journal = MemoryJournal::default();
    for _ in 0..3 {
        block_on(Recorded::new(&counting, &journal).sum(&query)).unwrap();
    }
    assert_eq!(counting.1.load(Ordering::SeqCst), 1);
}

#[test]
fn an_answer_with_other_sites_is_neither_recorded_nor_replayed() {
    let rows = Population::draw(3, 30).rows(2, 3);
    let mut query = profile(&rows, vec![]);
    query.sites.extend(sites(&["zz"]));
    let journal = MemoryJournal::default();
    let error = block_on(Recorded::new(&rows, &journal).sum(&query)).unwrap_err();
    assert!(matches!(&error, CohortError::Unfit(text) if text.contains("zz")), "{error}");
    assert!(journal.is_empty());
    // Had it come into the journal, replaying would stop there.
    journal.record(&query, &rows.answer(&query).unwrap()).unwrap();
    let error = block_on(Recorded::replay_only(&journal).sum(&query)).unwrap_err();
    assert!(matches!(error, CohortError::Journal(_)), "{error}");
}

#[test]
fn a_query_has_one_answer() {
    let rows = Population::draw(4, 30).rows(2, 4);
    let query = profile(&rows, vec![]);
    let mut sum = rows.answer(&query).unwrap();
    let journal = MemoryJournal::default();
    journal.record(&query, &sum).unwrap();
    journal.record(&query, &sum).unwrap();
    sum.blocks[0][0] += 1;
    assert!(journal.record(&query, &sum).is_err());
    assert_ne!(journal.find(&query.digest()).unwrap(), Some(sum));
}
