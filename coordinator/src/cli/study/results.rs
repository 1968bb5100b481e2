//! What a study leaves beside its report: `export`, `clone`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wardround_core::ids::StudyId;
use wardround_proto::v1;

use super::file::{write_new, write_or_print};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure};

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
        let bytes = self.remote.fetch(&self.id, v1::Artefact::StudyFile).await?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::internal("the study file isn't UTF-8 text"))?;
        eprintln!("submit it with: wardround study submit FILE --parent {}", self.id);
        write_or_print(self.out.as_deref(), text, "study_toml")
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
        let bytes = self.remote.fetch(&self.id, artefact).await?;
        write_new(&path, &bytes)?;
        let data = json!({ "file": path, "bytes": bytes.len() });
        Ok(Answer::Data { data, text: String::new() })
    }
}
