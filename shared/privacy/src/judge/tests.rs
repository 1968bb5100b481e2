use std::collections::BTreeMap;
use std::sync::Arc;

use wardround_core::ids::StudyId;
use wardround_core::query::{
    Bins, ClassWeights, ColumnCuts, Combine, Cuts, Derivatives, DistanceTerm, Draws, EnsembleModel,
    Fill, FoldPlan, FourierMap, FourierTerm, Frame, GivenScores, JudgedUnit, Labelling,
    LinearModel, LinearTerm, ListCuts, MapScaler, Mark, Marked, Measure, Model, OwnForestTerm,
    RowPrecision, Scaler, Schema, ScoreList, ScoreOf, SoftmaxModel, SoftmaxTerm, Weighting,
};
use wardround_core::seed::Seed;
use wardround_core::study::{
    Choose, ChooseBy, Classifier, Recipe, Reduction, Search, Standardise, ThresholdRule,
};

use super::*;
use crate::policy::{MinimumPatients, Share};

const FEATURES: u32 = 20;

fn query(sites: usize, ask: Ask) -> Query {
    let query = Query {
        study: StudyId::parse("s1").unwrap(),
        sites: (0..sites).map(site).collect(),
        schema: Schema {
            features: FEATURES,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![3, 4],
        },
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
    let (of_rarest_class, largest) = (patients, Largest::NONE);
    CohortFacts { patients, of_rarest_class, aggregation: Aggregation::Plain, largest }
}

fn secure(patients: u64) -> CohortFacts {
    CohortFacts { aggregation: Aggregation::Secure, ..plain(patients) }
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
fn a_patient_with_most_rows_is_hidden_by_no_sum() {
    let policy = Policy::default();
    let with = |of| CohortFacts { largest: Largest { of, all: 320 }, ..plain(100) };
    let marks = vec![Mark::Level { column: 0, level: 0 }];
    let ask = Box::new(scores(SiteSet::All, 10, vec![]));
    let questions = [
        query(4, Ask::Profile { split: vec![] }),
        query(4, logistic(rows(SiteSet::All))),
        query(4, Ask::Marked(Marked { marks, scores: ScoreOf::Mark, ask })),
    ];
    let looser = Policy { dominance: Share::new(0.9).unwrap(), ..Policy::default() };
    for question in &questions {
        assert_eq!(verdict(&policy, question, with(160)), Ok(()));
        assert_eq!(verdict(&policy, question, with(161)), refusal(Rule::Dominance, 0, 50));
        assert_eq!(verdict(&looser, question, with(161)), Ok(()));
    }
    assert!(mark_allowed(&policy, &with(160), 5, false));
    assert!(!mark_allowed(&policy, &with(161), 5, false));
    // Whoever gives rows has nothing left to hide.
    let rows = Policy { feature_rows: FeatureRows::Allowed, ..Policy::default() };
    let ask = Ask::FeatureRows { rows: [0, 5], precision: RowPrecision::Single };
    assert_eq!(verdict(&rows, &query(1, ask), with(161)), Ok(()));
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
        threshold: ThresholdRule::Youden,
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
fn draws_of_the_patients_go_by_the_rules_of_scores() {
    let drawn = |sites: SiteSet, split: Vec<Column>, draws: Draws| {
        let Ask::Scores { frame, models, lists, bins, bits, .. } = scores(sites, 64, vec![]) else {
            panic!("scores")
        };
        let thresholds = |list: &ScoreList| vec![32; list.parts.len()];
        let cuts = lists
            .iter()
            .map(|list| ListCuts { groups: vec![30, 34], thresholds: thresholds(list) })
            .collect();
        let (seed, replicates) = (Seed(1), [0, 101]);
        let ask = Ask::Resampled {
            frame,
            models,
            lists,
            cuts,
            split,
            bins,
            draws,
            seed,
            replicates,
            bits,
        };
        query(4, ask)
    };
    let by_site = drawn(SiteSet::All, vec![Column::Site], Draws::Patients);
    by_site.check().unwrap();
    let policy = Policy::default();
    // 0.33 x 388 = 128.04.
    assert_eq!(verdict(&policy, &by_site, plain(388)), Ok(()));
    assert_eq!(verdict(&policy, &by_site, secure(387)), refusal(Rule::WideSums, 128, 127));
    let silent = Policy { per_site_metrics: Consent::Refused, ..policy };
    assert_eq!(verdict(&silent, &by_site, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
    let levels = drawn(SiteSet::All, vec![Column::Subgroup(0)], Draws::Levels(0));
    assert_eq!(verdict(&silent, &levels, plain(388)), Ok(()));
    let left_out = drawn(SiteSet::Only(0), vec![], Draws::Patients);
    assert_eq!(verdict(&silent, &left_out, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
}

#[test]
fn calls_by_class_go_by_the_rules_of_scores() {
    let called = |sites: SiteSet, split: Vec<Column>| {
        let Ask::Scores { frame, models, lists, .. } = scores(sites, 64, vec![]) else {
            panic!("scores")
        };
        // One of each of two classes.
        let of = |class| ScoreList { class, ..lists[0].clone() };
        let lists = vec![of(0), of(1)];
        let (seed, replicates) = (Seed(1), [0, 101]);
        query(4, Ask::Calls { frame, models, lists, split, seed, replicates })
    };
    let by_site = called(SiteSet::All, vec![Column::Site]);
    let policy = Policy::default();
    assert_eq!(verdict(&policy, &by_site, plain(388)), Ok(()));
    let silent = Policy { per_site_metrics: Consent::Refused, ..policy };
    assert_eq!(verdict(&silent, &by_site, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
    let levels = called(SiteSet::All, vec![Column::Subgroup(0)]);
    assert_eq!(verdict(&silent, &levels, plain(388)), Ok(()));
    let left_out = called(SiteSet::Only(0), vec![]);
    assert_eq!(verdict(&silent, &left_out, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
}

#[test]
fn distances_go_by_the_rules_of_scores() {
    let columns = FEATURES as usize;
    let measure = Measure {
        inverse: vec![1.0; columns],
        fill: Fill::Complete,
        means: vec![vec![0.0; columns]],
        directions: vec![],
        variances: vec![],
        rest: 1.0,
    };
    let asked = |sites: SiteSet, folds: FoldSet, split: Vec<Column>| {
        let terms =
            vec![DistanceTerm { rows: RowSet { folds, ..rows(sites) }, measure: measure.clone() }];
        let bins = Bins { half_width: 4.0, count: 128 };
        query(4, Ask::Distances { frame: frame(), terms, split, bins })
    };
    let all = FoldSet::all(5);
    let by_site = asked(SiteSet::All, all, vec![Column::Site]);
    let policy = Policy::default();
    // 0.33 x 388 = 128.04.
    assert_eq!(verdict(&policy, &by_site, plain(388)), Ok(()));
    assert_eq!(verdict(&policy, &by_site, secure(387)), refusal(Rule::WideSums, 128, 127));
    let silent = Policy { per_site_metrics: Consent::Refused, ..policy };
    assert_eq!(verdict(&silent, &by_site, plain(388)), refusal(Rule::PerSiteMetrics, 1, 0));
    assert_eq!(verdict(&silent, &asked(SiteSet::All, all, vec![]), plain(388)), Ok(()));
    let few = CohortFacts { of_rarest_class: 20, ..plain(388) };
    let one_fold = asked(SiteSet::All, FoldSet::only(1), vec![]);
    assert_eq!(verdict(&silent, &one_fold, few), refusal(Rule::MinimumFold, 4, 5));
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
    assert_eq!(verdict(&policy, &query(4, logistic(rows(SiteSet::Only(1)))), secure(50)), Ok(()));
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
    // Sums of a fold and a gradient on it tell a class apart: 24 of the rarest are 4 a fold.
    let rare = |of_rarest_class| CohortFacts { of_rarest_class, ..plain(100) };
    assert_eq!(verdict(&policy, &by_fold, rare(25)), Ok(()));
    assert_eq!(verdict(&policy, &by_fold, rare(24)), refusal(Rule::MinimumFold, 4, 5));
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
    let facts = CohortFacts { largest: Largest { of: 300, all: 320 }, ..plain(9) };
    let refusals = judge_study(&Policy::default(), &demand, &facts);
    assert_eq!(refusals.iter().filter(|one| one.rule == Rule::Dominance).count(), 1);
    // Rows are asked for instead of sums.
    let rows = StudyDemand { feature_rows: true, own_models: false, ..demand };
    let refusals = judge_study(&Policy::default(), &rows, &plain(9));
    let codes: Vec<_> = refusals.iter().map(|r| r.rule.code()).collect();
    assert_eq!(codes, ["minimum_cohort", "feature_rows", "leave_one_site_out", "minimum_sites"]);
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
    assert_eq!(verdict(&Policy::default(), &rows, plain(100)), refusal(Rule::FeatureRows, 1, 0));
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
fn who_says_which_row_has_which_score_asks_for_rows() {
    let given = GivenScores { class: 1, by_site: BTreeMap::from([(site(0), vec![0.5; 100])]) };
    let given = Model::Given(Arc::new(given));
    let combine = Combine::MeanProbability;
    let members = vec![given.clone(), model().into()];
    let ensemble = Model::Ensemble(EnsembleModel { class: 1, members, combine });
    for model in [given, ensemble] {
        let mut ask = scores(SiteSet::All, 4, vec![]);
        let Ask::Scores { models, .. } = &mut ask else { panic!("a question about scores") };
        *models = vec![model];
        let asked = query(4, ask);
        let refused = refusal(Rule::FeatureRows, 1, 0);
        assert_eq!(verdict(&Policy::default(), &asked, plain(100)), refused);
        let wide = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        assert_eq!(verdict(&wide, &asked, secure(100)), refused);
        let policy = Policy { feature_rows: FeatureRows::Allowed, ..Policy::default() };
        assert_eq!(verdict(&policy, &asked, plain(100)), Ok(()));
    }
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
        assert!(text.starts_with(rule.code()) && text.contains("93"));
        // How many patients differ from an earlier study's stays at the site.
        // And how many rows a patient has.
        let told = !matches!(rule, Rule::Successive | Rule::Dominance);
        assert_eq!(text.contains("71"), told);
    }
}

#[test]
fn a_marked_question_is_judged_as_what_it_stands_for() {
    let marked = |marks: Vec<Mark>, ask: Ask| {
        query(4, Ask::Marked(Marked { marks, scores: ScoreOf::Mark, ask: Box::new(ask) }))
    };
    let levels = || vec![Mark::Level { column: 1, level: 2 }, Mark::Level { column: 1, level: 3 }];
    let of_site = |site| vec![Mark::Site(site), Mark::Level { column: 0, level: 0 }];
    let policy = Policy::default();
    // The wide rule.
    let fit = || logistic(RowSet { folds: FoldSet::all(5).without(0), ..rows(SiteSet::All) });
    let q = marked(levels(), fit());
    assert_eq!(verdict(&policy, &q, plain(100)), Ok(()));
    assert_eq!(verdict(&policy, &q, plain(63)), refusal(Rule::WideSums, 21, 20));
    // A fold of few patients with a mark, or without it.
    let few = CohortFacts { of_rarest_class: 24, ..plain(100) };
    assert_eq!(verdict(&policy, &q, few), refusal(Rule::MinimumFold, 4, 5));
    // Scores of the mark of a site are that site's, of level marks all sites'.
    let closed = Policy { per_site_metrics: Consent::Refused, ..Policy::default() };
    let narrow = Bins { half_width: 12.0, count: 10 };
    let scores = || Ask::Scores {
        frame: frame(),
        models: vec![Model::Linear(model())],
        lists: vec![ScoreList { class: 0, parts: vec![(rows(SiteSet::All), 0)] }],
        split: Vec::new(),
        bins: narrow,
        bits: 20,
    };
    let scored = |marks| verdict(&closed, &marked(marks, scores()), plain(100));
    assert_eq!(scored(levels()), Ok(()));
    assert_eq!(scored(of_site(0)), refusal(Rule::PerSiteMetrics, 1, 0));
    assert_eq!(scored(of_site(1)), Ok(()));
}

#[test]
fn a_mark_is_allowed_where_a_question_about_it_passes() {
    let of = |rarest| CohortFacts { of_rarest_class: rarest, ..plain(1000) };
    let policy = Policy::default();
    assert!(mark_allowed(&policy, &of(25), 5, false));
    assert!(!mark_allowed(&policy, &of(24), 5, false));
    let wide = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
    assert!(mark_allowed(&wide, &of(1), 5, false));
    let closed = Policy { per_site_metrics: Consent::Refused, ..Policy::default() };
    assert!(mark_allowed(&closed, &of(25), 5, false));
    assert!(!mark_allowed(&closed, &of(25), 5, true));
}
