//! What a site says of a task: codes, numbers, digests, and released sums. No free text but the
//! names of devices and weights' preprocessing.

use wardround_core::digest::Digest;
use wardround_privacy::dominance::{LevelCell, RowsOfLevel};
use wardround_privacy::judge::Refusal;
use wardround_privacy::policy::{MinimumPatients, Policy, Rule};
use wardround_privacy::successive::TooNear;
use wardround_proto::v1;

use super::PackedAnswer;

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What the site thinks of a study.
    Verdict(Verdict),
    /// The cohort is frozen and its features are there.
    Enlisted(Enlisted),
    /// The answer to a query.
    Answer(PackedAnswer),
    /// It can't be done.
    Failure(Failure),
    /// A study's memory was dropped.
    Closed,
}

/// What the site thinks of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Empty when the site takes part.
    pub refusals: Vec<Refusal>,
    /// How large the cohort would be.
    pub counts: Counts,
    /// Rows whose features aren't in the site's cache yet.
    pub rows_to_extract: u64,
    /// Feature columns of each input.
    pub features: Vec<u32>,
}

/// The frozen cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlisted {
    /// Digest of the frozen list.
    pub lock: Digest,
    /// How large it is.
    pub counts: Counts,
    /// Feature columns of each input.
    pub features: Vec<u32>,
    /// Rows whose features are missing a value.
    pub rows_with_missing: u64,
    /// Where features come from.
    pub source: FeatureSource,
    /// Where this site computes.
    pub device: String,
    /// The rows set aside, by reason; a row with several counts in each.
    pub reasons: Vec<SetAside>,
    /// Levels in which one patient has more than the policy's share of the rows.
    pub dominated: Vec<LevelCell>,
    /// Where the rows come from.
    pub origin: Origin,
}

/// Where rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Patients.
    Patients,
    /// A generator; said wherever results are shown.
    Generator,
}

/// Rows that don't enter, for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAside {
    /// The reason, without what it is about.
    pub reason: SetAsideReason,
    /// Patients with such a row.
    pub patients: u64,
    /// Rows.
    pub rows: u64,
}

/// Why rows don't enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetAsideReason {
    /// Another number of cells than the header.
    Ragged,
    /// The same row, or the same image of the same patient, came before.
    Duplicate,
    /// No label.
    NoLabel,
    /// A label that the study doesn't know.
    UnknownLabel,
    /// No patient key.
    NoPatient,
    /// No path, or one that leads out of the images' folder.
    NoPath,
    /// An image that isn't there or can't be decoded.
    UnreadableImage,
    /// The same image under several patients or labels.
    ImageListedTwice,
    /// A value that isn't a number or not among those listed.
    UnusableValue,
    /// A value is missing, and the study drops such rows.
    MissingValue,
}

impl SetAsideReason {
    /// The word on the wire.
    pub fn code(self) -> &'static str {
        match self {
            SetAsideReason::Ragged => "ragged-row",
            SetAsideReason::Duplicate => "duplicate",
            SetAsideReason::NoLabel => "no-label",
            SetAsideReason::UnknownLabel => "unknown-label",
            SetAsideReason::NoPatient => "no-patient",
            SetAsideReason::NoPath => "no-path",
            SetAsideReason::UnreadableImage => "unreadable-image",
            SetAsideReason::ImageListedTwice => "image-listed-twice",
            SetAsideReason::UnusableValue => "unusable-value",
            SetAsideReason::MissingValue => "missing-value",
        }
    }
}

/// Where a cohort's features come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureSource {
    /// The manifest itself.
    Table,
    /// Backbones, in the study's order.
    Backbones(Vec<BackboneSource>),
}

/// A backbone that features come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackboneSource {
    /// SHA-256 of its weights.
    pub weights: Digest,
    /// How images are prepared, as the weights' entry or the study says (JSON).
    pub preprocess_json: String,
}

/// How large a cohort is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Patients.
    pub patients: u64,
    /// Rows.
    pub rows: u64,
    /// Rows with problems, and rows left out for missing values.
    pub set_aside: u64,
    /// Rows that don't pass the study's filters.
    pub filtered_out: u64,
}

/// Why a task can't be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A disclosure rule forbids it.
    Refused(Refusal),
    /// The cohort is too near to an earlier study's. Of it, study and minimum leave.
    TooNear(TooNear),
    /// Anything else: a code with its two numbers, as the wire documents them.
    Code(v1::FailureCode, u64, u64),
}

impl Outcome {
    pub(super) fn wire(&self, policy: &Policy) -> v1::submission::Outcome {
        use v1::submission::Outcome as Wire;
        match self {
            Outcome::Verdict(verdict) => Wire::Verdict(v1::Verdict {
                refusals: verdict.refusals.iter().map(refusal).collect(),
                patients: verdict.counts.patients,
                rows: verdict.counts.rows,
                set_aside: verdict.counts.set_aside,
                filtered_out: verdict.counts.filtered_out,
                rows_to_extract: verdict.rows_to_extract,
                features: verdict.features.clone(),
                policy: Some(rules(policy)),
            }),
            Outcome::Enlisted(enlisted) => {
                let (weights_digest, preprocess_json) = match &enlisted.source {
                    FeatureSource::Table => (Vec::new(), Vec::new()),
                    FeatureSource::Backbones(sources) => sources
                        .iter()
                        .map(|s| (s.weights.as_bytes().to_vec(), s.preprocess_json.clone()))
                        .unzip(),
                };
                Wire::Enlisted(v1::Enlisted {
                    lock_digest: enlisted.lock.as_bytes().to_vec(),
                    features: enlisted.features.clone(),
                    patients: enlisted.counts.patients,
                    rows: enlisted.counts.rows,
                    set_aside: enlisted.counts.set_aside,
                    filtered_out: enlisted.counts.filtered_out,
                    weights_digest,
                    preprocess_json,
                    device: enlisted.device.clone(),
                    policy: Some(rules(policy)),
                    rows_with_missing: enlisted.rows_with_missing,
                    reasons: enlisted.reasons.iter().map(set_aside).collect(),
                    synthetic: enlisted.origin == Origin::Generator,
                    dominated: enlisted.dominated.iter().map(level_cell).collect(),
                })
            }
            Outcome::Answer(answer) => Wire::Answer(v1::Answer { sum: Some(answer.message()) }),
            Outcome::Failure(failure) => Wire::Failure(failure.wire()),
            Outcome::Closed => Wire::Closed(v1::Closed {}),
        }
    }
}

impl Failure {
    fn wire(&self) -> v1::Failure {
        match self {
            Failure::Refused(refused) => v1::Failure {
                code: v1::FailureCode::Refused.into(),
                refusal: Some(refusal(refused)),
                ..v1::Failure::default()
            },
            Failure::TooNear(TooNear { earlier, minimum, .. }) => v1::Failure {
                code: v1::FailureCode::Refused.into(),
                refusal: Some(v1::Refusal {
                    rule: Rule::Successive.code().into(),
                    // How many patients differ stays here.
                    asked: 0,
                    allowed: *minimum,
                    study: earlier.as_str().into(),
                }),
                ..v1::Failure::default()
            },
            Failure::Code(code, first, second) => {
                v1::Failure { code: (*code).into(), first: *first, second: *second, refusal: None }
            }
        }
    }
}

fn refusal(refusal: &Refusal) -> v1::Refusal {
    let Refusal { rule, asked, allowed } = refusal;
    v1::Refusal { rule: rule.code().into(), asked: *asked, allowed: *allowed, study: String::new() }
}

fn set_aside(aside: &SetAside) -> v1::SetAside {
    let SetAside { reason, patients, rows } = *aside;
    v1::SetAside { reason: reason.code().into(), patients, rows }
}

fn level_cell(cell: &LevelCell) -> v1::LevelCell {
    let class = match cell.rows {
        RowsOfLevel::All => 0,
        RowsOfLevel::Class(class) => 1 + u32::from(class),
    };
    v1::LevelCell { column: cell.column.into(), level: cell.level.into(), class }
}

fn rules(policy: &Policy) -> v1::Policy {
    // A minimum is a 32-bit number.
    let patients = |minimum: MinimumPatients| minimum.get() as u32;
    v1::Policy {
        minimum_cohort: patients(policy.minimum_cohort),
        minimum_cell: patients(policy.minimum_cell),
        minimum_per_class_for_slice: patients(policy.minimum_per_class_for_slice),
        wide_sums: policy.wide_sums.code().into(),
        wide_share: policy.wide_share.get(),
        leave_one_site_out: policy.leave_one_site_out.code().into(),
        feature_rows: policy.feature_rows.code().into(),
        per_site_metrics: policy.per_site_metrics.code().into(),
        own_model: policy.own_model.code().into(),
        successive: policy.successive.code().into(),
        dominance: policy.dominance.get(),
    }
}
