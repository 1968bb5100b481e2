//! `study statements`: the file for what only people can write about a study.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::file::write_or_print;
use crate::cli::connect::Output;
use crate::cli::output::{Answer, Failure};
use crate::report::{self, statements_template};

/// Write or check the file for what only people can write; needs no coordinator
///
/// Without --check it writes the file, every text empty and with what belongs into it. `wardround study report
/// --statements` puts the texts into a report.
#[derive(Debug, Args)]
pub struct Statements {
    /// Write to a new file instead of stdout
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Point at every mistake of such a file, and say which texts are missing
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Statements {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let Some(path) = &self.check else {
            return write_or_print(self.out.as_deref(), statements_template(), "statements_toml");
        };
        let read = read(path)?;
        let (written, missing) = (read.written.len(), &read.missing);
        let text = match missing.is_empty() {
            true => format!("{}: all {written} texts are written", path.display()),
            false => format!(
                "{}: {written} texts are written; missing are {}",
                path.display(),
                missing.join(", ")
            ),
        };
        Ok(Answer::Data {
            data: json!({ "file": path, "written": written, "missing": missing }),
            text,
        })
    }
}

/// Reads such a file.
///
/// # Errors
/// The file can't be read, or every mistake in it.
pub fn read(path: &Path) -> Result<report::Statements, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    report::Statements::read(&text)
        .map_err(|mistakes| Failure::mistakes(&path.display().to_string(), &mistakes))
}

/// Says on stderr what isn't written yet.
pub fn tell_missing(statements: &report::Statements) {
    if !statements.missing.is_empty() {
        eprintln!("not written yet: {}", statements.missing.join(", "));
    }
}
