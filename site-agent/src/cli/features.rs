//! `wardround-site features`: computing features ahead of a study.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::study::{Input, Study};
use wardround_proto::v1::Stage;
use wardround_vision::WeightsStore;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress;
use super::site::{HomeArgument, issuer, studies, study};
use crate::answer::Watch;
use crate::config::{Home, SiteConfig};
use crate::data::RowInput;
use crate::egress::Step;
use crate::features::{Imaging, Ready, Seen, serve, survey};

/// Compute the features of a study's images ahead of it; nothing leaves
///
/// What is finished is kept by image: a run that was stopped goes on where it was, and a second study
/// with the same backbone finds it there.
#[derive(Debug, Args)]
pub(super) struct Features {
    /// Study file; every study that this site has joined when left out
    #[arg(long, value_name = "FILE")]
    study: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
    /// Perform an order of a running agent on standard input
    #[arg(long, hide = true)]
    pub worker: bool,
}

/// What was done for a study.
#[derive(Debug, Serialize)]
struct Done {
    study: String,
    images: usize,
    found: usize,
    computed: usize,
    failed: Vec<String>,
    seconds: f64,
}

impl Features {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        if self.worker {
            return serve().map(|()| Exit::Done).map_err(Failure::internal);
        }
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let chosen = match &self.study {
            Some(file) => vec![study(file)?],
            None => studies(&home)?,
        };
        if chosen.is_empty() {
            return Err(Failure::bad_input(
                "this site has joined no study yet: name a study file with --study",
            ));
        }
        let watch = progress::shown();
        let done: Vec<Done> = chosen
            .iter()
            .map(|study| compute(study, &home, &config, &watch))
            .collect::<Result<_, Failure>>()?;
        self.output.print("features", &done, || done.iter().map(Done::text).collect())?;
        let any_failed = done.iter().any(|done| !done.failed.is_empty());
        Ok(if any_failed { Exit::Failed } else { Exit::Done })
    }
}

fn compute(
    study: &Study,
    home: &Home,
    config: &SiteConfig,
    watch: &Watch,
) -> Result<Done, Failure> {
    let start = Instant::now();
    let done = |images, found, failed: Vec<String>| Done {
        study: study.name.clone(),
        images,
        found,
        computed: images - found - failed.len(),
        failed,
        seconds: start.elapsed().as_secs_f64(),
    };
    let Input::Images { backbone, .. } = &study.input else { return Ok(done(0, 0, vec![])) };
    let ready = Ready::of_study(backbone, &WeightsStore::new(config.weights.clone()))?;
    let imaging = Imaging::Here { threads: config.data.image_threads.count() };
    let mut seen = Seen::open(config);
    let found = survey(study, config, &issuer(home, config)?, &imaging, &mut seen, watch)?;
    let cohort = found.cohort(config.data.problem_share).map_err(Failure::bad_input)?;
    let folder = config.cache.join("features");
    let cache = ready.cache(&folder).map_err(Failure::internal)?;
    let images: Vec<(&PathBuf, &Digest)> = cohort
        .rows
        .iter()
        .filter_map(|row| match &row.input {
            RowInput::Image { path, digest } => Some((path, digest)),
            RowInput::Table(_) => None,
        })
        .collect();
    let missing: Vec<PathBuf> = images
        .iter()
        .filter(|(_, digest)| cache.get(digest.as_bytes()).is_none())
        .map(|(path, _)| (*path).clone())
        .collect();
    drop(cache);
    let (total, before) = (images.len() as u64, (images.len() - missing.len()) as u64);
    let moved = |done| watch.moved(Step { stage: Stage::Extracting, done: before + done, total });
    let failed = match missing.is_empty() {
        true => Vec::new(),
        false => {
            let extracted = imaging.extract(&ready, &folder, missing, watch, &moved)?;
            extracted.into_iter().filter_map(Result::err).collect()
        }
    };
    Ok(done(images.len(), before as usize, failed))
}

impl Done {
    fn text(&self) -> String {
        if self.images == 0 {
            return format!(
                "{}: its features are the table's own, nothing to compute\n",
                self.study
            );
        }
        if self.found == self.images {
            return format!("{}: {} images, all had features already\n", self.study, self.images);
        }
        let rate = self.computed as f64 / self.seconds.max(1e-9);
        let mut text = format!(
            "{}: {} images, {} had features already, {} computed in {:.1} s ({rate:.1} images/s)\n",
            self.study, self.images, self.found, self.computed, self.seconds
        );
        for failed in &self.failed {
            text += &format!("  no features: {failed}\n");
        }
        text
    }
}
