//! Do the parts of an archive belong together?

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_learn::bundle::ModelBundle;
use wardround_net::pki::{
    HeldTo, Identity, PeerIdentity, certificate_from_pem, certificates_from_pem, issued_by,
};

use crate::archive::{
    Archive, ArchiveError, End, Entry, FeaturesEntry, Head, Part, VouchedFor, names,
};
use crate::store::{JournalEntry, Kept};

/// What was checked and found whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// SHA-256 of the manifest, which stands for the whole archive.
    pub manifest: Digest,
    /// Who vouches for it.
    pub signature: VouchedFor,
    /// Name and version of the software that exported it.
    pub software: String,
    /// The study.
    pub study: StudyId,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub end: End,
    /// Earlier versions of its file, its parent's first.
    pub versions: Vec<StudyId>,
    /// The sites that stayed to the end, sorted.
    pub sites: Vec<SiteId>,
    /// The sites that were given up, sorted.
    pub lost: Vec<SiteId>,
    /// Lines of the journal, each with its total or with what was decided by it.
    pub lines: u64,
    /// Lines with a decision: of their totals there is only the digest, which nothing in the archive can
    /// be checked against.
    pub decisions: u64,
    /// Bytes of all totals and decisions, unpacked.
    pub total_bytes: u64,
    /// Receipts of sites' answers.
    pub answers: u64,
    /// Certificates of sites, and of who submitted the study, that were valid while it ran.
    pub certificates: u64,
    /// Sites of the study without such a certificate: an earlier version of the coordinator didn't keep them.
    pub without_certificate: Vec<SiteId>,
    /// Where the journal's chain ends.
    pub head: Head,
    /// The model.
    pub model: ModelDigest,
}

/// The model of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ModelDigest {
    /// SHA-256 of the bundle.
    Bundle {
        /// The digest.
        digest: Digest,
    },
    /// The study ended without a model.
    NoModel,
}

/// Checks an archive: digests of all entries, its signature at the time of signing, the journal's chain, every total or
/// decision against its line, receipts of all answers, the members' certificates, and that study, model and report name
/// each other's digests. No clock is read, so that an archive verifies as long as it lasts. Blocking.
///
/// # Errors
/// [`ArchiveError`] names the first entry or line that isn't what it should be.
pub fn verify(archive: &[u8]) -> Result<Verified, ArchiveError> {
    verify_held_to(archive, &HeldTo::AnyRoot)
}

/// As [`verify`], of an archive that has to be signed under a root that the reader knows.
///
/// # Errors
/// As [`verify`]; [`ArchiveError::Unsigned`] and [`ArchiveError::OtherRoot`].
pub fn verify_held_to(archive: &[u8], held_to: &HeldTo) -> Result<Verified, ArchiveError> {
    verified(&Archive::open(archive)?, held_to)
}

pub(super) fn verified(archive: &Archive<'_>, held_to: &HeldTo) -> Result<Verified, ArchiveError> {
    let signature = archive.vouched.clone().hold_to(held_to)?;
    let manifest = &archive.manifest;
    let head = check_chain(archive)?;
    let total_bytes = check_totals(archive)?;
    check_answers(archive)?;
    check_study(archive)?;
    let (certificates, without_certificate) = check_certificates(archive)?;
    let model = match manifest.study.end {
        End::Done => {
            let digest = check_model(archive)?;
            check_report(archive, &digest, head)?;
            ModelDigest::Bundle { digest }
        }
        End::Failed { .. } | End::Aborted { .. } => ModelDigest::NoModel,
    };
    let lost = manifest.sites.iter().filter(|s| s.part == Part::Lost);
    Ok(Verified {
        manifest: archive.digest,
        signature,
        software: manifest.software.clone(),
        study: manifest.study.id.clone(),
        name: manifest.study.name.clone(),
        end: manifest.study.end.clone(),
        versions: manifest.versions.iter().map(|version| version.id.clone()).collect(),
        sites: manifest.final_sites(),
        lost: lost.map(|s| s.site.clone()).collect(),
        lines: archive.journal.len() as u64,
        decisions: archive.decisions(),
        total_bytes,
        answers: archive.answers.len() as u64,
        certificates,
        without_certificate,
        head,
        model,
    })
}

fn check_chain(archive: &Archive<'_>) -> Result<Head, ArchiveError> {
    let manifest = &archive.manifest;
    let mut before: Option<Digest> = None;
    let mut asked = BTreeSet::new();
    let mut totals = BTreeMap::new();
    for (expected, line) in (1..).zip(&archive.journal) {
        if line.sequence != expected {
            return Err(ArchiveError::Sequence { expected, got: line.sequence });
        }
        let link =
            JournalEntry::link(before.as_ref(), &manifest.study.id, &line.receipt(), &line.kept);
        if link != line.chain {
            return Err(ArchiveError::Chain { line: line.sequence });
        }
        let purpose = match line.kept {
            Kept::Total => None,
            Kept::Decision { purpose, .. } => Some(purpose),
        };
        if !asked.insert((line.query, purpose)) {
            let what = format!("line {}: its query was answered before", line.sequence);
            return Err(ArchiveError::malformed(names::JOURNAL, what));
        }
        if *totals.entry(line.query).or_insert(line.total) != line.total {
            let what = format!("line {}: its query has another total before", line.sequence);
            return Err(ArchiveError::malformed(names::JOURNAL, what));
        }
        before = Some(link);
    }
    let head = before.map_or(Head::Empty, |chain| Head::Line { chain });
    if head != manifest.journal.head || manifest.journal.lines != archive.journal.len() as u64 {
        return Err(match (manifest.journal.head, head) {
            (Head::Line { chain: expected }, Head::Line { chain: got }) if expected != got => {
                ArchiveError::Head { says: names::MANIFEST, expected, got }
            }
            _ => ArchiveError::contradiction(
                names::JOURNAL,
                names::MANIFEST,
                format!("{} lines, not {}", archive.journal.len(), manifest.journal.lines),
            ),
        });
    }
    Ok(head)
}

fn check_totals(archive: &Archive<'_>) -> Result<u64, ArchiveError> {
    let known: BTreeSet<&SiteId> = archive.manifest.sites.iter().map(|s| &s.site).collect();
    let mut bytes = 0;
    let mut named = BTreeSet::new();
    for line in &archive.journal {
        if let Some(stranger) = line.sites.iter().find(|site| !known.contains(site)) {
            let what = format!("line {} has site {stranger}", line.sequence);
            return Err(ArchiveError::contradiction(names::JOURNAL, names::MANIFEST, what));
        }
        bytes += match &line.kept {
            Kept::Total => archive.total(line)?.1,
            Kept::Decision { digest, .. } => archive.decision(line, digest)?.len() as u64,
        };
        if bytes > names::LARGEST_TOTALS {
            return Err(ArchiveError::TooLarge {
                what: "totals and decisions, unpacked".into(),
                unit: "bytes",
                limit: names::LARGEST_TOTALS,
                got: bytes,
            });
        }
        named.insert(match &line.kept {
            Kept::Total => names::total_name(&line.total),
            Kept::Decision { digest, .. } => names::decision_name(digest),
        });
    }
    let of_lines = |entry: &&Entry| {
        ["totals/", "decisions/"].iter().any(|folder| entry.name.starts_with(folder))
    };
    let totals = archive.manifest.entries.iter().filter(of_lines);
    match totals.map(|entry| &entry.name).find(|name| !named.contains(*name)) {
        Some(stray) => Err(ArchiveError::Unexpected(stray.clone())),
        None => Ok(bytes),
    }
}

fn check_answers(archive: &Archive<'_>) -> Result<(), ArchiveError> {
    let mut seen = BTreeSet::new();
    for (number, answer) in (1..).zip(&archive.answers) {
        let place = |what: String| format!("line {number}: {what}");
        let Some(site) = archive.manifest.sites.iter().find(|s| s.site == answer.site) else {
            let what = place(format!("{} is no site of the study", answer.site));
            return Err(ArchiveError::contradiction(names::ANSWERS, names::MANIFEST, what));
        };
        if matches!(site.part, Part::Stayed { lock } if lock != answer.lock) {
            let what = place(format!("{} answered from another cohort", answer.site));
            return Err(ArchiveError::contradiction(names::ANSWERS, names::MANIFEST, what));
        }
        if !seen.insert((answer.query, &answer.site)) {
            let what = place(format!("a second answer of {} to one query", answer.site));
            return Err(ArchiveError::malformed(names::ANSWERS, what));
        }
    }
    for line in &archive.journal {
        if let Some(site) = line.sites.iter().find(|site| !seen.contains(&(line.query, *site))) {
            return Err(ArchiveError::NoAnswer { line: line.sequence, site: site.clone() });
        }
    }
    Ok(())
}

fn check_study(archive: &Archive<'_>) -> Result<(), ArchiveError> {
    let (manifest, study) = (&archive.manifest, &archive.study);
    if manifest.study.digest != study.digest || manifest.study.name != study.name {
        let what = "another study file".to_owned();
        return Err(ArchiveError::contradiction(names::STUDY, names::MANIFEST, what));
    }
    let mut named = BTreeSet::new();
    for version in &manifest.versions {
        let name = names::version_name(&version.id);
        if Digest::of(archive.file(&name).unwrap_or_default()) != version.digest {
            let what = "another study file".to_owned();
            return Err(ArchiveError::contradiction(&name, names::MANIFEST, what));
        }
        named.insert(name);
    }
    let mut entries = manifest.entries.iter().map(|entry| &entry.name);
    match entries.find(|name| name.starts_with("versions/") && !named.contains(*name)) {
        Some(stray) => Err(ArchiveError::Unexpected(stray.clone())),
        None => Ok(()),
    }
}

/// Every certificate was issued by the archive's root to a site of the study or to who submitted it, and was valid while
/// it ran. Gives their number, and the sites without one.
fn check_certificates(archive: &Archive<'_>) -> Result<(u64, Vec<SiteId>), ArchiveError> {
    let (manifest, study) = (&archive.manifest, &archive.manifest.study);
    let mut without: BTreeSet<SiteId> = manifest.sites.iter().map(|s| s.site.clone()).collect();
    let Some(pem) = archive.file(names::CERTIFICATES) else {
        return Ok((0, without.into_iter().collect()));
    };
    let wrong = |what: String| ArchiveError::malformed(names::CERTIFICATES, what);
    let root = archive.file(names::CA).ok_or_else(|| ArchiveError::Missing(names::CA.into()))?;
    let root = certificate_from_pem(&String::from_utf8_lossy(root))
        .map_err(|error| ArchiveError::malformed(names::CA, error))?;
    let certificates = certificates_from_pem(pem).map_err(|error| wrong(error.to_string()))?;
    for (number, certificate) in (1..).zip(&certificates) {
        let wrong = |what: &dyn std::fmt::Display| wrong(format!("certificate {number}: {what}"));
        let validity = issued_by(certificate, &root).map_err(|error| wrong(&error))?;
        let peer = PeerIdentity::from_certificate(certificate).map_err(|error| wrong(&error))?;
        let stranger = match &peer.identity {
            Identity::Site(site) => {
                without.remove(site);
                manifest.sites.iter().all(|one| one.site != *site)
            }
            Identity::User { name, .. } => name.as_str() != study.submitted_by,
        };
        if stranger {
            return Err(wrong(&format!("{} has no part in the study", peer.identity)));
        }
        if study.ended_ms < validity.from.0 || validity.to.0 < study.submitted_ms {
            return Err(wrong(&format!("{} had it before or after the study", peer.identity)));
        }
    }
    Ok((certificates.len() as u64, without.into_iter().collect()))
}

fn check_model(archive: &Archive<'_>) -> Result<Digest, ArchiveError> {
    let bytes = archive.file(names::MODEL).unwrap_or_default();
    let bundle =
        ModelBundle::read(bytes).map_err(|error| ArchiveError::malformed(names::MODEL, error))?;
    let differs = |other: &str, what: &str| {
        Err(ArchiveError::contradiction(names::MODEL, other, what.to_owned()))
    };
    match archive.study.evaluation() {
        Some(evaluation) => {
            if evaluation.model != Digest::of(bytes) {
                return differs(names::STUDY, "the model isn't the one that the study judges");
            }
        }
        None => {
            if bundle.manifest.study_digest != archive.study.digest {
                return differs(names::STUDY, "the model is of another study file");
            }
            if bundle.manifest.sites != archive.manifest.final_sites() {
                return differs(names::MANIFEST, "the model was fitted to the rows of other sites");
            }
        }
    }
    match &archive.manifest.features {
        FeaturesEntry::Agreed { count, .. } if count.contains(&bundle.manifest.features) => {
            Ok(Digest::of(bytes))
        }
        _ => differs(names::MANIFEST, "the model takes another number of features"),
    }
}

/// The report names the model and the journal that it was made from. Read loosely: its format has
/// versions of its own.
fn check_report(archive: &Archive<'_>, model: &Digest, head: Head) -> Result<(), ArchiveError> {
    let bytes = archive.file(names::REPORT_JSON).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| ArchiveError::malformed(names::REPORT_JSON, error))?;
    let digest = |pointer: &str| -> Result<Digest, ArchiveError> {
        let text = report.pointer(pointer).and_then(serde_json::Value::as_str);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            ArchiveError::malformed(names::REPORT_JSON, format!("no digest at {pointer}"))
        })
    };
    if digest("/digests/bundle")? != *model {
        let what = "the report is about another model".to_owned();
        return Err(ArchiveError::contradiction(names::REPORT_JSON, names::MODEL, what));
    }
    if digest("/study/digest")? != archive.study.digest {
        let what = "the report is about another study file".to_owned();
        return Err(ArchiveError::contradiction(names::REPORT_JSON, names::STUDY, what));
    }
    let expected = digest("/digests/journal_head")?;
    match head {
        Head::Line { chain } if chain == expected => Ok(()),
        Head::Line { chain: got } => {
            Err(ArchiveError::Head { says: names::REPORT_JSON, expected, got })
        }
        Head::Empty => Err(ArchiveError::contradiction(
            names::JOURNAL,
            names::REPORT_JSON,
            "a study that is done has a journal".into(),
        )),
    }
}
