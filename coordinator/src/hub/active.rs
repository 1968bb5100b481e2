//! A round that runs: its machine, what it asks, and what came in so far.

use std::sync::Arc;

use tokio::sync::oneshot;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_proto::payload::Packed;
use wardround_proto::v1;

use super::{LEASE_MS, Listener, Outcome, RoundEnd, Work, ending};
use crate::round::Round;

pub(super) struct ActiveRound {
    pub(super) study: StudyId,
    pub(super) work: Work,
    pub(super) round: Round,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) outcomes: Vec<(SiteId, Outcome)>,
    key: String,
    query: Option<Arc<Packed>>,
    tell: Option<oneshot::Sender<RoundEnd>>,
}

impl ActiveRound {
    pub(super) fn new(
        study: StudyId,
        work: Work,
        round: Round,
        listener: Arc<dyn Listener>,
        tell: oneshot::Sender<RoundEnd>,
    ) -> Self {
        let (key, query) = match &work {
            Work::Consider { nonce, .. } => (format!("consider-{nonce}"), None),
            Work::Enlist { .. } => ("enlist".to_owned(), None),
            Work::Ask { query, .. } => {
                let packed = Packed::new(&query.encode());
                (format!("ask-{}", query.digest()), Some(Arc::new(packed)))
            }
            Work::Close { why } => (format!("close-{why}"), None),
        };
        let tell = Some(tell);
        Self { study, work, round, listener, outcomes: Vec::new(), key, query, tell }
    }

    /// The id of the site's task.
    pub(super) fn task_of(&self, site: &SiteId) -> String {
        format!("{}/{}/{site}", self.study, self.key)
    }

    pub(super) fn task(&self, site: &SiteId, attempt: u32) -> v1::Task {
        let ids = |sites: &[SiteId]| sites.iter().map(SiteId::to_string).collect::<Vec<_>>();
        let work = match &self.work {
            Work::Consider { toml, sites, .. } => v1::task::Work::Consider(v1::Consider {
                study_toml: toml.clone(),
                sites: ids(sites),
            }),
            Work::Enlist { toml, sites } => {
                v1::task::Work::Enlist(v1::Enlist { study_toml: toml.clone(), sites: ids(sites) })
            }
            Work::Ask { locks, .. } => v1::task::Work::Ask(v1::Ask {
                query: self.query.as_ref().map(|packed| packed.message()),
                lock_digest: lock_of(locks, site).map_or(Vec::new(), |l| l.as_bytes().to_vec()),
            }),
            Work::Close { why } => v1::task::Work::Close(v1::Close { why: why.clone() }),
        };
        v1::Task {
            id: self.task_of(site),
            attempt,
            study: self.study.to_string(),
            lease_ms: LEASE_MS as u32,
            work: Some(work),
        }
    }

    pub(super) fn lock_of(&self, site: &SiteId) -> Option<Digest> {
        match &self.work {
            Work::Ask { locks, .. } => lock_of(locks, site),
            _ => None,
        }
    }

    pub(super) fn waits_for(&self, site: &SiteId) -> bool {
        self.round.missing().iter().any(|(missing, _)| missing == site)
    }

    pub(super) fn packed(&self, digest: &Digest) -> Option<Arc<Packed>> {
        self.query.as_ref().filter(|packed| packed.digest == *digest).cloned()
    }

    /// Bytes of the query as it travels, and numbers that its answer holds.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let numbers = match &self.work {
            Work::Ask { query, .. } => query.numbers(),
            _ => 0,
        };
        (self.query.as_ref().map_or(0, |packed| packed.bytes.len() as u64), numbers)
    }

    /// Tells whoever waits how the round ended.
    pub(super) fn finish(&mut self) {
        let Some(tell) = self.tell.take() else { return };
        let mut outcomes = std::mem::take(&mut self.outcomes);
        outcomes.sort_by(|a, b| a.0.cmp(&b.0));
        let end = match ending(&self.round) {
            None => RoundEnd::Complete(outcomes),
            Some(ending) => RoundEnd::Broken { ending, outcomes },
        };
        // Whoever waited may have gone; then nobody needs the end.
        let _ = tell.send(end);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.tell.is_none()
    }
}

fn lock_of(locks: &[(SiteId, Digest)], site: &SiteId) -> Option<Digest> {
    locks.iter().find(|(s, _)| s == site).map(|(_, lock)| *lock)
}
