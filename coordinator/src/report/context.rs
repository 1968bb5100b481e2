//! What the coordinator knows about a study beyond its findings: the second input of a report.

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_privacy::dominance::LevelCell;
use wardround_privacy::judge::Aggregation;
use wardround_privacy::policy::Policy;

use super::model::{Attempt, DataKind, NamedDigest, RoundCost, WeightsDigest};

/// What a report needs beside [`wardround_learn::findings::Findings`].
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The study's id.
    pub study_id: StudyId,
    /// The study.
    pub study: Study,
    /// Name and version of this software, "wardround 0.1.0".
    pub software: String,
    /// Whether any site's rows are made up.
    pub data: DataKind,
    /// How sums reached the coordinator.
    pub aggregation: Aggregation,
    /// One entry per site of the findings, in any order.
    pub sites: Vec<SiteContext>,
    /// Every round, in order.
    pub rounds: Vec<RoundCost>,
    /// Runs that were given up before, oldest first.
    pub attempts: Vec<Attempt>,
    /// SHA-256 of the model bundle.
    pub bundle: Digest,
    /// Digest of the backbone's weights.
    pub weights: WeightsDigest,
    /// The last entry of the journal's chain.
    pub journal_head: Digest,
    /// Other reports on the same study.
    pub reports: Vec<NamedDigest>,
}

/// What the coordinator knows of a site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteContext {
    /// The site.
    pub site: SiteId,
    /// The policy that it declared when it joined the study. The strictest minimum of all sites
    /// holds for every table of the report.
    pub policy: Policy,
    /// Digest of its frozen cohort, as in its answers.
    pub lock: Digest,
    /// What computed its features: "cpu avx2", "cuda NVIDIA ...", "none" for a table.
    pub device: String,
    /// Rows that didn't enter, by reason.
    pub set_aside: Vec<SetAsideCount>,
    /// Levels in which one patient has more than its policy's share of the rows.
    pub dominated: Vec<LevelCell>,
    /// Rounds that it answered.
    pub rounds: u64,
    /// Numbers in all sums that it sent.
    pub numbers_sent: u64,
    /// Numbers in its frozen cohort: rows times features.
    pub numbers_held: u64,
    /// Bytes from the site to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to the site.
    pub bytes_down: u64,
}

/// Rows of a site that didn't enter, as the site counted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsideCount {
    /// Why.
    pub reason: String,
    /// Patients that lost at least one image.
    pub patients: u64,
    /// Images.
    pub images: u64,
}
