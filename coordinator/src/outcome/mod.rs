//! What a study leaves: model bundle and report, made from its findings when it ends, and made again
//! by the same functions when an auditor replays it, so that both can be compared by hash.

mod context;

use serde::{Deserialize, Serialize};
use wardround_core::digest::{Digest, DigestError};
use wardround_core::ids::StudyId;
use wardround_core::study::{Input, Study, WeightsRule};
use wardround_learn::bundle::{BundleError, BundleInput, BundleViews, FORMAT, ModelBundle};
use wardround_learn::findings::Findings;

pub use self::context::{ReportContext, ReportSite};
use crate::report::{BuildError, Report};
use crate::store::{Artefact, EnlistedSite, Store, StoreError};

/// Name and version of this software, as bundles, reports and archives state it.
pub const SOFTWARE: &str = concat!("wardround ", env!("CARGO_PKG_VERSION"));

/// Where the features of a study come from, as its sites agreed when they froze their cohorts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum FeatureSource {
    /// A table's columns.
    Table,
    /// Images through a backbone.
    Images {
        /// SHA-256 of each backbone's weights' file.
        #[serde(with = "crate::store::one_or_many")]
        weights: Vec<Digest>,
        /// How images are prepared for each backbone, JSON. Kept as text: numbers that are read and
        /// written again may change in their last digit.
        #[serde(with = "crate::store::one_or_many")]
        preprocess: Vec<String>,
    },
}

/// Why no bundle can be made.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// A site's statement of its weights is no digest.
    #[error("the digest of the weights: {0}")]
    Weights(#[from] DigestError),
    /// A site's statement of its preprocessing is no JSON.
    #[error("the preprocessing that the sites stated can't be read: {0}")]
    Preprocessing(serde_json::Error),
    /// A study on images whose sites computed features of a table, or the other way round.
    #[error("the study is on {study}, its sites computed features of {sites}")]
    Source {
        /// What the study says.
        study: &'static str,
        /// What its sites did.
        sites: &'static str,
    },
    /// The findings are of a combination that the study or its sites don't have.
    #[error("the findings chose combination {0}, which the study or its sites don't have")]
    Combination(usize),
    /// The findings make no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The findings make no report.
    #[error("the report can't be made: {0}")]
    Report(#[from] BuildError),
    /// No site stayed.
    #[error("a study that is done has no site")]
    NoSite,
    /// What the store says can't be read, or what is made can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes and keeps the bundle and the report of a study that is done; of one that judges a model, the report.
///
/// # Errors
/// [`OutcomeError`]; what was kept already is kept again, the same, at the next try.
pub fn finish(
    store: &Store,
    id: &StudyId,
    study: &Study,
    findings: &Findings,
) -> Result<(), OutcomeError> {
    let sites = store.study_sites(id)?;
    let site = sites.iter().find_map(|(_, enlisted)| enlisted.as_ref());
    let bundle = match study.evaluation() {
        // It was there before the study.
        Some(evaluation) => evaluation.model,
        None => {
            let source = FeatureSource::of(study, site.ok_or(OutcomeError::NoSite)?)?;
            let bundle = bundle(study, &source, findings, SOFTWARE, FORMAT)?;
            store.put_artefact(id, Artefact::Bundle, &bundle)?
        }
    };
    let head = store.journal_head(id)?.map_or(Digest::of(b""), |(_, chain)| chain);
    let context = ReportContext::of(store, id, study)?;
    let report = Report::build(findings, &context.on(id, study, SOFTWARE, bundle, head))?;
    store.put_artefact(id, Artefact::ReportJson, report.to_json().as_bytes())?;
    store.put_artefact(id, Artefact::ReportHtml, report.to_html().as_bytes())?;
    store.put_artefact(id, Artefact::ReportText, report.to_text().as_bytes())?;
    let findings = serde_json::to_vec(findings).map_err(|e| StoreError::Damaged(e.to_string()))?;
    store.put_artefact(id, Artefact::Findings, &findings)?;
    Ok(())
}

impl FeatureSource {
    /// What a site stated. The coordinator checks that all sites state the same.
    ///
    /// # Errors
    /// [`OutcomeError::Weights`].
    pub fn of(study: &Study, site: &EnlistedSite) -> Result<Self, OutcomeError> {
        match &study.input {
            Input::Table(_) => Ok(Self::Table),
            Input::Images { .. } => Ok(Self::Images {
                weights: site.weights.iter().map(|w| w.parse()).collect::<Result<_, _>>()?,
                preprocess: site.preprocess.clone(),
            }),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Images { .. } => "images",
        }
    }
}

/// The bytes of the model bundle: a function of its arguments and nothing else. `software` is the
/// name and version that fitted it and `format` the bundle's; a replay by a later version passes those in the archive.
///
/// # Errors
/// [`OutcomeError`] when the parts don't fit together.
pub fn bundle(
    study: &Study,
    source: &FeatureSource,
    findings: &Findings,
    software: &str,
    format: u32,
) -> Result<Vec<u8>, OutcomeError> {
    let chosen = study.combinations().get(findings.combination).map(|one| usize::from(one.input));
    let chosen = chosen.ok_or(OutcomeError::Combination(findings.combination))?;
    let input = match (&study.input, source) {
        (
            Input::Images { backbones, augmentation, .. },
            FeatureSource::Images { weights, preprocess },
        ) => {
            let (Some(backbone), Some(weights), Some(preprocess)) =
                (backbones.get(chosen), weights.get(chosen), preprocess.get(chosen))
            else {
                return Err(OutcomeError::Combination(findings.combination));
            };
            BundleInput::Images {
                backbone: backbone.name.clone(),
                weights_source: match &backbone.weights {
                    WeightsRule::Shipped => "shipped".to_owned(),
                    WeightsRule::Pinned { source, .. } => source.clone(),
                },
                weights_digest: *weights,
                preprocessing: serde_json::from_str(preprocess)
                    .map_err(OutcomeError::Preprocessing)?,
                precision: backbone.precision,
                views: BundleViews::of(augmentation, study.seed),
            }
        }
        (Input::Images { .. }, FeatureSource::Table) => {
            return Err(OutcomeError::Source { study: "images", sites: source.word() });
        }
        (Input::Table(_), _) => match (BundleInput::of_table(study), source) {
            (Some(input), FeatureSource::Table) => input,
            _ => return Err(OutcomeError::Source { study: "a table", sites: source.word() }),
        },
    };
    Ok(ModelBundle::new(study, findings, input, software).in_format(format).write()?)
}
