//! The desk of a real site: its manifest, images, weights and feature cache.
//!
//! Every call reads the manifest anew: whoever corrects it needn't restart the agent. What an image
//! file's digest is, is remembered until the study closes, by path, size and time of change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{BackboneRule, Input, PreprocessRule, Study, WeightsRule};
use wardround_proto::v1::{FailureCode, Stage};
use wardround_vision::{
    BackboneEntry, ExtractError, Extractor, FeatureCache, FeatureKey, Interpolation, LocalWeights,
    Preprocess, WeightsError, WeightsStore, load_backbone,
};

use super::{Considered, Desk, OpenCohort, Watch};
use crate::config::{Home, SiteConfig};
use crate::data::{
    Broken, Cohort, Features, Held, Lock, LockError, Manifest, Obstacle, Reason, RowInput,
    SiteData, Unusable, inspect, look, rows,
};
use crate::egress::{
    Counts, Enlisted, Failure, FeatureSource, Origin, SetAside, SetAsideReason, Step,
};

/// Images that go through a network at a time.
const BATCH: usize = 8;

/// Progress while images are looked at is told once per so many.
const LOOKED_AT_STEP: u64 = 32;

/// A site's own data.
pub struct LocalDesk {
    home: Home,
    config: SiteConfig,
    me: SiteId,
    device: String,
    origin: Origin,
    looked: Mutex<HashMap<PathBuf, Looked>>,
}

/// An image file that was looked at.
struct Looked {
    size: u64,
    changed: SystemTime,
    digest: Digest,
}

/// Where a study's features come from, made ready.
enum Source {
    Table,
    Backbone { entry: &'static BackboneEntry, weights: LocalWeights, preprocess: Preprocess },
}

impl LocalDesk {
    /// The desk of the site `me`, which computes on `device`.
    pub fn new(home: Home, config: SiteConfig, me: SiteId, device: String, origin: Origin) -> Self {
        Self { home, config, me, device, origin, looked: Mutex::new(HashMap::new()) }
    }

    fn cohort(&self, study: &Study, watch: &Watch) -> Result<Cohort, Failure> {
        let manifest = Manifest::read(&self.config.data.manifest).map_err(|e| internal(&e))?;
        let total = manifest.lines().len() as u64;
        let checking = |done| watch.moved(Step { stage: Stage::Checking, done, total });
        checking(0);
        let seen = AtomicU64::new(0);
        let look = |path: &Path| {
            let done = seen.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(LOOKED_AT_STEP) {
                checking(done);
            }
            self.look(path)
        };
        let data = SiteData {
            manifest: &manifest,
            columns: &self.config.columns,
            images: &self.config.data.images,
            issuer: self.config.data.issuer.name(&self.me),
            look: &look,
            threads: self.config.data.image_threads.count(),
        };
        let found = inspect(study, &data);
        checking(total);
        wanted(watch)?;
        found.cohort(self.config.data.problem_share).map_err(|error| {
            tracing::error!(study = study.name, %error, "the data can't answer the study");
            unusable(&error)
        })
    }

    fn look(&self, path: &Path) -> Result<Digest, String> {
        let meta = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let changed = meta.modified().map_err(|error| format!("{}: {error}", path.display()))?;
        let looked = || self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = looked().get(path)
            && (known.size, known.changed) == (meta.len(), changed)
        {
            return Ok(known.digest);
        }
        let digest = look(path)?;
        looked().insert(path.to_owned(), Looked { size: meta.len(), changed, digest });
        Ok(digest)
    }

    fn source(&self, study: &Study, watch: &Watch) -> Result<Source, Failure> {
        let rule = match &study.input {
            Input::Table(_) => return Ok(Source::Table),
            Input::Images { backbone, .. } => backbone,
        };
        watch.moved(Step { stage: Stage::Weights, done: 0, total: 1 });
        let (entry, preprocess) = backbone(rule)?;
        let (source, digest) = match &rule.weights {
            WeightsRule::Shipped => (entry.source(), entry.digest()),
            WeightsRule::Pinned { source, sha256 } => (
                source.parse().map_err(|error: WeightsError| not_understood(&error))?,
                wardround_vision::Digest::Pinned(*sha256.as_bytes()),
            ),
        };
        let store = WeightsStore::new(self.config.weights.clone());
        let weights = store.fetch(&source, digest).map_err(|error| {
            tracing::error!(%error, "weights");
            Failure::Code(
                match error {
                    WeightsError::Digest { .. } => FailureCode::WeightsDiffer,
                    _ => FailureCode::WeightsMissing,
                },
                0,
                0,
            )
        })?;
        wanted(watch)?;
        Ok(Source::Backbone { entry, weights, preprocess })
    }

    fn cache(&self, source: &Source) -> Result<Option<FeatureCache>, Failure> {
        let Source::Backbone { entry, weights, preprocess } = source else { return Ok(None) };
        let key = FeatureKey {
            architecture: entry.architecture().name().to_owned(),
            weights: weights.digest,
            preprocess: preprocess.digest(),
        };
        FeatureCache::open(&self.config.cache.join("features"), &key)
            .map(Some)
            .map_err(|error| internal(&error))
    }

    /// The features of a cohort: a table's own, or a backbone's from the cache and, where they
    /// aren't there yet, from the images. The network is in memory only meanwhile.
    fn features(
        &self,
        source: &Source,
        cohort: &Cohort,
        watch: &Watch,
    ) -> Result<Features, Failure> {
        let Source::Backbone { entry, weights, preprocess } = source else {
            return Features::of_table(cohort).map_err(|error| internal(&error));
        };
        let Some(cache) = self.cache(source)? else { return Err(internal(&"no feature cache")) };
        let images = images(cohort);
        let mut found: Vec<Option<Vec<f32>>> =
            images.iter().map(|(_, digest)| cache.get(digest.as_bytes())).collect();
        let missing: Vec<usize> = (0..found.len()).filter(|&at| found[at].is_none()).collect();
        if !missing.is_empty() {
            let backbone = load_backbone(entry, weights).map_err(|error| internal(&error))?;
            let threads = self.config.data.image_threads.count();
            let extractor = Extractor::new(Arc::from(backbone), preprocess.clone(), threads, BATCH);
            let paths: Vec<PathBuf> = missing.iter().map(|&at| images[at].0.to_owned()).collect();
            let before = (images.len() - missing.len()) as u64;
            let cancel = AtomicBool::new(false);
            let moved = |progress: wardround_vision::Progress| {
                let done = before + progress.done as u64;
                watch.moved(Step { stage: Stage::Extracting, done, total: images.len() as u64 });
                cancel.store(!watch.is_wanted(), Ordering::Relaxed);
            };
            let extracted = extractor.run(&paths, &cache, &moved, &cancel).map_err(|error| {
                if !matches!(error, ExtractError::Cancelled { .. }) {
                    tracing::error!(%error, "extraction");
                }
                Failure::Code(FailureCode::Internal, 0, 0)
            })?;
            for (&at, extracted) in missing.iter().zip(extracted) {
                let extracted = extracted.map_err(|error| internal(&error))?;
                if extracted.digest != *images[at].1.as_bytes() {
                    let path = images[at].0.display();
                    return Err(internal(&format!("{path} changed while it was read")));
                }
                found[at] = Some(extracted.features);
            }
        }
        let rows: Option<Vec<Vec<f32>>> = found.into_iter().collect();
        let rows = rows.ok_or_else(|| internal(&"an image has no features"))?;
        Features::new::<f32, _>(rows).map_err(|error| internal(&error))
    }

    /// The frozen cohort with its features and what of it is frozen.
    fn held(
        &self,
        id: &StudyId,
        study: &Study,
        source: &Source,
        watch: &Watch,
    ) -> Result<(Cohort, Features, Held), Failure> {
        let cohort = self.cohort(study, watch)?;
        let features = self.features(source, &cohort, watch)?;
        let held = Lock::hold(&self.home.lock(id), id, study.digest, &cohort, &features);
        let held = held.map_err(|error| {
            tracing::error!(study = %id, %error, "the frozen cohort doesn't hold");
            broken(&error)
        })?;
        Ok((cohort, features, held))
    }

    fn study_file(&self, id: &StudyId) -> PathBuf {
        self.home.study(id).join("study.toml")
    }
}

impl Desk for LocalDesk {
    fn consider(&mut self, study: &Study, watch: &Watch) -> Result<Considered, Failure> {
        let cohort = self.cohort(study, watch)?;
        let counts = counts(&cohort, cohort.rows.len(), patients(&cohort, 0..cohort.rows.len()));
        match &study.input {
            Input::Table(table) => {
                let features = table.feature_names().len() as u32;
                Ok(Considered { counts, rows_to_extract: 0, features })
            }
            Input::Images { backbone: rule, .. } => {
                let (entry, _) = backbone(rule)?;
                let cache = self.cache(&self.source(study, watch)?)?;
                let missing = |digest: &Digest| {
                    cache.as_ref().is_none_or(|cache| cache.get(digest.as_bytes()).is_none())
                };
                let rows_to_extract =
                    images(&cohort).iter().filter(|(_, digest)| missing(digest)).count() as u64;
                Ok(Considered { counts, rows_to_extract, features: entry.features as u32 })
            }
        }
    }

    fn enlist(
        &mut self,
        id: &StudyId,
        study: &Study,
        study_toml: &str,
        watch: &Watch,
    ) -> Result<Enlisted, Failure> {
        let file = self.study_file(id);
        let written = fs::create_dir_all(self.home.study(id)).and_then(|()| {
            let beside = file.with_extension("new");
            fs::write(&beside, study_toml)?;
            fs::rename(&beside, &file)
        });
        written.map_err(|error| internal(&error))?;
        let source = self.source(study, watch)?;
        let (cohort, features, held) = self.held(id, study, &source, watch)?;
        let with_missing =
            held.taken.iter().filter(|&&at| features.row(at).iter().any(|v| v.is_nan())).count();
        let of_taken = patients(&cohort, held.taken.iter().copied());
        Ok(Enlisted {
            lock: held.digest,
            counts: counts(&cohort, held.taken.len(), of_taken),
            features: features.per_row() as u32,
            rows_with_missing: with_missing as u64,
            source: source.described(),
            device: self.device.clone(),
            reasons: reasons(&cohort),
            origin: self.origin,
        })
    }

    fn open(&mut self, id: &StudyId, watch: &Watch) -> Result<OpenCohort, Failure> {
        let not_enlisted = Failure::Code(FailureCode::NotEnlisted, 0, 0);
        if !self.home.lock(id).exists() {
            return Err(not_enlisted);
        }
        let text = fs::read_to_string(self.study_file(id)).map_err(|error| {
            tracing::error!(study = %id, %error, "the study's file");
            not_enlisted
        })?;
        let study = Study::parse(&text).map_err(|mistakes| not_understood(&mistakes))?;
        let source = self.source(&study, watch)?;
        let (cohort, features, held) = self.held(id, &study, &source, watch)?;
        let rows = rows(&study, &self.me, &cohort, &held.taken, &features)
            .map_err(|error| internal(&error))?;
        Ok(OpenCohort { rows, lock: held.digest })
    }

    fn close(&mut self, _: &StudyId) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }
}

impl Source {
    fn described(&self) -> FeatureSource {
        match self {
            Source::Table => FeatureSource::Table,
            Source::Backbone { weights, preprocess, .. } => FeatureSource::Backbone {
                weights: Digest::from_bytes(weights.digest),
                preprocess_json: serde_json::to_string(preprocess)
                    .expect("a preprocessing holds only numbers and words"),
            },
        }
    }
}

fn backbone(rule: &BackboneRule) -> Result<(&'static BackboneEntry, Preprocess), Failure> {
    let Some(entry) = BackboneEntry::find(&rule.name) else {
        tracing::error!(backbone = rule.name, "this software has no backbone of this name");
        return Err(Failure::Code(FailureCode::UnknownBackbone, 0, 0));
    };
    let preprocess = match &rule.preprocess {
        PreprocessRule::Shipped => entry.preprocess().clone(),
        PreprocessRule::Own { shorter_side, crop, mean, std } => Preprocess::new(
            *shorter_side as usize,
            *crop as usize,
            // A study names no filter: PIL's antialiased bicubic, as in every shipped entry.
            Interpolation::Bicubic,
            mean.map(|v| v as f32),
            std.map(|v| v as f32),
        )
        .map_err(|error| not_understood(&error))?,
    };
    Ok((entry, preprocess))
}

fn images(cohort: &Cohort) -> Vec<(&Path, Digest)> {
    let image = |input| match input {
        &RowInput::Image { ref path, digest } => Some((path.as_path(), digest)),
        RowInput::Table(_) => None,
    };
    cohort.rows.iter().filter_map(|row| image(&row.input)).collect()
}

fn patients(cohort: &Cohort, rows: impl Iterator<Item = usize>) -> usize {
    rows.map(|at| cohort.rows[at].patient.as_str()).collect::<BTreeSet<_>>().len()
}

fn counts(cohort: &Cohort, rows: usize, patients: usize) -> Counts {
    Counts {
        patients: patients as u64,
        rows: rows as u64,
        set_aside: (cohort.set_aside.len() + cohort.incomplete.len()) as u64,
        filtered_out: cohort.filtered_out as u64,
    }
}

fn reasons(cohort: &Cohort) -> Vec<SetAside> {
    let mut by_reason: BTreeMap<SetAsideReason, (BTreeSet<&str>, u64)> = BTreeMap::new();
    let mut count = |reason, patient| {
        let (patients, rows) = by_reason.entry(reason).or_default();
        patients.insert(patient);
        *rows += 1;
    };
    for row in &cohort.set_aside {
        let of_row: BTreeSet<SetAsideReason> = row.reasons.iter().map(code).collect();
        of_row.into_iter().for_each(|reason| count(reason, row.patient.as_str()));
    }
    for row in &cohort.incomplete {
        count(SetAsideReason::MissingValue, row.patient.as_str());
    }
    by_reason
        .into_iter()
        .map(|(reason, (patients, rows))| SetAside {
            reason,
            patients: patients.len() as u64,
            rows,
        })
        .collect()
}

/// The code of a reason: its text may hold values of the manifest and stays here.
fn code(reason: &Reason) -> SetAsideReason {
    match reason {
        Reason::Ragged { .. } => SetAsideReason::Ragged,
        Reason::DuplicateRow { .. } | Reason::DuplicateImage { .. } => SetAsideReason::Duplicate,
        Reason::NoLabel => SetAsideReason::NoLabel,
        Reason::UnknownLabel(_) => SetAsideReason::UnknownLabel,
        Reason::NoPatient => SetAsideReason::NoPatient,
        Reason::NoPath | Reason::PathLeaves(_) => SetAsideReason::NoPath,
        Reason::Unreadable(_) => SetAsideReason::UnreadableImage,
        Reason::ImageOfSeveralPatients { .. } | Reason::ImageWithSeveralLabels { .. } => {
            SetAsideReason::ImageListedTwice
        }
        Reason::NotANumber { .. } | Reason::UnknownCategory { .. } => SetAsideReason::UnusableValue,
    }
}

fn unusable(error: &Unusable) -> Failure {
    match error {
        Unusable::Obstacles(obstacles) => {
            let columns =
                obstacles.iter().filter(|o| matches!(o, Obstacle::MissingColumn { .. })).count();
            match columns {
                0 => Failure::Code(FailureCode::Internal, 0, 0),
                columns => Failure::Code(FailureCode::MissingColumns, columns as u64, 0),
            }
        }
        Unusable::TooManyProblems { problems, rows, .. } => {
            Failure::Code(FailureCode::DataProblems, *problems as u64, *rows as u64)
        }
        Unusable::Empty { .. } => Failure::Code(FailureCode::EmptyCohort, 0, 0),
    }
}

fn broken(error: &LockError) -> Failure {
    match error {
        LockError::Broken(rows, _) => {
            let gone = rows.iter().filter(|(_, how)| matches!(how, Broken::Vanished)).count();
            let changed = rows.len() - gone;
            Failure::Code(FailureCode::LockBroken, gone as u64, changed as u64)
        }
        _ => Failure::Code(FailureCode::Internal, 0, 0),
    }
}

fn wanted(watch: &Watch) -> Result<(), Failure> {
    if watch.is_wanted() { Ok(()) } else { Err(Failure::Code(FailureCode::Internal, 0, 0)) }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the site's data");
    Failure::Code(FailureCode::Internal, 0, 0)
}

fn not_understood(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "the study isn't understood");
    Failure::Code(FailureCode::NotUnderstood, 0, 0)
}
