//! Recomputing a study from its totals.

use futures::FutureExt as _;
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::RESAMPLED_PATIENTS;
use wardround_core::study::{Bootstrap, Study};
use wardround_learn::bundle::ModelBundle;
use wardround_learn::findings::Findings;
use wardround_learn::study::{Silent, StudyError};
use wardround_net::pki::HeldTo;

use super::cohort::{Totals, Unrecorded};
use super::verify::{Verified, verified};
use crate::archive::{Archive, ArchiveError, End, FeaturesEntry, Head, VouchedFor, names};
use crate::outcome::{self, OutcomeError, ReportContext, SOFTWARE};
use crate::report::{FORMAT, Report};

/// A study, recomputed from its journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// The study.
    pub study: StudyId,
    /// Who vouches for the archive.
    pub signature: VouchedFor,
    /// SHA-256 of the archive's model bundle.
    pub archived: Digest,
    /// SHA-256 of the bundle that the replay made.
    pub replayed: Digest,
    /// Questions that the final run asked.
    pub queries: u64,
    /// Lines of the journal.
    pub lines: u64,
    /// Lines with a decision in their total's place, which was taken as it stands.
    pub decisions: u64,
    /// Whether the findings give the archive's report.
    pub report: ReportMatch,
    /// Lines that no run of the study asks for, neither the final one nor one that lost a site.
    pub unused: Vec<u64>,
    /// What the study found, before suppression; not for publication.
    #[serde(skip)]
    pub findings: Findings,
}

/// Whether a replay's findings give the archive's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ReportMatch {
    /// `report.json` and `report.html` are the same byte for byte.
    Same,
    /// They aren't.
    Differs {
        /// The entries that differ.
        entries: Vec<String>,
    },
    /// Another version made the report, and this one may write it otherwise; its numbers weren't
    /// compared.
    NotCompared {
        /// Name and version of the software that made it.
        software: String,
    },
    /// The report is of a format that this version doesn't write; its numbers weren't compared.
    OtherFormat {
        /// Its format.
        format: u64,
    },
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
    /// Whether model and report are the same byte for byte, as far as this version can make them,
    /// and every line of the journal had its use.
    pub fn is_confirmed(&self) -> bool {
        let report = !matches!(self.report, ReportMatch::Differs { .. });
        self.archived == self.replayed && report && self.unused.is_empty()
    }
}

/// Verifies an archive, runs its study again on the journal's totals and makes model bundle and
/// report again. Blocking and heavy: on a thread of its own.
///
/// # Errors
/// [`ReplayError`]. Another model or report is no error: [`Replayed::is_confirmed`] tells.
pub fn replay(archive: &[u8]) -> Result<Replayed, ReplayError> {
    replay_held_to(archive, &HeldTo::AnyRoot)
}

/// As [`replay`], of an archive that has to be signed under a root that the reader knows.
///
/// # Errors
/// As [`replay`].
pub fn replay_held_to(archive: &[u8], held_to: &HeldTo) -> Result<Replayed, ReplayError> {
    let archive = Archive::open(archive)?;
    let Verified { head, signature, .. } = verified(&archive, held_to)?;
    let manifest = &archive.manifest;
    let (FeaturesEntry::Agreed { count, source }, End::Done, Some(model)) =
        (&manifest.features, &manifest.study.end, archive.file(names::MODEL))
    else {
        return Err(ReplayError::NoModel(manifest.study.id.clone()));
    };
    let totals = Totals::new(&archive);
    // Runs that lost a site end where their lines end.
    for attempt in &manifest.attempts {
        match run(&archive, &archive.study, &totals, &attempt.sites, count) {
            Ok(_) | Err(ReplayError::Unrecorded { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let sites = manifest.final_sites();
    let findings = match run(&archive, &archive.study, &totals, &sites, count) {
        // Studies of before patients were drawn again for intervals didn't ask for that, though their files say the same. Where
        // lines were taken out of a later one, its report differs.
        Err(ReplayError::Unrecorded { what: RESAMPLED_PATIENTS, .. }) => {
            let mut without = archive.study.clone();
            without.validation.bootstrap = Bootstrap::Off;
            run(&archive, &without, &totals, &sites, count)?
        }
        other => other?,
    };
    let malformed = |error| ArchiveError::malformed(names::MODEL, error);
    let format = ModelBundle::format_of(model).map_err(malformed)?;
    let judged = ModelBundle::read(model).map_err(malformed)?;
    let (software, bundle) = match archive.study.evaluation() {
        // Whoever fitted the model, this is about who judged it.
        Some(_) => (report_software(&archive)?, model.to_vec()),
        None => {
            let software = judged.manifest.software;
            let bundle = outcome::bundle(&archive.study, source, &findings, &software, format)?;
            (software, bundle)
        }
    };
    let report = compare_report(&archive, &findings, &software, head)?;
    Ok(Replayed {
        study: manifest.study.id.clone(),
        signature,
        archived: Digest::of(model),
        replayed: Digest::of(&bundle),
        queries: findings.cost.queries,
        lines: archive.journal.len() as u64,
        decisions: archive.decisions(),
        report,
        unused: totals.unused(),
        findings,
    })
}

/// Name and version of the software that made the archive's report.
fn report_software(archive: &Archive<'_>) -> Result<String, ReplayError> {
    let bytes = archive.file(names::REPORT_JSON).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| ArchiveError::malformed(names::REPORT_JSON, error))?;
    Ok(report["software"].as_str().unwrap_or_default().to_owned())
}

/// Makes the report again and compares it with the archive's.
fn compare_report(
    archive: &Archive<'_>,
    findings: &Findings,
    software: &str,
    head: Head,
) -> Result<ReportMatch, ReplayError> {
    if software != SOFTWARE {
        return Ok(ReportMatch::NotCompared { software: software.to_owned() });
    }
    let file = |name| archive.file(name).unwrap_or_default();
    let archived: serde_json::Value = serde_json::from_slice(file(names::REPORT_JSON))
        .map_err(|error| ArchiveError::malformed(names::REPORT_JSON, error))?;
    match archived["format"].as_u64() {
        Some(format) if format != u64::from(FORMAT) => {
            return Ok(ReportMatch::OtherFormat { format });
        }
        // What has no format at all is compared, and differs.
        _ => {}
    }
    let context: ReportContext = serde_json::from_slice(file(names::CONTEXT))
        .map_err(|error| ArchiveError::malformed(names::CONTEXT, error))?;
    let head = match head {
        Head::Line { chain } => chain,
        Head::Empty => Digest::of(b""),
    };
    let (id, bundle) = (&archive.manifest.study.id, Digest::of(file(names::MODEL)));
    let report = Report::build(findings, &context.on(id, &archive.study, software, bundle, head))
        .map_err(OutcomeError::from)?;
    let made = [(names::REPORT_JSON, report.to_json()), (names::REPORT_HTML, report.to_html())];
    let differ = made.into_iter().filter(|(name, made)| file(name) != made.as_bytes());
    let entries: Vec<String> = differ.map(|(name, _)| name.to_owned()).collect();
    Ok(if entries.is_empty() { ReportMatch::Same } else { ReportMatch::Differs { entries } })
}

fn run(
    archive: &Archive<'_>,
    study: &Study,
    totals: &Totals<'_>,
    sites: &[SiteId],
    features: &[u32],
) -> Result<Findings, ReplayError> {
    let id = &archive.manifest.study.id;
    let schemas = study.schemas(features);
    let outcome = match study.evaluation() {
        None => {
            wardround_learn::study::run(totals, study, id, sites, &schemas, &Silent).now_or_never()
        }
        Some(_) => {
            let model = archive.file(names::MODEL).unwrap_or_default();
            let bundle = ModelBundle::read(model)
                .map_err(|error| ArchiveError::malformed(names::MODEL, error))?;
            let (silent, schemas) = (&Silent, &schemas);
            wardround_learn::study::evaluate(totals, study, &bundle, id, sites, schemas, silent)
                .now_or_never()
        }
    };
    let outcome = outcome.expect("totals are read from memory, so no question ever waits");
    match (outcome, totals.take_unrecorded()) {
        (Ok(findings), _) => Ok(findings),
        (Err(_), Some(Unrecorded { what, query })) => Err(ReplayError::Unrecorded { what, query }),
        (Err(error), None) => Err(error.into()),
    }
}
