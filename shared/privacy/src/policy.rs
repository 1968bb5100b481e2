//! What a site's owner allows: the disclosure rules with their defaults, and the loosenings.
//!
//! The owner may tighten any rule, or loosen one by naming it in the site's own file; a study never
//! loosens. Each key of the file is the [`Rule`]'s code. Every number counts patients, never images.
//!
//! Where the defaults come from: minimum cell 5 and minimum cohort 10 are the usual thresholds of
//! statistical disclosure control (SACRO, DataSHIELD's `nfilter.tab` and `nfilter.subset`);
//! 0.33 is DataSHIELD's `nfilter.glm`, the largest allowed ratio of coefficients to patients.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::words::words;

/// The disclosure rules of one site. Any combination of values is a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Fewest patients of a site's cohort before anything is answered. Default 10.
    pub minimum_cohort: MinimumPatients,
    /// Fewest patients of a cell that is shown, and of a fold of a plain sum. Default 5.
    pub minimum_cell: MinimumPatients,
    /// Fewest patients of each class in a slice (a site, a subgroup) that is judged. Default 10.
    pub minimum_per_class_for_slice: MinimumPatients,
    /// What happens to sums with more than `wide_share` x patients numbers per model. Default: only
    /// under secure aggregation.
    pub wide_sums: WideSums,
    /// Numbers per model and patient from which a sum is wide. Default 0.33.
    pub wide_share: Share,
    /// Whether models are fitted with this site left out: the difference to the fit on all sites is
    /// this site's sum. Default refused.
    pub leave_one_site_out: Consent,
    /// Whether features of single patients may leave. Default refused.
    pub feature_rows: FeatureRows,
    /// Whether figures of this site by itself may be computed and shown. Default allowed.
    pub per_site_metrics: Consent,
    /// Whether a model that is fitted to this site's patients alone may leave, a tree among them. Default refused.
    pub own_model: Consent,
    /// Whether a study is answered whose cohort differs from an earlier study's by fewer patients than
    /// `minimum_cell`. Default refused.
    pub successive: Consent,
    /// The largest share of a cell's rows that one patient may have. Default one half.
    pub dominance: Share,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            minimum_cohort: MinimumPatients::new(10),
            minimum_cell: MinimumPatients::new(5),
            minimum_per_class_for_slice: MinimumPatients::new(10),
            wide_sums: WideSums::SecureAggregationOnly,
            wide_share: Share(0.33),
            leave_one_site_out: Consent::Refused,
            feature_rows: FeatureRows::Refused,
            per_site_metrics: Consent::Allowed,
            own_model: Consent::Refused,
            successive: Consent::Refused,
            dominance: Share(0.5),
        }
    }
}

impl Policy {
    /// Every rule that allows more than the default does, for the ledger and the report's first
    /// screen. Tightened rules aren't listed.
    pub fn loosenings(&self) -> Vec<Loosening> {
        let usual = Policy::default();
        let mut found = Vec::new();
        let mut note = |looser: bool,
                        rule: Rule,
                        default: &dyn fmt::Display,
                        now: &dyn fmt::Display| {
            if looser {
                found.push(Loosening { rule, default: default.to_string(), now: now.to_string() });
            }
        };
        for (rule, default, now) in [
            (Rule::MinimumCohort, usual.minimum_cohort, self.minimum_cohort),
            (Rule::MinimumCell, usual.minimum_cell, self.minimum_cell),
            (
                Rule::MinimumPerClassForSlice,
                usual.minimum_per_class_for_slice,
                self.minimum_per_class_for_slice,
            ),
        ] {
            note(now < default, rule, &default, &now);
        }
        let (default, now) = (usual.wide_sums, self.wide_sums);
        note(now > default, Rule::WideSums, &default, &now);
        let (default, now) = (usual.wide_share, self.wide_share);
        note(now > default, Rule::WideShare, &default, &now);
        for (rule, default, now) in [
            (Rule::LeaveOneSiteOut, usual.leave_one_site_out, self.leave_one_site_out),
            (Rule::PerSiteMetrics, usual.per_site_metrics, self.per_site_metrics),
            (Rule::OwnModel, usual.own_model, self.own_model),
            (Rule::Successive, usual.successive, self.successive),
        ] {
            note(now > default, rule, &default, &now);
        }
        let (default, now) = (usual.dominance, self.dominance);
        note(now > default, Rule::Dominance, &default, &now);
        let (default, now) = (usual.feature_rows, self.feature_rows);
        note(now > default, Rule::FeatureRows, &default, &now);
        found
    }
}

/// A rule that allows more than its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loosening {
    /// The rule.
    pub rule: Rule,
    /// What it is by default.
    pub default: String,
    /// What the owner set.
    pub now: String,
}

impl fmt::Display for Loosening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} (default {})", self.rule, self.now, self.default)
    }
}

/// A number of patients below which something isn't answered or shown; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MinimumPatients(NonZeroU32);

impl MinimumPatients {
    /// A minimum; 0 means no minimum and so becomes 1, which refuses only the empty cohort.
    pub const fn new(patients: u32) -> Self {
        match NonZeroU32::new(patients) {
            Some(patients) => Self(patients),
            None => Self(NonZeroU32::MIN),
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        u64::from(self.0.get())
    }
}

impl fmt::Display for MinimumPatients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers per patient, above 0 and at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// A share.
    ///
    /// # Errors
    /// [`ShareError`] outside of (0, 1].
    pub fn new(share: f64) -> Result<Self, ShareError> {
        if share > 0.0 && share <= 1.0 { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }

    /// How many numbers it allows for some patients, rounded down.
    pub fn of(self, patients: u64) -> u64 {
        (self.0 * patients as f64).floor() as u64
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;
    fn try_from(share: f64) -> Result<Self, ShareError> {
        Self::new(share)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        share.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number isn't a share.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("expected a share above 0 and at most 1, got {0}")]
pub struct ShareError(f64);

words! {
    /// What happens to wide sums; later variants allow more.
    WideSums {
        /// Never answered.
        Refused = "refused",
        /// Answered where the coordinator sees only the sum over at least three sites.
        SecureAggregationOnly = "secure-aggregation-only",
        /// Answered; the coordinator sees this site's own sums, from which rows of single patients
        /// may be reconstructed.
        Allowed = "allowed",
    }
}

words! {
    /// An owner's yes or no.
    Consent {
        /// No.
        Refused = "refused",
        /// Yes.
        Allowed = "allowed",
    }
}

words! {
    /// Whether features of single patients may leave; a yes has to spell out what it means.
    FeatureRows {
        /// No.
        Refused = "refused",
        /// Yes.
        Allowed = "rows of single patients leave this hospital",
    }
}

words! {
    /// A rule by its name: the key in the site's file where it has one.
    Rule {
        /// Fewest patients of a cohort.
        MinimumCohort = "minimum_cohort",
        /// Fewest patients of a cell that is shown.
        MinimumCell = "minimum_cell",
        /// Fewest patients of each class in a slice that is judged.
        MinimumPerClassForSlice = "minimum_per_class_for_slice",
        /// Sums with many numbers for the patients in them.
        WideSums = "wide_sums",
        /// From which share of the patients a sum is wide.
        WideShare = "wide_share",
        /// Models fitted with the site left out.
        LeaveOneSiteOut = "leave_one_site_out",
        /// Features of single patients.
        FeatureRows = "feature_rows",
        /// Figures of the site by itself.
        PerSiteMetrics = "per_site_metrics",
        /// Models of the site's patients alone.
        OwnModel = "own_model",
        /// Cohorts that differ by few patients from an earlier study's.
        Successive = "successive",
        /// Cells in which one patient has most rows.
        Dominance = "dominance",
        /// Fewest sites in a model; not a key, no owner can loosen it.
        MinimumSites = "minimum_sites",
        /// Fewest patients of a fold of a plain sum; its number is `minimum_cell`'s.
        MinimumFold = "minimum_fold",
        /// The question names no cohort of this site; not a key.
        NotAsked = "not_asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_designs() {
        let policy = Policy::default();
        assert_eq!(policy.minimum_cohort.get(), 10);
        assert_eq!(policy.minimum_cell.get(), 5);
        assert_eq!(policy.minimum_per_class_for_slice.get(), 10);
        assert_eq!(policy.wide_sums, WideSums::SecureAggregationOnly);
        assert_eq!(policy.wide_share.get(), 0.33);
        assert_eq!(policy.leave_one_site_out, Consent::Refused);
        assert_eq!(policy.feature_rows, FeatureRows::Refused);
        assert_eq!(policy.per_site_metrics, Consent::Allowed);
        assert_eq!(policy.own_model, Consent::Refused);
        assert_eq!(policy.successive, Consent::Refused);
        assert_eq!(policy.dominance.get(), 0.5);
        assert_eq!(policy.loosenings(), []);
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), policy);
    }

    #[test]
    fn only_what_allows_more_is_a_loosening() {
        let tight = Policy {
            minimum_cohort: MinimumPatients::new(50),
            minimum_cell: MinimumPatients::new(6),
            minimum_per_class_for_slice: MinimumPatients::new(11),
            wide_sums: WideSums::Refused,
            wide_share: Share::new(0.1).unwrap(),
            per_site_metrics: Consent::Refused,
            dominance: Share::new(0.4).unwrap(),
            ..Policy::default()
        };
        assert_eq!(tight.loosenings(), []);
        let loose = Policy {
            minimum_cohort: MinimumPatients::new(0),
            minimum_cell: MinimumPatients::new(4),
            minimum_per_class_for_slice: MinimumPatients::new(9),
            wide_sums: WideSums::Allowed,
            wide_share: Share::new(0.5).unwrap(),
            leave_one_site_out: Consent::Allowed,
            feature_rows: FeatureRows::Allowed,
            per_site_metrics: Consent::Allowed,
            own_model: Consent::Allowed,
            successive: Consent::Allowed,
            dominance: Share::new(0.9).unwrap(),
        };
        let lines: Vec<String> = loose.loosenings().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "minimum_cohort = 1 (default 10)",
                "minimum_cell = 4 (default 5)",
                "minimum_per_class_for_slice = 9 (default 10)",
                "wide_sums = allowed (default secure-aggregation-only)",
                "wide_share = 0.5 (default 0.33)",
                "leave_one_site_out = allowed (default refused)",
                "own_model = allowed (default refused)",
                "successive = allowed (default refused)",
                "dominance = 0.9 (default 0.5)",
                "feature_rows = rows of single patients leave this hospital (default refused)",
            ]
        );
    }

    #[test]
    fn wrong_values_say_what_would_be_right() {
        let error = "perhaps".parse::<WideSums>().unwrap_err().to_string();
        assert_eq!(
            error,
            "expected \"refused\" or \"secure-aggregation-only\" or \"allowed\", got 'perhaps'"
        );
        let unknown = serde_json::from_str::<Policy>(r#"{"minimum_celll": 5}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `minimum_celll`"));
        for bad in [
            r#"{"feature_rows": "allowed"}"#,
            r#"{"wide_share": 0}"#,
            r#"{"wide_share": 1.5}"#,
            r#"{"minimum_cell": 0}"#,
            r#"{"minimum_cell": -1}"#,
        ] {
            assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
        }
        for nan in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(Share::new(nan).is_err());
        }
    }

    #[test]
    fn words_round_trip() {
        for rule in Rule::ALL {
            assert_eq!(rule.code().parse::<Rule>().unwrap(), *rule);
        }
        let policy = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
}
