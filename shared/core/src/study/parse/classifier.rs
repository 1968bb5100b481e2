//! Reading `[classifier]`.

use super::super::{
    Balance, BoostingGrid, Classifier, ColumnSample, EarlyStopping, ForestGrid, LeafLimit,
    MultiClass, Reduction, Standardise, TreeRules,
};
use super::MOST;
use crate::query::{LEAST_COMPONENTS, MOST_COMPONENTS, MOST_CUTS, MOST_GAMMA, MOST_OWN_DEPTH};
use crate::read::{self, Key, Value};

/// Most trees of a model.
const MOST_TREES: u32 = 2000;
/// Most splits between a tree's root and its leaves.
const DEEPEST: u8 = 16;
/// Most points of a grid.
const MOST_POINTS: usize = 256;
/// Columns of a tree unless the study says otherwise: with 128 of 1,280 features boosted trees are as
/// good as with all of them, for a tenth of the bytes.
const COLUMNS: u32 = 128;
/// Components of random Fourier features unless the study says otherwise.
const COMPONENTS: u32 = 4096;

pub(super) const KEYS: &[Key] = &[
    Key::value("kind", "\"logistic\""),
    Key::value("c", "[0.001, 0.01, 0.1]"),
    Key::value("l1_ratio", "[0.0, 0.5, 1.0]"),
    Key::value("multi_class", "\"multinomial\""),
    Key::value("gamma", "[0.3, 1.0]"),
    Key::value("components", "4096"),
    Key::value("alpha", "[1.0, 100.0]"),
    Key::value("shrinkage", "[0.1, 0.5]"),
    Key::value("standardise", "[\"all\"]"),
    Key::value("balance", "[\"none\", \"weights\"]"),
    Key::value("reduce", "[\"none\", \"univariate:128\"]"),
    Key::value("trees", "[300]"),
    Key::value("depth", "[8]"),
    Key::value("min_patients", "[10]"),
    Key::value("learning_rate", "[0.1]"),
    Key::value("l2", "[1.0]"),
    Key::value("rows", "0.8"),
    Key::value("min_weight", "0.001"),
    Key::value("columns", "128"),
    Key::value("leaves", "31"),
    Key::value("bins", "64"),
    Key::value("early_stopping", "20"),
];

/// Which keys belong to which kind, beside `kind` itself.
const LOGISTIC: &[&str] = &["c", "l1_ratio", "multi_class", "standardise", "balance", "reduce"];
const LINEAR_SVM: &[&str] = &["c", "standardise", "balance", "reduce"];
const RBF_SVM: &[&str] = &["c", "gamma", "components", "standardise", "balance", "reduce"];
const KERNEL_SVM: &[&str] = &["c", "gamma", "balance"];
const RIDGE: &[&str] = &["alpha", "standardise", "reduce"];
const LDA: &[&str] = &["shrinkage", "standardise", "reduce"];
const NEAREST_MEAN: &[&str] = &["standardise", "reduce"];
const FOREST: &[&str] =
    &["trees", "depth", "min_patients", "columns", "leaves", "bins", "balance", "reduce"];
const BOOSTING: &[&str] = &[
    "trees",
    "depth",
    "min_patients",
    "learning_rate",
    "l2",
    "rows",
    "min_weight",
    "columns",
    "leaves",
    "bins",
    "balance",
    "early_stopping",
    "reduce",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Logistic,
    LinearSvm,
    RbfSvm,
    Ridge,
    Lda,
    NearestMean,
    Forest,
    Boosting,
    BaggedForest,
    KernelSvm,
}

const KINDS: [(&str, Kind); 10] = [
    ("logistic", Kind::Logistic),
    ("linear-svm", Kind::LinearSvm),
    ("rbf-svm", Kind::RbfSvm),
    ("ridge", Kind::Ridge),
    ("lda", Kind::Lda),
    ("nearest-mean", Kind::NearestMean),
    ("forest", Kind::Forest),
    ("boosting", Kind::Boosting),
    ("bagged-forest", Kind::BaggedForest),
    ("kernel-svm", Kind::KernelSvm),
];

/// `[classifier]`, or several to compare as `[[classifier]]`; then every way with classes of different size is a classifier
/// of its own, so that the comparison shows what it does.
pub(super) fn classifiers(value: &Value<'_>) -> Option<Vec<Classifier>> {
    if !value.is_list() {
        return Some(vec![classifier(&value.table(KEYS)?)?]);
    }
    let listed = value.list(1..=MOST, |entry| classifier(&entry.table(KEYS)?))?;
    let each: Vec<Classifier> = listed.into_iter().flat_map(Classifier::by_balance).collect();
    if each.len() > MOST {
        let what = format!("[[classifier]] makes {} classifiers", each.len());
        return value.refuse(what, format!("keep it to {MOST}: list fewer, or fewer balances"));
    }
    if let Some(twice) = each.iter().enumerate().find(|(at, one)| each[..*at].contains(one)) {
        let what = format!("[[classifier]] number {} is there before", twice.0 + 1);
        return value.refuse(what, "leave it out, or change a parameter");
    }
    Some(each)
}

fn classifier(table: &read::Table<'_>) -> Option<Classifier> {
    let kind = table.required("kind").and_then(|v| v.choice(&KINDS))?;
    let own = match kind {
        Kind::Logistic => LOGISTIC,
        Kind::LinearSvm => LINEAR_SVM,
        Kind::RbfSvm => RBF_SVM,
        Kind::Ridge => RIDGE,
        Kind::Lda => LDA,
        Kind::NearestMean => NEAREST_MEAN,
        Kind::Forest | Kind::BaggedForest => FOREST,
        Kind::Boosting => BOOSTING,
        Kind::KernelSvm => KERNEL_SVM,
    };
    let others = KEYS.iter().map(|key| key.name).filter(|key| *key != "kind" && !own.contains(key));
    let mut foreign = false;
    for value in others.filter_map(|key| table.optional(key)) {
        let word = KINDS.iter().find(|(_, other)| *other == kind).map_or("?", |(word, _)| word);
        value.wrong(
            format!(
                "{} stands beside kind = \"{word}\", which has no such parameter",
                value.name()
            ),
            format!("leave it out; \"{word}\" has {}", own.join(", ")),
        );
        foreign = true;
    }
    let reduce = reduce(table, kind);
    let read = match kind {
        Kind::Logistic => logistic(table, reduce),
        Kind::LinearSvm => linear(table).zip(reduce).map(|((c, standardise, balance), reduce)| {
            Classifier::LinearSvm { c, standardise, balance, reduce }
        }),
        Kind::RbfSvm => rbf_svm(table, reduce),
        Kind::Ridge => {
            let alpha = table.required("alpha").and_then(|v| {
                let each = v.list(1..=MOST, Value::positive);
                each.and(v.ascending(1..=MOST))
            });
            let standardise = standardise(table);
            let all = alpha.zip(standardise).zip(reduce);
            all.map(|((alpha, standardise), reduce)| Classifier::Ridge {
                alpha,
                standardise,
                reduce,
            })
        }
        Kind::Lda => {
            let shrinkage = table.or("shrinkage", vec![0.1], shares_or_zero);
            let standardise = standardise(table);
            let all = shrinkage.zip(standardise).zip(reduce);
            all.map(|((shrinkage, standardise), reduce)| Classifier::Lda {
                shrinkage,
                standardise,
                reduce,
            })
        }
        Kind::NearestMean => {
            let both = standardise(table).zip(reduce);
            both.map(|(standardise, reduce)| Classifier::NearestMean { standardise, reduce })
        }
        Kind::Forest => forest(table, DEEPEST, reduce).map(Classifier::Forest),
        Kind::BaggedForest => forest(table, MOST_OWN_DEPTH, reduce).map(Classifier::BaggedForest),
        Kind::Boosting => boosting(table, reduce).map(Classifier::Boosting),
        Kind::KernelSvm => kernel_svm(table),
    };
    let points = read.as_ref().map_or(0, |classifier| classifier.grid().len());
    if points > MOST_POINTS {
        table.wrong(
            format!("[classifier] makes a grid of {points} points"),
            format!("keep it to {MOST_POINTS}: list fewer values"),
        );
        return None;
    }
    read.filter(|_| !foreign)
}

fn linear(table: &read::Table<'_>) -> Option<(Vec<f64>, Vec<Standardise>, Vec<Balance>)> {
    let c = table.required("c").and_then(|v| {
        let each = v.list(1..=MOST, Value::positive);
        each.and(v.ascending(1..=MOST))
    });
    let (standardise, balance) = (standardise(table), balance(table));
    Some((c?, standardise?, balance?))
}

fn logistic(table: &read::Table<'_>, reduce: Option<Vec<Reduction>>) -> Option<Classifier> {
    let l1_ratio = table.or("l1_ratio", vec![0.0], shares_or_zero);
    let words = [("one-vs-rest", MultiClass::OneVsRest), ("multinomial", MultiClass::Multinomial)];
    let multi_class = table.or("multi_class", MultiClass::OneVsRest, |v| v.choice(&words));
    let (c, standardise, balance) = linear(table)?;
    let (l1_ratio, multi_class, reduce) = (l1_ratio?, multi_class?, reduce?);
    let mut fits = true;
    let mut refuse = |what: &str, instead: &str| {
        table.wrong(format!("[classifier] has {what}"), instead);
        fits = false;
    };
    let reduces = reduce.iter().any(|one| !one.is_none());
    if l1_ratio != [0.0] && reduces {
        refuse(
            "an l1_ratio beside a reduction of features",
            "leave one of them out: an L1 penalty chooses features by itself",
        );
    }
    if multi_class == MultiClass::Multinomial {
        if l1_ratio != [0.0] {
            refuse(
                "an l1_ratio beside multi_class = \"multinomial\"",
                "leave one of them out: one model of all classes has an L2 penalty only",
            );
        }
        if reduces {
            refuse(
                "a reduction of features beside multi_class = \"multinomial\"",
                "leave one of them out: features are selected for one class against the rest",
            );
        }
        if let Some(drawn) =
            balance.iter().find(|one| !matches!(one, Balance::None | Balance::Weights))
        {
            refuse(
                &format!("{} beside multi_class = \"multinomial\"", drawn.name()),
                "rows are drawn for one class against the rest: use \"none\" or \"weights\"",
            );
        }
    }
    fits.then_some(Classifier::Logistic { c, l1_ratio, multi_class, standardise, balance, reduce })
}

/// The widths of a Gaussian kernel.
fn gamma(table: &read::Table<'_>) -> Option<Vec<f64>> {
    let width = |entry: &Value<'_>| {
        let gamma = entry.positive()?;
        if gamma <= MOST_GAMMA {
            return Some(gamma);
        }
        entry.refuse(format!("{} is {gamma}", entry.name()), format!("at most {MOST_GAMMA}"))
    };
    table.or("gamma", vec![1.0], |v| {
        let each = v.list(1..=MOST, width);
        each.and(v.ascending(1..=MOST))
    })
}

fn kernel_svm(table: &read::Table<'_>) -> Option<Classifier> {
    let (gamma, linear) = (gamma(table), linear(table));
    let (c, _, balance) = linear?;
    if let Some(drawn) = balance.iter().find(|one| !matches!(one, Balance::None | Balance::Weights))
    {
        table.wrong(
            format!("[classifier] has {} beside kind = \"kernel-svm\"", drawn.name()),
            "its machine counts a row by its class alone: use \"none\" or \"weights\"",
        );
        return None;
    }
    Some(Classifier::KernelSvm { c, gamma: gamma?, balance })
}

fn rbf_svm(table: &read::Table<'_>, reduce: Option<Vec<Reduction>>) -> Option<Classifier> {
    let gamma = gamma(table);
    let components = table.or("components", COMPONENTS, |v| {
        let components = v.integer(LEAST_COMPONENTS..=MOST_COMPONENTS)?;
        if components.is_multiple_of(2) {
            return Some(components);
        }
        v.refuse(
            format!("{} is {components}", v.name()),
            "it must be even: each frequency has a cosine and a sine",
        )
    });
    let linear = linear(table);
    let (c, standardise, balance) = linear?;
    let reduce = reduce?;
    let reduces = reduce.iter().any(|one| !one.is_none());
    if let Some(value) = table.optional("reduce")
        && reduces
        && let Some(own) = standardise.iter().find(|one| **one != Standardise::All)
    {
        return value.refuse(
            format!(
                "{} stands beside standardise = [\"{}\"] of an \"rbf-svm\"",
                value.name(),
                if *own == Standardise::Site { "site" } else { "combat" }
            ),
            "write standardise = [\"all\"], or leave it out",
        );
    }
    let (gamma, components) = (gamma?, components?);
    Some(Classifier::RbfSvm { c, gamma, components, standardise, balance, reduce })
}

/// How features are reduced; principal components are for models that are linear in the features.
fn reduce(table: &read::Table<'_>, kind: Kind) -> Option<Vec<Reduction>> {
    let trees = matches!(kind, Kind::Forest | Kind::BaggedForest | Kind::Boosting);
    let linear = !trees && kind != Kind::RbfSvm;
    let one = |entry: &Value<'_>| {
        let reduction = entry.parsed(Reduction::parse)?;
        if kind == Kind::BaggedForest && !reduction.is_none() {
            return entry.refuse(
                format!("{} is \"{reduction}\", which \"bagged-forest\" can't use", entry.name()),
                "leave it out: its trees choose among columns by themselves",
            );
        }
        if matches!(reduction, Reduction::Pca(_)) && !linear {
            let word = KINDS.iter().find(|(_, other)| *other == kind).map_or("?", |(word, _)| word);
            return entry.refuse(
                format!("{} is \"{reduction}\", which \"{word}\" can't use", entry.name()),
                "select features instead: \"univariate:128\" or \"variance:128\"",
            );
        }
        Some(reduction)
    };
    table.or("reduce", vec![Reduction::None], |v| v.distinct(1..=MOST, one))
}

fn balance(table: &read::Table<'_>) -> Option<Vec<Balance>> {
    let words = [
        ("none", Balance::None),
        ("weights", Balance::Weights),
        ("over-sampling", Balance::OverSampling),
        ("smote", Balance::Smote),
    ];
    table.or("balance", vec![Balance::None], |v| {
        v.distinct(1..=words.len(), |entry| entry.choice(&words))
    })
}

fn standardise(table: &read::Table<'_>) -> Option<Vec<Standardise>> {
    let words =
        [("all", Standardise::All), ("site", Standardise::Site), ("combat", Standardise::Combat)];
    table.or("standardise", vec![Standardise::All], |v| {
        v.distinct(1..=words.len(), |entry| entry.choice(&words))
    })
}

fn forest(
    table: &read::Table<'_>,
    deepest: u8,
    reduce: Option<Vec<Reduction>>,
) -> Option<ForestGrid> {
    let trees = table.required("trees").and_then(|v| whole(&v, 1, MOST_TREES));
    let depth = table.or("depth", vec![8], |v| depths(v, deepest));
    let min_patients = table.or("min_patients", vec![10], |v| whole(v, 1, 1_000_000));
    let (balance, rules) = (balance(table), rules(table));
    Some(ForestGrid {
        trees: trees?,
        depth: depth?,
        min_patients: min_patients?,
        balance: balance?,
        reduce: reduce?,
        rules: rules?,
    })
}

fn boosting(table: &read::Table<'_>, reduce: Option<Vec<Reduction>>) -> Option<BoostingGrid> {
    let trees = table.required("trees").and_then(|v| whole(&v, 1, MOST_TREES));
    let depth = table.or("depth", vec![4], |v| depths(v, DEEPEST));
    let min_patients = table.or("min_patients", vec![10], |v| whole(v, 1, 1_000_000));
    let learning_rate = table.or("learning_rate", vec![0.1], |v| {
        let each = v.list(1..=MOST, share);
        each.and(v.ascending(1..=MOST))
    });
    let l2 = table.or("l2", vec![1.0], |v| {
        let each = v.list(1..=MOST, |entry| entry.number(0.0..=1e9));
        each.and(v.ascending(1..=MOST))
    });
    let rows = table.or("rows", 1.0, share);
    let min_weight = table.or("min_weight", 0.001, |v| v.number(0.0..=1e9));
    let (balance, rules) = (balance(table), rules(table));
    let early_stopping = table.or("early_stopping", EarlyStopping::Off, |v| {
        if !v.is_integer() {
            return v.choice(&[("off", EarlyStopping::Off)]);
        }
        v.integer(1..=MOST_TREES).map(EarlyStopping::Patience)
    });
    if let (Some(EarlyStopping::Patience(_)), Some([_, _, ..])) = (early_stopping, trees.as_deref())
    {
        table.wrong(
            "[classifier] stops early and trees lists several numbers",
            "list one, the most trees that a model may have",
        );
        return None;
    }
    Some(BoostingGrid {
        trees: trees?,
        early_stopping: early_stopping?,
        depth: depth?,
        min_patients: min_patients?,
        learning_rate: learning_rate?,
        l2: l2?,
        rows: rows?,
        min_weight: min_weight?,
        balance: balance?,
        reduce: reduce?,
        rules: rules?,
    })
}

fn rules(table: &read::Table<'_>) -> Option<TreeRules> {
    let columns = table.or("columns", ColumnSample::AtMost(COLUMNS), |v| {
        if !v.is_integer() {
            return v.choice(&[("all", ColumnSample::All)]);
        }
        v.integer(1u32..=1 << 20).map(ColumnSample::AtMost)
    });
    let leaves = table.or("leaves", LeafLimit::Unlimited, |v| {
        if !v.is_integer() {
            return v.choice(&[("unlimited", LeafLimit::Unlimited)]);
        }
        v.integer(2u32..=1 << 16).map(LeafLimit::AtMost)
    });
    let bins = table.or("bins", MOST_CUTS as u8 + 1, |v| v.integer(2u8..=MOST_CUTS as u8 + 1));
    Some(TreeRules { columns: columns?, leaves: leaves?, bins: bins? })
}

fn depths(value: &Value<'_>, deepest: u8) -> Option<Vec<u8>> {
    let each = value.list(1..=MOST, |entry| entry.integer(1..=deepest));
    each.filter(|_| value.ascending(1..=MOST).is_some())
}

fn whole(value: &Value<'_>, low: u32, high: u32) -> Option<Vec<u32>> {
    let each = value.list(1..=MOST, |entry| entry.integer(low..=high));
    each.filter(|_| value.ascending(1..=MOST).is_some())
}

fn shares_or_zero(value: &Value<'_>) -> Option<Vec<f64>> {
    let each = value.list(1..=MOST, |entry| entry.number(0.0..=1.0));
    each.and(value.ascending(1..=MOST))
}

fn share(value: &Value<'_>) -> Option<f64> {
    let share = value.number(0.0..=1.0)?;
    if share > 0.0 {
        return Some(share);
    }
    value.refuse(format!("{} is 0", value.name()), "it must be above 0 and at most 1")
}
