//! `study verify` and `study replay`: an archive checked and recomputed without a coordinator.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::connect::Output;
use crate::cli::output::{Answer, Exit, Failure};
use crate::replay::{ReplayError, Replayed, ReportMatch, Verified, replay, verify};

/// Check an archive's digests and chain; needs no coordinator
#[derive(Debug, Args)]
pub struct Verify {
    /// The archive, as `study export` wrote it
    archive: PathBuf,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Recompute an archive's model from its journal; needs no coordinator
#[derive(Debug, Args)]
pub struct Replay {
    /// The archive, as `study export` wrote it
    archive: PathBuf,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Verify {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let bytes = read(&self.archive)?;
        let verified =
            verify(&bytes).map_err(|error| unconfirmed(&self.archive, &error.to_string()))?;
        let text = verified_text(&verified);
        Ok(Answer::Data { data: value(&verified)?, text })
    }
}

impl Replay {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let bytes = read(&self.archive)?;
        let replayed = replay(&bytes).map_err(|error| match error {
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
    format!(
        "study {} ('{}') is whole: {} journal lines chained, {} receipts of answers, sites {}{}\n\
         manifest {}; nobody signed it: compare this digest with one that came another way",
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
    )
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
         archived {}\nreplayed {}",
        replayed.study, replayed.queries, replayed.lines, replayed.archived, replayed.replayed
    )
}
