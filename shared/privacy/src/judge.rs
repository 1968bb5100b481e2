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

use crate::policy::{Consent, FeatureRows, Policy, Rule, WideSums};
use crate::release::Holds;

/// Fewest sites in a sum under secure aggregation: with two, each knows the other's.
pub const MINIMUM_SITES: u64 = 3;

/// Fewest sites of a study that leaves each out once: one goes, [`MINIMUM_SITES`] stay.
pub const MINIMUM_SITES_TO_LEAVE_ONE_OUT: u64 = 4;

/// What the rules need to know about a site's cohort of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortFacts {
    /// Patients of the whole cohort.
    pub patients: u64,
    /// Who sees this site's own sums.
    pub aggregation: Aggregation,
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
        write!(f, "{rule}: ")?;
        match rule {
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
                "a fold would hold {asked} patients, at least {allowed} are needed where the \
                 coordinator sees a site's own sums; ways out: fewer folds, more patients, secure \
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
    let sets = row_sets(query);
    if sets.iter().any(|set| matches!(set.sites, SiteSet::Without(_))) {
        minimum_sites(query.sites.len(), MINIMUM_SITES_TO_LEAVE_ONE_OUT)?;
    }
    if sets.iter().any(|set| set.sites == SiteSet::Without(at)) {
        leave_one_site_out(policy)?;
    }
    let alone = shows_site_alone(query, &sets, at);
    match &query.ask {
        Ask::Scores { .. }
        | Ask::Placements { .. }
        | Ask::Bootstrap { .. }
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
        | Ask::OwnModels => {}
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
    Ok(Allowed { query: query.digest(), site: me.clone(), holds: Holds::Sums })
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
/// every sum by fold a row of one patient. An owner who allows wide sums has accepted that.
fn minimum_fold(policy: &Policy, facts: &CohortFacts, folds: u8) -> Result<(), Refusal> {
    if facts.aggregation == Aggregation::Secure || policy.wide_sums == WideSums::Allowed {
        return Ok(());
    }
    let smallest = facts.patients / u64::from(folds.max(1));
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
        | Ask::OwnModels => Vec::new(),
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
        Ask::Scores { lists, .. }
        | Ask::Placements { lists, .. }
        | Ask::Bootstrap { lists, .. }
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
        | Ask::Bootstrap { .. } => &[],
        // Each site fills its own cell.
        Ask::OwnSite { .. } | Ask::OwnModels => &[Column::Site],
        Ask::Profile { split }
        | Ask::Grid { split, .. }
        | Ask::Moments { split, .. }
        | Ask::Scores { split, .. }
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
mod tests {
    use std::sync::Arc;

    use wardround_core::ids::StudyId;
    use wardround_core::query::{
        Bins, ClassWeights, ColumnCuts, Cuts, Derivatives, Fill, FoldPlan, FourierMap, FourierTerm,
        Frame, LinearModel, LinearTerm, MapScaler, OwnForestTerm, RowPrecision, Scaler, Schema,
        ScoreList, SoftmaxModel, SoftmaxTerm,
    };
    use wardround_core::seed::Seed;
    use wardround_core::study::{
        Choose, ChooseBy, Classifier, Recipe, Reduction, Search, Standardise,
    };

    use super::*;
    use crate::policy::{MinimumPatients, Share};

    const FEATURES: u32 = 20;

    fn query(sites: usize, ask: Ask) -> Query {
        let query = Query {
            study: StudyId::parse("s1").unwrap(),
            sites: (0..sites).map(site).collect(),
            schema: Schema { features: FEATURES, classes: 2, levels: vec![3, 4] },
            input: 0,
            folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
            ask,
        };
        query.check().unwrap();
        query
    }

    fn site(at: usize) -> SiteId {
        SiteId::parse(&format!("s{at}")).unwrap()
    }

    fn rows(sites: SiteSet) -> RowSet {
        RowSet { repeat: 0, folds: FoldSet::all(5), sites }
    }

    fn frame() -> Arc<Frame> {
        Arc::new(Frame::identity(FEATURES as usize))
    }

    fn model() -> LinearModel {
        LinearModel {
            class: 1,
            scaler: Scaler::Folded,
            weights: vec![0.0; FEATURES as usize],
            intercept: 0.0,
            fill: Fill::Complete,
        }
    }

    fn logistic(rows: RowSet) -> Ask {
        Ask::Logistic {
            frame: frame(),
            terms: vec![LinearTerm::new(rows, model())],
            derivatives: Derivatives::Gradient,
            bits: 30,
        }
    }

    fn scores(sites: SiteSet, count: u32, split: Vec<Column>) -> Ask {
        Ask::Scores {
            frame: frame(),
            models: vec![model().into()],
            lists: vec![ScoreList { class: 1, parts: vec![(rows(sites), 0)] }],
            split,
            bins: Bins { half_width: 12.0, count },
            bits: 30,
        }
    }

    fn moments(split: Vec<Column>) -> Ask {
        Ask::Moments { frame: frame(), split, bits: 30 }
    }

    fn plain(patients: u64) -> CohortFacts {
        CohortFacts { patients, aggregation: Aggregation::Plain }
    }

    fn secure(patients: u64) -> CohortFacts {
        CohortFacts { patients, aggregation: Aggregation::Secure }
    }

    fn verdict(policy: &Policy, query: &Query, facts: CohortFacts) -> Result<(), Refusal> {
        judge(policy, query, &facts, &site(0)).map(|_| ())
    }

    fn refusal(rule: Rule, asked: u64, allowed: u64) -> Result<(), Refusal> {
        Err(Refusal { rule, asked, allowed })
    }

    #[test]
    fn wide_is_more_numbers_than_a_third_of_the_patients() {
        let policy = Policy::default();
        let q = query(4, logistic(rows(SiteSet::All)));
        // 0.33 x 64 = 21.12 holds 21 numbers, 0.33 x 63 = 20.79 doesn't.
        assert_eq!(verdict(&policy, &q, plain(64)), Ok(()));
        assert_eq!(verdict(&policy, &q, plain(63)), refusal(Rule::WideSums, 21, 20));
        assert_eq!(verdict(&policy, &q, secure(63)), Ok(()));
        let allowed = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        assert_eq!(verdict(&allowed, &q, plain(63)), Ok(()));
        let refused = Policy { wide_sums: WideSums::Refused, ..Policy::default() };
        assert_eq!(verdict(&refused, &q, secure(63)), refusal(Rule::WideSums, 21, 20));
        let looser = Policy { wide_share: Share::new(0.5).unwrap(), ..Policy::default() };
        assert_eq!(verdict(&looser, &q, plain(63)), Ok(()));
    }

    #[test]
    fn a_model_on_a_map_is_as_wide_as_its_components() {
        let map = FourierMap {
            seed: Seed(1),
            components: 64,
            gamma: 1.0,
            scaler: MapScaler::OwnSite(FoldSet::all(5)),
        };
        let hinge = |sites| Ask::FourierHinge {
            frame: frame(),
            maps: vec![Arc::new(map.clone())],
            terms: vec![FourierTerm {
                rows: rows(sites),
                class_weights: ClassWeights::EQUAL,
                class: 1,
                map: 0,
                weights: vec![0.0; 64],
                intercept: 0.0,
            }],
            bits: 30,
        };
        let policy = Policy::default();
        let everywhere = query(4, hinge(SiteSet::All));
        // 0.33 x 197 = 65.01.
        assert_eq!(verdict(&policy, &everywhere, plain(197)), Ok(()));
        assert_eq!(verdict(&policy, &everywhere, plain(196)), refusal(Rule::WideSums, 65, 64));
        let without_me = query(4, hinge(SiteSet::Without(0)));
        assert_eq!(verdict(&policy, &without_me, plain(500)), refusal(Rule::LeaveOneSiteOut, 1, 0));
        let alone = query(4, hinge(SiteSet::Only(0)));
        let consent = Policy { own_model: Consent::Allowed, ..policy };
        assert_eq!(verdict(&consent, &alone, secure(196)), refusal(Rule::WideSums, 65, 64));
    }

    #[test]
    fn a_model_of_all_classes_is_as_wide_as_all_of_them() {
        let softmax = |sites| {
            let schema = query(4, Ask::Profile { split: vec![] }).schema;
            let columns = schema.features as usize + 1;
            let classes = usize::from(schema.classes);
            let (scaler, fill) = (Scaler::Folded, Fill::Complete);
            let coefficients = vec![0.0; classes * columns];
            let class_weights = vec![1.0; classes];
            let model = SoftmaxModel { scaler, fill, coefficients }.into();
            let terms = vec![SoftmaxTerm { rows: rows(sites), class_weights, model }];
            let derivatives = Derivatives::Gradient;
            Ask::Softmax { frame: frame(), terms, derivatives, bits: 30 }
        };
        let policy = Policy::default();
        let everywhere = query(4, softmax(SiteSet::All));
        let numbers = everywhere.numbers_per_model();
        assert!(numbers > 21);
        let enough = (numbers as f64 / 0.33).ceil() as u64;
        assert_eq!(verdict(&policy, &everywhere, plain(enough)), Ok(()));
        let refused = refusal(Rule::WideSums, numbers, numbers - 1);
        assert_eq!(verdict(&policy, &everywhere, plain(enough - 1)), refused);
        let without_me = query(4, softmax(SiteSet::Without(0)));
        assert_eq!(verdict(&policy, &without_me, plain(500)), refusal(Rule::LeaveOneSiteOut, 1, 0));
    }

    #[test]
    fn a_small_cohort_answers_nothing() {
        let policy = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        for ask in [Ask::Profile { split: vec![] }, logistic(rows(SiteSet::All)), moments(vec![])] {
            let q = query(4, ask);
            assert_eq!(verdict(&policy, &q, plain(9)), refusal(Rule::MinimumCohort, 9, 10));
            assert_eq!(verdict(&policy, &q, plain(10)), Ok(()));
        }
    }

    #[test]
    fn leaving_a_site_out_needs_its_consent_and_four_sites() {
        let default = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        let consent = Policy { leave_one_site_out: Consent::Allowed, ..default.clone() };
        for ask in [logistic as fn(RowSet) -> Ask, |rows| scores(rows.sites, 64, vec![])] {
            let mine = query(4, ask(rows(SiteSet::Without(0))));
            let others = query(4, ask(rows(SiteSet::Without(1))));
            let few = query(3, ask(rows(SiteSet::Without(0))));
            assert_eq!(verdict(&default, &mine, plain(100)), refusal(Rule::LeaveOneSiteOut, 1, 0));
            assert_eq!(verdict(&default, &others, plain(100)), Ok(()));
            assert_eq!(verdict(&consent, &mine, plain(100)), Ok(()));
            assert_eq!(verdict(&consent, &few, plain(100)), refusal(Rule::MinimumSites, 3, 4));
        }
    }

    #[test]
    fn contributing_sites_count_only_where_they_hide_something() {
        let policy = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        let two = query(2, logistic(rows(SiteSet::All)));
        assert_eq!(verdict(&policy, &two, secure(100)), refusal(Rule::MinimumSites, 2, 3));
        assert_eq!(verdict(&policy, &two, plain(100)), Ok(()));
    }

    #[test]
    fn a_model_of_this_site_alone_needs_its_consent_and_judging_it_doesnt() {
        let default = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        let consent = Policy { own_model: Consent::Allowed, ..default.clone() };
        let mine = query(4, logistic(rows(SiteSet::Only(0))));
        let others = query(4, logistic(rows(SiteSet::Only(1))));
        for facts in [plain(100), secure(100)] {
            assert_eq!(verdict(&default, &mine, facts), refusal(Rule::OwnModel, 1, 0));
            assert_eq!(verdict(&default, &others, facts), Ok(()));
            assert_eq!(verdict(&consent, &mine, facts), Ok(()));
            let judged = query(4, scores(SiteSet::Only(0), 64, vec![]));
            assert_eq!(verdict(&default, &judged, facts), Ok(()));
            assert_eq!(verdict(&default, &query(4, Ask::OwnModels), facts), Ok(()));
        }
    }

    #[test]
    fn a_sites_own_figures_go_by_the_rules_of_scores() {
        let Ask::Scores { frame, models, lists, bins, bits, .. } =
            scores(SiteSet::All, 64, vec![Column::Site])
        else {
            panic!("scores")
        };
        let recipe = Recipe {
            classifier: Classifier::NearestMean {
                standardise: vec![Standardise::All],
                reduce: vec![Reduction::None],
            },
            choose_by: ChooseBy::OneList,
            choose: Choose::Best,
            search: Search::Grid,
        }
        .text();
        let q = query(4, Ask::OwnSite { recipe, frame, models, lists, bins, bits });
        let policy = Policy::default();
        // 0.33 x 388 = 128.04.
        assert_eq!(verdict(&policy, &q, plain(388)), Ok(()));
        assert_eq!(verdict(&policy, &q, secure(387)), refusal(Rule::WideSums, 128, 127));
        let silent = Policy { per_site_metrics: Consent::Refused, ..policy };
        assert_eq!(verdict(&silent, &q, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
    }

    #[test]
    fn secure_aggregation_doesnt_excuse_sums_of_one_site() {
        let policy = Policy { own_model: Consent::Allowed, ..Policy::default() };
        for ask in [
            logistic(rows(SiteSet::Only(0))),
            scores(SiteSet::All, 64, vec![Column::Site]),
            moments(vec![Column::Site]),
        ] {
            let q = query(4, ask);
            let Err(refused) = verdict(&policy, &q, secure(50)) else { panic!("{}", q.name()) };
            assert_eq!(refused.rule, Rule::WideSums);
        }
        assert_eq!(
            verdict(&policy, &query(4, logistic(rows(SiteSet::Only(1)))), secure(50)),
            Ok(())
        );
    }

    #[test]
    fn figures_of_a_site_by_itself_are_switched_by_the_site() {
        let policy = Policy { per_site_metrics: Consent::Refused, ..Policy::default() };
        let alone = [
            scores(SiteSet::All, 4, vec![Column::Site]),
            scores(SiteSet::Only(0), 4, vec![Column::Subgroup(0)]),
        ];
        for ask in alone {
            let q = query(4, ask);
            assert_eq!(verdict(&policy, &q, plain(100)), refusal(Rule::PerSiteMetrics, 1, 0));
            assert_eq!(verdict(&Policy::default(), &q, plain(100)), Ok(()));
        }
        let other = query(4, scores(SiteSet::Only(1), 4, vec![]));
        assert_eq!(verdict(&policy, &other, plain(100)), Ok(()));
    }

    #[test]
    fn neither_folds_nor_subgroups_cut_a_plain_sum_down_to_a_patient() {
        let policy = Policy::default();
        let by_fold = query(4, moments(vec![Column::Fold { repeat: 0 }]));
        let mut many = by_fold.clone();
        many.folds.folds = 64;
        assert_eq!(verdict(&policy, &by_fold, plain(100)), Ok(()));
        assert_eq!(verdict(&policy, &many, plain(100)), refusal(Rule::MinimumFold, 1, 5));
        assert_eq!(verdict(&policy, &many, secure(100)), Ok(()));
        let subgroups = moments(vec![Column::Subgroup(0), Column::Subgroup(1)]);
        let q = query(4, subgroups);
        assert_eq!(verdict(&policy, &q, plain(100)), refusal(Rule::WideSums, 20 * 12, 33));
    }

    #[test]
    fn a_question_to_others_isnt_answered() {
        let q = query(4, Ask::Profile { split: vec![] });
        let stranger = SiteId::parse("stranger").unwrap();
        let refused = judge(&Policy::default(), &q, &plain(100), &stranger).unwrap_err();
        assert_eq!(refused, Refusal { rule: Rule::NotAsked, asked: 4, allowed: 0 });
    }

    #[test]
    fn a_study_is_judged_as_its_queries_are() {
        let demand = StudyDemand {
            numbers_per_model: 1281,
            bins: 512,
            folds: 5,
            sites: 3,
            leave_one_site_out: true,
            per_site_metrics: true,
            feature_rows: false,
            own_models: true,
        };
        let refusals = judge_study(&Policy::default(), &demand, &plain(9));
        let codes: Vec<_> = refusals.iter().map(|r| (r.rule.code(), r.asked, r.allowed)).collect();
        assert_eq!(
            codes,
            [
                ("minimum_cohort", 9, 10),
                ("wide_sums", 1281, 2),
                ("wide_sums", 1024, 2),
                ("minimum_fold", 1, 5),
                ("own_model", 1, 0),
                ("leave_one_site_out", 1, 0),
                ("minimum_sites", 3, 4),
            ]
        );
        // Rows are asked for instead of sums.
        let rows = StudyDemand { feature_rows: true, own_models: false, ..demand };
        let refusals = judge_study(&Policy::default(), &rows, &plain(9));
        let codes: Vec<_> = refusals.iter().map(|r| r.rule.code()).collect();
        assert_eq!(
            codes,
            ["minimum_cohort", "feature_rows", "leave_one_site_out", "minimum_sites"]
        );
        let loosened = Policy {
            minimum_cohort: MinimumPatients::new(1),
            wide_sums: WideSums::Allowed,
            leave_one_site_out: Consent::Allowed,
            feature_rows: FeatureRows::Allowed,
            own_model: Consent::Allowed,
            ..Policy::default()
        };
        for demand in [demand, rows] {
            let demand = StudyDemand { sites: 4, ..demand };
            assert_eq!(judge_study(&loosened, &demand, &plain(9)), []);
        }
    }

    #[test]
    fn a_sites_own_trees_leave_only_by_name() {
        let rows = RowSet { repeat: 0, folds: FoldSet::all(5), sites: SiteSet::All };
        let term = OwnForestTerm {
            rows,
            class: 1,
            weights: ClassWeights::EQUAL,
            cuts: 0,
            columns: 4,
            seed: Seed(1),
            trees: 10,
            depth: 3,
            leaves: 8,
            min_patients: 5,
        };
        let frame = Arc::new(Frame::identity(FEATURES as usize));
        let asks = |rows: RowSet| {
            let terms = vec![OwnForestTerm { rows, ..term.clone() }];
            let cut = |column| ColumnCuts { column, steps: vec![512], missing: false };
            let cuts = vec![Cuts((0..FEATURES).map(cut).collect())];
            query(4, Ask::OwnForests { frame: frame.clone(), cuts, terms, bits: 0 })
        };
        let sums = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        assert_eq!(verdict(&sums, &asks(rows), plain(100)), refusal(Rule::OwnModel, 1, 0));
        let own = Policy { own_model: Consent::Allowed, ..Policy::default() };
        assert_eq!(verdict(&own, &asks(rows), plain(100)), Ok(()));
        assert_eq!(verdict(&own, &asks(rows), plain(9)), refusal(Rule::MinimumCohort, 9, 10));
        // What holds of other models holds of these.
        let without = RowSet { sites: SiteSet::Without(0), ..rows };
        let refused = refusal(Rule::LeaveOneSiteOut, 1, 0);
        assert_eq!(verdict(&own, &asks(without), plain(100)), refused);
        let sentence = Refusal { rule: Rule::OwnModel, asked: 1, allowed: 0 }.to_string();
        assert!(sentence.contains("`own_model = \"allowed\"` under [policy]"), "{sentence}");
    }

    #[test]
    fn rows_leave_only_by_name_and_say_that_they_are_rows() {
        let ask = Ask::FeatureRows { rows: [0, 5], precision: RowPrecision::Single };
        let rows = query(1, ask);
        assert_eq!(
            verdict(&Policy::default(), &rows, plain(100)),
            refusal(Rule::FeatureRows, 1, 0)
        );
        // However much else is allowed.
        let sums = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        assert_eq!(verdict(&sums, &rows, plain(100)), refusal(Rule::FeatureRows, 1, 0));
        let policy = Policy { feature_rows: FeatureRows::Allowed, ..Policy::default() };
        assert_eq!(verdict(&policy, &rows, plain(9)), refusal(Rule::MinimumCohort, 9, 10));
        let holds = |query| judge(&policy, query, &plain(100), &site(0)).unwrap().holds;
        assert_eq!(holds(&rows), Holds::Rows);
        assert_eq!(holds(&query(1, Ask::Profile { split: vec![] })), Holds::Sums);
    }

    #[test]
    fn a_refusal_names_rule_numbers_and_ways_out() {
        let wide = Refusal { rule: Rule::WideSums, asked: 1281, allowed: 231 }.to_string();
        for part in [
            "wide_sums",
            "1281",
            "231",
            "fewer features",
            "secure aggregation",
            "`wide_sums = \"allowed\"`",
        ] {
            assert!(wide.contains(part), "{part} in: {wide}");
        }
        for rule in Rule::ALL {
            let text = Refusal { rule: *rule, asked: 71, allowed: 93 }.to_string();
            assert!(text.starts_with(rule.code()) && text.contains("71") && text.contains("93"));
        }
    }
}
