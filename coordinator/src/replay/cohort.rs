//! The cohort of a replay: an archive's totals, and nobody behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::query::Query;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::recorded::{Journal, NoCohort, Recorded};

use crate::archive::{Archive, JournalLine};

/// Answers from an archive, and remembers which lines were used.
pub(super) struct Totals<'a> {
    lines: BTreeMap<Digest, u64>,
    recorded: Recorded<NoCohort, ArchiveJournal<'a>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    used: BTreeSet<u64>,
    unrecorded: Option<Unrecorded>,
}

/// A question that the journal has no line for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unrecorded {
    pub(super) what: &'static str,
    pub(super) query: Digest,
}

impl<'a> Totals<'a> {
    pub(super) fn new(archive: &'a Archive<'a>) -> Self {
        let lines = archive.journal.iter().map(|line| (line.query, line));
        let journal = ArchiveJournal { archive, lines: lines.collect() };
        Self {
            lines: archive.journal.iter().map(|line| (line.query, line.sequence)).collect(),
            recorded: Recorded::replay_only(journal),
            seen: Mutex::default(),
        }
    }

    /// The last question without a line since this was asked last.
    pub(super) fn take_unrecorded(&self) -> Option<Unrecorded> {
        self.seen().unrecorded.take()
    }

    /// Numbers of the lines that no run asked for.
    pub(super) fn unused(&self) -> Vec<u64> {
        let seen = self.seen();
        let mut all: Vec<u64> = self.lines.values().copied().collect();
        all.retain(|line| !seen.used.contains(line));
        all.sort_unstable();
        all
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every change under the lock is one insertion.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cohort for Totals<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let digest = query.digest();
        let Some(line) = self.lines.get(&digest) else {
            self.seen().unrecorded = Some(Unrecorded { what: query.name(), query: digest });
            return Err(out_of_range(query));
        };
        let sum = self.recorded.sum(query).await?;
        let mut seen = self.seen();
        seen.used.insert(*line);
        seen.unrecorded = None;
        Ok(sum)
    }
}

/// What the sites said to a question that has no total: it was out of range, and asked again at a
/// coarser scale, which has one. If that has none either, the journal lacks a line.
fn out_of_range(query: &Query) -> CohortError {
    let layout = query.layout();
    let finest = layout.iter().max_by_key(|spec| spec.bits);
    let (block, bits) = finest.map_or(("none", 0), |spec| (spec.name, spec.bits));
    CohortError::Sum(SumError::OutOfRange { block, bits })
}

struct ArchiveJournal<'a> {
    archive: &'a Archive<'a>,
    lines: BTreeMap<Digest, &'a JournalLine>,
}

impl Journal for ArchiveJournal<'_> {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        let Some(line) = self.lines.get(query) else { return Ok(None) };
        self.archive.total(line).map(|(sum, _)| Some(sum)).map_err(|error| error.to_string())
    }

    fn record(&self, _query: &Query, _sum: &Sum) -> Result<(), String> {
        Err("an archive's journal is closed".into())
    }
}
