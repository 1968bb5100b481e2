//! `model export`: a bundle as an ONNX file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::file;
use crate::cli::connect::Output;
use crate::cli::output::{Answer, Failure};
use crate::export::held_rows;
use crate::export::onnx::{CoarseInput, coarse_inputs, write};

/// Write a model bundle in another program's format
#[derive(Debug, Args)]
pub struct Export {
    /// The bundle, as `study export --bundle` wrote it
    file: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "OUT")]
    onnx: PathBuf,
    /// Replace OUT if it is there already
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Export {
    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        let (bundle, _) = file::read(&self.file)?;
        let bytes = write(&bundle, env!("CARGO_PKG_VERSION"))
            .map_err(|error| Failure::bad_input(format!("{}: {error}", self.file.display())))?;
        self.may_be_written()?;
        replace(&self.onnx, &bytes).map_err(|error| Failure::file(&self.onnx, &error))?;
        eprintln!("written to {}", self.onnx.display());
        let coarse = coarse_inputs(&bundle);
        if let Some(sentence) = sentence(&coarse) {
            eprintln!("{sentence}");
        }
        if let Some(sentence) = held_rows(&bundle) {
            eprintln!("{sentence}");
        }
        let mut data = json!({ "file": self.onnx, "bytes": bytes.len(), "coarse_inputs": coarse });
        if bundle.rows_of_patients() > 0 {
            data["rows_of_patients"] = bundle.rows_of_patients().into();
        }
        Ok(Answer::Data { data, text: String::new() })
    }

    fn may_be_written(&self) -> Result<(), Failure> {
        let out = self.onnx.display();
        // A link to nothing is there as well.
        if fs::symlink_metadata(&self.onnx).is_err() {
            return Ok(());
        }
        if !self.force {
            let sentence = format!("{out} is there already: name another file, or say --force");
            return Err(Failure::bad_input(sentence));
        }
        let is_bundle = match (fs::canonicalize(&self.file), fs::canonicalize(&self.onnx)) {
            (Ok(bundle), Ok(out)) => bundle == out,
            _ => false,
        };
        match is_bundle {
            true => {
                Err(Failure::bad_input(format!("{out} is the bundle itself: name another file")))
            }
            false => Ok(()),
        }
    }
}

/// Writes a file beside its place and moves it there, so that no reader sees a part of it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut beside_name = name.to_owned();
    beside_name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside_name);
    let mut file = File::options().write(true).create_new(true).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // What went wrong first is what counts.
        let _ = fs::remove_file(&beside);
    })
}

/// What to know before float32 numbers go in.
fn sentence(coarse: &[CoarseInput]) -> Option<String> {
    let worst = coarse.iter().max_by(|a, b| a.moves.total_cmp(&b.moves))?;
    let name = match &worst.name {
        Some(name) => format!("'{name}'"),
        None => format!("number {}", worst.feature),
    };
    Some(format!(
        "float32 keeps too few digits of {} of the features, whose mean is large beside their deviation: rounding {name} \
         alone can move a probability by {:.1e}; where that matters use `wardround-site predict`",
        coarse.len(),
        worst.moves
    ))
}
