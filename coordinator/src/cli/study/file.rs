//! `study new` and `study check`: the study file on this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wardround_core::digest::Digest;
use wardround_core::study::{Study, template};
use wardround_learn::bundle::ModelBundle;
use wardround_learn::study::disagreements;

use super::manifest;
use crate::cli::connect::Output;
use crate::cli::output::{Answer, Failure};

/// Write a commented study file from a manifest's columns
#[derive(Debug, Args)]
pub struct New {
    /// The manifest: a table with a header, separated by commas, semicolons or tabs
    manifest: PathBuf,
    /// Write to a new file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Point at every mistake of a study file
#[derive(Debug, Args)]
pub struct Check {
    /// The study file
    file: PathBuf,
    #[command(flatten)]
    pub(super) output: Output,
}

impl New {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let text = template(&manifest::read(&self.manifest)?);
        write_or_print(self.out.as_deref(), text, "study_toml")
    }
}

impl Check {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let (_, study) = read(&self.file)?;
        model(&self.file, &study)?;
        let text = format!("{}: '{}' is a study without mistakes", self.file.display(), study.name);
        let data = json!({ "file": self.file, "name": study.name, "digest": study.digest });
        Ok(Answer::Data { data, text })
    }
}

/// Reads and checks a study file; gives its text as well.
///
/// # Errors
/// The file can't be read, or every mistake in it.
pub fn read(path: &Path) -> Result<(String, Study), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let study = Study::parse(&text)
        .map_err(|mistakes| Failure::mistakes(&path.display().to_string(), &mistakes))?;
    Ok((text, study))
}

/// The bytes of the bundle that a study judges, beside the study file; none of a study that fits models.
///
/// # Errors
/// It can't be read, isn't the one that the study names, or means something else than the study.
pub fn model(path: &Path, study: &Study) -> Result<Vec<u8>, Failure> {
    let Some(evaluation) = study.evaluation() else { return Ok(Vec::new()) };
    let model = path.parent().unwrap_or(Path::new("")).join(&evaluation.file);
    let bytes = std::fs::read(&model).map_err(|error| Failure::file(&model, &error))?;
    let wrong = |why: String| Failure::bad_input(format!("{}: {why}", model.display()));
    let bundle = ModelBundle::read(&bytes).map_err(|error| wrong(error.to_string()))?;
    let (expected, got) = (evaluation.model, Digest::of(&bytes));
    if expected != got {
        return Err(wrong(format!("its SHA-256 is {got}, model.sha256 says {expected}")));
    }
    match disagreements(study, &bundle) {
        none if none.is_empty() => Ok(bytes),
        lines => Err(Failure::bad_input(
            lines
                .iter()
                .map(|line| format!("{}: {line}", path.display()))
                .collect::<Vec<_>>()
                .join("\n"),
        )),
    }
}

/// Writes a text to a new file, or answers with it.
///
/// # Errors
/// The file is there already or can't be written.
pub fn write_or_print(out: Option<&Path>, text: String, key: &str) -> Result<Answer, Failure> {
    let Some(path) = out else {
        return Ok(Answer::Data { data: json!({ key: text }), text: text.trim_end().to_owned() });
    };
    write_new(path, text.as_bytes())?;
    Ok(Answer::Data { data: json!({ "file": path }), text: String::new() })
}

/// Writes a file that isn't there yet: a person's work is never overwritten.
///
/// # Errors
/// The file is there already or can't be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut options = std::fs::File::options();
    options
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| Failure::file(path, &error))?;
    eprintln!("written to {}", path.display());
    Ok(())
}
