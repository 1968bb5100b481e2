//! The cohort of a replay: an archive's totals, and nobody behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::query::Query;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError, Heard, Purpose};
use wardround_learn::recorded::{Journal, NoCohort, Receipt, Recorded};

use crate::archive::{Archive, JournalLine};
use crate::store::Kept;

/// Answers from an archive, and remembers which lines were used.
pub(super) struct Totals<'a> {
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
        let lines = archive.journal.iter().map(|line| {
            let purpose = match line.kept {
                Kept::Total => For::Anybody,
                Kept::Decision { purpose, .. } => For::One(purpose),
            };
            ((line.query, purpose), line)
        });
        let journal = ArchiveJournal { archive, lines: lines.collect() };
        Self { recorded: Recorded::replay_only(journal), seen: Mutex::default() }
    }

    /// The last question without a line since this was asked last.
    pub(super) fn take_unrecorded(&self) -> Option<Unrecorded> {
        self.seen().unrecorded.take()
    }

    /// Numbers of the lines that no run asked for.
    pub(super) fn unused(&self) -> Vec<u64> {
        let seen = self.seen();
        let lines = self.recorded.journal().lines.values();
        let mut all: Vec<u64> = lines.map(|line| line.sequence).collect();
        all.retain(|line| !seen.used.contains(line));
        all.sort_unstable();
        all
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every change under the lock is one insertion.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals<'_> {
    /// The line that one of these has, the first of them.
    fn line(&self, query: &Query, purposes: &[For]) -> Result<u64, CohortError> {
        let (digest, lines) = (query.digest(), &self.recorded.journal().lines);
        let line = purposes.iter().find_map(|purpose| lines.get(&(digest, *purpose)));
        line.map(|line| line.sequence).ok_or_else(|| {
            self.seen().unrecorded = Some(Unrecorded { what: query.name(), query: digest });
            out_of_range(query)
        })
    }

    fn used(&self, line: u64) {
        let mut seen = self.seen();
        seen.used.insert(line);
        seen.unrecorded = None;
    }
}

impl Cohort for Totals<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let line = self.line(query, &[For::Anybody])?;
        let sum = self.recorded.sum(query).await?;
        self.used(line);
        Ok(sum)
    }

    async fn sum_or_decision(
        &self,
        query: &Query,
        purpose: &Purpose,
    ) -> Result<Heard, CohortError> {
        let line = self.line(query, &[For::One(*purpose), For::Anybody])?;
        let heard = self.recorded.sum_or_decision(query, purpose).await?;
        self.used(line);
        Ok(heard)
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

/// Whom a line answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    /// A total is for everybody who asks.
    Anybody,
    /// A decision is for whoever took it.
    One(Purpose),
}

struct ArchiveJournal<'a> {
    archive: &'a Archive<'a>,
    lines: BTreeMap<(Digest, For), &'a JournalLine>,
}

impl Journal for ArchiveJournal<'_> {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        let Some(line) = self.lines.get(&(*query, For::Anybody)) else { return Ok(None) };
        self.archive.total(line).map(|(sum, _)| Some(sum)).map_err(|error| error.to_string())
    }

    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String> {
        let Some(line) = self.lines.get(&(*query, For::One(*purpose))) else { return Ok(None) };
        let Kept::Decision { digest, .. } = &line.kept else { return Ok(None) };
        let decision = self.archive.decision(line, digest).map_err(|error| error.to_string())?;
        Ok(Some((line.receipt(), decision)))
    }

    fn record(&self, _query: &Query, _sum: &Sum) -> Result<(), String> {
        Err("an archive's journal is closed".into())
    }

    fn record_decision(
        &self,
        _receipt: &Receipt,
        _purpose: &Purpose,
        _decision: &[u8],
    ) -> Result<(), String> {
        Err("an archive's journal is closed".into())
    }
}
