//! What the commands that use a model bundle begin with: the bundle, what the site's home contributes, images as subjects, and the
//! rows of a study's cohort.

use std::fs;
use std::path::{Path, PathBuf};

use wardround_core::digest::Digest;
use wardround_core::study::{Input, Study};
use wardround_learn::bundle::{LARGEST_BUNDLE, ModelBundle, OwnScale};
use wardround_proto::v1::Stage;
use wardround_vision::WeightsStore;
use wardround_vision::device::DeviceChoice;

use super::failure::Failure;
use super::progress;
use super::site::{HomeArgument, issuer, study};
use crate::config::{Columns, Home, SiteConfig, Threads};
use crate::data::{CohortRow, Inspection, RowInput};
use crate::egress::Step;
use crate::features::{Caches, Extract, Imaging, Moved, Ready, Seen, survey};
use crate::predict::{Subject, own_scale};

/// Fewer own rows than this make a poor scale.
const FEW_ROWS: usize = 30;

/// What this site's home contributes, where there is one: caches and the names of columns.
pub(super) struct Place {
    pub columns: Columns,
    pub device: DeviceChoice,
    threads: usize,
    features: PathBuf,
    weights: PathBuf,
}

impl Place {
    /// That of a home, whose `site.toml` need not exist.
    ///
    /// # Errors
    /// `site.toml` has mistakes.
    pub(super) fn of(home: &Home) -> Result<Self, Failure> {
        if !home.site_file().exists() {
            let cache = home.cache();
            let threads = Threads::PerCore.count();
            let (features, weights) = (cache.join("features"), cache.join("weights"));
            let (columns, device) = (Columns::default(), DeviceChoice::Auto);
            return Ok(Self { columns, device, threads, features, weights });
        }
        let config = SiteConfig::load(home)?;
        Ok(Self {
            columns: config.columns,
            device: config.device,
            threads: config.data.image_threads.count(),
            features: config.cache.join("features"),
            weights: config.weights,
        })
    }
}

/// Reads a bundle; its digest is that of its bytes.
///
/// # Errors
/// It can't be read, or is none.
pub(super) fn read(path: &Path) -> Result<(ModelBundle, Digest), Failure> {
    let unreadable =
        |error| Failure::bad_input(format!("can't read the bundle {}: {error}", path.display()));
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_BUNDLE as u64 {
        let path = path.display();
        return Err(Failure::bad_input(format!(
            "{path} has {size} bytes: no bundle is that large"
        )));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let bundle = ModelBundle::read(&bytes)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))?;
    Ok((bundle, Digest::of(&bytes)))
}

/// The backbone of a bundle's models of images.
///
/// # Errors
/// The models are for the rows of a table; the weights can't be had.
pub(super) fn ready(bundle: &ModelBundle, place: &Place) -> Result<Ready, Failure> {
    let store = WeightsStore::new(place.weights.clone());
    let ready = Ready::of_bundle(&bundle.manifest.input, &store)?;
    ready.ok_or_else(|| Failure::bad_input("the bundle's models are for the rows of a table"))
}

/// Images, by name and file, as subjects.
///
/// # Errors
/// The network's or the disk's; an image that can't be used is a subject with a problem.
pub(super) fn images(
    ready: &Ready,
    images: Vec<(String, PathBuf)>,
    place: &Place,
) -> Result<Vec<Subject>, Failure> {
    let watch = progress::shown();
    let total = images.len() as u64;
    let moved = |at: Moved| watch.moved(Step { stage: Stage::Extracting, done: at.done, total });
    let paths: Vec<PathBuf> = images.iter().map(|(_, path)| path.clone()).collect();
    let imaging = Imaging::Here { threads: place.threads };
    // Open before and after, so that nobody prunes it in between.
    let caches = Caches::open(ready, &place.features).map_err(Failure::internal)?;
    let what = Extract { ready, cache: &place.features, device: place.device, measure: false };
    let extracted = imaging.extract(what, paths, &watch, &moved)?.images;
    caches.refresh().map_err(Failure::internal)?;
    let subject = |((id, _), extracted): ((String, PathBuf), Result<Digest, String>)| {
        let features = extracted.and_then(|digest| {
            caches.mean(&digest).ok_or_else(|| "its features are gone from the cache".to_owned())
        });
        Subject { id, features, unit: String::new() }
    };
    Ok(images.into_iter().zip(extracted).map(subject).collect())
}

/// The site's own scale; where there are few rows, `advice` says what to do.
///
/// # Errors
/// Fewer than two rows.
pub(super) fn scale(
    bundle: &ModelBundle,
    subjects: &[Subject],
    advice: &str,
) -> Result<OwnScale, Failure> {
    let usable = subjects.iter().filter(|subject| subject.features.is_ok()).count();
    let own = own_scale(bundle, subjects).map_err(Failure::bad_input)?;
    if usable < FEW_ROWS {
        eprintln!("the models scale this site by its own rows, here only {usable}; {advice}");
    }
    Ok(own)
}

/// A study's rows at this site, each with its image.
pub(super) struct CohortImages {
    pub study: Study,
    pub rows: Vec<(CohortRow, PathBuf)>,
}

impl CohortImages {
    /// Applies a study to the site's data.
    ///
    /// # Errors
    /// The study's images or classes aren't those of the bundle's models; the data can't answer the study.
    pub(super) fn of(
        file: &Path,
        bundle: &ModelBundle,
        at: &HomeArgument,
    ) -> Result<Self, Failure> {
        let study = study(file)?;
        let file = file.display();
        if !matches!(study.input, Input::Images { .. }) {
            return Err(Failure::bad_input(format!("{file}: its rows are a table's, not images")));
        }
        let (of_study, of_bundle) = (study.target.classes.names(), &bundle.manifest.classes);
        if of_study != *of_bundle {
            return Err(Failure::bad_input(format!(
                "the bundle's models are for the classes {}, those of {file} are {}",
                of_bundle.join(", "),
                of_study.join(", ")
            )));
        }
        let found = Self::survey(&study, at)?;
        Self::usable(study, found, &SiteConfig::load(&at.home()?)?)
    }

    /// Everything that a study finds in the site's data.
    ///
    /// # Errors
    /// `site.toml` or the table can't be read.
    pub(super) fn survey(study: &Study, at: &HomeArgument) -> Result<Inspection, Failure> {
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let imaging = Imaging::Here { threads: config.data.image_threads.count() };
        let mut seen = Seen::open(&config);
        let issuer = issuer(&home, &config)?;
        Ok(survey(study, &config, &issuer, &imaging, &mut seen, &progress::shown())?)
    }

    /// The rows of that which take part.
    ///
    /// # Errors
    /// The data can't answer the study.
    pub(super) fn usable(
        study: Study,
        found: Inspection,
        config: &SiteConfig,
    ) -> Result<Self, Failure> {
        let cohort = found.cohort(config.data.problem_share).map_err(Failure::bad_input)?;
        let image = |row: CohortRow| match &row.input {
            RowInput::Image { path, .. } => Some((row.clone(), path.clone())),
            RowInput::Table(_) => None,
        };
        Ok(Self { rows: cohort.rows.into_iter().filter_map(image).collect(), study })
    }

    /// What a row is called here: the site's own key and its line in the manifest.
    pub(super) fn name(row: &CohortRow) -> String {
        format!("{}, line {}", row.patient, row.line)
    }

    /// A row's label, in words.
    pub(super) fn label(&self, row: &CohortRow) -> String {
        let classes = self.study.target.classes.names();
        let name = |class: u8| classes.get(usize::from(class)).cloned().unwrap_or_default();
        row.classes.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// A row's label and subgroups, in words.
    pub(super) fn facts(&self, row: &CohortRow) -> Vec<(String, String)> {
        let levels = self.study.subgroups.iter().zip(&row.levels).map(|(subgroup, &level)| {
            let names = subgroup.level_names();
            let level = names.get(usize::from(level)).cloned().unwrap_or_default();
            (subgroup.name.clone(), level)
        });
        [("Label".to_owned(), self.label(row))].into_iter().chain(levels).collect()
    }

    /// What people should know of rows that a bundle is used on.
    pub(super) fn said(&self, bundle: &ModelBundle) -> Vec<String> {
        let sites: Vec<&str> = bundle.manifest.sites.iter().map(|site| site.as_str()).collect();
        let mut said = vec![format!(
            "The models were fitted to the rows of {}. If this site is one of them they know \
             these rows already, and err less on them than on new patients.",
            sites.join(", ")
        )];
        if self.study.digest != bundle.manifest.study_digest {
            said.push(
                "The study file is another one than the bundle\u{2019}s: labels or cohort may \
                 be others, too."
                    .to_owned(),
            );
        }
        said
    }
}
