//! `wardround-site backbones`: what can turn images into features.

use clap::Args;
use serde_json::json;
use wardround_vision::{BackboneEntry, Digest, Precision, backbones};

use super::failure::{Exit, Failure};
use super::output::{Output, columns};

/// List the backbones that a study may name
#[derive(Debug, Args)]
pub(super) struct Backbones {
    /// Only those whose name or description contains this
    #[arg(value_name = "TEXT")]
    filter: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

impl Backbones {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let filter = self.filter.as_deref().unwrap_or_default().to_lowercase();
        let chosen = |entry: &&BackboneEntry| {
            [entry.name, entry.about].iter().any(|text| text.to_lowercase().contains(&filter))
        };
        let chosen: Vec<&BackboneEntry> = backbones().iter().filter(chosen).collect();
        if chosen.is_empty() {
            return Err(Failure::bad_input(format!(
                "no backbone contains '{filter}'; `wardround-site backbones` lists all {}",
                backbones().len()
            )));
        }
        let all: Vec<serde_json::Value> = chosen.iter().map(|entry| described(entry)).collect();
        self.output.print("backbones", &all, || table(&chosen))?;
        Ok(Exit::Done)
    }
}

fn described(entry: &BackboneEntry) -> serde_json::Value {
    json!({
        "name": entry.name,
        "about": entry.about,
        "features": entry.features,
        "parameters": entry.parameters,
        "flops": entry.flops(),
        "input_size": entry.input_size,
        "licence": entry.licence,
        "bf16": entry.admits(Precision::Bf16),
        "non_commercial": !entry.licence.is_commercial_use_allowed(),
        "weights": entry.source().to_string(),
        "sha256": match entry.digest() {
            Digest::Pinned(digest) => Some(hex::encode(digest)),
            Digest::Unpinned => None,
        },
    })
}

fn table(chosen: &[&BackboneEntry]) -> String {
    let header =
        ["name", "features", "parameters", "GFLOPs", "input", "bf16", "licence", "weights"];
    let row = |entry: &&BackboneEntry| {
        let mark = match entry.licence.is_commercial_use_allowed() {
            true => "",
            false => " (non-commercial)",
        };
        let pin = match entry.digest() {
            Digest::Pinned(_) => "",
            Digest::Unpinned => " (the study must give a digest)",
        };
        [
            entry.name.to_owned(),
            entry.features.to_string(),
            format!("{:.1} M", entry.parameters as f64 / 1e6),
            format!("{:.2}", entry.flops() as f64 / 1e9),
            format!("{0} x {0}", entry.input_size),
            if entry.admits(Precision::Bf16) { "yes" } else { "no" }.to_owned(),
            format!("{}{mark}", entry.licence),
            format!("{}{pin}", entry.source()),
        ]
    };
    columns(std::iter::once(header.map(str::to_owned)).chain(chosen.iter().map(row)))
}
