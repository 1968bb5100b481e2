//! Before anything starts: what would a study cost, and which sites would refuse it?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{Input, Study};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use super::{Studies, internal, parse};
use crate::hub::{Failure, Listener, Outcome, RoundEnd, SiteProgress, Work, refusal_sentence};
use crate::round::Patience;

/// Sites have this long to read their manifest and say whether they take part.
const PATIENCE_MS: i64 = 120_000;

/// What a site says of a study.
pub(super) struct Opinion {
    pub(super) site: SiteId,
    pub(super) said: Said,
}

pub(super) enum Said {
    Verdict(v1::Verdict),
    Failed(Failure),
    NotConnected,
}

impl Opinion {
    /// Sentences of what keeps the site from taking part. A site that isn't connected says nothing:
    /// it is asked when it freezes its cohort.
    pub(super) fn refusals(&self) -> Vec<String> {
        match &self.said {
            Said::Verdict(verdict) => {
                verdict.refusals.iter().map(|r| refusal_sentence(&self.site, r)).collect()
            }
            Said::Failed(failure) => vec![failure.sentence(&self.site)],
            Said::NotConnected => Vec::new(),
        }
    }
}

struct Nobody;

impl Listener for Nobody {
    fn progress(&self, _site: &SiteId, _progress: SiteProgress) {}
    fn answered(&self, _site: &SiteId, _outcome: &Outcome) {}
}

impl Studies {
    /// What a study would cost and what each site would refuse; starts nothing.
    ///
    /// # Errors
    /// Mistakes in the file, or sites that aren't enrolled.
    pub async fn plan(&self, toml: &str) -> Result<Value, Problem> {
        let study = parse(toml)?;
        let sites = self.sites_of(&study)?;
        let opinions = self.consider(toml, &sites).await?;
        let features = opinions.iter().find_map(|o| match &o.said {
            Said::Verdict(verdict) if verdict.features.len() == study.inputs() => {
                Some(verdict.features.clone())
            }
            _ => None,
        });
        let features = features.or_else(|| table_features(&study));
        let cost = match features {
            Some(ref features) => {
                let schemas = study.schemas(features);
                let plan = wardround_learn::study::plan(&study, &schemas, &sites)
                    .map_err(|e| Problem::new(ProblemCode::BadInput, e.to_string()))?;
                let rows = opinions.iter().filter_map(|o| match &o.said {
                    Said::Verdict(verdict) => Some(verdict.rows),
                    _ => None,
                });
                let plan = plan.with_rows(&study, &schemas, rows.max().unwrap_or(0));
                serde_json::to_value(plan).map_err(internal)?
            }
            None => Value::Null,
        };
        let sites: Vec<Value> = opinions.iter().map(site_value).collect();
        Ok(json!({
            "format": 1, "study": study.name, "features": features, "cost": cost, "sites": sites,
        }))
    }

    /// Asks the connected sites.
    pub(super) async fn consider(
        &self,
        toml: &str,
        sites: &[SiteId],
    ) -> Result<Vec<Opinion>, Problem> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nonce = format!("{}-{}", self.clock.now().0, NEXT.fetch_add(1, Ordering::Relaxed));
        let work = Work::Consider { nonce, toml: toml.to_owned(), sites: sites.to_vec() };
        let connected: Vec<SiteId> =
            sites.iter().filter(|site| self.hub.is_connected(site)).cloned().collect();
        // A consideration belongs to no study yet; the id only names the task.
        let id = StudyId::parse("proposal").map_err(internal)?;
        let patience = Patience::Limited { ms: PATIENCE_MS };
        let asked = self.hub.ask(&id, work, &connected, patience, Arc::new(Nobody))?;
        let outcomes = match asked.end().await {
            RoundEnd::Complete(outcomes) | RoundEnd::Broken { outcomes, .. } => outcomes,
            RoundEnd::Withdrawn => Vec::new(),
        };
        let said = |site: &SiteId| {
            let outcome = outcomes.iter().find(|(s, _)| s == site).map(|(_, outcome)| outcome);
            match outcome {
                Some(Outcome::Verdict(verdict)) => Said::Verdict(verdict.clone()),
                Some(Outcome::Failed(failure)) => Said::Failed(failure.clone()),
                _ => Said::NotConnected,
            }
        };
        Ok(sites.iter().map(|site| Opinion { site: site.clone(), said: said(site) }).collect())
    }
}

fn table_features(study: &Study) -> Option<Vec<u32>> {
    match &study.input {
        Input::Table(table) => Some(vec![table.feature_names().len() as u32]),
        Input::Images { .. } => None,
    }
}

fn site_value(opinion: &Opinion) -> Value {
    let (connected, numbers) = match &opinion.said {
        Said::Verdict(v) => (
            true,
            json!({ "patients": v.patients, "rows": v.rows, "set_aside": v.set_aside,
                    "filtered_out": v.filtered_out, "rows_to_extract": v.rows_to_extract }),
        ),
        Said::Failed(_) => (true, Value::Null),
        Said::NotConnected => (false, Value::Null),
    };
    json!({
        "site": opinion.site, "connected": connected, "cohort": numbers,
        "refusals": opinion.refusals(),
    })
}
