//! What a report says beside its findings: policies, traffic, attempts. A function of the store, and
//! an entry of the export archive, so that the report can be made again without the store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{Input, Study};
use wardround_learn::recorded::Receipt;
use wardround_privacy::dominance::LevelCell;
use wardround_privacy::judge::Aggregation;
use wardround_privacy::policy::Policy;

use crate::report::{
    Attempt, Context, DataKind, NamedDigest, RoundCost, SetAsideCount, SiteContext, WeightsDigest,
};
use crate::store::{EnlistedSite, Store, StoreError};

/// What a report says beside its findings, the study, the model and the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportContext {
    /// Whether any site's rows are made up.
    pub data: DataKind,
    /// How sums reached the coordinator.
    pub aggregation: Aggregation,
    /// One per site that stayed.
    pub sites: Vec<ReportSite>,
    /// Every round, in order.
    pub rounds: Vec<RoundCost>,
    /// Runs that were given up before, oldest first.
    pub attempts: Vec<Attempt>,
    /// Digest of the backbone's weights.
    pub weights: WeightsDigest,
}

/// What a report says of a site beside its findings; the fields of [`SiteContext`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSite {
    /// The site.
    pub site: SiteId,
    /// Its disclosure rules.
    pub policy: Policy,
    /// Digest of its frozen cohort.
    pub lock: Digest,
    /// Where it computes.
    pub device: String,
    /// Rows set aside: reason, patients, rows.
    pub set_aside: Vec<(String, u64, u64)>,
    /// Levels in which one patient has more than its policy's share of the rows; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dominated: Vec<LevelCell>,
    /// Rounds that it answered.
    pub rounds: u64,
    /// Numbers in all sums that it sent.
    pub numbers_sent: u64,
    /// Rows times features.
    pub numbers_held: u64,
    /// Bytes from the site to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to the site.
    pub bytes_down: u64,
}

impl ReportContext {
    /// What the store holds of a study whose last round is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of(store: &Store, id: &StudyId, study: &Study) -> Result<Self, StoreError> {
        let sites: Vec<(SiteId, EnlistedSite)> = store
            .study_sites(id)?
            .into_iter()
            .filter_map(|(site, enlisted)| enlisted.map(|enlisted| (site, enlisted)))
            .collect();
        let synthetic = sites.iter().any(|(_, site)| site.synthetic);
        let weights = match (&study.input, sites.first()) {
            (Input::Images { backbones, .. }, Some((_, site))) => {
                let named = backbones.iter().zip(&site.weights).map(|(backbone, weights)| {
                    let sha256 =
                        weights.parse().map_err(|e| StoreError::Damaged(format!("{e}")))?;
                    Ok(NamedDigest { name: backbone.name.clone(), sha256 })
                });
                let mut named = named.collect::<Result<Vec<_>, StoreError>>()?;
                match named.len() {
                    1 => {
                        let NamedDigest { name, sha256 } = named.remove(0);
                        WeightsDigest::Backbone { name, sha256 }
                    }
                    _ => WeightsDigest::Backbones { backbones: named },
                }
            }
            _ => WeightsDigest::NoBackbone,
        };
        let attempts = store.lost_attempts(id)?.into_iter().map(|lost| Attempt {
            attempt: lost.attempt,
            sites: lost.sites,
            lost: lost.lost,
            round: lost.round,
            reason: lost.reason,
        });
        Ok(Self {
            data: if synthetic { DataKind::Synthetic } else { DataKind::Recorded },
            aggregation: Aggregation::Plain,
            sites: sites.into_iter().map(|s| site_of(store, id, s)).collect::<Result<_, _>>()?,
            rounds: rounds(store, id)?,
            attempts: attempts.collect(),
            weights,
        })
    }

    /// With the study, the model and the journal that the report is about.
    pub fn on(
        self,
        id: &StudyId,
        study: &Study,
        software: &str,
        bundle: Digest,
        journal_head: Digest,
    ) -> Context {
        Context {
            study_id: id.clone(),
            study: study.clone(),
            software: software.to_owned(),
            data: self.data,
            aggregation: self.aggregation,
            sites: self.sites.into_iter().map(SiteContext::from).collect(),
            rounds: self.rounds,
            attempts: self.attempts,
            bundle,
            weights: self.weights,
            journal_head,
            reports: Vec::new(),
        }
    }
}

impl From<ReportSite> for SiteContext {
    fn from(of: ReportSite) -> Self {
        let set_aside = |(reason, patients, images)| SetAsideCount { reason, patients, images };
        Self {
            site: of.site,
            policy: of.policy,
            lock: of.lock,
            device: of.device,
            set_aside: of.set_aside.into_iter().map(set_aside).collect(),
            dominated: of.dominated,
            rounds: of.rounds,
            numbers_sent: of.numbers_sent,
            numbers_held: of.numbers_held,
            bytes_up: of.bytes_up,
            bytes_down: of.bytes_down,
        }
    }
}

fn site_of(
    store: &Store,
    id: &StudyId,
    (site, enlisted): (SiteId, EnlistedSite),
) -> Result<ReportSite, StoreError> {
    let [bytes_down, bytes_up, numbers_sent, rounds] = store.traffic(id, &site)?;
    Ok(ReportSite {
        site,
        policy: enlisted.policy,
        lock: enlisted.lock,
        device: enlisted.device,
        set_aside: enlisted.reasons,
        dominated: enlisted.dominated,
        rounds,
        numbers_sent,
        numbers_held: enlisted.rows * enlisted.features.iter().copied().map(u64::from).sum::<u64>(),
        bytes_up,
        bytes_down,
    })
}

fn rounds(store: &Store, id: &StudyId) -> Result<Vec<RoundCost>, StoreError> {
    let mut seen = BTreeSet::new();
    store
        .journal(id)?
        .into_iter()
        .map(|entry| {
            let Receipt { query, what, numbers, .. } = entry.receipt;
            // A question that was decided twice has two lines; the first says what it cost.
            let [bytes_down, bytes_up, took_ms] = match seen.insert(query) {
                true => store.round_cost(id, &query)?,
                false => [0; 3],
            };
            Ok(RoundCost {
                round: entry.sequence,
                statistic: what,
                query: query.into(),
                numbers,
                bytes_up,
                bytes_down,
                took_ms,
            })
        })
        .collect()
}
