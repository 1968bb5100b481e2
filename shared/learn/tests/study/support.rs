//! Studies and rows for the tests of the study driver.

use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Schema;
use wardround_core::seed::Seed;
use wardround_core::study::{
    Balance, BoostingGrid, Bootstrap, Choose, ChooseBy, Classes, Classifier, CohortRule,
    ColumnSample, Confusion, EarlyStopping, ExamKey, FairnessRule, FederationRule, ForestGrid,
    Input, JudgedUnit, LeafLimit, LearningCurve, Levels, Matrix, Missing, Mode, MultiClass,
    Negative, OnSiteLost, Outliers, OwnSiteBaseline, PatientRule, Quorum, Recalibrate, Reduction,
    RowWeights, Search, SecondReader, Shortcuts, Standardise, Study, StudyKind, StudySites,
    Subgroup, Table, Target, ThresholdRule, TreeRules, Validation,
};
use wardround_learn::cohort::Cohort;
use wardround_learn::findings::{Figure, Findings};
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Storage};
use wardround_learn::study::{Silent, StudyError, run};

/// What makes a study with this grid.
pub type MakeStudy = fn(&[f64], &[Standardise]) -> Study;

/// A binary study on a table without subgroups: five folds, every site left out.
pub fn study(c: &[f64], standardise: &[Standardise]) -> Study {
    Study {
        kind: StudyKind::Train,
        name: "test".into(),
        seed: Seed(7),
        target: Target {
            column: "label".into(),
            classes: Classes::Binary { positive: vec!["1".into()], negative: Negative::Rest },
            second_reader: SecondReader::None,
        },
        cohort: CohortRule {
            sites: StudySites::Enrolled,
            filters: vec![],
            weight: RowWeights::Equal,
        },
        patient: PatientRule { key: "patient".into(), unit: "patient".into(), exam: ExamKey::None },
        subgroups: vec![],
        fairness: FairnessRule::default(),
        input: Input::Table(Table { numeric: vec![], categorical: vec![], missing: Missing::Drop }),
        classifiers: vec![Classifier::Logistic {
            l1_ratio: vec![0.0],
            multi_class: MultiClass::OneVsRest,
            c: c.to_vec(),
            standardise: standardise.to_vec(),
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
            matrix: Matrix::Off,
            learning_curve: LearningCurve::Off,
            outliers: Outliers::Off,
            recalibrate: Recalibrate::Off,
            shortcuts: Shortcuts::Off,
            confusion: Confusion::Off,
        },
        federation: FederationRule {
            quorum: Quorum::All,
            on_site_lost: OnSiteLost::Wait,
            patience_s: 60,
            mode: Mode::Sums,
        },
        digest: Digest::of(b"test"),
    }
}

/// The same with a linear support vector machine.
pub fn svm(c: &[f64], standardise: &[Standardise]) -> Study {
    let classifier = Classifier::LinearSvm {
        c: c.to_vec(),
        standardise: standardise.to_vec(),
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    Study { classifiers: vec![classifier], ..study(c, standardise) }
}

/// One classifier of every kind, small.
pub fn every_classifier() -> Vec<(&'static str, Classifier)> {
    let (c, standardise) = (vec![1.0], vec![Standardise::All]);
    let rules = TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins: 64 };
    let (depth, min_patients) = (vec![3], vec![5]);
    let forest = ForestGrid {
        trees: vec![60],
        depth: vec![5],
        min_patients: min_patients.clone(),
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    let boosting = BoostingGrid {
        trees: vec![40],
        depth,
        min_patients,
        learning_rate: vec![0.1],
        l2: vec![1.0],
        rows: 0.8,
        min_weight: 0.001,
        early_stopping: EarlyStopping::Off,
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    let scaled = || standardise.clone();
    vec![
        (
            "logistic",
            Classifier::Logistic {
                l1_ratio: vec![0.0],
                multi_class: MultiClass::OneVsRest,
                c: c.clone(),
                standardise: scaled(),
                balance: vec![Balance::None],
                reduce: vec![Reduction::None],
            },
        ),
        (
            "logistic, multinomial",
            Classifier::Logistic {
                c: c.clone(),
                l1_ratio: vec![0.0],
                multi_class: MultiClass::Multinomial,
                standardise: scaled(),
                balance: vec![Balance::None],
                reduce: vec![Reduction::None],
            },
        ),
        (
            "linear-svm",
            Classifier::LinearSvm {
                c: vec![0.01],
                standardise: scaled(),
                balance: vec![Balance::None],
                reduce: vec![Reduction::None],
            },
        ),
        (
            "ridge",
            Classifier::Ridge { alpha: c, standardise: scaled(), reduce: vec![Reduction::None] },
        ),
        (
            "lda",
            Classifier::Lda {
                shrinkage: vec![0.1],
                standardise: scaled(),
                reduce: vec![Reduction::None],
            },
        ),
        (
            "nearest-mean",
            Classifier::NearestMean { standardise: scaled(), reduce: vec![Reduction::None] },
        ),
        ("forest", Classifier::Forest(forest)),
        ("boosting", Classifier::Boosting(boosting)),
        (
            "rbf-svm",
            Classifier::RbfSvm {
                c: vec![1.0],
                gamma: vec![0.5],
                components: 512,
                standardise: scaled(),
                balance: vec![Balance::None],
                reduce: vec![Reduction::None],
            },
        ),
    ]
}

/// A classifier's grid over the reduction.
pub fn reduce(classifier: &mut Classifier) -> &mut Vec<Reduction> {
    match classifier {
        Classifier::Logistic { reduce, .. }
        | Classifier::LinearSvm { reduce, .. }
        | Classifier::RbfSvm { reduce, .. }
        | Classifier::Ridge { reduce, .. }
        | Classifier::Lda { reduce, .. }
        | Classifier::NearestMean { reduce, .. } => reduce,
        Classifier::Forest(grid) | Classifier::BaggedForest(grid) => &mut grid.reduce,
        Classifier::Boosting(grid) => &mut grid.reduce,
        Classifier::KernelSvm { .. } => panic!("it has no reduction"),
    }
}

/// Adds a subgroup column of two levels and unknown.
pub fn with_subgroup(mut study: Study) -> Study {
    let levels = Levels::Values { values: vec!["a".into(), "b".into()] };
    study.subgroups.push(Subgroup { name: "group".into(), column: "group".into(), levels });
    study
}

/// Runs a study over all sites that are named.
pub fn find<C: Cohort>(
    cohort: &C,
    study: &Study,
    sites: &[SiteId],
    schema: &Schema,
) -> Result<Findings, StudyError> {
    let id = StudyId::parse("test").unwrap();
    futures::executor::block_on(run(
        cohort,
        study,
        &id,
        sites,
        std::slice::from_ref(schema),
        &Silent,
    ))
}

/// A number in [-1, 1) from two indices and a salt: the same formula as `make_logistic.py`.
pub fn noise(i: u64, j: u64, salt: u64) -> f64 {
    let mut h = (i * 1_000_003 + j * 8191 + salt * 131 + 12345) & 0xffff_ffff;
    for _ in 0..3 {
        h = (h * 1_664_525 + 1_013_904_223) & 0xffff_ffff;
        h ^= h >> 15;
    }
    h as f64 / f64::from(1u32 << 31) - 1.0
}

/// A row of made-up data.
#[derive(Debug, Clone)]
pub struct Line {
    pub site: usize,
    pub patient: usize,
    pub class: u8,
    pub level: u8,
    pub features: Vec<f64>,
}

/// Made-up rows: `n` patients at `sites` sites that differ in prevalence and scanner; every third
/// patient has two rows; features have their own units.
pub fn lines(n: usize, d: usize, sites: usize, salt: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    for patient in 0..n {
        let site = patient % sites;
        let images = if patient % 3 == 0 { 2 } else { 1 };
        for image in 0..images {
            let at = (patient * 2 + image) as u64;
            let x: Vec<f64> = (0..d).map(|j| noise(at, j as u64, salt)).collect();
            let logit = 1.5 * x[0] - 1.2 * x[d / 2] + 0.8 * x[d - 1] - 0.4 + 0.5 * site as f64;
            let draw = (noise(patient as u64, 0, salt + 1) + 1.0) / 2.0;
            let class = u8::from(draw < 1.0 / (1.0 + (-2.0 * logit).exp()));
            let own = |(j, x): (usize, &f64)| {
                let unit = 10f64.powi(j as i32 % 5 - 2);
                unit * (x + 3.0 + 0.3 * site as f64 * noise(j as u64, site as u64, 3))
            };
            let features = x.iter().enumerate().map(own).collect();
            let level = (patient % 7 % 3) as u8;
            lines.push(Line { site, patient, class, level, features });
        }
    }
    lines
}

/// Rows of lines; `subgroup` says whether the level column is kept.
pub fn rows(lines: &[Line], study: &Study) -> Rows {
    rows_kept(lines, study, Storage::default())
}

/// The same, kept somewhere.
pub fn rows_kept(lines: &[Line], study: &Study, storage: Storage) -> Rows {
    let said = |_: usize, line: &Line| (ClassSet::only(line.class), 1.0);
    build(lines, study, storage, same_level(study), said)
}

/// The same with levels that are said of each line.
pub fn rows_by_levels(lines: &[Line], study: &Study, levels: impl Fn(&Line) -> Vec<u8>) -> Rows {
    let said = |_: usize, line: &Line| (ClassSet::only(line.class), 1.0);
    build(lines, study, Storage::default(), levels, said)
}

/// Every subgroup column has the line's level.
fn same_level(study: &Study) -> impl Fn(&Line) -> Vec<u8> {
    let columns = study.subgroups.len();
    move |line| vec![line.level; columns]
}

/// The same with the classes and the weight that are said of each line and its number.
pub fn rows_by(
    lines: &[Line],
    study: &Study,
    said: impl Fn(usize, &Line) -> (ClassSet, f64),
) -> Rows {
    build(lines, study, Storage::default(), same_level(study), said)
}

fn build(
    lines: &[Line],
    study: &Study,
    storage: Storage,
    levels: impl Fn(&Line) -> Vec<u8>,
    said: impl Fn(usize, &Line) -> (ClassSet, f64),
) -> Rows {
    let schema = study.schema(lines[0].features.len() as u32);
    let mut builder = RowsBuilder::new(schema).kept(storage);
    for (at, line) in lines.iter().enumerate() {
        let site = SiteId::parse(&format!("site-{}", line.site)).unwrap();
        let patient =
            Patient { issuer: site.to_string(), site, key: format!("p{:05}", line.patient) };
        let (classes, weight) = said(at, line);
        builder.add(patient, classes, &levels(line), &line.features).unwrap();
        builder.weigh(weight);
        builder.of_exam(&format!("e{}", at % 2));
    }
    builder.build().unwrap()
}

/// Logistic regression over all rows' scale, of one grid point.
pub fn logistic(c: f64, balance: Balance) -> Classifier {
    Classifier::Logistic {
        c: vec![c],
        l1_ratio: vec![0.0],
        multi_class: MultiClass::OneVsRest,
        standardise: vec![Standardise::All],
        balance: vec![balance],
        reduce: vec![Reduction::None],
    }
}

/// A linear model that another program fitted.
#[derive(serde::Deserialize)]
pub struct GoldenModel {
    weights: Vec<f64>,
    intercept: f64,
}

impl GoldenModel {
    /// Weights, then the constant.
    pub fn numbers(&self) -> Vec<f64> {
        self.weights.iter().copied().chain([self.intercept]).collect()
    }
}

/// Weights and constant of a linear model of a modelled class.
pub fn linear_numbers(found: &Findings, target: usize) -> Vec<f64> {
    let model = found.targets[target].model.fitted.linear().unwrap();
    model.weights.iter().copied().chain([model.intercept]).collect()
}

/// A bundle's bytes with one of them, or one of its tensors' numbers, changed as a draw says.
pub fn changed(bytes: &[u8], draw: u64, numbers: &[f64]) -> Vec<u8> {
    // Where the tensors begin; before it is the header, whose changes the reader of JSON refuses.
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let bits = Seed(3).bits("fuzz", &[&draw.to_le_bytes()]);
    let mut changed = bytes.to_vec();
    if bits.is_multiple_of(3) {
        let at = (bits >> 8) as usize % changed.len();
        changed[at] ^= (bits >> 56) as u8 | 1;
    } else {
        let places = (changed.len() - header) / 8;
        let at = header + 8 * ((bits >> 8) as usize % places);
        let number = numbers[(bits >> 3) as usize % numbers.len()];
        changed[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    changed
}

/// The value of a figure.
pub fn value(figure: &Figure) -> f64 {
    match figure {
        Figure::Known { value, .. } => *value,
        Figure::Undefined { reason } => panic!("undefined: {reason}"),
    }
}

/// The largest difference of two lists, divided by the largest magnitude in the second.
pub fn relative(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

/// The same rows, those of a fold of the first deal with their classes exchanged.
pub fn with_exchanged_classes(made: &[Line], rows: &Rows, study: &Study, fold: u8) -> Vec<Line> {
    let mut exchanged = made.to_vec();
    let folds = rows.fold_column(&study.fold_plan(), 0);
    for (row, _) in rows.rows().zip(&folds).filter(|(_, of_row)| **of_row == fold) {
        let class = &mut exchanged[row.source].class;
        *class = 1 - *class;
    }
    exchanged
}

/// Takes all but one patient of the class from a site: without that patient's fold there is none.
pub fn keep_one_positive(made: &mut [Line], site: usize) {
    let mut positives = 0;
    for line in made.iter_mut().filter(|line| line.site == site) {
        positives += usize::from(line.class);
        line.class = u8::from(line.class == 1 && positives == 1);
    }
}
