//! A finished model that was judged on rows that had no part in its fit: where it comes from, which sites had a part in it, and whether
//! figures crossed the limits that the study set.
//!
//! A figure's state looks at its whole 95 % interval, so that chance alone rarely alarms: one limit that is met exactly is crossed by the
//! interval's outer end in 2.5 % of evaluations. Several limits, and evaluations again and again, alarm more often.

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::study::{DriftFigure, DriftLimit, Study};
use wardround_learn::findings::{EvaluatedBundle, Findings};

use super::edition::ShownDigest;
use super::model::PooledSection;
use super::values::{Estimate, decimal, rounded};

/// Whether a finished model was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a report has one of them")]
pub enum EvaluationSection {
    /// The study fitted its models.
    Fitted,
    /// Nothing was fitted.
    Judged {
        /// SHA-256 of the bundle.
        model: ShownDigest,
        /// The study that fitted it.
        trained_by: String,
        /// SHA-256 of that study's file.
        trained_by_digest: ShownDigest,
        /// Name and version of the software that fitted it.
        software: String,
        /// The sites whose rows it was fitted to.
        trained_at: TrainedAtSites,
        /// Of these, those that are judged here: their patients may be the same.
        overlap: TrainedAtSites,
        /// How that study judged it, one entry per modelled class.
        training: Vec<TrainingFigures>,
        /// Limits, class by class.
        drift: Vec<DriftRow>,
    },
}

/// Sites.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedAtSites {
    /// Their names.
    pub sites: Vec<SiteId>,
}

/// How the training study judged a class by nested folds; null where undefined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingFigures {
    /// The class that counts as positive.
    pub class: String,
    /// AUC over pairs of one site.
    pub auc_within_sites: Option<f64>,
    /// AUC of all sites in one list.
    pub auc_one_list: Option<f64>,
    /// Sensitivity.
    pub sensitivity: Option<f64>,
    /// Specificity.
    pub specificity: Option<f64>,
}

/// A figure with its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftRow {
    /// The class that counts as positive.
    pub class: String,
    /// Which figure, as `[drift]` calls its limit.
    pub figure: DriftFigure,
    /// What the study file says.
    pub limit: f64,
    /// What the figure shall not cross; null where the training study has no such figure.
    pub bound: Option<f64>,
    /// The figure of all sites.
    pub estimate: Estimate,
    /// Where it lies.
    pub state: DriftState,
}

/// Where a figure lies beside its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftState {
    /// Its whole interval is beyond.
    Alarm,
    /// Its interval holds the limit, or there is none and it lies beyond.
    Watch,
    /// Its whole interval is on the right side.
    Within,
    /// There is no figure, or no bound.
    NotJudged,
}

impl DriftState {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Watch => "watch",
            Self::Within => "within",
            Self::NotJudged => "not judged",
        }
    }

    fn of(estimate: &Estimate, bound: Option<f64>, above: bool) -> Self {
        let (Some(bound), Some(value)) = (bound, estimate.value()) else { return Self::NotJudged };
        // Turned round, so that below is beyond.
        let turn = |x: f64| if above { -x } else { x };
        let bound = turn(bound);
        match estimate.ends() {
            Some(ends) => {
                let [a, b] = ends.map(turn);
                match (a.min(b), a.max(b)) {
                    (_, high) if high < bound => Self::Alarm,
                    (low, _) if low >= bound => Self::Within,
                    _ => Self::Watch,
                }
            }
            None if turn(value) < bound => Self::Watch,
            None => Self::Within,
        }
    }
}

impl DriftRow {
    /// In a sentence.
    pub fn words(&self) -> String {
        let side = if self.figure.alarms_above() { "above" } else { "below" };
        let bound = self.bound.map_or("an unknown limit".to_owned(), decimal);
        let limit = match self.figure {
            DriftFigure::AucDrop => {
                format!("{side} {bound}, {} less than in training", decimal(self.limit))
            }
            _ => format!("{side} {bound}"),
        };
        let figure = format!("{} of {}: {}", self.figure.words(), self.class, self.estimate);
        match self.state {
            DriftState::Alarm => {
                format!("Alarm: {figure}; the whole interval lies {limit}.")
            }
            DriftState::Watch => {
                format!("Watch: {figure}; it isn\u{2019}t sure that this isn\u{2019}t {limit}.")
            }
            DriftState::Within => format!("Within: {figure}; nothing speaks for {limit}."),
            DriftState::NotJudged => format!("Not judged: {figure}; the limit is {bound}."),
        }
    }
}

impl EvaluationSection {
    /// Of findings and what is shown of them.
    pub(super) fn of(findings: &Findings, study: &Study, pooled: &[PooledSection]) -> Self {
        let (Some(evaluation), Some(bundle)) = (study.evaluation(), findings.evaluated.bundle())
        else {
            return Self::Fitted;
        };
        let both = || pooled.iter().zip(&bundle.figures);
        let training = both().map(|(section, figures)| TrainingFigures {
            class: section.class.clone(),
            auc_within_sites: figures.auc_within_sites,
            auc_one_list: figures.auc_one_list,
            sensitivity: figures.sensitivity,
            specificity: figures.specificity,
        });
        let drift = both().flat_map(|(section, figures)| {
            evaluation
                .drift
                .iter()
                .map(|limit| row(limit, section, figures.auc_within_sites))
                .collect::<Vec<_>>()
        });
        let EvaluatedBundle { digest, study, study_digest, software, sites, .. } = bundle;
        let here = |site: &&SiteId| findings.sites.contains(site);
        Self::Judged {
            model: (*digest).into(),
            trained_by: study.clone(),
            trained_by_digest: (*study_digest).into(),
            software: software.clone(),
            trained_at: TrainedAtSites { sites: sites.clone() },
            overlap: TrainedAtSites { sites: sites.iter().filter(here).cloned().collect() },
            training: training.collect(),
            drift: drift.collect(),
        }
    }

    /// Whether a finished model was judged.
    pub fn is_judged(&self) -> bool {
        *self != Self::Fitted
    }

    /// What is beyond a limit, in sentences.
    pub fn alarms(&self) -> Vec<String> {
        let alarms = self.drift().iter().filter(|row| row.state == DriftState::Alarm);
        alarms.map(DriftRow::words).collect()
    }

    /// Limits with what became of them.
    pub fn drift(&self) -> &[DriftRow] {
        match self {
            Self::Fitted => &[],
            Self::Judged { drift, .. } => drift,
        }
    }

    /// Every site that it names.
    pub(super) fn sites(&self) -> &[SiteId] {
        match self {
            Self::Fitted => &[],
            Self::Judged { trained_at, .. } => &trained_at.sites,
        }
    }

    /// Leaves out what helps to guess names.
    pub(super) fn leave_out(&mut self) {
        if let Self::Judged { model, trained_by_digest, .. } = self {
            *model = ShownDigest::LEFT_OUT;
            *trained_by_digest = ShownDigest::LEFT_OUT;
        }
    }

    /// By which model rows were judged, in words.
    pub fn judged_how(&self) -> &'static str {
        match self {
            Self::Fitted => "from nested folds",
            Self::Judged { .. } => "by a finished model, nothing fitted here",
        }
    }

    /// What a reader has to know of it, in sentences; none where models were fitted.
    pub fn sentences(&self) -> Vec<String> {
        let Self::Judged { trained_by, trained_at, overlap, training, drift, .. } = self else {
            return Vec::new();
        };
        let names = |of: &TrainedAtSites| {
            of.sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")
        };
        let mut lines = vec![format!(
            "A finished model was judged; nothing was fitted here, neither model nor threshold. The study \
             \u{2018}{trained_by}\u{2019} fitted it to rows of {}.",
            names(trained_at)
        )];
        lines.push(match overlap.sites.is_empty() {
            true => "None of the sites here had a part in its training.".to_owned(),
            false => format!(
                "Had a part in its training: {}. Patients there may be the same, which flatters the figures; \
                 nobody can tell from sums.",
                names(overlap)
            ),
        });
        for one in training {
            if let Some(auc) = one.auc_within_sites {
                lines.push(format!(
                    "In training its AUC within sites for {} was {} (nested folds).",
                    one.class,
                    decimal(auc)
                ));
            }
        }
        lines.extend(drift.iter().map(DriftRow::words));
        if drift.is_empty() {
            lines.push("The study sets no limits, so nothing here can alarm.".to_owned());
        }
        lines
    }
}

fn row(limit: &DriftLimit, section: &PooledSection, trained: Option<f64>) -> DriftRow {
    let DriftLimit { figure, limit } = *limit;
    let estimate = match figure {
        DriftFigure::AucBelow | DriftFigure::AucDrop => &section.auc_within_sites,
        DriftFigure::SensitivityBelow => &section.figures.sensitivity,
        DriftFigure::SpecificityBelow => &section.figures.specificity,
        DriftFigure::BrierAbove => &section.figures.brier,
        DriftFigure::EceAbove => &section.figures.ece,
    };
    let bound = match figure {
        DriftFigure::AucDrop => trained.map(|trained| rounded(trained - limit)),
        _ => Some(limit),
    };
    DriftRow {
        class: section.class.clone(),
        figure,
        limit,
        bound,
        estimate: estimate.clone(),
        state: DriftState::of(estimate, bound, figure.alarms_above()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardround_learn::findings::Interval;

    fn between(value: f64, low: f64, high: f64) -> Estimate {
        Estimate::Known { value, interval: Interval::Between { low, high } }
    }

    #[test]
    fn only_a_whole_interval_beyond_the_limit_alarms() {
        let auc = between(0.7, 0.65, 0.75);
        for (bound, below, above) in [
            (0.76, DriftState::Alarm, DriftState::Within),
            (0.72, DriftState::Watch, DriftState::Watch),
            (0.64, DriftState::Within, DriftState::Alarm),
        ] {
            assert_eq!(DriftState::of(&auc, Some(bound), false), below);
            assert_eq!(DriftState::of(&auc, Some(bound), true), above);
        }
        let alone = Estimate::Known { value: 0.7, interval: Interval::NotComputed };
        assert_eq!(DriftState::of(&alone, Some(0.8), false), DriftState::Watch);
        assert_eq!(DriftState::of(&alone, Some(0.6), false), DriftState::Within);
        assert_eq!(DriftState::of(&auc, None, false), DriftState::NotJudged);
        let nothing = Estimate::Undefined { reason: "no rows".to_owned() };
        assert_eq!(DriftState::of(&nothing, Some(0.6), false), DriftState::NotJudged);
    }
}
