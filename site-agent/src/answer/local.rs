//! The desk of a real site: its manifest, images, weights and feature cache.
//!
//! Every call reads the manifest anew: whoever corrects it needn't restart the agent. Images are read
//! wherever [`Imaging`] says, and only those that weren't seen before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{Input, Study};
use wardround_learn::rows::Storage;
use wardround_privacy::dominance::{Largest, dominated_levels};
use wardround_privacy::policy::Consent;
use wardround_privacy::successive::Remembered;
use wardround_proto::v1::{FailureCode, Stage};
use wardround_vision::{WeightsError, WeightsStore};

use super::open::rarest;
use super::{Considered, Desk, OpenCohort, Watch};
use crate::config::{Home, SiteConfig};
use crate::data::{
    Answered, AnsweredError, Broken, Cohort, Features, FeaturesError, Held, Lock, LockError,
    Obstacle, Reason, RowInput, Unusable, rows,
};
use crate::egress::{
    BackboneSource, Counts, Enlisted, Failure, FeatureSource, Origin, SetAside, SetAsideReason,
    Step,
};
use crate::features::{
    Altered, Caches, Extract, Imaging, Kept, Moved, Ready, ReadyError, Seen, Settled, survey,
};

/// A site's own data.
pub struct LocalDesk {
    home: Home,
    config: SiteConfig,
    me: SiteId,
    device: Settled,
    /// Of the last extraction.
    kept: Kept,
    origin: Origin,
    imaging: Imaging,
    /// Read when it is needed, and dropped when a study closes.
    seen: Option<Seen>,
}

/// Where a study's features come from, made ready.
enum Source {
    Table,
    /// In the study's order.
    Backbones(Vec<Ready>),
}

impl LocalDesk {
    /// The desk of the site `me`, which computes on `device`.
    pub fn new(
        home: Home,
        config: SiteConfig,
        me: SiteId,
        device: Settled,
        origin: Origin,
    ) -> Self {
        let imaging = Imaging::Here { threads: config.data.image_threads.count() };
        Self { home, config, me, device, kept: Kept::Kept, origin, imaging, seen: None }
    }

    /// The same desk, which reads images elsewhere.
    pub fn with_imaging(self, imaging: Imaging) -> Self {
        Self { imaging, ..self }
    }

    fn cohort(&mut self, study: &Study, watch: &Watch) -> Result<Cohort, Failure> {
        let issuer = self.config.data.issuer.name(&self.me);
        let seen = self.seen.get_or_insert_with(|| Seen::open(&self.config));
        let found = survey(study, &self.config, issuer, &self.imaging, seen, watch)
            .map_err(|error| internal(&error))?;
        found.cohort(self.config.data.problem_share).map_err(|error| {
            tracing::error!(study = study.name, %error, "the data can't answer the study");
            unusable(&error)
        })
    }

    fn source(&self, study: &Study, watch: &Watch) -> Result<Source, Failure> {
        let (backbones, augmentation) = match &study.input {
            Input::Table(_) => return Ok(Source::Table),
            Input::Images { backbones, augmentation, .. } => (backbones, augmentation),
        };
        let store = WeightsStore::new(self.config.weights.clone());
        let total = backbones.len() as u64;
        let mut ready = Vec::with_capacity(backbones.len());
        for (done, rule) in (0..).zip(backbones) {
            watch.moved(Step { stage: Stage::Weights, done, total });
            let altered = Altered::for_fitting(augmentation, study.seed);
            let one = Ready::of_study(rule, altered, &store).map_err(|error| not_ready(&error))?;
            ready.push(one);
            wanted(watch)?;
        }
        Ok(Source::Backbones(ready))
    }

    fn cache(&self) -> PathBuf {
        self.config.cache.join("features")
    }

    /// The features of a cohort, input by input: a table's own, or each backbone's.
    fn features(
        &mut self,
        source: &Source,
        cohort: &Cohort,
        watch: &Watch,
    ) -> Result<Vec<Features>, Failure> {
        match source {
            Source::Table => {
                Features::of_table(cohort).map(|one| vec![one]).map_err(|error| internal(&error))
            }
            Source::Backbones(all) => {
                all.iter().map(|ready| self.computed(ready, cohort, watch)).collect()
            }
        }
    }

    /// A backbone's features from the cache and, where they aren't there yet, from the images.
    fn computed(
        &mut self,
        ready: &Ready,
        cohort: &Cohort,
        watch: &Watch,
    ) -> Result<Features, Failure> {
        let images = images(cohort);
        // It stays open as long as its features are read, so that nobody prunes it meanwhile.
        let caches = Caches::open(ready, &self.cache()).map_err(|error| internal(&error))?;
        let missing: Vec<&(&Path, Digest)> =
            images.iter().filter(|(_, digest)| !caches.has(digest)).collect();
        if !missing.is_empty() {
            let (total, before) = (images.len() as u64, (images.len() - missing.len()) as u64);
            let moved = |at: Moved| {
                watch.moved(Step { stage: Stage::Extracting, done: before + at.done, total });
            };
            let paths: Vec<PathBuf> = missing.iter().map(|(path, _)| path.to_path_buf()).collect();
            let what =
                Extract { ready, cache: &self.cache(), device: self.device.choice, measure: false };
            let extracted = self
                .imaging
                .extract(what, paths, watch, &moved)
                .map_err(|error| internal(&error))?;
            self.kept = extracted.kept;
            for ((path, digest), extracted) in missing.into_iter().zip(extracted.images) {
                let now = extracted.map_err(|error| internal(&error))?;
                if now != *digest {
                    return Err(internal(&format!("{} changed meanwhile", path.display())));
                }
            }
            caches.refresh().map_err(|error| internal(&error))?;
        }
        let images = images.into_iter().map(|(_, digest)| digest).collect();
        let each = usize::from(ready.altered.count());
        Ok(Features::cached(caches, ready.entry.features, each, images))
    }

    /// The frozen cohort with its features and what of it is frozen.
    fn held(
        &mut self,
        id: &StudyId,
        study: &Study,
        source: &Source,
        watch: &Watch,
    ) -> Result<(Cohort, Vec<Features>, Held), Failure> {
        let cohort = self.cohort(study, watch)?;
        let features = self.features(source, &cohort, watch)?;
        let held = Lock::hold(&self.home.lock(id), id, study.digest, &cohort, &features);
        let held = held.map_err(|error| {
            tracing::error!(study = %id, %error, "the frozen cohort doesn't hold");
            broken(&error)
        })?;
        Ok((cohort, features, held))
    }

    /// Compares a cohort with those that were answered, unless the owner lets reports be subtracted.
    fn apart(&self, answered: &Answered, cohort: &Remembered) -> Result<(), Failure> {
        match self.config.policy.successive {
            Consent::Allowed => Ok(()),
            Consent::Refused => answered
                .compare(cohort, self.config.policy.minimum_cell)
                .map_err(|error| not_apart(cohort, error)),
        }
    }

    /// The same of a frozen cohort.
    fn lock_apart(&self, id: &StudyId, study: &Study) -> Result<(), Failure> {
        let lock = Lock::read(&self.home.lock(id)).map_err(|error| internal(&error))?;
        let answered = self.answered()?;
        self.apart(&answered, &answered.of_lock(id, study, &lock))
    }

    /// The cohorts that were answered.
    fn answered(&self) -> Result<Answered, Failure> {
        Answered::open(self.home.answered()).map_err(|error| internal(&error))
    }

    /// A study as it was enlisted.
    fn enlisted(&self, id: &StudyId) -> Result<Study, Failure> {
        let text = fs::read_to_string(self.study_file(id)).map_err(|error| {
            tracing::error!(study = %id, %error, "the study's file");
            Failure::Code(FailureCode::NotEnlisted, 0, 0)
        })?;
        Study::parse(&text).map_err(|mistakes| not_understood(&mistakes))
    }

    fn study_file(&self, id: &StudyId) -> PathBuf {
        self.home.study(id).join("study.toml")
    }
}

impl Desk for LocalDesk {
    fn consider(&mut self, study: &Study, watch: &Watch) -> Result<Considered, Failure> {
        let cohort = self.cohort(study, watch)?;
        // Not a verdict with counts: two of them would tell how many patients differ.
        let answered = self.answered()?;
        self.apart(&answered, &answered.of_cohort(&proposal(), study, &cohort))?;
        let counts = counts(&cohort, cohort.rows.len(), patients(&cohort, 0..cohort.rows.len()));
        let each = cohort.rows.iter().map(|row| (row.patient.as_str(), row.classes));
        let of_rarest_class = rarest(each);
        let each = cohort.rows.iter().map(|row| (row.patient.as_str(), row.classes));
        let largest = Largest::of_cohort(each, self.config.policy.minimum_cell);
        match &study.input {
            Input::Table(table) => {
                let features = table.feature_names().len() as u32;
                Ok(Considered {
                    counts,
                    of_rarest_class,
                    largest,
                    rows_to_extract: 0,
                    features: vec![features],
                })
            }
            Input::Images { .. } => {
                let source = self.source(study, watch)?;
                let Source::Backbones(all) = source else {
                    return Err(internal(&"images without a backbone"));
                };
                let (mut rows_to_extract, mut features) = (0, Vec::new());
                for ready in &all {
                    let caches =
                        Caches::open(ready, &self.cache()).map_err(|error| internal(&error))?;
                    let missing = |(_, digest): &&(&Path, Digest)| !caches.has(digest);
                    rows_to_extract += images(&cohort).iter().filter(missing).count() as u64;
                    features.push(ready.entry.features as u32);
                }
                Ok(Considered { counts, of_rarest_class, largest, rows_to_extract, features })
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
        // It may have been over, and be resumed.
        match fs::remove_file(self.home.closed(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(internal(&error)),
            _ => {}
        }
        let source = self.source(study, watch)?;
        let lock = self.home.lock(id);
        let frozen_before = lock.exists();
        let (cohort, features, held) = self.held(id, study, &source, watch)?;
        if let Err(failure) = self.lock_apart(id, study) {
            // It isn't frozen: once more patients have come, the study may be tried again.
            if !frozen_before {
                fs::remove_file(&lock).map_err(|error| internal(&error))?;
            }
            return Err(failure);
        }
        let with_missing = with_missing(&features, &held.taken).map_err(|e| internal(&e))?;
        let of_taken = patients(&cohort, held.taken.iter().copied());
        let of_rows = held.taken.iter().map(|&at| {
            let row = &cohort.rows[at];
            (row.patient.as_str(), row.classes, row.levels.clone())
        });
        let policy = &self.config.policy;
        Ok(Enlisted {
            lock: held.digest,
            counts: counts(&cohort, held.taken.len(), of_taken),
            features: features.iter().map(|one| one.per_row() as u32).collect(),
            rows_with_missing: with_missing,
            source: source.described(),
            device: match self.kept {
                Kept::Kept => self.device.engine.clone(),
                Kept::Fell => self.device.fallen(),
            },
            reasons: reasons(&cohort),
            dominated: dominated_levels(of_rows, policy.minimum_cell, policy.dominance),
            origin: self.origin,
        })
    }

    fn open(&mut self, id: &StudyId, watch: &Watch) -> Result<OpenCohort, Failure> {
        if !self.home.lock(id).exists() {
            return Err(Failure::Code(FailureCode::NotEnlisted, 0, 0));
        }
        let study = self.enlisted(id)?;
        let source = self.source(&study, watch)?;
        let (cohort, features, held) = self.held(id, &study, &source, watch)?;
        fs::create_dir_all(&self.config.cache).map_err(|error| internal(&error))?;
        let storage = Storage::disk(&self.config.cache);
        let of_input = |one| {
            rows(&study, &self.me, &cohort, &held.taken, one, storage.clone())
                .map_err(|error| internal(&error))
        };
        let rows = features.iter().map(of_input).collect::<Result<_, _>>()?;
        Ok(OpenCohort { rows, lock: held.digest })
    }

    fn answering(&mut self, id: &StudyId) -> Result<(), Failure> {
        let study = self.enlisted(id)?;
        let lock = Lock::read(&self.home.lock(id)).map_err(|error| internal(&error))?;
        let answered = self.answered()?;
        let cohort = answered.of_lock(id, &study, &lock);
        if answered.knows(&cohort).map_err(|error| internal(&error))? {
            return Ok(());
        }
        // Another study may have been answered since this one was enlisted.
        self.apart(&answered, &cohort)?;
        answered.remember(&cohort).map(|_| ()).map_err(|error| internal(&error))
    }

    fn close(&mut self, id: &StudyId) {
        self.seen = None;
        let closed = self.home.closed(id);
        // A study that only seems to run keeps its features from being pruned, no more.
        if let Err(error) = fs::write(&closed, b"") {
            tracing::warn!(study = %id, %error, "that the study is over isn't written down");
        }
    }
}

impl Source {
    fn described(&self) -> FeatureSource {
        match self {
            Source::Table => FeatureSource::Table,
            Source::Backbones(all) => {
                let described = |ready: &Ready| BackboneSource {
                    weights: Digest::from_bytes(ready.weights.digest),
                    preprocess_json: serde_json::to_string(&ready.preprocess)
                        .expect("a preprocessing holds only numbers and words"),
                };
                FeatureSource::Backbones(all.iter().map(described).collect())
            }
        }
    }
}

/// Why there is no backbone: the sentence stays in this site's log.
fn not_ready(error: &ReadyError) -> Failure {
    tracing::error!(%error, "the backbone isn't ready");
    let code = match error {
        ReadyError::UnknownBackbone { .. } => FailureCode::UnknownBackbone,
        ReadyError::Weights(WeightsError::Digest { .. }) => FailureCode::WeightsDiffer,
        ReadyError::Unpinned { .. } => FailureCode::WeightsUnpinned,
        ReadyError::Weights(WeightsError::Source { .. })
        | ReadyError::Preprocess(_)
        | ReadyError::Precision { .. }
        | ReadyError::Unreadable(_) => FailureCode::NotUnderstood,
        ReadyError::Weights(_) => FailureCode::WeightsMissing,
    };
    Failure::Code(code, 0, 0)
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

/// How many of some rows miss a feature.
fn with_missing(features: &[Features], taken: &[usize]) -> Result<u64, FeaturesError> {
    let mut count = 0;
    for &at in taken {
        for one in features {
            if one.row(at)?.iter().any(|value| value.is_nan()) {
                count += 1;
                break;
            }
        }
    }
    Ok(count)
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
        Reason::NotANumber { .. }
        | Reason::NotAWeight { .. }
        | Reason::UnknownCategory { .. }
        | Reason::NoExam
        | Reason::ExamOfSeveralPatients { .. } => SetAsideReason::UnusableValue,
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

fn not_apart(cohort: &Remembered, error: AnsweredError) -> Failure {
    match error {
        AnsweredError::TooNear(near) => {
            tracing::warn!(study = %cohort.study, %near, "the cohort isn't answered about");
            Failure::TooNear(near)
        }
        other => internal(&other),
    }
}

/// The name of a study that has none yet.
fn proposal() -> StudyId {
    StudyId::parse("proposal").expect("small letters are an id")
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
