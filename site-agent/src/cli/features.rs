//! `wardround-site features`: computing features ahead of a study.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::study::{BackboneRule, Input, Study};
use wardround_vision::{Precision, WeightsStore};

use super::failure::{Exit, Failure};
use super::output::Output;
use super::progress::{self, Screen};
use super::site::{HomeArgument, issuer, studies, study};
use crate::config::{Home, SiteConfig};
use crate::data::{Manifest, RowInput, file_inside};
use crate::features::{
    Altered, Caches, Extract, Imaging, Moved, Ready, Seen, Timed, serve, survey,
};

/// Compute the features of images ahead of a study; nothing leaves
///
/// What is finished is kept by image: a run that was stopped goes on where it was, and a second study
/// with the same backbone finds it there.
#[derive(Debug, Args)]
pub(super) struct Features {
    /// Study file; every study that this site has joined when left out
    #[arg(long, value_name = "FILE", conflicts_with = "backbone")]
    study: Option<PathBuf>,
    /// Backbone with its own weights, for all images of the manifest, instead of a study's
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,
    /// Column of the manifest with the images' paths, when a backbone is named
    #[arg(long, value_name = "NAME", default_value = "path", requires = "backbone")]
    image_column: String,
    /// How exactly a named backbone computes: f32 or bf16
    #[arg(
        long,
        value_name = "PRECISION",
        default_value = "f32",
        hide_possible_values = true,
        requires = "backbone"
    )]
    precision: PrecisionWord,
    #[command(flatten)]
    pub output: Output,
    /// Perform an order of a running agent on standard input
    #[arg(long, hide = true)]
    pub worker: bool,
}

/// [`Precision`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PrecisionWord {
    F32,
    Bf16,
}

impl PrecisionWord {
    /// What it means.
    pub(super) fn meaning(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }
}

/// What was done for a study or a backbone.
#[derive(Debug, Clone, Serialize)]
struct Done {
    /// The study's or the backbone's name.
    name: String,
    images: usize,
    /// Altered copies of each.
    copies: u16,
    found: usize,
    computed: usize,
    failed: Vec<String>,
    /// SHA-256 of the weights, for a study to pin; none without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights_sha256: Option<Digest>,
    #[serde(flatten)]
    speed: Option<Speed>,
}

/// How fast it went.
#[derive(Debug, Clone, Serialize)]
struct Speed {
    /// Of the whole way, from the file to the cache; an altered copy counts as an image.
    images_per_s: f64,
    /// Of the network, when nothing else runs.
    network_images_per_s: Option<f64>,
    seconds: f64,
    network_s: f64,
    network_idle_s: f64,
    /// Of all threads together.
    decoding_s: f64,
    /// Of all threads together.
    reading_s: f64,
}

impl Features {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        if self.worker {
            return serve().map(|()| Exit::Done).map_err(Failure::internal);
        }
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let done = match (&self.backbone, &self.study) {
            (Some(name), _) => vec![self.of_backbone(name, &config)?],
            (None, Some(file)) => of_study(&study(file)?, &home, &config)?,
            (None, None) => {
                let joined = studies(&home)?;
                if joined.is_empty() {
                    return Err(Failure::bad_input(
                        "this site has joined no study yet: name a study file with --study, or a \
                         backbone with --backbone",
                    ));
                }
                let done = joined.iter().map(|study| of_study(study, &home, &config));
                done.collect::<Result<Vec<_>, Failure>>()?.concat()
            }
        };
        self.output.print("features", &done, || done.iter().map(Done::text).collect())?;
        let any_failed = done.iter().any(|done| !done.failed.is_empty());
        Ok(if any_failed { Exit::Failed } else { Exit::Done })
    }

    /// All images of the manifest.
    fn of_backbone(&self, name: &str, config: &SiteConfig) -> Result<Done, Failure> {
        let precision = self.precision.meaning();
        let manifest = Manifest::read(&config.data.manifest)?;
        let header = config.columns.header(&self.image_column);
        let column = manifest.column(header).ok_or_else(|| {
            let known = manifest.columns().join(", ");
            Failure::bad_input(format!(
                "the manifest has no column '{header}'; it has {known}: name one with --image-column"
            ))
        })?;
        let (mut paths, mut failed) = (Vec::new(), Vec::new());
        for line in manifest.lines() {
            match file_inside(&config.data.images, &line.cells[column]) {
                Some(path) => paths.push(path),
                None => failed.push(format!("line {}: no path in the images' folder", line.number)),
            }
        }
        paths.sort();
        paths.dedup();
        let ready = Ready::shipped(name, precision, &WeightsStore::new(config.weights.clone()))?;
        let mut done = compute(name, &ready, paths, 0, config)?;
        done.failed.splice(0..0, failed);
        Ok(done)
    }
}

/// The images of a study's cohort, by each of its backbones.
fn of_study(study: &Study, home: &Home, config: &SiteConfig) -> Result<Vec<Done>, Failure> {
    let Input::Images { backbones, augmentation, .. } = &study.input else {
        let name = study.name.clone();
        return Ok(vec![Done {
            name,
            images: 0,
            copies: 0,
            found: 0,
            computed: 0,
            failed: vec![],
            weights_sha256: None,
            speed: None,
        }]);
    };
    let altered = Altered::for_fitting(augmentation, study.seed);
    let store = WeightsStore::new(config.weights.clone());
    let imaging = Imaging::Here { threads: config.data.image_threads.count() };
    let mut seen = Seen::open(config);
    let issuer = issuer(home, config)?;
    let found = survey(study, config, &issuer, &imaging, &mut seen, &progress::shown())?;
    let cohort = found.cohort(config.data.problem_share).map_err(Failure::bad_input)?;
    let images: Vec<(&PathBuf, &Digest)> = cohort
        .rows
        .iter()
        .filter_map(|row| match &row.input {
            RowInput::Image { path, digest } => Some((path, digest)),
            RowInput::Table(_) => None,
        })
        .collect();
    let of_backbone = |backbone: &BackboneRule| {
        let ready = Ready::of_study(backbone, altered.clone(), &store)?;
        let folder = config.cache.join("features");
        let caches = Caches::open(&ready, &folder).map_err(Failure::internal)?;
        let missing = images.iter().filter(|(_, digest)| !caches.has(digest));
        let missing: Vec<PathBuf> = missing.map(|(path, _)| (*path).clone()).collect();
        let before = images.len() - missing.len();
        let name = match backbones.len() {
            1 => study.name.clone(),
            _ => format!("{}: {}", study.name, backbone.name),
        };
        compute(&name, &ready, missing, before, config)
    };
    backbones.iter().map(of_backbone).collect()
}

/// Computes what isn't there; of `before` more images it is known that they have their features.
fn compute(
    name: &str,
    ready: &Ready,
    paths: Vec<PathBuf>,
    before: usize,
    config: &SiteConfig,
) -> Result<Done, Failure> {
    let images = before + paths.len();
    let mut done = Done {
        name: name.to_owned(),
        images,
        copies: ready.altered.count(),
        found: before,
        computed: 0,
        failed: vec![],
        weights_sha256: Some(Digest::from_bytes(ready.weights.digest)),
        speed: None,
    };
    if paths.is_empty() {
        return Ok(done);
    }
    let screen = Screen::default();
    let moved = |at: Moved| screen.extracting(at, before as u64, images as u64);
    let folder = config.cache.join("features");
    let what = Extract { ready, cache: &folder, device: config.device, measure: true };
    let imaging = Imaging::Here { threads: config.data.image_threads.count() };
    let extracted = imaging.extract(what, paths, &progress::shown(), &moved)?;
    done.failed = extracted.images.into_iter().filter_map(Result::err).collect();
    done.found += extracted.moved.cached as usize;
    done.computed = images - done.found - done.failed.len();
    done.speed = (done.computed > 0).then(|| Speed::of(&extracted.timed));
    Ok(done)
}

impl Speed {
    fn of(Timed { timing, network_alone }: &Timed) -> Self {
        Self {
            images_per_s: timing.inferred as f64 / timing.elapsed_s.max(1e-9),
            network_images_per_s: *network_alone,
            seconds: timing.elapsed_s,
            network_s: timing.inferring_s,
            network_idle_s: timing.idle_s,
            decoding_s: timing.decoding_s,
            reading_s: timing.reading_s,
        }
    }
}

impl Done {
    fn text(&self) -> String {
        let Self { name, images, copies, found, computed, failed, weights_sha256, speed } = self;
        if *images == 0 && failed.is_empty() {
            return format!("{name}: its features are the table's own, nothing to compute\n");
        }
        if found == images && failed.is_empty() {
            return format!("{name}: {images} images, all had features already\n");
        }
        let mut text = format!(
            "{name}: {images} images, {found} had features already, {computed} computed, {} unusable\n",
            failed.len()
        );
        if *copies > 0 {
            text += &format!("  each with {copies} altered copies, which count as images here:\n");
        }
        if let Some(speed) = speed {
            text += &format!("  {:.1} s, {:.1} images/s; ", speed.seconds, speed.images_per_s);
            if let Some(alone) = speed.network_images_per_s {
                text += &format!("the network alone {alone:.1} images/s\n");
            }
            text += &format!(
                "  network {:.1} s, waiting for images {:.1} s; all threads together: decoding {:.1} s, \
                 reading {:.1} s\n",
                speed.network_s, speed.network_idle_s, speed.decoding_s, speed.reading_s
            );
        }
        if let Some(digest) = weights_sha256 {
            text += &format!("  weights: SHA-256 {digest}\n");
        }
        for failed in failed {
            text += &format!("  no features: {failed}\n");
        }
        text
    }
}
