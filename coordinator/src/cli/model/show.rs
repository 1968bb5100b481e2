//! `model show`: a bundle in plain words, or all of it for programs.

use std::path::PathBuf;

use clap::Args;

use super::{describe, file};
use crate::cli::connect::Output;
use crate::cli::output::{Answer, Failure};

/// What a model bundle is, in plain words
#[derive(Debug, Args)]
pub struct Show {
    /// The bundle, as `study export --bundle` wrote it
    file: PathBuf,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Show {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let (bundle, digest) = file::read(&self.file)?;
        let mut data = describe::data(&bundle);
        data["file"] = self.file.display().to_string().into();
        data["digest"] = digest.to_string().into();
        Ok(Answer::Data { data, text: describe::text(&bundle) })
    }
}
