//! What a round asks for, and what comes back.

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Query;
use wardround_core::sum::Sum;
use wardround_privacy::policy::Rule;
use wardround_privacy::successive;
use wardround_proto::v1;

use crate::round::Ending;

/// What a round asks for.
#[derive(Debug, Clone)]
pub enum Work {
    /// Would the site take part?
    Consider {
        /// Tells this request from an earlier one.
        nonce: String,
        /// The study file.
        toml: String,
        /// The study's sites.
        sites: Vec<SiteId>,
    },
    /// Freeze the cohort and compute its features.
    Enlist {
        /// The study file.
        toml: String,
        /// The study's sites.
        sites: Vec<SiteId>,
    },
    /// Answer a query.
    Ask {
        /// The query.
        query: Box<Query>,
        /// Each site's frozen cohort.
        locks: Vec<(SiteId, Digest)>,
    },
    /// The study is over.
    Close {
        /// "done", "failed" or "aborted".
        why: String,
    },
}

/// What a site brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its view of a study.
    Verdict(v1::Verdict),
    /// Its frozen cohort.
    Enlisted(v1::Enlisted),
    /// Its sum.
    Answer(Sum),
    /// It forgot the study.
    Closed,
    /// It can't or won't.
    Failed(Failure),
}

/// Why a site can't or won't.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The code.
    pub code: v1::FailureCode,
    /// First number that goes with it.
    pub first: u64,
    /// Second number.
    pub second: u64,
    /// The rule, when a rule forbids it.
    pub refusal: Option<v1::Refusal>,
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RoundEnd {
    /// Every site brought its outcome, sorted by site.
    Complete(Vec<(SiteId, Outcome)>),
    /// It ended without: whose fault, what the failing site said, and what others brought.
    Broken {
        /// How.
        ending: Ending,
        /// What came until then, a failure included.
        outcomes: Vec<(SiteId, Outcome)>,
    },
    /// Nobody waits for it any more.
    Withdrawn,
}

/// How far a site is with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteProgress {
    /// What it is doing.
    pub stage: v1::Stage,
    /// Done so far.
    pub done: u64,
    /// Of this many; 0 when unknown.
    pub total: u64,
}

impl Failure {
    /// A sentence about a site that failed.
    pub fn sentence(&self, site: &SiteId) -> String {
        use v1::FailureCode as F;
        let Self { first, second, .. } = self;
        match self.code {
            F::Refused => match &self.refusal {
                Some(refusal) => refusal_sentence(site, refusal),
                None => format!("{site} refuses by a rule that it doesn't name"),
            },
            F::DataProblems => format!(
                "{site} stopped: {first} of {second} rows have problems, more than it allows; `wardround-site check` there lists them"
            ),
            F::MissingColumns => format!(
                "{site}'s manifest lacks {first} of the study's columns; its site.toml can map them under [columns]"
            ),
            F::WeightsDiffer => {
                format!("{site}'s weights file has another digest than the study pins")
            }
            F::WeightsMissing => {
                format!(
                    "{site} can't get the study's weights; its own log says which file to put where"
                )
            }
            F::WeightsUnpinned => format!(
                "{site} wants the weights pinned: the software knows no digest of this backbone's; give `weights` and `sha256` under [images]"
            ),
            F::LockBroken => format!(
                "{site}'s frozen cohort changed: {first} rows vanished, {second} have other features; its own log names them"
            ),
            F::OutOfRange => {
                format!("a number of {site} left the fixed point's range at {first} binary places")
            }
            F::NotUnderstood => format!(
                "{site} doesn't understand the study or the question: install the coordinator's version there"
            ),
            F::NotEnlisted => format!("{site} holds no frozen cohort for this study"),
            F::EmptyCohort => format!("no patient of {site} is left for this study"),
            F::UnknownBackbone => format!("{site} knows no backbone of the study's name"),
            F::NotWanted => format!("{site}'s owner doesn't take part in this study"),
            F::Internal | F::Unspecified => format!("{site} failed; its own log says why"),
        }
    }
}

/// The sentence of a refusal: rule, site, both numbers and the ways out.
pub fn refusal_sentence(site: &SiteId, refusal: &v1::Refusal) -> String {
    let parsed = refusal.rule.parse::<Rule>();
    match parsed {
        Ok(Rule::Successive) => {
            let earlier = StudyId::parse(&refusal.study).ok();
            format!("{site} refuses: {}", successive::sentence(earlier.as_ref(), refusal.allowed))
        }
        Ok(rule) => {
            let refusal = wardround_privacy::judge::Refusal {
                rule,
                asked: refusal.asked,
                allowed: refusal.allowed,
            };
            format!("{site} refuses: {refusal}")
        }
        Err(_) => format!(
            "{site} refuses by its rule '{}': asked {}, allowed {}",
            refusal.rule, refusal.asked, refusal.allowed
        ),
    }
}
