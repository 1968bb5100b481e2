//! Recomputing a study from its totals.

use futures::FutureExt as _;
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_learn::bundle::ModelBundle;
use wardround_learn::findings::Findings;
use wardround_learn::study::{Silent, StudyError};

use super::cohort::{Totals, Unrecorded};
use super::verify::verified;
use crate::archive::{Archive, ArchiveError, End, FeaturesEntry, names};
use crate::outcome::{self, OutcomeError};

/// A study, recomputed from its journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// The study.
    pub study: StudyId,
    /// SHA-256 of the archive's model bundle.
    pub archived: Digest,
    /// SHA-256 of the bundle that the replay made.
    pub replayed: Digest,
    /// Questions that the final run asked.
    pub queries: u64,
    /// Lines of the journal.
    pub lines: u64,
    /// Lines that no run of the study asks for, neither the final one nor one that lost a site.
    pub unused: Vec<u64>,
    /// What the study found, before suppression; not for publication.
    #[serde(skip)]
    pub findings: Findings,
}

/// Why a study can't be recomputed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The archive isn't whole.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is no model to compare with.
    #[error("study {0} ended without a model, so there is nothing to replay")]
    NoModel(StudyId),
    /// The journal lacks a total.
    #[error("the journal has no total for the {what} query {query} that the study asks")]
    Unrecorded {
        /// What is asked, in a word.
        what: &'static str,
        /// The query.
        query: Digest,
    },
    /// A total doesn't answer its query, or the totals contradict each other.
    #[error("the study can't be recomputed from its totals: {0}")]
    Study(#[from] StudyError),
    /// The findings make no bundle.
    #[error("the model can't be made again: {0}")]
    Outcome(#[from] OutcomeError),
}

impl Replayed {
    /// Whether the model is the same byte for byte and every line of the journal had its use.
    pub fn is_confirmed(&self) -> bool {
        self.archived == self.replayed && self.unused.is_empty()
    }
}

/// Verifies an archive, runs its study again on the journal's totals and makes the model bundle
/// again. Blocking and heavy: on a thread of its own.
///
/// # Errors
/// [`ReplayError`]. Another model is no error: [`Replayed::is_confirmed`] tells.
pub fn replay(archive: &[u8]) -> Result<Replayed, ReplayError> {
    let archive = Archive::open(archive)?;
    verified(&archive)?;
    let manifest = &archive.manifest;
    let (FeaturesEntry::Agreed { count, source }, End::Done, Some(model)) =
        (&manifest.features, &manifest.study.end, archive.file(names::MODEL))
    else {
        return Err(ReplayError::NoModel(manifest.study.id.clone()));
    };
    let totals = Totals::new(&archive);
    // Runs that lost a site end where their lines end.
    for attempt in &manifest.attempts {
        match run(&archive, &totals, &attempt.sites, *count) {
            Ok(_) | Err(ReplayError::Unrecorded { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let findings = run(&archive, &totals, &manifest.final_sites(), *count)?;
    let software = ModelBundle::read(model)
        .map_err(|error| ArchiveError::malformed(names::MODEL, error))?
        .manifest
        .software;
    let bundle = outcome::bundle(&archive.study, source, &findings, &software)?;
    Ok(Replayed {
        study: manifest.study.id.clone(),
        archived: Digest::of(model),
        replayed: Digest::of(&bundle),
        queries: findings.cost.queries,
        lines: archive.journal.len() as u64,
        unused: totals.unused(),
        findings,
    })
}

fn run(
    archive: &Archive<'_>,
    totals: &Totals<'_>,
    sites: &[SiteId],
    features: u32,
) -> Result<Findings, ReplayError> {
    let (study, id) = (&archive.study, &archive.manifest.study.id);
    let schema = study.schema(features);
    let outcome = wardround_learn::study::run(totals, study, id, sites, &schema, &Silent)
        .now_or_never()
        .expect("totals are read from memory, so no question ever waits");
    match (outcome, totals.take_unrecorded()) {
        (Ok(findings), _) => Ok(findings),
        (Err(_), Some(Unrecorded { what, query })) => {
            Err(ReplayError::Unrecorded { what, query })
        }
        (Err(error), None) => Err(error.into()),
    }
}
