//! What a study leaves: `report`, `export`, `clone`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wardround_core::ids::StudyId;
use wardround_proto::v1;

use super::file::{write_new, write_or_print};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, Format};

/// Print a study's file, to change it and submit it again (leads and auditors)
#[derive(Debug, Args)]
pub struct Clone {
    /// The study's id
    id: StudyId,
    /// Write to a new file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// A study's report (leads and auditors)
#[derive(Debug, Args)]
pub struct Report {
    /// The study's id
    id: StudyId,
    /// Which form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Write to a new file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// The result table
    Text,
    /// report.json, with its own schema; errors come in the usual envelope
    Json,
    /// The page for browsers and print
    Html,
}

/// Write a study's archive: file, report, model, journal of totals (leads and auditors)
#[derive(Debug, Args)]
pub struct Export {
    /// The study's id
    id: StudyId,
    /// The file to write; left out: ID.zip, or ID.safetensors with --bundle
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the model bundle alone, for `wardround-site predict`
    #[arg(long)]
    bundle: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Clone {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let bytes = fetch(&self.remote, &self.id, v1::Artefact::StudyFile).await?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::internal("the study file isn't UTF-8 text"))?;
        eprintln!("submit it with: wardround study submit FILE --parent {}", self.id);
        write_or_print(self.out.as_deref(), text, "study_toml")
    }
}

impl Report {
    /// How errors look.
    pub fn output_format(&self) -> Format {
        if self.format == Form::Json { Format::Json } else { Format::Text }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let artefact = match self.format {
            Form::Text => v1::Artefact::ReportText,
            Form::Json => v1::Artefact::ReportJson,
            Form::Html => v1::Artefact::ReportHtml,
        };
        let bytes = fetch(&self.remote, &self.id, artefact).await?;
        match &self.out {
            None => Ok(Answer::File(bytes)),
            Some(path) => {
                write_new(path, &bytes)?;
                Ok(Answer::Said)
            }
        }
    }
}

impl Export {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let (artefact, ending) = match self.bundle {
            true => (v1::Artefact::Bundle, "safetensors"),
            false => (v1::Artefact::Export, "zip"),
        };
        let path = self.out.unwrap_or_else(|| PathBuf::from(format!("{}.{ending}", self.id)));
        if path.exists() {
            return Err(Failure::bad_input(format!("{} is there already", path.display())));
        }
        let bytes = fetch(&self.remote, &self.id, artefact).await?;
        write_new(&path, &bytes)?;
        let data = json!({ "file": path, "bytes": bytes.len() });
        Ok(Answer::Data { data, text: String::new() })
    }
}

async fn fetch(remote: &Remote, id: &StudyId, artefact: v1::Artefact) -> Result<Vec<u8>, Failure> {
    let request = v1::FetchRequest { study: id.to_string(), artefact: artefact.into() };
    remote
        .within(async {
            let mut parts = remote.connect().await?.fetch(request).await?.into_inner();
            let mut bytes = Vec::new();
            while let Some(part) = parts.message().await? {
                bytes.extend(part.data);
            }
            Ok(bytes)
        })
        .await
}
