//! Taking outcomes in: an answer is decompressed, checked against its query and stored before the
//! site hears that it arrived.

use std::sync::{Arc, PoisonError};

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Query;
use wardround_core::sum::Sum;
use wardround_proto::payload::{PayloadHead, unpack, unpack_checked};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use super::{Failure, Hub, Outcome, PAYLOAD_LIMIT, Work, internal};
use crate::round::{Effect, Event};
use crate::store::Traffic;

impl Hub {
    /// Takes a site's outcome in. The same outcome again, and one for a round that is over, is
    /// accepted and changes nothing.
    ///
    /// # Errors
    /// An outcome that doesn't fit its task, a damaged payload, or a store that can't be written.
    pub async fn submit(
        self: &Arc<Self>,
        site: &SiteId,
        submission: v1::Submission,
    ) -> Result<(), Problem> {
        self.note(site, None)?;
        let Some(outcome) = submission.outcome else {
            return Err(Problem::new(ProblemCode::BadInput, "a submission without an outcome"));
        };
        let Some(open) = self.open_task(site, &submission.task) else { return Ok(()) };
        let (outcome, bytes) = match (outcome, open.query) {
            (v1::submission::Outcome::Answer(answer), Some((query, lock))) => {
                let (sum, bytes) = self.clone().take_answer(site, query, lock, answer).await?;
                (Outcome::Answer(sum), bytes)
            }
            (v1::submission::Outcome::Verdict(verdict), None) => (Outcome::Verdict(verdict), 0),
            (v1::submission::Outcome::Enlisted(enlisted), None) => (Outcome::Enlisted(enlisted), 0),
            (v1::submission::Outcome::Closed(_), None) => (Outcome::Closed, 0),
            (v1::submission::Outcome::Failure(failure), _) => {
                (Outcome::Failed(failure_of(failure)), 0)
            }
            _ => {
                let what = "the outcome is of another kind than the task asks for";
                return Err(Problem::new(ProblemCode::BadInput, what));
            }
        };
        self.count_in(site, &submission.task, outcome, bytes)
    }

    fn open_task(&self, site: &SiteId, task: &str) -> Option<OpenTask> {
        let state = self.lock();
        let active = state.rounds.values().find(|active| active.task_of(site) == task)?;
        active.waits_for(site).then(|| OpenTask {
            query: match &active.work {
                Work::Ask { query, .. } => active.lock_of(site).map(|lock| (query.clone(), lock)),
                _ => None,
            },
        })
    }

    async fn take_answer(
        self: Arc<Self>,
        site: &SiteId,
        query: Box<Query>,
        lock: Digest,
        answer: v1::Answer,
    ) -> Result<(Sum, u64), Problem> {
        let bad = |what: String| Problem::new(ProblemCode::BadInput, what);
        let message = answer.sum.ok_or_else(|| bad("an answer without a sum".into()))?;
        let head = PayloadHead::read(&message, PAYLOAD_LIMIT).map_err(|e| bad(e.to_string()))?;
        let inline = !message.inline.is_empty();
        let bytes = match inline {
            true => message.inline,
            false => self.received(&head).await?,
        };
        let (site, hub) = (site.clone(), self.clone());
        let stored = tokio::task::spawn_blocking(move || {
            // The store of chunks checked the digest of what came in pieces.
            let unpack = if inline { unpack } else { unpack_checked };
            let raw = unpack(&head, &bytes).map_err(|e| bad(e.to_string()))?;
            let sum = Sum::decode(&raw).map_err(|e| bad(e.to_string()))?;
            sum.check(&query).map_err(|e| bad(e.to_string()))?;
            if sum.sites != [site.clone()] {
                return Err(bad(format!("an answer of {site} must name it and no other site")));
            }
            let now = hub.clock.now();
            hub.store
                .put_answer(&query.study, &site, &query.digest(), &lock, &raw, now)
                .map_err(internal)?;
            Ok(sum)
        });
        let sum = stored.await.map_err(internal)??;
        // The chunks are sealed in the store now.
        let _ = self.chunks.remove(head.digest).await;
        Ok((sum, head.size))
    }

    fn count_in(
        &self,
        site: &SiteId,
        task: &str,
        outcome: Outcome,
        bytes_up: u64,
    ) -> Result<(), Problem> {
        // One at a time: an outcome that is brought twice at once is kept and counted once.
        let _turn = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let (study, listener, (bytes_down, numbers)) = {
            let state = self.lock();
            let found = state.rounds.values().find(|active| active.task_of(site) == task);
            let Some(active) = found.filter(|active| active.waits_for(site)) else { return Ok(()) };
            (active.study.clone(), active.listener.clone(), active.sizes())
        };
        // Kept before it counts: whoever waits for the round's end finds it in the store.
        if let Outcome::Answer(sum) = &outcome {
            let traffic = Traffic { bytes_down, bytes_up, numbers };
            self.store.add_traffic(&study, site, &sum.query, &traffic).map_err(internal)?;
        }
        listener.answered(site, &outcome);
        let now = self.clock.now();
        let mut state = self.lock();
        let found = state.rounds.iter_mut().find(|(_, active)| active.task_of(site) == task);
        let Some((&id, active)) = found else { return Ok(()) };
        if !active.waits_for(site) {
            return Ok(());
        }
        let failed = matches!(outcome, Outcome::Failed(_));
        // In a consideration or a farewell a failure is an outcome like any other.
        let ends = failed && matches!(active.work, Work::Ask { .. } | Work::Enlist { .. });
        let event = match ends {
            true => Event::SiteFailed { site: site.clone() },
            false => Event::Submitted { site: site.clone() },
        };
        active.outcomes.push((site.clone(), outcome));
        if active.round.step(event, now).contains(&Effect::Finish) {
            active.finish();
            state.rounds.remove(&id);
        }
        Ok(())
    }
}

struct OpenTask {
    query: Option<(Box<Query>, Digest)>,
}

fn failure_of(message: v1::Failure) -> Failure {
    Failure {
        code: message.code(),
        first: message.first,
        second: message.second,
        refusal: message.refusal,
    }
}
