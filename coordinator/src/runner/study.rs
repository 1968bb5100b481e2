//! One study's run: enlisting, fitting, and starting again without a site that was lost.

use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;
use wardround_core::ids::SiteId;
use wardround_core::study::{Input, OnSiteLost, Quorum, Study};
use wardround_learn::bundle::ModelBundle;
use wardround_learn::cohort::CohortError;
use wardround_learn::findings::Findings;
use wardround_learn::recorded::Recorded;
use wardround_learn::study::StudyError;
use wardround_privacy::dominance::{LevelCell, RowsOfLevel};
use wardround_proto::v1;

use super::evaluation;
use super::events::Events;
use super::federation::Federation;
use super::{Studies, policy};
use crate::hub::{Listener, Outcome, RoundEnd, SiteProgress, Work};
use crate::outcome::{self, OutcomeError};
use crate::round::{Ending, Patience};
use crate::store::{
    EnlistedSite, LostAttempt, Store, StoreError, StudyJournal, StudyRecord, StudyState,
};

/// Sites that a fit needs at least, of `sites` at the start.
pub(super) fn quorum(study: &Study, sites: usize) -> usize {
    match (study.federation.quorum, study.federation.on_site_lost) {
        (Quorum::AtLeast(n), _) => usize::from(n).max(1),
        (Quorum::All, OnSiteLost::Wait) => sites.max(1),
        // Who asks for a restart expects to go on with fewer; one site alone is no federation.
        (Quorum::All, OnSiteLost::Restart) => sites.clamp(1, 2),
    }
}

/// Runs a study to its end. On a thread of its own: between questions it computes.
pub(super) fn run(studies: &Studies, record: &StudyRecord, events: &Arc<Events>, runtime: &Handle) {
    let outcome = runtime.block_on(drive(studies, record, events));
    let (state, reason) = match outcome {
        Ok(()) => (StudyState::Done, String::new()),
        Err(Stop::Aborted) => (StudyState::Aborted, "aborted".to_owned()),
        Err(Stop::Failed(reason)) => (StudyState::Failed, reason),
    };
    match studies.store.set_study_state(&record.id, state, &reason, studies.clock.now()) {
        Ok(true) => events.state(state, &reason),
        // Ended by a person in the meantime; that was told already.
        Ok(false) => {}
        Err(error) => tracing::error!(study = %record.id, %error, "the study's end wasn't kept"),
    }
    runtime.block_on(close(studies, record, state, events));
}

/// Why a study ends without a report.
enum Stop {
    Aborted,
    Failed(String),
}

impl From<OutcomeError> for Stop {
    fn from(error: OutcomeError) -> Self {
        Stop::Failed(error.to_string())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Failed(error.to_string())
    }
}

async fn drive(studies: &Studies, record: &StudyRecord, events: &Arc<Events>) -> Result<(), Stop> {
    let study =
        Study::parse(&record.toml).map_err(|mistakes| Stop::Failed(mistakes.to_string()))?;
    let all = studies.store.study_sites(&record.id)?.len();
    let all = all + studies.store.lost_sites(&record.id)?.len();
    let needed = quorum(&study, all);
    let bundle = evaluation::bundle(&studies.store, record, &study).map_err(Stop::Failed)?;
    let patience = match study.federation.on_site_lost {
        OnSiteLost::Wait => Patience::Endless,
        OnSiteLost::Restart => {
            Patience::Limited { ms: i64::from(study.federation.patience_s) * 1000 }
        }
    };
    loop {
        let sites = enlist(studies, record, &study, events, patience, needed).await?;
        if let (Some(bundle), Some((_, site))) = (&bundle, sites.first()) {
            evaluation::agree(&study, bundle, site).map_err(Stop::Failed)?;
        }
        let to_do = match &bundle {
            Some(bundle) => ToDo::Evaluate(&study, bundle),
            None => ToDo::Fit(&study),
        };
        match find(studies, record, to_do, events, patience, &sites).await {
            Ok(findings) => {
                outcome::finish(&studies.store, &record.id, &study, &findings)?;
                return Ok(());
            }
            Err(StudyError::Cohort(CohortError::SiteLost(lost))) => {
                let names: Vec<SiteId> = sites.iter().map(|(site, _)| site.clone()).collect();
                let reason = "showed no progress for longer than the study waits, or left";
                lose(studies, record, events, &names, lost, reason, needed)?;
            }
            Err(StudyError::Cohort(CohortError::Aborted)) => return Err(Stop::Aborted),
            Err(error) => return Err(Stop::Failed(error.to_string())),
        }
    }
}

/// Has every site freeze its cohort; those that did already aren't asked again.
async fn enlist(
    studies: &Studies,
    record: &StudyRecord,
    study: &Study,
    events: &Arc<Events>,
    patience: Patience,
    needed: usize,
) -> Result<Vec<(SiteId, EnlistedSite)>, Stop> {
    loop {
        let known = studies.store.study_sites(&record.id)?;
        let names: Vec<SiteId> = known.iter().map(|(site, _)| site.clone()).collect();
        let open: Vec<SiteId> =
            known.iter().filter(|(_, e)| e.is_none()).map(|(site, _)| site.clone()).collect();
        if open.is_empty() {
            let sites: Vec<(SiteId, EnlistedSite)> =
                known.into_iter().filter_map(|(site, e)| e.map(|e| (site, e))).collect();
            agree(study, &sites)?;
            return Ok(sites);
        }
        if studies.store.set_study_state(
            &record.id,
            StudyState::Enlisting,
            "",
            studies.clock.now(),
        )? {
            events.state(StudyState::Enlisting, "");
        } else {
            return Err(Stop::Aborted);
        }
        let listener = Arc::new(Enlisting {
            store: studies.store.clone(),
            study: record.id.clone(),
            events: events.clone(),
        });
        let work = Work::Enlist { toml: record.toml.clone(), sites: names.clone() };
        let asked = studies.hub.ask(&record.id, work, &open, patience, listener)?;
        match asked.end().await {
            RoundEnd::Complete(_) => {}
            RoundEnd::Withdrawn | RoundEnd::Broken { ending: Ending::Aborted, .. } => {
                return Err(Stop::Aborted);
            }
            RoundEnd::Broken { ending: Ending::SiteLost { site }, .. } => {
                let reason = "showed no progress while it froze its cohort";
                lose(studies, record, events, &names, site, reason, needed)?;
            }
            RoundEnd::Broken { ending: Ending::SiteFailed { site }, outcomes } => {
                let reason = outcomes
                    .iter()
                    .find_map(|(s, outcome)| match outcome {
                        Outcome::Failed(failure) if *s == site => Some(failure.sentence(&site)),
                        _ => None,
                    })
                    .unwrap_or_else(|| format!("{site} left the consortium"));
                match study.federation.on_site_lost {
                    OnSiteLost::Wait => return Err(Stop::Failed(reason)),
                    OnSiteLost::Restart => {
                        lose(studies, record, events, &names, site, &reason, needed)?;
                    }
                }
            }
        }
    }
}

/// Keeps what a site says as soon as it says it.
struct Enlisting {
    store: Arc<Store>,
    study: wardround_core::ids::StudyId,
    events: Arc<Events>,
}

impl Listener for Enlisting {
    fn progress(&self, site: &SiteId, progress: SiteProgress) {
        self.events.progress(site, progress);
    }

    fn answered(&self, site: &SiteId, outcome: &Outcome) {
        if let Outcome::Enlisted(message) = outcome {
            let software = self.store.software_of(site).unwrap_or_else(|error| {
                tracing::error!(%site, %error, "the version of a site's software isn't known");
                String::new()
            });
            match enlisted(message, software) {
                Ok(enlisted) => match self.store.set_enlisted(&self.study, site, &enlisted) {
                    Ok(()) => {
                        let more = json!({ "patients": enlisted.patients, "rows": enlisted.rows,
                            "set_aside": enlisted.set_aside, "lock": enlisted.lock });
                        self.events.site(site, "enlisted", more);
                    }
                    Err(error) => tracing::error!(%site, %error, "an enlistment wasn't kept"),
                },
                Err(error) => tracing::error!(%site, error, "an enlistment can't be read"),
            }
            return;
        }
        self.events.answered(site, outcome);
    }
}

/// What a site said, with the version of its software.
fn enlisted(message: &v1::Enlisted, software: String) -> Result<EnlistedSite, String> {
    let lock = wardround_core::digest::Digest::try_from(message.lock_digest.as_slice());
    let policy = message.policy.clone().unwrap_or_default();
    Ok(EnlistedSite {
        lock: lock.map_err(|e| e.to_string())?,
        features: message.features.clone(),
        patients: message.patients,
        rows: message.rows,
        set_aside: message.set_aside,
        filtered_out: message.filtered_out,
        rows_with_missing: message.rows_with_missing,
        weights: message.weights_digest.iter().map(hex::encode).collect(),
        preprocess: message.preprocess_json.clone(),
        device: message.device.clone(),
        policy: policy::policy(&policy)?,
        reasons: message.reasons.iter().map(|r| (r.reason.clone(), r.patients, r.rows)).collect(),
        synthetic: message.synthetic,
        dominated: message.dominated.iter().map(level_cell).collect::<Result<_, _>>()?,
        software,
    })
}

fn level_cell(cell: &v1::LevelCell) -> Result<LevelCell, String> {
    let code = |number: u32| {
        u8::try_from(number).map_err(|_| format!("a level's code is below 256, got {number}"))
    };
    let rows = match cell.class.checked_sub(1) {
        None => RowsOfLevel::All,
        Some(class) => RowsOfLevel::Class(code(class)?),
    };
    Ok(LevelCell { column: code(cell.column)?, level: code(cell.level)?, rows })
}

/// Sites that computed other features can't be added up.
fn agree(study: &Study, sites: &[(SiteId, EnlistedSite)]) -> Result<(), Stop> {
    let Some((first, model)) = sites.first() else {
        return Err(Stop::Failed("no site is left".into()));
    };
    for (site, other) in &sites[1..] {
        let differs = |what: &str, a: &[String], b: &[String]| {
            let (a, b) = (a.join(", "), b.join(", "));
            Stop::Failed(format!("{site} has other {what} than {first}: {b}, not {a}"))
        };
        let words = |features: &[u32]| features.iter().map(u32::to_string).collect::<Vec<_>>();
        if other.features != model.features {
            let (a, b) = (words(&model.features), words(&other.features));
            return Err(differs("feature columns", &a, &b));
        }
        if other.weights != model.weights {
            return Err(differs("weights", &model.weights, &other.weights));
        }
        if other.preprocess != model.preprocess {
            return Err(differs("preprocessing", &model.preprocess, &other.preprocess));
        }
    }
    let (expected, got) = (study.inputs(), model.features.len());
    if expected != got {
        return Err(Stop::Failed(format!("{first} has features of {got} inputs, not {expected}")));
    }
    match &study.input {
        Input::Table(table) => {
            let (expected, got) = (table.feature_names().len() as u32, model.features[0]);
            if got != expected {
                let why = format!("{first} has {got} columns, the table {expected}");
                return Err(Stop::Failed(why));
            }
        }
        Input::Images { .. } => {
            if model.weights.len() != expected || model.preprocess.len() != expected {
                let why = format!("{first} didn't say with which weights it computed");
                return Err(Stop::Failed(why));
            }
        }
    }
    Ok(())
}

/// What a study does with its sites.
#[derive(Clone, Copy)]
enum ToDo<'a> {
    Fit(&'a Study),
    Evaluate(&'a Study, &'a ModelBundle),
}

async fn find(
    studies: &Studies,
    record: &StudyRecord,
    to_do: ToDo<'_>,
    events: &Arc<Events>,
    patience: Patience,
    sites: &[(SiteId, EnlistedSite)],
) -> Result<Findings, StudyError> {
    let aborted = || StudyError::Cohort(CohortError::Aborted);
    let store_error =
        |error: StoreError| StudyError::Cohort(CohortError::Journal(error.to_string()));
    let (state, now) = (StudyState::Running, studies.clock.now());
    if !studies.store.set_study_state(&record.id, state, "", now).map_err(store_error)? {
        return Err(aborted());
    }
    events.state(state, "");
    let names: Vec<SiteId> = sites.iter().map(|(site, _)| site.clone()).collect();
    let features = sites.first().map(|(_, site)| site.features.clone()).unwrap_or_default();
    let federation = Federation {
        hub: studies.hub.clone(),
        store: studies.store.clone(),
        events: events.clone(),
        clock: studies.clock.clone(),
        locks: sites.iter().map(|(site, e)| (site.clone(), e.lock)).collect(),
        patience,
    };
    let journal =
        StudyJournal::new(studies.store.clone(), studies.clock.clone(), record.id.clone());
    let cohort = Recorded::new(federation, journal, studies.keep);
    let id = &record.id;
    match to_do {
        ToDo::Fit(study) => {
            let schemas = study.schemas(&features);
            wardround_learn::study::run(&cohort, study, id, &names, &schemas, &**events).await
        }
        ToDo::Evaluate(study, bundle) => {
            let schemas = study.schemas(&features);
            wardround_learn::study::evaluate(
                &cohort, study, bundle, id, &names, &schemas, &**events,
            )
            .await
        }
    }
}

/// Gives a site up, if enough are left.
fn lose(
    studies: &Studies,
    record: &StudyRecord,
    events: &Events,
    sites: &[SiteId],
    lost: SiteId,
    reason: &str,
    needed: usize,
) -> Result<(), Stop> {
    let before = studies.store.lost_attempts(&record.id)?;
    let round = studies.store.journal_head(&record.id)?.map_or(0, |(sequence, _)| sequence);
    let attempt = LostAttempt {
        attempt: before.len() as u32 + 1,
        sites: sites.to_vec(),
        lost: lost.clone(),
        round,
        reason: reason.to_owned(),
    };
    studies.store.lose_site(&record.id, &attempt)?;
    events.site(&lost, "lost", json!(reason));
    let left = sites.len() - 1;
    if left < needed {
        return Err(Stop::Failed(format!(
            "{lost} was lost ({reason}); {left} sites are left, the study needs {needed}"
        )));
    }
    Ok(())
}

/// Tells the sites that the study is over, for a short while; one that doesn't hear it forgets the
/// study when it is asked for something else.
async fn close(studies: &Studies, record: &StudyRecord, state: StudyState, events: &Arc<Events>) {
    let Ok(sites) = studies.store.study_sites(&record.id) else { return };
    let sites: Vec<SiteId> = sites.into_iter().map(|(site, _)| site).collect();
    let work = Work::Close { why: state.word().to_owned() };
    let patience = Patience::Limited { ms: 30_000 };
    if let Ok(asked) = studies.hub.ask(&record.id, work, &sites, patience, events.clone()) {
        asked.end().await;
    }
}
