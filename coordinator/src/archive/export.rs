//! Writing an archive from the store.

use std::collections::BTreeMap;

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::Study;
use wardround_learn::recorded::Receipt;

use super::lines::{self, AnswerLine, JournalLine};
use super::manifest::{
    ALGORITHM, AttemptEntry, End, Entry, FORMAT, FeaturesEntry, Head, JOURNAL_FORMAT, JournalInfo,
    Manifest, Part, Signature, SiteEntry, StudyEntry,
};
use super::{ArchiveError, names, pack};
use crate::outcome::{FeatureSource, OutcomeError, ReportContext, SOFTWARE};
use crate::store::{Artefact, EnlistedSite, Kept, Store, StoreError, StudyRecord, StudyState};

/// The federation's root certificate, for the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaCertificate<'a> {
    /// The archive goes without.
    LeftOut,
    /// In PEM.
    Pem(&'a str),
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
    /// The zip can't be written.
    #[error("writing the archive: {0}")]
    Archive(#[from] ArchiveError),
}

/// The archive of a study that is over: the same bytes whenever it is exported. Blocking, and holds
/// the whole archive in memory.
///
/// # Errors
/// [`ExportError`].
pub fn export(store: &Store, id: &StudyId, ca: CaCertificate<'_>) -> Result<Vec<u8>, ExportError> {
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
    if let CaCertificate::Pem(pem) = ca {
        files.insert(names::CA.to_owned(), pem.as_bytes().to_vec());
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
    let manifest = manifest(store, &record, &study, end, journal, &files)?;
    files.insert(names::MANIFEST.to_owned(), manifest.write());
    Ok(pack::pack(&files)?)
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
        .map(|(site, enlisted)| SiteEntry { site: site.clone(), part: part(enlisted) })
        .collect();
    let lost = store.lost_sites(&record.id)?.into_iter();
    sites.extend(lost.map(|site| SiteEntry { site, part: Part::Lost }));
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
        sites,
        attempts: attempts.collect(),
        features,
        journal,
        entries: files.iter().map(entry).collect(),
        signature: Signature::Absent,
    })
}
