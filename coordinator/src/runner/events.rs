//! What happens in a study, for whoever watches: kept events from the store, progress as it comes.

use std::sync::Arc;

use futures::Stream;
use serde_json::json;
use tokio::sync::broadcast;
use wardround_core::clock::Clock;
use wardround_core::ids::{SiteId, StudyId};
use wardround_learn::study::{Observer, StudyEvent};
use wardround_proto::v1;

use crate::hub::{Listener, Outcome, SiteProgress};
use crate::store::{Store, StoreError, StoredEvent, StudyState};

/// Progress that a slow watcher may be behind by before it loses some.
const BUFFER: usize = 1024;

/// One study's events.
pub(super) struct Events {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    study: StudyId,
    live: broadcast::Sender<v1::Event>,
}

impl Events {
    pub(super) fn new(store: Arc<Store>, clock: Arc<dyn Clock>, study: StudyId) -> Self {
        Self { store, clock, study, live: broadcast::channel(BUFFER).0 }
    }

    /// Keeps an event and tells the watchers.
    pub(super) fn keep(&self, kind: &str, json: &serde_json::Value) {
        let now = self.clock.now();
        match self.store.add_event(&self.study, kind, &json.to_string(), now) {
            Ok(stored) => self.tell(message(&stored)),
            // Events inform; the study itself doesn't depend on them.
            Err(error) => tracing::error!(study = %self.study, %error, "an event was lost"),
        }
    }

    /// The study's state changed.
    pub(super) fn state(&self, state: StudyState, reason: &str) {
        tracing::info!(study = %self.study, state = state.word(), reason, "study");
        self.keep("state", &json!({ "state": state.word(), "reason": reason }));
    }

    /// Something happened with a site.
    pub(super) fn site(&self, site: &SiteId, what: &str, more: serde_json::Value) {
        tracing::info!(study = %self.study, %site, what, "site");
        self.keep("site", &json!({ "site": site, "what": what, "more": more }));
    }

    /// Events after a number, then new ones until the study is over.
    pub(super) fn stream(
        &self,
        after: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = v1::Event> + Send + use<>, StoreError> {
        // Subscribed before reading, so that nothing falls in between.
        let live = self.live.subscribe();
        let kept: Vec<v1::Event> =
            self.store.events(&self.study, after)?.iter().map(message).collect();
        let over = !follow || kept.iter().any(ends);
        let last = kept.last().map_or(after, |event| event.sequence);
        let rest =
            futures::stream::unfold((live, last, over), |(mut live, last, over)| async move {
                if over {
                    return None;
                }
                loop {
                    match live.recv().await {
                        Ok(event) if event.sequence != 0 && event.sequence <= last => {}
                        Ok(event) => {
                            let (last, over) = (event.sequence.max(last), ends(&event));
                            return Some((event, (live, last, over)));
                        }
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            });
        Ok(futures::StreamExt::chain(futures::stream::iter(kept), rest))
    }

    fn tell(&self, event: v1::Event) {
        // Nobody may be watching.
        let _ = self.live.send(event);
    }

    fn pass(&self, kind: &str, json: &serde_json::Value) {
        let time_ms = self.clock.now().0;
        self.tell(v1::Event { sequence: 0, time_ms, kind: kind.into(), json: json.to_string() });
    }
}

impl Observer for Events {
    fn event(&self, event: &StudyEvent) {
        match event {
            StudyEvent::Phase { name, models } => {
                self.keep("phase", &json!({ "name": name, "models": models }));
            }
            StudyEvent::Combination { name, number, of } => {
                self.keep("combination", &json!({ "name": name, "number": number, "of": of }));
            }
            StudyEvent::Asked { query, name } => {
                self.keep("round", &json!({ "round": query, "asks": name }));
            }
            StudyEvent::Round { round, unfinished, gradient } => self.keep(
                "fit",
                &json!({ "step": round, "unfinished": unfinished, "gradient": gradient }),
            ),
            StudyEvent::Trees { round, unfinished, trees } => self
                .keep("trees", &json!({ "step": round, "unfinished": unfinished, "trees": trees })),
            StudyEvent::Coarser { name, bits } => {
                self.keep("log", &json!({ "what": "coarser", "asks": name, "bits": bits }));
            }
        }
    }
}

impl Listener for Events {
    fn progress(&self, site: &SiteId, progress: SiteProgress) {
        let stage = match progress.stage {
            v1::Stage::Unspecified => "working",
            v1::Stage::Checking => "checking",
            v1::Stage::Weights => "weights",
            v1::Stage::Extracting => "extracting",
            v1::Stage::Answering => "answering",
        };
        let SiteProgress { done, total, .. } = progress;
        self.pass(
            "progress",
            &json!({ "site": site, "stage": stage, "done": done, "total": total }),
        );
    }

    fn answered(&self, site: &SiteId, outcome: &Outcome) {
        if let Outcome::Failed(failure) = outcome {
            self.site(site, "failed", json!(failure.sentence(site)));
        }
    }
}

fn message(event: &StoredEvent) -> v1::Event {
    v1::Event {
        sequence: event.sequence,
        time_ms: event.time.0,
        kind: event.kind.clone(),
        json: event.json.clone(),
    }
}

fn ends(event: &v1::Event) -> bool {
    let over = || {
        let value: serde_json::Value = serde_json::from_str(&event.json).ok()?;
        let state: StudyState = value.get("state")?.as_str()?.parse().ok()?;
        Some(state.is_over())
    };
    event.kind == "state" && over().unwrap_or(false)
}
