//! A recorded cohort asks once and replays without asking.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use wardround_core::digest::Digest;
use wardround_core::query::{Ask, Column, Query};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError, Heard, Purpose};
use wardround_learn::recorded::{Journal, Keep, MemoryJournal, Receipt, Recorded};
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
    let cohort = Recorded::new(Counting(rows, AtomicUsize::new(0)), &journal, Keep::Sums);
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
        block_on(Recorded::new(&counting, &journal, Keep::Sums).sum(&query)).unwrap();
    }
    assert_eq!(counting.1.load(Ordering::SeqCst), 1);
}

#[test]
fn an_answer_with_other_sites_is_neither_recorded_nor_replayed() {
    let rows = Population::draw(3, 30).rows(2, 3);
    let mut query = profile(&rows, vec![]);
    query.sites.extend(sites(&["zz"]));
    let journal = MemoryJournal::default();
    let error = block_on(Recorded::new(&rows, &journal, Keep::Sums).sum(&query)).unwrap_err();
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

#[test]
fn a_decision_stands_for_a_sum_once_it_is_settled() {
    let rows = Population::draw(5, 30).rows(3, 5);
    let query = profile(&rows, vec![]);
    let digest = query.digest();
    let counting = Counting(rows, AtomicUsize::new(0));
    let journal = MemoryJournal::default();
    let cohort = Recorded::new(&counting, &journal, Keep::Decisions);
    let [one, other] = [b"one", b"two"].map(|name| Purpose(Digest::of(name)));
    let hear = || block_on(cohort.sum_or_decision(&query, &one)).unwrap();
    let Heard::Passing(sum) = hear() else { panic!("a sum that passes") };
    // Until then it is asked again.
    assert!(journal.is_empty());
    assert_eq!(hear(), Heard::Passing(sum.clone()));
    cohort.settle(&digest, &one, b"decided").unwrap();
    assert_eq!(hear(), Heard::Decided(b"decided".to_vec()));
    assert_eq!(counting.1.load(Ordering::SeqCst), 2);
    let receipt = Receipt::new(&query, &sum);
    let found = journal.find_decision(&digest, &one).unwrap();
    assert_eq!(found, Some((receipt, b"decided".to_vec())));
    assert_eq!(journal.find(&digest).unwrap(), None);
    // It is settled once, and by whoever asked.
    assert!(matches!(cohort.settle(&digest, &one, b"else"), Err(CohortError::Journal(_))));
    assert!(matches!(cohort.settle(&digest, &other, b"else"), Err(CohortError::Journal(_))));
    let heard = block_on(cohort.sum_or_decision(&query, &other)).unwrap();
    assert_eq!(heard, Heard::Passing(sum));
    cohort.settle(&digest, &other, b"otherwise").unwrap();
    assert_eq!(hear(), Heard::Decided(b"decided".to_vec()));
    assert_eq!(journal.len(), 2);
}

#[test]
fn sums_that_are_kept_need_no_decision() {
    let rows = Population::draw(6, 30).rows(3, 6);
    let query = profile(&rows, vec![]);
    let sum = rows.answer(&query).unwrap();
    assert_eq!(
        block_on(rows.sum_or_decision(&query, &purpose())).unwrap(),
        Heard::Kept(sum.clone())
    );
    assert!(rows.settle(&query.digest(), &purpose(), b"").is_err());
    let journal = MemoryJournal::default();
    let keeping = Recorded::new(&rows, &journal, Keep::Sums);
    assert_eq!(
        block_on(keeping.sum_or_decision(&query, &purpose())).unwrap(),
        Heard::Kept(sum.clone())
    );
    // Whatever is to be kept of further ones, it stays.
    let others = Recorded::new(&rows, &journal, Keep::Decisions);
    assert_eq!(block_on(others.sum_or_decision(&query, &purpose())).unwrap(), Heard::Kept(sum));
}

#[test]
fn a_receipt_of_other_sites_or_numbers_is_refused() {
    let rows = Population::draw(7, 30).rows(3, 7);
    let query = profile(&rows, vec![]);
    let receipt = Receipt::new(&query, &rows.answer(&query).unwrap());
    for change in [
        |receipt: &mut Receipt| drop(receipt.sites.pop()),
        |receipt: &mut Receipt| receipt.numbers += 1,
        |receipt: &mut Receipt| receipt.what.push('s'),
    ] {
        let journal = MemoryJournal::default();
        let mut changed = receipt.clone();
        change(&mut changed);
        journal.record_decision(&changed, &purpose(), b"decided").unwrap();
        let replay = Recorded::replay_only(&journal);
        let heard = block_on(replay.sum_or_decision(&query, &purpose()));
        assert!(matches!(heard, Err(CohortError::Journal(_))), "{heard:?}");
    }
}

fn purpose() -> Purpose {
    Purpose(Digest::of(b"a purpose"))
}
