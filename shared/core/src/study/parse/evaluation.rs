//! Reading `kind = "evaluate"`, `[model]` and `[drift]`; and what has no place where nothing is fitted.

use super::super::evaluation::{DriftFigure, DriftLimit, Evaluation, StudyKind};
use super::super::{
    Bootstrap, Choose, ChooseBy, Confusion, JudgedUnit, LearningCurve, Matrix, Mode, Outliers,
    OwnSiteBaseline, Recalibrate, Search, Shortcuts, ThresholdRule, Validation,
};
use super::validation::{bootstrap, judge};
use crate::digest::Digest;
use crate::read::{Key, Table};

const MODEL: &[Key] = &[
    Key::value("file", "\"model.safetensors\""),
    Key::value("sha256", "\"...\", 64 hexadecimal digits"),
];
const DRIFT: &[Key] = &[
    Key::value("auc_below", "0.75"),
    Key::value("auc_drop", "0.05"),
    Key::value("sensitivity_below", "0.8"),
    Key::value("specificity_below", "0.6"),
    Key::value("brier_above", "0.2"),
    Key::value("ece_above", "0.1"),
];
const VALIDATION: &[Key] = &[
    Key::value("bootstrap", "1000"),
    Key::value("judge", "\"exam\""),
    Key::value("combine", "\"mean\""),
];

/// Folds of an evaluation: what recalibration and conformal sets are learned from and judged on. The model that is judged doesn't know
/// them.
const FOLDS: u8 = 5;

/// The word for what a study is for.
pub(super) fn is_evaluation(root: &Table<'_>) -> Option<bool> {
    root.or("kind", false, |v| v.choice(&[("train", false), ("evaluate", true)]))
}

/// What a study is for; every section that has no place in it is a mistake.
pub(super) fn kind(root: &Table<'_>, evaluates: bool) -> Option<StudyKind> {
    if !evaluates {
        for section in ["model", "drift"] {
            if let Some(value) = root.optional(section) {
                value.wrong(
                    format!("[{section}] stands in a study that fits models"),
                    "leave it out, or set kind = \"evaluate\" to judge a finished model",
                );
            }
        }
        return Some(StudyKind::Train);
    }
    for (section, why) in [
        ("classifier", "the model is fitted already"),
        ("ensemble", "the model is put together already"),
        (
            "augmentation",
            "nothing is fitted to altered copies, and a model is judged on the images as they are",
        ),
        ("backbone", "a model has one backbone, named in [images]"),
        (
            "fairness",
            "subgroups by two columns at once are judged by studies that fit models alone",
        ),
    ] {
        if let Some(value) = root.optional(section) {
            value.wrong(
                format!("[{section}] stands beside kind = \"evaluate\": {why}"),
                "leave it out",
            );
        }
    }
    let model = root.section("model", MODEL);
    let file = model.as_ref().and_then(|t| t.required("file")?.text(1..=1000));
    let digest = model.as_ref().and_then(|t| t.required("sha256")?.parsed(str::parse::<Digest>));
    let drift = root.or("drift", Vec::new(), |v| drift(&v.table(DRIFT)?));
    Some(StudyKind::Evaluate(Evaluation { model: digest?, file: file?, drift: drift? }))
}

fn drift(table: &Table<'_>) -> Option<Vec<DriftLimit>> {
    let mut limits = Vec::new();
    let mut whole = Some(());
    for figure in DriftFigure::ALL {
        let Some(value) = table.optional(figure.key()) else { continue };
        match value.number(0.0..=1.0) {
            Some(limit) => limits.push(DriftLimit { figure, limit }),
            None => whole = None,
        }
    }
    whole.map(|()| limits)
}

/// `[validation]` of a study that fits nothing: how sure figures are is all that it can say.
pub(super) fn validation(root: &Table<'_>) -> Option<Validation> {
    let (bootstrap, judge) = root.or("validation", (Bootstrap::USUAL, JudgedUnit::Row), |v| {
        let table = v.table(VALIDATION)?;
        let bootstrap = table.or("bootstrap", Bootstrap::USUAL, |v| bootstrap(v));
        let judge = judge(&table);
        Some((bootstrap?, judge?))
    })?;
    Some(Validation {
        folds: FOLDS,
        repeats: 1,
        leave_one_site_out: false,
        choose_by: ChooseBy::WithinSites,
        choose: Choose::Best,
        search: Search::Grid,
        threshold: ThresholdRule::Youden,
        judge,
        bootstrap,
        own_site_baseline: OwnSiteBaseline::Off,
        matrix: Matrix::Off,
        outliers: Outliers::Off,
        recalibrate: Recalibrate::Off,
        shortcuts: Shortcuts::Off,
        learning_curve: LearningCurve::Off,
        confusion: Confusion::Off,
    })
}

/// What the rest of the file says that an evaluation can't have.
pub(super) fn check(root: &Table<'_>, mode: Option<Mode>, weighted: bool) {
    if mode == Some(Mode::FeatureRows) {
        root.wrong(
            "[federation] has mode = \"feature-rows\", and an evaluation asks for sums alone",
            "leave mode out",
        );
    }
    if weighted {
        root.wrong(
            "[cohort] has a weight of rows, which counts in fits alone, and nothing is fitted",
            "leave weight out",
        );
    }
}
