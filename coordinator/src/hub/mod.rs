//! Where sites and rounds meet: hands tasks to sites that poll, takes their outcomes in, and tells
//! whoever waits for a round how it ended. Performs the effects of [`crate::round::Round`] and
//! persists an answer before the site hears that it arrived.
//!
//! A task's id is made from the study and what is asked, so that it stays the same when the
//! coordinator restarts and a site that hands in an outcome twice, or late, is understood.

mod active;
mod intake;
mod transfer;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use wardround_core::clock::{Clock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_net::transfer::{ChunkStore, Limits};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use crate::round::{Effect, Event, Patience, Phase, Round};
use crate::store::{Store, StoreError};

use active::ActiveRound;
pub use work::{Failure, Outcome, RoundEnd, SiteProgress, Work, refusal_sentence};

/// A task that nothing is heard of for this long is handed out again.
pub const LEASE_MS: i64 = 60_000;
/// A site that called within this time counts as connected (polls last 25 s).
const CONNECTED_MS: i64 = 60_000;
/// The longest that a poll is held.
const LONGEST_POLL: Duration = Duration::from_secs(25);
/// Largest answer or query, compressed.
pub const PAYLOAD_LIMIT: u64 = 512 << 20;

/// The meeting point. One per coordinator.
pub struct Hub {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    chunks: ChunkStore,
    state: Mutex<State>,
    intake: Mutex<()>,
}

#[derive(Default)]
struct State {
    next_round: u64,
    rounds: HashMap<u64, ActiveRound>,
    sites: HashMap<SiteId, SiteState>,
}

#[derive(Default)]
struct SiteState {
    last_seen: Timestamp,
    noted: Timestamp,
    wake: Arc<Notify>,
}

/// A started round: wait for its end, or drop it to withdraw the question.
pub struct Asked {
    hub: Arc<Hub>,
    round: u64,
    end: oneshot::Receiver<RoundEnd>,
}

impl Asked {
    /// Waits until the round is over.
    pub async fn end(mut self) -> RoundEnd {
        // The sender goes only with the round's removal, which sends first or withdraws.
        (&mut self.end).await.unwrap_or(RoundEnd::Withdrawn)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.hub.lock().rounds.remove(&self.round);
    }
}

/// A study's side of its rounds.
pub trait Listener: Send + Sync {
    /// A site reports progress with a task.
    fn progress(&self, site: &SiteId, progress: SiteProgress);
    /// A site answered, or failed.
    fn answered(&self, site: &SiteId, outcome: &Outcome);
}

impl Hub {
    /// Opens the hub over a store.
    ///
    /// # Errors
    /// The folder for incoming chunks can't be used.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Problem> {
        let limits = Limits { payload: PAYLOAD_LIMIT, total: 16 * PAYLOAD_LIMIT };
        let chunks = ChunkStore::open(store.folder().join("incoming"), limits)
            .map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))?;
        let hub = Arc::new(Self {
            store,
            clock,
            chunks,
            state: Mutex::new(State::default()),
            intake: Mutex::new(()),
        });
        tokio::spawn(tick(Arc::downgrade(&hub)));
        Ok(hub)
    }

    /// Asks sites for one thing. Answers that are stored from before count at once.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn ask(
        self: &Arc<Self>,
        study: &StudyId,
        work: Work,
        sites: &[SiteId],
        patience: Patience,
        listener: Arc<dyn Listener>,
    ) -> Result<Asked, StoreError> {
        let mut known = Vec::new();
        if let Work::Ask { query, .. } = &work {
            for site in sites {
                if let Some(sum) = self.store.answer(study, site, &query.digest())? {
                    known.push((site.clone(), Outcome::Answer(sum)));
                }
            }
        }
        let answered: Vec<SiteId> = known.iter().map(|(site, _)| site.clone()).collect();
        let now = self.clock.now();
        let round = Round::start(sites.iter().cloned(), &answered, LEASE_MS, patience, now);
        let (tell, end) = oneshot::channel();
        let mut active = ActiveRound::new(study.clone(), work, round, listener, tell);
        active.outcomes.extend(known);
        let mut state = self.lock();
        let id = state.next_round;
        state.next_round += 1;
        if active.round.is_over() {
            active.finish();
        } else {
            state.rounds.insert(id, active);
        }
        for site in sites {
            state.sites.entry(site.clone()).or_default().wake.notify_waiters();
        }
        drop(state);
        Ok(Asked { hub: self.clone(), round: id, end })
    }

    /// Ends every round of a study.
    pub fn abort(&self, study: &StudyId) {
        self.step_all(|round| (round.study == *study).then_some(Event::Aborted));
    }

    /// A site was revoked or left: rounds that wait for it learn of it.
    pub fn leave(&self, site: &SiteId) {
        self.step_all(|_| Some(Event::SiteFailed { site: site.clone() }));
    }

    /// Whether a site called lately.
    pub fn is_connected(&self, site: &SiteId) -> bool {
        let now = self.clock.now();
        let state = self.lock();
        state.sites.get(site).is_some_and(|s| now.since_ms(s.last_seen) < CONNECTED_MS)
    }

    /// A site asks for work; held until there is some or the time is over.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn poll(
        &self,
        site: &SiteId,
        request: v1::PollRequest,
    ) -> Result<v1::PollReply, Problem> {
        self.note(site, Some((&request.software, &request.device)))?;
        let wait = Duration::from_millis(request.wait_ms.into()).min(LONGEST_POLL);
        let until = tokio::time::Instant::now() + wait;
        loop {
            let wake = self.lock().sites.entry(site.clone()).or_default().wake.clone();
            let woken = wake.notified();
            tokio::pin!(woken);
            // Registered before looking, so that a round that starts in between wakes it.
            woken.as_mut().enable();
            let tasks = self.hand_out(site, &request.working_on);
            if !tasks.is_empty() {
                return Ok(v1::PollReply { tasks });
            }
            if tokio::time::timeout_at(until, woken).await.is_err() {
                self.note(site, None)?;
                return Ok(v1::PollReply { tasks: Vec::new() });
            }
        }
    }

    /// A site says how far it is.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn progress(
        &self,
        site: &SiteId,
        report: v1::ProgressReport,
    ) -> Result<v1::ProgressReply, Problem> {
        self.note(site, None)?;
        let now = self.clock.now();
        let mut state = self.lock();
        let found = state.rounds.values_mut().find(|round| round.task_of(site) == report.task);
        let Some(active) = found else { return Ok(v1::ProgressReply { go_on: false }) };
        let go_on = active.round.missing().iter().any(|(missing, _)| missing == site);
        active.round.step(Event::Progressed { site: site.clone() }, now);
        let listener = active.listener.clone();
        drop(state);
        let stage = v1::Stage::try_from(report.stage).unwrap_or(v1::Stage::Unspecified);
        listener.progress(site, SiteProgress { stage, done: report.done, total: report.total });
        Ok(v1::ProgressReply { go_on })
    }

    fn hand_out(&self, site: &SiteId, working_on: &[String]) -> Vec<v1::Task> {
        let now = self.clock.now();
        let mut state = self.lock();
        let mut ids: Vec<u64> = state.rounds.keys().copied().collect();
        ids.sort_unstable();
        let mut tasks = Vec::new();
        for id in ids {
            let Some(active) = state.rounds.get_mut(&id) else { continue };
            let working = working_on.contains(&active.task_of(site));
            let event = Event::Polled { site: site.clone(), working };
            for effect in active.round.step(event, now) {
                if let Effect::HandOut { attempt, .. } = effect {
                    tasks.push(active.task(site, attempt));
                }
            }
        }
        tasks
    }

    fn step_all(&self, event: impl Fn(&ActiveRound) -> Option<Event>) {
        let now = self.clock.now();
        let mut state = self.lock();
        for active in state.rounds.values_mut() {
            let Some(event) = event(active) else { continue };
            if active.round.step(event, now).contains(&Effect::Finish) {
                active.finish();
            }
        }
        state.rounds.retain(|_, active| !active.is_finished());
    }

    fn note(&self, site: &SiteId, stated: Option<(&str, &str)>) -> Result<(), Problem> {
        let now = self.clock.now();
        let mut state = self.lock();
        let entry = state.sites.entry(site.clone()).or_default();
        entry.last_seen = now;
        // The database hears of it at most twice a minute: polls are frequent.
        let due = now.since_ms(entry.noted) > 30_000;
        if let (Some((software, device)), true) = (stated, due) {
            entry.noted = now;
            drop(state);
            self.store.seen("site", site.as_str(), software, device, now).map_err(internal)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is small and leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a payload that a site may fetch: the query of a round that waits for it.
    fn outgoing(
        &self,
        site: &SiteId,
        digest: &Digest,
    ) -> Option<Arc<wardround_proto::payload::Packed>> {
        let state = self.lock();
        let waits = |active: &&ActiveRound| active.waits_for(site);
        state.rounds.values().filter(waits).find_map(|active| active.packed(digest))
    }
}

/// Gives up sites without progress, once a second.
async fn tick(hub: std::sync::Weak<Hub>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(hub) = hub.upgrade() else { return };
        hub.step_all(|_| Some(Event::Tick));
    }
}

fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::Internal, error.to_string())
}

fn ending(round: &Round) -> Option<crate::round::Ending> {
    match round.phase() {
        Phase::Failed(ending) => Some(ending.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
