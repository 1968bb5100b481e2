//! The end of a study: model bundle and report, made from findings and from what the store holds.

use serde_json::json;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{Input, Study};
use wardround_learn::findings::Findings;
use wardround_privacy::judge::Aggregation;
use wardround_privacy::policy::Policy;
use wardround_proto::v1;

use super::Studies;
use crate::outcome::{self, FeatureSource, OutcomeError, SOFTWARE};
use crate::report::{
    Attempt, Context, DataKind, Report, RoundCost, SetAsideCount, SiteContext, WeightsDigest,
};
use crate::store::{Artefact, EnlistedSite, Store, StoreError, StudyRecord};

/// Makes and keeps bundle and report.
pub(super) fn finish(
    studies: &Studies,
    record: &StudyRecord,
    study: &Study,
    findings: &Findings,
) -> Result<(), StoreError> {
    let store = &studies.store;
    let sites: Vec<(SiteId, EnlistedSite)> = store
        .study_sites(&record.id)?
        .into_iter()
        .filter_map(|(site, enlisted)| enlisted.map(|e| (site, e)))
        .collect();
    let bundle = bundle(study, &sites, findings)?;
    let bundle = store.put_artefact(&record.id, Artefact::Bundle, &bundle)?;
    let context = context(store, &record.id, study, &sites, bundle)?;
    let report = Report::build(findings, &context)
        .map_err(|error| StoreError::Damaged(format!("the report can't be made: {error}")))?;
    store.put_artefact(&record.id, Artefact::ReportJson, report.to_json().as_bytes())?;
    store.put_artefact(&record.id, Artefact::ReportHtml, report.to_html().as_bytes())?;
    store.put_artefact(&record.id, Artefact::ReportText, report.to_text().as_bytes())?;
    let findings = serde_json::to_vec(findings).map_err(|e| StoreError::Damaged(e.to_string()))?;
    store.put_artefact(&record.id, Artefact::Findings, &findings)?;
    Ok(())
}

/// The bytes of the model bundle.
fn bundle(
    study: &Study,
    sites: &[(SiteId, EnlistedSite)],
    findings: &Findings,
) -> Result<Vec<u8>, StoreError> {
    let damaged = |error: OutcomeError| StoreError::Damaged(error.to_string());
    let Some((_, site)) = sites.first() else {
        return Err(StoreError::Damaged("a study that is done has no site".into()));
    };
    let source = FeatureSource::of(study, site).map_err(damaged)?;
    outcome::bundle(study, &source, findings, SOFTWARE).map_err(damaged)
}

/// A site's disclosure rules from its message.
pub(super) fn policy(message: &v1::Policy) -> Result<Policy, String> {
    let value = json!({
        "minimum_cohort": message.minimum_cohort,
        "minimum_cell": message.minimum_cell,
        "minimum_per_class_for_slice": message.minimum_per_class_for_slice,
        "wide_sums": message.wide_sums,
        "wide_share": message.wide_share,
        "leave_one_site_out": message.leave_one_site_out,
        "feature_rows": message.feature_rows,
        "per_site_metrics": message.per_site_metrics,
    });
    serde_json::from_value(value).map_err(|error| format!("a site's policy: {error}"))
}

fn context(
    store: &Store,
    id: &StudyId,
    study: &Study,
    sites: &[(SiteId, EnlistedSite)],
    bundle: Digest,
) -> Result<Context, StoreError> {
    let synthetic = sites.iter().any(|(_, site)| site.synthetic);
    let weights = match (&study.input, sites.first()) {
        (Input::Images { backbone, .. }, Some((_, site))) => WeightsDigest::Backbone {
            name: backbone.name.clone(),
            sha256: site.weights.parse().map_err(|e| StoreError::Damaged(format!("{e}")))?,
        },
        _ => WeightsDigest::NoBackbone,
    };
    let attempts = store.lost_attempts(id)?.into_iter().map(|lost| Attempt {
        attempt: lost.attempt,
        sites: lost.sites,
        lost: lost.lost,
        round: lost.round,
        reason: lost.reason,
    });
    Ok(Context {
        study_id: id.clone(),
        study: study.clone(),
        software: SOFTWARE.to_owned(),
        data: if synthetic { DataKind::Synthetic } else { DataKind::Recorded },
        aggregation: Aggregation::Plain,
        sites: sites.iter().map(|s| site_context(store, id, s)).collect::<Result<_, _>>()?,
        rounds: rounds(store, id)?,
        attempts: attempts.collect(),
        bundle,
        weights,
        journal_head: store.journal_head(id)?.map_or(Digest::of(b""), |(_, chain)| chain),
        reports: Vec::new(),
    })
}

fn site_context(
    store: &Store,
    id: &StudyId,
    (site, enlisted): &(SiteId, EnlistedSite),
) -> Result<SiteContext, StoreError> {
    let [bytes_down, bytes_up, numbers_sent, rounds] = store.traffic(id, site)?;
    Ok(SiteContext {
        site: site.clone(),
        policy: enlisted.policy.clone(),
        lock: enlisted.lock,
        device: enlisted.device.clone(),
        set_aside: enlisted
            .reasons
            .iter()
            .map(|(reason, patients, images)| SetAsideCount {
                reason: reason.clone(),
                patients: *patients,
                images: *images,
            })
            .collect(),
        rounds,
        numbers_sent,
        numbers_held: enlisted.rows * u64::from(enlisted.features),
        bytes_up,
        bytes_down,
    })
}

fn rounds(store: &Store, id: &StudyId) -> Result<Vec<RoundCost>, StoreError> {
    store
        .journal(id)?
        .into_iter()
        .map(|entry| {
            let [bytes_down, bytes_up, took_ms] = store.round_cost(id, &entry.query)?;
            Ok(RoundCost {
                round: entry.sequence,
                statistic: entry.what,
                query: entry.query,
                numbers: entry.numbers,
                bytes_up,
                bytes_down,
                took_ms,
            })
        })
        .collect()
}
