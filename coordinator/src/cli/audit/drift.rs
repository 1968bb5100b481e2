//! `audit drift`: a finished model's figures over time, study by study, beside those of the study that fitted it.
//!
//! Studies are told apart by the digest of the bundle that they judged. Figures of successive evaluations may be of the same patients in
//! part, and no report says which: their differences have no interval.

use clap::Args;
use serde_json::{Value, json};
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::Study;
use wardround_proto::v1;

use super::source::cell;
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Exit, Failure, moment, moment_value, table};
use crate::report::{DriftState, Estimate, Report};

/// A finished model over time: every evaluation of it, beside its training (leads and auditors)
///
/// Ends with exit code 1 where the latest evaluation that is done has an alarm, so that a timer can
/// act on it; with 0 where it is within its limits, on watch, or sets none.
#[derive(Debug, Args)]
pub struct Drift {
    /// The SHA-256 of the model's bundle, or the id of a study that fitted or judged it
    model: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// A study that is done.
struct Step {
    info: v1::StudyInfo,
    /// Whether it judged the model; else it fitted it.
    evaluates: bool,
    report: Report,
}

impl Drift {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let infos = self.remote.studies().await?;
        let model = self.digest(&infos).await?;
        let mut steps = Vec::new();
        for info in infos.into_iter().filter(|info| info.state == "done") {
            let id = id(&info.id)?;
            let judged = self.judged(&id).await?;
            if judged.is_some_and(|judged| judged != model) {
                continue;
            }
            // One of an older format is of no evaluation, and may be left out.
            let Ok(report) = self.remote.report(&id).await else { continue };
            if report.digests.bundle.to_string() == model.to_string() {
                steps.push(Step { info, evaluates: judged.is_some(), report });
            }
        }
        steps.sort_by_key(|step| (step.evaluates, step.info.submitted_ms));
        if steps.is_empty() {
            let why = format!("no study that is done fitted or judged the model {model}");
            return Err(Failure::bad_input(why));
        }
        let alarms = steps.last().map_or(Vec::new(), |step| step.report.evaluation.alarms());
        let (data, text) = (value(&model, &steps), words(&model, &steps));
        if alarms.is_empty() {
            return Ok(Answer::Data { data, text });
        }
        let sentence = match self.output.format {
            crate::cli::output::Format::Text => format!("{text}\n\n{}", alarms.join("\n")),
            crate::cli::output::Format::Json => alarms.join("\n"),
        };
        Err(Failure { detail: data, ..Failure::new("drift-alarm", Exit::StudyFailed, sentence) })
    }

    /// Which model is meant.
    async fn digest(&self, infos: &[v1::StudyInfo]) -> Result<Digest, Failure> {
        if let Ok(digest) = self.model.parse() {
            return Ok(digest);
        }
        if !infos.iter().any(|info| info.id == self.model) {
            let why = format!(
                "'{}' is neither a SHA-256 (64 hexadecimal digits) nor a study: `wardround study list` lists them",
                self.model
            );
            return Err(Failure::bad_input(why));
        }
        let study = id(&self.model)?;
        if let Some(model) = self.judged(&study).await? {
            return Ok(model);
        }
        let report = self.remote.report(&study).await?;
        let digest = report.digests.bundle.to_string();
        digest
            .parse()
            .map_err(|_| Failure::internal(format!("study {study} has no digest of a bundle")))
    }

    /// The model that a study judges; nothing of one that fits models, or whose file this version can't read.
    async fn judged(&self, study: &StudyId) -> Result<Option<Digest>, Failure> {
        let bytes = self.remote.fetch(study, v1::Artefact::StudyFile).await?;
        let study = std::str::from_utf8(&bytes).ok().and_then(|text| Study::parse(text).ok());
        Ok(study.and_then(|study| study.evaluation().map(|evaluation| evaluation.model)))
    }
}

fn id(text: &str) -> Result<StudyId, Failure> {
    StudyId::parse(text).map_err(|error| Failure::internal(format!("study '{text}': {error}")))
}

/// The worst of a class's limits.
fn state(step: &Step, class: &str) -> &'static str {
    let rows = || step.report.evaluation.drift().iter().filter(|row| row.class == class);
    for worst in [DriftState::Alarm, DriftState::Watch, DriftState::NotJudged, DriftState::Within] {
        if rows().any(|row| row.state == worst) {
            return worst.word();
        }
    }
    if step.evaluates { "no limits" } else { "training" }
}

fn named<'a>(report: &'a Report, at: usize, name: &str) -> Option<&'a Estimate> {
    let mut more = report.pooled[at].figures.more.iter();
    more.find(|named| named.name == name).map(|named| &named.estimate)
}

/// The share of positive rows, where both counts are shown.
fn prevalence(report: &Report, at: usize) -> Option<f64> {
    let images = &report.pooled[at].figures.images;
    let (negative, positive) = (images.negative.number()?, images.positive.number()?);
    let all = negative + positive;
    (all > 0).then(|| (1e6 * positive as f64 / all as f64).round() / 1e6)
}

fn value(model: &Digest, steps: &[Step]) -> Value {
    let of_step = |step: &Step| {
        let report = &step.report;
        let classes = report.pooled.iter().enumerate().map(|(at, section)| {
            json!({
                "class": section.class, "state": state(step, &section.class),
                "patients": section.figures.patients, "images": section.figures.images,
                "prevalence": prevalence(report, at),
                "auc_within_sites": section.auc_within_sites, "brier": section.figures.brier,
                "calibration_slope": named(report, at, "calibration_slope"),
                "calibration_in_the_large": named(report, at, "calibration_in_the_large"),
            })
        });
        json!({
            "study": step.info.id, "name": step.info.name, "by": step.info.submitted_by,
            "submitted": moment_value(step.info.submitted_ms),
            "role": if step.evaluates { "evaluation" } else { "training" },
            "sites": report.cohort.sites.iter().map(|site| &site.site).collect::<Vec<_>>(),
            "classes": classes.collect::<Vec<_>>(), "drift": report.evaluation.drift(),
        })
    };
    json!({ "model": model, "studies": steps.iter().map(of_step).collect::<Vec<_>>() })
}

fn words(model: &Digest, steps: &[Step]) -> String {
    let head = [
        "study",
        "when",
        "sites",
        "class",
        "patients",
        "prevalence",
        "AUC within sites (95 %)",
        "calibration slope",
        "in the large",
        "state",
    ];
    let mut rows = Vec::new();
    for step in steps {
        let report = &step.report;
        let sites = report.cohort.sites.iter().map(|site| site.site.as_str()).collect::<Vec<_>>();
        for (at, section) in report.pooled.iter().enumerate() {
            let figure = |name| named(report, at, name).map_or("-".to_owned(), cell);
            rows.push(vec![
                step.info.id.clone(),
                moment(step.info.submitted_ms),
                sites.join(" "),
                section.class.clone(),
                report.cohort.all.patients.to_string(),
                prevalence(report, at).map_or("withheld".to_owned(), |share| format!("{share:.3}")),
                cell(&section.auc_within_sites),
                figure("calibration_slope"),
                figure("calibration_in_the_large"),
                state(step, &section.class).to_owned(),
            ]);
        }
    }
    let trained = match steps.iter().any(|step| !step.evaluates) {
        true => "The first line is the training study's own figure, from nested folds.",
        false => "The study that fitted the model isn\u{2019}t one of this coordinator\u{2019}s.",
    };
    format!(
        "model {model}\n\n{}\n\n{trained} Evaluations may share patients, so their differences have no interval.",
        table(&head, &rows)
    )
}
