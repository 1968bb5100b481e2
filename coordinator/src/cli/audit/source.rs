//! Where a report is read from: the coordinator, or a file on this machine.

use std::path::PathBuf;
use std::str::FromStr;

use serde_json::{Value, json};
use wardround_core::ids::StudyId;

use crate::cli::connect::{Remote, read_report};
use crate::cli::output::{Answer, Failure};
use crate::report::{Estimate, Report};

/// A study at the coordinator, or a report that somebody wrote to a file.
#[derive(Debug, Clone)]
pub enum Source {
    /// The study.
    Study(StudyId),
    /// The file.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    /// An id has neither dots nor slashes, so a text with one of them is a file's path.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains(['.', '/', '\\']) {
            true => Ok(Self::File(text.into())),
            false => StudyId::parse(text).map(Self::Study).map_err(|error| {
                format!("expected a study's id or the path of a report.json: {error}")
            }),
        }
    }
}

impl Source {
    /// The report.
    ///
    /// # Errors
    /// There is none, it can't be fetched, or it is of another format.
    pub async fn report(&self, remote: &Remote) -> Result<Report, Failure> {
        match self {
            Self::Study(id) => remote.report(id).await,
            Self::File(path) => {
                let bytes = std::fs::read(path).map_err(|error| Failure::file(path, &error))?;
                read_report(&path.display().to_string(), &bytes)
            }
        }
    }
}

/// An answer about every class of a report: data, and words.
pub fn answer(report: &Report, classes: Vec<Value>, words: fn(&Report, usize) -> String) -> Answer {
    let data = json!({
        "study": report.study.id, "name": report.study.name, "edition": report.edition,
        "target": report.study.target, "classes": classes,
    });
    let parts = (0..report.models.len()).map(|at| words(report, at));
    let text = std::iter::once(heading(report)).chain(parts).collect::<Vec<_>>().join("\n\n");
    Answer::Data { data, text }
}

/// The first lines of an answer about a report.
pub fn heading(report: &Report) -> String {
    let mut lines = vec![format!("{} (study {})", report.study.name, report.study.id)];
    lines.extend(report.edition.notice().map(str::to_owned));
    lines.join("\n")
}

/// `0.731 (0.702 to 0.759)`, `0.731`, or the word for what isn't there.
pub fn cell(estimate: &Estimate) -> String {
    match estimate.ends() {
        Some([low, high]) => format!("{} ({low:.3} to {high:.3})", estimate.short()),
        None => estimate.short(),
    }
}
