//! Studies: submitted, resumed, watched, aborted. Each runs on a thread of its own and asks one
//! query at a time; everything it did is in the store, so that a restarted coordinator goes on where
//! the journal ends.
//!
//! ```text
//! submit ─▶ consider (sites say whether they take part) ─▶ enlisting ─▶ running ─▶ done
//!                        │ a refusal: not submitted             │            │
//!                                                               └────────────┴──▶ failed, aborted
//! ```

mod consider;
mod evaluation;
mod events;
mod export;
mod federation;
mod policy;
mod study;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use wardround_core::clock::Clock;
use wardround_core::ids::{SiteId, StudyId, UserId};
use wardround_core::study::{Study, StudySites};
use wardround_learn::recorded::Keep;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use crate::hub::Hub;
use crate::store::{Artefact, NewStudy, Store, StoreError, StudyRecord, StudyState};

use events::Events;

/// All studies of a coordinator.
pub struct Studies {
    store: Arc<Store>,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    keep: Keep,
    live: Mutex<HashMap<StudyId, Arc<Events>>>,
}

impl Studies {
    /// Studies over a store and a hub, whose journals keep this of trees.
    pub fn new(store: Arc<Store>, hub: Arc<Hub>, clock: Arc<dyn Clock>, keep: Keep) -> Arc<Self> {
        Arc::new(Self { store, hub, clock, keep, live: Mutex::default() })
    }

    /// Goes on with every study that isn't over.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn resume(self: &Arc<Self>) -> Result<(), Problem> {
        for record in self.store.studies().map_err(internal)? {
            if !record.state.is_over() {
                tracing::info!(study = %record.id, state = record.state.word(), "going on with a study");
                self.start(record)?;
            }
        }
        Ok(())
    }

    /// Submits a study, with the bundle that it judges, if it does: parsed, its connected sites asked whether they take part, kept, started. The
    /// same person with the same token gets the same study.
    ///
    /// # Errors
    /// Mistakes in the file, sites that aren't enrolled, too few sites, or sites that refuse.
    pub async fn submit(
        self: &Arc<Self>,
        toml: String,
        model: Vec<u8>,
        (token, parent): (String, String),
        by: &UserId,
    ) -> Result<StudyId, Problem> {
        if let Some(before) = self.store.study_by_token(by, &token).map_err(internal)? {
            return Ok(before);
        }
        let study = parse(&toml)?;
        let model = evaluation::submitted(&self.store, &study, model)?;
        let sites = self.sites_of(&study)?;
        let verdicts = self.consider(&toml, &sites).await?;
        let refusals: Vec<String> = verdicts.iter().flat_map(|v| v.refusals()).collect();
        if !refusals.is_empty() {
            return Err(Problem::new(ProblemCode::SitesRefuse, refusals.join("\n")));
        }
        let now = self.clock.now();
        let new = NewStudy { name: study.name.clone(), toml, sites, by: by.clone(), token, parent };
        let (id, fresh) = self.store.add_study(&new, now).map_err(internal)?;
        if fresh {
            if study.evaluation().is_some() {
                self.store.put_artefact(&id, Artefact::Bundle, &model).map_err(internal)?;
            }
            let record = self.store.study(&id).map_err(internal)?;
            self.start(record.ok_or_else(|| unknown(&id))?)?;
        }
        Ok(id)
    }

    /// Ends a study.
    ///
    /// # Errors
    /// No such study, or it is over.
    pub fn abort(&self, id: &StudyId, by: &str) -> Result<(), Problem> {
        let record = self.record(id)?;
        let reason = format!("aborted by {by}");
        let now = self.clock.now();
        if !self.store.set_study_state(id, StudyState::Aborted, &reason, now).map_err(internal)? {
            let what = format!("study {id} is over: {}", record.state.word());
            return Err(Problem::new(ProblemCode::Conflict, what));
        }
        self.events(id).state(StudyState::Aborted, &reason);
        self.hub.abort(id);
        Ok(())
    }

    /// A study's events after a number; with `follow` until it is over.
    ///
    /// # Errors
    /// No such study.
    pub fn watch(
        &self,
        id: &StudyId,
        after: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = v1::Event> + Send + use<>, Problem> {
        self.record(id)?;
        self.events(id).stream(after, follow).map_err(internal)
    }

    fn start(self: &Arc<Self>, record: StudyRecord) -> Result<(), Problem> {
        let (studies, events) = (self.clone(), self.events(&record.id));
        let runtime = tokio::runtime::Handle::current();
        let name = format!("study {}", record.id);
        let run = move || study::run(&studies, &record, &events, &runtime);
        std::thread::Builder::new().name(name).spawn(run).map_err(internal)?;
        Ok(())
    }

    /// The sites of a study, sorted; enough of them and all enrolled.
    fn sites_of(&self, study: &Study) -> Result<Vec<SiteId>, Problem> {
        let enrolled = self.store.enrolled_sites().map_err(internal)?;
        let bad = |what: String| Err(Problem::new(ProblemCode::BadInput, what));
        let sites = match &study.cohort.sites {
            StudySites::Enrolled => enrolled,
            StudySites::Named(named) => {
                let strangers: Vec<&str> =
                    named.iter().filter(|s| !enrolled.contains(s)).map(SiteId::as_str).collect();
                if !strangers.is_empty() {
                    return bad(format!(
                        "the study names sites that aren't enrolled: {}; `wardround site list` shows who is",
                        strangers.join(", ")
                    ));
                }
                named.clone()
            }
        };
        let needed = study::quorum(study, sites.len());
        if sites.len() < needed {
            return bad(format!("the study needs {needed} sites, {} are enrolled", sites.len()));
        }
        Ok(sites)
    }

    fn events(&self, id: &StudyId) -> Arc<Events> {
        let new = || Arc::new(Events::new(self.store.clone(), self.clock.clone(), id.clone()));
        self.lock().entry(id.clone()).or_insert_with(new).clone()
    }

    fn record(&self, id: &StudyId) -> Result<StudyRecord, Problem> {
        self.store.study(id).map_err(internal)?.ok_or_else(|| unknown(id))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StudyId, Arc<Events>>> {
        // Only insertions happen under the lock.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(toml: &str) -> Result<Study, Problem> {
    Study::parse(toml).map_err(|mistakes| Problem::new(ProblemCode::BadInput, mistakes.to_string()))
}

fn unknown(id: &StudyId) -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        format!("there is no study {id}; `wardround study list` shows them"),
    )
}

fn internal(error: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::Internal, error.to_string())
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        internal(error)
    }
}
