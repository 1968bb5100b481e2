//! The files of an archive and how large each may be.

use wardround_core::digest::Digest;
use wardround_learn::bundle::LARGEST_BUNDLE;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const STUDY: &str = "study.toml";
pub(crate) const REPORT_JSON: &str = "report.json";
pub(crate) const REPORT_HTML: &str = "report.html";
pub(crate) const CONTEXT: &str = "context.json";
pub(crate) const MODEL: &str = "model.safetensors";
pub(crate) const JOURNAL: &str = "journal.jsonl";
pub(crate) const ANSWERS: &str = "answers.jsonl";
pub(crate) const CA: &str = "ca.pem";

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

/// The most bytes that an entry of this name may have; `None` for a name that no export writes.
pub(crate) fn limit_of(name: &str) -> Option<u64> {
    match name {
        STUDY | CA => Some(MIB),
        MANIFEST | REPORT_JSON | CONTEXT => Some(64 * MIB),
        REPORT_HTML | JOURNAL | ANSWERS => Some(256 * MIB),
        MODEL => Some(LARGEST_BUNDLE as u64),
        _ => {
            let (folder, file) = name.split_once('/')?;
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
        for good in [MANIFEST, STUDY, MODEL, JOURNAL, &total, &decision] {
            assert!(limit_of(good).is_some(), "{good}");
        }
        let upper = total.to_uppercase().replace("TOTALS", "totals").replace("ZST", "zst");
        let up = format!("../{STUDY}");
        for bad in [upper.as_str(), &up, "/study.toml", "totals/../study.toml", "totals/", "", "x"]
        {
            assert_eq!(limit_of(bad), None, "{bad}");
        }
    }
}
