//! The files of an archive and how large each may be.

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_learn::bundle::LARGEST_BUNDLE;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const STUDY: &str = "study.toml";
pub(crate) const REPORT_JSON: &str = "report.json";
pub(crate) const REPORT_HTML: &str = "report.html";
pub(crate) const CONTEXT: &str = "context.json";
pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const ANSWERS: &str = "answers.jsonl";
pub(crate) const CERTIFICATES: &str = "certificates.pem";
pub(crate) const CA: &str = "ca.pem";
pub(crate) const SIGNER: &str = "signer.pem";
/// What is signed: the manifest's digest and the time.
pub(crate) const ATTESTATION: &str = "attestation.json";
pub(crate) const SIGNATURE: &str = "attestation.sig";

/// Entries above which an archive is refused.
pub(crate) const MOST_ENTRIES: u64 = 100_000;

/// Bytes of one total, compressed or not, above which it is refused: a question is asked in slices
/// of 256 MiB of numbers, and a number takes up to 10 bytes.
pub(crate) const LARGEST_TOTAL: u64 = 512 << 20;

/// Bytes of one decision, compressed or not, above which it is refused: trees that grew at once have
/// at most a million splits, of some 30 bytes each.
pub(crate) const LARGEST_DECISION: u64 = 64 << 20;

/// Bytes of all totals and decisions together, unpacked, above which an archive is refused.
pub(crate) const LARGEST_TOTALS: u64 = 16 << 30;

const MIB: u64 = 1 << 20;

/// The name of a total's entry.
pub(crate) fn total_name(total: &Digest) -> String {
    format!("totals/{total}.zst")
}

/// The name of a decision's entry.
pub(crate) fn decision_name(decision: &Digest) -> String {
    format!("decisions/{decision}.zst")
}

/// The name of the entry with an earlier version of the study file.
pub(crate) fn version_name(study: &StudyId) -> String {
    format!("versions/{study}.toml")
}

/// The most bytes that an entry of this name may have; `None` for a name that no export writes.
pub(crate) fn limit_of(name: &str) -> Option<u64> {
    match name {
        SIGNER | ATTESTATION | SIGNATURE => Some(MIB / 16),
        STUDY | CA => Some(MIB),
        MANIFEST | REPORT_JSON | CONTEXT => Some(64 * MIB),
        CERTIFICATES => Some(16 * MIB),
        REPORT_HTML | JOURNAL | ANSWERS => Some(256 * MIB),
        MODEL => Some(LARGEST_BUNDLE as u64),
        _ => {
            let (folder, file) = name.split_once('/')?;
            if folder == "versions" {
                let study = StudyId::parse(file.strip_suffix(".toml")?).ok()?;
                return (version_name(&study) == name).then_some(MIB);
            }
            let digest: Digest = file.strip_suffix(".zst")?.parse().ok()?;
            let (written, limit) = match folder {
                "totals" => (total_name(&digest), LARGEST_TOTAL),
                "decisions" => (decision_name(&digest), LARGEST_DECISION),
                _ => return None,
            };
            // Upper-case digits parse too, but aren't what an export writes.
            (written == name).then_some(limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_an_export_have_a_limit() {
        let total = total_name(&Digest::of(b"a"));
        let decision = decision_name(&Digest::of(b"a"));
        let version = version_name(&StudyId::parse("s1-abc").unwrap());
        for good in [MANIFEST, STUDY, MODEL, JOURNAL, SIGNATURE, &total, &decision, &version] {
            assert!(limit_of(good).is_some(), "{good}");
        }
        let upper = total.to_uppercase().replace("TOTALS", "totals").replace("ZST", "zst");
        let up = format!("../{STUDY}");
        let of_version = ["versions/.toml", "versions/../s1.toml", "versions/s1"];
        let bad = [upper.as_str(), &up, "/study.toml", "totals/../study.toml", "totals/", "", "x"];
        for bad in bad.into_iter().chain(of_version) {
            assert_eq!(limit_of(bad), None, "{bad}");
        }
    }
}
