//! Where a demo's rows come from: phantoms, or somebody's own data.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use wardround_core::study::Study;

use super::folder::OutFolder;
use super::{Hospital, Options, phantom_study, say};
use crate::hospitals::{Deal, Manifest};
use crate::phantom::Phantoms;
use crate::studies;

/// Columns that usually name a row's hospital.
const SITE_COLUMNS: [&str; 2] = ["site", "hospital"];

/// Where rows come from, checked before anything is built.
pub(super) enum Source {
    /// Drawn.
    Phantoms,
    /// A manifest and the folder that its image paths are relative to.
    Own(Manifest, PathBuf),
}

/// Hospitals with their rows, and a study for them.
pub(super) struct Prepared {
    pub hospitals: Vec<Hospital>,
    pub study: String,
    /// Where the study comes from, as words that follow "the study is".
    pub origin: &'static str,
}

impl Source {
    /// What the options say.
    pub fn of(options: &Options) -> Result<Self> {
        if let Some(study) = &options.study
            && !study.is_file()
        {
            bail!("there is no study file {}", study.display());
        }
        let manifest = match (&options.data, &options.manifest) {
            (None, None) if options.site_column.is_some() => {
                bail!("--site-column is about your own data: name their folder with --data")
            }
            (None, None) => return Ok(Source::Phantoms),
            (_, Some(manifest)) => manifest.clone(),
            (Some(data), None) => data.join("manifest.csv"),
        };
        if !manifest.is_file() {
            bail!("{} isn't there; name the list of rows with --manifest", manifest.display());
        }
        let images = match &options.data {
            Some(data) => data.clone(),
            None => manifest.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        let images = fs::canonicalize(&images)
            .with_context(|| format!("{} isn't there", images.display()))?;
        Ok(Source::Own(Manifest::read(&manifest)?, images))
    }

    /// Draws or deals the rows.
    pub fn prepare(self, options: &Options, out: &OutFolder) -> Result<Prepared> {
        let own_study = match &options.study {
            Some(path) => Some(
                fs::read_to_string(path)
                    .with_context(|| format!("can't read {}", path.display()))?,
            ),
            None => None,
        };
        match self {
            Source::Phantoms => {
                let (study, origin) = match own_study {
                    Some(study) => (study, "yours"),
                    None => phantom_study(options.sites),
                };
                Ok(Prepared { hospitals: draw(options.sites, out)?, study, origin })
            }
            Source::Own(manifest, images) => deal(&manifest, &images, own_study, options, out),
        }
    }
}

fn draw(sites: u16, out: &OutFolder) -> Result<Vec<Hospital>> {
    say("drawing phantom radiographs (synthetic: nobody was ever X-rayed for them)");
    let hospitals = NonZeroUsize::new(usize::from(sites)).context("a demo has a hospital")?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("   {bar:40} {pos}/{len} images") {
        bar.set_style(style);
    }
    let phantoms = Phantoms { hospitals, ..Phantoms::default() };
    let drawn = phantoms.draw(&out.path("phantoms"), &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let hospital = |site: crate::phantom::PhantomSite| Hospital {
        images: out.path("phantoms").join(site.site.as_str()),
        about: format!(
            "{} phantom patients, {} images; {}",
            site.patients, site.images, site.about
        ),
        manifest: site.manifest,
        site: site.site,
    };
    Ok(drawn.into_iter().map(hospital).collect())
}

fn deal(
    manifest: &Manifest,
    images: &Path,
    own_study: Option<String>,
    options: &Options,
    out: &OutFolder,
) -> Result<Prepared> {
    let is_own = own_study.is_some();
    let (mut study, origin) = match own_study {
        Some(study) => (study, "yours"),
        None => {
            let chosen = studies::choose(manifest);
            (chosen.toml, chosen.origin)
        }
    };
    let key = Study::parse(&study).map(|study| study.patient.key);
    let key =
        key.map_err(|mistakes| anyhow::anyhow!("the study file has mistakes:\n{mistakes}"))?;
    let column = match &options.site_column {
        Some(column) => Some(column.as_str()),
        None => SITE_COLUMNS.into_iter().find(|column| manifest.has(column)),
    };
    let sites = usize::from(options.sites);
    let parts = manifest.deal(match column {
        Some(column) => Deal::Column(column),
        None => Deal::ByPatient { key: &key, sites },
    })?;
    if !is_own && parts.len() < 4 {
        study = studies::for_few_sites(&study);
    }
    let folder = out.path("sites");
    let mut hospitals = Vec::new();
    for part in parts {
        let home = folder.join(part.site.as_str());
        fs::create_dir_all(&home)?;
        let path = home.join("manifest.csv");
        fs::write(&path, part.csv).with_context(|| format!("can't write {}", path.display()))?;
        hospitals.push(Hospital {
            site: part.site,
            manifest: path,
            images: images.to_owned(),
            about: format!("{} rows", part.rows),
        });
    }
    Ok(Prepared { hospitals, study, origin })
}
