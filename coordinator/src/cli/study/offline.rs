//! `study verify` and `study replay`: an archive checked and recomputed without a coordinator.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wardround_core::clock::{Clock as _, SystemClock};
use wardround_net::pki::{Fingerprint, HeldTo, certificate_from_pem};

use crate::archive::VouchedFor;
use crate::cli::connect::Output;
use crate::cli::output::{Answer, Exit, Failure};
use crate::replay::{ReplayError, Replayed, ReportMatch, Verified, replay_held_to, verify_held_to};

/// How far another machine's clock may be ahead without a word.
const CLOCK_SLACK_MS: i64 = 5 * 60 * 1000;

/// Check an archive's signature, digests and chain; needs no coordinator
///
/// The signature is judged at the time of signing, by the certificates in the archive. Whose root they come from, only a
/// comparison tells: of the fingerprint by phone, or by --ca.
#[derive(Debug, Args)]
pub struct Verify {
    /// The archive, as `study export` wrote it
    archive: PathBuf,
    #[command(flatten)]
    root: ExpectedRoot,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Recompute an archive's model from its journal; needs no coordinator
#[derive(Debug, Args)]
pub struct Replay {
    /// The archive, as `study export` wrote it
    archive: PathBuf,
    #[command(flatten)]
    root: ExpectedRoot,
    #[command(flatten)]
    pub(super) output: Output,
}

/// The root that an archive has to be signed under.
#[derive(Debug, Args)]
struct ExpectedRoot {
    /// The consortium's root that it has to be signed under: its certificate's file (ca.pem) or its fingerprint
    /// (sha256:...); an unsigned archive is refused then
    #[arg(long, value_name = "FILE|FINGERPRINT")]
    ca: Option<String>,
}

impl ExpectedRoot {
    fn held_to(&self) -> Result<HeldTo, Failure> {
        let Some(text) = &self.ca else { return Ok(HeldTo::AnyRoot) };
        let wrong = |what: &str| {
            Failure::bad_input(format!(
                "--ca {text}: {what}; it takes a root certificate's file (PEM), or its fingerprint: 'sha256:' and 64 \
                 hexadecimal digits, as `wardround serve` and `wardround user whoami` show it"
            ))
        };
        if text.trim_start().starts_with("sha256:") {
            let fingerprint = text.parse().map_err(|_| wrong("that is no fingerprint"))?;
            return Ok(HeldTo::Root(fingerprint));
        }
        let pem = std::fs::read_to_string(text).map_err(|error| wrong(&error.to_string()))?;
        let root =
            certificate_from_pem(&pem).map_err(|_| wrong("there is no certificate in it"))?;
        Ok(HeldTo::Root(Fingerprint::of(&root)))
    }
}

impl Verify {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let held_to = self.root.held_to()?;
        let bytes = read(&self.archive)?;
        let verified = verify_held_to(&bytes, &held_to)
            .map_err(|error| unconfirmed(&self.archive, &error.to_string()))?;
        let text = verified_text(&verified);
        Ok(Answer::Data { data: value(&verified)?, text })
    }
}

impl Replay {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let held_to = self.root.held_to()?;
        let bytes = read(&self.archive)?;
        let replayed = replay_held_to(&bytes, &held_to).map_err(|error| match error {
            ReplayError::NoModel(_) => Failure::bad_input(error.to_string()),
            _ => unconfirmed(&self.archive, &error.to_string()),
        })?;
        let text = replayed_text(&replayed);
        let mut data = value(&replayed)?;
        data["confirmed"] = json!(replayed.is_confirmed());
        if replayed.is_confirmed() {
            return Ok(Answer::Data { data, text });
        }
        Err(Failure { detail: data, ..unconfirmed(&self.archive, &text) })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file(path, &error))
}

/// The archive isn't what it says: the study it stands for can't be relied on.
fn unconfirmed(path: &Path, what: &str) -> Failure {
    Failure::new("unconfirmed", Exit::StudyFailed, format!("{}: {what}", path.display()))
}

fn value(of: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| Failure::internal(error.to_string()))
}

fn verified_text(verified: &Verified) -> String {
    let sites: Vec<&str> = verified.sites.iter().map(|site| site.as_str()).collect();
    let versions: Vec<&str> = verified.versions.iter().map(|study| study.as_str()).collect();
    let versions = match versions.is_empty() {
        true => String::new(),
        false => format!("\nearlier versions of its file: {}", versions.join(", ")),
    };
    let without: Vec<&str> = verified.without_certificate.iter().map(|s| s.as_str()).collect();
    let certificates = match (verified.certificates, without.is_empty()) {
        (0, _) => String::new(),
        (count, true) => format!("\n{count} certificates of its sites and of who submitted it"),
        (count, false) => format!(
            "\n{count} certificates of its sites and of who submitted it; none is kept of {}",
            without.join(", ")
        ),
    };
    format!(
        "study {} ('{}') is whole: {} journal lines chained, {} receipts of answers, sites {}{}{versions}{certificates}\n\
         manifest {}\n{}",
        verified.study,
        verified.name,
        verified.lines,
        verified.answers,
        sites.join(", "),
        match verified.decisions {
            0 => String::new(),
            count => format!(
                "\n{count} of the lines keep a decision about trees and only the digest of its total: \
                 the sites can confirm that, this archive can't"
            ),
        },
        verified.manifest,
        signature_text(&verified.signature),
    )
}

/// Who vouches for an archive, and what the reader still has to do.
fn signature_text(signature: &VouchedFor) -> String {
    let VouchedFor::Signed { signed_ms, signed, certificate, ca, ca_name, ca_compared, .. } =
        signature
    else {
        return "warning: nobody signed it (archives of earlier versions weren't, or the signature was taken away): \
                compare the manifest's digest with one that came another way"
            .to_owned();
    };
    let root = match ca_compared {
        true => format!("under the root asked for, {ca}"),
        false => format!(
            "under a root that calls itself '{ca_name}':\n  {ca}\n\
             anybody can make a root of that name: compare the fingerprint by phone, or say --ca"
        ),
    };
    let ahead = match *signed_ms > SystemClock.now().plus_ms(CLOCK_SLACK_MS).0 {
        true => "\nwarning: by this machine's clock that is still to come",
        false => "",
    };
    format!("signed on {signed} by the certificate {certificate}, valid then, {root}{ahead}")
}

fn replayed_text(replayed: &Replayed) -> String {
    let found = match replayed.archived == replayed.replayed {
        true => "the same model, byte for byte",
        false => "another model",
    };
    let unused = match replayed.unused.len() {
        0 => String::new(),
        count => format!("; {count} journal lines belong to no run"),
    };
    let report = match &replayed.report {
        ReportMatch::Same => "the same report".to_owned(),
        ReportMatch::Differs { entries } => format!("another {}", entries.join(" and ")),
        ReportMatch::NotCompared { software } => {
            format!("a report that {software} made and this version doesn't compare")
        }
        ReportMatch::OtherFormat { format } => {
            format!("a report of format {format}, which this version doesn't write")
        }
    };
    let decided = match replayed.decisions {
        0 => String::new(),
        count => format!(
            "\n{count} of the lines are about trees: their splits were taken as recorded and held to the \
             study's rules, not to the histograms, of which the journal keeps the digests"
        ),
    };
    format!(
        "study {}: {} queries answered from {} journal lines give {found} and {report}{unused}{decided}\n\
         archived {}\nreplayed {}\n{}",
        replayed.study,
        replayed.queries,
        replayed.lines,
        replayed.archived,
        replayed.replayed,
        signature_text(&replayed.signature)
    )
}
