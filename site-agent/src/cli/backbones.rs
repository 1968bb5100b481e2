//! `wardround-site backbones`: what can turn images into features.

use clap::Args;
use serde_json::json;
use wardround_vision::{Digest, backbones};

use super::failure::{Exit, Failure};
use super::output::Output;

/// List the backbones that a study may name
#[derive(Debug, Args)]
pub(super) struct Backbones {
    #[command(flatten)]
    pub output: Output,
}

impl Backbones {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let all: Vec<serde_json::Value> = backbones()
            .iter()
            .map(|entry| {
                json!({
                    "name": entry.name,
                    "about": entry.about,
                    "features": entry.features,
                    "parameters": entry.parameters,
                    "input_size": entry.input_size,
                    "licence": entry.licence,
                    "weights": entry.source().to_string(),
                    "sha256": match entry.digest() {
                        Digest::Pinned(digest) => Some(hex::encode(digest)),
                        Digest::Unpinned => None,
                    },
                })
            })
            .collect();
        self.output.print("backbones", &all, || {
            let mut text = String::new();
            for entry in backbones() {
                let pin = match entry.digest() {
                    Digest::Pinned(digest) => format!("sha256 {}", hex::encode(digest)),
                    Digest::Unpinned => "no digest shipped: a study must give one".to_owned(),
                };
                text += &format!(
                    "{}\n  {}\n  {} features, {:.1} million parameters, images of {} x {}\n  \
                     {} ({})\n  {pin}\n",
                    entry.name,
                    entry.about,
                    entry.features,
                    entry.parameters as f64 / 1e6,
                    entry.input_size,
                    entry.input_size,
                    entry.source(),
                    entry.licence,
                );
            }
            text
        })?;
        Ok(Exit::Done)
    }
}
