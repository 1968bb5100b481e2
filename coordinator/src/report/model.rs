//! The report: what `report.json` holds, field by field, and the one source of the page and of the
//! terminal's table.
//!
//! Everything in here has been through disclosure control once (see [`super::disclose`]); whoever
//! holds a [`Report`] can print any of it. A report has no date and no running time that would
//! change between two runs on the same rows, except the rounds' durations; who did what and when
//! stands in the journal.

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::seed::Seed;
use wardround_core::study::GridPoint;
use wardround_learn::findings::TreeCounts;
use wardround_privacy::judge::Aggregation;

use super::classes::ClassesSection;
use super::comparison::ComparisonSection;
use super::curve::LearningCurveSection;
use super::decision::DecisionPoint;
use super::edition::{Edition, ShownDigest};
use super::evaluation::EvaluationSection;
use super::fairness::FairnessSection;
use super::importance::ImportanceSection;
use super::joining::{MatrixSection, OwnSitesSection};
use super::outliers::OutlierSection;
use super::race::RaceSection;
use super::readers::ReadersSection;
use super::shortcuts::{ShiftSection, ShortcutsSection};
use super::statements::Statements;
use super::together::SitesTogether;
use super::uncertainty::UncertaintySection;
use super::values::{Calibration, Count, Curve, Estimate, grouped};

/// The format that this software writes.
pub const FORMAT: u32 = 7;

/// A finished study's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Whether it is a copy for readers elsewhere; left out where it isn't.
    #[serde(default, skip_serializing_if = "Edition::is_original")]
    pub edition: Edition,
    /// Name and version of the software that wrote it.
    pub software: String,
    /// Whether the rows are made up.
    pub data: DataKind,
    /// What was studied.
    pub study: StudySection,
    /// What the coordinator could see.
    pub protection: Protection,
    /// Who is in it.
    pub cohort: CohortSection,
    /// The models, one entry per modelled class.
    pub models: Vec<ModelSection>,
    /// The chosen model on all sites, one entry per modelled class.
    pub pooled: Vec<PooledSection>,
    /// The chosen model at each site, one entry per modelled class.
    pub sites: Vec<SitesSection>,
    /// The chosen model in each subgroup, one entry per modelled class.
    pub subgroups: Vec<SubgroupsSection>,
    /// How far subgroups lie apart, one entry per modelled class.
    pub fairness: Vec<FairnessSection>,
    /// Recalibration, conformal sets and abstention, one entry per modelled class.
    pub uncertainty: Vec<UncertaintySection>,
    /// Models that never saw the site they are judged at; one entry per modelled class.
    pub leave_one_site_out: Vec<LeftOutSection>,
    /// Several classes together.
    pub classes: ClassesSection,
    /// The study's classifiers beside each other.
    pub comparison: ComparisonSection,
    /// Each site's own model beside the federated one.
    pub own_sites: OwnSitesSection,
    /// Models of single sites at every site.
    pub matrix: MatrixSection,
    /// What more patients would be worth.
    pub learning_curve: LearningCurveSection,
    /// How well features tell sites and subgroups, and whether scores follow them.
    pub shortcuts: ShortcutsSection,
    /// How far sites lie apart.
    pub shift: ShiftSection,
    /// How unlike rows are to those that the final model was fitted to.
    pub outliers: OutlierSection,
    /// What the final models look at, one entry per modelled class.
    pub importance: Vec<ImportanceSection>,
    /// How far two readers of the same images agree.
    pub readers: ReadersSection,
    /// The finished model that was judged, where nothing was fitted.
    pub evaluation: EvaluationSection,
    /// What it cost.
    pub rounds: RoundsSection,
    /// Which sites each model was fitted on.
    pub sites_of_every_model: Vec<ModelSites>,
    /// Runs that were given up before this one, oldest first.
    pub attempts: Vec<Attempt>,
    /// Digests of what belongs to this report.
    pub digests: Digests,
    /// What people wrote; nothing in the report that the coordinator keeps.
    pub statements: Statements,
}

/// Whether rows come from people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// Phantoms drawn by a generator; said wherever results are shown.
    Synthetic,
    /// What the sites' own files hold.
    Recorded,
}

/// What was studied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySection {
    /// Its id.
    pub id: StudyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the study file.
    pub digest: ShownDigest,
    /// The label column.
    pub target: String,
    /// A name per class code.
    pub classes: Vec<String>,
    /// What the patient key names: "patient", "lesion", ...
    pub unit: String,
    /// What a row is: "image", or "row" of a table.
    pub row: String,
    /// What is judged.
    pub judged: JudgedSection,
    /// Where features come from, in words.
    pub input: String,
    /// What is fitted, in words.
    pub classifier: String,
    /// The seed.
    pub seed: Seed,
    /// Which figure chose among grid points: "within-sites" or "one-list".
    pub chosen_by: String,
    /// What the threshold was chosen for, in words.
    pub threshold_for: String,
    /// The whole study file, as it was read.
    pub parsed: serde_json::Value,
}

/// What is judged: the counts beside figures are of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedSection {
    /// What it is called: "image" or "row", "exam", or what the patient key names.
    pub name: String,
    /// What it is, and what its score, its class and its subgroup are.
    pub sentence: String,
}

/// What the coordinator could see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// How sums reached the coordinator.
    pub aggregation: Aggregation,
    /// The same in words; the report opens with it.
    pub sentence: String,
    /// Per site: what it sent and what it holds.
    pub sites: Vec<NumbersOfSite>,
    /// Every rule that a site's owner loosened.
    pub loosenings: Vec<Loosening>,
}

impl Protection {
    /// Equal loosenings once, each with its sites in words: "all 4 sites" or their names.
    pub fn by_rule(&self) -> Vec<(&Loosening, String)> {
        let mut list: Vec<(&Loosening, Vec<&str>)> = Vec::new();
        for loosening in &self.loosenings {
            let same = |known: &Loosening| {
                (&known.rule, &known.now, &known.default)
                    == (&loosening.rule, &loosening.now, &loosening.default)
            };
            match list.iter_mut().find(|(known, _)| same(known)) {
                Some((_, sites)) => sites.push(loosening.site.as_str()),
                None => list.push((loosening, vec![loosening.site.as_str()])),
            }
        }
        let all = self.sites.len();
        let words = |sites: Vec<&str>| match sites.len() {
            count if count == all && all > 1 => format!("all {all} sites"),
            _ => sites.join(", "),
        };
        list.into_iter().map(|(loosening, sites)| (loosening, words(sites))).collect()
    }
}

/// How much a site sent beside how much it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumbersOfSite {
    /// The site.
    pub site: SiteId,
    /// Numbers in all sums that it sent.
    pub numbers_sent: u64,
    /// Numbers in its frozen cohort: rows times features. Withheld where its patients are.
    pub numbers_held: Count,
}

/// A disclosure rule that a site's owner loosened by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loosening {
    /// The site.
    pub site: SiteId,
    /// The rule as the site's file names it.
    pub rule: String,
    /// What it is untouched.
    pub default: String,
    /// What the owner set.
    pub now: String,
}

/// Who is in the study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortSection {
    /// All sites together.
    pub all: CohortCell,
    /// Each site.
    pub sites: Vec<CohortSite>,
    /// Each subgroup column.
    pub subgroups: Vec<CohortSubgroup>,
    /// The rules by which counts are withheld, in words.
    pub rules: String,
    /// Exams or patients whose images differ in class.
    pub mixed: MixedUnits,
}

/// Exams or patients whose images differ in class, all sites together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum MixedUnits {
    /// Each image is judged by itself.
    NotJudged,
    /// So many.
    Units {
        /// Exams or patients.
        count: Count,
        /// Patients with one.
        patients: Count,
    },
}

/// Counts of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortCell {
    /// Patients.
    pub patients: Count,
    /// Images.
    pub images: Count,
    /// What is judged: images, exams or patients.
    pub judged: Count,
    /// Patients with at least one of what is judged of each class.
    pub patients_by_class: Vec<Count>,
    /// What is judged of each class. Where that isn't images, their classes aren't counted: beside an exam's class
    /// they would tell how many differ.
    pub judged_by_class: Vec<Count>,
}

/// A site's cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortSite {
    /// The site.
    pub site: SiteId,
    /// Its counts.
    pub cell: CohortCell,
    /// Per subgroup column and level, in the order of [`CohortSection::subgroups`].
    pub subgroups: Vec<Vec<CohortCell>>,
    /// Rows that didn't enter, by reason.
    pub set_aside: Vec<SetAside>,
    /// Digest of the list of patients and images that it froze.
    pub lock: ShownDigest,
    /// What computed its features.
    pub device: String,
}

/// Rows that didn't enter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    /// Why.
    pub reason: String,
    /// How many patients lost at least one image.
    pub patients: Count,
    /// How many images.
    pub images: Count,
}

/// A subgroup column's cohort, all sites together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortSubgroup {
    /// The column's name.
    pub name: String,
    /// Its levels.
    pub levels: Vec<CohortLevel>,
}

/// A level's cohort, all sites together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortLevel {
    /// The level.
    pub level: String,
    /// Its counts.
    pub cell: CohortCell,
}

/// The models for one class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// The class that counts as positive.
    pub class: String,
    /// Plain out-of-fold figures of every grid point: used for choosing, so optimistic.
    pub used_for_choosing: Vec<GridRow>,
    /// What each outer fold chose, and its figures.
    pub nested: Vec<NestedFold>,
    /// How many trees models have, where held-out rows say so; left out where grid points do.
    #[serde(default, skip_serializing_if = "TreeCounts::are_given")]
    pub trees: TreeCounts,
    /// Races of grid points; left out where all points were judged on all folds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub races: Vec<RaceSection>,
    /// The final model.
    pub chosen: FinalModel,
}

/// A grid point's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridRow {
    /// The grid point.
    pub point: GridPoint,
    /// Whether the final model uses it.
    pub chosen: bool,
    /// AUC over pairs of one site.
    pub auc_within_sites: Estimate,
    /// AUC of all sites in one list.
    pub auc_one_list: Estimate,
    /// Each fold.
    pub folds: Vec<FoldRow>,
}

/// A fold's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldRow {
    /// Which deal, from 1.
    pub repeat: u32,
    /// Which fold, from 1.
    pub fold: u32,
    /// AUC over pairs of one site.
    pub auc_within_sites: Estimate,
    /// AUC of all sites in one list.
    pub auc_one_list: Estimate,
}

/// What an outer fold chose without its own rows, and how that did on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedFold {
    /// The choice.
    pub point: GridPoint,
    /// Probability from which a row is called positive, six decimals; the bundle has it in full.
    pub threshold: f64,
    /// The fold's figures.
    pub figures: FoldRow,
}

/// The final model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalModel {
    /// The grid point.
    pub point: GridPoint,
    /// Features it takes.
    pub features: u32,
    /// Probability from which a row is called positive, six decimals; the bundle has it in full.
    pub threshold: f64,
    /// How it was fitted.
    pub fitted: Fitting,
    /// SHA-256 of its numbers: of a linear model its weights and its constant as little-endian 64-bit
    /// floats, of a machine that is made of rows those and its coefficients and constant likewise, of trees
    /// their JSON as the findings have it.
    pub digest: Digest,
}

impl FinalModel {
    /// How many features it takes, and has weights for where its penalty makes zeros; or how many rows of
    /// patients it is made of.
    pub fn features_in_words(&self) -> String {
        match self.zeros_in_words() {
            Some(words) => words,
            None => format!("{} features", grouped(u64::from(self.features))),
        }
    }

    /// How many weights aren't 0, where its penalty makes zeros; of a machine that is made of rows, how many.
    pub fn zeros_in_words(&self) -> Option<String> {
        match &self.fitted {
            Fitting::Linear { weights_not_zero: Some(count), .. } => {
                let [count, all] = [*count, self.features].map(|n| grouped(u64::from(n)));
                Some(format!("{count} of {all} weights not 0"))
            }
            Fitting::Kernel { rows_of_patients, .. } => {
                Some(format!("{} rows of patients", grouped(u64::from(*rows_of_patients))))
            }
            Fitting::Linear { .. }
            | Fitting::Trees { .. }
            | Fitting::Ensemble { .. }
            | Fitting::Before => None,
        }
    }
}

/// How a model was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Fitting {
    /// A linear model, by Newton's method or L-BFGS, or their kin for an L1 penalty.
    Linear {
        /// Steps of the optimiser.
        steps: u32,
        /// The gradient's largest entry at the end, per row; three digits.
        gradient: f64,
        /// Weights that aren't 0; left out where the penalty makes no zeros.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights_not_zero: Option<u32>,
    },
    /// Trees.
    Trees {
        /// How many.
        trees: u32,
        /// Leaves of all of them.
        leaves: u32,
    },
    /// Several models in one.
    Ensemble {
        /// How each member was fitted.
        members: Vec<Fitting>,
    },
    /// A support vector machine that is made of rows.
    Kernel {
        /// Its support vectors: rows of patients, whose features the model holds.
        rows_of_patients: u32,
        /// By how much it misses the optimality conditions, in units of a score; three digits.
        violation: f64,
    },
    /// Before, by another study.
    Before,
}

/// The chosen model on all sites. The order of its fields is the order in which they are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PooledSection {
    /// The class that counts as positive.
    pub class: String,
    /// AUC over pairs of one site.
    pub auc_within_sites: Estimate,
    /// AUC of all sites in one list.
    pub auc_one_list: Estimate,
    /// What a score that knows only the site would reach in one list. Sites whose class counts are
    /// withheld are taken as one, since they would follow from it.
    pub auc_site_only: Estimate,
    /// Everything else, all sites in one list.
    pub figures: FigureRow,
    /// Reliability curve, in bins of at least the minimum cell. There is none per site or subgroup:
    /// bin by bin, one site's would follow from all less the others.
    pub reliability: Calibration,
    /// Net benefit at the lower ends of these bins.
    pub decision: Vec<DecisionPoint>,
}

/// The chosen model at each site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitesSection {
    /// The class that counts as positive.
    pub class: String,
    /// The sites.
    pub sites: Vec<SiteRow>,
    /// What they say of sites like them.
    pub together: SitesTogether,
}

/// The chosen model at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRow {
    /// The site.
    pub site: SiteId,
    /// Its figures.
    pub figures: FigureRow,
}

/// The chosen model in each subgroup, all sites in one list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubgroupsSection {
    /// The class that counts as positive.
    pub class: String,
    /// The columns.
    pub columns: Vec<SubgroupColumn>,
}

/// A subgroup column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubgroupColumn {
    /// Its name.
    pub name: String,
    /// Its levels; one too small to judge is listed as such.
    pub levels: Vec<LevelRow>,
}

/// The chosen model in a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRow {
    /// The level.
    pub level: String,
    /// Its figures.
    pub figures: FigureRow,
}

/// Models that never saw the site they are judged at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutSection {
    /// The class that counts as positive.
    pub class: String,
    /// The sites; empty when the study doesn't leave sites out.
    pub sites: Vec<LeftOutRow>,
}

/// A site left out: grid point, scaler and threshold chosen without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutRow {
    /// The site.
    pub site: SiteId,
    /// The grid point chosen without it.
    pub point: GridPoint,
    /// The threshold chosen without it.
    pub threshold: f64,
    /// The chosen model's figures at the site.
    pub figures: FigureRow,
    /// AUC at the site of every grid point, in the order of [`ModelSection::used_for_choosing`].
    pub auc_by_point: Vec<Estimate>,
}

/// The figures of one cell, with its patients and its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureRow {
    /// Patients with a negative image, with a positive image.
    pub patients: ClassCounts,
    /// Negative images, positive images.
    pub images: ClassCounts,
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// Share of positives called positive.
    pub sensitivity: Estimate,
    /// Share of negatives called negative.
    pub specificity: Estimate,
    /// Mean of `(p - y)^2`.
    pub brier: Estimate,
    /// Expected calibration error.
    pub ece: Estimate,
    /// Images by label and call.
    pub confusion: Confusion,
    /// ROC curve, in steps of at least the minimum cell.
    pub roc: Curve,
    /// All other metrics, by their name in scikit-learn where they have one there.
    pub more: Vec<NamedEstimate>,
}

/// An estimate with the name of its metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedEstimate {
    /// The metric's name.
    pub name: String,
    /// The estimate.
    pub estimate: Estimate,
}

/// A count of negatives and one of positives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCounts {
    /// Of the negative class.
    pub negative: Count,
    /// Of the positive class.
    pub positive: Count,
}

/// Images by label and call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Positive, called positive.
    pub true_positives: Count,
    /// Negative, called positive.
    pub false_positives: Count,
    /// Negative, called negative.
    pub true_negatives: Count,
    /// Positive, called negative.
    pub false_negatives: Count,
}

/// What the study cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundsSection {
    /// Questions asked, each one round.
    pub queries: u64,
    /// Of these, for fitting.
    pub fitting_queries: u64,
    /// Models fitted in them.
    pub models: u64,
    /// Questions that one fit at the largest C alone would have asked.
    pub queries_of_slowest_fit: u64,
    /// Per site.
    pub sites: Vec<SiteCost>,
    /// Per round, in order.
    pub rounds: Vec<RoundCost>,
}

/// What a site sent and received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteCost {
    /// The site.
    pub site: SiteId,
    /// Rounds that it answered.
    pub rounds: u64,
    /// Numbers in all sums that it sent.
    pub numbers_sent: u64,
    /// Numbers in its frozen cohort. Withheld where its patients are.
    pub numbers_held: Count,
    /// Bytes from the site to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to the site.
    pub bytes_down: u64,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundCost {
    /// Its number, from 1.
    pub round: u64,
    /// The statistic that was asked for ("profile", "moments", "logistic", ...).
    pub statistic: String,
    /// Digest of the query.
    pub query: ShownDigest,
    /// Numbers in the answer of one site.
    pub numbers: u64,
    /// Bytes from all sites to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to all sites.
    pub bytes_down: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The sites of some models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSites {
    /// Which model or models.
    pub model: String,
    /// The sites that they were fitted on.
    pub sites: Vec<SiteId>,
}

/// A run that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// The sites it began with.
    pub sites: Vec<SiteId>,
    /// The site that was lost.
    pub lost: SiteId,
    /// In which round.
    pub round: u64,
    /// Why.
    pub reason: String,
}

/// Digests of what belongs to a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// The model bundle.
    pub bundle: ShownDigest,
    /// The backbone's weights.
    pub weights: WeightsDigest,
    /// The last entry of the journal's chain when the study ended.
    pub journal_head: ShownDigest,
    /// Other reports on the same study: of earlier attempts, or made again from the journal.
    pub reports: Vec<NamedDigest>,
}

/// Digest of a backbone's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum WeightsDigest {
    /// A table study has no backbone.
    NoBackbone,
    /// The file that every site used.
    Backbone {
        /// The backbone.
        name: String,
        /// SHA-256 of the weights file.
        sha256: Digest,
    },
    /// The files that every site used, of backbones that were compared.
    Backbones {
        /// Each backbone with the SHA-256 of its weights file.
        backbones: Vec<NamedDigest>,
    },
}

/// A digest with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedDigest {
    /// What it is.
    pub name: String,
    /// SHA-256.
    pub sha256: Digest,
}
