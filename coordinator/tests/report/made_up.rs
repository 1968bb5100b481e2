//! Made-up but consistent findings: patients are drawn, every count and every figure is then
//! counted from them. Intervals are made up.

use wardround::report::{
    Attempt, Context, DataKind, NamedDigest, Report, RoundCost, SetAsideCount, SiteContext,
    WeightsDigest,
};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Bins, Fill, Measure, Unfit};
use wardround_core::seed::Seed;
use wardround_core::study::{
    AugmentationRule, BackboneRule, Balance, Bootstrap, Choose, ChooseBy, Classes, Classifier,
    CohortRule, Confusion, ExamKey, FairnessRule, FederationRule, Input, JudgedUnit,
    LearningCurve as CurveRule, Levels, LinearPoint, Matrix as MatrixRule, Mode, MultiClass,
    Negative, OnSiteLost, Outliers as OutliersRule, OwnSiteBaseline, PatientRule, Precision,
    PreprocessRule, Quorum, Recalibrate, Reduction, RowWeights, Search, SecondReader,
    Shortcuts as ShortcutsRule, Standardise, Study, StudyKind, StudySites, Subgroup, Target,
    ThresholdRule, Validation, WeightsRule,
};
use wardround_learn::findings::{
    Among, Calls, ClassMeans, ColumnSpread, Compared, ComparedClass, ComparedClassifier,
    Comparison, ConformalSets, Cost, Crossed, CrossedRows, CurveModels, CurveOfClass, CurveStep,
    Difference, Distance, Evaluated, Figure, Figures, FinalFit, FinalLimits, FinalLinear,
    FinalModel, FinalScaler, Findings, FoldResult, FollowedLevel, GridPoint, GridResult, Interval,
    Judged, JudgedCell, JudgedLevel, LearningCurve, LeftOut, Matrix, MatrixOfClass, MeansOf,
    MeasuredOutliers, MetricSpread, NamedFigure, Nested, NestedChoice, Outliers, OwnModel, OwnOf,
    OwnSite, OwnSites, OwnSitesOfClass, OwnThresholds, Profile, ProfileCell, Races, Readers,
    Recalibrated, RecalibratedFit, ReliabilityBin, SetsKind, Shift, ShortcutColumn, ShortcutLevel,
    ShortcutOf, Shortcuts, ShortcutsFound, SubgroupNames, TargetFindings, TrainedAt, TreeCounts,
    TreeGains, Uncertainty,
};
use wardround_learn::metrics::abstention::{Kept, SHARES};
use wardround_learn::metrics::conformal::SetCounts;
use wardround_learn::metrics::recalibrate::{Fit, Method};
use wardround_learn::metrics::registry::{CROSSED, FAIRNESS};
use wardround_privacy::judge::Aggregation;
use wardround_privacy::policy::{Consent, Policy, WideSums};

/// A patient: where, which levels, label, scores of the images.
#[derive(Debug, Clone)]
pub struct Patient {
    pub site: usize,
    pub levels: [usize; 2],
    pub positive: bool,
    pub scores: Vec<f64>,
}

/// Patients at `sites` sites, about `per_site` each.
pub fn patients(sites: usize, per_site: usize) -> Vec<Patient> {
    let draw = |purpose: &str, n: usize| Seed(11).uniform(purpose, &[&n.to_le_bytes()]);
    let mut list = Vec::new();
    for site in 0..sites {
        for n in 0..per_site + 17 * site {
            let key = site * 100_000 + n;
            let positive = draw("label", key) < 0.25 + 0.05 * (site % 4) as f64;
            let sex = usize::from(draw("sex", key) < 0.55);
            let age = (draw("age", key) * 3.0) as usize;
            let images = 1 + usize::from(draw("images", key) < 0.3);
            let score = |image: usize| {
                let noise = draw("score", key * 10 + image) + draw("more", key * 10 + image) - 1.0;
                1.0 / (1.0 + (-(3.0 * noise + if positive { 0.4 } else { -1.1 })).exp())
            };
            let scores = (0..images).map(score).collect();
            list.push(Patient { site, levels: [sex, age], positive, scores });
        }
    }
    list
}

/// Patients as in the heart disease data: sex known at the first site only, one patient without
/// disease at the third.
pub fn heart() -> Vec<Patient> {
    // Without and with disease by site and age.
    let counts = [
        [[61, 26], [65, 60], [38, 53]],
        [[92, 49], [66, 44], [5, 5]],
        [[0, 8], [1, 18], [0, 19]],
        [[5, 7], [11, 39], [13, 55]],
    ];
    let draw = |purpose: &str, n: usize| Seed(5).uniform(purpose, &[&n.to_le_bytes()]);
    let mut list = Vec::new();
    for (site, ages) in counts.iter().enumerate() {
        for (age, classes) in ages.iter().enumerate() {
            for (class, &count) in classes.iter().enumerate() {
                for _ in 0..count {
                    let n = list.len();
                    let sex = if site == 0 { usize::from(draw("sex", n) < 0.7) } else { 2 };
                    let noise = draw("score", n) + draw("more", n) - 1.0;
                    let scores = vec![1.0 / (1.0 + (-(3.0 * noise + class as f64 - 0.8)).exp())];
                    list.push(Patient { site, levels: [sex, age], positive: class == 1, scores });
                }
            }
        }
    }
    list
}

/// Findings about some patients.
pub fn findings(sites: usize, patients: &[Patient]) -> Findings {
    let columns =
        [("sex", vec!["male", "female"]), ("age", vec!["0 to <40", "40 to <65", "65 and over"])];
    let subgroups: Vec<SubgroupNames> = columns
        .iter()
        .map(|(name, levels)| SubgroupNames {
            name: (*name).to_owned(),
            levels: levels.iter().chain(&["unknown"]).map(|l| (*l).to_owned()).collect(),
        })
        .collect();
    let by = |keep: &dyn Fn(&Patient) -> bool| -> Vec<&Patient> {
        patients.iter().filter(|patient| keep(patient)).collect()
    };
    let levels = |column: usize| 0..subgroups[column].levels.len();
    let profile = Profile {
        all: profile_cell(&by(&|_| true)),
        by_site: (0..sites).map(|site| profile_cell(&by(&|p| p.site == site))).collect(),
        by_subgroup: (0..2)
            .map(|c| levels(c).map(|l| profile_cell(&by(&|p| p.levels[c] == l))).collect())
            .collect(),
        by_site_and_subgroup: (0..sites)
            .map(|site| {
                let cell =
                    |c: usize, l: usize| profile_cell(&by(&|p| p.site == site && p.levels[c] == l));
                (0..2).map(|c| levels(c).map(|l| cell(c, l)).collect()).collect()
            })
            .collect(),
    };
    let by_site: Vec<Figures> = (0..sites).map(|site| figures(&by(&|p| p.site == site))).collect();
    let judged = Judged {
        auc_within_sites: known(0.731_4, 0.031),
        one_list: figures(&by(&|_| true)),
        by_site: by_site.clone(),
        by_subgroup: (0..2)
            .map(|c| levels(c).map(|l| figures(&by(&|p| p.levels[c] == l))).collect())
            .collect(),
        crossed: Vec::new(),
        fairness: (0..2).map(|c| column_spread(levels(c).len())).collect(),
        uncertainty: Uncertainty {
            recalibrated: Method::ALL.map(recalibrated).into(),
            conformal: vec![ConformalSets {
                kind: SetsKind::Together,
                all: sets(&by(&|_| true)),
                by_site: (0..sites).map(|site| sets(&by(&|p| p.site == site))).collect(),
                by_subgroup: (0..2)
                    .map(|c| levels(c).map(|l| sets(&by(&|p| p.levels[c] == l))).collect())
                    .collect(),
            }],
            own_thresholds: vec![OwnThresholds {
                of: OwnOf::Sites,
                calls: by_site.iter().map(|site| site.confusion).collect(),
            }],
            kept: vec![Kept { calls: [300, 120, 410, 140], rows: 970 }; SHARES.len()],
        },
    };
    let grid: Vec<GridPoint> = [0.001, 0.003, 0.01]
        .iter()
        .flat_map(|&c| {
            [Standardise::All, Standardise::Site].map(|standardise| {
                GridPoint::Linear(LinearPoint {
                    c,
                    standardise,
                    balance: Balance::None,
                    l1_ratio: 0.0,
                    reduce: Reduction::None,
                })
            })
        })
        .collect();
    let fold = |n: usize| FoldResult {
        repeat: 0,
        fold: n as u8,
        auc_within_sites: known(0.70 + 0.011 * n as f64, 0.06),
        auc_one_list: known(0.79 + 0.007 * n as f64, 0.05),
    };
    let target = TargetFindings {
        trees: TreeCounts::Given,
        races: Races::Off,
        class: 1,
        used_for_choosing: (0..grid.len())
            .map(|n| GridResult {
                auc_within_sites: known(0.741 - 0.004 * n as f64, 0.03),
                auc_one_list: known(0.831 - 0.003 * n as f64, 0.02),
                folds: (0..5).map(fold).collect(),
            })
            .collect(),
        nested: Nested {
            choices: (0..5)
                .map(|n| NestedChoice {
                    repeat: 0,
                    fold: n,
                    point: usize::from(n % 2),
                    threshold: 0.21,
                })
                .collect(),
            judged,
            folds: (0..5).map(fold).collect(),
        },
        left_out: if sites < 4 {
            Vec::new()
        } else {
            (0..sites)
                .map(|site| LeftOut {
                    site: site as u16,
                    point: 1,
                    threshold: 0.19,
                    figures: Figures {
                        auc: known(0.66 + 0.002 * site as f64, 0.05),
                        ..by_site[site].clone()
                    },
                    auc_by_point: (0..grid.len())
                        .map(|n| known(0.64 + 0.003 * n as f64, 0.05))
                        .collect(),
                })
                .collect()
        },
        site_only_auc: known(0.562, 0.012),
        model: FinalModel {
            point: 0,
            threshold: 0.223,
            fitted: FinalFit::Linear(FinalLinear {
                scaler: FinalScaler::OwnSite,
                weights: vec![0.25; 1280],
                intercept: -1.5,
                fill: Vec::new(),
                steps: 21,
                gradient: 3e-9,
            }),
            limits: FinalLimits::NotLearned,
            gains: TreeGains::NotKept,
        },
    };
    Findings {
        evaluated: Evaluated::Fitted,
        sites: (0..sites).map(site).collect(),
        classes: vec!["rest".into(), "mel".into()],
        subgroups,
        features: 1280,
        combination: 0,
        profile,
        grid,
        targets: vec![target],
        comparison: Comparison::Single,
        own_sites: OwnSites::NotAsked,
        matrix: Matrix::NotAsked,
        learning_curve: LearningCurve::NotAsked,
        outliers: Outliers::NotAsked,
        shortcuts: Shortcuts::NotAsked,
        shift: Shift::NotAsked,
        readers: Readers::NotAsked,
        class_means: ClassMeans::One,
        calls: Calls::NotAsked,
        cost: Cost { queries: 61, fitting_queries: 48, models: 66, queries_of_slowest_fit: 44 },
    }
}

/// The same with each site's own model, but for the second site's, and models of single sites, but for the first's,
/// whose owner refuses.
pub fn joined(mut findings: Findings) -> Findings {
    let target = &findings.targets[0];
    let sites = findings.sites.len();
    let by_site = &target.nested.judged.by_site;
    let own = |site: usize| {
        if site == 1 {
            return OwnSite::Unfit { reason: Unfit::OneClass };
        }
        let less = 0.03 - 0.02 * site as f64;
        let auc = known(0.701 - less, 0.05);
        OwnSite::Fitted(Box::new(OwnModel {
            own: Figures { auc, ..by_site[site].clone() },
            federated: by_site[site].auc.clone(),
            gain: known(less, 0.04),
        }))
    };
    let trained = |site: usize| match site {
        0 => TrainedAt::Refused,
        _ => TrainedAt::Judged {
            auc: (0..sites).map(|at| known(0.45 + 0.07 * (site + at) as f64, 0.05)).collect(),
        },
    };
    let (class, rounds) = (target.class, [62, 62]);
    let of_sites = (0..sites).map(own).collect();
    let classes = vec![OwnSitesOfClass { class, sites: of_sites }];
    findings.own_sites = OwnSites::Asked { combination: 0, classes, rounds };
    let trained_at = (0..sites).map(trained).collect();
    let classes = vec![MatrixOfClass { class, point: 1, trained_at }];
    findings.matrix = Matrix::Asked { combination: 0, classes, rounds: [63, 80] };
    findings
}

/// The same with a learning curve whose first step couldn't be fitted.
pub fn with_curve(mut findings: Findings) -> Findings {
    let step = |folds: u8| CurveStep {
        folds,
        models: match folds {
            1 => CurveModels::Unfit { reason: Unfit::OneClass },
            _ => CurveModels::Judged {
                auc_within_sites: known(0.6 + 0.02 * f64::from(folds), 0.03),
                auc_one_list: known(0.64 + 0.02 * f64::from(folds), 0.03),
            },
        },
    };
    let classes = vec![CurveOfClass {
        class: findings.targets[0].class,
        point: 1,
        steps: (1..=4).map(step).collect(),
        last_gain: known(0.02, 0.005),
    }];
    findings.learning_curve = LearningCurve::Asked { combination: 0, classes, rounds: [81, 90] };
    findings
}

/// The same with shortcuts that were looked for, the first level of the first column followed, and sites that lie apart.
pub fn followed(mut findings: Findings) -> Findings {
    let sites = findings.sites.len();
    let class = findings.targets[0].class;
    let of = |cell: &ProfileCell, all: &ProfileCell, auc: f64, follows: f64| {
        let side = |at: usize| {
            let [all, own] = [all, cell].map(|cell| cell.patients_by_class[at]);
            Among {
                patients: [all - own, own],
                auc: known(if at == 1 { follows } else { 0.5 }, 0.02),
            }
        };
        ShortcutLevel::Judged(Box::new(JudgedLevel {
            patients: [all.patients - cell.patients, cell.patients],
            rows: [all.rows() - cell.rows(), cell.rows()],
            auc: known(auc, 0.03),
            follows: vec![FollowedLevel { class, among: [side(0), side(1)] }],
        }))
    };
    let profile = &findings.profile;
    let of_sites = profile.by_site.iter().map(|cell| of(cell, &profile.all, 0.91, 0.52)).collect();
    let mut columns = vec![ShortcutColumn { of: ShortcutOf::Site, levels: of_sites }];
    for (column, levels) in profile.by_subgroup.iter().enumerate() {
        let level = |(at, cell): (usize, &ProfileCell)| match (cell.patients, column, at) {
            (0, ..) => ShortcutLevel::Empty,
            (_, 0, 1) => ShortcutLevel::Rest,
            (_, 0, 0) => of(cell, &profile.all, 0.83, 0.7),
            _ => of(cell, &profile.all, 0.61, 0.51),
        };
        let levels = levels.iter().enumerate().map(level).collect();
        columns.push(ShortcutColumn { of: ShortcutOf::Subgroup { column }, levels });
    }
    findings.shortcuts =
        Shortcuts::Asked(ShortcutsFound { c: 1.0 / 1280.0, columns, rounds: [81, 120] });
    let distance = |at: usize| Distance {
        features: 1280,
        root_mean_square: 0.31 + 0.01 * at as f64,
        by_chance: 0.12,
        beyond: [0.4, 0.1],
        largest: 1.3,
        largest_feature: 7,
        variance_ratio: 0.97,
    };
    findings.shift = Shift::Known {
        from_others: (0..sites).map(distance).collect(),
        pairs: (0..sites * (sites - 1) / 2).map(distance).collect(),
    };
    findings
}

/// The same with distances: of every site's rows 2 % lie in the last but one bin, of the last site's 30 %.
pub fn unlike(mut findings: Findings) -> Findings {
    let features = findings.features as usize;
    let bins = Bins { half_width: 4.0, count: 16 };
    let sites = findings.profile.by_site.len();
    let of_site = |(at, cell): (usize, &ProfileCell)| {
        let rows = cell.rows();
        let far = if at + 1 == sites { rows * 3 / 10 } else { rows / 50 };
        let mut counts = vec![0; 16];
        (counts[7], counts[8], counts[14]) = (rows / 2, rows - rows / 2 - far, far);
        counts
    };
    findings.outliers = Outliers::Measured(MeasuredOutliers {
        measure: Measure {
            inverse: vec![1.0; features],
            fill: Fill::Complete,
            means: vec![vec![0.0; features]; 2],
            directions: vec![],
            variances: vec![],
            rest: 1.0,
        },
        means: MeansOf::Classes,
        bins,
        by_site: findings.profile.by_site.iter().enumerate().map(of_site).collect(),
    });
    findings
}

/// The same with a second, worse classifier beside the first, on the same grid.
pub fn compared(mut findings: Findings) -> Findings {
    let one = |name: &str, less: f64, rounds: [u64; 2]| {
        let target = &findings.targets[0];
        let mut nested = target.nested.clone();
        if let Figure::Known { value, .. } = &mut nested.judged.auc_within_sites {
            *value -= less;
        }
        ComparedClassifier {
            name: name.into(),
            grid: findings.grid.clone(),
            auc: nested.judged.auc_within_sites.clone(),
            classes: vec![ComparedClass {
                trees: TreeCounts::Given,
                races: Races::Off,
                class: target.class,
                used_for_choosing: target.used_for_choosing.clone(),
                nested,
                left_out: target.left_out.clone(),
                point: target.model.point,
            }],
            cost: Cost { queries: rounds[1] - rounds[0] + 1, ..findings.cost.clone() },
            rounds,
        }
    };
    let classifiers =
        vec![one("logistic", 0.0, [3, 30]), one("logistic, class weights", 0.0123, [31, 61])];
    findings.comparison = Comparison::Several(Compared {
        classifiers,
        chosen: 0,
        estimate: known(0.7317, 0.041),
        estimate_by_class: vec![known(0.7317, 0.041)],
        differences: vec![Difference {
            first: 0,
            second: 1,
            auc: Figure::Known {
                value: 0.0123,
                interval: Interval::Between { low: 0.0021, high: 0.0225 },
            },
            p: Some(0.0171),
        }],
        replicates: 1000,
    });
    findings
}

/// The same with every level at each site, and both columns' intersections.
pub fn with_crossed(mut findings: Findings, patients: &[Patient]) -> Findings {
    let levels = |column: usize| findings.subgroups[column].levels.len();
    let cell = |keep: &dyn Fn(&Patient) -> bool| {
        figures(&patients.iter().filter(|patient| keep(patient)).collect::<Vec<_>>())
    };
    let table = |rows: CrossedRows, column: usize| {
        let count = match rows {
            CrossedRows::Sites => findings.sites.len(),
            CrossedRows::Subgroup(at) => levels(usize::from(at)),
        };
        let row_of = |p: &Patient| match rows {
            CrossedRows::Sites => p.site,
            CrossedRows::Subgroup(at) => p.levels[usize::from(at)],
        };
        let row = |at: usize| {
            let of_level =
                |level: usize| cell(&|p: &Patient| row_of(p) == at && p.levels[column] == level);
            (0..levels(column)).map(of_level).collect::<Vec<_>>()
        };
        let mut spread = column_spread(count * levels(column));
        spread.metrics.retain(|metric| CROSSED.contains(&metric.name.as_str()));
        let cells = (0..count).map(row).collect();
        Crossed { rows, column: column as u8, cells, spread }
    };
    let tables = vec![
        table(CrossedRows::Sites, 0),
        table(CrossedRows::Sites, 1),
        table(CrossedRows::Subgroup(0), 1),
    ];
    findings.targets[0].nested.judged.crossed = tables;
    findings
}

/// The context that goes with findings about these sites.
pub fn context(findings: &Findings) -> Context {
    let digest = |of: &str| Digest::of(of.as_bytes());
    let sites =
        findings.sites.iter().zip(&findings.profile.by_site).map(|(site, cell)| SiteContext {
            site: site.clone(),
            policy: Policy {
                wide_sums: WideSums::Allowed,
                leave_one_site_out: if site.as_str() == "rosendahl" {
                    Consent::Refused
                } else {
                    Consent::Allowed
                },
                ..Policy::default()
            },
            lock: digest(site.as_str()),
            device: "cpu avx2".into(),
            set_aside: vec![SetAsideCount {
                reason: "unreadable image".into(),
                patients: 12,
                images: 14,
            }],
            dominated: Vec::new(),
            rounds: 61,
            numbers_sent: 8_912_345,
            numbers_held: cell.rows_by_class.iter().sum::<u64>() * 1280,
            bytes_up: 71_298_760,
            bytes_down: 12_345_678,
        });
    let statistics = ["profile", "moments", "gram", "logistic", "scores", "placements"];
    Context {
        study_id: StudyId::parse("s-20260301-mel").expect("a valid id"),
        study: study(),
        software: "wardround 0.1.0".into(),
        data: DataKind::Synthetic,
        aggregation: Aggregation::Plain,
        sites: sites.collect(),
        rounds: (0..61)
            .map(|n| RoundCost {
                round: n + 1,
                statistic: statistics
                    [(n as usize).min(3) + usize::from(n > 55) + usize::from(n > 58)]
                .into(),
                query: digest(&n.to_string()).into(),
                numbers: 84_546,
                bytes_up: 1_234_567,
                bytes_down: 456_789,
                took_ms: 412,
            })
            .collect(),
        attempts: vec![Attempt {
            attempt: 1,
            sites: findings
                .sites
                .iter()
                .cloned()
                .chain([SiteId::parse("lost").expect("a valid id")])
                .collect(),
            lost: SiteId::parse("lost").expect("a valid id"),
            round: 17,
            reason: "no progress for 600 s".into(),
        }],
        bundle: digest("bundle"),
        weights: WeightsDigest::Backbone {
            name: "efficientnet-lite0".into(),
            sha256: digest("weights"),
        },
        journal_head: digest("journal"),
        reports: vec![NamedDigest { name: "attempt 1".into(), sha256: digest("report") }],
    }
}

/// The name of a site by its number.
pub fn site(number: usize) -> SiteId {
    let names = ["rosendahl", "vidir_modern", "vidir_molemax", "vienna_dias"];
    let name = names.get(number).map_or_else(
        || format!("st-somewhere-university-hospital-{number:02}"),
        |name| (*name).to_owned(),
    );
    SiteId::parse(&name).expect("a valid id")
}

fn study() -> Study {
    Study {
        kind: StudyKind::Train,
        name: "Melanoma against the rest, four sites".into(),
        seed: Seed(7),
        target: Target {
            column: "dx".into(),
            classes: Classes::Binary { positive: vec!["mel".into()], negative: Negative::Rest },
            second_reader: SecondReader::None,
        },
        cohort: CohortRule {
            sites: StudySites::Enrolled,
            filters: Vec::new(),
            weight: RowWeights::Equal,
        },
        patient: PatientRule {
            key: "lesion_id".into(),
            unit: "lesion".into(),
            exam: ExamKey::None,
        },
        subgroups: vec![
            Subgroup {
                name: "sex".into(),
                column: "sex".into(),
                levels: Levels::Values { values: vec!["male".into(), "female".into()] },
            },
            Subgroup {
                name: "age".into(),
                column: "age".into(),
                levels: Levels::Bands { edges: vec![0.0, 40.0, 65.0] },
            },
        ],
        fairness: FairnessRule::default(),
        input: Input::Images {
            column: "image".into(),
            backbones: vec![BackboneRule {
                name: "efficientnet-lite0".into(),
                weights: WeightsRule::Shipped,
                preprocess: PreprocessRule::Shipped,
                precision: Precision::F32,
            }],
            augmentation: AugmentationRule::Off,
        },
        classifiers: vec![Classifier::Logistic {
            l1_ratio: vec![0.0],
            multi_class: MultiClass::OneVsRest,
            c: vec![0.001, 0.003, 0.01],
            standardise: vec![Standardise::All, Standardise::Site],
            balance: vec![Balance::None],
            reduce: vec![Reduction::None],
        }],
        ensembles: vec![],
        validation: Validation {
            threshold: ThresholdRule::Youden,
            folds: 5,
            repeats: 1,
            leave_one_site_out: true,
            judge: JudgedUnit::Row,
            choose_by: ChooseBy::WithinSites,
            choose: Choose::Best,
            search: Search::Grid,
            bootstrap: Bootstrap::Off,
            own_site_baseline: OwnSiteBaseline::Off,
            matrix: MatrixRule::Off,
            learning_curve: CurveRule::Off,
            shortcuts: ShortcutsRule::Off,
            confusion: Confusion::Off,
            outliers: OutliersRule::Off,
            recalibrate: Recalibrate::Off,
        },
        federation: FederationRule {
            quorum: Quorum::All,
            on_site_lost: OnSiteLost::Restart,
            patience_s: 600,
            mode: Mode::Sums,
        },
        digest: Digest::of(b"study"),
    }
}

pub fn known(value: f64, half: f64) -> Figure {
    let interval = Interval::Between { low: value - half, high: (value + half).min(1.0) };
    Figure::Known { value, interval }
}

fn profile_cell(patients: &[&Patient]) -> ProfileCell {
    let class = |positive: bool| patients.iter().filter(move |p| p.positive == positive);
    let images = |positive: bool| class(positive).map(|p| p.scores.len() as u64).sum();
    ProfileCell {
        patients: patients.len() as u64,
        patients_by_class: vec![class(false).count() as u64, class(true).count() as u64],
        rows_by_class: vec![images(false), images(true)],
        all_rows: images(false) + images(true),
        judged: JudgedCell::Rows,
    }
}

fn figures(patients: &[&Patient]) -> Figures {
    let cell = profile_cell(patients);
    let mut rows: Vec<(f64, bool)> =
        patients.iter().flat_map(|p| p.scores.iter().map(|&s| (s, p.positive))).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let counts = [cell.rows_by_class[0], cell.rows_by_class[1]];
    let undefined = || Figure::Undefined { reason: "a class has no images".into() };
    let (mut roc, mut area, mut seen) = (vec![[0.0, 0.0]], 0.0, [0u64; 2]);
    for &(_, positive) in &rows {
        seen[usize::from(positive)] += 1;
        if !positive {
            area += seen[1] as f64;
        }
        let share = |class: usize| seen[class] as f64 / counts[class].max(1) as f64;
        roc.push([share(0), share(1)]);
    }
    let both = counts.iter().all(|&n| n > 0);
    let called = |positive: bool, call: bool| {
        rows.iter().filter(|(s, p)| *p == positive && (*s >= 0.3) == call).count() as u64
    };
    let confusion =
        [called(true, true), called(false, true), called(false, false), called(true, false)];
    let share = |part: u64, of: u64| {
        if of == 0 { undefined() } else { known(part as f64 / of as f64, 0.04) }
    };
    let mut bins = vec![ReliabilityBin { rows: 0, positives: 0, mean_score: 0.0 }; 15];
    for &(score, positive) in &rows {
        let bin = &mut bins[((score * 15.0) as usize).min(14)];
        bin.mean_score += score;
        bin.rows += 1;
        bin.positives += u64::from(positive);
    }
    for bin in bins.iter_mut().filter(|bin| bin.rows > 0) {
        bin.mean_score /= bin.rows as f64;
    }
    let n = rows.len() as f64;
    let gap =
        |bin: &ReliabilityBin| (bin.mean_score * bin.rows as f64 - bin.positives as f64).abs() / n;
    let brier = rows.iter().map(|(s, p)| (s - f64::from(u8::from(*p))).powi(2)).sum::<f64>() / n;
    Figures {
        patients: [cell.patients_by_class[0], cell.patients_by_class[1]],
        rows: counts,
        auc: if both { known(area / (counts[0] * counts[1]) as f64, 0.03) } else { undefined() },
        sensitivity: share(confusion[0], counts[1]),
        specificity: share(confusion[2], counts[0]),
        confusion,
        brier: if rows.is_empty() { undefined() } else { known(brier, 0.01) },
        ece: if rows.is_empty() {
            undefined()
        } else {
            Figure::Known { value: bins.iter().map(gap).sum(), interval: Interval::NotComputed }
        },
        roc: if both { roc } else { Vec::new() },
        reliability: bins,
        more: vec![
            named("selection_rate", share(confusion[0] + confusion[1], rows.len() as u64)),
            named("ppv", share(confusion[0], confusion[0] + confusion[1])),
            named("log_loss", if rows.is_empty() { undefined() } else { known(0.4, 0.01) }),
        ],
    }
}

fn named(name: &str, figure: Figure) -> NamedFigure {
    NamedFigure { name: name.to_owned(), figure }
}

/// Four sites of 160 patients, and their report.
pub fn usual() -> (Findings, Report) {
    let findings = findings(4, &patients(4, 160));
    let report = Report::build(&findings, &context(&findings)).expect("consistent findings");
    (findings, report)
}

/// A report as JSON, page and terminal have it.
pub fn outputs(report: &Report) -> [String; 3] {
    [report.to_json(), report.to_html(), report.to_text()]
}

/// A patient who is alone with two others in a cell of site and sex, and one who has no sex.
pub fn with_small_cells() -> Vec<Patient> {
    let mut list = patients(4, 160);
    // Three women at the first site, all other women are men there.
    let mut women = 0;
    for patient in list.iter_mut().filter(|p| p.site == 0 && p.levels[0] == 1) {
        women += 1;
        if women > 3 {
            patient.levels[0] = 0;
        }
    }
    // Two of unknown age at the third site.
    list.iter_mut().filter(|p| p.site == 2).take(2).for_each(|p| p.levels[1] = 3);
    list
}

/// Errors of .02, and deals whose levels lie up to .04 apart; the first level has no specificity in some.
fn column_spread(levels: usize) -> ColumnSpread {
    let metric = |name: &&str| MetricSpread {
        name: (*name).to_owned(),
        errors: vec![Some(0.02); levels],
        dealt: (0..levels)
            .map(|level| {
                let value = |deal: usize| 0.7 + 0.001 * ((deal * (level + 3)) % 41) as f64;
                let missing =
                    |deal: usize| *name == "specificity" && level == 0 && deal.is_multiple_of(10);
                (0..100).map(|deal| (!missing(deal)).then(|| value(deal))).collect()
            })
            .collect(),
    };
    ColumnSpread { metrics: FAIRNESS.iter().map(metric).collect() }
}

fn recalibrated(method: Method) -> Recalibrated {
    let fit = Fit { brier: 0.1712, log_loss: 0.5123, ece: 0.0511, ece_equal_mass: 0.0522 };
    let fit = match method {
        Method::Isotonic => RecalibratedFit::Undefined { reason: "no positive rows".into() },
        _ => RecalibratedFit::Known(fit),
    };
    Recalibrated { method, fit }
}

/// Sets of probabilities: the negative class up to .7, the positive from .2 on.
fn sets(patients: &[&Patient]) -> SetCounts {
    let mut counts = SetCounts::default();
    for patient in patients {
        for &score in &patient.scores {
            let holds = [score <= 0.7, score >= 0.2];
            let class = usize::from(patient.positive);
            counts.rows[class] += 1;
            counts.covered[class] += u64::from(holds[class]);
            counts.both += u64::from(holds[0] && holds[1]);
        }
    }
    counts
}
