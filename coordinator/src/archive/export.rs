//! Writing an archive from the store.

use std::collections::BTreeMap;

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::recorded::Receipt;
use wardround_net::pki::{PkiError, Signer, certificate_from_pem, issued_by};

use super::lines::{self, AnswerLine, JournalLine};
use super::manifest::{
    ALGORITHM, AttemptEntry, End, Entry, FORMAT, FeaturesEntry, Head, JOURNAL_FORMAT, JournalInfo,
    Manifest, Part, Signature, SiteEntry, StudyEntry, VersionEntry,
};
use super::signature::{self, SignedBy};
use super::{ArchiveError, names, pack};
use crate::outcome::{FeatureSource, OutcomeError, ReportContext, SOFTWARE};
use crate::store::{Artefact, EnlistedSite, Kept, Store, StoreError, StudyRecord, StudyState};

/// Earlier versions of a study file that an archive has at most.
const MOST_VERSIONS: usize = 1000;

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The zip.
    pub bytes: Vec<u8>,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
}

/// Why a study can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No such study.
    #[error("there is no study {0}")]
    Unknown(StudyId),
    /// It still runs.
    #[error("study {id} is {}; it can be exported when it is over", .state.word())]
    NotOver {
        /// The study.
        id: StudyId,
        /// Where it is.
        state: StudyState,
    },
    /// The store can't be read or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the sites stated can't be read.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// The key can't sign.
    #[error("signing the archive: {0}")]
    Signing(#[from] PkiError),
    /// The zip can't be written.
    #[error("writing the archive: {0}")]
    Archive(#[from] ArchiveError),
}

/// The archive of a study that is over: the same bytes whenever it is exported, but for time and signature, and the
/// certificate of the signing key. Blocking, and holds the whole archive in memory.
///
/// # Errors
/// [`ExportError`].
pub fn export(store: &Store, id: &StudyId, signed: SignedBy<'_>) -> Result<Exported, ExportError> {
    let record = store.study(id)?.ok_or_else(|| ExportError::Unknown(id.clone()))?;
    let end = match record.state {
        StudyState::Done => End::Done,
        StudyState::Failed => End::Failed { reason: record.reason.clone() },
        StudyState::Aborted => End::Aborted { reason: record.reason.clone() },
        state @ (StudyState::Enlisting | StudyState::Running) => {
            return Err(ExportError::NotOver { id: id.clone(), state });
        }
    };
    let study = Study::parse(&record.toml)
        .map_err(|mistakes| StoreError::Damaged(format!("the file of study {id}: {mistakes}")))?;
    let mut files = BTreeMap::new();
    files.insert(names::STUDY.to_owned(), record.toml.clone().into_bytes());
    let versions = add_versions(store, &record, &mut files)?;
    if let SignedBy::Signer { signer, .. } = signed {
        files.insert(names::CA.to_owned(), signer.root_pem().into_bytes());
        files.insert(names::SIGNER.to_owned(), signer.certificate_pem().into_bytes());
        add_certificates(store, &record, signer, &mut files)?;
    }
    if end == End::Done {
        for (name, artefact) in [
            (names::REPORT_JSON, Artefact::ReportJson),
            (names::REPORT_HTML, Artefact::ReportHtml),
            (names::MODEL, Artefact::Bundle),
        ] {
            let bytes = store.artefact(id, artefact)?.ok_or_else(|| {
                StoreError::Damaged(format!("study {id} is done, but left no {name}"))
            })?;
            files.insert(name.to_owned(), bytes);
        }
        let context = serde_json::to_vec_pretty(&ReportContext::of(store, id, &study)?)
            .map_err(|error| StoreError::Damaged(format!("the report's context: {error}")))?;
        files.insert(names::CONTEXT.to_owned(), context);
    }
    let journal = add_journal(store, id, &mut files)?;
    add_answers(store, id, &mut files)?;
    let mut manifest = manifest(store, &record, &study, end, journal, &files)?;
    manifest.versions = versions;
    if matches!(signed, SignedBy::Signer { .. }) {
        manifest.signature = Signature::Beside;
    }
    let bytes = manifest.write();
    let manifest = Digest::of(&bytes);
    files.insert(names::MANIFEST.to_owned(), bytes);
    if let SignedBy::Signer { signer, at } = signed {
        signature::sign(&mut files, id, manifest, signer, at)?;
    }
    Ok(Exported { bytes: pack::pack(&files)?, manifest })
}

/// The files of the studies that a study was cloned from, its parent first.
fn add_versions(
    store: &Store,
    study: &StudyRecord,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Vec<VersionEntry>, StoreError> {
    let mut versions: Vec<VersionEntry> = Vec::new();
    let mut parent = study.parent.clone();
    // Who submits says which study is the parent, and may say one that isn't here.
    while versions.len() < MOST_VERSIONS
        && let Ok(id) = StudyId::parse(&parent)
        && let Some(record) = store.study(&id)?
        && id != study.id
        && versions.iter().all(|known| known.id != id)
    {
        let bytes = record.toml.into_bytes();
        versions.push(VersionEntry {
            name: record.name,
            digest: Digest::of(&bytes),
            submitted_by: record.submitted_by,
            submitted_ms: record.submitted.0,
            state: record.state,
            id: record.id,
        });
        files.insert(names::version_name(&id), bytes);
        parent = record.parent;
    }
    Ok(versions)
}

/// The certificates that the study's sites and who submitted it had while it ran, as far as they are kept.
fn add_certificates(
    store: &Store,
    study: &StudyRecord,
    signer: &Signer,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), StoreError> {
    let stayed = store.study_sites(&study.id)?.into_iter().map(|(site, _)| site);
    let mut sites: Vec<SiteId> = stayed.chain(store.lost_sites(&study.id)?).collect();
    sites.sort();
    let sites = sites.iter().map(|site| ("site", site.as_str()));
    let mut pems = String::new();
    for (kind, id) in sites.chain([("user", study.submitted_by.as_str())]) {
        for pem in store.certificates(kind, id)? {
            let damaged = |error: &dyn std::fmt::Display| {
                StoreError::Damaged(format!("a certificate of the {kind} '{id}': {error}"))
            };
            let der = certificate_from_pem(&pem).map_err(|error| damaged(&error))?;
            let validity = issued_by(&der, signer.root()).map_err(|error| damaged(&error))?;
            if validity.from <= study.ended && study.submitted <= validity.to {
                pems.push_str(&pem);
            }
        }
    }
    if !pems.is_empty() {
        files.insert(names::CERTIFICATES.to_owned(), pems.into_bytes());
    }
    Ok(())
}

fn add_journal(
    store: &Store,
    id: &StudyId,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<JournalInfo, StoreError> {
    let mut journal = Vec::new();
    for entry in store.journal(id)? {
        let bytes = store.compressed_line(id, entry.sequence)?.ok_or_else(|| {
            StoreError::Damaged(format!("line {} of {id}'s journal is gone", entry.sequence))
        })?;
        let Receipt { query, what, total, sites, numbers } = entry.receipt;
        let name = match &entry.kept {
            Kept::Total => names::total_name(&total),
            Kept::Decision { digest, .. } => names::decision_name(digest),
        };
        files.insert(name, bytes);
        let (sequence, kept, chain) = (entry.sequence, entry.kept, entry.chain);
        journal.push(JournalLine { sequence, query, total, what, sites, numbers, kept, chain });
    }
    files.insert(names::JOURNAL.to_owned(), lines::write(&journal));
    let head = journal.last().map_or(Head::Empty, |line| Head::Line { chain: line.chain });
    let lines = journal.len() as u64;
    Ok(JournalInfo { format: JOURNAL_FORMAT, algorithm: ALGORITHM, lines, head })
}

fn add_answers(
    store: &Store,
    id: &StudyId,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), StoreError> {
    let answers: Vec<AnswerLine> = store
        .answers(id)?
        .into_iter()
        .map(|a| AnswerLine { site: a.site, query: a.query, answer: a.answer, lock: a.lock })
        .collect();
    files.insert(names::ANSWERS.to_owned(), lines::write(&answers));
    Ok(())
}

fn manifest(
    store: &Store,
    record: &StudyRecord,
    study: &Study,
    end: End,
    journal: JournalInfo,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Manifest, ExportError> {
    let stayed = store.study_sites(&record.id)?;
    let part = |enlisted: &Option<EnlistedSite>| match enlisted {
        Some(enlisted) => Part::Stayed { lock: enlisted.lock },
        None => Part::NeverEnlisted,
    };
    let mut sites: Vec<SiteEntry> = stayed
        .iter()
        .map(|(site, enlisted)| SiteEntry {
            site: site.clone(),
            part: part(enlisted),
            software: enlisted.as_ref().map_or(String::new(), |site| site.software.clone()),
        })
        .collect();
    let lost = store.lost_sites(&record.id)?.into_iter();
    sites.extend(lost.map(|site| SiteEntry { site, part: Part::Lost, software: String::new() }));
    sites.sort_by(|a, b| a.site.cmp(&b.site));
    let features = match stayed.iter().find_map(|(_, enlisted)| enlisted.as_ref()) {
        Some(site) => FeaturesEntry::Agreed {
            count: site.features.clone(),
            source: FeatureSource::of(study, site)?,
        },
        None => FeaturesEntry::NeverComputed,
    };
    let attempts = store.lost_attempts(&record.id)?.into_iter().map(|lost| AttemptEntry {
        sites: lost.sites,
        lost: lost.lost,
        round: lost.round,
        reason: lost.reason,
    });
    let entry = |(name, bytes): (&String, &Vec<u8>)| Entry {
        name: name.clone(),
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    };
    Ok(Manifest {
        format: FORMAT,
        software: SOFTWARE.to_owned(),
        study: StudyEntry {
            id: record.id.clone(),
            name: record.name.clone(),
            digest: study.digest,
            submitted_by: record.submitted_by.clone(),
            submitted_ms: record.submitted.0,
            ended_ms: record.ended.0,
            end,
        },
        versions: Vec::new(),
        sites,
        attempts: attempts.collect(),
        features,
        journal,
        entries: files.iter().map(entry).collect(),
        signature: Signature::Absent,
    })
}
