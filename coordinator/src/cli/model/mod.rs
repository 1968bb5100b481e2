//! `wardround model`: bundles of finished studies on this machine, without a coordinator.

mod beside;
mod describe;
mod export;
mod file;
mod show;

use clap::Subcommand;

use super::output::{Answer, Failure, Format};

/// Model bundles: read, write in another format
#[derive(Debug, Subcommand)]
pub enum Model {
    /// What a model bundle is, in plain words
    ///
    /// With `--format json` everything that is in it, all coefficients included.
    Show(show::Show),
    /// Write a model bundle in another program's format
    ///
    /// The ONNX file turns features (input `features`, float32, one row each) into the probabilities of
    /// `wardround-site predict` (output `probabilities`, one column per modelled class). A missing
    /// feature is NaN and is taken as the bundle says; a row that the bundle refuses has NaN for its
    /// probability. Backbones aren't in the file: of images the features go in. Thresholds and names of
    /// classes are in its metadata. A model that scales each site by its own rows can't be exported.
    Export(export::Export),
}

impl Model {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Model::Show(_) => "model show",
            Model::Export(_) => "model export",
        }
    }

    /// How its answer looks.
    pub fn format(&self) -> Format {
        match self {
            Model::Show(it) => it.output.format,
            Model::Export(it) => it.output.format,
        }
    }

    /// Runs it.
    pub fn run(self) -> Result<Answer, Failure> {
        match self {
            Model::Show(it) => it.run(),
            Model::Export(it) => it.run(),
        }
    }
}
