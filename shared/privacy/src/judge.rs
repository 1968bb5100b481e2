//! The verdict on a question: whether this site's policy lets its answer leave.
//!
//! [`judge`] is asked for every query before it is answered, [`judge_study`] once before a study
//! starts. Both look at the question, the policy and the size of the whole cohort, never at a
//! patient: a refusal tells nothing about a row.
//!
//! The wide rule is DataSHIELD's `nfilter.glm`. It bounds what one question asks; it doesn't bound
//! what a coordinator that asks many questions can work out from a site's own sums. Only secure
//! aggregation and a privacy budget do.

use std::fmt;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::{Ask, AskKind, Column, FoldSet, Query, RowSet, SiteSet};

use crate::dominance::Largest;
use crate::policy::{Consent, FeatureRows, Policy, Rule, WideSums};
use crate::release::Holds;
use crate::successive;

/// Fewest sites in a sum under secure aggregation: with two, each knows the other's.
pub const MINIMUM_SITES: u64 = 3;

/// Fewest sites of a study that leaves each out once: one goes, [`MINIMUM_SITES`] stay.
pub const MINIMUM_SITES_TO_LEAVE_ONE_OUT: u64 = 4;

/// What the rules need to know about a site's cohort of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortFacts {
    /// Patients of the whole cohort.
    pub patients: u64,
    /// Patients with a row of the rarest class that occurs; for a marked question, those with or without one of its marks.
    pub of_rarest_class: u64,
    /// Who sees this site's own sums.
    pub aggregation: Aggregation,
    /// The largest patient of the cohort and its classes; for a marked question, of the cohort and those with a mark.
    pub largest: Largest,
}

/// Who sees a site's own sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// The coordinator sees every site's own sum.
    Plain,
    /// The coordinator sees only the sum over all sites.
    Secure,
}

/// What a whole study will ask of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StudyDemand {
    /// The most numbers that a question about its models asks for per model.
    pub numbers_per_model: u64,
    /// Bins of its score histograms, per class.
    pub bins: u32,
    /// Folds of a deal.
    pub folds: u8,
    /// Sites that take part.
    pub sites: u16,
    /// Whether every site is left out once.
    pub leave_one_site_out: bool,
    /// Whether each site is also judged by itself.
    pub per_site_metrics: bool,
    /// Whether features of single patients are asked for.
    pub feature_rows: bool,
    /// Whether models of the site's patients alone are asked for.
    pub own_models: bool,
}

/// A question that this site may answer; only [`judge`] makes one. [`Allowed::release`] turns the
/// answer into what egress accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub(crate) query: Digest,
    pub(crate) site: SiteId,
    pub(crate) holds: Holds,
}

/// A rule that forbids what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// The number that was asked for; for a rule of yes or no: 1.
    pub asked: u64,
    /// The number that the rule allows; for a rule of yes or no: 0.
    pub allowed: u64,
}

impl fmt::Display for Refusal {
    /// One sentence: the rule, both numbers, and every way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { rule, asked, allowed } = self;
        if *rule == Rule::Successive {
            return f.write_str(&successive::sentence(None, *allowed));
        }
        write!(f, "{rule}: ")?;
        match rule {
            // Said above.
            Rule::Successive => Ok(()),
            Rule::Dominance => write!(
                f,
                "in the cohort or a class one patient has more than {allowed} % of the rows, so that a sum of \
                 all is mostly that patient's; ways out: fewer rows of a patient (`filters` under [cohort]), \
                 more patients, or the owner loosens it by name in the site's file with a larger `dominance` \
                 under [policy]"
            ),
            Rule::WideSums | Rule::WideShare => write!(
                f,
                "the study asks for {asked} numbers per model, this site's patients allow {allowed}; \
                 ways out: fewer features (or fewer score bins), secure aggregation once the \
                 consortium has it, or the owner loosens it by name in the site's file with \
                 `wide_sums = \"{}\"` under [policy]",
                WideSums::Allowed
            ),
            Rule::MinimumCohort => write!(
                f,
                "the cohort has {asked} patients, at least {allowed} are needed; ways out: more \
                 patients or wider filters, or the owner loosens it by name in the site's file with \
                 `minimum_cohort = {asked}` under [policy]"
            ),
            Rule::MinimumFold => write!(
                f,
                "a fold would hold {asked} patients of the rarest class, at least {allowed} are needed \
                 where the coordinator sees a site's own sums; ways out: fewer folds, more patients, secure \
                 aggregation once the consortium has it, or the owner loosens it by name in the \
                 site's file with `minimum_cell = {}` under [policy]",
                (*asked).max(1)
            ),
            Rule::LeaveOneSiteOut => write!(
                f,
                "the study fits {asked} model or more without this site, {allowed} are allowed, \
                 since the difference to the fit on all sites is this site's sum; ways out: a study \
                 with `leave_one_site_out = false`, or the owner loosens it by name in the site's \
                 file with `leave_one_site_out = \"{}\"` under [policy]",
                Consent::Allowed
            ),
            Rule::MinimumSites => write!(
                f,
                "a sum would hold too few sites ({asked} of at least {allowed}); ways out: more \
                 sites, or a study with `leave_one_site_out = false`; no owner can loosen this rule"
            ),
            Rule::PerSiteMetrics => write!(
                f,
                "the study asks for {asked} figure or more of this site by itself, {allowed} are \
                 allowed; the way out: the owner allows it in the site's file with \
                 `per_site_metrics = \"{}\"` under [policy]",
                Consent::Allowed
            ),
            Rule::OwnModel => write!(
                f,
                "the study asks for {asked} model or more of this site's patients alone, {allowed} are \
                 allowed; ways out: a study whose models are of all sites together (`matrix = false`), or \
                 the owner loosens it by name in the site's file with `own_model = \"{}\"` under [policy]",
                Consent::Allowed
            ),
            Rule::FeatureRows => write!(
                f,
                "the study asks for {asked} row or more of single patients, {allowed} are allowed; \
                 ways out: a study of sums, or the owner allows it by name in the site's file with \
                 `feature_rows = \"{}\"` under [policy]",
                FeatureRows::Allowed
            ),
            Rule::MinimumCell | Rule::MinimumPerClassForSlice => write!(
                f,
                "a cell holds {asked} patients, at least {allowed} are needed; ways out: broader \
                 subgroups, or the owner loosens it by name in the site's file with \
                 `{rule} = {}` under [policy]",
                (*asked).max(1)
            ),
            Rule::NotAsked => write!(
                f,
                "the question goes to {asked} sites, and this site isn't one of them ({allowed})"
            ),
        }
    }
}

/// Judges one query by the policy of the site `me`.
///
/// # Errors
/// [`Refusal`]: the first rule that forbids it.
pub fn judge(
    policy: &Policy,
    query: &Query,
    facts: &CohortFacts,
    me: &SiteId,
) -> Result<Allowed, Refusal> {
    let Ok(at) = query.sites.binary_search(me) else {
        return Err(Refusal { rule: Rule::NotAsked, asked: query.sites.len() as u64, allowed: 0 });
    };
    // Sites are counted by 16 bits in a query; a position beyond matches no set.
    let at = u16::try_from(at).unwrap_or(u16::MAX);
    minimum_cohort(policy, facts)?;
    if let Ask::FeatureRows { .. } = query.ask {
        // Rules on sums protect single rows; an owner who gives those has nothing left to protect by them.
        feature_rows(policy)?;
        return Ok(Allowed { query: query.digest(), site: me.clone(), holds: Holds::Rows });
    }
    dominance(policy, facts.largest)?;
    let allowed = Allowed { query: query.digest(), site: me.clone(), holds: Holds::Sums };
    let marked = match &query.ask {
        Ask::Marked(marked) => marked.shows_site(at, query.sites.len()),
        _ => false,
    };
    let query = &*query.stands_for();
    if query.gives_scores() {
        // Whoever says which row gets which score can have the class of every row told.
        feature_rows(policy)?;
    }
    let sets = row_sets(query);
    if sets.iter().any(|set| matches!(set.sites, SiteSet::Without(_))) {
        minimum_sites(query.sites.len(), MINIMUM_SITES_TO_LEAVE_ONE_OUT)?;
    }
    if sets.iter().any(|set| set.sites == SiteSet::Without(at)) {
        leave_one_site_out(policy)?;
    }
    let alone = marked || shows_site_alone(query, &sets, at);
    match &query.ask {
        Ask::Scores { .. }
        | Ask::Placements { .. }
        | Ask::Bootstrap { .. }
        | Ask::Resampled { .. }
        | Ask::Calls { .. }
        | Ask::Distances { .. }
        | Ask::OwnSite { .. } => {
            if alone {
                per_site_metrics(policy)?;
            }
        }
        // A question that trains: the sums of one site are that site's own model.
        Ask::Gram { .. }
        | Ask::ClassGram { .. }
        | Ask::Logistic { .. }
        | Ask::SquaredHinge { .. }
        | Ask::FourierHinge { .. }
        | Ask::Trees { .. }
        | Ask::Stack { .. }
        | Ask::Softmax { .. } => {
            if sets.iter().any(|set| set.sites == SiteSet::Only(at)) {
                own_model(policy)?;
            }
        }
        Ask::OwnForests { .. } => own_model(policy)?,
        Ask::Profile { .. }
        | Ask::Moments { .. }
        | Ask::Grid { .. }
        | Ask::FeatureRows { .. }
        | Ask::Agreement { .. }
        | Ask::OwnModels
        | Ask::MarksAllowed { .. }
        // It stands for another question.
        | Ask::Marked(_) => {}
    }
    if query.kind() == AskKind::Training {
        // Masks hide a site only among others: a sum of one site is as good as plain.
        let aggregation = if alone { Aggregation::Plain } else { facts.aggregation };
        let facts = CohortFacts { aggregation, ..*facts };
        match aggregation {
            // The coordinator already holds this site's own sum, so that more sites in the total
            // wouldn't hide anything: the rule on contributing sites doesn't apply.
            Aggregation::Plain => {}
            Aggregation::Secure => minimum_sites(query.sites.len(), MINIMUM_SITES)?,
        }
        wide_sums(policy, &facts, numbers_per_model(query))?;
        if by_fold(query, &sets) {
            minimum_fold(policy, &facts, query.folds.folds)?;
        }
    }
    Ok(allowed)
}

/// Whether a marked question about one mark passes, given the patients with or without it as [`CohortFacts::of_rarest_class`]; `shown`:
/// what is told of the mark is about this site alone.
pub fn mark_allowed(policy: &Policy, facts: &CohortFacts, folds: u8, shown: bool) -> bool {
    let released = !shown || per_site_metrics(policy).is_ok();
    let hidden = dominance(policy, facts.largest).is_ok();
    released && hidden && minimum_fold(policy, facts, folds).is_ok()
}

/// Judges a whole study before it starts: every rule that would refuse one of its queries. The same
/// rules as [`judge`], so that a study that passes here isn't refused later.
pub fn judge_study(policy: &Policy, demand: &StudyDemand, facts: &CohortFacts) -> Vec<Refusal> {
    let mut verdicts = vec![minimum_cohort(policy, facts)];
    if demand.feature_rows {
        verdicts.push(feature_rows(policy));
    } else {
        verdicts.push(wide_sums(policy, facts, demand.numbers_per_model));
        verdicts.push(wide_sums(policy, facts, 2 * u64::from(demand.bins)));
        verdicts.push(minimum_fold(policy, facts, demand.folds));
        verdicts.push(dominance(policy, facts.largest));
    }
    if demand.own_models {
        verdicts.push(own_model(policy));
    }
    let sites = usize::from(demand.sites);
    if facts.aggregation == Aggregation::Secure {
        verdicts.push(minimum_sites(sites, MINIMUM_SITES));
    }
    if demand.leave_one_site_out {
        verdicts.push(leave_one_site_out(policy));
        verdicts.push(minimum_sites(sites, MINIMUM_SITES_TO_LEAVE_ONE_OUT));
    }
    if demand.per_site_metrics {
        verdicts.push(per_site_metrics(policy));
        // A histogram of one site is not hidden among others.
        let plain = CohortFacts { aggregation: Aggregation::Plain, ..*facts };
        if !demand.feature_rows {
            verdicts.push(wide_sums(policy, &plain, 2 * u64::from(demand.bins)));
        }
    }
    let mut refusals: Vec<Refusal> = Vec::new();
    for refusal in verdicts.into_iter().filter_map(Result::err) {
        if !refusals.contains(&refusal) {
            refusals.push(refusal);
        }
    }
    refusals
}

fn minimum_cohort(policy: &Policy, facts: &CohortFacts) -> Result<(), Refusal> {
    at_least(Rule::MinimumCohort, facts.patients, policy.minimum_cohort.get())
}

/// The share of the patient stays at the site.
fn dominance(policy: &Policy, largest: Largest) -> Result<(), Refusal> {
    let percent = (policy.dominance.get() * 100.0).floor() as u64;
    match largest.is_beyond(policy.dominance) {
        true => Err(Refusal { rule: Rule::Dominance, asked: 0, allowed: percent }),
        false => Ok(()),
    }
}

fn minimum_sites(sites: usize, needed: u64) -> Result<(), Refusal> {
    at_least(Rule::MinimumSites, sites as u64, needed)
}

fn leave_one_site_out(policy: &Policy) -> Result<(), Refusal> {
    consent(Rule::LeaveOneSiteOut, policy.leave_one_site_out)
}

fn feature_rows(policy: &Policy) -> Result<(), Refusal> {
    match policy.feature_rows {
        FeatureRows::Allowed => Ok(()),
        FeatureRows::Refused => Err(Refusal { rule: Rule::FeatureRows, asked: 1, allowed: 0 }),
    }
}

fn per_site_metrics(policy: &Policy) -> Result<(), Refusal> {
    consent(Rule::PerSiteMetrics, policy.per_site_metrics)
}

fn own_model(policy: &Policy) -> Result<(), Refusal> {
    consent(Rule::OwnModel, policy.own_model)
}

fn wide_sums(policy: &Policy, facts: &CohortFacts, numbers: u64) -> Result<(), Refusal> {
    let allowed = policy.wide_share.of(facts.patients);
    let wide = numbers > allowed;
    let answered = match (policy.wide_sums, facts.aggregation) {
        (WideSums::Allowed, _) | (WideSums::SecureAggregationOnly, Aggregation::Secure) => true,
        (WideSums::Refused, _) | (WideSums::SecureAggregationOnly, Aggregation::Plain) => false,
    };
    if wide && !answered {
        return Err(Refusal { rule: Rule::WideSums, asked: numbers, allowed });
    }
    Ok(())
}

/// Folds are dealt by the coordinator's plan. Without this rule 64 folds of 64 patients would make
/// every sum by fold a row of one patient. Whoever has the sums of a fold and a model's gradient on it, or the
/// sums by class, has those of each class: so the rarest class counts, which folds share evenly. An owner who
/// allows wide sums has accepted that.
fn minimum_fold(policy: &Policy, facts: &CohortFacts, folds: u8) -> Result<(), Refusal> {
    if facts.aggregation == Aggregation::Secure || policy.wide_sums == WideSums::Allowed {
        return Ok(());
    }
    let smallest = facts.patients.min(facts.of_rarest_class) / u64::from(folds.max(1));
    at_least(Rule::MinimumFold, smallest, policy.minimum_cell.get())
}

fn at_least(rule: Rule, asked: u64, allowed: u64) -> Result<(), Refusal> {
    if asked >= allowed { Ok(()) } else { Err(Refusal { rule, asked, allowed }) }
}

fn consent(rule: Rule, given: Consent) -> Result<(), Refusal> {
    match given {
        Consent::Allowed => Ok(()),
        Consent::Refused => Err(Refusal { rule, asked: 1, allowed: 0 }),
    }
}

/// The query's own count, and for moments that once per cell of subgroups: moments of a subgroup of
/// one patient are that patient's features. Score histograms aren't multiplied: they hold one number
/// per patient whatever the subgroups.
fn numbers_per_model(query: &Query) -> u64 {
    let cells = match &query.ask {
        Ask::Moments { split, .. } => {
            let subgroups: Vec<Column> =
                split.iter().copied().filter(|c| matches!(c, Column::Subgroup(_))).collect();
            query.cells(&subgroups) as u64
        }
        _ => 1,
    };
    query.numbers_per_model().saturating_mul(cells)
}

/// Every set of rows that the query names.
fn row_sets(query: &Query) -> Vec<RowSet> {
    match &query.ask {
        Ask::Profile { .. }
        | Ask::Moments { .. }
        | Ask::Grid { .. }
        | Ask::FeatureRows { .. }
        | Ask::Agreement { .. }
        | Ask::OwnModels
        | Ask::MarksAllowed { .. }
        | Ask::Marked(_) => Vec::new(),
        Ask::Trees { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::OwnForests { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::Gram { rows, .. } => vec![*rows],
        Ask::ClassGram { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::Logistic { terms, .. } | Ask::SquaredHinge { terms, .. } => {
            terms.iter().map(|term| term.rows).collect()
        }
        Ask::FourierHinge { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::Stack { terms, .. } => {
            terms.iter().flat_map(|term| term.parts.iter().map(|(rows, _)| *rows)).collect()
        }
        Ask::Softmax { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::Distances { terms, .. } => terms.iter().map(|term| term.rows).collect(),
        Ask::Scores { lists, .. }
        | Ask::Placements { lists, .. }
        | Ask::Bootstrap { lists, .. }
        | Ask::Resampled { lists, .. }
        | Ask::Calls { lists, .. }
        | Ask::OwnSite { lists, .. } => {
            lists.iter().flat_map(|list| list.parts.iter().map(|(rows, _)| *rows)).collect()
        }
    }
}

fn split(query: &Query) -> &[Column] {
    match &query.ask {
        Ask::Gram { .. }
        | Ask::ClassGram { .. }
        | Ask::Logistic { .. }
        | Ask::SquaredHinge { .. }
        | Ask::FourierHinge { .. }
        | Ask::Softmax { .. }
        | Ask::Trees { .. }
        | Ask::FeatureRows { .. }
        | Ask::Stack { .. }
        | Ask::OwnForests { .. }
        | Ask::Bootstrap { .. }
        | Ask::Marked(_) => &[],
        // Each site fills its own cell.
        Ask::OwnSite { .. } | Ask::OwnModels | Ask::MarksAllowed { .. } => &[Column::Site],
        Ask::Profile { split }
        | Ask::Agreement { split, .. }
        | Ask::Grid { split, .. }
        | Ask::Moments { split, .. }
        | Ask::Scores { split, .. }
        | Ask::Resampled { split, .. }
        | Ask::Calls { split, .. }
        | Ask::Distances { split, .. }
        | Ask::Placements { split, .. } => split,
    }
}

/// Whether a part of the answer, added up over all sites, holds this site alone.
fn shows_site_alone(query: &Query, sets: &[RowSet], at: u16) -> bool {
    query.sites.len() == 1
        || split(query).contains(&Column::Site)
        || sets.iter().any(|set| set.sites == SiteSet::Only(at))
}

/// Whether parts of the answer hold some folds only.
fn by_fold(query: &Query, sets: &[RowSet]) -> bool {
    let all = FoldSet::all(query.folds.folds);
    split(query).iter().any(|column| matches!(column, Column::Fold { .. }))
        || sets.iter().any(|set| set.folds != all)
}

#[cfg(test)]
mod tests;
