//! `wardround-site check`: what this site would bring to a study, and everything that is wrong.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wardround_core::study::Study;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress;
use super::site::{HomeArgument, issuer, study};
use crate::config::SiteConfig;
use crate::data::{Manifest, Report, Verdict};
use crate::features::{Imaging, Seen, survey};

/// Check this site's file, its table and its images; nothing leaves
///
/// With a study: patients and rows per class and subgroup, and all problems at once. Ends with 4 when
/// the site can't take part.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Study file to check the data against
    #[arg(long, value_name = "FILE")]
    study: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

impl Check {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let Some(file) = &self.study else {
            return self.without_study(&config, at);
        };
        self.against(&study(file)?, &config, &issuer(&home, &config)?)
    }

    fn against(&self, study: &Study, config: &SiteConfig, issuer: &str) -> Result<Exit, Failure> {
        let imaging = Imaging::Here { threads: config.data.image_threads.count() };
        let mut seen = Seen::open(config);
        let found = survey(study, config, issuer, &imaging, &mut seen, &progress::shown())?;
        let report = Report::of(study, &found, config.data.problem_share);
        self.output.print("check", &report, || report.to_string())?;
        Ok(match report.verdict {
            Verdict::Ready => Exit::Done,
            Verdict::Stopped(_) => Exit::BadInput,
        })
    }

    fn without_study(&self, config: &SiteConfig, at: &HomeArgument) -> Result<Exit, Failure> {
        let manifest = Manifest::read(&config.data.manifest)?;
        let loosenings = config.policy.loosenings();
        let data = json!({
            "coordinator": config.coordinator.address.to_string(),
            "manifest": config.data.manifest,
            "rows": manifest.lines().len(),
            "ragged_rows": manifest.ragged().len(),
            "columns": manifest.columns(),
            "images": config.data.images,
            "loosened_rules": loosenings,
        });
        self.output.print("check", &data, || {
            let mut text = format!(
                "site.toml is fine; it names the coordinator {}\n{}: {} rows, columns {}\n",
                config.coordinator.address,
                config.data.manifest.display(),
                manifest.lines().len(),
                manifest.columns().join(", ")
            );
            if !manifest.ragged().is_empty() {
                let _ = writeln!(
                    text,
                    "{} rows have another number of cells than the header",
                    manifest.ragged().len()
                );
            }
            match loosenings.as_slice() {
                [] => text += "no rule is loosened\n",
                loosened => {
                    text += "rules that are loosened:\n";
                    loosened.iter().for_each(|rule| text += &format!("  {rule}\n"));
                }
            }
            text + "\nfor counts and problems: " + &at.command("check --study STUDY.toml") + "\n"
        })?;
        Ok(Exit::Done)
    }
}
